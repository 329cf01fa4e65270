"""A real server of ours: uvicorn on a loopback port, over a real memory."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from mem0 import MemoryClient

from mem0_integrations import AgentMemory
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.events import StoredEvent
from mem0_integrations.server.keys import create_key
from mem0_integrations.server.state import now
from tests.processes import environment

COMMAND = Path(sys.executable).with_name("mem0-integrations")


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    app: FastAPI

    @property
    def server(self) -> Server:
        server: Server = self.app.state.server
        return server

    def new_project(self, project_id: str | None = None) -> Project:
        project_id = project_id or f"project-{uuid.uuid4().hex}"
        return Project(self.url, project_id, create_key(self.server.state, project_id))


@dataclass(frozen=True)
class Project:
    """A tenant and its key."""

    url: str
    id: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.key}"}

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30)

    def client(self) -> MemoryClient:
        return MemoryClient(api_key=self.key, host=self.url)


def new_row(project_id: str, **more: Any) -> StoredEvent:
    """An add that nobody has carried out yet, to be kept among the events."""
    at = now()
    return StoredEvent(
        id=str(uuid.uuid4()),
        project_id=project_id,
        event_type="ADD",
        status="PENDING",
        created_at=at,
        updated_at=at,
        **more,
    )


@contextmanager
def running_app(app: FastAPI, patience: int | None = None) -> Iterator[Running]:
    """Serve an application on a free port; its lifespan ends with the block.

    Args:
        app: The application.
        patience: Seconds that requests may still take then; None for as long as they need.
    """
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=patience,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "The server did not start."
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def serving(memory: AgentMemory, state: Path) -> Iterator[Running]:
    """Serve a memory."""
    with running_app(create_app(memory, ServerSettings(state_url=f"sqlite:///{state}"))) as server:
        yield server


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


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve in a process of its own until the block ends; yields its URL."""
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [COMMAND, "serve", "--port", "0", *arguments],
            env=environment(HOME=str(folder), MEM0_DIR=str(folder / "data")),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield _url(log, process), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()


def _url(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        text = log.read_text()
        running = re.search(r"running on (http://\S+)", text)
        if running and "startup complete" in text:
            return running[1]
        assert process.poll() is None, text
        time.sleep(0.1)
    raise AssertionError(log.read_text())
