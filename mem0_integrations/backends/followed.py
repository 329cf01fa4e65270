"""A Mem0 whose every change is followed by something that lies beside it."""

from __future__ import annotations

import builtins
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from mem0_integrations.backends.base import Backend, Documents, Follow, Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.records import DocumentKind, ForgetResult, Memory, MemoryChange, VectorMemory
from mem0_integrations.requests import AddRequest, SearchRequest
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.vector_memories import VectorMemories
else:
    VectorMemories = object

__all__ = ["FollowedBackend"]


class _Followed(Protocol):
    def __call__(
        self, scope: Scope, *, memory_ids: Sequence[str]
    ) -> AbstractContextManager[None]: ...


class FollowedBackend(Backend):
    """Does what another backend does, and lets `followed` take note of every change.

    Args:
        backend: The Mem0.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.concurrency = backend.concurrency

    @abstractmethod
    def followed(
        self, scope: Scope, *, keys: Sequence[str] = (), memory_ids: Sequence[str] = ()
    ) -> AbstractContextManager[None]:
        """Hold while memories change, by the keys of their writes or by their own ids."""

    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope that this Mem0 cannot keep apart."""
        self._backend.check_scope(scope)

    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first, as many as are taken."""
        return self._backend.search(request)

    def add(self, request: AddRequest) -> builtins.list[Memory]:
        """Store a turn and return the memories that it became."""
        with self.followed(request.scope, keys=[request.key]):
            return self._backend.add(request)

    def add_many(self, requests: Sequence[AddRequest]) -> builtins.list[int]:
        """Store many turns at once; returns how many memories each became."""
        if not requests:
            return []
        # An import is of one scope.
        with self.followed(requests[0].scope, keys=[request.key for request in requests]):
            return self._backend.add_many(requests)

    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""
        self._backend.undo(memories)

    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""
        return self._backend.find(scope, key)

    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Return a page of the scope's memories, newest first."""
        return self._backend.list(scope, filters=filters, limit=limit, offset=offset)

    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""
        return self._backend.get(scope, memory_id)

    def update(
        self,
        scope: Scope,
        memory_id: str,
        *,
        text: str | None,
        metadata: Mapping[str, object] | None,
    ) -> Memory:
        """Change a memory of the scope."""
        with self.followed(scope, memory_ids=[memory_id]):
            return self._backend.update(scope, memory_id, text=text, metadata=metadata)

    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope."""
        with self.followed(scope, memory_ids=[memory_id]):
            self._backend.delete(scope, memory_id)

    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""
        return self._backend.history(scope, memory_id)

    def forget(self, scope: Scope) -> ForgetResult:
        """Erase everything of the scope."""
        return self._backend.forget(scope)

    def documents(self, kind: DocumentKind) -> Documents:
        """Return documents that lie beside the memories and are never recalled."""
        return self._backend.documents(kind)

    def memory_documents(self, template: NamespaceTemplate, follow: Follow) -> Documents:
        """Return the memories as documents; what is put becomes a memory, and is followed."""

        @contextmanager
        def followed(scope: Scope, memory_ids: Sequence[str]) -> Iterator[None]:
            with follow(scope, memory_ids), self.followed(scope, memory_ids=memory_ids):
                yield

        return self._backend.memory_documents(template, followed)

    def vector_memories(self) -> VectorMemories:
        """Return the memories with their vectors."""
        return _FollowedVectors(self._backend.vector_memories(), self.followed)

    def reindex(self) -> int:
        """Make the index of the words again."""
        return self._backend.reindex()

    def models(self) -> Models:
        """Return the models of the Mem0."""
        return self._backend.models()

    def describe(self) -> dict[str, str]:
        """Say what this is, by part."""
        return self._backend.describe()

    def close(self) -> None:
        """Release what the backend opened."""
        self._backend.close()


class _FollowedVectors(VectorMemories):
    """Memories with their vectors, whose changes are followed."""

    def __init__(self, memories: VectorMemories, followed: _Followed) -> None:
        self._memories = memories
        self._followed = followed
        self.dimension = memories.dimension

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        return self._memories.embed(texts)

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        return self._memories.get(scope, ids)

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        with self._followed(scope, memory_ids=[memory.id for memory in memories]):
            self._memories.put(scope, memories)

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        self._memories.amend(scope, metadata)

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        return self._memories.list(scope, equals)

    def search(
        self, scope: Scope, vector: Sequence[float], equals: Mapping[str, str], limit: int
    ) -> Iterator[Memory]:
        return self._memories.search(scope, vector, equals, limit)

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        with self._followed(scope, memory_ids=ids):
            return self._memories.delete(scope, ids)
