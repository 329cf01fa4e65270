"""A graph as Mem0 1.x wrote it, with the queries of 1.0.11 but for the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query

WRITTEN = datetime(2025, 3, 1, tzinfo=UTC)


def write(
    engine: GraphEngine,
    source: str,
    relationship: str,
    target: str,
    owner: Mapping[str, str],
    *,
    target_owner: Mapping[str, str] | None = None,
    labels: tuple[str, str] = ("__Entity__", "__Entity__"),
    day: int = 0,
    ended: int | None = None,
) -> None:
    """Write a relationship: since so many days after `WRITTEN`, and perhaps until then."""
    at = int((WRITTEN + timedelta(days=day)).timestamp() * 1000)
    ends = (("source", source, owner), ("target", target, target_owner or owner))
    nodes = " ".join(
        f"MERGE ({end}:`{label}` {{name: ${end}, "
        + ", ".join(f"{key}: ${end}_{key}" for key in ids)
        + f"}}) ON CREATE SET {end}.created = $at, {end}.mentions = 1"
        for (end, _, ids), label in zip(ends, labels, strict=True)
    )
    until = None if ended is None else (WRITTEN + timedelta(days=ended)).isoformat()
    parameters: dict[str, object] = {"at": at, "valid": ended is None}
    for end, name, ids in ends:
        parameters |= {end: name, **{f"{end}_{key}": value for key, value in ids.items()}}
    invalidated = "" if until is None else f", r.invalidated_at = datetime('{until}')"
    text = (
        f"{nodes} MERGE (source)-[r:`{relationship}`]->(target) "
        "ON CREATE SET r.created_at = $at, r.updated_at = $at, r.mentions = 1, r.valid = $valid"
        f"{invalidated}"
    )
    # The embedded engine has to know a property before it can be merged on.
    known = [
        query
        for label in dict.fromkeys(labels)
        for query in (
            f"MERGE (x:`{label}` {{name: ''}}) SET x.user_id = '', x.agent_id = '', x.run_id = ''",
            f"MATCH (x:`{label}` {{name: ''}}) DETACH DELETE x",
        )
    ]
    engine.run(Batch([Query(one) for one in known], write=True))
    engine.run(Batch([Query(text, parameters)], write=True))
