"""Mem0's SQLite file of changes and raw messages: what is added to it, and erased from it.

Mem0 keeps the text of deleted memories in its history, without saying whose they were. A
table beside it remembers the scope of each deleted memory, so that `forget` finds its text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote

from mem0.memory.storage import SQLiteManager

from mem0_integrations.backends.mem0_private import locked

__all__ = ["History"]

_BATCH: Final = 500


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
            history = 0
            for start in range(0, len(doomed), _BATCH):
                batch = doomed[start : start + _BATCH]
                marks = ", ".join("?" * len(batch))
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
            messages = sum(
                connection.execute(
                    "DELETE FROM messages WHERE session_scope = ?", (session,)
                ).rowcount
                for session in sessions
            )
        with locked(self._manager) as connection:
            connection.execute("VACUUM")
        return history, messages

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


def _session_ids(session_scope: str) -> dict[str, str]:
    parts = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in parts}
