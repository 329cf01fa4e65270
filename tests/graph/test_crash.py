"""Nothing lost between memories and graph: killed processes, and a database that goes away."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mem0_integrations import AgentMemory, Scope, connect
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.servers.neo4j import BoltServer

TURNS = 90
KILLS = 4
WORKER = Path(__file__).with_name("crash_worker.py")
CUSTOMERS = [Scope(user_id=f"customer-{number}") for number in range(3)]


def accepted_until_killed(folder: Path, first: int, after: int) -> int:
    """Run the worker, kill it once it has accepted `after` turns; returns the last one."""
    command = [sys.executable, str(WORKER), str(folder), str(first), str(TURNS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        accepted = first - 1
        for count, line in enumerate(worker.stdout, start=1):
            accepted = int(line)
            if count == after:
                worker.kill()
        worker.wait()
    return accepted


def agree(memory: AgentMemory, scope: Scope) -> int:
    """Check that the graph says what the memories say; returns how many facts it has."""
    memories = {found.id: found.text for found in memory.list(scope=scope, limit=1_000)}
    facts = memory.graph.relations(scope=scope, limit=1_000)
    supported = {
        memory_id: f"I like {fact.target}." for fact in facts for memory_id in fact.memory_ids
    }
    assert supported == memories
    return len(facts)


@pytest.mark.timeout(300)
def test_memories_and_graph_agree_after_some_deaths(data_dir: Path) -> None:
    """Killed between a memory and its graph, again and again."""
    moments = random.Random(5261)
    accepted = -1
    for kill in range(KILLS):
        first = max(0, accepted - 2)
        share = (TURNS - first) // (KILLS - kill)
        moment = moments.randint(1, max(1, share))
        accepted = max(accepted, accepted_until_killed(data_dir, first, moment))
    accepted_until_killed(data_dir, max(0, accepted - 2), TURNS + 1)
    with connect(graph=True) as memory:
        assert memory.flush(60)
        assert sum(agree(memory, scope) for scope in CUSTOMERS) == TURNS


@pytest.mark.timeout(300)
def test_a_database_that_stops_while_it_is_written_misses_nothing(
    data_dir: Path, another_bolt_server: Callable[[], BoltServer]
) -> None:
    """The outbox holds what the graph has to look at until it is back."""
    server = another_bolt_server()
    engine = Neo4jEngine(
        server.url,
        username=server.username,
        password=server.password,
        database=server.database,
        timeout=3.0,
    )
    graph = GraphMemory(engine)
    with connect(graph=graph) as memory:
        written = threading.Thread(target=write, args=(memory,))
        written.start()
        server.stop()
        written.join(60)
        assert not memory.flush(0.1)
        server.start()
        assert memory.flush(120)
        assert sum(agree(memory, scope) for scope in CUSTOMERS) == 60
    graph.close()


def write(memory: AgentMemory) -> None:
    for number in range(60):
        result = memory.remember(f"I like thing number {number}.", scope=CUSTOMERS[number % 3])
        assert result.status == "stored"
