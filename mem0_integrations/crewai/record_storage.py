"""CrewAI's `StorageBackend` on any Mem0, except for what takes vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Self

from crewai.memory.types import MemoryRecord, ScopeInfo

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.criteria import (
    child_scopes,
    counted_categories,
    lies_under,
    scope_filter,
    scope_info,
    selects,
)
from mem0_integrations.crewai.embedder import Shared
from mem0_integrations.crewai.records import (
    LAST_ACCESSED,
    UserId,
    check_user,
    full_metadata,
    is_crew_memory,
    memory_ids_of,
    metadata_of,
    naive_utc,
    record_of,
    scope_of_user,
)
from mem0_integrations.errors import ConfigurationError, MemoryNotFoundError
from mem0_integrations.recall.versions import newest_first
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope
from mem0_integrations.values import storable

__all__ = ["RecordStorage"]

_ALL: Final = 1_000_000_000


class RecordStorage(Shared):
    """Keeps the records of a user as memories, by the operations of `AgentMemory`.

    Its arguments are those of `Mem0Storage`.

    Raises:
        ScopeError: `user_id` is not an id.
    """

    def __init__(self, memory: AgentMemory, *, user_id: UserId, shared: bool) -> None:
        check_user(user_id)
        self._memory = memory
        self._user_id = user_id
        self._shared = shared

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

    def search(self, *args: Any, **criteria: Any) -> list[tuple[MemoryRecord, float]]:
        """Refuse: that takes vectors."""
        raise _no_vectors()

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
            candidates = self._list(scope, scope_filter(scope_prefix))
        # A record is made of each memory only where more than its scope is asked for.
        more = categories or older_than or metadata_filter or record_ids is not None
        doomed = [
            memory.id
            for memory in candidates
            if lies_under(memory, scope_prefix)
            and (not more or passes(record_of(memory, scope_prefix or "/")))
        ]
        return self._remove(scope, doomed) if doomed else 0

    def get_record(self, record_id: str) -> MemoryRecord | None:
        """Return a record of the user, or None."""
        found = self._found(self._scope, [record_id]).get(record_id)
        return None if found is None else record_of(found)

    def list_records(
        self, scope_prefix: str | None = None, limit: int = 200, offset: int = 0
    ) -> list[MemoryRecord]:
        """Return a page of the records of a scope, newest first."""
        if limit <= 0 or offset < 0:
            return []
        page = self._newest(scope_prefix, limit + offset)[offset:]
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
        return self._counted(scope_prefix)

    def reset(self, scope_prefix: str | None = None) -> None:
        """Delete the user's records of a scope, or all of them; not what was said elsewhere."""
        self.delete(scope_prefix=scope_prefix)

    def touch_records(self, record_ids: list[str]) -> None:
        """Note that records were read just now."""
        scope = self._scope
        now = {LAST_ACCESSED: naive_utc(datetime.now(UTC)).isoformat()}
        own = filter(is_crew_memory, self._found(scope, record_ids).values())
        self._amend(scope, {memory.id: now for memory in own})

    def close(self) -> None:
        """Do nothing: the memory belongs to the application that connected it."""

    async def asave(self, records: list[MemoryRecord]) -> None:
        """Async twin of `save`."""
        await self._memory.in_thread(partial(self._bound().save, records))

    async def asearch(self, *args: Any, **criteria: Any) -> list[tuple[MemoryRecord, float]]:
        """Async twin of `search`."""
        return await self._memory.in_thread(partial(self._bound().search, *args, **criteria))

    async def adelete(self, *args: Any, **criteria: Any) -> int:
        """Async twin of `delete`."""
        return await self._memory.in_thread(partial(self._bound().delete, *args, **criteria))

    @property
    def _scope(self) -> Scope:
        return scope_of_user(self._user_id)

    def _bound(self) -> Self:
        """Return itself for the user of now: other threads do not see the caller's context."""
        bound = copy.copy(self)
        bound._user_id = str(self._scope.user_id)
        return bound

    def _check_vector(self, vector: Sequence[float]) -> None:
        raise _no_vectors()

    def _put(
        self, scope: Scope, records: Sequence[MemoryRecord], known: Mapping[str, Memory]
    ) -> None:
        new: list[VectorMemory] = []
        # All are checked before any is stored.
        for record in records:
            if record.embedding:
                self._check_vector(record.embedding)
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
                    metadata=metadata,
                    created_at=naive_utc(record.created_at).replace(tzinfo=UTC),
                    vector=record.embedding or None,
                )
            )
        if new:
            self._store(scope, new)

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
        found = self._get(scope, list(wanted))
        shown = filter(self._shows, found.values())
        return {
            wanted[memory.id]: memory
            for memory in shown
            if record_of(memory).id == wanted[memory.id]
        }

    def _records(self, prefix: str | None) -> list[MemoryRecord]:
        return [record_of(memory, prefix or "/") for memory in self._memories(prefix)]

    def _memories(self, prefix: str | None) -> list[Memory]:
        memories = self._list(self._scope, self._equals(prefix))
        return [memory for memory in memories if self._is_under(memory, prefix)]

    def _is_under(self, memory: Memory, prefix: str | None) -> bool:
        return self._shows(memory) and lies_under(memory, prefix)

    def _newest(self, prefix: str | None, limit: int) -> list[Memory]:
        return newest_first(self._memories(prefix))[:limit]

    def _counted(self, prefix: str | None) -> int:
        return len(self._memories(prefix))

    # What follows takes a call for each memory; where there are vectors, one for all of them.

    def _get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        found = (self._memory.get(memory_id, scope=scope) for memory_id in ids)
        return {memory.id: memory for memory in found if memory is not None}

    def _list(self, scope: Scope, equals: Mapping[str, str]) -> list[Memory]:
        return self._memory.list(scope=scope, filters=equals, limit=_ALL)

    def _store(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Change memories of the scope; refuse new ones."""
        for memory in memories:
            known = self._memory.get(memory.id, scope=scope)
            if known is None:
                raise _no_vectors()
            text = None if known.text == memory.text else memory.text
            before = full_metadata(known)
            changed = {
                key: value
                for key, value in memory.metadata.items()
                if key not in before or before[key] != value
            }
            self._memory.update(memory.id, scope=scope, text=text, metadata=changed)

    def _amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        for memory_id, changed in metadata.items():
            with suppress(MemoryNotFoundError):
                self._memory.update(memory_id, scope=scope, metadata=changed)

    def _remove(self, scope: Scope, ids: Sequence[str]) -> int:
        deleted = 0
        for memory_id in ids:
            with suppress(MemoryNotFoundError):
                self._memory.delete(memory_id, scope=scope)
                deleted += 1
        return deleted


def _no_vectors() -> ConfigurationError:
    return ConfigurationError(
        "This Mem0 does not show its vectors, which CrewAI's own memory engine needs. Give "
        "Mem0CrewMemory to the crew, not to an agent: the copy of an agent loses its kind."
    )
