"""`Mem0Storage` beside CrewAI's own storages: LanceDB and Qdrant Edge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

# CrewAI reads them when it is imported.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")

from crewai.memory.storage.backend import StorageBackend
from crewai.memory.storage.lancedb_storage import LanceDBStorage
from crewai.memory.storage.qdrant_edge_storage import QdrantEdgeStorage
from crewai.memory.types import MemoryRecord

from benchmarks.common import CONSOLE, Embedder, median, side_by_side, statement, table
from benchmarks.growth import stores
from mem0_integrations.crewai import Mem0Storage

SIZES = (1_000, 50_000)
ROUNDS = 40
BATCH = 1_000
EXTRA = 10_000_000
DIMENSION = 384
NOW = datetime(2026, 11, 1)


@contextmanager
def storages() -> Iterator[dict[str, StorageBackend]]:
    with TemporaryDirectory() as folder, stores(Embedder()) as memories:
        yield {
            **{
                f"Mem0, {name}": Mem0Storage(memories[name], user_id="customer-1")
                for name in ("embedded default", "pgvector (HNSW)")
            },
            "LanceDB": LanceDBStorage(path=str(Path(folder, "lance")), vector_dim=DIMENSION),
            "Qdrant Edge": QdrantEdgeStorage(path=str(Path(folder, "edge")), vector_dim=DIMENSION),
        }


def records(start: int, count: int) -> list[MemoryRecord]:
    vectors = np.random.default_rng(start).standard_normal((count, DIMENSION))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        MemoryRecord(
            id=f"record-{number}",
            content=statement(number),
            scope=f"/crew/team-{number % 10}",
            categories=["even" if number % 2 == 0 else "odd"],
            created_at=NOW + timedelta(seconds=number),
            embedding=unit.tolist(),
        )
        for number, unit in enumerate(units, start)
    ]


def timed(calls: dict[str, Callable[[int], object]], rounds: int) -> list[str]:
    times = side_by_side(calls, rounds=rounds, warm_up=min(3, rounds))
    return [f"{median(values):.1f}" for values in times.values()]


def main() -> None:
    for size in SIZES:
        with storages() as found:
            result = table(
                f"{size:,} records of one user, median ms "
                f"(to reach: a search on the server within LanceDB's time, list, count and delete "
                f"within 2x of it)",
                "operation",
                *found,
            )
            seconds: list[str] = []
            for storage in found.values():
                began = perf_counter()
                for start in range(0, size, BATCH):
                    storage.save(records(start, BATCH))
                seconds.append(f"{(perf_counter() - began) * 1000 / (size / BATCH):.0f}")
            result.add_row(f"save {BATCH:,}", *seconds)
            queries = [record.embedding or [] for record in records(EXTRA, 100)]

            def each(
                call: Callable[[StorageBackend, int], object],
            ) -> dict[str, Callable[[int], object]]:
                return {
                    name: lambda n, storage=storage: call(storage, n)
                    for name, storage in found.items()
                }

            operations: dict[str, tuple[int, Callable[[StorageBackend, int], object]]] = {
                "search": (ROUNDS, lambda storage, n: storage.search(queries[n % 100])),  # noqa: B023
                "search in a scope": (
                    ROUNDS,
                    lambda storage, n: storage.search(queries[n % 100], "/crew/team-3"),  # noqa: B023
                ),
                "save 1": (ROUNDS, lambda storage, n: storage.save(records(EXTRA + n, 1))),
                "list 200": (5, lambda storage, n: storage.list_records(limit=200)),
                "count a scope": (5, lambda storage, n: storage.count("/crew/team-3")),
                "delete 1": (
                    5,
                    lambda storage, n: storage.delete(record_ids=[f"record-{EXTRA + n}"]),
                ),
                "delete a scope": (
                    1,
                    lambda storage, n: storage.delete(scope_prefix=f"/crew/team-{n % 10}"),
                ),
            }
            for operation, (rounds, call) in operations.items():
                result.add_row(operation, *timed(each(call), rounds))
            CONSOLE.print(result)
