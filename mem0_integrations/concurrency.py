"""Threads for blocking calls: bounded, and never in the way of the program's exit."""

from __future__ import annotations

import _thread
import asyncio
import atexit
import contextlib
import contextvars
import functools
import itertools
import logging
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Generic, ParamSpec, TypeVar

from mem0_integrations.errors import BackendTimeoutError, ClosedError

__all__ = [
    "NATIVE_CODE",
    "LoopThread",
    "WorkerPool",
    "acall",
    "begin",
    "bell",
    "call_within",
    "result_of",
    "shielded",
    "timed_out",
]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_IDLE_SECONDS: Final = 10.0
_SIGNALS_SECONDS: Final = 0.2

NATIVE_CODE: Final = threading.Lock()
"""Held by a thread that is inside native code which must not be cut off.

A daemon thread that comes back from onnxruntime when the interpreter is gone aborts the process.
"""
# Before anything else of this package is registered, and so after all of it has been run.
atexit.register(NATIVE_CODE.acquire, timeout=10)
os.register_at_fork(
    before=NATIVE_CODE.acquire,
    after_in_parent=NATIVE_CODE.release,
    after_in_child=NATIVE_CODE.release,
)

_numbers = itertools.count(1)


class _Job(Generic[T]):
    """A call for another thread, and what comes of it.

    Args:
        call: The call. It runs in an empty context, which keeps a LangChain model inside Mem0 from
            streaming its tokens into the callbacks of the caller.
        tell: Called in that thread when the call has ended.
    """

    def __init__(self, call: Callable[[], T], tell: Callable[[_Job[T]], object]) -> None:
        self._call: Callable[[], T] | None = call
        self._tell: Callable[[_Job[T]], object] | None = tell
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._left = False

    def leave(self) -> None:
        """Keep nothing of what comes of it: nobody waits for it any more."""
        self._left = True
        self._result.clear()

    def give_up(self) -> None:
        """Do not begin it any more; what has begun goes on, and is left."""
        self._call = None
        self.leave()

    def carry_out(self) -> None:
        """Make the call, in the thread that this is called in."""
        call, self._call = self._call, None
        if call is not None:
            try:
                self._result.append(contextvars.Context().run(call))
            except BaseException as error:
                self._error = error
            if self._left:
                self._result.clear()
                if self._error is not None:
                    logger.warning(
                        "A call that nobody waits for any more failed: %s.",
                        type(self._error).__name__,
                    )
                    self._error = None

    def tell(self) -> None:
        """Tell whoever waits for it that it was carried out."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(self)

    def result(self) -> T:
        """Return what the call returned, once; raise what it raised."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._result.pop()
        finally:
            # Its traceback leads here, and would keep everything until the next collection.
            del error


