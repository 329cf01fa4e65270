"""Exports: jobs that write down the memories that a filter asks for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue
from starlette.concurrency import run_in_threadpool

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.errors import log_failure
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.reading import matching
from mem0_integrations.server.state import TABLES, Moment, State, now
from mem0_integrations.server.tenancy import ENTITY_KEYS, Shown
from mem0_integrations.server.workers import Worker

__all__ = ["exports", "forget", "router", "shape", "worker"]

router: Final = APIRouter(tags=["exports"])

_KEEP: Final = timedelta(days=7)
# A job that takes longer, or whose process died, is done by another worker.
_LEASE: Final = timedelta(seconds=30)
_ATTEMPTS: Final = 5
_PATIENCE: Final = 5.0
_POLL: Final = 0.1

exports: Final = sa.Table(
    "exports",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column(
        "project_id", sa.String(255), sa.ForeignKey("projects.id"), nullable=False, index=True
    ),
    sa.Column("schema", sa.JSON, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("filters_hash", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("claimed_until", Moment),
    sa.Column("result", sa.JSON),
    sa.Column("created_at", Moment, nullable=False),
)


class _Whose(BaseModel):
    """Which memories: a filter, or ids beside it."""

    filters: dict[str, JsonValue] | None = None
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None

    @property
    def all_filters(self) -> dict[str, JsonValue]:
        """The filter and the ids, all of which must hold."""
        ids = {key: getattr(self, key) for key in ENTITY_KEYS if getattr(self, key) is not None}
        if not self.filters:
            return ids
        return {"AND": [self.filters, ids]} if ids else self.filters


class NewExport(_Whose):
    """What to export.

    Attributes:
        wanted: A JSON schema, or its text. Its `properties`, or those of the items of its
            property `memories`, say which fields and metadata of each memory are exported;
            where none of them is a field or metadata, all fields are.
        export_instructions: Not followed: what is exported is not rewritten by a model.
    """

    wanted: Annotated[dict[str, JsonValue] | str, Field(alias="schema")]
    export_instructions: str | None = None


class ExportAccepted(BaseModel):
    """That the export is being made."""

    message: str
    id: str


class WhichExport(_Whose):
    """An export by its id; else the latest with this filter."""

    memory_export_id: str | None = None


class Export(BaseModel):
    """The exported memories, newest first."""

    memories: list[dict[str, JsonValue]]


class ExportPending(BaseModel):
    """That the export is not there yet."""

    message: str
    status: Literal["PENDING"] = "PENDING"


@router.post("/v1/exports/", status_code=201)
def create_export(body: NewExport, caller: CallerDep, server: ServerDep) -> ExportAccepted:
    """Begin an export."""
    schema = _schema(body.wanted)
    filters = body.all_filters
    compile_query(filters, caller.project_id)
    made = str(uuid.uuid4())
    with server.state.begin() as connection:
        connection.execute(
            exports.insert().values(
                id=made,
                project_id=caller.project_id,
                schema=schema,
                filters=filters,
                filters_hash=_hash(filters),
                status="pending",
                created_at=now(),
            )
        )
    server.wake("exports")
    message = "Memory export request received. The export will be ready in a few seconds."
    if body.export_instructions:
        message += " Its instructions are not followed: this server exports what is stored."
    return ExportAccepted(message=message, id=made)


@router.post("/v1/exports/get/", response_model=Export, responses={202: {"model": ExportPending}})
async def get_export(
    body: WhichExport, caller: CallerDep, server: ServerDep
) -> Export | JSONResponse:
    """Return an export; waits a few seconds for one that is being made."""
    until = time.monotonic() + _PATIENCE
    while True:
        found = await run_in_threadpool(partial(_find, server.state, caller.project_id, body))
        if found is None:
            raise HTTPException(404, "No memory export request found.")
        if found.status == "done":
            return Export(**found.result)
        if found.status == "failed":
            raise HTTPException(502, "The export failed; create it again.")
        if time.monotonic() > until:
            pending = ExportPending(message="The export is not ready yet; ask again.")
            return JSONResponse(pending.model_dump(), 202)
        await asyncio.sleep(_POLL)


def worker(server: Server) -> Worker:
    """Make the thread that carries exports out.

    Args:
        server: Whose.
    """
    return Worker("exports", partial(_work, server), pause=1.0)


def forget(server: Server, project_id: str) -> None:
    """Erase what was exported of a project, and repeat what is being exported.

    Args:
        server: Where it is.
        project_id: A project of which memories were erased.
    """
    with server.state.begin() as connection:
        connection.execute(exports.delete().filter_by(project_id=project_id, status="done"))
        connection.execute(
            exports.update()
            .filter_by(project_id=project_id, status="running")
            .values(status="pending")
        )


def shape(memories: Sequence[Shown], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return memories with the fields that a schema asks for.

    Args:
        memories: The memories.
        schema: A JSON schema. Its `properties` are taken for fields of a memory, or for keys of
            its metadata; where none of them is either, all fields are returned.

    Example:
        >>> from mem0_integrations.server.tenancy import Entities
        >>> tea = Shown("m1", "I like tea.", Entities(user_id="ann"), {}, None, None)
        >>> shape([tea], {"properties": {"memory": {}, "user_id": {}}})
        [{'memory': 'I like tea.', 'user_id': 'ann'}]
    """
    records = [_record(memory) for memory in memories]
    known = {key for record in records for key in (*record, *record["metadata"])}
    wanted = [key for key in _properties(schema) if key in known]
    if not wanted:
        return records
    return [
        {key: record.get(key, record["metadata"].get(key)) for key in wanted} for record in records
    ]


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    match properties.get("memories"):
        case {"items": {"properties": Mapping() as inner}}:
            return list(inner)
    return list(properties)


