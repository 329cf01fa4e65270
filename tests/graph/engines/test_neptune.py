"""The Neptune engines: on endpoints that answer as Neptune does, and before a failing gateway."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mem0_integrations import BackendError, ClosedError, ConfigurationError
from mem0_integrations.graph.config import graph_from_config
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query
from mem0_integrations.graph.engines.neptune import (
    NeptuneAnalyticsEngine,
    NeptuneDatabaseEngine,
    neptune_engine,
)
from tests.servers.neptune import KEYS, REGION, NeptuneEndpoint
from tests.stores import nothing_on_the_loop

PROBE = Batch([Query("RETURN 1 AS one")])
GOOD = b'{"results": [{"one": 1}]}'
# A busy machine must not run into a time-out that a test is not about.
PATIENCE = 20.0
ENGINES: dict[str, Callable[[int, float], GraphEngine]] = {
    "analytics": lambda port, timeout: NeptuneAnalyticsEngine(
        "g-abc1234567", region_name=REGION, endpoint_url=f"http://127.0.0.1:{port}", timeout=timeout
    ),
    "database": lambda port, timeout: NeptuneDatabaseEngine(
        "127.0.0.1", port=port, use_https=False, region_name=REGION, timeout=timeout
    ),
}


def engine_of(endpoint: NeptuneEndpoint) -> GraphEngine:
    if endpoint.product == "analytics":
        return NeptuneAnalyticsEngine(endpoint.graph_identifier, client=endpoint.client())
    return NeptuneDatabaseEngine(endpoint.host, client=endpoint.client())


@dataclass
class Gateway:
    """What stands before Neptune: sends the same answer a number of times, then a good one."""

    port: int = 0
    status: int = 200
    body: bytes = GOOD
    promised: int = 0
    times: int = 0
    requests: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    """Set by the first request."""
    answers: threading.Event = field(default_factory=threading.Event)
    """Wrong answers wait for it."""

    def __post_init__(self) -> None:
        self.answers.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gateway: Gateway

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        gateway = self.gateway
        gateway.requests += 1
        wrong = gateway.requests <= gateway.times
        gateway.asked.set()
        if wrong:
            gateway.answers.wait(PATIENCE)
        body = gateway.body if wrong else GOOD
        self.send_response(gateway.status if wrong else 200)
        self.send_header("Content-Length", str(max(gateway.promised * wrong, len(body))))
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(body)
        self.close_connection = wrong

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in KEYS.items():
        monkeypatch.setenv(key.upper(), value)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    class Handler(_Handler):
        gateway = Gateway()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    Handler.gateway.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Handler.gateway
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[GraphEngine]:
    engine = ENGINES[request.param](gateway.port, PATIENCE)
    yield engine
    engine.close()


@pytest.fixture(params=["neptune_analytics", "neptune_database"])
def endpoint(request: pytest.FixtureRequest) -> NeptuneEndpoint:
    found: NeptuneEndpoint = request.getfixturevalue(request.param)
    return found


async def test_both_ways_return_rows(endpoint: NeptuneEndpoint) -> None:
    """One request for each query, and never on the event loop: boto3 blocks.

    Parameters are an object in one product, and text in the other.
    """
    probe = Batch([Query("RETURN $value AS value", {"value": "a"}), *PROBE.queries])
    engine = engine_of(endpoint)
    rows = [[{"value": "a"}], [{"one": 1}]]
    assert engine.run(probe) == rows
    with nothing_on_the_loop(type(engine), "run"):
        assert await engine.arun(probe) == rows
    first, second = endpoint.requests[:2]
    assert first["query"] == "RETURN $value AS value"
    if endpoint.product == "analytics":
        assert (first["parameters"], first["language"]) == ({"value": "a"}, "OPEN_CYPHER")
    else:
        assert json.loads(first["parameters"]) == {"value": "a"}
        assert "parameters" not in second


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 503, "body": b"<html>busy</html>"},
        {"status": 502, "body": b""},
        {"body": b'{"results": [', "promised": 1000},
        {"body": b"<html>Maintenance</html>"},
    ],
    ids=["unavailable", "bad gateway", "breaks off", "another page"],
)
def test_what_a_gateway_answers_passes(
    engine: GraphEngine, gateway: Gateway, wrong: dict[str, object]
) -> None:
    """A turn must not be given up because a load balancer was restarted."""
    for name, value in wrong.items():
        setattr(gateway, name, value)
    gateway.times = 2
    assert engine.run(PROBE) == [[{"one": 1}]]
    gateway.requests, gateway.times = 0, 100
    with pytest.raises(BackendError) as caught:
        engine.run(PROBE)
    assert caught.value.retryable
    assert gateway.requests <= 10


@pytest.mark.parametrize("product", ENGINES)
def test_a_server_that_does_not_answer(product: str, gateway: Gateway) -> None:
    """There is an end to it, and it may pass."""
    gateway.times = 100
    gateway.answers.clear()
    engine = ENGINES[product](gateway.port, 0.5)
    with closing(engine), pytest.raises(BackendError, match="Timeout") as caught:
        # It does not answer before this has ended.
        engine.run(PROBE)
    gateway.answers.set()
    assert caught.value.retryable


def test_a_page_of_a_login_does_not_pass(engine: GraphEngine, gateway: Gateway) -> None:
    """Who is not let in asks once."""
    gateway.status, gateway.body, gateway.times = 403, b"<html>Who are you?</html>", 100
    with pytest.raises(BackendError, match="403") as caught:
        engine.run(PROBE)
    assert not caught.value.retryable
    assert gateway.requests == 1


def test_many_threads_use_it_first(engine: GraphEngine) -> None:
    """Making clients of boto3 at once is not safe: one is made."""
    barrier, errors = threading.Barrier(8), list[BaseException]()

    def use() -> None:
        barrier.wait()
        try:
            engine.run(PROBE)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_close_ends_what_is_tried_again(engine: GraphEngine, gateway: Gateway) -> None:
    """Nothing is sent once the memory is closed."""
    gateway.status, gateway.body, gateway.times = 503, b"", 100
    gateway.answers.clear()

    def close() -> None:
        assert gateway.asked.wait(PATIENCE)
        engine.close()
        gateway.answers.set()

    closing_thread = threading.Thread(target=close)
    closing_thread.start()
    with pytest.raises(ClosedError):
        engine.run(PROBE)
    closing_thread.join()
    asked = gateway.requests
    with pytest.raises(ClosedError):
        engine.run(PROBE)
    assert gateway.requests == asked


async def test_a_closed_engine_refuses_both_ways(engine: GraphEngine) -> None:
    """And may be closed twice."""
    engine.run(PROBE)
    engine.close()
    await engine.aclose()
    with pytest.raises(ClosedError):
        engine.run(PROBE)
    with pytest.raises(ClosedError):
        await engine.arun(PROBE)


def test_a_client_of_ones_own_stays_open(neptune_analytics: NeptuneEndpoint) -> None:
    """Applications share it."""
    client = neptune_analytics.client()
    engine = NeptuneAnalyticsEngine(neptune_analytics.graph_identifier, client=client)
    engine.run(PROBE)
    engine.close()
    again = NeptuneAnalyticsEngine(neptune_analytics.graph_identifier, client=client)
    assert again.run(PROBE) == [[{"one": 1}]]
    again.close()


@pytest.mark.parametrize(
    ("product", "code"),
    [
        ("neptune_analytics", "ThrottlingException"),
        ("neptune_analytics", "ConflictException"),
        ("neptune_database", "CancelledByMaintenanceException"),
        ("neptune_database", "ConcurrentModificationException"),
        ("neptune_database", "ConstraintViolationException"),
        ("neptune_database", "InternalFailureException"),
        ("neptune_database", "MemoryLimitExceededException"),
        ("neptune_database", "ReadOnlyViolationException"),
        ("neptune_database", "ServerShutdownException"),
        ("neptune_database", "ThrottlingException"),
        ("neptune_database", "TooManyRequestsException"),
    ],
)
def test_what_neptune_calls_retryable(
    request: pytest.FixtureRequest, product: str, code: str
) -> None:
    """A conflict, a failover or maintenance of the cluster must not cost a turn."""
    endpoint: NeptuneEndpoint = request.getfixturevalue(product)
    endpoint.fail_next(code, 2)
    assert engine_of(endpoint).run(PROBE) == [[{"one": 1}]]
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize(
    ("product", "code"),
    [
        ("neptune_analytics", "UnprocessableException"),
        ("neptune_analytics", "AccessDeniedException"),
        ("neptune_database", "MalformedQueryException"),
        ("neptune_database", "AccessDeniedException"),
    ],
)
def test_what_neptune_calls_final(request: pytest.FixtureRequest, product: str, code: str) -> None:
    """Asked again, it would answer the same."""
    endpoint: NeptuneEndpoint = request.getfixturevalue(product)
    endpoint.fail_next(code)
    with pytest.raises(BackendError, match=code) as caught:
        engine_of(endpoint).run(PROBE)
    assert not caught.value.retryable
    assert len(endpoint.requests) == 1


def test_a_mistake_is_not_tried_again(endpoint: NeptuneEndpoint) -> None:
    """And the error does not quote what may be somebody's data."""
    with pytest.raises(BackendError) as caught:
        engine_of(endpoint).run(Batch([Query("MATCH (secret RETURN 1")]))
    assert not caught.value.retryable
    assert "secret" not in str(caught.value)
    assert len(endpoint.requests) == 1


