"""Vectors behind `AgentMemory`: for frameworks that embed and extract themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mem0_integrations.changes.access import Access
from mem0_integrations.requests import Change
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.vector_memories import VectorMemories

__all__ = ["VectorAccess"]

T = TypeVar("T")


class VectorAccess:
    """Reads and writes memories with their vectors. Its methods block.

    Args:
        memories: Where they lie.
        access: Carries the calls out.

    Attributes:
        dimension: The length of the vectors.
    """

    def __init__(self, memories: VectorMemories, access: Access) -> None:
        self.dimension = memories.dimension
        self._memories = memories
        self._access = access

    def ask(self, ask: Callable[[VectorMemories], T]) -> T:
        """Read something, with retries."""
        return self._access.run(partial(ask, self._memories))

    def write(
        self, scope: Scope, ask: Callable[[VectorMemories], T], *, changed: Sequence[str] = ()
    ) -> T:
        """Write something, with retries, and not while its scope is being forgotten.

        Args:
            scope: Whose.
            ask: Writes it.
            changed: The ids of memories with another text, of which followers are told.
        """
        changes = [Change(scope, memory_ids=tuple(changed))] if changed else []
        with self._access.held(scope), self._access.following(*changes):
            return self.ask(ask)
