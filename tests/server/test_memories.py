"""The endpoints of memories over plain HTTP: in the shapes that each version of clients expects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from mem0_integrations import AgentMemory
from tests.servers.platform import Project, Running

ANN = {"user_id": "ann"}
JSON = {"Content-Type": "application/json"}
NOBODY = "00000000-0000-4000-8000-000000000000"


def add(http: httpx.Client, text: str, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "infer": False, **(more or ANN)}
    answer = http.post("/v3/memories/add/", json=body)
    assert answer.status_code == 200, answer.text
    added: dict[str, Any] = answer.json()
    return added


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [item["memory"] for item in (found if isinstance(found, list) else found["results"])]


def listed(http: httpx.Client, **body: Any) -> list[str]:
    return texts(http.post("/v3/memories/", json={"filters": {"user_id": "*"}, **body}))


def test_a_verbatim_add_is_stored_before_the_answer(http: httpx.Client) -> None:
    """As imports rely on."""
    added = add(http, "I like tea.")
    assert (added["status"], added["results"][0]["event"]) == ("SUCCEEDED", "ADD")
    assert listed(http) == ["I like tea."]
    event = http.get(f"/v1/event/{added['event_id']}/").json()
    assert (event["status"], event["results"]) == ("SUCCEEDED", added["results"])


def test_metadata_of_any_name_comes_back(http: httpx.Client) -> None:
    """Also what the core, or Mem0, keeps for itself under that name."""
    metadata = {
        **{"role": "boss", "hash": 1, "categories": ["a"], "user_id": "x", "platform_run_id": "y"},
        **{"created_at": "never", "nested": {"a": [1, None]}},
    }
    (result,) = add(http, "I like tea.", user_id="ann", run_id="r", metadata=metadata)["results"]
    item = http.get(f"/v1/memories/{result['id']}/").json()
    assert item["metadata"] == metadata
    assert (item["user_id"], item["run_id"], item["session_id"]) == ("ann", "r", "r")
    asked = {"AND": [ANN, {"metadata": {"hash": 1}}, {"metadata": {"role": "boss"}}]}
    assert listed(http, filters=asked) == ["I like tea."]


def test_the_other_fields_of_the_platform_are_kept(http: httpx.Client) -> None:
    """They are fields, not metadata."""
    more = {
        "timestamp": 1_700_000_000,
        "expiration_date": "2999-12-31",
        "categories": ["food"],
        "structured_attributes": {"day": 3},
        "custom_instructions": "Keep numbers.",
    }
    (result,) = add(http, "I like tea.", app_id="shop", **more)["results"]
    item = http.get(f"/v1/memories/{result['id']}/").json()
    assert {key: item[key] for key in item if key not in ("id", "created_at", "updated_at")} == {
        **{"memory": "I like tea.", "user_id": None, "agent_id": None, "app_id": "shop"},
        **{"run_id": None, "session_id": None, "metadata": {}, "categories": ["food"]},
        "role": "user",
        **{"structured_attributes": {"day": 3}, "expiration_date": "2999-12-31"},
    }
    assert item["created_at"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"content": "x"}]}, "role"),
        ({"messages": "x", "user_id": None}, "At least one of"),
        ({"messages": "x", "user_id": "*"}, "user_id cannot be"),
        ({"messages": "x", "filters": {"user_id": "bob"}}, "given twice"),
        ({"messages": "x", "user_id": True}, "user_id"),
        ({"messages": "x", "timestamp": "soon"}, "timestamp"),
        ({"messages": "x", "timestamp": True}, "timestamp"),
        ({"messages": "x", "timestamp": 1e300}, "timestamp"),
        ({"messages": "x", "expiration_date": "soon"}, "expiration_date"),
        ({"messages": "x", "metadata": {"a": "\0"}}, "NUL"),
        ({"messages": "x", "metadata": {"a": "\ud83d"}}, "JSON"),
        ({"messages": "x" * 100_001}, "100,000"),
        ({}, "messages"),
    ],
)
def test_a_malformed_add_leaves_nothing_behind(
    http: httpx.Client, body: dict[str, Any], message: str
) -> None:
    """Neither a memory nor an event."""
    answer = http.post("/v3/memories/add/", content=json.dumps({**ANN, **body}), headers=JSON)
    assert answer.status_code == 400
    assert message in answer.json()["detail"]
    assert http.get("/v1/events/").json()["count"] == 0


def test_a_body_with_nan_is_refused(http: httpx.Client) -> None:
    """Python reads it as JSON; no other program would read the answer."""
    body = '{"messages": "x", "user_id": "ann", "metadata": {"a": NaN}}'
    answer = http.post("/v3/memories/add/", content=body, headers=JSON)
    assert (answer.status_code, "JSON" in answer.text) == (400, True)


def test_messages_without_anything_to_remember_are_done_at_once(http: httpx.Client) -> None:
    """A program that follows the event must come to its end."""
    body = {"messages": [{"role": "system", "content": "Be kind."}], **ANN}
    added = http.post("/v3/memories/add/", json=body).json()
    assert (added["status"], "results" in added) == ("SUCCEEDED", False)
    event = http.get(f"/v1/event/{added['event_id']}/").json()
    assert (event["status"], event["results"]) == ("SUCCEEDED", [])


@pytest.mark.parametrize("infer", [True, False])
def test_a_key_makes_an_add_happen_once(http: httpx.Client, infer: bool) -> None:
    """Whoever lost the answer may ask again."""
    body = {"messages": "I like tea.", "infer": infer, **ANN}
    headers = {"Idempotency-Key": "turn-1"}

    def again(**more: Any) -> httpx.Response:
        return http.post("/v3/memories/add/", json={**body, **more}, headers=headers)

    first, second = again().json(), again().json()
    assert first["event_id"] == second["event_id"]
    if not infer:
        assert first == second
    assert again(user_id="bob").json()["event_id"] != first["event_id"]
    refused = again(messages="I like coffee.")
    assert (refused.status_code, "another body" in refused.json()["detail"]) == (409, True)
    deadline = time.monotonic() + 10
    while len(found := listed(http)) < 2:
        assert time.monotonic() < deadline
    assert found == ["I like tea.", "I like tea."]


def test_what_was_deleted_may_be_said_again(http: httpx.Client) -> None:
    """Under the same key, as after `forget`."""
    body, headers = {"messages": "I like tea.", "infer": False, **ANN}, {"Idempotency-Key": "k"}
    ids = set()
    for _ in range(2):
        ids.add(http.post("/v3/memories/add/", json=body, headers=headers).json()["event_id"])
        assert listed(http) == ["I like tea."]
        http.delete("/v1/memories/", params={"user_id": " ann "})
        assert listed(http) == []
    assert len(ids) == 2


def test_metadata_that_is_no_text_is_refused(http: httpx.Client) -> None:
    """It could be stored, and then the project's memories could not be shown any more."""
    (result,) = add(http, "I like tea.")["results"]
    body = '{"metadata": {"a": ["\\ud83d"]}}'
    answer = http.put(f"/v1/memories/{result['id']}/", content=body, headers=JSON)
    assert answer.status_code == 400
    assert listed(http) == ["I like tea."]


