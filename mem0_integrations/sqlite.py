"""SQLite files: opened for durability and erasure, with errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TypeAlias

from mem0_integrations.errors import (
    BackendTimeoutError,
    ClosedError,
    CorruptFileError,
    StorageError,
)

__all__ = ["Database", "Synchronous", "is_to_rewrite", "sqlite_errors"]

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

_BUSY_TIMEOUT: Final = 30.0
# Seconds that others may read the file before what was deleted counts as not erased.
_ERASE_TIMEOUT: Final = 10.0
_ERASE_PAUSE: Final = 0.05
# A file of this many bytes is rewritten sooner than looked through.
_SMALL: Final = 4 * 2**20
_READ_AT_ONCE: Final = 2**20
# What SQLite's pages begin with.
_FILE_HEADER: Final = 100
_SHORT: Final = 24
_INTERIOR: Final = (2, 5)
_LEAVES: Final = (10, 13)
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
        # Held by whoever writes, before `lock`; who rewrites the file holds it alone.
        self.turn = threading.RLock()
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

    def read(self) -> _Reading:
        """Hold the connection for reading."""
        return _Reading(self)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for several reads, between which nothing changes for them."""
        with self.read() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection in a transaction: all of it is written, or nothing."""
        with self.turn, self.lock, sqlite_errors(self.path):
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def compact(
        self, traces: Collection[bytes] | None = None, *, timeout: float = _ERASE_TIMEOUT
    ) -> None:
        """Leave no byte of what was deleted in the file or its journal; others go on meanwhile.

        SQLite overwrites what is deleted, but it may have left copies of it in the unused space
        of pages. Where these are found, the file is rewritten.

        Args:
            traces: What to look for there; None rewrites the file in any case.
            timeout: Seconds that other processes may read the file before this gives up.

        Raises:
            BackendTimeoutError: Another process reads the file, and so keeps what was deleted.
            StorageError: The file cannot be read or written.
        """
        self._empty_journal(timeout)
        if is_to_rewrite(self.path, traces):
            self._rewrite()
            self._empty_journal(timeout)

    def _rewrite(self) -> None:
        if not self.path.is_file():
            with self.read() as connection:
                connection.execute("VACUUM")
            return
        # By a connection of its own, so that readers do not wait.
        with (
            self.turn,
            sqlite_errors(self.path),
            closing(sqlite3.connect(self.path, _BUSY_TIMEOUT, isolation_level=None)) as other,
        ):
            other.execute("PRAGMA secure_delete = ON")
            other.execute("VACUUM")
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _empty_journal(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            with self.read() as connection:
                # Others wait for the lock, so not long at a time.
                connection.execute("PRAGMA busy_timeout = 0")
                try:
                    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT * 1000)}")
            if not busy:
                return
            if time.monotonic() >= deadline:
                raise BackendTimeoutError(
                    f"What was deleted is still in {self.path}: another program, such as a backup "
                    f"or a database browser, has been reading the file for {timeout:g} s. End "
                    f"it, and forget again.",
                    retryable=True,
                )
            time.sleep(_ERASE_PAUSE)

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


def is_to_rewrite(path: Path, traces: Collection[bytes] | None) -> bool:
    """Tell whether a file may hold more than its rows, from which content was deleted securely.

    Args:
        path: The file; its journal is empty.
        traces: What was deleted, in parts of more than eight bytes; None where it is not known.
    """
    if traces is None or not path.is_file() or path.stat().st_size <= _SMALL:
        return True
    unused = _unused(path) if traces else b""
    return any(trace in unused for trace in traces)


def _unused(path: Path) -> bytes:
    """Return what lies between the pointers and the cells of pages, where anything does.

    This is SQLite's file format: https://www.sqlite.org/fileformat.html#b_tree_pages
    """
    import numpy as np

    found: list[bytes] = []
    with path.open("rb", buffering=0) as file:
        given = int.from_bytes(file.read(_FILE_HEADER)[16:18], "big")
        size = 65_536 if given == 1 else given
        buffer = bytearray(max(size, _READ_AT_ONCE))
        file.seek(0)
        is_first = True
        while read := file.readinto(buffer) // size:
            pages = np.frombuffer(buffer, np.uint8, read * size).reshape(read, size)
            heads = pages[:, :8].astype(np.int64)
            # The first page begins with the header of the file.
            skipped = np.zeros(read, np.int64)
            if is_first:
                heads[0], skipped[0], is_first = pages[0, _FILE_HEADER:][:8], _FILE_HEADER, False
            kinds = heads[:, 0]
            pointers = skipped + np.isin(kinds, _INTERIOR) * 4 + 8
            first = pointers + 2 * (heads[:, 3] * 256 + heads[:, 4])
            last = heads[:, 5] * 256 + heads[:, 6]
            known = np.isin(kinds, (*_INTERIOR, *_LEAVES))
            gaps = np.flatnonzero(known & (first < last) & (last <= size))
            if not len(gaps):
                continue
            words = np.frombuffer(buffer, np.uint64, read * size // 8)
            # A trace that is longer than a word has a part in a whole one, but in a short gap.
            bounds = np.stack([gaps * size + first[gaps] + 7, gaps * size + last[gaps]], 1) // 8
            bounds = bounds.ravel().clip(max=len(words) - 1)
            filled = np.bitwise_or.reduceat(words, bounds)[::2] != 0
            filled |= last[gaps] - first[gaps] < _SHORT
            found += [pages[gap, first[gap] : last[gap]].tobytes() for gap in gaps[filled]]
    return b"\0".join(each.strip(b"\0") for each in found)


class _Reading:
    """What `Database.read` holds; a generator would cost as much as the statement in it."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.lock.acquire()
        try:
            return self._database.connection
        except BaseException:
            self._database.lock.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.lock.release()
        if isinstance(error, sqlite3.Error):
            raise _ours(error, self._database.path) from error
