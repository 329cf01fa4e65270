from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import threading
import time
import uuid
import warnings
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.chains import ConversationChain, LLMChain, SequentialChain
from langchain_classic.memory import CombinedMemory, ConversationBufferMemory
from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnablePassthrough
from langgraph.graph import START, MessagesState, StateGraph

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    InvalidInputError,
    InvalidMessageError,
    OutboxFullError,
    OutboxOptions,
    Scope,
    ScopeError,
    ScopeRequest,
    connect,
)
from mem0_integrations.langchain import Mem0Memory
from tests.stores import HookedEmbedder, Scripted, texts_of

# LangChain says of its own classes that they are deprecated; nothing else may warn.
pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:The class `(LLM|Conversation)Chain` was deprecated"),
    pytest.mark.filterwarnings("ignore:The class `ConversationBufferMemory` was deprecated"),
    pytest.mark.filterwarnings("ignore:The class `InMemoryChatMessageHistory` was deprecated"),
    pytest.mark.filterwarnings("ignore:The method `Chain.__call__` was deprecated"),
    pytest.mark.filterwarnings("ignore:The method `Chain.acall` was deprecated"),
]

GRACE = 30.0
INPUT, OUTPUT = {"input": "I am allergic to peanuts."}, {"output": "I see."}
QUESTION = {"input": "What am I allergic to?"}


# How a runnable is called.


