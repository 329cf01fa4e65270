from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
import operator
import threading
import time
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph, add_messages
from langgraph.types import RetryPolicy
from pydantic import BaseModel

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    InvalidInputError,
    InvalidMessageError,
    OutboxFullError,
    OutboxOptions,
    Recall,
    Scope,
    ScopeError,
    ScopeRequest,
    connect,
    recall_text,
)
from mem0_integrations.langgraph import MemoryState, recall_node, remember_node
from tests.stores import HookedEmbedder

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
GRACE = 30.0


@pytest.fixture(params=["embedded", "platform"])
def shared(request: pytest.FixtureRequest) -> AgentMemory:
    """Nodes work alike on Mem0's own code and on its protocol."""
    memory: AgentMemory = request.getfixturevalue(f"on_{request.param}")
    return memory


def config_of(user: str, **ids: Any) -> dict[str, Any]:
    return {"configurable": {"user_id": user, "thread_id": "thread-1", **ids}}


def chat(
    memory: AgentMemory,
    *,
    state: type = MemoryState,
    recall: dict[str, Any] | None = None,
    remember: dict[str, Any] | None = None,
    reply: Sequence[BaseMessage] | None = None,
    **schemas: Any,
) -> StateGraph:
    """Recall, answer, remember: what a chatbot does."""
    key = (remember or {}).get("messages_key", "messages")
    answer = [AIMessage("I see.")] if reply is None else reply
    builder: StateGraph[Any] = StateGraph(state, **schemas)
    builder.add_node("recall", recall_node(memory, **(recall or {})))
    builder.add_node("model", lambda _: {key: copy.deepcopy(answer)})
    builder.add_node("remember", remember_node(memory, **{"background": False, **(remember or {})}))
    builder.add_edge(START, "recall").add_edge("recall", "model")
    builder.add_edge("model", "remember").add_edge("remember", END)
    return builder


def said(*content: Any) -> dict[str, Any]:
    return {"messages": [HumanMessage(item) for item in content]}


def texts(memory: AgentMemory, user: str) -> set[str]:
    assert memory.flush(GRACE)
    return {item.text for item in memory.list(scope={"user_id": user})}


def events_of(stream: Any) -> list[dict[str, Any]]:
    return [{**item, "event": item["event"].removeprefix("memory.")} for item in stream]


# How it is called.


async def invoke(graph: Any, given: Any, config: Any) -> Any:
    return graph.invoke(given, config)


async def ainvoke(graph: Any, given: Any, config: Any) -> Any:
    return await graph.ainvoke(given, config)


async def stream(graph: Any, given: Any, config: Any) -> Any:
    return list(graph.stream(given, config, stream_mode="values"))[-1]


async def astream(graph: Any, given: Any, config: Any) -> Any:
    return [item async for item in graph.astream(given, config, stream_mode="values")][-1]


@pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream])
async def test_the_nodes_work_however_the_graph_is_called(shared, user, call) -> None:
    """One graph definition serves scripts, servers and streams."""
    graph = chat(shared).compile()
    first = await call(graph, said("I am allergic to peanuts."), config_of(user))
    assert first["memories"] == ""
    second = await call(graph, said("What am I allergic to?"), config_of(user, thread_id="2"))
    assert "- [" in second["memories"]
    assert "I am allergic to peanuts." in second["memories"]
    assert [message.content for message in second["messages"]] == [
        "What am I allergic to?",
        "I see.",
    ]


class Dialogue(TypedDict):
    chat: Annotated[list[AnyMessage], add_messages]
    notes: str


class ListDialogue(TypedDict, total=False):
    chat: Annotated[list[Any], operator.add]
    notes: str


class PydanticDialogue(BaseModel):
    chat: Annotated[list[AnyMessage], add_messages] = []
    notes: str = ""


