from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pytest

from mem0_integrations import AgentMemory, InvalidInputError, ScopeError
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.auth import is_loopback
from mem0_integrations.server.keys import create_key, has_keys, list_keys, revoke_key
from mem0_integrations.server.state import State
from tests.servers.platform import Project, Running, running_app


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Token {key}"},
        {"Authorization": "Bearer {key}"},
        {"Authorization": "token  {key}"},
        {"X-API-Key": "{key}"},
        {"Authorization": "Basic of-a-proxy", "X-API-Key": "{key}"},
    ],
)
def test_a_key_may_come_in_any_of_the_headers_that_clients_use(
    headers: dict[str, str], project: Project
) -> None:
    """Mem0's clients say Token, HTTP tools say Bearer, its old server wanted X-API-Key."""
    sent = {name: value.format(key=project.key) for name, value in headers.items()}
    answer = httpx.get(f"{project.url}/v1/ping/", headers=sent)
    assert answer.json() == {
        "status": "ok",
        "org_id": "default",
        "project_id": project.id,
        "user_email": f"{project.id}@localhost",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "{key}"},
        {"Authorization": "Basic {key}"},
        {"Authorization": "Token {key}x"},
        {"Authorization": "Token m0-unknown"},
        {"Authorization": "Token", "X-API-Key": "{key}"},
        {"X-API-Key": ""},
    ],
)
def test_without_a_good_key_nothing_is_answered(headers: dict[str, str], project: Project) -> None:
    """The clients show `detail`, and nothing else, to their users."""
    sent = {name: value.format(key=project.key) for name, value in headers.items()}
    answer = httpx.get(f"{project.url}/v1/entities/", headers=sent)
    assert answer.status_code == 401
    assert list(answer.json()) == ["detail"]
    assert answer.headers["www-authenticate"] == "Token"


def test_a_revoked_key_is_refused_at_once(running: Running, project: Project) -> None:
    """A key that leaked must not work until somebody restarts the server."""
    with project.http() as http:
        assert http.get("/v1/ping/").status_code == 200
        revoke_key(running.server.state, project.key)
        assert http.get("/v1/ping/").status_code == 401


def test_keys_are_kept_as_hashes(state: State, tmp_path: Path) -> None:
    """Who copies the file cannot call the server."""
    key = create_key(state, "acme", "laptop")
    assert key.startswith("m0-")
    assert len(key) == 43
    (shown,) = list_keys(state)
    assert (shown.project_id, shown.name, shown.prefix) == ("acme", "laptop", key[:11])
    with sqlite3.connect(tmp_path / "state.db") as connection:
        dump = "\n".join(connection.iterdump())
    assert key[:11] in dump
    assert key[11:] not in dump


def test_a_key_is_revoked_by_its_beginning_if_that_tells_it_apart(state: State) -> None:
    """Revoking the wrong one of two would stop a program that works."""
    first, second = create_key(state, "acme"), create_key(state, "acme")
    with pytest.raises(InvalidInputError, match="2 keys"):
        revoke_key(state, "m0-")
    assert revoke_key(state, first[:11]).prefix == first[:11]
    with pytest.raises(InvalidInputError, match="No keys"):
        revoke_key(state, first)
    by_id = next(key.id for key in list_keys(state) if key.revoked_at is None)
    assert revoke_key(state, by_id).prefix == second[:11]
    with pytest.raises(InvalidInputError):
        revoke_key(state, "")


def test_a_server_whose_keys_are_revoked_is_not_open(state: State) -> None:
    """Revoking the last key must not mean that everyone may come in."""
    revoke_key(state, create_key(state, "acme"))
    assert has_keys(state)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
def test_a_project_needs_an_id_that_a_scope_can_have(name: str, state: State) -> None:
    """It is the tenant of every memory."""
    with pytest.raises(ScopeError, match="project"):
        create_key(state, name)
    assert list_keys(state) == []


def test_without_any_key_only_the_machine_itself_is_answered(
    shared: AgentMemory, tmp_path: Path
) -> None:
    """A page of another site can resolve its own name to 127.0.0.1; it must not get in."""
    settings = ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}")
    with running_app(create_app(shared, settings)) as server:
        assert httpx.get(f"{server.url}/v1/ping/").json()["project_id"] == "default"
        foreign = {"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}
        for headers in foreign:
            assert httpx.get(f"{server.url}/v1/ping/", headers=headers).status_code == 401
        own = {"Origin": server.url}
        assert httpx.get(f"{server.url}/v1/ping/", headers=own).status_code == 200
        project = server.new_project()
        assert httpx.get(f"{server.url}/v1/ping/").status_code == 401
        assert httpx.get(f"{server.url}/v1/ping/", headers=project.headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
        ("", False),
        (None, False),
    ],
)
def test_loopback_is_told_from_everything_else(host: str | None, loopback: bool) -> None:
    """Without a key, this is all that keeps others out."""
    assert is_loopback(host) is loopback
