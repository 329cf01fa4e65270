"""Events: what becomes of a write after it was accepted, across restarts.

The row of an event is written first; then the write goes to the outbox under the event's id. So
whoever finds an event without a write can repeat that step, and the outbox accepts it once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import HTTPException
from pydantic import BaseModel, JsonValue
from sqlalchemy.exc import IntegrityError

from mem0_integrations.errors import InvalidInputError, Mem0IntegrationsError
from mem0_integrations.records import Memory, WriteResult
from mem0_integrations.server import webhooks
from mem0_integrations.server.adding import AddBody, Addition, fingerprint, plan_addition
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.state import TABLES, Moment, now
from mem0_integrations.server.tenancy import ENTITY_KEYS, Entities
from mem0_integrations.server.workers import Worker

__all__ = [
    "Change",
    "Event",
    "accept",
    "current",
    "deleted_entities",
    "events",
    "forget",
    "hold",
    "note_deletion",
    "record",
    "settle_all",
    "shown_event",
    "wait_for",
    "worker",
]

Status: TypeAlias = Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
_OPEN: Final = ("PENDING", "RUNNING")
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-6576656e7473")
# By then, whoever wrote the row has accepted the write, or died.
_ABANDONED: Final = timedelta(seconds=5)
_KEPT: Final = timedelta(days=30)
_PRUNE_SECONDS: Final = 3600.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_FORGOTTEN: Final = "It was deleted before it was stored."

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

Row: TypeAlias = sa.Row[Any]


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


def accept(
    server: Server, project_id: str, body: AddBody, key: str | None, *, wait: float | None
) -> Event:
    """Accept a write: durable when this returns, and once for each key.

    Args:
        server: Where it goes.
        project_id: The project of whoever asks.
        body: What was sent.
        key: The client's idempotency key, for these entities; None to take that in the metadata.
        wait: Seconds to wait for its end; None to return at once.

    Returns:
        Its event, as far as it has come.

    Raises:
        InvalidInputError: The body is malformed; nothing was written.
        HTTPException: Another body had the key before.
        OutboxFullError: Too many writes wait; nothing was written.
    """
    addition = plan_addition(project_id, body)
    payload, digest = fingerprint(body)
    insert = partial(
        _insert, server, project_id, addition.entities, (payload, digest), key or addition.key
    )
    try:
        row, new = insert()
    except IntegrityError:
        # Another request with the key was first.
        row, new = insert()
    if row.fingerprint != digest:
        raise HTTPException(409, "This Idempotency-Key came with another body before.")
    if row.status not in _OPEN:
        return shown_event(row)
    try:
        result = _remember(server, row.id, addition, row.created_at, wait)
    except Mem0IntegrationsError:
        if new:
            with server.state.begin() as connection:
                connection.execute(events.delete().where(events.c.id == row.id, _is_open()))
        raise
    if result.status in ("stored", "nothing", "failed"):
        _finish(server, row, result)
    elif wait is not None and result.status == "duplicate":
        # Somebody else has asked for it, and may be waiting, too.
        wait_for(server, row, wait)
    else:
        server.wake("events")
        return shown_event(row)
    return shown_event(_load(server, project_id, row.id))


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


def forget(server: Server, project_id: str, ids: Mapping[str, str], *, until: datetime) -> None:
    """Erase what the events of entities hold, those that wait with their writes.

    Args:
        server: Where they are.
        project_id: The project.
        ids: The ids of the entities, all of which an event must have.
        until: Those that began by then (aware UTC).
    """
    at = now()
    which = _of_entities(project_id, ids) & (events.c.created_at <= until)
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
                error=sa.case((_is_open(), _FORGOTTEN), else_=None),
                status=sa.case((_is_open(), "FAILED"), else_=events.c.status),
                completed_at=sa.func.coalesce(events.c.completed_at, at),
                updated_at=at,
            )
        )


def hold(server: Server, project_id: str, ids: Mapping[str, str]) -> None:
    """Let no write of entities be accepted again that waits now: it is being deleted."""
    which = _of_entities(project_id, ids) & _is_open() & events.c.started_at.is_(None)
    with server.state.begin() as connection:
        connection.execute(events.update().where(which).values(started_at=now()))


def settle_all(server: Server, project_id: str, ids: Mapping[str, str], timeout: float) -> None:
    """Wait until the writes of entities that were accepted before are done.

    Args:
        server: Where they are.
        project_id: The project.
        ids: The ids of the entities.
        timeout: Seconds to wait at most for all of them.
    """
    deadline = time.monotonic() + timeout
    with server.state.reading() as connection:
        rows = connection.execute(
            events.select().where(_of_entities(project_id, ids), _is_open())
        ).all()
    for row in rows:
        wait_for(server, row, max(0.0, deadline - time.monotonic()))


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


def current(server: Server, project_id: str, event_id: str) -> Event:
    """Return what became of a write, as of now.

    Raises:
        HTTPException: There is no such event.
    """
    row = _load(server, project_id, event_id)
    if row.status in _OPEN and _settle(server, row, patient=True) == "ended":
        row = _load(server, project_id, event_id)
    return shown_event(row)


def wait_for(server: Server, row: Row, timeout: float) -> None:
    """Follow an event until it has ended.

    Args:
        server: Where it is.
        row: Its row.
        timeout: Seconds to wait at most.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while _settle(server, row) != "ended" and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def worker(server: Server) -> Worker:
    """Return what follows the events that have not ended; one a process is enough."""
    return Worker("events", _Follower(server))


