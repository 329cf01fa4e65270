"""Writes: accepted once for each key, and followed until their events end, across restarts.

An event is stored first; then the write goes to the outbox with the event's id as its key. If a
process dies in between, another one can repeat that step: the outbox accepts a key once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from fastapi import HTTPException
from sqlalchemy.exc import IntegrityError

from mem0_integrations.errors import BackendError, Mem0IntegrationsError
from mem0_integrations.records import WriteResult
from mem0_integrations.server.additions import Addition, fingerprint, read_addition
from mem0_integrations.server.bodies import AddBody
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.events import (
    FORGOTTEN,
    OPEN,
    StoredEvent,
    events,
    finish,
    insert,
    is_open,
    load,
    of_entities,
    prune,
    reopen,
    select,
)
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import EntityIds
from mem0_integrations.server.workers import Worker

__all__ = ["accept", "current", "settle_all", "wait_for", "worker"]

_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-6576656e7473")
# By then, the process that stored the event has accepted the write, or died.
_ABANDONED: Final = timedelta(seconds=5)
_PRUNE_SECONDS: Final = 3600.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


def accept(
    server: Server, project_id: str, body: AddBody, key: str | None, *, wait: float | None
) -> StoredEvent:
    """Accept a write once for each key, and return its event; it is on disk then.

    Args:
        server: The server that accepts it.
        project_id: The caller's project.
        body: The body of the request.
        key: The client's idempotency key; None for the one in the metadata, if there is one.
        wait: Maximum number of seconds to wait until the write ends; None to return at once.

    Raises:
        InvalidInputError: The body is malformed; nothing was stored.
        HTTPException: 409: another body came with the same key before.
        OutboxFullError: Too many writes are queued; this one was not accepted.
    """
    addition = read_addition(project_id, body)
    asked = _new_event(project_id, addition, body, key or addition.key)
    event = _insert(server, asked)
    if event.fingerprint != asked.fingerprint:
        raise HTTPException(409, "This Idempotency-Key came with another body before.")
    if event.status == "FAILED" and event.payload == asked.payload:
        event = reopen(server, event)
    if event.status not in OPEN:
        return event
    try:
        result = _remember(server, event.id, addition, event.created_at, wait)
    except Mem0IntegrationsError:
        if event is asked:
            server.state.change(events.delete().where(events.c.id == event.id, is_open()))
        raise
    if result.status in ("stored", "nothing", "failed"):
        ended = finish(server, event, result)
        if ended is not None:
            return ended
    elif wait is not None and result.status == "duplicate":
        # Another request with the same key may be waiting as well.
        wait_for(server, event, wait)
    else:
        server.wake("events")
        return event
    return load(server, project_id, event.id)


def current(server: Server, project_id: str, event_id: str) -> StoredEvent:
    """Return an event in its current state; 404 if the project has no such event."""
    event = load(server, project_id, event_id)
    if event.status in OPEN and _settle(server, event, patient=True) == "ended":
        event = load(server, project_id, event_id)
    return event


def wait_for(server: Server, event: StoredEvent, timeout: float) -> None:
    """Wait until an event has ended, at most for a number of seconds."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while _settle(server, event) != "ended" and time.monotonic() < deadline:
        time.sleep(pause)
        pause = _longer(pause)


def settle_all(server: Server, project_id: str, ids: Mapping[str, str], timeout: float) -> None:
    """Wait until the writes to entities have ended, at most for a number of seconds in all."""
    deadline = time.monotonic() + timeout
    for event in select(server.state, of_entities(project_id, ids), is_open()):
        wait_for(server, event, max(0.0, deadline - time.monotonic()))


def worker(server: Server) -> Worker:
    """Return the worker that follows the open events; one for each process is enough."""
    return Worker("events", _Settler(server))


