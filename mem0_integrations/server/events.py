"""Events: what is written down of writes, changes and deletions, and shown for 30 days."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import HTTPException
from pydantic import BaseModel, JsonValue

from mem0_integrations.records import WriteResult
from mem0_integrations.server import webhooks
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.state import TABLES, Moment, Prepared, State, now
from mem0_integrations.server.tenancy import ENTITY_KEYS, Entities

__all__ = [
    "FORGOTTEN",
    "OPEN",
    "Change",
    "Event",
    "Row",
    "Status",
    "deleted_entities",
    "events",
    "finish",
    "forget",
    "hold",
    "insert",
    "is_open",
    "load",
    "note_deletion",
    "of_entities",
    "prune",
    "record",
    "rows_of",
    "select",
    "shown_event",
]

Status: TypeAlias = Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
OPEN: Final = ("PENDING", "RUNNING")
FORGOTTEN: Final = "It was deleted before it was stored."
_KEPT: Final = timedelta(days=30)

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
    # Tells the same write again, by project, entities and key; and whether it is the same.
    sa.Column("idempotency", sa.String(36), unique=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("results", sa.Text, nullable=False, server_default="[]"),
    sa.Column("changes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    # When the outbox had accepted the write.
    sa.Column("started_at", Moment),
    sa.Column("completed_at", Moment),
    sa.Index("events_of_project", "project_id", "created_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An event as it is kept; each field is the column of this name."""

    id: str
    project_id: str
    event_type: str
    status: Status
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    memory_id: str | None = None
    payload: str = "{}"
    idempotency: str | None = None
    fingerprint: str | None = None
    results: str = "[]"
    changes: int = 0
    error: str | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None


