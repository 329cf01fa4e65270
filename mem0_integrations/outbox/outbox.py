"""The outbox: accepts writes durably and delivers them in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import filelock

from mem0_integrations.arguments import check_timeout
from mem0_integrations.concurrency import call_within
from mem0_integrations.data_folder import file_lock
from mem0_integrations.errors import (
    BackendTimeoutError,
    ClosedError,
    InvalidInputError,
    Mem0IntegrationsError,
    OutboxFullError,
)
from mem0_integrations.outbox.lanes import Lanes
from mem0_integrations.outbox.ledger import Ledger, Request
from mem0_integrations.records import Memory, WriteResult
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope
from mem0_integrations.sqlite import Synchronous

__all__ = ["Outbox", "Receipt"]

logger = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 0.2
_FOLLOW_SECONDS: Final = 0.02
_STORAGE_RETRY_SECONDS: Final = 5.0
_FORGET_PATIENCE_SECONDS: Final = 60.0
_FORGOTTEN: Final = "Its scope was forgotten before it was stored."


R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[R]):
    """A write that this process accepted."""

    request: R
    deliver: Callable[[R], list[Memory]]
    done: Future[WriteResult]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a write when it was accepted, and what becomes of it in the end.

    Attributes:
        accepted: Status `queued` or `duplicate`.
        done: Resolves when the write was delivered or given up.
    """

    accepted: WriteResult
    done: Future[WriteResult]


