"""CrewAI's `StorageBackend` through `AgentMemory` alone: for any Mem0, and without vectors."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.records import full_metadata
from mem0_integrations.crewai.storage import Mem0Storage, UserId, scope_of_user
from mem0_integrations.errors import ConfigurationError, MemoryNotFoundError
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope
from mem0_integrations.vectors import VectorAccess

__all__ = ["CoreStorage"]

_ALL: Final = 1_000_000_000


class CoreStorage(Mem0Storage):
    """What `Mem0Storage` does, as far as that goes without vectors: all but saving and searching.

    Args:
        memory: The memory; it stays open.
        user_id: Whose memories; see `Mem0Storage`.
        shared: Whether the crew also sees what the user has said elsewhere.

    Raises:
        ScopeError: `user_id` is not an id.
    """

    def __init__(self, memory: AgentMemory, *, user_id: UserId, shared: bool = False) -> None:
        # Not calling the constructor of `Mem0Storage`, which asks the memory for its vectors.
        if not callable(user_id):
            scope_of_user(user_id)
        self._vectors = _CoreAccess(memory)
        self._user_id = user_id
        self._shared = shared


class _CoreAccess(VectorAccess):
    """Memories by `AgentMemory`'s own operations.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: AgentMemory) -> None:
        self._core = memory
        self.access = memory._access

    @property
    def dimension(self) -> int:
        """There is none."""
        return _no_vectors()

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        """Refuse."""
        return _no_vectors()

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""
        found = (self._core.get(memory_id, scope=scope) for memory_id in ids)
        return {memory.id: memory for memory in found if memory is not None}

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Change memories of the scope; refuse new ones."""
        for memory in memories:
            known = self._core.get(memory.id, scope=scope)
            if known is None:
                _no_vectors()
            text = None if known.text == memory.text else memory.text
            before = full_metadata(known)
            changed = {
                key: value
                for key, value in memory.metadata.items()
                if key not in before or before[key] != value
            }
            self._core.update(memory.id, scope=scope, text=text, metadata=changed)

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""
        for memory_id, changed in metadata.items():
            with suppress(MemoryNotFoundError):
                self._core.update(memory_id, scope=scope, metadata=changed)

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        """Return the memories of a scope whose metadata equals what is given, in any order."""
        return self._core.list(scope=scope, filters=equals, limit=_ALL)

    def search(
        self,
        scope: Scope,
        vector: Sequence[float],
        equals: Mapping[str, str],
        limit: int,
        *,
        passes: Callable[[Memory], bool],
    ) -> builtins.list[Memory]:
        """Refuse."""
        return _no_vectors()

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""
        deleted = 0
        for memory_id in ids:
            with suppress(MemoryNotFoundError):
                self._core.delete(memory_id, scope=scope)
                deleted += 1
        return deleted


def _no_vectors() -> NoReturn:
    raise ConfigurationError(
        "This Mem0 does not show its vectors, which CrewAI's own memory engine needs. Give "
        "Mem0CrewMemory to the crew, not to an agent: the copy of an agent loses its kind."
    )
