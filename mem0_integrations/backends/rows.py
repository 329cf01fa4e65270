"""Many rows of a Mem0 vector store at once, by their ids.

Mem0's interface fetches, replaces and deletes one row at a time, and its stores do not agree on
what an insert of a known id does. Here one call does it, with one statement where the store can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from mem0.memory.main import Memory as Mem0
from mem0.memory.main import _entity_collection_name
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.backends.vector_stores import Row, collections, insert, rows

__all__ = [
    "Payload",
    "delete_rows",
    "erase",
    "erase_entities",
    "every_row",
    "fetch_rows",
    "merge_payloads",
    "put_rows",
]

Payload: TypeAlias = Mapping[str, object]

_PAGE: Final = 10_000
_GROWTH: Final = 8
# These return everything when they are not told how much.
_UNLIMITED: Final = ("SQLiteVectorStore", "PGVector")


def every_row(store: VectorStoreBase, filters: Mapping[str, object]) -> list[Row]:
    """Return all rows that a filter selects.

    Args:
        store: The store.
        filters: Equalities; none for the whole collection.
    """
    wanted = dict(filters) or None
    if type(store).__name__ in _UNLIMITED:
        return rows(store.list(filters=wanted, top_k=None))
    top_k = _PAGE
    while True:
        found = rows(store.list(filters=wanted, top_k=top_k))
        if len(found) < top_k:
            return found
        top_k *= _GROWTH


def fetch_rows(store: VectorStoreBase, ids: Sequence[str]) -> dict[str, Payload]:
    """Return the payloads of those ids that are there."""
    if not ids:
        return {}
    if hasattr(store, "get_many"):
        return {row.id: row.payload for row in store.get_many(ids)}
    match type(store).__name__:
        case "Qdrant":
            points = store.client.retrieve(store.collection_name, ids=list(ids))
            return {str(point.id): point.payload for point in points}
        case "PGVector":
            statement = _sql(store, "SELECT id, payload FROM {} WHERE id = ANY(%s::uuid[])")
            with store._get_cursor() as cursor:
                cursor.execute(statement, (list(ids),))
                return {str(row_id): payload for row_id, payload in cursor.fetchall()}
    found = {row_id: store.get(row_id) for row_id in ids}
    return {row_id: row.payload for row_id, row in found.items() if row is not None}


def put_rows(
    store: VectorStoreBase,
    items: Sequence[tuple[str, dict[str, object]]],
    vectors: Sequence[Sequence[float]],
) -> None:
    """Insert rows, or replace those with the same ids.

    Args:
        store: The store.
        items: Ids, no two of them equal, and payloads.
        vectors: A vector each, of the store's dimension.
    """
    if not items:
        return
    match type(store).__name__:
        case "SQLiteVectorStore" | "Qdrant":
            insert(store, items, vectors)
        case "PGVector":
            statement = _sql(
                store,
                "INSERT INTO {} (id, vector, payload) VALUES (%s, %s::vector, %s::jsonb) "
                "ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, "
                "payload = excluded.payload",
            )
            # In one order, so that two writers of the same rows do not wait for each other.
            values = sorted(
                (row_id, json.dumps(list(vector)), json.dumps(payload))
                for (row_id, payload), vector in zip(items, vectors, strict=True)
            )
            with store._get_cursor(commit=True) as cursor:
                cursor.executemany(statement, values)
        case _:
            known = fetch_rows(store, [row_id for row_id, _ in items])
            pairs = list(zip(items, vectors, strict=True))
            for (row_id, payload), vector in pairs:
                if row_id in known:
                    store.update(vector_id=row_id, vector=list(vector), payload=payload)
            new = [pair for pair in pairs if pair[0][0] not in known]
            if new:
                insert(store, [item for item, _ in new], [vector for _, vector in new])


def merge_payloads(store: VectorStoreBase, changes: Mapping[str, dict[str, object]]) -> None:
    """Set some fields of the payloads of rows, where they are there; the rest stays as it is.

    Args:
        store: The store.
        changes: The fields, by the ids of the rows.
    """
    if not changes:
        return
    if hasattr(store, "merge_payloads"):
        store.merge_payloads(changes)
        return
    match type(store).__name__:
        case "Qdrant":
            # A local one refuses a point that is not there.
            for row_id in fetch_rows(store, list(changes)):
                store.client.set_payload(
                    store.collection_name, payload=changes[row_id], points=[row_id]
                )
        case "PGVector":
            statement = _sql(store, "UPDATE {} SET payload = payload || %s::jsonb WHERE id = %s")
            values = sorted((row_id, json.dumps(fields)) for row_id, fields in changes.items())
            with store._get_cursor(commit=True) as cursor:
                cursor.executemany(statement, [(fields, row_id) for row_id, fields in values])
        case _:
            for row_id, payload in fetch_rows(store, list(changes)).items():
                store.update(vector_id=row_id, payload={**payload, **changes[row_id]})


def delete_rows(store: VectorStoreBase, ids: Sequence[str]) -> None:
    """Delete the rows with these ids, where there are any."""
    if not ids:
        return
    if hasattr(store, "delete_many"):
        store.delete_many(ids)
        return
    match type(store).__name__:
        case "Qdrant":
            store.client.delete(store.collection_name, points_selector=list(ids))
        case "PGVector":
            statement = _sql(store, "DELETE FROM {} WHERE id = ANY(%s::uuid[])")
            with store._get_cursor(commit=True) as cursor:
                cursor.execute(statement, (list(ids),))
        case _:
            for row_id in ids:
                store.delete(vector_id=row_id)


def erase(store: VectorStoreBase, ids: Mapping[str, str], doomed: Sequence[str]) -> None:
    """Delete the given memories of a scope."""
    delete_where = getattr(store, "delete_where", None)
    if delete_where is not None:
        delete_where(dict(ids))
        return
    delete_rows(store, doomed)


def erase_entities(memory: Mem0, ids: Mapping[str, str]) -> None:
    """Delete what Mem0 keeps of the entities of a scope, in a collection of their own."""
    name = _entity_collection_name(memory.config.vector_store.provider, memory.collection_name)
    if memory._entity_store is None and name not in collections(memory.vector_store):
        return
    wanted = {key: value for key, value in ids.items() if key != "app_id"}
    store = memory.entity_store
    erase(store, wanted, [str(entity.id) for entity in every_row(store, wanted)])


def _sql(store: VectorStoreBase, statement: str) -> object:
    """Put the table of a PGVector store into a statement, quoted by its own driver."""
    from mem0.vector_stores.pgvector import sql

    store._ensure_collection()
    return sql.SQL(statement).format(store._col())
