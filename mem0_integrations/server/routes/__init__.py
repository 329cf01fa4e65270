"""The server's endpoints: a module for each group of them, with a `router`."""

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

__all__ = [
    "entities",
    "events",
    "exports",
    "health",
    "insights",
    "members",
    "memories",
    "profiles",
    "projects",
    "webhooks",
]
