"""What is asked of a vector store, beside Mem0's interface."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, TypeAlias

from mem0.memory.main import Memory
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.fusion import Query

__all__ = ["Item", "Payload", "Ranked", "Row", "Store", "Vector"]

Payload: TypeAlias = Mapping[str, object]
Vector: TypeAlias = Sequence[float]
Item: TypeAlias = tuple[str, dict[str, object]]
"""An id and a payload."""


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

    It keeps every payload that is JSON, whatever the database behind it keeps. Ids are UUIDs.
    Equalities are all that a filter of this package asks it for.
    """

    hybrid: ClassVar[bool] = False
    """Whether `recall` can be asked."""

    dimension: int | None = None
    """The length of the vectors that it was made for; None where any may come first."""

    @abstractmethod
    def get_many(self, ids: Sequence[str]) -> Sequence[Row]:
        """Return the rows that there are with these ids, in any order."""

    @abstractmethod
    def every(self, filters: Payload) -> Sequence[Row]:
        """Return all rows that equalities select; with none, the whole collection."""

    @abstractmethod
    def add(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        """Insert rows; those that are there already do no harm: an earlier attempt stored them."""

    @abstractmethod
    def put(self, items: Sequence[Item], vectors: Sequence[Vector]) -> None:
        """Insert rows, or replace those with the same ids; no two of these are equal."""

    @abstractmethod
    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there; the rest stays as it is."""

    @abstractmethod
    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""

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

    @abstractmethod
    def has_beside(self, name: str) -> bool:
        """Tell whether another collection may be there, without creating it."""

    @abstractmethod
    def entities(self, memory: Memory) -> Store:
        """Open the collection that Mem0 keeps entities in."""

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
