"""A memory that is dropped without `close` leaves nothing behind but what it accepted."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import filelock
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from mem0_integrations import AgentMemory, SentenceExtractor, concurrency, connect
from mem0_integrations.resources import SharedResources
from tests.servers.platform import serving
from tests.stores import store_config
from tests.switches import PATIENCE

USER = {"user_id": "customer-1"}
CONNECTS = 60
FOLDERS = 6
EMBEDDER = DeterministicFakeEmbedding(size=16)


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("mem0-")}


def until_ended(before: set[threading.Thread]) -> None:
    """Wait until no thread is left of what was opened since then."""
    gc.collect()
    while threads := own_threads() - before:
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), stack_of(thread)


def stack_of(thread: threading.Thread) -> str:
    """Return where a thread is."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame))


@pytest.fixture(autouse=True)
def _no_idle_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for more to do, which is not what is tried here."""
    monkeypatch.setattr(concurrency, "_IDLE_SECONDS", 0.01)


def use(memory: AgentMemory, number: int) -> None:
    """Start what a memory has of threads, and leave a write behind."""
    memory.list()
    memory.recall("What do I own?")
    memory.documents("item").ask(lambda documents: documents.list(("notes",)))
    if memory.has_graph:
        memory.graph.relations(scope=USER)
    accepted = memory.remember(f"I own item {number}.", background=True, infer=False)
    assert accepted.status == "queued"


@pytest.mark.parametrize("way", ["embedded", "graph", "qdrant", "words"])
def test_dropped_memories_leave_no_thread_and_no_lock(way: str, tmp_path: Path) -> None:
    """Code that connects for each request never closes."""
    before = own_threads()

    def open_memory(number: int) -> AgentMemory:
        folder = tmp_path / str(number % FOLDERS)
        target: Any = "embedded"
        if way in ("qdrant", "words"):
            config = store_config("qdrant", folder, 16)
            config["vector_store"]["config"]["collection_name"] = "memories"
            target = config
        return connect(
            target,
            data_dir=folder,
            embedder=EMBEDDER,
            extractor=SentenceExtractor(),
            graph=way == "graph" or None,
            lexical=way == "words" or None,
            scope=USER,
        )

    for number in range(CONNECTS):
        use(open_memory(number), number)
    until_ended(before)
    for path in tmp_path.rglob("*.lock"):
        with filelock.FileLock(path, timeout=0):
            pass
    found: set[str] = set()
    for number in range(FOLDERS):
        with open_memory(number) as memory:
            assert memory.flush(PATIENCE)
            found |= {memory.text for memory in memory.list()}
    assert found == {f"I own item {number}." for number in range(CONNECTS)}


def test_a_memory_of_the_platform_that_is_dropped_leaves_no_thread(tmp_path: Path) -> None:
    """It has an event loop in a thread."""
    with (
        connect("embedded", data_dir=tmp_path / "server", embedder=EMBEDDER) as served,
        serving(served, tmp_path / "state.db") as server,
    ):
        project, before = server.new_project(), own_threads()
        for number in range(5):
            memory = connect(api_key=project.key, host=project.url, data_dir=tmp_path, scope=USER)
            use(memory, number)
            del memory
        until_ended(before)


def test_a_part_in_use_keeps_its_memory_open(tmp_path: Path) -> None:
    """Whoever holds the documents need not hold the memory, too."""
    before = own_threads()
    documents = connect("embedded", data_dir=tmp_path, embedder=EMBEDDER).documents("item")
    gc.collect()
    assert documents.ask(lambda found: found.list(("notes",))) == []
    del documents
    until_ended(before)


def test_a_resource_that_is_being_closed_holds_up_no_other() -> None:
    """Memories of one process share some; to close one may take ten seconds."""
    closing, go_on = threading.Event(), threading.Event()

    def close(resource: str, _: float | None) -> None:
        if resource == "slow":
            closing.set()
            assert go_on.wait(PATIENCE)
            closed.append(resource)

    closed: list[str] = []
    shared: SharedResources[str] = SharedResources(close)
    shared.acquire(1, lambda: "slow")
    thread = threading.Thread(target=shared.release, args=(1, None))
    thread.start()
    assert closing.wait(PATIENCE)
    assert shared.acquire(2, lambda: "other") == "other"
    shared.release(2, None)
    opened: list[str] = []
    again = threading.Thread(
        target=lambda: opened.append(shared.acquire(1, lambda: f"after {closed}"))
    )
    again.start()
    go_on.set()
    for each in (thread, again):
        each.join(PATIENCE)
        assert not each.is_alive()
    assert opened == ["after ['slow']"]
    shared.release(1, None)


def test_a_resource_that_cannot_be_opened_is_tried_by_the_next() -> None:
    """A folder that was locked may be free a moment later."""
    shared: SharedResources[str] = SharedResources(lambda *_: None)

    def fail() -> str:
        raise OSError("It is locked.")

    with pytest.raises(OSError, match="locked"):
        shared.acquire(1, fail)
    assert shared.acquire(1, lambda: "open") == shared.acquire(1, fail) == "open"
    for _ in range(2):
        shared.release(1, None)
    assert shared.acquire(1, lambda: "anew") == "anew"
