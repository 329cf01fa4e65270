"""What was deleted from a file, to be looked for where SQLite may leave copies of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from mem0_integrations.sqlite import Database
from mem0_integrations.table.schema import COLUMNS

__all__ = ["Traces"]

_Rows: TypeAlias = dict[str, tuple[Any, ...]]

_NOTE: Final = "uncompacted"
# SQLite takes a limited number of values in a statement.
_MAX_ROWS: Final = 900
_MAX_TRACES: Final = 10_000
# Of a text or a vector: enough to tell it from others.
_TEXT: Final = 64
_VECTOR: Final = 16
_LEAST: Final = 9


class Traces:
    """Bytes that are in no row any more, for all collections of a file.

    Where they are not all known, because they were too many or another process deleted them, a
    note in the file says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as connection:
            found = connection.execute("SELECT 1 FROM meta WHERE key = ?", (_NOTE,)).fetchone()
        self._traces: set[bytes] | None = set() if found is None else None
        self._noted = found is not None

    @contextmanager
    def noted(
        self, connection: sqlite3.Connection, collection: str, ids: Sequence[str]
    ) -> Iterator[None]:
        """Note what is in no row any more after the block, which changes or deletes some.

        Args:
            connection: In a transaction.
            collection: Of the rows.
            ids: Their ids.
        """
        few = len(ids) <= _MAX_ROWS and self._traces is not None
        before = _rows(connection, collection, ids) if few else {}
        yield
        if not ids:
            return
        gone = _gone(connection, collection, before) if few else set()
        if self._traces is not None:
            self._traces |= gone
            if not few or len(self._traces) > _MAX_TRACES:
                self._traces = None
        if (gone or not few) and not self._noted:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, 1)", (_NOTE,))
            self._noted = True

    @contextmanager
    def taken(self) -> Iterator[set[bytes] | None]:
        """Yield the traces, None where they are not all known; they are kept if the block fails."""
        with self._database.turn:
            traces, self._traces = self._traces, set()
        try:
            yield traces
        except BaseException:
            with self._database.turn:
                known = traces is not None and self._traces is not None
                self._traces = {*(traces or ()), *(self._traces or ())} if known else None
            raise

    def settle(self, connection: sqlite3.Connection) -> None:
        """Take the note away, in a transaction after the block, if nothing was noted meanwhile."""
        if self._noted and self._traces == set():
            connection.execute("DELETE FROM meta WHERE key = ?", (_NOTE,))
            self._noted = False


def _rows(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> _Rows:
    rows = connection.execute(
        f"SELECT id, payload, substr(vector, 1, {_VECTOR}), {', '.join(COLUMNS)} FROM memories "
        f"WHERE collection = ? AND id IN ({', '.join('?' * len(ids))})",
        (collection, *ids),
    )
    return {memory_id: values for memory_id, *values in rows}


def _gone(connection: sqlite3.Connection, collection: str, before: _Rows) -> set[bytes]:
    after = _rows(connection, collection, list(before))
    gone: set[str] = set()
    vectors: set[bytes] = set()
    values: set[tuple[str, str]] = set()
    for memory_id, (payload, vector, *columns) in before.items():
        _, left, *kept = after.get(memory_id, (None, None, *columns))
        if memory_id not in after:
            gone.add(f"{collection}{memory_id}")
        if left != vector and len(vector) == _VECTOR:
            vectors.add(vector)
        text = _text(payload)
        if memory_id not in after or _text(after[memory_id][0]) != text:
            gone.add(text)
        pairs = zip(COLUMNS, columns, kept, strict=True)
        values |= {
            (column, value)
            for column, value, now in pairs
            if value is not None and (memory_id not in after or now != value)
        }
    for column, value in values:
        # As it stands in the index of the column, which others may still be in.
        statement = f"SELECT 1 FROM memories WHERE collection = ? AND {column} = ? LIMIT 1"
        if connection.execute(statement, (collection, value)).fetchone() is None:
            gone.add(f"{collection}{value}")
    return vectors | {trace.encode() for trace in gone if len(trace) >= _LEAST}


def _text(payload: str) -> str:
    return json.dumps(json.loads(payload).get("data"))[1:-1][:_TEXT]
