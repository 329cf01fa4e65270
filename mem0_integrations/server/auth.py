"""Authentication: who calls, and which project they may use."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader
from starlette.concurrency import run_in_threadpool

from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.keys import VALID_KEYS, has_keys, lookup_values, matching_row
from mem0_integrations.server.projects import DEFAULT_ORG, DEFAULT_PROJECT, create_project, projects

__all__ = ["Caller", "CallerDep", "ProjectCallerDep", "check_org", "check_project", "is_loopback"]

_SCHEMES: Final = frozenset({"token", "bearer"})
_AUTHORIZATION: Final = APIKeyHeader(
    name="Authorization",
    scheme_name="Authorization",
    description="`Token <key>`, or `Bearer <key>`.",
    auto_error=False,
)
_X_API_KEY: Final = APIKeyHeader(name="X-API-Key", scheme_name="X-API-Key", auto_error=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the project of the key is the only one whose data the caller sees.

    `user_email` is what clients show as the user, and grants nothing; `key_id` is None while the
    server has no keys.
    """

    project_id: str
    org_id: str
    user_email: str
    key_id: str | None = None


async def caller(
    request: Request,
    server: ServerDep,
    authorization: Annotated[str | None, Security(_AUTHORIZATION)],
    x_api_key: Annotated[str | None, Security(_X_API_KEY)],
) -> Caller:
    """Find out who calls; refuse callers without a valid key, or with too many requests."""
    given = _given(authorization, x_api_key)
    found = None
    if given is not None:
        found = _caller_of(given, server.state.try_read(VALID_KEYS, lookup_values(given)) or [])
    if found is None:
        found = await run_in_threadpool(_admitted, request, server, given)
    request.state.caller = found
    if server.limiter is not None:
        take = partial(server.limiter.take, found.key_id or found.project_id)
        request.state.rate_headers = await run_in_threadpool(take)
    return found


CallerDep = Annotated[Caller, Depends(caller)]


async def project_caller(org_id: str, project_id: str, caller: CallerDep) -> Caller:
    """Return the caller if the project of the path is theirs."""
    check_org(caller, org_id)
    check_project(caller, project_id)
    return caller


ProjectCallerDep = Annotated[Caller, Depends(project_caller)]


def check_project(caller: Caller, project_id: str) -> None:
    """Refuse a project that is not the caller's; 404 does not tell whether it exists."""
    if project_id != caller.project_id:
        raise HTTPException(404, "The key does not belong to this project.")


def check_org(caller: Caller, org_id: str) -> None:
    """Refuse an organization that is not the caller's, as `check_project` does."""
    if org_id != caller.org_id:
        raise HTTPException(404, "The key does not belong to this organization.")


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine, and only this machine."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _given(authorization: str | None, x_api_key: str | None) -> str | None:
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() in _SCHEMES:
            return key.strip()
        # Whatever it is, such as a proxy's password, it is not for this server.
    return x_api_key


def _caller_of(key: str, rows: Sequence[Sequence[Any]]) -> Caller | None:
    if (row := matching_row(key, rows)) is None:
        return None
    _, key_id, name, project_id, org_id = row
    return Caller(project_id, org_id, f"{name or project_id}@localhost", key_id)


def _admitted(request: Request, server: Server, given: str | None) -> Caller:
    found = None
    if given is not None:
        found = _caller_of(given, server.state.rows(VALID_KEYS.statement, lookup_values(given)))
    if found is None and has_keys(server.state):
        raise _unauthorized(
            "This server needs an API key: send 'Authorization: Token <key>'."
            if given is None
            else "The API key is not valid."
        )
    return found or _keyless(request, server)


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
    if not server.state.rows(sa.select(projects.c.id).where(projects.c.id == DEFAULT_PROJECT)):
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


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, headers={"WWW-Authenticate": "Token"})
