"""The SQL of one collection, and the matrix that a search multiplies."""

from __future__ import annotations

import copy
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mem0_integrations.errors import CorruptFileError
from mem0_integrations.recall.fusion import PLACE, Query, Scores, fused
from mem0_integrations.sqlite import Database, words_error
from mem0_integrations.table import full_text
from mem0_integrations.table.matrices import Matrix, MatrixCache, Stamp, indices
from mem0_integrations.table.rows import Encoded, Payload, Record, encoded, read_place
from mem0_integrations.table.schema import COLUMNS, PLACE_COLUMNS, THREAD_COLUMNS, TIMES
from mem0_integrations.table.selection import Selection
from mem0_integrations.table.traces import Traces
from mem0_integrations.values import PATH_FIELDS

__all__ = ["Table"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_Units: TypeAlias = npt.NDArray[np.float32]

_FIELDS: Final = (*COLUMNS, *PLACE_COLUMNS, "payload")
_INSERT: Final = (
    f"INSERT INTO memories (seq, collection, id, {', '.join(_FIELDS)}, vector) "
    f"VALUES (?, ?, ?, {', '.join('?' for _ in _FIELDS)}, ?) "
    f"ON CONFLICT (collection, id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in (*_FIELDS, 'vector'))}"
)
_UPDATE_PAYLOAD: Final = (
    f"UPDATE memories SET {', '.join(f'{name} = ?' for name in _FIELDS)} "
    "WHERE collection = ? AND id = ?"
)
_UPDATE_VECTOR: Final = (
    "UPDATE memories SET vector = coalesce(?, vector) WHERE collection = ? AND id = ?"
)
# SQLite takes a limited number of values in a statement.
_BATCH: Final = 500
# Rows that are listed while others wait.
_PAGE: Final = 1_000
_MOSTLY: Final = 2
_PAUSE: Final = 0.001
# Python writes NaN, too, which SQLite does not take for JSON.
_EQUAL: Final = "CASE WHEN json_valid(payload) THEN json_extract(payload, ?) = ? ELSE 1 END"
_DELETE: Final = "DELETE FROM memories WHERE collection = ? AND id = ?"


def _healing(change: Callable[Concatenate[Table, P], T]) -> Callable[Concatenate[Table, P], T]:
    """Let a change that a damaged index of the words refuses make that again: it can be."""

    @wraps(change)
    def healed(table: Table, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return change(table, *args, **options)
        except CorruptFileError:
            if not table.heal():
                raise
            return change(table, *args, **options)

    return healed


class Table:
    """One collection of a file, whose collections share a cache. Its input has been checked."""

    def __init__(
        self, database: Database, dimension: int, matrices: MatrixCache, name: str
    ) -> None:
        self._database = database
        self._dimension = dimension
        self._matrices = matrices
        self._traces = Traces(database)
        self._name = name

    def sibling(self, name: str) -> Table:
        """Return another collection of the same file."""
        other = copy.copy(self)
        other._name = name
        return other

    @_healing
    def add(self, ids: Sequence[str], rows: Sequence[Encoded], units: _Units) -> None:
        """Insert payloads and unit vectors, shape (n, dimension), in one transaction.

        One with a known id is replaced.
        """
        with self._database.turn, self._database.read() as connection:
            with self._database.write():
                before = _stamp(connection)
                (last,) = connection.execute("SELECT max(seq) FROM memories").fetchone()
                seqs = (last or 0) + 1 + np.arange(len(ids), dtype=np.int64)
                blobs = (unit.tobytes() for unit in units)
                connection.executemany(
                    _INSERT,
                    (
                        (seq, self._name, memory_id, *row.values, blob)
                        for seq, memory_id, row, blob in zip(
                            seqs.tolist(), ids, rows, blobs, strict=True
                        )
                    ),
                )
                (added,) = connection.execute(
                    "SELECT count(*) FROM memories WHERE seq > ?", (last or 0,)
                ).fetchone()
                change = before, _stamp(connection)
            # A replaced row kept its number, so it is not among the added.
            if added == len(ids):
                places = np.array([row.place for row in rows], PLACE)
                added_rows = Matrix(seqs, units, places)
                self._matrices.extend(self._name, [row.ids for row in rows], added_rows, change)
            else:
                seqs = self._seqs(connection, ids)
                self._matrices.drop(self._name, seqs, {row.ids for row in rows}, change)

    def nearest(self, selection: Selection, unit: _Units, limit: int) -> list[Record]:
        """Return the selected memories nearest to a unit vector, with their scores."""
        with self._database.snapshot() as connection:
            matrix = self._matrix(connection, selection)
            scores = _similarities(matrix, unit)
            return self._best(connection, selection, matrix, scores, limit)

    def ranked(
        self, selection: Selection, near: _Units | Mapping[str, float], limit: int, query: Query
    ) -> list[Record]:
        """Return the selected memories that answer a question best, with what found them.

        `near` is the question's unit vector, or how near memories are to it, by their ids.
        """
        with self._database.snapshot() as connection:
            matrix = self._matrix(connection, selection)
            if isinstance(near, Mapping):
                similarities = self._known_similarities(connection, matrix, near)
            else:
                similarities = _similarities(matrix, near)
            (last,) = connection.execute("SELECT max(seq) FROM memories").fetchone()
            # Where nearly all rows are the owner's, to look for the owner only costs time.
            mostly_own = _MOSTLY * len(matrix.seqs) >= (last or 0)
            owner = frozenset() if mostly_own else selection.ids
            try:
                found = full_text.rows_with(connection, query.words, owner)
            except sqlite3.DatabaseError as error:
                raise words_error(error, self._database.path) from error
            signals = query.signals(
                similarities,
                [indices(matrix.seqs, rows) for rows in found],
                matrix.places,
                matrix.neighbours,
            )
            scores = fused(signals, query.ranking.weights)
            return self._best(connection, selection, matrix, scores, limit, signals=signals)

    def _known_similarities(
        self, connection: sqlite3.Connection, matrix: Matrix, near: Mapping[str, float]
    ) -> Scores:
        similarities = np.zeros(len(matrix.seqs))
        for seq, memory_id in self._rows(connection, "seq, id", list(near)):
            similarities[indices(matrix.seqs, np.array([seq]))] = near[memory_id]
        return similarities

    def _best(
        self,
        connection: sqlite3.Connection,
        selection: Selection,
        matrix: Matrix,
        scores: Scores,
        limit: int,
        *,
        signals: Mapping[str, Scores] = MappingProxyType({}),
    ) -> list[Record]:
        # Several may have all of the words, and so the full score.
        nearness = signals.get("vector", scores)
        order = np.lexsort((-nearness, -scores))
        found: list[Record] = []
        # Payloads are read from the best on, until there are enough.
        for start in range(0, len(order) if limit > 0 else 0, size := min(max(limit, 1), _BATCH)):
            rows = order[start : start + size]
            seqs: list[int] = matrix.seqs[rows].tolist()
            marks = ", ".join("?" * len(seqs))
            statement = f"SELECT seq, id, payload FROM memories WHERE seq IN ({marks})"
            payloads = {seq: row for seq, *row in connection.execute(statement, seqs)}
            strengths = {name: values[rows].tolist() for name, values in signals.items()}
            for place, (seq, score) in enumerate(zip(seqs, scores[rows].tolist(), strict=True)):
                each = {name: values[place] for name, values in strengths.items()}
                memory_id, payload = payloads[seq]
                record = Record(memory_id, json.loads(payload), score, each)
                if selection.matches is None or selection.matches(record.payload):
                    found.append(record)
            if len(found) >= limit:
                return found[:limit]
        return found

    def find(self, memory_id: str) -> Record | None:
        """Return one memory, or None."""
        return next(iter(self.find_many([memory_id])), None)

    def find_many(self, ids: Sequence[str]) -> list[Record]:
        """Return the memories with these ids that exist, in any order."""
        with self._database.read() as connection:
            return [Record.read(*row) for row in self._rows(connection, "id, payload", ids)]

    def newest(self, selection: Selection, limit: int | None) -> list[Record]:
        """Return the selected memories, the last added first."""
        with self._database.read() as connection:
            return list(islice(self._records(connection, selection), limit))

    def listed(
        self, selection: Selection, *, skip: int = 0, at_once: int = _PAGE
    ) -> Iterator[Record]:
        """Yield the selected memories in the order of `Selection.order`, the newest first.

        Equally new ones come by their ids, or, by `updated_at`, in the order of their addition.
        Others may use the file between two pages.

        Args:
            selection: What to select.
            skip: How many to leave out first, whether or not they match.
            at_once: How many are read at first.
        """
        where, values = selection.where(self._name)
        matching = " AND ".join("instr(payload, ?)" for _ in selection.parts)
        shown = f"CASE WHEN {matching} THEN payload END" if matching else "payload"
        age = "seq" if selection.order is None else TIMES[selection.order]
        # Where it ties.
        key = "id" if selection.order == "created_at" else "seq"
        select = f"SELECT id, {shown}, seq FROM memories {where}"
        order = f"ORDER BY {age} DESC, {key} LIMIT ?"
        given: tuple[Any, ...] = (*selection.parts, *values)
        statement, asked = f"{select} {order} OFFSET ?", given
        at_once = max(1, min(at_once, _PAGE))
        while True:
            with self._database.read() as connection:
                rows = connection.execute(statement, (*asked, at_once, skip)).fetchall()
                if len(rows) == at_once:
                    last = f"SELECT {age}, {key} FROM memories WHERE seq = ?"
                    ((moment, place),) = connection.execute(last, rows[-1][-1:])
            hits = [row for row in rows if row[1] is not None]
            # All at once, which is quicker.
            payloads = json.loads(f"[{','.join(payload for _, payload, *_ in hits)}]")
            for (memory_id, *_), payload in zip(hits, payloads, strict=True):
                if selection.matches is None or selection.matches(payload):
                    yield Record(memory_id, payload)
            if len(rows) < at_once:
                return
            # In two parts, each of which an index finds at once: where it ties, and what is older.
            at_once, skip = min(2 * at_once, _PAGE), 0
            statement = (
                f"SELECT * FROM ({select} AND {age} = ? AND {key} > ? ORDER BY {key} LIMIT ?) "
                f"UNION ALL SELECT * FROM ({select} AND {age} < ? {order}) LIMIT ? OFFSET ?"
            )
            asked = (*given, moment, place, at_once, *given, moment, at_once)

    def paths(self, levels: Mapping[str, str]) -> list[tuple[str | None, ...]]:
        """Return the different paths of documents, as the columns have them.

        Args:
            levels: Those of the prefix, from the topmost column on.
        """
        conditions = " AND ".join(f"{column} = ?" for column in ("collection", *levels))
        with self._database.read() as connection:
            return connection.execute(
                f"SELECT DISTINCT {', '.join(PATH_FIELDS)} FROM memories "
                f"INDEXED BY memories_paths WHERE {conditions}",
                (self._name, *levels.values()),
            ).fetchall()

    def count(self, selection: Selection) -> int:
        """Return how many memories are selected."""
        if selection.matches and selection.texts is None:
            return sum(1 for _ in self.listed(selection))
        where, values = selection.where(self._name)
        for part, (field, text) in zip(
            selection.parts, (selection.texts or {}).items(), strict=True
        ):
            where += f" AND instr(payload, ?) AND {_EQUAL}"
            values = [*values, part, f"$.{field}", text]
        with self._database.read() as connection:
            counted = connection.execute(f"SELECT count(*) FROM memories {where}", values)
            return int(counted.fetchone()[0])

    def names(self) -> list[str]:
        """Return the names of the collections of the file that have a memory."""
        with self._database.read() as connection:
            names = connection.execute("SELECT DISTINCT collection FROM memories ORDER BY 1")
            return [name for (name,) in names]

    @_healing
    def replace(self, memory_id: str, unit: _Units | None, payload: Encoded | None) -> bool:
        """Replace the vector or the payload of a memory, or both; False if there is none."""
        key = self._name, memory_id
        with self._rewriting([memory_id], [payload] if payload else []) as connection:
            blob = None if unit is None else unit.tobytes()
            known = connection.execute(_UPDATE_VECTOR, (blob, *key)).rowcount > 0
            if payload is not None:
                connection.execute(_UPDATE_PAYLOAD, (*payload.values, *key))
            return known

    @_healing
    def merge(self, changes: Mapping[str, Payload]) -> None:
        """Set fields of the payloads of memories, as far as they exist, in one transaction."""
        rows: list[Encoded] = []
        with self._rewriting(list(changes), rows) as connection:
            for record in self.find_many(list(changes)):
                row = encoded({**record.payload, **changes[record.id]})
                rows.append(row)
                connection.execute(_UPDATE_PAYLOAD, (*row.values, self._name, record.id))

    @_healing
    def delete(self, ids: Sequence[str]) -> None:
        """Delete memories, as far as they exist, in one transaction."""
        with self._rewriting(ids, ()) as connection:
            connection.executemany(_DELETE, ((self._name, memory_id) for memory_id in ids))

    @_healing
    def delete_selected(self, selection: Selection) -> int:
        """Delete the selected memories; return how many."""
        deleted = 0
        selected = self.listed(selection)
        # Not all at once: meanwhile others wait.
        while doomed := [record.id for record in islice(selected, _BATCH)]:
            self.delete(doomed)
            deleted += len(doomed)
        return deleted

    def reindex(self) -> int:
        """Make the index of the words again and return the number of its memories."""
        try:
            with self._database.write() as connection:
                full_text.reindex(connection)
        except CorruptFileError:
            with self._database.write() as connection:
                full_text.replace(connection)
            self._database.compact()
        return self.count(Selection(frozenset(), None))

    def heal(self) -> bool:
        """Make the index of the words again if it is damaged; return whether it was."""
        with self._database.read() as connection:
            if not full_text.is_damaged(connection):
                return False
        self.reindex()
        logger.error(
            "The index of the words in %s was damaged. It has been made again; check the disk.",
            self._database.path,
        )
        return True

    @_healing
    def compact(self) -> None:
        """Leave no byte of what was deleted in the file; others go on meanwhile.

        Raises:
            BackendTimeoutError: Another process reads the file, and so keeps what was deleted.
        """
        with self._traces.taken() as traces:
            self._database.compact(traces, meanwhile=self._merge_words)
        with self._rewriting((), ()) as connection:
            self._traces.settle(connection)

    def _merge_words(self) -> None:
        first = more = True
        while more:
            with self._rewriting((), ()) as connection:
                more, first = full_text.merge(connection, first=first), False
            # A lock that is taken again at once is not given to who waits for it.
            time.sleep(_PAUSE)

    def _rows(
        self, connection: sqlite3.Connection, columns: str, ids: Sequence[str]
    ) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            yield from connection.execute(
                f"SELECT {columns} FROM memories "
                f"WHERE collection = ? AND id IN ({', '.join('?' * len(batch))})",
                (self._name, *batch),
            )

    def _seqs(self, connection: sqlite3.Connection, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        found = sorted(seq for (seq,) in self._rows(connection, "seq", ids))
        return np.array(found, dtype=np.int64)

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
        rows = connection.execute(
            f"SELECT seq, vector, {', '.join((*PLACE_COLUMNS, *THREAD_COLUMNS))} "
            f"FROM memories {where}",
            values,
        ).fetchall()
        # In the order that rows are appended in, so that ties always rank alike.
        rows.sort(key=itemgetter(0))
        vectors = np.frombuffer(b"".join(vector for _, vector, *_ in rows), dtype=np.float32)
        matrix = Matrix(
            np.array([seq for seq, *_ in rows], dtype=np.int64),
            vectors.reshape(len(rows), self._dimension),
            np.array([read_place(*place) for _, _, *place in rows], PLACE),
        )
        self._matrices.put(self._name, selection.ids, matrix)
        return matrix

    @contextmanager
    def _rewriting(
        self, ids: Sequence[str], rows: Iterable[Encoded]
    ) -> Iterator[sqlite3.Connection]:
        """Run a transaction that changes or deletes rows.

        Args:
            ids: Those of the rows.
            rows: What the rows hold afterwards, as far as they are there.
        """
        with self._database.turn, self._database.read() as connection:
            with self._database.write():
                before = _stamp(connection)
                seqs = self._seqs(connection, ids)
                with self._traces.noted(connection, self._name, ids):
                    yield connection
                change = before, _stamp(connection)
            self._matrices.drop(self._name, seqs, {row.ids for row in rows}, change)


def _similarities(matrix: Matrix, unit: _Units) -> Scores:
    # Not `@`: BLAS would wake threads that keep spinning beside the embedder's own.
    scores: Scores = np.clip(np.einsum("md,d->m", matrix.vectors, unit), 0, 1).astype(np.float64)
    return scores


def _stamp(connection: sqlite3.Connection) -> Stamp:
    (data_version,) = connection.execute("PRAGMA data_version").fetchone()
    return data_version, connection.total_changes
