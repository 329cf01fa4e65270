"""What has to be known about single vector stores behind Mem0's common interface."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.mem0_config import store_place
from mem0_integrations.errors import DimensionMismatchError
from mem0_integrations.values import PATH_FIELDS

__all__ = [
    "Row",
    "check_dimension",
    "close",
    "collections",
    "compact",
    "count_values",
    "describe",
    "index_paths",
    "insert",
    "lock_local_qdrant",
    "name_of",
    "rows",
]


class Row(Protocol):
    """What a Mem0 vector store returns for a memory."""

    id: str
    payload: Mapping[str, object]
    score: float | None


def rows(listed: object) -> list[Row]:
    """Unwrap what `VectorStoreBase.list` returns: rows, or a list or tuple that begins with them.

    Mem0's stores do not agree on it.
    """
    if isinstance(listed, list | tuple) and listed and isinstance(listed[0], list | tuple):
        return list(listed[0])
    return list(listed) if isinstance(listed, list | tuple) else []


def check_dimension(store: VectorStoreBase, embedder_dimension: int | None) -> None:
    """Compare the dimension of a store's existing vectors to that of the vectors to come.

    Args:
        store: The store.
        embedder_dimension: The dimension that the embedder makes, if known; else what the
            store is configured with counts.

    Raises:
        DimensionMismatchError: They differ.
    """
    wanted = embedder_dimension or getattr(store, "embedding_model_dims", None)
    existing = _existing_dimension(store)
    if wanted and existing and wanted != existing:
        raise DimensionMismatchError(
            f"The collection {getattr(store, 'collection_name', '?')!r} holds vectors of dimension "
            f"{existing}, but the embedder makes {wanted}. Use the embedder that it was filled "
            f"with, or another collection_name."
        )


def lock_local_qdrant(store: VectorStoreBase) -> None:
    """Let one thread at a time into a local Qdrant, which is not safe under threads."""
    client = getattr(store, "client", None)
    if getattr(store, "is_local", False) and client and not isinstance(client, _Locked):
        store.client = _Locked(client)


class _Locked:
    """Passes every call on to an object, one at a time."""

    def __init__(self, target: object) -> None:
        self._target = target
        self._lock = threading.RLock()

    def create_payload_index(self, *_: object, **__: object) -> None:
        """Do nothing: a local Qdrant has no such indexes, and warns whoever creates one."""

    def __getattr__(self, name: str) -> object:
        value = getattr(self._target, name)
        return self._one_at_a_time(value) if callable(value) else value

    def _one_at_a_time(self, call: Callable[..., object]) -> Callable[..., object]:
        def locked(*args: object, **options: object) -> object:
            with self._lock:
                return call(*args, **options)

        return locked


def insert(
    store: VectorStoreBase,
    items: Sequence[tuple[str, dict[str, object]]],
    vectors: Sequence[Sequence[float]],
) -> None:
    """Insert ids with payloads.

    pgvector refuses all of them for one known id, and an earlier attempt may have got through:
    then only the others are inserted.
    """
    try:
        _insert(store, items, vectors)
    except Exception:
        missing = [index for index, (item_id, _) in enumerate(items) if store.get(item_id) is None]
        if len(missing) == len(items):
            raise
        _insert(store, [items[index] for index in missing], [vectors[index] for index in missing])


def compact(store: VectorStoreBase) -> None:
    """Overwrite deleted data, where the store can be asked to."""
    if hasattr(store, "compact"):
        store.compact()


def close(store: VectorStoreBase) -> None:
    """Close the connections of a store, where it has any to close."""
    for holder in (store, getattr(store, "client", None), getattr(store, "connection_pool", None)):
        if callable(closing := getattr(holder, "close", None)):
            closing()


def collections(store: VectorStoreBase) -> list[str]:
    """Return the names of all collections of a store."""
    listed = store.list_cols()
    names = getattr(listed, "collections", listed)
    return [str(getattr(item, "name", item)) for item in names or ()]


def index_paths(store: VectorStoreBase) -> None:
    """Let PostgreSQL find documents by their path without reading the whole table."""
    if type(store).__name__ != "PGVector":
        return
    from mem0.vector_stores.pgvector import sql

    store._ensure_collection()
    with store._get_cursor(commit=True) as cursor:
        for field in PATH_FIELDS[1:]:
            # A path may be too long for a B-tree.
            cursor.execute(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hash ((payload->>{}))").format(
                    sql.Identifier(_name_for(store, field)), store._col(), sql.Literal(field)
                )
            )


def count_values(store: VectorStoreBase, fields: Iterable[str]) -> None:
    """Let PostgreSQL know how often the values of payload fields are, where it does not yet.

    Otherwise it takes any two of them to be rare together, and reads and sorts the whole table
    in place of its vector index.
    """
    if type(store).__name__ != "PGVector":
        return
    from mem0.vector_stores.pgvector import sql

    store._ensure_collection()
    names = {_name_for(store, f"statistics {field}"): field for field in fields}
    with store._get_cursor(commit=True) as cursor:
        # Two at once would both find nothing, and the second to create it would fail.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (min(names),))
        cursor.execute(
            "SELECT stxname FROM pg_statistic_ext WHERE stxname = ANY(%s)", (list(names),)
        )
        known = {name for (name,) in cursor.fetchall()}
        # Only its owner may describe a table.
        cursor.execute(
            "SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables WHERE tablename = %s",
            (store.collection_name,),
        )
        owner = cursor.fetchone()
        if known == names.keys() or not (owner and owner[0]):
            return
        for name, field in names.items():
            cursor.execute(
                sql.SQL("CREATE STATISTICS IF NOT EXISTS {} ON (payload->>{}) FROM {}").format(
                    sql.Identifier(name), sql.Literal(field), store._col()
                )
            )
        cursor.execute(sql.SQL("ANALYZE {}").format(store._col()))


def describe(store: VectorStoreBase, settings: VectorStoreConfig) -> str:
    """Name a store and where it lies, without credentials."""
    path = getattr(store, "path", None)
    places = {"path": path} if isinstance(path, str) else store_place(settings)
    return f"{name_of(store)}({', '.join(f'{name}={place}' for name, place in places.items())})"


def name_of(part: object) -> str:
    """Name a part of Mem0: its class, and the model that it uses."""
    wrapped = getattr(part, "model", getattr(part, "embeddings", None))
    if wrapped is not None and not isinstance(wrapped, str):
        return name_of(wrapped)
    config = getattr(part, "config", None)
    names = (getattr(config, "model", None), getattr(part, "model_name", None), wrapped)
    model = next((name for name in names if isinstance(name, str)), None)
    return f"{type(part).__name__}({model})" if model else type(part).__name__


def _name_for(store: VectorStoreBase, purpose: str) -> str:
    """Name what is made for a collection in a database; PostgreSQL takes at most 63 bytes."""
    digest = hashlib.sha256(f"{store.collection_name} {purpose}".encode()).hexdigest()[:16]
    return f"mem0_integrations_{digest}"


def _insert(
    store: VectorStoreBase,
    items: Sequence[tuple[str, dict[str, object]]],
    vectors: Sequence[Sequence[float]],
) -> None:
    store.insert(
        vectors=list(vectors),
        payloads=[payload for _, payload in items],
        ids=[item_id for item_id, _ in items],
    )


def _existing_dimension(store: VectorStoreBase) -> int | None:
    kind = type(store).__name__
    if kind == "Qdrant":
        size = store.client.get_collection(store.collection_name).config.params.vectors.size
        return int(size)
    if kind == "PGVector":
        # For a column of pgvector's type, PostgreSQL's type modifier is the dimension.
        with store._get_cursor() as cursor:
            cursor.execute(
                "SELECT atttypmod FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
                "WHERE relname = %s AND attname = 'vector'",
                (store.collection_name,),
            )
            row = cursor.fetchone()
        return int(row[0]) if row and row[0] > 0 else None
    if kind == "SQLiteVectorStore":
        return int(store.embedding_model_dims)
    return None
