"""What is retried, how often and how long to wait in between.

Reads run under `RetryPolicy.run` (tenacity). Writes are retried by the outbox, which asks the
same policy but keeps its attempts on disk.
"""

from __future__ import annotations

import email.utils
import errno
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import tenacity

from mem0_integrations.errors import (
    BackendError,
    InvalidInputError,
    Mem0IntegrationsError,
    StorageError,
)

__all__ = ["RetryPolicy", "is_retryable", "retry_after_seconds"]

T = TypeVar("T")

# Its own: a program's `random.seed` is neither followed nor disturbed.
_JITTER: Final = random.Random()
# Files that others use, and disks that are full or out of order for a while.
_PASSING_SQLITE: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}
)
_PASSING_ERRNO: Final = frozenset({errno.EDQUOT, errno.EIO, errno.ENOSPC})
_RETRYABLE_STATUS: Final = frozenset({408, 429, 502, 503, 504})
_AMBIGUOUS_STATUS: Final = frozenset({500})
_AMBIGUOUS_CODES: Final = frozenset({"NET_TIMEOUT", "HTTP_500"})
_RETRYABLE_CODES: Final = frozenset(
    {"NET_CONNECT", "NET_GENERIC", *(f"HTTP_{status}" for status in _RETRYABLE_STATUS)}
)
# Matched by name: the packages that define them are optional.
_CONNECTION_ERRORS: Final = frozenset(
    {
        "APIConnectionError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectionError",
        "NetworkError",
        "OperationalError",
        "PoolTimeout",
        "RemoteProtocolError",
        "ResourceExhaustedResponse",
        "ResponseHandlingException",
        "ServiceUnavailable",
        "SessionExpired",
        "TransientError",
    }
)
_TIMEOUT_ERRORS: Final = frozenset({"APITimeoutError", "ReadTimeout", "Timeout", "WriteTimeout"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failures that may pass are retried: exponential backoff with full jitter.

    The delay before attempt n + 1 is drawn from [0, min(cap, base * 2**(n - 1))], and is never
    shorter than what the service asked for in `Retry-After`
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        attempts: Maximum number of attempts, the first included.
        base: Seconds; the longest first delay.
        cap: Seconds; the longest delay.
        deadline: Seconds from the first attempt after which no further one starts.

    Raises:
        InvalidInputError: A value is out of range.

    Example:
        >>> RetryPolicy(attempts=1).run(lambda: "done")
        'done'
    """

    attempts: int = 8
    base: float = 0.5
    cap: float = 30.0
    deadline: float = 300.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.attempts < 1 or self.base < 0 or self.cap < self.base or self.deadline < 0:
            raise InvalidInputError(
                f"RetryPolicy needs attempts >= 1, 0 <= base <= cap and deadline >= 0; got {self}."
            )

    def delay(self, attempt: int, error: BaseException, *, spent: float) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        Args:
            attempt: The number of the attempt that failed, from 1.
            error: Why it failed; an idempotent operation is assumed.
            spent: Seconds since the first attempt began.
        """
        if attempt >= self.attempts or not is_retryable(error, idempotent=True):
            return None
        delay = max(self.backoff(attempt), retry_after_seconds(error) or 0.0)
        return None if spent + delay > self.deadline else delay

    def backoff(self, attempt: int) -> float:
        """Return a random number of seconds to wait after a failed attempt, counted from 1."""
        return _JITTER.uniform(0, min(self.cap, self.base * 2.0 ** (attempt - 1)))

    def run(self, call: Callable[[], T], *, deadline: float | None = None) -> T:
        """Call an idempotent operation, again while its failures may pass.

        Args:
            call: The operation.
            deadline: Seconds; overrides the policy's own when it is shorter.

        Returns:
            What `call` returns.

        Raises:
            Exception: The last failure.
        """
        began = time.monotonic()
        try:
            # Nearly always the only attempt: what tenacity needs is not built for it.
            return call()
        except Exception as error:
            first = iter([error])
        limit = self.deadline if deadline is None else min(deadline, self.deadline)

        def attempt() -> T:
            for error in first:
                raise error
            return call()

        return tenacity.Retrying(**self._options(began, limit))(attempt)

    async def arun(self, call: Callable[[], Awaitable[T]], *, deadline: float | None = None) -> T:
        """Async twin of `run`."""
        began = time.monotonic()
        try:
            return await call()
        except Exception as error:
            first = iter([error])
        limit = self.deadline if deadline is None else min(deadline, self.deadline)

        async def attempt() -> T:
            for error in first:
                raise error
            return await call()

        return await tenacity.AsyncRetrying(**self._options(began, limit))(attempt)

    def _options(self, began: float, limit: float) -> dict[str, Any]:
        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            if error is None:
                return 0.0
            delay = self.delay(state.attempt_number, error, spent=time.monotonic() - began)
            return limit + 1 if delay is None else delay

        return {
            "stop": tenacity.stop_after_attempt(self.attempts) | tenacity.stop_before_delay(limit),
            "wait": wait,
            "retry": tenacity.retry_if_exception(
                lambda error: is_retryable(error, idempotent=True)
            ),
            "reraise": True,
        }


def is_retryable(error: BaseException, *, idempotent: bool) -> bool:
    """Tell whether the same call may succeed later.

    Retried are 408, 429, 502, 503, 504, lost connections, and disks that are full or fail;
    time-outs and 500 only where the operation is idempotent, because it may have been carried
    out. Never retried are 400, 401, 403, 404, 409, 413, 422 and errors in a program.

    Args:
        error: The failure; what caused it is looked at too.
        idempotent: Whether carrying the operation out twice is harmless.

    Example:
        >>> is_retryable(ConnectionError(), idempotent=False)
        True
        >>> is_retryable(TimeoutError(), idempotent=False)
        False
    """
    for cause in _causes(error):
        if isinstance(cause, BackendError | StorageError):
            if isinstance(cause, BackendError) and cause.retryable:
                return True
            continue
        if isinstance(cause, Mem0IntegrationsError):
            return False
        if isinstance(cause, sqlite3.Error):
            return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _PASSING_SQLITE
        status = _status(cause)
        if status is not None:
            return status in _RETRYABLE_STATUS or (idempotent and status in _AMBIGUOUS_STATUS)
        code = getattr(cause, "error_code", None)
        if code in _RETRYABLE_CODES or code in _AMBIGUOUS_CODES:
            return idempotent or code in _RETRYABLE_CODES
        names = {kind.__name__ for kind in type(cause).__mro__}
        if isinstance(cause, TimeoutError) or names & _TIMEOUT_ERRORS:
            return idempotent
        is_disk = isinstance(cause, OSError) and cause.errno in _PASSING_ERRNO
        if is_disk or isinstance(cause, ConnectionError) or names & _CONNECTION_ERRORS:
            return True
    return False


def retry_after_seconds(error: BaseException) -> float | None:
    """Return how long the service asked to wait, in seconds, or None.

    Understands a number of seconds (fractions too) and an HTTP date (RFC 9110, section
    10.2.3), in a response header, in Mem0's `debug_info`, in an error of Qdrant's, or in a
    `BackendError`.

    Example:
        >>> from mem0_integrations.errors import BackendError
        >>> retry_after_seconds(BackendError("busy", retry_after=2.5))
        2.5
    """
    for cause in _causes(error):
        value: object = getattr(cause, "retry_after", None)
        if value is None:
            value = getattr(cause, "retry_after_s", None)
        if value is None:
            headers = getattr(getattr(cause, "response", cause), "headers", None) or {}
            value = headers.get("retry-after") or headers.get("Retry-After")
        if value is None:
            value = (getattr(cause, "debug_info", None) or {}).get("retry_after")
        if value is not None:
            return _seconds(value)
    return None


def _seconds(value: object) -> float | None:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(str(value))
    except (TypeError, ValueError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
