"""`mem0-integrations serve` and `mem0-integrations keys`."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from rich.console import Console
from rich.markup import escape
from rich.table import Column
from uvicorn.config import LOGGING_CONFIG

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.cli.layout import say, table_of
from mem0_integrations.cli.models import chat_model
from mem0_integrations.connection import OutboxOptions, connect, split_graph
from mem0_integrations.data_folder import data_folder, make_folder
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.server.app import create_app, default_state_url
from mem0_integrations.server.auth import is_loopback
from mem0_integrations.server.keys import create_key, has_keys, list_keys, revoke_key
from mem0_integrations.server.settings import ServerSettings
from mem0_integrations.server.state import State

__all__ = ["Serving", "run_create_key", "run_list_keys", "run_revoke_key", "run_serve"]

_ENVIRONMENT: Final = "MEM0_INTEGRATIONS_SERVE"
_FACTORY: Final = "mem0_integrations.cli.serve:app_of_environment"
# For requests that are being answered when the server is told to stop.
_SHUTDOWN_SECONDS: Final = 30
# Longer than clients keep an idle connection (httpx: 5 s): whichever side closes it first may do
# so while the other one sends.
_KEEP_ALIVE_SECONDS: Final = 75
# A UUID is copied as a whole.
_ID_WIDTH: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve, for the worker processes as well; the options are those of `connect`."""

    config: dict[str, Any] | None
    graph: bool
    model: str | None
    data_dir: str | None
    settings: ServerSettings

    def connect(self) -> AgentMemory:
        """Open the memory."""
        # None would be the Mem0 Platform, where its key is set.
        target: Any = "embedded" if self.config is None else self.config
        return connect(
            target,
            graph=self.graph or None,
            llm=chat_model(self.model),
            data_dir=self.data_dir,
            # A client is told to try again later; a request that waits would hold up others.
            outbox=OutboxOptions(when_full="raise"),
        )

    def app(self) -> FastAPI:
        """Create the application, with its own memory."""
        memory = self.connect()
        try:
            return create_app(memory, self.settings, close_memory=True)
        except BaseException:
            memory.close()
            raise


def run_serve(serving: Serving, *, host: str, port: int, workers: int) -> None:
    """Serve until the process is told to stop."""
    _check_host(serving, host)
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        # The server's own log says as much, and not whose data a path names.
        "access_log": False,
        "log_config": _log_config(),
        "timeout_graceful_shutdown": _SHUTDOWN_SECONDS,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
    }
    if workers == 1:
        uvicorn.run(serving.app(), **options)
        return
    _check_shared(serving)
    # In a worker, a mistake would show again and again.
    serving.connect().close()
    os.environ[_ENVIRONMENT] = json.dumps(dataclasses.asdict(serving))
    with TemporaryDirectory(prefix="mem0-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(_FACTORY, factory=True, workers=workers, **options)


def app_of_environment() -> FastAPI:
    """Create the application of a worker process."""
    given = json.loads(os.environ[_ENVIRONMENT])
    return Serving(**{**given, "settings": ServerSettings(**given["settings"])}).app()


def run_create_key(
    state_url: str | None, data_dir: Path | None, *, project: str, name: str
) -> None:
    """Create a key and show it once."""
    with closing(State(state_url_of(state_url, data_dir))) as state:
        key = create_key(state, project, name or None)
    console = Console(stderr=True)
    console.print(f"A key of the project {escape(project)}; it cannot be shown again:")
    # Alone on standard output, so that a program can take it.
    print(key)


def run_list_keys(state_url: str | None, data_dir: Path | None) -> None:
    """Show all keys."""
    with closing(State(state_url_of(state_url, data_dir))) as state:
        keys = list_keys(state)
    names = ("begins with", "project", "name", "made (UTC)", "revoked (UTC)")
    rows = (
        (
            key.id,
            key.prefix,
            key.project_id,
            key.name or "",
            *(f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (key.created_at, key.revoked_at)),
        )
        for key in keys
    )
    table = table_of((Column("id", min_width=_ID_WIDTH), *names), rows)
    Console().print(table if keys else "There are no keys.")


def run_revoke_key(state_url: str | None, data_dir: Path | None, which: str) -> None:
    """Revoke a key."""
    with closing(State(state_url_of(state_url, data_dir))) as state:
        key = revoke_key(state, which)
    Console().print(f"Revoked: {escape(key.prefix)}... of the project {escape(key.project_id)}.")


def state_url_of(state_url: str | None, data_dir: Path | str | None) -> str:
    """Return the URL of the server's own database."""
    return state_url or default_state_url(data_dir)


def _check_host(serving: Serving, host: str) -> None:
    with closing(State(state_url_of(serving.settings.state_url, serving.data_dir))) as state:
        open_to_all = not has_keys(state)
    if not open_to_all:
        return
    if not is_loopback(host):
        raise ConfigurationError(
            f"There is no API key, so the server does not listen on {host}, where others could "
            f"reach it. Make a key with `mem0-integrations keys create`, or listen on 127.0.0.1."
        )
    say(
        Console(stderr=True),
        "There is no API key: the server answers this machine only, and everyone on it. Make a "
        "key with `mem0-integrations keys create`.",
    )


def _check_shared(serving: Serving) -> None:
    """Refuse several workers if they would share what belongs to one process."""
    config, graph = split_graph(serving.config)
    if config is None:
        own = "the embedded default"
    elif serving.graph or (isinstance(graph, Mapping) and graph.get("provider") == "embedded"):
        own = "the embedded graph"
    elif place := _local_store(config, serving.data_dir):
        own = f"the vector store in {place}"
    else:
        return
    raise ConfigurationError(
        f"Several workers cannot share {own}: its folder belongs to one process. Serve with "
        f"--workers 1, or with a --config that names servers, such as pgvector and Neo4j."
    )


def _local_store(config: Mapping[str, Any], data_dir: str | None) -> str | None:
    from mem0_integrations.backends.mem0_setup import import_mem0

    folder = data_folder(data_dir)
    import_mem0(make_folder(folder))
    from mem0_integrations.backends.mem0_config import parsed_config

    store = parsed_config(config, folder, llm=None, embedder=None, extractor=None).vector_store
    path, url, host = (getattr(store.config, name, None) for name in ("path", "url", "host"))
    return str(path) if path and not (url or host) else None


def _log_config() -> dict[str, Any]:
    """Return uvicorn's log configuration, extended by this package's logger."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["mem0_integrations"] = {"handlers": ["default"], "level": "INFO"}
    return config