@dataclasses.dataclass
class DataclassDialogue:
    chat: Annotated[list[AnyMessage], add_messages] = dataclasses.field(default_factory=list)
    notes: str = ""


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize("state", [Dialogue, ListDialogue, PydanticDialogue, DataclassDialogue])
async def test_the_state_may_be_of_any_kind_and_its_keys_of_any_name(
    shared, user, state, call
) -> None:
    """Graphs exist before memory is added to them."""
    graph = chat(
        shared,
        state=state,
        recall={"messages_key": "chat", "output_key": "notes"},
        remember={"messages_key": "chat"},
    ).compile()
    await call(graph, {"chat": [HumanMessage("I am allergic to peanuts.")]}, config_of(user))
    result = await call(graph, {"chat": [HumanMessage("Any allergies?")]}, config_of(user))
    assert "I am allergic to peanuts." in result["notes"]


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_plain_dict_state_with_openai_messages_works(shared, user, call) -> None:
    """A graph need not know LangChain's messages."""
    builder = StateGraph(dict)  # type: ignore[type-var]
    builder.add_node("remember", remember_node(shared, background=False))
    builder.add_edge(START, "remember")
    given = {"messages": [{"role": "user", "content": "I am allergic to peanuts.", "id": "1"}]}
    await call(builder.compile(), given, config_of(user))
    (memory,) = shared.list(scope={"user_id": user})
    assert (memory.text, memory.metadata["message_id"]) == ("I am allergic to peanuts.", "1")


@pytest.mark.parametrize("make", [recall_node, remember_node])
def test_a_state_without_the_key_says_which_option_to_set(shared, user, make) -> None:
    """The wrong key must not look like a user who said nothing."""
    builder = StateGraph(MemoryState).add_node("node", make(shared, messages_key="chat"))
    graph = builder.add_edge(START, "node").compile()
    with pytest.raises(InvalidInputError, match="messages_key="):
        graph.invoke(said("Hello"), config_of(user))


def test_the_recall_can_be_rendered_in_another_way(shared, user) -> None:
    """An application may want the data, or a text in its own words."""
    shared.remember("I am allergic to peanuts.", scope={"user_id": user})
    options = {"render": lambda recall: [memory.text for memory in recall.memories]}
    graph = chat(shared, recall=options).compile()
    result = graph.invoke(said("Any allergies?"), config_of(user))
    assert result["memories"] == ["I am allergic to peanuts."]


def test_a_limit_and_filters_reach_the_search(shared, user) -> None:
    """The options of `recall` are the options of the node."""
    for topic in ("food", "travel"):
        for text in ("I like rice.", "I like trains."):
            shared.remember(f"{text} ({topic})", scope={"user_id": user}, metadata={"t": topic})
    options = {
        "render": lambda recall: [memory.metadata["t"] for memory in recall.memories],
        "filters": {"t": "travel"},
        "limit": 1,
        "threshold": 0.0,
    }
    graph = chat(shared, recall=options).compile()
    assert graph.invoke(said("What do I like?"), config_of(user))["memories"] == ["travel"]


# Whose memories.


@dataclasses.dataclass
class Context:
    user_id: str
    locale: str = "en"


class MappingContext(TypedDict):
    user_id: str


class Caller(dict):
    """What LangGraph Server puts into the configuration for an authenticated client."""

    is_authenticated = True
    permissions = ()

    @property
    def identity(self) -> str:
        return self["identity"]

    @property
    def display_name(self) -> str:
        return self["identity"]


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("schema", "context"), [(Context, Context), (MappingContext, lambda user: {"user_id": user})]
)
async def test_the_scope_is_found_in_the_context(shared, user, schema, context, call) -> None:
    """LangGraph's typed way to say who is speaking."""
    graph = chat(shared, context_schema=schema).compile()
    if call == "invoke":
        graph.invoke(said("I like tea."), context=context(user))
    else:
        await graph.ainvoke(said("I like tea."), context=context(user))
    assert texts(shared, user) == {"I like tea."}


@pytest.mark.parametrize(
    "scope",
    [
        lambda user: Scope(user_id=user),
        lambda user: {"user_id": user},
        lambda user: lambda request: {"user_id": request.configurable["customer"]},
    ],
    ids=["scope", "mapping", "callable"],
)
@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_the_scope_can_be_given_to_the_node(shared, user, scope, call) -> None:
    """It then decides alone, whatever the run's configuration says."""
    options = {"scope": scope(user)}
    graph = chat(shared, recall=options, remember=options).compile()
    await call(graph, said("I like tea."), config_of("somebody else", customer=user))
    assert texts(shared, user) == {"I like tea."}
    assert texts(shared, "somebody else") == set()


