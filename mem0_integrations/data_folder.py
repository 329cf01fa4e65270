"""Where this package writes: one folder, and one process at a time in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from mem0_integrations.errors import FolderLockedError, StorageError

__all__ = ["FolderLock", "data_folder", "make_folder", "storage_errors"]

_LOCK_NAME = "in-use.lock"


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
    """Create a folder, readable by its owner only, unless it exists.

    Raises:
        StorageError: It cannot be created.
    """
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


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
        self._lock = filelock.FileLock(folder / _LOCK_NAME, thread_local=False)

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
