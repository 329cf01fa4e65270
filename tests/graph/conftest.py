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
from tests.graph.facts import SpelledOut

ENGINES = ("embedded",)


def open_engine(name: str, request: pytest.FixtureRequest, folder: Path) -> GraphEngine:
    match name:
        case "embedded":
            return EmbeddedEngine(folder / "graph.kg")
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
