"""The protocol between `AgentMemory` and a Mem0, whichever Mem0 that is."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mem0_integrations.models import Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.records import DocumentKind, ForgetResult, Memory, MemoryChange
from mem0_integrations.requests import AddRequest, Attempt, Changing, MemorySource, SearchRequest
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.documents import RowDocuments
    from mem0_integrations.backends.vector_memories import VectorMemories

__all__ = ["AsyncBackend", "Backend"]


class Backend(MemorySource, ABC):
    """One Mem0. Its methods block, may be called from any thread, and raise `BackendError`."""

    concurrency: int = 4
    """How many calls of a kind are worth making at the same time."""

    @abstractmethod
    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope that this Mem0 cannot keep apart; raises `ScopeError`."""

    @abstractmethod
    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first, as many as needed."""

    @abstractmethod
    def add(self, request: AddRequest, attempt: Attempt) -> list[Memory]:
        """Store a turn, or what is missing of it, and return the memories that it became.

        Args:
            request: The turn.
            attempt: Keeps what was found in the turn, and fences what is changed.
        """

    @abstractmethod
    def add_many(self, requests: Sequence[AddRequest]) -> list[int]:
        """Store many turns at once; returns how many memories each became."""

    @property
    @abstractmethod
    def extracts(self) -> bool:
        """Whether a model of Mem0 finds the statements of a turn."""

    @abstractmethod
    def update(
        self,
        scope: Scope,
        memory_id: str,
        *,
        text: str | None,
        metadata: Mapping[str, object] | None,
    ) -> Memory:
        """Change a memory of the scope; raises `MemoryNotFoundError`."""

    @abstractmethod
    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope; raises `MemoryNotFoundError`."""

    @abstractmethod
    def forget(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase everything of the scope, or what filters select of it; again, where it broke off.

        Args:
            scope: Whose.
            filters: Checked already; None for everything.
        """

    @abstractmethod
    def documents(self, kind: DocumentKind) -> RowDocuments:
        """Return documents that lie beside the memories and are never recalled.

        Args:
            kind: `item`, or `message`, which is not searched.
        """

    @abstractmethod
    def memory_documents(self, template: NamespaceTemplate, changing: Changing) -> RowDocuments:
        """Return the memories as documents; what is put becomes a memory, and has one text.

        Args:
            template: Tells whose memories lie under a path. Under a path that it covers are all
                memories of that scope; elsewhere, only what was put.
            changing: Held while memories change.
        """

    @abstractmethod
    def vector_memories(self) -> VectorMemories:
        """Return the memories with their vectors.

        Raises:
            ConfigurationError: This Mem0 does not show its vectors.
        """

    def reindex(self) -> int:
        """Make the index of the words again, where there is one; returns how many memories."""
        return 0

    @abstractmethod
    def models(self) -> Models:
        """Return its models."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Say what this is, by part: Mem0's version, the store and where it lies, the models."""


class AsyncBackend(ABC):
    """What a backend can do without a thread that waits; twins of `Backend`'s methods."""

    @abstractmethod
    def asearch(self, request: SearchRequest) -> AsyncIterator[builtins.list[Memory]]:
        """Yield the memories of the scope in pages, nearest first, as many as needed."""

    @abstractmethod
    async def alist(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Async twin of `list`."""

    @abstractmethod
    async def aget(self, scope: Scope, memory_id: str) -> Memory | None:
        """Async twin of `get`."""

    @abstractmethod
    async def ahistory(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Async twin of `history`."""
