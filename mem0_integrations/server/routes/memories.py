"""The endpoints of memories: add, list, search, get, change, delete, for all client versions."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Header, HTTPException, Query
from pydantic import BaseModel, Field, JsonValue
from starlette.concurrency import run_in_threadpool

from mem0_integrations.errors import InvalidInputError, MemoryNotFoundError
from mem0_integrations.records import Memory, MemoryChange
from mem0_integrations.server import bodies, erasure, events, writes
from mem0_integrations.server.additions import changed_fields
from mem0_integrations.server.auth import Caller, CallerDep
from mem0_integrations.server.dependencies import Server, ServerDep
from mem0_integrations.server.filters import MemoryQuery, compile_query
from mem0_integrations.server.queries import selected
from mem0_integrations.server.tenancy import ENTITY_KEYS, ClientMemory, EntityIds, project_scope
from mem0_integrations.values import is_uuid

__all__ = ["router"]

router: Final = APIRouter(tags=["memories"])

_MAX_PAGE_SIZE: Final = 200
_DEFAULT_PAGE_SIZE: Final = 100
# How long an add waits until its memories are stored; a model may take longer.
_PATIENCE_SECONDS: Final = 30.0
_NAMESPACE: Final = uuid.UUID("6d656d30-0000-4000-8000-686973746f72")
_ENVELOPE: Final = "v1.1"
_MESSAGES: Final = {
    "SUCCEEDED": "Memory added successfully.",
    "FAILED": "The memory could not be added; the event says why.",
}

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(min_length=1, description="The same key and body: the same event, stored once."),
]


class Paging(BaseModel):
    """Which page of a list to return."""

    page: Annotated[int | None, Field(ge=1, le=10**9)] = None
    page_size: Annotated[int | None, Field(ge=1, le=_MAX_PAGE_SIZE)] = None


class ListQuery(Paging, bodies.EntityQuery):
    """Which memories to list, and which page of them."""

    show_expired: bool = False


class DeleteQuery(bodies.EntityQuery):
    """Which memories to delete."""

    metadata: Annotated[str | None, Field(description="A JSON object.")] = None


# --- Add


@router.post("/v3/memories/add/", response_model_exclude_unset=True)
async def add(
    body: bodies.AddBody,
    caller: CallerDep,
    server: ServerDep,
    idempotency_key: IdempotencyKey = None,
) -> bodies.Added:
    """Add a conversation: with `infer` in the background, as an event; else at once, as it is."""
    wait = None if body.infer else _PATIENCE_SECONDS
    event = await _accepted(server, caller, body, idempotency_key, wait)
    message = _MESSAGES.get(event.status, bodies.QUEUED)
    said = bodies.Added(message=message, status=event.status, event_id=event.id)
    if not body.infer:
        said.results = _stored(event)
    return said


@router.post("/v1/memories/")
async def add_v1(
    body: bodies.OldAddBody,
    caller: CallerDep,
    server: ServerDep,
    idempotency_key: IdempotencyKey = None,
) -> bodies.OldResults | list[bodies.AddResult | bodies.Queued]:
    """Add a conversation, and return what was stored, unless `async_mode` is set."""
    wait = None if body.async_mode else _PATIENCE_SECONDS
    event = await _accepted(server, caller, body, idempotency_key, wait)
    if event.status == "FAILED":
        raise HTTPException(502, f"The memory could not store it; see event {event.id}.")
    results: list[bodies.AddResult | bodies.Queued] = (
        [*_stored(event)]
        if event.status == "SUCCEEDED"
        else [bodies.Queued(status=event.status, event_id=event.id)]
    )
    return bodies.OldResults(results=results) if body.output_format == _ENVELOPE else results


async def _accepted(
    server: Server, caller: Caller, body: bodies.AddBody, key: str | None, wait: float | None
) -> events.StoredEvent:
    accept = partial(writes.accept, server, caller.project_id, body, key, wait=wait)
    if wait is None:
        return await run_in_threadpool(accept)
    return await server.waiting.arun(accept)


def _stored(event: events.StoredEvent) -> list[bodies.AddResult]:
    return [bodies.AddResult.model_validate(result) for result in json.loads(event.results)]


# --- List


@router.post("/v3/memories/", response_model_exclude_unset=True)
def list_v3(
    body: bodies.ListBody, caller: CallerDep, server: ServerDep, paging: Annotated[Paging, Query()]
) -> bodies.ItemPage:
    """List memories, the newest first."""
    _refuse_top_level_ids(body)
    found = _listed(server, caller, body, body.filters)
    return _page(found, "/v3/memories/", paging, body.fields)


@router.post("/v2/memories/", response_model_exclude_unset=True)
def list_v2(
    body: bodies.OldListBody,
    caller: CallerDep,
    server: ServerDep,
    paging: Annotated[Paging, Query()],
) -> bodies.ItemPage | list[bodies.Item]:
    """List memories: all of them, or a page in an envelope."""
    found = _listed(server, caller, body, body.all_filters(body.filters))
    return _all_or_page(found, "/v2/memories/", paging, body.fields)


@router.get("/v1/memories/", response_model_exclude_unset=True)
def list_v1(
    caller: CallerDep, server: ServerDep, query: Annotated[ListQuery, Query()]
) -> bodies.ItemPage | list[bodies.Item]:
    """List the memories of an entity: all of them, or a page in an envelope."""
    body = bodies.OldListBody(**query.model_dump(exclude=set(Paging.model_fields)))
    found = _listed(server, caller, body, body.all_filters(None))
    return _all_or_page(found, "/v1/memories/", query, None)


def _listed(
    server: Server, caller: Caller, body: bodies.ListBody, filters: bodies.Filters
) -> list[ClientMemory]:
    query = _query(caller, body, filters, body.conditions)
    return [ClientMemory.of(memory) for memory in selected(server, query)]


def _all_or_page(
    found: Sequence[ClientMemory], path: str, paging: Paging, fields: Sequence[str] | None
) -> bodies.ItemPage | list[bodies.Item]:
    if paging.page is None and paging.page_size is None:
        return [_item(memory, fields) for memory in found]
    return _page(found, path, paging, fields)


def _page(
    found: Sequence[ClientMemory], path: str, paging: Paging, fields: Sequence[str] | None
) -> bodies.ItemPage:
    number, size = paging.page or 1, paging.page_size or _DEFAULT_PAGE_SIZE
    start, end = (number - 1) * size, number * size
    return bodies.ItemPage(
        count=len(found),
        **bodies.page_links(f"{path}?page={{}}&page_size={size}", number, more=end < len(found)),
        results=[_item(memory, fields) for memory in found[start:end]],
    )


# --- Search


@router.post("/v3/memories/search/", response_model_exclude_unset=True)
async def search_v3(
    body: bodies.SearchBody, caller: CallerDep, server: ServerDep
) -> bodies.SearchResults:
    """Search for memories, the most similar first."""
    _refuse_top_level_ids(body)
    return await _search(server, caller, body, body.filters, body.top_k)


@router.post("/v2/memories/search/", response_model_exclude_unset=True)
@router.post("/v1/memories/search/", response_model_exclude_unset=True)
async def search_older(
    body: bodies.OldSearchBody, caller: CallerDep, server: ServerDep
) -> bodies.SearchResults | list[bodies.SearchItem]:
    """Search for memories; the answer is a bare list, unless the envelope is asked for."""
    filters = body.all_filters(body.filters)
    found = await _search(server, caller, body, filters, body.limit or body.top_k)
    return found if body.output_format == _ENVELOPE else found.results


async def _search(
    server: Server, caller: Caller, body: bodies.SearchBody, filters: bodies.Filters, top_k: int
) -> bodies.SearchResults:
    more: list[JsonValue] = [{"metadata": body.metadata}] if body.metadata else []
    query = _query(caller, body, filters, more)
    # Awaited, so that no thread waits for the one that searches.
    recall = await server.memory.arecall(
        body.query,
        scope=query.scope,
        limit=top_k,
        threshold=body.threshold,
        filters=query.filters,
        accept=query.accept,
        repeats=not body.latest_only,
        on_error="raise",
    )
    results = [_search_item(ClientMemory.of(memory), body.fields) for memory in recall.memories]
    found = bodies.SearchResults(results=results)
    if server.memory.has_graph:
        found.relations = [
            bodies.RelationItem(source=one.source, relationship=one.relationship, target=one.target)
            for one in recall.relations
        ]
    return found


def _query(
    caller: Caller, body: bodies.QueryBody, filters: bodies.Filters, more: Sequence[JsonValue]
) -> MemoryQuery:
    categories: list[JsonValue] = (
        [{"categories": {"in": list(body.categories)}}] if body.categories else []
    )
    # Unchanged where there is nothing else, so that an error names its own path.
    both: bodies.Filters = {"AND": [filters, *more, *categories]} if more or categories else filters
    query = compile_query(
        both if filters else None, caller.project_id, show_expired=bool(body.show_expired)
    )
    if not query.names_entity:
        raise InvalidInputError(
            "filters must hold at least one of user_id, agent_id, app_id, run_id; '*' stands for "
            "any."
        )
    return query


def _refuse_top_level_ids(body: BaseModel) -> None:
    if found := sorted((body.model_extra or {}).keys() & set(ENTITY_KEYS)):
        raise InvalidInputError(f"{', '.join(found)} must be in filters, not beside them.")


# --- One memory


@router.get("/v1/memories/{memory_id}/")
def get_memory(memory_id: str, caller: CallerDep, server: ServerDep) -> bodies.Item:
    """Return a memory."""
    return _item(ClientMemory.of(_require(server, caller, memory_id)), None)


@router.put("/v1/memories/{memory_id}/")
def update_memory(
    memory_id: str, body: bodies.UpdateBody, caller: CallerDep, server: ServerDep
) -> bodies.Item:
    """Change a memory."""
    given = body.model_dump(exclude_unset=True)
    old = _require(server, caller, memory_id)
    return _item(ClientMemory.of(_updated(server, caller, [(old, given)])[0]), None)


@router.delete("/v1/memories/{memory_id}/", response_model_exclude_unset=True)
def delete_memory(
    memory_id: str, caller: CallerDep, server: ServerDep, delete_linked: bool = False
) -> bodies.DeletedMemory:
    """Delete a memory; `delete_linked` has no effect, since no older versions are kept."""
    memory = _require(server, caller, memory_id)
    erasure.delete_memories(server, caller.project_id, [memory])
    deleted = bodies.DeletedMemory(message="Memory deleted successfully!")
    if delete_linked:
        deleted.cascade_count = 0
    return deleted


@router.get("/v1/memories/{memory_id}/history/")
def history(memory_id: str, caller: CallerDep, server: ServerDep) -> list[bodies.HistoryEntry]:
    """Return the changes of a memory, oldest first, even if it was deleted."""
    _check_uuid(memory_id)
    scope = project_scope(caller.project_id)
    changes = server.memory.history(memory_id, scope=scope)
    memory = server.memory.get(memory_id, scope=scope)
    seen = None if memory is None else ClientMemory.of(memory)
    gone = None if seen else events.deleted_entities(server, caller.project_id, memory_id)
    entities = seen.entities if seen else gone or EntityIds()
    return [
        bodies.HistoryEntry(
            id=str(uuid.uuid5(_NAMESPACE, f"{memory_id}\n{index}")),
            memory_id=memory_id,
            input=[],
            old_memory=change.old_text,
            new_memory=change.new_text,
            user_id=entities.user_id,
            agent_id=entities.agent_id,
            app_id=entities.app_id,
            session_id=entities.run_id,
            event=change.event,
            metadata=None if memory is None else _json(_then(memory, change)),
            created_at=change.at,
            updated_at=change.at,
        )
        for index, change in enumerate(changes)
    ]


def _then(memory: Memory, change: MemoryChange) -> Mapping[str, object]:
    """Return the client's metadata of a memory after a change."""
    known = memory.metadata if change.metadata is None else change.metadata
    return ClientMemory.of(dataclasses.replace(memory, metadata=known)).metadata


