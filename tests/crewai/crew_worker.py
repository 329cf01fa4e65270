"""Runs a crew with memory, in a process of its own, and prints what its agents saw.

`python -m tests.crewai.crew_worker FOLDER USER [USER ...]`: for each kind of memory and each
user, one kickoff. What is remembered is in the folder, for another process to find.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from crewai import CrewOutput

from mem0_integrations import AgentMemory, connect
from tests.crewai.crews import ARTICLE, FINDINGS, RESEARCH, ScriptedLLM, crew_of

Run = Callable[[AgentMemory, str, ScriptedLLM], None]


def crew_memory(memory: AgentMemory, user: str, llm: ScriptedLLM) -> None:
    """Mem0 behind a crew."""
    from mem0_integrations.crewai import Mem0CrewMemory

    crew_of(llm, memory=Mem0CrewMemory(memory, user_id=user)).kickoff()


def storage(memory: AgentMemory, user: str, llm: ScriptedLLM) -> None:
    """CrewAI's own engine on Mem0's vector store."""
    from mem0_integrations.crewai import Mem0Storage

    crew_of(llm, memory=Mem0Storage(memory, user_id=user).memory(llm=llm)).kickoff()


def register(memory: AgentMemory, user: str, llm: ScriptedLLM) -> None:
    """A crew that builds its memory itself."""
    from mem0_integrations.crewai import register

    crew_of(llm, memory=True, embedder=register(memory, user_id=user)).kickoff()


def flow(memory: AgentMemory, user: str, llm: ScriptedLLM) -> None:
    """A flow with memory, whose crew has none."""
    from crewai import Flow
    from crewai.flow.flow import listen, start

    from mem0_integrations.crewai import Mem0CrewMemory

    class Zoo(Flow):
        @start()
        def look_up(self) -> str:
            return "\n".join(found.format() for found in self.recall(RESEARCH))

        @listen(look_up)
        def work(self, known: str) -> None:
            done = crew_of(llm, tasks=(f"{RESEARCH} {{known}}", "Write it down.")).kickoff(
                inputs={"known": known}
            )
            assert isinstance(done, CrewOutput)
            self.remember([output.raw for output in done.tasks_output])

    Zoo(memory=Mem0CrewMemory(memory, user_id=user)).kickoff()


KINDS: dict[str, Run] = {
    "crew_memory": crew_memory,
    "storage": storage,
    "flow": flow,
    # Last, because it holds for the process.
    "register": register,
}


def kickoff(kind: str, folder: Path, user: str) -> dict[str, object]:
    llm = ScriptedLLM([FINDINGS, ARTICLE])
    with connect("embedded", data_dir=folder / kind) as memory:
        KINDS[kind](memory, user, llm)
        memory.flush()
        stored = sorted(found.text for found in memory.list(scope={"user_id": user}))
    return {"prompts": llm.task_prompts, "memory_calls": len(llm.memory_calls), "stored": stored}


if __name__ == "__main__":
    folder, *users = sys.argv[1:]
    seen = {kind: {user: kickoff(kind, Path(folder), user) for user in users} for kind in KINDS}
    # CrewAI prints, too.
    print(f"\n{json.dumps(seen)}")
