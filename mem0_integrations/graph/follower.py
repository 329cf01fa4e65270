"""A graph that follows the memories, behind an outbox of its own."""

from __future__ import annotations

import dataclasses
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from mem0_integrations.errors import (
    BackendError,
    ConfigurationError,
    CorruptFileError,
    ExtractionError,
    FolderLockedError,
    StorageError,
)
from mem0_integrations.following import Follower, LostFollower, RelatedOptions, memories_as_said
from mem0_integrations.graph.config import embedded_path, graph_from_config
from mem0_integrations.graph.engines.base import LostEngine
from mem0_integrations.graph.extraction import ModelRelationExtractor
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.patterns import PatternRelationExtractor
from mem0_integrations.models import Models
from mem0_integrations.outbox import OUTBOXES, Attempt, Outbox
from mem0_integrations.records import ForgetResult, Memory, Relation
from mem0_integrations.requests import Change, MemorySource, SearchRequest
from mem0_integrations.resources import SharedResources
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

__all__ = [
    "GraphFollower",
    "GraphLike",
    "OpenedGraph",
    "SyncRequest",
    "follow",
    "open_graph",
    "open_or_replace",
]

logger = logging.getLogger(__name__)

GraphLike: TypeAlias = GraphMemory | Mapping[str, Any] | bool

# Seconds; the caller of a write shall have its answer before the graph takes the processor.
_START_DELAY: Final = 0.05
# Those of memories that are not among the best in the end are left out.
_MORE_RELATIONS: Final = 2


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Memories of a scope to look at again: by the keys of their writes, or by their own ids."""

    scope: Scope
    key: str
    keys: tuple[str, ...] = ()
    memory_ids: tuple[str, ...] = ()

    def dump(self) -> str:
        """Return it as JSON, but for the scope and the key."""
        return json.dumps({"keys": self.keys, "memory_ids": self.memory_ids})

    @classmethod
    def load(cls, scope: Scope, key: str, body: str) -> Self:
        """Read what `dump` returned."""
        data = json.loads(body)
        return cls(scope, key, tuple(data["keys"]), tuple(data["memory_ids"]))


@dataclass(frozen=True, slots=True)
class PatientRetry(RetryPolicy):
    """Tries again for as long as the graph is down, but gives an unusable answer up."""

    def delay(self, attempt: int, error: BaseException, *, spent: float) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up."""
        if not isinstance(error, ExtractionError):
            attempt, spent = min(attempt, self.attempts - 1), 0.0
        return RetryPolicy.delay(self, attempt, error, spent=spent)


@dataclass(frozen=True, slots=True)
class OpenedGraph:
    """A graph, and how to close what was opened for it."""

    memory: GraphMemory
    close: Callable[[], object]


def open_or_replace(given: GraphLike, folder: Path) -> OpenedGraph:
    """Open a graph as `open_graph`; in place of one whose file is damaged, one that is down.

    Raises:
        FolderLockedError: Another process has it.
        ConfigurationError: There is no way from `given` to a graph.
    """
    try:
        return open_graph(given, folder)
    except FolderLockedError:
        raise
    except (BackendError, StorageError) as error:
        logger.error("The graph cannot be used: %s", error)
        memory = GraphMemory(LostEngine(error))
        return OpenedGraph(memory, memory.close)


def open_graph(given: GraphLike, folder: Path) -> OpenedGraph:
    """Make a graph of what `connect` was given.

    Args:
        given: A graph, which stays open; a `graph_store`; or True for an embedded one.
        folder: The data folder.

    Raises:
        ConfigurationError: There is no way from `given` to a graph.
    """
    if isinstance(given, GraphMemory):
        return OpenedGraph(given, lambda: None)
    store: object = {"provider": "embedded"} if given is True else given
    if not isinstance(store, Mapping):
        raise ConfigurationError(
            f"graph must be a GraphMemory, a graph_store mapping or True, not {given!r}."
        )
    if store.get("provider") != "embedded":
        memory = graph_from_config(store, folder)
        return OpenedGraph(memory, memory.close)
    path = embedded_path(store, folder)
    shared = _EMBEDDED.acquire(path, partial(graph_from_config, store, folder))
    return OpenedGraph(shared, partial(_EMBEDDED.release, path, None))


def follow(
    opened: OpenedGraph, source: MemorySource, models: Models, *, outbox_path: Path, workers: int
) -> Follower:
    """Let a graph follow memories; where its outbox is damaged, they go on without it.

    Args:
        opened: The graph, which is closed with its follower.
        source: The memories.
        models: Those of Mem0, for what the graph has none of its own.
        outbox_path: The file for what the graph has yet to look at.
        workers: Maximum number of scopes that are looked at at the same time.
    """
    try:
        return GraphFollower(opened, source, models, outbox_path=outbox_path, workers=workers)
    except StorageError as error:
        graph = opened.memory
        return LostFollower(
            GraphFollower, "graph", error, graph=graph, erase=graph.forget, close=opened.close
        )
    except BaseException:
        opened.close()
        raise


@contextmanager
def _saying_what_to_do() -> Iterator[None]:
    try:
        yield
    except CorruptFileError as error:
        raise CorruptFileError(
            f"{error} Then connect() again, and let rebuild_graph() make the graph of each scope "
            f"again: it misses what it was not told of."
        ) from error


_RETRY: Final = PatientRetry(base=1.0, cap=60.0)


