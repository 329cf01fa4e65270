"""Mem0's vector store under CrewAI's own memory engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from crewai.memory.storage import factory as storage_factory
from crewai.memory.storage.backend import EmbeddingDimensionMismatchError, StorageBackend
from crewai.memory.storage.factory import set_memory_storage_factory
from crewai.memory.types import MemoryRecord
from crewai.memory.unified_memory import Memory as CrewMemory

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.criteria import is_exact, selects
from mem0_integrations.crewai.embedder import SPEC, CrewEmbedder, embedder_config
from mem0_integrations.crewai.record_storage import RecordStorage
from mem0_integrations.crewai.records import UserId, record_of
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.requests import Change
from mem0_integrations.scope import Scope

__all__ = ["Mem0Storage", "register"]

# What CrewAI asks for on behalf of `memory=True`.
_SPECS: Final = (SPEC, "lancedb")


class Mem0Storage(RecordStorage):
    """CrewAI's `StorageBackend` on the vector store of a Mem0.

    CrewAI extracts, consolidates and ranks; Mem0 keeps. Records are ordinary memories of the
    user, so that `AgentMemory.recall`, an agent of LangChain or a graph of LangGraph finds what
    a crew remembers. It needs a Mem0 that shows its vectors: any but the hosted one.

    The user is the tenant: no scope, id or criterion reaches another user's records. Scores are
    cosine similarities, clipped to [0, 1], as is CrewAI's `consolidation_threshold` of 0.85. Scopes
    are paths: `/a` holds `/a/b`, not `/ab`. Criteria of `delete` must all be met; no record meets
    `record_ids=[]`. A record that is saved again is replaced; one that is updated keeps its
    vector, source and privacy where the update does not say. `touch_records` and `close` work.

    Args:
        memory: The memory; it stays open.
        user_id: Whose memories: an id, or a function that is asked at each operation, and may
            read a `ContextVar` that is set for a kickoff.
        shared: Whether the crew also sees what the user has said elsewhere, in any scope it
            looks into, also once a crew has changed it. `reset`, and `delete` without ids, never
            reach that.

    Raises:
        ConfigurationError: The memory does not show its vectors.
        ScopeError: `user_id` is not an id.

    Example:
        >>> from crewai.memory.types import MemoryRecord
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.crewai import Mem0Storage
        >>> with connect() as memory:
        ...     storage = Mem0Storage(memory, user_id="customer-1")
        ...     crew_memory = storage.memory()  # Crew(agents=..., tasks=..., memory=crew_memory)
        ...     [vector] = storage.embedder(["Prefers green tea."])
        ...     storage.save([MemoryRecord(content="Prefers green tea.", embedding=vector)])
        ...     memory.recall("tea", scope={"user_id": "customer-1"}).memories[0].text
        'Prefers green tea.'
    """

    def __init__(self, memory: AgentMemory, *, user_id: UserId, shared: bool = False) -> None:
        self._vectors = memory.vectors()
        self._dimension = self._vectors.ask(lambda memories: memories.dimension)
        super().__init__(memory, user_id=user_id, shared=shared)
        self.embedder = CrewEmbedder(memory)

    def memory(self, **options: Any) -> CrewMemory:
        """Return CrewAI's `Memory` on this storage, with the embedder of the same Mem0.

        Args:
            **options: Those of CrewAI's `Memory`, such as `llm` and `root_scope`.
        """
        return CrewMemory(**{"embedder": self.embedder, **options, "storage": self})

    def search(  # noqa: PLR0917  (CrewAI's signature)
        self,
        query_embedding: list[float],
        scope_prefix: str | None = None,
        categories: list[str] | None = None,
        metadata_filter: dict[str, Any] | None = None,
        limit: int = 10,
        min_score: float = 0.0,
    ) -> list[tuple[MemoryRecord, float]]:
        """Return the records nearest to a vector, with their scores in [0, 1].

        Raises:
            EmbeddingDimensionMismatchError: The vector has another length than Mem0's.
        """
        self._check_vector(query_embedding)
        if limit <= 0:
            return []
        test = selects(
            scope_prefix=scope_prefix, categories=categories, metadata_filter=metadata_filter
        )
        asked = (self._scope, query_embedding, self._equals(scope_prefix), limit)

        def passing(memories: Iterable[Memory]) -> Iterator[tuple[MemoryRecord, float]]:
            for memory in filter(self._shows, memories):
                if test(record := record_of(memory, scope_prefix or "/")):
                    yield record, memory.score or 0.0

        found = self._vectors.ask(lambda stored: [*islice(passing(stored.search(*asked)), limit)])
        return [(record, score) for record, score in found if score >= min_score]

    def _check_vector(self, vector: Sequence[float]) -> None:
        if len(vector) != self._dimension:
            raise EmbeddingDimensionMismatchError(self._dimension, len(vector))

    def _get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        return self._vectors.ask(lambda memories: memories.get(scope, ids))

    def _list(self, scope: Scope, equals: Mapping[str, str]) -> list[Memory]:
        return self._vectors.ask(lambda memories: memories.list(scope, equals))

    def _newest(self, prefix: str | None, limit: int) -> list[Memory]:
        asked = (self._scope, self._equals(prefix), limit)

        def shown(memories: Iterable[Memory]) -> list[Memory]:
            return [*islice((each for each in memories if self._is_under(each, prefix)), limit)]

        return self._vectors.ask(lambda stored: shown(stored.newest(*asked)))

    def _counted(self, prefix: str | None) -> int:
        if self._shared or not is_exact(prefix):
            return super()._counted(prefix)
        asked = (self._scope, self._equals(prefix))
        return self._vectors.ask(lambda memories: memories.count(*asked))

    def _store(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        change = Change(scope, memory_ids=tuple(memory.id for memory in memories))
        self._vectors.ask(
            lambda stored: stored.put(scope, memories), scopes=[scope], changes=[change]
        )

    def _amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        self._vectors.ask(lambda memories: memories.amend(scope, metadata), scopes=[scope])

    def _remove(self, scope: Scope, ids: Sequence[str]) -> int:
        change = Change(scope, memory_ids=tuple(ids))
        return self._vectors.ask(
            lambda memories: memories.delete(scope, ids), scopes=[scope], changes=[change]
        )


def register(memory: AgentMemory, *, user_id: UserId, shared: bool = False) -> dict[str, Any]:
    """Let CrewAI build its own memories on Mem0: `Memory(storage="mem0")`, `Crew(memory=True)`.

    CrewAI's factory for storages does not choose the embedder: give what is returned as
    `embedder=` to a crew with `memory=True`, or `storage.memory()` where a `Memory` is built.
    Paths of LanceDB, `qdrant-edge` and a factory that was set before stay what they are; what was
    registered before is replaced. CrewAI cannot dump a crew with such an `embedder=` to JSON; one
    with `memory=storage.memory()` it can.

    Args:
        memory: The memory; it stays open.
        user_id: Whose memories; see `Mem0Storage`.
        shared: Whether crews also see what the user has said elsewhere.

    Returns:
        CrewAI's configuration of Mem0's embedder.

    Raises:
        ConfigurationError: The memory does not show its vectors.
        ScopeError: `user_id` is not an id.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.crewai import register
        >>> with connect() as memory:
        ...     embedder = register(memory, user_id="customer-1")
        ...     embedder["provider"]  # Crew(agents, tasks, memory=True, embedder=embedder)
        'custom'
    """
    storage = Mem0Storage(memory, user_id=user_id, shared=shared)
    before = storage_factory._factory
    if isinstance(before, _Factory):
        # It is replaced: an application that registers often must not pile them up.
        before = before.before
    set_memory_storage_factory(_Factory(storage, before))
    return embedder_config(storage.embedder)


@dataclass(frozen=True, slots=True)
class _Factory:
    """CrewAI's factory for storages, which leaves all but Mem0's to the one before."""

    storage: Mem0Storage
    before: Callable[[str], StorageBackend | None] | None

    def __call__(self, spec: str) -> StorageBackend | None:
        if spec in _SPECS:
            return self.storage
        return self.before(spec) if self.before is not None else None
