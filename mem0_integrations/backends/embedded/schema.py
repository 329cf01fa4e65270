"""The tables of the store's file, and what must hold before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mem0_integrations.backends.dialect import PATH_FIELDS
from mem0_integrations.errors import CorruptFileError, DimensionMismatchError
from mem0_integrations.sqlite import Database

__all__ = ["COLUMNS", "ID_COLUMNS", "open_file"]

# Whose memory it is, the most selective id first; then who said it.
ID_COLUMNS: Final = ("user_id", "run_id", "agent_id", "app_id", "actor_id")
# What is copied from a payload into an indexed column, the most selective first. The hash of a
# text tells whether it is known already, which is asked before each addition.
COLUMNS: Final = ("hash", *reversed(PATH_FIELDS), *ID_COLUMNS)

_VERSION: Final = 1
# The payload comes last, so that reading a vector never touches the pages of a long text.
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS memories (
    seq INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    {", ".join(f"{column} TEXT" for column in COLUMNS)},
    vector BLOB NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (collection, id)
);
"""
_INDEXES: Final = tuple(
    f"CREATE INDEX IF NOT EXISTS memories_{column} ON memories (collection, {column}) "
    f"WHERE {column} IS NOT NULL"
    for column in COLUMNS
)


def open_file(path: Path, dimension: int) -> Database:
    """Open the store's file, or create it.

    Args:
        path: The file, in a folder that exists.
        dimension: Length of its vectors; the file remembers it.

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
            for index in _INDEXES:
                connection.execute(index)
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
