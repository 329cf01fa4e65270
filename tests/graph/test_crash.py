"""Nothing lost between memories and graph: killed processes, and a database that goes away."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mem0_integrations import AgentMemory, Scope, connect
from mem0_integrations.graph import GraphMemory
from tests.graph.servers import engine_of
from tests.killed import accepted_until_killed
from tests.servers.neo4j import BoltServer

TURNS = 90
KILLS = 4
WORKER = Path(__file__).with_name("crash_worker.py")
CUSTOMERS = [Scope(user_id=f"customer-{number}") for number in range(3)]


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
        accepted = max(accepted, accepted_until_killed(WORKER, data_dir, first, TURNS, moment))
    accepted_until_killed(WORKER, data_dir, max(0, accepted - 2), TURNS, TURNS + 1)
    with connect(graph=True) as memory:
        assert memory.flush(60)
        assert sum(agree(memory, scope) for scope in CUSTOMERS) == TURNS


@pytest.mark.timeout(300)
def test_a_database_that_stops_while_it_is_written_misses_nothing(
    data_dir: Path, another_bolt_server: Callable[[], BoltServer]
) -> None:
    """The outbox holds what the graph has to look at until it is back."""
    server = another_bolt_server()
    engine = engine_of(server, timeout=3.0)
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
