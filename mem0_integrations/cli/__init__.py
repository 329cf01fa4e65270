"""The command `mem0-integrations`: chat, demo, doctor, graph, serve."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError, MissingExtraError

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
except ImportError as error:
    raise MissingExtraError("The command mem0-integrations", "cli") from error

from mem0_integrations.cli.layout import say

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Long-term memory for agents, kept by Mem0.",
)

keys = typer.Typer(no_args_is_help=True, help="The API keys of the server.")
app.add_typer(keys, name="keys")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder for everything that is written; else MEM0_DIR, else the user's."),
]
Config = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A Mem0 config (JSON); else the embedded one."),
]
StateUrl = Annotated[
    str | None,
    typer.Option(
        envvar="MEM0_STATE_URL",
        help="The server's own database, as SQLAlchemy names it; else SQLite.",
    ),
]


@app.command()
def chat(
    user: Annotated[str, typer.Option(help="Whose memories.")],
    model: Annotated[
        str | None,
        typer.Option(help="For example openai:gpt-5-mini, anthropic:claude-..., ollama:qwen3."),
    ] = None,
    thread: Annotated[
        str | None, typer.Option(help="Name of the conversation; new if not given.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Talk to a customer-support agent that remembers you."""
    _require("langgraph")
    from mem0_integrations.cli.chat import run_chat

    run_chat(user=user, model=model, thread=thread, config=read_config(config), data_dir=data_dir)


@app.command()
def demo(
    data_dir: DataDir = None,
    visit: Annotated[int | None, typer.Option(hidden=True, min=1, max=2)] = None,
) -> None:
    """Show two conversations with one customer, days apart, in two processes."""
    _require("langgraph")
    from mem0_integrations.cli.demo import run_demo, run_visit

    if visit is None:
        raise typer.Exit(run_demo(data_dir))
    run_visit(visit, data_dir)


@app.command()
def doctor(
    *,
    config: Config = None,
    data_dir: DataDir = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Deliver what is queued, and the dead letters again.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Extracts what --replay delivers; named as for chat.")
    ] = None,
    reindex: Annotated[bool, typer.Option("--reindex", help="Rebuild the index of words.")] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Also the embedded graph; else that of the config.")
    ] = False,
) -> None:
    """Show what is installed, whether memory answers, what the outbox holds, what to fix."""
    from mem0_integrations.cli.doctor import run_doctor

    raise typer.Exit(
        run_doctor(
            read_config(config), data_dir, replay=replay, model=model, reindex=reindex, graph=graph
        )
    )


@app.command()
def graph(
    *,
    user: Annotated[str | None, typer.Option(help="Whose facts.")] = None,
    agent: Annotated[str | None, typer.Option(help="Of which agent.")] = None,
    run: Annotated[str | None, typer.Option(help="Of which session.")] = None,
    app_id: Annotated[str | None, typer.Option("--app", help="Of which application.")] = None,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw them as a page, in this file.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Also what has ended, or was taken back.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Maximum number of facts.")] = 200,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show the facts of the knowledge graph: as a table, or as a page that needs no network."""
    from mem0_integrations.cli.graph import run_graph
    from mem0_integrations.scope import Scope

    run_graph(
        Scope(user_id=user, agent_id=agent, run_id=run, app_id=app_id),
        html=html,
        config=read_config(config),
        data_dir=data_dir,
        history=history,
        limit=limit,
    )


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; more than one need a server-backed store.")
    ] = 1,
    config: Config = None,
    graph: Annotated[
        bool, typer.Option("--graph", help="With the embedded graph; else that of the config.")
    ] = False,
    data_dir: DataDir = None,
    state_url: StateUrl = None,
    model: Annotated[
        str | None, typer.Option(help="Extracts what is remembered; named as for chat.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose pages may call it, or * for all; may be repeated."),
    ] = None,
    rate_limit: Annotated[
        str | None, typer.Option(help="Requests of each key, for example 600/minute.")
    ] = None,
) -> None:
    """Serve memories to the official clients of Mem0: the Platform's protocol, self-hosted."""
    _require("server")
    from mem0_integrations.cli.serve import Serving, run_serve, state_url_of
    from mem0_integrations.server import ServerSettings

    settings = ServerSettings(
        state_url=state_url_of(state_url, data_dir),
        cors_origins=cors_origin or (),
        rate_limit=rate_limit,
    )
    serving = Serving(
        config=read_config(config),
        graph=graph,
        model=model,
        data_dir=str(data_dir) if data_dir else None,
        settings=settings,
    )
    run_serve(serving, host=host, port=port, workers=workers)


@keys.command("create")
def create_key(
    *,
    project: Annotated[str, typer.Option(help="Its project; created if missing.")] = "default",
    name: Annotated[str, typer.Option(help="A name for the key.")] = "",
    data_dir: DataDir = None,
    state_url: StateUrl = None,
) -> None:
    """Create an API key; it is shown once."""
    _require("server")
    from mem0_integrations.cli.serve import run_create_key

    run_create_key(state_url, data_dir, project=project, name=name)


@keys.command("list")
def list_keys(*, data_dir: DataDir = None, state_url: StateUrl = None) -> None:
    """Show the API keys, without their secrets."""
    _require("server")
    from mem0_integrations.cli.serve import run_list_keys

    run_list_keys(state_url, data_dir)


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Its id, or its first characters.")],
    *,
    data_dir: DataDir = None,
    state_url: StateUrl = None,
) -> None:
    """Refuse an API key from now on."""
    _require("server")
    from mem0_integrations.cli.serve import run_revoke_key

    run_revoke_key(state_url, data_dir, key)


def main() -> None:
    """Run the command; errors of this package are one line and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no curly quotes shows something else for them.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except Mem0IntegrationsError as error:
        say(Console(stderr=True), f"[red]Error:[/] {escape(str(error))}")
        sys.exit(1)


@app.command("migrate-graph")
def migrate_graph(
    *,
    config: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="A Mem0 config (JSON) with a graph_store."),
    ],
    source_config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Where the old graph is, if elsewhere."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this agent.")] = None,
    run: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and write nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Read a graph that Mem0 1.x wrote into the model of this package; the old one stays."""
    from mem0_integrations.cli.migrate import run_migrate
    from mem0_integrations.scope import Scope

    # Without any, everything is migrated; an empty one is a mistake, which Scope refuses.
    chosen = any(one is not None for one in (user, agent, run))
    raise typer.Exit(
        run_migrate(
            read_config(config) or {},
            read_config(source_config),
            scope=Scope(user_id=user, agent_id=agent, run_id=run) if chosen else None,
            dry_run=dry_run,
            data_dir=data_dir,
        )
    )


def read_config(path: Path | None) -> dict[str, Any] | None:
    """Read a Mem0 config from a JSON file; another file is refused."""
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{path} must hold a JSON object, as Memory.from_config takes it.")
    return config


def _require(package: str) -> None:
    # Imported first, because it says which extra is missing.
    importlib.import_module(f"mem0_integrations.{package}")
