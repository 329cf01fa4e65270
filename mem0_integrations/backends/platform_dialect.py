"""The Mem0 Platform's dialect: how it writes scopes, memories and filters. Pure.

The Platform keeps a fact that it extracted under one id only: what the user said under `user_id`,
what the assistant said under `agent_id` (docs.mem0.ai, "Entity-Scoped Memory"). So whatever this
package stores carries its whole scope in the metadata, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mem0_integrations.dialect import scope_filters, scope_of
from mem0_integrations.errors import ScopeError
from mem0_integrations.records import Memory
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import KEY_FIELD, OWN, clipped, parse_time

__all__ = [
    "CREATED_FIELD",
    "KEY_METADATA",
    "OWN",
    "PARTS_FIELD",
    "PART_FIELD",
    "ROLE_FIELD",
    "ROW_FIELD",
    "all_of",
    "any_of",
    "covers",
    "kept_metadata",
    "memory_of",
    "metadata_is",
    "own_only",
    "replaced_metadata",
    "scope_filter",
    "scope_metadata",
]

CREATED_FIELD: Final = f"{OWN}created_at"
KEY_METADATA: Final = f"{OWN}{KEY_FIELD}"
PART_FIELD: Final = f"{OWN}part"
PARTS_FIELD: Final = f"{OWN}parts"
ROLE_FIELD: Final = f"{OWN}role"
ROW_FIELD: Final = f"{OWN}row"
_REMOVED: Final = f"{OWN}removed"
# One of them is lost where a fact is extracted.
_SPLIT: Final = ("user_id", "agent_id")


def all_of(*filters: Mapping[str, object]) -> dict[str, object]:
    """Return a filter that is met if all of some filters are."""
    return {"AND": list(filters)}


def any_of(*filters: Mapping[str, object]) -> dict[str, object]:
    """Return a filter that is met if one of some filters is."""
    return {"OR": list(filters)} if len(filters) > 1 else dict(filters[0])


def metadata_is(key: str, value: object) -> dict[str, object]:
    """Return a filter for a value in the metadata."""
    return {"metadata": {key: value}}


def scope_filter(scope: Scope) -> dict[str, object]:
    """Return a filter for the memories of a scope; it may let others through, see `covers`.

    Example:
        >>> scope_filter(Scope(run_id="r"))
        {'AND': [{'run_id': 'r'}]}
        >>> scope_filter(Scope(user_id="u", agent_id="a"))["AND"][0]["OR"][0]
        {'user_id': 'u'}
    """
    ids = scope_filters(scope)
    split = [key for key in _SPLIT if key in ids]
    parts: list[dict[str, object]] = [
        {key: value} for key, value in ids.items() if key not in split
    ]
    if split:
        first = split[0]
        other = next(key for key in _SPLIT if key != first)
        # Also what was extracted from the same turns, and stands under the other id.
        apart = all_of({other: ids.get(other, "*")}, metadata_is(OWN + first, ids[first]))
        parts.insert(0, any_of({first: ids[first]}, apart))
    return all_of(*parts)


def scope_metadata(scope: Scope) -> dict[str, str]:
    """Return the metadata that records a scope."""
    return {OWN + key: value for key, value in scope_filters(scope).items()}


def own_only(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return this package's own part of some metadata."""
    return {key: value for key, value in metadata.items() if key.startswith(OWN)}


def kept_metadata(item: Mapping[str, Any]) -> dict[str, object]:
    """Return the metadata of what the Platform returned, without what was taken out of it."""
    metadata = item.get("metadata") or {}
    removed = {_REMOVED, *metadata.get(_REMOVED, ())}
    return {key: value for key, value in metadata.items() if key not in removed}


def replaced_metadata(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return metadata that replaces other metadata.

    The Platform does not say what an update does to what it leaves out: that is marked.
    """
    return {**new, _REMOVED: sorted(old.keys() - new.keys())}


def covers(scope: Scope, item: Mapping[str, Any]) -> bool:
    """Tell whether what the Platform returned belongs to a scope.

    What others stored without a record of its scope may lack the `agent_id`, but never an id
    that tells users apart.
    """
    try:
        own = _scope_of(item)
    except ScopeError:
        return False
    if scope.covers(own):
        return True
    if any(OWN + key in (item.get("metadata") or {}) for key in SCOPE_KEYS):
        return False
    missing = scope.ids.keys() - own.ids.keys()
    return missing == {"agent_id"} and "user_id" in own.ids and _agree(scope, own)


def memory_of(item: Mapping[str, Any]) -> Memory:
    """Read a memory that the Platform returned.

    Raises:
        ScopeError: It does not say whose it is.
    """
    given = kept_metadata(item)
    own = own_only(given)
    metadata = {key: value for key, value in given.items() if key not in own}
    # What was put as an item was said by nobody.
    told = None if ROW_FIELD in own else item.get("role")
    if role := own.get(ROLE_FIELD) or told:
        metadata["role"] = role
    score = item.get("score")
    created = parse_time(own.get(CREATED_FIELD)) or parse_time(item.get("created_at"))
    updated = parse_time(item.get("updated_at"))
    unchanged = item.get("updated_at") == item.get("created_at")
    return Memory(
        id=str(item["id"]),
        text=str(item.get("memory") or (item.get("data") or {}).get("memory") or ""),
        scope=_scope_of(item),
        score=clipped(score) if isinstance(score, int | float) else None,
        created_at=created,
        updated_at=created if unchanged or updated is None else updated,
        metadata=metadata,
        categories=tuple(map(str, item.get("categories") or ())),
    )


def _scope_of(item: Mapping[str, Any]) -> Scope:
    given = item.get("metadata") or {}
    recorded = [given.get(OWN + key) for key in SCOPE_KEYS]
    if any(recorded):
        return scope_of(*recorded)
    told = {key: item.get(key) for key in SCOPE_KEYS}
    told["run_id"] = told["run_id"] or item.get("session_id")
    return scope_of(*(told[key] for key in SCOPE_KEYS))


def _agree(scope: Scope, own: Scope) -> bool:
    return all(own.ids[key] == value for key, value in scope.ids.items() if key in own.ids)