async def invoke(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return chain.invoke(given, config)


async def ainvoke(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return await chain.ainvoke(given, config)


async def stream(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return merged(list(chain.stream(given, config)))


async def astream(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return merged([chunk async for chunk in chain.astream(given, config)])


async def batch(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return chain.batch([given], config)[0]


async def abatch(chain: Runnable[Any, Any], given: Any, config: Any = None) -> Any:
    return (await chain.abatch([given], config))[0]


def merged(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for chunk in chunks for key, value in chunk.items()}


TWINS = pytest.mark.parametrize("call", [invoke, ainvoke])
CALLS = pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream, batch, abatch])


# The methods of a memory, sync and async.


async def load(memory: Any, inputs: dict[str, Any]) -> Any:
    return memory.load_memory_variables(inputs)


async def aload(memory: Any, inputs: dict[str, Any]) -> Any:
    return await memory.aload_memory_variables(inputs)


async def save(memory: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    memory.save_context(inputs, outputs)


async def asave(memory: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    await memory.asave_context(inputs, outputs)


async def clear(memory: Any) -> None:
    memory.clear()


async def aclear(memory: Any) -> None:
    await memory.aclear()


LOADS = pytest.mark.parametrize("load", [load, aload], ids=["sync", "async"])
SAVES = pytest.mark.parametrize("save", [save, asave], ids=["sync", "async"])
CLEARS = pytest.mark.parametrize("clear", [clear, aclear], ids=["sync", "async"])


def config_of(user: str, **ids: Any) -> RunnableConfig:
    return {"configurable": {"user_id": user, **ids}}


def served(chain: Any) -> RunnableLambda[Any, Any]:
    """The documented way to let a chain's memory see the config."""
    return RunnableLambda(chain.invoke, chain.ainvoke)


def conversation(memory: AgentMemory, model: Any = None, **options: Any) -> ConversationChain:
    model = Scripted(answers=["I see."]) if model is None else model
    return ConversationChain(llm=model, memory=Mem0Memory(memory, **options))


def texts(memory: AgentMemory, user: str) -> list[str]:
    assert memory.flush(GRACE)
    return sorted(texts_of(memory.list(scope={"user_id": user})))


@pytest.fixture
def own(shared: AgentMemory, user: str) -> Mem0Memory:
    """The user's memory, which keeps messages as they are."""
    return Mem0Memory(shared, infer=False, scope={"user_id": user})


def kept(memory: Mem0Memory) -> list[str]:
    assert isinstance(memory.scope, Scope)
    return texts(memory.memory, str(memory.scope.user_id))


def fail() -> None:
    raise ValueError("bad vector")


# In chains.


@TWINS
async def test_a_chain_knows_what_was_said_in_an_earlier_conversation(anywhere, user, call) -> None:
    """One line gives a chain a memory: that is the promise."""
    model = Scripted(answers=["I see."])
    await call(conversation(anywhere, model, scope={"user_id": user}), INPUT)
    answer = await call(conversation(anywhere, model, scope={"user_id": user}), QUESTION)
    assert answer["response"] == "I see."
    assert "I am allergic to peanuts." in answer["history"]
    assert "I am allergic to peanuts." in model.asked[-1][0].text


@TWINS
async def test_a_turn_is_known_in_the_next_one(hooked, hook, user, call) -> None:
    """A chain is told that its turn is stored when it returns; so it is, however slow."""
    hook(lambda: time.sleep(0.1))
    chain = conversation(hooked, scope={"user_id": user})
    await call(chain, INPUT)
    assert INPUT["input"] in (await call(chain, INPUT))["history"]


@TWINS
async def test_a_chain_may_be_given_its_input_alone(shared, user, call) -> None:
    """LangChain finds the key: it is the one that no memory fills."""
    chain = conversation(shared, scope={"user_id": user})
    await call(chain, "I am allergic to peanuts.")
    assert texts(shared, user) == ["I am allergic to peanuts."]


@TWINS
async def test_the_recall_may_be_a_system_message(anywhere, user, call) -> None:
    """Chat prompts take messages; what is known about the user is not said by the user."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be kind."), MessagesPlaceholder("known"), ("human", "{question}")]
    )
    model = Scripted(answers=["I see."])
    own = Mem0Memory(anywhere, memory_key="known", return_messages=True, scope={"user_id": user})
    chain = LLMChain(llm=model, prompt=prompt, memory=own)
    await call(chain, {"question": "I am allergic to peanuts."})
    await call(chain, {"question": "What am I allergic to?"})
    first, second = model.asked
    assert [message.type for message in first] == ["system", "human"]
    assert [message.type for message in second] == ["system", "system", "human"]
    assert "- [" in second[1].text
    assert "I am allergic to peanuts." in second[1].text


@TWINS
async def test_it_stands_beside_another_memory(anywhere, user, call) -> None:
    """The last messages as they were, and what is known from earlier: both are wanted."""
    buffer = ConversationBufferMemory(memory_key="recent", input_key="input")
    own = Mem0Memory(anywhere, memory_key="known", scope={"user_id": user})
    chain = ConversationChain(
        llm=Scripted(answers=["I see."]),
        prompt=PromptTemplate.from_template("{known} {recent} {input}"),
        memory=CombinedMemory(memories=[buffer, own]),
    )
    await call(chain, INPUT)
    answer = await call(chain, QUESTION)
    assert answer["recent"] == "Human: I am allergic to peanuts.\nAI: I see."
    assert "I am allergic to peanuts." in answer["known"]
    assert texts(anywhere, user) == ["I am allergic to peanuts."]


def test_another_memory_with_the_same_variable_is_refused(shared) -> None:
    """LangChain looks at `memory_variables`; one would overwrite the other."""
    buffer = ConversationBufferMemory(input_key="input")
    with pytest.raises(ValueError, match="same variables"):
        CombinedMemory(memories=[buffer, Mem0Memory(shared)])


@TWINS
async def test_it_can_be_the_memory_of_one_step_of_several(shared, user, call) -> None:
    """In a sequence each step sees the inputs of all, so it says which one is the user's."""
    translate = LLMChain(
        llm=Scripted(answers=["english"]),
        prompt=PromptTemplate.from_template("{question}"),
        output_key="language",
    )
    answer = LLMChain(
        llm=Scripted(answers=["I see."]),
        prompt=PromptTemplate.from_template("{language} {history} {question}"),
        memory=Mem0Memory(shared, input_key="question"),
    )
    chain = SequentialChain(chains=[translate, answer], input_variables=["question"])
    given = {"question": "I am allergic to peanuts."}
    await call(served(chain), given, config_of(user))
    assert texts(shared, user) == ["I am allergic to peanuts."]


@TWINS
async def test_it_can_be_the_memory_of_a_sequence(shared, user, call) -> None:
    """All steps then read the same recall."""
    model = Scripted(answers=["I see."])
    step = LLMChain(llm=model, prompt=PromptTemplate.from_template("{history} {input}"))
    chain = SequentialChain(
        chains=[step], input_variables=["input"], memory=Mem0Memory(shared, scope={"user_id": user})
    )
    await call(chain, INPUT)
    await call(chain, QUESTION)
    assert "I am allergic to peanuts." in model.asked[-1][0].text


# In LCEL.


def recipe(memory: Mem0Memory, model: Any) -> Runnable[Any, Any]:
    """What the documentation shows."""
    prompt = ChatPromptTemplate.from_messages([("system", "{history}"), ("human", "{input}")])
    load = RunnableLambda(memory.load_memory_variables, memory.aload_memory_variables)
    save = RunnableLambda(lambda t: memory.save_context(t, t), lambda t: memory.asave_context(t, t))
    chain: Runnable[Any, Any] = RunnablePassthrough.assign(history=load | itemgetter("history"))
    chain |= RunnablePassthrough.assign(output=prompt | model | StrOutputParser())
    chain |= RunnablePassthrough.assign(saved=save)
    return chain


@CALLS
async def test_it_works_in_a_pipe_of_runnables(anywhere, user, call) -> None:
    """Without a chain class, two lines load and save, and the config names the user."""
    model = Scripted(answers=["I see."])
    chain = recipe(Mem0Memory(anywhere), model)
    await call(chain, INPUT, config_of(user))
    turn = await call(chain, QUESTION, config_of(user))
    assert "I am allergic to peanuts." in turn["history"]
    assert "I am allergic to peanuts." in model.asked[-1][0].text
    assert texts(anywhere, user) == ["I am allergic to peanuts."]


# Whose memories.


@CALLS
async def test_the_config_names_the_user(anywhere, user, call) -> None:
    """One chain serves all users of a server."""
    chain = served(conversation(anywhere))
    await call(chain, INPUT, config_of(user))
    assert INPUT["input"] in (await call(chain, QUESTION, config_of(user)))["history"]
    assert (await call(chain, QUESTION, config_of(f"not-{user}")))["history"] == ""


async def test_chains_that_run_at_the_same_time_do_not_mix_users(shared) -> None:
    """The memory object keeps nothing of a call."""
    chain = served(conversation(shared))
    users = [f"parallel-{uuid.uuid4().hex}" for _ in range(12)]
    configs = [config_of(user) for user in users]
    chain.batch([{"input": f"My code is {user}."} for user in users[:6]], configs[:6])
    await chain.abatch([{"input": f"My code is {user}."} for user in users[6:]], configs[6:])
    answers = await chain.abatch([{"input": "What is my code?"}] * 12, configs)
    for user, answer in zip(users, answers, strict=True):
        assert [other for other in users if other in answer["history"]] == [user]


@TWINS
async def test_a_chain_that_hides_its_config_says_what_to_do(shared, user, call) -> None:
    """`Chain.invoke` does not show its config; the turn must not go to somebody else."""
    model = Scripted(answers=["I see."])
    with pytest.raises(ScopeError, match=r"RunnableLambda\(chain.invoke, chain.ainvoke\)"):
        await call(conversation(shared, model), INPUT, config_of(user))
    assert model.asked == []


@TWINS
async def test_a_config_without_a_user_says_where_it_was_looked_for(shared, call) -> None:
    """There is never a shared default user."""
    with pytest.raises(ScopeError, match="configurable") as caught:
        await call(served(conversation(shared)), INPUT, {"configurable": {"thread_id": "1"}})
    assert "RunnableLambda" not in str(caught.value)


@pytest.mark.parametrize(
    "scope",
    [
        lambda user: Scope(user_id=user),
        lambda user: {"user_id": user},
        lambda user: lambda request: {"user_id": user},
    ],
    ids=["scope", "mapping", "callable"],
)
@TWINS
async def test_the_scope_can_be_given(shared, user, scope, call) -> None:
    """It then decides alone, whatever the config says."""
    chain = served(conversation(shared, scope=scope(user)))
    await call(chain, INPUT, config_of("somebody else"))
    assert texts(shared, user) == [INPUT["input"]]
    assert texts(shared, "somebody else") == []


def test_a_callable_is_given_what_is_known_about_the_call(shared, user) -> None:
    """Rules of one's own need the configuration."""
    requests: list[ScopeRequest] = []

    def source(request: ScopeRequest) -> dict[str, str]:
        requests.append(request)
        return {"user_id": user}

    served(conversation(shared, scope=source)).invoke(INPUT, {"configurable": {"tenant": "t"}})
    assert [request.configurable["tenant"] for request in requests] == ["t", "t"]


@TWINS
async def test_the_scope_of_the_connection_is_the_last_resort(tmp_path, embedder, call) -> None:
    """A program with one user says it once, when it connects."""
    scope = {"user_id": "only-one"}
    with connect("embedded", data_dir=tmp_path, embedder=embedder, scope=scope) as own:
        await call(conversation(own), INPUT)
        assert texts_of(own.list()) == [INPUT["input"]]


@TWINS
async def test_a_chain_in_a_node_sees_the_graphs_config(shared, user, call) -> None:
    """Old chains live on inside of new graphs."""
    chain = conversation(shared)

    def node(state: MessagesState) -> dict[str, Any]:
        answer = chain.invoke({"input": state["messages"][-1].text})
        return {"messages": [AIMessage(answer["response"])]}

    graph = StateGraph(MessagesState).add_node("chat", node).add_edge(START, "chat").compile()
    config = config_of(user, thread_id="thread-1")
    await call(graph, {"messages": [("user", "I like tea.")]}, config)
    (found,) = shared.list(scope={"user_id": user})
    assert (found.text, found.metadata["thread_id"]) == ("I like tea.", "thread-1")


# What is remembered.


@SAVES
async def test_both_sides_of_a_turn_are_remembered(anywhere, user, save) -> None:
    """What was promised matters as much as what was asked."""
    own = Mem0Memory(anywhere, infer=False, scope={"user_id": user}, metadata={"channel": "phone"})
    await save(own, INPUT, OUTPUT)
    found = anywhere.list(scope={"user_id": user}, filters={"channel": "phone"})
    assert {(memory.metadata["role"], memory.text) for memory in found} == {
        ("user", "I am allergic to peanuts."),
        ("assistant", "I see."),
    }


@TWINS
async def test_what_was_recalled_is_never_stored_again(shared, user, call) -> None:
    """It would multiply with every turn, also when the model repeats what it read."""
    shared.remember("I like tea.", scope={"user_id": user})
    model = Scripted(answers=[""])
    chain = conversation(shared, model, infer=False, scope={"user_id": user})
    block = chain.memory.load_memory_variables({"input": "tea?"})["history"]
    assert "I like tea." in block
    model.answers = [f"As noted:\n{block}"]
    await call(chain, {"input": f"{block} Do I like tea?"})
    assert texts(shared, user) == ["As noted:", "Do I like tea?", "I like tea."]


@SAVES
@pytest.mark.parametrize(
    ("said", "answered", "stored"),
    [
        (HumanMessage("I like tea."), AIMessage("Noted."), ["I like tea.", "Noted."]),
        (
            [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("I like tea.")],
            [AIMessage("Noted."), AIMessage("Bye.")],
            ["Bye.", "I like tea.", "Noted."],
        ),
        (
            HumanMessage([{"type": "text", "text": "I like tea."}, {"type": "image", "url": "u"}]),
            [{"role": "assistant", "content": "Noted."}],
            ["I like tea.", "Noted."],
        ),
        ("I like tea.", ["Noted.", "Bye."], ["Bye.", "I like tea.", "Noted."]),
        ("I like tea.", "", ["I like tea."]),
        (" ", "Please say something.", []),
        ([SystemMessage("Be kind.")], "I am.", []),
    ],
    ids=["messages", "conversation", "blocks", "texts", "no answer", "nothing said", "system"],
)
async def test_messages_are_as_good_as_texts(own, said, answered, stored, save) -> None:
    """Prompts take both; of a conversation the last turn is new."""
    await save(own, {"input": said}, {"output": answered})
    assert kept(own) == stored


@LOADS
@pytest.mark.parametrize(
    "said",
    [
        HumanMessage("What am I allergic to?"),
        [HumanMessage("What am I allergic to?"), AIMessage("Let me see.")],
        [("user", "What am I allergic to?")],
    ],
    ids=["message", "conversation", "pairs"],
)
async def test_what_the_user_says_now_is_looked_for(shared, user, said, load) -> None:
    """The same forms can be searched for."""
    shared.remember("I am allergic to peanuts.", scope={"user_id": user})
    shared.remember("I live in Oslo.", scope={"user_id": user})
    own = Mem0Memory(shared, scope={"user_id": user}, limit=1)
    found = (await load(own, {"input": said}))["history"]
    assert "peanuts" in found
    assert "Oslo" not in found


@LOADS
@pytest.mark.parametrize("messages", [False, True])
async def test_nothing_is_looked_for_when_nothing_is_said(shared, user, messages, load) -> None:
    """An empty input is no error, and recalls nothing."""
    shared.remember("I am allergic to peanuts.", scope={"user_id": user})
    own = Mem0Memory(shared, scope={"user_id": user}, return_messages=messages)
    assert await load(own, {"input": " "}) == {"history": [] if messages else ""}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"thread_id": "t", "session_id": "s"}, "t"),
        ({"session_id": "s"}, "s"),
        ({"thread_id": 7}, "7"),
        ({}, None),
    ],
)
def test_a_memory_tells_the_conversation_in_which_it_was_said(shared, user, ids, expected) -> None:
    """Both names are common; a chain without either has no thread."""
    served(conversation(shared)).invoke(INPUT, config_of(user, **ids))
    (found,) = shared.list(scope={"user_id": user})
    assert found.metadata.get("thread_id") == expected


def test_the_conversation_can_be_given(shared, user) -> None:
    """A chain for one session knows its name when it is made."""
    chain = served(conversation(shared, thread_id="own"))
    chain.invoke(INPUT, config_of(user, thread_id="other"))
    (found,) = shared.list(scope={"user_id": user})
    assert found.metadata["thread_id"] == "own"


@SAVES
async def test_saying_the_same_twice_is_two_turns(own, save) -> None:
    """A chain's messages have no ids; nobody can tell this from a retry."""
    for _ in range(2):
        await save(own, INPUT, OUTPUT)
    assert len(kept(own)) == 4


@SAVES
async def test_a_message_with_an_id_is_written_once(shared, user, own, save) -> None:
    """A node that is replayed runs its chain again with the same message."""
    for answer in ("I see.", "Noted."):
        await save(own, {"input": HumanMessage("I like tea.", id="1")}, {"output": answer})
    assert kept(own) == ["I like tea.", "I see."]
    (first, _) = shared.list(scope={"user_id": user})
    assert first.metadata["message_id"] == "1"


# Which input, which output.


@pytest.mark.parametrize(
    ("options", "inputs", "outputs"),
    [
        ({}, {"question": "I like tea."}, {"text": "Noted."}),
        ({}, {"question": "I like tea.", "stop": ["\n"], "history": "old"}, {"text": "Noted."}),
        ({}, {"input": "I like tea.", "recent": "old"}, {"output": "Noted.", "steps": "old"}),
        (
            {"input_key": "question", "output_key": "answer"},
            {"question": "I like tea.", "input": "old"},
            {"answer": "Noted.", "output": "old"},
        ),
    ],
    ids=["only", "beside memories", "usual", "named"],
)
def test_the_users_words_are_found_among_the_inputs(shared, user, options, inputs, outputs) -> None:
    """The rules are those of LangChain's own memories."""
    own = Mem0Memory(shared, infer=False, scope={"user_id": user}, **options)
    assert own.load_memory_variables(inputs) == {"history": ""}
    own.save_context(inputs, outputs)
    assert texts(shared, user) == ["I like tea.", "Noted."]


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ({"a": "x", "b": "y"}, {"text": "z"}, r"Which input.*\['a', 'b'\].*input_key="),
        ({}, {"text": "z"}, r"Which input.*input_key="),
        ({"input": "x"}, {"a": "y", "b": "z"}, r"Which output.*\['a', 'b'\].*output_key="),
        ({"input": 5}, {"text": "z"}, r"input 'input'.*int.*input_key="),
        ({"input": "x"}, {"text": {"score": 1}}, r"output 'text'.*no role.*output_key="),
        ({"input": "x"}, {"text": None}, r"output 'text'.*NoneType.*output_key="),
        ({"input": "x"}, {"text": [b"z"]}, r"output 'text'.*bytes.*output_key="),
    ],
)
@SAVES
async def test_what_cannot_be_remembered_is_refused(own, inputs, outputs, says, save) -> None:
    """The chain is wired wrongly: its author must see it at the first run."""
    with pytest.raises(InvalidInputError, match=says):
        await save(own, inputs, outputs)
    assert kept(own) == []