def test_a_client_of_our_own_is_signed(endpoint: NeptuneEndpoint) -> None:
    """With the credentials of the environment, as boto3 finds them."""
    engine: GraphEngine = (
        NeptuneAnalyticsEngine(
            endpoint.graph_identifier, region_name=REGION, endpoint_url=endpoint.url
        )
        if endpoint.product == "analytics"
        else NeptuneDatabaseEngine(
            endpoint.host, port=endpoint.port, use_https=False, region_name=REGION
        )
    )
    assert engine.run(PROBE)
    assert endpoint.product in engine.describe().lower()
    engine.close()
    with pytest.raises(ClosedError):
        engine.run(PROBE)


def test_an_unsigned_request_is_refused(neptune_database: NeptuneEndpoint) -> None:
    """`sign=False` is for clusters without IAM; this one has it."""
    engine = NeptuneDatabaseEngine(
        neptune_database.host,
        port=neptune_database.port,
        use_https=False,
        sign=False,
        region_name=REGION,
    )
    with pytest.raises(BackendError, match="AccessDenied"):
        engine.run(PROBE)
    engine.close()


def test_nothing_listens() -> None:
    """An error that may pass."""
    engine = NeptuneDatabaseEngine(
        "127.0.0.1", port=9, use_https=False, sign=False, region_name=REGION, timeout=0.3
    )
    with pytest.raises(BackendError) as caught:
        engine.run(PROBE)
    assert caught.value.retryable
    engine.close()


