"""The engine of a Bolt server of the tests."""

from __future__ import annotations

from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.servers.neo4j import BoltServer


def engine_of(server: BoltServer, **changed: object) -> Neo4jEngine:
    settings = {
        "username": server.username,
        "password": server.password,
        "database": server.database,
        **changed,
    }
    return Neo4jEngine(server.url, **settings)  # type: ignore[arg-type]
