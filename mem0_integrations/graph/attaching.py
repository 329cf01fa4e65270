"""A graph for a Mem0: made of what `connect` was given, completed, and put behind an outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from mem0_integrations.backends.base import Backend
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.graph.config import embedded_path, graph_from_config
from mem0_integrations.graph.extraction import ModelRelationExtractor
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.patterns import PatternRelationExtractor
from mem0_integrations.graph.projected import (
    PatientRetry,
    ProjectedBackend,
    SyncRequest,
    deliver_to_graph,
)
from mem0_integrations.outbox import Outbox
from mem0_integrations.shared import SharedResources

__all__ = ["AttachedGraph", "GraphLike", "OpenedGraph", "abandon", "attach", "open_graph"]

GraphLike: TypeAlias = GraphMemory | Mapping[str, Any] | bool

# Seconds; the caller of a write shall have its answer before the graph takes the processor.
_START_DELAY: Final = 0.05
_RETRY: Final = PatientRetry(base=1.0, cap=60.0)


@dataclass(frozen=True, slots=True)
class AttachedGraph:
    """A graph that follows a Mem0.

    Attributes:
        memory: The graph.
        outbox: What it has yet to look at.
        backend: The Mem0, whose changes it follows.
        close: Lets the outbox deliver, for so many seconds, and closes what was opened.
    """

    memory: GraphMemory
    outbox: Outbox[SyncRequest]
    backend: ProjectedBackend
    close: Callable[[float | None], None]


@dataclass(frozen=True, slots=True)
class OpenedGraph:
    """A graph, and how to close it.

    Attributes:
        memory: The graph.
        close: Closes what was opened for it.
    """

    memory: GraphMemory
    close: Callable[[], None]


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


def attach(
    opened: OpenedGraph, backend: Backend, *, outbox_path: Path, workers: int
) -> AttachedGraph:
    """Let a graph follow a Mem0, whose models do what the graph has none for.

    Args:
        opened: The graph.
        backend: The Mem0.
        outbox_path: The file for what the graph has yet to look at.
        workers: The most scopes that are looked at at the same time.
    """
    memory, models = opened.memory, backend.models()
    memory.complete(
        extractor=(
            PatternRelationExtractor() if models.llm is None else ModelRelationExtractor(models.llm)
        ),
        embedder=models.embedder,
    )
    outbox = _OUTBOXES.acquire(
        outbox_path,
        partial(
            Outbox,
            outbox_path,
            load=SyncRequest.load,
            deliver=partial(deliver_to_graph, memory, backend),
            undo=lambda _: None,
            retry=_RETRY,
            workers=workers,
            # The memories are on disk: what a power cut takes, `rebuild_graph` makes again.
            synchronous="NORMAL",
            start_delay=_START_DELAY,
        ),
    )

    def close(timeout: float | None) -> None:
        _OUTBOXES.release(outbox_path, timeout)
        opened.close()

    return AttachedGraph(memory, outbox, ProjectedBackend(backend, memory, outbox), close)


def abandon() -> None:
    """Drop what is shared within this process; it is that of the process it was forked from."""
    for resources in (_EMBEDDED, _OUTBOXES):
        resources.abandon()


_EMBEDDED: Final[SharedResources[GraphMemory]] = SharedResources(lambda memory, _: memory.close())
_OUTBOXES: Final[SharedResources[Outbox[SyncRequest]]] = SharedResources(
    lambda outbox, timeout: outbox.close(timeout)
)
