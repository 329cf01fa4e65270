"""SQLite files: opened for durability and erasure, with errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from mem0_integrations.concurrency import begin, result_of
from mem0_integrations.data_folder import SQLITE_FILES, keep_private, make_file
from mem0_integrations.errors import (
    BackendTimeoutError,
    ClosedError,
    CorruptFileError,
    StorageError,
)

__all__ = [
    "Database",
    "Synchronous",
    "check_file",
    "is_corrupt",
    "is_to_rewrite",
    "sqlite_errors",
    "words_error",
]

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

_BUSY_TIMEOUT: Final = 30.0
_IN_MEMORY: Final = ":memory:"
# The tables of the index of the words begin with this.
_WORDS: Final = "memories_text"
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


def is_corrupt(error: sqlite3.Error) -> bool:
    """Tell whether SQLite found a file, or an index of words in it, damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def check_file(path: Path) -> None:
    """Read a whole file, if there is one, without changing it.

    Raises:
        CorruptFileError: It is not a database, or is damaged.
        StorageError: It cannot be read.
    """
    if not path.exists():
        return
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with sqlite_errors(path), closing(sqlite3.connect(uri, uri=True)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        tables = [name for (name,) in names]
        for table in tables:
            if not table.startswith(_WORDS) and (found := _integrity(connection, table)):
                raise _damaged(path, found)
        try:
            found = _integrity(connection, "1")
        except sqlite3.DatabaseError as error:
            raise words_error(error, path) from error
        if found:
            raise words_error(found, path) if _WORDS in tables else _damaged(path, found)


def _integrity(connection: sqlite3.Connection, what: str) -> str | None:
    """Return what is wrong with a table, or with everything; None if nothing is."""
    ((found,), *_) = connection.execute(f"PRAGMA integrity_check({what})").fetchall()
    return None if found == "ok" else str(found)


def words_error(error: sqlite3.Error | str, path: Path) -> StorageError:
    """Return what SQLite says of the index of the words in a file as an error of our own."""
    if isinstance(error, sqlite3.Error) and not is_corrupt(error):
        return _ours(error, path)
    return CorruptFileError(
        f"The index of the words in {path} is damaged ({error}); the memories are not. Make it "
        f"again with `mem0-integrations doctor --reindex`."
    )


def _ours(error: sqlite3.Error, path: Path) -> StorageError:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT_VTAB:
        return words_error(error, path)
    if is_corrupt(error):
        return _damaged(path, error)
    return StorageError(
        f"Cannot use {path}: {error}. Make it writable, free some space, or set MEM0_DIR to "
        f"another folder."
    )


def _damaged(path: Path, reason: object) -> CorruptFileError:
    return CorruptFileError(
        f"{path} is damaged or not a database of this package ({reason}). It was left as it is: "
        f"move it away to start afresh, or restore it from a backup."
    )


class Database:
    """One connection to a SQLite file, used by one thread at a time.

    A commit is on disk when it returns (WAL, `synchronous=FULL`), or with `NORMAL` outlives the
    process, but perhaps not a power cut; deleted content is overwritten (`secure_delete`). What
    cannot be read or written is a `StorageError`; after `close`, everything is a `ClosedError`.

    Args:
        path: The file; it is created if need be, for its owner only.
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
        is_file = str(path) != _IN_MEMORY
        if is_file:
            make_file(path)
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
                if is_file:
                    # Now that it has turned out to be one of ours.
                    keep_private(path, SQLITE_FILES)
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
                    # There is nothing to commit, which a damaged index of words would refuse.
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection in a transaction: all of it is written, or nothing."""
        with self.turn, self.lock, sqlite_errors(self.path):
            connection = self.connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def compact(
        self,
        traces: Collection[bytes] | None = None,
        *,
        meanwhile: Callable[[], None] = lambda: None,
        timeout: float = _ERASE_TIMEOUT,
    ) -> None:
        """Leave no byte of what was deleted in the file or its journal; others go on meanwhile.

        SQLite overwrites what is deleted, but it may have left copies of it in the unused space
        of pages. Where these are found, the file is rewritten.

        Args:
            traces: What to look for there; None rewrites the file in any case.
            meanwhile: What else is to be done before the file is rewritten.
            timeout: Seconds that other processes may read the file before this gives up.

        Raises:
            BackendTimeoutError: Another process reads the file, and so keeps what was deleted.
            StorageError: The file cannot be read or written.
        """
        self._empty_journal(timeout)
        looking = _begun(partial(is_to_rewrite, self.path, traces))
        meanwhile()
        if result_of(looking, None):
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
            # Nothing of it in a temporary file.
            other.execute("PRAGMA temp_store = MEMORY")
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
    try:
        unused = _unused(path) if traces else b""
    except OSError as error:
        raise StorageError(
            f"Cannot look for what was deleted in {path}: {error.strerror}. Make it readable, and "
            f"forget again."
        ) from error
    return any(trace in unused for trace in traces)


def _begun(call: Callable[[], bool]) -> Future[bool]:
    """Carry a call out in a thread of its own, or at once where there can be no more threads."""
    future: Future[bool] = Future()

    def carry_out() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    try:
        begin(carry_out)
    except RuntimeError:
        carry_out()
    return future


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
