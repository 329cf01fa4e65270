"""The table of projects: each is a tenant that sees its own memories only."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mem0_integrations.errors import ScopeError
from mem0_integrations.scope import Scope
from mem0_integrations.server.state import TABLES, Moment, State, now

__all__ = [
    "DEFAULT_ORG",
    "DEFAULT_PROJECT",
    "checked_project",
    "create_project",
    "project_column",
    "project_rows",
    "projects",
]

DEFAULT_PROJECT: Final = "default"
DEFAULT_ORG: Final = "default"

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


def project_column(*, primary_key: bool = False) -> sa.Column[str]:
    """Return the column of another table that names the project of a row."""
    return sa.Column(
        "project_id",
        sa.String(255),
        sa.ForeignKey("projects.id"),
        nullable=False,
        primary_key=primary_key,
        index=not primary_key,
    )


def project_rows(state: State, table: sa.Table, project_id: str) -> Sequence[sa.Row[Any]]:
    """Return the rows of a table that belong to a project, oldest first."""
    mine = table.select().filter_by(project_id=project_id)
    return state.rows(mine.order_by(table.c.created_at))


def create_project(
    connection: sa.Connection,
    project_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    org_id: str = DEFAULT_ORG,
) -> None:
    """Create a project, unless one with this id exists."""
    project_id = checked_project(project_id)
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


def checked_project(project_id: str) -> str:
    """Check the id of a project, and return it in the form in which it is stored."""
    try:
        # All memories of a project have its id as the `run_id` of their scope.
        return Scope(run_id=project_id).ids["run_id"]
    except ScopeError as error:
        raise ScopeError(str(error).replace("run_id", "project")) from None
