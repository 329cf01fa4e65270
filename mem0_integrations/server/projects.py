"""The project of a key: ping, settings, members."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mem0_integrations.server.auth import (
    Caller,
    CallerDep,
    create_project,
    keys,
    projects,
)
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.state import TABLES, Moment, now
from mem0_integrations.server.tenancy import project_scope

__all__ = ["Done", "change", "check_project", "members", "router"]

router: Final = APIRouter(tags=["projects"])

_PROJECTS: Final = "/api/v1/orgs/organizations/{org_id}/projects/"
_PROJECT: Final = f"{_PROJECTS}{{project_id}}/"
_MEMBERS: Final = f"{_PROJECT}members/"
_LONGEST: Final = 255

members: Final = sa.Table(
    "members",
    TABLES,
    sa.Column("project_id", sa.String(255), sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("email", sa.String(255), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)


class Ping(BaseModel):
    """Who calls."""

    status: Literal["ok"] = "ok"
    org_id: str
    project_id: str
    user_email: str


class Done(BaseModel):
    """That it was done."""

    message: str


class ProjectCreated(Done):
    """A new project. Its keys are made by the command `mem0-integrations keys create`."""

    project_id: str


class NewProject(BaseModel):
    """What to call a project."""

    name: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    description: str | None = None


class ProjectSettings(BaseModel):
    """The settings of a project: kept and returned, and without effect on what is remembered.

    How memories are extracted is decided where the server is configured.
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


Role: TypeAlias = Literal["READER", "OWNER"]
Email: TypeAlias = Annotated[str, Field(min_length=1, max_length=_LONGEST)]


class Member(BaseModel):
    """A member; what a caller may do depends on its key alone."""

    email: Email
    role: Role = "READER"


class MemberShown(BaseModel):
    """A member as the clients show it."""

    username: str
    role: Role


class Members(BaseModel):
    """The members of a project."""

    members: list[MemberShown]


@router.get("/v1/ping/")
def ping(caller: CallerDep) -> Ping:
    """Say whose key this is."""
    return Ping(org_id=caller.org_id, project_id=caller.project_id, user_email=caller.user_email)


@router.post(_PROJECTS)
def create(org_id: str, body: NewProject, caller: CallerDep, server: ServerDep) -> ProjectCreated:
    """Make a project; a key for it is made on the server, by the command."""
    _check_org(caller, org_id)
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


@router.get(_PROJECT)
def get(
    org_id: str,
    project_id: str,
    caller: CallerDep,
    server: ServerDep,
    fields: Annotated[list[str] | None, Query()] = None,
) -> dict[str, JsonValue]:
    """Return a project, or some fields of it."""
    check_project(caller, project_id, org_id)
    with server.state.reading() as connection:
        row = connection.execute(projects.select().where(projects.c.id == caller.project_id)).one()
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


@router.patch(_PROJECT)
def update(
    org_id: str, project_id: str, body: ProjectSettings, caller: CallerDep, server: ServerDep
) -> Done:
    """Change some settings of a project."""
    check_project(caller, project_id, org_id)
    with server.state.begin() as connection:
        mine = projects.c.id == caller.project_id
        settings: Mapping[str, JsonValue] = connection.execute(
            sa.select(projects.c.settings).where(mine).with_for_update()
        ).scalar_one()
        changed = {**settings, **body.model_dump(exclude_unset=True)}
        connection.execute(projects.update().where(mine).values(settings=changed))
    return Done(message="Project updated successfully.")


@router.delete(_PROJECT)
def delete(org_id: str, project_id: str, caller: CallerDep, server: ServerDep) -> Done:
    """Erase a project with all that it holds, its keys too."""
    check_project(caller, project_id, org_id)
    # Twice: until everything was erased once, the key is good, so that a failure can be repeated.
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


@router.get(_MEMBERS)
def get_members(org_id: str, project_id: str, caller: CallerDep, server: ServerDep) -> Members:
    """Return the members of a project."""
    check_project(caller, project_id, org_id)
    with server.state.reading() as connection:
        rows = connection.execute(
            members.select()
            .where(members.c.project_id == caller.project_id)
            .order_by(members.c.created_at)
        ).all()
    return Members(members=[MemberShown(username=row.email, role=row.role) for row in rows])


@router.post(_MEMBERS)
def add_member(
    org_id: str, project_id: str, body: Member, caller: CallerDep, server: ServerDep
) -> Done:
    """Add a member."""
    check_project(caller, project_id, org_id)
    mine = {"project_id": caller.project_id, "email": body.email}
    with server.state.begin() as connection:
        if connection.execute(members.select().filter_by(**mine)).first():
            raise HTTPException(409, "The project has this member already.")
        connection.execute(members.insert().values(**mine, role=body.role, created_at=now()))
    return Done(message="User added to the project successfully.")


@router.put(_MEMBERS)
def update_member(
    org_id: str, project_id: str, body: Member, caller: CallerDep, server: ServerDep
) -> Done:
    """Change the role of a member."""
    check_project(caller, project_id, org_id)
    change(
        server,
        members.update()
        .filter_by(project_id=caller.project_id, email=body.email)
        .values(role=body.role),
        missing="The project has no such member.",
    )
    return Done(message="User role updated successfully.")


@router.delete(_MEMBERS)
def remove_member(
    org_id: str, project_id: str, email: str, caller: CallerDep, server: ServerDep
) -> Done:
    """Remove a member."""
    check_project(caller, project_id, org_id)
    change(
        server,
        members.delete().filter_by(project_id=caller.project_id, email=email),
        missing="The project has no such member.",
    )
    return Done(message="User removed from the project successfully.")


def change(server: Server, statement: sa.Update | sa.Delete, *, missing: str) -> None:
    """Change or delete rows of the state.

    Args:
        server: Whose state.
        statement: The change.
        missing: What to say where there is no such row.

    Raises:
        HTTPException: 404: there is none.
    """
    with server.state.begin() as connection:
        changed = connection.execute(statement).rowcount
    if not changed:
        raise HTTPException(404, missing)


def _erase_rows(connection: sa.Connection, project_id: str) -> None:
    """Erase what the state has of a project, but for its keys: without any, a server is open."""
    for table in reversed(TABLES.sorted_tables):
        if table not in (keys, projects) and "project_id" in table.c:
            connection.execute(table.delete().where(table.c.project_id == project_id))
    connection.execute(
        projects.update()
        .where(projects.c.id == project_id)
        .values(name=project_id, settings={}, description=None)
    )


def _check_org(caller: Caller, org_id: str) -> None:
    if org_id != caller.org_id:
        raise HTTPException(404, "The key does not belong to this organization.")


def check_project(caller: Caller, project_id: str, org_id: str | None = None) -> None:
    """Refuse a project, or an organisation, that is not the caller's.

    Raises:
        HTTPException: 404: whether there is one is nobody else's business.
    """
    if org_id is not None:
        _check_org(caller, org_id)
    if project_id != caller.project_id:
        raise HTTPException(404, "The key does not belong to this project.")
