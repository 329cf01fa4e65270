"""The endpoints of events, and of the changes that came of them."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import BaseModel, JsonValue

from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.events import Event, Status, events, rows_of, shown_event
from mem0_integrations.server.writes import current

__all__ = ["HistoryEntry", "router"]

router: Final = APIRouter(tags=["events"])

_MOST: Final = 200
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-6368616e6765")


class EventPage(BaseModel):
    """A page of events, the latest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[Event]


class HistoryEntry(BaseModel):
    """One change of one memory."""

    id: str
    memory_id: str
    input: list[dict[str, JsonValue]]
    old_memory: str | None
    new_memory: str | None
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    session_id: str | None
    event: str
    metadata: dict[str, JsonValue] | None
    categories: list[str] | None = None
    created_at: datetime | None
    updated_at: datetime | None


class HistoryPage(BaseModel):
    """A page of changes, the latest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[HistoryEntry]


PageNumber: TypeAlias = Annotated[int, Query(ge=1, le=10**9)]
PageSize: TypeAlias = Annotated[int, Query(ge=1, le=_MOST)]


@router.get("/v1/event/{event_id}/")
def get_event(event_id: str, caller: CallerDep, server: ServerDep) -> Event:
    """Tell what became of a write."""
    return shown_event(current(server, caller.project_id, event_id))


@router.get("/v1/events/")
def list_events(
    caller: CallerDep,
    server: ServerDep,
    *,
    page: PageNumber = 1,
    page_size: PageSize = 100,
    event_type: str | None = None,
    status: Status | None = None,
) -> EventPage:
    """List the events of the project, the latest first; those of the last 30 days are kept."""
    which = [events.c.project_id == caller.project_id]
    which += [] if event_type is None else [events.c.event_type == event_type]
    which += [] if status is None else [events.c.status == status]
    with server.state.reading() as connection:
        count = connection.execute(sa.select(sa.func.count()).where(*which)).scalar_one()
        rows = connection.execute(
            events.select()
            .where(*which)
            .order_by(events.c.created_at.desc(), events.c.id)
            .limit(page_size)
            .offset((page - 1) * page_size)
        ).all()
    link = f"/v1/events/?page_size={page_size}&page="
    return EventPage(
        count=count,
        next=f"{link}{page + 1}" if page * page_size < count else None,
        previous=f"{link}{page - 1}" if page > 1 else None,
        results=[shown_event(row) for row in rows_of(rows)],
    )


@router.get("/v1/memories/events/")
def list_changes(
    caller: CallerDep, server: ServerDep, page: PageNumber = 1, limit: PageSize = 100
) -> HistoryPage:
    """List what happened to the project's memories in the last 30 days, the latest first."""
    order = (events.c.created_at.desc(), events.c.id)
    upto = sa.func.sum(events.c.changes).over(order_by=order).label("upto")
    which = (events.c.project_id == caller.project_id) & (events.c.changes > 0)
    counted = sa.select(events, upto).where(which).subquery()
    start, end = (page - 1) * limit, page * limit
    with server.state.reading() as connection:
        count = connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(events.c.changes), 0)).where(which)
        ).scalar_one()
        rows = connection.execute(
            sa.select(counted)
            .where(counted.c.upto > start, counted.c.upto - counted.c.changes < end)
            .order_by(counted.c.upto)
        ).all()
    found = [entry for row in rows for entry in _entries(row)]
    link = f"/v1/memories/events/?limit={limit}&page="
    skip = start - (rows[0].upto - rows[0].changes) if rows else 0
    return HistoryPage(
        count=count,
        next=f"{link}{page + 1}" if end < count else None,
        previous=f"{link}{page - 1}" if page > 1 else None,
        results=found[skip : skip + limit],
    )


def _entries(row: sa.Row[Any]) -> list[HistoryEntry]:
    payload = json.loads(row.payload)
    said = payload.get("messages")
    return [
        HistoryEntry(
            id=str(uuid.uuid5(_NAMESPACE, f"{row.id}\n{index}")),
            memory_id=result["id"],
            input=[
                {"role": "user", "content": message} if isinstance(message, str) else message
                for message in (said if isinstance(said, list) else [said] if said else [])
            ],
            old_memory=result.get("old_memory")
            if result["event"] != "DELETE"
            else result["memory"],
            new_memory=None if result["event"] == "DELETE" else result["memory"],
            user_id=row.user_id,
            agent_id=row.agent_id,
            app_id=row.app_id,
            session_id=row.run_id,
            event=result["event"],
            metadata=payload.get("metadata"),
            created_at=row.completed_at,
            updated_at=row.completed_at,
        )
        for index, result in enumerate(json.loads(row.results))
    ]
