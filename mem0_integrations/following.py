"""The port of what follows the memories: told of every change, and heard in a recall."""

from __future__ import annotations

import dataclasses
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack

from mem0_integrations.errors import Mem0IntegrationsError, StorageError
from mem0_integrations.records import ForgetResult, Memory, Relation
from mem0_integrations.requests import Change, MemorySource, SearchRequest
from mem0_integrations.retry import is_retryable
from mem0_integrations.scope import Scope, ScopeLike

if TYPE_CHECKING:
    from mem0_integrations.outbox import Outbox

__all__ = [
    "Follower",
    "KnowledgeGraph",
    "LostFollower",
    "RelatedOptions",
    "RelationsOptions",
    "followed",
    "memories_as_said",
]

logger = logging.getLogger(__name__)


class RelatedOptions(TypedDict, total=False):
    """What a graph is asked with for the facts beside memories."""

    scope: Required[ScopeLike]
    as_of: datetime | None
    limit: int


class RelationsOptions(RelatedOptions, total=False):
    """What a graph is asked with for facts."""

    depth: int


class KnowledgeGraph(ABC):
    """What a follower that keeps facts can be asked; see `mem0_integrations.graph.GraphMemory`."""

    @abstractmethod
    def relations(
        self,
        entity: str | None = None,
        *,
        scope: ScopeLike,
        depth: int = 1,
        as_of: datetime | None = None,
        limit: int = 100,
    ) -> list[Relation]:
        """Return facts, the latest first: of a scope, or around one entity."""

    @abstractmethod
    async def arelations(
        self, entity: str | None = None, **options: Unpack[RelationsOptions]
    ) -> list[Relation]:
        """Async twin of `relations`."""

    @abstractmethod
    def history(self, *, scope: ScopeLike, limit: int = 1_000) -> list[Relation]:
        """Return all facts of a scope, those that have ended or were taken back among them."""

    @abstractmethod
    async def ahistory(self, *, scope: ScopeLike, limit: int = 1_000) -> list[Relation]:
        """Async twin of `history`."""

    @abstractmethod
    def path(
        self, source: str, target: str, *, scope: ScopeLike, longest: int = 4
    ) -> list[Relation]:
        """Return the facts that connect two entities, as few as possible."""

    @abstractmethod
    async def apath(
        self, source: str, target: str, *, scope: ScopeLike, longest: int = 4
    ) -> list[Relation]:
        """Async twin of `path`."""


