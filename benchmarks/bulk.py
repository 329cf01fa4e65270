"""`remember_many` against a loop of `mem0.Memory.add`."""

from __future__ import annotations

import time

from benchmarks.common import CONSOLE, fresh_memory, median, statement, table

MESSAGES = 1_000
RUNS = 5


def main() -> None:
    loops: list[float] = []
    bulks: list[float] = []
    for _ in range(RUNS):
        with fresh_memory() as memory:
            mem0 = memory._backend._original  # type: ignore[attr-defined]
            began = time.perf_counter()
            for number in range(MESSAGES):
                mem0.add(statement(number), user_id="loop", infer=False)
            loops.append(time.perf_counter() - began)
            began = time.perf_counter()
            memory.remember_many(map(statement, range(MESSAGES)), scope={"user_id": "bulk"})
            bulks.append(time.perf_counter() - began)
    result = table(
        f"{MESSAGES} messages, {RUNS} runs (to reach: at least 3x faster)",
        "way",
        "median s",
        "worst s",
        "x faster",
    )
    slow, quick = median(loops), median(bulks)
    result.add_row(
        "loop of mem0.Memory.add(infer=False)", f"{slow:.2f}", f"{max(loops):.2f}", "1.0"
    )
    result.add_row(
        "AgentMemory.remember_many", f"{quick:.2f}", f"{max(bulks):.2f}", f"{slow / quick:.1f}"
    )
    CONSOLE.print(result)