class Outbox(Generic[R]):
    """Writes that are on disk before they are carried out.

    Writes of one scope are delivered in the order in which they were accepted, those of
    different scopes in parallel. A write that fails is tried again after a while, as `retry`
    says, and becomes a dead letter in the end; the writes behind it then go on.

    Several processes may use the file: the first one delivers for all of them, and another
    takes over when it ends.

    Args:
        path: The SQLite file.
        load: Reads a write from its scope, its key and the text that it was dumped as.
        deliver: Carries a write out, or returns what an earlier attempt has stored.
        undo: Takes back what was stored for a write that was erased meanwhile.
        retry: How failures are retried.
        workers: Maximum number of writes that are delivered at the same time.
        max_queued: Maximum number of writes that wait; from then on `accept` waits too, or raises.
        when_full: `block` or `raise`.
        delivery_timeout: Seconds after which a delivery counts as failed.
        synchronous: What accepting a write waits for: `FULL`, or `NORMAL` for writes that may be
            lost in a power cut.
        start_delay: Seconds that a write waits at least, so that whoever accepted it goes first.

    Raises:
        CorruptFileError: The file is not an outbox.
        StorageError: The file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        load: Callable[[Scope, str, str], R],
        deliver: Callable[[R], list[Memory]],
        undo: Callable[[list[Memory]], None],
        retry: RetryPolicy,
        workers: int = 4,
        max_queued: int = 10_000,
        when_full: Literal["block", "raise"] = "block",
        delivery_timeout: float = 300.0,
        synchronous: Synchronous = "FULL",
        start_delay: float = 0.0,
    ) -> None:
        check_timeout("delivery_timeout", delivery_timeout)
        if workers < 1 or max_queued < 1 or when_full not in ("block", "raise"):
            raise InvalidInputError(
                f"Outbox needs workers >= 1, max_queued >= 1 and when_full 'block' or 'raise'; got "
                f"{workers}, {max_queued} and {when_full!r}."
            )
        self.ledger = Ledger(path, synchronous)
        self._load = load
        self._deliver = deliver
        self._undo = undo
        self._retry = retry
        self._max_queued = max_queued
        self._when_full = when_full
        self._delivery_timeout = delivery_timeout
        self._start_delay = start_delay
        # Taken first, around the file and the queue: rows enter the queue in their order.
        self._intake = threading.Lock()
        # Around everything below. Workers wait for a row apart from whoever waits for an end, and
        # wake one another: to wake all of them for a row would hold up who brought it.
        lock = threading.RLock()
        self._due = threading.Condition(lock)
        self._changed = threading.Condition(lock)
        self._lanes = Lanes()
        self._waiting: dict[int, _Waiting[R]] = {}
        self._closed = False
        self._process_lock = file_lock(path.with_name(f"{path.name}.lock"))
        self._look_for_writes()
        jobs = [self._watch, *[self._work] * workers]
        for number, job in enumerate(jobs):
            threading.Thread(target=job, name=f"mem0-outbox-{number}", daemon=True).start()

    def accept(self, request: R, deliver: Callable[[R], list[Memory]] | None = None) -> Receipt:
        """Put a write on disk, once for each key of a scope.

        Args:
            request: The write.
            deliver: Carries this write out, while the process lives; else the outbox's own.

        Raises:
            OutboxFullError: It is full, and `when_full` is `raise`.
            StorageError: The write could not be put on disk; it was not accepted.
            ClosedError: The outbox is closed.
        """
        done: Future[WriteResult] = Future()
        with self._room():
            accepted = self.ledger.accept(request)
            if not accepted.new:
                duplicate = WriteResult("duplicate", key=request.key)
                done.set_result(duplicate)
                return Receipt(duplicate, done)
            with self._changed:
                self._waiting[accepted.row] = _Waiting(request, deliver or self._deliver, done)
                if not self.delivers:
                    self._changed.notify_all()
            if self.delivers:
                self._read_queue()
        return Receipt(WriteResult("queued", key=request.key), done)

    @contextmanager
    def promising(self, request: R, deliver: Callable[[R], list[Memory]]) -> Iterator[None]:
        """Put a write on disk that is carried out when the block has ended, however it ends.

        Args:
            request: The write.
            deliver: Carries this write out, while the process lives.
        """
        with self._changed:
            self._lanes.pause(request.scope)
        try:
            self.accept(request, deliver)
            yield
        finally:
            self._resume(request.scope, self._start_delay)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until no write is queued.

        Args:
            timeout: Seconds; None to wait without an end.

        Returns:
            Whether everything was delivered or given up in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        # What another process has accepted a moment ago counts, too.
        self._look_for_writes()
        while self._queued():
            left = None if deadline is None else deadline - time.monotonic()
            if self._closed or (left is not None and left <= 0):
                return False
            with self._changed:
                if not self.delivers or self._lanes:
                    pause = _WATCH_SECONDS if self.delivers else _FOLLOW_SECONDS
                    self._changed.wait(pause if left is None else min(pause, left))
        return True

    def replay(self) -> int:
        """Queue all dead letters again; returns how many."""
        count = self.ledger.replay()
        self._look_for_writes()
        return count

    @contextmanager
    def writing(self, scope: Scope) -> Iterator[None]:
        """Change a scope without the queue, but not while it is being forgotten.

        Raises:
            BackendTimeoutError: The scope is being forgotten, and that does not end.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: not self._lanes.is_paused(scope), _FORGET_PATIENCE_SECONDS
            ):
                raise BackendTimeoutError(
                    f"{scope} has been in the course of being forgotten for more than "
                    f"{_FORGET_PATIENCE_SECONDS:.0f} s; nothing was written. Try again.",
                    retryable=True,
                )
            self._lanes.enter(scope)
        try:
            yield
        finally:
            with self._changed:
                self._lanes.leave(scope)
                self._changed.notify_all()

    @contextmanager
    def forgetting(self, scope: Scope) -> Iterator[int]:
        """Erase the writes of a scope, and hold back new ones until the block ends.

        Yields:
            How many writes and keys were erased.

        Raises:
            BackendTimeoutError: A write of the scope is being carried out and does not end.
        """
        with self._changed:
            self._lanes.pause(scope)
        try:
            self._wait_until_idle(scope)
            with self._intake, self._changed:
                erased = self.ledger.erase(scope)
                dropped = self._lanes.drop(scope)
            for row in dropped:
                self._resolve(row, WriteResult("failed", error=_FORGOTTEN))
            yield erased
        finally:
            self._resume(scope, 0.0)

    def close(self, timeout: float | None = 10.0) -> None:
        """Deliver what is queued, then stop; what is left stays on disk for the next start.

        Args:
            timeout: Seconds to wait for the deliveries; None to wait without an end.
        """
        if self._closed:
            return
        began = time.monotonic()
        self.flush(timeout)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        with self._intake, self._changed:
            self._closed = True
            self._due.notify_all()
            self._changed.notify_all()
            idle = self._changed.wait_for(lambda: not self._lanes.has_taken(), left)
        for row in list(self._waiting):
            self._resolve(row, WriteResult("queued"))
        self.ledger.close()
        if idle:
            # Otherwise another process could carry out what is still being carried out here.
            self._process_lock.release()

    @property
    def delivers(self) -> bool:
        """Whether this process carries the writes of the file out."""
        return bool(self._process_lock.is_locked)

    def _queued(self) -> int:
        if self._closed:
            return 0
        if self.delivers:
            with self._changed:
                return len(self._lanes)
        return self.ledger.queued_count()

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Hold the intake while there is room for one more write."""
        while True:
            with self._intake:
                if self._closed:
                    raise ClosedError("The outbox is closed; connect() again.")
                if self._queued() < self._max_queued:
                    yield
                    return
            if self._when_full == "raise":
                raise OutboxFullError(
                    f"The outbox holds {self._max_queued} writes that wait for delivery; this one "
                    f"was not accepted. Find out with `mem0-integrations doctor` what holds them "
                    f"up, or connect() with a larger max_queued."
                )
            with self._changed:
                self._changed.wait(_WATCH_SECONDS if self.delivers else _FOLLOW_SECONDS)

    def _look_for_writes(self) -> None:
        with self._intake:
            if self._closed:
                return
            if not self.delivers:
                try:
                    self._process_lock.acquire(timeout=0)
                except filelock.Timeout:
                    return
            self._read_queue()

    def _read_queue(self) -> None:
        """Take up the rows behind the last one, those of other processes among them."""
        found = self.ledger.queued(after=self._lanes.last_row)
        with self._changed:
            for row, lane, not_before in found:
                delay = max(not_before - time.time(), self._start_delay)
                self._lanes.add(row, lane, time.monotonic() + delay)
            if found:
                self._due.notify()

    def _resume(self, scope: Scope, delay: float) -> None:
        with self._changed:
            self._lanes.resume(scope, time.monotonic() + delay)
            self._due.notify()
            self._changed.notify_all()

    def _wait_until_idle(self, scope: Scope) -> None:
        with self._changed:
            if not self._changed.wait_for(
                lambda: not self._lanes.is_busy(scope), _FORGET_PATIENCE_SECONDS
            ):
                raise BackendTimeoutError(
                    f"A write of {scope} has been under way for more than "
                    f"{_FORGET_PATIENCE_SECONDS:.0f} s; nothing was forgotten. Try again.",
                    retryable=True,
                )

    def _watch(self) -> None:
        while not self._closed:
            if self.delivers:
                time.sleep(_WATCH_SECONDS)
            else:
                with self._changed:
                    self._changed.wait(_FOLLOW_SECONDS if self._waiting else _WATCH_SECONDS)
            try:
                self._look_for_writes()
                if not self.delivers:
                    self._look_for_results()
            except ClosedError:
                return
            except Mem0IntegrationsError as error:
                logger.warning("The outbox could not be read: %s", type(error).__name__)

    def _look_for_results(self) -> None:
        for row, waiting in list(self._waiting.items()):
            key = waiting.request.key
            status, error = self.ledger.status(row) or ("dead", _FORGOTTEN)
            if status == "stored":
                memories = tuple(waiting.deliver(waiting.request))
                self._resolve(row, WriteResult("stored", memories, key=key))
            elif status == "nothing":
                self._resolve(row, WriteResult("nothing", key=key))
            elif status == "dead":
                self._resolve(row, WriteResult("failed", key=key, error=error))

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            lane, row = taken
            try:
                outcome = self._attempt(row)
            except ClosedError:
                outcome = 0.0
            except Exception as error:
                # A worker never dies: the write stays where it is, and is looked at again.
                logger.warning(
                    "The outbox could not note a delivery: %s; see `mem0-integrations doctor`.",
                    type(error).__name__,
                )
                outcome = _STORAGE_RETRY_SECONDS
            self._settle(lane, row, outcome)

    def _next(self) -> tuple[str, int] | None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if (taken := self._lanes.take(now)) is not None:
                    # Another one watches for what is due next.
                    self._due.notify()
                    return taken
                due = self._lanes.next_due()
                self._due.wait(None if due is None else due - now)
        return None

    def _attempt(self, row: int) -> WriteResult | float:
        """Deliver a write; returns what became of it, or the seconds until the next attempt."""
        write = self.ledger.load(row)
        if write is None:
            return WriteResult("failed", error=_FORGOTTEN)
        key = write.key
        waiting = self._waiting.get(row)
        try:
            request = self._load(write.scope, write.key, write.body)
            deliver = partial(waiting.deliver if waiting else self._deliver, request)
            memories = call_within(self._delivery_timeout, deliver)
        except Exception as error:
            return self._failed(row, key, write.attempts + 1, write.first_failed_at, error)
        if not self.ledger.finish(row, "stored" if memories else "nothing"):
            self._undo(memories)
            return WriteResult("failed", key=key, error=_FORGOTTEN)
        return WriteResult("stored" if memories else "nothing", tuple(memories), key=key)

    def _failed(
        self, row: int, key: str, attempt: int, first_failed_at: float | None, error: Exception
    ) -> WriteResult | float:
        spent = 0.0 if first_failed_at is None else time.time() - first_failed_at
        delay = self._retry.delay(attempt, error, spent=spent)
        reason = f"{type(error).__name__}: {error}"
        # The reason may quote what was to be stored: it goes to the file, not to the log.
        if delay is None:
            self.ledger.bury(row, reason)
            logger.error(
                "Write %d failed after %d attempts (%s) and is kept as a dead letter; see "
                "`mem0-integrations doctor`.",
                row,
                attempt,
                type(error).__name__,
            )
            return WriteResult("failed", key=key, error=reason)
        self.ledger.postpone(row, time.time() + delay, reason)
        logger.warning(
            "Write %d failed (attempt %d, %s); next attempt in %.1f s.",
            row,
            attempt,
            type(error).__name__,
            delay,
        )
        return delay

    def _settle(self, lane: str, row: int, outcome: WriteResult | float) -> None:
        with self._changed:
            if isinstance(outcome, float):
                self._lanes.repeat(lane, time.monotonic() + outcome)
            else:
                self._lanes.finish(lane)
            self._changed.notify_all()
        if isinstance(outcome, WriteResult):
            self._resolve(row, outcome)

    def _resolve(self, row: int, result: WriteResult) -> None:
        waiting = self._waiting.pop(row, None)
        if waiting is not None and waiting.done.set_running_or_notify_cancel():
            waiting.done.set_result(result)
