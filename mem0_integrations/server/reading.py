"""Reads all memories of a project that a filter asks for."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from mem0_integrations.records import Memory
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.filters import Query, compile_query
from mem0_integrations.server.tenancy import Shown, shown

__all__ = ["matching", "selected"]


def selected(server: Server, query: Query) -> list[Memory]:
    """Return all memories that a compiled filter asks for, newest first.

    Args:
        server: Where they are.
        query: The filter.

    Raises:
        BackendError: The memory could not be read.
    """
    found = server.memory.list(scope=query.scope, filters=query.filters, limit=sys.maxsize)
    return list(filter(query.accept, found))


def matching(
    server: Server,
    project_id: str,
    filters: Mapping[str, object] | None = None,
    *,
    show_expired: bool = False,
) -> list[Shown]:
    """Return all memories of a project that a filter asks for, newest first.

    Args:
        server: Where they are.
        project_id: The project.
        filters: As a client sends it; None for all.
        show_expired: Whether to return those whose last day is over, too.

    Raises:
        InvalidFilterError: The filter is malformed.
        BackendError: The memory could not be read.
    """
    query = compile_query(filters, project_id, show_expired=show_expired)
    return [shown(memory) for memory in selected(server, query)]
