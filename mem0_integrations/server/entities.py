"""The table of entities: the users, agents, applications and sessions of a project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

import sqlalchemy as sa
from pydantic import JsonValue

from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.projects import project_column, project_rows
from mem0_integrations.server.queries import matching
from mem0_integrations.server.state import TABLES, Moment, now
from mem0_integrations.server.tenancy import ClientMemory

__all__ = [
    "ENTITY_TYPES",
    "EntityType",
    "FoundEntities",
    "FoundEntity",
    "entities",
    "find_entities",
    "store",
    "totals",
]

EntityType: TypeAlias = Literal["user", "agent", "app", "run"]
ENTITY_TYPES: Final[tuple[EntityType, ...]] = get_args(EntityType)

entities: Final = sa.Table(
    "entities",
    TABLES,
    project_column(primary_key=True),
    sa.Column("type", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)
"""The entities that were created explicitly; the others are known from their memories."""


@dataclass(slots=True)
class FoundEntity:
    """What the memories of an entity, and its own row, say about it; times are aware UTC."""

    created_at: datetime
    updated_at: datetime
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    memories: int = 0


FoundEntities: TypeAlias = dict[tuple[EntityType, str], FoundEntity]


def find_entities(
    server: Server, project_id: str, memories: Iterable[ClientMemory] | None = None
) -> FoundEntities:
    """Return the entities of a project by type and name.

    All memories of the project are read, unless they are given.
    """
    if memories is None:
        memories = matching(server, project_id, show_expired=True)
    found: FoundEntities = {
        (row.type, row.name): FoundEntity(row.created_at, row.updated_at, row.metadata)
        for row in project_rows(server.state, entities, project_id)
    }
    for memory in memories:
        _count(memory, found)
    return found


def totals(found: FoundEntities) -> dict[str, int]:
    """Return the number of entities of each type, under the names that clients know."""
    return {f"total_{kind}s": sum(one == kind for one, _ in found) for kind in ENTITY_TYPES}


def _count(memory: ClientMemory, found: FoundEntities) -> None:
    since = memory.created_at or now()
    until = memory.updated_at or since
    for kind in ENTITY_TYPES:
        name = memory.entities.ids.get(f"{kind}_id")
        if name is None:
            continue
        entity = found.setdefault((kind, name), FoundEntity(since, until))
        entity.memories += 1
        entity.created_at = min(entity.created_at, since)
        entity.updated_at = max(entity.updated_at, until)


def store(
    connection: sa.Connection, project_id: str, kind: str, name: str, entity: FoundEntity
) -> None:
    """Store an entity in its own row, whether or not it has one."""
    own = {"project_id": project_id, "type": kind, "name": name}
    values = {"metadata": entity.metadata, "updated_at": entity.updated_at}
    known = connection.execute(entities.update().filter_by(**own).values(**values)).rowcount
    if not known:
        connection.execute(entities.insert().values(**own, **values, created_at=entity.created_at))
