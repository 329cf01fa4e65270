"""What a knowledge graph consists of: names, facts, the ids they get, and when a fact holds. Pure.

A graph is a function of the memories that it is made from. A memory gives entities and facts; a
fact that several memories give is one edge for each of them, so that support is neither lost nor
counted twice, whoever writes at the same time. When an edge holds follows from the other edges
of its slot, the same source and predicate.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from mem0_integrations.names import clean, name_key
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import SCOPE_KEYS, Scope

__all__ = [
    "ALWAYS",
    "EXCLUSIVE",
    "Edge",
    "Extracted",
    "GraphEntity",
    "Support",
    "Triple",
    "digest_of",
    "edge_id",
    "edges_of",
    "entity_id",
    "is_identifier",
    "memory_node_id",
    "owner_of",
    "predicate_of",
    "relations_of",
    "said_at",
    "timeline",
    "timestamp",
]

ALWAYS: Final = "9999-12-31T23:59:59.999999+00:00"
"""The end of an edge that holds; a text, because not every engine stores times."""
_MAX_PREDICATE: Final = 100
_LETTERS_OF_A_CODE: Final = 5
# What a source can have one of at a time: the next one ends the last.
EXCLUSIVE: Final = frozenset({"age", "lives_in", "married_to", "name", "works_as", "works_at"})


Support: TypeAlias = Literal["said", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class GraphEntity:
    """Something that a memory speaks of.

    Attributes:
        name: As it was first written.
        type: What it is, such as `person`; empty if unknown.

    Example:
        >>> GraphEntity("Oslo", "city").name
        'Oslo'
    """

    name: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Triple:
    """A fact that a text states: `source` - `relationship` -> `target`.

    Attributes:
        source: What the fact is about.
        relationship: The predicate, in any words.
        target: The other entity.
        exclusive: Whether the source has only one such target at a time, such as one home: a
            later one ends this fact.
        ended: Whether the text says that the fact no longer holds.

    Example:
        >>> Triple("Priya", "lives in", "Oslo", exclusive=True).target
        'Oslo'
    """

    source: str
    relationship: str
    target: str
    exclusive: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was found in one text.

    Attributes:
        entities: What it mentions; the ends of the facts need not be listed.
        triples: What it states.

    Example:
        >>> Extracted(entities=(GraphEntity("Oslo", "city"),)).triples
        ()
    """

    entities: tuple[GraphEntity, ...] = ()
    triples: tuple[Triple, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """A fact as one memory supports it: from one node to another, from one time to another.

    Attributes:
        valid_from: When it begins to hold (ISO 8601, UTC).
        valid_to: When it ends; `ALWAYS` while it holds.
        exclusive: Whether the source has one such target at a time.
        ended: Whether the memory says that the fact no longer holds.
        support: Whether the memory still says so, or was changed or deleted since.
    """

    id: str
    source_id: str
    target_id: str
    source: str
    target: str
    predicate: str
    memory_id: str
    valid_from: str
    valid_to: str = ALWAYS
    exclusive: bool = False
    ended: bool = False
    support: Support = "said"

    @property
    def slot(self) -> tuple[str, str]:
        """The source and the predicate: what it shares with the edges that may end it."""
        return self.source_id, self.predicate


def predicate_of(relationship: str) -> str:
    """Return a relationship as words joined by underscores, as Mem0 spells them.

    Example:
        >>> predicate_of("Works At"), predicate_of("wohnt-in/bei"), predicate_of("...")
        ('works_at', 'wohnt_in_bei', 'related_to')
    """
    plain = clean(unicodedata.normalize("NFKC", clean(relationship)).casefold(), _MAX_PREDICATE)
    # Marks are vowels in some scripts: what is left without them is another word.
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain).split()
    return "_".join(words) or "related_to"


def is_identifier(name: str) -> bool:
    """Tell whether a name stands for one thing only, such as an order number or an address.

    Example:
        >>> is_identifier("order A-1234"), is_identifier("ann@example.org"), is_identifier("Ann")
        (True, True, False)
        >>> is_identifier("order ABC-XYZ")
        True
    """
    marked = any(map(str.isnumeric, name)) or "@" in name or "://" in name
    return marked or any(map(_is_code, name.split()))


