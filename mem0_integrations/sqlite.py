"""SQLite files: opened for durability and erasure, with errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from mem0_integrations.errors import ClosedError, CorruptFileError, StorageError

__all__ = ["Database", "Synchronous", "sqlite_errors"]

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

_BUSY_TIMEOUT: Final = 30.0
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite about a file into our own.

    Raises:
        CorruptFileError: The file is not a database, or is damaged.
        StorageError: Anything else: a full disk, no permission, an I/O error.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(error, path) from error


def _ours(error: sqlite3.Error, path: Path) -> StorageError:
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_CORRUPT_VTAB:
        return CorruptFileError(
            f"The index of the words in {path} is damaged ({error}); the memories are not. Make "
            f"it again with `mem0-integrations doctor --reindex`."
        )
    if code & 0xFF in _CORRUPT:
        return CorruptFileError(
            f"{path} is damaged or not a database of this package ({error}). It was left as "
            f"it is: move it away to start afresh, or restore it from a backup."
        )
    return StorageError(
        f"Cannot use {path}: {error}. Make it writable, free some space, or set MEM0_DIR to "
        f"another folder."
    )


class Database:
    """One connection to a SQLite file, used by one thread at a time.

    A commit is on disk when it returns (WAL, `synchronous=FULL`), or with `NORMAL` outlives the
    process, but perhaps not a power cut; deleted content is overwritten (`secure_delete`). What
    cannot be read or written is a `StorageError`; after `close`, everything is a `ClosedError`.

    Args:
        path: The file; it is created if need be.
        schema: Statements that create what is missing.
        synchronous: What a commit waits for.

    Raises:
        CorruptFileError: The file is not a database.
        StorageError: It cannot be opened or written.
    """

    def __init__(self, path: Path, schema: str, synchronous: Synchronous = "FULL") -> None:
        self.path = path
        self.lock = threading.RLock()
        with sqlite_errors(path):
            self._connection: sqlite3.Connection | None = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute(f"PRAGMA synchronous = {synchronous}")
                self._connection.execute("PRAGMA secure_delete = ON")
                self._connection.execute("PRAGMA temp_store = MEMORY")
                self._connection.executescript(schema)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for reading."""
        try:
            with self.lock:
                yield self.connection
        except sqlite3.Error as error:
            raise _ours(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for several reads, between which nothing changes for them."""
        with self.read() as connection:
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection in a transaction: all of it is written, or nothing."""
        with self.lock, sqlite_errors(self.path):
            connection = self.connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def compact(self) -> None:
        """Rewrite the file without what was deleted, and empty its journal."""
        with self.read() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; a second time is harmless."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for whoever holds `lock`."""
        if self._connection is None:
            raise ClosedError(f"{self.path.name} is closed; connect() again.")
        return self._connection
