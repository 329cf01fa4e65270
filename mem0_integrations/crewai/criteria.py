"""Which of a crew's records are meant, and what a list of them shows. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from crewai.memory.types import MemoryRecord, ScopeInfo
from crewai.memory.utils import normalize_scope_path

from mem0_integrations.crewai.records import (
    CATEGORIES,
    LEVELS,
    PATH,
    PRIVATE_TO,
    PUBLIC,
    levels,
    naive_utc,
    parts_of,
    quoted,
)
from mem0_integrations.records import Memory

__all__ = [
    "child_scopes",
    "counted_categories",
    "is_exact",
    "is_under",
    "lies_under",
    "recall_filters",
    "scope_filter",
    "scope_info",
    "selects",
]


def scope_filter(prefix: str | None) -> dict[str, str]:
    """Return the equality that selects the crew's memories under a scope, and perhaps more."""
    *_, (field, path) = levels(normalize_scope_path(prefix or "/")).items()
    return {field: path}


def is_exact(prefix: str | None) -> bool:
    """Tell whether `scope_filter` selects no more than what lies under a scope."""
    return len(parts_of(normalize_scope_path(prefix or "/"))) < len(LEVELS)


def recall_filters(
    prefix: str | None,
    *,
    categories: Sequence[str] | None,
    source: str | None,
    include_private: bool,
    shared: bool,
) -> dict[str, object]:
    """Return Mem0's filters for what a recall may find; most are equalities.

    Private records are shown to their own source; an empty list of categories is no criterion.
    """
    own: dict[str, object] = {**scope_filter(prefix)}
    path = normalize_scope_path(prefix or "/")
    if not is_exact(path):
        # The quote in front stands where the path begins.
        own[PATH] = {"contains": json.dumps(f"{path}/").removesuffix('"')}
    if categories:
        own[CATEGORIES] = {"in": quoted(categories)}
    if not include_private:
        own[PRIVATE_TO] = {"in": [PUBLIC, json.dumps(source)]} if source else PUBLIC
    if not shared:
        return own
    elsewhere: dict[str, object] = {LEVELS[0]: None}
    if not categories:
        return {"OR": [own, elsewhere]}
    given = {**elsewhere, "categories": {"in": [*categories]}}
    changed = {**elsewhere, CATEGORIES: {"in": quoted(categories)}}
    return {"OR": [own, given, changed]}


def lies_under(memory: Memory, prefix: str | None) -> bool:
    """Tell whether a crew's memory lies in a scope or within it; what was said elsewhere does."""
    path = memory.metadata.get(PATH)
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
    """Make a test for records that meet every criterion.

    An empty list of categories is met by all records, one of ids by none; a value of metadata that
    is None is also met by an absent key.
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


def child_scopes(records: Iterable[MemoryRecord], parent: str | None) -> list[str]:
    """Return the scopes right below another one, as full paths, sorted."""
    root = normalize_scope_path(parent or "/")
    depth = len(parts_of(root))
    below = (parts_of(record.scope) for record in records if is_under(record.scope, root))
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
    return dict(Counter(category for record in records for category in record.categories))
