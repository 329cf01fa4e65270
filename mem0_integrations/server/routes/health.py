"""The endpoints for operators: whether the server works, and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from mem0_integrations.concurrency import call_within
from mem0_integrations.scope import Scope
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.events import count_events
from mem0_integrations.server.metrics import Metrics

__all__ = ["count_writes", "router"]

router: Final = APIRouter(tags=["operation"])

# Reading needs a scope; no memory has this one.
_PROBE: Final = Scope(run_id="mem0-integrations-health")


class Health(BaseModel):
    """Whether the server works.

    Attributes:
        status: `ok`, or `unavailable`.
        memory: `ok`, or the kind of error with which the memory failed.
        state: The same for the server's own database.
        outbox: How many writes are queued, and how many were given up.
    """

    status: Literal["ok", "unavailable"]
    memory: str
    state: str
    outbox: dict[str, int]


@router.get("/health", response_model=Health, responses={503: {"model": Health}})
def health(server: ServerDep) -> Response:
    """Check that the memory and the server's own database answer; needs no key."""
    memory, outbox = _answer(server, partial(_ask_memory, server)), {}
    state = _answer(server, partial(count_events, server.state))
    if memory == "ok":
        outbox = count_writes(server)
    well = memory == state == "ok"
    found = Health(
        status="ok" if well else "unavailable", memory=memory, state=state, outbox=outbox
    )
    return JSONResponse(found.model_dump(), 200 if well else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus; they name no project and need no key."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/", include_in_schema=False)
def root() -> Response:
    """Lead from the root to the documentation of the API."""
    return RedirectResponse("/docs")


def count_writes(server: Server) -> dict[str, int]:
    """Count the writes of the outbox that are queued, and those that were given up."""
    counts = server.memory.outbox_counts()
    return {"queued": counts.queued, "dead": counts.dead}


def _ask_memory(server: Server) -> None:
    server.memory.list(scope=_PROBE, limit=1)
    server.memory.outbox_counts()


def _answer(server: Server, ask: Callable[[], object]) -> str:
    try:
        call_within(server.settings.health_timeout, ask)
    except Exception as error:
        return type(error).__name__
    return "ok"
