"""The queries of the knowledge graph, in the Cypher that all engines understand. Pure.

Whatever comes from outside is a parameter; predicates are data. Every query carries the
scope for both ends of what it touches: what is written belongs to a scope exactly, what is read
is covered by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final

from mem0_integrations.graph.engines.base import Query
from mem0_integrations.graph.model import (
    Edge,
    GraphEntity,
    digest_of,
    entity_id,
    memory_node_id,
    owner_of,
    said_at,
    timestamp,
)
from mem0_integrations.names import clean, name_key
from mem0_integrations.records import Memory
from mem0_integrations.scope import SCOPE_KEYS, Scope

_MAX_TEXT: Final = 10_000
_ERASED_AT_ONCE: Final = 5_000
_BY_SELECTIVITY: Final = ("run_id", "user_id", "agent_id", "app_id")
# Before `ALWAYS`: what holds at this time holds until further notice.
_NOW: Final = "9999-12-31T00:00:00.000000+00:00"
_OWNER: Final = ", ".join(f"{{0}}.{key} = ${key}" for key in SCOPE_KEYS)
_EDGE_COLUMNS: Final = (
    "r.id AS id, a.`~id` AS source_id, b.`~id` AS target_id, a.name AS source, b.name AS target, "
    "r.predicate AS predicate, r.memory_id AS memory_id, r.valid_from AS valid_from, "
    "r.valid_to AS valid_to, r.exclusive AS exclusive, r.ended AS ended, r.support AS support"
)
_FACT_COLUMNS: Final = (
    "r.id AS id, a.name AS source, r.predicate AS predicate, b.name AS target, "
    "r.memory_id AS memory_id, r.valid_from AS valid_from, r.valid_to AS valid_to"
)
_HOLDS: Final = (
    "r.valid_from <= $at AND r.valid_to > $at AND r.ended = false AND r.support <> 'deleted'"
)
# The edges that start from a known node, and those that lead to one.
_EDGES_OF: Final = {"a": "(a)-[r:RELATES]->(b:Entity)", "b": "(a:Entity)-[r:RELATES]->(b)"}
# What a memory says of a fact, and may come to say otherwise.
_OF_WHAT_IS_SAID: Final = ("valid_from", "valid_to", "exclusive", "support")

# A name in a scope, by the scope's most selective id: one value, which every engine looks up.
_NAMED_IN: Final = {key: f"{key.removesuffix('_id')}_key" for key in SCOPE_KEYS}
_KEYS: Final = ", ".join(f"e.{field} = row.{field}" for field in _NAMED_IN.values())

SCHEMA: Final = (
    *(
        f"CREATE CONSTRAINT mem0_{label.lower()}_id IF NOT EXISTS "
        f"FOR (n:{label}) REQUIRE n.id IS UNIQUE"
        for label in ("Memory", "Entity")
    ),
    *(
        f"CREATE INDEX mem0_entity_{name} IF NOT EXISTS FOR (n:Entity) ON (n.{name})"
        for name in _NAMED_IN.values()
    ),
    "CREATE INDEX mem0_memory_memory_id IF NOT EXISTS FOR (n:Memory) ON (n.memory_id)",
)
"""Constraints and indexes, for engines that have them."""

OWNER_INDEXES: Final = tuple(
    f"CREATE INDEX mem0_{label.lower()}_{key} IF NOT EXISTS FOR (n:{label}) ON (n.{key}, n.{own})"
    for label, own in (("Memory", "memory_id"), ("Entity", "key"))
    for key in SCOPE_KEYS
)
"""Indexes of everything that a scope has, to list and to erase it.

Of two properties, so that an engine uses them where both are asked for: an index of the scope alone
tempts it to begin with everything that a user has.
"""


def schema_of(*, owners: bool) -> tuple[str, ...]:
    """Return constraints and indexes; those of owners where an engine chooses well among them."""
    return (*SCHEMA, *OWNER_INDEXES) if owners else SCHEMA


def text_digest(text: str) -> str:
    """Return what tells whether a memory's text is the one that the graph was made from."""
    return digest_of("text", text)


