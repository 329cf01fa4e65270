"""What Mem0 and its parts raise, in our own errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from mem0_integrations.errors import (
    BackendError,
    CorruptFileError,
    Mem0IntegrationsError,
    StorageError,
)
from mem0_integrations.retry import is_retryable, retry_after_seconds
from mem0_integrations.sqlite import is_corrupt

__all__ = ["translated"]


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what Mem0 and its parts raise into our own errors.

    Args:
        doing: What Mem0 is asked for, after "Mem0 could not".

    Raises:
        CorruptFileError: Mem0's own SQLite file is damaged.
        StorageError: It failed otherwise.
        BackendError: Anything else that is not an error of ours.
    """
    try:
        yield
    except Mem0IntegrationsError:
        raise
    except sqlite3.Error as error:
        if is_corrupt(error):
            raise CorruptFileError(
                f"Mem0 could not {doing}: its history database is damaged ({error}). It was left "
                f"as it is: move history.db away to start a new one, or restore it from a backup."
            ) from error
        raise StorageError(
            f"Mem0 could not {doing}: its history database says: {error}. Check the free space "
            f"and the permissions of its folder."
        ) from error
    except Exception as error:
        cause = error.__cause__
        if isinstance(cause, Mem0IntegrationsError):
            raise cause from error
        raise BackendError(
            f"Mem0 could not {doing}: {type(error).__name__}: {error}",
            retryable=is_retryable(error, idempotent=True),
            retry_after=retry_after_seconds(error),
        ) from error
