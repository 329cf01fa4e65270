"""Mem0's vector store under CrewAI's own memory engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final, Self, TypeAlias

import numpy as np
from chromadb.api.types import EmbeddingFunction
from crewai.memory.storage import factory as storage_factory
from crewai.memory.storage.backend import EmbeddingDimensionMismatchError, StorageBackend
from crewai.memory.storage.factory import set_memory_storage_factory
from crewai.memory.types import MemoryRecord, ScopeInfo
from crewai.memory.unified_memory import Memory as CrewMemory
from crewai.rag.embeddings.providers.custom.embedding_callable import CustomEmbeddingFunction
from pydantic_core import SchemaSerializer, core_schema

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.records import (
    LAST_ACCESSED,
    child_scopes,
    counted_categories,
    full_metadata,
    in_page,
    is_crew_memory,
    lies_under,
    memory_ids_of,
    metadata_of,
    naive_utc,
    record_of,
    scope_filter,
    scope_info,
    selects,
)
from mem0_integrations.errors import ScopeError
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope
from mem0_integrations.values import storable

__all__ = ["Mem0Storage", "UserId", "register", "scope_of_user"]

UserId: TypeAlias = str | Callable[[], str]

_SPEC: Final = "mem0"
# What CrewAI asks for on behalf of `memory=True`.
_SPECS: Final = (_SPEC, "lancedb")


def scope_of_user(user_id: UserId) -> Scope:
    """Return whose memories are meant, now.

    Raises:
        ScopeError: It is not an id, or a `ContextVar` that was never set.
    """
    try:
        found = user_id() if callable(user_id) else user_id
    except LookupError as error:
        raise ScopeError(f"user_id= did not find whose memories are meant: {error!r}.") from error
    return Scope(user_id=found)


def _as_spec(*_: object) -> str:
    return _SPEC


class _Kept:
    """Stays what it is in a copy or a dump of a crew, and becomes a word in a dump to JSON."""

    __pydantic_serializer__: ClassVar[SchemaSerializer] = SchemaSerializer(
        core_schema.any_schema(
            serialization=core_schema.plain_serializer_function_ser_schema(
                _as_spec, when_used="json"
            )
        )
    )

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Copies of a crew share its memory.
        return self


class Mem0Embedder(_Kept):
    """Mem0's own embedder, as CrewAI calls one.

    Args:
        memory: The memory whose embedder it is.
    """

    def __init__(self, memory: AgentMemory) -> None:
        self._vectors = memory.vectors()

    def __call__(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return self._vectors.embed([storable(text) for text in texts]) if texts else []


class Mem0Storage(_Kept):
    """CrewAI's `StorageBackend` on the vector store of a Mem0.

    CrewAI extracts, consolidates and ranks; Mem0 keeps. Records are ordinary memories of the
    user, so that `AgentMemory.recall`, an agent of LangChain or a graph of LangGraph finds what
    a crew remembers. It needs a Mem0 that shows its vectors: any but the hosted one.

    The user is the tenant: no scope, id or criterion reaches beyond. Scores are cosine
    similarities, clipped to [0, 1]; CrewAI's `consolidation_threshold` of 0.85 is one, too. Scopes
    are paths: `/a` holds `/a/b`, not `/ab`. Criteria of `delete` must all be met; `record_ids=[]`
    is met by none. A record that is saved again is replaced; one that is updated keeps its
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
        if not callable(user_id):
            scope_of_user(user_id)
        self._vectors = memory.vectors()
        self._user_id = user_id
        self._shared = shared
        self.embedder = Mem0Embedder(memory)

    def memory(self, **options: Any) -> CrewMemory:
        """Return CrewAI's `Memory` on this storage, with the embedder of the same Mem0.

        Args:
            **options: Those of CrewAI's `Memory`, such as `llm` and `root_scope`.
        """
        return CrewMemory(**{"embedder": self.embedder, **options, "storage": self})

    def save(self, records: list[MemoryRecord]) -> None:
        """Store records; one with a known id is replaced.

        Raises:
            EmbeddingDimensionMismatchError: A vector has another length than Mem0's.
            NotSerializableError: The metadata of one is not JSON; nothing was stored.
        """
        scope = self._scope
        self._put(scope, records, self._found(scope, [record.id for record in records]))

    def update(self, record: MemoryRecord) -> None:
        """Replace a record; it is stored if there is none with its id.

        Raises:
            EmbeddingDimensionMismatchError: The vector has another length than Mem0's.
            NotSerializableError: Its metadata is not JSON; nothing was changed.
        """
        scope = self._scope
        old = self._found(scope, [record.id]).get(record.id)
        if old is not None and is_crew_memory(old):
            known = record_of(old)
            # CrewAI's consolidation leaves these two out.
            if record.source is None:
                kept = {"source": known.source, "private": record.private or known.private}
                record = record.model_copy(update=kept)
        self._put(scope, [record], {} if old is None else {record.id: old})

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
        self._check_dimension(query_embedding)
        if limit <= 0:
            return []
        test = selects(
            scope_prefix=scope_prefix, categories=categories, metadata_filter=metadata_filter
        )
        found = self._vectors.search(
            self._scope,
            query_embedding,
            self._equals(scope_prefix),
            limit,
            passes=lambda memory: (
                self._shows(memory) and test(record_of(memory, scope_prefix or "/"))
            ),
        )
        scored = [(record_of(memory, scope_prefix or "/"), memory.score or 0.0) for memory in found]
        return [(record, score) for record, score in scored if score >= min_score]

    def delete(
        self,
        scope_prefix: str | None = None,
        categories: list[str] | None = None,
        record_ids: list[str] | None = None,
        older_than: datetime | None = None,
        metadata_filter: dict[str, Any] | None = None,
    ) -> int:
        """Delete the user's records that meet all criteria; returns how many."""
        scope = self._scope
        passes = selects(
            scope_prefix=scope_prefix,
            categories=categories,
            record_ids=record_ids,
            older_than=older_than,
            metadata_filter=metadata_filter,
        )
        if record_ids is not None:
            candidates = list(self._found(scope, record_ids).values())
        else:
            candidates = self._vectors.list(scope, scope_filter(scope_prefix))
        doomed = [
            memory.id for memory in candidates if passes(record_of(memory, scope_prefix or "/"))
        ]
        return self._vectors.delete(scope, doomed) if doomed else 0

    def get_record(self, record_id: str) -> MemoryRecord | None:
        """Return a record of the user, or None."""
        found = self._found(self._scope, [record_id]).get(record_id)
        return None if found is None else record_of(found)

    def list_records(
        self, scope_prefix: str | None = None, limit: int = 200, offset: int = 0
    ) -> list[MemoryRecord]:
        """Return a page of the records of a scope, newest first."""
        page = in_page(self._memories(scope_prefix), limit, offset)
        return [record_of(memory, scope_prefix or "/") for memory in page]

    def get_scope_info(self, scope: str) -> ScopeInfo:
        """Describe a scope and what lies within it."""
        return scope_info(self._records(scope), scope)

    def list_scopes(self, parent: str = "/") -> list[str]:
        """Return the scopes right below another one, sorted."""
        return child_scopes(self._records(parent), parent)

    def list_categories(self, scope_prefix: str | None = None) -> dict[str, int]:
        """Return how many records of a scope have each category."""
        return counted_categories(self._records(scope_prefix))

    def count(self, scope_prefix: str | None = None) -> int:
        """Return how many records a scope has, those within it included."""
        return len(self._memories(scope_prefix))

    def reset(self, scope_prefix: str | None = None) -> None:
        """Delete the user's records of a scope, or all of them; not what was said elsewhere."""
        self.delete(scope_prefix=scope_prefix)

    def touch_records(self, record_ids: list[str]) -> None:
        """Note that records were read just now."""
        scope = self._scope
        now = {LAST_ACCESSED: naive_utc(datetime.now(UTC)).isoformat()}
        own = filter(is_crew_memory, self._found(scope, record_ids).values())
        self._vectors.amend(scope, {memory.id: now for memory in own})

    def close(self) -> None:
        """Do nothing: the memory belongs to whoever connected it."""

    async def asave(self, records: list[MemoryRecord]) -> None:
        """Async twin of `save`."""
        await self._vectors.access.in_thread(partial(self._bound().save, records))

    async def asearch(  # noqa: PLR0917  (CrewAI's signature)
        self,
        query_embedding: list[float],
        scope_prefix: str | None = None,
        categories: list[str] | None = None,
        metadata_filter: dict[str, Any] | None = None,
        limit: int = 10,
        min_score: float = 0.0,
    ) -> list[tuple[MemoryRecord, float]]:
        """Async twin of `search`."""
        criteria = (query_embedding, scope_prefix, categories, metadata_filter, limit, min_score)
        return await self._vectors.access.in_thread(partial(self._bound().search, *criteria))

    async def adelete(
        self,
        scope_prefix: str | None = None,
        categories: list[str] | None = None,
        record_ids: list[str] | None = None,
        older_than: datetime | None = None,
        metadata_filter: dict[str, Any] | None = None,
    ) -> int:
        """Async twin of `delete`."""
        criteria = (scope_prefix, categories, record_ids, older_than, metadata_filter)
        return await self._vectors.access.in_thread(partial(self._bound().delete, *criteria))

    @property
    def _scope(self) -> Scope:
        return scope_of_user(self._user_id)

    def _bound(self) -> Self:
        """Return itself for the user of now: other threads do not see the caller's context."""
        bound = copy.copy(self)
        bound._user_id = str(self._scope.user_id)
        return bound

    def _check_dimension(self, vector: Sequence[float]) -> None:
        if len(vector) != self._vectors.dimension:
            raise EmbeddingDimensionMismatchError(self._vectors.dimension, len(vector))

    def _put(
        self, scope: Scope, records: Sequence[MemoryRecord], known: Mapping[str, Memory]
    ) -> None:
        new: list[VectorMemory] = []
        # All are checked before any is stored.
        for record in records:
            if record.embedding:
                self._check_dimension(record.embedding)
            old = known.get(record.id)
            metadata = metadata_of(
                record,
                named=old is None or old.id != record.id,
                scoped=old is None or is_crew_memory(old),
            )
            new.append(
                VectorMemory(
                    id=old.id if old else memory_ids_of(scope, record.id)[0],
                    text=storable(record.content),
                    metadata={**full_metadata(old), **metadata} if old else metadata,
                    created_at=naive_utc(record.created_at).replace(tzinfo=UTC),
                    vector=record.embedding or None,
                )
            )
        if new:
            self._vectors.put(scope, new)

    def _shows(self, memory: Memory) -> bool:
        return self._shared or is_crew_memory(memory)

    def _equals(self, prefix: str | None) -> dict[str, str]:
        return {} if self._shared else scope_filter(prefix)

    def _found(self, scope: Scope, record_ids: Sequence[str]) -> dict[str, Memory]:
        """Return the memories of records, by the ids of the records."""
        wanted = {
            memory_id: str(record_id)
            for record_id in record_ids
            for memory_id in memory_ids_of(scope, record_id)
        }
        found = self._vectors.get(scope, list(wanted))
        shown = filter(self._shows, found.values())
        return {
            wanted[memory.id]: memory
            for memory in shown
            if record_of(memory).id == wanted[memory.id]
        }

    def _records(self, prefix: str | None) -> list[MemoryRecord]:
        return [record_of(memory, prefix or "/") for memory in self._memories(prefix)]

    def _memories(self, prefix: str | None) -> list[Memory]:
        memories = self._vectors.list(self._scope, self._equals(prefix))
        return [memory for memory in memories if self._shows(memory) and lies_under(memory, prefix)]


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
    """CrewAI's factory for storages.

    Attributes:
        storage: What is asked for on behalf of Mem0.
        before: The factory for all else.
    """

    storage: Mem0Storage
    before: Callable[[str], StorageBackend | None] | None

    def __call__(self, spec: str) -> StorageBackend | None:
        if spec in _SPECS:
            return self.storage
        return self.before(spec) if self.before is not None else None


def embedder_config(embedder: Mem0Embedder) -> dict[str, Any]:
    """Return an embedder as CrewAI's configuration of one."""

    # CrewAI builds the one; a crew's `embedder` must be the other.
    class Mem0EmbeddingFunction(CustomEmbeddingFunction, EmbeddingFunction[Any]):
        """Mem0's own embedder."""

        def __init__(self, **_: object) -> None:
            pass

        def __call__(self, input: Any) -> Any:
            return [np.array(vector, dtype=np.float32) for vector in embedder(list(input))]

    return {"provider": "custom", "config": {"embedding_callable": Mem0EmbeddingFunction}}
