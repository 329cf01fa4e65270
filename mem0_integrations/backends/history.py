"""Mem0's SQLite file of changes and raw messages: what is added to it, and erased from it.

Mem0 keeps the text of deleted memories in its history, without saying whose they were. A
table beside it remembers the scope of each deleted memory, so that `forget` finds its text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from mem0.memory.storage import SQLiteManager

from mem0_integrations.backends.mem0_private import locked
from mem0_integrations.sqlite import is_to_rewrite

__all__ = ["History"]

_BATCH: Final = 500
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
                "(memory_id TEXT PRIMARY KEY, scope TEXT NOT NULL)"
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

    def mark_deleted(self, memory_ids: Iterable[str], ids: Mapping[str, str]) -> None:
        """Remember whose the memories were that are about to be deleted."""
        scope = json.dumps(dict(ids), sort_keys=True)
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO mem0_integrations_deleted VALUES (?, ?)",
                [(memory_id, scope) for memory_id in memory_ids],
            )

    def deleted_by(self, memory_id: str) -> dict[str, str] | None:
        """Return the ids that a deleted memory belonged to, or None."""
        with locked(self._manager) as connection:
            row = connection.execute(
                "SELECT scope FROM mem0_integrations_deleted WHERE memory_id = ?", (memory_id,)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def erase(self, ids: Mapping[str, str]) -> tuple[int, int]:
        """Erase the history of the deleted memories of a scope, and its raw messages.

        Args:
            ids: The scope, in Mem0's spelling.

        Returns:
            How many history entries and how many raw messages were erased.
        """
        with self._transaction() as connection:
            doomed = [
                memory_id
                for memory_id, scope in connection.execute(
                    "SELECT memory_id, scope FROM mem0_integrations_deleted"
                )
                if ids.items() <= json.loads(scope).items()
            ]
            traces = {memory_id.encode() for memory_id in doomed}
            history = 0
            for start in range(0, len(doomed), _BATCH):
                batch = doomed[start : start + _BATCH]
                marks = ", ".join("?" * len(batch))
                statement = (
                    f"SELECT old_memory, new_memory FROM history WHERE memory_id IN ({marks})"
                )
                traces |= {
                    _trace(text) for row in connection.execute(statement, batch) for text in row
                }
                history += connection.execute(
                    f"DELETE FROM history WHERE memory_id IN ({marks})", batch
                ).rowcount
                connection.execute(
                    f"DELETE FROM mem0_integrations_deleted WHERE memory_id IN ({marks})", batch
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
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _trace(text: str | None) -> bytes:
    return (text or "").encode(errors="replace")[:_TRACE]


def _session_ids(session_scope: str) -> dict[str, str]:
    parts = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in parts}
