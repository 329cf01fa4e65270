"""`recall` against `mem0.Memory.search`, on the same store and queries."""

from __future__ import annotations

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

MEMORIES = 1_000
ROUNDS = 1_000
LIMIT = 5


def main() -> None:
    with fresh_memory() as memory:
        memory.remember_many(map(statement, range(MEMORIES)), scope=USER)
        mem0 = memory._backend._original  # type: ignore[attr-defined]
        times = side_by_side(
            {
                "mem0.Memory.search": lambda n: mem0.search(question(n), filters=USER, top_k=LIMIT),
                "AgentMemory.recall": lambda n: memory.recall(question(n), scope=USER, limit=LIMIT),
            },
            rounds=ROUNDS,
        )
    base = median(times["mem0.Memory.search"])
    result = table(
        f"Recall of {LIMIT} among {MEMORIES} memories, {ROUNDS} rounds (to reach: at most 1.05x)",
        "call",
        "median ms",
        "p95 ms",
        "x search",
    )
    for name, values in times.items():
        result.add_row(
            name, f"{median(values):.2f}", f"{p95(values):.2f}", f"{median(values) / base:.3f}"
        )
    CONSOLE.print(result)
