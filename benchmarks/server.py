"""The server: what a call through `MemoryClient` adds, many clients at once, and memory in use.

`python -m benchmarks.server FOLDER STORE EMBEDDER` is the server process that is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from langchain_core.embeddings import Embeddings

from benchmarks.common import (
    CONSOLE,
    Embedder,
    fresh_memory,
    median,
    p95,
    question,
    side_by_side,
    statement,
    table,
)
from mem0_integrations import SentenceExtractor, connect
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.tenancy import project_scope
from tests.servers.load import put_under_load
from tests.servers.platform import running_app, serving
from tests.servers.postgres import running_postgres, with_iterative_scan

ROUNDS = 300
MEMORIES = 1_000
CLIENTS = 50
SECONDS = 60
STORED = 100_000
BATCH = 1_000
LIMIT = 5
USER = "customer-1"
USERS = 100
EMBEDDED = "embedded"


class Free(Embeddings):
    """Costs nothing: what the server can do that does not embed by itself."""

    def embed_query(self, text: str) -> list[float]:
        return [*random.Random(text).choices((-1.0, 1.0), k=32), *[0.0] * 352]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return list(map(self.embed_query, texts))


EMBEDDERS: dict[str, type[Embeddings]] = {"MiniLM": Embedder, "none": Free}


def main() -> None:
    CONSOLE.print(round_trips())
    CONSOLE.print(load())
    CONSOLE.print(memory_in_use())


def round_trips() -> Any:
    result = table(
        f"Round trips over loopback, {MEMORIES} memories, {ROUNDS} rounds (to reach: at most "
        f"3 ms more)",
        "call",
        "median ms",
        "p95 ms",
        "ms more",
    )
    with (
        TemporaryDirectory() as folder,
        fresh_memory() as memory,
        serving(memory, Path(folder) / "state.db") as server,
    ):
        project = server.new_project()
        scope = project_scope(project.id, user_id=USER)
        memory.remember_many(map(statement, range(MEMORIES)), scope=scope)
        new, client = itertools.count(MEMORIES), project.client()
        with closing(client.client):
            for calls in (
                {
                    "AgentMemory.recall": lambda n: memory.recall(
                        question(n), scope=scope, limit=LIMIT
                    ),
                    "MemoryClient.search": lambda n: client.search(
                        question(n), filters={"user_id": USER}, top_k=LIMIT
                    ),
                },
                {
                    "AgentMemory.remember(infer=False)": lambda _: memory.remember(
                        statement(next(new)), scope=scope, infer=False
                    ),
                    "MemoryClient.add(infer=False)": lambda _: client.add(
                        statement(next(new)), user_id=USER, infer=False
                    ),
                },
            ):
                times = side_by_side(calls, rounds=ROUNDS)
                base = median(next(iter(times.values())))
                for name, values in times.items():
                    result.add_row(
                        name,
                        f"{median(values):.2f}",
                        f"{p95(values):.2f}",
                        f"{median(values) - base:+.2f}",
                    )
    return result


def load() -> Any:
    result = table(
        f"{CLIENTS} clients at once for {SECONDS} s, client and server on the same cores",
        "endpoint",
        "embedder",
        "requests/s",
        "p50 ms",
        "p95 ms",
        "errors",
        "lost or doubled",
    )
    for embedder in EMBEDDERS:
        with process(EMBEDDED, embedder) as server:
            seen = asyncio.run(
                put_under_load(server.url, server.key, clients=CLIENTS, seconds=SECONDS)
            )
        for endpoint, times in sorted(seen.milliseconds.items()):
            rate = f"{len(times) / seen.seconds:.1f}"
            result.add_row(endpoint, embedder, rate, f"{median(times):.0f}", f"{p95(times):.0f}")
        result.add_row(
            "all",
            embedder,
            f"{seen.requests / seen.seconds:.1f}",
            "",
            "",
            str(len(seen.errors)),
            str(len(seen.wrong)),
            end_section=True,
        )
        for line in [*seen.errors, *seen.wrong][:5]:
            CONSOLE.print(line)
    return result


def memory_in_use() -> Any:
    result = table("The server process on pgvector, MiniLM in it", "after", "MB in use (RSS)")
    with (
        running_postgres() as url,
        process(with_iterative_scan(url), "MiniLM") as server,
        httpx.Client(base_url=server.url, headers=server.headers, timeout=300) as http,
    ):
        result.add_row("start", f"{server.megabytes:.0f}")
        server.store(STORED)
        result.add_row(f"{STORED:,} memories of {USERS} users", f"{server.megabytes:.0f}")
        filters = {"user_id": USER}
        for number in range(100):
            body = {"query": question(number), "filters": filters}
            http.post("/v3/memories/search/", json=body).raise_for_status()
        result.add_row("100 searches", f"{server.megabytes:.0f}")
        http.post("/v3/memories/", json={"filters": filters}).raise_for_status()
        result.add_row("a page of one user's", f"{server.megabytes:.0f}")
        http.post("/v3/memories/", json={"filters": {"user_id": "*"}}).raise_for_status()
        result.add_row("a page of everybody's", f"{server.megabytes:.0f}")
    return result


@dataclass(frozen=True)
class ServerProcess:
    """A server in a process of its own, that can be told to store memories."""

    url: str
    key: str
    process: subprocess.Popen[str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.key}"}

    @property
    def megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kib) / 1024

    def store(self, count: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(count, file=self.process.stdin, flush=True)
        self.process.stdout.readline()


@contextmanager
def process(store: str, embedder: str) -> Iterator[ServerProcess]:
    """Run this module as a server until the block ends."""
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", folder, store, embedder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        assert running.stdin is not None
        yield ServerProcess(**json.loads(running.stdout.readline()), process=running)
        running.stdin.close()
        running.wait()


def serve(folder: str, store: str, embedder: str) -> None:
    """Serve until standard input ends; each line of it is a number of memories to store."""
    target: Any = EMBEDDED
    if store != EMBEDDED:
        config = {"connection_string": store, "collection_name": "memories"}
        target = {
            "history_db_path": f"{folder}/history.db",
            "vector_store": {"provider": "pgvector", "config": config},
        }
    parts: Any = {"embedder": EMBEDDERS[embedder](), "extractor": SentenceExtractor()}
    settings = ServerSettings(state_url=f"sqlite:///{folder}/state.db")
    with (
        connect(target, data_dir=folder, recall_timeout=60, **parts) as memory,
        running_app(create_app(memory, settings)) as server,
    ):
        project = server.new_project()
        print(json.dumps({"url": server.url, "key": project.key}), flush=True)
        for line in sys.stdin:
            for user in range(USERS):
                scope = project_scope(project.id, user_id=f"customer-{user}")
                texts = map(statement, range(user, int(line), USERS))
                memory.remember_many(texts, scope=scope, batch_size=BATCH)
            print("stored", flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