def known_memories(scope: Scope, memory_ids: Iterable[str]) -> Query:
    """Read the digests of the memories that the graph has."""
    return _memories(scope, memory_ids, "RETURN m.memory_id AS memory_id, m.digest AS digest")


def known_entities(scope: Scope, keys: Iterable[str]) -> Query:
    """Read which names, as `name_key` spells them, have a node in exactly this scope."""
    return Query(
        "UNWIND $ids AS wanted MATCH (e:Entity {`~id`: wanted}) "
        f"WHERE {_owned('e')} RETURN e.key AS key, e.name AS name",
        {**owner_of(scope), "ids": [entity_id(scope, key) for key in keys]},
    )


def all_entities(scope: Scope) -> Query:
    """Read the entities of exactly this scope, with their vectors."""
    return Query(
        f"MATCH (e:Entity) WHERE {_owned('e')} AND e.key IS NOT NULL "
        "RETURN e.name AS name, e.vector AS vector",
        owner_of(scope),
    )


def edges_of_memories(scope: Scope, memory_ids: Iterable[str]) -> Query:
    """Read all edges that memories gave; one between two that they mention comes twice."""
    return _from_memories(scope, memory_ids, "", _EDGE_COLUMNS, {})


def edges_in_slots(scope: Scope, slots: Iterable[tuple[str, str]]) -> Query:
    """Read the edges of slots; a slot is the id of the source, and the predicate."""
    rows = [{"source_id": source_id, "predicate": predicate} for source_id, predicate in slots]
    return Query(
        "UNWIND $rows AS row MATCH (a:Entity {`~id`: row.source_id}) "
        f"WHERE {_covered('a', scope)} MATCH (a)-[r:RELATES]->(b:Entity) "
        f"WHERE r.predicate = row.predicate AND {_covered('b', scope)} RETURN {_EDGE_COLUMNS}",
        {**scope.ids, "rows": rows},
    )


def endings(scope: Scope, source_ids: Iterable[str]) -> Query:
    """Read for which predicates facts about entities can end."""
    return _entities(scope, source_ids, "RETURN e.`~id` AS id, e.ending AS ending")


def set_endings(scope: Scope, predicates: Mapping[str, str]) -> Query:
    """Note for which predicates, packed into a text, facts about entities (by id) can end."""
    rows = [{"id": source_id, "ending": packed} for source_id, packed in predicates.items()]
    return Query(
        f"UNWIND $rows AS row MATCH (e:Entity {{`~id`: row.id}}) WHERE {_covered('e', scope)} "
        "SET e.ending = row.ending",
        {**scope.ids, "rows": rows},
    )


def merge_entities(
    scope: Scope, entities: Iterable[GraphEntity], vectors: Mapping[str, str]
) -> Query:
    """Create the entities that do not exist yet, with the packed vectors of names."""
    rows = [
        {
            "id": entity_id(scope, entity.name),
            "name": entity.name,
            "key": name_key(entity.name),
            "kind": clean(entity.type),
            "vector": vectors.get(entity.name, ""),
            **{
                field: _named_in(value, name_key(entity.name)) if value else ""
                for field, value in zip(_NAMED_IN.values(), owner_of(scope).values(), strict=True)
            },
        }
        # In one order, so that two that write the same entities do not lock each other out.
        for entity in sorted(entities, key=lambda entity: name_key(entity.name))
    ]
    return Query(
        "UNWIND $rows AS row MERGE (e:Entity {`~id`: row.id}) "
        "ON CREATE SET e.name = row.name, e.key = row.key, e.kind = row.kind, "
        f"e.vector = row.vector, e.ending = '', {_OWNER.format('e')}, {_KEYS} "
        "ON MATCH SET e.kind = CASE WHEN e.kind = '' THEN row.kind ELSE e.kind END",
        {**owner_of(scope), "rows": rows},
    )


