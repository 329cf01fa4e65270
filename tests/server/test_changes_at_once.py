"""Clients that change and delete the same memories at once: 200 or 404, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest

from tests.paths import MemoryPath, Way
from tests.switches import PATIENCE, Gate

pytestmark = pytest.mark.timeout(300)

STEPS = range(7)


def single(http: httpx.Client, ids: list[str], user: str) -> httpx.Response:
    return http.delete(f"/v1/memories/{ids[0]}/")


def batch(http: httpx.Client, ids: list[str], user: str) -> httpx.Response:
    doomed = {"memories": [{"memory_id": each} for each in ids]}
    return http.request("DELETE", "/v1/batch/", json=doomed)


def wildcard(http: httpx.Client, ids: list[str], user: str) -> httpx.Response:
    return http.delete("/v1/memories/", params={"user_id": user, "run_id": "*"})


def whole(http: httpx.Client, ids: list[str], user: str) -> httpx.Response:
    return http.delete("/v1/memories/", params={"user_id": user})


def updates(http: httpx.Client, ids: list[str], user: str) -> httpx.Response:
    changes = [{"memory_id": each, "text": "I live in Rome."} for each in ids]
    return http.put("/v1/batch/", json={"memories": changes})


@pytest.mark.parametrize(
    ("held", "other"),
    [
        (single, single),
        (single, batch),
        (batch, batch),
        (batch, wildcard),
        (wildcard, wildcard),
        (wildcard, whole),
        (updates, batch),
        (updates, wildcard),
        (batch, updates),
    ],
)
def test_deletes_that_meet_are_no_failures(
    open_path: Callable[[Way], MemoryPath], held: Any, other: Any
) -> None:
    """On the server alone: the other ways have no batch and no wildcard."""
    path = open_path(Way("no model", "platform", "no follower", "sync"))
    headers = {"Authorization": f"Token {path.place.key}"}
    with (
        httpx.Client(base_url=str(path.place.url), headers=headers, timeout=PATIENCE) as http,
        ThreadPoolExecutor(3) as threads,
    ):
        for step in STEPS:
            user = f"user-{step}"
            # With an id of a run: a wildcard selects what has one.
            said = {"messages": "I live in Oslo.", "infer": False, "user_id": user}
            ids = [
                answer["results"][0]["id"]
                for run in ("a", "b")
                for answer in [http.post("/v3/memories/add/", json={**said, "run_id": run}).json()]
            ]
            gate = Gate(step)
            path.parts.rows.hook = gate
            first = threads.submit(held, http, ids, user)
            wait([first, threads.submit(gate.reached.wait, PATIENCE)], None, FIRST_COMPLETED)
            second = threads.submit(other, http, ids, user)
            # It may have to wait until the first is over.
            wait([second], timeout=0.2)
            gate.opened.set()
            gate.reached.set()
            answers = [first.result(PATIENCE), second.result(PATIENCE)]
            path.parts.rows.hook = lambda: None
            assert {answer.status_code for answer in answers} <= {200, 404}, [
                answer.text for answer in answers
            ]
            # A batch of which one is gone deletes none.
            assert http.get(f"/v1/memories/{ids[0]}/").status_code == 404


def test_ten_clients_that_set_a_key_each_lose_none(open_path: Callable[[Way], MemoryPath]) -> None:
    """On the server alone: its clients are many."""
    path = open_path(Way("no model", "platform", "no follower", "sync"))
    headers = {"Authorization": f"Token {path.place.key}"}
    keys = {f"key_{number}": number for number in range(10)}
    with (
        httpx.Client(base_url=str(path.place.url), headers=headers, timeout=PATIENCE) as http,
        ThreadPoolExecutor(len(keys)) as threads,
    ):
        said = {"messages": "I live in Oslo.", "infer": False, "user_id": "ann"}
        memory_id = http.post("/v3/memories/add/", json=said).json()["results"][0]["id"]
        place = f"/v1/memories/{memory_id}/"
        gate = Gate(2)
        path.parts.rows.hook = gate
        changing = [
            threads.submit(http.put, place, json={"metadata": {key: number}})
            for key, number in keys.items()
        ]
        assert gate.reached.wait(PATIENCE)
        wait(changing, timeout=0.2)
        gate.opened.set()
        assert {each.result(PATIENCE).status_code for each in changing} == {200}
        assert http.get(place).json()["metadata"] == keys