class WorkerPool:
    """A pool of daemon threads that carry calls out, and end when there is nothing to do.

    The standard library's `ThreadPoolExecutor` joins its threads when the interpreter exits,
    so that one hanging store would keep the program alive; these threads are left behind. And
    whoever waits for one of its futures holds a lock in Python code meanwhile, where an exception
    that a signal handler raises would leave it locked: here the main thread waits in C alone, and
    can be interrupted anywhere.

    Args:
        size: Maximum number of threads; None for as many as are needed.
    """

    def __init__(self, size: int | None) -> None:
        self._size = sys.maxsize if size is None else size
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        # Reentrant, since a signal handler may make a call, too.
        self._lock = threading.RLock()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def run(self, call: Callable[[], T], timeout: float | None = None) -> T:
        """Carry a call out in one of the threads and wait for it.

        Where no thread can be started, at the end of the interpreter for example, it is carried
        out at once.

        Args:
            call: The call. When whoever waits for it is interrupted, it goes on.
            timeout: Seconds to wait; None to wait without an end.

        Raises:
            TimeoutError: It did not end in time, and was left behind.
            ClosedError: The pool was shut down.
            Exception: What the call raises.
        """
        done: queue.SimpleQueue[_Job[T]] = queue.SimpleQueue()
        job = _Job(call, done.put)
        try:
            self._give(job)
            _wait(done, timeout)
        except _LateError:
            job.give_up()
            raise
        except BaseException:
            job.leave()
            raise
        return job.result()

    async def arun(self, call: Callable[[], T]) -> T:
        """Carry a call out in one of the threads; when it is cancelled, what has begun goes on.

        Raises:
            ClosedError: The pool was shut down.
            Exception: What the call raises.
        """
        done, ring = bell()
        job = _Job(call, ring)
        try:
            self._give(job)
            await done
        except BaseException:
            job.give_up()
            raise
        return job.result()

    def shutdown(self) -> None:
        """Let the threads end after the calls that they were given; does not wait."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _give(self, job: _Job[Any]) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError("The memory is closed; connect() again.")
            if self._has_thread_for(self._jobs.qsize() + 1):
                self._jobs.put(job)
                return
        job.carry_out()
        job.tell()

    def _has_thread_for(self, jobs: int) -> bool:
        """Start one more thread where one is missing; returns False if it cannot be started."""
        if jobs <= self._idle or self._threads >= self._size:
            return True
        self._threads += 1
        try:
            _start(self._work)
        except BaseException as error:
            self._threads -= 1
            if isinstance(error, RuntimeError):
                return False
            raise
        return True

    def _work(self) -> None:
        with self._lock:
            self._idle += 1
        while (job := self._next()) is not None:
            job.carry_out()
            # Before anyone is told, who may have the next one at once.
            with self._lock:
                self._idle += 1
            job.tell()
            # It may hold the caller's data until the next one arrives.
            del job

    def _next(self) -> _Job[Any] | None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._idle -= 1
                        self._threads -= 1
                        return None
                # One has come when this thread was about to end.
                continue
            with self._lock:
                self._idle -= 1
                if job is not None and not self._closed:
                    # Another one may have come while this thread still counted as idle.
                    self._has_thread_for(self._jobs.qsize())
            return job


class LoopThread:
    """An event loop in a thread of its own, for connections that belong to one loop.

    The thread starts with the first work.

    Args:
        name: The thread's name.
        closed: The message of the error for work that `close` refuses or cuts off.
    """

    def __init__(self, name: str, closed: str) -> None:
        self._name = name
        self._message = closed
        self._lock = threading.RLock()
        self._closed = False
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there.

        Raises:
            ClosedError: `close` was called; also raised by work that it cuts off.
        """
        with self._lock:
            loop = self._running(work)
            return asyncio.run_coroutine_threadsafe(self._until_closed(work), loop)

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and await it here; when this is cancelled, it is, too.

        Raises:
            ClosedError: `close` was called; also raised by work that it cuts off.
        """
        begun: list[asyncio.Task[T]] = []
        done, ring = bell()

        def begin() -> None:
            begun.append(asyncio.ensure_future(self._until_closed(work)))
            begun[0].add_done_callback(ring)

        def cancel() -> None:
            begun[0].cancel()

        with self._lock:
            loop = self._running(work)
            loop.call_soon_threadsafe(begin)
        try:
            await done
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(cancel)
            raise
        return begun[0].result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cut off what runs there, let `last` close the connections, and end the thread.

        A second call does nothing.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._started is not None:
            loop, thread = self._started
            for work in (_cancel_others, last):
                asyncio.run_coroutine_threadsafe(work(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self, work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        if self._closed:
            work.close()
            raise ClosedError(self._message)
        if self._started is None:
            loop = asyncio.new_event_loop()
            self._started = loop, _start(loop.run_forever, self._name)
        return self._started[0]

    async def _until_closed(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                # Whoever waits was not cancelled itself.
                raise ClosedError(self._message) from None
            raise


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """Run a call in another thread, in an empty context, and wait for it.

    Raises:
        BackendTimeoutError: It did not end within so many seconds, and was left behind.
        Exception: What the call raises.
    """
    try:
        return _calls.run(call, seconds)
    except _LateError:
        raise timed_out(seconds) from None


def bell() -> tuple[asyncio.Future[None], Callable[[object], None]]:
    """Return what a coroutine awaits, and what ends that from any thread, with any argument.

    A future of `concurrent.futures` cannot be awaited in its place: its lock is held in Python code
    meanwhile, where the main thread may be interrupted.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[None] = loop.create_future()

    def hear() -> None:
        if not heard.done():
            heard.set_result(None)

    def ring(_: object) -> None:
        # Nobody waits on a loop that is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(hear)

    return heard, ring


