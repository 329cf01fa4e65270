"""What the memory of a crew costs: calls of the crew's model, and tokens of their prompts."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from crewai.memory.storage.lancedb_storage import LanceDBStorage
from crewai.memory.unified_memory import Memory

from benchmarks.common import CONSOLE, fresh_memory, table
from mem0_integrations import AgentMemory
from mem0_integrations.crewai import Mem0CrewMemory, Mem0Storage

# First: it sets the environment that CrewAI reads when it is imported.
from tests.crewai.crews import ScriptedLLM, crew_of

KICKOFFS = 3
USER = "customer-1"

Made = Callable[[AgentMemory, Path, ScriptedLLM], Memory]


def _crewai(memory: AgentMemory, folder: Path, llm: ScriptedLLM) -> Memory:
    embedder = Mem0Storage(memory, user_id=USER).embedder
    return Memory(storage=LanceDBStorage(path=str(folder)), embedder=embedder, llm=llm)


KINDS: dict[str, Made] = {
    "Mem0CrewMemory": lambda memory, _, llm: Mem0CrewMemory(memory, user_id=USER, llm=llm),
    "Mem0Storage": lambda memory, _, llm: Mem0Storage(memory, user_id=USER).memory(llm=llm),
    "CrewAI's Memory on LanceDB": _crewai,
}


def kickoffs(made: Made) -> list[ScriptedLLM]:
    """Run the same crew several times with one memory; returns the model of each time."""
    models: list[ScriptedLLM] = []
    with TemporaryDirectory() as folder, fresh_memory() as memory:
        for _ in range(KICKOFFS):
            llm = ScriptedLLM(["The customer likes zebras best.", "Zebras are striped."])
            # CrewAI prints panels of what it does.
            with contextlib.redirect_stdout(io.StringIO()):
                crew_of(llm, memory=made(memory, Path(folder), llm)).kickoff()
                memory.flush()
            models.append(llm)
    return models


def main() -> None:
    result = table(
        "A crew of two agents and two tasks, kickoff by kickoff "
        "(to reach: half of the memory calls with Mem0CrewMemory)",
        "memory",
        "memory calls",
        "tokens of their prompts",
        "tokens of the tasks' prompts",
    )
    for name, made in KINDS.items():
        models = kickoffs(made)
        result.add_row(
            name,
            " / ".join(f"{len(llm.memory_calls)}" for llm in models),
            " / ".join(f"{sum(call.tokens for call in llm.memory_calls):,}" for llm in models),
            " / ".join(
                f"{sum(call.tokens for call in llm.calls if not call.is_memory):,}"
                for llm in models
            ),
        )
    CONSOLE.print(result)
