"""The Neo4j engine on a real server: transactions, event loops, failures."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import neo4j
import pytest

from mem0_integrations import BackendError, ClosedError, ConfigurationError
from mem0_integrations.graph.cypher import OWNER_INDEXES, SCHEMA
from mem0_integrations.graph.engines.base import Batch, Statement
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.graph.servers import engine_of
from tests.servers.neo4j import BoltServer

PROBE = Batch([Statement("RETURN $value AS value", {"value": ["a", 1, None, True]})])


@pytest.fixture
def engine(bolt_server: BoltServer) -> Iterator[Neo4jEngine]:
    engine = engine_of(bolt_server)
    yield engine
    engine.close()


async def test_both_ways_return_rows(engine: Neo4jEngine) -> None:
    """The driver's types stay within the engine."""
    rows = [[{"value": ["a", 1, None, True]}]]
    assert engine.run(PROBE) == rows
    assert await engine.arun(PROBE) == rows
    await engine.aclose()


def test_a_batch_is_one_transaction(engine: Neo4jEngine, user: str) -> None:
    """Half a projection would be a graph that says what no memory says."""
    create = Statement("CREATE (n:Probe {name: $name})", {"name": user})
    with pytest.raises(BackendError):
        engine.run(Batch([create, Statement("RETURN 1 / 0 AS wrong")], write=True))
    count = Statement("MATCH (n:Probe {name: $name}) RETURN count(n) AS n", {"name": user})
    assert engine.run(Batch([count])) == [[{"n": 0}]]


def test_a_read_cannot_write(engine: Neo4jEngine, bolt_server: BoltServer) -> None:
    """A reader on a cluster must be able to ask a follower."""
    if not bolt_server.real:
        pytest.skip(f"{bolt_server.product} lets a read write")
    with pytest.raises(BackendError):
        engine.run(Batch([Statement("CREATE (n:Probe)")]))


def test_the_schema_is_prepared_as_often_as_one_likes(engine: Neo4jEngine) -> None:
    """Every process prepares it when it first writes."""
    for _ in range(2):
        engine.prepare([*SCHEMA, *OWNER_INDEXES])


def test_one_node_is_created_once_by_many(engine: Neo4jEngine, user: str) -> None:
    """Whoever comes second finds it, and is not told of a violated constraint."""
    engine.prepare(SCHEMA)
    merge = Statement("MERGE (n:Entity {`~id`: $id}) RETURN n.id AS id", {"id": user})
    errors: list[Exception] = []

    def create() -> None:
        try:
            engine.run(Batch([merge], write=True))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = Statement("MATCH (n:Entity {`~id`: $id}) RETURN count(n) AS n", {"id": user})
    assert engine.run(Batch([found])) == [[{"n": 1}]]
    engine.run(
        Batch([Statement("MATCH (n:Entity {`~id`: $id}) DELETE n", {"id": user})], write=True)
    )


def test_every_event_loop_has_connections_of_its_own(bolt_server: BoltServer) -> None:
    """Web servers and notebooks start loops as they like; none may break another."""
    engine = engine_of(bolt_server)
    for _ in range(3):
        assert asyncio.run(engine.arun(PROBE)) == engine.run(PROBE)
    engine.close()


def test_wrong_credentials_do_not_pass_and_are_not_shown(bolt_server: BoltServer) -> None:
    """Nobody shall find a password in a log."""
    engine = engine_of(bolt_server, password="not-the-password")
    with pytest.raises(BackendError, match="username and password") as caught:
        engine.run(PROBE)
    assert not caught.value.retryable
    assert "not-the-password" not in f"{caught.value} {engine!r}"
    engine.close()


def test_a_database_that_is_not_there_is_named(bolt_server: BoltServer) -> None:
    """`database` is honoured."""
    engine = engine_of(bolt_server, database="elsewhere")
    with pytest.raises(BackendError, match="DatabaseNotFound"):
        engine.run(PROBE)
    engine.close()


def test_nothing_listens() -> None:
    """An error within the time-out, and one that may pass."""
    engine = Neo4jEngine("bolt://127.0.0.1:9", timeout=1.0)
    began = time.monotonic()
    with pytest.raises(BackendError) as caught:
        engine.run(PROBE)
    assert caught.value.retryable
    assert time.monotonic() - began < 60
    engine.close()


def test_what_it_is(engine: Neo4jEngine, bolt_server: BoltServer) -> None:
    """For `doctor`."""
    shown = engine.describe()
    assert str(bolt_server.port) in shown
    assert bolt_server.database in shown
    if bolt_server.real:
        assert bolt_server.product in shown


def test_a_driver_of_ones_own_stays_open(bolt_server: BoltServer) -> None:
    """Applications that have one share it."""
    with neo4j.GraphDatabase.driver(
        bolt_server.url, auth=(bolt_server.username, bolt_server.password)
    ) as driver:
        engine = Neo4jEngine(driver=driver, database=bolt_server.database)
        assert engine.run(PROBE) == asyncio.run(engine.arun(PROBE))
        engine.close()
        driver.verify_connectivity()


def test_after_close_nothing_runs(bolt_server: BoltServer) -> None:
    """A closed engine must not connect again."""
    engine = engine_of(bolt_server)
    engine.close()
    engine.close()
    with pytest.raises(ClosedError):
        engine.run(PROBE)


@pytest.mark.parametrize("settings", [{}, {"url": "ftp://x"}, {"url": "bolt://x", "driver": 1}])
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    """Before the first use."""
    with pytest.raises(ConfigurationError):
        Neo4jEngine(**settings)  # type: ignore[arg-type]
