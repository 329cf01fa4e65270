"""The endpoints of projects, and of the caller's own one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mem0_integrations.scope import MAX_ID_LENGTH
from mem0_integrations.server.auth import CallerDep, ProjectCallerDep, check_org
from mem0_integrations.server.bodies import Done
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.keys import keys
from mem0_integrations.server.projects import create_project, projects
from mem0_integrations.server.state import TABLES, now
from mem0_integrations.server.tenancy import project_scope

__all__ = ["PROJECT", "router"]

router: Final = APIRouter(tags=["projects"])

_PROJECTS: Final = "/api/v1/orgs/organizations/{org_id}/projects/"
PROJECT: Final = f"{_PROJECTS}{{project_id}}/"


class Ping(BaseModel):
    """The organization and project of the caller's key."""

    status: Literal["ok"] = "ok"
    org_id: str
    project_id: str
    user_email: str


class ProjectCreated(Done):
    """A new project. Its keys are made by the command `mem0-integrations keys create`."""

    project_id: str


class NewProject(BaseModel):
    """A project to create."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
    description: str | None = None


class ProjectSettings(BaseModel):
    """The settings of a project: stored and returned, without effect on what is remembered.

    How memories are extracted is up to the configuration of the server.
    """

    model_config = ConfigDict(extra="ignore")

    custom_instructions: str | None = None
    custom_categories: list[JsonValue] | None = None
    agent_custom_instructions: str | None = None
    multilingual: bool | None = None
    decay: bool | None = None
    memory_depth: str | None = None
    usecase_setting: JsonValue = None
    version: str | None = None
    enable_graph: bool | None = None
    retrieval_criteria: list[JsonValue] | None = None
    inclusion_prompt: str | None = None
    exclusion_prompt: str | None = None


@router.get("/v1/ping/")
def ping(caller: CallerDep) -> Ping:
    """Return the organization and project of the key."""
    return Ping(org_id=caller.org_id, project_id=caller.project_id, user_email=caller.user_email)


@router.post(_PROJECTS)
def create(org_id: str, body: NewProject, caller: CallerDep, server: ServerDep) -> ProjectCreated:
    """Create a project; its keys are created by a command on the server."""
    check_org(caller, org_id)
    project_id = f"proj_{uuid.uuid4().hex}"
    with server.state.begin() as connection:
        create_project(
            connection,
            project_id,
            name=body.name,
            description=body.description,
            org_id=caller.org_id,
        )
    return ProjectCreated(
        message=f"Project created successfully. Make its key with "
        f"`mem0-integrations keys create --project {project_id}`.",
        project_id=project_id,
    )


@router.get(PROJECT)
def get(
    caller: ProjectCallerDep, server: ServerDep, fields: Annotated[list[str] | None, Query()] = None
) -> dict[str, JsonValue]:
    """Return a project, or some fields of it."""
    (row,) = server.state.rows(projects.select().where(projects.c.id == caller.project_id))
    whole: dict[str, JsonValue] = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "org_id": row.org_id,
        "created_at": row.created_at.isoformat(),
        **ProjectSettings(**row.settings).model_dump(),
    }
    if not fields:
        return whole
    # One client sends them apart, another with commas.
    wanted = {name.strip() for field in fields for name in field.split(",")}
    return {name: value for name, value in whole.items() if name in wanted}


@router.patch(PROJECT)
def update(body: ProjectSettings, caller: ProjectCallerDep, server: ServerDep) -> Done:
    """Change some settings of a project."""
    with server.state.begin() as connection:
        mine = projects.c.id == caller.project_id
        settings: Mapping[str, JsonValue] = connection.execute(
            sa.select(projects.c.settings).where(mine).with_for_update()
        ).scalar_one()
        changed = {**settings, **body.model_dump(exclude_unset=True)}
        connection.execute(projects.update().where(mine).values(settings=changed))
    return Done(message="Project updated successfully.")


@router.delete(PROJECT)
def delete(caller: ProjectCallerDep, server: ServerDep) -> Done:
    """Erase a project with all its data, and revoke its keys."""
    # Twice: until everything is erased, the key stays valid, so that a failed call can be repeated.
    for last in (False, True):
        with server.state.begin() as connection:
            _erase_rows(connection, caller.project_id)
            if last:
                connection.execute(
                    keys.update()
                    .filter_by(project_id=caller.project_id, revoked_at=None)
                    .values(revoked_at=now())
                )
        server.memory.forget(project_scope(caller.project_id))
    return Done(message="Project deleted successfully.")


def _erase_rows(connection: sa.Connection, project_id: str) -> None:
    """Erase the data of a project, except its keys: without any key, a server is open to all."""
    for table in reversed(TABLES.sorted_tables):
        if table not in (keys, projects) and "project_id" in table.c:
            connection.execute(table.delete().where(table.c.project_id == project_id))
    connection.execute(
        projects.update()
        .where(projects.c.id == project_id)
        .values(name=project_id, settings={}, description=None)
    )
