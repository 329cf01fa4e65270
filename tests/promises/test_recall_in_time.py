"""A recall answers in its time, or says that it could not; what is optional costs only itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from mem0_integrations import BackendError, StorageError, connect, recall_text
from tests.paths import MemoryPath, Place, Way, open_memory, ways
from tests.servers.platform import serving
from tests.stores import MiniLM
from tests.switches import Parts

HOME, QUESTION = "I live in Oslo.", "Where do I live?"


def beside_a_graph(way: Way) -> bool:
    return way.follower == "graph"


def fails() -> None:
    raise BackendError("It is down.", retryable=True)


async def test_a_memory_that_hangs_is_given_up_in_time(path: MemoryPath) -> None:
    """An agent that waits for its memory is dead for its user."""
    await path.say(HOME)
    path.hang("embedder")
    found = await path.recall(QUESTION, timeout=0.3)
    assert found.memories == ()
    assert found.degraded
    with pytest.raises(BackendError):
        await path.recall(QUESTION, timeout=0.3, on_error="raise")


async def test_a_memory_that_fails_says_so(path: MemoryPath) -> None:
    """Nothing found is something else than nothing known."""
    await path.say(HOME)
    path.parts.embedder.stumble(1_000)
    found = await path.recall(QUESTION, timeout=1.0)
    assert found.memories == ()
    assert found.degraded
    with pytest.raises(BackendError):
        await path.recall(QUESTION, timeout=1.0, on_error="raise")
    path.parts.embedder.stumble(0)
    found = await path.recall(QUESTION)
    assert ([memory.text for memory in found.memories], found.degraded) == ([HOME], None)


async def test_a_memory_that_stumbles_is_asked_again(path: MemoryPath) -> None:
    """A lost connection passes."""
    await path.say(HOME)
    path.parts.embedder.stumble(2)
    found = await path.recall(QUESTION)
    assert ([memory.text for memory in found.memories], found.degraded) == ([HOME], None)


@ways(beside_a_graph)
@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_graph_costs_its_facts_alone(path: MemoryPath, how: str) -> None:
    """An empty graph and a failed one are never the same, and what was found stays found."""
    await path.say(HOME)
    await path.flush()
    assert (await path.recall(QUESTION)).relations
    if how == "hangs":
        path.hang("graph")
    else:
        path.parts.graph.hook = fails
    found = await path.recall(QUESTION, timeout=3.0)
    assert [memory.text for memory in found.memories] == [HOME]
    assert found.relations == ()
    assert "graph" in str(found.degraded)
    assert HOME in recall_text(found)
    with pytest.raises(BackendError):
        await path.recall(QUESTION, timeout=0.5, on_error="raise")


@ways(beside_a_graph)
async def test_a_graph_that_is_down_fails_no_write_and_catches_up(path: MemoryPath) -> None:
    """It is a projection: memories come first."""
    path.memory  # noqa: B018  (opening it asks the graph)
    path.parts.graph.hook = fails
    assert [memory.text for memory in await path.say(HOME)] == [HOME]
    assert not await path.flush(0.2)
    path.parts.graph.hook = lambda: None
    await path.flush()
    assert (await path.recall(QUESTION)).relations


@ways(lambda way: way.follower == "words")
async def test_an_index_of_words_costs_its_signal_alone(path: MemoryPath) -> None:
    """Its file may be damaged; the memories lie in another store."""
    await path.say(HOME)
    [words] = path.place.folder.glob("words-*.db")
    with closing(sqlite3.connect(words)) as file, file:
        file.execute("ALTER TABLE memories RENAME TO lost")
    found = await path.recall(QUESTION)
    assert [memory.text for memory in found.memories] == [HOME]
    assert "index of the words" in str(found.degraded)
    with pytest.raises(StorageError):
        await path.recall(QUESTION, on_error="raise")


class Reranker(BaseDocumentCompressor):
    """Does what a test says."""

    hook: Callable[[], object]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        self.hook()
        return documents


async def test_a_reranker_that_fails_costs_its_order_alone(path: MemoryPath) -> None:
    """What was found stays found."""
    path.options["reranker"] = Reranker(hook=fails)
    await path.say(HOME)
    found = await path.recall(QUESTION)
    assert [memory.text for memory in found.memories] == [HOME]
    assert found.degraded


@ways(lambda way: way.stumbles is None)
async def test_a_reranker_that_hangs_costs_its_order_alone(path: MemoryPath) -> None:
    """The answer comes within the time that the application gave."""
    path.options["reranker"] = Reranker(hook=path.hangs)
    await path.say(HOME)
    found = await path.recall(QUESTION, timeout=2.0)
    assert [memory.text for memory in found.memories] == [HOME]
    assert found.degraded


def test_a_graph_behind_a_server_costs_its_facts_alone(tmp_path: Path, minilm: MiniLM) -> None:
    """One way only: in the fixture the graph lies beside the client, not behind the server."""
    parts, way = Parts(), Way("no model", "embedded", "graph", "sync")
    with ExitStack() as stack:
        served = open_memory(Place(way, tmp_path, "server"), parts, minilm, stack)
        server = stack.enter_context(serving(served, tmp_path / "state.db"))
        key = server.new_project().key
        with connect(
            api_key=key, host=server.url, data_dir=tmp_path / "client", scope={"user_id": "u"}
        ) as memory:
            memory.remember(HOME)
            parts.graph.hook = fails
            found = memory.recall(QUESTION)
            assert [memory.text for memory in found.memories] == [HOME]
            parts.graph.hook = lambda: None