def test_a_callable_is_given_what_is_known_about_the_call(shared, user) -> None:
    """Rules of one's own need the context, the configuration and the authenticated user."""
    requests: list[ScopeRequest] = []

    def source(request: ScopeRequest) -> dict[str, str]:
        requests.append(request)
        return {"user_id": user}

    graph = chat(shared, recall={"scope": source}, context_schema=Context).compile()
    config = config_of(user, langgraph_auth_user=Caller(identity=user))
    graph.invoke(said("I like tea."), config, context=Context(user))
    (request,) = requests
    assert request.context == Context(user)
    assert request.configurable["thread_id"] == "thread-1"
    assert request.identity == user


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_the_memorys_own_scope_is_the_last_resort(hooked, embedder, user, call) -> None:
    """A program with one user says it once, when it connects."""
    folder = Path(hooked.describe()["outbox"]).parents[1]
    with connect("embedded", data_dir=folder, embedder=embedder, scope={"user_id": user}) as own:
        await call(chat(own).compile(), said("I like tea."), {})
        assert [memory.text for memory in own.list()] == ["I like tea."]


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize("make", [recall_node, remember_node])
async def test_without_a_scope_the_error_says_where_it_was_looked_for(shared, make, call) -> None:
    """There is never a shared default user."""
    builder = StateGraph(MemoryState).add_node("node", make(shared))
    graph = builder.add_edge(START, "node").compile()
    with pytest.raises(ScopeError, match=r"context.*configurable.*authenticated.*connected"):
        await call(graph, said("I like tea."), {"configurable": {"thread_id": "1"}})


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_the_authenticated_user_is_the_scope(shared, user, call) -> None:
    """On LangGraph Server nothing has to be passed; its own run_id separates no memories."""
    graph = chat(shared).compile()
    for run_id in ("run-1", "run-2"):
        server = {
            "configurable": {
                "langgraph_auth_user": Caller(identity=user),
                "run_id": run_id,
                "assistant_id": "assistant",
                "graph_id": "chat",
            }
        }
        result = await call(graph, said("I like tea."), server)
    assert "I like tea." in result["memories"]
    (memory,) = shared.list(scope={"user_id": user})
    assert memory.scope == Scope(user_id=user)


@pytest.mark.parametrize("ids", [{"user_id": "victim"}, {"agent_id": "support"}])
def test_a_client_cannot_reach_the_memories_of_another_user(shared, user, ids) -> None:
    """The configuration of a run comes from the client: it may name anybody, or nobody."""
    secret = f"My password is {uuid.uuid4().hex}."
    shared.remember(secret, scope={"user_id": "victim", "agent_id": "support"})
    graph = chat(shared).compile()
    config = {"configurable": {**ids, "langgraph_auth_user": Caller(identity=user)}}
    try:
        memories = graph.invoke(said("What is my password?"), config)["memories"]
    except ScopeError as error:
        memories = str(error)
    assert secret not in memories
    assert not any(user in memory.text for memory in shared.list(scope={"user_id": "victim"}))


async def test_graphs_that_run_at_the_same_time_do_not_mix_users(shared) -> None:
    """One compiled graph serves all users of a server."""
    graph = chat(shared).compile()
    users = [f"parallel-{uuid.uuid4().hex}" for _ in range(12)]

    async def talk(user: str) -> str:
        await graph.ainvoke(said(f"My code is {user}."), config_of(user))
        return (await graph.ainvoke(said("What is my code?"), config_of(user)))["memories"]

    recalled = await asyncio.gather(*map(talk, users))
    for user, memories in zip(users, recalled, strict=True):
        assert [other for other in users if other in memories] == [user]


def test_reading_and_writing_may_have_different_scopes(shared, user) -> None:
    """An agent may read what is known of a user, and keep apart what it learns itself."""
    shared.remember("I like tea.", scope={"user_id": user})
    options = {"scope": {"user_id": user, "agent_id": "support"}}
    graph = chat(shared, remember=options).compile()
    result = graph.invoke(said("Do I like tea? My order is 48213."), config_of(user))
    assert "I like tea." in result["memories"]
    (own,) = shared.list(scope=options["scope"])
    assert own.text == "My order is 48213."


# What it reports.


