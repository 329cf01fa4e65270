"""`Mem0Store` beside LangGraph's own stores, all with the same embedder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from langgraph.store.base import BaseStore, PutOp
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from benchmarks.common import CONSOLE, Embedder, median, question, side_by_side, statement, table
from mem0_integrations import connect
from mem0_integrations.langgraph import Mem0Store

SIZES = (100, 1_000, 10_000)
ROUNDS = 100
ALL_ROUNDS = 5
BATCH = 1_000
EXTRA = 10_000_000
SQLITE = "SqliteStore"


class Prepared(Embedder):
    """Knows the vectors of the items that a store is filled with, and embeds all else."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self._known = dict(zip(texts, super().embed_documents(texts), strict=True))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if all(text in self._known for text in texts):
            return [self._known[text] for text in texts]
        return super().embed_documents(texts)


@contextmanager
def stores(embedder: Embedder) -> Iterator[dict[str, BaseStore]]:
    index = {"dims": 384, "embed": embedder, "fields": ["text"]}
    with (
        TemporaryDirectory() as folder,
        connect("embedded", data_dir=Path(folder, "mem0"), embedder=embedder) as memory,
    ):
        connection = sqlite3.connect(
            Path(folder, "store.db"), check_same_thread=False, isolation_level=None
        )
        # Its index is an extension of SQLite, which not every Python can load.
        searchable = hasattr(connection, "enable_load_extension")
        lite = SqliteStore(connection, index=index if searchable else None)  # type: ignore[arg-type]
        lite.setup()
        yield {
            "Mem0Store": Mem0Store(memory, index={"fields": ["text"]}),
            SQLITE if searchable else f"{SQLITE}, no index": lite,
            "InMemoryStore": InMemoryStore(index=index),  # type: ignore[arg-type]
        }
        connection.close()


def puts(start: int, count: int) -> list[PutOp]:
    return [
        PutOp(("notes", f"user-{number % 10}"), f"{number}", {"text": statement(number)})
        for number in range(start, start + count)
    ]


def filled(embedder: Embedder, size: int) -> dict[str, dict[str, float]]:
    """Fill each store, then time each operation on it; returns milliseconds by operation."""
    figures: dict[str, dict[str, float]] = {}
    with stores(embedder) as found:
        for store in found.values():
            for start in range(0, size, BATCH):
                store.batch(puts(start, min(BATCH, size - start)))
        operations = {
            "get": lambda store, n: store.get(("notes", f"user-{n % 10}"), f"{n % size}"),
            "put": lambda store, n: store.batch(puts(EXTRA + n, 1)),
            "search": lambda store, n: store.search(("notes", "user-3"), query=question(n)),
            "search of all": lambda store, n: store.search(("notes",), query=question(n)),
            "list": lambda store, n: store.search(("notes", "user-3"), limit=10),
            "list of all": lambda store, n: store.search(("notes",), limit=size),
            "namespaces": lambda store, n: store.list_namespaces(prefix=("notes",)),
        }
        for operation, call in operations.items():
            calls = {
                name: lambda n, store=store, call=call: call(store, n)
                for name, store in found.items()
            }
            rounds = ALL_ROUNDS if operation == "list of all" else ROUNDS
            times = side_by_side(calls, rounds=rounds, warm_up=min(rounds, 5))
            figures[operation] = {name: median(values) for name, values in times.items()}
    return figures


def batches(embedder: Embedder) -> dict[str, list[float]]:
    """Seconds that a batch put of many items takes, and the embedder alone, in turns."""
    seconds: dict[str, list[float]] = {}
    for _ in range(3):
        with stores(embedder) as found:
            texts = [statement(number) for number in range(BATCH)]
            began = perf_counter()
            embedder.embed_documents(texts)
            seconds.setdefault("embedder alone", []).append(perf_counter() - began)
            for name, store in found.items():
                began = perf_counter()
                store.batch(puts(0, BATCH))
                seconds.setdefault(name, []).append(perf_counter() - began)
    return seconds


def _names(embedder: Embedder) -> list[str]:
    with stores(embedder) as found:
        return list(found)


def main() -> None:
    embedder = Prepared([statement(number) for number in range(max(SIZES))])
    result = table(
        f"Median ms of one operation, {ROUNDS} rounds (to reach: get within 2x of SqliteStore, "
        f"lists and namespaces within 3x)",
        "operation",
        "items",
        *_names(embedder),
    )
    for size in SIZES:
        for operation, times in filled(embedder, size).items():
            result.add_row(operation, f"{size:,}", *(f"{time:.3f}" for time in times.values()))
    CONSOLE.print(result)
    seconds = {name: median(values) for name, values in batches(Embedder()).items()}
    result = table(
        f"A batch put of {BATCH:,} new items (to reach: 1.3x of the embedder alone)",
        "store",
        "median s of 3",
        "x embedder",
    )
    for name, value in seconds.items():
        result.add_row(name, f"{value:.2f}", f"{value / seconds['embedder alone']:.2f}")
    CONSOLE.print(result)
