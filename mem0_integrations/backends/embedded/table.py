"""The SQL of one collection, and the matrix that a search multiplies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from mem0_integrations.backends.embedded.matrices import Matrix, MatrixCache, Stamp
from mem0_integrations.backends.embedded.rows import (
    Columns,
    Payload,
    Record,
    columns,
    to_json,
)
from mem0_integrations.backends.embedded.schema import COLUMNS
from mem0_integrations.backends.embedded.selection import Selection
from mem0_integrations.sqlite import Database

__all__ = ["Table"]

_Units: TypeAlias = npt.NDArray[np.float32]

_INSERT: Final = (
    f"INSERT INTO memories (seq, collection, id, {', '.join(COLUMNS)}, payload, vector) "
    f"VALUES (?, ?, ?, {', '.join('?' for _ in COLUMNS)}, ?, ?) "
    f"ON CONFLICT (collection, id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in (*COLUMNS, 'payload', 'vector'))}"
)
_UPDATE_PAYLOAD: Final = (
    f"UPDATE memories SET {', '.join(f'{name} = ?' for name in (*COLUMNS, 'payload'))} "
    "WHERE collection = ? AND id = ?"
)
_UPDATE_VECTOR: Final = (
    "UPDATE memories SET vector = coalesce(?, vector) WHERE collection = ? AND id = ?"
)
# SQLite takes a limited number of values in a statement.
_BATCH: Final = 500
_DELETE: Final = "DELETE FROM memories WHERE collection = ? AND id = ?"


class Table:
    """One collection of a file. Its input has been checked.

    Args:
        database: The file.
        dimension: Length of its vectors.
        matrices: The cache of the file, shared by its collections.
        name: The collection.
    """

    def __init__(
        self, database: Database, dimension: int, matrices: MatrixCache, name: str
    ) -> None:
        self._database = database
        self._dimension = dimension
        self._matrices = matrices
        self._name = name

    def sibling(self, name: str) -> Table:
        """Return another collection of the same file."""
        return Table(self._database, self._dimension, self._matrices, name)

    def add(
        self, ids: Sequence[str], columns: Sequence[Columns], texts: Sequence[str], units: _Units
    ) -> None:
        """Insert rows in one transaction; one with a known id is replaced.

        Args:
            ids: The memories' ids.
            columns: Their indexed columns.
            texts: Their payloads as JSON.
            units: Their unit vectors, shape (n, dimension).
        """
        with self._database.read() as connection:
            with self._database.write():
                before = _stamp(connection)
                (last,) = connection.execute("SELECT max(seq) FROM memories").fetchone()
                seqs = (last or 0) + 1 + np.arange(len(ids), dtype=np.int64)
                blobs = (unit.tobytes() for unit in units)
                rows = zip(seqs.tolist(), ids, columns, texts, blobs, strict=True)
                connection.executemany(
                    _INSERT, ((seq, self._name, i, *c.values(), t, b) for seq, i, c, t, b in rows)
                )
                (added,) = connection.execute(
                    "SELECT count(*) FROM memories WHERE seq > ?", (last or 0,)
                ).fetchone()
                change = before, _stamp(connection)
            # A replaced row kept its number, so it is not among the added.
            if added == len(ids):
                owners = [frozenset((k, v) for k, v in c.items() if v is not None) for c in columns]
                self._matrices.extend(self._name, owners, Matrix(seqs, units), change)
            else:
                self._matrices.drop(self._name, change)

    def nearest(self, selection: Selection, unit: _Units, limit: int) -> list[Record]:
        """Return the selected memories nearest to a unit vector, with their scores."""
        with self._database.read() as connection:
            matrix = self._matrix(connection, selection)
            # Not `@`: BLAS would wake threads that keep spinning beside the embedder's own.
            scores = np.clip(np.einsum("md,d->m", matrix.vectors, unit), 0, 1)
            found: list[Record] = []
            # Payloads are read one by one, from the nearest on, until there are enough.
            for row in np.argsort(-scores, kind="stable"):
                if len(found) >= limit:
                    break
                memory_id, payload = connection.execute(
                    "SELECT id, payload FROM memories WHERE seq = ?", (int(matrix.seqs[row]),)
                ).fetchone()
                record = Record.read(memory_id, payload, float(scores[row]))
                if selection.matches is None or selection.matches(record.payload):
                    found.append(record)
            return found

    def find(self, memory_id: str) -> Record | None:
        """Return one memory, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT id, payload FROM memories WHERE collection = ? AND id = ?",
                (self._name, memory_id),
            ).fetchone()
        return Record.read(*row) if row else None

    def find_many(self, ids: Sequence[str]) -> list[Record]:
        """Return those of the memories that are there, in any order."""
        found: list[Record] = []
        with self._database.read() as connection:
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                marks = ", ".join("?" * len(batch))
                rows = connection.execute(
                    f"SELECT id, payload FROM memories WHERE collection = ? AND id IN ({marks})",
                    (self._name, *batch),
                )
                found += [Record.read(*row) for row in rows]
        return found

    def newest(self, selection: Selection, limit: int | None) -> list[Record]:
        """Return the selected memories, the last added first."""
        with self._database.read() as connection:
            return list(islice(self._records(connection, selection), limit))

    def count(self, selection: Selection) -> int:
        """Return how many memories are selected."""
        with self._database.read() as connection:
            if selection.matches:
                return sum(1 for _ in self._records(connection, selection))
            where, values = selection.where(self._name)
            counted = connection.execute(f"SELECT count(*) FROM memories {where}", values)
            return int(counted.fetchone()[0])

    def names(self) -> list[str]:
        """Return the names of the collections of the file that have a memory."""
        with self._database.read() as connection:
            names = connection.execute("SELECT DISTINCT collection FROM memories ORDER BY 1")
            return [name for (name,) in names]

    def replace(
        self, memory_id: str, unit: _Units | None, payload: tuple[Columns, str] | None
    ) -> bool:
        """Replace the vector or the payload of a memory, or both; False if there is none."""
        key = self._name, memory_id
        with self._rewriting() as connection:
            blob = None if unit is None else unit.tobytes()
            known = connection.execute(_UPDATE_VECTOR, (blob, *key)).rowcount > 0
            if payload is not None:
                columns, text = payload
                connection.execute(_UPDATE_PAYLOAD, (*columns.values(), text, *key))
            return known

    def merge(self, changes: Mapping[str, Payload]) -> None:
        """Set fields of the payloads of memories in one transaction, where they are there."""
        with self._rewriting() as connection:
            for memory_id, fields in changes.items():
                record = self.find(memory_id)
                if record is not None:
                    payload = {**record.payload, **fields}
                    row = *columns(payload).values(), to_json(payload)
                    connection.execute(_UPDATE_PAYLOAD, (*row, self._name, memory_id))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete memories in one transaction, where they are there."""
        with self._rewriting() as connection:
            connection.executemany(_DELETE, ((self._name, memory_id) for memory_id in ids))

    def delete_selected(self, selection: Selection) -> int:
        """Delete the selected memories in one transaction; return how many."""
        with self._rewriting() as connection:
            if selection.matches:
                doomed = [record.id for record in self._records(connection, selection)]
                connection.executemany(_DELETE, ((self._name, name) for name in doomed))
                return len(doomed)
            where, values = selection.where(self._name)
            return connection.execute(f"DELETE FROM memories {where}", values).rowcount

    def _records(self, connection: sqlite3.Connection, selection: Selection) -> Iterator[Record]:
        where, values = selection.where(self._name)
        rows = connection.execute(
            f"SELECT id, payload FROM memories {where} ORDER BY seq DESC", values
        )
        for row in rows:
            record = Record.read(*row)
            if selection.matches is None or selection.matches(record.payload):
                yield record

    def _matrix(self, connection: sqlite3.Connection, selection: Selection) -> Matrix:
        known = self._matrices.get(self._name, selection.ids, _stamp(connection))
        if known is not None:
            return known
        where, values = selection.where(self._name)
        # In the order that rows are appended in, so that ties always rank alike.
        rows = connection.execute(
            f"SELECT seq, vector FROM memories {where} ORDER BY seq", values
        ).fetchall()
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
        matrix = Matrix(
            np.array([seq for seq, _ in rows], dtype=np.int64),
            vectors.reshape(len(rows), self._dimension),
        )
        self._matrices.put(self._name, selection.ids, matrix)
        return matrix

    @contextmanager
    def _rewriting(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that changes or deletes rows."""
        with self._database.read() as connection:
            with self._database.write():
                before = _stamp(connection)
                yield connection
                change = before, _stamp(connection)
            self._matrices.drop(self._name, change)


def _stamp(connection: sqlite3.Connection) -> Stamp:
    (data_version,) = connection.execute("PRAGMA data_version").fetchone()
    return data_version, connection.total_changes
