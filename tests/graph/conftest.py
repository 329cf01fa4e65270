"""Every engine, for the contract; and the graph that a test fills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import Scope
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.engines.base import GraphEngine
from mem0_integrations.graph.engines.embedded import EmbeddedEngine
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.graph.facts import SpelledOut
from tests.servers.neo4j import BoltServer

ENGINES = ("embedded", "neo4j")


def open_engine(name: str, request: pytest.FixtureRequest, folder: Path) -> GraphEngine:
    match name:
        case "embedded":
            return EmbeddedEngine(folder / "graph.kg")
        case "neo4j":
            server: BoltServer = request.getfixturevalue("bolt_server")
            return Neo4jEngine(
                server.url,
                username=server.username,
                password=server.password,
                database=server.database,
            )
    raise ValueError(name)


@pytest.fixture(scope="session", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphEngine]:
    """One engine after the other, for the whole session."""
    opened = open_engine(request.param, request, tmp_path_factory.mktemp("graph"))
    yield opened
    opened.close()


@pytest.fixture
def extractor() -> SpelledOut:
    return SpelledOut()


@pytest.fixture
def graph(engine: GraphEngine, extractor: SpelledOut, minilm: Embeddings) -> GraphMemory:
    """A graph on each engine, whose extractor reads facts that are spelled out."""
    return GraphMemory(engine, extractor=extractor, embedder=minilm)


@pytest.fixture
def ann(user: str) -> Scope:
    return Scope(user_id=f"ann-{user}")


@pytest.fixture
def bob(user: str) -> Scope:
    return Scope(user_id=f"bob-{user}")
