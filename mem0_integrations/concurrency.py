"""Threads for blocking calls: bounded, and never in the way of the program's exit."""

from __future__ import annotations

import contextvars
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from mem0_integrations.errors import ClosedError

__all__ = ["WorkerPool"]

T = TypeVar("T")

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
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call in one of the threads.

        Raises:
            ClosedError: The pool was shut down.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = contextvars.Context().run(call)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise ClosedError("The memory is closed; connect() again.")
            self._calls.put(run)
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
                thread = threading.Thread(
                    target=self._work, name=f"mem0-integrations-{next(_numbers)}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self) -> None:
        """Let the threads end after the calls that they were given; does not wait."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            # The call may hold the caller's data until the next one arrives.
            del call
            self._idle.release()
