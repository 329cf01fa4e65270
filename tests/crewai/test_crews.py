"""What a crew remembers, in whole runs: in another process, in a flow, for several users."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import subprocess
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from mem0_integrations import AgentMemory, connect
from mem0_integrations.crewai import Mem0CrewMemory, Mem0Storage, Mem0TaskListener
from tests.crewai.crews import ARTICLE, FINDINGS, Messages, ScriptedLLM, crew_of
from tests.processes import environment
from tests.stores import texts_of

ROOT = Path(__file__).parents[2]

_user: ContextVar[str] = ContextVar("user")


# In another process.


@dataclasses.dataclass(frozen=True)
class Processes:
    """What the agents saw in two processes, one after the other, by kind of memory and user."""

    folder: Path
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Processes:
    """All kinds in the same two processes: CrewAI takes seconds to import."""
    folder = tmp_path_factory.mktemp("processes")

    def run(*users: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.crewai.crew_worker", str(folder / "data"), *users],
            env=environment(
                CREWAI_STORAGE_DIR=str(folder / "crewai"),
                HOME=str(folder / "home"),
                PYTHONPATH=str(ROOT),
            ),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen

    return Processes(folder, run("customer-1"), run("customer-1", "customer-2"))


@pytest.mark.parametrize("kind", ["crew_memory", "storage", "register", "flow"])
def test_a_crew_knows_in_another_process_what_it_found_out(processes, kind: str) -> None:
    """It is what a memory is for; nothing else connects the two."""
    first, second = (seen[kind]["customer-1"] for seen in (processes.first, processes.second))
    assert FINDINGS not in first["prompts"][0]
    assert FINDINGS in second["prompts"][0]
    assert ARTICLE in second["prompts"][0]
    # What is found out again is known already.
    assert first["stored"] == second["stored"] == [FINDINGS, ARTICLE]
    stranger = processes.second[kind]["customer-2"]
    assert FINDINGS not in stranger["prompts"][0]


@pytest.mark.parametrize("kind", ["crew_memory", "storage", "register", "flow"])
def test_what_a_crew_knows_any_other_agent_of_the_user_knows(processes, kind: str) -> None:
    """The memories are the user's, not the crew's."""
    with connect("embedded", data_dir=processes.folder / "data" / kind) as memory:
        found = memory.recall("favourite animal", scope={"user_id": "customer-1"}).memories
    assert found[0].text == FINDINGS


def test_mem0_behind_a_crew_spares_its_model(processes) -> None:
    """CrewAI's own engine asks the model for each thing that it keeps."""
    assert processes.second["crew_memory"]["customer-1"]["memory_calls"] == 0
    assert processes.second["storage"]["customer-1"]["memory_calls"] > 2


# For several users.

LIKES = "Note this: {name} likes {animal} best."
ASK = "Which animal does {name} like best?"


def note(messages: Messages) -> str:
    """Answer with what the task says."""
    said = re.search(r"Note this: (.*?)\n", messages[-1]["content"])
    return said[1] if said else "I have looked it up."


def as_user(inputs: dict[str, Any]) -> dict[str, Any]:
    """What an application does before each kickoff of a crew that serves all its users."""
    _user.set(inputs["user"])
    return inputs


def memory_of(kind: str, memory: AgentMemory, llm: ScriptedLLM) -> Any:
    if kind == "crew_memory":
        return Mem0CrewMemory(memory, user_id=_user.get)
    return Mem0Storage(memory, user_id=_user.get).memory(llm=llm)


async def for_each(crew: Crew, inputs: list[dict[str, Any]]) -> None:
    await asyncio.to_thread(crew.kickoff_for_each, inputs)


async def for_each_async(crew: Crew, inputs: list[dict[str, Any]]) -> None:
    await crew.kickoff_for_each_async(inputs)


async def afor_each(crew: Crew, inputs: list[dict[str, Any]]) -> None:
    await crew.akickoff_for_each(inputs)


@pytest.mark.parametrize("run", [for_each, for_each_async, afor_each])
@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *(("crew_memory", where) for where in ("embedded", "pgvector", "platform")),
        *(("storage", where) for where in ("embedded", "pgvector")),
    ],
)
async def test_one_crew_serves_several_users_and_mixes_nothing(
    request, user, kind, where, run
) -> None:
    """The kickoff says whose memory it is, and all its threads abide by it."""
    memory = request.getfixturevalue(f"on_{where}")
    animals = {"Ada": "zebras", "Ben": "lions", "Cem": "otters"}
    people = [
        {"user": f"{user}-{name}", "name": name, "animal": animal}
        for name, animal in animals.items()
    ]
    llm = ScriptedLLM(note)
    crew_memory = memory_of(kind, memory, llm)
    options = {"memory": crew_memory, "before_kickoff_callbacks": [as_user]}
    await run(crew_of(llm, tasks=(LIKES, "Done?"), **options), people)
    facts = {name: LIKES.format(name=name, animal=animals[name])[11:] for name in animals}
    for name in animals:
        assert memory.flush(30)
        kept = texts_of(memory.list(scope={"user_id": f"{user}-{name}"}))
        assert [fact for fact in facts.values() if fact in kept] == [facts[name]]

    reader = ScriptedLLM(note)
    await run(crew_of(reader, tasks=(ASK, "Done?"), **options), people)
    first_prompts = [prompt for prompt in reader.task_prompts if "does" in prompt]
    assert len(first_prompts) == len(animals)
    for prompt in first_prompts:
        asked = next(name for name in animals if ASK.format(name=name) in prompt)
        assert [fact for fact in facts.values() if fact in prompt] == [facts[asked]]


# Side by side with everything else.


async def test_what_the_user_has_said_elsewhere_is_for_crews_that_share(anywhere, user) -> None:
    """A support agent has heard it; the crew works for the same customer."""
    anywhere.remember("I like zebras best.", scope={"user_id": user})
    for shared in (False, True):
        llm = ScriptedLLM()
        crew_memory = Mem0CrewMemory(anywhere, user_id=user, shared=shared)
        await crew_of(llm, memory=crew_memory).akickoff()
        assert ("I like zebras best." in llm.task_prompts[0]) == shared


async def test_what_a_crew_without_memory_did_is_known_to_one_with_memory(shared, user) -> None:
    """Memory can be added to a crew step by step."""
    with Mem0TaskListener(shared, user_id=user, background=False):
        await crew_of().akickoff()
    llm = ScriptedLLM()
    await crew_of(llm, memory=Mem0CrewMemory(shared, user_id=user, shared=True)).akickoff()
    assert FINDINGS in llm.task_prompts[0]
