"""`mem0-integrations demo`: one customer, two visits, two processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.cli.agent import build_agent
from mem0_integrations.cli.layout import say, show_parts
from mem0_integrations.connection import connect
from mem0_integrations.data_folder import data_folder
from mem0_integrations.scope import Scope

__all__ = ["run_demo", "run_visit"]

_CUSTOMER: Final = Scope(user_id="customer-1")
_VISITS: Final = {
    1: (
        "Hi! My name is Priya Raman.",
        "My order 48213 arrived yesterday, but the kettle leaks at the base.",
        "I prefer e-mail to phone calls, please write to priya@example.com.",
        "And please note that I am allergic to peanuts, your gift boxes had some.",
    ),
    2: (
        "Hello again! Do you remember my name?",
        "What was wrong with the kettle I ordered?",
        "Which order number was that?",
        "Will you call me about the replacement?",
        "Can I have one of your snack boxes, or is there anything I am allergic to?",
    ),
}
_DAYS_BETWEEN: Final = 4


def run_demo(data_dir: Path | None) -> int:
    """Run both visits, each in its own process; returns the exit code."""
    for visit in _VISITS:
        command = [sys.executable, "-m", "mem0_integrations", "demo", "--visit", str(visit)]
        if data_dir is not None:
            command += ["--data-dir", str(data_dir)]
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


def run_visit(visit: int, data_dir: Path | None) -> None:
    """Run one visit."""
    console = Console()
    # A separate folder: the demo begins by forgetting its customer.
    folder = (data_dir or data_folder()).expanduser().absolute() / "demo"
    time = datetime.now(UTC) - timedelta(days=_DAYS_BETWEEN * (len(_VISITS) - visit))
    thread = f"visit-{visit}"
    with connect("embedded", data_dir=folder, clock=lambda: time) as memory:
        if visit == 1:
            memory.forget(_CUSTOMER)
        console.rule(f"{time:%A %d %B %Y}, process {os.getpid()}, thread {thread}")
        agent = build_agent(memory, background=False)
        run: RunnableConfig = {"configurable": {"thread_id": thread, "user_id": _CUSTOMER.user_id}}
        for said in _VISITS[visit]:
            console.print()
            _show(console, "Customer", said, style="bold cyan")
            stream: Iterator[Any] = agent.stream(
                {"messages": [("user", said)]}, run, stream_mode=["updates", "custom"]
            )
            for mode, part in stream:
                if mode == "custom":
                    _show_event(console, said, part)
                elif "respond" in part:
                    answer = part["respond"]["messages"][-1].text
                    _show(console, "Agent", str(answer), style="bold green")
        console.print()
        if visit == len(_VISITS):
            _show_end(console, memory, folder)


def _show(console: Console, label: str, *lines: str, style: str = "dim") -> None:
    """Print a label, and next to it a text and remarks on it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=style, min_width=len("recalled 0.00"))
    grid.add_column()
    text, *remarks = lines
    grid.add_row(label, escape(text))
    for remark in remarks:
        grid.add_row("", f"[dim]{escape(remark)}[/]")
    console.print(grid)


def _show_event(console: Console, said: str, event: dict[str, Any]) -> None:
    if event["event"] == "memory.recalled":
        if event["degraded"]:
            _show(console, "not recalled", event["degraded"])
        for memory in event["memories"]:
            _show(console, f"recalled {memory['score']:.2f}", memory["memory"], _why(said, memory))
    elif event["event"] == "memory.remembered":
        stored = [memory["memory"] for memory in event["memories"]]
        _show(console, "stored", *(stored or [f"{event['status']} (no new statement)"]))


def _show_end(console: Console, memory: AgentMemory, folder: Path) -> None:
    show_parts(console, "Where it lies", memory.describe())
    console.print(
        "The agent has no language model here: it quotes what the customer said. Go on with "
        "this customer, without a model or with one that answers and extracts:",
        highlight=False,
    )
    # `make demo` installs into an environment that is not on the PATH.
    program = "mem0-integrations"
    if not shutil.which(program):
        program = f"{sys.executable} -m mem0_integrations"
    command = f"{program} chat --user {_CUSTOMER.user_id} --data-dir {folder}"
    say(console, f"  {escape(command)}\n  {escape(command)} --model openai:gpt-5-mini")


def _why(said: str, memory: dict[str, Any]) -> str:
    common = _words(said) & _words(memory["memory"])
    shared = f"shares {', '.join(sorted(common))}; " if common else ""
    thread = memory["metadata"].get("thread_id", "?")
    return f"near in meaning; {shared}said on {memory['created_at'][:10]} in {thread}"


def _words(text: str) -> set[str]:
    return {word for raw in text.lower().split() if len(word := raw.strip(".,?!'")) > 3}  # noqa: PLR2004