def owner_of(scope: Scope) -> dict[str, str]:
    """Return all ids of a scope; one that it lacks is an empty text.

    Example:
        >>> owner_of(Scope(user_id="u"))
        {'user_id': 'u', 'agent_id': '', 'run_id': '', 'app_id': ''}
    """
    return {key: scope.ids.get(key, "") for key in SCOPE_KEYS}


def entity_id(scope: Scope, name: str) -> str:
    """Return the id of an entity's node: the same name in the same scope is the same node."""
    return digest_of("entity", scope.ids, name_key(name))


def memory_node_id(scope: Scope, memory_id: str) -> str:
    """Return the id of a memory's node."""
    return digest_of("memory", scope.ids, memory_id)


def edge_id(memory_id: str, source_id: str, predicate: str, target_id: str, *, ended: bool) -> str:
    """Return the id of a fact as one memory supports it."""
    return digest_of("edge", memory_id, source_id, predicate, target_id, ended)


def digest_of(*parts: object) -> str:
    """Return a digest of 32 characters, the same for equal parts only."""
    packed = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(packed.encode()).hexdigest()[:32]


def said_at(memory: Memory) -> datetime:
    """Return the time since which what a memory says holds."""
    return memory.updated_at or memory.created_at or datetime.fromtimestamp(0, UTC)


def timestamp(time: datetime) -> str:
    """Return a time as text that sorts as the times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def edges_of(
    scope: Scope, memory: Memory, triples: Iterable[Triple], names: Mapping[str, str]
) -> list[Edge]:
    """Return the edges that a memory gives; `names` has the node for each name, by `name_key`."""
    edges: dict[str, Edge] = {}
    since = timestamp(said_at(memory))
    for triple in triples:
        if not clean(triple.source) or not clean(triple.target):
            continue
        source, target = names[name_key(triple.source)], names[name_key(triple.target)]
        predicate = predicate_of(triple.relationship)
        ends = entity_id(scope, source), entity_id(scope, target)
        made = edge_id(memory.id, ends[0], predicate, ends[1], ended=triple.ended)
        edges[made] = Edge(
            id=made,
            source_id=ends[0],
            target_id=ends[1],
            source=source,
            target=target,
            predicate=predicate,
            memory_id=memory.id,
            valid_from=since,
            exclusive=triple.exclusive or predicate in EXCLUSIVE,
            ended=triple.ended,
        )
    return list(edges.values())


def timeline(edges: Iterable[Edge]) -> dict[str, str]:
    """Return when each edge that is still supported ends, from all edges of its slot.

    A fact ends when a memory says so, or, where there can be one at a time, when a later memory
    names another target. What is said again later holds from then on.
    """
    slots: defaultdict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        if edge.support == "said":
            slots[edge.slot].append(edge)
    return {
        edge.id: min(_ends(edge, slot), default=ALWAYS) for slot in slots.values() for edge in slot
    }


def _is_code(word: str) -> bool:
    """Tell whether a word is of capital letters, and not just a few as an abbreviation."""
    return word.isupper() and sum(map(str.isalpha, word)) >= _LETTERS_OF_A_CODE


def _ends(edge: Edge, slot: Sequence[Edge]) -> list[str]:
    exclusive = any(other.exclusive for other in slot)
    return [
        other.valid_from
        for other in slot
        if (other.valid_from, other.ended) > (edge.valid_from, edge.ended)
        and (
            other.target_id == edge.target_id
            if other.ended
            else exclusive and other.target_id != edge.target_id
        )
    ]


def relations_of(rows: Iterable[Mapping[str, object]]) -> list[Relation]:
    """Return the facts in the rows of a query, in order; edges of the same fact are joined."""
    facts: dict[tuple[str, str, str, str], list[Mapping[str, object]]] = {}
    for row in rows:
        key = name_key(str(row["source"])), str(row["predicate"]), name_key(str(row["target"]))
        # What has ended and was said again is two facts, each with its time.
        facts.setdefault((*key, str(row["valid_to"])), []).append(row)
    return [_relation(group) for group in facts.values()]


def _relation(rows: Sequence[Mapping[str, object]]) -> Relation:
    first = rows[0]
    end = str(first["valid_to"])
    return Relation(
        source=str(first["source"]),
        relationship=str(first["predicate"]),
        target=str(first["target"]),
        memory_ids=tuple(dict.fromkeys(str(row["memory_id"]) for row in rows)),
        valid_from=min(datetime.fromisoformat(str(row["valid_from"])) for row in rows),
        valid_to=None if end == ALWAYS else datetime.fromisoformat(end),
    )
