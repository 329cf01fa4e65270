"""Mem0's own Python clients, unmodified: every method, sync and async."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from mem0 import AsyncMemoryClient, MemoryClient
from mem0.client.types import AddMemoryOptions, SearchMemoryOptions
from mem0.exceptions import MemoryError as Mem0Error
from mem0.exceptions import MemoryNotFoundError, ValidationError

from tests.servers.platform import Project

Client = MemoryClient | AsyncMemoryClient
Call = Callable[..., Awaitable[Any]]

ANN = {"user_id": "ann"}
# Those that are called below; a new version of the client that has more is noticed.
METHODS = {
    *("add", "search", "get", "get_all", "update", "delete", "delete_all", "history"),
    *("batch_update", "batch_delete", "users", "delete_users", "reset", "feedback"),
    *("create_memory_export", "get_memory_export", "get_summary"),
    *("get_webhooks", "create_webhook", "update_webhook", "delete_webhook"),
    *("get_project", "update_project", "chat"),
    *("get_profile", "generate_profile", "get_profile_settings", "update_profile_settings"),
    *("sample_profiles", "get_profile_job"),
}


@pytest.fixture(params=["sync", "async"])
async def client_of(
    request: pytest.FixtureRequest, project: Project
) -> AsyncIterator[MemoryClient | AsyncMemoryClient]:
    if request.param == "sync":
        client = project.client()
        yield client
        client.client.close()
        return
    async with AsyncMemoryClient(api_key=project.key, host=project.url) as async_client:
        yield async_client


@pytest.fixture
def call(client_of: MemoryClient | AsyncMemoryClient) -> Call:
    """Call a method by name; `project.get` and the like are those of the client's project."""

    async def called(name: str, /, *args: object, **kwargs: object) -> Any:
        method: Any = client_of
        for part in name.split("."):
            method = getattr(method, part)
        answer = method(*args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer

    return called


async def added(call: Call, text: str, **kwargs: object) -> str:
    answer = await call("add", text, infer=False, **(kwargs or ANN))
    assert answer["status"] == "SUCCEEDED"
    (result,) = answer["results"]
    assert result["data"]["memory"] == text
    return str(result["id"])


async def listed(call: Call, **filters: object) -> list[str]:
    answer = await call("get_all", filters=filters or {"user_id": "*"})
    return [item["memory"] for item in answer["results"]]


@pytest.mark.parametrize("kind", [MemoryClient, AsyncMemoryClient])
def test_every_method_is_tried(kind: type) -> None:
    """A client that learns something new must not find a server that does not know it."""
    public = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    assert public == METHODS


async def test_a_conversation_is_added_in_the_background(call: Call) -> None:
    """The answer does not wait for a model."""
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "I am allergic to peanuts."}]},
        {"role": "assistant", "content": "Noted."},
    ]
    answer = await call("add", messages, user_id="ann", run_id="r1", metadata={"team": "x"})
    assert answer["status"] == "PENDING"
    assert answer["event_id"]
    deadline = time.monotonic() + 10
    while not (found := (await call("get_all", filters=ANN))["results"]):
        assert time.monotonic() < deadline
    assert [(item["memory"], item["session_id"], item["metadata"]) for item in found] == [
        ("I am allergic to peanuts.", "r1", {"team": "x"})
    ]


async def test_options_and_filters_name_entities_too(call: Call) -> None:
    """The client's typed options say it that way."""
    options = AddMemoryOptions(filters={"user_id": "ann"}, infer=False, metadata={"a": 1})
    assert (await call("add", "I like tea.", options))["status"] == "SUCCEEDED"
    found = await call("search", "tea", SearchMemoryOptions(filters=ANN, top_k=3, threshold=0.0))
    assert [item["memory"] for item in found["results"]] == ["I like tea."]


