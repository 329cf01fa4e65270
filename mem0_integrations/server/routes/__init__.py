"""The server's endpoints: a module for each group of them, with a `router`."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from mem0_integrations.server.routes import (
    entities,
    events,
    exports,
    health,
    insights,
    members,
    memories,
    profiles,
    projects,
    webhooks,
)

__all__ = ["ROUTERS"]

# They are tried in order, and most requests are for memories.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    # Before the memories, one of whose paths would match a path of the events.
    events.router,
    memories.router,
    # Before the entities, for the same reason.
    profiles.router,
    entities.router,
    exports.router,
    insights.router,
    projects.router,
    members.router,
    webhooks.router,
    health.router,
)
