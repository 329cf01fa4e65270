"""The file behind the outbox: queued writes, dead letters, and the keys that were accepted."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from mem0_integrations.errors import BackendTimeoutError, StorageError
from mem0_integrations.outbox.lanes import lane_of, scope_of
from mem0_integrations.scope import Scope
from mem0_integrations.sqlite import Database, Synchronous

__all__ = ["Accepted", "DeadLetter", "Forget", "Ledger", "OutboxCounts", "QueuedWrite", "Request"]

Status = Literal["queued", "stored", "nothing", "dead"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS writes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    body TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    error TEXT,
    accepted_at REAL NOT NULL,
    finished_at REAL,
    UNIQUE (lane, key)
);
CREATE INDEX IF NOT EXISTS queued_writes ON writes (id) WHERE status = 'queued';
CREATE INDEX IF NOT EXISTS dead_writes ON writes (id) WHERE status = 'dead';
CREATE TABLE IF NOT EXISTS forgets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    filters TEXT,
    writes INTEGER NOT NULL,
    accepted_at REAL NOT NULL,
    error TEXT,
    result TEXT
);
"""
_KEEP_KEYS_SECONDS: Final = 180 * 24 * 3600
# Whoever waited for it has read it by then, or died.
_KEEP_RESULTS_SECONDS: Final = 24 * 3600
_BATCH: Final = 500
_DELETE: Final = "DELETE FROM writes WHERE id = ?"
# From one lane to the next: there may be many rows in each.
_LANES: Final = """
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM writes
    UNION ALL
    SELECT (SELECT min(lane) FROM writes WHERE lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL"""


class Request(Protocol):
    """What an outbox keeps until it is carried out."""

    @property
    def scope(self) -> Scope:
        """Whose it is; the order is kept within a scope."""
        ...

    @property
    def key(self) -> str:
        """What the scope accepts one time."""
        ...

    def dump(self) -> str:
        """Return the rest of it as text."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The row of a write, and whether this call brought it in."""

    row: int
    status: Status
    new: bool


@dataclass(frozen=True, slots=True)
class QueuedWrite:
    """A write on its way.

    Attributes:
        row: Its place in the queue.
        scope: Whose it is.
        key: Its key.
        body: What `Request.dump` returned.
        attempts: How often it was tried.
    """

    row: int
    scope: Scope
    key: str
    body: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Forget:
    """A scope that is to be forgotten: on disk until that is done.

    Attributes:
        number: Its number.
        scope: Whose.
        filters: Which of its memories; None for everything.
        writes: How many writes and keys were erased when it was accepted.
        rows: Which of the queued ones.
    """

    number: int
    scope: Scope
    filters: Mapping[str, object] | None
    writes: int
    rows: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A write that was given up, without its content.

    Attributes:
        row: Its number, for `replay`.
        scope: Whose it is.
        attempts: How often it was tried.
        error: The last failure.
        accepted_at: When it was accepted (aware UTC).
    """

    row: int
    scope: Scope
    attempts: int
    error: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How many writes the outbox holds.

    Attributes:
        queued: On their way.
        dead: Given up, kept for a replay.
        done: Delivered; only their keys are kept.
    """

    queued: int = 0
    dead: int = 0
    done: int = 0