async def test_progress_is_told_on_the_custom_stream(shared, user, converse) -> None:
    """A front end shows that memory is being read, and what was found and stored."""
    shared.remember("I like tea.", scope={"user_id": user})
    conversation = converse(chat(shared))
    await conversation.run(said("Do I like tea? My order is 48213."))
    recalling, recalled, remembered = conversation.events
    assert recalling == {"event": "memory.recalling"}
    assert (recalled["event"], recalled["degraded"]) == ("memory.recalled", None)
    assert [memory["memory"] for memory in recalled["memories"]] == ["I like tea."]
    assert recalled["memories"][0]["user_id"] == user
    assert 0 < recalled["memories"][0]["score"] <= 1
    assert remembered["event"] == "memory.remembered"
    assert (remembered["status"], remembered["error"]) == ("stored", None)
    assert [memory["memory"] for memory in remembered["memories"]] == ["My order is 48213."]


async def test_a_turn_with_nothing_worth_keeping_is_told(shared, user, converse) -> None:
    """Nothing stored is not the same as a failure."""
    conversation = converse(chat(shared))
    await conversation.run(said("Hi! How are you?"))
    assert conversation.events[-1]["status"] == "nothing"
    assert texts(shared, user) == set()


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_the_tokens_of_a_model_inside_mem0_do_not_reach_the_user(
    data_dir: Path, user, mode
) -> None:
    """The user would read the extraction's JSON in the middle of the answer."""
    extracted = '{"memory": [{"text": "Prefers tea"}]}'
    extraction = GenericFakeChatModel(messages=iter([AIMessage(extracted)]))
    chatbot = GenericFakeChatModel(messages=iter([AIMessage("Noted with pleasure")]))
    with connect("embedded", data_dir=data_dir, llm=extraction) as memory:
        builder = StateGraph(MessagesState)
        builder.add_node("model", lambda state: {"messages": chatbot.invoke(state["messages"])})
        builder.add_node("remember", remember_node(memory, background=False))
        builder.add_edge(START, "model").add_edge("model", "remember")
        graph, given, config = builder.compile(), said("I like tea."), config_of(user)
        if mode == "async":
            stream = graph.astream(given, config, stream_mode="messages")
            tokens = [(meta["langgraph_node"], chunk.content) async for chunk, meta in stream]
        else:
            stream = graph.stream(given, config, stream_mode="messages")
            tokens = [(meta["langgraph_node"], chunk.content) for chunk, meta in stream]
        assert texts(memory, user) == {"Prefers tea"}
    assert "".join(text for _, text in tokens) == "Noted with pleasure"
    assert {node for node, _ in tokens} == {"model"}


# When memory fails.


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize("error", [ValueError("bad vector"), ConnectionError("refused")])
async def test_a_recall_that_fails_degrades_and_says_so(hooked, hook, user, call, error) -> None:
    """The agent answers without memory, and must know that it does."""

    def fail() -> None:
        raise error

    hook(fail)
    # Enough for a busy machine; a lost connection is tried again until then.
    graph = chat(hooked, recall={"timeout": 3.0, "render": lambda recall: recall}).compile()
    recalled = (await call(graph, said("Hello"), config_of(user)))["memories"]
    assert type(error).__name__ in recalled.degraded
    assert not recalled
    assert "could not be read" in recall_text(recalled)


async def test_a_recall_that_hangs_degrades_within_its_budget(hooked, hook, user, converse) -> None:
    """A dead vector store must not hold the conversation up."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    builder = StateGraph(MemoryState).add_node("recall", recall_node(hooked, timeout=0.2))
    conversation = converse(builder.add_edge(START, "recall"))
    began = time.monotonic()
    try:
        state = await conversation.run(said("Hello"))
    finally:
        released.set()
    assert time.monotonic() - began < GRACE / 2
    assert "could not be read" in state["memories"]
    recalled = conversation.events[-1]
    assert recalled["memories"] == []
    assert "BackendTimeoutError" in recalled["degraded"]
    assert "0.2 s" in recalled["degraded"]


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_failed_recall_raises_if_asked_to(hooked, hook, user, call) -> None:
    """An application that must not answer without memory wants the error."""

    def fail() -> None:
        raise ValueError("bad vector")

    hook(fail)
    graph = chat(hooked, recall={"on_error": "raise"}).compile()
    with pytest.raises(BackendError, match="bad vector"):
        await call(graph, said("Hello"), config_of(user))


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_hanging_recall_raises_if_asked_to(hooked, hook, user, call) -> None:
    """A time-out is a failure like any other, and a `TimeoutError`."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    graph = chat(hooked, recall={"on_error": "raise", "timeout": 0.2}).compile()
    try:
        with pytest.raises(BackendTimeoutError):
            await call(graph, said("Hello"), config_of(user))
    finally:
        released.set()