def rows_of(found: Iterable[sa.Row[Any]]) -> list[Row]:
    """Read rows of the table."""
    return [Row(**row._mapping) for row in found]


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
_END_UNHEARD: Final = Prepared(_END.where(~webhooks.any_listening(events.c.project_id)))


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one memory.

    Attributes:
        memory_id: The memory.
        event: `ADD`, `UPDATE` or `DELETE`.
        text: What it says now, or said.
        old_text: What it said before an update.
    """

    memory_id: str
    event: Literal["ADD", "UPDATE", "DELETE"]
    text: str
    old_text: str | None = None

    def result(self) -> dict[str, JsonValue]:
        """Return it as clients and webhooks see it."""
        old: dict[str, JsonValue] = {} if self.old_text is None else {"old_memory": self.old_text}
        return {
            "id": self.memory_id,
            "event": self.event,
            "data": {"memory": self.text},
            "memory": self.text,
            **old,
        }


class Event(BaseModel):
    """What became of a write."""

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


def record(
    server: Server,
    project_id: str,
    changes: Sequence[tuple[Entities, Change]],
    *,
    keep_text: bool = True,
) -> None:
    """Note changes of single memories that are done, and tell the webhooks.

    Args:
        server: Where they were made.
        project_id: The project.
        changes: Whose memories they were, and what happened.
        keep_text: Whether they are noted with what the memories said; the webhooks are told.
    """
    if not changes:
        return
    at = now()
    with server.state.begin() as connection:
        connection.execute(
            events.insert(),
            [
                {
                    "id": str(uuid.uuid4()),
                    "project_id": project_id,
                    "event_type": change.event,
                    "status": "SUCCEEDED",
                    **dict.fromkeys(ENTITY_KEYS),
                    **entities.ids,
                    "memory_id": change.memory_id,
                    "payload": "{}",
                    "results": _dump(
                        [(change if keep_text else replace(change, text="")).result()]
                    ),
                    "changes": 1,
                    "created_at": at,
                    "updated_at": at,
                    "started_at": at,
                    "completed_at": at,
                }
                for entities, change in changes
            ],
        )
        told = webhooks.enqueue(connection, project_id, [change.result() for _, change in changes])
    if told:
        server.wake("webhooks")


def note_deletion(server: Server, project_id: str, changes: Sequence[Change]) -> str:
    """Note that memories of entities were erased; only the webhooks are told which.

    Args:
        server: Where they were.
        project_id: The project.
        changes: What the webhooks are told.

    Returns:
        The id of the event.
    """
    event_id, at = str(uuid.uuid4()), now()
    with server.state.begin() as connection:
        connection.execute(
            events.insert().values(
                id=event_id,
                project_id=project_id,
                event_type="DELETE_ALL",
                status="SUCCEEDED",
                payload="{}",
                **dict.fromkeys(("created_at", "updated_at", "started_at", "completed_at"), at),
            )
        )
        told = webhooks.enqueue(connection, project_id, [change.result() for change in changes])
    if told:
        server.wake("webhooks")
    return event_id


def finish(server: Server, row: Row, found: WriteResult) -> Row | None:
    """End an event, unless somebody else did; whoever does tells the webhooks.

    Args:
        server: Where it is.
        row: Its row.
        found: What became of the write, which the outbox knows, too.

    Returns:
        What it has ended as; None when somebody else has ended it.
    """
    at = now()
    changes = [Change(memory.id, "ADD", memory.text).result() for memory in found.memories]
    ended = replace(
        row,
        status="FAILED" if found.status == "failed" else "SUCCEEDED",
        results=_dump(changes),
        changes=len(changes),
        error=found.error,
        started_at=row.started_at or at,
        completed_at=at,
        updated_at=at,
    )
    values = _values(ended, _ENDING) | {"event_id": row.id}
    # Elsewhere, somebody may begin to listen while it waits for the row.
    if server.state.takes_turns and server.state.run(_END_UNHEARD, values, repeatable=True):
        return ended
    with server.state.repeating() as connection:
        if connection.execute(_END, values).first() is None:
            return None
        told = webhooks.enqueue(connection, row.project_id, changes)
    if told:
        server.wake("webhooks")
    return ended


def forget(server: Server, project_id: str, ids: Mapping[str, str], *, until: datetime) -> None:
    """Erase what the events of entities hold, those that wait with their writes.

    Args:
        server: Where they are.
        project_id: The project.
        ids: The ids of the entities, all of which an event must have.
        until: Those that began by then (aware UTC).
    """
    at = now()
    which = of_entities(project_id, ids) & (events.c.created_at <= until)
    with server.state.begin() as connection:
        connection.execute(
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
    """Let no write of entities be accepted again that waits now: it is being deleted."""
    which = of_entities(project_id, ids) & is_open() & events.c.started_at.is_(None)
    with server.state.begin() as connection:
        connection.execute(events.update().where(which).values(started_at=now()))


def deleted_entities(server: Server, project_id: str, memory_id: str) -> Entities | None:
    """Return whose a memory was that was deleted; None if that is not known."""
    with server.state.reading() as connection:
        row = connection.execute(
            sa.select(*(events.c[key] for key in ENTITY_KEYS)).where(
                events.c.memory_id == memory_id,
                events.c.project_id == project_id,
                events.c.event_type == "DELETE",
            )
        ).first()
    return None if row is None else Entities(**row._mapping)


def prune(server: Server) -> None:
    """Erase the events that ended long ago."""
    with server.state.begin() as connection:
        connection.execute(events.delete().where(events.c.completed_at < now() - _KEPT))


def insert(state: State, row: Row) -> None:
    """Write the row of a new event.

    Raises:
        IntegrityError: Another event has its idempotency key.
    """
    state.run(_INSERT, _values(row, _COLUMNS))


def select(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Row]:
    """Return the rows of events, the earliest first."""
    found = connection.execute(events.select().where(*which).order_by(events.c.created_at))
    return rows_of(found)


def load(server: Server, project_id: str, event_id: str) -> Row:
    """Return the row of an event.

    Raises:
        HTTPException: There is no such event.
    """
    with server.state.reading() as connection:
        found = select(connection, events.c.id == event_id, events.c.project_id == project_id)
    if not found:
        raise HTTPException(404, "There is no such event in this project.")
    return found[0]


def shown_event(row: Row) -> Event:
    """Return an event as clients see it."""
    took = None if row.completed_at is None else row.completed_at - row.created_at
    return Event(
        id=row.id,
        event_type=row.event_type,
        status=row.status,
        payload=json.loads(row.payload),
        results=json.loads(row.results),
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        latency=None if took is None else took / timedelta(milliseconds=1),
        error=row.error,
    )


def of_entities(project_id: str, ids: Mapping[str, str]) -> sa.ColumnElement[bool]:
    """Return the condition that an event has all these ids of entities."""
    return sa.and_(
        events.c.project_id == project_id, *(events.c[key] == id_ for key, id_ in ids.items())
    )


def _values(row: Row, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(row, name) for name in names}


def _dump(results: Sequence[Mapping[str, JsonValue]]) -> str:
    return json.dumps(results, ensure_ascii=False)
