"""The members of a project: their table, and its endpoints."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from mem0_integrations.scope import MAX_ID_LENGTH
from mem0_integrations.server.auth import ProjectCallerDep
from mem0_integrations.server.bodies import Done
from mem0_integrations.server.dependencies import ServerDep, change
from mem0_integrations.server.projects import project_column, project_rows
from mem0_integrations.server.routes.projects import PROJECT
from mem0_integrations.server.state import TABLES, Moment, now

__all__ = ["members", "router"]

router: Final = APIRouter(tags=["projects"])

_MEMBERS: Final = f"{PROJECT}members/"

members: Final = sa.Table(
    "members",
    TABLES,
    project_column(primary_key=True),
    sa.Column("email", sa.String(255), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)


Role: TypeAlias = Literal["READER", "OWNER"]
Email: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


class Member(BaseModel):
    """A member to add or change; a role grants nothing, since only keys do."""

    email: Email
    role: Role = "READER"


class MemberItem(BaseModel):
    """A member in the form that clients see."""

    username: str
    role: Role


class Members(BaseModel):
    """The members of a project."""

    members: list[MemberItem]


@router.get(_MEMBERS)
def get_members(caller: ProjectCallerDep, server: ServerDep) -> Members:
    """Return the members of a project."""
    rows = project_rows(server.state, members, caller.project_id)
    return Members(members=[MemberItem(username=row.email, role=row.role) for row in rows])


@router.post(_MEMBERS)
def add_member(body: Member, caller: ProjectCallerDep, server: ServerDep) -> Done:
    """Add a member."""
    mine = {"project_id": caller.project_id, "email": body.email}
    with server.state.begin() as connection:
        if connection.execute(members.select().filter_by(**mine)).first():
            raise HTTPException(409, "The project has this member already.")
        connection.execute(members.insert().values(**mine, role=body.role, created_at=now()))
    return Done(message="User added to the project successfully.")


@router.put(_MEMBERS)
def update_member(body: Member, caller: ProjectCallerDep, server: ServerDep) -> Done:
    """Change the role of a member."""
    change(
        server,
        members.update()
        .filter_by(project_id=caller.project_id, email=body.email)
        .values(role=body.role),
        missing="The project has no such member.",
    )
    return Done(message="User role updated successfully.")


@router.delete(_MEMBERS)
def remove_member(email: str, caller: ProjectCallerDep, server: ServerDep) -> Done:
    """Remove a member."""
    change(
        server,
        members.delete().filter_by(project_id=caller.project_id, email=email),
        missing="The project has no such member.",
    )
    return Done(message="User removed from the project successfully.")
