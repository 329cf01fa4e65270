"""Mem0's vector store interface on one SQLite file, searched exactly with numpy."""

from __future__ import annotations

import builtins
import copy
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from mem0_integrations.backends.stores.base import Item, Payloads, RowIds, Store
from mem0_integrations.errors import (
    DimensionMismatchError,
    InvalidFilterError,
    InvalidInputError,
    MemoryNotFoundError,
)
from mem0_integrations.recall.fusion import Query
from mem0_integrations.table.matrices import MatrixCache
from mem0_integrations.table.rows import Payload, Record, Vector, check_ids, encoded, unit_vectors
from mem0_integrations.table.schema import open_file
from mem0_integrations.table.selection import Filters, select
from mem0_integrations.table.table import Table

__all__ = ["SQLiteVectorStore"]

_PART: Final = 200


class SQLiteVectorStore(Store):
    """A Mem0 vector store in one SQLite file; safe in any thread.

    Search is exact: it compares the query with every vector of the ids in the filter, and reads
    nothing of other users. Ids in filters are literal, "*" included; see `selection.select` for
    the rest of a filter. Every method raises `ClosedError` after `close`, and `StorageError`
    when the file cannot be read or written.

    Args:
        path: The file; it is created if missing, in a folder that exists.
        dimension: Length of the vectors, which must be that of an existing file.
        collection: Name of the collection; a file holds any number, see `collection`.

    Raises:
        DimensionMismatchError: The file holds vectors of another length.
        CorruptFileError: The file is not what this package wrote.
        StorageError: The file cannot be opened or created.

    Example:
        >>> store = SQLiteVectorStore(Path(":memory:"), dimension=2)
        >>> store.insert([[1, 0], [0, 1]], [{"user_id": "ann"}, {"user_id": "bob"}], ["1", "2"])
        >>> [(hit.id, hit.score) for hit in store.search("", [1, 0], filters={"user_id": "ann"})]
        [('1', 1.0)]
        >>> store.close()
    """

    hybrid = True
    in_order = True
    paged = True
    unlimited = True
    upserts = True

    def __init__(self, path: Path, *, dimension: int, collection: str = "memories") -> None:
        self.path = str(path)
        self.dimension: int = dimension
        self.collection_name = collection
        self._database = open_file(path, dimension)
        self._table = Table(self._database, dimension, MatrixCache(), collection)
        self._others: list[SQLiteVectorStore] = []

    def collection(self, name: str) -> SQLiteVectorStore:
        """Return another collection of the same file; closing either closes both.

        Args:
            name: The collection; it need not exist.
        """
        other = copy.copy(self)
        other.collection_name = name
        other._table = self._table.sibling(name)
        return other

    def beside(self, name: str, dimension: int | None) -> SQLiteVectorStore:
        """Open another collection, with a file of its own if its vectors have another length."""
        if dimension is None:
            return self.collection(f"{self.collection_name}_{name}")
        path = Path(self.path).with_name(f"{name}.db")
        self._others.append(SQLiteVectorStore(path, dimension=dimension, collection=name))
        return self._others[-1]

    def create_col(self, name: str, vector_size: int, distance: str = "cosine") -> None:
        """Do nothing, for a collection exists once it has a memory; Mem0 requires the method.

        Args:
            name: The collection.
            vector_size: Length of its vectors.
            distance: Must be "cosine".

        Raises:
            DimensionMismatchError: The file holds vectors of another length.
            InvalidInputError: Another distance is asked for.
        """
        if vector_size != self.dimension:
            raise DimensionMismatchError(
                f"{self.path}: holds vectors of dimension {self.dimension}, not {vector_size}"
            )
        if distance != "cosine":
            raise InvalidInputError(f"distance: only 'cosine' is available, got {distance!r}")

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Store memories, all or none; one with a known id is replaced.

        Args:
            vectors: The vectors, each of length `dimension`; scaled to length 1.
            payloads: A JSON object each; by default empty ones.
            ids: An id each; by default random UUIDs.

        Raises:
            DimensionMismatchError: A vector has another length.
            InvalidInputError: A vector is not finite, a payload is not JSON, or the lists differ
                in length.
        """
        units = unit_vectors(vectors, self.dimension)
        payloads = [{}] * len(units) if payloads is None else payloads
        ids = [str(uuid.uuid4()) for _ in units] if ids is None else ids
        if not len(units) == len(payloads) == len(ids):
            raise InvalidInputError(
                f"insert: got {len(units)} vectors, {len(payloads)} payloads and {len(ids)} ids"
            )
        check_ids(ids)
        self._table.add(ids, list(map(encoded, payloads)), units)

    def add(self, items: Sequence[Item], vectors: Sequence[Sequence[float]]) -> None:
        """Store memories in parts, between which others use the file.

        Args:
            items: Ids and payloads; one with a known id is replaced.
            vectors: Their vectors.
        """
        for start in range(0, len(items), _PART):
            part = slice(start, start + _PART)
            self._insert(items[part], vectors[part])

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Filters | None = None
    ) -> builtins.list[Record]:
        """Find the memories nearest to a vector.

        Args:
            query: The text that was embedded; not used.
            vectors: The query's vector, of length `dimension`.
            top_k: Maximum number of results.
            filters: Ids and conditions on the payload; None searches the whole collection.

        Returns:
            The nearest first, with their cosine similarity, clipped to [0, 1].

        Raises:
            InvalidFilterError: A filter is malformed.
            DimensionMismatchError: The vector has another length.
        """
        (unit,) = unit_vectors([vectors], self.dimension)
        return self._table.nearest(select(filters), unit, top_k)

    def recall(
        self, query: Query, vector: Vector, top_k: int, filters: Filters
    ) -> builtins.list[Record]:
        """Find the memories that answer a question best: by its vector, its words, its dates.

        Args:
            query: What is asked, and what each signal counts.
            vector: Its vector, of length `dimension`.
            top_k: Maximum number of results.
            filters: Ids and conditions on the payload.

        Returns:
            The best first, with their score in [0, 1] and the signals that it is made of.

        Raises:
            InvalidFilterError: A filter is malformed.
            DimensionMismatchError: The vector has another length.
        """
        (unit,) = unit_vectors([vector], self.dimension)
        return self._table.ranked(select(filters), unit, top_k, query)

    def rank(
        self, query: Query, near: Mapping[str, float], top_k: int, filters: Filters
    ) -> builtins.list[Record]:
        """Find the memories that answer a question best, where the vectors lie in another store.

        Args:
            query: What is asked, and what each signal counts.
            near: How near to it memories are, in [0, 1], by their ids; the others are not.
            top_k: Maximum number of results.
            filters: Ids and conditions on the payload.

        Returns:
            As `recall`.

        Raises:
            InvalidFilterError: A filter is malformed.
        """
        return self._table.ranked(select(filters), near, top_k, query)

    def keyword_search(self, query: str, top_k: int = 5, filters: Filters | None = None) -> None:
        """Return None: `recall` knows the words. Without the method Mem0 logs a warning.

        Args:
            query: The words.
            top_k: Maximum number of results.
            filters: Ids and conditions on the payload.
        """

    def get(self, vector_id: str) -> Record | None:
        """Return one memory, or None if there is none with this id.

        Args:
            vector_id: The memory's id.
        """
        return self._table.find(vector_id)

    def get_many(self, ids: Sequence[str]) -> builtins.list[Record]:
        """Return the memories that there are with these ids, in any order.

        Args:
            ids: The memories' ids.
        """
        return self._table.find_many(ids)

    def merge_payloads(self, changes: Mapping[str, Payload]) -> None:
        """Set fields of the payloads of memories in one transaction, where there are any of these.

        Args:
            changes: The fields to set, for each memory's id.

        Raises:
            InvalidInputError: A value is not JSON.
        """
        self._table.merge(changes)

    def list(
        self, filters: Filters | None = None, top_k: int | None = None
    ) -> builtins.list[builtins.list[Record]]:
        """List memories, the last added first.

        Args:
            filters: Ids and conditions on the payload; None lists the whole collection.
            top_k: Maximum number of results; None lists all.

        Returns:
            A list with one list of records, as from Mem0's other stores.

        Raises:
            InvalidFilterError: A filter is malformed.
        """
        return [self._table.newest(select(filters), top_k)]

    def every(self, filters: Filters) -> builtins.list[Record]:
        """Return all memories that a filter selects.

        Args:
            filters: Ids and conditions on the payload.
        """
        return builtins.list(self._table.listed(select(filters)))

    def newest(self, filters: Filters, *, limit: int, skip: int = 0) -> Iterator[Record]:
        """Yield memories by their times, the newest first, of equally new ones by their ids.

        Under a path of documents, these are the times of their last changes.

        Args:
            filters: Ids and conditions on the payload.
            limit: How many will be taken, more or less.
            skip: How many to leave out first.
        """
        selection = select(filters)
        if not selection.matches:
            return self._table.listed(selection, skip=skip, at_once=limit)
        return islice(self._table.listed(selection, at_once=limit), skip, None)

    def paths(self, levels: Mapping[str, str]) -> builtins.list[tuple[str | None, ...]]:
        """Return the different paths of documents under a prefix.

        Args:
            levels: The fields of the prefix, from the topmost on.
        """
        return self._table.paths(levels)

    def count(self, filters: Filters | None = None) -> int:
        """Count memories.

        Args:
            filters: Ids and conditions on the payload; None counts the whole collection.

        Raises:
            InvalidFilterError: A filter is malformed.
        """
        return self._table.count(select(filters))

    def update(
        self, vector_id: str, vector: Vector | None = None, payload: Payload | None = None
    ) -> None:
        """Replace the vector, the payload or both of one memory.

        Args:
            vector_id: The memory's id.
            vector: The new vector, of length `dimension`; None keeps the old one.
            payload: The new payload, as a whole; None keeps the old one.

        Raises:
            MemoryNotFoundError: There is no memory with this id.
            DimensionMismatchError: The vector has another length.
            InvalidInputError: The vector is not finite, or the payload is not JSON.
        """
        unit = None if vector is None else unit_vectors([vector], self.dimension)[0]
        row = None if payload is None else encoded(payload)
        if not self._table.replace(vector_id, unit, row):
            raise MemoryNotFoundError(f"{self.path}: there is no memory {vector_id!r}")

    def delete(self, vector_id: str) -> None:
        """Delete one memory, if there is one with this id.

        Args:
            vector_id: The memory's id.
        """
        self._table.delete([vector_id])

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete memories in one transaction, where there are any with these ids.

        Args:
            ids: The memories' ids.
        """
        self._table.delete(ids)

    def delete_where(self, filters: Filters) -> int:
        """Delete every memory that a filter selects, in one transaction.

        Args:
            filters: Ids and conditions on the payload, at least one.

        Returns:
            How many memories were deleted.

        Raises:
            InvalidFilterError: The filter is empty or malformed.
        """
        if not filters:
            raise InvalidFilterError("delete_where: an empty filter would delete everything")
        return self._table.delete_selected(select(filters))

    def erase(self, ids: Filters, doomed: Sequence[str]) -> None:
        """Delete every memory of a scope, in one transaction."""
        self.delete_where(ids)

    def list_cols(self) -> builtins.list[str]:
        """Return the names of the file's collections that have a memory."""
        return self._table.names()

    def col_info(self) -> dict[str, str | int]:
        """Return the collection's name, file, dimension and number of memories."""
        return {
            "name": self.collection_name,
            "path": self.path,
            "dimension": self.dimension,
            "count": self.count(),
        }

    def delete_col(self) -> None:
        """Delete every memory of the collection."""
        self._table.delete_selected(select(None))

    def reset(self) -> None:
        """Delete every memory of the collection."""
        self.delete_col()

    def reindex(self) -> int:
        """Make the index of the words again; returns how many memories it has."""
        return self._table.reindex()

    def compact(self) -> None:
        """Leave no byte of what was deleted in the file; others go on meanwhile.

        Raises:
            BackendTimeoutError: Another process reads the file, and so keeps what was deleted.
        """
        self._table.compact()

    def check_dimension(self, dimension: int | None) -> None:
        """Refuse vectors to come of another length; raises `DimensionMismatchError`."""
        if dimension is not None:
            self.create_col(self.collection_name, dimension)

    def describe(self) -> str:
        """Name the store and its file."""
        return f"{type(self).__name__}(path={self.path})"

    def close(self) -> None:
        """Close the file, for every collection of it; a second call does nothing."""
        self._database.close()
        for store in self._others:
            store.close()
