"""From a graph that Mem0 1.x wrote to the model of this package; the old one stays as it is.

Mem0 1.x has a node for each entity (`name`, `user_id`, perhaps `agent_id` and `run_id`; its label
is the entity's type) and a relationship for each fact, whose type is the predicate. It does not
say which memory a fact is from. Here every fact gets a memory of its own, which exists in the
graph alone; its id is `migrated_id`, and `GraphMemory.sync(scope, [], [id])` takes it back.
`rebuild_graph` makes a graph from what Mem0 remembers, and drops what is only migrated.

What becomes of it:

- **Scope**: the ids that both ends have in common, for a search in 1.x with fewer ids found nodes
  with more. Where no user was given, 1.x wrote the user `user` beside the agent or the run: it is
  left out. Neptune and Memgraph kept no run, and Neptune no agent: what was written there without
  a user belongs to `user`, whoever it was from.
- **Names**: `new_york` was `New York` once. It becomes `new york`, unless it may have had the
  underscore before, as identifiers do (`order_a_17`, `ann_lee@example.org`), and except for the
  scope's own user, whose id is put. Names are compared without regard to letter case and
  underscores. No two of them become one: 1.x has compared them. They get no vectors either, so
  no model is needed.
- **Time**: a fact holds since its `created_at`, or since both ends were there. What 1.x marked as
  no longer valid gets a second memory, which says that the fact has ended, and when. Where
  something can be true of one thing at a time, as `lives_in`, the later fact ends the earlier.

Another run adds what 1.x has written since, and ends what it has taken back since; a fact that 1.x
says again after that stays ended. A fact that was taken back here comes again.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from mem0_integrations.errors import ScopeError
from mem0_integrations.graph import cypher
from mem0_integrations.graph.engines.base import Batch, GraphEngine, GraphPlan, Query
from mem0_integrations.graph.entity_names import EntityNames
from mem0_integrations.graph.model import (
    Extracted,
    GraphEntity,
    Triple,
    is_identifier,
    predicate_of,
)
from mem0_integrations.graph.projection import changed_memories, project
from mem0_integrations.names import clean, name_key, speaker_of
from mem0_integrations.plans import run
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope, ScopeLike

__all__ = ["MigratedScope", "Migration", "migrate", "migrated_id"]

_OwnedBy: TypeAlias = tuple[Any, ...]

_NAMESPACE: Final = uuid.UUID("6f1c3a52-0d7b-5c1e-9d53-5b8f3a7e2c41")
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_PAGE: Final = 5_000
_FACTS_OF_A_BATCH: Final = 250
_IDS: Final = ("user_id", "agent_id", "run_id")
_ENDS: Final = ("a", "b")
# Who stands for everybody where an application named no user.
_PSEUDO_USER: Final = "user"
_NO_TYPES: Final = frozenset({"__Entity__", "__User__", "Entity"})
# All of its relationships have one of the first three; not those of another application, even if it
# has names and user ids. What this package writes has a vector or a digest; 1.x writes neither, but
# its Memgraph nodes are `Entity`, too.
_OF_MEM0_1: Final = " AND ".join(
    (
        "(r.created_at IS NOT NULL OR r.created IS NOT NULL OR r.mentions IS NOT NULL)",
        *(
            f"{end}.name IS NOT NULL AND {end}.user_id IS NOT NULL "
            f"AND {end}.vector IS NULL AND {end}.digest IS NULL"
            for end in _ENDS
        ),
    )
)
_OWNERS: Final = tuple(f"{end}.{key}" for end in _ENDS for key in _IDS)


@dataclass(frozen=True, slots=True)
class MigratedScope:
    """The result for one scope.

    Attributes:
        scope: Whose facts.
        facts: Number of facts that 1.x has; relationships that say the same count once.
        ended: How many of them no longer hold.
        written: How many were new, or had ended since; none in a dry run.
    """

    scope: Scope
    facts: int
    ended: int
    written: int


@dataclass(frozen=True, slots=True)
class Migration:
    """The result for a graph.

    Attributes:
        scopes: By scope, the largest first.
        left_out: Relationships that cannot be kept: their ends are of different users, an id or a
            name is blank or too long.
    """

    scopes: tuple[MigratedScope, ...] = ()
    left_out: int = 0

    @property
    def facts(self) -> int:
        """The facts of all scopes."""
        return sum(one.facts for one in self.scopes)

    @property
    def written(self) -> int:
        """What was new, of all scopes."""
        return sum(one.written for one in self.scopes)


@dataclass(slots=True)
class _Fact:
    """What one or more relationships of 1.x say."""

    source: GraphEntity
    predicate: str
    target: GraphEntity
    since: datetime
    until: datetime | None
    relationships: int = 1

    def merge(self, other: _Fact) -> None:
        self.since = min(self.since, other.since)
        live = self.until is None or other.until is None
        self.until = None if live else max(filter(None, (self.until, other.until)))
        self.relationships += other.relationships


def migrate(
    source: GraphEngine,
    target: GraphEngine | None,
    *,
    scope: ScopeLike | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Migration:
    """Read a graph of Mem0 1.x and write it as this package does, scope by scope.

    It may be interrupted and repeated: what was written already is left alone.

    Args:
        source: Holds the old graph; nothing of it is changed or deleted.
        target: Where to write, which may be `source`; None to count only.
        scope: Whose graph; None for all.
        progress: Called with the number of relationships done, and of all.

    Raises:
        BackendError: An engine failed.

    Example:
        >>> import tempfile
        >>> from mem0_integrations.graph import EmbeddedEngine
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     engine = EmbeddedEngine(Path(folder) / "graph")
        ...     migrated = migrate(engine, engine)
        ...     engine.close()
        >>> migrated.facts
        0
    """
    wanted = None if scope is None else Scope.of(scope)
    found, left_out = run(_survey(wanted), source.run)
    if target is not None:
        target.prepare(cypher.schema_of(owners=target.chooses_indexes))
    total, done = sum(owners.total() for owners in found.values()), 0
    scopes: list[MigratedScope] = []
    for own, owners in sorted(found.items(), key=lambda item: -item[1].total()):
        facts, unusable = run(_facts(own, owners), source.run)
        left_out += unusable
        done += unusable
        written = 0
        for start in range(0, len(facts), _FACTS_OF_A_BATCH):
            batch = facts[start : start + _FACTS_OF_A_BATCH]
            if target is not None:
                written += run(_write(own, batch), target.run)
            done += sum(fact.relationships for fact in batch)
            progress(done, total)
        progress(done, total)
        ended = sum(fact.until is not None for fact in facts)
        scopes.append(MigratedScope(own, len(facts), ended, written))
    return Migration(tuple(scopes), left_out)


def migrated_id(
    scope: Scope, source: str, relationship: str, target: str, *, ended: bool = False
) -> str:
    """Return the id of the memory that a migrated fact gets.

    Args:
        scope: Exactly whose.
        source: A name, in any spelling.
        relationship: The predicate, in any spelling.
        target: The other name.
        ended: Whether it is the memory that says that the fact has ended.

    Example:
        >>> own = Scope(user_id="ann")
        >>> one = migrated_id(own, "ann", "lives_in", "new_york")
        >>> one == migrated_id(own, "Ann", "lives in", "New York")
        True
    """
    parts = [scope.ids, name_key(source), predicate_of(relationship), name_key(target), ended]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts)))


def _survey(wanted: Scope | None) -> GraphPlan[tuple[dict[Scope, Counter[_OwnedBy]], int]]:
    """Count the relationships of each scope by their owners; also those without an owner."""
    columns = ", ".join(f"{one} AS {_column(one)}" for one in _OWNERS)
    [rows] = yield Batch(
        [Query(f"MATCH (a)-[r]->(b) WHERE {_OF_MEM0_1} RETURN {columns}, count(r) AS many")]
    )
    found: defaultdict[Scope, Counter[_OwnedBy]] = defaultdict(Counter)
    left_out = 0
    for row in rows:
        owners = tuple(row[_column(one)] for one in _OWNERS)
        scope = _scope_of(owners)
        if scope is None:
            # Without an owner they belong to no scope: they are counted where all are asked for.
            left_out += row["many"] if wanted is None else 0
        elif wanted is None or wanted.covers(scope):
            found[scope][owners] += row["many"]
    return found, left_out


def _facts(scope: Scope, groups: Iterable[_OwnedBy]) -> GraphPlan[tuple[list[_Fact], int]]:
    """Read the facts of a scope, the earliest first; returns also how many cannot be kept."""
    facts: dict[str, _Fact] = {}
    left_out = 0
    for group in groups:
        for start in range(0, 10**12, _PAGE):
            [rows] = yield Batch([_page(group, start)])
            for row in rows:
                fact = _fact(scope, row)
                if fact is None:
                    left_out += 1
                    continue
                key = migrated_id(scope, fact.source.name, fact.predicate, fact.target.name)
                if (known := facts.setdefault(key, fact)) is not fact:
                    known.merge(fact)
            if len(rows) < _PAGE:
                break
    return sorted(facts.values(), key=lambda fact: fact.since), left_out


def _page(group: _OwnedBy, start: int) -> Query:
    owners = dict(zip(_OWNERS, group, strict=True))
    owned = " AND ".join(
        f"{one} IS NULL" if value is None else f"{one} = ${_column(one)}"
        for one, value in owners.items()
    )
    return Query(
        f"MATCH (a)-[r]->(b) WHERE {_OF_MEM0_1} AND {owned} "
        "RETURN a.name AS source, type(r) AS predicate, b.name AS target, "
        "labels(a) AS source_labels, labels(b) AS target_labels, r.valid AS valid, "
        # The driver of one engine has no type for the times of another.
        "toString(coalesce(r.created_at, r.created)) AS created, "
        "toString(a.created) AS source_created, toString(b.created) AS target_created, "
        "toString(r.invalidated_at) AS invalidated "
        "ORDER BY source, predicate, target, created, invalidated, source_created, target_created "
        f"SKIP {start:d} LIMIT {_PAGE:d}",
        {_column(one): value for one, value in owners.items() if value is not None},
    )


def _write(scope: Scope, facts: Sequence[_Fact]) -> GraphPlan[int]:
    """Write what is missing and return the number of new facts."""
    found = {memory.id: (memory, one) for fact in facts for memory, one in _memories(scope, fact)}
    changed = yield from changed_memories(scope, [memory for memory, _ in found.values()])
    if changed:
        yield from project(scope, [found[memory.id] for memory in changed], EntityNames(None))
    new = [found[memory.id][1].triples[0] for memory in changed]
    return len({(one.source, one.relationship, one.target) for one in new})


def _memories(scope: Scope, fact: _Fact) -> Iterator[tuple[Memory, Extracted]]:
    """Yield the memories that say what 1.x says, and what is to be found in them."""
    names = fact.source.name, fact.predicate, fact.target.name
    says = " ".join((names[0], fact.predicate.replace("_", " "), names[2]))
    entities = (fact.source, fact.target)
    for ended, time, text in ((False, fact.since, says), (True, fact.until, f"No longer: {says}")):
        if time is not None:
            made = migrated_id(scope, *names, ended=ended)
            yield (
                Memory(id=made, text=text, scope=scope, created_at=time),
                Extracted(entities, (Triple(*names, ended=ended),)),
            )


def _fact(scope: Scope, row: Mapping[str, Any]) -> _Fact | None:
    source, target = _name(scope, row["source"]), _name(scope, row["target"])
    if not source or not target:
        return None
    ends = _time(row["source_created"]), _time(row["target_created"])
    since = _time(row["created"]) or max(filter(None, ends), default=_EPOCH)
    ended = row["valid"] is False
    return _Fact(
        GraphEntity(source, _type(row["source_labels"])),
        predicate_of(str(row["predicate"])),
        GraphEntity(target, _type(row["target_labels"])),
        since,
        max(_time(row["invalidated"]) or since, since) if ended else None,
    )


def _scope_of(owners: _OwnedBy) -> Scope | None:
    starts, leads = owners[: len(_IDS)], owners[len(_IDS) :]
    common = {
        key: start
        for key, start, lead in zip(_IDS, starts, leads, strict=True)
        if start == lead and start not in (None, "")
    }
    if "user_id" not in common:
        return None
    if common["user_id"] == _PSEUDO_USER and len(common) > 1:
        del common["user_id"]
    try:
        return Scope(**common)
    except ScopeError:
        return None


def _name(scope: Scope, name: object) -> str:
    plain = clean(str(name))
    speaker = speaker_of(scope)
    if name_key(plain) == name_key(speaker):
        return speaker
    return plain if is_identifier(plain) else clean(plain.replace("_", " ")) or plain


def _type(labels: Iterable[str]) -> str:
    return next(iter(sorted(set(labels) - _NO_TYPES)), "")


def _time(text: str | None) -> datetime | None:
    """Read a time of 1.x: milliseconds since 1970, or what `datetime()` gives."""
    try:
        if text is None:
            return None
        if text.lstrip("-").isdecimal():
            return _EPOCH + timedelta(milliseconds=int(text))
        time = datetime.fromisoformat(text.partition("[")[0])
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _column(owner: str) -> str:
    return owner.replace(".", "_")
