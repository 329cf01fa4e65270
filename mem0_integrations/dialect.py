"""Mem0's open-source dialect: how ids, payloads and times are spelled there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from mem0_integrations.errors import ScopeError
from mem0_integrations.records import Memory
from mem0_integrations.scope import MAX_ID_LENGTH, SCOPE_KEYS, Scope
from mem0_integrations.values import INTERNAL_FIELDS, RESERVED_METADATA, clipped, parse_time

__all__ = ["item_of", "mem0_ids", "memory_of", "scope_filters", "scope_of"]

_ESCAPED: Final = "mem0-integrations:"


def scope_filters(scope: Scope) -> dict[str, str]:
    """Return a scope's ids as Mem0 accepts them.

    Mem0 rejects white space inside an id, and its vector stores read `*` as "any": such ids
    are percent-encoded behind a prefix, all others stay as they are, so that memories written
    without this package are found.

    Example:
        >>> scope_filters(Scope(user_id="Jane Doe"))
        {'user_id': 'mem0-integrations:Jane%20Doe'}
    """
    return {key: _encode(value) for key, value in scope.ids.items()}


def mem0_ids(scope: Scope) -> dict[str, str]:
    """Return a scope's ids as Mem0 accepts them, one of its own ids among them.

    Raises:
        ScopeError: There is only an `app_id`.
    """
    ids = scope_filters(scope)
    if not ids.keys() - {"app_id"}:
        raise ScopeError(
            f"{scope} has no user_id, agent_id or run_id; Mem0's open-source Memory needs one of "
            f"them beside app_id."
        )
    return ids


def memory_of(item: Mapping[str, object]) -> Memory:
    """Read one result of `mem0.Memory` (`get`, `get_all`, `search`)."""
    extra = item.get("metadata")
    metadata = dict(extra) if isinstance(extra, Mapping) else {}
    for key in INTERNAL_FIELDS:
        metadata.pop(key, None)
    app_id = metadata.pop("app_id", None)
    scope = scope_of(item.get("user_id"), item.get("agent_id"), item.get("run_id"), app_id)
    listed = metadata.get("categories")
    categories = metadata.pop("categories") if isinstance(listed, list) else ()
    for key in ("role", "actor_id", "attributed_to"):
        if item.get(key) is not None:
            metadata[key] = item[key]
    score, signals = item.get("score"), item.get("signals")
    created = parse_time(item.get("created_at"))
    unchanged = item.get("updated_at") == item.get("created_at")
    return Memory(
        id=str(item["id"]),
        text=str(item.get("memory") or ""),
        scope=scope,
        score=clipped(score) if isinstance(score, int | float) else None,
        created_at=created,
        updated_at=created if unchanged else parse_time(item.get("updated_at")),
        metadata=metadata,
        categories=tuple(map(str, categories)),
        signals=signals if isinstance(signals, Mapping) else None,
    )


def item_of(row_id: str, payload: Mapping[str, object], score: float | None) -> dict[str, object]:
    """Return a row of a vector store as `mem0.Memory` returns it."""
    known = ("user_id", "agent_id", "run_id", "created_at", "updated_at", "role", "actor_id")
    return {
        **{key: payload.get(key) for key in known},
        "id": row_id,
        "memory": payload.get("data"),
        "score": score,
        "metadata": {
            key: value
            for key, value in payload.items()
            if key == "app_id" or key not in RESERVED_METADATA
        },
    }


@lru_cache(maxsize=1024)
def scope_of(*ids: object) -> Scope:
    """Read a scope from the ids that Mem0 has of it, in the order of `SCOPE_KEYS`.

    Raises:
        ScopeError: There is none.
    """
    given = zip(SCOPE_KEYS, ids, strict=True)
    decoded = {key: _decode(str(value)).strip() for key, value in given if value}
    # Memories that were not written by this package may carry longer ids.
    return Scope(**{key: value[:MAX_ID_LENGTH] for key, value in decoded.items() if value})


def _encode(value: str) -> str:
    plain = value.isprintable() and not any(map(str.isspace, value))
    if plain and value != "*" and not value.startswith(_ESCAPED):
        return value
    return _ESCAPED + quote(value, safe="")


def _decode(value: str) -> str:
    return unquote(value.removeprefix(_ESCAPED)) if value.startswith(_ESCAPED) else value
