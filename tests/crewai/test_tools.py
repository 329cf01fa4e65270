from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from crewai import CrewOutput
from crewai.tools import BaseTool
from crewai.tools.tool_failure import ToolFailure, ToolFailurePolicy
from crewai.utilities.agent_utils import convert_tools_to_openai_schema

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ConfigurationError,
    InvalidInputError,
    RetryPolicy,
    ScopeError,
    connect,
)
from mem0_integrations.crewai import create_memory_tools
from tests.crewai.crews import ScriptedLLM, crew_of
from tests.stores import HookedEmbedder, nothing_on_the_loop, texts_of

GRACE = 30.0
PEANUTS = "The user is allergic to peanuts."
NAMES = ["search_memories", "add_memory", "update_memory", "delete_memory", "list_memories"]

_user: ContextVar[str] = ContextVar("user")


@pytest.fixture(scope="module")
def hooked(
    embedder: HookedEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentMemory]:
    """A memory whose embedder does what a test wants; a failure is not tried again."""
    folder, retry = tmp_path_factory.mktemp("hooked"), RetryPolicy(attempts=1)
    with connect("embedded", data_dir=folder, embedder=embedder, retry=retry) as memory:
        yield memory


def tools_of(memory: AgentMemory, user_id: Any, **options: Any) -> dict[str, Any]:
    """Return the tools by what they do."""
    tools = create_memory_tools(memory, **{"user_id": user_id, "threshold": 0.0, **options})
    return {tool.name.partition("_")[0]: tool for tool in tools}


def stored(memory: AgentMemory, user: str) -> list[str]:
    assert memory.flush(GRACE)
    return sorted(texts_of(memory.list(scope={"user_id": user})))


def remembered(memory: AgentMemory, user: str, text: str) -> str:
    """Store a text as it is and return its id."""
    return memory.remember(text, scope={"user_id": user}, infer=False).memories[0].id


def lines(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.startswith("- ")]


async def run(tool: BaseTool, **arguments: Any) -> Any:
    return await asyncio.to_thread(tool.run, **arguments)


async def arun(tool: BaseTool, **arguments: Any) -> Any:
    return await tool.arun(**arguments)


both = pytest.mark.parametrize("call", [run, arun])


# What they do.


@both
async def test_an_agent_can_look_at_its_memory_and_change_it(anywhere, user, call) -> None:
    """From the first statement to its end, each answer says what has happened."""
    tools = tools_of(anywhere, user)
    assert await call(tools["list"]) == "Nothing is remembered yet."
    assert await call(tools["search"], query="allergies") == "No memory is about this."

    answer = await call(tools["add"], text=PEANUTS)
    (memory,) = anywhere.list(scope={"user_id": user})
    assert answer == f'Remembered: (id {memory.id}) "{PEANUTS}".'

    for answer in (
        await call(tools["search"], query="allergies"),
        await call(tools["list"], page=1),
    ):
        assert lines(answer) == [f"- [{memory.created_at:%Y-%m-%d}] (id {memory.id}) {PEANUTS}"]

    text = "The user is allergic to nuts."
    answer = await call(tools["update"], memory_id=memory.id, text=text)
    assert answer == f'Changed: (id {memory.id}) "{PEANUTS}" is now "{text}".'
    assert stored(anywhere, user) == [text]

    assert (
        await call(tools["delete"], memory_id=memory.id) == f'Deleted: (id {memory.id}) "{text}".'
    )
    assert stored(anywhere, user) == []


@both
async def test_the_options_are_the_applications(shared, user, call) -> None:
    """The model asks; the application decides what may be shown, and what is kept."""
    tools = tools_of(shared, user, limit=1, filters={"team": "zoo"}, metadata={"team": "zoo"})
    remembered(shared, user, "The user likes tea.")
    for text in ("The user likes coffee.", "The user likes cocoa."):
        await call(tools["add"], text=text)
    answer = await call(tools["search"], query="What does the user like?")
    assert len(lines(answer)) == 1
    assert "tea" not in answer
    assert "There are more on page 2." in await call(tools["list"])
    inferring = tools_of(shared, user, infer=True)["add"]
    assert "worth keeping" in await call(inferring, text="How are you?")
    (strict,) = create_memory_tools(shared, user_id=user, include=["search"], threshold=0.99)
    assert await call(strict, query="Where is my order?") == "No memory is about this."


