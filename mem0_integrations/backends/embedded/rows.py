"""A memory as a row of the file: checked and encoded before anything is written, and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mem0_integrations.backends.dialect import is_text
from mem0_integrations.backends.embedded.schema import COLUMNS, ID_COLUMNS
from mem0_integrations.errors import DimensionMismatchError, InvalidInputError

__all__ = [
    "Columns",
    "Payload",
    "Record",
    "Vector",
    "check_ids",
    "columns",
    "to_json",
    "unit_vectors",
]

Payload: TypeAlias = Mapping[str, object]
Columns: TypeAlias = Mapping[str, str | None]
Vector: TypeAlias = Sequence[float] | npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Record:
    """One memory as Mem0 reads it from a vector store.

    Args:
        id: The memory's id.
        payload: Its text and metadata; a copy.
        score: Cosine similarity to the query in [0, 1]; None when not searched for.
    """

    id: str
    payload: dict[str, object]
    score: float | None = None

    @classmethod
    def read(cls, memory_id: str, payload: str, score: float | None = None) -> Record:
        """Decode a row of the file."""
        return cls(memory_id, json.loads(payload), score)


def columns(payload: Payload) -> Columns:
    """Return what a payload puts into the indexed columns.

    Raises:
        InvalidInputError: An id is not text.
    """
    found: dict[str, str | None] = {}
    for column in COLUMNS:
        value = payload.get(column)
        if column in ID_COLUMNS and value is not None and not is_text(value):
            raise InvalidInputError(f"payload.{column}: an id is valid text, got {value!r}")
        found[column] = value if is_text(value) else None
    return found


def check_ids(ids: Sequence[str]) -> None:
    """Check the ids of memories.

    Raises:
        InvalidInputError: One is not text.
    """
    for memory_id in ids:
        if not is_text(memory_id):
            raise InvalidInputError(f"The id of a memory is valid text, got {memory_id!r}")


def to_json(payload: Payload) -> str:
    """Encode a payload.

    Raises:
        InvalidInputError: It holds something else than JSON values.
    """
    try:
        return json.dumps(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"A payload must be a JSON object: {error}") from error


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
