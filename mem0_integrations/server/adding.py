"""What a client wants to be remembered: its body, read and checked. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictFloat, StrictInt

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.messages import to_mem0_messages
from mem0_integrations.planning import check_metadata
from mem0_integrations.scope import Scope
from mem0_integrations.server.tenancy import (
    ENTITY_KEYS,
    Entities,
    internal_metadata,
    own_metadata,
    read_moment,
    write_scope,
)

__all__ = [
    "AddBody",
    "Addition",
    "EntityId",
    "Time",
    "changed_fields",
    "fingerprint",
    "plan_addition",
]

# `true` is neither an id nor a time.
EntityId: TypeAlias = str | StrictInt
Time: TypeAlias = StrictInt | StrictFloat | str
# For clients whose library sets no headers.
_KEY_METADATA: Final = "mem0_integrations_key"


class ChatMessage(BaseModel):
    """One message of a conversation, as chat models have them; what else it holds is not read."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | dict[str, JsonValue] | list[JsonValue] | None = None
    name: str | None = None


class AddBody(BaseModel):
    """A conversation to learn from, and whose it is.

    What else the Platform accepts (custom instructions and categories, schemas) is not read:
    what is extracted is up to the memory behind the server.
    """

    model_config = ConfigDict(extra="allow")

    messages: list[ChatMessage] | ChatMessage | str
    user_id: EntityId | None = None
    agent_id: EntityId | None = None
    app_id: EntityId | None = None
    run_id: EntityId | None = None
    filters: Annotated[dict[str, JsonValue] | None, Field(description="May hold the ids, too.")] = (
        None
    )
    metadata: dict[str, JsonValue] | None = None
    infer: bool = True
    timestamp: Annotated[
        Time | None,
        Field(description="When it was said: seconds since the epoch, or ISO 8601."),
    ] = None
    expiration_date: Annotated[
        str | None, Field(description="The last day on which it is found: YYYY-MM-DD.")
    ] = None
    categories: list[str] | None = None
    structured_attributes: dict[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Addition:
    """A write, as the core takes it.

    Attributes:
        scope: Whose memories it becomes.
        entities: The same, as the client says it.
        messages: What was said.
        metadata: As it is kept.
        infer: Whether statements are extracted.
        created_at: When it was said (aware UTC); None for now.
        key: The client's idempotency key, if it put one into the metadata.
    """

    scope: Scope
    entities: Entities
    messages: list[dict[str, object]]
    metadata: dict[str, object]
    infer: bool
    created_at: datetime | None
    key: str | None


def plan_addition(project_id: str, body: AddBody) -> Addition:
    """Read what a client wants to be remembered.

    Args:
        project_id: The project of whoever asks.
        body: What was sent.

    Raises:
        InvalidInputError: It is malformed, or nobody's.

    Example:
        >>> body = AddBody(messages="I like tea.", user_id="ann", timestamp=0)
        >>> addition = plan_addition("p", body)
        >>> addition.scope, addition.created_at.year
        (Scope(user_id='ann', run_id='p'), 1970)
    """
    entities = Entities.of(
        {
            key: _either(key, getattr(body, key), (body.filters or {}).get(key))
            for key in ENTITY_KEYS
        }
    )
    internal = {
        name: value
        for name, value in (
            ("app_id", entities.app_id),
            ("run_id", entities.run_id),
            ("structured_attributes", body.structured_attributes),
            ("expiration_date", _day(body.expiration_date)),
        )
        if value is not None
    }
    metadata = check_metadata(
        {
            **own_metadata(body.metadata),
            **internal_metadata(**internal),
            **({"categories": body.categories} if body.categories else {}),
        }
    )
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
        metadata=metadata,
        infer=body.infer,
        created_at=_moment(body.timestamp),
        key=key if isinstance(key, str) and key else None,
    )


def changed_fields(given: Mapping[str, object]) -> dict[str, object]:
    """Return the metadata that an update of a memory sets.

    Args:
        given: What was sent, among `metadata`, `timestamp` and `expiration_date` (None to clear).

    Raises:
        InvalidInputError: A value is malformed.
    """
    metadata = given.get("metadata")
    changes = own_metadata(metadata) if isinstance(metadata, Mapping) else {}
    if given.get("timestamp") is not None:
        changes |= internal_metadata(created_at=_moment(given["timestamp"]))
    if "expiration_date" in given:
        changes |= internal_metadata(expiration_date=_day(given["expiration_date"]))
    return changes


def fingerprint(body: AddBody) -> tuple[str, str]:
    """Return a body as JSON, and a digest that tells it from another.

    Raises:
        InvalidInputError: It holds what cannot be written as JSON.
    """
    try:
        text = json.dumps(
            body.model_dump(mode="json", exclude_unset=True),
            allow_nan=False,
            ensure_ascii=False,
            sort_keys=True,
        )
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
