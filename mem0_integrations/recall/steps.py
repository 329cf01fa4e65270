"""A recall: a search, and what makes the best of it; each step in what is left of its time."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from mem0_integrations.arguments import OnError
from mem0_integrations.backends.base import AsyncBackend, Backend
from mem0_integrations.changes.access import Access
from mem0_integrations.concurrency import acall, call_within, timed_out
from mem0_integrations.errors import BackendError, BackendTimeoutError, ClosedError, StorageError
from mem0_integrations.following import Follower
from mem0_integrations.plans import Plan, arun, run
from mem0_integrations.recall.ranking import distinct, newest_wins
from mem0_integrations.recall.refinement import (
    Reranker,
    best_of,
    pool_size,
    reranked,
    with_neighbours,
    with_relations,
    with_times,
)
from mem0_integrations.recall.versions import known_at
from mem0_integrations.records import Memory, Recall
from mem0_integrations.requests import SearchRequest
from mem0_integrations.scope import Scope

__all__ = ["RecallRequest", "Recaller"]

logger = logging.getLogger(__name__)

# Of the time that is left: what was found must be returned in any case.
_SHARE_OF_A_STEP: Final = 0.8
_SEARCH: Final = "The search"
_WORDS: Final = "The index of the words"


@dataclass(frozen=True, slots=True)
class RecallRequest:
    """What a recall is asked for.

    Attributes:
        search: What is searched for: more than is wanted.
        limit: Maximum number of memories.
        neighbours: How many memories of its conversation to show on either side of each.
        explain: Whether to say how each score came about.
        budget: Seconds that it may take.
        on_error: What a failure does.
        began: When it began, on the monotonic clock.
    """

    search: SearchRequest
    limit: int
    neighbours: int
    explain: bool
    budget: float
    on_error: OnError
    began: float

    @property
    def left(self) -> float:
        """Seconds that the next step may take."""
        return (self.budget - (time.monotonic() - self.began)) * _SHARE_OF_A_STEP


@dataclass(frozen=True, slots=True)
class _Step:
    """What a recall does next, in a thread or on the loop."""

    name: str
    call: Callable[[], Recall]
    acall: Callable[[], Awaitable[Recall]]


_Plan: TypeAlias = Plan[_Step, Recall, Recall]


class Recaller:
    """Carries recalls out.

    Args:
        access: The door to the Mem0.
        reranker: Puts what was found in its own order.
    """

    def __init__(self, access: Access, *, reranker: Reranker | None) -> None:
        self._access = access
        self._ranking = [each for each in access.followers if each.ranks]
        self._relating = [each for each in access.followers if each.most_relations]
        self._most_relations = sum(each.most_relations for each in self._relating)
        self._reranker = reranker
        # Apart, so that neither a full outbox nor a slow listing holds up a recall.
        self._searches = access.pool()

    def request(
        self,
        search: SearchRequest,
        *,
        neighbours: int,
        explain: bool,
        budget: float,
        on_error: OnError,
    ) -> RecallRequest:
        """Return what to search for, so that the best can be made of it.

        Args:
            search: What is asked for.
            neighbours: How many memories of its conversation to show on either side of each.
            explain: Whether to say how each score came about.
            budget: Seconds that it may take.
            on_error: What a failure does.
        """
        pool = pool_size(
            search.limit,
            dates=bool(search.spans),
            graph=bool(self._relating),
            reranker=self._reranker is not None,
        )
        return RecallRequest(
            search=dataclasses.replace(search, limit=pool),
            limit=search.limit,
            neighbours=neighbours,
            explain=explain,
            budget=budget,
            on_error=on_error,
            began=time.monotonic(),
        )

    def recall(self, request: RecallRequest) -> Recall:
        """Search, and make the best of it."""

        def carried_out(step: _Step) -> Recall:
            if step.name != _SEARCH:
                return call_within(request.left, step.call)
            return self._searches.run(step.call, request.budget)

        try:
            return run(self._steps(request), carried_out)
        except Exception as error:
            return _degraded(error, request.budget, request.on_error)

    async def arecall(self, request: RecallRequest) -> Recall:
        """Async twin of `recall`."""

        async def carried_out(step: _Step) -> Recall:
            seconds = request.budget if step.name == _SEARCH else request.left
            try:
                return await asyncio.wait_for(step.acall(), seconds)
            except TimeoutError as error:
                if isinstance(error, BackendError) or step.name == _SEARCH:
                    raise
                raise timed_out(seconds) from None

        try:
            return await arun(self._steps(request), carried_out)
        except Exception as error:
            return _degraded(error, request.budget, request.on_error)

    def _steps(self, request: RecallRequest) -> _Plan:
        found = yield _Step(
            _SEARCH, partial(self._search, request), partial(self._asearch, request)
        )
        for follower in self._relating:
            found = yield from _optional(_relations_step(follower, request, found), request, found)
        if (reranker := self._reranker) is not None:
            call = partial(reranked, reranker, request.search, found)
            # It may hang, and must not keep others from searching.
            step = _Step("The reranker", call, partial(acall, call))
            found = yield from _optional(step, request, found)
        found = best_of(
            request.search,
            found,
            request.limit,
            most_relations=self._most_relations,
            explain=request.explain,
        )
        if request.neighbours:
            call = partial(self._with_neighbours, request, found)
            step = _Step("The conversation", call, partial(self._asearched, call))
            found = yield from _optional(step, request, found)
        return found

    def _with_neighbours(self, request: RecallRequest, found: Recall) -> Recall:
        conversations: dict[tuple[Scope, str | None], list[Memory]] = {}
        of_memories: dict[str, list[Memory]] = {}
        for memory in found.memories:
            key = memory.scope, _thread_of(memory)
            if key not in conversations:
                conversations[key] = self._access.call(partial(_conversation, *key, request.search))
            of_memories[memory.id] = conversations[key]
        return with_neighbours(found, of_memories, request.neighbours)

    def _search(self, request: RecallRequest) -> Recall:
        search = request.search

        def ranked(mem0: Backend) -> Recall:
            nearest = mem0.search(search)
            for follower in self._ranking:
                _require(follower)
                nearest = follower.rank(search, nearest)
            return _ranked(search, _taken(nearest, search))

        def found(mem0: Backend) -> Recall:
            try:
                return ranked(mem0)
            except StorageError as error:
                # The words lie in a file that may be damaged, and the vectors in another, or in
                # other pages of it.
                ranking = dataclasses.replace(search.ranking, lexical=0.0)
                by_meaning = dataclasses.replace(search, ranking=ranking)
                nearest = _taken(mem0.search(by_meaning), search)
                return _without(_WORDS, _ranked(search, nearest), error, request.on_error)

        return self._access.call(found, deadline=request.budget)

    async def _asearch(self, request: RecallRequest) -> Recall:
        search = request.search

        async def found(mem0: AsyncBackend) -> Recall:
            taken: list[Memory] = []
            async for page in mem0.asearch(search):
                taken += page
                if len(_taken(taken, search)) == search.limit:
                    break
            return _ranked(search, _taken(taken, search))

        in_thread = partial(self._asearched, partial(self._search, request))
        if self._ranking:
            return await in_thread()
        return await self._access.acall(found, in_thread, deadline=request.budget)

    async def _asearched(self, call: Callable[[], Recall]) -> Recall:
        return await self._searches.arun(call)


def _optional(step: _Step, request: RecallRequest, found: Recall) -> _Plan:
    """Take a step that may fail: then it only costs what it adds."""
    try:
        return (yield step)
    except Exception as error:
        return _without(step.name, found, error, request.on_error)


def _require(follower: Follower) -> None:
    if follower.failure is not None:
        raise follower.failure


def _relations_step(follower: Follower, request: RecallRequest, found: Recall) -> _Step:
    search, memories = request.search, found.memories

    def call() -> Recall:
        _require(follower)
        return with_relations(search, found, follower.related(search, memories))

    async def acall() -> Recall:
        _require(follower)
        return with_relations(search, found, await follower.arelated(search, memories))

    return _Step(follower.name, call, acall)


def _conversation(
    scope: Scope, thread_id: str | None, request: SearchRequest, mem0: Backend
) -> list[Memory]:
    """Return the memories of a conversation that a recall may show."""
    named = {} if thread_id is None else {"thread_id": thread_id}
    filters = {"AND": [request.filters, named]} if request.filters and named else None
    listed = mem0.list(
        scope, filters=filters or request.filters or named, limit=sys.maxsize, offset=0
    )
    time = request.as_of
    said = [
        memory
        for memory in listed
        if memory.scope == scope
        and _thread_of(memory) == thread_id
        and (request.accept is None or request.accept(memory))
    ]
    if time is None:
        return said
    known = (known_at(mem0, memory, time) for memory in said)
    return [memory for memory in known if memory is not None]


def _degraded(error: Exception, budget: float, on_error: OnError) -> Recall:
    if isinstance(error, ClosedError):
        raise error
    if isinstance(error, TimeoutError) and not isinstance(error, BackendError):
        error = BackendTimeoutError(
            f"Memory did not answer within {budget:g} s. Check the vector store and the embedder "
            f"with `mem0-integrations doctor`, or allow more time with timeout=.",
            retryable=True,
        )
    if on_error == "raise":
        raise error
    # The message of the error may quote the query: it goes into the result, not into the log.
    logger.warning("Recall degraded: %s.", type(error).__name__)
    return Recall(degraded=f"{type(error).__name__}: {error}")


def _taken(found: Iterable[Memory], request: SearchRequest) -> list[Memory]:
    accepted = found if request.accept is None else filter(request.accept, found)
    if request.repeats:
        return list(itertools.islice(accepted, request.limit))
    return distinct(accepted, request.limit)


def _thread_of(memory: Memory) -> str | None:
    thread_id = memory.metadata.get("thread_id")
    return thread_id if isinstance(thread_id, str) else None


def _ranked(request: SearchRequest, found: Sequence[Memory]) -> Recall:
    return Recall(memories=tuple(newest_wins(with_times(request, found))))


def _without(what: str, found: Recall, error: Exception, on_error: OnError) -> Recall:
    if on_error == "raise" or isinstance(error, ClosedError):
        raise error
    logger.warning("Recall without what %s adds: %s.", what.lower(), type(error).__name__)
    reason = f"{what} could not be read. {type(error).__name__}: {error}"
    return dataclasses.replace(
        found, degraded=reason if found.degraded is None else f"{found.degraded} {reason}"
    )
