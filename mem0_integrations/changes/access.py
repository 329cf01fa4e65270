"""The door to a Mem0: every call goes through it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from mem0_integrations.backends.base import AsyncBackend, Backend
from mem0_integrations.concurrency import WorkerPool, timed_out
from mem0_integrations.errors import ClosedError
from mem0_integrations.following import Follower, followed
from mem0_integrations.outbox import Outbox
from mem0_integrations.requests import AddRequest, Change
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

__all__ = ["Access"]

T = TypeVar("T")

_AT_ONCE: Final = 32


class Access:
    """Retries calls, refuses them when it is closed, and tells followers of every change.

    Args:
        backend: The Mem0.
        outbox: Keeps writes and the forgetting of a scope apart.
        retry: How failures that may pass are retried.
        followers: What follows the memories, in the order in which they are told.
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox[AddRequest],
        *,
        retry: RetryPolicy,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.followers = followers
        self._backend = backend
        self._async_backend = backend if isinstance(backend, AsyncBackend) else None
        self._outbox = outbox
        self._retry = retry
        self.pools: list[WorkerPool] = []
        self._pool = self.pool()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )
        self._process = os.getpid()
        self._closed = False
        self._left = threading.Condition()
        self._inside = 0

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or belongs to the process that this one was forked from."""
        return self._closed or self._process != os.getpid()

    def require_open(self) -> None:
        """Refuse a call to a memory that is closed.

        Raises:
            ClosedError: It is closed, or belongs to the process that this one was forked from.
        """
        if self._closed:
            raise ClosedError("The memory is closed; connect() again.")
        if self._process != os.getpid():
            raise ClosedError(
                "The memory was opened before os.fork() and its threads stayed in the parent; "
                "connect() in the process that uses it."
            )

    def call(self, ask: Callable[[Backend], T], *, deadline: float | None = None) -> T:
        """Ask the Mem0, with retries.

        Args:
            ask: Asks it, and changes nothing.
            deadline: Seconds that the attempts may take together; None for those of the policy.

        Raises:
            ClosedError: It is closed.
        """
        return self.run(partial(ask, self._backend), deadline=deadline)

    def run(self, call: Callable[[], T], *, deadline: float | None = None) -> T:
        """Carry out a call of a part of the Mem0, such as its documents; see `call`."""

        def attempt() -> T:
            self.require_open()
            return call()

        with self._entered():
            return self._retry.run(attempt, deadline=deadline)

    async def acall(
        self,
        ask: Callable[[AsyncBackend], Awaitable[T]],
        otherwise: Callable[[], Awaitable[T]],
        *,
        deadline: float | None = None,
    ) -> T:
        """Ask a Mem0 on the loop, if it needs no thread for that.

        Args:
            ask: Asks it.
            otherwise: What is done with any other one.
            deadline: Seconds that the attempts may take together; None for those of the policy.
        """
        self.require_open()
        if self._async_backend is None:
            return await otherwise()
        return await self._retry.arun(partial(ask, self._async_backend), deadline=deadline)

    def change(self, change: Change, ask: Callable[[Backend], T]) -> T:
        """Let the Mem0 change memories, but not while their scope is being forgotten.

        Args:
            change: What is going to change.
            ask: Changes it.
        """
        with self.held(change.scope):
            return self.told(change, ask)

    def told(self, change: Change, ask: Callable[[Backend], T]) -> T:
        """Let the Mem0 change memories of a scope that is `held` already."""
        with self.following(change):
            return self.call(ask)

    @contextmanager
    def following(self, *changes: Change) -> Iterator[None]:
        """Let the followers note changes before the block, and look at them after it."""
        with self._entered(), followed(self.followers, *changes):
            yield

    @contextmanager
    def held(self, *scopes: Scope | None) -> Iterator[None]:
        """Hold scopes while something is written; not while one of them is being forgotten."""
        with self._entered(), ExitStack() as entered:
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
                return await self._pool.arun(call)
        except TimeoutError:
            if timeout is None or not limit.expired():
                raise
            raise timed_out(timeout) from None

    def pool(self) -> WorkerPool:
        """Return a pool of as many threads as are worth having, which end when this is closed."""
        self.pools.append(WorkerPool(self._backend.concurrency))
        return self.pools[-1]

    def close(self, timeout: float | None) -> bool:
        """Refuse calls from now on, and wait for those that have begun.

        Args:
            timeout: Seconds to wait; None to wait without an end.

        Returns:
            Whether they have all ended.
        """
        self._closed = True
        for pool in self.pools:
            pool.shutdown()
        with self._left:
            return self._left.wait_for(lambda: not self._inside, timeout)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Let nothing be closed during the block: what is interrupted may still be under way."""
        with self._left:
            self.require_open()
            self._inside += 1
        try:
            yield
        finally:
            with self._left:
                self._inside -= 1
                self._left.notify_all()

    def _turn(self) -> asyncio.Semaphore:
        """Return what lets only some calls of this event loop into the pool at a time.

        Handing over thousands at once, and the threads that run meanwhile, would stall the loop.
        """
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
