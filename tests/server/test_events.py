"""Events: what becomes of an add after it was accepted, also when the server dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mem0_integrations import AgentMemory, BackendError, RetryPolicy, connect
from mem0_integrations.server.events import StoredEvent, events, insert
from mem0_integrations.server.state import now
from tests.servers.platform import Project, Running, new_row, serving

ANN = {"user_id": "ann"}
BROKEN = '{"messages": "I ski.", "user_id": "u"}'


class Extractor:
    """Keeps what was said, unless it is made to wait or to fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Event()
        self.error: Exception | None = None

    def extract(self, messages: Sequence[Any]) -> list[str]:
        self.began.set()
        assert self.open.wait(30)
        if self.error is not None:
            raise self.error
        return [message["content"] for message in messages]


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor()


@pytest.fixture(scope="module")
def slow(extractor: Extractor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose memory extracts when the test lets it."""
    folder = tmp_path_factory.mktemp("slow")
    retry = RetryPolicy(attempts=1)
    with (
        connect("embedded", data_dir=folder, extractor=extractor, retry=retry) as memory,
        serving(memory, folder / "state.db") as running,
    ):
        yield running


@pytest.fixture
def slowly(slow: Running, extractor: Extractor) -> Iterator[httpx.Client]:
    extractor.open.set()
    extractor.began.clear()
    extractor.error = None
    with slow.new_project().http() as http:
        yield http
    extractor.open.set()


def add(http: httpx.Client, text: str, **more: Any) -> str:
    body = {"messages": [{"role": "user", "content": text}], **(more or ANN)}
    answer = http.post("/v3/memories/add/", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["event_id"])


def event(http: httpx.Client, event_id: str) -> dict[str, Any]:
    answer = http.get(f"/v1/event/{event_id}/")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(http: httpx.Client, event_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while (found := event(http, event_id))["status"] in ("PENDING", "RUNNING"):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def listed(http: httpx.Client) -> list[str]:
    found = http.post("/v3/memories/", json={"filters": {"OR": [ANN, {"run_id": "*"}]}}).json()
    return sorted(item["memory"] for item in found["results"])


def test_an_event_is_followed_to_its_end(slowly: httpx.Client, extractor: Extractor) -> None:
    """From the acceptance, over the work, to what was stored."""
    extractor.open.clear()
    event_id = add(slowly, "I like tea.", user_id="ann", run_id="r", metadata={"a": 1})
    assert extractor.began.wait(10)
    before = event(slowly, event_id)
    assert before["status"] in ("PENDING", "RUNNING")
    assert (before["event_type"], before["results"], before["completed_at"]) == ("ADD", [], None)
    extractor.open.set()
    after = ended(slowly, event_id)
    (result,) = after["results"]
    assert (after["status"], result["event"], result["data"]) == (
        "SUCCEEDED",
        "ADD",
        {"memory": "I like tea."},
    )
    assert slowly.get(f"/v1/memories/{result['id']}/").json()["run_id"] == "r"
    assert after["payload"]["metadata"] == {"a": 1}
    assert after["latency"] > 0


def test_the_server_follows_an_event_that_nobody_asks_for(
    slowly: httpx.Client, slow: Running
) -> None:
    """Webhooks and lists of events depend on it."""
    event_id = add(slowly, "I like tea.")
    deadline = time.monotonic() + 10
    while True:
        with slow.server.state.reading() as connection:
            row = connection.execute(events.select().where(events.c.id == event_id)).one()
        if row.status == "SUCCEEDED":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_write_that_is_given_up_ends_as_failed(
    slowly: httpx.Client, extractor: Extractor
) -> None:
    """With the reason, for the project alone."""
    extractor.error = ValueError("The model is gone.")
    found = ended(slowly, add(slowly, "I like tea."))
    assert (found["status"], found["results"]) == ("FAILED", [])
    assert "The model is gone." in found["error"]
    old = slowly.post("/v1/memories/", json={"messages": "I like milk.", **ANN})
    assert (old.status_code, "event" in old.json()["detail"]) == (502, True)


def test_what_is_deleted_while_it_waits_does_not_come_back(
    slowly: httpx.Client, extractor: Extractor
) -> None:
    """The add before the deletion must not be stored after it."""
    extractor.open.clear()
    first, second = add(slowly, "I like tea."), add(slowly, "I like milk.")
    assert extractor.began.wait(10)
    threading.Timer(0.3, extractor.open.set).start()
    assert slowly.delete("/v1/memories/", params=ANN).status_code == 200
    assert listed(slowly) == []
    assert {ended(slowly, one)["status"] for one in (first, second)} <= {"FAILED", "SUCCEEDED"}
    assert ended(slowly, second)["error"] == "It was deleted before it was stored."
    third = add(slowly, "I like juice.")
    assert ended(slowly, third)["status"] == "SUCCEEDED"
    assert listed(slowly) == ["I like juice."]


def test_events_are_listed_in_pages(http: httpx.Client) -> None:
    """The latest first, of this project alone."""
    ids = [add(http, f"Fact {number}.", user_id="ann", infer=False) for number in range(3)]
    page = http.get("/v1/events/", params={"page_size": 2}).json()
    assert ([one["id"] for one in page["results"]], page["count"]) == ([ids[2], ids[1]], 3)
    last = http.get(page["next"]).json()
    assert ([one["id"] for one in last["results"]], last["next"]) == ([ids[0]], None)
    assert http.get("/v1/events/", params={"status": "FAILED"}).json()["count"] == 0
    assert http.get("/v1/event/x/").status_code == 404


def test_changes_are_listed_in_pages(http: httpx.Client) -> None:
    """Every change of every memory, those of deleted ones too."""
    conversation = [{"role": "user", "content": text} for text in ("I ski.", "I swim.")]
    body = {"messages": conversation, "infer": False, **ANN}
    one, two = http.post("/v3/memories/add/", json=body).json()["results"]
    http.put(f"/v1/memories/{one['id']}/", json={"text": "I dive."})
    http.delete(f"/v1/memories/{two['id']}/")
    pages = [
        http.get("/v1/memories/events/", params={"limit": 1, "page": page}).json()
        for page in range(1, 6)
    ]
    assert [
        [(entry["event"], entry["old_memory"], entry["new_memory"]) for entry in page["results"]]
        for page in pages
    ] == [
        [("DELETE", "I swim.", None)],
        [("UPDATE", "I ski.", "I dive.")],
        [("ADD", None, "I ski.")],
        [("ADD", None, "I swim.")],
        [],
    ]
    assert {page["count"] for page in pages} == {4}
    assert pages[2]["results"][0]["input"] == conversation
    assert pages[0]["results"][0]["user_id"] == "ann"
    both = http.get("/v1/memories/events/", params={"limit": 2, "page": 2}).json()["results"]
    assert [entry["new_memory"] for entry in both] == ["I ski.", "I swim."]


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


def test_a_write_with_deep_metadata_comes_to_its_end(slowly: httpx.Client) -> None:
    """It was accepted, so it can be read again."""
    event_id = add(slowly, "I like tea.", metadata={"deep": nested(240)}, **ANN)
    assert ended(slowly, event_id)["status"] == "SUCCEEDED"
    assert len(listed(slowly)) == 1


def test_whoever_waits_for_a_model_keeps_nobody_else_waiting(
    slow: Running, slowly: httpx.Client, extractor: Extractor
) -> None:
    """The threads of all requests were taken by the adds of the older clients, which wait."""
    extractor.open.clear()
    body = {"messages": "I like tea.", "async_mode": False, "infer": True, **ANN}
    with slow.new_project().http() as patient, ThreadPoolExecutor(45) as clients:
        waiting = [clients.submit(patient.post, "/v1/memories/", json=body) for _ in range(45)]
        while patient.get("/v1/events/").json()["count"] < len(waiting):
            time.sleep(0.02)
        assert listed(slowly) == []
        event_id = add(slowly, "I like coffee.")
        assert event(slowly, event_id)["status"] in ("PENDING", "RUNNING")
        assert not any(one.done() for one in waiting)
        extractor.open.set()
        assert {one.result().status_code for one in waiting} == {200}


def begun(server: Running, project_id: str, user_id: str, payload: str) -> StoredEvent:
    """An event whose write was not accepted: whoever began it died."""
    row = new_row(project_id, user_id=user_id, payload=payload)
    insert(server.server.state, row)
    return row


def test_an_event_that_cannot_be_followed_holds_up_no_other(
    slowly: httpx.Client, slow: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One project's would stop those of all."""
    project = slow.new_project()
    ids = []
    for payload in ('{"messages": 5, "user_id": "u"}', BROKEN):
        ids.append(begun(slow, project.id, "u", payload).id)
    written = AgentMemory.written

    def of_one_is_broken(self: AgentMemory, key: str, **scope: Any) -> Any:
        if key == ids[1]:
            raise BackendError("It breaks whenever it is read.")
        return written(self, key, **scope)

    monkeypatch.setattr(AgentMemory, "written", of_one_is_broken)
    event_id = add(slowly, "I like tea.")
    deadline = time.monotonic() + 10
    # As the server's own thread sees it: nobody asks for it here.
    while slowly.get("/v1/events/").json()["results"][0]["status"] != "SUCCEEDED":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ended(slowly, event_id)["status"] == "SUCCEEDED"
    with project.http() as http:
        assert ended(http, ids[0])["status"] == "FAILED"
        monkeypatch.undo()
        http.delete("/v1/memories/", params={"user_id": "u"})


SERVER = """
import sys, time
from pathlib import Path
from mem0_integrations import connect
from tests.servers.platform import serving

class Slow:
    def extract(self, messages):
        time.sleep(0.2)
        return [message["content"] for message in messages]

folder = Path(sys.argv[1])
with connect("embedded", data_dir=folder, extractor=Slow()) as memory:
    with serving(memory, folder / "state.db") as running:
        print(running.url, running.new_project("acme").key, flush=True)
        time.sleep(60)
"""


def test_what_was_acknowledged_is_stored_once_after_a_crash(tmp_path: Path) -> None:
    """Wherever the crash hit: before the write was accepted, in the queue, or under way."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        url, key = process.stdout.readline().split()
        with Project(url, "acme", key).http() as http:
            ids = [add(http, f"Fact {number}.") for number in range(8)]
            assert ended(http, ids[0])["status"] == "SUCCEEDED"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with (
        connect("embedded", data_dir=tmp_path, extractor=Extractor()) as memory,
        serving(memory, tmp_path / "state.db") as running,
    ):
        # One whose write had not been accepted when the server died.
        payload = '{"messages": "Fact 8.", "user_id": "ann"}'
        state = running.server.state
        row = begun(running, "acme", "ann", payload)
        with state.begin() as connection:
            connection.execute(
                events.update()
                .where(events.c.id == row.id)
                .values(created_at=now() - timedelta(minutes=1))
            )
        with Project(running.url, "acme", key).http() as http:
            assert {ended(http, one)["status"] for one in [*ids, row.id]} == {"SUCCEEDED"}
            assert listed(http) == [f"Fact {number}." for number in range(9)]