# --- Many memories


@router.delete("/v1/memories/")
def delete_all(
    caller: CallerDep, server: ServerDep, query: Annotated[DeleteQuery, Query()]
) -> bodies.DeletedAll:
    """Delete all memories of entities; `*` stands for any id."""
    filters: bodies.Filters = query.model_dump(exclude_none=True)
    if query.metadata is not None:
        try:
            filters["metadata"] = json.loads(query.metadata)
        except ValueError:
            raise InvalidInputError("metadata must be a JSON object.") from None
    event_id = erasure.erase(server, caller.project_id, filters)
    return bodies.DeletedAll(message="Memories deleted successfully!", event_id=event_id)


@router.put("/v1/batch/")
def update_many(body: bodies.BatchUpdate, caller: CallerDep, server: ServerDep) -> bodies.Done:
    """Change many memories; if one of them does not exist, none is changed."""
    changes = [
        (_require(server, caller, change.memory_id), change.model_dump(exclude_unset=True))
        for change in body.memories
    ]
    _updated(server, caller, changes)
    return bodies.Done(message=f"Successfully updated {len(changes)} memories")


@router.delete("/v1/batch/")
def delete_many(body: bodies.BatchDelete, caller: CallerDep, server: ServerDep) -> bodies.Done:
    """Delete many memories; if one of them does not exist, none is deleted."""
    wanted = {one.memory_id: one for one in body.memories}
    memories = [_require(server, caller, memory_id) for memory_id in wanted]
    erasure.delete_memories(server, caller.project_id, memories)
    return bodies.Done(message=f"Successfully deleted {len(memories)} memories")


