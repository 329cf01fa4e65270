"""Amazon Neptune's two HTTP interfaces on loopback, over a real openCypher engine.

Requests and answers are those of the wire, so that boto3 and LangChain's classes run unmodified.
What it does not tell: access rules, real conflicts and how fast Neptune is.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.neptune_cypher import NeptuneCypher, Refusal

REGION = "us-east-1"
# What signs a request is checked, who signs it is not.
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "not-a-secret"}
SERVICES = {"analytics": "neptune-graph", "database": "neptunedata"}
SIGNED_FOR = {"analytics": "neptune-graph", "database": "neptune-db"}
REFUSALS = {
    "analytics": dict.fromkeys(("unsupported", "malformed", "constraint"), "ValidationException"),
    "database": {
        "unsupported": "UnsupportedOperationException",
        "malformed": "MalformedQueryException",
        "constraint": "ConstraintViolationException",
    },
}


class _ServiceError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class NeptuneEndpoint:
    """An endpoint of one product with a database of its own.

    Attributes:
        product: "analytics" or "database".
        requests: The JSON bodies of the queries received, those that failed too.
    """

    product: str
    engine: NeptuneCypher = field(repr=False)
    port: int
    host: str = "127.0.0.1"
    graph_identifier: str = "g-abc1234567"
    requests: list[dict[str, Any]] = field(default_factory=list)
    _failures: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def fail_next(self, code: str, times: int = 1) -> None:
        """Answer the next queries with an error, for example "ThrottlingException"."""
        _status(self.product, code)
        self._failures += [code] * times

    def client(self, **config: Any) -> Any:
        """A boto3 client with dummy keys.

        Args:
            **config: More of botocore's `Config`; without it nothing is tried again.
        """
        import boto3
        from botocore.config import Config

        # Otherwise botocore puts the graph's identifier in front of the host's name.
        defaults = {"inject_host_prefix": False, "retries": {"total_max_attempts": 1}}
        return boto3.client(
            SERVICES[self.product],
            region_name=REGION,
            endpoint_url=self.url,
            config=Config(**{**defaults, **config}),
            **KEYS,
        )

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> dict[str, Any]:
        """Answer one request.

        Raises:
            _ServiceError: As Neptune does.
        """
        scope = rf"AWS4-HMAC-SHA256 Credential=\S+/{SIGNED_FOR[self.product]}/aws4_request"
        if not re.match(scope, headers.get("Authorization", "")):
            raise _ServiceError("AccessDeniedException", "Missing Authentication Token")
        analytics = self.product == "analytics"
        if analytics and headers.get("graphIdentifier") != self.graph_identifier:
            raise _ServiceError("ResourceNotFoundException", "Graph not found")
        match method, path:
            case ("GET", "/summary") if analytics:
                return {"version": "v1", "graphSummary": self.engine.summary()}
            case ("GET", "/propertygraph/statistics/summary") if not analytics:
                payload = {"version": "v1", "graphSummary": self.engine.summary()}
                return {"status": "200 OK", "payload": payload}
            case ("POST", "/queries") if analytics:
                return self._run(json.loads(body))
            case ("POST", "/opencypher") if not analytics:
                return self._run(json.loads(body))
        raise _ServiceError("ValidationException", f"Nothing is served at {method} {path}")

    def _run(self, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(body)
        if self._failures:
            raise _ServiceError(self._failures.pop(0), "As the test wished")
        if self.product == "analytics":
            if body.get("language") != "OPEN_CYPHER":
                raise _ServiceError("ValidationException", "Unknown language")
            parameters = body.get("parameters", {})
        else:
            parameters = json.loads(body.get("parameters", "{}"))
        try:
            return {"results": self.engine.run(body["query"], parameters)}
        except Refusal as refusal:
            code = REFUSALS[self.product][refusal.kind]
            raise _ServiceError(code, str(refusal)) from refusal


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two packets: without it each answer would wait for an acknowledgement.
    disable_nagle_algorithm = True
    endpoint: NeptuneEndpoint

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        try:
            answer = self.endpoint.answer(self.command, path, self.headers, body)
            self._send(200, answer)
        except _ServiceError as error:
            product, code = self.endpoint.product, error.code
            if product == "analytics":
                headers = {"x-amzn-ErrorType": code}
                self._send(_status(product, code), {"message": str(error)}, headers)
            else:
                texts = dict.fromkeys(("detailedMessage", "message"), str(error))
                shape = {"requestId": str(uuid.uuid4()), "code": code, **texts}
                self._send(_status(product, code), shape)

    do_GET = do_POST = _serve

    def _send(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@cache
def _status(product: str, code: str) -> int:
    """The HTTP status that botocore's model of the service gives an error."""
    from botocore.session import Session

    model = Session().get_service_model(SERVICES[product])
    for shape in model.error_shapes:
        if shape.error_code == code:
            return int(shape.metadata["error"]["httpStatusCode"])
    raise ValueError(f"{SERVICES[product]} has no {code}")


@contextmanager
def running_neptune(product: str, folder: Path) -> Iterator[NeptuneEndpoint]:
    """Serve an empty database until the block ends."""
    engine = NeptuneCypher(product, folder)

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.endpoint = endpoint = NeptuneEndpoint(product, engine, server.server_port)
    # Clients keep their connections: the end must not wait for them.
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        engine.close()


@pytest.fixture
def neptune_analytics(tmp_path: Path) -> Iterator[NeptuneEndpoint]:
    """An empty graph of Neptune Analytics."""
    folder = tmp_path / "neptune-analytics"
    folder.mkdir()
    with running_neptune("analytics", folder) as endpoint:
        yield endpoint


@pytest.fixture
def neptune_database(tmp_path: Path) -> Iterator[NeptuneEndpoint]:
    """An empty Neptune Database."""
    folder = tmp_path / "neptune-database"
    folder.mkdir()
    with running_neptune("database", folder) as endpoint:
        yield endpoint
