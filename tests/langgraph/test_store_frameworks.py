"""`Mem0Store` where it is used: in graphs, in agents, under langmem, under load, when all fails."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import InjectedStore
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, MatchCondition, PutOp, SearchOp

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    ClosedError,
    InvalidInputError,
    RetryPolicy,
    connect,
)
from mem0_integrations.backends.documents import RowDocuments, path_filter
from mem0_integrations.backends.rows import RowLocks, Rows, StoreRows
from mem0_integrations.langgraph import Mem0Store
from tests.langgraph.store_calls import Calls, keys
from tests.stores import HookedEmbedder, MiniLM, Scripted, is_platform, open_store, texts_of

TEMPLATE = ("memories", "{user_id}")
TEA = "Prefers green tea over coffee."
Run = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return request.param == "async"


@pytest.fixture
def run(asynchronous: bool, user: str) -> Run:
    """Run a graph, an agent or a tool for the user."""
    config = {"configurable": {"user_id": user, "thread_id": "thread-1"}}

    async def run(runnable: Any, given: Any) -> Any:
        if asynchronous:
            return await runnable.ainvoke(given, config)
        return runnable.invoke(given, config)

    return run


@pytest.fixture
def store(anywhere: AgentMemory) -> Mem0Store:
    return Mem0Store(anywhere, memories=TEMPLATE)


@pytest.fixture(scope="module")
def langmem() -> Any:
    """What it imports is deprecated, which is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import langmem
    return langmem


def calling(*calls: tuple[str, dict[str, Any]]) -> AIMessage:
    """Return a model's message that calls tools."""
    return AIMessage(
        "",
        tool_calls=[
            {"name": name, "args": arguments, "id": f"call-{number}", "type": "tool_call"}
            for number, (name, arguments) in enumerate(calls)
        ],
    )