@LOADS
async def test_an_input_that_is_missing_is_told_before_the_model_is_asked(shared, load) -> None:
    """An answer that cannot be remembered has been paid for in vain."""
    own = Mem0Memory(shared, input_key="question", scope={"user_id": "u"})
    with pytest.raises(InvalidInputError, match=r"\['input'\], not 'question'.*input_key="):
        await load(own, QUESTION)


# What is recalled.


def test_the_options_of_a_recall_are_options_of_the_memory(shared, user) -> None:
    """A prompt may want another form, and the application a part of what is known."""
    for topic in ("food", "travel"):
        for text in ("I like rice.", "I like trains."):
            shared.remember(f"{text} ({topic})", scope={"user_id": user}, metadata={"t": topic})
    own = Mem0Memory(
        shared,
        scope={"user_id": user},
        filters={"t": "travel"},
        limit=1,
        threshold=0.0,
        render=lambda recall: " ".join(str(found.metadata["t"]) for found in recall.memories),
    )
    assert own.load_memory_variables({"input": "What do I like?"}) == {"history": "travel"}


# Forgetting.


@CLEARS
async def test_clearing_erases_everything_of_the_scope(anywhere, user, clear) -> None:
    """It clears the memory, as the interface says, not the last conversation."""
    own = Mem0Memory(anywhere, scope={"user_id": user}, thread_id="today")
    anywhere.remember("I live in Oslo.", scope={"user_id": user})
    anywhere.remember("I live in Rome.", scope={"user_id": f"not-{user}"})
    own.save_context(INPUT, OUTPUT)
    await clear(own)
    assert own.load_memory_variables(QUESTION) == {"history": ""}
    assert texts(anywhere, user) == []
    assert texts(anywhere, f"not-{user}") == ["I live in Rome."]


