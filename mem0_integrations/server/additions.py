"""What a client adds or changes: checked, and in the form that the core takes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mem0_integrations.arguments import check_metadata
from mem0_integrations.errors import InvalidInputError
from mem0_integrations.messages import to_mem0_messages
from mem0_integrations.scope import Scope
from mem0_integrations.server.bodies import AddBody
from mem0_integrations.server.tenancy import (
    ENTITY_KEYS,
    EntityIds,
    internal_metadata,
    own_metadata,
    read_moment,
    write_scope,
)

__all__ = ["Addition", "changed_fields", "fingerprint", "read_addition"]

# For clients whose library sets no headers.
_KEY_METADATA: Final = "mem0_integrations_key"


@dataclass(frozen=True, slots=True)
class Addition:
    """Messages to remember, in the form that the core takes.

    Attributes:
        entities: Those of the scope, in the client's terms.
        created_at: When the messages were written (aware UTC); None for now.
        key: The client's idempotency key, if the metadata has one.
    """

    scope: Scope
    entities: EntityIds
    messages: list[dict[str, object]]
    metadata: dict[str, object]
    infer: bool
    created_at: datetime | None
    key: str | None


def read_addition(project_id: str, body: AddBody) -> Addition:
    """Check the body of an add request in a project, and translate it.

    Example:
        >>> body = AddBody(messages="I like tea.", user_id="ann", timestamp=0)
        >>> addition = read_addition("p", body)
        >>> addition.scope, addition.created_at.year
        (Scope(user_id='ann', run_id='p'), 1970)
    """
    entities = EntityIds.of(
        {
            key: _either(key, getattr(body, key), (body.filters or {}).get(key))
            for key in ENTITY_KEYS
        }
    )
    internal = internal_metadata(
        app_id=entities.app_id,
        run_id=entities.run_id,
        structured_attributes=body.structured_attributes,
        expiration_date=_day(body.expiration_date),
    )
    metadata = {
        **own_metadata(body.metadata),
        **{name: value for name, value in internal.items() if value is not None},
        **({"categories": body.categories} if body.categories else {}),
    }
    messages: list[dict[str, object]] = [
        {"role": "user", "content": message}
        if isinstance(message, str)
        else message.model_dump(exclude_none=True)
        for message in (body.messages if isinstance(body.messages, list) else [body.messages])
    ]
    if not messages:
        raise InvalidInputError("messages is empty: there is nothing to remember.")
    # Refused before anything is put on disk.
    to_mem0_messages(messages)
    key = (body.metadata or {}).get(_KEY_METADATA)
    return Addition(
        scope=write_scope(project_id, entities),
        entities=entities,
        messages=messages,
        metadata=check_metadata(metadata),
        infer=body.infer,
        created_at=_moment(body.timestamp),
        key=key if isinstance(key, str) and key else None,
    )


def changed_fields(given: Mapping[str, object]) -> dict[str, object]:
    """Return the metadata that an update sets, which a client sent with a memory's fields.

    `metadata`, `timestamp` and `expiration_date` (None to clear it) count.
    """
    metadata = given.get("metadata")
    changes = own_metadata(metadata) if isinstance(metadata, Mapping) else {}
    if given.get("timestamp") is not None:
        changes |= internal_metadata(created_at=_moment(given["timestamp"]))
    if "expiration_date" in given:
        changes |= internal_metadata(expiration_date=_day(given["expiration_date"]))
    return changes


def fingerprint(body: AddBody) -> tuple[str, str]:
    """Return a body as JSON, and a digest to compare it with others."""
    given = body.model_dump(mode="json", exclude_unset=True)
    try:
        text = json.dumps(given, allow_nan=False, ensure_ascii=False, sort_keys=True)
        return text, hashlib.sha256(text.encode()).hexdigest()
    except ValueError:
        raise InvalidInputError(
            "The body holds a number or a text that JSON cannot hold: NaN, or half a character."
        ) from None


def _either(key: str, given: object, filtered: object) -> object:
    if isinstance(filtered, str | int) and given not in (None, filtered):
        raise InvalidInputError(f"{key} is given twice, with different values; give it once.")
    return filtered if given is None and isinstance(filtered, str | int) else given


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    found = read_moment(value)
    if found is None:
        raise InvalidInputError(
            "timestamp must be a time: seconds since the epoch, or ISO 8601 text."
        )
    return found


def _day(value: object) -> object:
    if value is None:
        return None
    found = read_moment(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInputError("expiration_date must be a day: YYYY-MM-DD.")
    return found.date()
