"""`AgentMemory` on Mem0's protocol: through Mem0's own clients, to a real server of ours."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from mem0 import AsyncMemoryClient, MemoryClient

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ClosedError,
    ConfigurationError,
    MemoryNotFoundError,
    RetryPolicy,
    Scope,
    connect,
)
from mem0_integrations.arguments import add_request
from mem0_integrations.backends import platform
from mem0_integrations.backends import platform_plans as plans
from mem0_integrations.backends.platform_dialect import OWN, covers, memory_of, scope_filter
from mem0_integrations.langgraph import Mem0Store
from mem0_integrations.plans import run
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.keys import create_key
from tests.servers.platform import running_app
from tests.stores import texts_of

ANN = {"user_id": "ann"}
TEA = "I like tea."


class Network:
    """A server behind a network that does what it is told to a request."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.before: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
        self.loses_answer: Callable[[str], bool] = lambda path: False
        self.delay = 0.0
        self.paths: list[str] = []
        self.keys: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        self.paths.append(path)
        self.keys += [
            value.decode() for key, value in scope["headers"] if key == b"idempotency-key"
        ]
        if self.delay:
            await asyncio.sleep(self.delay)
        refused = self.before(path)
        if refused is None and not self.loses_answer(path):
            await self.app(scope, receive, send)
            return
        status, headers = refused or (502, {})
        if refused is None:

            async def nowhere(message: Any) -> None:
                return None

            await self.app(scope, receive, nowhere)
        pairs = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
        pairs.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b'{"detail": "Not now."}'})


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, str]]:
    folder = tmp_path_factory.mktemp("network")
    settings = ServerSettings(state_url=f"sqlite:///{folder / 'state.db'}")
    with connect("embedded", data_dir=folder / "server") as served:
        between = Network(create_app(served, settings))
        with running_app(between) as running:  # type: ignore[arg-type]
            create_key(between.state.server.state, "somebody")
            yield between, running.url


@pytest.fixture
def between(network: tuple[Network, str]) -> Iterator[Network]:
    made, _ = network
    yield made
    made.before, made.loses_answer, made.delay = lambda path: None, lambda path: False, 0.0
    made.paths.clear()
    made.keys.clear()


@pytest.fixture
def key(between: Network, user: str) -> str:
    """The key of a project of its own."""
    return create_key(between.state.server.state, f"project-{user}")


@pytest.fixture
def url(network: tuple[Network, str]) -> str:
    return network[1]


@pytest.fixture
def memory(key: str, url: str, data_dir: Path) -> Iterator[AgentMemory]:
    retry = RetryPolicy(attempts=4, base=0.01, cap=0.02)
    with connect(api_key=key, host=url, scope=ANN, retry=retry) as memory:
        yield memory


def first(times: int, path: str, status: int, **headers: str) -> Callable[[str], Any]:
    """Refuse the first few requests for a path."""
    left = [times]

    def before(asked: str) -> tuple[int, dict[str, str]] | None:
        if asked != path or left[0] == 0:
            return None
        left[0] -= 1
        return status, headers

    return before


def carried_out(plan: plans.PlatformPlan[Any], answers: dict[str, Any]) -> Any:
    """Carry out a plan with the same answer to each call of a method."""

    def ask(step: plans.Call | plans.Pause) -> Any:
        assert isinstance(step, plans.Call)
        return answers[step.method]

    return run(plan, ask)


# How it is connected.


def test_the_whole_life_of_a_memory(memory: AgentMemory) -> None:
    """Everything that works on a Mem0 of one's own works here."""
    written = memory.remember(TEA, metadata={"topic": "taste"})
    assert (written.status, texts_of(written.memories)) == ("stored", [TEA])
    made = written.memories[0].id
    recalled = memory.recall("tea?").memories[0]
    assert (recalled.id, recalled.scope, recalled.metadata) == (
        made,
        Scope(**ANN),
        {"topic": "taste", "role": "user"},
    )
    assert memory.update(made, text="I like coffee.", metadata={"n": 1}).text == "I like coffee."
    changed = memory.get(made)
    assert changed is not None
    assert changed.metadata == {"topic": "taste", "n": 1, "role": "user"}
    memory.delete(made)
    assert memory.get(made) is None
    assert [change.event for change in memory.history(made)] == ["ADD", "UPDATE", "DELETE"]
    with pytest.raises(MemoryNotFoundError):
        memory.delete(made)


