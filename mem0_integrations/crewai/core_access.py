"""A crew's memories by the operations of `AgentMemory`: for any Mem0, and without vectors."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.records import full_metadata
from mem0_integrations.errors import ConfigurationError, MemoryNotFoundError
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope

__all__ = ["CoreAccess", "no_vectors"]

_ALL: Final = 1_000_000_000


class CoreAccess:
    """Reads and changes memories; what `VectorAccess` does, without vectors.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: AgentMemory) -> None:
        self._memory = memory

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""
        found = (self._memory.get(memory_id, scope=scope) for memory_id in ids)
        return {memory.id: memory for memory in found if memory is not None}

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Change memories of the scope; refuse new ones."""
        for memory in memories:
            known = self._memory.get(memory.id, scope=scope)
            if known is None:
                raise no_vectors()
            text = None if known.text == memory.text else memory.text
            before = full_metadata(known)
            changed = {
                key: value
                for key, value in memory.metadata.items()
                if key not in before or before[key] != value
            }
            self._memory.update(memory.id, scope=scope, text=text, metadata=changed)

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""
        for memory_id, changed in metadata.items():
            with suppress(MemoryNotFoundError):
                self._memory.update(memory_id, scope=scope, metadata=changed)

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        """Return the memories of a scope whose metadata equals what is given, in any order."""
        return self._memory.list(scope=scope, filters=equals, limit=_ALL)

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""
        deleted = 0
        for memory_id in ids:
            with suppress(MemoryNotFoundError):
                self._memory.delete(memory_id, scope=scope)
                deleted += 1
        return deleted


def no_vectors() -> ConfigurationError:
    """Return what is raised where a vector is needed."""
    return ConfigurationError(
        "This Mem0 does not show its vectors, which CrewAI's own memory engine needs. Give "
        "Mem0CrewMemory to the crew, not to an agent: the copy of an agent loses its kind."
    )