# In a crew.


def react(tool: str, **arguments: Any) -> str:
    return f"Thought: Let me see.\nAction: {tool}\nAction Input: {json.dumps(arguments)}"


def native(tool: str, **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return [{"id": "call-1", "type": "function", "function": function}]


@pytest.mark.parametrize("ask", [react, native])
@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff"])
async def test_the_agents_of_a_crew_have_the_memory_of_its_user(shared, user, ask, way) -> None:
    """However the crew is run and the model calls tools; the kickoff says whose memory it is."""
    answers = [ask("add_memory", text=PEANUTS), ask("search_memories", query="nuts"), "Done."]
    llm = ScriptedLLM(answers, native=ask is native)
    crew = crew_of(llm, tools=create_memory_tools(shared, user_id=_user.get))
    _user.set(user)
    if way == "kickoff":
        await asyncio.to_thread(crew.kickoff)
    else:
        await getattr(crew, way)()
    assert stored(shared, user) == [PEANUTS]
    assert f"Remembered: (id {shared.list(scope={'user_id': user})[0].id})" in llm.task_prompts[1]
    assert PEANUTS in lines(llm.task_prompts[2])[-1]


async def test_kickoffs_for_several_users_are_not_mixed(shared, user) -> None:
    """One crew serves all of them at the same time."""

    async def serve(one: str) -> str:
        _user.set(one)
        add = native("add_memory", text=f"The user is {one}.")
        llm = ScriptedLLM([add, native("list_memories", page=1), "Done."], native=True)
        await crew_of(llm, tools=create_memory_tools(shared, user_id=_user.get)).akickoff()
        return llm.task_prompts[2]

    users = [f"{user}-{number}" for number in range(4)]
    prompts = await asyncio.gather(*(asyncio.create_task(serve(one)) for one in users))
    for one, prompt in zip(users, prompts, strict=True):
        assert [other for other in users if f"The user is {other}." in prompt] == [one]
        assert stored(shared, one) == [f"The user is {one}."]


@pytest.mark.parametrize("ask", [react, native])
def test_a_search_sees_what_has_changed_since(shared, user, ask) -> None:
    """CrewAI can take the answer to the same question from its cache."""
    tools = create_memory_tools(shared, user_id=user)
    search, add = ask("search_memories", query="nuts"), ask("add_memory", text=PEANUTS)
    llm = ScriptedLLM([search, add, search, add, "Done."], native=ask is native)
    crew_of(llm, tools=tools, cache=True).kickoff()
    assert "No memory is about this." in llm.task_prompts[1]
    assert lines(llm.task_prompts[3])
    assert stored(shared, user) == [PEANUTS, PEANUTS]


@pytest.mark.parametrize("ask", [react, native])
@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("delete_memory", {"memory_id": "no-such-id"}, "no memory with this id"),
        ("update_memory", {"memory_id": "no-such-id", "text": "x"}, "no memory with this id"),
        ("list_memories", {"page": 0}, "no such page"),
        ("search_memories", {"query": ""}, "query is empty"),
        ("search_memories", {"wrong": "x"}, "validation failed"),
        ("add_memory", {"text": 5}, "validation failed"),
    ],
)
def test_a_wrong_call_is_answered_and_noted(shared, user, *, ask, tool, arguments, told) -> None:
    """The model can mend it; the application sees it in the output of the task."""
    llm = ScriptedLLM([ask(tool, **arguments), "Done."], native=ask is native)
    result = crew_of(llm, tools=create_memory_tools(shared, user_id=user)).kickoff()
    assert isinstance(result, CrewOutput)
    assert result.raw == "Done."
    assert told in llm.task_prompts[1]
    (failure,) = result.tasks_output[0].tool_failures
    assert failure.tool_name == tool
    assert stored(shared, user) == []


