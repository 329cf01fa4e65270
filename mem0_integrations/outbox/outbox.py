"""The outbox: accepts writes durably and delivers them in the background."""

from __future__ import annotations

import contextvars
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import filelock

from mem0_integrations.arguments import check_timeout
from mem0_integrations.concurrency import timed_out
from mem0_integrations.data_folder import file_lock
from mem0_integrations.errors import (
    BackendTimeoutError,
    ClosedError,
    InvalidInputError,
    Mem0IntegrationsError,
    OutboxFullError,
)
from mem0_integrations.outbox.attempts import Attempt, Failures, Fence, reason_of
from mem0_integrations.outbox.delivery import Delivery, Receipt
from mem0_integrations.outbox.forgets import PATIENCE_SECONDS, Forgets
from mem0_integrations.outbox.lanes import Lanes, scope_of
from mem0_integrations.outbox.ledger import Forget, Ledger, QueuedWrite, Request
from mem0_integrations.records import ForgetResult, WriteResult
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope
from mem0_integrations.sqlite import Synchronous

__all__ = ["Outbox"]

logger = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 0.2
_FOLLOW_SECONDS: Final = 0.02
_STORAGE_RETRY_SECONDS: Final = 5.0
_FORGOTTEN: Final = "Its scope was forgotten before it was stored."

R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[R]):
    """A write that this process accepted."""

    request: R
    delivery: Delivery[R]
    done: Future[WriteResult]


_Outcome = WriteResult | float
"""What became of a write, or the seconds until the next attempt."""