def merge_memories(scope: Scope, memories: Iterable[Memory]) -> Query:
    """Create the missing nodes of memories, marked as not yet complete."""
    rows = [{"id": memory_node_id(scope, memory.id), "memory_id": memory.id} for memory in memories]
    return Query(
        "UNWIND $rows AS row MERGE (m:Memory {`~id`: row.id}) "
        "ON CREATE SET m.memory_id = row.memory_id, m.name = row.memory_id, m.digest = '', "
        f"m.text = '', m.said_at = '', {_OWNER.format('m')}",
        {**owner_of(scope), "rows": rows},
    )


def set_digests(scope: Scope, memories: Iterable[Memory]) -> Query:
    """Note, last of all, that the graph has what memories say."""
    rows = [
        {
            "id": memory_node_id(scope, memory.id),
            "digest": text_digest(memory.text),
            "text": clean(memory.text, _MAX_TEXT),
            "said_at": timestamp(said_at(memory)),
        }
        for memory in memories
    ]
    return Query(
        f"UNWIND $rows AS row MATCH (m:Memory {{`~id`: row.id}}) WHERE {_owned('m')} "
        "SET m.digest = row.digest, m.text = row.text, m.said_at = row.said_at",
        {**owner_of(scope), "rows": rows},
    )


def mentioned_entities(scope: Scope, memory_ids: Iterable[str]) -> Query:
    """Read which entities memories mention."""
    return Query(
        "UNWIND $memory_ids AS one MATCH (m:Memory {memory_id: one})-[:MENTIONS]->(e:Entity) "
        f"WHERE {_covered('m', scope)} AND {_covered('e', scope)} "
        "RETURN one AS memory_id, e.`~id` AS id",
        {**scope.ids, "memory_ids": list(memory_ids)},
    )


def unlink_mentions(scope: Scope, memory_ids: Iterable[str], entity_ids: Iterable[str]) -> Query:
    """Delete the links from memories to some entities that they mention."""
    return Query(
        "UNWIND $memory_ids AS one MATCH (m:Memory {memory_id: one})-[r:MENTIONS]->(e:Entity) "
        f"WHERE e.`~id` IN $entity_ids AND {_covered('m', scope)} AND {_covered('e', scope)} "
        "DELETE r",
        {**scope.ids, "memory_ids": list(memory_ids), "entity_ids": list(entity_ids)},
    )


def link_mentions(scope: Scope, mentions: Iterable[tuple[str, str]]) -> Query:
    """Note what memories mention: pairs of a memory's id and a name."""
    rows = [
        {"memory": memory_node_id(scope, memory_id), "entity": entity_id(scope, name)}
        for memory_id, name in mentions
    ]
    return Query(
        f"UNWIND $rows AS row MATCH (m:Memory {{`~id`: row.memory}}) WHERE {_owned('m')} "
        f"MATCH (e:Entity {{`~id`: row.entity}}) WHERE {_owned('e')} "
        f"MERGE (m)-[r:MENTIONS]->(e) ON CREATE SET {_OWNER.format('r')}",
        {**owner_of(scope), "rows": rows},
    )


def merge_edges(scope: Scope, edges: Iterable[Edge]) -> Query:
    """Store edges, or set when they hold."""
    rows = [dataclasses.asdict(edge) for edge in edges]
    said = ", ".join(f"r.{key} = row.{key}" for key in _OF_WHAT_IS_SAID)
    return Query(
        f"UNWIND $rows AS row MATCH (a:Entity {{`~id`: row.source_id}}) WHERE {_owned('a')} "
        f"MATCH (b:Entity {{`~id`: row.target_id}}) WHERE {_owned('b')} "
        "MERGE (a)-[r:RELATES {id: row.id}]->(b) "
        "ON CREATE SET r.predicate = row.predicate, r.memory_id = row.memory_id, "
        f"r.ended = row.ended, {said}, {_OWNER.format('r')} ON MATCH SET {said}",
        {**owner_of(scope), "rows": rows},
    )


