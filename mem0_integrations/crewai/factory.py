"""Lets CrewAI build its own memories on Mem0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from crewai.memory.storage import factory as storage_factory
from crewai.memory.storage.backend import StorageBackend
from crewai.memory.storage.factory import set_memory_storage_factory

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.embedder import SPEC, embedder_config
from mem0_integrations.crewai.storage import Mem0Storage
from mem0_integrations.crewai.user import UserId

__all__ = ["register"]

# What CrewAI asks for on behalf of `memory=True`.
_SPECS: Final = (SPEC, "lancedb")


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