@CLEARS
async def test_a_run_can_be_cleared_alone(shared, user, clear) -> None:
    """Who wants to clear conversations gives each a scope of its own."""
    for run in ("monday", "friday"):
        own = Mem0Memory(shared, scope={"user_id": user, "run_id": run})
        own.save_context({"input": f"I like tea on {run}."}, OUTPUT)
    await clear(own)
    assert texts(shared, user) == ["I like tea on monday."]


@CLEARS
async def test_nothing_is_cleared_without_a_scope(shared, clear) -> None:
    """Nobody's memories are not everybody's."""
    with pytest.raises(ScopeError):
        await clear(Mem0Memory(shared))


# When memory fails.


@TWINS
async def test_a_chain_goes_on_without_memory(hooked, hook, user, call, caplog) -> None:
    """The model is told that it cannot know; the failed write is logged, and kept."""
    hook(fail)
    with caplog.at_level(logging.WARNING):
        answer = await call(conversation(hooked, scope={"user_id": user}), INPUT)
    assert "could not be read" in answer["history"]
    assert answer["response"] == "I see."
    assert user in {letter.scope.user_id for letter in hooked.dead_letters()}
    assert "Recall degraded" in caplog.text
    assert "dead letter" in caplog.text
    assert "peanuts" not in caplog.text


