"""Plans that bring the graph up to date with memories: what to read, then what to write.

A plan first reads what the graph has of the same memories, names and slots, and then writes
everything in one batch. The digest of a memory is written last of all: where a batch is not a
transaction and breaks off, the next attempt starts over and finds its own edges by their ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from mem0_integrations.graph import cypher
from mem0_integrations.graph.engines.base import Batch, GraphPlan, Query
from mem0_integrations.graph.entity_names import EntityNames
from mem0_integrations.graph.model import (
    ALWAYS,
    Edge,
    Extracted,
    GraphEntity,
    Support,
    edges_of,
    entity_id,
    said_at,
    timeline,
    timestamp,
)
from mem0_integrations.names import clean, name_key, speaker_of
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope

__all__ = ["changed_memories", "project", "remove"]

T = TypeVar("T")

# Rows of one query.
_ROWS: Final = 500


def changed_memories(scope: Scope, memories: Sequence[Memory]) -> GraphPlan[list[Memory]]:
    """Return the memories whose text is not the one that the graph was made from."""
    [rows] = yield Batch([cypher.known_memories(scope, [memory.id for memory in memories])])
    digests = {str(row["memory_id"]): row["digest"] for row in rows}
    return [
        memory for memory in memories if digests.get(memory.id) != cypher.text_digest(memory.text)
    ]


def project(
    scope: Scope, found: Sequence[tuple[Memory, Extracted]], names: EntityNames
) -> GraphPlan[list[Edge]]:
    """Make the graph say what memories say, and no longer what they said before.

    Args:
        scope: The scope of all of them, exactly.
        found: Memories, each once, with what was found in them.
        names: Finds the nodes that stand for names.

    Returns:
        The edges that the memories give.
    """
    memories = [memory for memory, _ in found]
    ids = [memory.id for memory in memories]
    entities = _entities(scope, found)
    known, old_mentions, old_edges = yield Batch(
        [
            cypher.known_entities(scope, entities),
            cypher.mentioned_entities(scope, ids),
            cypher.edges_of_memories(scope, ids),
        ]
    )
    old = _edges(old_edges)
    nodes = {str(row["key"]): str(row["name"]) for row in known}
    new = {key: entity.name for key, entity in entities.items() if key not in nodes}
    speaker = name_key(speaker_of(scope))
    others, vectors = yield from _resolved(
        scope, [name for key, name in new.items() if key != speaker], names
    )
    nodes |= {key: others.get(name, name) for key, name in new.items()}
    edges = {
        edge.id: _since_when(edge, old)
        for memory, extracted in found
        for edge in edges_of(scope, memory, extracted.triples, nodes)
    }
    since = {memory.id: timestamp(said_at(memory)) for memory in memories}
    retired = [
        _retired(edge, since[edge.memory_id], "changed")
        for edge in old.values()
        if edge.id not in edges and edge.support == "said"
    ]
    settled, changed, endings = yield from _settled(scope, edges, retired)
    mentions = dict.fromkeys(
        (memory.id, nodes[name_key(name)])
        for memory, extracted in found
        for name in _mentions(scope, extracted)
    )
    # Through what it mentions, a memory finds its edges: those, too, that it gave once.
    mentioned = {entity_id(scope, name) for _, name in mentions}
    mentioned |= {end for edge in old.values() for end in (edge.source_id, edge.target_id)}
    unused = {str(row["id"]) for row in old_mentions} - mentioned
    yield Batch(
        [
            *_chunked(
                _nodes(entities, nodes), lambda rows: cypher.merge_entities(scope, rows, vectors)
            ),
            *_chunked(memories, partial(cypher.merge_memories, scope)),
            *([cypher.unlink_mentions(scope, ids, unused)] if unused else []),
            *_chunked(list(mentions), partial(cypher.link_mentions, scope)),
            *_chunked(settled, partial(cypher.merge_edges, scope)),
            *_chunked(changed, partial(cypher.set_validity, scope)),
            *([cypher.set_endings(scope, endings)] if endings else []),
            *([cypher.delete_unused_entities(scope, unused)] if unused else []),
            *_chunked(memories, partial(cypher.set_digests, scope)),
        ],
        write=True,
    )
    if unused:
        names.drop(scope)
    return settled


def remove(
    scope: Scope, memory_ids: Sequence[str], now: datetime, names: EntityNames
) -> GraphPlan[None]:
    """Take back the support of memories that no longer exist.

    Args:
        scope: Covers all of them.
        memory_ids: Their ids; those that the graph does not know make no difference.
        now: The time of the deletion.
        names: Keeps the names of nodes.
    """
    mentioned, given = yield Batch(
        [cypher.mentioned_entities(scope, memory_ids), cypher.edges_of_memories(scope, memory_ids)]
    )
    edges = [edge for edge in _edges(given).values() if edge.support != "deleted"]
    retired = [_retired(edge, timestamp(now), "deleted") for edge in edges]
    _, changed, _ = yield from _settled(scope, {}, retired)
    doomed = {str(row["id"]) for row in mentioned}
    yield Batch(
        [
            *_chunked(changed, partial(cypher.set_validity, scope)),
            cypher.forget_memories(scope, memory_ids),
            *([cypher.delete_unused_entities(scope, doomed)] if doomed else []),
        ],
        write=True,
    )
    names.drop(scope)


def _resolved(
    scope: Scope, new: Sequence[str], names: EntityNames
) -> GraphPlan[tuple[dict[str, str], dict[str, str]]]:
    """Find which nodes stand for names that have none; see `EntityNames.resolve`."""
    if not new:
        return {}, {}
    if not names.knows(scope):
        [rows] = yield Batch([cypher.all_entities(scope)])
        names.load(scope, [(str(row["name"]), str(row["vector"])) for row in rows])
    others, vectors = names.resolve(scope, new)
    if kept := {name_key(name) for name in others.values() if name not in vectors}:
        [rows] = yield Batch([cypher.known_entities(scope, kept)])
        if kept - {str(row["key"]) for row in rows}:
            # Erased by another process, or never written: what is kept of the scope is wrong.
            names.drop(scope)
            return (yield from _resolved(scope, new, names))
    return others, vectors


def _settled(
    scope: Scope, edges: Mapping[str, Edge], retired: Sequence[Edge]
) -> GraphPlan[tuple[list[Edge], list[Edge], dict[str, str]]]:
    """Find out when edges hold.

    Args:
        scope: Covers all of them.
        edges: What is said now, by id.
        retired: What is no longer said.

    Returns:
        What is said now; everything else that changes; and for which predicates facts about
        an entity can end, packed, where that is new.
    """
    gone = {edge.id: edge for edge in retired}
    touched = [*edges.values(), *retired]
    if not touched:
        return [], [], {}
    # Most facts never end, and a slot of those may be large: nothing is read of it.
    [rows] = yield Batch([cypher.endings(scope, sorted({edge.source_id for edge in touched}))])
    known = {str(row["id"]): set(str(row["ending"]).split()) for row in rows}
    wanted: dict[str, set[str]] = {source: set(names) for source, names in known.items()}
    for edge in touched:
        if edge.exclusive or edge.ended:
            wanted.setdefault(edge.source_id, set()).add(edge.predicate)
    slots = {edge.slot for edge in touched if edge.predicate in wanted.get(edge.source_id, ())}
    stored: dict[str, Edge] = {}
    if any(source in known for source, _ in slots):
        [rows] = yield Batch([cypher.edges_in_slots(scope, sorted(slots))])
        stored = _edges(rows)
    ends = timeline({**stored, **edges, **gone}.values())
    settled = [
        dataclasses.replace(edge, valid_to=ends[edge.id] if edge.slot in slots else ALWAYS)
        for edge in edges.values()
    ]
    moved = [
        dataclasses.replace(edge, valid_to=ends[edge.id])
        for edge in stored.values()
        if edge.id not in edges and ends.get(edge.id, edge.valid_to) != edge.valid_to
    ]
    new = {
        source: " ".join(sorted(names))
        for source, names in wanted.items()
        if names != known.get(source, set())
    }
    # What is retired comes last: where writing breaks off, the next attempt finds the slots by it.
    return settled, [*moved, *retired], new


def _entities(scope: Scope, found: Iterable[tuple[Memory, Extracted]]) -> dict[str, GraphEntity]:
    """Return everything that is mentioned, by `name_key`, in its first spelling."""
    entities: dict[str, GraphEntity] = {}
    user = GraphEntity(speaker_of(scope), "user")
    for _, extracted in found:
        types = {name_key(entity.name): clean(entity.type) for entity in extracted.entities}
        for name in _names_of(extracted):
            key = name_key(name)
            known = entities.get(key, GraphEntity(clean(name)))
            entities[key] = (
                user
                if key == name_key(user.name)
                else GraphEntity(known.name, known.type or types.get(key, ""))
            )
    return entities


def _nodes(entities: Mapping[str, GraphEntity], nodes: Mapping[str, str]) -> list[GraphEntity]:
    """Return the nodes that stand for everything mentioned.

    Those, too, that were there: another process may take them away before they are written.
    """
    mentioned: dict[str, GraphEntity] = {}
    for key, entity in entities.items():
        name = nodes[key]
        kind = mentioned[name].type if name in mentioned else ""
        mentioned[name] = GraphEntity(name, kind or entity.type)
    return list(mentioned.values())


def _names_of(extracted: Extracted) -> Iterator[str]:
    names = [entity.name for entity in extracted.entities]
    names += [name for triple in extracted.triples for name in (triple.source, triple.target)]
    return (name for name in names if clean(name))


def _mentions(scope: Scope, extracted: Extracted) -> Iterator[str]:
    """Yield what a memory mentions; who speaks is included only if a fact is about them alone."""
    speaker = name_key(speaker_of(scope))
    alone = any(
        name_key(triple.source) == name_key(triple.target) == speaker
        for triple in extracted.triples
    )
    return (name for name in _names_of(extracted) if alone or name_key(name) != speaker)


def _since_when(edge: Edge, old: Mapping[str, Edge]) -> Edge:
    """Return an edge that a memory gives; if it gave it before, the edge keeps its time."""
    before = old.get(edge.id)
    if before is None or before.support != "said":
        return edge
    return dataclasses.replace(edge, valid_from=before.valid_from)


def _retired(edge: Edge, now: str, support: Support) -> Edge:
    end = edge.valid_to if edge.valid_to != ALWAYS else max(now, edge.valid_from)
    return dataclasses.replace(edge, valid_to=end, support=support)


def _edges(rows: Iterable[dict[str, Any]]) -> dict[str, Edge]:
    return {row["id"]: Edge(**row) for row in rows}


def _chunked(rows: Sequence[T], query: Callable[[Sequence[T]], Query]) -> list[Query]:
    return [query(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)]
