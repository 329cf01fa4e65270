"""Webhooks: receivers are told what happens, signed, again until they listen."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from mem0_integrations.retry import RetryPolicy
from mem0_integrations.server import deliveries as jobs
from mem0_integrations.server.deliveries import deliveries, signature
from tests.servers.platform import Project, Running

ANN = {"user_id": "ann"}


class Receiver:
    """A real receiver; it answers what the test says, then 200."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers: deque[int] = deque()
        self.endless = False
        self.listening = threading.Event()
        self.listening.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.listening.wait(10)
                receiver.received.append((dict(self.headers), body))
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while receiver.endless:
                        self.wfile.write(b"And so on. " * 1000)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 15
        while len(self.received) < count:
            assert time.monotonic() < deadline, self.received
            time.sleep(0.02)
        return [json.loads(body)["event_details"] for _, body in self.received]

    def close(self) -> None:
        self.listening.set()
        self.endless = False
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def create(http: httpx.Client, project: Project, url: str, *events: str) -> dict[str, Any]:
    body = {"url": url, "name": "hook", "event_types": list(events)}
    answer = http.post(f"/api/v1/webhooks/projects/{project.id}/", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def add(http: httpx.Client, text: str, **more: Any) -> str:
    body = {"messages": text, "infer": False, **ANN, **more}
    return str(http.post("/v3/memories/add/", json=body).json()["results"][0]["id"])


def waiting(running: Running, webhook_id: str) -> int:
    with running.server.state.reading() as connection:
        return len(connection.execute(deliveries.select().filter_by(webhook_id=webhook_id)).all())


def test_what_happens_is_told_in_order_and_signed(
    http: httpx.Client, project: Project, running: Running, receiver: Receiver
) -> None:
    """So that the receiver can believe it."""
    every = ("memory_add", "memory_update", "memory_delete")
    secret = create(http, project, receiver.url, *every)["secret"]
    memory_id = add(http, "I like tea.")
    http.put(f"/v1/memories/{memory_id}/", json={"text": "I like milk."})
    http.delete(f"/v1/memories/{memory_id}/")
    last = add(http, "I like juice.")
    http.delete("/v1/memories/", params=ANN)
    assert [(one["id"], one["event"], one["data"]) for one in receiver.wait_for(5)] == [
        (memory_id, "ADD", {"memory": "I like tea."}),
        (memory_id, "UPDATE", {"memory": "I like milk."}),
        (memory_id, "DELETE", {"memory": "I like milk."}),
        (last, "ADD", {"memory": "I like juice."}),
        (last, "DELETE", {"memory": "I like juice."}),
    ]
    for headers, body in receiver.received:
        assert headers["X-Mem0-Signature"] == signature(secret, body)
        assert abs(time.time() - int(headers["X-Mem0-Timestamp"])) < 60
    assert len({headers["X-Mem0-Delivery"] for headers, _ in receiver.received}) == 5


def test_an_add_in_the_background_is_told_when_it_is_stored(
    http: httpx.Client, project: Project, receiver: Receiver
) -> None:
    """Not when it was accepted, and also when nobody follows its event."""
    create(http, project, receiver.url, "memory_add")
    http.post("/v3/memories/add/", json={"messages": "I like tea.", **ANN})
    (told,) = receiver.wait_for(1)
    assert http.get(f"/v1/memories/{told['id']}/").json()["memory"] == "I like tea."


def test_only_what_was_asked_for_is_told(
    http: httpx.Client, project: Project, running: Running, receiver: Receiver
) -> None:
    """Of this project, and of these kinds."""
    create(http, project, receiver.url, "memory_delete")
    with running.new_project().http() as other:
        other.delete(f"/v1/memories/{add(other, 'Of somebody else.')}/")
    http.delete(f"/v1/memories/{add(http, 'Mine.')}/")
    assert [one["event"] for one in receiver.wait_for(1)] == ["DELETE"]
    time.sleep(0.2)
    assert [one["data"] for one in receiver.wait_for(1)] == [{"memory": "Mine."}]


def test_a_delivery_is_repeated_until_it_is_taken(
    http: httpx.Client,
    project: Project,
    running: Running,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A receiver that is down for a moment misses nothing, and can tell a repetition."""
    monkeypatch.setattr(jobs, "_RETRY", RetryPolicy(base=0.01))
    receiver.answers.extend([500, 302])
    made = create(http, project, receiver.url, "memory_add")
    for text in ("I like tea.", "I like milk."):
        add(http, text)
    told = receiver.wait_for(4)
    assert [one["data"]["memory"] for one in told] == ["I like tea."] * 3 + ["I like milk."]
    assert len({headers["X-Mem0-Delivery"] for headers, _ in receiver.received}) == 2
    deadline = time.monotonic() + 5
    while waiting(running, made["webhook_id"]):
        assert time.monotonic() < deadline


def test_a_receiver_that_is_gone_is_given_up(
    http: httpx.Client,
    project: Project,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a number of attempts, and the log says so without content."""
    monkeypatch.setattr(jobs, "_RETRY", RetryPolicy(base=0))
    made = create(http, project, "http://127.0.0.1:9/", "memory_add")
    add(http, "My secret is 48213.")
    deadline = time.monotonic() + 20
    while waiting(running, made["webhook_id"]):
        running.server.wake("webhooks")
        time.sleep(0.02)
        assert time.monotonic() < deadline
    assert "gave delivery" in caplog.text
    assert "48213" not in caplog.text


def test_a_receiver_that_hangs_holds_up_nobody(
    http: httpx.Client, project: Project, receiver: Receiver
) -> None:
    """Neither the requests nor the other webhooks."""
    hanging = Receiver()
    hanging.listening.clear()
    create(http, project, hanging.url, "memory_add")
    create(http, project, receiver.url, "memory_add")
    began = time.monotonic()
    add(http, "I like tea.")
    add(http, "I like milk.")
    assert len(receiver.wait_for(2)) == 2
    assert time.monotonic() - began < 5
    assert hanging.received == []
    hanging.listening.set()
    assert len(hanging.wait_for(2)) == 2
    hanging.close()


def test_an_answer_without_an_end_is_not_waited_for(
    http: httpx.Client, project: Project, running: Running, receiver: Receiver
) -> None:
    """Few such receivers would hold up those of every project."""
    receiver.endless = True
    made = create(http, project, receiver.url, "memory_add")
    add(http, "I like tea.")
    receiver.wait_for(1)
    deadline = time.monotonic() + 5
    while waiting(running, made["webhook_id"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_waits_for_a_deleted_webhook_is_dropped(
    http: httpx.Client, project: Project, running: Running
) -> None:
    """Its content must not stay behind."""
    made = create(http, project, "http://127.0.0.1:9/", "memory_add")
    add(http, "I like tea.")
    assert waiting(running, made["webhook_id"]) == 1
    http.delete(f"/api/v1/webhooks/{made['webhook_id']}/")
    assert waiting(running, made["webhook_id"]) == 0