class Follower(ABC):
    """Something that is made of the memories, lies beside them, and follows their changes.

    It is a function of the memories: `rebuild` makes what having followed has made. Its methods
    block unless they say otherwise, and may be called from any thread.
    """

    name: str
    """What it is called in a recall that had to do without it, such as `The graph`."""

    ranks: bool = False
    """Whether `rank` does anything; then a recall searches in a thread."""

    most_relations: int = 0
    """Maximum number of facts that it adds to a recall; 0 if it adds none."""

    graph: KnowledgeGraph | None = None
    """The knowledge graph that it keeps, if it keeps one."""

    outbox: Outbox[Any] | None = None
    """Where changes wait for it, if they do."""

    failure: Mem0IntegrationsError | None = None
    """Why it cannot be used any more, or has not been told of a change: a file is damaged."""

    @abstractmethod
    def following(self, change: Change) -> AbstractContextManager[None]:
        """Note a change durably before it happens; look at it when the block ends, in any way."""

    @abstractmethod
    def forget(
        self, scope: Scope, filters: Mapping[str, object] | None, forget: Callable[[], ForgetResult]
    ) -> ForgetResult:
        """Let memories be erased, and erase what was made of them; again, where it broke off.

        Args:
            scope: Whose.
            filters: Which of its memories; None for everything.
            forget: Erases the memories.

        Returns:
            What was erased, this follower's share included; `pending` says what is still to be.
        """

    def left_over(self, result: ForgetResult, failure: Mem0IntegrationsError) -> ForgetResult:
        """Say in a result that a damaged file may still have something of what was erased."""
        pending = (
            f"{self.name} may still have something of it. When its file is mended or deleted, "
            f"connect() and call forget() again. {failure}"
        )
        return dataclasses.replace(result, pending=pending)

    @abstractmethod
    def rebuild(self, scope: Scope) -> int:
        """Make what is kept of a scope again; returns from how many memories."""

    def reindex(self) -> int:
        """Make again what a search reads, of all scopes; returns from how many memories."""
        return 0

    def rank(self, request: SearchRequest, nearest: Iterator[Memory]) -> Iterator[Memory]:
        """Yield what a search found, and what this follower finds, best first.

        Args:
            request: What is asked.
            nearest: What was found so far, best first; read only as far as needed.
        """
        return nearest

    def related(self, request: SearchRequest, memories: Sequence[Memory]) -> list[Relation]:
        """Return facts for a recall.

        Args:
            request: What was asked.
            memories: What was found, best first.
        """
        return []

    async def arelated(self, request: SearchRequest, memories: Sequence[Memory]) -> list[Relation]:
        """Async twin of `related`; it does not block."""
        return []

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Say what this is and where it lies, by part."""

    @abstractmethod
    def close(self, timeout: float | None) -> None:
        """Release what was opened.

        Args:
            timeout: Seconds to wait for what has still to be followed; None without an end.
        """


class LostFollower(Follower):
    """Stands for a follower whose files are damaged: the memories go on without it.

    Args:
        kind: The follower's class.
        part: What it calls itself where it describes itself.
        failure: Why it cannot be used.
        graph: The knowledge graph that it keeps, if that can be used.
        erase: Erases what was made of the memories of a scope, as far as that can be done.
        close: Releases what could be opened.
    """

    def __init__(
        self,
        kind: type[Follower],
        part: str,
        failure: Mem0IntegrationsError,
        *,
        graph: KnowledgeGraph | None = None,
        erase: Callable[[Scope], int] = lambda _: 0,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = kind.name
        self.ranks = kind.ranks
        self.most_relations = 0 if graph is None else 1
        self.graph = graph
        self.failure = self._reason = failure
        self._part = part
        self._erase = erase
        self._close = close
        logger.error("%s cannot be used: %s", self.name, failure)

    def following(self, change: Change) -> AbstractContextManager[None]:
        """Do nothing: what is there by then is read when it is made again."""
        return nullcontext()

    def forget(
        self, scope: Scope, filters: Mapping[str, object] | None, forget: Callable[[], ForgetResult]
    ) -> ForgetResult:
        """Let memories be erased, and say that the damaged file may still have something."""
        result = dataclasses.replace(forget(), relations=self._erase(scope))
        return self.left_over(result, self._reason)

    def rebuild(self, scope: Scope) -> int:
        """Refuse: what changes meanwhile would not be followed."""
        raise self._reason

    def reindex(self) -> int:
        """Refuse, if this is what a search reads."""
        if self.ranks:
            raise self._reason
        return 0

    def describe(self) -> dict[str, str]:
        """Say that it cannot be used."""
        return {self._part: f"cannot be used: {type(self._reason).__name__}"}

    def close(self, timeout: float | None) -> None:
        """Release what could be opened."""
        self._close()


@contextmanager
def followed(followers: Sequence[Follower], *changes: Change) -> Iterator[None]:
    """Let followers note changes before the block, and look at them after it.

    One whose file is damaged holds nothing up: from then on it is left out of recalls.
    """
    with ExitStack() as noted:
        for change in changes:
            for follower in followers:
                try:
                    noted.enter_context(follower.following(change))
                except StorageError as error:
                    if is_retryable(error, idempotent=True):
                        raise
                    follower.failure = error
                    logger.error("%s misses changes: %s", follower.name, error)
        yield


def memories_as_said(source: MemorySource, scope: Scope) -> list[Memory]:
    """Return all memories of a scope; only a new text counts as a change of one."""
    memories = source.list(scope, filters=None, limit=sys.maxsize, offset=0)
    return [_as_said(source, memory) for memory in memories]


def _as_said(source: MemorySource, memory: Memory) -> Memory:
    if memory.updated_at == memory.created_at:
        return memory
    said = [
        change.at
        for change in source.history(memory.scope, memory.id)
        if change.at is not None and change.old_text != change.new_text == memory.text
    ]
    return dataclasses.replace(memory, updated_at=said[-1]) if said else memory
