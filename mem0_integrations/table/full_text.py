"""The words of the memories: SQLite's FTS5 beside the vectors.

What writes is called in a transaction of the store's file, and so changes both or neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mem0_integrations.table.rows import Ids

__all__ = ["create", "is_damaged", "merge", "reindex", "replace", "rows_with"]

_COLLECTION: Final = "memories"
# Of the index, that are merged while others wait.
_PAGES: Final = 200
# A word of its own for each id of a row. It ends in a digit, for else it would be stemmed.
_PREFIXES: Final = {"user_id": "u", "run_id": "r", "agent_id": "a", "app_id": "p"}
_TABLE: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS memories_text USING fts5("
    "owner, text, content='', tokenize='porter unicode61 remove_diacritics 2')"
)
_FILL: Final = (
    "INSERT INTO memories_text (rowid, owner, text) SELECT {columns} FROM memories "
    f"WHERE collection = '{_COLLECTION}'"
)

# Those that SQLite keeps the index in.
_OWN_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'memories_text_*'"
)


def _columns(row: str) -> str:
    owner = " || ' ' || ".join(
        f"CASE WHEN {row}{column} IS NULL THEN '' ELSE '{prefix}' || hex({row}{column}) || '0' END"
        for column, prefix in _PREFIXES.items()
    )
    # Python writes NaN, too, which SQLite does not take for JSON.
    text = f"CASE WHEN json_valid({row}payload) THEN json_extract({row}payload, '$.data') END"
    return f"{row}seq, {owner}, coalesce({text}, '')"


def _trigger(event: str, *actions: str) -> str:
    row = "old" if event == "DELETE" else "new"
    name = f"memories_text_{event.split(maxsplit=1)[0].lower()}"
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON memories "
        f"WHEN {row}.collection = '{_COLLECTION}' BEGIN {' '.join(actions)} END"
    )


_ADD: Final = f"INSERT INTO memories_text (rowid, owner, text) VALUES ({_columns('new.')});"
# Without a copy of the text, the index has to be told what it was.
_REMOVE: Final = (
    "INSERT INTO memories_text (memories_text, rowid, owner, text) "
    f"VALUES ('delete', {_columns('old.')});"
)
_TRIGGERS: Final = (
    _trigger("INSERT", _ADD),
    _trigger("UPDATE OF payload", _REMOVE, _ADD),
    _trigger("DELETE", _REMOVE),
)


def create(connection: sqlite3.Connection) -> None:
    """Create what is missing; a file from before it had an index gets one."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'memories_text'")
    known = found.fetchone()
    connection.execute(_TABLE)
    for trigger in _TRIGGERS:
        connection.execute(trigger)
    if known is None:
        connection.execute(_FILL.format(columns=_columns("")))


def reindex(connection: sqlite3.Connection) -> None:
    """Make the index again from the memories."""
    connection.execute("INSERT INTO memories_text (memories_text) VALUES ('delete-all')")
    connection.execute(_FILL.format(columns=_columns("")))


def is_damaged(connection: sqlite3.Connection) -> bool:
    """Tell whether the index cannot be read, or contradicts itself."""
    try:
        connection.execute("INSERT INTO memories_text (memories_text) VALUES ('integrity-check')")
        names = connection.execute(_OWN_TABLES).fetchall()
        checks = (connection.execute(f"PRAGMA integrity_check({name})") for (name,) in names)
        return any(check.fetchone() != ("ok",) for check in checks)
    except sqlite3.DatabaseError:
        return True


def replace(connection: sqlite3.Connection) -> None:
    """Make the index again where it is too damaged to be emptied.

    Its old pages are left without an owner, until the file is compacted.
    """
    connection.execute("PRAGMA writable_schema = ON")
    try:
        # To drop it would read it.
        connection.execute("DELETE FROM sqlite_schema WHERE name GLOB 'memories_text*'")
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
    create(connection)


def merge(connection: sqlite3.Connection, *, first: bool) -> bool:
    """Merge a part of the index, which keeps the words of what was deleted until all is merged.

    Args:
        connection: In a transaction.
        first: Whether this begins to merge.

    Returns:
        Whether there is more to merge.
    """
    before = connection.total_changes
    pages = -_PAGES if first else _PAGES
    connection.execute(
        "INSERT INTO memories_text (memories_text, rank) VALUES ('merge', ?)", (pages,)
    )
    # The statement itself is one.
    return connection.total_changes - before > 1


def rows_with(
    connection: sqlite3.Connection, words: Iterable[str], ids: Ids
) -> Sequence[npt.NDArray[np.int64]]:
    """Return for each word the numbers of the rows that have it with any ending, rising."""
    owner = "".join(
        f'owner : "{_PREFIXES[column]}{value.encode().hex()}0" AND '
        for column, value in sorted(ids)
        if column in _PREFIXES
    )
    statement = "SELECT rowid FROM memories_text WHERE memories_text MATCH ? ORDER BY rowid"
    found = (connection.execute(statement, (f'{owner}text : "{word}"',)) for word in words)
    return [np.fromiter(chain.from_iterable(rows), dtype=np.int64) for rows in found]
