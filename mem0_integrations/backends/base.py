"""The protocol between `AgentMemory` and a Mem0, whichever Mem0 that is."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from mem0_integrations.models import Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.records import (
    Address,
    Document,
    DocumentKind,
    ForgetResult,
    Memory,
    MemoryChange,
)
from mem0_integrations.requests import AddRequest, SearchRequest
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.vector_memories import VectorMemories

__all__ = ["AsyncBackend", "Backend", "Documents", "Follow"]


Follow: TypeAlias = Callable[[Scope, Sequence[str]], AbstractContextManager[None]]
"""Takes note that memories of a scope change, by their ids, while it is held."""


class Documents(ABC):
    """The documents of one kind. Its methods block, may be called from any thread."""

    @abstractmethod
    def get(self, addresses: Sequence[Address]) -> list[Document | None]:
        """Return the documents at addresses, in their order."""

    @abstractmethod
    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, or replace those at the same addresses; the last of equals wins."""

    @abstractmethod
    def delete(self, addresses: Sequence[Address]) -> None:
        """Delete the documents at addresses, where there are any."""

    @abstractmethod
    def prolong(self, addresses: Sequence[Address], now: datetime) -> None:
        """Let documents that expire live for their `ttl` from now on."""

    @abstractmethod
    def sweep(self, now: datetime) -> int:
        """Delete the documents that have expired; returns how many."""

    @abstractmethod
    def list(self, prefix: tuple[str, ...]) -> list[Document]:
        """Return the documents whose path begins with the labels of a prefix, in any order."""

    @abstractmethod
    def search(self, prefix: tuple[str, ...], query: str, limit: int) -> Iterator[Document]:
        """Yield the documents under a prefix that have texts, nearest first, as many as are taken.

        Args:
            prefix: The labels; none for all documents.
            query: A text.
            limit: How many will be taken, more or less.
        """


class Backend(ABC):
    """One Mem0. Its methods block, may be called from any thread, and raise `BackendError`."""

    concurrency: int = 4
    """How many calls of a kind are worth making at the same time."""

    @abstractmethod
    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope that this Mem0 cannot keep apart; raises `ScopeError`."""

    @abstractmethod
    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first, as many as are taken."""

    @abstractmethod
    def add(self, request: AddRequest) -> list[Memory]:
        """Store a turn and return the memories that it became."""

    @abstractmethod
    def add_many(self, requests: Sequence[AddRequest]) -> list[int]:
        """Store many turns at once; returns how many memories each became."""

    @abstractmethod
    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""

    @abstractmethod
    def find(self, scope: Scope, key: str) -> list[Memory]:
        """Return what was stored under an idempotency key."""

    @abstractmethod
    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> list[Memory]:
        """Return a page of the scope's memories, newest first."""

    @abstractmethod
    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""

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
    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""

    @abstractmethod
    def forget(self, scope: Scope) -> ForgetResult:
        """Erase everything of the scope."""

    @abstractmethod
    def documents(self, kind: DocumentKind) -> Documents:
        """Return documents that lie beside the memories and are never recalled.

        Args:
            kind: `item`, or `message`, which is not searched.
        """

    @abstractmethod
    def memory_documents(self, template: NamespaceTemplate, follow: Follow) -> Documents:
        """Return the memories as documents; what is put becomes a memory, and has one text.

        Args:
            template: Tells whose memories lie under a path. Under a path that it covers are all
                memories of that scope; elsewhere, only what was put.
            follow: Held while memories of a scope change, by their ids.
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

    @abstractmethod
    def close(self) -> None:
        """Release what this backend opened."""


class AsyncBackend(ABC):
    """What a backend can do without a thread that waits; twins of `Backend`'s methods."""

    @abstractmethod
    def asearch(self, request: SearchRequest) -> AsyncIterator[builtins.list[Memory]]:
        """Yield the memories of the scope in pages, nearest first, as many as are taken."""

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