def set_validity(scope: Scope, edges: Iterable[Edge]) -> Query:
    """Set when existing edges hold."""
    rows = [dataclasses.asdict(edge) for edge in edges]
    return Query(
        f"UNWIND $rows AS row MATCH (a:Entity {{`~id`: row.source_id}}) "
        f"WHERE {_covered('a', scope)} MATCH (b:Entity {{`~id`: row.target_id}}) "
        f"WHERE {_covered('b', scope)} MATCH (a)-[r:RELATES {{id: row.id}}]->(b) "
        "SET r.valid_to = row.valid_to, r.support = row.support",
        {**scope.ids, "rows": rows},
    )


def forget_memories(scope: Scope, memory_ids: Iterable[str]) -> Query:
    """Delete the nodes of memories."""
    return _memories(scope, memory_ids, "DETACH DELETE m")


def delete_unused_entities(scope: Scope, ids: Iterable[str]) -> Query:
    """Delete those of some entities that no memory mentions and no fact is about."""
    # Not DETACH: what another writer links at this moment is not to be lost.
    unused = "OPTIONAL MATCH (e)-[r]-() WITH e, count(r) AS degree WHERE degree = 0 DELETE e"
    return _entities(scope, ids, unused)


def facts_of_memories(scope: Scope, memory_ids: Iterable[str], at: str | None) -> Query:
    """Read facts that memories support at a time; one between two that they mention comes twice."""
    return _from_memories(scope, memory_ids, f"AND {_HOLDS} ", _FACT_COLUMNS, {"at": at or _NOW})


def facts_of_names(scope: Scope, keys: Iterable[str], at: str | None, limit: int) -> Query:
    """Read the facts about names at a time; one between two of the names comes twice.

    The limit is for those that start from the names and for those that lead to them, each.
    """
    # Of a scope's ids, the one with the fewest memories behind it.
    own = next(key for key in _BY_SELECTIVITY if key in scope.ids)
    wanted = [_named_in(scope.ids[own], key) for key in keys]
    parameters = {**scope.ids, "wanted": wanted, "at": at or _NOW}
    ends = f"{_covered('a', scope)} AND {_covered('b', scope)}"
    # IN and not UNWIND: what Neo4j compiled while the graph was small would go on reading the
    # whole index once for each name.
    tail = f"RETURN {_FACT_COLUMNS} ORDER BY valid_from DESC LIMIT {limit:d}"
    return union(
        *(
            Query(
                f"MATCH ({end}:Entity) WHERE {end}.{_NAMED_IN[own]} IN $wanted "
                f"MATCH {edges} WHERE {ends} AND {_HOLDS} {tail}",
                parameters,
            )
            for end, edges in _EDGES_OF.items()
        )
    )


def facts_of_scope(scope: Scope, at: str | None, limit: int, *, history: bool) -> Query:
    """Read the facts of a scope, the latest first; with history, also those that have ended."""
    condition = "r.ended = false" if history else _HOLDS
    return Query(
        f"MATCH (a:Entity)-[r:RELATES]->(b:Entity) WHERE {_covered('a', scope)} "
        f"AND a.key IS NOT NULL AND {_covered('b', scope)} AND {condition} RETURN {_FACT_COLUMNS}, "
        "a.kind AS source_kind, b.kind AS target_kind "
        f"ORDER BY valid_from DESC, id LIMIT {limit:d}",
        {**scope.ids, **({} if history else {"at": at or _NOW})},
    )


def texts_of_memories(scope: Scope, memory_ids: Iterable[str]) -> Query:
    """Read what memories say, and whose they are."""
    owner = ", ".join(f"m.{key} AS {key}" for key in SCOPE_KEYS)
    said = f"RETURN m.memory_id AS memory_id, m.text AS text, m.said_at AS said_at, {owner}"
    return _memories(scope, memory_ids, said)