async def test_an_async_recall_stays_off_the_event_loop(hooked, hook, user) -> None:
    """Mem0 blocks; on the loop it would stop every other conversation of the server."""
    threads: set[int] = set()
    hook(lambda: threads.add(threading.get_ident()))
    await chat(hooked).compile().ainvoke(said("I like tea."), config_of(user))
    assert threads
    assert threading.get_ident() not in threads


async def test_the_event_loop_turns_while_a_recall_waits(hooked, hook, user) -> None:
    """Other conversations go on; here one of them is what the recall waits for."""
    released = threading.Event()
    waits: list[bool] = []
    hook(lambda: waits.append(released.wait(GRACE)))
    graph = chat(hooked, recall={"timeout": 2 * GRACE}).compile()
    run = asyncio.create_task(graph.ainvoke(said("Hello"), config_of(user)))
    while not run.done():
        await asyncio.sleep(0.05)
        released.set()
    assert run.result()["memories"] == ""
    # Released by the loop, and not after the time that it waits at most.
    assert waits
    assert all(waits)


async def test_a_write_in_the_background_does_not_hold_the_graph_up(
    hooked, hook, user, converse
) -> None:
    """The user waits for the answer, not for the memory of it."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    builder = StateGraph(MessagesState).add_node("remember", remember_node(hooked))
    conversation = converse(builder.add_edge(START, "remember"))
    try:
        await conversation.run(said("I like tea."))
        assert conversation.events[-1]["status"] == "queued"
        assert hooked.list(scope={"user_id": user}) == []
    finally:
        released.set()
    assert texts(hooked, user) == {"I like tea."}


async def test_a_write_in_the_foreground_that_takes_too_long_goes_on(
    hooked, hook, user, converse
) -> None:
    """The time-out ends the waiting, not the write."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    node = remember_node(hooked, background=False, timeout=0.1)
    builder = StateGraph(MessagesState).add_node("remember", node)
    conversation = converse(builder.add_edge(START, "remember"))
    try:
        await conversation.run(said("I like tea."))
    finally:
        released.set()
    assert conversation.events[-1]["status"] == "queued"
    assert texts(hooked, user) == {"I like tea."}


async def test_a_write_in_the_foreground_that_fails_is_told(hooked, hook, user, converse) -> None:
    """The graph goes on; the turn is kept as a dead letter."""

    def fail() -> None:
        raise ValueError("bad vector")

    hook(fail)
    conversation = converse(chat(hooked))
    state = await conversation.run(said("I like tea."))
    assert state["messages"][-1].content == "I see."
    assert conversation.events[-1]["status"] == "failed"
    assert "bad vector" in conversation.events[-1]["error"]
    assert user in {letter.scope.user_id for letter in hooked.dead_letters()}


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_failed_write_in_the_foreground_raises_if_asked_to(
    hooked, hook, user, call
) -> None:
    """A workflow whose purpose is to remember must stop."""

    def fail() -> None:
        raise ValueError("bad vector")

    hook(fail)
    graph = chat(hooked, remember={"on_error": "raise"}).compile()
    with pytest.raises(BackendError, match="bad vector"):
        await call(graph, said("I like tea."), config_of(user))


