"""The server's state: other writers, folders, forks, and what a driver of SQLite does otherwise."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from mem0_integrations import AgentMemory, ConfigurationError, Memory, Scope
from mem0_integrations.records import WriteResult
from mem0_integrations.server import ServerSettings, create_app, writes
from mem0_integrations.server import state as states
from mem0_integrations.server.app import default_state_url
from mem0_integrations.server.auth import Caller, caller
from mem0_integrations.server.deliveries import deliveries
from mem0_integrations.server.events import StoredEvent, events, finish, insert
from mem0_integrations.server.state import State
from tests.servers.platform import Running, new_row, running_app, serving
from tests.servers.postgres import new_state

TEA = {"messages": "I like tea.", "user_id": "ann", "infer": False}


@pytest.fixture
def kept(shared: AgentMemory, tmp_path: Path) -> Iterator[Running]:
    """A server with a state of its own."""
    with serving(shared, tmp_path / "state.db") as server:
        yield server


def test_a_program_that_holds_the_file_does_not_make_requests_queue(
    shared: AgentMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would wait until all before it had given up."""
    monkeypatch.setattr(states, "_BUSY_SECONDS", 3)
    with (
        serving(shared, tmp_path / "state.db") as server,
        server.new_project().http() as http,
        closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other,
        ThreadPoolExecutor(8) as clients,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        answers = list(clients.map(lambda _: http.post("/v3/memories/add/", json=TEA), range(8)))
        assert {answer.status_code for answer in answers} == {503}
        # One behind the other they would take eight times as long as one.
        assert time.monotonic() - began < 2 * len(answers)
        other.execute("ROLLBACK")
        assert http.post("/v3/memories/add/", json=TEA).status_code == 200


def test_a_relative_path_is_that_of_the_start(
    shared: AgentMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs change their folder."""
    monkeypatch.chdir(tmp_path)
    app = create_app(shared, ServerSettings(state_url="sqlite:///state.db"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with running_app(app) as server, server.new_project().http() as http:
        assert http.post("/v3/memories/add/", json=TEA).status_code == 200
    assert os.listdir() == []


@pytest.mark.parametrize("name", ["a%41b", "what?", "é ü"])
def test_the_folder_of_the_data_may_have_any_name(tmp_path: Path, name: str) -> None:
    """It stands in a URL."""
    State(default_state_url(tmp_path / name)).close()
    assert (tmp_path / name / "server" / "state.db").is_file()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "url",
    ["sqlite:///file::memory:?cache=shared&uri=true", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    """Keys and events would be gone with the process."""
    with pytest.raises(ConfigurationError):
        State(url)


def test_a_file_by_its_uri_may_lie_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path in a URI is no folder to make."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    State(f"sqlite:///file:{tmp_path / 'there' / 'state.db'}?uri=true").close()
    assert sorted(os.listdir(tmp_path)) == ["there"]
    assert (tmp_path / "there" / "state.db").is_file()


def test_a_damaged_file_is_told_as_every_database_tells_it(tmp_path: Path) -> None:
    """Whoever catches SQLAlchemy's errors must catch them all."""
    path = tmp_path / "state.db"
    state = State(f"sqlite:///{path}")
    state.close()
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(DBAPIError), state.begin():
        pass
    with pytest.raises(DBAPIError):
        insert(state, new_row("p"))


def test_a_fork_waits_for_nobody_it_left_behind(tmp_path: Path) -> None:
    """A lock that another thread held at the fork is never released in the child."""
    program = """
import os, sys
from tests.servers.platform import new_row
from mem0_integrations.server.events import insert
from mem0_integrations.server.state import State
state = State(sys.argv[1])
insert(state, new_row("parent"))
with state._files["durable"]._lock:
    if (child := os.fork()) == 0:
        insert(state, new_row("child"))
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
insert(state, new_row("parent"))
"""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "7"
    state = State(url)
    with state.reading() as connection:
        names = connection.execute(sa.select(events.c.project_id)).scalars().all()
    state.close()
    assert sorted(names) == ["child", "parent", "parent"]


def test_a_key_that_is_freed_in_this_moment_is_taken_again(
    kept: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 tells a client that its key had another body."""
    select, key = writes.select, {"Idempotency-Key": "turn-1"}  # type: ignore[attr-defined]
    with kept.new_project().http() as http:
        first = http.post("/v3/memories/add/", json=TEA, headers=key).json()

        def freed_first(state: State, *which: Any) -> Sequence[StoredEvent]:
            monkeypatch.setattr(writes, "select", select)
            http.delete("/v1/memories/", params={"user_id": "ann"}).raise_for_status()
            return select(state, *which)

        monkeypatch.setattr(writes, "select", freed_first)
        again = http.post("/v3/memories/add/", json=TEA, headers=key)
    assert again.status_code == 200, again.text
    assert again.json()["event_id"] != first["event_id"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_webhook_hears_of_all_that_ends_after_it_was_made(
    kind: str, shared: AgentMemory, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also of an event that is waiting for its row in this moment."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    if kind == "postgresql":
        url = new_state(request.getfixturevalue("postgres_url"))
    stored = WriteResult("stored", (Memory(id="m", text="I like tea.", scope=Scope(user_id="a")),))
    # Without its threads, which would deliver.
    app = create_app(shared, ServerSettings(state_url=url))
    state = app.state.server.state
    with running_app(app) as running:
        project = running.new_project()
        running.server.stop(5)
        row = new_row(project.id)
        insert(state, row)
        ending = threading.Thread(target=finish, args=(running.server, row, stored))
        hook = {"url": "http://127.0.0.1:9/", "name": "n", "event_types": ["memory_add"]}
        path = f"/api/v1/webhooks/projects/{project.id}/"
        with project.http() as http:
            with state.begin() as connection:
                connection.execute(events.update().values(status="RUNNING"))
                ending.start()
                if kind == "postgresql":
                    # It has begun, and waits for the row.
                    time.sleep(0.5)
                    http.post(path, json=hook).raise_for_status()
            if kind == "sqlite":
                ending.join(10)
                http.post(path, json=hook).raise_for_status()
                later = new_row(project.id)
                insert(state, later)
                finish(running.server, later, stored)
        ending.join(10)
        with state.reading() as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(deliveries))
            assert count.scalar_one() == 1


def test_an_answer_is_given_when_the_server_stops(shared: AgentMemory, tmp_path: Path) -> None:
    """It stops for good after a while, whatever is still waited for."""
    app = create_app(shared, ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}"))
    go_on, arrived = threading.Event(), threading.Event()
    accept = writes.accept

    def slowly(*args: Any, **options: Any) -> StoredEvent:
        arrived.set()
        go_on.wait(20)
        return accept(*args, **options)

    with ThreadPoolExecutor(1) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writes, "accept", slowly)
        with running_app(app, patience=1) as server:
            http = server.new_project().http()
            asked = client.submit(http.post, "/v3/memories/add/", json=TEA)
            assert arrived.wait(10)
        answer = asked.result(10)
        go_on.set()
        http.close()
    assert answer.status_code == 503
    assert "shutting down" in answer.json()["detail"]
    assert answer.headers["retry-after"]


def test_it_may_be_a_part_of_another_application(shared: AgentMemory, tmp_path: Path) -> None:
    """Its own pages are not in the protocol, wherever they lie."""
    outer = FastAPI()
    settings = ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}")
    outer.mount("/memory", create_app(shared, settings))
    with running_app(outer) as server:
        for path in ("/health", "/metrics", "/docs", "/openapi.json", "/v1/ping/"):
            assert httpx.get(f"{server.url}/memory{path}").status_code == 200, path


def test_its_dependencies_can_be_replaced(shared: AgentMemory, tmp_path: Path) -> None:
    """As those of every FastAPI application."""
    app = create_app(shared, ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}"))
    app.dependency_overrides[caller] = lambda: Caller("zed", "org", "zed@localhost")
    with running_app(app) as server:
        assert httpx.get(f"{server.url}/v1/ping/").json()["project_id"] == "zed"