def _updated(
    server: Server, caller: Caller, changes: Sequence[tuple[Memory, Mapping[str, object]]]
) -> list[Memory]:
    wanted = []
    for old, given in changes:
        text, metadata = given.get("text"), changed_fields(given)
        if text is None and not metadata:
            raise InvalidInputError(
                "There is nothing to change: give a text, metadata, a timestamp or an "
                "expiration_date."
            )
        wanted.append((old, text if isinstance(text, str) else None, metadata or None))
    noted: list[tuple[EntityIds, events.Change]] = []
    updated: list[Memory] = []
    try:
        for old, new_text, values in wanted:
            new = server.memory.update(old.id, scope=old.scope, text=new_text, metadata=values)
            change = events.Change(new.id, "UPDATE", new.text, old.text)
            updated.append(new)
            noted.append((ClientMemory.of(new).entities, change))
    finally:
        events.record(server, caller.project_id, noted)
    return updated


def _require(server: Server, caller: Caller, memory_id: str) -> Memory:
    _check_uuid(memory_id)
    memory = server.memory.get(memory_id, scope=project_scope(caller.project_id))
    if memory is None:
        raise MemoryNotFoundError("Memory not found!")
    return memory


def _check_uuid(memory_id: str) -> None:
    if not is_uuid(memory_id):
        raise InvalidInputError("memory_id should be a valid UUID")


def _item(memory: ClientMemory, fields: Sequence[str] | None) -> bodies.Item:
    return bodies.Item.model_validate(_fields(memory, fields))


def _search_item(memory: ClientMemory, fields: Sequence[str] | None) -> bodies.SearchItem:
    return bodies.SearchItem.model_validate({**_fields(memory, fields), "score": memory.score})


def _fields(memory: ClientMemory, fields: Sequence[str] | None) -> dict[str, object]:
    found: dict[str, object] = {
        "id": memory.id,
        "memory": memory.text,
        **{key: getattr(memory.entities, key) for key in ENTITY_KEYS},
        "session_id": memory.entities.run_id,
        "metadata": memory.metadata,
        "categories": memory.categories,
        "role": memory.role,
        "structured_attributes": memory.structured_attributes,
        "expiration_date": memory.expiration_date,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
    }
    if not fields:
        return found
    return {key: value for key, value in found.items() if key in {"id", "memory", *fields}}


def _json(metadata: Mapping[str, object]) -> dict[str, JsonValue]:
    copied: dict[str, JsonValue] = json.loads(json.dumps(dict(metadata)))
    return copied
