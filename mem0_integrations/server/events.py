"""The table of events: writes, changes and deletions, and what became of them, for 30 days."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from fastapi import HTTPException
from pydantic import BaseModel, JsonValue

from mem0_integrations.records import WriteResult
from mem0_integrations.server.bodies import Status
from mem0_integrations.server.deliveries import enqueue
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.state import TABLES, Moment, Prepared, State, now
from mem0_integrations.server.tenancy import ENTITY_KEYS, EntityIds
from mem0_integrations.server.webhooks import webhooks

__all__ = [
    "FORGOTTEN",
    "OPEN",
    "Change",
    "Event",
    "StoredEvent",
    "count_events",
    "deleted_entities",
    "events",
    "finish",
    "forget",
    "hold",
    "insert",
    "is_open",
    "load",
    "of_entities",
    "prune",
    "record",
    "record_erasure",
    "reopen",
    "select",
    "stored_events",
]

OPEN: Final = ("PENDING", "RUNNING")
FORGOTTEN: Final = "It was deleted before it was stored."
_RETENTION: Final = timedelta(days=30)

events: Final = sa.Table(
    "events",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(255), nullable=False),
    sa.Column("event_type", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    *(sa.Column(key, sa.String(255)) for key in ENTITY_KEYS),
    # Of the memory that was updated or deleted.
    sa.Column("memory_id", sa.String(36), index=True),
    sa.Column("payload", sa.Text, nullable=False),
    # A hash of project, entities and key, by which a repeated write is recognized; and a hash of
    # its body, which must then be the same.
    sa.Column("idempotency", sa.String(36), unique=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("results", sa.Text, nullable=False, server_default="[]"),
    sa.Column("changes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    # When the outbox accepted the write.
    sa.Column("started_at", Moment),
    sa.Column("completed_at", Moment),
    sa.Index("events_of_project", "project_id", "created_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event in the form in which it is stored; each field is the column of this name."""

    id: str
    project_id: str
    event_type: str
    status: Status
    payload: str = "{}"
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    memory_id: str | None = None
    idempotency: str | None = None
    fingerprint: str | None = None
    results: str = "[]"
    changes: int = 0
    error: str | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None


def stored_events(rows: Iterable[sa.Row[Any]]) -> list[StoredEvent]:
    """Return the events of whole rows of the table."""
    return [StoredEvent(**row._mapping) for row in rows]


def is_open() -> sa.ColumnElement[bool]:
    """Return the condition that an event has not ended."""
    return sa.or_(*(events.c.status == status for status in OPEN))