async def test_search_finds_the_nearest_first(call: Call) -> None:
    """With a score, and no more than asked for."""
    await added(call, "I am allergic to peanuts.")
    await added(call, "I live in Oslo.")
    await added(call, "I am allergic to cats.", user_id="bob")
    found = await call("search", " allergies? ", filters=ANN, top_k=1)
    ((text, score, user),) = [(i["memory"], i["score"], i["user_id"]) for i in found["results"]]
    assert (text, user) == ("I am allergic to peanuts.", "ann")
    assert 0 < score <= 1
    both = {"OR": [{"user_id": "ann"}, {"user_id": "bob"}]}
    found = await call("search", "allergies?", filters=both, fields=["user_id"])
    assert {(i["memory"], i["user_id"]) for i in found["results"][:2]} == {
        ("I am allergic to peanuts.", "ann"),
        ("I am allergic to cats.", "bob"),
    }
    assert "metadata" not in found["results"][0]


async def test_pages_hold_everything_once(call: Call) -> None:
    """The newest first, with links that say whether there is more."""
    for number in range(5):
        await added(call, f"Fact {number}.")
    pages = [await call("get_all", filters=ANN, page=page, page_size=2) for page in (1, 2, 3, 4)]
    assert [[item["memory"] for item in page["results"]] for page in pages] == [
        ["Fact 4.", "Fact 3."],
        ["Fact 2.", "Fact 1."],
        ["Fact 0."],
        [],
    ]
    assert {page["count"] for page in pages} == {5}
    assert [bool(page["next"]) for page in pages] == [True, True, False, False]
    assert [bool(page["previous"]) for page in pages] == [False, True, True, True]


async def test_a_memory_is_read_changed_and_deleted(call: Call) -> None:
    """And its history says so, also afterwards."""
    memory_id = await added(call, "I live in Oslo.", user_id="ann", metadata={"a": 1})
    item = await call("get", memory_id)
    assert (item["memory"], item["metadata"]) == ("I live in Oslo.", {"a": 1})
    new = await call(
        "update", memory_id, text="I live in Rome.", metadata={"b": 2}, timestamp=86_400
    )
    assert (new["memory"], new["metadata"]) == ("I live in Rome.", {"a": 1, "b": 2})
    assert new["created_at"].startswith("1970-01-02T00:00:00")
    assert await call("delete", memory_id) == {"message": "Memory deleted successfully!"}
    with pytest.raises(MemoryNotFoundError, match="Memory not found!"):
        await call("get", memory_id)
    changes = await call("history", memory_id)
    assert [(c["event"], c["old_memory"], c["new_memory"], c["user_id"]) for c in changes] == [
        ("ADD", None, "I live in Oslo.", "ann"),
        ("UPDATE", "I live in Oslo.", "I live in Rome.", "ann"),
        ("DELETE", "I live in Rome.", None, "ann"),
    ]


async def test_a_memory_expires(call: Call) -> None:
    """It is hidden from then on, until it is cleared."""
    memory_id = await added(call, "The sale ends today.")
    assert (await call("update", memory_id, expiration_date="2020-01-01"))["expiration_date"] == (
        "2020-01-01"
    )
    assert await listed(call) == []
    assert (await call("search", "sale", filters=ANN))["results"] == []
    shown = await call("get_all", filters=ANN, show_expired=True)
    assert [item["memory"] for item in shown["results"]] == ["The sale ends today."]
    await call("update", memory_id, expiration_date=None)
    assert await listed(call) == ["The sale ends today."]


async def test_many_memories_are_changed_at_once(call: Call) -> None:
    """All of them, or none when one of them is not there."""
    ids = [await added(call, f"Fact {number}.") for number in range(3)]
    changes = [{"memory_id": one, "text": "New."} for one in ids[:2]]
    answer = await call("batch_update", changes)
    assert answer == {"message": "Successfully updated 2 memories"}
    unknown = {"memory_id": "00000000-0000-4000-8000-000000000000"}
    with pytest.raises(MemoryNotFoundError):
        await call("batch_delete", [{"memory_id": ids[2]}, unknown])
    assert sorted(await listed(call)) == ["Fact 2.", "New.", "New."]
    await call("batch_delete", [{"memory_id": one} for one in ids])
    assert await listed(call) == []


