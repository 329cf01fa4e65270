"""Erasure: deletes memories, and all other data of the entities to which they belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import JsonValue

from mem0_integrations.errors import InvalidInputError, MemoryNotFoundError
from mem0_integrations.records import Memory
from mem0_integrations.server import events, exports, writes
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.queries import selected
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import ClientMemory, EntityIds, project_scope, write_scope

__all__ = ["delete_memories", "erase"]

_PATIENCE_SECONDS: Final = 10.0


def erase(server: Server, project_id: str, filters: Mapping[str, JsonValue]) -> str:
    """Delete the data of entities in a project; returns the id of the event that records it.

    With ids alone, all data of the entities is deleted: memories, their history, the messages
    that Mem0 retains, waiting writes, facts of the graph. With a filter on metadata, or `*`,
    single memories are deleted.

    Raises:
        InvalidInputError: There is no id, or the filter is malformed.
        BackendError: The memory failed, perhaps after a part was deleted; call it again.
    """
    query = compile_query(filters, project_id, show_expired=True)
    if not query.names_entity:
        raise InvalidInputError(
            "At least one of user_id, agent_id, app_id, run_id is needed: say whose memories are "
            "to be deleted."
        )
    began = now()
    ids = EntityIds.of({key: value for key, value in filters.items() if value != "*"}).ids
    whole = ids.keys() == filters.keys()
    erased: list[Memory] = []
    if whole and not ids.keys() & {"app_id", "run_id"}:
        erased = selected(server, query)
        events.hold(server, project_id, ids)
        server.memory.forget(project_scope(project_id, **ids))
    else:
        writes.settle_all(server, project_id, ids, _PATIENCE_SECONDS)
        found = selected(server, query)
        if whole:
            erased = found
            # A session without memories may have messages.
            sessions = {memory.scope for memory in found}
            for scope in sessions | {write_scope(project_id, EntityIds.of(ids))}:
                server.memory.forget(scope)
        else:
            delete_memories(server, project_id, found, keep_text=False)
    if whole:
        events.forget(server, project_id, ids, until=began)
        exports.forget(server, project_id)
    return events.record_erasure(
        server, project_id, [events.Change(memory.id, "DELETE", memory.text) for memory in erased]
    )


def delete_memories(
    server: Server, project_id: str, memories: Iterable[Memory], *, keep_text: bool = True
) -> None:
    """Delete memories of a project one by one, record it, and tell the webhooks.

    Memories that no longer exist are skipped. The events keep the texts only with `keep_text`.
    """
    deleted: list[tuple[EntityIds, events.Change]] = []
    try:
        for memory in memories:
            try:
                server.memory.delete(memory.id, scope=memory.scope)
            except MemoryNotFoundError:
                continue
            change = events.Change(memory.id, "DELETE", memory.text)
            deleted.append((ClientMemory.of(memory).entities, change))
    finally:
        events.record(server, project_id, deleted, keep_text=keep_text)
