"""The users, agents, applications and sessions of a project."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field, JsonValue

from mem0_integrations.scope import MAX_ID_LENGTH
from mem0_integrations.server.auth import Caller, CallerDep
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.erasing import erase
from mem0_integrations.server.reading import matching
from mem0_integrations.server.state import TABLES, Moment, now
from mem0_integrations.server.tenancy import Shown, checked_id

__all__ = ["EntityType", "Found", "FoundEntity", "entities", "find_entities", "router"]

router: Final = APIRouter(tags=["entities"])

EntityType: TypeAlias = Literal["user", "agent", "app", "run"]
EntityName: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
_TYPES: Final[tuple[EntityType, ...]] = ("user", "agent", "app", "run")
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-656e74697479")
_MOST: Final = 1_000

entities: Final = sa.Table(
    "entities",
    TABLES,
    sa.Column("project_id", sa.String(255), sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("type", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)
"""Those that were created by name; the others are known from their memories."""


class Entity(BaseModel):
    """One of whom there are memories, or who was created by name."""

    id: str
    name: str
    type: EntityType
    owner: str
    organization: str
    total_memories: int
    metadata: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime


class Entities(BaseModel):
    """A page of entities, the latest first, and how many there are of each type."""

    count: int
    next: str | None
    previous: str | None
    results: list[Entity]
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int


class EntityFilters(BaseModel):
    """What memories can be filtered by."""

    user_id: list[str]
    agent_id: list[str]
    app_id: list[str]
    run_id: list[str]


class Deleted(BaseModel):
    """That an entity is being deleted."""

    message: str
    event_id: str


@dataclass(slots=True)
class FoundEntity:
    """An entity, as its memories and its own row tell.

    Attributes:
        created_at: When it came up first (aware UTC).
        updated_at: When something of it changed last (aware UTC).
        metadata: What it was created with.
        memories: How many there are of it.
    """

    created_at: datetime
    updated_at: datetime
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    memories: int = 0


Found: TypeAlias = dict[tuple[EntityType, str], FoundEntity]


def find_entities(
    server: Server, project_id: str, memories: Iterable[Shown] | None = None
) -> Found:
    """Return the entities of a project by type and name.

    Args:
        server: Where they are.
        project_id: The project.
        memories: All its memories, if they have been read already.
    """
    if memories is None:
        memories = matching(server, project_id, show_expired=True)
    with server.state.reading() as connection:
        rows = connection.execute(
            entities.select().where(entities.c.project_id == project_id)
        ).all()
    found: Found = {
        (row.type, row.name): FoundEntity(row.created_at, row.updated_at, row.metadata)
        for row in rows
    }
    for memory in memories:
        _count(memory, found)
    return found


def _count(memory: Shown, found: Found) -> None:
    since = memory.created_at or now()
    until = memory.updated_at or since
    for kind in _TYPES:
        name = memory.entities.ids.get(f"{kind}_id")
        if name is None:
            continue
        entity = found.setdefault((kind, name), FoundEntity(since, until))
        entity.memories += 1
        entity.created_at = min(entity.created_at, since)
        entity.updated_at = max(entity.updated_at, until)


@router.get("/v1/entities/")
def list_entities(
    caller: CallerDep,
    server: ServerDep,
    page: Annotated[int, Query(ge=1, le=10**9)] = 1,
    page_size: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
) -> Entities:
    """List the users, agents, applications and sessions of whom there are memories."""
    found = find_entities(server, caller.project_id)
    latest = sorted(found.items(), key=lambda item: (item[1].created_at, item[0]), reverse=True)
    start, end = (page - 1) * page_size, page * page_size
    totals = {kind: sum(one == kind for one, _ in found) for kind in _TYPES}

    def link(number: int) -> str:
        return f"/v1/entities/?page={number}&page_size={page_size}"

    return Entities(
        count=len(latest),
        next=link(page + 1) if end < len(latest) else None,
        previous=link(page - 1) if page > 1 else None,
        results=[_entity(caller, *key, entity) for key, entity in latest[start:end]],
        **{f"total_{kind}s": total for kind, total in totals.items()},
    )


@router.get("/v1/entities/filters/")
def entity_filters(caller: CallerDep, server: ServerDep) -> EntityFilters:
    """List the ids that memories can be filtered by."""
    names = sorted(find_entities(server, caller.project_id))
    return EntityFilters(
        **{f"{kind}_id": [name for one, name in names if one == kind] for kind in _TYPES}
    )


class NewUser(BaseModel):
    """A user to be."""

    user_id: EntityName
    metadata: dict[str, JsonValue] | None = None


class NewAgent(BaseModel):
    """An agent to be."""

    agent_id: EntityName
    name: str | None = None
    metadata: dict[str, JsonValue] | None = None


class NewApp(BaseModel):
    """An application to be."""

    app_id: EntityName
    name: str | None = None
    metadata: dict[str, JsonValue] | None = None


class NewRun(BaseModel):
    """A session to be."""

    run_id: EntityName
    name: str | None = None
    metadata: dict[str, JsonValue] | None = None


@router.post("/v1/users/", status_code=201)
def create_user(body: NewUser, caller: CallerDep, server: ServerDep) -> Entity:
    """Make a user known before there are memories."""
    return _create(server, caller, "user", body.user_id, body.metadata)


@router.post("/v1/agents/", status_code=201)
def create_agent(body: NewAgent, caller: CallerDep, server: ServerDep) -> Entity:
    """Make an agent known before there are memories."""
    return _create(server, caller, "agent", body.agent_id, _named(body.name, body.metadata))


@router.post("/v1/apps/", status_code=201)
def create_app_entity(body: NewApp, caller: CallerDep, server: ServerDep) -> Entity:
    """Make an application known before there are memories."""
    return _create(server, caller, "app", body.app_id, _named(body.name, body.metadata))


@router.post("/v1/runs/", status_code=201)
def create_run(body: NewRun, caller: CallerDep, server: ServerDep) -> Entity:
    """Make a session known before there are memories."""
    return _create(server, caller, "run", body.run_id, _named(body.name, body.metadata))


def _named(name: str | None, metadata: dict[str, JsonValue] | None) -> dict[str, JsonValue]:
    return {**({} if name is None else {"name": name}), **(metadata or {})}


def _create(
    server: Server,
    caller: Caller,
    kind: EntityType,
    given: str,
    metadata: dict[str, JsonValue] | None,
) -> Entity:
    name, at = checked_id(f"{kind}_id", given), now()
    made = find_entities(server, caller.project_id).get((kind, name)) or FoundEntity(at, at)
    made.metadata, made.updated_at = metadata or {}, at
    with server.state.begin() as connection:
        _insert(connection, caller.project_id, kind, name, made)
    return _entity(caller, kind, name, made)


def _entity(caller: Caller, kind: EntityType, name: str, found: FoundEntity) -> Entity:
    return Entity(
        id=_id(caller, kind, name),
        name=name,
        type=kind,
        owner=caller.user_email,
        organization=caller.org_id,
        total_memories=found.memories,
        metadata=found.metadata,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _id(caller: Caller, kind: EntityType, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{caller.project_id}\n{kind}\n{name}"))


@router.delete("/v2/entities/{entity_type}/{name:path}/")
def delete_entity(
    entity_type: EntityType, name: str, caller: CallerDep, server: ServerDep
) -> Deleted:
    """Delete an entity with all its memories."""
    found = find_entities(server, caller.project_id)
    return _delete(server, caller, entity_type, checked_id(f"{entity_type}_id", name), found)


@router.delete("/v1/entities/{entity_type}/{entity_id:path}/")
def delete_entity_by_id(
    entity_type: EntityType, entity_id: str, caller: CallerDep, server: ServerDep
) -> Deleted:
    """Delete an entity with all its memories, by its id or its name."""
    found = find_entities(server, caller.project_id)
    names = (name for kind, name in found if kind == entity_type)
    name = next((name for name in names if _id(caller, entity_type, name) == entity_id), entity_id)
    return _delete(server, caller, entity_type, checked_id(f"{entity_type}_id", name), found)


def _delete(server: Server, caller: Caller, kind: EntityType, name: str, before: Found) -> Deleted:
    if (kind, name) not in before:
        raise HTTPException(404, f"There is no such {kind} in this project.")
    project_id = caller.project_id
    event_id = erase(server, project_id, {f"{kind}_id": name})
    after = find_entities(server, project_id)
    # Whoever shared all memories with it has none left, but is still there, to be deleted next.
    left = before.keys() - after.keys() - {(kind, name)}
    with server.state.begin() as connection:
        connection.execute(entities.delete().filter_by(project_id=project_id, type=kind, name=name))
        for key in left:
            _insert(connection, project_id, *key, before[key])
    return Deleted(message="Entity deleted successfully!", event_id=event_id)


def _insert(
    connection: sa.Connection, project_id: str, kind: str, name: str, entity: FoundEntity
) -> None:
    own = {"project_id": project_id, "type": kind, "name": name}
    values = {"metadata": entity.metadata, "updated_at": entity.updated_at}
    known = connection.execute(entities.update().filter_by(**own).values(**values)).rowcount
    if not known:
        connection.execute(entities.insert().values(**own, **values, created_at=entity.created_at))
