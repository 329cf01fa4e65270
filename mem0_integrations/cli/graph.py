"""`mem0-integrations graph`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from mem0_integrations.cli.layout import say, table_of
from mem0_integrations.data_folder import data_folder
from mem0_integrations.errors import ConfigurationError, StorageError
from mem0_integrations.graph.config import embedded_path
from mem0_integrations.graph.follower import GraphLike, open_graph
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.snapshot import Snapshot, read_snapshot
from mem0_integrations.records import Relation
from mem0_integrations.scope import Scope

__all__ = ["graph_store", "missing_file", "opened_graph", "quiet_driver", "run_graph", "whose"]


def run_graph(
    scope: Scope,
    *,
    html: Path | None,
    config: Mapping[str, Any] | None,
    data_dir: Path | None,
    history: bool,
    limit: int,
) -> None:
    """Show the facts of a scope, on the terminal or as a page."""
    console = Console()
    folder = data_folder(data_dir)
    store = {"provider": "embedded"} if config is None else graph_store(config)
    # Reading must not create one.
    if missing := missing_file(store, folder):
        raise ConfigurationError(
            f"There is no graph in {missing}: connect(graph=True) makes one. For another one, name "
            f"a file with its graph_store with --config, or its folder with --data-dir."
        )
    with opened_graph(store, folder) as graph:
        found = read_snapshot(graph, scope=scope, history=history, limit=limit)
    owner = whose(scope)
    if html is not None:
        from mem0_integrations.graph.page import graph_page

        title = f"What is known of {owner}"
        page = graph_page(found.relations, title=title, types=found.types, memories=found.memories)
        try:
            # For its owner only, unless it was there.
            html.touch(mode=0o600)
            html.write_text(page, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"Cannot write {html}: {error.strerror or error}.") from error
        say(console, f"{escape(owner)}: {_count(found)}, in {escape(str(html))}")
    elif found.relations:
        console.print(_table(found, f"{escape(owner)}: {_count(found)}", history=history))
    else:
        say(
            console,
            f"The graph has no facts of {escape(owner)}. Whether some are on their way says "
            f"`mem0-integrations doctor --graph`.",
        )


@contextmanager
def opened_graph(given: GraphLike, folder: Path) -> Iterator[GraphMemory]:
    """Open a graph to read it."""
    quiet_driver()
    graph = open_graph(given, folder)
    try:
        yield graph.memory
    finally:
        graph.close()


def quiet_driver() -> None:
    """Silence the repeated warnings of Neo4j's driver: its last error is reported anyway."""
    logging.getLogger("neo4j").addHandler(logging.NullHandler())


def graph_store(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `graph_store` of a config; one without it is refused."""
    store = config.get("graph_store")
    if not isinstance(store, Mapping):
        raise ConfigurationError("The config has no 'graph_store' that says which graph.")
    return store


def whose(scope: Scope) -> str:
    """Return a scope in words, for the terminal."""
    return ", ".join(f"{key.removesuffix('_id')} {value}" for key, value in scope.ids.items())


def missing_file(store: Mapping[str, Any], folder: Path) -> Path | None:
    """Return the path of an embedded graph that does not exist yet; None for all other graphs."""
    if store.get("provider") != "embedded":
        return None
    path = embedded_path(store, folder)
    # Until the graph is closed for the first time, only its log exists.
    there = (file.exists() for file in (path, path.with_name(f"{path.name}-wal")))
    return None if any(there) else path


def _table(found: Snapshot, title: str, *, history: bool) -> Table:
    columns = ["about", "fact", "what", "since (UTC)", *(["until"] if history else []), "said in"]
    rows = (
        (one.source, one.relationship, one.target, *_days(one, history), _said(one, found))
        for one in found.relations
    )
    return table_of((Column(name, overflow="fold") for name in columns), rows, title)


def _days(relation: Relation, history: bool) -> list[str]:
    days = [relation.valid_from, *([relation.valid_to] if history else [])]
    return [f"{day:%Y-%m-%d}" if day else "" for day in days]


def _said(relation: Relation, found: Snapshot) -> str:
    return "\n".join(
        found.memories[one].text if one in found.memories else f"(memory {one}, deleted)"
        for one in relation.memory_ids
    )


def _count(found: Snapshot) -> str:
    facts = len(found.relations)
    more = "" if found.complete else " (the latest; --limit shows more)"
    return f"{facts} {'fact' if facts == 1 else 'facts'}{more}"