@LOADS
async def test_a_failed_recall_raises_if_asked_to(hooked, hook, user, load) -> None:
    """An application that must not answer without memory wants the error."""
    hook(fail)
    with pytest.raises(BackendError, match="bad vector"):
        await load(Mem0Memory(hooked, scope={"user_id": user}, on_error="raise"), QUESTION)


@SAVES
async def test_a_failed_write_raises_if_asked_to(hooked, hook, user, save) -> None:
    """A chain whose purpose is to remember must stop."""
    hook(fail)
    with pytest.raises(BackendError, match="bad vector"):
        await save(Mem0Memory(hooked, scope={"user_id": user}, on_error="raise"), INPUT, OUTPUT)


@TWINS
async def test_a_store_that_hangs_does_not_hang_the_chain(hooked, hook, user, call) -> None:
    """The user waits for an answer; memory has its time and no more, when read and written."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    chain = conversation(hooked, scope={"user_id": user}, timeout=0.3)
    started = time.monotonic()
    try:
        answer = await call(chain, INPUT)
        took = time.monotonic() - started
    finally:
        released.set()
    assert "could not be read" in answer["history"]
    assert took < GRACE / 2
    assert texts(hooked, user) == [INPUT["input"]]


@TWINS
async def test_the_time_of_the_connection_holds_where_none_is_given(tmp_path, user, call) -> None:
    """It is said once, for all that reads and waits."""
    embedder, released = HookedEmbedder(), threading.Event()
    with connect("embedded", data_dir=tmp_path, embedder=embedder, recall_timeout=0.3) as memory:
        embedder.hook = lambda: released.wait(GRACE)
        started = time.monotonic()
        try:
            await call(conversation(memory, scope={"user_id": user}), INPUT)
            took = time.monotonic() - started
        finally:
            released.set()
        assert took < GRACE / 2
        assert texts(memory, user) == [INPUT["input"]]


@LOADS
async def test_a_store_that_hangs_raises_if_asked_to(hooked, hook, user, load) -> None:
    """A time-out is a failure like any other."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    own = Mem0Memory(hooked, scope={"user_id": user}, on_error="raise", timeout=0.2)
    try:
        with pytest.raises(BackendTimeoutError):
            await load(own, QUESTION)
    finally:
        released.set()