_COLUMNS: Final = tuple(events.columns.keys())
_INSERT: Final = Prepared(events.insert())
_ENDING: Final = ("status", "results", "changes", "error", "completed_at", "updated_at")
_END: Final = (
    events.update()
    .where(events.c.id == sa.bindparam("event_id"), is_open())
    .values(
        **{name: sa.bindparam(name) for name in _ENDING},
        started_at=sa.func.coalesce(
            events.c.started_at, sa.bindparam("completed_at", type_=Moment)
        ),
    )
    .returning(events.c.id)
)
_LISTENING: Final = sa.exists().where(
    webhooks.c.project_id == events.c.project_id, webhooks.c.is_active
)
_END_UNHEARD: Final = Prepared(_END.where(~_LISTENING))


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one memory.

    `text` is that after the change, or before a deletion; `old_text` is that before an update.
    """

    memory_id: str
    event: Literal["ADD", "UPDATE", "DELETE"]
    text: str
    old_text: str | None = None

    def result(self) -> dict[str, JsonValue]:
        """Return the change in the form that clients and webhooks see."""
        old: dict[str, JsonValue] = {} if self.old_text is None else {"old_memory": self.old_text}
        return {
            "id": self.memory_id,
            "event": self.event,
            "data": {"memory": self.text},
            "memory": self.text,
            **old,
        }


class Event(BaseModel):
    """An event in the form that clients see."""

    id: str
    event_type: str
    status: Status
    payload: dict[str, JsonValue]
    metadata: dict[str, JsonValue] | None = None
    results: list[dict[str, JsonValue]]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    latency: float | None
    graph_status: str | None = None
    error: str | None

    @classmethod
    def of(cls, stored: StoredEvent) -> Event:
        """Return a stored event in the form that clients see."""
        ended = stored.completed_at
        return cls(
            id=stored.id,
            event_type=stored.event_type,
            status=stored.status,
            payload=json.loads(stored.payload),
            results=json.loads(stored.results),
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            started_at=stored.started_at,
            completed_at=ended,
            latency=(ended - stored.created_at) / timedelta(milliseconds=1) if ended else None,
            error=stored.error,
        )


def record(
    server: Server,
    project_id: str,
    changes: Sequence[tuple[EntityIds, Change]],
    *,
    keep_text: bool = True,
) -> None:
    """Record completed changes of single memories, and tell the webhooks.

    The webhooks always get the texts of the memories, the events only with `keep_text`.
    """
    recorded = [
        _completed(
            project_id,
            change.event,
            **entities.ids,
            memory_id=change.memory_id,
            results=_dump([(change if keep_text else replace(change, text="")).result()]),
            changes=1,
        )
        for entities, change in changes
    ]
    if recorded:
        _record(server, project_id, recorded, [change for _, change in changes])


def record_erasure(server: Server, project_id: str, changes: Sequence[Change]) -> str:
    """Record that the memories of entities were erased, and return the id of the event.

    Only the webhooks are told the changes; the event does not keep them.
    """
    event = _completed(project_id, "DELETE_ALL")
    _record(server, project_id, [event], changes)
    return event.id


def finish(server: Server, event: StoredEvent, found: WriteResult) -> StoredEvent | None:
    """End an event with the outcome of its write, and tell the webhooks.

    Returns the ended event; None when another thread or process has ended it.
    """
    at = now()
    changes = [Change(memory.id, "ADD", memory.text).result() for memory in found.memories]
    ended = replace(
        event,
        status="FAILED" if found.status == "failed" else "SUCCEEDED",
        results=_dump(changes),
        changes=len(changes),
        error=found.error,
        started_at=event.started_at or at,
        completed_at=at,
        updated_at=at,
    )
    values = _values(ended, _ENDING) | {"event_id": event.id}
    # On PostgreSQL, a webhook may be created while this waits for the row.
    if server.state.single_writer and server.state.run(_END_UNHEARD, values, repeatable=True):
        return ended
    with server.state.repeating() as connection:
        if connection.execute(_END, values).first() is None:
            return None
        told = enqueue(connection, event.project_id, changes)
    if told:
        server.wake("webhooks")
    return ended


def reopen(server: Server, event: StoredEvent) -> StoredEvent:
    """Let a write that failed be tried again, by a request with the same key."""
    again = replace(
        event, status="PENDING", error=None, started_at=None, completed_at=None, updated_at=now()
    )
    failed = (events.c.id == event.id) & (events.c.status == "FAILED")
    names = ("status", "error", "started_at", "completed_at", "updated_at")
    server.state.change(events.update().where(failed).values(**_values(again, names)))
    return again


def forget(server: Server, project_id: str, ids: Mapping[str, str], *, until: datetime) -> None:
    """Erase the content of the events that belong to all of the given entities.

    Events that have not ended fail; those created after `until` are left alone.
    """
    at = now()
    which = of_entities(project_id, ids) & (events.c.created_at <= until)
    server.state.change(
        events.update()
        .where(which)
        .values(
            # What was forgotten may be said again.
            idempotency=None,
            payload="{}",
            results="[]",
            changes=0,
            error=sa.case((is_open(), FORGOTTEN), else_=None),
            status=sa.case((is_open(), "FAILED"), else_=events.c.status),
            completed_at=sa.func.coalesce(events.c.completed_at, at),
            updated_at=at,
        )
    )


def hold(server: Server, project_id: str, ids: Mapping[str, str]) -> None:
    """Mark the waiting writes of entities so that none is accepted again during a deletion."""
    which = of_entities(project_id, ids) & is_open() & events.c.started_at.is_(None)
    server.state.change(events.update().where(which).values(started_at=now()))


def deleted_entities(server: Server, project_id: str, memory_id: str) -> EntityIds | None:
    """Return the entities of a deleted memory; None if they are not known."""
    deletion = {"memory_id": memory_id, "project_id": project_id, "event_type": "DELETE"}
    ids = sa.select(*(events.c[key] for key in ENTITY_KEYS)).filter_by(**deletion).limit(1)
    return next((EntityIds(**row._mapping) for row in server.state.rows(ids)), None)


def prune(server: Server) -> None:
    """Erase the events that ended more than 30 days ago."""
    server.state.change(events.delete().where(events.c.completed_at < now() - _RETENTION))


def insert(state: State, event: StoredEvent) -> None:
    """Store a new event; IntegrityError if another one has its idempotency key."""
    state.run(_INSERT, _values(event, _COLUMNS))


def select(state: State, *which: sa.ColumnElement[bool]) -> list[StoredEvent]:
    """Return the events that meet all conditions, the earliest first."""
    return stored_events(state.rows(events.select().where(*which).order_by(events.c.created_at)))


def load(server: Server, project_id: str, event_id: str) -> StoredEvent:
    """Return an event; 404 if the project has no such event."""
    found = select(server.state, events.c.id == event_id, events.c.project_id == project_id)
    if not found:
        raise HTTPException(404, "There is no such event in this project.")
    return found[0]


def of_entities(project_id: str, ids: Mapping[str, str]) -> sa.ColumnElement[bool]:
    """Return the condition that an event belongs to all of the given entities."""
    return sa.and_(
        events.c.project_id == project_id, *(events.c[key] == id_ for key, id_ in ids.items())
    )


def count_events(state: State) -> dict[str, int]:
    """Count the events of all projects by status."""
    numbers = sa.select(events.c.status, sa.func.count()).group_by(events.c.status)
    return dict(state.rows(numbers))


def _completed(project_id: str, event_type: str, **more: Any) -> StoredEvent:
    at = now()
    return StoredEvent(
        id=str(uuid.uuid4()),
        project_id=project_id,
        event_type=event_type,
        status="SUCCEEDED",
        created_at=at,
        updated_at=at,
        started_at=at,
        completed_at=at,
        **more,
    )


def _record(
    server: Server, project_id: str, recorded: Sequence[StoredEvent], changes: Sequence[Change]
) -> None:
    with server.state.begin() as connection:
        connection.execute(events.insert(), [_values(event, _COLUMNS) for event in recorded])
        told = enqueue(connection, project_id, [change.result() for change in changes])
    if told:
        server.wake("webhooks")


def _values(event: StoredEvent, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(event, name) for name in names}


def _dump(results: Sequence[Mapping[str, JsonValue]]) -> str:
    return json.dumps(results, ensure_ascii=False)
