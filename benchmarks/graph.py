"""The knowledge graph: what it costs a turn and a recall, how fast it fills, how it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import NAMESPACE_OID, uuid5

from benchmarks.common import CONSOLE, USER, median, p95, side_by_side, table
from mem0_integrations import AgentMemory, Memory, Scope, connect
from mem0_integrations.graph import EmbeddedEngine, GraphMemory
from mem0_integrations.graph.engines.base import GraphEngine
from mem0_integrations.graph.engines.neo4j import Neo4jEngine
from tests.servers.neo4j import new_bolt_server

ROUNDS = 100
REST_SECONDS = 0.1
# Before that, a server tells how fast Java gets warm.
WARM_UP = 1_000
MEMORIES = 10_000
EDGES = (1_000, 100_000)
OTHERS = (0, 100, 1_000)
BATCH = 500
ONE_USER = Scope(**USER)
_FAST_START = ("-XX:TieredStopAtLevel", "-Xmx")


@contextmanager
def engines() -> Iterator[dict[str, GraphEngine]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = new_bolt_server(folder / "server")
        # The tests want a server that starts fast, not one that answers fast.
        server.command = [part for part in server.command if not part.startswith(_FAST_START)]
        server.start()
        stack.callback(server.stop)
        opened: dict[str, GraphEngine] = {
            "embedded": EmbeddedEngine(folder / "graph.kg"),
            server.product: Neo4jEngine(
                server.url,
                username=server.username,
                password=server.password,
                database=server.database,
            ),
        }
        for engine in opened.values():
            stack.callback(engine.close)
        yield opened


@contextmanager
def followed(engine: GraphEngine | None) -> Iterator[AgentMemory]:
    graph = None if engine is None else GraphMemory(engine)
    with (
        TemporaryDirectory() as folder,
        connect("embedded", graph=graph, data_dir=folder, scope=USER) as memory,
    ):
        yield memory


def memory_of(number: int, scope: Scope) -> Memory:
    """A memory with one fact that no other one has, and one that many have."""
    text = f"I like thing number {number}. I have a friend named Person{number % 997} Smith."
    made = str(uuid5(NAMESPACE_OID, f"{scope} {number}"))
    now = datetime.now(UTC)
    return Memory(id=made, text=text, scope=scope, created_at=now, updated_at=now)


def fill(graph: GraphMemory, scope: Scope, memories: int) -> float:
    """Project memories; returns the seconds."""
    began = time.perf_counter()
    for start in range(0, memories, BATCH):
        last = min(start + BATCH, memories)
        graph.sync(scope, [memory_of(number, scope) for number in range(start, last)])
    return time.perf_counter() - began


def turns() -> None:
    result = table(
        "A turn that is remembered, ms (to reach: at most 1 ms more with a graph)",
        "",
        "p50",
        "p95",
        "more than without",
    )
    with engines() as found, ExitStack() as stack:
        memories = {"without a graph": stack.enter_context(followed(None))}
        memories |= {name: stack.enter_context(followed(e)) for name, e in found.items()}

        def remember(memory: AgentMemory) -> Callable[[int], object]:
            return lambda n: memory.remember(f"I like thing number {n}.")

        times: dict[str, list[float]] = {name: [] for name in memories}
        names = list(memories)
        for number in range(-10, ROUNDS):
            # In another order each time: whoever comes second finds warm caches.
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                # Turns come apart; what the graph of the one before does must not hit this one.
                time.sleep(REST_SECONDS)
                began = time.perf_counter()
                remember(memories[name])(number)
                spent = (time.perf_counter() - began) * 1000
                memories[name].flush()
                if number >= 0:
                    times[name].append(spent)
        base = median(times["without a graph"])
        for name, values in times.items():
            result.add_row(
                name, f"{median(values):.2f}", f"{p95(values):.2f}", f"{median(values) - base:+.2f}"
            )
    CONSOLE.print(result)


def bulk() -> None:
    result = table(
        f"{MEMORIES:,} memories of one user projected", "engine", "seconds", "entities/s", "edges/s"
    )
    with engines() as found:
        for name, engine in found.items():
            with followed(engine) as memory:
                seconds = fill(memory.graph, ONE_USER, MEMORIES)
                # Things, people and the user; two facts of each memory.
                entities, edges = MEMORIES + 997 + 1, 2 * MEMORIES
                result.add_row(
                    name, f"{seconds:.1f}", f"{entities / seconds:,.0f}", f"{edges / seconds:,.0f}"
                )
    CONSOLE.print(result)


def recalls() -> None:
    result = table(
        "A recall, p50 ms (to reach: at most 10 ms more with relations, on Neo4j)",
        "edges of the user",
        "without a graph",
        *(column for name in ("embedded", "Neo4j") for column in (name, "more")),
    )
    with engines() as found, ExitStack() as stack:
        memories = [stack.enter_context(followed(None))]
        memories += [stack.enter_context(followed(engine)) for engine in found.values()]
        filled = 0
        for edges in EDGES:
            for memory in memories[1:]:
                for start in range(filled, edges // 2, BATCH):
                    last = min(start + BATCH, edges // 2)
                    memory.graph.sync(
                        ONE_USER, [memory_of(number, ONE_USER) for number in range(start, last)]
                    )
            filled = edges // 2
            for memory in memories:
                memory.remember("I like thing number 7.", key=f"turn at {edges}")
                memory.flush()
            calls: dict[str, Callable[[int], object]] = {
                str(place): lambda n, memory=memory: memory.recall(
                    f"What of Person{n % 997} Smith, do I like thing number {n}?"
                )
                for place, memory in enumerate(memories)
            }
            base, *others = map(
                median, side_by_side(calls, rounds=ROUNDS, warm_up=WARM_UP).values()
            )
            cells = [cell for one in others for cell in (f"{one:.1f}", f"{one - base:+.1f}")]
            result.add_row(f"{edges:,}", f"{base:.1f}", *cells)
    CONSOLE.print(result)


def growth() -> None:
    result = table(
        "Relations of a user with 200 facts, p50 ms, beside other users of 200 facts (flat)",
        "other users",
        "embedded",
        "Neo4j",
    )
    with engines() as found, ExitStack() as stack:
        graphs = [stack.enter_context(followed(engine)).graph for engine in found.values()]
        users = 0
        for graph in graphs:
            fill(graph, ONE_USER, 100)
        for others in OTHERS:
            for graph in graphs:
                for number in range(users, others):
                    fill(graph, Scope(user_id=f"other-{number}"), 100)
            users = others
            calls: dict[str, Callable[[int], object]] = {
                str(place): lambda n, graph=graph: graph.related(
                    f"What of Person{n % 97} Smith?", [memory_of(n % 100, ONE_USER)], scope=ONE_USER
                )
                for place, graph in enumerate(graphs)
            }
            times = side_by_side(calls, rounds=ROUNDS, warm_up=WARM_UP)
            result.add_row(f"{others:,}", *(f"{median(values):.2f}" for values in times.values()))
    CONSOLE.print(result)


def main() -> None:
    turns()
    bulk()
    recalls()
    growth()
