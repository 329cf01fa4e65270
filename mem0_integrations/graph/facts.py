"""Plans that read facts: of a scope, around a name, between two of them, beside memories. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Unpack

from mem0_integrations.arguments import aware, check_integer
from mem0_integrations.errors import InvalidInputError
from mem0_integrations.following import RelatedOptions
from mem0_integrations.graph import cypher
from mem0_integrations.graph.engines.base import Batch, GraphPlan, Rows
from mem0_integrations.graph.model import relations_of, timestamp
from mem0_integrations.names import name_key, named_in, speaker_of
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import Scope, ScopeLike

__all__ = ["history", "known", "path", "related", "relations"]

_MOST: Final = 10_000
_DEEPEST: Final = 4
_KNOWN: Final = 15


def relations(
    entity: str | None,
    *,
    scope: ScopeLike,
    depth: int = 1,
    as_of: datetime | None = None,
    limit: int = 100,
) -> GraphPlan[list[Relation]]:
    """Read the facts of a scope, or those around an entity; see `GraphMemory.relations`."""
    scope = Scope.of(scope)
    check_integer("limit", limit, 1, _MOST)
    check_integer("depth", depth, 1, _DEEPEST)
    at = _time(as_of)
    if entity is None:
        [rows] = yield Batch([cypher.facts_of_scope(scope, at, limit, history=False)])
        return relations_of(rows)
    found: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    keys = {_key("entity", entity)}
    for _ in range(depth):
        rows = yield from _around(scope, keys, at, limit)
        found |= {row["id"]: row for row in rows if row["id"] not in found}
        seen |= keys
        keys = {name_key(row[end]) for row in rows for end in ("source", "target")} - seen
        if not keys or len(found) >= limit:
            break
    return relations_of(found.values())[:limit]


def history(scope: Scope, limit: int) -> GraphPlan[list[Relation]]:
    """Read all facts of a scope, including those that no longer hold."""
    check_integer("limit", limit, 1, _MOST)
    [rows] = yield Batch([cypher.facts_of_scope(scope, None, limit, history=True)])
    return relations_of(rows)


def path(scope: Scope, source: str, target: str, longest: int) -> GraphPlan[list[Relation]]:
    """Find the fewest facts that connect two entities, step by step from the first."""
    check_integer("longest", longest, 1, _DEEPEST)
    start, end = _key("source", source), _key("target", target)
    came_by: dict[str, tuple[str, dict[str, Any]]] = {}
    keys = {start}
    for _ in range(longest):
        rows = yield from _around(scope, keys, None, _MOST)
        before = {start, *came_by}
        for row in rows:
            ends = name_key(row["source"]), name_key(row["target"])
            for here, there in (ends, ends[::-1]):
                if here in keys and there != start:
                    came_by.setdefault(there, (here, row))
        if end in came_by:
            return relations_of(_traced(came_by, start, end))
        keys = came_by.keys() - before
        if not keys:
            break
    return []


def related(
    query: str, memories: Sequence[Memory], **options: Unpack[RelatedOptions]
) -> GraphPlan[list[Relation]]:
    """Read the facts to show beside recalled memories; see `GraphMemory.related`."""
    scope, limit = Scope.of(options["scope"]), options["limit"]
    at = _time(options.get("as_of"))
    order = {memory.id: place for place, memory in enumerate(memories)}
    # Whoever speaks knows everything: that is no reason to show it.
    keys = named_in([query]) - {name_key(speaker_of(scope))}
    queries = [cypher.facts_of_memories(scope, order, at)] if memories else []
    queries += [cypher.facts_of_names(scope, sorted(keys), at, limit)] if keys else []
    if not queries:
        return []
    [rows] = yield Batch([cypher.union(*queries)])
    # What the memories support, in their order; then what else there is.
    latest = sorted(_latest_first(rows), key=lambda row: order.get(row["memory_id"], len(order)))
    return relations_of(latest)[:limit]


def known(scope: Scope, texts: Sequence[str]) -> GraphPlan[list[Relation]]:
    """Read what is known about what texts name, and about who speaks."""
    names = named_in(texts) | {name_key(speaker_of(scope))}
    return relations_of((yield from _around(scope, names, None, _KNOWN)))


def _around(scope: Scope, keys: Iterable[str], at: str | None, limit: int) -> GraphPlan[Rows]:
    [rows] = yield Batch([cypher.facts_of_names(scope, sorted(keys), at, limit)])
    return _latest_first(rows)


def _latest_first(rows: Iterable[dict[str, Any]]) -> Rows:
    distinct = {row["id"]: row for row in rows}
    return sorted(distinct.values(), key=lambda row: (row["valid_from"], row["id"]), reverse=True)


def _traced(
    came_by: Mapping[str, tuple[str, dict[str, Any]]], start: str, end: str
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    here = end
    while here != start:
        here, row = came_by[here]
        rows.append(row)
    return rows[::-1]


def _time(as_of: datetime | None) -> str | None:
    return None if as_of is None else timestamp(aware("as_of", as_of))


def _key(name: str, value: object) -> str:
    if not isinstance(value, str) or not name_key(value):
        raise InvalidInputError(f"{name} must be a name, not {value!r}.")
    return name_key(value)
