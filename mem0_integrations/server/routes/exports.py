"""The endpoints of exports."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue
from starlette.concurrency import run_in_threadpool

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.bodies import EntityQuery
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.exports import RETENTION, exports
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.state import State, now
from mem0_integrations.server.tenancy import ENTITY_KEYS

__all__ = ["router"]

router: Final = APIRouter(tags=["exports"])

_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class _Selection(EntityQuery):
    """Which memories to export: a filter, ids beside it, or both."""

    filters: dict[str, JsonValue] | None = None

    @property
    def all_filters(self) -> dict[str, JsonValue]:
        """The filter and the ids as one filter."""
        ids = {key: getattr(self, key) for key in ENTITY_KEYS if getattr(self, key) is not None}
        if not self.filters:
            return ids
        return {"AND": [self.filters, ids]} if ids else self.filters


class NewExport(_Selection):
    """What to export.

    Attributes:
        wanted: A JSON schema, or its text. Its `properties`, or those of the items of its
            property `memories`, name the fields and metadata of each memory to export; if none
            of them does, all fields are exported.
        export_instructions: Ignored: no model rewrites what is exported.
    """

    wanted: Annotated[dict[str, JsonValue] | str, Field(alias="schema")]
    export_instructions: str | None = None


class ExportAccepted(BaseModel):
    """Confirms that the export is being made."""

    message: str
    id: str


class WhichExport(_Selection):
    """An export by its id, or else the latest with this filter."""

    memory_export_id: str | None = None


class Export(BaseModel):
    """The exported memories, newest first."""

    memories: list[dict[str, JsonValue]]


class ExportPending(BaseModel):
    """Says that the export is not ready yet."""

    message: str
    status: Literal["PENDING"] = "PENDING"


@router.post("/v1/exports/", status_code=201)
def create_export(body: NewExport, caller: CallerDep, server: ServerDep) -> ExportAccepted:
    """Start an export."""
    schema = _schema(body.wanted)
    filters = body.all_filters
    compile_query(filters, caller.project_id)
    made = str(uuid.uuid4())
    server.state.change(
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
    """Return an export, after a few seconds' wait if it is still being made."""
    until = time.monotonic() + _PATIENCE_SECONDS
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
        await asyncio.sleep(_POLL_SECONDS)


def _find(state: State, project_id: str, which: WhichExport) -> sa.Row[Any] | None:
    wanted = sa.select(exports.c.status, exports.c.result).where(
        exports.c.project_id == project_id, exports.c.created_at > now() - RETENTION
    )
    if which.memory_export_id is not None:
        wanted = wanted.where(exports.c.id == which.memory_export_id)
    elif which.all_filters:
        wanted = wanted.where(exports.c.filters_hash == _hash(which.all_filters))
    return next(iter(state.rows(wanted.order_by(exports.c.created_at.desc()).limit(1))), None)


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
