"""What a store can hold of a value, and which names of metadata are taken. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeGuard

from mem0_integrations.scope import SCOPE_KEYS

__all__ = [
    "DOCUMENT_FIELD",
    "EXPIRES_AT_FIELD",
    "EXPIRES_FIELD",
    "INTERNAL_FIELDS",
    "KEY_FIELD",
    "OWN",
    "PATH_FIELDS",
    "RESERVED_METADATA",
    "clipped",
    "is_text",
    "is_uuid",
    "levels_of",
    "parse_time",
    "storable",
]

OWN: Final = "mem0_integrations_"
"""The prefix of this package's own metadata on the Mem0 Platform."""

KEY_FIELD: Final = "idempotency_key"
DOCUMENT_FIELD: Final = "document_body"
EXPIRES_FIELD: Final = "document_expires"
EXPIRES_AT_FIELD: Final = "document_expires_at"
PATH_FIELDS: Final = tuple(f"document_path_{depth}" for depth in range(4))
INTERNAL_FIELDS: Final = (KEY_FIELD, DOCUMENT_FIELD, EXPIRES_FIELD, EXPIRES_AT_FIELD, *PATH_FIELDS)
RESERVED_METADATA: Final = frozenset(
    {
        *INTERNAL_FIELDS,
        *SCOPE_KEYS,
        "actor_id",
        "attributed_to",
        "created_at",
        "data",
        "expiration_date",
        "hash",
        "id",
        "role",
        "text_lemmatized",
        "updated_at",
    }
)


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether a store can hold a value as text; half a surrogate pair is not UTF-8.

    Args:
        value: Any value.
    """
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def storable(text: str) -> str:
    r"""Return a text as every embedder and store takes it.

    Half a surrogate pair, as a model leaves it when it is cut off within a character, is
    replaced, and NUL is left out.

    Example:
        >>> storable("Likes\0 zebras \ud83d")
        'Likes zebras ?'
    """
    return (text if is_text(text) else text.encode(errors="replace").decode()).replace("\0", "")


def is_uuid(value: object) -> TypeGuard[str]:
    """Tell whether something is the text of a UUID, spelled as the ids of memories are.

    Stores do not agree on other spellings.

    Args:
        value: Any value.
    """
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def clipped(score: float) -> float:
    """Return a store's score as one in [0, 1]; higher is nearer."""
    return min(1.0, max(0.0, float(score)))


def levels_of(fields: Sequence[str], path: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the levels of a path, each of which a store can be asked for as an equal value.

    Args:
        fields: A field of the payload for each level, the topmost first; deeper levels than there
            are fields are left out.
        path: The labels.

    Example:
        >>> levels_of(["level_0", "level_1", "level_2"], ["a"])
        {'level_0': (), 'level_1': ('a',)}
    """
    return {field: tuple(path[:depth]) for depth, field in enumerate(fields[: len(path) + 1])}


def parse_time(value: object) -> datetime | None:
    """Read an ISO 8601 time as aware UTC; without a zone it is UTC; else None."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
