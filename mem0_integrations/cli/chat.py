"""`mem0-integrations chat`."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.cli.agent import build_agent
from mem0_integrations.cli.layout import table_of
from mem0_integrations.cli.models import chat_model
from mem0_integrations.connection import connect
from mem0_integrations.errors import Mem0IntegrationsError
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope

__all__ = ["run_chat"]

_HELP: Final = "/memories shows what I know, /forget erases it, /quit ends the conversation."
_WITHOUT_MODEL: Final = (
    "No model: I answer by quoting what you told me. For a real conversation: "
    "--model openai:..., anthropic:..., ollama:..."
)
_WITH_MODEL: Final = "Answers and extracted memories come from {model}."


def run_chat(
    *,
    user: str,
    model: str | None,
    thread: str | None,
    config: Mapping[str, Any] | None,
    data_dir: Path | None,
) -> None:
    """Hold a conversation on the terminal."""
    console = Console()
    # The conversation itself says what matters.
    for name in ("mem0", "mem0_integrations"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    scope = Scope(user_id=user)
    llm = chat_model(model)
    with connect("embedded" if config is None else config, llm=llm, data_dir=data_dir) as memory:
        agent = build_agent(memory, llm)
        run = {"configurable": {"thread_id": thread or uuid.uuid4().hex, "user_id": scope.user_id}}
        console.print(f"[bold]Customer support for {escape(user)}.[/] {_HELP}", highlight=False)
        answers = _WITH_MODEL.format(model=model) if model else _WITHOUT_MODEL
        console.print(f"[dim]{answers}[/]", highlight=False)
        while (said := _ask(console, "\n[bold cyan]You:[/] ")) != "/quit":
            if said == "/memories":
                if not memory.flush(timeout=5):
                    console.print("[dim](some of what you said is still being stored)[/]")
                _show(console, memory.list(scope=scope))
            elif said == "/forget":
                _forget(console, memory, scope)
            elif said.startswith("/"):
                console.print(_HELP, highlight=False)
            elif said:
                _answer(console, agent, memory, said, run)
        console.print("[dim]Storing what you said ...[/]")
        if not memory.flush(timeout=10):
            console.print("[yellow]Some memories are still queued; the next start stores them.[/]")
        memory.close(timeout=1)


def _ask(console: Console, prompt: str) -> str:
    try:
        return console.input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return "/quit"


def _answer(
    console: Console, agent: Any, memory: AgentMemory, said: str, run: Mapping[str, Any]
) -> None:
    console.print("[bold green]Agent:[/] ", end="")
    notes: list[str] = []
    try:
        for mode, part in agent.stream(
            {"messages": [("user", said)]}, run, stream_mode=["messages", "custom"]
        ):
            if mode == "messages":
                text = str(part[0].text)
                console.print(text, end="", highlight=False, markup=False, soft_wrap=True)
            else:
                notes.extend(_notes(part))
    except Mem0IntegrationsError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        # A model may fail in any way, and the next message may get through.
        scope = {"user_id": run["configurable"]["user_id"]}
        kept = memory.remember(said, scope=scope, background=True)
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        notes.append(f"(no answer: {reason}; what you said is {kept.status})")
    console.print()
    for note in notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)


def _notes(event: Mapping[str, Any]) -> list[str]:
    if event["event"] == "memory.recalled":
        if event["degraded"]:
            return [f"(memory could not be read: {event['degraded']})"]
        return [f"({_count(len(event['memories']))} recalled)"] if event["memories"] else []
    if event["event"] == "memory.remembered" and event["status"] == "failed":
        return [f"(not remembered: {event['error']})"]
    return []


def _count(memories: int) -> str:
    return f"{memories} {'memory' if memories == 1 else 'memories'}"


def _show(console: Console, memories: list[Memory]) -> None:
    if not memories:
        console.print("I do not remember anything.")
        return
    rows = (
        (f"{memory.created_at:%Y-%m-%d %H:%M}" if memory.created_at else "", memory.text)
        for memory in memories
    )
    console.print(table_of(("said at (UTC)", "memory"), rows, _count(len(memories))))


def _forget(console: Console, memory: AgentMemory, scope: Scope) -> None:
    question = f"Erase everything about {scope.user_id}? [y/N] "
    if _ask(console, escape(question)).lower() not in ("y", "yes"):
        console.print("Nothing was erased.")
        return
    erased = memory.forget(scope)
    console.print(
        f"Erased {_count(erased.memories)} and what belongs to them (entries of the history: "
        f"{erased.history}, raw messages: {erased.messages}, accepted writes: {erased.writes}).",
        highlight=False,
    )
