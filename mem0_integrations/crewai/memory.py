"""A crew's memory that Mem0 extracts, ranks and keeps."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Literal, Self

from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.memory_events import (
    MemoryQueryCompletedEvent,
    MemoryQueryFailedEvent,
    MemoryQueryStartedEvent,
    MemorySaveFailedEvent,
)
from crewai.llms.base_llm import BaseLLM
from crewai.memory.types import MemoryMatch, MemoryRecord
from crewai.memory.unified_memory import Memory
from crewai.memory.utils import join_scope_paths
from pydantic import PrivateAttr

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError
from mem0_integrations.crewai.engine import NOT_SAVED, Mem0Engine, RawText
from mem0_integrations.crewai.record_storage import RecordStorage
from mem0_integrations.crewai.records import UserId, changed_record, record_template
from mem0_integrations.crewai.storage import Mem0Storage
from mem0_integrations.errors import ConfigurationError, InvalidInputError
from mem0_integrations.scope import Scope
from mem0_integrations.values import storable

__all__ = ["Mem0CrewMemory"]

logger = logging.getLogger(__name__)

# How CrewAI's own memory is called in events.
_SOURCE_TYPE: Final = "unified_memory"

_saved_for: ContextVar[Scope] = ContextVar("saved_for")


class Mem0CrewMemory(Memory):
    """The memory of a crew, an agent or a flow: `Crew(..., memory=Mem0CrewMemory(...))`.

    Mem0 extracts, ranks and keeps, so that neither a save nor a recall takes a call of the crew's
    model. What an agent has done is handed over as a whole, and Mem0 decides what of it to keep;
    what is passed to `remember` is kept word for word, once. Scopes, categories and importance
    are kept as they are given, and nothing is inferred; `depth` makes no difference.

    Memories belong to the user: `AgentMemory.recall` finds what a crew remembers, also what is
    `private`, which only limits what crews are shown. Scopes are paths: `/a` holds `/a/b`, not
    `/ab`. A failing memory does not end a crew. A save is on disk before it is waited for.

    Give it to a crew or a flow, not to an agent: when CrewAI copies an agent (`kickoff_for_each`),
    it makes a `Memory` of its own on the same Mem0, which extracts with `llm`.

    Args:
        memory: The memory; it stays open.
        user_id: Whose memories: an id, or a function that is asked at each operation, and may
            read a `ContextVar` that is set for a kickoff.
        shared: Whether the crew also sees what the user has said elsewhere, in any scope it
            looks into, also once a crew has changed it. `reset`, and `forget` without ids, never
            reach that.
        root_scope: The scope in which all others lie.
        read_only: Whether nothing is stored or changed; `forget` and `reset` work all the same.
        default_importance: The importance of what comes without one, in [0, 1].
        llm: For the `Memory` that CrewAI makes of a copy.
        infer: Whether Mem0 extracts from what an agent has done; otherwise it is kept as it is.
        threshold: Minimum score in [0, 1] of what is recalled.
        timeout: Seconds that a recall may take; otherwise `recall_timeout` of `connect`.
        save_timeout: Seconds that a save is waited for; after that it goes on.
        on_error: What a failure of memory does: `degrade` (logged, an event of CrewAI's, and
            nothing is found) or `raise`; by default, as connected. A background save never raises.

    Raises:
        InvalidInputError: An argument is malformed.
        ScopeError: `user_id` is not an id.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.crewai import Mem0CrewMemory
        >>> with connect() as memory:
        ...     said = memory.remember("I like green tea.", scope={"user_id": "customer-1"})
        ...     crew_memory = Mem0CrewMemory(memory, user_id="customer-1", shared=True)
        ...     # crew = Crew(agents=agents, tasks=tasks, memory=crew_memory)
        ...     [record.content for record in crew_memory.list_records()]
        ['I like green tea.']
    """

    _engine: Mem0Engine = PrivateAttr()

    def __init__(
        self,
        memory: AgentMemory,
        *,
        user_id: UserId,
        shared: bool = False,
        root_scope: str | None = None,
        read_only: bool = False,
        default_importance: float = 0.5,
        llm: BaseLLM | str | None = None,
        infer: bool = True,
        threshold: float | None = None,
        timeout: float | None = None,
        save_timeout: float = 60.0,
        on_error: OnError | None = None,
    ) -> None:
        engine = Mem0Engine(
            memory=memory,
            user_id=user_id,
            shared=shared,
            infer=infer,
            threshold=threshold,
            timeout=timeout,
            save_timeout=save_timeout,
            on_error=on_error,
        )
        records = RecordStorage(memory, user_id=user_id, shared=shared)
        # Of no use here, but to the `Memory` that CrewAI makes of a copy.
        spare: dict[str, Any] = {"storage": records} | ({} if llm is None else {"llm": llm})
        with suppress(ConfigurationError):
            storage = Mem0Storage(memory, user_id=user_id, shared=shared)
            spare |= {"storage": storage, "embedder": storage.embedder}
        super().__init__(
            root_scope=root_scope,
            read_only=read_only,
            default_importance=default_importance,
            **spare,
        )
        # What lists, forgets, resets and the tree of scopes work on.
        self._storage = records
        self._engine = engine

    def extract_memories(self, content: str) -> list[str]:
        """Return the content itself: Mem0 extracts from it when it is remembered."""
        return [RawText(content)] if content.strip() else []

    def remember(  # noqa: PLR0917  (CrewAI's signature)
        self,
        content: str,
        scope: str | None = None,
        categories: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        importance: float | None = None,
        source: str | None = None,
        private: bool = False,
        agent_role: str | None = None,
        root_scope: str | None = None,
    ) -> MemoryRecord | None:
        """Remember a text, and wait until it is stored.

        Returns:
            What is stored, or was before. Where nothing is worth keeping, or it is not stored
            yet, what it would have been. None if this memory is read-only.

        Raises:
            InvalidInputError: An argument is malformed; nothing was stored.
            ScopeError: There is no user.
            BackendError: The write failed, and `on_error` is `raise`; it is kept in the outbox.
        """
        if self.read_only:
            return None
        root = self.root_scope if root_scope is None else root_scope
        fields = (scope, categories, metadata, importance, source, private)
        template = record_template(self.default_importance, *fields, root)
        meant = template.model_copy(update={"content": storable(content)})
        try:
            return super().remember(content, *fields, agent_role, root) or meant
        except NOT_SAVED as error:
            if self._engine.raises or isinstance(error, InvalidInputError):
                raise
            _log(error)
            return meant

    def recall(  # noqa: PLR0917  (CrewAI's signature)
        self,
        query: str,
        scope: str | None = None,
        categories: list[str] | None = None,
        limit: int = 10,
        depth: Literal["shallow", "deep"] = "deep",
        source: str | None = None,
        include_private: bool = False,
    ) -> list[MemoryMatch]:
        """Find what is remembered about a query, in Mem0's order; saves are waited for.

        Returns:
            The matches, with Mem0's scores; empty if memory could not be read.

        Raises:
            ScopeError: There is no user.
            BackendError: Memory could not be read, and `on_error` is `raise`.
        """
        self.drain_writes()
        emit = partial(crewai_event_bus.emit, self)
        about: dict[str, Any] = {"query": query, "limit": limit, "source_type": _SOURCE_TYPE}
        emit(MemoryQueryStartedEvent(**about))
        start = time.perf_counter()
        try:
            matches, degraded = self._engine.search(
                query,
                prefix=join_scope_paths(self.root_scope, scope) if self.root_scope else scope,
                categories=categories,
                limit=limit,
                source=source,
                include_private=include_private,
            )
        except Exception as error:
            emit(MemoryQueryFailedEvent(**about, error=str(error)))
            raise
        if degraded is not None:
            emit(MemoryQueryFailedEvent(**about, error=degraded))
        else:
            spent = (time.perf_counter() - start) * 1000
            emit(MemoryQueryCompletedEvent(**about, results=matches, query_time_ms=spent))
        return matches

    def update(  # noqa: PLR0917  (CrewAI's signature)
        self,
        record_id: str,
        content: str | None = None,
        scope: str | None = None,
        categories: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        importance: float | None = None,
    ) -> MemoryRecord:
        """Change a record of the user; as in `remember`, a scope lies in `root_scope`.

        Raises:
            ValueError: There is no such record, or an argument is malformed.
            BackendError: Mem0 failed.
        """
        record = self._storage.get_record(record_id)
        if record is None:
            raise ValueError(f"Record not found: {record_id}")
        if self.read_only:
            return record
        inner = None if scope is None else join_scope_paths(self.root_scope, scope)
        changes = {"scope": inner, "categories": categories, "metadata": metadata}
        text = None if content is None else storable(content)
        updated = changed_record(record, content=text, importance=importance, **changes)
        self._storage.update(updated)
        return updated

    def forget(self, *args: Any, **criteria: Any) -> int:
        """Delete the crew's records that meet all criteria; returns how many."""
        self.drain_writes()
        return super().forget(*args, **criteria)

    async def aremember(self, *args: Any, **options: Any) -> MemoryRecord | None:
        """Async twin of `remember`."""
        return await asyncio.to_thread(self.remember, *args, **options)

    async def aremember_many(self, *args: Any, **options: Any) -> list[MemoryRecord]:
        """Async twin of `remember_many`."""
        return await asyncio.to_thread(self.remember_many, *args, **options)

    async def arecall(self, *args: Any, **options: Any) -> list[MemoryMatch]:
        """Async twin of `recall`."""
        return await asyncio.to_thread(self.recall, *args, **options)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # Copies of a crew share its memory, and the saves that are under way.
        return self.model_copy()

    def _submit_save(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        # Whose memory it becomes is decided here, not when the thread of the saves gets to it.
        token = _saved_for.set(self._engine.scope)
        try:
            return super()._submit_save(fn, *args, **kwargs)
        finally:
            _saved_for.reset(token)

    def _encode_batch(self, contents: list[str], *fields: Any, **named: Any) -> list[MemoryRecord]:
        """Store texts: `remember` and `remember_many` call it in the thread of the saves."""
        template = record_template(self.default_importance, *fields, **named)
        return self._engine.save(_saved_for.get(), contents, template)

    def _background_encode_batch(self, contents: list[str], *fields: Any) -> list[MemoryRecord]:
        """Store texts for `remember_many`, and report what fails."""
        try:
            return super()._background_encode_batch(contents, *fields)
        except Exception as error:
            # What CrewAI would emit afterwards belongs to no save.
            value = f"{len(contents)} memories (background)"
            failed = MemorySaveFailedEvent(value=value, error=str(error), source_type=_SOURCE_TYPE)
            crewai_event_bus.emit(self, failed)
            _log(error)
            return []


def _log(error: Exception) -> None:
    # The message of an error may quote what was to be stored.
    logger.error("A save of a crew failed: %s.", type(error).__name__)
