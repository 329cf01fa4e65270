"""The Neo4j engine on a real server: transactions, event loops, failures, refusals."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import neo4j
import pytest

from mem0_integrations import BackendError, ClosedError, ConfigurationError
from mem0_integrations.graph.cypher import OWNER_INDEXES, SCHEMA
from mem0_integrations.graph.engines.base import Batch, Query
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.graph.servers import engine_of
from tests.servers.neo4j import BoltServer

PROBE = Batch([Query("RETURN 1 AS one")])
ROWS = [[{"one": 1}]]
# Takes seconds.
SLOW = Batch([Query("UNWIND range(1, 2000) AS a UNWIND range(1, 50000) AS b RETURN count(b) AS n")])


@pytest.fixture
def engine(bolt_server: BoltServer) -> Iterator[Neo4jEngine]:
    engine = engine_of(bolt_server)
    yield engine
    engine.close()


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def test_both_ways_return_rows(engine: Neo4jEngine) -> None:
    """The driver's types stay within the engine."""
    probe = Batch([Query("RETURN $value AS value", {"value": ["a", 1, None, True]})])
    rows = [[{"value": ["a", 1, None, True]}]]
    assert engine.run(probe) == rows
    assert await engine.arun(probe) == rows
    await engine.aclose()


async def test_a_batch_is_one_transaction(engine: Neo4jEngine, user: str) -> None:
    """Half a projection would be a graph that says what no memory says."""
    create = Query("CREATE (n:Probe {name: $name})", {"name": user})
    half = Batch([create, Query("RETURN 1 / 0 AS wrong")], write=True)
    with pytest.raises(BackendError):
        engine.run(half)
    with pytest.raises(BackendError):
        await engine.arun(half)
    count = Query("MATCH (n:Probe {name: $name}) RETURN count(n) AS n", {"name": user})
    assert engine.run(Batch([count])) == [[{"n": 0}]]


def test_a_read_cannot_write(engine: Neo4jEngine, bolt_server: BoltServer) -> None:
    """A reader on a cluster must be able to ask a follower."""
    if not bolt_server.real:
        pytest.skip(f"{bolt_server.product} lets a read write")
    with pytest.raises(BackendError):
        engine.run(Batch([Query("CREATE (n:Probe)")]))


async def test_one_node_is_created_once_by_many(engine: Neo4jEngine, user: str) -> None:
    """Whoever comes second finds it, and is not told of a violated constraint."""
    await asyncio.to_thread(engine.prepare, SCHEMA)
    merge = Query("MERGE (n:Entity {`~id`: $id}) RETURN n.id AS id", {"id": user})
    create = Batch([merge], write=True)
    await asyncio.gather(
        *(asyncio.to_thread(engine.run, create) for _ in range(8)),
        *(engine.arun(create) for _ in range(8)),
    )
    remove = Query("MATCH (n:Entity {`~id`: $id}) DELETE n RETURN count(*) AS n", {"id": user})
    assert await engine.arun(Batch([remove], write=True)) == [[{"n": 1}]]


def test_loops_that_come_and_go_leave_nothing(bolt_server: BoltServer) -> None:
    """Each has connections of its own, and leaves neither an open socket nor a warning of one."""
    engine = engine_of(bolt_server)
    assert asyncio.run(engine.arun(PROBE)) == engine.run(PROBE)
    before = open_files()
    for _ in range(3):
        assert asyncio.run(engine.arun(PROBE)) == engine.run(PROBE) == ROWS
    assert open_files() <= before
    engine.close()
    assert open_files() < before


async def test_loops_in_several_threads(engine: Neo4jEngine) -> None:
    """Each request of a web server may have a loop of its own."""
    found = await asyncio.gather(
        *(asyncio.to_thread(asyncio.run, engine.arun(PROBE)) for _ in range(4)), engine.arun(PROBE)
    )
    assert found == [ROWS] * 5


async def test_close_ends_what_runs(bolt_server: BoltServer) -> None:
    """Whoever waits is told so, and does not wait for ever."""
    engine = engine_of(bolt_server)
    await engine.arun(PROBE)
    waiting = [
        asyncio.ensure_future(engine.arun(SLOW)),
        asyncio.ensure_future(asyncio.to_thread(engine.run, SLOW)),
    ]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    await engine.aclose()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(result) for result in results] == [ClosedError, ClosedError]
    assert time.monotonic() - began < 15
    engine.close()
    with pytest.raises(ClosedError):
        await engine.arun(PROBE)
    with pytest.raises(ClosedError):
        engine.run(PROBE)


async def test_who_stops_waiting_blocks_nobody(
    engine: Neo4jEngine, bolt_server: BoltServer
) -> None:
    """A recall that takes too long is cancelled; its connection is not used half read."""
    if not bolt_server.real:
        pytest.skip(f"{bolt_server.product} goes on with what nobody waits for")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.arun(SLOW), 0.2)
    assert await engine.arun(PROBE) == ROWS
    assert engine.run(PROBE) == ROWS


async def test_a_server_that_hangs(bolt_server: BoltServer) -> None:
    """Waiting can be given up, and the engine still closes."""
    engine = engine_of(bolt_server)
    unconnected = engine_of(bolt_server, timeout=1.0)
    await engine.arun(PROBE)
    assert bolt_server._process is not None
    os.kill(bolt_server._process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.arun(PROBE), 1.0)
        began = time.monotonic()
        await engine.aclose()
        with pytest.raises(BackendError) as caught:
            unconnected.run(PROBE)
        assert time.monotonic() - began < 10
    finally:
        os.kill(bolt_server._process.pid, signal.SIGCONT)
    assert caught.value.retryable
    assert unconnected.run(PROBE) == ROWS
    unconnected.close()


