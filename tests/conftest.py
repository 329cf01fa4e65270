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
from tests.extras import installable

if TYPE_CHECKING:
    from tests.stores import MiniLM

# They are plugins: pytest has to import them first.
pytest_plugins = [
    "tests.servers.neo4j",
    "tests.servers.neptune",
    "tests.servers.platform",
    "tests.servers.postgres",
    "tests.stores",
    "tests.paths",
]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave CrewAI's folder out where its extra cannot be installed."""
    folder = Path(__file__).with_name("crewai")
    return True if collection_path == folder and not installable("crewai") else None


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


@pytest.fixture(scope="session")
def on_embedded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[AgentMemory]:
    """A memory on the embedded default, with an embedder that is told to the tests."""
    yield from _on_store("embedded", tmp_path_factory, minilm, request)


@pytest.fixture(scope="session")
def on_pgvector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[AgentMemory]:
    """A memory on a database server."""
    yield from _on_store("pgvector", tmp_path_factory, minilm, request)


@pytest.fixture(scope="session")
def on_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMemory]:
    """A memory that speaks Mem0's protocol, to a server of ours on the embedded default."""
    from tests.servers.platform import serving
    from tests.stores import QUICK

    folder = tmp_path_factory.mktemp("platform")
    with (
        connect("embedded", data_dir=folder / "server") as served,
        serving(served, folder / "state.db") as server,
        connect(
            api_key=server.new_project().key, host=server.url, data_dir=folder, retry=QUICK
        ) as memory,
    ):
        yield memory


@pytest.fixture(scope="session", params=["embedded", "pgvector", "platform"])
def anywhere(request: pytest.FixtureRequest) -> AgentMemory:
    """One memory for all tests: on the embedded default, on a server, on Mem0's protocol."""
    memory: AgentMemory = request.getfixturevalue(f"on_{request.param}")
    return memory


@pytest.fixture(scope="session", params=["embedded", "pgvector"])
def with_vectors(request: pytest.FixtureRequest) -> AgentMemory:
    """As `anywhere`, where a Mem0 shows its vectors."""
    memory: AgentMemory = request.getfixturevalue(f"on_{request.param}")
    return memory


def _on_store(
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    minilm: MiniLM,
    request: pytest.FixtureRequest,
) -> Iterator[AgentMemory]:
    from tests.stores import open_store

    folder = tmp_path_factory.mktemp(kind)
    with (
        open_store(kind, folder, minilm, request) as store,
        store.connect(folder / "outbox.db") as memory,
    ):
        yield memory
