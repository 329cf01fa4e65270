"""The endpoints of webhooks."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import AnyHttpUrl, BaseModel, Field

from mem0_integrations.server.auth import Caller, CallerDep, check_project
from mem0_integrations.server.bodies import Done
from mem0_integrations.server.dependencies import ServerDep, change
from mem0_integrations.server.projects import project_rows
from mem0_integrations.server.state import now
from mem0_integrations.server.webhooks import webhooks

__all__ = ["router"]

router: Final = APIRouter(tags=["webhooks"])

_SECRET_BYTES: Final = 32
_MAX_NAME_LENGTH: Final = 255

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
"""What a webhook can subscribe to; on this server, only the first three happen."""


class NewWebhook(BaseModel):
    """A webhook to create."""

    url: AnyHttpUrl
    name: Annotated[str, Field(min_length=1, max_length=_MAX_NAME_LENGTH)]
    event_types: Annotated[list[EventType], Field(min_length=1)]


class WebhookChange(BaseModel):
    """What to change about a webhook."""

    url: AnyHttpUrl | None = None
    name: Annotated[str | None, Field(min_length=1, max_length=_MAX_NAME_LENGTH)] = None
    event_types: Annotated[list[EventType] | None, Field(min_length=1)] = None
    is_active: bool | None = None


class Webhook(BaseModel):
    """A webhook.

    Attributes:
        secret: The key of the signatures; shown only in the answer that creates the webhook.
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
    rows = project_rows(server.state, webhooks, caller.project_id)
    return [Webhook(**_fields(row, caller)) for row in rows]


@router.post("/api/v1/webhooks/projects/{project_id}/", status_code=201)
def create_webhook(
    project_id: str, body: NewWebhook, caller: CallerDep, server: ServerDep
) -> WebhookCreated:
    """Create a webhook; its secret is shown in this answer only."""
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
    return WebhookCreated(**_fields(row, caller))


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
    """Delete a webhook and its waiting deliveries."""
    change(
        server,
        webhooks.delete().filter_by(id=webhook_id, project_id=caller.project_id),
        missing="The project has no such webhook.",
    )
    return Done(message="Webhook deleted successfully.")


def _fields(row: sa.Row[Any], caller: Caller) -> dict[str, Any]:
    """Return the fields of a webhook, and others, which the answer does not take over."""
    names = {"webhook_id": row.id, "project": row.project_id, "owner": caller.user_email}
    return {**row._mapping, **names}
