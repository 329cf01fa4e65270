"""The table of exports: jobs that write out the memories that meet a filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.errors import log_failure
from mem0_integrations.server.projects import project_column
from mem0_integrations.server.queries import matching
from mem0_integrations.server.state import TABLES, Moment, State, now
from mem0_integrations.server.tenancy import ENTITY_KEYS, ClientMemory
from mem0_integrations.server.workers import Worker

__all__ = ["RETENTION", "exports", "forget", "shape", "worker"]

RETENTION: Final = timedelta(days=7)
# A job that takes longer, or whose process died, is done by another worker.
_LEASE: Final = timedelta(seconds=30)
_ATTEMPTS: Final = 5

exports: Final = sa.Table(
    "exports",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    project_column(),
    sa.Column("schema", sa.JSON, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("filters_hash", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("claimed_until", Moment),
    sa.Column("result", sa.JSON),
    sa.Column("created_at", Moment, nullable=False),
)


def worker(server: Server) -> Worker:
    """Return the worker that makes the exports of a server."""
    return Worker("exports", partial(_work, server))


def forget(server: Server, project_id: str) -> None:
    """Erase the exports of a project, and start those again that are being made."""
    with server.state.begin() as connection:
        connection.execute(exports.delete().filter_by(project_id=project_id, status="done"))
        connection.execute(
            exports.update()
            .filter_by(project_id=project_id, status="running")
            .values(status="pending")
        )


def shape(memories: Sequence[ClientMemory], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return memories with the fields that a JSON schema asks for.

    Its `properties` name fields of a memory, or keys of its metadata; if none of them does, all
    fields are returned.

    Example:
        >>> from mem0_integrations.server.tenancy import EntityIds
        >>> tea = ClientMemory("m1", "I like tea.", EntityIds(user_id="ann"), {}, None, None)
        >>> shape([tea], {"properties": {"memory": {}, "user_id": {}}})
        [{'memory': 'I like tea.', 'user_id': 'ann'}]
    """
    records = [_record(memory) for memory in memories]
    known = {key for record in records for key in (*record, *record["metadata"])}
    wanted = [key for key in _properties(schema) if key in known]
    if not wanted:
        return records
    return [
        {key: record.get(key, record["metadata"].get(key)) for key in wanted} for record in records
    ]


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    match properties.get("memories"):
        case {"items": {"properties": Mapping() as inner}}:
            return list(inner)
    return list(properties)


def _record(memory: ClientMemory) -> dict[str, Any]:
    return {
        "id": memory.id,
        "memory": memory.text,
        **{key: memory.entities.ids.get(key) for key in ENTITY_KEYS},
        "metadata": dict(memory.metadata),
        "categories": list(memory.categories),
        "created_at": memory.created_at and memory.created_at.isoformat(),
        "updated_at": memory.updated_at and memory.updated_at.isoformat(),
        "expiration_date": memory.expiration_date and memory.expiration_date.isoformat(),
    }


def _work(server: Server) -> bool:
    job = _claim(server.state)
    if job is None:
        return False
    try:
        memories = matching(server, job.project_id, job.filters)
        outcome = {"status": "done", "result": {"memories": shape(memories, job.schema)}}
    except Exception as error:
        if getattr(error, "retryable", False) and job.attempts + 1 < _ATTEMPTS:
            # Once more, when the lease has ended.
            return False
        outcome = {"status": "failed"}
        log_failure("export", {}, error)
    mine = {"id": job.id, "status": "running", "attempts": job.attempts + 1}
    server.state.change(exports.update().filter_by(**mine).values(**outcome))
    return True


def _claim(state: State) -> sa.Row[Any] | None:
    """Claim the oldest free job, so that no other worker takes it; returns its row before that."""
    at = now()
    is_free = sa.or_(
        exports.c.status == "pending",
        sa.and_(exports.c.status == "running", exports.c.claimed_until < at),
    )
    free = state.rows(exports.select().where(is_free).order_by(exports.c.created_at).limit(1))
    if not free:
        return None
    (oldest,) = free
    with state.begin() as connection:
        connection.execute(exports.delete().where(exports.c.created_at < at - RETENTION))
        claimed = connection.execute(
            exports.update()
            .where(exports.c.id == oldest.id, is_free)
            .values(status="running", claimed_until=at + _LEASE, attempts=exports.c.attempts + 1)
        ).rowcount
    return oldest if claimed else None
