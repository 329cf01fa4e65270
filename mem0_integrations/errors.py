"""The exceptions of this package: one tree under `Mem0IntegrationsError`.

Each message says what happened, to which argument or scope, and what to do about it. Bad
input also derives from `ValueError`, a missing extra from `ImportError` and a time-out from
`TimeoutError`, so code that already handles the built-in exceptions keeps working.

```text
Mem0IntegrationsError
├── InvalidInputError (ValueError)      refused before anything was written
│   ├── ScopeError                      whose memories? no id, or a malformed one
│   ├── InvalidMessageError             not a message that can be remembered
│   ├── NotSerializableError (TypeError) a value that is not JSON
│   └── InvalidFilterError              not a filter this package understands
├── ConfigurationError (ValueError)     connect() cannot build a memory from this
│   ├── DimensionMismatchError          embedder and existing store disagree
│   └── MissingExtraError (ImportError) an optional dependency is not installed
├── MemoryNotFoundError (LookupError)   no such memory in this scope
├── BackendError                        Mem0, its store or its model failed
│   ├── BackendTimeoutError (TimeoutError)
│   └── ExtractionError                 the model's answer was not usable
├── StorageError                        a file of the data folder
│   ├── FolderLockedError               another process owns the folder
│   └── CorruptFileError                not the file that we wrote
├── OutboxFullError                     back-pressure: too many writes are queued
└── ClosedError (RuntimeError)          used after close()
```
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "BackendTimeoutError",
    "ClosedError",
    "ConfigurationError",
    "CorruptFileError",
    "DimensionMismatchError",
    "ExtractionError",
    "FolderLockedError",
    "InvalidFilterError",
    "InvalidInputError",
    "InvalidMessageError",
    "Mem0IntegrationsError",
    "MemoryNotFoundError",
    "MissingExtraError",
    "NotSerializableError",
    "OutboxFullError",
    "ScopeError",
    "StorageError",
]


class Mem0IntegrationsError(Exception):
    """Base of every exception that this package raises."""


class InvalidInputError(Mem0IntegrationsError, ValueError):
    """An argument was refused before anything was read or written."""


class ScopeError(InvalidInputError):
    """There is no scope (whose memories?), or one of its ids is malformed."""


class NotSerializableError(InvalidInputError, TypeError):
    """A value cannot be stored, because it is not JSON."""


class InvalidMessageError(InvalidInputError):
    """Something is not a message that can be remembered or searched for."""


class InvalidFilterError(InvalidInputError):
    """A metadata filter has an unknown operator, a reserved key or a malformed value."""


class ConfigurationError(Mem0IntegrationsError, ValueError):
    """A memory cannot be built from what `connect` was given."""


class DimensionMismatchError(ConfigurationError):
    """The embedder's vectors do not have the dimension of the existing store."""


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is missing; the message names the command that installs it.

    Args:
        feature: What was asked for, in words.
        extra: The extra of this distribution that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra '{extra}', which is not installed: "
            f"pip install 'mem0-integrations[{extra}]'"
        )
        self.extra = extra


class MemoryNotFoundError(Mem0IntegrationsError, LookupError):
    """No memory with this id exists in this scope."""


class BackendError(Mem0IntegrationsError):
    """Mem0, its vector store, its embedder or its model failed.

    Args:
        message: What failed, and what to do.
        retryable: Whether the same call may succeed later.
        retry_after: Seconds that the service asked to wait, if it did.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class BackendTimeoutError(BackendError, TimeoutError):
    """The backend did not answer within the time budget."""


class ExtractionError(BackendError):
    """The model's answer to Mem0's extraction prompt was not usable."""


class StorageError(Mem0IntegrationsError):
    """A file of the data folder cannot be read or written."""


class FolderLockedError(StorageError):
    """Another process owns the data folder."""


class CorruptFileError(StorageError):
    """A file of the data folder is not what this package wrote."""


class OutboxFullError(Mem0IntegrationsError):
    """The outbox holds as many queued writes as it may; nothing was accepted."""


class ClosedError(Mem0IntegrationsError, RuntimeError):
    """The memory was used after it had been closed."""


# What keeps a turn from being accepted although the program is right.
NOT_ACCEPTED = (InvalidMessageError, OutboxFullError, StorageError)
