"""Threads for blocking calls: bounded, and never in the way of the program's exit."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import itertools
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeAlias, TypeVar

from mem0_integrations.errors import BackendTimeoutError, ClosedError

__all__ = [
    "NATIVE_CODE",
    "LoopThread",
    "WorkerPool",
    "begin",
    "call_within",
    "result_of",
    "timed_out",
]

T = TypeVar("T")

_Job: TypeAlias = tuple[Future[Any], Callable[[], Any]]

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


class WorkerPool:
    """A pool of at most `size` daemon threads that run calls in an empty context.

    The standard library's `ThreadPoolExecutor` joins its threads when the interpreter exits,
    so that one hanging store would keep the program alive; these threads are left behind.
    The empty context keeps a LangChain model inside Mem0 from streaming its tokens into the
    callbacks of the caller.

    Args:
        size: Maximum number of threads.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call in one of the threads.

        Raises:
            ClosedError: The pool was shut down.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise ClosedError("The memory is closed; connect() again.")
            self._jobs.put((future, call))
            if self._idle:
                self._idle -= 1
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(
                    target=self._work, name=f"mem0-integrations-{next(_numbers)}", daemon=True
                ).start()
        return future

    def shutdown(self) -> None:
        """Let the threads end after the calls that they were given; does not wait."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            _carry_out(future, call)
            # The call may hold the caller's data until the next one arrives.
            del job, future, call
            with self._lock:
                self._idle += 1


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
        self._lock = threading.Lock()
        self._closed = False
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there.

        Raises:
            ClosedError: `close` was called; also raised by work that it cuts off.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise ClosedError(self._message)
            if self._started is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
                self._started = loop, thread
                thread.start()
            return asyncio.run_coroutine_threadsafe(self._until_closed(work), self._started[0])

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
    """Run a call in a thread of its own, in an empty context, and wait for it.

    Raises:
        BackendTimeoutError: It did not end within so many seconds, and was left behind.
        Exception: What the call raises.
    """
    future = begin(call)
    try:
        return result_of(future, seconds)
    except TimeoutError:
        if future.done():
            raise
        raise timed_out(seconds) from None


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
    try:
        done.get(timeout=None if timeout is None else max(0.0, timeout))
    except queue.Empty:
        raise TimeoutError from None
    return future.result()


def begin(call: Callable[[], T]) -> Future[T]:
    """Start a call in a thread of its own, in an empty context."""
    future: Future[T] = Future()
    threading.Thread(
        target=_carry_out, args=(future, call), name="mem0-integrations-delivery", daemon=True
    ).start()
    return future


def timed_out(seconds: float) -> BackendTimeoutError:
    """Return what is raised when a call takes too long."""
    return BackendTimeoutError(
        f"It did not end within {seconds:g} s and was left behind.", retryable=True
    )


def _carry_out(future: Future[T], call: Callable[[], T]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(contextvars.Context().run(call))
        except StopIteration as error:
            # No future of asyncio can hold it: whoever waits would wait for ever.
            ended = RuntimeError("The call raised StopIteration.")
            ended.__cause__ = error
            future.set_exception(ended)
        except BaseException as error:
            future.set_exception(error)
