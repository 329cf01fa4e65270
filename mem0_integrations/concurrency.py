"""Threads for blocking calls: bounded, and never in the way of the program's exit."""

from __future__ import annotations

import contextvars
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from mem0_integrations.errors import ClosedError

__all__ = ["WorkerPool"]

T = TypeVar("T")

_Job: TypeAlias = tuple[Future[Any], Callable[[], Any]]

_numbers = itertools.count(1)


class WorkerPool:
    """A pool of at most `size` daemon threads that run calls in an empty context.

    The standard library's `ThreadPoolExecutor` joins its threads when the interpreter exits,
    so that one hanging store would keep the program alive; these threads are left behind.
    The empty context keeps a LangChain model inside Mem0 from streaming its tokens into the
    callbacks of the caller.

    Args:
        size: The most threads.
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
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(contextvars.Context().run(call))
                except BaseException as error:
                    future.set_exception(error)
            # The call may hold the caller's data until the next one arrives.
            del job, future, call
            with self._lock:
                self._idle += 1
