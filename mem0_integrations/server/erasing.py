"""Deletes what a project has of entities: their memories, and what else remembers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import JsonValue

from mem0_integrations.errors import InvalidInputError, MemoryNotFoundError
from mem0_integrations.records import Memory
from mem0_integrations.server import events, exports, writes
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.reading import selected
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import Entities, project_scope, shown, write_scope

__all__ = ["delete_memories", "erase"]

_PATIENCE_SECONDS: Final = 10.0


def erase(server: Server, project_id: str, filters: Mapping[str, JsonValue]) -> str:
    """Delete what a project has of entities.

    Of whole entities everything goes: memories, their history, what Mem0 retains of what was
    said, writes that wait, facts of the graph. With a filter on metadata, or `*`, memories go one
    by one.

    Args:
        server: Where they are.
        project_id: The project.
        filters: What to delete: ids, each of which may be `*`, and perhaps `metadata`.

    Returns:
        The id of an event that says so.

    Raises:
        InvalidInputError: There is no id, or the filter is malformed.
        BackendError: The memory failed; some of it may be erased. Call it again.
    """
    query = compile_query(filters, project_id, show_expired=True)
    if not query.names_entity:
        raise InvalidInputError(
            "At least one of user_id, agent_id, app_id, run_id is needed: say whose memories are "
            "to be deleted."
        )
    began = now()
    ids = Entities.of({key: value for key, value in filters.items() if value != "*"}).ids
    whole = ids.keys() == filters.keys()
    told: list[Memory] = []
    if whole and not ids.keys() & {"app_id", "run_id"}:
        told = selected(server, query)
        events.hold(server, project_id, ids)
        server.memory.forget(project_scope(project_id, **ids))
    else:
        writes.settle_all(server, project_id, ids, _PATIENCE_SECONDS)
        found = selected(server, query)
        if whole:
            told = found
            # A session without memories may have messages.
            sessions = {memory.scope for memory in found}
            for scope in sessions | {write_scope(project_id, Entities.of(ids))}:
                server.memory.forget(scope)
        else:
            delete_memories(server, project_id, found, keep_text=False)
    if whole:
        events.forget(server, project_id, ids, until=began)
        exports.forget(server, project_id)
    return events.note_deletion(
        server, project_id, [events.Change(memory.id, "DELETE", memory.text) for memory in told]
    )


def delete_memories(
    server: Server, project_id: str, memories: Iterable[Memory], *, keep_text: bool = True
) -> None:
    """Delete memories one by one, note it, and tell the webhooks.

    Args:
        server: Where they are.
        project_id: The project.
        memories: Of that project; those that are gone already are passed over.
        keep_text: Whether the project's events still say what they were.
    """
    deleted: list[tuple[Entities, events.Change]] = []
    try:
        for memory in memories:
            try:
                server.memory.delete(memory.id, scope=memory.scope)
            except MemoryNotFoundError:
                continue
            change = events.Change(memory.id, "DELETE", memory.text)
            deleted.append((shown(memory).entities, change))
    finally:
        events.record(server, project_id, deleted, keep_text=keep_text)
