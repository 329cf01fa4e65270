"""`import mem0_integrations`, and what it loads."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.common import CONSOLE, median, p95, table

RUNS = 20
HEAVY = ("mem0", "langchain", "langchain_core", "langgraph", "crewai", "onnxruntime", "numpy")
SCRIPT = f"""
import sys, time
began = time.perf_counter()
import mem0_integrations
print((time.perf_counter() - began) * 1000)
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def main() -> None:
    inside: list[float] = []
    whole: list[float] = []
    loaded = ""
    for _ in range(RUNS):
        began = time.perf_counter()
        output = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        ).stdout
        whole.append((time.perf_counter() - began) * 1000)
        milliseconds, loaded = output.splitlines()
        inside.append(float(milliseconds))
    result = table(
        f"import mem0_integrations, {RUNS} processes (to reach: at most 100 ms, nothing heavy)",
        "figure",
        "median ms",
        "p95 ms",
    )
    result.add_row("the import", f"{median(inside):.1f}", f"{p95(inside):.1f}")
    result.add_row("the whole process", f"{median(whole):.1f}", f"{p95(whole):.1f}")
    CONSOLE.print(result)
    CONSOLE.print(f"Frameworks and mem0 among the loaded modules: {loaded}\n")