class _Settler:
    """Ends the events whose writes have ended, and looks more often while there are some."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pause = _FIRST_PAUSE
        self._pruned = float("-inf")

    def __call__(self) -> bool:
        if time.monotonic() >= self._pruned + _PRUNE_SECONDS:
            self._pruned = time.monotonic()
            prune(self._server)
        open_events = select(self._server.state, is_open())
        came_to: dict[str, str] = {}
        failure: BackendError | None = None
        for event in open_events:
            try:
                came_to[event.id] = _settle(self._server, event, patient=True)
            except BackendError as error:
                if error.retryable:
                    raise
                # It concerns this event alone: the others must not wait for it.
                failure = error
        self._note_begun([event.id for event in open_events if not event.started_at], came_to)
        if failure is not None:
            raise failure
        if all(far == "ended" for far in came_to.values()):
            self._pause = _FIRST_PAUSE
            return False
        moved = "ended" in came_to.values()
        self._pause = _FIRST_PAUSE if moved else _longer(self._pause)
        time.sleep(self._pause)
        return True

    def _note_begun(self, new: Sequence[str], came_to: Mapping[str, str]) -> None:
        begun = [event_id for event_id in new if came_to.get(event_id) == "queued"]
        if begun:
            at = now()
            self._server.state.change(
                events.update()
                .where(events.c.id.in_(begun), is_open(), events.c.started_at.is_(None))
                .values(status="RUNNING", started_at=at, updated_at=at)
            )


def _settle(
    server: Server, event: StoredEvent, *, patient: bool = False
) -> Literal["ended", "queued", "absent"]:
    """End an event if its write has ended; accept the write again if the outbox lacks it.

    With `patient`, a new event is left to the request that is about to accept its write; then the
    state is `absent`.
    """
    try:
        addition = _addition(event)
        found = server.memory.written(event.id, scope=addition.scope)
        if found is None:
            if patient and now() - event.created_at < _ABANDONED:
                return "absent"
            event = load(server, event.project_id, event.id)
            if event.status not in OPEN:
                return "ended"
            found = (
                _remember(server, event.id, addition, event.created_at, None)
                if event.started_at is None
                else WriteResult("failed", error=FORGOTTEN)
            )
    except ValueError as error:
        # Input that is no longer valid, or can no longer be read.
        found = WriteResult("failed", error=str(error))
    except HTTPException:
        # It was withdrawn in the meantime.
        return "ended"
    if found.status in ("queued", "duplicate"):
        return "queued"
    finish(server, event, found)
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
        created_at=addition.created_at or at,
        background=wait is None,
        timeout=wait,
        on_error="degrade",
    )


def _new_event(project_id: str, addition: Addition, body: AddBody, key: str | None) -> StoredEvent:
    (payload, digest), entities, at = fingerprint(body), addition.entities, now()
    ids: dict[str, Any] = {**entities.ids}
    return StoredEvent(
        id=str(uuid.uuid4()),
        project_id=project_id,
        event_type="ADD",
        status="PENDING",
        **ids,
        idempotency=None if key is None else str(_keyed_id(project_id, entities, key)),
        payload=payload,
        fingerprint=digest,
        created_at=at,
        updated_at=at,
    )


def _insert(server: Server, event: StoredEvent) -> StoredEvent:
    """Store an event, unless there is one with the same key; returns the one that is stored."""
    try:
        insert(server.state, event)
    except IntegrityError:
        if known := select(server.state, events.c.idempotency == event.idempotency):
            return known[0]
        # It was forgotten in the meantime.
        insert(server.state, event)
    return event


def _keyed_id(project_id: str, entities: EntityIds, key: str) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, json.dumps([project_id, entities.ids, key], sort_keys=True))


def _longer(pause: float) -> float:
    return min(pause * 1.5, _LONGEST_PAUSE)


def _addition(event: StoredEvent) -> Addition:
    # Read as a request is: pydantic's own parser would refuse what nests deeply.
    return read_addition(event.project_id, AddBody.model_validate(json.loads(event.payload)))
