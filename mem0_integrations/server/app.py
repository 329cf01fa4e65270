"""`create_app`: the server as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

import mem0_integrations
from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.data_folder import data_folder
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.server import deliveries, exports, writes
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.errors import ERRORS, answer_errors
from mem0_integrations.server.events import count_events
from mem0_integrations.server.metrics import Metrics
from mem0_integrations.server.middleware import Observed, SizeLimit, TrailingSlash
from mem0_integrations.server.rates import Limiter
from mem0_integrations.server.routes import ROUTERS
from mem0_integrations.server.routes.health import count_writes
from mem0_integrations.server.settings import ServerSettings
from mem0_integrations.server.state import State

__all__ = ["create_app", "default_state_url"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Mem0-User-ID",
    "X-API-Key",
    "X-Application",
    "X-Mem0-Client",
    "X-Mem0-Source",
)
_EXPOSED: Final = ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_STOP_SECONDS: Final = 10.0


class _Application(FastAPI):
    """Documents that malformed requests are answered with 400, not with 422."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            page = super().openapi()
            for operations in page["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                page["components"]["schemas"].pop(name, None)
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_app(
    memory: AgentMemory, settings: ServerSettings | None = None, *, close_memory: bool = False
) -> FastAPI:
    """Create a server that speaks the Mem0 Platform's protocol.

    Args:
        memory: The memory to serve; in it, each project has its own `run_id`.
        settings: The settings; None for the defaults.
        close_memory: Whether to deliver the memory's outbox and close the memory when the
            application ends.

    Returns:
        An ASGI application, for example for uvicorn.

    Raises:
        ConfigurationError: The memory is not an AgentMemory, or the settings name a database that
            is not supported.
        StorageError: The server's own database cannot be used.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect() as memory:
        ...     create_app(memory, ServerSettings(rate_limit="600/minute")).title
        'mem0-integrations'
    """
    if not isinstance(memory, AgentMemory):
        raise ConfigurationError(
            f"create_app needs an AgentMemory, as connect() makes it, not {memory!r}."
        )
    settings = settings or ServerSettings()
    rate, counted_in = settings.rate_limit, settings.rate_limit_storage
    limiter = None if rate is None else Limiter(rate, counted_in)
    state = State(settings.state_url or default_state_url())
    server = Server(memory, state, settings, limiter)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.workers = {
            "events": writes.worker(server),
            "exports": exports.worker(server),
            "webhooks": deliveries.worker(server),
        }
        for worker in server.workers.values():
            worker.start()
        try:
            yield
        finally:
            await run_in_threadpool(partial(_stop, server, close_memory=close_memory))

    metrics = Metrics(outbox=partial(count_writes, server), events=partial(count_events, state))
    app = _Application(
        title="mem0-integrations",
        version=mem0_integrations.__version__,
        description="The Mem0 Platform's protocol, self-hosted.",
        redirect_slashes=False,
        lifespan=lifespan,
        # The outermost comes first.
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=_METHODS,
                allow_headers=_HEADERS,
                expose_headers=_EXPOSED,
            ),
            Middleware(Observed, metrics=metrics),
            Middleware(TrailingSlash),
            Middleware(SizeLimit, max_bytes=settings.max_request_bytes),
        ],
    )
    app.state.server = server
    app.state.metrics = metrics
    answer_errors(app)
    for router in ROUTERS:
        app.include_router(router, responses=ERRORS)
    return app


def default_state_url(data_dir: str | Path | None = None) -> str:
    """Return the URL of the server's own database in a data folder; None for the default one."""
    path = data_folder(data_dir) / "server" / "state.db"
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def _stop(server: Server, *, close_memory: bool) -> None:
    """Stop the workers, then deliver what is queued."""
    server.stop(_STOP_SECONDS)
    if close_memory:
        server.memory.close()
    server.state.close()
