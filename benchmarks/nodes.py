"""What `recall_node` and `remember_node` add to a turn, beyond Mem0's own search."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph

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
from mem0_integrations.langgraph import MemoryState, recall_node, remember_node

MEMORIES = 1_000
ROUNDS = 400


def main() -> None:
    def respond(state: MemoryState) -> dict[str, object]:
        return {"messages": [AIMessage("Let me see.")]}

    with fresh_memory() as memory:
        memory.remember_many(map(statement, range(MEMORIES)), scope=USER)
        mem0 = memory._backend._original  # type: ignore[attr-defined]

        def search_only(state: MemoryState) -> dict[str, object]:
            found = mem0.search(state["messages"][-1].text, filters=USER, top_k=5)["results"]
            return {"memories": "\n".join(item["memory"] for item in found)}

        def nothing(state: MemoryState) -> dict[str, object]:
            return {}

        graphs = {}
        for name, first, last in (
            ("nodes that only search", search_only, nothing),
            ("recall_node + remember_node", recall_node(memory), remember_node(memory)),
        ):
            builder = StateGraph(MemoryState)
            builder.add_node("recall", first)  # type: ignore[arg-type]
            builder.add_node("respond", respond)
            builder.add_node("remember", last)  # type: ignore[arg-type]
            builder.add_edge(START, "recall")
            builder.add_edge("recall", "respond")
            builder.add_edge("respond", "remember")
            graphs[name] = builder.compile()

        def turn(name: str, number: int) -> None:
            graphs[name].invoke(
                {"messages": [("user", question(number))]},
                {"configurable": {**USER, "thread_id": f"{name} {number}"}},
            )

        # What a turn adds to its own time: the delivery is waited for before the next one.
        first, second = graphs
        times = side_by_side(
            {
                first: lambda n: turn(first, n),
                second: lambda n: turn(second, n),
                "(delivery)": lambda n: memory.flush(),
            },
            rounds=ROUNDS,
        )
    del times["(delivery)"]
    base, ours = (median(values) for values in times.values())
    result = table(
        f"A turn of a graph, {MEMORIES} memories, {ROUNDS} rounds, background write "
        f"(to reach: at most 3 ms more)",
        "graph",
        "median ms",
        "p95 ms",
    )
    for name, values in times.items():
        result.add_row(name, f"{median(values):.2f}", f"{p95(values):.2f}")
    result.add_row("added", f"{ours - base:.2f}", "")
    CONSOLE.print(result)
