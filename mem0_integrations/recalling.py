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
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

from mem0_integrations.backends.base import AsyncBackend, Backend
from mem0_integrations.backends.versions import known_at
from mem0_integrations.concurrency import WorkerPool, begin, call_within, timed_out
from mem0_integrations.errors import BackendError, BackendTimeoutError, ClosedError
from mem0_integrations.planning import OnError
from mem0_integrations.ranking import distinct, newest_wins
from mem0_integrations.records import Memory, Recall
from mem0_integrations.refining import (
    Reranker,
    asked_of_graph,
    best_of,
    pool_size,
    reranked,
    with_neighbours,
    with_relations,
    with_times,
)
from mem0_integrations.requests import SearchRequest
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.graph.graph_memory import GraphMemory

__all__ = ["RecallPlan", "Recalling"]

logger = logging.getLogger(__name__)

# Of the time that is left: what was found must be returned in any case.
_SHARE_OF_A_STEP: Final = 0.8
_MORE_RELATIONS: Final = 2


class _GraphOptions(TypedDict):
    scope: Scope
    as_of: datetime | None
    limit: int


@dataclass(frozen=True, slots=True)
class RecallPlan:
    """What a recall does: a search for more than is wanted, and what makes the best of it."""

    request: SearchRequest
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


class Recalling:
    """Carries recalls out.

    Args:
        backend: The Mem0 behind it.
        retry: How failures that may pass are retried.
        graph: The knowledge graph that follows the backend.
        reranker: Puts what was found in its own order.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        retry: RetryPolicy,
        graph: GraphMemory | None,
        reranker: Reranker | None,
    ) -> None:
        self._backend = backend
        self._async_backend = backend if isinstance(backend, AsyncBackend) else None
        self._retry = retry
        self._graph = graph
        self._reranker = reranker
        # Apart, so that neither a full outbox nor a slow listing holds up a recall.
        self._searches = WorkerPool(backend.concurrency)

    def plan(
        self,
        request: SearchRequest,
        *,
        neighbours: int,
        explain: bool,
        budget: float,
        on_error: OnError,
    ) -> RecallPlan:
        """Plan a recall.

        Args:
            request: What is asked for.
            neighbours: How many memories of its conversation to show on either side of each.
            explain: Whether to say how each score came about.
            budget: Seconds that it may take.
            on_error: What a failure does.
        """
        pool = pool_size(
            request.limit,
            dates=bool(request.spans),
            graph=self._graph is not None,
            reranker=self._reranker is not None,
        )
        return RecallPlan(
            request=dataclasses.replace(request, limit=pool),
            limit=request.limit,
            neighbours=neighbours,
            explain=explain,
            budget=budget,
            on_error=on_error,
            began=time.monotonic(),
        )

    def recall(self, plan: RecallPlan) -> Recall:
        """Search, and make the best of it."""
        future = self._searches.submit(partial(self._search, plan))
        try:
            found = future.result(plan.budget)
            if self._graph is not None:
                step = partial(_with_relations, self._graph, plan)
                found = self._tried("The graph", step, found, plan)
            if self._reranker is not None:
                found = self._tried("The reranker", partial(self._reranked, plan), found, plan)
            found = self._best_of(plan, found)
            if plan.neighbours:
                step = partial(self._with_neighbours, plan)
                found = self._tried("The conversation", step, found, plan)
            return found
        except Exception as error:
            future.cancel()
            return _degraded(error, plan.budget, plan.on_error)

    async def arecall(self, plan: RecallPlan) -> Recall:
        """Async twin of `recall`."""
        try:
            found = await asyncio.wait_for(self._asearch(plan), plan.budget)
            if self._graph is not None:
                asked = _awith_relations(self._graph, plan, found)
                found = await self._atried("The graph", asked, found, plan)
            if self._reranker is not None:
                # It may hang, and must not keep others from searching.
                answer = asyncio.wrap_future(begin(partial(self._reranked, plan, found)))
                found = await self._atried("The reranker", answer, found, plan)
            found = self._best_of(plan, found)
            if plan.neighbours:
                asked = self._asearched(partial(self._with_neighbours, plan, found))
                found = await self._atried("The conversation", asked, found, plan)
            return found
        except Exception as error:
            return _degraded(error, plan.budget, plan.on_error)

    def close(self) -> None:
        """Begin no search any more."""
        self._searches.shutdown()

    def _tried(
        self, what: str, step: Callable[[Recall], Recall], found: Recall, plan: RecallPlan
    ) -> Recall:
        """Take a step that may fail: then it only costs what it adds."""
        try:
            return call_within(plan.left, partial(step, found))
        except Exception as error:
            return _without(what, found, error, plan.on_error)

    async def _atried(
        self, what: str, step: Awaitable[Recall], found: Recall, plan: RecallPlan
    ) -> Recall:
        """Async twin of `_tried`."""
        left = plan.left
        try:
            return await asyncio.wait_for(step, left)
        except TimeoutError as error:
            late = error if isinstance(error, BackendError) else timed_out(left)
            return _without(what, found, late, plan.on_error)
        except Exception as error:
            return _without(what, found, error, plan.on_error)

    def _reranked(self, plan: RecallPlan, found: Recall) -> Recall:
        assert self._reranker is not None
        return reranked(self._reranker, plan.request, found)

    def _best_of(self, plan: RecallPlan, found: Recall) -> Recall:
        return best_of(
            plan.request,
            found,
            plan.limit,
            most_relations=0 if self._graph is None else self._graph.relation_limit,
            explain=plan.explain,
        )

    def _with_neighbours(self, plan: RecallPlan, found: Recall) -> Recall:
        conversations: dict[tuple[Scope, str | None], list[Memory]] = {}
        of_memories: dict[str, list[Memory]] = {}
        for memory in found.memories:
            key = memory.scope, _thread_of(memory)
            if key not in conversations:
                conversations[key] = self._conversation(*key, plan.request)
            of_memories[memory.id] = conversations[key]
        return with_neighbours(found, of_memories, plan.neighbours)

    def _conversation(
        self, scope: Scope, thread_id: str | None, request: SearchRequest
    ) -> list[Memory]:
        """Return the memories of a conversation that a recall may show."""
        named = {} if thread_id is None else {"thread_id": thread_id}
        filters = {"AND": [request.filters, named]} if request.filters and named else None
        listed = self._backend.list(
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
        known = (known_at(self._backend, memory, time) for memory in said)
        return [memory for memory in known if memory is not None]

    def _search(self, plan: RecallPlan) -> Recall:
        def found() -> list[Memory]:
            return _taken(self._backend.search(plan.request), plan.request)

        return _ranked(plan.request, self._retry.run(found, deadline=plan.budget))

    async def _asearch(self, plan: RecallPlan) -> Recall:
        backend, request = self._async_backend, plan.request
        if backend is None:
            return await self._asearched(partial(self._search, plan))

        async def found() -> list[Memory]:
            taken: list[Memory] = []
            async for page in backend.asearch(request):
                taken += page
                if len(_taken(taken, request)) == request.limit:
                    break
            return _taken(taken, request)

        return _ranked(request, await self._retry.arun(found, deadline=plan.budget))

    async def _asearched(self, step: Callable[[], Recall]) -> Recall:
        return await asyncio.wrap_future(self._searches.submit(step))


def _with_relations(graph: GraphMemory, plan: RecallPlan, found: Recall) -> Recall:
    request, options = plan.request, _graph_options(graph, plan)
    relations = graph.related(asked_of_graph(request), found.memories, **options)
    return with_relations(request, found, relations)


async def _awith_relations(graph: GraphMemory, plan: RecallPlan, found: Recall) -> Recall:
    """Async twin of `_with_relations`."""
    request, options = plan.request, _graph_options(graph, plan)
    relations = await graph.arelated(asked_of_graph(request), found.memories, **options)
    return with_relations(request, found, relations)


def _graph_options(graph: GraphMemory, plan: RecallPlan) -> _GraphOptions:
    # Those of memories that are not among the best in the end are left out.
    most = _MORE_RELATIONS * graph.relation_limit
    return {"scope": plan.request.scope, "as_of": plan.request.as_of, "limit": most}


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