def test_a_key_in_the_metadata_counts_too(http: httpx.Client) -> None:
    """Where a client's library does not let a program set headers."""
    more = {"user_id": "ann", "metadata": {"mem0_integrations_key": "k"}}
    ids = {add(http, "I like tea.", **more)["event_id"] for _ in range(2)}
    assert (len(ids), listed(http)) == (1, ["I like tea."])


def test_keys_of_different_projects_are_different(http: httpx.Client, running: Running) -> None:
    """A key is a secret of nobody."""
    body, headers = {"messages": "I like tea.", "infer": False, **ANN}, {"Idempotency-Key": "k"}
    with running.new_project().http() as other:
        ids = [
            client.post("/v3/memories/add/", json=body, headers=headers).json()["event_id"]
            for client in (http, other)
        ]
        assert ids[0] != ids[1]
        assert listed(other) == ["I like tea."]


def test_older_clients_get_what_was_stored(http: httpx.Client) -> None:
    """As a bare list, or in the envelope that they ask for."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "I like tea."}], **ANN}
    (bare,) = http.post("/v1/memories/", json=body).json()
    assert (bare["memory"], bare["data"], bare["event"]) == (
        "I like tea.",
        {"memory": "I like tea."},
        "ADD",
    )
    body["messages"] = "I like milk."
    wrapped = http.post("/v1/memories/", json={**body, "output_format": "v1.1"}).json()
    assert [one["memory"] for one in wrapped["results"]] == ["I like milk."]
    (pending,) = http.post("/v1/memories/", json={**body, "async_mode": True}).json()
    assert (pending["status"], set(pending)) == ("PENDING", {"status", "event_id", "message"})


def test_older_clients_list_and_search(http: httpx.Client) -> None:
    """With the ids beside the filter, and bare lists unless they ask for an envelope."""
    add(http, "I like tea.")
    add(http, "I like tea.", user_id="bob", run_id="r")
    assert texts(http.get("/v1/memories/", params=ANN)) == ["I like tea."]
    assert isinstance(http.get("/v1/memories/", params=ANN).json(), list)
    paged = http.get("/v1/memories/", params={"run_id": "r", "page": 1, "page_size": 1}).json()
    assert (paged["count"], len(paged["results"])) == (1, 1)
    assert http.get("/v1/memories/").status_code == 400
    assert isinstance(http.post("/v2/memories/", json={"filters": ANN}).json(), list)
    assert http.post("/v2/memories/?page=1", json={"filters": ANN}).json()["count"] == 1
    for path in ("/v1/memories/search/", "/v2/memories/search/"):
        found = http.post(path, json={"query": "tea", "user_id": "ann", "limit": 5}).json()
        assert [item["user_id"] for item in found] == ["ann"]
        asked = {"query": "tea", "filters": {"user_id": "*"}, "output_format": "v1.1"}
        assert len(http.post(path, json=asked).json()["results"]) == 2


def test_a_listing_can_be_narrowed(http: httpx.Client) -> None:
    """By what stands beside the filter."""
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for number in range(3):
        at = (day + timedelta(days=number)).timestamp()
        add(http, f"Fact {number}.", user_id="ann", timestamp=at, categories=[f"c{number}"])
    assert listed(http, start_date="2026-03-02") == ["Fact 2.", "Fact 1."]
    assert listed(http, end_date="2026-03-02") == ["Fact 1.", "Fact 0."]
    assert listed(http, end_date="2026-03-02T11:00:00Z") == ["Fact 0."]
    assert listed(http, categories=["c0", "c2"]) == ["Fact 2.", "Fact 0."]
    assert listed(http, keywords="FACT 1") == ["Fact 1."]
    found = http.post("/v3/memories/", json={"filters": ANN, "fields": ["categories"]}).json()
    assert found["results"][0].keys() == {"id", "memory", "categories"}


def test_a_search_is_not_cut_short_by_its_filter(http: httpx.Client) -> None:
    """However many of the nearest it hides."""
    for number in range(30):
        add(http, f"I drink tea number {number}.", user_id="ann", run_id="many")
    add(http, "My bicycle is red.", user_id="ann", run_id="one")
    body = {
        "query": "tea",
        "filters": {"AND": [ANN, {"NOT": {"run_id": "many"}}]},
        "top_k": 1,
        "threshold": 0,
    }
    assert texts(http.post("/v3/memories/search/", json=body)) == ["My bicycle is red."]


def test_a_search_returns_all_that_say_the_same(http: httpx.Client) -> None:
    """They are different memories, and may be of different people; `latest_only` leaves one."""
    for user in ("ann", "bob"):
        add(http, "I like green tea.", user_id=user)
    body = {"query": "tea", "filters": {"user_id": "*"}}
    both = http.post("/v3/memories/search/", json=body).json()["results"]
    assert {item["user_id"] for item in both} == {"ann", "bob"}
    latest = http.post("/v3/memories/search/", json={**body, "latest_only": True}).json()
    assert [item["user_id"] for item in latest["results"]] == ["bob"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v3/memories/", {}, "filters"),
        ("/v3/memories/", {"filters": {}}, "at least one of user_id"),
        ("/v3/memories/", {"filters": ANN, "user_id": "ann"}, "must be in filters"),
        ("/v3/memories/?page=0", {"filters": ANN}, "page"),
        ("/v3/memories/?page_size=201", {"filters": ANN}, "page_size"),
        ("/v3/memories/", {"filters": ANN, "start_date": "soon"}, "not a time"),
        ("/v3/memories/search/", {"query": "x", "filters": {}}, "at least one of user_id"),
        ("/v3/memories/search/", {"query": " ", "filters": ANN}, ""),
        ("/v3/memories/search/", {"query": "x", "filters": ANN, "top_k": 0}, "top_k"),
        ("/v3/memories/search/", {"query": "x", "filters": ANN, "top_k": 1001}, "top_k"),
        ("/v3/memories/search/", {"query": "x", "filters": ANN, "threshold": 2}, "threshold"),
        ("/v1/memories/search/", {"query": "x"}, "at least one of user_id"),
    ],
)
def test_a_malformed_question_is_refused(
    http: httpx.Client, path: str, body: dict[str, Any], message: str
) -> None:
    """With a sentence that says what is wrong."""
    answer = http.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["detail"]


def test_a_memory_that_is_not_there_is_not_found(http: httpx.Client) -> None:
    """And what is no id is refused."""
    for method, path, body in (
        ("GET", "/v1/memories/{}/", None),
        ("PUT", "/v1/memories/{}/", {"text": "x"}),
        ("DELETE", "/v1/memories/{}/", None),
        ("GET", "/v1/memories/{}/history/", None),
    ):
        for memory_id, status in ((NOBODY, 404), ("x", 400), (NOBODY.upper() + "0", 400)):
            answer = http.request(method, path.format(memory_id), json=body)
            assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


def test_an_update_that_changes_nothing_is_refused(http: httpx.Client) -> None:
    """It would look as if it had been carried out."""
    (result,) = add(http, "I like tea.")["results"]
    path = f"/v1/memories/{result['id']}/"
    bodies: list[Any] = [{}, {"text": None}, {"metadata": {}}, {"text": " "}, {"timestamp": "soon"}]
    for body in bodies:
        assert http.put(path, json=body).status_code == 400
    assert listed(http) == ["I like tea."]


def test_deleting_takes_only_what_was_named(http: httpx.Client) -> None:
    """A session's memories go one by one; its user's others stay."""
    add(http, "Of the run.", user_id="ann", run_id="r")
    add(http, "Of the other run.", user_id="ann", run_id="s")
    add(http, "Of ann.")
    add(http, "Of ann's team.", user_id="ann", metadata={"team": "x"})
    add(http, "Of bob.", user_id="bob", app_id="shop")
    assert http.delete("/v1/memories/", params={"run_id": "r"}).status_code == 200
    assert "Of the run." not in listed(http)
    params = {"user_id": "ann", "metadata": '{"team": "x"}'}
    assert http.delete("/v1/memories/", params=params).status_code == 200
    assert listed(http) == ["Of bob.", "Of ann.", "Of the other run."]
    assert http.delete("/v1/memories/", params={"user_id": "ann", "app_id": "shop"}).is_success
    assert len(listed(http)) == 3
    deleted = http.delete("/v1/memories/", params=ANN).json()
    assert listed(http) == ["Of bob."]
    assert http.get(f"/v1/event/{deleted['event_id']}/").json()["status"] == "SUCCEEDED"
    assert http.delete("/v1/memories/", params={"user_id": "*"}).is_success
    assert listed(http) == []
    assert http.delete("/v1/memories/", params={"metadata": "{"}).status_code == 400


def test_what_was_deleted_is_not_kept_in_events(
    http: httpx.Client, project: Project, running: Running
) -> None:
    """Whoever asks to be forgotten means all of it."""
    secret = "My secret is 48213."
    add(http, secret)
    add(http, secret, run_id="r")
    assert secret in http.get("/v1/events/").text
    http.delete("/v1/memories/", params=ANN)
    http.delete("/v1/memories/", params={"run_id": "r"})
    with running.server.state.reading() as connection:
        from mem0_integrations.server.events import events

        rows = connection.execute(events.select().filter_by(project_id=project.id)).all()
    assert [row for row in rows if secret in f"{row.payload}{row.results}"] == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda http, one: http.get(f"/v1/memories/{one}/"),
        lambda http, one: http.put(f"/v1/memories/{one}/", json={"text": "Mine."}),
        lambda http, one: http.delete(f"/v1/memories/{one}/"),
        lambda http, one: http.get(f"/v1/memories/{one}/history/"),
        lambda http, one: http.put("/v1/batch/", json={"memories": [{"memory_id": one}]}),
        lambda http, one: http.request(
            "DELETE", "/v1/batch/", json={"memories": [{"memory_id": one}]}
        ),
    ],
)
def test_a_memory_of_another_project_is_not_there(
    project: Project,
    http: httpx.Client,
    running: Running,
    ask: Callable[[httpx.Client, str], httpx.Response],
) -> None:
    """Also for somebody who knows its id."""
    added = add(http, "I like tea.")
    with running.new_project().http() as other:
        assert ask(other, added["results"][0]["id"]).status_code == 404
        assert other.get(f"/v1/event/{added['event_id']}/").status_code == 404
        other.delete("/v1/memories/", params={"user_id": "*"})
        assert listed(other, filters={"OR": [{"user_id": "*"}, {"run_id": project.id}]}) == []
    assert listed(http) == ["I like tea."]


def test_the_memory_behind_it_can_be_used_beside_the_server(
    project: Project, http: httpx.Client, shared: AgentMemory
) -> None:
    """By the program that runs it: a project is a `run_id`."""
    shared.remember("I like tea.", scope={"user_id": "ann", "run_id": project.id}, infer=False)
    assert listed(http) == ["I like tea."]


def test_what_is_said_in_two_sessions_is_learned_in_both(http: httpx.Client) -> None:
    """An agent that looks at its own session alone must find it there."""

    def found(**ids: str) -> int:
        return len(listed(http, filters={"AND": [{key: ids[key]} for key in ids]}))

    for ids in ({}, {"run_id": "r1"}, {"run_id": "r2"}, {"app_id": "shop"}):
        said = {"messages": "I like tea.", **ANN, **ids}
        # This version waits for the end.
        assert len(http.post("/v1/memories/", json=said).json()) == 1
    assert (found(run_id="r1"), found(run_id="r2"), found(app_id="shop")) == (1, 1, 1)
    assert found(**ANN) == 4
    http.request("DELETE", "/v1/memories/", params={**ANN, "run_id": "r1"})
    assert (found(run_id="r1"), found(**ANN)) == (0, 3)


def test_a_last_day_may_be_the_last_of_all(http: httpx.Client) -> None:
    """As programs write it that want no end; and a day counts to its end."""
    add(http, "I like tea.")
    today = datetime.now(UTC).date()
    assert listed(http, end_date="9999-12-31") == ["I like tea."]
    assert listed(http, end_date=today.isoformat()) == ["I like tea."]
    assert listed(http, end_date=(today - timedelta(days=1)).isoformat()) == []