def test_an_application_may_end_a_crew_for_a_failing_tool(hooked, hook, user) -> None:
    """CrewAI's policy for tools that fail holds for these, too."""
    (search,) = create_memory_tools(hooked, user_id=user, include=["search"])
    search.tool_failure_policy = ToolFailurePolicy.RAISE
    hook(_fail)
    llm = ScriptedLLM([native("search_memories", query="nuts"), "Done."], native=True)
    with pytest.raises(Exception, match="Memory failed"):
        crew_of(llm, tools=[search]).kickoff()


@pytest.mark.parametrize("ask", [react, native])
def test_how_often_a_tool_is_used_can_be_limited(shared, user, ask) -> None:
    """As with any tool of CrewAI's."""
    (search,) = create_memory_tools(shared, user_id=user, include=["search"])
    search.max_usage_count = 1
    again = ask("search_memories", query="tea"), ask("search_memories", query="coffee")
    llm = ScriptedLLM([*again, "Done."], native=ask is native)
    crew_of(llm, tools=[search]).kickoff()
    assert "No memory is about this." in llm.task_prompts[1]
    assert "usage limit" in llm.task_prompts[2]


def test_the_copies_of_a_crew_have_them_too(shared, user) -> None:
    """`kickoff_for_each` copies the crew for each input."""
    llm = ScriptedLLM(
        [native("add_memory", text="The user likes tea."), "Done.", "Done."] * 2, native=True
    )
    crew = crew_of(llm, tools=create_memory_tools(shared, user_id=user))
    crew.kickoff_for_each([{"round": "1"}, {"round": "2"}])
    assert stored(shared, user) == ["The user likes tea."] * 2


def test_a_crew_with_them_can_be_dumped(shared, user) -> None:
    """Checkpoints are JSON; a tool that comes from one says that it lacks a memory."""
    crew = crew_of(ScriptedLLM(), tools=create_memory_tools(shared, user_id=user))
    (dumped, *_) = crew.model_dump(mode="json")["agents"][0]["tools"]
    assert user not in json.dumps(dumped)
    restored = type(crew.agents[0].tools[0]).model_validate(  # type: ignore[index]
        {key: value for key, value in dumped.items() if key != "cache_function"}
    )
    assert restored.name == "search_memories"
    with pytest.raises(ConfigurationError, match=r"create_memory_tools\(\)"):
        restored.run(query="nuts")


# What the model sees.


def test_the_model_sees_nothing_that_names_a_tenant(shared, user) -> None:
    """What is not in the schema cannot be asked for."""
    schemas, _, _ = convert_tools_to_openai_schema(create_memory_tools(shared, user_id=user))
    assert [schema["function"]["name"] for schema in schemas] == NAMES
    arguments = [sorted(schema["function"]["parameters"]["properties"]) for schema in schemas]
    assert arguments == [["query"], ["text"], ["memory_id", "text"], ["memory_id"], ["page"]]
    words = ("user_id", "agent_id", "run_id", "app_id", "filters", user)
    assert not any(word in json.dumps(schemas) for word in words)


def test_an_application_chooses_its_tools(shared, user) -> None:
    """A read-only agent, or one that never deletes."""
    chosen = create_memory_tools(shared, user_id=user, include=("list", "search", "list"))
    assert [tool.name for tool in chosen] == ["list_memories", "search_memories"]


# Whose memories.


