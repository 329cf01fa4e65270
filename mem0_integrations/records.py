"""What the package hands out: plain, immutable data without behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from mem0_integrations.scope import Scope

__all__ = [
    "Address",
    "BulkResult",
    "Document",
    "DocumentKind",
    "ForgetResult",
    "Memory",
    "MemoryChange",
    "Recall",
    "Relation",
    "VectorMemory",
    "WriteResult",
    "WriteStatus",
]

WriteStatus = Literal["stored", "queued", "nothing", "duplicate", "failed"]


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered statement.

    Attributes:
        id: Mem0's id.
        text: The statement.
        scope: Whose it is.
        score: Nearness to the query in [0, 1], higher is nearer; None when listed.
        created_at: When it was first said (aware UTC), if known.
        updated_at: When it was last changed (aware UTC), if known.
        metadata: The application's own values, and `thread_id`, `checkpoint_id`,
            `message_id`, `role` where an adapter knew them.
        categories: Mem0's categories, where the backend assigns any.
        signals: What found it, and how strongly, in [0, 1], where a recall was asked to explain:
            `vector` and `lexical` (its words), or `mem0` where Mem0 ranks; `date`, `recency`,
            `graph`.
        neighbours: What was said before and after it in its conversation, oldest first, where a
            recall was asked for that.

    Example:
        >>> Memory(id="m1", text="I am allergic to peanuts.", scope=Scope(user_id="u")).text
        'I am allergic to peanuts.'
    """

    id: str
    text: str
    scope: Scope
    score: float | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    signals: Mapping[str, float] | None = None
    neighbours: tuple[Memory, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON-ready data; times are ISO 8601 strings."""
        return {
            "id": self.id,
            "memory": self.text,
            "score": self.score,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "updated_at": self.updated_at.isoformat() if self.updated_at else None,
            **self.scope.ids,
            "metadata": dict(self.metadata),
            "categories": list(self.categories),
        }


@dataclass(frozen=True, slots=True)
class Relation:
    """One fact of the knowledge graph: `source` - `relationship` -> `target`.

    Attributes:
        source: The entity that the fact is about.
        relationship: The predicate.
        target: The other entity.
        memory_ids: The memories that support the fact.
        valid_from: Since when it holds (aware UTC).
        valid_to: Until when it held; None while it is valid.

    Example:
        >>> Relation("Priya", "lives_in", "Oslo").target
        'Oslo'
    """

    source: str
    relationship: str
    target: str
    memory_ids: tuple[str, ...] = ()
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """What memory knows about a query.

    Attributes:
        memories: The memories found, nearest first.
        relations: What the graph adds, where one is attached.
        degraded: None, or the reason why memory, or the graph beside it, could not be read: an
            empty recall and a failed recall are never the same.

    Example:
        >>> bool(Recall()), Recall().degraded
        (False, None)
    """

    memories: tuple[Memory, ...] = ()
    relations: tuple[Relation, ...] = ()
    degraded: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anything was found."""
        return bool(self.memories or self.relations)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a write.

    Attributes:
        status: `stored`; `queued` (on disk, on its way); `nothing` (nothing worth keeping);
            `duplicate` (this key was accepted before); `failed` (kept as a dead letter).
        memories: What was stored, where the write was waited for.
        relations: What was added to the graph.
        event_id: The Mem0 Platform's id of a pending write.
        key: The idempotency key under which the write was accepted.
        error: Why it failed.

    Example:
        >>> WriteResult("queued").memories
        ()
    """

    status: WriteStatus
    memories: tuple[Memory, ...] = ()
    relations: tuple[Relation, ...] = ()
    event_id: str | None = None
    key: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of a bulk import; the counts add up to the number of items.

    Attributes:
        stored: Items of which something was stored.
        nothing: Items with nothing worth keeping.
        duplicates: Items whose key was accepted before.

    Example:
        >>> BulkResult(stored=2, duplicates=1).nothing
        0
    """

    stored: int = 0
    nothing: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """How much was erased.

    Attributes:
        memories: Memories.
        history: Entries of their change history.
        messages: Raw messages that Mem0 keeps for its next extraction.
        writes: Queued writes, dead letters and accepted keys.
        relations: Facts of the graph.
        transcript: Messages of transcripts.
        keys: Idempotency keys of memories that a filter selected; they may be used again.
        pending: What could not be erased yet, why, and what happens or is to be done then.

    Example:
        >>> ForgetResult(memories=2, history=3).memories
        2
    """

    memories: int = 0
    history: int = 0
    messages: int = 0
    writes: int = 0
    relations: int = 0
    transcript: int = 0
    keys: frozenset[str] = frozenset()
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryChange:
    """One entry of a memory's history.

    Attributes:
        memory_id: The memory.
        event: `ADD`, `UPDATE` or `DELETE`, Mem0's names.
        old_text: The text before, None for `ADD`.
        new_text: The text after, None for `DELETE`.
        at: When (aware UTC), if known.
        metadata: The metadata then, as far as it is known.

    Example:
        >>> MemoryChange("m1", "UPDATE", "I like tea.", "I like coffee.", at=None).new_text
        'I like coffee.'
    """

    memory_id: str
    event: str
    old_text: str | None
    new_text: str | None
    at: datetime | None
    metadata: Mapping[str, object] | None = None


DocumentKind: TypeAlias = Literal["item", "message"]
Address: TypeAlias = tuple[tuple[str, ...], str]
"""A document's path and key."""


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


@dataclass(frozen=True, slots=True)
class VectorMemory:
    """A memory as somebody stores it who embeds and extracts himself.

    Attributes:
        id: Its id, a UUID.
        text: The text.
        metadata: JSON-serialisable values; others that the memory has stay.
        created_at: When it was first said (aware UTC).
        vector: The text's vector, of the store's dimension; None to keep the one that the memory
            has, or to have the text embedded.
    """

    id: str
    text: str
    metadata: Mapping[str, object]
    created_at: datetime
    vector: Sequence[float] | None = None
