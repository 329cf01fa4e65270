"""Every engine, for the contract; and the graph that a test fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import Scope
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.engines.base import GraphEngine
from mem0_integrations.graph.engines.embedded import EmbeddedEngine
from mem0_integrations.graph.engines.neptune import NeptuneAnalyticsEngine, NeptuneDatabaseEngine
from tests.graph.facts import SpelledOut
from tests.graph.servers import engine_of
from tests.servers.neo4j import BoltServer
from tests.servers.neptune import running_neptune

ENGINES = ("embedded", "neo4j", "neptune analytics", "neptune database")


@contextmanager
def open_engine(name: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[GraphEngine]:
    """Open an engine on a real server, or on an endpoint that answers as Neptune does."""
    match name:
        case "embedded":
            engine: GraphEngine = EmbeddedEngine(folder / "graph.kg")
        case "neo4j":
            server: BoltServer = request.getfixturevalue("bolt_server")
            engine = engine_of(server)
        case "neptune analytics":
            with running_neptune("analytics", folder) as endpoint:
                yield NeptuneAnalyticsEngine(endpoint.graph_identifier, client=endpoint.client())
            return
        case "neptune database":
            with running_neptune("database", folder) as endpoint:
                yield NeptuneDatabaseEngine(endpoint.host, client=endpoint.client())
            return
        case _:
            raise ValueError(name)
    yield engine
    engine.close()


@pytest.fixture(scope="session", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphEngine]:
    """One engine after the other, for the whole session."""
    with open_engine(request.param, request, tmp_path_factory.mktemp("graph")) as opened:
        yield opened


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
