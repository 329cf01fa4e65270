"""The answers to requests that fail: JSON with one sentence, `{"detail": ...}`."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from mem0_integrations.errors import (
    BackendError,
    ClosedError,
    InvalidInputError,
    Mem0IntegrationsError,
    MemoryNotFoundError,
    OutboxFullError,
)

__all__ = [
    "ERRORS",
    "ErrorBody",
    "NotSupportedError",
    "answer_errors",
    "error_response",
    "log_failure",
    "stopping",
]

logger = logging.getLogger("mem0_integrations.server")

_RETRY_SECONDS: Final = 1
_NO_SUCH_METHOD: Final = 405
# In place of what Starlette itself says about an unknown path or method.
_ROUTING_ERRORS: Final = {
    404: "There is no such endpoint.",
    405: "This endpoint has no such method.",
}


class NotSupportedError(Mem0IntegrationsError):
    """A feature of the Mem0 Platform that this server lacks; answered with 501."""


class ErrorBody(BaseModel):
    """The answer to a request that failed: one sentence that says why."""

    detail: str


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody, "description": what}
    for status, what in {
        400: "The request is malformed.",
        401: "There is no valid API key.",
        404: "There is no such thing in this project.",
        409: "It contradicts an earlier request.",
        413: "The body is too large.",
        429: "Too many requests, or too many writes that wait. See Retry-After.",
        500: "The server failed.",
        501: "This server does not support it.",
        502: "What lies behind the memory failed.",
        503: "The memory is not available for the moment. See Retry-After.",
    }.items()
}
"""The errors of every endpoint, for the OpenAPI page."""


def error_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an answer whose detail is a sentence."""
    # What the sentence quotes from a request may not be valid Unicode.
    said = sentence.encode("utf-8", "replace").decode()
    return JSONResponse(ErrorBody(detail=said).model_dump(), status, headers)


def answer_errors(app: FastAPI) -> None:
    """Register the handlers that answer errors of an application."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        said, headers = str(error.detail), error.headers
        if said in ("Not Found", "Method Not Allowed"):
            said = _ROUTING_ERRORS[error.status_code]
        if error.status_code == _NO_SUCH_METHOD:
            # Starlette knows only those of the first endpoint with this path.
            route = getattr(request.scope.get("route"), "path_format", "")
            methods = map(str.upper, app.openapi()["paths"].get(route, ("get",)))
            headers = {"Allow": ", ".join(sorted(methods))}
        return error_response(error.status_code, said, headers)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(400, _sentence(error))

    app.add_exception_handler(Mem0IntegrationsError, _failed)

    @app.exception_handler(DataError)
    @app.exception_handler(UnicodeEncodeError)
    @app.exception_handler(StatementError)
    def unfit(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DBAPIError) and not isinstance(error, DataError):
            log_failure(request.method, request.scope, error)
            return error_response(500, f"The server failed: {type(error).__name__}.")
        return error_response(
            400, "The request holds what cannot be kept: NaN, a NUL, or half a character."
        )

    @app.exception_handler(IntegrityError)
    def contested(_: Request, __: IntegrityError) -> JSONResponse:
        return error_response(409, "Another request changed the same in this moment; try again.")

    @app.exception_handler(OperationalError)
    @app.exception_handler(PoolTimeoutError)
    def no_state(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log_failure(request.method, request.scope, error)
        return _later("The server's state is not available for the moment.")


def log_failure(method: str, scope: Mapping[str, Any], error: BaseException) -> None:
    """Log what failed and where, without anything that was sent or stored."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    route = getattr(scope.get("route"), "path_format", "unknown")
    logger.error("%s %s failed: %s in %s", method, route, type(error).__name__, where)


def _failed(request: Request, error: Exception) -> JSONResponse:
    match error:
        case InvalidInputError():
            return error_response(400, str(error))
        case MemoryNotFoundError():
            return error_response(404, "Memory not found!")
        case NotSupportedError():
            return error_response(501, str(error))
        case OutboxFullError():
            return _later("Too many writes wait for delivery; this one was not accepted.", 429)
        case BackendError(retryable=True, retry_after=wait):
            log_failure(request.method, request.scope, error)
            return _later("The memory is not available for the moment.", wait=wait)
        case ClosedError():
            return stopping()
        case BackendError():
            log_failure(request.method, request.scope, error)
            # Its message may quote what was sent.
            return error_response(502, f"The memory failed: {type(error).__name__}.")
    log_failure(request.method, request.scope, error)
    return error_response(500, f"The server failed: {type(error).__name__}.")


def stopping() -> JSONResponse:
    """Return the answer of a server that is shutting down."""
    return _later("The server is shutting down.")


def _later(sentence: str, status: int = 503, wait: float | None = None) -> JSONResponse:
    seconds = max(_RETRY_SECONDS, math.ceil(wait or 0))
    return error_response(status, sentence, {"Retry-After": str(seconds)})


def _sentence(error: RequestValidationError) -> str:
    """Describe the first error, without quoting what was sent."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "json_invalid":
        return "The body is not valid JSON."
    if isinstance(error.body, bytes):
        return "The body is read as JSON only: send it with 'Content-Type: application/json'."
    return f"{where}: {first['msg']}."
