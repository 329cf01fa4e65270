from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    ConfigurationError,
    InvalidInputError,
    OutboxFullError,
    StorageError,
    connect,
)
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.state import State
from tests.servers.platform import Project, Running, running_app
from tests.servers.postgres import new_state

ORIGIN = "https://app.example.com"


def test_paths_work_with_and_without_the_slash_at_the_end(http: httpx.Client) -> None:
    """Mem0's clients send it and do not follow a redirect; people forget it."""
    with_it, without = http.get("/v1/ping/"), http.get("/v1/ping")
    assert with_it.status_code == without.status_code == 200
    assert with_it.json() == without.json()
    for path in ("/health", "/metrics", "/docs", "/openapi.json"):
        assert http.get(path).status_code == http.get(f"{path}/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v9/nothing/", 404), ("GET", "/v1/exports/", 405), ("PATCH", "/v1/ping/", 405)],
)
def test_an_unknown_endpoint_is_answered_with_a_sentence(
    method: str, path: str, status: int, http: httpx.Client
) -> None:
    """The clients expect JSON whatever happens."""
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")


def test_a_wrong_method_is_answered_with_the_right_ones(http: httpx.Client) -> None:
    """Several endpoints may share a path."""
    answer = http.request("PATCH", "/api/v1/webhooks/projects/p/")
    assert answer.headers["allow"] == "GET, POST"
    assert http.post("/docs").headers["allow"] == "GET"


