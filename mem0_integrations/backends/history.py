"""Mem0's SQLite file of changes and raw messages: what is added to it, and erased from it.

Mem0 keeps the text of deleted memories in its history, without saying whose they were. A
table beside it remembers the scope of each deleted memory, so that `forget` finds its text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from mem0.memory.storage import SQLiteManager

from mem0_integrations.backends.mem0_private import locked
from mem0_integrations.dialect import scope_filters
from mem0_integrations.filters import compile_filters, record_of
from mem0_integrations.records import Memory, MemoryChange
from mem0_integrations.sqlite import is_to_rewrite
from mem0_integrations.values import parse_time

__all__ = ["History"]

_BATCH: Final = 500
_FIELDS: Final = ("event", "old_memory", "new_memory", "created_at", "updated_at")
_TIMES: Final = ("created_at", "updated_at")
# Is there where nothing was ever deleted but securely: Mem0 itself does not care.
_SECURE: Final = "CREATE TABLE IF NOT EXISTS mem0_integrations_secure (empty)"
_ANYTHING: Final = (
    "SELECT EXISTS (SELECT 1 FROM history) OR EXISTS (SELECT 1 FROM messages) "
    "OR EXISTS (SELECT 1 FROM mem0_integrations_deleted)"
)
# Of a text: enough to tell it from others.
_TRACE: Final = 64
_SHORT: Final = 8


class History:
    """A view of the `SQLiteManager` of a `mem0.Memory`.

    Args:
        manager: Mem0's own object; its connection and lock are shared.
    """

    def __init__(self, manager: SQLiteManager) -> None:
        self._manager = manager
        with self._transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS mem0_integrations_deleted "
                "(memory_id TEXT PRIMARY KEY, scope TEXT NOT NULL, metadata TEXT)"
            )
            columns = connection.execute("PRAGMA table_info(mem0_integrations_deleted)").fetchall()
            if "metadata" not in {column[1] for column in columns}:
                # Made by a version that did not forget parts of a scope.
                connection.execute("ALTER TABLE mem0_integrations_deleted ADD COLUMN metadata TEXT")
            # Mem0 notes texts only.
            connection.execute(
                "CREATE TABLE IF NOT EXISTS mem0_integrations_metadata "
                "(memory_id TEXT NOT NULL, until TEXT NOT NULL, metadata TEXT NOT NULL, "
                "PRIMARY KEY (memory_id, until)) WITHOUT ROWID"
            )
            connection.execute(
                "CREATE INDEX IF NOT EXISTS mem0_integrations_history ON history (memory_id)"
            )
            if not connection.execute(_ANYTHING).fetchone()[0]:
                connection.execute(_SECURE)
        with locked(self._manager) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            # Another process may have the file for a while.
            connection.execute("PRAGMA busy_timeout = 30000")

    def mark_deleted(self, memories: Iterable[Memory]) -> None:
        """Remember of memories that are about to be deleted whose they were, and their metadata."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO mem0_integrations_deleted (memory_id, scope, metadata) "
                "VALUES (?, ?, ?)",
                [
                    (
                        memory.id,
                        json.dumps(scope_filters(memory.scope), sort_keys=True),
                        _metadata(memory),
                    )
                    for memory in memories
                ],
            )

    def keep_metadata(self, memory: Memory, until: str) -> None:
        """Remember the metadata of a memory that are about to change.

        Args:
            memory: As it is.
            until: When they change.
        """
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO mem0_integrations_metadata VALUES (?, ?, ?)",
                (memory.id, until, json.dumps(dict(memory.metadata))),
            )

    def with_metadata(
        self, changes: Sequence[MemoryChange], memory: Memory | None
    ) -> list[MemoryChange]:
        """Add to changes of a memory the metadata of their time.

        Args:
            changes: Its history.
            memory: As it is; None if it was deleted.
        """
        if not changes:
            return []
        with locked(self._manager) as connection:
            kept = connection.execute(
                "SELECT until, metadata FROM mem0_integrations_metadata WHERE memory_id = ? "
                "ORDER BY until",
                (changes[0].memory_id,),
            ).fetchall()
        earlier = [(parse_time(until), json.loads(metadata)) for until, metadata in kept]
        now = None if memory is None else memory.metadata

        def metadata_at(time: datetime | None) -> Mapping[str, object] | None:
            if time is None:
                return now
            return next((each for until, each in earlier if until and until > time), now)

        return [replace(change, metadata=metadata_at(change.at)) for change in changes]

    def deleted(self, memory_ids: Sequence[str]) -> set[str]:
        """Return those of the memories that were deleted, or are about to be."""
        with locked(self._manager) as connection:
            return {
                row[0]
                for marks, batch in _batches(memory_ids)
                for row in connection.execute(
                    f"SELECT memory_id FROM mem0_integrations_deleted WHERE memory_id IN ({marks})",
                    batch,
                )
            }

    def unnoted(self, memory_ids: Sequence[str]) -> list[str]:
        """Return those of the memories that have no entry."""
        with locked(self._manager) as connection:
            noted = {
                row[0]
                for marks, batch in _batches(memory_ids)
                for row in connection.execute(
                    f"SELECT memory_id FROM history WHERE memory_id IN ({marks})", batch
                )
            }
        return [memory_id for memory_id in memory_ids if memory_id not in noted]

    def entries(self, memory_id: str) -> list[dict[str, object]]:
        """Return the entries of a memory in the order in which they were added.

        Mem0 sorts them by their times, which clocks that are set back turn round.
        """
        with locked(self._manager) as connection:
            rows = connection.execute(
                f"SELECT {', '.join(_FIELDS)} FROM history WHERE memory_id = ? ORDER BY rowid",
                (memory_id,),
            )
            return [dict(zip(_FIELDS, row, strict=True)) for row in rows]

    def erase_entries(self, memory_ids: Sequence[str]) -> None:
        """Erase the entries of memories that were taken back."""
        with self._transaction() as connection:
            for marks, batch in _batches(memory_ids):
                connection.execute(f"DELETE FROM history WHERE memory_id IN ({marks})", batch)

    def save_messages(self, messages: Sequence[Mapping[str, object]], session: str) -> None:
        """Add to the raw messages of a session, unless they are the last of it already."""
        last = self._manager.get_last_messages(session, limit=len(messages))
        fields = ("role", "content", "name")
        if [[each.get(name) for name in fields] for each in messages] != [
            [each[name] for name in fields] for each in last
        ]:
            self._manager.save_messages(list(messages), session)

    def deleted_by(self, memory_id: str) -> dict[str, str] | None:
        """Return the ids that a deleted memory belonged to, or None."""
        with locked(self._manager) as connection:
            row = connection.execute(
                "SELECT scope FROM mem0_integrations_deleted WHERE memory_id = ?", (memory_id,)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def erase(
        self, ids: Mapping[str, str], filters: Mapping[str, object] | None = None
    ) -> tuple[int, int]:
        """Erase the history of the deleted memories of a scope, and its raw messages.

        Args:
            ids: The scope, in Mem0's spelling.
            filters: Of which of the memories; None for all. Those of which nothing is known but
                their scope, because an earlier version deleted them, count as selected.

        Returns:
            How many history entries and how many raw messages were erased.
        """
        with self._transaction() as connection:
            passes = compile_filters(filters)
            conditions = " AND ".join(f"json_extract(scope, '$.{name}') = ?" for name in ids)
            doomed = [
                memory_id
                for memory_id, metadata in connection.execute(
                    f"SELECT memory_id, metadata FROM mem0_integrations_deleted WHERE {conditions}",
                    tuple(ids.values()),
                )
                if metadata is None or passes(_record(metadata))
            ]
            traces = {memory_id.encode() for memory_id in doomed}
            history = 0
            for marks, batch in _batches(doomed):
                statement = (
                    f"SELECT old_memory, new_memory FROM history WHERE memory_id IN ({marks})"
                )
                traces |= {
                    _trace(text) for row in connection.execute(statement, batch) for text in row
                }
                history += connection.execute(
                    f"DELETE FROM history WHERE memory_id IN ({marks})", batch
                ).rowcount
                for table in ("deleted", "metadata"):
                    kept = connection.execute(
                        f"SELECT metadata FROM mem0_integrations_{table} "
                        f"WHERE memory_id IN ({marks})",
                        batch,
                    )
                    # Their ends tell them apart.
                    traces |= {_trace((metadata or "")[-_TRACE:]) for (metadata,) in kept}
                    connection.execute(
                        f"DELETE FROM mem0_integrations_{table} WHERE memory_id IN ({marks})", batch
                    )
            # Mem0 knows no app_id here: the raw messages of the rest of the scope go.
            wanted = {key: value for key, value in ids.items() if key != "app_id"}
            sessions = [
                session
                for (session,) in connection.execute("SELECT DISTINCT session_scope FROM messages")
                if wanted.items() <= _session_ids(session).items()
            ]
            for session in sessions:
                statement = "SELECT content FROM messages WHERE session_scope = ?"
                traces |= {_trace(text) for (text,) in connection.execute(statement, (session,))}
                traces.add(session.encode())
            messages = sum(
                connection.execute(
                    "DELETE FROM messages WHERE session_scope = ?", (session,)
                ).rowcount
                for session in sessions
            )
        self._compact(traces)
        return history, messages

    def _compact(self, traces: Collection[bytes]) -> None:
        with locked(self._manager) as connection:
            secure = connection.execute(
                "SELECT 1 FROM sqlite_schema WHERE name = 'mem0_integrations_secure'"
            ).fetchone()
        path = Path(self._manager.db_path)
        if secure and not is_to_rewrite(path, {trace for trace in traces if len(trace) > _SHORT}):
            return
        with locked(self._manager) as connection:
            connection.execute("VACUUM")
            connection.execute(_SECURE)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with locked(self._manager) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _trace(text: str | None) -> bytes:
    return (text or "").encode(errors="replace")[:_TRACE]


def _session_ids(session_scope: str) -> dict[str, str]:
    parts = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in parts}


def _batches(values: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield as many as a statement takes, behind the marks for them."""
    for start in range(0, len(values), _BATCH):
        batch = values[start : start + _BATCH]
        yield ", ".join("?" * len(batch)), batch


def _metadata(memory: Memory) -> str:
    """Return what a filter can ask about a memory, but for its text."""
    record = {key: value for key, value in record_of(memory).items() if key != "text"}
    return json.dumps(record, default=datetime.isoformat)


def _record(metadata: str) -> dict[str, object]:
    record: dict[str, object] = json.loads(metadata)
    return record | {name: parse_time(record.get(name)) for name in _TIMES}
