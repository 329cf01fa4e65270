"""What is asked of a vector store, beside Mem0's interface."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, Protocol, TypeAlias

from mem0.memory.main import Memory
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.recall.fusion import Query
from mem0_integrations.values import parse_time

__all__ = ["Item", "Payload", "Payloads", "Ranked", "Row", "RowIds", "Store", "Vector", "age_of"]

Payload: TypeAlias = Mapping[str, object]
Vector: TypeAlias = Sequence[float]
Payloads: TypeAlias = Sequence[Payload] | None
RowIds: TypeAlias = Sequence[str] | None
Item: TypeAlias = tuple[str, dict[str, object]]
"""An id and a payload."""

_PAGE: Final = 10_000
_GROWTH: Final = 8


class Row(Protocol):
    """What a vector store returns for a memory."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def payload(self) -> Mapping[str, object]:
        """Its text and metadata."""

    @property
    def score(self) -> float | None:
        """How near it is to what was searched for; the higher, the nearer."""


class Ranked(Row, Protocol):
    """What `Store.recall` returns for a memory."""

    @property
    def signals(self) -> Mapping[str, float]:
        """What found it, and how strongly, in [0, 1]."""


class Store(VectorStoreBase):  # type: ignore[misc]  # Mem0 ships no types
    """A collection of a vector store; safe in any thread.

    What it does here, it does by Mem0's interface alone. It keeps every payload that is JSON,
    whatever the database behind it keeps. Ids are UUIDs; filters are equalities.
    """

    hybrid: ClassVar[bool] = False
    """Whether `recall` can be asked."""

    upserts: ClassVar[bool] = False
    """Whether `insert` replaces a row that has a known id; it never keeps both."""

    in_order: ClassVar[bool] = False
    """Whether `newest` yields documents as their paths are listed, and `paths` can be asked."""

    paged: ClassVar[bool] = False
    """Whether `newest` and `count` read only what they return, and just what is selected."""

    unlimited: ClassVar[bool] = False
    """Whether `list` returns everything when it is not told how much."""

    dimension: int | None = None
    """The length of the vectors that it was made for; None where any may come first."""

    def get_many(self, ids: Sequence[str]) -> Sequence[Row]:
        """Return the rows that there are with these ids, in any order."""
        return [row for row in map(self.get, ids) if row is not None]

    def every(self, filters: Payload) -> Sequence[Row]:
        """Return all rows that equalities select; with none, the whole collection."""
        top_k = None if self.unlimited else _PAGE
        while True:
            found: Sequence[Row] = self.list(filters, top_k)[0]
            if top_k is None or len(found) < top_k:
                return found
            top_k *= _GROWTH

    def newest(self, filters: Payload, *, limit: int, skip: int = 0) -> Iterable[Row]:
        """Return the rows that equalities select, the newest first, of equally new ones by id.

        Args:
            filters: The equalities.
            limit: How many will be taken, more or less.
            skip: How many to leave out first.
        """
        rows = sorted(self.every(filters), key=lambda row: row.id)
        rows.sort(key=lambda row: age_of(row.payload.get("created_at")), reverse=True)
        return rows[skip:]

    def paths(self, levels: Mapping[str, str]) -> Sequence[tuple[str | None, ...]]:
        """Return the different paths of documents under a prefix, in all of their fields.

        Args:
            levels: The fields of the prefix, from the topmost on.
        """
        raise NotImplementedError

    def count(self, filters: Payload) -> int:
        """Return how many rows equalities select."""
        return len(self.every(filters))

    def add(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        """Insert rows; those that are there already do no harm: an earlier attempt stored them."""
        try:
            self._insert(items, vectors)
        except Exception:
            known = {row.id for row in self.get_many([row_id for row_id, _ in items])}
            new = [each for each in zip(items, vectors, strict=True) if each[0][0] not in known]
            if len(new) == len(items) == 1:
                raise
            # A database may refuse the batch and take its rows.
            for item, vector in new:
                self._insert([item], [vector])

    def put(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        """Insert rows, or replace those with the same ids; no two of these are equal."""
        if self.upserts:
            self._insert(items, vectors)
            return
        known = {row.id for row in self.get_many([row_id for row_id, _ in items])}
        pairs = list(zip(items, vectors, strict=True))
        for (row_id, payload), vector in pairs:
            if row_id in known:
                self.update(row_id, vector, payload)
        new = [pair for pair in pairs if pair[0][0] not in known]
        self._insert([item for item, _ in new], [vector for _, vector in new])

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there; the rest stays as it is."""
        for row in self.get_many(list(changes)):
            self.update(row.id, None, {**row.payload, **changes[row.id]})

    def change(self, row_id: str, vector: Vector | None, fields: dict[str, object]) -> None:
        """Set some fields of a row and, unless it is None, its vector, where the row is there."""
        if vector is None:
            self.merge_payloads({row_id: fields})
        elif (row := self.get(row_id)) is not None:
            self.update(row_id, vector, {**row.payload, **fields})

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        for row_id in ids:
            self.delete(row_id)

    def erase(self, ids: Payload, doomed: Sequence[str]) -> None:
        """Delete the rows of a scope.

        Args:
            ids: The scope, in Mem0's spelling.
            doomed: The ids of its rows.
        """
        self.delete_many(doomed)

    @abstractmethod
    def beside(self, name: str, dimension: int | None) -> Store:
        """Open another collection of the same database; it is created if need be.

        Args:
            name: The end of its name.
            dimension: Of its vectors; None for the same as here.
        """

    def has_beside(self, name: str) -> bool:
        """Tell whether another collection may be there, without creating it."""
        return True

    def entities(self, memory: Memory) -> Store:
        """Open the collection that Mem0 keeps entities in."""
        return self.beside("entities", None)

    def recall(
        self, query: Query, vector: Vector, top_k: int, filters: Payload
    ) -> Sequence[Ranked]:
        """Return the rows that answer a question best: by vector, words, and dates."""
        raise NotImplementedError

    def check_dimension(self, dimension: int | None) -> None:
        """Compare the vectors that are there to those to come, where that can be done.

        Args:
            dimension: Of those to come; None for what the store was made for.

        Raises:
            DimensionMismatchError: They differ.
        """

    def count_values(self, fields: Iterable[str]) -> None:
        """Let the database know how often the values of fields are, where that makes it quicker."""

    def reindex(self) -> int:
        """Make the index of the words again, where there is one; returns how many rows."""
        return 0

    def compact(self) -> None:
        """Overwrite deleted data, where the database can be asked to."""

    @abstractmethod
    def describe(self) -> str:
        """Name the store and where it lies, without credentials."""

    @abstractmethod
    def close(self) -> None:
        """Close its connections, where it has any."""

    def _insert(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        if items:
            self.insert(vectors, [payload for _, payload in items], [row_id for row_id, _ in items])


def age_of(time: object) -> float:
    """Return what rows are listed by, the newest first, from the text of a time."""
    created = parse_time(time)
    return created.timestamp() if created else 0.0
