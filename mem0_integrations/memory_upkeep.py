"""What keeps a memory in order: its graph and index, its outbox, its end."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from mem0_integrations.arguments import check_timeout
from mem0_integrations.backends.base import Backend
from mem0_integrations.concurrency import WorkerPool, acall, begin, shielded
from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError
from mem0_integrations.following import Follower, KnowledgeGraph
from mem0_integrations.memory_access import MemoryAccess
from mem0_integrations.outbox import DeadLetter, Outbox, OutboxCounts
from mem0_integrations.requests import AddRequest
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import ScopeLike

__all__ = ["MemoryUpkeep"]

logger = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 10.0


class MemoryUpkeep(MemoryAccess):
    """Rebuilds, waits for writes, tells of those that failed, and closes.

    Args:
        backend: The Mem0 behind it.
        outbox: Keeps writes until they are delivered.
        scope: Whose memories, where a call does not say.
        retry: How failures that may pass are retried.
        followers: What follows the memories, in the order in which they are told.
        on_close: Called once by `close`, with the seconds that it may take.
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox[AddRequest],
        *,
        scope: ScopeLike | None,
        retry: RetryPolicy,
        followers: Sequence[Follower],
        on_close: Callable[[float | None], bool] | None,
    ) -> None:
        super().__init__(backend, outbox, scope=scope, retry=retry, followers=followers)
        self._followers = followers
        self._graph = next((each for each in followers if each.graph is not None), None)
        self._on_close = on_close
        # Parts of this memory that are still in use hold it open, too.
        self._dropped = weakref.finalize(
            self._access, _let_go, self._access.pools, on_close, os.getpid()
        )
        self._dropped.atexit = False

    @property
    def has_graph(self) -> bool:
        """Whether a knowledge graph follows the memories."""
        return self._graph is not None

    @property
    def graph(self) -> KnowledgeGraph:
        """The knowledge graph that follows the memories: a `GraphMemory`.

        Keep the memory as long as you use it: a memory that is dropped closes its graph.

        Raises:
            ConfigurationError: There is none.
        """
        return self._graph_follower[1]

    @shielded
    def rebuild_graph(self, scope: ScopeLike) -> int:
        """Make the knowledge graph of a scope again from its memories.

        Args:
            scope: Whose; what the graph has of it, its history too, is erased first.

        Returns:
            How many memories it was made from.

        Raises:
            ConfigurationError: There is no graph.
            BackendError: Mem0, the model or the graph failed. Call it again.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect(graph=True, scope={"user_id": "u"}) as memory:
            ...     result = memory.remember("I live in Oslo.")
            ...     memory.rebuild_graph({"user_id": "u"})
            1
        """
        (follower, _), found = self._graph_follower, self.scope_of(scope)
        with self._access.held(found):
            return follower.rebuild(found)

    async def arebuild_graph(self, scope: ScopeLike) -> int:
        """Async twin of `rebuild_graph`."""
        return await self.in_thread(partial(self.rebuild_graph, scope))

    @shielded
    def reindex(self) -> int:
        """Make the index of the words again from all memories, whosever they are.

        Returns:
            How many memories it has; 0 where Mem0's store or the Platform searches words itself.

        Raises:
            BackendError: Mem0 failed. Call it again.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect() as memory:
            ...     result = memory.remember("I like tea.", scope={"user_id": "u"})
            ...     memory.reindex()
            1
        """
        own = self._access.call(lambda mem0: mem0.reindex())
        return own + sum(self._access.run(follower.reindex) for follower in self._followers)

    async def areindex(self) -> int:
        """Async twin of `reindex`."""
        return await self.in_thread(self.reindex)

    @shielded
    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the outbox has delivered, or given up, everything, then those of followers.

        Args:
            timeout: Seconds; None to wait without an end.

        Returns:
            Whether it did so in time.
        """
        check_timeout("timeout", timeout)
        self._access.require_open()
        began = time.monotonic()
        for outbox in self._outboxes:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
            if not outbox.flush(left):
                return False
        return True

    async def aflush(self, timeout: float | None = None) -> bool:
        """Async twin of `flush`."""
        return await self.in_thread(partial(self.flush, timeout))

    @shielded
    def outbox_counts(self) -> OutboxCounts:
        """Count the writes that are queued, given up and delivered; not those of the graph."""
        return self._outbox.ledger.counts()

    async def aoutbox_counts(self) -> OutboxCounts:
        """Async twin of `outbox_counts`."""
        return await self.in_thread(self.outbox_counts)

    @shielded
    def dead_letters(self) -> list[DeadLetter]:
        """Return the writes that were given up, oldest first; then those of the graph."""
        return [letter for outbox in self._outboxes for letter in outbox.ledger.dead_letters()]

    async def adead_letters(self) -> list[DeadLetter]:
        """Async twin of `dead_letters`."""
        return await self.in_thread(self.dead_letters)

    @shielded
    def replay(self) -> int:
        """Queue all dead letters again; returns how many."""
        return sum(outbox.replay() for outbox in self._outboxes)

    async def areplay(self) -> int:
        """Async twin of `replay`."""
        return await self.in_thread(self.replay)

    @shielded
    def describe(self) -> dict[str, str]:
        """Say which Mem0, store, models and outbox these are, and where they lie."""
        self._access.require_open()
        found = self._backend.describe()
        for follower in self._followers:
            found |= follower.describe()
        return {**found, "outbox": str(self._outbox.ledger.path)}

    async def adescribe(self) -> dict[str, str]:
        """Async twin of `describe`."""
        return await self.in_thread(self.describe)

    @shielded
    def close(self, timeout: float | None = _CLOSE_SECONDS) -> bool:
        """Deliver what is queued, then close what `connect` opened.

        What is not delivered in time stays on disk and is delivered after the next `connect`.

        Args:
            timeout: Seconds to wait; None to wait without an end.

        Returns:
            Whether nothing goes on. Something that does not end in time may still change memories
            until it ends; a warning is logged, and no other process delivers meanwhile.
        """
        if self._access.is_closed:
            # What a forked process inherits is its parent's to close.
            return True
        self._dropped.detach()
        began = time.monotonic()
        is_idle = self._access.close(timeout)
        if self._on_close is not None:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
            is_idle = self._on_close(left) and is_idle
        return is_idle

    async def aclose(self, timeout: float | None = _CLOSE_SECONDS) -> bool:
        """Async twin of `close`."""
        return await acall(partial(self.close, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def _outboxes(self) -> list[Outbox[Any]]:
        return [self._outbox, *(each.outbox for each in self._followers if each.outbox)]

    @property
    def _graph_follower(self) -> tuple[Follower, KnowledgeGraph]:
        if self._graph is None or self._graph.graph is None:
            raise ConfigurationError(
                "This memory has no knowledge graph: connect(graph=True), or with a GraphMemory."
            )
        return self._graph, self._graph.graph


def _let_go(
    pools: Sequence[WorkerPool], on_close: Callable[[float | None], bool] | None, process: int
) -> None:
    """Close a memory that nobody has any more, unless that is its parent process's to do."""

    def close() -> None:
        for pool in pools:
            pool.shutdown()
        try:
            if on_close is not None:
                on_close(_CLOSE_SECONDS)
        except Mem0IntegrationsError as error:
            logger.warning("A memory was dropped and not closed: %s.", type(error).__name__)

    if process == os.getpid():
        # In a thread: the one that has dropped it may hold any lock at this moment. At the end of
        # the interpreter there is none; what is not delivered stays queued.
        with contextlib.suppress(RuntimeError):
            begin(close)