async def test_a_message_that_is_too_long_does_not_stop_the_graph(
    shared, user, converse, caplog: pytest.LogCaptureFixture
) -> None:
    """A pasted log of a megabyte is answered, though not remembered; memory is still read."""
    shared.remember("I like tea.", scope={"user_id": user})
    conversation = converse(chat(shared))
    secret = "My password is 1234. "
    with caplog.at_level(logging.ERROR):
        state = await conversation.run(said(f"{secret * 50_000}{' ' * 2_000}Do I like tea?"))
    assert state["messages"][-1].content == "I see."
    assert "I like tea." in state["memories"]
    assert conversation.events[-1]["status"] == "failed"
    assert "1,052,014 characters" in conversation.events[-1]["error"]
    assert "not be remembered" in caplog.text
    assert secret not in caplog.text
    assert texts(shared, user) == {"I like tea."}


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_message_that_is_too_long_raises_if_asked_to(shared, user, call) -> None:
    """Nothing is dropped silently where the application says so."""
    graph = chat(shared, remember={"on_error": "raise"}).compile()
    with pytest.raises(InvalidMessageError, match="at most 100,000"):
        await call(graph, said("x" * 100_001), config_of(user))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_full_outbox_does_not_stop_the_graph(tmp_path: Path, user, mode) -> None:
    """Back-pressure is for imports; a conversation goes on and says that it forgot a turn."""
    embedder, released = HookedEmbedder(), threading.Event()
    options = OutboxOptions(max_queued=1, when_full="raise")
    with connect("embedded", data_dir=tmp_path, embedder=embedder, outbox=options) as memory:
        embedder.hook = lambda: released.wait(GRACE)
        memory.remember("I like tea.", scope={"user_id": user}, background=True)
        builder = StateGraph(MessagesState).add_node("remember", remember_node(memory))
        graph = builder.add_edge(START, "remember").compile()
        raising = StateGraph(MessagesState)
        raising.add_node("remember", remember_node(memory, on_error="raise"))
        strict = raising.add_edge(START, "remember").compile()
        try:
            if mode == "invoke":
                stream = graph.stream(said("Hello"), config_of(user), stream_mode="custom")
                (event,) = stream
                with pytest.raises(OutboxFullError):
                    strict.invoke(said("Hello"), config_of(user))
            else:
                given, config = said("Hello"), config_of(user)
                astream = graph.astream(given, config, stream_mode="custom")
                (event,) = [item async for item in astream]
                with pytest.raises(OutboxFullError):
                    await strict.ainvoke(said("Hello"), config_of(user))
        finally:
            released.set()
        assert event["status"] == "failed"
        assert "outbox" in event["error"]


@pytest.mark.parametrize("call", [invoke, ainvoke])
async def test_a_node_may_have_a_retry_policy(hooked, hook, user, call) -> None:
    """LangGraph's retries and the memory's own go together."""
    left = iter([ValueError("bad vector")])

    def fail_once() -> None:
        if error := next(left, None):
            raise error

    hook(fail_once)
    policy = RetryPolicy(initial_interval=0.01, retry_on=BackendError)
    builder = StateGraph(MemoryState)
    builder.add_node("recall", recall_node(hooked, on_error="raise"), retry_policy=policy)
    graph = builder.add_edge(START, "recall").compile()
    assert (await call(graph, said("Hello"), config_of(user)))["memories"] == ""


# What becomes a memory.


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize(
    "messages",
    [
        [],
        [AIMessage("Welcome!")],
        [HumanMessage([IMAGE])],
        [HumanMessage("   ")],
        [HumanMessage("<recalled_memories>\n- old\n</recalled_memories>")],
        [HumanMessage("I like tea.", id="1"), RemoveMessage("1")],
    ],
    ids=["nothing", "greeting", "image", "blank", "recalled", "removed"],
)
async def test_a_turn_without_the_users_words_leaves_no_trace(shared, user, messages, call) -> None:
    """There is nothing to look for and nothing to keep, which is no error."""
    graph = chat(shared, reply=[]).compile()
    result = await call(graph, {"messages": messages}, config_of(user))
    assert result["memories"] == ""
    assert texts(shared, user) == set()


def test_an_image_after_a_text_is_one_turn_with_it(shared, user) -> None:
    """Chat apps send the picture as a message of its own."""
    graph = chat(shared).compile()
    graph.invoke(said("My kettle leaks.", [IMAGE]), config_of(user))
    result = graph.invoke(said("What about my kettle?", [IMAGE]), config_of(user))
    assert "My kettle leaks." in result["memories"]


def test_several_messages_of_the_user_are_one_turn(shared, user) -> None:
    """People write in pieces; all of them belong to what was answered."""
    graph = chat(shared).compile()
    graph.invoke(said("I like tea.", "I live in Oslo."), config_of(user))
    assert texts(shared, user) == {"I like tea.", "I live in Oslo."}
    ids = {item.metadata["message_id"] for item in shared.list(scope={"user_id": user})}
    assert len(ids) == 1


def test_only_the_last_turn_is_written(shared, user) -> None:
    """The state holds the whole conversation; what was written before is not written again."""
    graph = chat(shared, remember={"infer": False}).compile(checkpointer=InMemorySaver())
    graph.invoke(said("I like tea."), config_of(user))
    graph.invoke(said("I live in Oslo."), config_of(user))
    stored = [item.text for item in shared.list(scope={"user_id": user})]
    assert sorted(stored) == ["I like tea.", "I live in Oslo.", "I see.", "I see."]


