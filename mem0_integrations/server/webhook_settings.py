"""The webhooks of a project: who is told what happens to its memories."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import AnyHttpUrl, BaseModel, Field

from mem0_integrations.server.auth import Caller, CallerDep
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.projects import Done, change, check_project
from mem0_integrations.server.state import TABLES, Moment, now

__all__ = ["EventType", "router", "webhooks"]

router: Final = APIRouter(tags=["webhooks"])

_SECRET_BYTES: Final = 32
_LONGEST: Final = 255

EventType: TypeAlias = Literal[
    "memory_add",
    "memory_update",
    "memory_delete",
    "memory_categorize",
    "ingest_job_completed",
    "ingest_job_partially_completed",
    "ingest_job_failed",
    "ingest_job_cancelled",
]
"""What a webhook can be told of; only the first three ever happen here."""

webhooks: Final = sa.Table(
    "webhooks",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column(
        "project_id", sa.String(255), sa.ForeignKey("projects.id"), nullable=False, index=True
    ),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("event_types", sa.JSON, nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)


class NewWebhook(BaseModel):
    """A webhook that is to be."""

    url: AnyHttpUrl
    name: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    event_types: Annotated[list[EventType], Field(min_length=1)]


class WebhookChange(BaseModel):
    """What to change about a webhook."""

    url: AnyHttpUrl | None = None
    name: Annotated[str | None, Field(min_length=1, max_length=_LONGEST)] = None
    event_types: Annotated[list[EventType] | None, Field(min_length=1)] = None
    is_active: bool | None = None


class Webhook(BaseModel):
    """A webhook.

    Attributes:
        secret: Signs what is delivered; shown only by the answer that creates the webhook.
    """

    webhook_id: str
    name: str
    url: str
    event_types: list[EventType]
    owner: str
    is_active: bool
    project: str
    created_at: datetime
    updated_at: datetime


class WebhookCreated(Webhook):
    """A new webhook."""

    secret: str


@router.get("/api/v1/webhooks/projects/{project_id}/")
def get_webhooks(project_id: str, caller: CallerDep, server: ServerDep) -> list[Webhook]:
    """Return the webhooks of a project."""
    check_project(caller, project_id)
    with server.state.reading() as connection:
        rows = connection.execute(
            webhooks.select()
            .where(webhooks.c.project_id == caller.project_id)
            .order_by(webhooks.c.created_at)
        ).all()
    return [Webhook(**_shown(row, caller)) for row in rows]


@router.post("/api/v1/webhooks/projects/{project_id}/", status_code=201)
def create_webhook(
    project_id: str, body: NewWebhook, caller: CallerDep, server: ServerDep
) -> WebhookCreated:
    """Make a webhook; its secret is shown by this answer only."""
    check_project(caller, project_id)
    made, at = str(uuid.uuid4()), now()
    with server.state.begin() as connection:
        connection.execute(
            webhooks.insert().values(
                id=made,
                project_id=caller.project_id,
                **body.model_dump(mode="json"),
                secret=secrets.token_urlsafe(_SECRET_BYTES),
                is_active=True,
                created_at=at,
                updated_at=at,
            )
        )
        row = connection.execute(webhooks.select().where(webhooks.c.id == made)).one()
    return WebhookCreated(**_shown(row, caller), secret=row.secret)


@router.put("/api/v1/webhooks/{webhook_id}/")
def update_webhook(
    webhook_id: str, body: WebhookChange, caller: CallerDep, server: ServerDep
) -> Done:
    """Change a webhook."""
    changes = body.model_dump(mode="json", exclude_none=True)
    change(
        server,
        webhooks.update()
        .filter_by(id=webhook_id, project_id=caller.project_id)
        .values(**changes, updated_at=now()),
        missing="The project has no such webhook.",
    )
    return Done(message="Webhook updated successfully.")


@router.delete("/api/v1/webhooks/{webhook_id}/")
def delete_webhook(webhook_id: str, caller: CallerDep, server: ServerDep) -> Done:
    """Delete a webhook, and what waits for its delivery."""
    change(
        server,
        webhooks.delete().filter_by(id=webhook_id, project_id=caller.project_id),
        missing="The project has no such webhook.",
    )
    return Done(message="Webhook deleted successfully.")


def _shown(row: sa.Row[Any], caller: Caller) -> dict[str, Any]:
    return {
        "webhook_id": row.id,
        "name": row.name,
        "url": row.url,
        "event_types": row.event_types,
        "owner": caller.user_email,
        "is_active": row.is_active,
        "project": row.project_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
