"""Vectors behind `AgentMemory`: for frameworks that embed and extract themselves."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from mem0_integrations.changes.access import Access
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.requests import Change
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.vector_memories import VectorMemories

__all__ = ["VectorAccess"]


class VectorAccess:
    """Reads and writes memories with their vectors. Its methods block.

    Args:
        memories: Where they lie.
        access: Carries the calls out.
    """

    def __init__(self, memories: VectorMemories, access: Access) -> None:
        self._memories = memories
        self.access = access

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return self._memories.dimension

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        """Return the vectors of texts, by Mem0's own embedder."""
        return self.access.run(partial(self._memories.embed, texts))

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""
        return self.access.run(partial(self._memories.get, scope, ids))

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Store memories, or replace those of the scope with the same ids."""
        with self._changing(scope, [memory.id for memory in memories]):
            self.access.run(partial(self._memories.put, scope, memories))

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""
        with self.access.held(scope):
            self.access.run(partial(self._memories.amend, scope, metadata))

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        """Return the memories of a scope whose metadata equals what is given, in any order."""
        return self.access.run(partial(self._memories.list, scope, equals))

    def search(
        self,
        scope: Scope,
        vector: Sequence[float],
        equals: Mapping[str, str],
        limit: int,
        *,
        passes: Callable[[Memory], bool],
    ) -> builtins.list[Memory]:
        """Return the memories of a scope that are nearest to a vector, nearest first.

        Args:
            scope: Whose.
            vector: Of the store's dimension.
            equals: Metadata that must be the same.
            limit: The most memories.
            passes: Whether a memory is wanted.
        """

        def found() -> builtins.list[Memory]:
            nearest = self._memories.search(scope, vector, equals, limit)
            return list(islice(filter(passes, nearest), limit))

        return self.access.run(found)

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""
        with self._changing(scope, ids):
            return self.access.run(partial(self._memories.delete, scope, ids))

    @contextmanager
    def _changing(self, scope: Scope, ids: Sequence[str]) -> Iterator[None]:
        change = Change(scope, memory_ids=tuple(ids))
        with self.access.held(scope), self.access.following(change):
            yield
