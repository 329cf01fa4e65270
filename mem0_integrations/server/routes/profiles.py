"""The endpoints of user profiles, which only the Mem0 Platform has."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.errors import ErrorBody, NotSupportedError

__all__ = ["router"]

router: Final = APIRouter(tags=["profiles (not supported)"])

_INSTEAD: Final = "This server makes no profiles of users; search the memories of the user instead."


@router.get("/v2/entities/user/{entity_id:path}/profile/", status_code=501)
def get_profile(entity_id: str, _: CallerDep) -> ErrorBody:
    """Say that this server has no profiles."""
    raise NotSupportedError(_INSTEAD)


@router.get("/v2/profiles/jobs/{job_id}/", status_code=501)
def get_job(job_id: str, _: CallerDep) -> ErrorBody:
    """Say that this server has no profiles."""
    raise NotSupportedError(_INSTEAD)


@router.post("/v2/profiles/jobs/", status_code=501)
@router.get("/v2/profiles/settings/", status_code=501)
@router.post("/v2/profiles/settings/", status_code=501)
def create_job(_: CallerDep) -> ErrorBody:
    """Say that this server has no profiles."""
    raise NotSupportedError(_INSTEAD)
