"""Writes: accepted once for each key, and followed to the end of their events, across restarts.

The row of an event is written first; then the write goes to the outbox under the event's id. So
whoever finds an event without a write can repeat that step, and the outbox accepts it once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from fastapi import HTTPException
from sqlalchemy.exc import IntegrityError

from mem0_integrations.errors import BackendError, Mem0IntegrationsError
from mem0_integrations.records import WriteResult
from mem0_integrations.server.adding import AddBody, Addition, fingerprint, plan_addition
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.events import (
    FORGOTTEN,
    OPEN,
    Row,
    events,
    finish,
    insert,
    is_open,
    load,
    of_entities,
    prune,
    select,
)
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import Entities
from mem0_integrations.server.workers import Worker

__all__ = ["accept", "current", "settle_all", "wait_for", "worker"]

_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-6576656e7473")
# By then, whoever wrote the row has accepted the write, or died.
_ABANDONED: Final = timedelta(seconds=5)
_PRUNE_SECONDS: Final = 3600.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


def accept(
    server: Server, project_id: str, body: AddBody, key: str | None, *, wait: float | None
) -> Row:
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
    asked = _new_row(project_id, addition, body, key or addition.key)
    row = _insert(server, asked)
    if row.fingerprint != asked.fingerprint:
        raise HTTPException(409, "This Idempotency-Key came with another body before.")
    if row.status not in OPEN:
        return row
    try:
        result = _remember(server, row.id, addition, row.created_at, wait)
    except Mem0IntegrationsError:
        if row is asked:
            with server.state.begin() as connection:
                connection.execute(events.delete().where(events.c.id == row.id, is_open()))
        raise
    if result.status in ("stored", "nothing", "failed"):
        ended = finish(server, row, result)
        if ended is not None:
            return ended
    elif wait is not None and result.status == "duplicate":
        # Somebody else has asked for it, and may be waiting, too.
        wait_for(server, row, wait)
    else:
        server.wake("events")
        return row
    return load(server, project_id, row.id)


def current(server: Server, project_id: str, event_id: str) -> Row:
    """Return what became of a write, as of now.

    Raises:
        HTTPException: There is no such event.
    """
    row = load(server, project_id, event_id)
    if row.status in OPEN and _settle(server, row, patient=True) == "ended":
        row = load(server, project_id, event_id)
    return row


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
        rows = select(connection, of_entities(project_id, ids), is_open())
    for row in rows:
        wait_for(server, row, max(0.0, deadline - time.monotonic()))


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
            rows = select(connection, is_open())
        came_to: dict[str, str] = {}
        failure: BackendError | None = None
        for row in rows:
            try:
                came_to[row.id] = _settle(self._server, row, patient=True)
            except BackendError as error:
                if error.retryable:
                    raise
                # Of this one alone: those behind it must not wait for it.
                failure = error
        self._note_begun([row.id for row in rows if not row.started_at], came_to)
        if failure is not None:
            raise failure
        if all(far == "ended" for far in came_to.values()):
            self._pause = _FIRST_PAUSE
            return False
        moved = "ended" in came_to.values()
        self._pause = _FIRST_PAUSE if moved else min(self._pause * 1.5, _LONGEST_PAUSE)
        time.sleep(self._pause)
        return True

    def _note_begun(self, new: Sequence[str], came_to: Mapping[str, str]) -> None:
        begun = [event_id for event_id in new if came_to.get(event_id) == "queued"]
        if not begun:
            return
        at = now()
        with self._server.state.begin() as connection:
            connection.execute(
                events.update()
                .where(events.c.id.in_(begun), is_open(), events.c.started_at.is_(None))
                .values(status="RUNNING", started_at=at, updated_at=at)
            )

    def _prune(self) -> None:
        if time.monotonic() < self._pruned + _PRUNE_SECONDS:
            return
        self._pruned = time.monotonic()
        prune(self._server)


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
            row = load(server, row.project_id, row.id)
            if row.status not in OPEN:
                return "ended"
            found = (
                _remember(server, row.id, addition, row.created_at, None)
                if row.started_at is None
                else WriteResult("failed", error=FORGOTTEN)
            )
    except ValueError as error:
        # Bad input, by what holds now; or what cannot be read any more.
        found = WriteResult("failed", error=str(error))
    except HTTPException:
        # It was taken back meanwhile.
        return "ended"
    if found.status in ("queued", "duplicate"):
        return "queued"
    finish(server, row, found)
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


def _new_row(project_id: str, addition: Addition, body: AddBody, key: str | None) -> Row:
    (payload, digest), entities, at = fingerprint(body), addition.entities, now()
    return Row(
        id=str(uuid.uuid4()),
        idempotency=None if key is None else str(_keyed_id(project_id, entities, key)),
        project_id=project_id,
        event_type="ADD",
        status="PENDING",
        user_id=entities.user_id,
        agent_id=entities.agent_id,
        app_id=entities.app_id,
        run_id=entities.run_id,
        payload=payload,
        fingerprint=digest,
        created_at=at,
        updated_at=at,
    )


def _insert(server: Server, row: Row) -> Row:
    """Write the row of an event, unless one has its key; returns the one that is there."""
    try:
        insert(server.state, row)
    except IntegrityError:
        with server.state.reading() as connection:
            known = select(connection, events.c.idempotency == row.idempotency)
        if known:
            return known[0]
        # It was forgotten in between.
        insert(server.state, row)
    return row


def _keyed_id(project_id: str, entities: Entities, key: str) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, json.dumps([project_id, entities.ids, key], sort_keys=True))


def _addition(row: Row) -> Addition:
    # Read as a request is: pydantic's own parser would refuse what nests deeply.
    return plan_addition(row.project_id, AddBody.model_validate(json.loads(row.payload)))
