"""Middleware: what happens around every request."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mem0_integrations.server.errors import error_response, log_failure, stopping
from mem0_integrations.server.metrics import Metrics

__all__ = ["Observed", "SizeLimit", "TrailingSlash"]

logger = logging.getLogger("mem0_integrations.server")

# How many times the limit is read of a body that is too large, so that the client gets the answer.
_DRAINED: Final = 16
_NOT_SLASHED: Final = ("/health", "/metrics", "/docs", "/redoc", "/openapi.json")


class _HTTPMiddleware:
    """Handles HTTP requests, and lets everything else pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = self._handle if scope["type"] == "http" else self._app
        await handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


class Observed(_HTTPMiddleware):
    """Counts and logs requests, and answers those that fail unexpectedly.

    Neither the log nor the counters contain anything that was sent, not even the path: it may
    name a user.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(scope.get("state", {}).get("rate_headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if not status:
                await stopping()(scope, receive, answer)
            raise
        except Exception as error:
            log_failure(scope["method"], scope, error)
            if status:
                raise
            failed = error_response(500, f"The server failed: {type(error).__name__}.")
            await failed(scope, receive, answer)
        finally:
            self._note(scope, status or 499, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unknown")
        method, caller = scope["method"], scope.get("state", {}).get("caller")
        self._metrics.observe(method, route, status, seconds)
        project_id = caller.project_id if caller else "-"
        said = "%s %s %d %.1f ms project=%s"
        logger.info(said, method, route, status, seconds * 1000, project_id)


class TrailingSlash(_HTTPMiddleware):
    """Adds the slash at the end of a path if it is missing, or removes it where none belongs."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = _as_routed(scope)
        await self._app(scope, receive, send)


def _as_routed(scope: Scope) -> str:
    path: str = scope["path"]
    # As a part of another application, it has a prefix.
    if path.removeprefix(scope.get("root_path", "")).startswith(_NOT_SLASHED):
        return path.rstrip("/")
    # A name may end with a slash, too: what was sent tells, before it is decoded.
    sent: bytes = scope.get("raw_path") or path.encode()
    return path if sent.endswith(b"/") else f"{path}/"


class SizeLimit(_HTTPMiddleware):
    """Refuses bodies that have too many bytes, with or without a `Content-Length`."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        super().__init__(app)
        self._sentence = f"The body is larger than the {max_bytes} bytes that this server accepts."
        self._max_bytes = max_bytes

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0
        said = Headers(scope=scope).get("content-length", "")

        async def drain() -> None:
            nonlocal read
            while read < self._max_bytes * _DRAINED:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body"):
                    return

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                if message.get("more_body"):
                    await drain()
                raise HTTPException(413, self._sentence)
            return message

        if said.isdecimal() and int(said) > self._max_bytes:
            await drain()
            await error_response(413, self._sentence)(scope, receive, send)
            return
        await self._app(scope, counted, send)