def _record(memory: Shown) -> dict[str, Any]:
    return {
        "id": memory.id,
        "memory": memory.text,
        **{key: memory.entities.ids.get(key) for key in ENTITY_KEYS},
        "metadata": dict(memory.metadata),
        "categories": list(memory.categories),
        "created_at": memory.created_at and memory.created_at.isoformat(),
        "updated_at": memory.updated_at and memory.updated_at.isoformat(),
        "expiration_date": memory.expiration_date and memory.expiration_date.isoformat(),
    }


def _schema(given: dict[str, JsonValue] | str) -> dict[str, JsonValue]:
    if isinstance(given, dict):
        return given
    try:
        schema = json.loads(given)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise InvalidInputError("schema must be a JSON schema: an object, or the text of one.")
    return schema


def _hash(filters: Mapping[str, JsonValue]) -> str:
    return hashlib.sha256(json.dumps(filters, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Job:
    id: str
    project_id: str
    schema: dict[str, Any]
    filters: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class _Status:
    status: str
    result: dict[str, Any]


def _find(state: State, project_id: str, which: WhichExport) -> _Status | None:
    wanted = sa.select(exports.c.status, exports.c.result).where(
        exports.c.project_id == project_id, exports.c.created_at > now() - _KEEP
    )
    if which.memory_export_id is not None:
        wanted = wanted.where(exports.c.id == which.memory_export_id)
    elif which.all_filters:
        wanted = wanted.where(exports.c.filters_hash == _hash(which.all_filters))
    with state.reading() as connection:
        row = connection.execute(wanted.order_by(exports.c.created_at.desc()).limit(1)).first()
    return None if row is None else _Status(row.status, row.result)


def _work(server: Server) -> bool:
    job = _claim(server.state)
    if job is None:
        return False
    try:
        memories = matching(server, job.project_id, job.filters)
        outcome = {"status": "done", "result": {"memories": shape(memories, job.schema)}}
    except Exception as error:
        if getattr(error, "retryable", False) and job.attempts < _ATTEMPTS:
            # Once more, when the lease has ended.
            return False
        outcome = {"status": "failed"}
        log_failure("export", {}, error)
    with server.state.begin() as connection:
        connection.execute(
            exports.update()
            .filter_by(id=job.id, status="running", attempts=job.attempts)
            .values(**outcome)
        )
    return True


def _claim(state: State) -> _Job | None:
    """Take the oldest job that nobody does, so that no other worker takes it."""
    at = now()
    is_free = sa.or_(
        exports.c.status == "pending",
        sa.and_(exports.c.status == "running", exports.c.claimed_until < at),
    )
    with state.reading() as connection:
        oldest = connection.execute(
            exports.select().where(is_free).order_by(exports.c.created_at).limit(1)
        ).first()
    if oldest is None:
        return None
    with state.begin() as connection:
        connection.execute(exports.delete().where(exports.c.created_at < at - _KEEP))
        claimed = connection.execute(
            exports.update()
            .where(exports.c.id == oldest.id, is_free)
            .values(status="running", claimed_until=at + _LEASE, attempts=exports.c.attempts + 1)
        ).rowcount
    if not claimed:
        return None
    return _Job(oldest.id, oldest.project_id, oldest.schema, oldest.filters, oldest.attempts + 1)
