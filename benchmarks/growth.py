"""How a recall grows with the memories of one user, and with those of 100 other users.

And how a process grows with the memories that it has open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from benchmarks.common import CONSOLE, USER, Embedder, median, p95, question, statement, table
from mem0_integrations import AgentMemory, SentenceExtractor, connect
from tests.servers.postgres import running_postgres, with_iterative_scan

SIZES = (100, 1_000, 10_000)
OTHERS = 100
ROUNDS = 40
OPEN = (1, 2, 20)


@contextmanager
def stores(embedder: Embedder) -> Iterator[dict[str, AgentMemory]]:
    common: dict[str, Any] = {
        "embedder": embedder,
        "extractor": SentenceExtractor(),
        "recall_timeout": 60,
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = with_iterative_scan(stack.enter_context(running_postgres()))
        history = {"history_db_path": str(folder / "history.db")}
        targets: dict[str, Any] = {
            "embedded default": "embedded",
            "pgvector (HNSW)": {
                **history,
                "vector_store": {
                    "provider": "pgvector",
                    "config": {"connection_string": url, "collection_name": "memories"},
                },
            },
            "local Qdrant, locked": {
                **history,
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": str(folder / "qdrant"), "on_disk": True},
                },
            },
        }
        yield {
            name: stack.enter_context(connect(target, data_dir=folder, **common))
            for name, target in targets.items()
        }


def fill(memory: AgentMemory, user: str, texts: Sequence[str], vectors: list[list[float]]) -> None:
    time_of_all = datetime.now(UTC).isoformat()
    payloads = [
        {"data": text, "user_id": user, "created_at": time_of_all, "updated_at": time_of_all}
        for text in texts
    ]
    store = memory._backend._memory.vector_store  # type: ignore[attr-defined]
    for start in range(0, len(texts), 500):
        part = slice(start, start + 500)
        store.insert(
            vectors=vectors[part],
            payloads=payloads[part],
            ids=[str(uuid4()) for _ in payloads[part]],
        )


def measure(memory: AgentMemory, embedder: Embedder) -> tuple[list[float], float, float]:
    """Milliseconds of recalls; of which embedding, and the vector store's search, in median."""
    store = memory._backend._memory.vector_store  # type: ignore[attr-defined]
    recalls: list[float] = []
    embedding: list[float] = []
    searches: list[float] = []
    for number in range(ROUNDS):
        embedder.seconds = 0.0
        began = time.perf_counter()
        recall = memory.recall(question(number), scope=USER)
        recalls.append((time.perf_counter() - began) * 1000)
        embedding.append(embedder.seconds * 1000)
        if not recall.memories:
            raise RuntimeError(f"nothing was recalled: {recall.degraded}")
        vector = embedder.embed_query(question(number))
        began = time.perf_counter()
        store.search(query="", vectors=vector, top_k=60, filters=dict(USER))
        searches.append((time.perf_counter() - began) * 1000)
    return recalls, median(embedding), median(searches)


def main() -> None:
    show_open_memories()
    show_recalls()


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def show_open_memories() -> None:
    result = table("Memories open at once", "folders", "resident MB", "the last connect, ms")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for number in range(1, OPEN[-1] + 1):
            began = time.perf_counter()
            memory = stack.enter_context(connect("embedded", data_dir=folder / str(number)))
            took = (time.perf_counter() - began) * 1000
            memory.remember(statement(number), scope=USER)
            if number in OPEN:
                result.add_row(f"{number:,}", f"{resident_megabytes():.0f}", f"{took:.0f}")
    CONSOLE.print(result)


def show_recalls() -> None:
    result = table(
        f"Growth of a recall, {ROUNDS} rounds",
        "store",
        "own memories",
        "others'",
        "median ms",
        "p95 ms",
        "embedding ms",
        "search ms",
        "dominated by",
    )
    texts = [statement(number) for number in range(SIZES[-1])]
    embedder = Embedder()
    vectors = [list(map(float, vector)) for vector in embedder.embed_documents(texts)]
    with stores(embedder) as memories:
        for name, memory in memories.items():
            before = 0
            for size in SIZES:
                fill(memory, "customer-1", texts[before:size], vectors[before:size])
                before = size
                add_row(result, name, size, 0, measure(memory, embedder))
            for other in range(OTHERS):
                part = slice(other * 100, other * 100 + 100)
                fill(memory, f"other-{other}", texts[part], vectors[part])
            others = OTHERS * 100
            add_row(result, name, SIZES[-1], others, measure(memory, embedder))
    CONSOLE.print(result)


def add_row(
    result: Any, name: str, own: int, others: int, figures: tuple[list[float], float, float]
) -> None:
    recalls, embedding, search = figures
    result.add_row(
        name,
        f"{own:,}",
        f"{others:,}",
        f"{median(recalls):.1f}",
        f"{p95(recalls):.1f}",
        f"{embedding:.1f}",
        f"{search:.1f}",
        "the store" if search > embedding else "the embedder",
    )