class Outbox(Generic[R]):
    """Writes that are on disk before they are carried out.

    Writes of one scope are delivered in the order in which they were accepted, those of
    different scopes in parallel. A write that fails is tried again after a while, as `retry`
    says, and becomes a dead letter in the end; the writes behind it then go on.

    An attempt that outlives its time is given up, unless it is changing something: then the next
    one waits for it. To forget a scope is on disk as well, until it is done: a process that ends
    in the middle of it goes on at its next start.

    Several processes may use the file: the first one delivers for all of them, and another
    takes over when it ends.

    Args:
        path: The SQLite file.
        load: Reads a write from its scope, its key and the text that it was dumped as.
        delivery: Carries writes out, and erases scopes.
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
        delivery: Delivery[R],
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
        self._delivery = delivery
        self._retry = retry
        self._failures = Failures(self.ledger, retry)
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
        self._fence = Fence(self._changed)
        self._lanes = Lanes()
        self._forgets = Forgets(
            self.ledger,
            self._lanes,
            self._changed,
            is_busy=self._is_busy,
            drop=self._drop,
            ended=self._let_go,
        )
        self._waiting: dict[int, _Waiting[R]] = {}
        # By row, those that somebody waits for.
        self._attempts: dict[int, Attempt] = {}
        self._closed = False
        self._process_lock = file_lock(path.with_name(f"{path.name}.lock"))
        self._look_for_writes()
        for job in (self._watch, *[self._work] * workers):
            self._start(job)

    def accept(self, request: R, delivery: Delivery[R] | None = None) -> Receipt:
        """Put a write on disk, once for each key of a scope.

        Args:
            request: The write.
            delivery: Carries this write out, while the process lives; else the outbox's own.

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
                self._waiting[accepted.row] = _Waiting(request, delivery or self._delivery, done)
                if not self.delivers:
                    self._changed.notify_all()
            if self.delivers:
                self._read_queue()
        return Receipt(WriteResult("queued", key=request.key), done)

    @contextmanager
    def promising(self, request: R, delivery: Delivery[R]) -> Iterator[None]:
        """Put a write on disk that is carried out when the block has ended, however it ends.

        Args:
            request: The write.
            delivery: Carries this write out, while the process lives.
        """
        with self._changed:
            self._lanes.pause(request.scope)
        try:
            self.accept(request, delivery)
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
                if not self.delivers or self._lanes or self._forgets:
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
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while self._is_held_back(scope):
                if time.monotonic() > deadline:
                    raise BackendTimeoutError(
                        f"{scope} has been in the course of being forgotten for more than "
                        f"{PATIENCE_SECONDS:.0f} s; nothing was written. Try again.",
                        retryable=True,
                    )
                self._changed.wait(_WATCH_SECONDS)
            self._lanes.enter(scope)
        try:
            yield
        finally:
            with self._changed:
                self._lanes.leave(scope)
                self._changed.notify_all()

    def forget(
        self,
        scope: Scope,
        delivery: Delivery[R] | None = None,
        *,
        filters: Mapping[str, object] | None = None,
        matches: Callable[[R], bool] | None = None,
    ) -> ForgetResult:
        """Erase a scope here and, through the delivery, everywhere; on disk before it begins.

        Writes of the scope that come meanwhile wait until it is done. What fails is tried again,
        at the latest by the next process.

        Args:
            scope: Whose.
            delivery: Erases it; else the outbox's own.
            filters: Which of its memories; None for everything.
            matches: Which of its queued writes; None for all.

        Raises:
            BackendTimeoutError: It is not done in time, and goes on.
            Exception: What the delivery raises; it is tried again.
        """
        selects = None if matches is None else lambda write: matches(self._loaded(write))
        with self._intake:
            self._require_open()
            intent = self.ledger.accept_forget(scope, filters, selects)
            if self.delivers:
                with self._changed:
                    self._forgets.take_up(intent, None)
        if not self.delivers:
            return self._forgets.wait(intent, lambda: self._closed)
        return self._forgets.carry_out(intent, delivery or self._delivery, reported=True)

    def close(self, timeout: float | None = 10.0) -> bool:
        """Deliver what is queued, then stop; what is left stays on disk for the next start.

        Args:
            timeout: Seconds to wait for the deliveries; None to wait without an end.

        Returns:
            Whether nothing goes on. What does may still change something; until it has ended, no
            other process delivers.
        """
        if self._closed:
            return True
        began = time.monotonic()
        self.flush(timeout)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        with self._intake, self._changed:
            self._closed = True
            for attempt in list(self._attempts.values()):
                self._leave_behind(attempt)
                self._settle(attempt.lane, attempt.row, 0.0)
            self._due.notify_all()
            self._changed.notify_all()
            idle = self._changed.wait_for(self._is_idle, left)
        for row in list(self._waiting):
            self._resolve(row, WriteResult("queued"))
        self.ledger.close()
        self._let_go()
        if not idle:
            logger.warning(
                "%s was closed while something was still being written or erased; it goes on "
                "until it ends, and is looked at again at the next start.",
                self.ledger.path.name,
            )
        return idle

    @property
    def delivers(self) -> bool:
        """Whether this process carries the writes of the file out."""
        return bool(self._process_lock.is_locked)

    def _queued(self) -> int:
        """Count what is still to be delivered, or forgotten."""
        if self._closed:
            return 0
        if self.delivers:
            with self._changed:
                return len(self._lanes) + len(self._forgets)
        return self.ledger.queued_count()

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Hold the intake while there is room for one more write."""
        while True:
            with self._intake:
                self._require_open()
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

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("The outbox is closed; connect() again.")

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
        now = time.time()
        with self._changed:
            # After the rows: what came after a forgetting is held back by it. With the lock: one
            # that ends meanwhile would be taken up again, and hold its scope back for ever.
            for intent in self.ledger.forgets():
                self._forgets.take_up(intent, time.monotonic())
            for row, lane, not_before in found:
                # No further off than the policy allows: the clock may have been set back.
                delay = min(max(not_before - now, self._start_delay), self._retry.cap)
                self._lanes.add(row, lane, time.monotonic() + delay)
            if found:
                self._due.notify()

    def _drop(self, intent: Forget, those_under_way: bool) -> None:
        """Give up writes that were erased; for whoever holds the lock."""
        forgotten = WriteResult("failed", error=_FORGOTTEN)
        for row in self._lanes.drop(intent.rows):
            self._resolve(row, forgotten)
        for attempt in list(self._attempts.values()) if those_under_way else ():
            # Nothing that was accepted since has begun.
            is_own = intent.filters is None and intent.scope.covers(scope_of(attempt.lane))
            if (is_own or attempt.row in intent.rows) and not attempt.is_applying:
                self._leave_behind(attempt)
                self._settle(attempt.lane, attempt.row, forgotten)

    def _resume(self, scope: Scope, delay: float) -> None:
        with self._changed:
            self._lanes.resume(scope, time.monotonic() + delay)
            self._due.notify()
            self._changed.notify_all()

    def _is_held_back(self, scope: Scope) -> bool:
        if self.delivers:
            return self._lanes.is_paused(scope)
        return any(intent.scope.covers(scope) for intent in self.ledger.forgets())

    def _is_busy(self, scope: Scope) -> bool:
        changing = map(scope_of, self._fence.lanes())
        return self._lanes.is_busy(scope) or any(map(scope.covers, changing))

    def _is_idle(self) -> bool:
        return not (self._lanes.has_taken() or self._fence.lanes() or self._forgets.is_erasing)

    def _let_go(self) -> None:
        """Let another process deliver, when this one does not and changes nothing any more."""
        with self._changed:
            self._changed.notify_all()
            self._due.notify()
            if self._closed and self._is_idle():
                self._process_lock.release()

    def _start(self, job: Callable[[], None]) -> None:
        threading.Thread(target=job, name="mem0-integrations-outbox", daemon=True).start()

    def _watch(self) -> None:
        while not self._closed:
            if self.delivers:
                time.sleep(_WATCH_SECONDS)
            else:
                with self._changed:
                    self._changed.wait(_FOLLOW_SECONDS if self._waiting else _WATCH_SECONDS)
            try:
                self._look_for_writes()
                self._look_for_late_attempts()
                if self.delivers:
                    self._forgets.look(self._delivery)
                else:
                    self._look_for_results()
            except ClosedError:
                return
            except Mem0IntegrationsError as error:
                logger.warning("The outbox could not be read: %s", type(error).__name__)

    def _look_for_late_attempts(self) -> None:
        now = time.monotonic()
        with self._changed:
            late = [attempt for attempt in self._attempts.values() if attempt.deadline <= now]
            for attempt in late:
                self._leave_behind(attempt)
        for attempt in late:
            outcome = self._failed(attempt, timed_out(self._delivery_timeout))
            self._settle(attempt.lane, attempt.row, outcome)

    def _leave_behind(self, attempt: Attempt) -> None:
        """Wait for an attempt no longer; its thread ends with it, and another takes its place."""
        del self._attempts[attempt.row]
        attempt.is_left_behind = True
        attempt.is_given_up = not attempt.is_applying
        if not self._closed:
            # None can be started any more when the interpreter ends.
            with suppress(RuntimeError):
                self._start(self._work)

    def _look_for_results(self) -> None:
        for row in list(self._waiting):
            status, _ = self.ledger.status(row) or ("dead", None)
            if status != "queued":
                self._resolve(row, self._ended(row))

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            lane, row = taken
            try:
                write = self.ledger.load(row)
                outcome: _Outcome | None = self._ended(row) if write is None else None
            except ClosedError:
                return
            except Mem0IntegrationsError as error:
                outcome = _unnoted(error)
            if outcome is not None:
                self._settle(lane, row, outcome)
            elif write is not None and not self._attempt(lane, write):
                return

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

    def _attempt(self, lane: str, write: QueuedWrite) -> bool:
        """Carry a write out; False when that took too long, and another thread works now."""
        row, waiting = write.row, self._waiting.get(write.row)
        delivery = waiting.delivery if waiting else self._delivery
        attempt = Attempt(
            self._fence,
            lane,
            row,
            write.key,
            number=write.attempts + 1,
            deadline=time.monotonic() + self._delivery_timeout,
            keep=partial(self.ledger.keep, row, write.attempts),
        )
        with self._changed:
            self._attempts[row] = attempt
        try:
            request = self._loaded(write)
            # In an empty context: it is nobody's call.
            memories = contextvars.Context().run(delivery.deliver, request, attempt)
            status: Literal["stored", "nothing"] = "stored" if memories else "nothing"
            result = WriteResult(status, tuple(memories), key=write.key)
        except BaseException as error:
            with self._changed:
                if attempt.is_left_behind:
                    self._let_go()
                    return False
                del self._attempts[row]
            outcome = self._failed(attempt, error)
        else:
            with self._changed:
                if attempt.is_given_up:
                    return False
                if not attempt.is_left_behind:
                    del self._attempts[row]
            outcome = self._finished(attempt, result)
        if attempt.is_left_behind:
            if isinstance(outcome, WriteResult):
                self._resolve(row, outcome)
            self._let_go()
            return False
        self._settle(attempt.lane, attempt.row, outcome)
        return True

    def _loaded(self, write: QueuedWrite) -> R:
        return self._load(write.scope, write.key, write.body)

    def _finished(self, attempt: Attempt, result: WriteResult) -> _Outcome:
        """Note that a write was carried out; an attempt that ends late may do so, too."""
        try:
            known = self.ledger.finish(attempt.row, "stored" if result.memories else "nothing")
        except Mem0IntegrationsError as error:
            return _unnoted(error)
        return result if known else WriteResult("failed", key=result.key, error=_FORGOTTEN)

    def _failed(self, attempt: Attempt, error: BaseException) -> _Outcome:
        try:
            delay = self._failures.note(attempt.row, attempt.number, error)
        except Mem0IntegrationsError as unnoted:
            return _unnoted(unnoted)
        return WriteResult("failed", error=reason_of(error)) if delay is None else delay

    def _settle(self, lane: str, row: int, outcome: _Outcome) -> None:
        with self._changed:
            if isinstance(outcome, float):
                self._lanes.repeat(lane, time.monotonic() + outcome)
            else:
                self._lanes.finish(lane)
                self._failures.end(row)
            self._due.notify()
            self._changed.notify_all()
        if isinstance(outcome, WriteResult):
            self._resolve(row, outcome)

    def _ended(self, row: int) -> WriteResult:
        """Return what became of a write that is queued no more."""
        waiting = self._waiting.get(row)
        status, error = self.ledger.status(row) or ("dead", _FORGOTTEN)
        if status == "stored":
            memories = waiting.delivery.find(waiting.request) if waiting else []
            return WriteResult("stored", tuple(memories))
        return WriteResult("nothing" if status == "nothing" else "failed", error=error)

    def _resolve(self, row: int, result: WriteResult) -> None:
        waiting = self._waiting.pop(row, None)
        if waiting is not None and waiting.done.set_running_or_notify_cancel():
            waiting.done.set_result(dataclasses.replace(result, key=waiting.request.key))


def _unnoted(error: Mem0IntegrationsError) -> float:
    """Return when to look again at a write of which the file could not be read or changed."""
    logger.warning(
        "The outbox could not be used: %s; see `mem0-integrations doctor`.", type(error).__name__
    )
    return _STORAGE_RETRY_SECONDS