async def test_the_event_loop_turns_while_memory_is_read_and_written(hooked, hook, user) -> None:
    """Other conversations go on; here one of them is what memory waits for."""
    gate = threading.Semaphore(0)
    waits: list[bool] = []
    hook(lambda: waits.append(gate.acquire(timeout=GRACE)))
    chain = conversation(hooked, scope={"user_id": user}, timeout=2 * GRACE)
    run = asyncio.create_task(chain.ainvoke(INPUT))
    while not run.done():
        await asyncio.sleep(0.05)
        gate.release()
    assert run.result()["history"] == ""
    # Released by the loop, and not after the time that it waits at most.
    assert len(waits) > 1
    assert all(waits)


@TWINS
async def test_a_write_in_the_background_does_not_hold_the_chain_up(
    hooked, hook, user, call
) -> None:
    """With a model that extracts, a write takes seconds."""
    released = threading.Event()
    own = Mem0Memory(hooked, scope={"user_id": user}, background=True)
    hook(lambda: released.wait(GRACE))
    try:
        await (asave if call is ainvoke else save)(own, INPUT, OUTPUT)
        assert hooked.list(scope={"user_id": user}) == []
    finally:
        released.set()
    assert texts(hooked, user) == [INPUT["input"]]


@TWINS
async def test_a_message_that_is_too_long_does_not_stop_the_chain(
    shared, user, call, caplog
) -> None:
    """A pasted log of a megabyte is answered, though not remembered; memory is still read."""
    shared.remember("I like tea.", scope={"user_id": user})
    chain = conversation(shared, scope={"user_id": user})
    secret = "My password is 1234. "
    with caplog.at_level(logging.ERROR):
        answer = await call(chain, {"input": f"{secret * 50_000}{' ' * 2_000}Do I like tea?"})
    assert "I like tea." in answer["history"]
    assert "not be remembered" in caplog.text
    assert secret not in caplog.text
    assert texts(shared, user) == ["I like tea."]