async def acall(call: Callable[[], T]) -> T:
    """Run a call in another thread, in an empty context; it may hang, and hold up no other."""
    return await _calls.arun(call)


def shielded(call: Callable[P, T]) -> Callable[P, T]:
    """Let no signal into a function: what the main thread calls, another one carries out.

    An exception that a signal handler raises, such as a KeyboardInterrupt, may come between any
    two steps of the main thread: also after a transaction was begun, or a lock was taken. It is
    raised to the caller; the call goes on, and ends, in its thread. Other threads receive no
    signals and carry out themselves what they call.

    Args:
        call: The function, or a method.

    Example:
        >>> @shielded
        ... def thread() -> threading.Thread:
        ...     return threading.current_thread()
        >>> thread() is threading.main_thread()
        False
    """

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        if _receives_signals():
            return _calls.run(partial(call, *args, **kwargs))
        return call(*args, **kwargs)

    return called


def result_of(future: Future[T], timeout: float | None) -> T:
    """Wait as `future.result` does, but be woken once: its condition wakes a thread twice.

    Args:
        future: The future.
        timeout: Seconds to wait; None to wait without an end.

    Raises:
        TimeoutError: It was not done in time.
        Exception: What the future ends with.
    """
    done: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()
    future.add_done_callback(done.put)
    _wait(done, timeout)
    return future.result()


def begin(call: Callable[[], object]) -> None:
    """Start a call in a thread of its own, and do not wait for it.

    Raises:
        RuntimeError: There can be no more threads.
    """
    _start(call)


def timed_out(seconds: float) -> BackendTimeoutError:
    """Return what is raised when a call takes too long."""
    return BackendTimeoutError(
        f"It did not end within {seconds:g} s and was left behind.", retryable=True
    )


class _LateError(TimeoutError):
    """A call did not end in time."""


def _wait(done: queue.SimpleQueue[Any], timeout: float | None) -> None:
    """Wait until there is something in a queue; raises `_LateError`.

    A signal that comes in the moment in which a wait begins is heard when it ends: so it is short.
    """
    end = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            done.get(timeout=min(left, _SIGNALS_SECONDS))
        except queue.Empty:
            if left <= _SIGNALS_SECONDS:
                raise _LateError from None
        else:
            return


def _receives_signals() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _start(work: Callable[[], object], name: str = "") -> threading.Thread:
    """Start a daemon thread, and return it.

    Raises:
        RuntimeError: There can be no more threads.
    """
    name = name or f"mem0-integrations-{next(_numbers)}"
    thread = threading.Thread(target=work, name=name, daemon=True)

    def start() -> None:
        try:
            thread.start()
        except RuntimeError:
            work()

    if _receives_signals():
        # It waits in Python code until the thread runs: an exception would leave a lock to both.
        _thread.start_new_thread(start, ())
    else:
        thread.start()
    return thread


def _after_fork() -> None:
    # A forked process has none of the threads.
    global _calls  # noqa: PLW0603
    _calls = WorkerPool(None)


_calls = WorkerPool(None)
os.register_at_fork(after_in_child=_after_fork)
