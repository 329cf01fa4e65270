"""CrewAI's memory records as Mem0's memories: what is kept where, and which are meant. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from crewai.memory.types import MemoryRecord, ScopeInfo
from crewai.memory.utils import normalize_scope_path

from mem0_integrations.errors import NotSerializableError
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope
from mem0_integrations.values import is_uuid

__all__ = [
    "LAST_ACCESSED",
    "alike_filter",
    "child_scopes",
    "counted_categories",
    "full_metadata",
    "in_page",
    "is_crew_memory",
    "is_under",
    "lies_under",
    "memory_ids_of",
    "metadata_of",
    "naive_utc",
    "recall_filters",
    "record_of",
    "scope_filter",
    "scope_info",
    "selects",
]

LAST_ACCESSED: Final = "crewai_last_accessed"
_RECORD: Final = "crewai_record"
# Beside the record, what a recall filters by.
_PATH: Final = "crewai_path"
_CATEGORIES: Final = "crewai_categories"
_PRIVATE_TO: Final = "crewai_private_to"
_PUBLIC: Final = ""
# A store can only be asked for equal values: a record at /a/b says / in the first, /a in the
# second and /a/b in the third. What is deeper is compared here.
_EARLIEST: Final = datetime.fromtimestamp(0, UTC)
_LEVELS: Final = tuple(f"crewai_scope_{depth}" for depth in range(7))
_NAMESPACE: Final = uuid.UUID("a2a9f4f1-62a0-5c7e-8d54-3f0f3a0f8a3b")


def memory_ids_of(scope: Scope, record_id: str) -> tuple[str, ...]:
    """Return the ids that the memory of a record may have: the one that a storage gives it first.

    Nobody can name the memory of another scope by a record's id.
    """
    name = json.dumps([scope.ids, str(record_id)], sort_keys=True)
    own = str(uuid.uuid5(_NAMESPACE, name))
    return (own, str(record_id)) if is_uuid(record_id) else (own,)


def is_crew_memory(memory: Memory) -> bool:
    """Tell whether a crew has stored a memory; else it was said elsewhere."""
    return _LEVELS[0] in memory.metadata


def full_metadata(memory: Memory) -> dict[str, object]:
    """Return all metadata of a memory, whoever set it."""
    categories = {"categories": [*memory.categories]} if memory.categories else {}
    return {**memory.metadata, **categories}


def metadata_of(
    record: MemoryRecord, *, named: bool = True, scoped: bool = True
) -> dict[str, object]:
    """Return the metadata in which a memory keeps what CrewAI knows of a record.

    Args:
        record: The record.
        named: Whether the record keeps its id; else it gets that of the memory.
        scoped: Whether it lies in its scope; else in all, as what was said elsewhere does.

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
        _RECORD: packed,
        LAST_ACCESSED: naive_utc(record.last_accessed).isoformat(),
        _CATEGORIES: _quoted(record.categories),
    }
    if not scoped:
        return known
    return {
        **known,
        _PATH: json.dumps(f"{path}/"),
        _PRIVATE_TO: json.dumps(record.source or None) if record.private else _PUBLIC,
        **_levels(path),
    }


def record_of(memory: Memory, scope: str = "/") -> MemoryRecord:
    """Return a memory as CrewAI's record; times are naive UTC, as CrewAI computes with them.

    Args:
        memory: The memory.
        scope: Where it appears if it was said elsewhere.
    """
    packed, accessed = memory.metadata.get(_RECORD), memory.metadata.get(LAST_ACCESSED)
    elsewhere = {"scope": normalize_scope_path(scope), "categories": list(memory.categories)}
    kept: dict[str, Any] = json.loads(packed) if isinstance(packed, str) else {}
    created = naive_utc(memory.created_at or datetime.fromtimestamp(0, UTC))
    return MemoryRecord(
        content=memory.text,
        created_at=created,
        last_accessed=datetime.fromisoformat(accessed) if isinstance(accessed, str) else created,
        **{"id": memory.id, **elsewhere, **kept},
    )


