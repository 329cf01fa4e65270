"""What `Mem0Middleware` adds to a turn of an agent, and what a search written by hand does."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import SystemMessage

from benchmarks.common import (
    CONSOLE,
    USER,
    fresh_memory,
    median,
    p95,
    question,
    side_by_side,
    statement,
    table,
)
from mem0_integrations.langchain import Mem0Middleware

MEMORIES = 1_000
ROUNDS = 400


class SearchByHand(AgentMiddleware[AgentState[Any], Any, Any]):
    """As tutorials do it: search before the model, into the conversation; nothing is saved."""

    def __init__(self, mem0: Any) -> None:
        self.mem0 = mem0

    def before_model(self, state: AgentState[Any], runtime: Any) -> dict[str, Any]:
        words = state["messages"][-1].text
        found = self.mem0.search(words, filters=USER, top_k=5)["results"]
        return {"messages": [SystemMessage("\n".join(item["memory"] for item in found))]}


def main() -> None:
    with fresh_memory() as memory:
        memory.remember_many(map(statement, range(MEMORIES)), scope=USER)
        by_hand = SearchByHand(memory._backend._original)  # type: ignore[attr-defined]
        agents = {
            name: create_agent(FakeListChatModel(responses=["Let me see."]), middleware=middleware)
            for name, middleware in (
                ("without memory", []),
                ("before_model with mem0.Memory.search", [by_hand]),
                ("Mem0Middleware", [Mem0Middleware(memory)]),
            )
        }

        def turn(name: str, number: int) -> None:
            agents[name].invoke(
                {"messages": [("user", question(number))]},
                {"configurable": {**USER, "thread_id": f"{name} {number}"}},
            )

        # What a turn adds to its own time: the delivery is waited for before the next one.
        calls = {name: lambda n, name=name: turn(name, n) for name in agents}
        times = side_by_side({**calls, "(delivery)": lambda n: memory.flush()}, rounds=ROUNDS)
    del times["(delivery)"]
    base = median(times["without memory"])
    result = table(
        f"A turn of an agent, {MEMORIES} memories, {ROUNDS} rounds, background write",
        "agent",
        "median ms",
        "p95 ms",
        "added ms",
    )
    for name, values in times.items():
        added = f"{median(values) - base:.2f}"
        result.add_row(name, f"{median(values):.2f}", f"{p95(values):.2f}", added)
    CONSOLE.print(result)
