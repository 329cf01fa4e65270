"""Whether users wait for one another: lists, recalls, forgetting and one huge turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from benchmarks.common import (
    CONSOLE,
    Embedder,
    fresh_memory,
    median,
    p95,
    question,
    statement,
    table,
)
from benchmarks.growth import fill
from mem0_integrations import AgentMemory

SIZE = 100_000
BATCH = 1_000
FEW = 5
SMALL = 40
ROUNDS = 200
FORGETS = 10
SENTENCES = 80_000
BIG = {"user_id": "big"}


def filled(memory: AgentMemory, embedder: Embedder) -> None:
    known = embedder.embed_documents([statement(number) for number in range(BATCH)])
    for start in range(0, SIZE, BATCH):
        texts = [statement(number) for number in range(start, start + BATCH)]
        fill(memory, BIG["user_id"], texts, known)
    for user in range(SMALL):
        fill(memory, f"small-{user}", [f"{user}: {statement(n)}" for n in range(FEW)], known[:FEW])


def milliseconds(call: Callable[[], object]) -> float:
    began = perf_counter()
    call()
    return (perf_counter() - began) * 1000


def recalled(memory: AgentMemory, number: int) -> float:
    scope = {"user_id": f"small-{SMALL - 1}"}

    def recall() -> None:
        found = memory.recall(question(number), scope=scope)
        if found.degraded:
            raise RuntimeError(found.degraded)

    return milliseconds(recall)


@contextmanager
def recalls(memory: AgentMemory) -> Iterator[list[float]]:
    """Let somebody else recall during the block; yields the milliseconds of each recall."""
    found: list[float] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            found.append(recalled(memory, len(found)))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def main() -> None:
    embedder = Embedder()
    with fresh_memory(embedder=embedder, recall_timeout=60) as memory:
        filled(memory, embedder)
        result = table(
            f"{SIZE:,} memories of one user, {FEW} of each other one", "what", "median ms", "p95 ms"
        )

        def add(what: str, times: list[float]) -> None:
            result.add_row(what, f"{median(times):.1f}", f"{p95(times):.1f}")

        lists: dict[str, dict[str, object]] = {
            "list(limit=10) (to reach: 20)": {},
            "the same, offset=50,000": {"offset": SIZE // 2},
        }
        for what, options in lists.items():
            page = lambda options=options: memory.list(scope=BIG, limit=10, **options)  # noqa: E731
            add(what, [milliseconds(page) for _ in range(20)])
        usual = [recalled(memory, number) for number in range(ROUNDS)]
        add("another user's recall", usual)
        with recalls(memory) as meanwhile:
            forgets = [
                milliseconds(lambda user=user: memory.forget({"user_id": f"small-{user}"}))
                for user in range(FORGETS)
            ]
        add(f"forget {FEW} (to reach: 200)", forgets)
        add("another user's recall meanwhile (to reach: p95 of 2x)", meanwhile)
        # Of a single message, only the beginning is read.
        turn = [
            {
                "role": "user",
                "content": " ".join(f"Fact {n} is so." for n in range(start, start + BATCH)),
            }
            for start in range(0, SENTENCES, BATCH)
        ]
        with recalls(memory) as meanwhile:
            memory.remember(turn, scope={"user_id": "huge"}, background=True)
            while len(meanwhile) < ROUNDS:
                memory.flush(1)
        add(f"the same while a turn of {SENTENCES:,} sentences is stored", meanwhile)
        CONSOLE.print(result)


if __name__ == "__main__":
    main()