async def test_entities_are_listed_and_deleted(call: Call) -> None:
    """With all that is known of them, and nothing else."""
    for entity in ("user_id", "agent_id", "app_id", "run_id"):
        await added(call, f"Of a {entity}.", **{entity: "x"})
    await added(call, "Of ann.")
    users = await call("users")
    assert {(one["type"], one["name"]) for one in users["results"]} == {
        *(("user", "x"), ("agent", "x"), ("app", "x"), ("run", "x"), ("user", "ann"))
    }
    assert (await call("delete_all", user_id="ann"))["message"]
    for kind in ("user_id", "agent_id", "app_id", "run_id"):
        await call("delete_users", **{kind: "x"})
    assert await listed(call, OR=[{key: "*"} for key in ("user_id", "agent_id", "run_id")]) == []
    with pytest.raises(MemoryNotFoundError):
        await call("delete_users", user_id="x")
    with pytest.raises(ValidationError, match="At least one of"):
        await call("delete_all")


async def test_the_project_can_be_emptied(call: Call) -> None:
    """As tests do it."""
    await added(call, "I like tea.")
    await added(call, "I like tea.", run_id="a/b c")
    await call("reset")
    assert (await call("users"))["results"] == []
    with pytest.raises(ValueError, match="No entities to delete"):
        await call("reset")


async def test_memories_are_exported_and_summed_up(call: Call) -> None:
    """By a job, whose result waits."""
    await added(call, "I like tea.")
    schema = {"type": "object", "properties": {"memory": {"type": "string"}}}
    job = await call("create_memory_export", schema, filters={"AND": [ANN]})
    export = await call("get_memory_export", memory_export_id=job["id"])
    assert export == {"memories": [{"memory": "I like tea."}]}
    assert (await call("get_summary", filters=ANN))["summary"] == "I like tea."


async def test_feedback_is_kept(call: Call) -> None:
    """And stays out of the metadata."""
    memory_id = await added(call, "I like tea.")
    kept = await call("feedback", memory_id, "positive", "true")
    assert kept == {"id": memory_id, "feedback": "POSITIVE", "feedback_reason": "true"}
    assert (await call("get", memory_id))["metadata"] == {}


async def test_the_project_has_settings_members_and_webhooks(call: Call, project: Project) -> None:
    """All that the client can ask of a project."""
    await call("update_project", custom_instructions="Keep numbers.")
    found = await call("get_project", fields=["custom_instructions"])
    assert found["custom_instructions"] == "Keep numbers."
    await call("project.update", multilingual=True)
    assert (await call("project.get"))["multilingual"] is True
    await call("project.add_member", "ann@example.com", "READER")
    await call("project.update_member", "ann@example.com", "OWNER")
    members = (await call("project.get_members"))["members"]
    assert {"username": "ann@example.com", "role": "OWNER"} in [
        {key: member[key] for key in ("username", "role")} for member in members
    ]
    await call("project.remove_member", "ann@example.com")
    hook = await call("create_webhook", "http://127.0.0.1:9/", "h", project.id, ["memory_add"])
    await call("update_webhook", hook["webhook_id"], name="new")
    assert [one["name"] for one in await call("get_webhooks", project.id)] == ["new"]
    await call("delete_webhook", hook["webhook_id"])
    assert await call("get_webhooks", project.id) == []


async def test_what_the_server_cannot_do_it_says(call: Call) -> None:
    """Profiles need a model that writes them."""
    for name, *args in (
        ("get_profile", "ann"),
        ("generate_profile", "ann"),
        ("get_profile_settings",),
        ("update_profile_settings", True),
        ("sample_profiles",),
        ("get_profile_job", "1"),
    ):
        with pytest.raises(Mem0Error, match="makes no profiles"):
            await call(name, *args)
    with pytest.raises(NotImplementedError):
        await call("chat")


async def test_errors_arrive_as_sentences(call: Call) -> None:
    """The client only reads `detail`."""
    with pytest.raises(ValidationError, match=r"^At least one of user_id"):
        await call("add", "I like tea.")
    with pytest.raises(ValidationError, match=r"^filters\.colour: top-level key must be"):
        await call("get_all", filters={"user_id": "ann", "colour": "red"})
    with pytest.raises(ValidationError, match=r"^filters must hold at least one"):
        await call("search", "tea", filters={"keywords": {"contains": "x"}})
    with pytest.raises(ValidationError, match="valid UUID"):
        await call("get", "x")
