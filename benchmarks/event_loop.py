"""How long the event loop stands still under 200 writes and 200 reads at once."""

from __future__ import annotations

import asyncio
import gc
import time

from benchmarks.common import CONSOLE, USER, fresh_memory, statement, table

RUNS = 5
EACH = 200
TICK = 0.001


async def _run(number: int) -> tuple[float, float]:
    worst = 0.0
    running = True

    async def watch() -> None:
        nonlocal worst
        while running:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            worst = max(worst, time.perf_counter() - began - TICK)

    with fresh_memory() as memory:
        memory.recall("warm up", scope=USER)
        # As a server does once it has started: a full collection of all that a program has
        # imported stops every thread for tens of milliseconds.
        gc.collect()
        gc.freeze()
        watcher = asyncio.create_task(watch())
        began = time.perf_counter()
        await asyncio.gather(
            *(memory.aremember(statement(n), scope=USER) for n in range(EACH)),
            *(memory.arecall(statement(n), scope=USER, timeout=60) for n in range(EACH)),
        )
        seconds = time.perf_counter() - began
        running = False
        await watcher
    return worst * 1000, seconds


def main() -> None:
    result = table(
        f"{EACH} concurrent writes and {EACH} reads (to reach: no stall above 50 ms)",
        "run",
        "longest stall ms",
        "all done s",
    )
    for number in range(RUNS):
        stall, seconds = asyncio.run(_run(number))
        result.add_row(str(number + 1), f"{stall:.1f}", f"{seconds:.2f}")
    CONSOLE.print(result)
