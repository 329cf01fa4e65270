"""The protocol between `AgentMemory` and a Mem0, whichever Mem0 that is."""

from __future__ import annotations

import builtins
import dataclasses
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Self, TypeAlias

from mem0_integrations.backends.dialect import MEM0_THRESHOLD
from mem0_integrations.extraction import Mem0Embedder, Mem0LLM
from mem0_integrations.messages import Mem0Message
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.ranking import Ranking
from mem0_integrations.records import ForgetResult, Memory, MemoryChange
from mem0_integrations.scope import Scope

__all__ = [
    "AddRequest",
    "Address",
    "AsyncBackend",
    "Backend",
    "Document",
    "DocumentKind",
    "Documents",
    "Follow",
    "Models",
    "SearchRequest",
    "VectorMemories",
    "VectorMemory",
    "memories_as_said",
]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_RANKING: Final = Ranking()

DocumentKind: TypeAlias = Literal["item", "message"]
Address: TypeAlias = tuple[tuple[str, ...], str]
"""A document's path and key."""

Follow: TypeAlias = Callable[[Scope, Sequence[str]], AbstractContextManager[None]]
"""Takes note that memories of a scope change, by their ids, while it is held."""


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
        accept: Which of them `AgentMemory` takes; None for all. A backend yields them all.
        repeats: Whether it takes all of those that say the same.
        spans: The times that the query names, from their start up to their end (aware UTC).
        now: When it is asked (aware UTC).
        ranking: What each signal counts.
    """

    query: str
    scope: Scope
    limit: int
    threshold: float | None = None
    filters: Mapping[str, object] | None = None
    as_of: datetime | None = None
    accept: Callable[[Memory], bool] | None = None
    repeats: bool = False
    spans: tuple[tuple[datetime, datetime], ...] = ()
    now: datetime = _EPOCH
    ranking: Ranking = _RANKING

    @property
    def least_score(self) -> float:
        """The least score where signals are weighed; by default that of what Mem0 would find."""
        if self.threshold is not None:
            return self.threshold
        return MEM0_THRESHOLD * self.ranking.vector


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

    def dump(self) -> str:
        """Return it as JSON, but for the scope and the key."""
        return json.dumps(
            {
                "messages": self.messages,
                "created_at": self.created_at.isoformat(),
                "infer": self.infer,
                "metadata": self.metadata,
            }
        )

    @classmethod
    def load(cls, scope: Scope, key: str, body: str) -> Self:
        """Read what `dump` returned."""
        data = json.loads(body)
        return cls(
            messages=tuple(data["messages"]),
            scope=scope,
            key=key,
            created_at=datetime.fromisoformat(data["created_at"]),
            infer=data["infer"],
            metadata=data["metadata"],
        )


@dataclass(frozen=True, slots=True)
class Models:
    """What a Mem0 has that others can use.

    Attributes:
        llm: Its language model; None where it does without.
        embedder: Its embedder; None where it does not show one.
    """

    llm: Mem0LLM | None
    embedder: Mem0Embedder | None


@dataclass(frozen=True, slots=True)
class Document:
    """Data with an address, beside the memories or among them: found exactly, and never inferred.

    Attributes:
        path: Where it lies, from the outermost label on.
        key: Its name there.
        value: What it holds, JSON-serialisable.
        texts: What it is searched by; a document without is only listed.
        scope: Whose it is, and with whom it is forgotten; None where the application keeps
            users apart by the path.
        created_at: When it was put first (aware UTC); kept by the later puts.
        updated_at: When it was put last (aware UTC).
        expires_at: When it may be swept (aware UTC); None for never.
        ttl: Seconds that a read may prolong it by.
        score: Nearness to the query in [0, 1], higher is nearer; None when not searched for.
    """

    path: tuple[str, ...]
    key: str
    value: Mapping[str, object]
    created_at: datetime
    updated_at: datetime
    texts: tuple[str, ...] = ()
    scope: Scope | None = None
    expires_at: datetime | None = None
    ttl: float | None = None
    score: float | None = None

    @property
    def address(self) -> Address:
        """The path and the key."""
        return self.path, self.key


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


@dataclass(frozen=True, slots=True)
class VectorMemory:
    """A memory as somebody stores it who embeds and extracts himself.

    Attributes:
        id: Its id, a UUID.
        text: The text.
        metadata: JSON-serialisable values.
        created_at: When it was first said (aware UTC).
        vector: The text's vector, of the store's dimension; None to keep the one that the memory
            has, or to have the text embedded.
    """

    id: str
    text: str
    metadata: Mapping[str, object]
    created_at: datetime
    vector: Sequence[float] | None = None


class VectorMemories(ABC):
    """The memories of a Mem0 with their vectors. Its methods block, and may be called anywhere.

    An `equals` is a mapping of metadata that must be the same; it is evaluated by the store.
    """

    dimension: int
    """The length of the vectors."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts, by Mem0's own embedder, in one call."""

    @abstractmethod
    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""

    @abstractmethod
    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Store memories, or replace those of the scope with the same ids."""

    @abstractmethod
    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""

    @abstractmethod
    def list(self, scope: Scope, equals: Mapping[str, str]) -> list[Memory]:
        """Return the memories of a scope, in any order."""

    @abstractmethod
    def search(
        self, scope: Scope, vector: Sequence[float], equals: Mapping[str, str], limit: int
    ) -> Iterator[Memory]:
        """Yield the memories of a scope nearest to a vector, as many as are taken.

        Args:
            scope: Whose.
            vector: Of the store's dimension.
            equals: Metadata that must be the same.
            limit: How many will be taken, more or less.

        Yields:
            Memories whose score is the cosine similarity, clipped to [0, 1]; nearest first.
        """

    @abstractmethod
    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""


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


def memories_as_said(backend: Backend, scope: Scope) -> list[Memory]:
    """Return all memories of a scope; as changed counts only a change of the text."""
    memories = backend.list(scope, filters=None, limit=sys.maxsize, offset=0)
    return [_as_said(backend, memory) for memory in memories]


def _as_said(backend: Backend, memory: Memory) -> Memory:
    if memory.updated_at == memory.created_at:
        return memory
    said = [
        change.at
        for change in backend.history(memory.scope, memory.id)
        if change.at is not None and change.old_text != change.new_text == memory.text
    ]
    return dataclasses.replace(memory, updated_at=said[-1]) if said else memory
