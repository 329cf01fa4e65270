"""The Neptune engines, on endpoints that answer Neptune's protocol and refuse what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mem0_integrations import BackendError, ClosedError, ConfigurationError
from mem0_integrations.graph.config import graph_from_config
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Statement
from mem0_integrations.graph.engines.neptune import (
    NeptuneAnalyticsEngine,
    NeptuneDatabaseEngine,
    neptune_engine,
)
from tests.servers.neptune import KEYS, REGION, NeptuneEndpoint
from tests.stores import nothing_on_the_loop

PROBE = Batch([Statement("RETURN $value AS value", {"value": "a"}), Statement("RETURN 1 AS one")])


def engine_of(endpoint: NeptuneEndpoint) -> GraphEngine:
    if endpoint.product == "analytics":
        return NeptuneAnalyticsEngine(endpoint.graph_identifier, client=endpoint.client())
    return NeptuneDatabaseEngine(endpoint.host, client=endpoint.client())


@pytest.fixture(params=["neptune_analytics", "neptune_database"])
def endpoint(request: pytest.FixtureRequest) -> NeptuneEndpoint:
    found: NeptuneEndpoint = request.getfixturevalue(request.param)
    return found


async def test_both_ways_return_rows(endpoint: NeptuneEndpoint) -> None:
    """boto3 blocks: never on the event loop."""
    engine = engine_of(endpoint)
    rows = [[{"value": "a"}], [{"one": 1}]]
    assert engine.run(PROBE) == rows
    with nothing_on_the_loop(type(engine), "run"):
        assert await engine.arun(PROBE) == rows


def test_what_goes_over_the_wire(endpoint: NeptuneEndpoint) -> None:
    """One request for each statement; parameters are an object here, and text there."""
    engine_of(endpoint).run(PROBE)
    first, second = endpoint.requests
    assert first["query"] == "RETURN $value AS value"
    if endpoint.product == "analytics":
        assert (first["parameters"], first["language"]) == ({"value": "a"}, "OPEN_CYPHER")
    else:
        assert json.loads(first["parameters"]) == {"value": "a"}
        assert "parameters" not in second


@pytest.mark.parametrize(
    ("product", "code"),
    [
        ("neptune_analytics", "ThrottlingException"),
        ("neptune_analytics", "ConflictException"),
        ("neptune_database", "ConcurrentModificationException"),
        ("neptune_database", "TooManyRequestsException"),
    ],
)
def test_conflicts_and_throttling_are_tried_again(
    request: pytest.FixtureRequest, product: str, code: str
) -> None:
    """They pass; and if they do not, the error says that they may."""
    endpoint: NeptuneEndpoint = request.getfixturevalue(product)
    engine = engine_of(endpoint)
    endpoint.fail_next(code, 3)
    assert engine.run(PROBE) == [[{"value": "a"}], [{"one": 1}]]
    endpoint.fail_next(code, 5)
    with pytest.raises(BackendError, match=code) as caught:
        engine.run(PROBE)
    assert caught.value.retryable


def test_a_mistake_is_not_tried_again(endpoint: NeptuneEndpoint) -> None:
    """And the error does not quote what may be somebody's data."""
    with pytest.raises(BackendError) as caught:
        engine_of(endpoint).run(Batch([Statement("MATCH (secret RETURN 1")]))
    assert not caught.value.retryable
    assert "secret" not in str(caught.value)
    assert len(endpoint.requests) == 1


def test_a_client_of_our_own_is_signed(
    endpoint: NeptuneEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the credentials of the environment, as boto3 finds them."""
    for key, value in KEYS.items():
        monkeypatch.setenv(key.upper(), value)
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
        "127.0.0.1", port=9, use_https=False, sign=False, region_name=REGION, timeout=1.0
    )
    with pytest.raises(BackendError) as caught:
        engine.run(PROBE)
    assert caught.value.retryable
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
    for wrong in ("", "g-1", "neptune-graph://", "neptune-db://", "https://cluster"):
        with pytest.raises(ConfigurationError, match="neptune-graph://"):
            neptune_engine(wrong)
