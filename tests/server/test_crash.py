"""Nothing lost: a server that is killed completes every add that it acknowledged, once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from mem0_integrations.server.keys import create_key
from mem0_integrations.server.state import State
from tests.servers.platform import served

CLIENTS = 4
TURNS = 20
KILLS = 2


class Client:
    """Says one turn after another, each until it is acknowledged."""

    def __init__(self, number: int, key: str) -> None:
        self.user = f"customer-{number}"
        self.headers = {"Authorization": f"Token {key}"}
        self.turns = [f"I bought {turn} apples in shop {number}." for turn in range(TURNS)]
        self.events: list[str] = []

    def say(self, url: str, until: int) -> None:
        with httpx.Client(base_url=url, headers=self.headers, timeout=30) as http:
            while (turn := len(self.events)) < until:
                body = {"messages": self.turns[turn], "user_id": self.user}
                # It cannot know whether the last one arrived, and says it again.
                key = {"Idempotency-Key": f"turn-{turn}"}
                try:
                    answer = http.post("/v3/memories/add/", json=body, headers=key)
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                self.events.append(answer.json()["event_id"])


@pytest.mark.timeout(180)
def test_every_acknowledged_add_completes_once(tmp_path: Path) -> None:
    """Killed at random moments while several clients talk to it."""
    moments = random.Random(48213)
    (tmp_path / "data").mkdir()
    state = State(f"sqlite:///{tmp_path / 'state.db'}")
    key = create_key(state, "acme")
    state.close()
    arguments = ("--state-url", f"sqlite:///{tmp_path / 'state.db'}")
    clients = [Client(number, key) for number in range(CLIENTS)]
    for kill in range(KILLS):
        with served(tmp_path, *arguments) as (url, process):
            threads = talk(clients, url, TURNS)
            wanted = CLIENTS * TURNS * (kill + moments.uniform(0.2, 0.8)) / KILLS
            while said(clients) < wanted:
                time.sleep(0.001)
            process.kill()
            for thread in threads:
                thread.join()
    assert said(clients) < CLIENTS * TURNS
    with served(tmp_path, *arguments) as (url, _):
        for thread in talk(clients, url, TURNS):
            thread.join()
        assert said(clients) == CLIENTS * TURNS
        with httpx.Client(base_url=url, headers=clients[0].headers, timeout=30) as http:
            for client in clients:
                ended = [finished(http, event) for event in client.events]
                assert {event["status"] for event in ended} == {"SUCCEEDED"}
                told = [one["memory"] for event in ended for one in event["results"]]
                assert told == client.turns
                body = {"filters": {"user_id": client.user}}
                found = http.post("/v3/memories/?page_size=200", json=body).json()["results"]
                assert Counter(one["memory"] for one in found) == Counter(client.turns)
            assert http.get("/v1/events/").json()["count"] == CLIENTS * TURNS
            assert http.get("/health").json()["outbox"] == {"queued": 0, "dead": 0}


def talk(clients: list[Client], url: str, until: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=client.say, args=(url, until)) for client in clients]
    for thread in threads:
        thread.start()
    return threads


def said(clients: list[Client]) -> int:
    return sum(len(client.events) for client in clients)


def finished(http: httpx.Client, event_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        event: dict[str, Any] = http.get(f"/v1/event/{event_id}/").json()
        if event["status"] in ("SUCCEEDED", "FAILED"):
            return event
        assert time.monotonic() < deadline, event
        time.sleep(0.02)