class _Follower:
    """Looks after the events that have not ended, more often while something changes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pause = _FIRST_PAUSE
        self._pruned = float("-inf")

    def __call__(self) -> bool:
        self._prune()
        with self._server.state.reading() as connection:
            rows = connection.execute(
                events.select().where(_is_open()).order_by(events.c.created_at)
            ).all()
        came_to = {row.id: _settle(self._server, row, patient=True) for row in rows}
        self._note_begun([row.id for row in rows if not row.started_at], came_to)
        if all(far == "ended" for far in came_to.values()):
            self._pause = _FIRST_PAUSE
            return False
        moved = "ended" in came_to.values()
        self._pause = _FIRST_PAUSE if moved else min(self._pause * 1.5, _LONGEST_PAUSE)
        time.sleep(self._pause)
        return True

    def _note_begun(self, new: Sequence[str], came_to: Mapping[str, str]) -> None:
        begun = [event_id for event_id in new if came_to[event_id] == "queued"]
        if not begun:
            return
        at = now()
        with self._server.state.begin() as connection:
            connection.execute(
                events.update()
                .where(events.c.id.in_(begun), _is_open(), events.c.started_at.is_(None))
                .values(status="RUNNING", started_at=at, updated_at=at)
            )

    def _prune(self) -> None:
        if time.monotonic() < self._pruned + _PRUNE_SECONDS:
            return
        self._pruned = time.monotonic()
        with self._server.state.begin() as connection:
            connection.execute(events.delete().where(events.c.completed_at < now() - _KEPT))


def _settle(
    server: Server, row: Row, *, patient: bool = False
) -> Literal["ended", "queued", "absent"]:
    """See what became of a write; accept it once more if it never was.

    Args:
        server: Where it is.
        row: Its row, as it was read.
        patient: Whether to leave a new event to whoever is about to accept its write.

    Returns:
        How far it has come; `absent` when its write is not accepted yet.
    """
    try:
        addition = _addition(row)
        found = server.memory.written(row.id, scope=addition.scope)
        if found is None:
            if patient and now() - row.created_at < _ABANDONED:
                return "absent"
            row = _load(server, row.project_id, row.id)
            if row.status not in _OPEN:
                return "ended"
            found = (
                _remember(server, row.id, addition, row.created_at, None)
                if row.started_at is None
                else WriteResult("failed", error=_FORGOTTEN)
            )
    except InvalidInputError as error:
        found = WriteResult("failed", error=str(error))
    except HTTPException:
        # It was taken back meanwhile.
        return "ended"
    if found.status in ("queued", "duplicate"):
        return "queued"
    _finish(server, row, found)
    return "ended"


def _remember(
    server: Server, event_id: str, addition: Addition, at: datetime, wait: float | None
) -> WriteResult:
    return server.memory.remember(
        addition.messages,
        scope=addition.scope,
        infer=addition.infer,
        metadata=addition.metadata,
        key=event_id,
        background=wait is None,
        timeout=wait,
        created_at=addition.created_at or at,
        on_error="degrade",
    )


def _finish(server: Server, row: Row, found: WriteResult) -> None:
    """End an event, unless somebody else did; whoever does tells the webhooks."""
    at = now()
    changes = [_added(memory) for memory in found.memories]
    with server.state.begin() as connection:
        ended = connection.execute(
            events.update()
            .where(events.c.id == row.id, _is_open())
            .values(
                status="FAILED" if found.status == "failed" else "SUCCEEDED",
                results=_dump(changes),
                changes=len(changes),
                error=found.error,
                started_at=sa.func.coalesce(events.c.started_at, at),
                completed_at=at,
                updated_at=at,
            )
        ).rowcount
        told = bool(ended) and webhooks.enqueue(connection, row.project_id, changes)
    if told:
        server.wake("webhooks")


def _added(memory: Memory) -> dict[str, JsonValue]:
    return Change(memory.id, "ADD", memory.text).result()


def _insert(
    server: Server,
    project_id: str,
    entities: Entities,
    body: tuple[str, str],
    key: str | None,
) -> tuple[Row, bool]:
    """Write the row of an event, unless one has the key; returns it, and whether it is new."""
    (payload, digest), at = body, now()
    keyed = None if key is None else str(_keyed_id(project_id, entities, key))
    with server.state.begin() as connection:
        known = None if keyed is None else _find_keyed(connection, keyed)
        if known is not None:
            return known, False
        row = connection.execute(
            events.insert()
            .values(
                id=str(uuid.uuid4()),
                idempotency=keyed,
                project_id=project_id,
                event_type="ADD",
                status="PENDING",
                **entities.ids,
                payload=payload,
                fingerprint=digest,
                created_at=at,
                updated_at=at,
            )
            .returning(events)
        ).one()
    return row, True


def _find_keyed(connection: sa.Connection, keyed: str) -> Row | None:
    return connection.execute(events.select().where(events.c.idempotency == keyed)).first()


def _load(server: Server, project_id: str, event_id: str) -> Row:
    with server.state.reading() as connection:
        row = connection.execute(
            events.select().where(events.c.id == event_id, events.c.project_id == project_id)
        ).first()
    if row is None:
        raise HTTPException(404, "There is no such event in this project.")
    return row


def _keyed_id(project_id: str, entities: Entities, key: str) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, json.dumps([project_id, entities.ids, key], sort_keys=True))


def _addition(row: Row) -> Addition:
    return plan_addition(row.project_id, AddBody.model_validate_json(row.payload))


def _is_open() -> sa.ColumnElement[bool]:
    return events.c.status.in_(_OPEN)


def _of_entities(project_id: str, ids: Mapping[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(
        events.c.project_id == project_id, *(events.c[key] == id_ for key, id_ in ids.items())
    )


def _dump(results: Sequence[Mapping[str, JsonValue]]) -> str:
    return json.dumps(results, ensure_ascii=False)


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
