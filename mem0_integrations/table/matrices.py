"""A bounded cache of the vectors of the scopes that were searched last."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mem0_integrations.recall.fusion import PLACE, Neighbours, Places, neighbours_of
from mem0_integrations.table.rows import Ids

__all__ = ["Matrix", "MatrixCache", "Stamp", "indices"]

Stamp: TypeAlias = tuple[int, int]
"""SQLite's `data_version` (other processes' changes) and `total_changes` (our own)."""
_Key: TypeAlias = tuple[str, Ids]
_Row = TypeVar("_Row", np.int64, np.float32, np.void)

_MAX_BYTES: Final = 64 * 2**20
# An insert looks at every matrix, so there must not be many.
_MAX_MATRICES: Final = 64


class Matrix:
    """The vectors of one scope, in rows that grow in place.

    Args:
        seqs: The memories' row numbers in the file, shape (n,).
        vectors: Their unit vectors, shape (n, dimension).
        places: Where they stand, shape (n,), of type `PLACE`; None where that does not matter.
    """

    def __init__(
        self,
        seqs: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float32],
        places: Places | None = None,
    ) -> None:
        self._length = len(seqs)
        self._seqs = seqs
        self._vectors = vectors
        self._places = np.zeros(len(seqs), PLACE) if places is None else places
        self._neighbours: Neighbours | None = None

    @property
    def seqs(self) -> npt.NDArray[np.int64]:
        """The row numbers, shape (n,)."""
        return self._seqs[: self._length]

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The unit vectors, shape (n, dimension)."""
        return self._vectors[: self._length]

    @property
    def places(self) -> Places:
        """Where they stand, shape (n,)."""
        return self._places[: self._length]

    @property
    def neighbours(self) -> Neighbours:
        """Which rows are neighbours."""
        if self._neighbours is None:
            self._neighbours = neighbours_of(self.places)
        return self._neighbours

    @property
    def nbytes(self) -> int:
        """Memory taken, in bytes."""
        return self._seqs.nbytes + self._vectors.nbytes + self._places.nbytes

    def append(
        self,
        seqs: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float32],
        places: Places | None = None,
    ) -> None:
        """Add rows at the end; the shapes are those of the class."""
        self._neighbours = None
        length = self._length + len(seqs)
        if length > len(self._seqs):
            # In proportion, so that adding one by one stays linear.
            capacity = length + length // 4 + 8
            self._seqs = _grown(self.seqs, capacity)
            self._vectors = _grown(self.vectors, capacity)
            self._places = _grown(self.places, capacity)
        self._seqs[self._length : length] = seqs
        self._vectors[self._length : length] = vectors
        self._places[self._length : length] = np.zeros(1, PLACE) if places is None else places
        self._length = length


def indices(seqs: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where in rising row numbers some of them are; those that are not are left out."""
    if not len(seqs):
        return seqs
    places = np.minimum(np.searchsorted(seqs, rows), len(seqs) - 1)
    known: npt.NDArray[np.int64] = places[seqs[places] == rows]
    return known


def _grown(rows: npt.NDArray[_Row], capacity: int) -> npt.NDArray[_Row]:
    grown = np.empty((capacity, *rows.shape[1:]), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown


class MatrixCache:
    """The matrices of the scopes that were searched last; the caller holds the lock.

    A matrix is exact or absent. Every change of the file moves its stamp; a change that was not
    reported here, by another process or cut short by an exception, leaves the stamps unequal,
    and then everything is forgotten.

    Args:
        max_bytes: Maximum memory of all matrices together, in bytes; a single one may take more.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._matrices: OrderedDict[_Key, Matrix] = OrderedDict()
        self._stamp: Stamp | None = None

    def get(self, collection: str, ids: Ids, stamp: Stamp) -> Matrix | None:
        """Return the matrix of a scope, if it is known and current by the file's stamp now."""
        if stamp != self._stamp:
            self._matrices.clear()
            self._stamp = stamp
        matrix = self._matrices.get((collection, ids))
        if matrix is not None:
            self._matrices.move_to_end((collection, ids))
        return matrix

    def put(self, collection: str, ids: Ids, matrix: Matrix) -> None:
        """Keep the matrix of a scope, just after `get` did not find it."""
        self._matrices[collection, ids] = matrix
        self._evict()

    def extend(
        self, collection: str, owners: Iterable[Ids], added: Matrix, change: tuple[Stamp, Stamp]
    ) -> None:
        """Report a change that only added memories, with the columns and the rows of each."""
        rows_of: defaultdict[Ids, list[int]] = defaultdict(list)
        for row, owner in enumerate(owners):
            rows_of[owner].append(row)
        for (name, ids), matrix in self._matrices.items():
            rows = sorted(row for owner, own in rows_of.items() if ids <= owner for row in own)
            if name == collection and rows:
                matrix.append(added.seqs[rows], added.vectors[rows], added.places[rows])
        self._evict()
        self._advance(*change)

    def drop(
        self,
        collection: str,
        seqs: npt.NDArray[np.int64],
        owners: Collection[Ids],
        change: tuple[Stamp, Stamp],
    ) -> None:
        """Report any other change of a collection, with the file's stamps before and after.

        Args:
            collection: Which.
            seqs: Rows that were changed or deleted, by their numbers, rising.
            owners: The columns of rows that were changed or added.
            change: The file's stamps before and after.
        """
        for key, matrix in list(self._matrices.items()):
            name, ids = key
            if name == collection and (
                len(indices(matrix.seqs, seqs)) or any(ids <= owner for owner in owners)
            ):
                del self._matrices[key]
        self._advance(*change)

    def _advance(self, before: Stamp, after: Stamp) -> None:
        # Last of all, so that an interrupted report leaves the stamps unequal.
        if self._stamp == before:
            self._stamp = after

    def _evict(self) -> None:
        total = sum(matrix.nbytes for matrix in self._matrices.values())
        # The last one stays, however large: else each search would read it again.
        while len(self._matrices) > 1 and (
            total > self._max_bytes or len(self._matrices) > _MAX_MATRICES
        ):
            _, matrix = self._matrices.popitem(last=False)
            total -= matrix.nbytes