def alike_filter(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the equality that selects memories with the same metadata, but for times."""
    return {_RECORD: metadata[_RECORD]}


def scope_filter(prefix: str | None) -> dict[str, str]:
    """Return the equality that selects the crew's memories under a scope, and perhaps more."""
    levels = _levels(normalize_scope_path(prefix or "/"))
    deepest = max(levels)
    return {deepest: levels[deepest]}


def recall_filters(
    prefix: str | None,
    *,
    categories: Sequence[str] | None,
    source: str | None,
    include_private: bool,
    shared: bool,
) -> dict[str, object]:
    """Return Mem0's filters for what a recall may find; most are equalities.

    Args:
        prefix: The scope, or one within it.
        categories: At least one of these; none is no criterion.
        source: Who asks: private records are shown to their own source.
        include_private: Whether all private records are shown.
        shared: Whether what was said elsewhere is shown, too.
    """
    own: dict[str, object] = {**scope_filter(prefix)}
    path = normalize_scope_path(prefix or "/")
    if len(_parts(path)) >= len(_LEVELS):
        # The quote in front stands where the path begins.
        own[_PATH] = {"contains": json.dumps(f"{path}/").removesuffix('"')}
    if categories:
        own[_CATEGORIES] = {"in": _quoted(categories)}
    if not include_private:
        own[_PRIVATE_TO] = {"in": [_PUBLIC, json.dumps(source)]} if source else _PUBLIC
    if not shared:
        return own
    elsewhere: dict[str, object] = {_LEVELS[0]: None}
    if not categories:
        return {"OR": [own, elsewhere]}
    given = {**elsewhere, "categories": {"in": [*categories]}}
    changed = {**elsewhere, _CATEGORIES: {"in": _quoted(categories)}}
    return {"OR": [own, given, changed]}


def lies_under(memory: Memory, prefix: str | None) -> bool:
    """Tell whether a crew's memory lies in a scope or within it; what was said elsewhere does."""
    path = memory.metadata.get(_PATH)
    return not isinstance(path, str) or is_under(json.loads(path)[:-1] or "/", prefix)


def is_under(scope: str, prefix: str | None) -> bool:
    """Tell whether a scope is another one, or lies within it.

    Example:
        >>> is_under("/a/b", "/a"), is_under("/ab", "/a"), is_under("/a", None)
        (True, False, True)
    """
    root = normalize_scope_path(prefix or "/")
    return root in ("/", scope) or scope.startswith(f"{root}/")


def selects(
    *,
    scope_prefix: str | None = None,
    categories: Sequence[str] | None = None,
    record_ids: Sequence[str] | None = None,
    older_than: datetime | None = None,
    metadata_filter: Mapping[str, object] | None = None,
) -> Callable[[MemoryRecord], bool]:
    """Make a test for records that meet every criterion; no criterion is met by all.

    Args:
        scope_prefix: The scope, or one within it.
        categories: At least one of these; an empty list is no criterion.
        record_ids: One of these; an empty list is met by none.
        older_than: Created before that time.
        metadata_filter: All of these values; None is also met by an absent key.
    """
    ids = None if record_ids is None else set(map(str, record_ids))
    time = None if older_than is None else naive_utc(older_than)

    def passes(record: MemoryRecord) -> bool:
        return (
            (ids is None or record.id in ids)
            and is_under(record.scope, scope_prefix)
            and (not categories or not set(categories).isdisjoint(record.categories))
            and (time is None or record.created_at < time)
            and all(
                record.metadata.get(key) == value for key, value in (metadata_filter or {}).items()
            )
        )

    return passes


def in_page(memories: Iterable[Memory], limit: int, offset: int) -> list[Memory]:
    """Return a page of memories, newest first; none for a limit or an offset out of range."""
    if limit <= 0 or offset < 0:
        return []
    found = sorted(memories, key=lambda memory: memory.id)
    found.sort(key=lambda memory: memory.created_at or _EARLIEST, reverse=True)
    return found[offset : offset + limit]


def child_scopes(records: Iterable[MemoryRecord], parent: str | None) -> list[str]:
    """Return the scopes right below another one, as full paths, sorted."""
    root = normalize_scope_path(parent or "/")
    depth = len(_parts(root))
    below = (_parts(record.scope) for record in records if is_under(record.scope, root))
    return sorted({"/" + "/".join(parts[: depth + 1]) for parts in below if len(parts) > depth})


def scope_info(records: Sequence[MemoryRecord], scope: str) -> ScopeInfo:
    """Describe a scope by the records under it."""
    times = [record.created_at for record in records]
    return ScopeInfo(
        path=normalize_scope_path(scope),
        record_count=len(records),
        categories=sorted(counted_categories(records)),
        oldest_record=min(times, default=None),
        newest_record=max(times, default=None),
        child_scopes=child_scopes(records, scope),
    )


def counted_categories(records: Iterable[MemoryRecord]) -> dict[str, int]:
    """Return how many records have each category."""
    counts: dict[str, int] = {}
    for record in records:
        for category in record.categories:
            counts[category] = counts.get(category, 0) + 1
    return counts


def naive_utc(time: datetime) -> datetime:
    """Return a time as CrewAI has it: UTC, without saying so."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _quoted(texts: Iterable[str]) -> list[str]:
    # Every store can hold any text in this form.
    return [json.dumps(text) for text in texts]


def _levels(path: str) -> dict[str, str]:
    parts = _parts(path)
    return {
        level: json.dumps("/" + "/".join(parts[:depth]))
        for depth, level in enumerate(_LEVELS)
        if depth <= len(parts)
    }


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
