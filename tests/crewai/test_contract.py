"""The contract tests of `crewai-memory-core`, unmodified, on the embedded default and a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crewai_memory_core.contract import *  # noqa: F403
from crewai_memory_core.contract import DIMS
from crewai_memory_core.testing import FakeEmbedder
from langchain_core.embeddings import Embeddings

from mem0_integrations.crewai import Mem0Storage
from tests.stores import open_store


class Fake(Embeddings):
    """The embedder of the contract, as a LangChain one."""

    def __init__(self) -> None:
        self._embedder = FakeEmbedder(DIMS)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedder(texts)

    def embed_query(self, text: str) -> list[float]:
        return self._embedder([text])[0]


@pytest.fixture(params=["embedded", "pgvector", "qdrant"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mem0Storage]:
    with (
        open_store(request.param, tmp_path / "store", Fake(), request) as store,
        store.connect(tmp_path / "outbox.db") as memory,
    ):
        yield Mem0Storage(memory, user_id="customer-1")
