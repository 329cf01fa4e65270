"""Deletes what a project has of entities: their memories, and what else remembers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import JsonValue

from mem0_integrations.errors import InvalidInputError, MemoryNotFoundError
from mem0_integrations.records import Memory
from mem0_integrations.server import events, exports
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.reading import selected
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import Entities, project_scope, shown, write_scope

__all__ = ["delete_memories", "erase"]

_PATIENCE_SECONDS: Final = 10.0


def erase(server: Server, project_id: str, filters: Mapping[str, JsonValue]) -> str:
    """Delete what a project has of entities.

    Of users, agents and applications everything goes: memories, their history, what Mem0
    retains of what was said, writes that wait, facts of the graph. The memories of a session go
    one by one, because those of its user stay.

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
    if whole and "run_id" not in ids:
        told = selected(server, query)
        events.hold(server, project_id, ids)
        server.memory.forget(project_scope(project_id, **ids))
    else:
        told = []
        events.settle_all(server, project_id, ids, _PATIENCE_SECONDS)
        delete_memories(server, project_id, selected(server, query), keep_text=False)
        if whole and ids.keys() == {"run_id"}:
            server.memory.forget(write_scope(project_id, Entities.of(ids)))
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
