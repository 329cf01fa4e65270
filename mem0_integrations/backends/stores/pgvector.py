"""PostgreSQL with pgvector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.mem0_private import create_alone, postgres
from mem0_integrations.backends.stores.base import Item, Payload, Row, Vector, age_of
from mem0_integrations.backends.stores.generic import GenericStore
from mem0_integrations.values import PATH_FIELDS

__all__ = ["PGVectorStore"]

_PAGE: Final = 1_000


class PGVectorStore(GenericStore):
    """A table of PostgreSQL; several rows are one statement."""

    flat_payloads = False
    paged = True
    unlimited = True

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        create_alone(store)
        self.dimension = store.embedding_model_dims

    def get_many(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows that there are with these ids, in any order."""
        if not ids:
            return []
        with postgres(self._store) as (cursor, sql, table):
            statement = sql.SQL("SELECT id, payload FROM {} WHERE id = ANY(%s::uuid[])")
            cursor.execute(statement.format(table), (list(ids),))
            return [self._row(row_id, payload) for row_id, payload in cursor.fetchall()]

    def newest(self, filters: Payload, *, limit: int, skip: int = 0) -> Iterator[Row]:
        """Yield the rows that equalities select, the newest first, of equally new ones by id."""
        rows = self._selected("id, payload->>'created_at'", filters)
        rows.sort(key=itemgetter(0))
        rows.sort(key=lambda row: age_of(row[1]), reverse=True)
        ids = [str(row_id) for row_id, _ in rows[skip:]]
        size = max(1, min(limit, _PAGE))
        # Their payloads are read as they are taken.
        for start in range(0, len(ids), size):
            page = ids[start : start + size]
            found = {row.id: row for row in self.get_many(page)}
            yield from (found[row_id] for row_id in page if row_id in found)

    def count(self, filters: Payload) -> int:
        """Return how many rows equalities select."""
        ((count,),) = self._selected("count(*)", filters)
        return int(count)

    def put(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        """Insert rows, or replace those with the same ids."""
        self._for_each(
            "INSERT INTO {} (id, vector, payload) "
            "VALUES (%(id)s, %(vector)s::vector, %(payload)s::jsonb) "
            "ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, payload = excluded.payload",
            [
                {"id": row_id, "vector": json.dumps(list(vector)), "payload": json.dumps(payload)}
                for (row_id, payload), vector in zip(items, vectors, strict=True)
            ],
        )

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there."""
        self._for_each(
            "UPDATE {} SET payload = payload || %(payload)s::jsonb WHERE id = %(id)s",
            [{"id": row_id, "payload": json.dumps(fields)} for row_id, fields in changes.items()],
        )

    def change(self, row_id: str, vector: Vector | None, fields: dict[str, object]) -> None:
        """Set some fields of a row and perhaps its vector: two hosts at once lose nothing."""
        self._for_each(
            "UPDATE {} SET payload = payload || %(payload)s::jsonb, "
            "vector = COALESCE(%(vector)s::vector, vector) WHERE id = %(id)s",
            [
                {
                    "id": row_id,
                    "payload": json.dumps(fields),
                    "vector": None if vector is None else json.dumps(list(vector)),
                }
            ],
        )

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        if not ids:
            return
        with postgres(self._store, commit=True) as (cursor, sql, table):
            statement = sql.SQL("DELETE FROM {} WHERE id = ANY(%s::uuid[])").format(table)
            cursor.execute(statement, (list(ids),))

    def beside(self, name: str, dimension: int | None) -> PGVectorStore:
        """Open another table, in which documents are found by their path without reading it."""
        other = super().beside(name, dimension)
        with postgres(other._store, commit=True) as (cursor, sql, table):
            for field in PATH_FIELDS[1:]:
                # A path may be too long for a B-tree.
                statement = "CREATE INDEX IF NOT EXISTS {} ON {} USING hash ((payload->>{}))"
                index = sql.Identifier(other._name_for(field))
                cursor.execute(sql.SQL(statement).format(index, table, sql.Literal(field)))
        return other

    def count_values(self, fields: Iterable[str]) -> None:
        """Let PostgreSQL know how often the values of fields are, where it does not yet.

        Otherwise it takes any two of them to be rare together, and reads and sorts the whole
        table in place of its vector index.
        """
        names = {self._name_for(f"statistics {field}"): field for field in fields}
        with postgres(self._store, commit=True) as (cursor, sql, table):
            # Two at once would both find nothing, and the second to create it would fail.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (min(names),))
            cursor.execute(
                "SELECT stxname FROM pg_statistic_ext WHERE stxname = ANY(%s)", (list(names),)
            )
            known = {name for (name,) in cursor.fetchall()}
            # Only its owner may describe a table.
            cursor.execute(
                "SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables WHERE tablename = %s",
                (self._store.collection_name,),
            )
            owner = cursor.fetchone()
            if known == names.keys() or not (owner and owner[0]):
                return
            for name, field in names.items():
                statement = "CREATE STATISTICS IF NOT EXISTS {} ON (payload->>{}) FROM {}"
                described = sql.Identifier(name), sql.Literal(field), table
                cursor.execute(sql.SQL(statement).format(*described))
            cursor.execute(sql.SQL("ANALYZE {}").format(table))

    def _adjust(self, settings: Any) -> None:
        # Filtered after its scan, an approximate index would hide what a filter selects.
        settings.hnsw = settings.diskann = False

    def _existing_dimension(self) -> int | None:
        # For a column of pgvector's type, PostgreSQL's type modifier is the dimension.
        with postgres(self._store, create=False) as (cursor, _, _):
            cursor.execute(
                "SELECT atttypmod FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
                "WHERE relname = %s AND attname = 'vector'",
                (self._store.collection_name,),
            )
            row = cursor.fetchone()
        return int(row[0]) if row and row[0] > 0 else None

    def _selected(self, columns: str, filters: Payload) -> list[tuple[Any, ...]]:
        """Return columns of the rows that equalities select; as Mem0, by their texts."""
        where = " AND ".join("payload->>%s = %s" for _ in filters) or "true"
        values = [text for key, value in filters.items() for text in (key, str(value))]
        with postgres(self._store) as (cursor, sql, table):
            statement = sql.SQL(f"SELECT {columns} FROM {{}} WHERE {where}").format(table)
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def _for_each(self, statement: str, values: Sequence[Mapping[str, str | None]]) -> None:
        if not values:
            return
        with postgres(self._store, commit=True) as (cursor, sql, table):
            # In one order, so that two writers of the same rows do not wait for each other.
            cursor.executemany(
                sql.SQL(statement).format(table), sorted(values, key=lambda value: str(value["id"]))
            )

    def _name_for(self, purpose: str) -> str:
        """Name what is made for a table; PostgreSQL takes at most 63 bytes."""
        digest = hashlib.sha256(f"{self._store.collection_name} {purpose}".encode())
        return f"mem0_integrations_{digest.hexdigest()[:16]}"
