"""The Neo4j engine when it is cut off, misused or refused; on a real server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from mem0_integrations import BackendError, ClosedError, ConfigurationError
from mem0_integrations.graph.cypher import SCHEMA
from mem0_integrations.graph.engines.base import Batch, Statement
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.graph.servers import engine_of
from tests.servers.neo4j import BoltServer

PROBE = Batch([Statement("RETURN 1 AS one")])
ROWS = [[{"one": 1}]]
# Takes seconds.
SLOW = Batch(
    [Statement("UNWIND range(1, 2000) AS a UNWIND range(1, 50000) AS b RETURN count(b) AS n")]
)


@pytest.fixture
def engine(bolt_server: BoltServer) -> Iterator[Neo4jEngine]:
    engine = engine_of(bolt_server)
    yield engine
    engine.close()


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_loops_that_come_and_go_leave_nothing(bolt_server: BoltServer) -> None:
    """Neither an open socket nor a warning of one."""
    engine = engine_of(bolt_server)
    asyncio.run(engine.arun(PROBE))
    before = open_files()
    for _ in range(3):
        assert asyncio.run(engine.arun(PROBE)) == ROWS
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
    with pytest.raises(ClosedError):
        await engine.arun(PROBE)


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
            batch = Batch([Statement(text, {"rows": rows})], write=True)
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
    await asyncio.sleep(1.5)
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(asyncio.gather(*writers), 60)
    assert failures
    assert all(failure.retryable for failure in failures)
    count = Batch([Statement("MATCH (n:Entity) RETURN count(n) AS n, count(DISTINCT n.id) AS ids")])
    assert await engine.arun(count) == [[{"n": 1200, "ids": 1200}]]
    await engine.aclose()


async def test_many_create_one_node_on_the_loop(engine: Neo4jEngine, user: str) -> None:
    """As threads do."""
    await asyncio.to_thread(engine.prepare, SCHEMA)
    merge = Statement("MERGE (n:Entity {`~id`: $id}) RETURN n.id AS id", {"id": user})
    await asyncio.gather(*(engine.arun(Batch([merge], write=True)) for _ in range(8)))
    remove = Statement("MATCH (n:Entity {`~id`: $id}) DELETE n RETURN count(*) AS n", {"id": user})
    assert await engine.arun(Batch([remove], write=True)) == [[{"n": 1}]]


async def test_a_transaction_on_the_loop_is_one(engine: Neo4jEngine, user: str) -> None:
    """The asynchronous driver, too, undoes a batch that fails."""
    create = Statement("CREATE (n:Probe {name: $name})", {"name": user})
    with pytest.raises(BackendError):
        await engine.arun(Batch([create, Statement("RETURN 1 / 0 AS wrong")], write=True))
    count = Statement("MATCH (n:Probe {name: $name}) RETURN count(n) AS n", {"name": user})
    assert await engine.arun(Batch([count])) == [[{"n": 0}]]


@pytest.mark.parametrize("value", ["secret\ud800", 2**70, object(), {1: "secret"}])
async def test_a_parameter_that_cannot_be_sent(engine: Neo4jEngine, value: object) -> None:
    """It is not a matter of the configuration, and is not quoted."""
    batch = Batch([Statement("RETURN $value AS value", {"value": value})])
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


async def test_a_wrong_password_on_the_loop(bolt_server: BoltServer) -> None:
    """Not repeated, not shown."""
    engine = engine_of(bolt_server, password="not-the-password")
    with pytest.raises(BackendError, match="username and password") as caught:
        await engine.arun(PROBE)
    assert not caught.value.retryable
    assert "not-the-password" not in f"{caught.value} {caught.value.__cause__} {engine!r}"
    with pytest.raises(BackendError, match="username and password"):
        engine.prepare(SCHEMA)
    await engine.aclose()


def test_what_the_server_refuses_of_the_schema_is_logged(
    engine: Neo4jEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Not every server has every index; the graph works without."""
    caplog.set_level("INFO", logger="mem0_integrations")
    engine.prepare(["CREATE NOTHING mem0_nothing IF NOT EXISTS", *SCHEMA])
    [record] = [one for one in caplog.records if "mem0_nothing" in one.getMessage()]
    assert record.levelname == "INFO"


def test_an_empty_database_is_no_news(
    engine: Neo4jEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The server would warn of every label that nothing has yet."""
    engine.run(Batch([Statement("MATCH (n:NeverSeen) WHERE n.never = 1 RETURN n.never AS x")]))
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


@pytest.mark.parametrize(
    "settings", [{"password": "s3cret"}, {"timeout": 0}, {"username": "a", "timeout": -1.0}]
)
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    """Before the first use."""
    with pytest.raises(ConfigurationError) as caught:
        Neo4jEngine("bolt://127.0.0.1", **settings)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)
