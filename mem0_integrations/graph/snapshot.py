"""The facts of a scope as plain data, to be shown or handed to another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from mem0_integrations.arguments import check_integer
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.following import KnowledgeGraph
from mem0_integrations.graph import cypher
from mem0_integrations.graph.engines.base import Batch, GraphEngine, GraphPlan
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.model import relations_of
from mem0_integrations.graph.projection import chunked
from mem0_integrations.plans import arun, run
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import SCOPE_KEYS, Scope, ScopeLike

__all__ = ["Snapshot", "aread_snapshot", "engine_of", "read_snapshot"]

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The facts of a scope with the types of entities and the memories behind them.

    Attributes:
        relations: The facts, the latest first.
        types: The types of entities, such as `person`, by name, where they are known.
        memories: The memories that support the facts, by id; deleted ones are left out.
        complete: Whether these are all facts; otherwise they are the latest.

    Example:
        >>> Snapshot((Relation("Priya", "lives_in", "Oslo"),)).types
        {}
    """

    relations: tuple[Relation, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    complete: bool = True


def engine_of(graph: KnowledgeGraph) -> GraphEngine:
    """Return the engine of a graph.

    Raises:
        ConfigurationError: It is not a `GraphMemory`.
    """
    if not isinstance(graph, GraphMemory):
        raise ConfigurationError(f"graph must be a GraphMemory, not {graph!r}.")
    return graph.engine


def read_snapshot(
    graph: KnowledgeGraph, *, scope: ScopeLike, history: bool = False, limit: int = 1_000
) -> Snapshot:
    """Read the facts of a scope with what belongs to them.

    Args:
        graph: The graph.
        scope: Whose facts.
        history: Whether to read also what has ended or was taken back.
        limit: Maximum number of facts, 1 to 10,000; the latest are kept. A fact counts once for
            each memory that supports it.

    Raises:
        InvalidInputError: An argument is malformed.
        BackendError: The graph could not be read.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect(graph=True, scope={"user_id": "priya"}) as memory:
        ...     result = memory.remember("I live in Oslo.")
        ...     flushed = memory.flush()
        ...     found = read_snapshot(memory.graph, scope={"user_id": "priya"})
        >>> [said.text for said in found.memories.values()]
        ['I live in Oslo.']
    """
    return run(_snapshot(Scope.of(scope), history, limit), engine_of(graph).run)


async def aread_snapshot(
    graph: KnowledgeGraph, *, scope: ScopeLike, history: bool = False, limit: int = 1_000
) -> Snapshot:
    """Async twin of `read_snapshot`."""
    return await arun(_snapshot(Scope.of(scope), history, limit), engine_of(graph).arun)


def _snapshot(scope: Scope, history: bool, limit: int) -> GraphPlan[Snapshot]:
    check_integer("limit", limit, 1, _MOST)
    [rows] = yield Batch([cypher.facts_of_scope(scope, None, limit, history=history)])
    types: dict[str, str] = {}
    for row in rows:
        for end in ("source", "target"):
            if row[f"{end}_kind"]:
                types.setdefault(row[end], row[f"{end}_kind"])
    ids = list(dict.fromkeys(str(row["memory_id"]) for row in rows))
    queries = chunked(ids, partial(cypher.texts_of_memories, scope))
    found = (yield Batch(queries)) if queries else []
    memories = {str(row["memory_id"]): _memory(row) for part in found for row in part}
    return Snapshot(tuple(relations_of(rows)), types, memories, complete=len(rows) < limit)


def _memory(row: Mapping[str, Any]) -> Memory:
    said_at = datetime.fromisoformat(row["said_at"]) if row["said_at"] else None
    owner = Scope(**{key: row[key] or None for key in SCOPE_KEYS})
    return Memory(id=row["memory_id"], text=row["text"], scope=owner, updated_at=said_at)