class Ledger:
    """The writes of one outbox in a SQLite file.

    Args:
        path: The file.
        synchronous: What a commit waits for; see `Database`.

    Raises:
        CorruptFileError: The file is not one of ours.
        StorageError: It cannot be used.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "FULL") -> None:
        self._database = Database(path, _SCHEMA, synchronous)
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM writes WHERE status IN ('stored', 'nothing') AND finished_at < ?",
                (time.time() - _KEEP_KEYS_SECONDS,),
            )
            connection.execute(
                "DELETE FROM forgets WHERE result IS NOT NULL AND accepted_at < ?",
                (time.time() - _KEEP_RESULTS_SECONDS,),
            )

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def accept(self, request: Request) -> Accepted:
        """Put a write on disk, unless its scope has accepted the key before.

        A dead letter with this key is queued again.
        """
        lane = lane_of(request.scope)
        with self._database.write() as connection:
            known = connection.execute(
                "SELECT id, status FROM writes WHERE lane = ? AND key = ?", (lane, request.key)
            ).fetchone()
            if known is not None and known[1] != "dead":
                return Accepted(known[0], known[1], new=False)
            if known is not None:
                connection.execute("DELETE FROM writes WHERE id = ?", (known[0],))
            row = connection.execute(
                "INSERT INTO writes (lane, key, status, body, accepted_at) "
                "VALUES (?, ?, 'queued', ?, ?)",
                (lane, request.key, request.dump(), time.time()),
            ).lastrowid
        assert row is not None
        return Accepted(row, "queued", new=True)

    def queued(self, after: int) -> list[tuple[int, str, float]]:
        """Return row, lane and earliest time of the queued writes behind a row, in order."""
        with self._database.read() as connection:
            return connection.execute(
                "SELECT id, lane, not_before FROM writes "
                "WHERE status = 'queued' AND id > ? ORDER BY id",
                (after,),
            ).fetchall()

    def load(self, row: int) -> QueuedWrite | None:
        """Return a queued write; None when it was erased or finished meanwhile."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT lane, key, body, attempts FROM writes WHERE id = ? AND status = 'queued'",
                (row,),
            ).fetchone()
        if found is None:
            return None
        lane, key, body, attempts = found
        return QueuedWrite(row, scope_of(lane), key, body, attempts)

    def status(self, row: int) -> tuple[Status, str | None] | None:
        """Return the status of a write and its last error; None when it was erased."""
        with self._database.read() as connection:
            found: tuple[Status, str | None] | None = connection.execute(
                "SELECT status, error FROM writes WHERE id = ?", (row,)
            ).fetchone()
        return found

    def outcome(self, scope: Scope, key: str) -> tuple[Status, str | None] | None:
        """Return what became of the write under a key, and its last error; None if there is none.

        Args:
            scope: Whose it is, exactly.
            key: Its key.
        """
        with self._database.read() as connection:
            found: tuple[Status, str | None] | None = connection.execute(
                "SELECT status, error FROM writes WHERE lane = ? AND key = ?", (lane_of(scope), key)
            ).fetchone()
        return found

    def finish(self, row: int, status: Status) -> bool:
        """Keep only the key of a write; returns False when it was erased meanwhile."""
        with self._database.write() as connection:
            return bool(
                connection.execute(
                    "UPDATE writes SET status = ?, body = NULL, error = NULL, finished_at = ? "
                    "WHERE id = ?",
                    (status, time.time(), row),
                ).rowcount
            )

    def postpone(self, row: int, not_before: float, error: str) -> None:
        """Note a failed attempt that is repeated later."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE writes SET attempts = attempts + 1, not_before = ?, error = ? "
                "WHERE id = ? AND status = 'queued'",
                (not_before, error, row),
            )

    def bury(self, row: int, error: str) -> None:
        """Make a write a dead letter; its content is kept."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE writes SET status = 'dead', attempts = attempts + 1, error = ?, "
                "finished_at = ? WHERE id = ? AND status = 'queued'",
                (error, time.time(), row),
            )

    def known(self, scope: Scope, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that the scope has accepted."""
        found: set[str] = set()
        with self._database.read() as connection:
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                marks = ", ".join("?" * len(batch))
                found |= {
                    key
                    for (key,) in connection.execute(
                        f"SELECT key FROM writes WHERE lane = ? AND key IN ({marks})",
                        (lane_of(scope), *batch),
                    )
                }
        return found

    def record(self, scope: Scope, statuses: Mapping[str, Status]) -> None:
        """Note keys of writes that were delivered without being queued."""
        now = time.time()
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO writes (lane, key, status, accepted_at, finished_at) "
                "VALUES (?, ?, ?, ?, ?)",
                [(lane_of(scope), key, status, now, now) for key, status in statuses.items()],
            )

    def counts(self) -> OutboxCounts:
        """Count the writes by status."""
        with self._database.read() as connection:
            found = dict(
                connection.execute("SELECT status, COUNT(*) FROM writes GROUP BY status").fetchall()
            )
        return OutboxCounts(
            queued=found.get("queued", 0),
            dead=found.get("dead", 0),
            done=found.get("stored", 0) + found.get("nothing", 0),
        )

    def dead_letters(self) -> list[DeadLetter]:
        """Return the writes that were given up, oldest first."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT id, lane, attempts, error, accepted_at FROM writes "
                "WHERE status = 'dead' ORDER BY id"
            ).fetchall()
        return [
            DeadLetter(row, scope_of(lane), attempts, error, datetime.fromtimestamp(at, UTC))
            for row, lane, attempts, error, at in found
        ]

    def replay(self) -> int:
        """Queue all dead letters again, in order and behind what is queued; returns how many."""
        with self._database.write() as connection:
            dead = connection.execute(
                "SELECT id, lane, key, body, accepted_at FROM writes "
                "WHERE status = 'dead' ORDER BY id"
            ).fetchall()
            for row, *write in dead:
                # A new row: the process that delivers looks for rows behind the last it saw.
                connection.execute("DELETE FROM writes WHERE id = ?", (row,))
                connection.execute(
                    "INSERT INTO writes (lane, key, status, body, accepted_at) "
                    "VALUES (?, ?, 'queued', ?, ?)",
                    write,
                )
        return len(dead)

    def queued_count(self) -> int:
        """Count the writes that are on their way."""
        with self._database.read() as connection:
            (count,) = connection.execute(
                "SELECT COUNT(*) FROM writes WHERE status = 'queued'"
            ).fetchone()
        return int(count)

    def keep(self, row: int, attempts: int, body: str) -> bool:
        """Replace the content of a write, unless it was tried again or erased since."""
        with self._database.write() as connection:
            changed = connection.execute(
                "UPDATE writes SET body = ? WHERE id = ? AND attempts = ? AND status = 'queued'",
                (body, row, attempts),
            ).rowcount
        return bool(changed)

    def accept_forget(
        self,
        scope: Scope,
        filters: Mapping[str, object] | None,
        matches: Callable[[QueuedWrite], bool] | None,
    ) -> Forget:
        """Put on disk that a scope is to be forgotten, and erase its writes and keys here.

        Args:
            scope: Whose.
            filters: Which of its memories; None for everything.
            matches: Which of the writes, whose contents are still here; None for all, and all keys.
        """
        text = None if filters is None else json.dumps(filters)
        with self._database.write() as connection:
            queued: set[int] = set()
            writes = 0
            for lane in _lanes_within(connection, scope):
                doomed = [
                    (row, status)
                    for row, status, key, body, attempts in connection.execute(
                        "SELECT id, status, key, body, attempts FROM writes WHERE lane = ?", (lane,)
                    )
                    if matches is None
                    or (
                        body is not None
                        and matches(QueuedWrite(row, scope_of(lane), key, body, attempts))
                    )
                ]
                connection.executemany(_DELETE, [(row,) for row, _ in doomed])
                queued |= {row for row, status in doomed if status == "queued"}
                writes += len(doomed)
            number = connection.execute(
                "INSERT INTO forgets (lane, filters, writes, accepted_at) VALUES (?, ?, ?, ?)",
                (lane_of(scope), text, writes, time.time()),
            ).lastrowid
        assert number is not None
        return Forget(number, scope, filters, writes, frozenset(queued))

    def forgets(self) -> list[Forget]:
        """Return what is still to be forgotten, oldest first."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT id, lane, filters, writes FROM forgets WHERE result IS NULL ORDER BY id"
            ).fetchall()
        return [
            Forget(number, scope_of(lane), None if text is None else json.loads(text), writes)
            for number, lane, text, writes in found
        ]

    def finish_forget(self, number: int, result: str | None) -> None:
        """Note that a scope is forgotten; without a result, leave no trace of it.

        Args:
            number: Of the forgetting.
            result: For whoever waits for it in another process.
        """
        with self._database.write() as connection:
            if result is not None:
                connection.execute("UPDATE forgets SET result = ? WHERE id = ?", (result, number))
                return
            known = connection.execute(
                "DELETE FROM forgets WHERE id = ? RETURNING lane, filters", (number,)
            ).fetchone()
        # All that may stay in the journal, while somebody reads the file, is whose it was.
        with suppress(StorageError, BackendTimeoutError):
            self._database.compact({text.encode() for text in known or () if text is not None})

    def fail_forget(self, number: int, error: str) -> None:
        """Note why a scope could not be forgotten yet."""
        with self._database.write() as connection:
            connection.execute("UPDATE forgets SET error = ? WHERE id = ?", (error, number))

    def forget_outcome(self, number: int) -> tuple[str | None, str | None] | None:
        """Return the result and the last error of a forgetting; None when there is none."""
        with self._database.read() as connection:
            found: tuple[str | None, str | None] | None = connection.execute(
                "SELECT result, error FROM forgets WHERE id = ?", (number,)
            ).fetchone()
        return found

    def erase_done(self, scope: Scope) -> int:
        """Erase the keys of a scope that were noted since; returns how many."""
        with self._database.write() as connection:
            return sum(
                connection.execute(
                    "DELETE FROM writes WHERE lane = ? AND status IN ('stored', 'nothing')", (lane,)
                ).rowcount
                for lane in _lanes_within(connection, scope)
            )

    def erase_keys(self, scope: Scope, keys: Iterable[str]) -> None:
        """Erase keys of a scope and those within it, so that they may come again."""
        with self._database.write() as connection:
            lanes = _lanes_within(connection, scope)
            connection.executemany(
                "DELETE FROM writes WHERE lane = ? AND key = ?",
                [(lane, key) for key in keys for lane in lanes],
            )

    def compact(self) -> None:
        """Let nothing of what was erased stay in the file."""
        self._database.compact()

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _lanes_within(connection: sqlite3.Connection, scope: Scope) -> list[str]:
    """Return the lanes of a scope and of those within it."""
    ids = scope.ids
    conditions = "".join(f" AND json_extract(lane, '$.{name}') = ?" for name in ids)
    return [lane for (lane,) in connection.execute(_LANES + conditions, tuple(ids.values()))]
