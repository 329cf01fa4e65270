"""What is asked of a Mem0: to search, to store, to change. Pure."""

from __future__ import annotations

import builtins
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, Self, TypeAlias

from mem0_integrations.messages import Mem0Message
from mem0_integrations.recall.ranking import Ranking
from mem0_integrations.records import Memory, MemoryChange
from mem0_integrations.scope import Scope

__all__ = [
    "MEM0_THRESHOLD",
    "AddRequest",
    "Attempt",
    "Change",
    "Changing",
    "MemorySource",
    "OnlyAttempt",
    "SearchRequest",
    "Statement",
]

# The least cosine similarity of a search that does not say.
MEM0_THRESHOLD: Final = 0.1
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_RANKING: Final = Ranking()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to search for.

    Attributes:
        query: The text.
        scope: Whose memories.
        limit: How many memories will be taken, more or less.
        threshold: Minimum score in [0, 1]; None for Mem0's own default.
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
    def open_query(self) -> str:
        """The query where all memories may be shown; nothing where some are hidden.

        Memories that a filter hides must not show through what is known about their names.
        """
        return "" if self.filters or self.accept else self.query

    @property
    def least_score(self) -> float:
        """The least score where signals are weighed; by default that of what Mem0 would find."""
        if self.threshold is not None:
            return self.threshold
        return MEM0_THRESHOLD * self.ranking.vector


class Statement(NamedTuple):
    """What one memory of a turn says.

    Attributes:
        text: The text.
        fields: What Mem0 notes beside it: `role`, `actor_id` or `attributed_to`.
    """

    text: str
    fields: Mapping[str, object]


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
        statements: What was found in the messages; None where that was not looked for yet. Every
            attempt to store it stores these.
    """

    messages: tuple[Mem0Message, ...]
    scope: Scope
    key: str
    created_at: datetime
    infer: bool = True
    metadata: Mapping[str, object] = field(default_factory=dict)
    statements: tuple[Statement, ...] | None = None

    @property
    def record(self) -> dict[str, object]:
        """What a metadata filter can ask about it before it is stored."""
        times = {"created_at": self.created_at, "updated_at": self.created_at}
        return {**self.metadata, **times}

    def dump(self) -> str:
        """Return it as JSON, but for the scope and the key."""
        return json.dumps(
            {
                "messages": self.messages,
                "created_at": self.created_at.isoformat(),
                "infer": self.infer,
                "metadata": self.metadata,
                "statements": self.statements,
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
            statements=_statements(data.get("statements")),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Memories that are about to change.

    Attributes:
        scope: Covers all of them.
        keys: The idempotency keys of the writes that make them.
        memory_ids: Or their own ids, where they are known before.
    """

    scope: Scope
    keys: tuple[str, ...] = ()
    memory_ids: tuple[str, ...] = ()


class Attempt(Protocol):
    """One try to carry a write out. It may be given up while it goes on."""

    def keep(self, body: str) -> None:
        """Put on disk what the write has become, for the attempts that may follow."""

    def applying(self) -> AbstractContextManager[None]:
        """Change something: when no other attempt at the write does, and not when given up."""
        ...


class OnlyAttempt:
    """That of a write which is not queued: whoever asked for it asks again."""

    def keep(self, body: str) -> None:
        """Keep nothing."""

    def applying(self) -> AbstractContextManager[None]:
        """Change something."""
        return nullcontext()


Changing: TypeAlias = Callable[[Change], AbstractContextManager[None]]
"""Held while memories change, so that what follows them takes note."""


class MemorySource(Protocol):
    """Where memories are read one by one. Its methods block, and may be called from any thread."""

    @abstractmethod
    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""

    @abstractmethod
    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""

    @abstractmethod
    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Return a page of the scope's memories, newest first."""

    @abstractmethod
    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first."""


def _statements(data: object) -> tuple[Statement, ...] | None:
    return None if not isinstance(data, list) else tuple(Statement(*each) for each in data)
