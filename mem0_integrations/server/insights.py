"""What can be said about memories: feedback, a summary, statistics."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue

from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.entities import find_entities
from mem0_integrations.server.reading import matching
from mem0_integrations.server.state import TABLES
from mem0_integrations.server.tenancy import internal_metadata, project_scope

__all__ = ["router"]

router: Final = APIRouter(tags=["insights"])

_SUMMARISED: Final = 100


class Feedback(BaseModel):
    """What is thought of a memory; None takes it back."""

    memory_id: Annotated[str, Field(min_length=1)]
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = None
    feedback_reason: str | None = None


class FeedbackKept(BaseModel):
    """What is kept of it, with the memory."""

    id: str
    feedback: str | None
    feedback_reason: str | None


@router.post("/v1/feedback/")
def feedback(body: Feedback, caller: CallerDep, server: ServerDep) -> FeedbackKept:
    """Keep what is thought of a memory; it is kept, not acted on."""
    server.memory.update(
        body.memory_id,
        scope=project_scope(caller.project_id),
        metadata=internal_metadata(feedback=body.feedback, feedback_reason=body.feedback_reason),
    )
    return FeedbackKept(
        id=body.memory_id, feedback=body.feedback, feedback_reason=body.feedback_reason
    )


class SummaryRequest(BaseModel):
    """Which memories."""

    filters: dict[str, JsonValue] | None = None


class Summary(BaseModel):
    """The newest memories, one a line.

    Attributes:
        summary: At most 100 of them.
        total_memories: How many there are.
    """

    summary: str
    total_memories: int


@router.post("/v1/summary/")
def summary(body: SummaryRequest, caller: CallerDep, server: ServerDep) -> Summary:
    """Sum up memories without a model: the newest ones, word for word."""
    found = matching(server, caller.project_id, body.filters)
    return Summary(
        summary="\n".join(memory.text for memory in found[:_SUMMARISED]),
        total_memories=len(found),
    )


class Stats(BaseModel):
    """How much there is in a project."""

    total_memories: int
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
    total_events: int


@router.get("/v1/stats/")
def stats(caller: CallerDep, server: ServerDep) -> Stats:
    """Count what there is in a project."""
    memories = matching(server, caller.project_id, show_expired=True)
    found = find_entities(server, caller.project_id, memories)
    events = TABLES.tables["events"]
    with server.state.reading() as connection:
        count: int = connection.execute(
            sa.select(sa.func.count()).where(events.c.project_id == caller.project_id)
        ).scalar_one()

    def total(wanted: str) -> int:
        return sum(kind == wanted for kind, _ in found)

    return Stats(
        total_memories=len(memories),
        total_users=total("user"),
        total_agents=total("agent"),
        total_apps=total("app"),
        total_runs=total("run"),
        total_events=count,
    )