def test_a_body_that_does_not_say_that_it_is_json_is_told_how(http: httpx.Client) -> None:
    """`curl --data` says that it is a form."""
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        body = b'{"query": "tea", "filters": {"user_id": "ann"}}'
        headers = {"Content-Type": kind}
        answer = http.post("/v3/memories/search/", content=body, headers=headers)
        assert answer.status_code == 400
        assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_malformed_body_is_named_without_quoting_it(http: httpx.Client) -> None:
    """422 is not in the Platform's protocol; what was sent may be private."""
    answer = http.post("/v1/feedback/", json={"memory_id": {"secret": "peanuts"}})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "memory_id: Input should be a valid string."}
    broken = http.post(
        "/v1/feedback/", content=b'{"memory_id', headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400
    assert broken.json() == {"detail": "The body is not valid JSON."}


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (InvalidInputError("Say which."), 400, None),
        (OutboxFullError("peanuts"), 429, "1"),
        (BackendTimeoutError("peanuts", retryable=True), 503, "1"),
        (BackendError("peanuts", retryable=True, retry_after=2.5), 503, "3"),
        (BackendError("peanuts"), 502, None),
        (StorageError("peanuts"), 500, None),
        (OperationalError("peanuts", None, Exception("peanuts")), 503, "1"),
        (ZeroDivisionError("peanuts"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_failures_have_the_status_that_says_whether_to_try_again(
    *,
    error: Exception,
    status: int,
    wait: str | None,
    running: Running,
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Clients decide by it; neither they nor the log get to see what the error quotes."""

    def fail(*_: object, **__: object) -> None:
        raise error

    with caplog.at_level(logging.INFO), monkeypatch.context() as patch:
        patch.setattr(running.server.memory, "list", fail)
        answer = http.get("/v1/entities/")
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert answer.headers.get("retry-after") == wait
    assert "peanuts" not in answer.text + caplog.text


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere_kept(
    request: pytest.FixtureRequest, project: Project, shared: AgentMemory
) -> Iterator[Project]:
    """A tenant whose server keeps its state here, or there."""
    if request.param == "sqlite":
        yield project
        return
    url = new_state(request.getfixturevalue("postgres_url"))
    with running_app(create_app(shared, ServerSettings(state_url=url))) as server:
        yield server.new_project()


def test_what_cannot_be_kept_is_the_fault_of_the_request(anywhere_kept: Project) -> None:
    """JSON allows what a database, or the answer to a later request, does not."""
    calls = [
        ("POST", "/v1/users/", '{"user_id": "u", "metadata": {"a": %s}}'),
        ("POST", "/v1/agents/", '{"agent_id": %s}'),
        ("POST", "/v1/exports/", '{"schema": {"a": %s}}'),
        ("POST", "/v1/exports/get/", '{"memory_export_id": %s}'),
        ("POST", "/v1/feedback/", '{"memory_id": "m", "feedback_reason": %s}'),
        ("POST", "/v1/summary/", '{"filters": {"user_id": %s}}'),
        ("DELETE", "/api/v1/webhooks/%%00/", "%s"),
    ]
    values = ['"\\ud800"', '"\\u0000"', "NaN", "1e999", "[" * 5_000 + "]" * 5_000]
    header = {"Content-Type": "application/json"}
    with anywhere_kept.http() as http:
        for method, path, body in calls:
            for value in values:
                answer = http.request(method, path, content=body % value, headers=header)
                assert answer.status_code < 500, (path, value[:9], answer.text)
                assert answer.json()
        assert http.get("/v1/entities/").status_code == 200


def test_bodies_that_are_too_large_are_refused(http: httpx.Client) -> None:
    """One request must not fill the memory of the machine, whether it says its size or not."""
    said = http.post("/v1/summary/", json={"filters": {"user_id": "x" * 2_000_000}})
    assert said.status_code == 413
    assert "1048576 bytes" in said.json()["detail"]

    def chunks() -> Iterator[bytes]:
        yield b'{"filters": {"user_id": "'
        for _ in range(200):
            yield b"x" * 10_000

    chunked = http.post(
        "/v1/summary/", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert chunked.status_code == 413
    assert chunked.json() == said.json()


def test_pages_of_allowed_origins_may_call_from_a_browser(project: Project) -> None:
    """Browser extensions use Mem0's client; the preflight asks for each of its headers."""
    asked = "authorization,content-type,mem0-user-id,x-mem0-client,x-mem0-source,x-application"
    preflight = httpx.options(
        f"{project.url}/v3/memories/search/",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    refused = httpx.get(f"{project.url}/v1/ping/", headers={"Origin": ORIGIN})
    assert refused.status_code == 401
    # Without it, the page could not even read why.
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    foreign = httpx.get(f"{project.url}/v1/ping/", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


def test_a_key_that_calls_too_often_is_told_when_to_come_back(
    shared: AgentMemory, tmp_path: Path
) -> None:
    """Mem0's client reads whole seconds, and these three headers."""
    settings = ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}", rate_limit="2/minute")
    with running_app(create_app(shared, settings)) as server:
        first, second = server.new_project(), server.new_project()
        with first.http() as http:
            left = [http.get("/v1/ping/").headers["x-ratelimit-remaining"] for _ in range(2)]
            refused = http.get("/v1/ping/")
        assert left == ["1", "0"]
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-limit"] == "2"
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert int(refused.headers["x-ratelimit-reset"]) > 1_700_000_000
        with second.http() as http:
            assert http.get("/v1/ping/").status_code == 200


def test_the_log_names_neither_what_was_sent_nor_whose_it_is(
    http: httpx.Client, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """A path may hold the name of a user, a query a whole metadata filter."""
    with caplog.at_level(logging.INFO, logger="mem0_integrations"):
        http.delete("/v2/entities/user/priya-from-oslo/?note=peanuts")
        # The answer is sent before it is logged.
        for _ in range(100):
            if project.id in caplog.text:
                break
            time.sleep(0.02)
    ours = [record.getMessage() for record in caplog.records if "mem0_integ" in record.name]
    (line,) = (one for one in ours if project.id in one)
    assert line.startswith("DELETE /v2/entities/{entity_type}/{name}/ 404 ")
    assert not any("priya" in one or "peanuts" in one for one in ours)


def test_health_says_what_is_down(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer asks it without a key."""
    answer = httpx.get(f"{running.url}/health")
    assert answer.status_code == 200
    outbox = answer.json().pop("outbox")
    assert answer.json() == {"status": "ok", "memory": "ok", "state": "ok", "outbox": outbox}
    assert outbox.keys() == {"queued", "dead"}

    def fail(**_: object) -> None:
        raise BackendError("no route to host secret.internal")

    monkeypatch.setattr(running.server.memory, "list", fail)
    down = httpx.get(f"{running.url}/health")
    assert down.status_code == 503
    assert down.json()["memory"] == "BackendError"
    assert "secret.internal" not in down.text


def test_health_does_not_wait_for_a_store_that_hangs(
    shared: AgentMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks would take the server for dead, or pile up requests."""
    settings = ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}", health_timeout=0.1)
    released = threading.Event()
    with running_app(create_app(shared, settings)) as server:
        monkeypatch.setattr(server.server.memory, "list", lambda **_: released.wait(20))
        answer = httpx.get(f"{server.url}/health")
        released.set()
    assert answer.status_code == 503
    assert answer.json()["memory"] == "BackendTimeoutError"


def test_metrics_count_requests_by_route_and_never_by_path(
    running: Running, http: httpx.Client
) -> None:
    """A label for each user would fill Prometheus, and tell it who they are."""
    for name in ("ann", "bob"):
        http.delete(f"/v2/entities/user/{name}/")
    text = httpx.get(f"{running.url}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["mem0_server_requests"].samples
        if sample.name.endswith("_total")
    }
    # The second may not be counted yet: the answer is sent first.
    assert counted["DELETE", "/v2/entities/{entity_type}/{name}/", "404"] >= 1
    assert "ann" not in text
    writes = {one.labels["status"] for one in families["mem0_outbox_writes"].samples}
    assert writes == {"queued", "dead"}
    assert "mem0_server_request_seconds" in families
    assert "mem0_server_events" in families


def test_the_openapi_page_tells_the_truth_about_errors(running: Running) -> None:
    """Clients are generated from it, and tests of the server."""
    page = httpx.get(f"{running.url}/openapi.json").json()
    operations = [
        operation for operations in page["paths"].values() for operation in operations.values()
    ]
    assert all("422" not in operation["responses"] for operation in operations)
    refused = page["paths"]["/v1/ping/"]["get"]["responses"]["401"]
    assert refused["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
    assert "HTTPValidationError" not in page["components"]["schemas"]


def test_the_memory_is_closed_with_the_application_if_that_is_asked_for(tmp_path: Path) -> None:
    """What is queued must be delivered before the process ends."""
    memory = connect("embedded", data_dir=tmp_path / "data")
    settings = ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}")
    with running_app(create_app(memory, settings, close_memory=True)) as server:
        assert httpx.get(f"{server.url}/health").status_code == 200
        memory.remember("I like tea.", scope={"user_id": "u"}, background=True)
    with connect("embedded", data_dir=tmp_path / "data") as again:
        assert again.outbox_counts().queued == 0
        assert [found.text for found in again.list(scope={"user_id": "u"})] == ["I like tea."]


def test_an_application_may_be_started_again(shared: AgentMemory, tmp_path: Path) -> None:
    """Test suites start one for each test."""
    app = create_app(shared, ServerSettings(state_url=f"sqlite:///{tmp_path / 'state.db'}"))
    for text in ("I like tea.", "I like coffee."):
        with running_app(app) as server, server.new_project("again").http() as http:
            body = {"messages": text, "user_id": "ann", "infer": False}
            assert http.post("/v3/memories/add/", json=body).json()["status"] == "SUCCEEDED"


def test_an_event_is_the_same_in_every_database(anywhere_kept: Project) -> None:
    """SQLite is asked past SQLAlchemy, which would turn times into text and back."""
    body = {"messages": "I like tea.", "user_id": "ann", "infer": False}
    key = {"Idempotency-Key": "turn-1"}
    before = datetime.now(UTC)
    with anywhere_kept.http() as http:
        first, again = (
            http.post("/v3/memories/add/", json=body, headers=key).json() for _ in range(2)
        )
        assert first == again
        event = http.get(f"/v1/event/{first['event_id']}/").json()
        other = http.post("/v3/memories/add/", json=body | {"messages": "No."}, headers=key)
        assert other.status_code == 409
    assert (event["status"], event["results"]) == ("SUCCEEDED", first["results"])
    times = [event[name] for name in ("created_at", "started_at", "completed_at")]
    assert times == sorted(times)
    assert event["updated_at"] == event["completed_at"]
    assert before <= datetime.fromisoformat(times[0]) <= datetime.now(UTC)


def test_what_cannot_be_served_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """A mistake should show on the first line, not with the first request."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    with pytest.raises(ConfigurationError, match="AgentMemory"):
        create_app({"provider": "qdrant"})  # type: ignore[arg-type]
    for wrong in (
        {"rate_limit": "often"},
        {"cors_origins": "https://app.example.com"},
        {"max_request_bytes": 0},
        {"health_timeout": -1.0},
    ):
        with pytest.raises((ConfigurationError, InvalidInputError)):
            ServerSettings(state_url=url, **wrong)


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "oracle://host/db", "sqlite+nothing:///x.db"]
)
def test_a_database_that_there_is_not_is_named_without_its_password(url: str) -> None:
    """URLs hold passwords, and messages end up in logs."""
    with pytest.raises(ConfigurationError) as caught:
        State(url)
    assert "postgresql+psycopg" in str(caught.value)
    with pytest.raises(StorageError) as unreachable:
        State("postgresql+psycopg://user:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(unreachable.value)


def test_workers_that_start_at_once_make_the_tables_once(tmp_path: Path, postgres_url: str) -> None:
    """Several processes open the state in the same moment."""
    urls = [f"sqlite:///{tmp_path / 'state.db'}", new_state(postgres_url)]
    for url in urls:
        errors: list[Exception] = []

        def open_and_close(url: str = url, errors: list[Exception] = errors) -> None:
            try:
                State(url).close()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=open_and_close) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert errors == []
