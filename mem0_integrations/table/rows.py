"""A memory as a row of the file: checked and encoded before anything is written, and read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mem0_integrations.errors import DimensionMismatchError, InvalidInputError
from mem0_integrations.table.schema import COLUMNS, ID_COLUMNS, THREAD_COLUMNS, place_of
from mem0_integrations.values import is_text

__all__ = [
    "Encoded",
    "Ids",
    "Payload",
    "Record",
    "Vector",
    "check_ids",
    "encoded",
    "read_place",
    "unit_vectors",
]

Payload: TypeAlias = Mapping[str, object]
Ids: TypeAlias = frozenset[tuple[str, str]]
"""The indexed columns of a filter or of a memory, as (column, value) pairs."""
Vector: TypeAlias = Sequence[float] | npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Record:
    """One memory as Mem0 reads it from a vector store.

    Args:
        id: The memory's id.
        payload: Its text and metadata; a copy.
        score: Nearness to the query in [0, 1]; None when not searched for.
        signals: What found it, and how strongly, in [0, 1].
    """

    id: str
    payload: dict[str, object]
    score: float | None = None
    signals: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, memory_id: str, payload: str) -> Record:
        """Decode a row of the file."""
        return cls(memory_id, json.loads(payload))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A payload as it is written: its indexed columns, and all of it as JSON in `text`."""

    columns: Mapping[str, str | None]
    said_at: float | None
    words: int
    text: str

    @property
    def values(self) -> tuple[str | float | None, ...]:
        """The columns, in the order of `COLUMNS`, `PLACE_COLUMNS` and the payload."""
        return (*self.columns.values(), self.said_at, self.words, self.text)

    @property
    def ids(self) -> Ids:
        """The indexed columns that have a value."""
        return frozenset((name, value) for name, value in self.columns.items() if value is not None)

    @property
    def place(self) -> tuple[int, bool, float, int]:
        """Where it stands, as `fusion.PLACE` has it."""
        thread = [self.columns[column] for column in THREAD_COLUMNS]
        return read_place(self.said_at, self.words, *thread)


def read_place(
    said_at: float | None, words: float | None, *thread: str | None
) -> tuple[int, bool, float, int]:
    """Return where a memory stands, as `fusion.PLACE` has it, from its columns."""
    named = thread[-1] is not None
    return hash(thread), named, math.nan if said_at is None else said_at, int(words or 0)


def encoded(payload: Payload) -> Encoded:
    """Encode a payload.

    Raises:
        InvalidInputError: An id is not text, or it holds something else than JSON values.
    """
    columns, place = _columns(payload), place_of(payload)
    try:
        text = json.dumps(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"A payload must be a JSON object: {error}") from error
    return Encoded(columns, *place, text)


def _columns(payload: Payload) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for column in COLUMNS:
        value = payload.get(column)
        if column in ID_COLUMNS and value is not None and not is_text(value):
            raise InvalidInputError(f"payload.{column}: an id is valid text, got {value!r}")
        found[column] = value if is_text(value) else None
    return found


def check_ids(ids: Sequence[str]) -> None:
    """Raise `InvalidInputError` where the id of a memory is not text."""
    for memory_id in ids:
        if not is_text(memory_id):
            raise InvalidInputError(f"The id of a memory is valid text, got {memory_id!r}")


def unit_vectors(vectors: Sequence[Vector], dimension: int) -> npt.NDArray[np.float32]:
    """Scale vectors to length 1; one of length 0 stays as it is, near to nothing.

    Args:
        vectors: n vectors.
        dimension: The length that each must have.

    Returns:
        Shape (n, dimension).

    Raises:
        DimensionMismatchError: One has another length.
        InvalidInputError: One has something else than finite numbers.
    """
    for vector in vectors:
        if len(vector) != dimension:
            raise DimensionMismatchError(
                f"A vector has {len(vector)} dimensions, the store has {dimension}; use the "
                "embedder that the memories were stored with"
            )
    try:
        matrix = np.asarray(vectors, dtype=np.float64).reshape(len(vectors), dimension)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"A vector must be a list of numbers: {error}") from error
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise InvalidInputError("A vector has a NaN, an infinity or a number that is too large")
    lengths[lengths == 0] = 1
    units: npt.NDArray[np.float32] = (matrix / lengths).astype(np.float32)
    return units
