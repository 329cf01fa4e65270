"""The protocol between `AgentMemory` and a Mem0, whichever Mem0 that is."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mem0_integrations.messages import Mem0Message
from mem0_integrations.records import ForgetResult, Memory, MemoryChange
from mem0_integrations.scope import Scope

__all__ = ["AddRequest", "Backend", "SearchRequest"]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to search for.

    Attributes:
        query: The text.
        scope: Whose memories.
        limit: How many memories will be taken, more or less.
        threshold: The least score in [0, 1]; None for Mem0's own default.
        filters: Mem0's metadata filters, checked already.
        as_of: Only what was known at that time (aware UTC).
    """

    query: str
    scope: Scope
    limit: int
    threshold: float | None = None
    filters: Mapping[str, object] | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class AddRequest:
    """What to store.

    Attributes:
        messages: The messages to learn from.
        scope: Whose memories they become.
        key: The idempotency key; what is stored carries it in its metadata.
        created_at: When it was said (aware UTC).
        infer: Whether statements are extracted, or the messages kept as they are.
        metadata: The application's own values, JSON-serialisable, checked already.
    """

    messages: tuple[Mem0Message, ...]
    scope: Scope
    key: str
    created_at: datetime
    infer: bool = True
    metadata: Mapping[str, object] = field(default_factory=dict)


class Backend(ABC):
    """One Mem0. Its methods block, may be called from any thread, and raise `BackendError`."""

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
    def describe(self) -> dict[str, str]:
        """Say what this is, by part: Mem0's version, the store and where it lies, the models."""

    @abstractmethod
    def close(self) -> None:
        """Release what this backend opened."""