def test_no_key_is_shown(engine: GraphEngine, gateway: Gateway) -> None:
    """Neither by the engine nor by its errors."""
    gateway.status, gateway.body, gateway.times = 403, b"", 100
    with pytest.raises(BackendError) as caught:
        engine.run(PROBE)
    assert KEYS["aws_secret_access_key"] not in f"{caught.value} {engine!r} {vars(engine)}"


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, at the first use."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    engine = NeptuneAnalyticsEngine("g-abc1234567")
    with pytest.raises(BackendError, match="NoRegion") as caught:
        engine.run(PROBE)
    assert not caught.value.retryable
    engine.close()


def test_a_host_that_is_none() -> None:
    """boto3 refuses the address."""
    engine = NeptuneDatabaseEngine("", region_name=REGION)
    with pytest.raises(ConfigurationError):
        engine.run(PROBE)
    engine.close()


def test_endpoints_as_mem0_spells_them() -> None:
    """The config of Mem0's integration guide, `app_id` included."""
    analytics = neptune_engine("neptune-graph://g-1", region_name=REGION)
    assert isinstance(analytics, NeptuneAnalyticsEngine)
    database = neptune_engine("neptune-db://cluster.aws:9999", region_name=REGION)
    assert isinstance(database, NeptuneDatabaseEngine)
    assert (database.host, database.port) == ("cluster.aws", 9999)
    config = {"endpoint": "neptune-graph://g-1", "app_id": "Mem0", "region_name": REGION}
    graph = graph_from_config({"provider": "neptune", "config": config}, Path())
    assert isinstance(graph.engine, NeptuneAnalyticsEngine)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "g-1",
        "https://cluster",
        "neptune-graph://",
        "neptune-db://",
        "neptune-db://host:port",
        "neptune-db://host:8182/",
        "neptune-db://somebody:secret@host",
        "neptune-graph://g-1/../g-2",
        "neptune-graph://g-1\n",
        "NEPTUNE-GRAPH://g-1",
    ],
)
def test_endpoints_that_are_none(wrong: str) -> None:
    """The engine's own error, not one of a parser."""
    with pytest.raises(ConfigurationError, match="neptune-db://"):
        neptune_engine(wrong)
