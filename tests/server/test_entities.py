from __future__ import annotations

import uuid

import httpx
import pytest
from mem0 import MemoryClient
from mem0.exceptions import MemoryNotFoundError

from tests.servers.platform import Running


def named(listing: dict) -> dict[tuple[str, str], int]:
    return {(one["type"], one["name"]): one["total_memories"] for one in listing["results"]}


def test_everyone_of_whom_there_are_memories_is_listed(client: MemoryClient) -> None:
    """`delete_users` and dashboards start from this list."""
    client.add("I like tea.", user_id="ann", agent_id="guide", infer=False)
    client.add("I live in Oslo.", user_id="ann", run_id="trip", infer=False)
    client.add("Prices went up.", app_id="shop", infer=False)
    found = client.users()
    assert named(found) == {
        ("user", "ann"): 2,
        ("agent", "guide"): 1,
        ("run", "trip"): 1,
        ("app", "shop"): 1,
    }
    assert found["count"] == 4
    assert (found["total_users"], found["total_runs"]) == (1, 1)
    assert {uuid.UUID(one["id"]).version for one in found["results"]} == {5}
    assert {one["owner"] for one in found["results"]} == {client.user_email}


def test_another_project_sees_none_of_them(client: MemoryClient, running: Running) -> None:
    """Names of users are data, too."""
    client.add("I like tea.", user_id="ann", infer=False)
    with running.new_project().http() as other:
        assert other.get("/v1/entities/").json()["results"] == []
        assert other.delete("/v2/entities/user/ann/").status_code == 404
    assert named(client.users()) == {("user", "ann"): 1}


def test_the_listing_comes_in_pages(http: httpx.Client) -> None:
    """The TypeScript client asks for them."""
    for number in range(5):
        http.post("/v1/users/", json={"user_id": f"user {number}"})
    seen, page = [], "/v1/entities/?page=1&page_size=2"
    while page:
        answer = http.get(page).json()
        assert answer["count"] == 5
        seen += [one["name"] for one in answer["results"]]
        page = answer["next"]
    assert sorted(seen) == [f"user {number}" for number in range(5)]
    last = http.get("/v1/entities/", params={"page": 3, "page_size": 2}).json()
    assert last["previous"] == "/v1/entities/?page=2&page_size=2"
    assert http.get("/v1/entities/", params={"page": 0}).status_code == 400


@pytest.mark.parametrize("kind", ["user", "agent", "app", "run"])
def test_an_entity_can_be_made_known_before_there_are_memories(
    kind: str, http: httpx.Client
) -> None:
    """Older programs create their users first."""
    body = {f"{kind}_id": "one", "metadata": {"plan": "pro"}}
    made = http.post(f"/v1/{kind}s/", json=body)
    assert made.status_code == 201
    again = http.post(f"/v1/{kind}s/", json=body)
    assert again.json()["id"] == made.json()["id"]
    (listed,) = http.get("/v1/entities/").json()["results"]
    assert (listed["type"], listed["name"], listed["metadata"]) == (kind, "one", {"plan": "pro"})
    assert http.get("/v1/entities/filters/").json()[f"{kind}_id"] == ["one"]
    assert http.post(f"/v1/{kind}s/", json={f"{kind}_id": " "}).status_code == 400
    assert http.delete(f"/v2/entities/{kind}/one/").status_code == 200
    assert http.get("/v1/entities/").json()["results"] == []


@pytest.mark.parametrize("kind", ["user", "agent", "app", "run"])
def test_deleting_an_entity_deletes_its_memories_and_no_others(
    kind: str, client: MemoryClient
) -> None:
    """It is how a person's data is erased."""
    key = f"{kind}_id"
    client.add("I like tea.", **{key: "one"}, infer=False)
    client.add("I like coffee.", **{key: "two"}, infer=False)
    client.add("I live in Oslo.", **{key: "one", "user_id": "one"}, infer=False)
    assert client.delete_users(**{key: "one"}) == {"message": "Entity deleted successfully."}
    left = {name for found, name in named(client.users()) if found == kind}
    assert left == {"two"}
    assert client.get_all(filters={key: "one"})["results"] == []
    with pytest.raises(MemoryNotFoundError):
        client.delete_users(**{key: "one"})


@pytest.mark.parametrize("name", ["a/b", "a b", "a%2Fb", "ü?#&", "a/profile", "x."])
def test_names_are_taken_as_they_are(name: str, client: MemoryClient) -> None:
    """An id is whatever the application has, e-mail addresses and paths among them."""
    client.add("I like tea.", user_id=name, infer=False)
    client.add("I like coffee.", user_id="a", infer=False)
    client.delete_users(user_id=name)
    assert named(client.users()) == {("user", "a"): 1}


def test_an_entity_is_deleted_by_its_id_too(client: MemoryClient, http: httpx.Client) -> None:
    """The older TypeScript client does so."""
    client.add("I like tea.", user_id="ann", infer=False)
    (ann,) = client.users()["results"]
    assert http.delete(f"/v1/entities/agent/{ann['id']}/").status_code == 404
    assert http.delete(f"/v1/entities/user/{ann['id']}/").status_code == 200
    assert client.users()["results"] == []


def test_a_reset_deletes_everyone(client: MemoryClient) -> None:
    """One memory may belong to several entities; the second deletion finds nothing."""
    client.add("I like tea.", user_id="ann", agent_id="guide", infer=False)
    client.add("I like coffee.", user_id="bob", infer=False)
    client.reset()
    assert client.users()["results"] == []
    with pytest.raises(ValueError, match="No entities to delete"):
        client.reset()


def test_statistics_count_what_there_is(client: MemoryClient, http: httpx.Client) -> None:
    """A dashboard shows them."""
    client.add("I like tea.", user_id="ann", infer=False)
    client.add("I like coffee.", user_id="bob", agent_id="guide", infer=False)
    found = http.get("/v1/stats/").json()
    assert found.pop("total_events") >= 2
    assert found == {
        "total_memories": 2,
        "total_users": 2,
        "total_agents": 1,
        "total_apps": 0,
        "total_runs": 0,
    }


def test_a_summary_is_the_newest_memories(client: MemoryClient) -> None:
    """There may be no model behind the server; nothing is invented."""
    client.add("I like tea.", user_id="ann", infer=False)
    client.add("I live in Oslo.", user_id="ann", infer=False)
    client.add("I like coffee.", user_id="bob", infer=False)
    found = client.get_summary(filters={"user_id": "ann"})
    assert found == {"summary": "I live in Oslo.\nI like tea.", "total_memories": 2}


def test_feedback_is_kept_with_its_memory(client: MemoryClient, stranger: MemoryClient) -> None:
    """It goes when the memory goes."""
    (added,) = client.add("I like tea.", user_id="ann", infer=False)["results"]
    kept = client.feedback(added["id"], feedback="negative", feedback_reason="Not mine.")
    assert kept == {"id": added["id"], "feedback": "NEGATIVE", "feedback_reason": "Not mine."}
    assert client.get(added["id"])["metadata"] in (None, {})
    assert client.feedback(added["id"])["feedback"] is None
    with pytest.raises(MemoryNotFoundError):
        stranger.feedback(added["id"], feedback="POSITIVE")