@SAVES
async def test_a_message_that_is_too_long_raises_if_asked_to(shared, user, save) -> None:
    """Nothing is dropped silently where the application says so."""
    own = Mem0Memory(shared, scope={"user_id": user}, on_error="raise")
    with pytest.raises(InvalidMessageError, match="at most 100,000"):
        await save(own, {"input": "x" * 100_001}, OUTPUT)


@SAVES
async def test_a_full_outbox_does_not_stop_the_chain(tmp_path: Path, user, save, caplog) -> None:
    """Back-pressure is for imports; a conversation goes on and says that it forgot a turn."""
    embedder, released = HookedEmbedder(), threading.Event()
    options = OutboxOptions(max_queued=1, when_full="raise")
    with connect("embedded", data_dir=tmp_path, embedder=embedder, outbox=options) as memory:
        embedder.hook = lambda: released.wait(GRACE)
        memory.remember("I like tea.", scope={"user_id": user}, background=True)
        try:
            with caplog.at_level(logging.ERROR):
                await save(Mem0Memory(memory, scope={"user_id": user}), INPUT, OUTPUT)
            assert "OutboxFullError" in caplog.text
            with pytest.raises(OutboxFullError):
                await save(
                    Mem0Memory(memory, scope={"user_id": user}, on_error="raise"), INPUT, OUTPUT
                )
        finally:
            released.set()