def asked(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


# --- Graphs --------------------------------------------------------------------------------------


class Seen(TypedDict, total=False):
    user: str
    seen: list[Any]


async def test_the_nodes_of_a_graph_are_given_the_store(
    store: Mem0Store, run: Run, asynchronous: bool, user: str
) -> None:
    """As a parameter, in the runtime, and from `get_store`."""

    def write(state: Seen, *, store: BaseStore) -> Seen:
        store.put(("notes", state["user"]), "k", {"text": TEA})
        return {}

    async def awrite(state: Seen, *, store: BaseStore) -> Seen:
        await store.aput(("notes", state["user"]), "k", {"text": TEA})
        return {}

    def read(state: Seen, runtime: Runtime) -> Seen:
        assert runtime.store is not None
        found = runtime.store.search(("notes", state["user"]), query="drink")
        same = get_store().get(("notes", state["user"]), "k")
        return {"seen": [*keys(found), same and same.value]}

    async def aread(state: Seen, runtime: Runtime) -> Seen:
        assert runtime.store is not None
        found = await runtime.store.asearch(("notes", state["user"]), query="drink")
        same = await get_store().aget(("notes", state["user"]), "k")
        return {"seen": [*keys(found), same and same.value]}

    builder = StateGraph(Seen)
    builder.add_node("write", awrite if asynchronous else write)
    builder.add_node("read", aread if asynchronous else read)
    builder.add_edge(START, "write").add_edge("write", "read").add_edge("read", END)
    state = await run(builder.compile(store=store), {"user": user})
    assert state["seen"] == ["k", {"text": TEA}]


@tool
def note(text: str, runtime: ToolRuntime) -> str:
    """Take a note."""
    assert runtime.store is not None
    user = runtime.config["configurable"]["user_id"]
    runtime.store.put(("memories", user), "note", {"text": text})
    return "noted"


@tool
async def anote(text: str, runtime: ToolRuntime) -> str:
    """Take a note."""
    assert runtime.store is not None
    user = runtime.config["configurable"]["user_id"]
    await runtime.store.aput(("memories", user), "note", {"text": text})
    return "noted"


@tool
def look_up(query: str, store: Annotated[BaseStore, InjectedStore()], runtime: ToolRuntime) -> str:
    """Look something up."""
    user = runtime.config["configurable"]["user_id"]
    return "; ".join(item.value["text"] for item in store.search(("memories", user), query=query))


@tool
async def alook_up(
    query: str, store: Annotated[BaseStore, InjectedStore()], runtime: ToolRuntime
) -> str:
    """Look something up."""
    user = runtime.config["configurable"]["user_id"]
    found = await store.asearch(("memories", user), query=query)
    return "; ".join(item.value["text"] for item in found)


async def test_the_tools_of_an_agent_are_given_the_store(
    anywhere: AgentMemory, store: Mem0Store, run: Run, asynchronous: bool, user: str
) -> None:
    """What an agent writes down, a node recalls later."""
    tools = [anote, alook_up] if asynchronous else [note, look_up]
    names = [found.name for found in tools]
    model = Scripted(
        answers=[
            calling((names[0], {"text": TEA})),
            calling((names[1], {"query": "drink"})),
            "Green tea it is.",
        ]
    )
    state = await run(create_agent(model, tools, store=store), asked("A drink, please."))
    answers = [message.content for message in state["messages"] if message.type == "tool"]
    assert answers == ["noted", TEA]
    assert texts_of(anywhere.recall("drink", scope={"user_id": user}).memories) == [TEA]


# --- langmem -------------------------------------------------------------------------------------


async def test_the_tools_of_langmem_manage_memories(
    anywhere: AgentMemory, store: Mem0Store, run: Run, user: str, langmem: Any
) -> None:
    """What they create is recalled; what was remembered, they change and delete by its id."""
    scope = {"user_id": user}
    anywhere.remember("I live in Oslo.", scope=scope)
    anywhere.remember("I have a dog.", scope=scope)
    ids = {memory.text: memory.id for memory in anywhere.list(scope=scope)}
    model = Scripted(
        answers=[
            calling(("manage_memory", {"content": TEA})),
            calling(
                ("search_memory", {"query": "drink", "limit": 1}),
                (
                    "manage_memory",
                    {"action": "update", "id": ids["I live in Oslo."], "content": "Lives in Rome."},
                ),
                ("manage_memory", {"action": "delete", "id": ids["I have a dog."]}),
            ),
            "Done.",
        ]
    )
    tools = [
        langmem.create_manage_memory_tool(TEMPLATE),
        langmem.create_search_memory_tool(TEMPLATE),
    ]
    state = await run(create_agent(model, tools, store=store), asked("Remember."))
    created, found, updated, deleted = (m for m in state["messages"] if m.type == "tool")
    assert created.content.startswith("created memory")
    assert TEA in found.content
    assert updated.content == f"updated memory {ids['I live in Oslo.']}"
    assert deleted.content == f"Deleted memory {ids['I have a dog.']}"
    assert sorted(texts_of(anywhere.list(scope=scope))) == ["Lives in Rome.", TEA]
    assert anywhere.get(ids["I live in Oslo."], scope=scope).text == "Lives in Rome."  # type: ignore[union-attr]


class BoundScripted(Scripted):
    """It offers its tools as a real model does, for langmem looks into what that returns."""

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Any:
        return super().bind_tools(tools, **options).bind()


def stable_id(store: Mem0Store, namespace: tuple[str, ...]) -> str:
    """Return the name under which langmem shows its model the only item."""
    (item,) = store.search(namespace)
    return uuid.uuid5(uuid.NAMESPACE_DNS, str((*item.namespace, item.key))).hex


async def test_the_memory_manager_of_langmem_keeps_memories_up_to_date(
    anywhere: AgentMemory, store: Mem0Store, run: Run, user: str, langmem: Any
) -> None:
    """It creates, patches and removes; below the user's namespace it meets its own items only."""
    scope = {"user_id": user}
    anywhere.remember("I have a dog.", scope=scope)
    namespace = (*TEMPLATE, "langmem")
    own = ("memories", user, "langmem")

    async def manage(answer: AIMessage, text: str) -> Any:
        model = BoundScripted(answers=[answer])
        manager = langmem.create_memory_store_manager(
            model, namespace=namespace, store=store, enable_deletes=True
        )
        return await run(manager, asked(text))

    (created,) = await manage(calling(("Memory", {"content": TEA})), "I like green tea.")
    assert created["namespace"] == own
    assert created["value"] == {"kind": "Memory", "content": {"content": TEA}}
    assert TEA in texts_of(anywhere.recall("drink", scope=scope).memories)

    patch = [{"op": "replace", "path": "/content", "value": "Prefers water."}]
    arguments = {
        "json_doc_id": stable_id(store, own),
        "planned_edits": "The drink.",
        "patches": patch,
    }
    await manage(calling(("PatchDoc", arguments)), "Water, please.")
    assert sorted(texts_of(anywhere.list(scope=scope))) == ["I have a dog.", "Prefers water."]

    await manage(calling(("RemoveDoc", {"json_doc_id": stable_id(store, own)})), "Forget it.")
    assert texts_of(anywhere.list(scope=scope)) == ["I have a dog."]


def test_the_reflection_of_langmem_runs_in_the_background(
    anywhere: AgentMemory, store: Mem0Store, user: str, langmem: Any
) -> None:
    """It calls the store from a thread of its own."""
    model = Scripted(answers=[calling(("Memory", {"content": TEA}))])
    manager = langmem.create_memory_store_manager(model, namespace=TEMPLATE, store=store)
    with langmem.ReflectionExecutor(manager, store=store) as executor:
        config = {"configurable": {"user_id": user, "thread_id": "thread-1"}}
        executor.submit(asked("I like tea."), config=config, after_seconds=0).result(30)
        assert executor.search(namespace=("memories", user))[0]["value"]["kind"] == "Memory"
    assert texts_of(anywhere.list(scope={"user_id": user})) == [TEA]


# --- Many at once --------------------------------------------------------------------------------


async def test_thousands_of_operations_at_once_lose_nothing(
    anywhere: AgentMemory, user: str
) -> None:
    """An async server does this all day; none of it is the event loop's work."""
    loop_thread = threading.get_ident()
    store = Mem0Store(anywhere, index={"fields": ["text"]})
    threads: set[int] = set()
    carry_out = store._batch

    def watched(ops: Any) -> Any:
        threads.add(threading.get_ident())
        return carry_out(ops)

    store._batch = watched  # type: ignore[method-assign]
    count = 50 if is_platform(anywhere) else 500
    paths = [(user, str(number % 7)) for number in range(count)]
    await store.aput((user,), "known", {"text": TEA})
    done: list[Any] = await asyncio.gather(
        *(store.aput(paths[n], str(n), {"n": n}) for n in range(count)),
        *(store.aget((user,), "known") for _ in range(count)),
        *(store.aget(paths[n], str(n)) for n in range(count)),
        *(store.asearch((user, "3"), limit=1) for _ in range(50)),
        *(store.asearch((user, "elsewhere"), query=TEA) for _ in range(20)),
        *(store.aput((user, "same"), "k", {"n": n}) for n in range(50)),
        *(store.alist_namespaces(prefix=(user, "same")) for _ in range(20)),
    )
    assert {item.key for item in done[count : 2 * count]} == {"known"}
    kept: list[Any] = await store.abatch([GetOp(path, str(n)) for n, path in enumerate(paths)])
    assert [item.value for item in kept] == [{"n": n} for n in range(count)]
    assert len(await store.asearch((user, "same"))) == 1
    assert len(await store.asearch((user,), limit=10_000)) == count + 2
    assert threads
    assert loop_thread not in threads


async def test_the_loop_answers_while_thousands_of_operations_wait(
    hooked: AgentMemory, user: str
) -> None:
    """Only some are handed over to threads at a time; what was cancelled meanwhile is not."""
    store = Mem0Store(hooked, index=False)
    await store.aput((user,), "k", {"n": 1})
    carry_out = hooked._access._pool.arun
    begun = 0
    most = 0

    async def counted(call: Any) -> Any:
        nonlocal begun, most
        begun += 1
        most = max(most, begun)
        try:
            return await carry_out(call)
        finally:
            begun -= 1

    hooked._access._pool.arun = counted  # type: ignore[method-assign]
    try:
        tasks = [asyncio.create_task(store.aget((user,), "k")) for _ in range(2000)]
        await asyncio.sleep(0)
        for task in tasks[1000:]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        hooked._access._pool.arun = carry_out  # type: ignore[method-assign]
    assert most <= 40
    assert all(item.key == "k" for item in results[:1000])  # type: ignore[union-attr]
    assert {type(item) for item in results[1000:]} == {asyncio.CancelledError}


def test_threads_write_the_same_items_without_loss(anywhere: AgentMemory, user: str) -> None:
    """LangGraph runs sync nodes in threads, and several stores may share a memory."""
    stores = [Mem0Store(anywhere, memories=TEMPLATE) for _ in range(2)]
    namespaces = [(user, "items"), ("memories", user)]

    def work(thread: int) -> None:
        store = stores[thread % 2]
        for number in range(5):
            for namespace in namespaces:
                store.put(namespace, f"{thread}-{number}", {"text": f"note {thread} {number}"})
                store.put(namespace, "shared", {"text": f"shared {thread}"})
                assert store.get(namespace, f"{thread}-{number}") is not None
                store.delete(namespace, f"{thread}-{number - 1}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    for namespace in namespaces:
        found = sorted(keys(stores[0].search(namespace, limit=100)))
        assert found == [*(f"{thread}-4" for thread in range(4)), "shared"]
        item = stores[1].get(namespace, "shared")
        assert item is not None
        assert item.created_at <= item.updated_at


def test_two_memories_on_one_folder_see_the_same_items(tmp_path: Path, minilm: MiniLM) -> None:
    """Parts of one program may each connect; what one has put is there for the next program."""
    options: dict[str, Any] = {"data_dir": tmp_path, "embedder": minilm}
    with connect("embedded", **options) as first, connect("embedded", **options) as second:
        ours, theirs = (Mem0Store(memory, memories=TEMPLATE) for memory in (first, second))
        with ThreadPoolExecutor(4) as threads:
            for number in range(40):
                put = (ours, theirs)[number % 2].put
                threads.submit(put, ("notes",), str(number), {"n": number}, False)
        assert len(ours.search(("notes",), limit=100)) == 40
        theirs.put(("memories", "ann"), "drink", {"text": TEA})
        assert texts_of(first.list(scope={"user_id": "ann"})) == [TEA]
        first.close()
        theirs.delete(("notes",), "0")
    with connect("embedded", **options) as again:
        store = Mem0Store(again, memories=TEMPLATE)
        assert len(store.search(("notes",), limit=100)) == 39
        assert store.search(("memories", "ann"), query="drink")[0].value == {"text": TEA}


def test_more_than_ten_thousand_items_are_listed(tmp_path: Path) -> None:
    """Mem0's own listings end at a limit."""
    with connect("embedded", data_dir=tmp_path, embedder=HookedEmbedder()) as memory:
        store = Mem0Store(memory, index=False)
        store.batch([PutOp(("n", str(n % 50)), str(n), {"n": n}) for n in range(10_100)])
        assert len(store.search((), limit=100_000)) == 10_100
        assert [i.value["n"] for i in store.search((), filter={"n": {"$gte": 10_099}})] == [10_099]
        assert len(store.search(("n", "7"), limit=1000)) == 202
        assert len(store.list_namespaces()) == 50


# --- The embedder and the vector store -----------------------------------------------------------


@pytest.fixture(scope="module")
def hooked(
    embedder: HookedEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentMemory]:
    """A memory whose embedder does what a test wants."""
    folder = tmp_path_factory.mktemp("hooked")
    retry = RetryPolicy(attempts=2, base=0.01, cap=0.02)
    with connect("embedded", data_dir=folder, embedder=embedder, retry=retry) as memory:
        yield memory


@pytest.fixture
def calls(hooked: AgentMemory, asynchronous: bool) -> Calls:
    return Calls(Mem0Store(hooked, memories=TEMPLATE), asynchronous)


async def test_a_batch_is_embedded_once(calls: Calls, hook: Any, user: str) -> None:
    """A call for each item would cost a network's time each."""
    embedded: list[None] = []
    hook(lambda: embedded.append(None))
    for root in ("notes", "memories"):
        await calls.batch(
            [PutOp((root, user), str(n), {"text": f"n{n}", "more": str(n)}) for n in range(30)]
        )
        assert len(embedded) == 1
        embedded.clear()
    await calls.batch([PutOp(("notes", user), "n", {"n": 1}, index=False)])
    await calls.get(("notes", user), "1")
    await calls.search(("notes", user))
    await calls.delete(("notes", user), "1")
    assert embedded == []


async def test_one_item_is_read_and_written_without_a_search(
    hooked: AgentMemory, calls: Calls, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, it takes as long as with few."""
    kind = type(hooked._backend._memory.vector_store)  # type: ignore[attr-defined]

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("Something was searched for.")

    monkeypatch.setattr(kind, "list", refused)
    monkeypatch.setattr(kind, "search", refused)
    for root in ("notes", "memories"):
        await calls.put((root, user), "k", {"text": TEA}, ttl=1)
        await calls.put((root, user), "k", {"text": TEA}, ttl=1)
        assert (await calls.get((root, user), "k")).value == {"text": TEA}
        assert await calls.get((root, user), str(uuid.uuid4())) is None
        await calls.delete((root, user), "k")


async def test_nothing_of_an_item_stays_behind(
    hooked: AgentMemory, calls: Calls, user: str
) -> None:
    """Its vectors tell what it said."""
    items = hooked._backend.documents("item").rows

    def rows() -> int:
        return len(items.list(path_filter((user,))))

    await calls.put((user,), "k", {"a": "1", "b": "2", "c": "3"}, index=["a", "b", "c"])
    assert rows() == 3
    await calls.put((user,), "k", {"a": "4", "b": "4"}, index=["a", "b"])
    assert rows() == 1
    await calls.put((user,), "k", {"a": "1", "b": "2"}, index=["a", "b"])
    await calls.delete((user,), "k")
    assert rows() == 0


async def test_an_embedder_that_fails_raises_our_error_and_writes_nothing(
    calls: Calls, hook: Any, user: str
) -> None:
    """An application catches one kind of error."""

    def fail() -> None:
        raise RuntimeError("no such model")

    hook(fail)
    puts = [PutOp(("notes", user), "a", {"n": 1}), PutOp(("memories", user), "a", {"text": TEA})]
    with pytest.raises(BackendError, match="no such model"):
        await calls.batch(puts)
    with pytest.raises(BackendError, match="no such model"):
        await calls.search(("notes", user), query="tea")
    hook(lambda: None)
    assert await calls.search(("notes", user)) == []
    assert await calls.search(("memories", user)) == []


async def test_what_may_pass_is_tried_again(calls: Calls, hook: Any, user: str) -> None:
    """A lost connection is not worth an error."""
    failures = [ConnectionError("lost"), ConnectionError("lost")]

    def fail_once() -> None:
        if len(failures) > 1:
            raise failures.pop()

    hook(fail_once)
    await calls.put(("notes", user), "k", {"n": 1})
    failures.append(ConnectionError("lost"))
    assert keys(await calls.search(("notes", user), query="tea")) == ["k"]


async def test_a_batch_that_hangs_is_left_behind(
    hooked: AgentMemory, asynchronous: bool, hook: Any, user: str
) -> None:
    """A node must not wait for ever; what needs no embedder is still answered."""
    calls = Calls(Mem0Store(hooked, timeout=0.5), asynchronous)
    await calls.put((user,), "k", {"n": 1})
    released = threading.Event()
    hook(lambda: released.wait(20))
    began = time.monotonic()
    with pytest.raises(BackendTimeoutError, match=r"0\.5 s"):
        await calls.search((user,), query="tea")
    with pytest.raises(TimeoutError):
        await calls.put((user,), "late", {"n": 2})
    assert time.monotonic() - began < 10
    assert (await calls.get((user,), "k")).value == {"n": 1}
    released.set()
    await asyncio.to_thread(wait_until, lambda: Mem0Store(hooked).get((user,), "late"))


async def test_a_hanging_batch_leaves_the_event_loop_alone(
    hooked: AgentMemory, hook: Any, user: str
) -> None:
    """Without a time-out of the store, the caller's own works."""
    store = Mem0Store(hooked)
    released = threading.Event()
    hook(lambda: released.wait(20))
    waiting = [asyncio.create_task(store.aput((user,), str(n), {"n": n})) for n in range(3)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.asearch((user,), query="tea"), 0.2)
    released.set()
    await asyncio.gather(*waiting)
    assert len(await store.asearch((user,))) == 3


BAD_OPS: list[Any] = [
    GetOp(("a", ""), "k"),
    GetOp("memories", "k"),  # type: ignore[arg-type]
    GetOp(None, "k"),  # type: ignore[arg-type]
    GetOp(("a",), 7),  # type: ignore[arg-type]
    PutOp((), "k", {"n": 1}),
    PutOp(("a.b",), "k", {"n": 1}),
    PutOp(("langgraph",), "k", {"n": 1}),
    PutOp(("a",), None, {"n": 1}),  # type: ignore[arg-type]
    PutOp(("a",), "k", [1]),  # type: ignore[arg-type]
    PutOp(("a",), "k", {"n": {1, 2}}),
    PutOp(("a",), "k", {1: "n"}),  # type: ignore[dict-item]
    PutOp(("a",), "k", {"n": [{None: 1}]}),
    PutOp(("a",), "k", {"n": 1}, index="n"),  # type: ignore[arg-type]
    PutOp(("a",), "k", {"n": 1}, index=[1]),  # type: ignore[list-item]
    PutOp(("a",), "k", {"n": 1}, index=True),  # type: ignore[arg-type]
    PutOp(("a",), "k", {"n": 1}, ttl=0),
    PutOp(("a",), "k", {"n": 1}, ttl=-1),
    PutOp(("a",), "k", {"n": 1}, ttl=float("nan")),
    PutOp(("a",), "k", {"n": 1}, ttl=float("inf")),
    PutOp(("a",), "k", {"n": 1}, ttl=1e300),
    PutOp(("a",), "k", {"n": 1}, ttl="1"),  # type: ignore[arg-type]
    PutOp(("memories", "x" * 300), "k", {"n": 1}),
    PutOp(("memories", " "), "k", None),
    SearchOp(("a.b",)),
    SearchOp("a"),  # type: ignore[arg-type]
    SearchOp(("a",), limit=-1),
    SearchOp(("a",), limit=1.5),  # type: ignore[arg-type]
    SearchOp(("a",), offset=-1),
    SearchOp(("a",), offset=True),
    SearchOp(("a",), query=7),  # type: ignore[arg-type]
    SearchOp(("a",), filter=["a"]),  # type: ignore[arg-type]
    SearchOp(("a",), filter={"$or": []}),
    SearchOp(("a",), filter={"n": {"$in": [1]}}),
    SearchOp(("a",), filter={"n": {"$gt": 1, "m": 2}}),
    SearchOp(("a",), filter={"n": [{"$near": 1}]}),
    ListNamespacesOp(limit=-1),
    ListNamespacesOp(max_depth=0),
    ListNamespacesOp((MatchCondition("prefix", ("a.b",)),)),
    ListNamespacesOp((MatchCondition("suffix", "a"),)),  # type: ignore[arg-type]
    ListNamespacesOp((MatchCondition("middle", ("a",)),)),  # type: ignore[arg-type]
    "put",
    None,
]


@pytest.mark.parametrize("bad", BAD_OPS, ids=[str(op)[:60] for op in BAD_OPS])
async def test_a_batch_with_one_malformed_operation_does_nothing(
    calls: Calls, hook: Any, user: str, bad: Any
) -> None:
    """Half a batch is worse than none; and the mistake is a `ValueError`."""
    embedded: list[None] = []
    hook(lambda: embedded.append(None))
    put = PutOp(("notes", user), "k", {"n": 1})
    with pytest.raises(ValueError, match=r"\w"):
        await calls.batch([put, bad])
    with pytest.raises(ValueError, match=r"\w"):
        await calls.batch([bad, put])
    assert embedded == []
    assert await calls.search(("notes", user)) == []


async def test_a_value_without_an_end_is_refused(calls: Calls, user: str) -> None:
    """JSON has none."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, {"deep": deep}):
        with pytest.raises(InvalidInputError):
            await calls.put(("notes", user), "k", value)


async def test_nothing_of_an_item_is_logged(
    calls: Calls, hook: Any, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Items are what users said."""
    caplog.set_level(logging.INFO)
    secret = "Likes liquorice."
    for root in ("notes", "memories"):
        await calls.put((root, user), "k", {"text": secret})
        await calls.put((root, user), "k", {"text": secret, "n": 1})
        await calls.search((root, user), query=secret)
        await calls.delete((root, user), "k")

    def fail() -> None:
        raise RuntimeError("no such model")

    hook(fail)
    with pytest.raises(BackendError):
        await calls.put(("notes", user), "k", {"text": secret})
    ours = [record for record in caplog.records if record.name.startswith("mem0_integrations")]
    assert secret not in " ".join(record.getMessage() for record in ours)


async def test_a_closed_memory_says_so(tmp_path: Path, asynchronous: bool) -> None:
    """And how to go on."""
    memory = connect("embedded", data_dir=tmp_path, embedder=HookedEmbedder())
    calls = Calls(Mem0Store(memory, memories=TEMPLATE), asynchronous)
    sweeping = calls.store.start_ttl_sweeper(0.0005)
    await calls.put(("notes",), "k", {"n": 1})
    memory.close()
    for namespace in (("notes",), ("memories", "ann")):
        with pytest.raises(ClosedError, match="connect"):
            await calls.get(namespace, "k")
        with pytest.raises(ClosedError, match="connect"):
            await calls.put(namespace, "k", {"n": 2})
        with pytest.raises(ClosedError, match="connect"):
            await calls.search(namespace, query="tea")
    assert sweeping.result(10) is None
    with pytest.raises(ClosedError, match="connect"):
        Mem0Store(memory)


# --- Its options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"index": {"dims": 3, "embed": "openai:text-embedding-3-small"}},
        {"index": {"fields": "text"}},
        {"index": {"fields": [1]}},
        {"index": True},
        {"index": ["text"]},
        {"ttl": 5},
        {"ttl": {"ttl": 5}},
        {"ttl": {"default_ttl": 0}},
        {"ttl": {"default_ttl": float("inf")}},
        {"ttl": {"default_ttl": True}},
        {"ttl": {"sweep_interval_minutes": -1}},
        {"timeout": 0},
        {"timeout": "5"},
    ],
    ids=str,
)
def test_a_malformed_option_is_refused(hooked: AgentMemory, options: dict[str, Any]) -> None:
    """At once, and not when the first item is put."""
    with pytest.raises(InvalidInputError):
        Mem0Store(hooked, **options)


def test_a_store_without_an_index_embeds_nothing(hooked: AgentMemory, hook: Any, user: str) -> None:
    """For those who only want items by their keys; `index` of an item is ignored then."""
    embedded: list[None] = []
    hook(lambda: embedded.append(None))
    store = Mem0Store(hooked, index=False)
    store.put((user,), "a", {"text": TEA})
    store.put((user,), "b", {"text": TEA}, index=["text"])
    assert [item.score for item in store.search((user,), query=TEA)] == [None, None]
    assert embedded == []


# --- The sweeper ---------------------------------------------------------------------------------


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def sweeping(hooked: AgentMemory) -> Iterator[Mem0Store]:
    store = Mem0Store(hooked, memories=TEMPLATE, ttl={"sweep_interval_minutes": 0.0005})  # type: ignore[arg-type]
    yield store
    assert store.stop_ttl_sweeper(20)


def test_the_sweeper_deletes_what_has_expired(
    hooked: AgentMemory, sweeping: Mem0Store, user: str
) -> None:
    """From time to time, in a thread; of items and of memories."""
    sweeping.put(("notes", user), "k", {"n": 1}, ttl=1e-6)
    sweeping.put(("memories", user), "k", {"text": TEA}, ttl=1e-6)
    sweeping.put(("notes", user), "left", {"n": 1}, ttl=60)
    ended = sweeping.start_ttl_sweeper()
    wait_until(lambda: sweeping.get(("notes", user), "k", refresh_ttl=False) is None)
    wait_until(lambda: hooked.list(scope={"user_id": user}) == [])
    assert keys(sweeping.search(("notes", user))) == ["left"]
    assert not ended.done()
    assert sweeping.stop_ttl_sweeper(20)
    assert ended.result(1) is None


def test_the_sweeper_goes_on_after_a_failure(
    sweeping: Mem0Store, user: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """A store that was away comes back."""
    items = sweeping._homes._items._part
    sweep = items.sweep
    failures = [BackendError("away"), BackendError("away")]

    def failing(now: Any) -> int:
        if failures:
            raise failures.pop()
        return sweep(now)

    monkeypatch.setattr(items, "sweep", failing)
    sweeping.put(("notes", user), "k", {"n": 1}, ttl=1e-6)
    ended = sweeping.start_ttl_sweeper()
    wait_until(lambda: sweeping.get(("notes", user), "k", refresh_ttl=False) is None)
    assert [r.levelname for r in caplog.records if "Expired items" in r.getMessage()] == [
        "ERROR",
        "ERROR",
    ]
    assert not ended.done()


def test_the_sweeper_is_ended_by_its_future_and_by_another_start(sweeping: Mem0Store) -> None:
    """As in LangGraph's own stores; there is one thread at most."""
    first = sweeping.start_ttl_sweeper()
    second = sweeping.start_ttl_sweeper()
    assert first.result(20) is None
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("mem0-store-sweeper") == 1
    assert second.cancel()
    assert sweeping.stop_ttl_sweeper(20)
    third = sweeping.start_ttl_sweeper(60)
    assert sweeping.stop_ttl_sweeper(20)
    assert third.result(1) is None
    assert sweeping.stop_ttl_sweeper()
    for minutes in (0, -1, float("nan"), "5"):
        with pytest.raises(InvalidInputError):
            sweeping.start_ttl_sweeper(minutes)  # type: ignore[arg-type]


@contextmanager
def as_another_process() -> Iterator[None]:
    """Change rows as a process does that knows nothing of the locks of this one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StoreRows, "changing", RowLocks())
        yield


def test_a_sweep_meets_what_was_deleted_meanwhile(
    hooked: AgentMemory, sweeping: Mem0Store, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memories are deleted and forgotten in other ways, too."""
    for key in ("a", "b"):
        sweeping.put(("memories", user), key, {"text": f"{key}"}, ttl=1e-6)
    documents: Any = sweeping._homes._memories._part  # type: ignore[union-attr]
    remove = documents._remove

    def deleted_before(rows: Any) -> None:
        (first, *_) = hooked.list(scope={"user_id": user})
        with as_another_process():
            hooked.delete(first.id, scope={"user_id": user})
        remove(rows)

    monkeypatch.setattr(documents, "_remove", deleted_before)
    sweeping.sweep_ttl()
    assert hooked.list(scope={"user_id": user}) == []


# --- Other processes, other stores ---------------------------------------------------------------


def test_prolonging_a_life_brings_no_older_value_back(
    with_vectors: AgentMemory, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may put just before the prolonged life is written."""
    store = Mem0Store(with_vectors)
    store.put((user,), "k", {"n": 1}, ttl=10)
    here = with_vectors._backend.documents("item")
    rows: Rows = here.rows
    elsewhere = RowDocuments(rows)
    merge_payloads = type(rows).merge_payloads
    (old,) = here.get([((user,), "k")])
    assert old is not None

    def put_before(*given: Any) -> None:
        with as_another_process():
            elsewhere.put([dataclasses.replace(old, value={"n": 2}, ttl=None, expires_at=None)])
        merge_payloads(*given)

    monkeypatch.setattr(type(rows), "merge_payloads", put_before)
    assert store.get((user,), "k") is not None
    (new,) = here.get([((user,), "k")])
    assert new is not None
    assert new.value == {"n": 2}
    # The later put had no time to live, and so it is for ever.
    assert new.expires_at is None


def test_a_local_qdrant_keeps_items_too(
    request: pytest.FixtureRequest, tmp_path: Path, minilm: MiniLM
) -> None:
    """What Mem0 uses when nothing is said."""
    with (
        open_store("qdrant", tmp_path / "store", minilm, request) as opened,
        opened.connect(tmp_path / "outbox.db") as memory,
    ):
        store = Mem0Store(memory, memories=TEMPLATE, index={"fields": ["text", "more"]})
        store.put(("notes", "a"), "k", {"text": "A dog called Bello.", "more": TEA}, ttl=10)
        first = store.get(("notes", "a"), "k")
        store.put(("notes", "a"), "k", {"text": "A cat.", "more": TEA}, ttl=10)
        store.put(("notes", "b"), "k", {"text": "A house in Oslo."})
        store.put(("memories", "ann"), "drink", {"text": TEA})
        assert first is not None
        assert store.get(("notes", "a"), "k").created_at == first.created_at  # type: ignore[union-attr]
        found = store.search(("notes",), query="green tea")
        assert [(item.namespace[1], item.key) for item in found] == [("a", "k"), ("b", "k")]
        assert store.search(("notes",), query="a dog")[0].score < 0.9  # type: ignore[operator]
        assert texts_of(memory.recall("drink", scope={"user_id": "ann"}).memories) == [TEA]
        assert len(store.search((), query="tea")) == 3
        store.delete(("notes", "a"), "k")
        assert store.list_namespaces() == [("memories", "ann"), ("notes", "b")]
        memory.forget({"user_id": "ann"})
        assert store.search(("memories", "ann")) == []
