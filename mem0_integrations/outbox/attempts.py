"""Attempts to carry a write out, the fence around what they change, and their failures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mem0_integrations.errors import BackendTimeoutError
from mem0_integrations.outbox.ledger import Ledger
from mem0_integrations.retry import RetryPolicy

__all__ = ["Attempt", "Failures", "Fence", "reason_of"]

logger = logging.getLogger(__name__)


class Attempt:
    """One try to carry a write out, in the thread that it began in.

    It may be given up while it goes on: when its time is over, or its scope is forgotten. Then it
    changes nothing any more. One that is changing something cannot be given up, but waited for.

    Args:
        fence: Keeps attempts at the same write apart.
        lane: The lane of the write.
        row: Its place in the queue.
        key: Its key.
        number: Which attempt it is, from 1.
        deadline: When its time is over, on the monotonic clock, in seconds.
        keep: Puts on disk what the write has become, unless another attempt has begun; tells
            whether it did.

    Attributes:
        is_applying: Whether it is changing something.
        is_given_up: Whether it must not change anything any more.
        is_left_behind: Whether nobody waits for it.
    """

    def __init__(
        self,
        fence: Fence,
        lane: str,
        row: int,
        key: str,
        *,
        number: int,
        deadline: float,
        keep: Callable[[str], bool],
    ) -> None:
        self.lane = lane
        self.row = row
        self.place = lane, key
        self.number = number
        self.deadline = deadline
        self.is_applying = False
        self.is_given_up = False
        self.is_left_behind = False
        self._fence = fence
        self._keep = keep

    def keep(self, body: str) -> None:
        """Put on disk what the write has become, for the attempts that may follow.

        Raises:
            BackendTimeoutError: The attempt was given up.
        """
        if self.is_given_up or not self._keep(body):
            raise given_up()

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Change something: when no other attempt at the write does, and not when given up.

        Raises:
            BackendTimeoutError: The attempt was given up.
        """
        self._fence.enter(self)
        try:
            yield
        finally:
            self._fence.leave(self)


class Fence:
    """Lets one attempt at a write change something at a time.

    Args:
        changed: Notified when an attempt ends; its lock is held around what is asked here.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._applying: dict[tuple[str, str], Attempt] = {}

    def enter(self, attempt: Attempt) -> None:
        """Wait for the attempts before it; raises if it was given up."""
        with self._changed:
            self._changed.wait_for(
                lambda: attempt.is_given_up or attempt.place not in self._applying
            )
            if attempt.is_given_up:
                raise given_up()
            self._applying[attempt.place] = attempt
            attempt.is_applying = True

    def leave(self, attempt: Attempt) -> None:
        """End what `enter` began."""
        with self._changed:
            del self._applying[attempt.place]
            attempt.is_applying = False
            self._changed.notify_all()

    def lanes(self) -> list[str]:
        """Return the lanes in which something is being changed; for whoever holds the lock."""
        return [lane for lane, _ in self._applying]


class Failures:
    """Notes attempts that failed, and decides whether others follow.

    Args:
        ledger: Where it is noted.
        retry: How failures are retried.
    """

    def __init__(self, ledger: Ledger, retry: RetryPolicy) -> None:
        self._ledger = ledger
        self._retry = retry
        # By row, on the monotonic clock: the other one may be set, or goes on while the machine
        # sleeps.
        self._first: dict[int, float] = {}

    def note(self, row: int, number: int, error: BaseException) -> float | None:
        """Note a failure; returns the seconds until the next attempt, None for a dead letter."""
        if not threading.main_thread().is_alive():
            # The interpreter ends, and no thread starts any more: nobody's failure.
            return self._retry.backoff(number)
        began = self._first.setdefault(row, time.monotonic())
        delay = self._retry.delay(number, error, spent=time.monotonic() - began)
        # The reason may quote what was to be stored: it goes to the file, not to the log.
        kind = type(error).__name__
        if delay is None:
            self._ledger.bury(row, reason_of(error))
            logger.error(
                "Write %d failed after %d attempts (%s) and is kept as a dead letter; see "
                "`mem0-integrations doctor`.",
                row,
                number,
                kind,
            )
        else:
            self._ledger.postpone(row, time.time() + delay, reason_of(error))
            logger.warning(
                "Write %d failed (attempt %d, %s); next attempt in %.1f s.",
                row,
                number,
                kind,
                delay,
            )
        return delay

    def end(self, row: int) -> None:
        """Forget about the failures of a write that has ended."""
        self._first.pop(row, None)


def reason_of(error: BaseException) -> str:
    """Return why an attempt failed, for the file."""
    return f"{type(error).__name__}: {error}"


def given_up() -> BackendTimeoutError:
    """Return what an attempt ends with that was given up."""
    return BackendTimeoutError(
        "This attempt was given up: its time was over, or its scope was forgotten. It changed "
        "nothing.",
        retryable=True,
    )
