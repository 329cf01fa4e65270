"""The endpoints of entities: the users, agents, applications and sessions of a project."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field, JsonValue

from mem0_integrations.scope import MAX_ID_LENGTH
from mem0_integrations.server.auth import Caller, CallerDep
from mem0_integrations.server.bodies import DeletedAll, Page, page_links
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.entities import (
    ENTITY_TYPES,
    EntityType,
    FoundEntities,
    FoundEntity,
    entities,
    find_entities,
    store,
    totals,
)
from mem0_integrations.server.erasure import erase
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import checked_id

__all__ = ["router"]

router: Final = APIRouter(tags=["entities"])

EntityName: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-656e74697479")
_MAX_PAGE_SIZE: Final = 1_000


class Entity(BaseModel):
    """An entity that has memories, or was created explicitly."""

    id: str
    name: str
    type: EntityType
    owner: str
    organization: str
    total_memories: int
    metadata: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime


class EntityPage(Page):
    """A page of entities, the newest first, and the number of entities of each type."""

    results: list[Entity]
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int


class EntityFilters(BaseModel):
    """The ids that memories can be filtered by."""

    user_id: list[str]
    agent_id: list[str]
    app_id: list[str]
    run_id: list[str]


@router.get("/v1/entities/")
def list_entities(
    caller: CallerDep,
    server: ServerDep,
    page: Annotated[int, Query(ge=1, le=10**9)] = 1,
    page_size: Annotated[int, Query(ge=1, le=_MAX_PAGE_SIZE)] = _MAX_PAGE_SIZE,
) -> EntityPage:
    """List the users, agents, applications and sessions that have memories."""
    found = find_entities(server, caller.project_id)
    latest = sorted(found.items(), key=lambda item: (item[1].created_at, item[0]), reverse=True)
    start, end = (page - 1) * page_size, page * page_size
    link = f"/v1/entities/?page={{}}&page_size={page_size}"
    return EntityPage(
        count=len(latest),
        **page_links(link, page, more=end < len(latest)),
        results=[_entity(caller, *key, entity) for key, entity in latest[start:end]],
        **totals(found),
    )


@router.get("/v1/entities/filters/")
def entity_filters(caller: CallerDep, server: ServerDep) -> EntityFilters:
    """List the ids that memories can be filtered by."""
    names = sorted(find_entities(server, caller.project_id))
    return EntityFilters(
        **{f"{kind}_id": [name for one, name in names if one == kind] for kind in ENTITY_TYPES}
    )


class NewUser(BaseModel):
    """A user to create."""

    user_id: EntityName
    metadata: dict[str, JsonValue] | None = None


class _NamedEntity(BaseModel):
    name: str | None = None
    metadata: dict[str, JsonValue] | None = None


class NewAgent(_NamedEntity):
    """An agent to create."""

    agent_id: EntityName


class NewApp(_NamedEntity):
    """An application to create."""

    app_id: EntityName


class NewRun(_NamedEntity):
    """A session to create."""

    run_id: EntityName


@router.post("/v1/users/", status_code=201)
def create_user(body: NewUser, caller: CallerDep, server: ServerDep) -> Entity:
    """Create a user before it has memories."""
    return _create(server, caller, "user", body.user_id, body.metadata)


@router.post("/v1/agents/", status_code=201)
def create_agent(body: NewAgent, caller: CallerDep, server: ServerDep) -> Entity:
    """Create an agent before it has memories."""
    return _create(server, caller, "agent", body.agent_id, _metadata(body))


@router.post("/v1/apps/", status_code=201)
def create_app_entity(body: NewApp, caller: CallerDep, server: ServerDep) -> Entity:
    """Create an application before it has memories."""
    return _create(server, caller, "app", body.app_id, _metadata(body))


@router.post("/v1/runs/", status_code=201)
def create_run(body: NewRun, caller: CallerDep, server: ServerDep) -> Entity:
    """Create a session before it has memories."""
    return _create(server, caller, "run", body.run_id, _metadata(body))


def _metadata(body: _NamedEntity) -> dict[str, JsonValue]:
    return {**({} if body.name is None else {"name": body.name}), **(body.metadata or {})}


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
        store(connection, caller.project_id, kind, name, made)
    return _entity(caller, kind, name, made)


def _entity(caller: Caller, kind: EntityType, name: str, found: FoundEntity) -> Entity:
    return Entity(
        id=_id(caller, kind, name),
        owner=caller.user_email,
        organization=caller.org_id,
        total_memories=found.memories,
        name=name,
        type=kind,
        metadata=found.metadata,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _id(caller: Caller, kind: EntityType, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{caller.project_id}\n{kind}\n{name}"))


@router.delete("/v2/entities/{entity_type}/{name:path}/")
def delete_entity(
    entity_type: EntityType, name: str, caller: CallerDep, server: ServerDep
) -> DeletedAll:
    """Delete an entity with all its memories."""
    found = find_entities(server, caller.project_id)
    return _delete(server, caller, entity_type, checked_id(f"{entity_type}_id", name), found)


@router.delete("/v1/entities/{entity_type}/{entity_id:path}/")
def delete_entity_by_id(
    entity_type: EntityType, entity_id: str, caller: CallerDep, server: ServerDep
) -> DeletedAll:
    """Delete an entity with all its memories, by its id or its name."""
    found = find_entities(server, caller.project_id)
    names = (name for kind, name in found if kind == entity_type)
    name = next((name for name in names if _id(caller, entity_type, name) == entity_id), entity_id)
    return _delete(server, caller, entity_type, checked_id(f"{entity_type}_id", name), found)


def _delete(
    server: Server, caller: Caller, kind: EntityType, name: str, before: FoundEntities
) -> DeletedAll:
    if (kind, name) not in before:
        raise HTTPException(404, f"There is no such {kind} in this project.")
    project_id = caller.project_id
    event_id = erase(server, project_id, {f"{kind}_id": name})
    after = find_entities(server, project_id)
    # Another entity with the same memories has none left, but can still be listed and deleted.
    left = before.keys() - after.keys() - {(kind, name)}
    with server.state.begin() as connection:
        connection.execute(entities.delete().filter_by(project_id=project_id, type=kind, name=name))
        for key in left:
            store(connection, project_id, *key, before[key])
    return DeletedAll(message="Entity deleted successfully!", event_id=event_id)
