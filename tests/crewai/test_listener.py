from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from crewai import Crew, CrewOutput, Process
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.task_events import TaskCompletedEvent
from crewai.tasks.task_output import TaskOutput

from mem0_integrations import AgentMemory, InvalidInputError, ScopeError, connect
from mem0_integrations.crewai import Mem0CrewMemory, Mem0TaskListener
from tests.crewai.crews import ARTICLE, FINDINGS, RESEARCH, ScriptedLLM, crew_of
from tests.stores import QUICK, HookedEmbedder, texts_of

GRACE = 30.0

_user: ContextVar[str] = ContextVar("user")


async def kickoff(crew: Crew, **options: Any) -> object:
    return await asyncio.to_thread(crew.kickoff, **options)


async def kickoff_async(crew: Crew, **options: Any) -> object:
    return await crew.kickoff_async(**options)


async def akickoff(crew: Crew, **options: Any) -> object:
    return await crew.akickoff(**options)


each_way = pytest.mark.parametrize("run", [kickoff, kickoff_async, akickoff])


@pytest.fixture(scope="module")
def hooked(
    embedder: HookedEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentMemory]:
    """A memory whose embedder does what a test wants, and that gives up soon."""
    folder = tmp_path_factory.mktemp("hooked")
    with connect("embedded", data_dir=folder, embedder=embedder, retry=QUICK) as memory:
        yield memory


def stored(memory: AgentMemory, user: str) -> list[str]:
    assert memory.flush(GRACE)
    return sorted(texts_of(memory.list(scope={"user_id": user})))


# What it remembers.


@each_way
async def test_what_a_crew_has_found_out_is_remembered(anywhere, user, run) -> None:
    """The crew has no memory, and none of its code changes."""
    with Mem0TaskListener(anywhere, user_id=user):
        await run(crew_of())
    assert stored(anywhere, user) == [FINDINGS, ARTICLE]
    (found, *_) = anywhere.recall("favourite animal", scope={"user_id": user}).memories
    assert found.text == FINDINGS


async def test_a_memory_says_where_it_comes_from(shared, user) -> None:
    """What a crew has done can be told from what the user has said."""
    with Mem0TaskListener(shared, user_id=user, metadata={"tenant": "zoo-keepers"}):
        await kickoff(crew_of())
    assert shared.flush(GRACE)
    found = {memory.text: memory for memory in shared.list(scope={"user_id": user})}
    assert found[FINDINGS].metadata == {
        "tenant": "zoo-keepers",
        "crewai_crew": "zoo",
        "crewai_task": "research",
        "crewai_agent": "Researcher",
        "role": "user",
    }
    assert found[ARTICLE].metadata["crewai_task"] == "writing"


async def test_without_inference_a_task_and_its_result_are_kept_together(shared, user) -> None:
    """A result alone may mean nothing: "42."."""
    with Mem0TaskListener(shared, user_id=user, infer=False):
        await kickoff(crew_of(ScriptedLLM(["42.", "Forty-two."])))
    assert stored(shared, user)[0] == f"Task: {RESEARCH}\nAgent: Researcher\nResult: 42."


@pytest.mark.parametrize("infer", [True, False])
async def test_an_odd_task_does_not_cost_its_result(shared, user, infer) -> None:
    """Inputs are put into its description, and a model may be cut off within an emoji."""
    crew = crew_of(ScriptedLLM([f"{FINDINGS} \ud83d"]), tasks=("word " * 40_000, RESEARCH))
    with Mem0TaskListener(shared, user_id=user, infer=infer):
        await kickoff(crew)
    found = stored(shared, user)
    assert any(FINDINGS in text for text in found)
    assert len(found) == (1 if infer else 2)


async def test_an_empty_result_is_nothing_to_remember(shared, user) -> None:
    """A guardrail may blank it."""
    (task, _) = crew_of().tasks
    output = TaskOutput(description=task.description, agent="Researcher", raw=" ")
    with Mem0TaskListener(shared, user_id=user, infer=False):
        future = crewai_event_bus.emit(task, TaskCompletedEvent(output=output, task=task))
        assert future is not None
        await asyncio.wrap_future(future)
    assert stored(shared, user) == []


async def test_the_manager_of_a_crew_is_an_agent_like_others(shared, user) -> None:
    """In a hierarchical crew, the tasks have no agent of their own."""
    llm = ScriptedLLM([FINDINGS, ARTICLE])
    crew = crew_of(llm, process=Process.hierarchical, manager_llm=llm)
    for task in crew.tasks:
        task.agent = None
    with Mem0TaskListener(shared, user_id=user, crews=["zoo"]):
        await kickoff(crew)
    assert stored(shared, user) == [FINDINGS, ARTICLE]


# Once for each run.


async def test_every_run_of_a_task_is_remembered_once(shared, user) -> None:
    """The task has the same id in both runs, and two listeners hear of each."""
    crew = crew_of(ScriptedLLM(["First.", "Second.", "Third.", "Fourth."]))
    with (
        Mem0TaskListener(shared, user_id=user, infer=False),
        Mem0TaskListener(shared, user_id=user, infer=False),
    ):
        await kickoff(crew)
        await kickoff(crew)
    results = [text.rpartition("Result: ")[2] for text in stored(shared, user)]
    assert sorted(results) == ["First.", "Fourth.", "Second.", "Third."]


async def test_what_crewai_replays_is_not_remembered_again(shared, user) -> None:
    """A restored checkpoint plays its events to the listeners."""
    events: list[tuple[Any, TaskCompletedEvent]] = []

    def note(source: Any, event: TaskCompletedEvent) -> None:
        events.append((source, event))

    crewai_event_bus.on(TaskCompletedEvent)(note)
    await kickoff(crew_of())
    crewai_event_bus.off(TaskCompletedEvent, note)
    with Mem0TaskListener(shared, user_id=user):
        for source, event in events:
            future = crewai_event_bus.replay(source, event)
            assert future is not None
            await asyncio.wrap_future(future)
    assert len(events) == 2
    assert stored(shared, user) == []


