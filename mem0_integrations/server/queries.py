"""Queries: all memories of a project that meet a filter."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from mem0_integrations.records import Memory
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.filters import MemoryQuery, compile_query
from mem0_integrations.server.tenancy import ClientMemory

__all__ = ["matching", "selected"]


def selected(server: Server, query: MemoryQuery) -> list[Memory]:
    """Return all memories that meet a compiled filter, newest first."""
    found = server.memory.list(scope=query.scope, filters=query.filters, limit=sys.maxsize)
    return list(filter(query.accept, found))


def matching(
    server: Server,
    project_id: str,
    filters: Mapping[str, object] | None = None,
    *,
    show_expired: bool = False,
) -> list[ClientMemory]:
    """Return all memories of a project that meet a client's filter, newest first."""
    query = compile_query(filters, project_id, show_expired=show_expired)
    return [ClientMemory.of(memory) for memory in selected(server, query)]
