"""`remember_many` against a loop of `mem0.Memory.add`, on two stores with one embedder."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import CONSOLE, Embedder, fresh_memory, median, statement, table
from mem0_integrations import AgentMemory, SentenceExtractor, connect

MESSAGES = 1_000
RUNS = 5


def measure(memory: AgentMemory, run: int) -> tuple[float, float]:
    """Seconds of the loop, and of the import."""
    mem0 = memory._backend._memory  # type: ignore[attr-defined]
    began = time.perf_counter()
    for number in range(MESSAGES):
        mem0.add(statement(number), user_id=f"loop-{run}", infer=False)
    loop = time.perf_counter() - began
    began = time.perf_counter()
    memory.remember_many(map(statement, range(MESSAGES)), scope={"user_id": f"bulk-{run}"})
    return loop, time.perf_counter() - began


def main() -> None:
    result = table(
        f"{MESSAGES} messages, {RUNS} runs (to reach: at least 3x faster)",
        "store",
        "loop of Memory.add(infer=False), s",
        "remember_many, s",
        "x faster",
    )
    figures: dict[str, list[tuple[float, float]]] = {"embedded default": [], "local Qdrant": []}
    for run in range(RUNS):
        with fresh_memory() as memory:
            figures["embedded default"].append(measure(memory, run))
        with TemporaryDirectory() as folder:
            config = {
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": str(Path(folder) / "qdrant"), "on_disk": True},
                }
            }
            parts = {"embedder": Embedder(), "extractor": SentenceExtractor()}
            with connect(config, data_dir=folder, **parts) as memory:
                figures["local Qdrant"].append(measure(memory, run))
    for store, runs in figures.items():
        loop, bulk = (median(seconds) for seconds in zip(*runs, strict=True))
        result.add_row(store, f"{loop:.2f}", f"{bulk:.2f}", f"{loop / bulk:.1f}")
    CONSOLE.print(result)
