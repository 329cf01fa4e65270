"""The endpoints of feedback, summaries and statistics."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue

from mem0_integrations.server.auth import CallerDep
from mem0_integrations.server.dependencies import ServerDep
from mem0_integrations.server.entities import find_entities, totals
from mem0_integrations.server.events import events
from mem0_integrations.server.queries import matching
from mem0_integrations.server.tenancy import internal_metadata, project_scope

__all__ = ["router"]

router: Final = APIRouter(tags=["insights"])

_MAX_SUMMARIZED: Final = 100


class Feedback(BaseModel):
    """Feedback on a memory; None withdraws it."""

    memory_id: Annotated[str, Field(min_length=1)]
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = None
    feedback_reason: str | None = None


class StoredFeedback(BaseModel):
    """The feedback that is stored with a memory."""

    id: str
    feedback: str | None
    feedback_reason: str | None


@router.post("/v1/feedback/")
def feedback(body: Feedback, caller: CallerDep, server: ServerDep) -> StoredFeedback:
    """Store feedback with a memory; it has no further effect."""
    server.memory.update(
        body.memory_id,
        scope=project_scope(caller.project_id),
        metadata=internal_metadata(feedback=body.feedback, feedback_reason=body.feedback_reason),
    )
    return StoredFeedback(
        id=body.memory_id, feedback=body.feedback, feedback_reason=body.feedback_reason
    )


class SummaryRequest(BaseModel):
    """Which memories to summarize."""

    filters: dict[str, JsonValue] | None = None


class Summary(BaseModel):
    """The newest memories, one on each line.

    Attributes:
        summary: The texts of at most 100 memories.
        total_memories: The number of all memories that meet the filter.
    """

    summary: str
    total_memories: int


@router.post("/v1/summary/")
def summary(body: SummaryRequest, caller: CallerDep, server: ServerDep) -> Summary:
    """Summarize memories without a model: the newest ones, word for word."""
    found = matching(server, caller.project_id, body.filters)
    return Summary(
        summary="\n".join(memory.text for memory in found[:_MAX_SUMMARIZED]),
        total_memories=len(found),
    )


class Stats(BaseModel):
    """How much a project holds."""

    total_memories: int
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
    total_events: int


@router.get("/v1/stats/")
def stats(caller: CallerDep, server: ServerDep) -> Stats:
    """Count what a project holds."""
    memories = matching(server, caller.project_id, show_expired=True)
    found = find_entities(server, caller.project_id, memories)
    mine = sa.select(sa.func.count()).where(events.c.project_id == caller.project_id)
    ((count,),) = server.state.rows(mine)
    return Stats(total_memories=len(memories), total_events=count, **totals(found))
