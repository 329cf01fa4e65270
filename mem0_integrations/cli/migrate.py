"""`mem0-integrations migrate-graph`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from mem0_integrations.cli.graph import graph_store, missing_file, quiet_driver, whose
from mem0_integrations.cli.layout import say, show_parts, table_of
from mem0_integrations.data_folder import data_folder
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.graph.config import engine_from_config
from mem0_integrations.graph.engines.base import GraphEngine
from mem0_integrations.graph.migration import Migration, migrate
from mem0_integrations.scope import Scope

__all__ = ["run_migrate"]

# Maximum number of scopes in the table.
_ROWS: Final = 50


def run_migrate(
    config: Mapping[str, Any],
    source_config: Mapping[str, Any] | None,
    *,
    scope: Scope | None,
    dry_run: bool,
    data_dir: Path | None,
) -> int:
    """Migrate a graph; returns the exit code, 0 if nothing needs attention."""
    console = Console()
    folder = data_folder(data_dir)
    quiet_driver()
    with ExitStack() as opened:
        new = graph_store(config)
        old = new if source_config is None else graph_store(source_config)
        # Reading must not create one.
        if missing := missing_file(old, folder):
            raise ConfigurationError(f"There is no graph in {missing}.")
        source, target = opened.enter_context(closing(engine_from_config(old, folder))), None
        parts = {"from": source.describe()}
        if not dry_run:
            target = source
            if old != new:
                target = opened.enter_context(closing(engine_from_config(new, folder)))
            parts["to"] = target.describe()
        show_parts(console, "Graph of Mem0 1.x", parts)
        found = _migrate(console, source, target, scope)
    return _report(console, found, dry_run=dry_run)


def _migrate(
    console: Console, source: GraphEngine, target: GraphEngine | None, scope: Scope | None
) -> Migration:
    # The progress bar is not part of the output.
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Relationships", total=None)

        def progress(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        return migrate(source, target, scope=scope, progress=progress)


def _report(console: Console, found: Migration, *, dry_run: bool) -> int:
    fixes: list[str] = []
    if found.scopes:
        console.print(_table(found, dry_run=dry_run))
        if (more := len(found.scopes) - _ROWS) > 0:
            console.print(f"... and {more:,} smaller scopes.", highlight=False)
    else:
        fixes.append("Nothing was found that Mem0 1.x wrote: look at the config and the scope.")
    if found.left_out:
        fixes.append(
            f"{found.left_out:,} relationships are left out: their ends are of different users, or "
            f"an id or a name is blank or too long."
        )
    for fix in fixes:
        say(console, f"[red]To look at:[/] {escape(fix)}")
    if found.scopes:
        known = found.facts - found.written
        done = (
            "this was a dry run, nothing was written"
            if dry_run
            else f"{found.written:,} were written, {known:,} were there already"
        )
        say(console, f"{found.facts:,} facts; {done}.")
    return 1 if fixes else 0


def _table(found: Migration, *, dry_run: bool) -> Table:
    fields = {"facts": "facts", "of them ended": "ended"}
    fields |= {} if dry_run else {"written": "written"}
    numbers = (Column(name, overflow="fold", justify="right") for name in fields)
    rows = (
        (whose(one.scope), *(f"{getattr(one, field):,}" for field in fields.values()))
        for one in found.scopes[:_ROWS]
    )
    return table_of((Column("scope", overflow="fold"), *numbers), rows)
