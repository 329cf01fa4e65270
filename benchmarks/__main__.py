"""Prints the tables of the named benchmarks, or of all."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib.metadata import version

from benchmarks.common import CONSOLE

NAMES = (
    "recall",
    "nodes",
    "middleware",
    "store",
    "chat_history",
    "crewai_calls",
    "crewai_storage",
    "writes",
    "bulk",
    "import_time",
    "event_loop",
    "growth",
    "tenants",
    "graph",
    "graph_calls",
    "server",
)


def main() -> None:
    asked = sys.argv[1:] or NAMES
    if unknown := set(asked) - set(NAMES):
        sys.exit(f"No benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    CONSOLE.print(f"Python {platform.python_version()}, mem0ai {version('mem0ai')}\n")
    for name in asked:
        importlib.import_module(f"benchmarks.{name}").main()


main()
