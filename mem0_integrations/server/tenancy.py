"""How the memories of a project are kept apart, and what its clients see of them. Pure.

In the core, every memory of a project has the scope `run_id=<project>`, and so has every call: no
filter can reach beyond it. The client's `user_id` and `agent_id` are those of the scope. Its
`app_id` and `run_id` are stored in the metadata, with the other fields that the core does not
have. Together they name a session, and the scope's `app_id` is a hash of both: a statement is
stored in each session in which it is made, even if another session has it already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope
from mem0_integrations.values import RESERVED_METADATA, is_text, parse_time

__all__ = [
    "APP_FIELD",
    "ENTITY_KEYS",
    "RUN_FIELD",
    "ClientMemory",
    "EntityIds",
    "checked_id",
    "internal_metadata",
    "metadata_key",
    "own_metadata",
    "project_scope",
    "read_moment",
    "today",
    "write_scope",
]

ENTITY_KEYS: Final = ("user_id", "agent_id", "app_id", "run_id")

_INTERNAL: Final = "platform_"
_ESCAPE: Final = f"{_INTERNAL}own_"
APP_FIELD: Final = f"{_INTERNAL}app_id"
RUN_FIELD: Final = f"{_INTERNAL}run_id"
# `categories` would be taken for Mem0's own.
_ESCAPED: Final = RESERVED_METADATA | {"categories"}
# What the core shows among the metadata, and the Platform does not show.
_HIDDEN: Final = frozenset({"role", "actor_id", "attributed_to"})


@dataclass(frozen=True, slots=True)
class EntityIds:
    """The ids of entities to which a memory belongs, in the client's terms."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, object]) -> EntityIds:
        """Check the ids in what a client sent; other keys, and those with None, are ignored."""
        found = {key: given.get(key) for key in ENTITY_KEYS}
        return cls(**{key: checked_id(key, id_) for key, id_ in found.items() if id_ is not None})

    @property
    def ids(self) -> dict[str, str]:
        """The ids that are not None, by key."""
        values = ((key, getattr(self, key)) for key in ENTITY_KEYS)
        return {key: value for key, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class ClientMemory:
    """A memory in the form that the clients of its project see.

    Attributes:
        metadata: The client's own metadata.
        created_at: When it was said (aware UTC), if known.
        updated_at: When it was last changed (aware UTC), if known.
        expiration_date: The last day on which it is found.
        role: Who said it, `user` or `assistant`, if known.
        score: Similarity to the query in [0, 1]; None when listed.
    """

    id: str
    text: str
    entities: EntityIds
    metadata: Mapping[str, object]
    created_at: datetime | None
    updated_at: datetime | None
    categories: tuple[str, ...] = ()
    expiration_date: date | None = None
    structured_attributes: object = None
    feedback: str | None = None
    feedback_reason: str | None = None
    role: str | None = None
    score: float | None = None

    @classmethod
    def of(cls, memory: Memory) -> ClientMemory:
        """Return what the clients of its project see of a memory."""

        def field(name: str) -> object:
            return memory.metadata.get(_INTERNAL + name)

        def text(value: object) -> str | None:
            return value if is_text(value) else None

        expires = text(field("expiration_date"))
        return cls(
            id=memory.id,
            text=memory.text,
            entities=EntityIds(
                user_id=memory.scope.user_id,
                agent_id=memory.scope.agent_id,
                app_id=text(field("app_id")),
                run_id=text(field("run_id")),
            ),
            metadata={
                key.removeprefix(_ESCAPE): value
                for key, value in memory.metadata.items()
                if key not in _HIDDEN and (key.startswith(_ESCAPE) or not key.startswith(_INTERNAL))
            },
            created_at=parse_time(field("created_at")) or memory.created_at,
            updated_at=memory.updated_at,
            categories=memory.categories,
            expiration_date=date.fromisoformat(expires) if expires else None,
            structured_attributes=field("structured_attributes"),
            feedback=text(field("feedback")),
            feedback_reason=text(field("feedback_reason")),
            role=text(memory.metadata.get("role")),
            score=memory.score,
        )

    def is_expired(self, today: date) -> bool:
        """Tell whether it has expired: then it is shown on request only."""
        return self.expiration_date is not None and self.expiration_date < today


def checked_id(key: str, value: object) -> str:
    """Check an id, and return it in the form in which it is stored; the key is its kind.

    Example:
        >>> checked_id("user_id", " ann ")
        'ann'
    """
    # A scope's ids and an entity's are the same kind of text.
    found = Scope(**{key: value}).ids[key]  # type: ignore[arg-type]
    if found == "*" or "\0" in found:
        raise InvalidInputError(f"{key} cannot be {found!r}; choose another id.")
    return found


def project_scope(project_id: str, **ids: str) -> Scope:
    """Return the scope of a project, or of a `user_id` and `agent_id` in it."""
    return Scope(run_id=project_id, **ids)


def write_scope(project_id: str, entities: EntityIds) -> Scope:
    """Return the scope under which a client's memory is stored; refuse one of no entity.

    Example:
        >>> write_scope("p", EntityIds(user_id="ann")).ids
        {'user_id': 'ann', 'run_id': 'p'}
        >>> list(write_scope("p", EntityIds(user_id="ann", run_id="r")).ids)
        ['user_id', 'run_id', 'app_id']
    """
    ids = entities.ids
    if not ids:
        raise InvalidInputError(
            "At least one of user_id, agent_id, app_id, run_id is needed: say whose memory it is."
        )
    session = [ids.pop("app_id", None), ids.pop("run_id", None)]
    if any(session):
        ids["app_id"] = hashlib.sha256(json.dumps(session).encode()).hexdigest()[:40]
    return project_scope(project_id, **ids)


def metadata_key(key: str) -> str:
    """Return the key under which a client's metadata is stored.

    Example:
        >>> metadata_key("team"), metadata_key("hash")
        ('team', 'platform_own_hash')
    """
    return _ESCAPE + key if key in _ESCAPED or key.startswith(_INTERNAL) else key


def own_metadata(metadata: Mapping[str, object] | None) -> dict[str, object]:
    """Return a client's metadata in the form in which it is stored."""
    return {metadata_key(key): value for key, value in (metadata or {}).items()}


def internal_metadata(**fields: object) -> dict[str, object]:
    """Return the metadata that stores fields which the core does not have; None clears one."""
    return {
        _INTERNAL + name: value.isoformat() if isinstance(value, date) else value
        for name, value in fields.items()
    }


def read_moment(value: object) -> datetime | None:
    """Read a time: ISO 8601 (UTC unless it has a time zone), or seconds since the epoch; or None.

    Example:
        >>> read_moment(0), read_moment("yesterday")
        (datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), None)
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and value.isascii():
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def today() -> date:
    """Return the current day (UTC)."""
    return datetime.now(UTC).date()
