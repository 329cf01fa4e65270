"""The table of API keys: each opens one project, and only its hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.scope import MAX_ID_LENGTH
from mem0_integrations.server.projects import (
    checked_project,
    create_project,
    project_column,
    projects,
)
from mem0_integrations.server.state import TABLES, Moment, Prepared, State, now

__all__ = [
    "VALID_KEYS",
    "Key",
    "create_key",
    "has_keys",
    "keys",
    "list_keys",
    "lookup_values",
    "matching_row",
    "revoke_key",
]

_KEY_BYTES: Final = 30
_PREFIX_LENGTH: Final = 11

keys: Final = sa.Table(
    "keys",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("prefix", sa.String(16), nullable=False, index=True),
    sa.Column("hash", sa.String(64), nullable=False),
    project_column(),
    sa.Column("name", sa.String(255)),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
)

VALID_KEYS: Final = Prepared(
    sa.select(keys.c.hash, keys.c.id, keys.c.name, keys.c.project_id, projects.c.org_id)
    .join(projects)
    .where(keys.c.prefix == sa.bindparam("prefix"), keys.c.revoked_at.is_(None))
)
"""The keys with a prefix that are not revoked, with the organization of their projects."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without the secret: `prefix` has its first characters; times are aware UTC."""

    id: str
    prefix: str
    project_id: str
    name: str | None
    created_at: datetime
    revoked_at: datetime | None = None


_KEYS: Final = sa.select(*(keys.c[field.name] for field in fields(Key))).order_by(keys.c.created_at)


def create_key(state: State, project_id: str, name: str | None = None) -> str:
    """Create a key of a project, and the project if it does not exist.

    The key that is returned cannot be shown again: only its hash is stored.

    Raises:
        InvalidInputError: The project's id is not valid, or the name is too long.
    """
    project_id = checked_project(project_id)
    if name is not None and len(name) > MAX_ID_LENGTH:
        raise InvalidInputError(f"The name of a key has at most {MAX_ID_LENGTH} characters.")
    key = f"m0-{secrets.token_urlsafe(_KEY_BYTES)}"
    with state.begin() as connection:
        create_project(connection, project_id)
        connection.execute(
            keys.insert().values(
                id=str(uuid.uuid4()),
                prefix=key[:_PREFIX_LENGTH],
                hash=_digest(key),
                project_id=project_id,
                name=name,
                created_at=now(),
            )
        )
    return key


def list_keys(state: State) -> list[Key]:
    """Return all keys, oldest first, including revoked ones."""
    return [Key(*row) for row in state.rows(_KEYS)]


def revoke_key(state: State, which: str) -> Key:
    """Revoke the key with an id, or with first characters that no other valid key has.

    Raises:
        InvalidInputError: No valid key matches, or more than one does.
    """
    with state.begin() as connection:
        valid = [Key(*row) for row in connection.execute(_KEYS) if row.revoked_at is None]
        found = [
            key
            for key in valid
            if which == key.id or (which and key.prefix.startswith(which[:_PREFIX_LENGTH]))
        ]
        if len(found) != 1:
            raise InvalidInputError(
                f"{len(found) or 'No'} keys that are good have this id or beginning; see "
                f"`mem0-integrations keys list`, and give the id."
            )
        connection.execute(keys.update().where(keys.c.id == found[0].id).values(revoked_at=now()))
    return found[0]


def has_keys(state: State) -> bool:
    """Tell whether a key was ever created: from then on, every request needs one."""
    return bool(state.rows(sa.select(keys.c.id).limit(1)))


def lookup_values(key: str) -> dict[str, str]:
    """Return the values with which `VALID_KEYS` finds a key."""
    return {"prefix": key[:_PREFIX_LENGTH]}


def matching_row(key: str, rows: Iterable[Sequence[Any]]) -> Sequence[Any] | None:
    """Return the row of a key among rows of `VALID_KEYS`, or None."""
    digest = _digest(key)
    return next((row for row in rows if hmac.compare_digest(row[0], digest)), None)


def _digest(key: str) -> str:
    # Of random characters: nothing slower is needed.
    return hashlib.sha256(key.encode()).hexdigest()
