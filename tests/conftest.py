"""What all tests share: a data folder of their own, and nothing of the developer's environment."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Mem0 and CrewAI read their environment when they are imported.
os.environ["MEM0_TELEMETRY"] = "False"
os.environ.pop("MEM0_API_KEY", None)
os.environ["CREWAI_DISABLE_TELEMETRY"] = os.environ["OTEL_SDK_DISABLED"] = "true"
os.environ["CREWAI_TRACING_ENABLED"] = "false"

import pytest

from mem0_integrations import AgentMemory, connect

if TYPE_CHECKING:
    from tests.stores import MiniLM

# They are plugins: pytest has to import them first.
pytest_plugins = [
    "tests.servers.neo4j",
    "tests.servers.neptune",
    "tests.servers.postgres",
    "tests.stores",
]


@pytest.fixture(scope="session", autouse=True)
def _mem0_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MEM0_DIR"] = str(tmp_path_factory.mktemp("mem0"))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is used by default, and that nobody else uses."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MEM0_DIR", str(folder))
    return folder


@pytest.fixture
def memory(data_dir: Path) -> Iterator[AgentMemory]:
    """A fresh memory on the embedded default."""
    with connect() as connected:
        yield connected


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMemory]:
    """One memory for all tests; each has a user of its own."""
    with connect("embedded", data_dir=tmp_path_factory.mktemp("shared")) as memory:
        yield memory


@pytest.fixture
def user() -> str:
    """A user that no other test knows."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture(scope="session", params=["embedded", "pgvector"])
def anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[AgentMemory]:
    """One memory for all tests, on the embedded default and on a server."""
    from tests.stores import open_store

    folder = tmp_path_factory.mktemp(f"anywhere-{request.param}")
    with (
        open_store(request.param, folder, minilm, request) as store,
        store.connect(folder / "outbox.db") as memory,
    ):
        yield memory