class GraphFollower(Follower):
    """Lets a graph follow the memories.

    Before anything changes, the outbox has on disk that the graph must look at it; it looks
    afterwards, also when the process died in between. A graph that is down holds nothing up.

    Args:
        opened: The graph.
        source: The memories.
        models: Those of Mem0, for what the graph has none of its own.
        outbox_path: The file for what the graph has yet to look at.
        workers: Maximum number of scopes that are looked at at the same time.
    """

    name = "The graph"

    def __init__(
        self,
        opened: OpenedGraph,
        source: MemorySource,
        models: Models,
        *,
        outbox_path: Path,
        workers: int,
    ) -> None:
        self.graph: GraphMemory = opened.memory
        self.most_relations = self.graph.relation_limit
        self._opened = opened
        self._source = source
        llm = models.llm
        own = PatternRelationExtractor() if llm is None else ModelRelationExtractor(llm)
        self.graph.complete(extractor=own, embedder=models.embedder)
        self._outbox_path = outbox_path
        with _saying_what_to_do():
            self.outbox: Outbox[SyncRequest] = OUTBOXES.acquire(
                outbox_path,
                partial(
                    Outbox,
                    outbox_path,
                    load=SyncRequest.load,
                    delivery=self,
                    retry=_RETRY,
                    workers=workers,
                    # The memories are on disk: what a power cut takes, `rebuild_graph` makes again.
                    synchronous="NORMAL",
                    start_delay=_START_DELAY,
                ),
            )

    @contextmanager
    def following(self, change: Change) -> Iterator[None]:
        """Let the graph look at memories when the block has ended, however it ends."""
        request = SyncRequest(change.scope, uuid.uuid4().hex, change.keys, change.memory_ids)
        with ExitStack() as promised:
            with _saying_what_to_do():
                promised.enter_context(self.outbox.promising(request, self))
            yield
        if not self.outbox.delivers:
            # The process that delivers may have looked too early.
            again = dataclasses.replace(request, key=uuid.uuid4().hex)
            try:
                self.outbox.accept(again, self)
            except CorruptFileError as error:
                self.failure = error

    def forget(
        self, scope: Scope, filters: Mapping[str, object] | None, forget: Callable[[], ForgetResult]
    ) -> ForgetResult:
        """Erase memories, then what the graph has of them: a graph that is down holds nothing up.

        That the graph is to forget is on disk from then on, until it has.
        """
        result = forget()
        try:
            facts = self.outbox.forget(scope, self, filters=filters).relations
        except CorruptFileError as error:
            # That it is to be erased cannot be noted.
            facts = self.erase(scope, filters).relations
            return self.left_over(dataclasses.replace(result, relations=facts), error)
        except Exception as error:
            pending = (
                f"{self.name} could not be erased yet: {type(error).__name__}: {error} It is tried "
                f"again until it is."
            )
            return dataclasses.replace(result, pending=pending)
        return dataclasses.replace(result, relations=facts)

    def deliver(self, request: SyncRequest, attempt: Attempt) -> list[Memory]:
        """Let the graph say what the memories of a request say now, whatever that is."""
        # What was read may be another's past by the time that it is written.
        with attempt.applying():
            return self._look(request)

    def find(self, request: SyncRequest) -> list[Memory]:
        """Return nothing: nobody waits for it."""
        return []

    def erase(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase the graph of a scope; of a part of it, make the rest again."""
        facts = self.graph.forget(scope)
        if filters is not None:
            # Not only what those memories said: nothing of it may stay in its history.
            self.rebuild(scope)
        return ForgetResult(relations=facts)

    def rebuild(self, scope: Scope) -> int:
        """Make the graph of a scope again and return the number of its memories."""
        return self.graph.rebuild(scope, memories_as_said(self._source, scope))

    def related(self, request: SearchRequest, memories: Sequence[Memory]) -> list[Relation]:
        """Return the facts that memories support, then those about what the question names."""
        return self.graph.related(request.open_query, memories, **self._options(request))

    async def arelated(self, request: SearchRequest, memories: Sequence[Memory]) -> list[Relation]:
        """Async twin of `related`."""
        return await self.graph.arelated(request.open_query, memories, **self._options(request))

    def describe(self) -> dict[str, str]:
        """Say which database the graph is in, and where that lies."""
        return {"graph": self.graph.describe()}

    def close(self, timeout: float | None) -> None:
        """Let the outbox deliver for so many seconds, then close what was opened."""
        OUTBOXES.release(self._outbox_path, timeout)
        self._opened.close()

    def _options(self, request: SearchRequest) -> RelatedOptions:
        limit = _MORE_RELATIONS * self.most_relations
        return {"scope": request.scope, "as_of": request.as_of, "limit": limit}

    def _look(self, request: SyncRequest) -> list[Memory]:
        scope = request.scope
        by_key = [memory for key in request.keys for memory in self._source.find(scope, key)]
        found: dict[str, Memory | None] = {memory.id: memory for memory in by_key}
        found |= {memory_id: self._source.get(scope, memory_id) for memory_id in request.memory_ids}
        memories = [memory for memory in found.values() if memory is not None]
        gone = [memory_id for memory_id, memory in found.items() if memory is None]
        self.graph.sync(scope, memories, gone)
        return memories


_EMBEDDED: Final[SharedResources[GraphMemory]] = SharedResources(lambda memory, _: memory.close())
