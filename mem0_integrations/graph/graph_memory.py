"""`GraphMemory`: the knowledge graph of the memories."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TypeVar, Unpack

from mem0_integrations.arguments import check_integer, check_score
from mem0_integrations.concurrency import acall, shielded
from mem0_integrations.errors import ConfigurationError, ExtractionError
from mem0_integrations.following import KnowledgeGraph, RelatedOptions, RelationsOptions
from mem0_integrations.graph import cypher, facts
from mem0_integrations.graph.engines.base import Batch, GraphEngine, GraphPlan
from mem0_integrations.graph.entity_names import EntityNames
from mem0_integrations.graph.extraction import RelationExtractor
from mem0_integrations.graph.model import said_at, timestamp
from mem0_integrations.graph.patterns import PatternRelationExtractor
from mem0_integrations.graph.projection import changed_memories, project, remove
from mem0_integrations.models import Embeddings, LangChainEmbedder, Mem0Embedder
from mem0_integrations.names import speaker_of
from mem0_integrations.plans import arun, run
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import Scope, ScopeLike

__all__ = ["GraphMemory"]

T = TypeVar("T")

# Memories of one call of a model.
_TURN: Final = 20
_MANY: Final = 500


class GraphMemory(KnowledgeGraph):
    """The knowledge graph of what is remembered: entities, facts, and the memories behind them.

    Give one to `connect(graph=...)`. From then on, `remember` adds to it, `recall` shows its
    relations, and `update`, `delete` and `forget` keep it true. It is a projection: made again
    at any time from the memories, and written behind the outbox, so that a graph which is down
    neither fails nor slows a write.

    Nodes are `Memory` and `Entity`; a `RELATES` edge is a fact as one memory supports it, with
    its `predicate`, `valid_from` and `valid_to`; a `MENTIONS` edge leads from a memory to an
    entity. All carry `user_id`, `agent_id`, `run_id` and `app_id`, empty where there is none,
    and no query goes beyond the scope that it is for. Reading needs no model.

    Args:
        engine: The graph database.
        extractor: Finds relations in memories; else Mem0's model does, and without one a set of
            patterns.
        embedder: A LangChain embeddings object, to find names that mean the same; else Mem0's
            embedder.
        similarity_threshold: Minimum cosine similarity, in [0, 1], of names for the same thing.
            With the embedder of the embedded default, `left knee` and `right knee` have 0.944.
            Names with a digit, e-mail addresses and URLs are never taken for another.
        relation_limit: Maximum number of relations in a recall.

    Raises:
        ConfigurationError: `engine`, `extractor` or `embedder` is not an object of that kind.
        InvalidInputError: A number is out of range.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect(graph=True, scope={"user_id": "priya"}) as memory:
        ...     result = memory.remember("I live in Oslo.")
        ...     flushed = memory.flush()
        ...     [relation] = memory.graph.relations(scope={"user_id": "priya"})
        >>> relation.source, relation.relationship, relation.target
        ('priya', 'lives_in', 'Oslo')
    """

    def __init__(
        self,
        engine: GraphEngine,
        *,
        extractor: RelationExtractor | None = None,
        embedder: Embeddings | None = None,
        similarity_threshold: float = 0.95,
        relation_limit: int = 10,
    ) -> None:
        if not isinstance(engine, GraphEngine):
            raise ConfigurationError(
                f"engine must be an engine such as Neo4jEngine(url), not {engine!r}."
            )
        if extractor is not None and not callable(getattr(extractor, "extract", None)):
            raise ConfigurationError(f"extractor must have extract(), not {extractor!r}.")
        if embedder is not None and not callable(getattr(embedder, "embed_documents", None)):
            raise ConfigurationError(f"embedder must be a LangChain Embeddings, not {embedder!r}.")
        check_score("similarity_threshold", similarity_threshold)
        check_integer("relation_limit", relation_limit, 1, None)
        self.engine = engine
        self._extractor = extractor
        self._similarity_threshold = similarity_threshold
        self.relation_limit = relation_limit
        self._names: EntityNames | None = None
        if embedder is not None:
            self._names = EntityNames(LangChainEmbedder(embedder), similarity_threshold)
        self._prepared = False
        self._preparing = threading.Lock()
        self._turns = _Turns()

    def complete(self, *, extractor: RelationExtractor, embedder: Mem0Embedder | None) -> None:
        """Set what the application did not give.

        Args:
            extractor: Used if none was given.
            embedder: Used if none was given; None if Mem0 does not expose its own.
        """
        self._extractor = self._extractor or extractor
        self._names = self._names or EntityNames(embedder, self._similarity_threshold)

    @shielded
    def relations(
        self,
        entity: str | None = None,
        *,
        scope: ScopeLike,
        depth: int = 1,
        as_of: datetime | None = None,
        limit: int = 100,
    ) -> list[Relation]:
        """Return the facts of a scope or around one entity, the latest first.

        Args:
            entity: A name, in upper or lower case; None for all facts.
            scope: Whose facts.
            depth: Maximum number of steps from the entity, 1 to 4.
            as_of: A time with a time zone: return what held then; by default what holds now.
            limit: Maximum number of facts, 1 to 10,000.

        Raises:
            InvalidInputError: An argument is malformed.
            BackendError: The graph could not be read.
        """
        options: RelationsOptions = {"scope": scope, "depth": depth, "as_of": as_of, "limit": limit}
        return self._run(facts.relations(entity, **options))

    async def arelations(
        self, entity: str | None = None, **options: Unpack[RelationsOptions]
    ) -> list[Relation]:
        """Async twin of `relations`."""
        return await self._arun(facts.relations(entity, **options))

    @shielded
    def history(self, *, scope: ScopeLike, limit: int = 1_000) -> list[Relation]:
        """Return all facts of a scope, including those that have ended or were taken back.

        Args:
            scope: Whose facts.
            limit: Maximum number of facts, 1 to 10,000; the latest are kept.
        """
        return self._run(facts.history(Scope.of(scope), limit))

    async def ahistory(self, *, scope: ScopeLike, limit: int = 1_000) -> list[Relation]:
        """Async twin of `history`."""
        return await self._arun(facts.history(Scope.of(scope), limit))

    @shielded
    def path(
        self, source: str, target: str, *, scope: ScopeLike, longest: int = 4
    ) -> list[Relation]:
        """Return the shortest chain of facts that connects two entities; empty if there is none.

        Args:
            source: A name.
            target: Another one.
            scope: Whose facts.
            longest: Maximum number of facts on the way, 1 to 4.
        """
        return self._run(facts.path(Scope.of(scope), source, target, longest))

    async def apath(
        self, source: str, target: str, *, scope: ScopeLike, longest: int = 4
    ) -> list[Relation]:
        """Async twin of `path`."""
        return await self._arun(facts.path(Scope.of(scope), source, target, longest))

    @shielded
    def related(
        self,
        query: str,
        memories: Sequence[Memory],
        *,
        scope: ScopeLike,
        as_of: datetime | None = None,
        limit: int | None = None,
    ) -> list[Relation]:
        """Return the facts to show beside recalled memories; `recall` calls it.

        First what the memories support, in their order, then what is known about the entities
        that the query names.

        Args:
            query: What was searched for.
            memories: What was found.
            scope: Whose facts.
            as_of: A time with a time zone: return what held then; by default what holds now.
            limit: Maximum number of facts; by default the graph's `relation_limit`.
        """
        limit = limit or self.relation_limit
        return self._run(facts.related(query, memories, scope=scope, as_of=as_of, limit=limit))

    async def arelated(
        self, query: str, memories: Sequence[Memory], **options: Unpack[RelatedOptions]
    ) -> list[Relation]:
        """Async twin of `related`."""
        options["limit"] = options.get("limit") or self.relation_limit
        return await self._arun(facts.related(query, memories, **options))

    @shielded
    def sync(self, scope: Scope, memories: Sequence[Memory], gone: Sequence[str] = ()) -> None:
        """Bring the graph up to date with memories; what it knows already is left alone.

        Args:
            scope: A scope that covers all of them.
            memories: The memories as they are, each once.
            gone: The ids of memories that are no longer there.

        Raises:
            BackendError: The graph or the model failed; nothing was half done, so call it again.
        """
        with self._turns.of(scope):
            self._sync(scope, memories, gone)

    @shielded
    def rebuild(self, scope: ScopeLike, memories: Iterable[Memory]) -> int:
        """Make the graph of a scope again from its memories; `AgentMemory.rebuild_graph` calls it.

        Args:
            scope: Whose graph; it is erased first.
            memories: All memories of the scope.

        Returns:
            The number of memories that it was made from.
        """
        own = Scope.of(scope)
        with self._turns.of(own):
            self._forget(own)
            # Oldest first: who was named first gives the name.
            ordered = sorted(memories, key=lambda memory: (timestamp(said_at(memory)), memory.id))
            for start in range(0, len(ordered), _MANY):
                self._sync(own, ordered[start : start + _MANY])
        return len(ordered)

    @shielded
    def forget(self, scope: ScopeLike) -> int:
        """Erase everything in a scope and return how many facts it had.

        Args:
            scope: Whose facts. A `user_id` alone covers all agents and runs of that user.
        """
        own = Scope.of(scope)
        with self._turns.of(own):
            return self._forget(own)

    @shielded
    def reset(self) -> None:
        """Erase the graph of every scope, but nothing else in the database."""
        self._run(_erase(Batch(cypher.erasing_everything(), write=True)))
        if self._names is not None:
            self._names.clear()

    @shielded
    def describe(self) -> str:
        """Ask the database for its version and return it with its address, without credentials."""
        return self.engine.describe()

    @shielded
    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    async def aclose(self) -> None:
        """Async twin of `close`."""
        await self.engine.aclose()

    @property
    def _entity_names(self) -> EntityNames:
        if self._names is None:
            raise _without("embedder")
        return self._names

    def _forget(self, scope: Scope) -> int:
        count = self._run(_forget(scope))
        if self._names is not None:
            self._names.drop(scope)
        return count

    def _sync(self, scope: Scope, memories: Sequence[Memory], gone: Sequence[str] = ()) -> None:
        if gone:
            self._run(remove(scope, gone, datetime.now(UTC), self._entity_names))
        for owner in sorted({memory.scope for memory in memories}, key=repr):
            self._sync_own(owner, [memory for memory in memories if memory.scope == owner])

    def _sync_own(self, scope: Scope, memories: Sequence[Memory]) -> None:
        if self._extractor is None:
            raise _without("extractor")
        # Patterns take no notice of what is known.
        reads = not isinstance(self._extractor, PatternRelationExtractor)
        changed = self._run(changed_memories(scope, memories))
        size = _TURN if reads else _MANY
        for start in range(0, len(changed), size):
            part = changed[start : start + size]
            texts = [memory.text for memory in part]
            known = self._run(facts.known(scope, texts)) if reads else []
            found = self._extractor.extract(texts, speaker=speaker_of(scope), known=known)
            if len(found) != len(part):
                raise ExtractionError(
                    f"{type(self._extractor).__name__} gave {len(found)} results for {len(part)} "
                    f"texts; it must give one for each."
                )
            self._run(project(scope, list(zip(part, found, strict=True)), self._entity_names))

    def _run(self, plan: GraphPlan[T]) -> T:
        self._prepare()
        return run(plan, self.engine.run)

    async def _arun(self, plan: GraphPlan[T]) -> T:
        if not self._prepared:
            await acall(self._prepare)
        return await arun(plan, self.engine.arun)

    def _prepare(self) -> None:
        if not self._prepared:
            with self._preparing:
                if not self._prepared:
                    self.engine.prepare(cypher.schema_of(owners=self.engine.chooses_indexes))
                    self._prepared = True


class _Turns:
    """Lets calls whose scopes may share a memory run one at a time, in the order they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: dict[object, Scope] = {}

    @contextmanager
    def of(self, scope: Scope) -> Iterator[None]:
        """Run the block when no earlier one with an overlapping scope is left."""
        turn = object()
        with self._changed:
            earlier = {one for one, other in self._line.items() if scope.overlaps(other)}
            self._line[turn] = scope
            self._changed.wait_for(lambda: earlier.isdisjoint(self._line))
        try:
            yield
        finally:
            with self._changed:
                del self._line[turn]
                self._changed.notify_all()


def _without(part: str) -> ConfigurationError:
    return ConfigurationError(
        f"This GraphMemory has no {part}: give it to connect(graph=...), or make it with embedder= "
        "and extractor=."
    )


def _forget(scope: Scope) -> GraphPlan[int]:
    [rows] = yield Batch([cypher.count_facts(scope)])
    yield from _erase(Batch(cypher.erasing_scope(scope), write=True))
    return int(rows[0]["facts"])


def _erase(some: Batch) -> GraphPlan[None]:
    remain = True
    while remain:
        found = yield some
        remain = any(row["remain"] for rows in found for row in rows)
