"""What stands between an adapter and a backend: retries, forgetting, closing, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from mem0_integrations.concurrency import WorkerPool, timed_out
from mem0_integrations.outbox import Outbox
from mem0_integrations.requests import AddRequest
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

__all__ = ["Guard"]

T = TypeVar("T")

_AT_ONCE: Final = 32


class Guard:
    """Carries calls to a backend out.

    Args:
        outbox: Keeps writes and the forgetting of a scope apart.
        retry: How failures that may pass are retried.
        pool: The threads for blocking calls.
        require_open: Raises when the memory is closed.
    """

    def __init__(
        self,
        *,
        outbox: Outbox[AddRequest],
        retry: RetryPolicy,
        pool: WorkerPool,
        require_open: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._retry = retry
        self._pool = pool
        self._require_open = require_open
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )

    def run(self, call: Callable[[], T]) -> T:
        """Carry a call out, with retries.

        Raises:
            ClosedError: The memory is closed.
        """
        self._require_open()
        return self._retry.run(call)

    @contextmanager
    def writing(self, scopes: Iterable[Scope | None]) -> Iterator[None]:
        """Hold scopes while something is written; not while one of them is being forgotten."""
        with ExitStack() as entered:
            # In one order, so that two writers of the same scopes do not wait for each other.
            for scope in sorted({scope for scope in scopes if scope is not None}, key=repr):
                entered.enter_context(self._outbox.writing(scope))
            yield

    async def in_thread(self, call: Callable[[], T], *, timeout: float | None = None) -> T:
        """Carry a blocking call out in a thread of the memory.

        Raises:
            BackendTimeoutError: It did not end within `timeout` seconds, and was left behind.
        """
        try:
            async with asyncio.timeout(timeout) as limit, self._turn():
                return await asyncio.wrap_future(self._pool.submit(call))
        except TimeoutError:
            if timeout is None or not limit.expired():
                raise
            raise timed_out(timeout) from None

    def _turn(self) -> asyncio.Semaphore:
        """Return what lets only some calls of this event loop into the pool at a time.

        Handing over thousands at once, and the threads that run meanwhile, would stall the loop.
        """
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