# Whose, and which crews.


@each_way
async def test_the_user_is_that_of_the_kickoff(shared, user, run) -> None:
    """One listener serves a process with many users; CrewAI calls it in threads of its own."""
    users = [f"{user}-{number}" for number in range(3)]

    async def serve(one: str) -> None:
        _user.set(one)
        await run(crew_of(ScriptedLLM([f"Findings of {one}.", f"Article of {one}."])))

    with Mem0TaskListener(shared, user_id=_user.get):
        await asyncio.gather(*(asyncio.create_task(serve(one)) for one in users))
    for one in users:
        assert stored(shared, one) == [f"Article of {one}.", f"Findings of {one}."]


async def test_a_kickoff_for_nobody_ends_well_and_is_logged(
    shared, user, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no default user to whom it could be remembered."""

    def nobody() -> str:
        return ""

    with Mem0TaskListener(shared, user_id=nobody):
        await kickoff(crew_of())
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all("no scope" in error.getMessage() for error in errors)


async def test_only_some_crews_are_listened_to(shared, user) -> None:
    """An internal crew shall leave no traces with the user."""
    with Mem0TaskListener(shared, user_id=user, crews=["zoo"]):
        await kickoff(crew_of())
        await kickoff(crew_of(ScriptedLLM(["A secret."]), name="bookkeeping"))
    assert stored(shared, user) == [FINDINGS, ARTICLE]


@pytest.mark.parametrize("of", ["crew", "agent"])
async def test_a_crew_that_remembers_itself_is_left_out(shared, user, of) -> None:
    """Every task would be remembered twice."""
    own = Mem0CrewMemory(shared, user_id=f"{user}-own")
    crew = crew_of(memory=own) if of == "crew" else crew_of()
    if of == "agent":
        crew.agents[0].memory = own
    with Mem0TaskListener(shared, user_id=user):
        await kickoff(crew)
    assert stored(shared, user) == ([] if of == "crew" else [ARTICLE])


# When it ends, and when it fails.


async def test_a_closed_listener_hears_nothing(shared, user) -> None:
    """It is as if it had never been there; closing again does no harm."""
    before = dict(crewai_event_bus._sync_handlers)
    listener = Mem0TaskListener(shared, user_id=user)
    await kickoff(crew_of())
    listener.close()
    listener.close()
    await kickoff(crew_of(ScriptedLLM(["Too late."])))
    assert stored(shared, user) == [FINDINGS, ARTICLE]
    assert crewai_event_bus._sync_handlers == before


@pytest.mark.parametrize("background", [True, False])
async def test_a_failing_memory_does_not_fail_the_crew(
    hooked, hook, user, *, background, caplog: pytest.LogCaptureFixture
) -> None:
    """The tasks are done; what they cost must not be lost for a memory."""

    def fail() -> None:
        raise ConnectionError("password=hunter2 rejected")

    hook(fail)
    with Mem0TaskListener(hooked, user_id=user, background=background):
        result = await kickoff(crew_of())
    assert isinstance(result, CrewOutput)
    assert result.raw == ARTICLE
    assert hooked.flush(GRACE)
    assert len(hooked.dead_letters()) == 2
    assert "hunter2" not in caplog.text
    assert FINDINGS not in caplog.text
    hook(lambda: None)
    hooked.replay()
    assert stored(hooked, user) == [FINDINGS, ARTICLE]


async def test_a_listener_that_outlives_its_memory_does_not_fail_the_crew(
    data_dir, user, caplog: pytest.LogCaptureFixture
) -> None:
    """It is easily forgotten."""
    with connect() as memory:
        listener = Mem0TaskListener(memory, user_id=user)
    result = await kickoff(crew_of())
    listener.close()
    assert isinstance(result, CrewOutput)
    assert result.raw == ARTICLE
    assert "A finished task was not remembered: ClosedError." in caplog.text


def test_in_the_foreground_a_kickoff_ends_when_all_is_stored(shared, user) -> None:
    """A script may end, or ask, right after it."""
    with Mem0TaskListener(shared, user_id=user, background=False):
        crew_of().kickoff()
        assert sorted(texts_of(shared.list(scope={"user_id": user}))) == [FINDINGS, ARTICLE]


def test_kickoffs_side_by_side_are_all_remembered(shared, user) -> None:
    """The bus has ten threads, and a server many kickoffs."""

    def serve(number: int) -> None:
        crew_of(ScriptedLLM([f"Findings {number}.", f"Article {number}."])).kickoff()

    with Mem0TaskListener(shared, user_id=user), ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(copy_context().run, serve, number) for number in range(6)]
        for job in jobs:
            job.result()
    expected = [f"{kind} {number}." for number in range(6) for kind in ("Article", "Findings")]
    assert stored(shared, user) == sorted(expected)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"user_id": ""}, ScopeError),
        ({"user_id": None}, ScopeError),
        ({"user_id": "u", "crews": "zoo"}, InvalidInputError),
        ({"user_id": "u", "metadata": {"user_id": "x"}}, InvalidInputError),
    ],
)
def test_bad_options_are_refused_before_anything_is_heard(shared, options, error) -> None:
    """A listener that was refused must not listen."""
    before = dict(crewai_event_bus._sync_handlers)
    with pytest.raises(error):
        Mem0TaskListener(shared, **options)
    assert crewai_event_bus._sync_handlers == before