CALL = {"name": "lookup", "args": {"order": "48213"}, "id": "call-1"}
TOOL_TURN = [
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("Customer: Priya, card 4111", name="lookup", tool_call_id="call-1"),
    AIMessage("It ships tomorrow."),
]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (False, {"Where is it?", "It ships tomorrow."}),
        (
            True,
            {
                "Where is it?",
                "It ships tomorrow.",
                "Tool lookup answered: Customer: Priya, card 4111",
            },
        ),
    ],
)
def test_what_tools_answered_is_kept_only_if_asked_for(shared, user, include, expected) -> None:
    """Tool results hold secrets and data of third parties."""
    options = {"infer": False, "include_tool_messages": include}
    graph = chat(shared, remember=options, reply=TOOL_TURN).compile()
    graph.invoke(said("Where is it?"), config_of(user))
    assert texts(shared, user) == expected


def test_injected_text_and_recalled_memories_are_never_stored(shared, user) -> None:
    """Memories that are remembered again would multiply with every turn."""
    block = recall_text(Recall(memories=tuple(shared_memories(shared, user))))
    reply = [SystemMessage(block), AIMessage(f"As noted:\n{block}\nIt ships tomorrow.")]
    graph = chat(shared, remember={"infer": False}, reply=reply).compile()
    graph.invoke(
        {"messages": [SystemMessage("You are kind."), HumanMessage(f"{block}\nWhere is it?")]},
        config_of(user),
    )
    stored = texts(shared, user) - {"I like tea."}
    assert {" ".join(text.split()) for text in stored} == {
        "Where is it?",
        "As noted: It ships tomorrow.",
    }


def shared_memories(memory: AgentMemory, user: str) -> list[Any]:
    memory.remember("I like tea.", scope={"user_id": user})
    return memory.list(scope={"user_id": user})


def test_metadata_of_the_application_is_kept_with_each_memory(shared, user) -> None:
    """It is what the application filters by later."""
    graph = chat(shared, remember={"metadata": {"channel": "phone"}}).compile()
    graph.invoke(said("I like tea."), config_of(user))
    (memory,) = shared.list(scope={"user_id": user}, filters={"channel": "phone"})
    assert memory.metadata["thread_id"] == "thread-1"


# In larger graphs.


async def test_the_nodes_work_in_a_subgraph(shared, user, converse) -> None:
    """An assistant with memory may be one part of a larger system."""
    parent = StateGraph(MemoryState).add_node("assistant", chat(shared).compile())
    conversation = converse(parent.add_edge(START, "assistant"))
    await conversation.run(said("I like tea."), subgraphs=False)
    state = await conversation.run(said("Do I like tea?"))
    assert "I like tea." in state["memories"]
    (memory,) = shared.list(scope={"user_id": user})
    assert memory.metadata["thread_id"] == "thread-1"


def test_a_sync_node_around_a_memory_node_works_in_an_async_graph(shared, user) -> None:
    """LangGraph runs sync nodes of an async graph in a thread."""
    remember = remember_node(shared, background=False)

    def outer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        return remember.invoke(state, config)

    builder = StateGraph(MessagesState)
    builder.add_node("outer", outer)
    graph = builder.add_edge(START, "outer").compile()
    asyncio.run(graph.ainvoke(said("I like tea."), config_of(user)))
    assert texts(shared, user) == {"I like tea."}


def test_one_memory_serves_several_event_loops(shared, user) -> None:
    """Scripts and test suites start a loop for each run."""
    graph = chat(shared).compile()
    asyncio.run(graph.ainvoke(said("I like tea."), config_of(user)))
    result = asyncio.run(graph.ainvoke(said("Do I like tea?"), config_of(user)))
    assert "I like tea." in result["memories"]


async def test_the_state_can_be_saved_and_loaded_without_a_warning(
    shared, user, converse, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpointer that does not know a type warns now and refuses it later."""
    shared.remember("I like tea.", scope={"user_id": user})
    conversation = converse(chat(shared))
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        state = await conversation.run(said("Do I like tea?"))
        saved = await conversation.past("remember")
        replayed = await conversation.run(None, saved)
    assert type(state["memories"]) is str
    assert replayed["memories"] == state["memories"]
    assert caplog.records == []
