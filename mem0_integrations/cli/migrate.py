"""`mem0-integrations migrate-graph`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from mem0_integrations.data_folder import data_folder, make_folder
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.extraction import Mem0Embedder
from mem0_integrations.graph.config import engine_from_config
from mem0_integrations.graph.migration import counts_by_scope, migrate, old_facts
from mem0_integrations.scope import Scope

__all__ = ["run_migration"]


def run_migration(
    target: Mapping[str, Any],
    source: Mapping[str, Any],
    data_dir: Path | None,
    *,
    scope: Scope | None,
    dry_run: bool,
) -> int:
    """Read a graph of Mem0 1.x into the graph of this package; returns the exit code."""
    console = Console()
    folder = make_folder(data_dir or data_folder())
    with closing(engine_from_config(_store(source), folder)) as old:
        facts = list(old_facts(old, scope))
        table = Table("scope", "facts", title="Found", title_justify="left")
        for owner, count in counts_by_scope(facts).items():
            table.add_row(escape(repr(owner)), f"{count:,}")
        console.print(table)
        if dry_run or not facts:
            console.print("Nothing was written." if dry_run else "There is nothing to migrate.")
            return 0
        same = _store(source) == _store(target)
        with (
            closing(old if same else engine_from_config(_store(target), folder)) as new,
            Progress(console=console) as progress,
        ):
            task = progress.add_task("Migrating", total=len(facts))
            done = migrate(
                facts,
                new,
                _embedder(target),
                on_progress=lambda count: progress.update(task, completed=count),
            )
    console.print(f"[green]{done:,} facts are in the graph.[/] The old ones are still there, too.")
    return 0


def _store(config: Mapping[str, Any]) -> Mapping[str, Any]:
    store = config.get("graph_store")
    if not isinstance(store, Mapping):
        raise ConfigurationError("migrate-graph needs a config with a 'graph_store'.")
    return store


def _embedder(config: Mapping[str, Any]) -> Mem0Embedder:
    given = config.get("embedder")
    if not given:
        from mem0_integrations.backends.embedded.embedder import MiniLMEmbedder

        return MiniLMEmbedder()
    from mem0.utils.factory import EmbedderFactory

    made: Mem0Embedder = EmbedderFactory.create(given["provider"], given.get("config") or {}, None)
    return made
