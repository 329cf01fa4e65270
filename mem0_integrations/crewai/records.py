"""CrewAI's memory records as Mem0's memories: whose they are, and what is kept where. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from crewai.memory.types import MemoryRecord
from crewai.memory.utils import join_scope_paths, normalize_scope_path

from mem0_integrations.errors import NotSerializableError, ScopeError
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope
from mem0_integrations.values import is_uuid, levels_of

__all__ = [
    "CATEGORIES",
    "LAST_ACCESSED",
    "LEVELS",
    "PATH",
    "PRIVATE_TO",
    "PUBLIC",
    "RECORD",
    "UserId",
    "changed_record",
    "check_user",
    "full_metadata",
    "is_crew_memory",
    "levels",
    "memory_ids_of",
    "metadata_of",
    "naive_utc",
    "parts_of",
    "quoted",
    "record_of",
    "record_template",
    "scope_of_user",
]

LAST_ACCESSED: Final = "crewai_last_accessed"
RECORD: Final = "crewai_record"
# What a recall filters by, beside the record.
PATH: Final = "crewai_path"
CATEGORIES: Final = "crewai_categories"
PRIVATE_TO: Final = "crewai_private_to"
PUBLIC: Final = ""
# A record at /a/b has / in the first, /a in the second and /a/b in the third; what is deeper is
# compared here.
LEVELS: Final = tuple(f"crewai_scope_{depth}" for depth in range(7))
_NAMESPACE: Final = uuid.UUID("a2a9f4f1-62a0-5c7e-8d54-3f0f3a0f8a3b")

UserId: TypeAlias = str | Callable[[], str]


def check_user(user_id: UserId) -> None:
    """Check an id; a function is asked later. Raises `ScopeError`."""
    if not callable(user_id):
        scope_of_user(user_id)


def scope_of_user(user_id: UserId) -> Scope:
    """Return whose memories are meant, now.

    Raises:
        ScopeError: It is not an id, or a `ContextVar` that was never set.
    """
    try:
        found = user_id() if callable(user_id) else user_id
    except LookupError as error:
        raise ScopeError(f"user_id= did not find whose memories are meant: {error!r}.") from error
    return Scope(user_id=found)


def memory_ids_of(scope: Scope, record_id: str) -> tuple[str, ...]:
    """Return the ids that the memory of a record may have: the one that a storage gives it first.

    Nobody can name the memory of another scope by a record's id.
    """
    name = json.dumps([scope.ids, str(record_id)], sort_keys=True)
    own = str(uuid.uuid5(_NAMESPACE, name))
    return (own, str(record_id)) if is_uuid(record_id) else (own,)


def is_crew_memory(memory: Memory) -> bool:
    """Tell whether a crew has stored a memory; otherwise it was said elsewhere."""
    return LEVELS[0] in memory.metadata


def full_metadata(memory: Memory) -> dict[str, object]:
    """Return all metadata of a memory, the categories included."""
    categories = {"categories": [*memory.categories]} if memory.categories else {}
    return {**memory.metadata, **categories}


def metadata_of(
    record: MemoryRecord, *, named: bool = True, scoped: bool = True
) -> dict[str, object]:
    """Return the metadata in which a memory keeps what CrewAI knows of a record.

    A record that is not `named` gets the id of the memory; one that is not `scoped` lies in all
    scopes, as what was said elsewhere does.

    Raises:
        NotSerializableError: The record's own metadata is not JSON.
    """
    path = normalize_scope_path(record.scope)
    kept = {
        **({"id": str(record.id)} if named else {}),
        **({"scope": path} if scoped else {}),
        "categories": record.categories,
        "metadata": record.metadata,
        "importance": record.importance,
        "source": record.source or None,
        "private": record.private,
    }
    try:
        # As text: some stores change numbers, or refuse characters, in nested values.
        packed = json.dumps(kept)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializableError(
            f"The metadata of the record {record.id!r} cannot be stored as JSON: {error}."
        ) from error
    known: dict[str, object] = {
        RECORD: packed,
        LAST_ACCESSED: naive_utc(record.last_accessed).isoformat(),
        CATEGORIES: quoted(record.categories),
    }
    if not scoped:
        return known
    return {
        **known,
        PATH: json.dumps(f"{path}/"),
        PRIVATE_TO: json.dumps(record.source or None) if record.private else PUBLIC,
        **levels(path),
    }


def record_of(memory: Memory, scope: str = "/") -> MemoryRecord:
    """Return a memory as CrewAI's record, in a scope if it was said elsewhere.

    Times are naive UTC, as CrewAI computes with them.
    """
    packed, accessed = memory.metadata.get(RECORD), memory.metadata.get(LAST_ACCESSED)
    elsewhere = {"scope": normalize_scope_path(scope), "categories": list(memory.categories)}
    kept: dict[str, Any] = json.loads(packed) if isinstance(packed, str) else {}
    created = naive_utc(memory.created_at or datetime.fromtimestamp(0, UTC))
    return MemoryRecord(
        content=memory.text,
        created_at=created,
        last_accessed=datetime.fromisoformat(accessed) if isinstance(accessed, str) else created,
        **{"id": memory.id, **elsewhere, **kept},
    )


def record_template(  # noqa: PLR0917  (CrewAI's order)
    default_importance: float,
    scope: str | None = None,
    categories: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
    importance: float | None = None,
    source: str | None = None,
    private: bool = False,
    root_scope: str | None = None,
) -> MemoryRecord:
    """Return a record with everything but the content."""
    return MemoryRecord(
        content="",
        scope=join_scope_paths(root_scope, scope),
        categories=categories or [],
        metadata=metadata or {},
        importance=default_importance if importance is None else importance,
        source=source or None,
        private=private,
    )


def changed_record(record: MemoryRecord, **changes: object) -> MemoryRecord:
    """Return a record with those values that are not None, changed just now."""
    given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    now = naive_utc(datetime.now(UTC))
    return MemoryRecord(**{**record.model_dump(), **given, "last_accessed": now})


def naive_utc(time: datetime) -> datetime:
    """Return a time as CrewAI keeps it: in UTC, without a time zone."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def quoted(texts: Iterable[str]) -> list[str]:
    """Return texts in a form that every store can hold."""
    return [json.dumps(text) for text in texts]


def levels(path: str) -> dict[str, str]:
    """Return the fields that say in which scopes a record lies, from the topmost down."""
    found = levels_of(LEVELS, parts_of(path))
    return {field: json.dumps("/" + "/".join(parts)) for field, parts in found.items()}


def parts_of(path: str) -> list[str]:
    """Return the names in a path."""
    return [part for part in path.split("/") if part]
