"""The endpoints of events, and of the changes to memories that they record."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any, Final, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter, Query

from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.bodies import HistoryEntry, Page, Status, page_links
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.events import Event, events, stored_events
from mem0_integrations.server.writes import current

__all__ = ["router"]

router: Final = APIRouter(tags=["events"])

_MAX_PAGE_SIZE: Final = 200
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-6368616e6765")


class EventPage(Page):
    """A page of events, the newest first."""

    results: list[Event]


class HistoryPage(Page):
    """A page of changes, the newest first."""

    results: list[HistoryEntry]


PageNumber: TypeAlias = Annotated[int, Query(ge=1, le=10**9)]
PageSize: TypeAlias = Annotated[int, Query(ge=1, le=_MAX_PAGE_SIZE)]


@router.get("/v1/event/{event_id}/")
def get_event(event_id: str, caller: CallerDep, server: ServerDep) -> Event:
    """Return an event in its current state."""
    return Event.of(current(server, caller.project_id, event_id))


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
    """List the events of the project in the last 30 days, the newest first."""
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
    link = f"/v1/events/?page_size={page_size}&page={{}}"
    return EventPage(
        count=count,
        **page_links(link, page, more=page * page_size < count),
        results=[Event.of(event) for event in stored_events(rows)],
    )


@router.get("/v1/memories/events/")
def list_changes(
    caller: CallerDep, server: ServerDep, page: PageNumber = 1, limit: PageSize = 100
) -> HistoryPage:
    """List the changes to memories of the project in the last 30 days, the newest first."""
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
    link = f"/v1/memories/events/?limit={limit}&page={{}}"
    skip = start - (rows[0].upto - rows[0].changes) if rows else 0
    return HistoryPage(
        count=count, **page_links(link, page, more=end < count), results=found[skip : skip + limit]
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
