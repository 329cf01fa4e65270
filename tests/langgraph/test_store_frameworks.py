"""`Mem0Store` in the hands of LangGraph, LangChain's agents and langmem."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore, PutOp

from mem0_integrations import AgentMemory, BackendError, BackendTimeoutError, ClosedError, connect
from mem0_integrations.langgraph import Mem0Store
from tests.stores import Scripted, nothing_on_the_loop

with warnings.catch_warnings():
    # langmem and trustcall still import names that LangGraph has moved.
    warnings.simplefilter("ignore")
    from langmem import (
        create_manage_memory_tool,
        create_memory_store_manager,
        create_search_memory_tool,
    )

LANGMEM = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def calls(name: str, **args: Any) -> AIMessage:
    """What a model says that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{name}"}])


def config_of(user: str) -> RunnableConfig:
    return {"configurable": {"langgraph_user_id": user, "user_id": user, "thread_id": user}}


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Invoke a runnable through its sync or its async method."""

    async def invoke(runnable: Any, given: Any, config: RunnableConfig | None = None) -> Any:
        if request.param == "async":
            return await runnable.ainvoke(given, config)
        return await asyncio.to_thread(runnable.invoke, given, config)

    return invoke


# --- LangGraph and LangChain


async def test_nodes_reach_it_as_a_parameter_and_through_the_runtime(
    anywhere: AgentMemory, user: str, run: Callable[..., Any]
) -> None:
    """These are the two ways that LangGraph's documentation shows."""

    def write(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
        store.put((user,), "drink", {"text": "Prefers tea."})
        return {}

    def read(state: MessagesState, runtime: Runtime) -> dict[str, Any]:
        assert runtime.store is not None
        (found,) = runtime.store.search((user,), query="coffee?")
        return {"messages": [AIMessage(found.value["text"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("write", write)
    builder.add_node("read", read)
    builder.add_edge(START, "write")
    builder.add_edge("write", "read")
    graph = builder.compile(store=Mem0Store(anywhere))
    state = await run(graph, {"messages": [("user", "Hi")]})
    assert state["messages"][-1].text == "Prefers tea."


async def test_the_tools_of_an_agent_reach_it(
    anywhere: AgentMemory, user: str, run: Callable[..., Any]
) -> None:
    """An agent's tools keep what they learn in the store."""

    @tool
    def note(text: str, runtime: ToolRuntime) -> str:
        """Note something."""
        assert runtime.store is not None
        runtime.store.put((user,), "note", {"text": text})
        return "Noted."

    model = Scripted(answers=[calls("note", text="Likes tea."), "Done."])
    agent = create_agent(model, [note], store=Mem0Store(anywhere))
    await run(agent, {"messages": [("user", "I like tea.")]})
    found = Mem0Store(anywhere).get((user,), "note")
    assert found is not None
    assert found.value == {"text": "Likes tea."}


# --- langmem


@LANGMEM
async def test_langmems_tools_manage_memories_that_are_recalled(
    anywhere: AgentMemory, user: str, run: Callable[..., Any]
) -> None:
    """Its namespace is the user's: what its tools write, `recall` finds, and the other way."""
    store = Mem0Store(anywhere, memories=("memories", "{user_id}"))
    manage = create_manage_memory_tool(("memories", "{langgraph_user_id}"), store=store)
    search = create_search_memory_tool(("memories", "{langgraph_user_id}"), store=store)
    config = config_of(user)
    answer = await run(manage, {"content": "Prefers tea.", "action": "create"}, config)
    assert "created" in answer
    (memory,) = anywhere.recall("tea", scope={"user_id": user}).memories
    assert memory.text == "Prefers tea."
    anywhere.remember("I live in Oslo.", scope={"user_id": user})
    assert "Oslo" in str(await run(search, {"query": "Where does she live?"}, config))
    (item,) = (
        item
        for item in store.search(("memories", user), query="tea")
        if item.value.get("content") == "Prefers tea."
    )
    changed = {"content": "Prefers coffee.", "action": "update", "id": item.key}
    await run(manage, changed, config)
    texts = {found.text for found in anywhere.list(scope={"user_id": user})}
    assert texts == {"Prefers coffee.", "I live in Oslo."}
    await run(manage, {"action": "delete", "id": item.key}, config)
    assert [found.text for found in anywhere.list(scope={"user_id": user})] == ["I live in Oslo."]


@LANGMEM
async def test_langmems_tools_work_inside_an_agent(
    anywhere: AgentMemory, user: str, run: Callable[..., Any]
) -> None:
    """There they take the store from the graph."""
    model = Scripted(
        answers=[
            calls("manage_memory", content="Prefers tea.", action="create"),
            calls("search_memory", query="drinks"),
            "You prefer tea.",
        ]
    )
    namespace = (user, "notes")
    tools = [create_manage_memory_tool(namespace), create_search_memory_tool(namespace)]
    agent = create_agent(model, tools, store=Mem0Store(anywhere))
    state = await run(agent, {"messages": [("user", "I prefer tea.")]}, config_of(user))
    assert "Prefers tea." in str(state["messages"][-2].content)


@LANGMEM
async def test_langmems_store_manager_extracts_into_it(
    anywhere: AgentMemory, user: str, run: Callable[..., Any]
) -> None:
    """The manager searches, lets a model extract, and writes what is new."""
    store = Mem0Store(anywhere, memories=("memories", "{user_id}"))
    model = Scripted(answers=[calls("Memory", content="Prefers green tea."), "Done."])
    manager = create_memory_store_manager(
        model, namespace=("memories", "{langgraph_user_id}"), store=store
    )
    messages = [{"role": "user", "content": "I prefer green tea."}]
    await run(manager, {"messages": messages}, config_of(user))
    (item,) = store.search(("memories", user))
    assert item.value["content"] == {"content": "Prefers green tea."}
    assert [found.text for found in anywhere.list(scope={"user_id": user})] == [
        "Prefers green tea."
    ]


# --- Load and failure


async def test_thousands_of_operations_at_once_lose_nothing(
    anywhere: AgentMemory, user: str
) -> None:
    """A busy server puts, gets and searches all the time, and its event loop goes on."""
    store = Mem0Store(anywhere)
    puts = [
        store.aput((user, f"{n % 7}"), f"{n}", {"text": f"{n % 9}", "n": n}, index=False)
        for n in range(1_000)
    ]
    reads = [store.aget((user, f"{n % 7}"), f"{n}") for n in range(900)]
    searches = [store.asearch((user, f"{n % 7}"), limit=1) for n in range(100)]
    with nothing_on_the_loop(Mem0Store, "_batch"):
        await asyncio.gather(*puts, *reads, *searches)
    found = [item async for item in _pages(store, user)]
    assert sorted(item.value["n"] for item in found) == list(range(1_000))


async def _pages(store: Mem0Store, user: str) -> Any:
    offset = 0
    while page := await store.asearch((user,), limit=300, offset=offset):
        for item in page:
            yield item
        offset += len(page)


async def test_a_failing_embedder_is_our_own_error_and_writes_nothing(
    hooked: AgentMemory, hook: Callable[..., None], user: str
) -> None:
    """A batch that failed can be sent again."""
    store = Mem0Store(hooked)

    def fail() -> None:
        raise ValueError("no vector today")

    hook(fail)
    batch = [PutOp((user,), f"{n}", {"text": f"{n}"}) for n in range(3)]
    with pytest.raises(BackendError, match="no vector today"):
        await store.abatch(batch)
    hook(lambda: None)
    assert store.search((user,)) == []
    await store.abatch(batch)
    assert len(store.search((user,))) == 3


async def test_a_hanging_embedder_costs_no_more_than_the_time_out(
    hooked: AgentMemory, hook: Callable[..., None], user: str
) -> None:
    """A graph must be able to go on without its store."""
    released = asyncio.Event()
    loop = asyncio.get_running_loop()
    store = Mem0Store(hooked, timeout=0.2)
    hook(lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result(30))
    with pytest.raises(BackendTimeoutError):
        await store.aput((user,), "k", {"text": "x"})
    with pytest.raises(BackendTimeoutError):
        await asyncio.to_thread(store.put, (user,), "k", {"text": "x"})
    hook(lambda: None)
    released.set()


def test_a_closed_memory_says_so(data_dir: object) -> None:
    """It would be taken for an empty store."""
    memory = connect()
    store = Mem0Store(memory)
    memory.close()
    with pytest.raises(ClosedError):
        store.get(("a",), "b")
    with pytest.raises(ClosedError):
        Mem0Store(memory)
