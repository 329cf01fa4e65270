"""Projects and their API keys: who calls, and whose memories these are."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from mem0_integrations.errors import InvalidInputError, ScopeError
from mem0_integrations.scope import MAX_ID_LENGTH, Scope
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.state import TABLES, Moment, Prepared, State, now

__all__ = [
    "DEFAULT_PROJECT",
    "Caller",
    "CallerDep",
    "Key",
    "create_key",
    "create_project",
    "has_keys",
    "is_loopback",
    "keys",
    "list_keys",
    "projects",
    "revoke_key",
]

DEFAULT_PROJECT: Final = "default"
DEFAULT_ORG: Final = "default"
_KEY_BYTES: Final = 30
_PREFIX_LENGTH: Final = 11
_SCHEMES: Final = frozenset({"token", "bearer"})

projects: Final = sa.Table(
    "projects",
    TABLES,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("org_id", sa.String(255), nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
keys: Final = sa.Table(
    "keys",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("prefix", sa.String(16), nullable=False, index=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column(
        "project_id",
        sa.String(255),
        sa.ForeignKey("projects.id"),
        nullable=False,
        index=True,
    ),
    sa.Column("name", sa.String(255)),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        project_id: The project of the key: the tenant whose data it sees, and no other's.
        org_id: The organisation of the project.
        user_email: What the clients show as the user; it grants nothing.
        key_id: The key; None while there is none.
    """

    project_id: str
    org_id: str
    user_email: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without the secret.

    Attributes:
        id: Its id.
        prefix: How it begins.
        project_id: The project that it opens.
        name: What it was called, if anything.
        created_at: When it was made (aware UTC).
        revoked_at: When it was revoked (aware UTC); None while it is good.
    """

    id: str
    prefix: str
    project_id: str
    name: str | None
    created_at: datetime
    revoked_at: datetime | None = None


def create_project(
    connection: sa.Connection,
    project_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    org_id: str = DEFAULT_ORG,
) -> None:
    """Make a project, unless there is one with this id.

    Raises:
        ScopeError: The id cannot be a project's.
    """
    project_id = _checked_project(project_id)
    # Another process may do the same in this moment.
    with contextlib.suppress(IntegrityError), connection.begin_nested():
        connection.execute(
            projects.insert().values(
                id=project_id,
                name=name or project_id,
                description=description,
                org_id=org_id,
                settings={},
                created_at=now(),
            )
        )


def create_key(state: State, project_id: str, name: str | None = None) -> str:
    """Make a key of a project, and the project where there is none.

    Args:
        state: Where keys are kept, as hashes.
        project_id: The project.
        name: What to call the key.

    Returns:
        The key; it cannot be shown again.

    Raises:
        InvalidInputError: The id cannot be a project's, or the name is too long.
    """
    project_id = _checked_project(project_id)
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
    """Return all keys, oldest first, revoked ones too."""
    with state.reading() as connection:
        return [_key(row) for row in connection.execute(keys.select().order_by(keys.c.created_at))]


def revoke_key(state: State, which: str) -> Key:
    """Revoke a key; its requests are refused from then on.

    Args:
        state: Where keys are kept.
        which: Its id, or as much of its beginning as tells it apart.

    Raises:
        InvalidInputError: No key, or more than one, begins like this.
    """
    with state.begin() as connection:
        good = [_key(row) for row in connection.execute(keys.select()) if row.revoked_at is None]
        found = [
            key
            for key in good
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
    """Tell whether there ever was a key: from then on, every request needs one."""
    with state.reading() as connection:
        return connection.execute(sa.select(keys.c.id).limit(1)).first() is not None


_AUTHORIZATION: Final = APIKeyHeader(
    name="Authorization",
    scheme_name="Authorization",
    description="`Token <key>`, or `Bearer <key>`.",
    auto_error=False,
)
_X_API_KEY: Final = APIKeyHeader(name="X-API-Key", scheme_name="X-API-Key", auto_error=False)


async def caller(
    request: Request,
    server: ServerDep,
    authorization: Annotated[str | None, Security(_AUTHORIZATION)],
    x_api_key: Annotated[str | None, Security(_X_API_KEY)],
) -> Caller:
    """Find out who calls; refuse who may not, or calls too often."""
    given = _given(authorization, x_api_key)
    found = None
    if given is not None:
        found = _caller_of(given, server.state.glance(_GOOD_KEYS, _prefix(given)) or [])
    if found is None:
        found = await run_in_threadpool(_admitted, request, server, given)
    request.state.caller = found
    if server.limiter is not None:
        take = partial(server.limiter.take, found.key_id or found.project_id)
        request.state.allowance = await run_in_threadpool(take)
    return found


def _admitted(request: Request, server: Server, given: str | None) -> Caller:
    found = None
    if given is not None:
        with server.state.reading() as connection:
            rows = connection.execute(_GOOD_KEYS.statement, _prefix(given)).all()
        found = _caller_of(given, rows)
    if found is None and has_keys(server.state):
        raise _unauthorized(
            "This server needs an API key: send 'Authorization: Token <key>'."
            if given is None
            else "The API key is not valid."
        )
    return found or _keyless(request, server)


CallerDep = Annotated[Caller, Depends(caller)]


def _given(authorization: str | None, x_api_key: str | None) -> str | None:
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() in _SCHEMES:
            return key.strip()
        # Whatever it is, such as a proxy's password, it is not for this server.
    return x_api_key


_GOOD_KEYS: Final = Prepared(
    sa.select(keys.c.id, keys.c.hash, keys.c.name, keys.c.project_id, projects.c.org_id)
    .join(projects)
    .where(keys.c.prefix == sa.bindparam("prefix"), keys.c.revoked_at.is_(None))
)


def _prefix(key: str) -> dict[str, str]:
    return {"prefix": key[:_PREFIX_LENGTH]}


def _caller_of(key: str, rows: Iterable[Sequence[Any]]) -> Caller | None:
    digest = _digest(key)
    for key_id, known, name, project_id, org_id in rows:
        if hmac.compare_digest(known, digest):
            return Caller(project_id, org_id, f"{name or project_id}@localhost", key_id)
    return None


def _keyless(request: Request, server: Server) -> Caller:
    # A page of another site can make a browser call this machine, under a name of its own, too.
    if not (
        is_loopback(request.client.host if request.client else None)
        and is_loopback(request.url.hostname)
        and _is_own_page(request.headers.get("origin"), server.settings.cors_origins)
    ):
        raise _unauthorized(
            "While this server has no API key, it answers its own machine only: make a key with "
            "`mem0-integrations keys create`."
        )
    with server.state.reading() as connection:
        known = connection.execute(
            sa.select(projects.c.id).where(projects.c.id == DEFAULT_PROJECT)
        ).first()
    if known is None:
        with server.state.begin() as connection:
            create_project(connection, DEFAULT_PROJECT)
    return Caller(DEFAULT_PROJECT, DEFAULT_ORG, f"{DEFAULT_PROJECT}@localhost")


def _is_own_page(origin: str | None, allowed: Sequence[str]) -> bool:
    return (
        origin is None
        or origin in allowed
        or "*" in allowed
        or is_loopback(urlsplit(origin).hostname)
    )


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine, and only this machine."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _checked_project(project_id: str) -> str:
    """Return the id of a project: the tenant of all its memories."""
    try:
        return Scope(run_id=project_id).ids["run_id"]
    except ScopeError as error:
        raise ScopeError(str(error).replace("run_id", "project")) from None


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, headers={"WWW-Authenticate": "Token"})


def _digest(key: str) -> str:
    # Of random characters: nothing slower is needed.
    return hashlib.sha256(key.encode()).hexdigest()


def _key(row: sa.Row[Any]) -> Key:
    return Key(
        id=row.id,
        prefix=row.prefix,
        project_id=row.project_id,
        name=row.name,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
