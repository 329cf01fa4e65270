"""Where this package writes: one folder, its owner's alone, and one process at a time in it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import filelock
import platformdirs

from mem0_integrations.errors import FolderLockedError, StorageError

__all__ = [
    "SQLITE_FILES",
    "FolderLock",
    "data_folder",
    "file_lock",
    "keep_private",
    "make_file",
    "make_folder",
    "storage_errors",
]

logger = logging.getLogger(__name__)

_LOCK_NAME: Final = "in-use.lock"
_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OTHERS: Final = 0o077

SQLITE_FILES: Final = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file; it gives a new one the permissions of that file."""


def data_folder(given: str | Path | None = None) -> Path:
    """Return the folder for everything that is written.

    Args:
        given: What the application says; else `MEM0_DIR`, else the user-data folder.

    Example:
        >>> data_folder().is_absolute()
        True
    """
    configured = given or os.environ.get("MEM0_DIR")
    if configured:
        return Path(configured).expanduser().absolute()
    return Path(platformdirs.user_data_dir("mem0-integrations", appauthor=False))


def make_folder(folder: Path) -> Path:
    """Create a folder, and what is missing above it, for its owner only, unless it exists.

    Raises:
        StorageError: It cannot be created.
    """
    with storage_errors(folder):
        for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
            missing.mkdir(mode=_FOLDER, exist_ok=True)
            # Whatever the umask is.
            missing.chmod(_FOLDER)
        folder.mkdir(exist_ok=True)
    return folder


def make_file(path: Path) -> None:
    """Create an empty file, readable by its owner only, unless it exists.

    Raises:
        StorageError: It cannot be created.
    """
    with storage_errors(path):
        try:
            # One that is open must not be opened again: closing it would end SQLite's locks.
            made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE)
        except FileExistsError:
            return
        os.close(made)
        # Whatever the umask is.
        path.chmod(_FILE)


def keep_private(path: Path, beside: Sequence[str] = ()) -> None:
    """Take from all others what they may do with a file or folder that this package has made.

    Args:
        path: It need not exist.
        beside: The endings of further files beside it.
    """
    for each in (path, *(path.with_name(f"{path.name}{ending}") for ending in beside)):
        try:
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & _OTHERS:
                each.chmod(mode & ~_OTHERS)
        except FileNotFoundError:
            continue
        except OSError as error:
            # It is another user's, or its file system knows no permissions.
            logger.warning("%s stays open to others: %s.", each, error.strerror)


def file_lock(path: Path) -> filelock.FileLock:
    """Return a lock on a file, which is created for its owner only.

    Raises:
        StorageError: It cannot be created.
    """
    make_file(path)
    keep_private(path)
    return filelock.FileLock(path, mode=_FILE, thread_local=False)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about a path into `StorageError`.

    Raises:
        StorageError: The path cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Cannot use {path}: {error.strerror or error}. Make it writable, free some space, or "
            f"set MEM0_DIR to another folder."
        ) from error


class FolderLock:
    """The claim of this process on a folder; the operating system releases it when it dies.

    Args:
        folder: The folder, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = file_lock(folder / _LOCK_NAME)

    def acquire(self) -> None:
        """Claim the folder.

        Raises:
            FolderLockedError: Another process has it.
            StorageError: The lock file cannot be written.
        """
        with storage_errors(self._folder):
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                raise FolderLockedError(
                    f"{self._folder} is in use by another process, and the embedded store serves "
                    f"one process at a time. Stop the other one, give this one a folder of its "
                    f"own (MEM0_DIR), or share memories through a server: connect() to a Mem0 "
                    f"config with a Qdrant server or pgvector."
                ) from None

    def release(self) -> None:
        """Give the folder back."""
        self._lock.release()
