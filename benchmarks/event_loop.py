"""How long the event loop stands still under hundreds of operations at once."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from langchain_core.messages import HumanMessage

from benchmarks.common import CONSOLE, USER, fresh_memory, median, statement, table
from mem0_integrations import AgentMemory
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.langgraph import Mem0Store

RUNS = 5
EACH = 200
TICK = 0.001

Work = Callable[[AgentMemory], list[Awaitable[object]]]


def memories(memory: AgentMemory) -> list[Awaitable[object]]:
    return [
        *(memory.aremember(statement(n), scope=USER) for n in range(EACH)),
        *(memory.arecall(statement(n), scope=USER, timeout=60) for n in range(EACH)),
    ]


def items(memory: AgentMemory) -> list[Awaitable[object]]:
    store = Mem0Store(memory)
    return [
        *(store.aput(("notes",), f"{n}", {"text": statement(n)}) for n in range(EACH)),
        *(store.asearch(("notes",), query=statement(n)) for n in range(EACH)),
    ]


def transcript(memory: AgentMemory) -> list[Awaitable[object]]:
    history = Mem0ChatMessageHistory(memory, session_id="1", scope=USER)
    return [
        *(history.aadd_messages([HumanMessage(statement(n))]) for n in range(EACH)),
        *(history.aget_messages() for _ in range(EACH)),
    ]


async def _run(work: Work) -> tuple[float, float]:
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
        # What the application itself does for its messages and texts is not measured.
        calls = work(memory)
        watcher = asyncio.create_task(watch())
        began = time.perf_counter()
        await asyncio.gather(*calls)
        seconds = time.perf_counter() - began
        running = False
        await watcher
    return worst * 1000, seconds


def main() -> None:
    result = table(
        f"{EACH} concurrent writes and {EACH} reads, {RUNS} runs (to reach: no stall above 50 ms)",
        "what",
        "longest stall ms",
        "median ms",
        "all done s",
    )
    for work in (memories, items, transcript):
        runs = [asyncio.run(_run(work)) for _ in range(RUNS)]
        stalls = [stall for stall, _ in runs]
        result.add_row(
            work.__name__,
            f"{max(stalls):.1f}",
            f"{median(stalls):.1f}",
            f"{median([seconds for _, seconds in runs]):.2f}",
        )
    CONSOLE.print(result)