def count_facts(scope: Scope) -> Query:
    """Count the edges of a scope."""
    return Query(
        f"MATCH (a:Entity)-[r:RELATES]->(b:Entity) WHERE {_covered('a', scope)} "
        f"AND a.key IS NOT NULL AND {_covered('b', scope)} RETURN count(r) AS facts",
        scope.ids,
    )


def erasing_scope(scope: Scope) -> list[Query]:
    """Erase everything in a scope; to be repeated while any `remain`."""
    return [
        query
        for label, own in (("Memory", "memory_id"), ("Entity", "key"))
        for query in _erasing(label, f"{_covered('n', scope)} AND n.{own} IS NOT NULL", scope.ids)
    ]


def erasing_everything() -> list[Query]:
    """Erase all scopes, and nothing else in the database; to be repeated while any `remain`."""
    ours = " AND ".join(f"n.{key} IS NOT NULL" for key in (*SCOPE_KEYS, "name"))
    marks = {"Memory": "digest", "Entity": "vector"}
    return [
        query
        for label, mark in marks.items()
        for query in _erasing(label, f"{ours} AND n.{mark} IS NOT NULL", {})
    ]


def union(*queries: Query) -> Query:
    """Join queries with equal columns and parameters into one, which costs one round trip."""
    parameters: dict[str, object] = {}
    for query in queries:
        parameters |= query.parameters
    return Query(" UNION ALL ".join(one.text for one in queries), parameters)


def _memories(scope: Scope, memory_ids: Iterable[str], rest: str) -> Query:
    """Do something with the nodes `m` of memories."""
    return Query(
        "UNWIND $memory_ids AS one MATCH (m:Memory {memory_id: one}) "
        f"WHERE {_covered('m', scope)} {rest}",
        {**scope.ids, "memory_ids": list(memory_ids)},
    )


def _entities(scope: Scope, ids: Iterable[str], rest: str) -> Query:
    """Do something with the nodes `e` of entities."""
    return Query(
        "UNWIND $ids AS wanted MATCH (e:Entity {`~id`: wanted}) "
        f"WHERE {_covered('e', scope)} {rest}",
        {**scope.ids, "ids": list(ids)},
    )


def _from_memories(
    scope: Scope,
    memory_ids: Iterable[str],
    condition: str,
    columns: str,
    more: Mapping[str, object],
) -> Query:
    # Not by the edges' own property: the embedded engine would look at every edge.
    parameters = {**scope.ids, "memory_ids": list(memory_ids), **more}
    # By IN for the same reason as names.
    mentioned = (
        f"MATCH (m:Memory) WHERE m.memory_id IN $memory_ids AND {_covered('m', scope)} "
        "MATCH (m)-[:MENTIONS]->"
    )
    rest = (
        f"WHERE r.memory_id = m.memory_id {condition}AND {_covered('a', scope)} "
        f"AND {_covered('b', scope)} RETURN {columns}"
    )
    return union(
        *(
            Query(f"{mentioned}({end}:Entity) MATCH {edges} {rest}", parameters)
            for end, edges in _EDGES_OF.items()
        )
    )


def _erasing(label: str, condition: str, parameters: Mapping[str, object]) -> tuple[Query, Query]:
    """Erase some of the nodes, and count how many `remain`: all at once may be too many."""
    found = f"MATCH (n:{label}) WHERE {condition}"
    return (
        Query(f"{found} WITH n LIMIT {_ERASED_AT_ONCE} DETACH DELETE n", parameters),
        Query(f"{found} RETURN count(n) AS remain", parameters),
    )


def _named_in(scope_id: str, key: str) -> str:
    return digest_of("named", scope_id, key)


def _covered(variable: str, scope: Scope) -> str:
    return " AND ".join(f"{variable}.{key} = ${key}" for key in scope.ids)


def _owned(variable: str) -> str:
    return " AND ".join(f"{variable}.{key} = ${key}" for key in SCOPE_KEYS)