@pytest.mark.parametrize("client", [MemoryClient, AsyncMemoryClient])
async def test_mem0s_own_clients_are_taken(client: Any, key: str, url: str, data_dir: Path) -> None:
    """Whoever has one need not say the key again."""
    own = await asyncio.to_thread(client, api_key=key, host=url)
    async with connect(own, scope=ANN) as memory:
        assert memory._backend._client.client.timeout.read == 30  # type: ignore[attr-defined]
        await memory.aremember(TEA)
        assert texts_of((await memory.arecall("tea")).memories) == [TEA]
        assert texts_of(await memory.alist()) == [TEA]
    if client is MemoryClient:
        assert own.get_all(filters={"user_id": "ann"})["count"] == 1
        own.client.close()
    else:
        assert (await own.get_all(filters={"user_id": "ann"}))["count"] == 1
        await own.async_client.aclose()


def test_the_environment_names_the_platform(
    key: str, url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Mem0's own client takes its key; and `embedded` still means the embedded one."""
    monkeypatch.setenv("MEM0_API_KEY", key)
    monkeypatch.setenv("MEM0_HOST", url)
    with connect() as memory:
        assert url in memory.describe()["store"]
    with connect("embedded") as memory:
        assert str(data_dir) in memory.describe()["store"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": "m0-wrong"}, "refused the API key"),
        ({"api_key": ""}, "api_key is empty"),
        ({"host": None}, None),
        ({"target": "embedded"}, "leave the target out"),
        ({"extractor": True}, "extracts itself"),
        ({"host": "nonsense"}, "host must be a URL"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_mistake_is_told_before_anything_is_written(
    options: dict[str, Any], message: str | None, key: str, url: str, data_dir: Path
) -> None:
    """Mem0's clients raise whatever comes up."""
    if message is None:
        pytest.MonkeyPatch().delenv("MEM0_API_KEY", raising=False)
        with pytest.raises(ConfigurationError, match="host= needs a key"):
            connect(host=url)
        return
    target = options.pop("target", None)
    if options.pop("extractor", None):
        from mem0_integrations import SentenceExtractor

        options["extractor"] = SentenceExtractor()
    with pytest.raises(ConfigurationError, match=message):
        connect(target, **{"api_key": key, "host": url, **options})


def test_a_server_that_is_not_there_is_told(data_dir: Path) -> None:
    """As an error of this package, which may pass."""
    with pytest.raises(BackendError, match="could not connect") as caught:
        connect(api_key="m0-key", host="http://127.0.0.1:9")
    assert caught.value.retryable


def test_vectors_are_refused(memory: AgentMemory) -> None:
    """The protocol has none; the message names what works."""
    with pytest.raises(ConfigurationError, match="Mem0CrewMemory"):
        memory.vectors()


def test_a_graph_follows_it(key: str, url: str, tmp_path: Path) -> None:
    """The Platform's own graph is for its larger plans; this one is beside any Mem0."""
    with connect(api_key=key, host=url, graph=True, data_dir=tmp_path, scope=ANN) as memory:
        written = memory.remember("I live in Oslo.")
        assert memory.flush(30)
        (fact,) = memory.recall("Where is home?").relations
        assert (fact.source, fact.relationship, fact.target) == ("ann", "lives_in", "Oslo")
        assert fact.memory_ids == (written.memories[0].id,)
        store = Mem0Store(memory, memories=("memories", "{user_id}"))
        store.put(("memories", "ann"), "work", {"text": "I work at Acme."})
        assert memory.flush(30)
        assert {fact.target for fact in memory.graph.relations(scope=ANN)} == {"Oslo", "Acme"}
        store.delete(("memories", "ann"), "work")
        assert memory.flush(30)
        assert {fact.target for fact in memory.graph.relations(scope=ANN)} == {"Oslo"}
        assert memory.forget(ANN).relations == 2


async def test_a_graph_takes_no_recall_off_the_loop(
    key: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend keeps what it can do, whatever follows it: no thread waits for the Platform."""
    async with connect(
        api_key=key, host=url, graph=True, data_dir=tmp_path, scope=ANN, on_error="raise"
    ) as memory:
        written = await memory.aremember("I live in Oslo.")
        assert await memory.aflush(30)
        monkeypatch.setattr(platform.PlatformBackend, "_run", _off_the_loop)
        for pool in (memory._access._pool, memory._recaller._searches):
            monkeypatch.setattr(pool, "arun", _off_the_loop)
        recall = await memory.arecall("Where is home?")
        assert [memory.id for memory in recall.memories] == [written.memories[0].id]
        assert [fact.target for fact in recall.relations] == ["Oslo"]
        assert texts_of(await memory.alist()) == ["I live in Oslo."]
        # The pools are closed with the memory, in a thread.
        monkeypatch.undo()


def _off_the_loop(*_: object) -> None:
    raise AssertionError("It left the event loop.")


# When the network fails.


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_failure_that_passes_is_not_seen(
    memory: AgentMemory, between: Network, status: int
) -> None:
    """Mem0's client makes one attempt."""
    memory.remember(TEA)
    between.before = first(2, "/v3/memories/search/", status)
    assert texts_of(memory.recall("tea").memories) == [TEA]
    between.before = first(2, "/v3/memories/add/", status)
    assert memory.remember("I like coffee.").status == "stored"


@pytest.mark.parametrize("change", ["update", "delete"])
@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_change_is_tried_again(
    memory: AgentMemory, between: Network, change: str, lost: str
) -> None:
    """A delete as an update is; one whose answer was lost has been done."""
    [stored] = memory.remember(TEA).memories
    path = f"/v1/memories/{stored.id}/"
    if lost == "request":
        between.before = first(2, path, 503)
    else:
        # That of a look before the change, and then that of the change.
        asks = itertools.count(1)
        between.loses_answer = lambda asked: asked == path and next(asks) in (1, 3)
    if change == "update":
        memory.update(stored.id, text="I like coffee.")
        assert texts_of(memory.list()) == ["I like coffee."]
    else:
        memory.delete(stored.id)
        assert memory.list() == []
    with pytest.raises(MemoryNotFoundError):
        memory.delete(str(uuid.UUID(int=1)))


@pytest.mark.parametrize("asked", ["1", "date"])
def test_it_waits_as_long_as_it_is_asked_to(
    memory: AgentMemory, between: Network, asked: str
) -> None:
    """In seconds or as a date; Mem0's client drops the latter."""
    wanted = datetime.now(UTC) + timedelta(seconds=2)
    header = {"Retry-After": asked if asked == "1" else format_datetime(wanted, usegmt=True)}
    between.before = first(1, "/v3/memories/search/", 429, **header)
    began = time.monotonic()
    assert memory.recall("tea").degraded is None
    assert time.monotonic() - began > 0.9


async def test_async_calls_are_repeated_too(memory: AgentMemory, between: Network) -> None:
    """The twins must not differ."""
    await memory.aremember(TEA)
    between.before = first(2, "/v3/memories/search/", 503)
    assert texts_of((await memory.arecall("tea")).memories) == [TEA]


def test_an_add_whose_answer_is_lost_is_stored_once(memory: AgentMemory, between: Network) -> None:
    """It was carried out, and nobody knows: its key tells."""
    lost = [1]

    def loses(path: str) -> bool:
        if path != "/v3/memories/add/" or lost[0] == 0:
            return False
        lost[0] -= 1
        return True

    between.loses_answer = loses
    written = memory.remember(TEA, key="turn 1: ä")
    assert written.status == "stored"
    assert lost == [0]
    assert len(set(between.keys)) == 1
    assert texts_of(memory.list()) == [TEA]
    assert memory.remember(TEA, key="turn 1: ä").status == "duplicate"


@pytest.mark.parametrize(
    ("infer", "answer"),
    [
        (True, {"status": "RUNNING"}),
        (True, {"status": "SUCCEEDED"}),
        (False, {"status": "PENDING", "results": []}),
    ],
)
@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_an_add_that_has_not_ended_when_it_is_answered_is_followed(
    infer: bool, answer: dict[str, Any], end: str
) -> None:
    """Sent again, or on a slow server: `nothing` would be a lie."""
    request = add_request(
        TEA,
        Scope(**ANN),
        infer=infer,
        metadata=None,
        key="k",
        created_at=datetime.now(UTC),
        include_tool_messages=False,
    )
    event = {"status": end, "results": [{"id": "1", "data": {"memory": TEA}}], "error": "Full."}
    answers = {
        "get_all": {"results": []},
        "add": {"event_id": "e", **answer},
        "event": event if end == "SUCCEEDED" else {**event, "results": []},
    }
    if end == "SUCCEEDED":
        assert texts_of(carried_out(plans.add(request, {}), answers)) == [TEA]
    else:
        with pytest.raises(BackendError, match="Full"):
            carried_out(plans.add(request, {}), answers)


async def test_a_recall_under_way_is_told_when_the_memory_is_closed(
    memory: AgentMemory, between: Network
) -> None:
    """A task that looks cancelled would end the program around it."""
    await memory.arecall("tea")
    between.delay = 2.0
    recall = asyncio.ensure_future(memory.arecall("tea"))
    await asyncio.sleep(0.2)
    await memory.aclose()
    with pytest.raises(ClosedError):
        await recall


async def test_a_server_that_hangs_does_not_hold_up_the_async_client(
    key: str, url: str, data_dir: Path, between: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its constructor waits without an end, and a program that ends would wait for it."""
    monkeypatch.setattr(platform, "_PATIENCE_SECONDS", 0.2)
    with connect(api_key=key, host=url, scope=ANN, retry=RetryPolicy(attempts=1)) as memory:
        between.delay = 3.0
        began = time.monotonic()
        with pytest.raises(BackendError, match=r"within 0\.2 s"):
            await memory.alist()
        assert time.monotonic() - began < 2


def test_a_key_that_is_refused_is_no_empty_memory(memory: AgentMemory, between: Network) -> None:
    """`Nothing is known` would be a lie."""
    between.before = first(99, "/v3/memories/search/", 401)
    recall = memory.recall("tea")
    assert recall.degraded is not None
    assert "Authentication" in recall.degraded


def test_a_slow_server_costs_the_budget_and_no_more(memory: AgentMemory, between: Network) -> None:
    """Mem0's client waits for five minutes."""
    between.delay = 5.0
    began = time.monotonic()
    assert memory.recall("tea", timeout=0.3).degraded is not None
    assert time.monotonic() - began < 4


async def test_many_recalls_wait_side_by_side(memory: AgentMemory, between: Network) -> None:
    """Not in a handful of threads."""
    await memory.aremember(TEA)
    await memory.arecall("tea")
    between.delay = 2.0
    began = time.monotonic()
    recalls = await asyncio.gather(*(memory.arecall("tea", timeout=20) for _ in range(40)))
    assert all(texts_of(recall.memories) == [TEA] for recall in recalls)
    # In ten rounds of four they would take twenty seconds.
    assert time.monotonic() - began < 18


def test_background_writes_are_queued_and_arrive(memory: AgentMemory) -> None:
    """Without waiting, the status says so."""
    assert memory.remember(TEA, background=True).status == "queued"
    assert memory.flush(30)
    assert texts_of(memory.list()) == [TEA]


def test_an_event_that_fails_is_kept_as_a_dead_letter(
    memory: AgentMemory, between: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the server's reason."""
    refused = first(99, "/v3/memories/add/", 413)
    between.before = refused
    written = memory.remember(TEA)
    assert written.status == "failed"
    assert "Not now." in str(written.error)
    assert len(memory.dead_letters()) == 1
    between.before = lambda path: None
    assert memory.replay() == 1
    assert memory.flush(30)
    assert texts_of(memory.list()) == [TEA]


# Whose it is.


def test_forget_leaves_nothing_of_a_user_and_everything_of_others(memory: AgentMemory) -> None:
    """Whatever agent and run it was said to."""
    for ids in ({}, {"agent_id": "a"}, {"agent_id": "a", "run_id": "r"}, {"app_id": "p"}):
        memory.remember(TEA, scope={**ANN, **ids})
        memory.remember(TEA, scope={"user_id": "ben", **ids})
    assert memory.forget(Scope(user_id="ann", run_id="r")).memories == 1
    assert memory.forget(ANN).memories == 3
    assert memory.list() == []
    assert len(memory.list(scope={"user_id": "ben"})) == 4


@pytest.mark.parametrize("owner", [{"user_id": "ann"}, {"agent_id": "bot"}])
def test_what_others_say_moves_no_score(memory: AgentMemory, owner: dict[str, str]) -> None:
    """The server would search all of the project, and tell how rare a word is among its users."""
    memory.remember("I like green tea.", scope=owner)
    (before,) = memory.recall("Who likes green tea?", scope=owner).memories
    for number in range(3):
        memory.remember(f"I like tea number {number}.", scope={"user_id": f"bob-{number}"})
    (after,) = memory.recall("Who likes green tea?", scope=owner).memories
    assert after == before


def test_a_fact_that_stands_under_one_id_is_found_under_both() -> None:
    """The hosted Platform splits what it extracts between the user and the agent."""
    both = Scope(user_id="u", agent_id="a")
    recorded = {OWN + "user_id": "u", OWN + "agent_id": "a"}
    said = {"id": "1", "memory": "x", "user_id": "u", "metadata": recorded}
    answered = {"id": "2", "memory": "x", "agent_id": "a", "metadata": recorded}
    assert covers(both, said)
    assert covers(both, answered)
    assert covers(Scope(user_id="u"), answered)
    assert memory_of(answered).scope == both
    other = {"id": "3", "memory": "x", "agent_id": "a", "metadata": {OWN + "user_id": "v"}}
    assert not covers(both, other)
    assert not covers(Scope(user_id="u"), other)


def test_what_others_have_stored_must_say_the_user() -> None:
    """An agent's facts about somebody else are none of ours."""
    both = Scope(user_id="u", agent_id="a")
    assert covers(both, {"id": "1", "memory": "x", "user_id": "u"})
    assert not covers(both, {"id": "1", "memory": "x", "agent_id": "a"})
    assert not covers(both, {"id": "1", "memory": "x", "user_id": "u", "agent_id": "b"})
    assert not covers(both, {"id": "1", "memory": "x", "user_id": "v"})
    assert not covers(both, {"id": "1", "memory": "x"})
    assert scope_filter(both)["AND"]