@both
async def test_another_users_memory_can_neither_be_read_nor_changed(anywhere, user, call) -> None:
    """Not even by who knows its id."""
    victim, secret = f"{user}-victim", "The code of the alarm is 48213."
    memory_id = remembered(anywhere, victim, secret)
    tools = tools_of(anywhere, user)
    answers = [
        await call(tools["search"], query=secret),
        await call(tools["list"]),
        await call(tools["update"], memory_id=memory_id, text="Mine."),
        await call(tools["delete"], memory_id=memory_id),
    ]
    assert "48213" not in str(answers)
    assert [isinstance(answer, ToolFailure) for answer in answers] == [False, False, True, True]
    assert stored(anywhere, victim) == [secret]


@both
@pytest.mark.parametrize("user_id", [lambda: "", lambda: None, ContextVar[str]("unset").get])
async def test_without_a_user_the_model_and_the_developer_are_told(
    shared, user_id, call, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no default user, and the agent must not claim to have looked."""
    answer = await call(tools_of(shared, user_id)["search"], query="allergies")
    assert isinstance(answer, ToolFailure)
    assert "did not say whose memories" in answer.message
    (record,) = caplog.records
    assert record.levelno == logging.ERROR


@both
async def test_a_mistake_of_the_application_is_not_hidden(shared, call) -> None:
    """It is neither memory's nor the model's."""

    def broken() -> str:
        raise RuntimeError("no session")

    with pytest.raises(RuntimeError, match="no session"):
        await call(tools_of(shared, broken)["search"], query="allergies")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"user_id": ""}, ScopeError),
        ({"user_id": None}, ScopeError),
        ({"user_id": "u", "include": ["forget"]}, InvalidInputError),
        ({"user_id": "u", "limit": 0}, InvalidInputError),
        ({"user_id": "u", "filters": {"topic": {"like": "x"}}}, InvalidInputError),
        ({"user_id": "u", "metadata": {"user_id": "x"}}, InvalidInputError),
        ({"user_id": "u", "timeout": None}, InvalidInputError),
        ({}, TypeError),
        ({"user_id": "u", "scope": "x"}, TypeError),
    ],
)
def test_a_malformed_option_is_refused_at_once(shared, options, error) -> None:
    """When the crew is built, not in the middle of a task."""
    with pytest.raises(error):
        create_memory_tools(shared, **options)


# When memory fails.


def _fail() -> None:
    raise BackendError("Mem0 could not search: password=hunter2 rejected by 10.0.0.7")


@both
@pytest.mark.parametrize(
    ("name", "arguments"), [("search", {"query": "x"}), ("add", {"text": "x"})]
)
async def test_a_failing_store_is_answered(
    hooked, hook, user, *, name, arguments, call, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent goes on without it; no detail reaches the model or the log."""
    hook(_fail)
    answer = await call(tools_of(hooked, user)[name], **arguments)
    assert isinstance(answer, ToolFailure)
    assert "Do not conclude that nothing is known" in answer.message
    assert "hunter2" not in answer.message + caplog.text
    assert "failed: BackendError." in caplog.text


@both
async def test_a_hanging_store_is_answered_in_time(hooked, hook, user, call) -> None:
    """A model that waits for memory answers nobody."""
    released = threading.Event()
    hook(lambda: released.wait(60))
    try:
        answer = await call(tools_of(hooked, user, timeout=0.2)["search"], query="x")
    finally:
        released.set()
    assert "did not answer in time" in answer.message


async def test_nothing_runs_on_the_event_loop(anywhere, user) -> None:
    """One that is slow would hold up every other kickoff of the process."""
    tools = tools_of(anywhere, user)
    with nothing_on_the_loop(anywhere._backend, "search", "add"):
        await tools["add"].arun(text=PEANUTS)
        assert PEANUTS in await tools["search"].arun(query="allergies")


@both
async def test_a_closed_memory_is_answered(tmp_path, embedder, user, call) -> None:
    """At the end of a program, a crew may still be working."""
    with connect("embedded", data_dir=tmp_path, embedder=embedder) as memory:
        tools = tools_of(memory, user)
    assert "shut down" in (await call(tools["search"], query="x")).message