# The object.


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"memory_key": ""}, InvalidInputError),
        ({"memory_key": "input", "input_key": "input"}, InvalidInputError),
        ({"scope": {"user": "u"}}, ScopeError),
        ({"scope": {"user_id": ""}}, ScopeError),
        ({"limit": 0}, InvalidInputError),
        ({"threshold": 2}, InvalidInputError),
        ({"filters": {"user_id": "u"}}, InvalidInputError),
        ({"timeout": 0}, InvalidInputError),
        ({"on_error": "ignore"}, InvalidInputError),
        ({"metadata": {"user_id": "u"}}, InvalidInputError),
        ({"metadata": {"x": object()}}, InvalidInputError),
        ({"limits": 3}, TypeError),
        ({"return_messages": "perhaps"}, ValueError),
        ({"render": "text"}, ValueError),
    ],
)
def test_a_malformed_option_is_refused(shared, options, error) -> None:
    """At once, not in the first conversation."""
    with pytest.raises(error):
        Mem0Memory(shared, **options)


def test_it_needs_an_agent_memory() -> None:
    """A `mem0.Memory` in its place would fail in the first conversation."""
    with pytest.raises(ValueError, match="AgentMemory"):
        Mem0Memory({"user_id": "u"})  # type: ignore[arg-type]


def test_it_is_made_without_a_warning(shared) -> None:
    """LangChain deprecates its classes for chains; who uses ours has been told already."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Mem0Memory(shared)


def test_its_options_cannot_be_changed_between_calls(shared) -> None:
    """A scope that is set for one user would be the next one's, too."""
    own = Mem0Memory(shared)
    with pytest.raises(ValueError, match="frozen"):
        own.scope = {"user_id": "u"}
    other = own.model_copy(update={"scope": {"user_id": "u"}})
    assert other.load_memory_variables({"input": uuid.uuid4().hex}) == {"history": ""}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_shares_the_memory(shared, user, duplicate) -> None:
    """Chains are copied; the store behind them is one."""
    chain = duplicate(conversation(shared, scope={"user_id": user}))
    chain.invoke(INPUT)
    assert chain.memory.memory is shared
    assert texts(shared, user) == [INPUT["input"]]


def test_what_is_written_out_of_it_holds_no_connection(shared) -> None:
    """Tracers and logs serialise what they see."""
    own = Mem0Memory(shared, limit=3)
    assert own.model_dump()["limit"] == 3
    assert "memory" not in own.model_dump()
    assert json.loads(own.model_dump_json(exclude={"render"}))["memory_key"] == "history"
    assert dumpd(own)["type"] == "not_implemented"
    for text in (repr(own), dumps(own), repr(conversation(shared, limit=3))):
        assert "AgentMemory" not in text


def test_it_can_be_neither_saved_nor_pickled(shared, tmp_path) -> None:
    """A connection is not data; both say so."""
    chain = conversation(shared)
    with pytest.raises(ValueError, match="memory is not yet supported"):
        chain.save(tmp_path / "chain.json")
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(chain.memory)
