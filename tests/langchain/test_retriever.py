from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import threading
import time
import uuid
from operator import itemgetter
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MergerRetriever,
    MultiQueryRetriever,
)
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langgraph.graph import START, StateGraph

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    ClosedError,
    InvalidFilterError,
    InvalidInputError,
    Scope,
    ScopeError,
    ScopeRequest,
    connect,
)
from mem0_integrations.langchain import Mem0Retriever

GRACE = 30.0
PEANUTS = "I am allergic to peanuts."
LIKES = [f"I like {thing}." for thing in ("tea", "coffee", "milk", "water", "juice", "cocoa")]


@pytest.fixture
def likes(shared: AgentMemory, user: str) -> AgentMemory:
    """A user who likes six drinks."""
    shared.remember_many(LIKES, scope={"user_id": user})
    return shared


def config_of(user: str, **ids: Any) -> RunnableConfig:
    return {"configurable": {"user_id": user, **ids}}


def texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


def fail() -> None:
    raise ValueError("bad vector")


# How it is called.


async def invoke(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    return runnable.invoke(given, *args, **kwargs)


async def ainvoke(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    return await runnable.ainvoke(given, *args, **kwargs)


async def batch(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    first, second = runnable.batch([given, given], *args, **kwargs)
    assert first == second
    return first


async def abatch(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    first, second = await runnable.abatch([given, given], *args, **kwargs)
    assert first == second
    return first


async def stream(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    (result,) = runnable.stream(given, *args, **kwargs)
    return result


async def astream(runnable: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
    (result,) = [item async for item in runnable.astream(given, *args, **kwargs)]
    return result


both = pytest.mark.parametrize("call", [invoke, ainvoke])
every = pytest.mark.parametrize("call", [invoke, ainvoke, batch, abatch, stream, astream])


@every
async def test_it_finds_what_is_remembered_however_it_is_called(anywhere, user, call) -> None:
    """A retriever is a runnable; each way of calling it hands the configuration on."""
    anywhere.remember(PEANUTS, scope={"user_id": user})
    found = await call(Mem0Retriever(memory=anywhere), "Any allergies?", config_of(user))
    assert texts(found) == [PEANUTS]


@both
async def test_the_number_of_documents_is_set_once_or_for_a_call(likes, user, call) -> None:
    """`k` is what LangChain's retrievers call it."""
    config = config_of(user)
    assert len(await call(Mem0Retriever(memory=likes), "I like", config)) == 5
    retriever = Mem0Retriever(memory=likes, k=2)
    assert len(await call(retriever, "I like", config)) == 2
    found = await call(retriever, "I like", config, k=6)
    assert len(found) == 6
    scores = [document.metadata["score"] for document in found]
    assert scores == sorted(scores, reverse=True)
    assert len(await call(retriever.bind(k=1), "I like", config)) == 1


@both
async def test_its_fields_can_be_made_configurable(likes, user, call) -> None:
    """That is how LangChain lets the caller of a chain choose `k`."""
    retriever = Mem0Retriever(memory=likes, scope={"user_id": user})
    flexible = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert len(await call(flexible, "I like", {"configurable": {"k": 1}})) == 1


@both
async def test_a_threshold_leaves_out_what_is_far(likes, user, call) -> None:
    """Nothing is better than something that has nothing to do with the question."""
    config = config_of(user)
    strict = Mem0Retriever(memory=likes, score_threshold=0.99)
    assert await call(strict, "Where is my order?", config) == []
    assert len(await call(strict, "Where is my order?", config, score_threshold=0.0)) == 5


@both
async def test_the_filters_of_a_call_narrow_those_of_the_retriever(shared, user, call) -> None:
    """What the retriever may not show, no call can ask for."""
    for topic, year in (("food", 1), ("food", 2), ("travel", 1), ("travel", 2)):
        metadata = {"topic": topic, "year": year}
        shared.remember(f"I like {topic}, {year}.", scope={"user_id": user}, metadata=metadata)
    retriever = Mem0Retriever(memory=shared, filters={"topic": "food"}, score_threshold=0.0)
    config = config_of(user)
    assert len(await call(retriever, "I like", config)) == 2
    found = await call(retriever, "I like", config, filters={"year": 2})
    assert texts(found) == ["I like food, 2."]
    assert await call(retriever, "I like", config, filters={"topic": "travel"}) == []


# What a document holds.


@both
async def test_a_document_tells_everything_about_its_memory(anywhere, user, call) -> None:
    """A chain cites, sorts, filters, and updates what it found."""
    scope = {"user_id": user, "agent_id": "support"}
    written = anywhere.remember(PEANUTS, scope=scope, metadata={"topic": "food"})
    (document,) = await call(Mem0Retriever(memory=anywhere), "Any allergies?", config_of(user))
    (memory,) = written.memories
    assert (document.id, document.page_content) == (memory.id, memory.text)
    metadata = dict(document.metadata)
    assert 0 < metadata.pop("score") <= 1
    assert metadata == {
        "user_id": user,
        "agent_id": "support",
        "created_at": memory.created_at.isoformat(),
        "updated_at": memory.updated_at.isoformat(),
        "categories": [],
        "metadata": {"topic": "food", "role": "user"},
    }
    json.dumps(document.metadata)


def test_metadata_of_the_application_cannot_pose_as_ours(shared, user) -> None:
    """A user's upload named `score` must not rank first, nor one named `user_id` change hands."""
    own = {"score": 1.0, "metadata": "x", "categories": ["vip"], "page_content": "y"}
    shared.remember(PEANUTS, scope={"user_id": user}, metadata=own | {"categories": "vip"})
    (document,) = Mem0Retriever(memory=shared).invoke("Any allergies?", config_of(user))
    assert document.metadata["score"] < 1
    assert document.metadata["categories"] == []
    assert document.metadata["user_id"] == user
    assert document.metadata["metadata"].items() >= {"score": 1.0, "metadata": "x"}.items()


# In chains and graphs.


def prompt_of(retriever: Any) -> Any:
    """Everything before the model of a retrieval chain."""
    prompt = ChatPromptTemplate.from_template("Known: {context}\nQuestion: {question}")
    return {
        "context": retriever | (lambda found: "; ".join(texts(found))),
        "question": RunnablePassthrough(),
    } | prompt


@every
async def test_it_is_a_step_of_a_chain(shared, user, call) -> None:
    """The usual chain: the configuration of the chain says whose memories."""
    shared.remember(PEANUTS, scope={"user_id": user})
    chain = prompt_of(Mem0Retriever(memory=shared))
    prompt = await call(chain, "Any allergies?", config_of(user))
    expected = f"Known: {PEANUTS}\nQuestion: Any allergies?"
    assert [message.content for message in prompt.to_messages()] == [expected]
    model = FakeListChatModel(responses=["No peanuts."])
    answer = (chain | model | StrOutputParser()).invoke("Any allergies?", config_of(user))
    assert answer == "No peanuts."


@both
async def test_the_configuration_can_be_bound_to_it(shared, user, call) -> None:
    """`with_config` makes a retriever of one user."""
    shared.remember(PEANUTS, scope={"user_id": user})
    bound = Mem0Retriever(memory=shared).with_config(configurable={"user_id": user})
    assert texts(await call(bound, "Any allergies?")) == [PEANUTS]


async def test_each_input_of_a_batch_has_its_own_user(shared, user) -> None:
    """A job over many customers is one batch."""
    users = [f"{user}-{number}" for number in range(8)]
    for name in users:
        shared.remember(f"My code is {name}.", scope={"user_id": name})
    retriever, questions = Mem0Retriever(memory=shared), ["What is my code?"] * len(users)
    configs = [config_of(name) for name in users]
    expected = [[f"My code is {name}."] for name in users]
    assert [*map(texts, retriever.batch(questions, configs))] == expected
    assert [*map(texts, await retriever.abatch(questions, configs))] == expected


class State(TypedDict):
    question: str
    found: list[Document]


@dataclasses.dataclass
class Context:
    user_id: str


@pytest.mark.parametrize("hand_on", [True, False], ids=["config", "no config"])
async def test_in_a_graph_it_knows_the_users_of_the_graph(shared, user, hand_on) -> None:
    """In a node, the context and the configuration of the graph hold, handed on or not."""
    shared.remember(PEANUTS, scope={"user_id": user})
    retriever = Mem0Retriever(memory=shared)

    def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {"found": retriever.invoke(state["question"], *[config] * hand_on)}

    async def anode(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {"found": await retriever.ainvoke(state["question"], *[config] * hand_on)}

    given = {"question": "Any allergies?"}
    for run in (node, anode):
        builder = StateGraph(State, context_schema=Context).add_node("retrieve", run)
        graph = builder.add_edge(START, "retrieve").compile()
        for options in ({"config": config_of(user)}, {"context": Context(user)}):
            state = await graph.ainvoke(given, **options)
            assert texts(state["found"]) == [PEANUTS]


# In other retrievers.


class Everything(BaseDocumentCompressor):
    """Compresses nothing."""

    def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
        return documents


def multi_query(retriever: BaseRetriever) -> BaseRetriever:
    model = FakeListChatModel(responses=["What must I not eat?\nAny allergies?"])
    return MultiQueryRetriever.from_llm(retriever, model)


def compression(retriever: BaseRetriever) -> BaseRetriever:
    return ContextualCompressionRetriever(base_retriever=retriever, base_compressor=Everything())


def merger(retriever: BaseRetriever) -> BaseRetriever:
    return MergerRetriever(retrievers=[retriever])


@both
async def test_an_ensemble_hands_the_user_on(shared, user, call) -> None:
    """Memories are one source among others."""
    scope = {"user_id": user}
    shared.remember(PEANUTS, scope=scope, metadata={"topic": "food"})
    shared.remember("I live in Oslo.", scope=scope, metadata={"topic": "home"})
    one, two = (Mem0Retriever(memory=shared, filters={"topic": t}) for t in ("food", "home"))
    ensemble = EnsembleRetriever(retrievers=[one, two], weights=[0.5, 0.5])
    found = await call(ensemble, "I am allergic, I live", config_of(user))
    assert set(texts(found)) == {PEANUTS, "I live in Oslo."}


@pytest.mark.parametrize("wrap", [multi_query, compression, merger])
@both
async def test_other_retrievers_around_it_work(shared, user, wrap, call) -> None:
    """With a scope of its own anywhere; as a step of a chain, also with the chain's user."""
    shared.remember(PEANUTS, scope={"user_id": user})
    own = wrap(Mem0Retriever(memory=shared, scope={"user_id": user}))
    # Of each query of `MultiQueryRetriever`, with another score.
    assert set(texts(await call(own, "Any allergies?"))) == {PEANUTS}
    chain = itemgetter("question") | wrap(Mem0Retriever(memory=shared))
    found = await call(chain, {"question": "Any allergies?"}, config_of(user))
    assert set(texts(found)) == {PEANUTS}
    assert len({document.id for document in found}) == 1


@both
async def test_it_becomes_a_tool(shared, user, call) -> None:
    """`create_retriever_tool` is how LangChain gives a retriever to an agent."""
    shared.remember(PEANUTS, scope={"user_id": user})
    tool = create_retriever_tool(Mem0Retriever(memory=shared), "notes", "Notes about the user.")
    assert await call(tool, {"query": "Any allergies?"}, config_of(user)) == PEANUTS


# Whose memories.


@pytest.mark.parametrize(
    "scope",
    [
        lambda user: Scope(user_id=user),
        lambda user: {"user_id": user},
        lambda user: lambda request: {"user_id": request.configurable["customer"]},
    ],
    ids=["scope", "mapping", "callable"],
)
@both
async def test_a_scope_of_its_own_decides_alone(shared, user, scope, call) -> None:
    """Whatever the configuration of the run says."""
    shared.remember(PEANUTS, scope={"user_id": user})
    retriever = Mem0Retriever(memory=shared, scope=scope(user))
    config = config_of("somebody else", customer=user)
    assert texts(await call(retriever, "Any allergies?", config)) == [PEANUTS]


@both
async def test_without_a_scope_the_error_says_where_it_was_looked_for(shared, call) -> None:
    """There is never a shared default user."""
    with pytest.raises(ScopeError, match=r"context.*configurable.*authenticated.*connected"):
        await call(Mem0Retriever(memory=shared), "Any allergies?")


def test_a_retriever_that_hands_nothing_on_finds_nobodys_memories(shared, user) -> None:
    """`MultiQueryRetriever` by itself drops the configuration; that must not go unnoticed."""
    shared.remember(PEANUTS, scope={"user_id": user})
    with pytest.raises(ScopeError):
        multi_query(Mem0Retriever(memory=shared)).invoke("Any allergies?", config_of(user))


def test_the_scope_of_the_memory_is_the_last_resort(hooked, embedder, user) -> None:
    """A program with one user says it once, when it connects."""
    folder = Path(hooked.describe()["outbox"]).parents[1]
    with connect("embedded", data_dir=folder, embedder=embedder, scope={"user_id": user}) as own:
        own.remember(PEANUTS)
        retriever = Mem0Retriever(memory=own, score_threshold=0.0)
        assert texts(retriever.invoke(PEANUTS)) == [PEANUTS]
        assert retriever.invoke(PEANUTS, config_of("somebody else")) == []


async def test_users_who_ask_at_the_same_time_are_not_mixed(shared, user) -> None:
    """One retriever serves all users of a server."""
    users = [f"{user}-{number}" for number in range(12)]
    for name in users:
        shared.remember(f"My code is {name}.", scope={"user_id": name})
    retriever = Mem0Retriever(memory=shared)
    asked = [retriever.ainvoke("What is my code?", config_of(name)) for name in users]
    found = await asyncio.gather(*asked)
    assert [*map(texts, found)] == [[f"My code is {name}."] for name in users]


def test_a_filter_cannot_reach_another_user(shared, user) -> None:
    """Filters may come from a form or a model."""
    with pytest.raises(InvalidFilterError):
        Mem0Retriever(memory=shared).invoke("x", config_of(user), filters={"user_id": "victim"})


# What is refused.


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, r"\bk must be a whole number"),
        ({"k": "3"}, r"\bk must be"),
        ({"k": True}, r"\bk must be"),
        ({"score_threshold": 1.5}, "score_threshold must be a score"),
        ({"filters": {"topic": {"like": "x"}}}, "unknown operator 'like'"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"on_error": "ignore"}, "on_error must be 'degrade' or 'raise'"),
        ({"scope": {"user": "u"}}, "Unknown scope keys"),
        ({"scope": {}}, "at least one of"),
    ],
)
def test_a_malformed_option_is_refused_at_once(shared, options, error) -> None:
    """In the constructor, not in the first conversation."""
    with pytest.raises(InvalidInputError, match=error):
        Mem0Retriever(memory=shared, **options)


@pytest.mark.parametrize("option", ["top_k", "user_id", "search_kwargs", "limit"])
def test_an_unknown_option_is_refused(shared, option) -> None:
    """A typo must not be a default."""
    with pytest.raises(TypeError, match=option):
        Mem0Retriever(memory=shared, **{option: 3})  # type: ignore[arg-type]


def test_only_a_memory_is_a_memory(shared) -> None:
    """The model keeps the very object, and nothing else will do."""
    assert Mem0Retriever(memory=shared).memory is shared
    with pytest.raises(ValueError, match="AgentMemory"):
        Mem0Retriever(memory="memory")  # type: ignore[arg-type]


@both
@pytest.mark.parametrize("query", ["", "  \n"])
async def test_an_empty_query_is_refused(shared, user, query, call) -> None:
    """Nothing is near to nothing; whoever asks so has lost the question on the way."""
    with pytest.raises(InvalidInputError, match="query is empty"):
        await call(Mem0Retriever(memory=shared), query, config_of(user))


@both
async def test_a_query_that_is_no_text_says_how_to_pick_it_out(shared, user, call) -> None:
    """The commonest slip in a chain is to hand all of its input on."""
    with pytest.raises(InvalidInputError, match="itemgetter"):
        await call(Mem0Retriever(memory=shared), {"question": "Hm?"}, config_of(user))


@both
async def test_a_malformed_argument_of_a_call_is_refused(shared, user, call) -> None:
    """A call is checked like the constructor."""
    retriever = Mem0Retriever(memory=shared)
    with pytest.raises(InvalidInputError, match=r"\bk must be"):
        await call(retriever, "x", config_of(user), k=0)
    with pytest.raises(TypeError, match="top_k"):
        await call(retriever, "x", config_of(user), top_k=3)


# When memory fails.


class Recorder(BaseCallbackHandler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.custom: list[tuple[str, Any]] = []
        self.started: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        self.custom.append((name, data))

    def on_retriever_start(self, *_: Any, **started: Any) -> None:
        self.started.append(started)

    def on_retriever_error(self, error: BaseException, **_: Any) -> None:
        self.errors.append(error)


@both
async def test_a_recall_that_fails_degrades_and_says_so(
    hooked, hook, user, call, caplog: pytest.LogCaptureFixture
) -> None:
    """The chain goes on without memory, and whoever watches it is told."""
    hook(fail)
    recorder = Recorder()
    config: RunnableConfig = {**config_of(user), "callbacks": [recorder]}
    with caplog.at_level(logging.WARNING):
        found = await call(Mem0Retriever(memory=hooked), "my secret question", config)
    assert found == []
    ((name, data),) = recorder.custom
    assert name == "memory.degraded"
    assert "bad vector" in data["reason"]
    assert "degraded" in caplog.text
    assert "secret" not in caplog.text


async def test_a_degraded_recall_is_seen_in_the_events_of_a_chain(hooked, hook, user) -> None:
    """A front end that streams events can say that memory is away."""
    hook(fail)
    chain = prompt_of(Mem0Retriever(memory=hooked))
    stream = chain.astream_events("Any allergies?", config_of(user), version="v2")
    names = [event["name"] async for event in stream if event["event"] == "on_custom_event"]
    assert names == ["memory.degraded"]


@both
async def test_a_recall_that_hangs_degrades_within_its_budget(hooked, hook, user, call) -> None:
    """A dead vector store must not hold the chain up."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    began = time.monotonic()
    try:
        found = await call(Mem0Retriever(memory=hooked, timeout=0.2), "Hello", config_of(user))
    finally:
        released.set()
    assert found == []
    assert time.monotonic() - began < GRACE / 2


@both
async def test_a_failed_recall_raises_if_asked_to(hooked, hook, user, call) -> None:
    """An application that must not answer without memory wants the error, in its traces too."""
    retriever = Mem0Retriever(memory=hooked, on_error="raise", timeout=0.2)
    recorder = Recorder()
    config: RunnableConfig = {**config_of(user), "callbacks": [recorder]}
    hook(fail)
    with pytest.raises(BackendError, match="bad vector"):
        await call(retriever, "Hello", config)
    assert [type(error) for error in recorder.errors] == [BackendError]
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    try:
        with pytest.raises(BackendTimeoutError):
            await call(retriever, "Hello", config)
    finally:
        released.set()


@both
async def test_a_closed_memory_raises(tmp_path, embedder, user, call) -> None:
    """That is a mistake in the program, not a failure of memory."""
    memory = connect("embedded", data_dir=tmp_path, embedder=embedder)
    memory.close()
    with pytest.raises(ClosedError):
        await call(Mem0Retriever(memory=memory), "Hello", config_of(user))


async def test_the_event_loop_turns_while_it_waits(hooked, hook, user) -> None:
    """Other conversations go on; here one of them is what the recall waits for."""
    released = threading.Event()
    waits: list[bool] = []
    hook(lambda: waits.append(released.wait(GRACE)))
    retriever = Mem0Retriever(memory=hooked, timeout=2 * GRACE)
    run = asyncio.create_task(retriever.ainvoke("Hello", config_of(user)))
    while not run.done():
        await asyncio.sleep(0.05)
        released.set()
    assert run.result() == []
    assert waits
    assert all(waits)


# What is traced.


def test_its_runs_say_what_they_are(shared, user) -> None:
    """LangSmith groups retrievers by these; tags and metadata are the application's."""
    recorder = Recorder()
    retriever = Mem0Retriever(memory=shared, tags=["notes"], metadata={"team": "support"})
    retriever.invoke("Hello", {**config_of(user), "callbacks": [recorder]})
    (started,) = recorder.started
    assert started["name"] == "Mem0Retriever"
    assert "notes" in started["tags"]
    metadata = started["metadata"]
    assert metadata["team"] == "support"
    assert metadata["ls_retriever_name"] == "mem0"
    assert metadata["ls_vector_store_provider"] == "mem0"
    assert user not in str(metadata)


def test_a_callable_is_given_what_is_known_about_the_call(shared, user) -> None:
    """Rules of one's own need the context, the configuration and the authenticated user."""
    requests: list[ScopeRequest] = []

    def source(request: ScopeRequest) -> dict[str, str]:
        requests.append(request)
        return {"user_id": user}

    config = config_of("somebody", thread_id=uuid.uuid4().hex)
    Mem0Retriever(memory=shared, scope=source).invoke("Hello", config)
    (request,) = requests
    assert request.configurable == config["configurable"]
