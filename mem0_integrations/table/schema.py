"""The tables of the store's file, and what must hold before it is used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mem0_integrations.errors import CorruptFileError, DimensionMismatchError
from mem0_integrations.recall.words import count_words
from mem0_integrations.scope import SCOPE_KEYS
from mem0_integrations.sqlite import Database
from mem0_integrations.table import full_text
from mem0_integrations.values import PATH_FIELDS, is_text, parse_time

__all__ = [
    "COLUMNS",
    "ID_COLUMNS",
    "PLACE_COLUMNS",
    "THREAD_COLUMNS",
    "TIMES",
    "open_file",
    "place_of",
]

# Whose memory it is, the most selective id first; then who said it.
ID_COLUMNS: Final = ("user_id", "run_id", "agent_id", "app_id", "actor_id")
# What is copied from a payload into an indexed column, the most selective first. The hash of a
# text tells whether it is known already, which is asked before each addition.
COLUMNS: Final = ("hash", "thread_id", *reversed(PATH_FIELDS), *ID_COLUMNS)
# Who talks to whom, and in which conversation.
THREAD_COLUMNS: Final = (*SCOPE_KEYS, "thread_id")
# When it was said, in seconds since the epoch, and how many words it has.
PLACE_COLUMNS: Final = ("said_at", "words")

# What rows are listed by. Python writes NaN, too, which SQLite does not take for JSON.
TIMES: Final = {
    "created_at": "ifnull(said_at, 0)",
    "updated_at": "ifnull("
    "CASE WHEN json_valid(payload) THEN json_extract(payload, '$.updated_at') END, '')",
}

_VERSION: Final = 1
# The payload comes last, so that reading a vector never touches the pages of a long text.
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS memories (
    seq INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    {", ".join(f"{column} TEXT" for column in COLUMNS)},
    {", ".join(f"{column} REAL" for column in PLACE_COLUMNS)},
    vector BLOB NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (collection, id)
);
"""


def _index(column: str) -> str:
    # In the order in which its rows are listed, so that a page costs what it shows.
    order = {"hash": ""} | dict.fromkeys(PATH_FIELDS, f", {TIMES['updated_at']} DESC")
    rest = order.get(column, f", {TIMES['created_at']} DESC, id")
    return (
        f"CREATE INDEX memories_{column} ON memories (collection, {column}{rest}) "
        f"WHERE {column} IS NOT NULL"
    )


_INDEXES: Final = {
    **{f"memories_{column}": _index(column) for column in COLUMNS},
    "memories_paths": f"CREATE INDEX memories_paths ON memories "
    f"(collection, {', '.join(PATH_FIELDS)}) WHERE {PATH_FIELDS[0]} IS NOT NULL",
}


def place_of(payload: Mapping[str, object]) -> tuple[float | None, int]:
    """Return what a payload puts into the columns that tell where a memory stands."""
    time = parse_time(payload.get("created_at"))
    return None if time is None else time.timestamp(), count_words(str(payload.get("data") or ""))


def open_file(path: Path, dimension: int) -> Database:
    """Open the store's file, or create it in a folder that exists.

    Raises:
        DimensionMismatchError: The file holds vectors of another length.
        CorruptFileError: The file is not what this version wrote.
        StorageError: The file cannot be opened or created.

    Example:
        >>> open_file(Path(":memory:"), dimension=384).close()
    """
    database = Database(path, _TABLES)
    try:
        with database.write() as connection:
            known = {name for _, name, *_ in connection.execute("PRAGMA table_info(memories)")}
            for column in COLUMNS:
                if column not in known:
                    connection.execute(f"ALTER TABLE memories ADD COLUMN {column} TEXT")
            if not known.issuperset(PLACE_COLUMNS):
                _add_places(connection)
            _create_indexes(connection)
            full_text.create(connection)
            wanted = {"version": _VERSION, "dimension": dimension}
            connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", wanted.items())
            found = dict(connection.execute("SELECT key, value FROM meta"))
        if found["version"] != _VERSION:
            raise CorruptFileError(
                f"{path} has format {found['version']}, and this version of mem0-integrations "
                f"reads format {_VERSION}: install the version that wrote it."
            )
        if found["dimension"] != dimension:
            raise DimensionMismatchError(
                f"{path} holds vectors of dimension {found['dimension']}, but the embedder makes "
                f"{dimension}: use the embedder that the memories were stored with, or set "
                f"MEM0_DIR to another folder."
            )
    except BaseException:
        database.close()
        raise
    return database


def _create_indexes(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'")
    known = dict(found.fetchall())
    for name, statement in _INDEXES.items():
        # Those of an earlier version have another order.
        if known.get(name) != statement:
            connection.execute(f"DROP INDEX IF EXISTS {name}")
            connection.execute(statement)


def _add_places(connection: sqlite3.Connection) -> None:
    for column in PLACE_COLUMNS:
        connection.execute(f"ALTER TABLE memories ADD COLUMN {column} REAL")
    rows = [
        (seq, json.loads(payload))
        for seq, payload in connection.execute("SELECT seq, payload FROM memories")
    ]
    connection.executemany(
        "UPDATE memories SET thread_id = ?, said_at = ?, words = ? WHERE seq = ?",
        (
            (
                thread if is_text(thread := payload.get("thread_id")) else None,
                *place_of(payload),
                seq,
            )
            for seq, payload in rows
        ),
    )
