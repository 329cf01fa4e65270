"""One server for the tests of this folder, and a tenant for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from mem0 import MemoryClient

from mem0_integrations import AgentMemory
from mem0_integrations.server import ServerSettings, create_app
from tests.servers.platform import Project, Running, running_app


@pytest.fixture(scope="session")
def running(shared: AgentMemory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests, on the embedded default; each test has a project of its own."""
    folder = tmp_path_factory.mktemp("server")
    settings = ServerSettings(
        state_url=f"sqlite:///{folder / 'state.db'}", cors_origins=("https://app.example.com",)
    )
    with running_app(create_app(shared, settings)) as server:
        # From the first key on, every request needs one.
        server.new_project()
        yield server


@pytest.fixture
def project(running: Running) -> Project:
    """A tenant that no other test knows."""
    return running.new_project()


@pytest.fixture
def http(project: Project) -> Iterator[httpx.Client]:
    """Plain HTTP with the key of the project."""
    with project.http() as client:
        yield client


@pytest.fixture
def stranger(running: Running) -> Iterator[MemoryClient]:
    """Mem0's own client with the key of another project."""
    client = running.new_project().client()
    yield client
    client.client.close()


@pytest.fixture
def client(project: Project) -> Iterator[MemoryClient]:
    """Mem0's own client with the key of the project."""
    client = project.client()
    yield client
    client.client.close()