async def test_a_server_that_is_killed_loses_no_write(
    another_bolt_server: Callable[[], BoltServer],
) -> None:
    """What was acknowledged is there; what was not, is repeated until it is, and is there once."""
    server = another_bolt_server()
    engine = engine_of(server, timeout=1.0)
    engine.prepare(SCHEMA)
    failures: list[BackendError] = []

    async def in_a_thread(batch: Batch) -> None:
        await asyncio.to_thread(engine.run, batch)

    async def write(first: int, run: Callable[[Batch], Awaitable[object]]) -> None:
        for number in range(first, first + 40):
            rows = [{"id": f"{number}-{row}"} for row in range(10)]
            text = "UNWIND $rows AS row MERGE (n:Entity {`~id`: row.id})"
            batch = Batch([Query(text, {"rows": rows})], write=True)
            while True:
                try:
                    await run(batch)
                    break
                except BackendError as error:
                    failures.append(error)
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.01)

    writers = [
        asyncio.ensure_future(write(100 * number, run))
        for number, run in enumerate((engine.arun, in_a_thread, engine.arun))
    ]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(asyncio.gather(*writers), 60)
    assert failures
    assert all(failure.retryable for failure in failures)
    count = Batch([Query("MATCH (n:Entity) RETURN count(n) AS n, count(DISTINCT n.id) AS ids")])
    assert await engine.arun(count) == [[{"n": 1200, "ids": 1200}]]
    await engine.aclose()


@pytest.mark.parametrize("value", ["secret\ud800", 2**70, object(), {1: "secret"}])
async def test_a_parameter_that_cannot_be_sent(engine: Neo4jEngine, value: object) -> None:
    """It is not a matter of the configuration, and is not quoted."""
    batch = Batch([Query("RETURN $value AS value", {"value": value})])
    for attempt in (lambda: engine.arun(batch), lambda: asyncio.to_thread(engine.run, batch)):
        with pytest.raises(BackendError, match="parameter") as caught:
            await attempt()
        assert not caught.value.retryable
        assert "secret" not in str(caught.value)
    assert engine.run(PROBE) == ROWS


def test_a_database_that_is_not_there(bolt_server: BoltServer) -> None:
    """Whoever looks for it is told: at the first use, and by `doctor`."""
    engine = engine_of(bolt_server, database="elsewhere")
    for use in (lambda: engine.run(PROBE), lambda: engine.prepare(SCHEMA), engine.describe):
        with pytest.raises(BackendError, match="name of the database, 'elsewhere'") as caught:
            use()
        assert not caught.value.retryable
    engine.close()


async def test_a_wrong_password(bolt_server: BoltServer) -> None:
    """Not repeated, and nobody finds it in a log."""
    engine = engine_of(bolt_server, password="not-the-password")
    for use in (
        lambda: engine.arun(PROBE),
        lambda: asyncio.to_thread(engine.run, PROBE),
        lambda: asyncio.to_thread(engine.prepare, SCHEMA),
    ):
        with pytest.raises(BackendError, match="username and password") as caught:
            await use()
        assert not caught.value.retryable
        assert "not-the-password" not in f"{caught.value} {caught.value.__cause__} {engine!r}"
    await engine.aclose()


def test_what_the_server_refuses_of_the_schema_is_logged(
    engine: Neo4jEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Not every server has every index; the graph works without. Every process prepares it."""
    caplog.set_level("INFO", logger="mem0_integrations")
    for _ in range(2):
        engine.prepare(["CREATE NOTHING mem0_nothing IF NOT EXISTS", *SCHEMA, *OWNER_INDEXES])
    records = [one for one in caplog.records if "mem0_nothing" in one.getMessage()]
    assert [one.levelname for one in records] == ["INFO", "INFO"]


def test_an_empty_database_is_no_news(
    engine: Neo4jEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The server would warn of every label that nothing has yet."""
    engine.run(Batch([Query("MATCH (n:NeverSeen) WHERE n.never = 1 RETURN n.never AS x")]))
    assert [one for one in caplog.records if one.name.startswith("neo4j")] == []


@pytest.mark.parametrize(
    "url",
    [
        "bolt://neo4j:s3cret@127.0.0.1",
        "neo4j+s://neo4j:s3cret@host",
        "bolt://neo4j:s3cret",
        "s3cret",
        "bolt://",
        "bolt://[s3cret",
    ],
)
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    """There may be a password in it; also the cause of an error is logged."""
    with pytest.raises(ConfigurationError, match="neo4j\\+s://host") as caught:
        Neo4jEngine(url)
    assert caught.value.__cause__ is None
    assert "s3cret" not in f"{caught.value}"


def test_nothing_listens() -> None:
    """An error within the time-out, and one that may pass."""
    engine = Neo4jEngine("bolt://127.0.0.1:9", timeout=0.3)
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


@pytest.mark.parametrize(
    "settings",
    [
        {"url": None},
        {"url": "ftp://x"},
        {"driver": 1},
        {"password": "s3cret"},
        {"timeout": 0},
        {"username": "a", "timeout": -1.0},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    """Before the first use."""
    with pytest.raises(ConfigurationError) as caught:
        Neo4jEngine(**{"url": "bolt://127.0.0.1", **settings})  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)
