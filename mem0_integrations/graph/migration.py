"""A graph that Mem0 1.x wrote, read into the graph of this package, scope by scope."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mem0_integrations.errors import ScopeError
from mem0_integrations.extraction import Mem0Embedder
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Rows, Statement
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.model import Extracted, Triple, clean
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import Scope

__all__ = ["OldFact", "migrate", "old_facts"]

_NAMESPACE: Final = uuid.UUID("b0c9c0b4-6a53-5a7e-8b39-3a7f4f0d7a53")
_PAGE: Final = 1_000
_BATCH: Final = 200
_IDS: Final = ("user_id", "agent_id", "run_id")
# What this package writes has a `key`, or is no relationship between two names.
_READ: Final = (
    "MATCH (a)-[r]->(b) WHERE a.name IS NOT NULL AND b.name IS NOT NULL "
    "AND a.key IS NULL AND b.key IS NULL AND a.memory_id IS NULL "
    "RETURN a.name AS source, type(r) AS relationship, b.name AS target, "
    + ", ".join(f"a.{key} AS {key}, b.{key} AS target_{key}" for key in _IDS)
    + ", r.created_at AS created_at, r.created AS created, r.valid AS valid, "
    "r.invalidated_at AS invalidated_at "
    "ORDER BY user_id, source, relationship, target"
)


@dataclass(frozen=True, slots=True)
class OldFact:
    """A relationship of Mem0 1.x.

    Attributes:
        scope: Whose it is.
        triple: What it says; names have their spaces again.
        since: When it was written.
        until: When it was found to hold no longer; None while it holds.
    """

    scope: Scope
    triple: Triple
    since: datetime
    until: datetime | None


def old_facts(engine: GraphEngine, scope: Scope | None = None) -> Iterator[OldFact]:
    """Yield the facts that Mem0 1.x wrote, page by page.

    Edges between the nodes of two tenants, which some releases wrote, are left out.

    Args:
        engine: Where they lie.
        scope: Only those that it covers; all if left out.
    """
    skip = 0
    while True:
        [rows] = engine.run(Batch([Statement(f"{_READ} SKIP {skip:d} LIMIT {_PAGE:d}")]))
        yield from _facts(rows, scope)
        if len(rows) < _PAGE:
            return
        skip += _PAGE


def migrate(
    facts: Sequence[OldFact],
    engine: GraphEngine,
    embedder: Mem0Embedder,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write old facts into the graph; a second time changes nothing.

    There are no memories behind them: each stands for itself, under an id made of its scope and
    its words, and can be deleted by it. `rebuild_graph` makes the graph from the memories, and
    drops what was only migrated. The old data stays where it is.

    Args:
        facts: The facts.
        engine: Where to.
        embedder: Finds names that mean the same.
        on_progress: Called after each batch with the number of facts done so far.

    Returns:
        How many facts were written, or were there already.
    """
    given = _Given()
    graph = GraphMemory(engine, extractor=given)
    graph.complete(extractor=given, embedder=embedder)
    done = 0
    for scope in sorted({fact.scope for fact in facts}, key=repr):
        own = [fact for fact in facts if fact.scope == scope]
        for start in range(0, len(own), _BATCH):
            batch = own[start : start + _BATCH]
            graph.sync(scope, [memory for fact in batch for memory in given.memories(fact)])
            done += len(batch)
            if on_progress is not None:
                on_progress(done)
    return done


class _Given:
    """An extractor that knows already what the texts say."""

    def __init__(self) -> None:
        self._triples: dict[str, Triple] = {}

    def memories(self, fact: OldFact) -> list[Memory]:
        """Return what stands for a fact, and for its end."""
        triple = fact.triple
        text = f"{triple.source} {triple.relationship} {triple.target}"
        made = [self._memory(fact.scope, text, triple, fact.since)]
        if fact.until is not None:
            ended = Triple(triple.source, triple.relationship, triple.target, ended=True)
            made.append(self._memory(fact.scope, f"{text} no longer", ended, fact.until))
        return made

    def extract(
        self, texts: Sequence[str], *, speaker: str, known: Sequence[Relation] = ()
    ) -> list[Extracted]:
        """Return what the texts say."""
        return [Extracted(triples=(self._triples[text],)) for text in texts]

    def _memory(self, scope: Scope, text: str, triple: Triple, time: datetime) -> Memory:
        self._triples[text] = triple
        made = str(uuid.uuid5(_NAMESPACE, f"{sorted(scope.ids.items())} {text}"))
        return Memory(id=made, text=text, scope=scope, created_at=time, updated_at=time)


def _facts(rows: Rows, scope: Scope | None) -> Iterator[OldFact]:
    for row in rows:
        if any((row[key] or None) != (row[f"target_{key}"] or None) for key in _IDS):
            continue
        try:
            owner = Scope(**{key: str(row[key]) for key in _IDS if row[key]})
        except ScopeError:
            continue
        if scope is not None and not scope.covers(owner):
            continue
        since = _time(row["created_at"]) or _time(row["created"]) or datetime.fromtimestamp(0, UTC)
        ended = row["valid"] is False
        yield OldFact(
            owner,
            Triple(_name(row["source"], owner), row["relationship"], _name(row["target"], owner)),
            since,
            max(_time(row["invalidated_at"]) or datetime.now(UTC), since) if ended else None,
        )


def _name(name: object, owner: Scope) -> str:
    # Mem0 1.x wrote underscores for spaces, and the user's id for the user.
    text = clean(str(name))
    return text if text in owner.ids.values() else clean(text.replace("_", " "))


def _time(value: object) -> datetime | None:
    """Read a time of Neo4j's, an ISO text, or milliseconds since 1970."""
    native = getattr(value, "to_native", None)
    if native is not None:
        value = native()
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def counts_by_scope(facts: Sequence[OldFact]) -> Mapping[Scope, int]:
    """Return how many facts each scope has."""
    counts: dict[Scope, int] = {}
    for fact in facts:
        counts[fact.scope] = counts.get(fact.scope, 0) + 1
    return counts
