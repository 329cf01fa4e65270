"""`AgentMemory` when its parts fail or hang, and how it is opened and closed."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from pydantic import ConfigDict, Field

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BackendTimeoutError,
    ClosedError,
    ConfigurationError,
    InvalidInputError,
    Memory,
    RetryPolicy,
    SentenceExtractor,
    WriteResult,
    connect,
)

USER = {"user_id": "customer-1"}


class Embedder(DeterministicFakeEmbedding):
    """An embedder that can be made to hang or to fail."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    size: int = 16
    released: threading.Event
    error: Exception | None = None
    outage: list[Exception] = Field(default_factory=list)

    def embed_query(self, text: str) -> list[float]:
        self._misbehave()
        return super().embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self._misbehave()
        return super().embed_documents(texts)

    def _misbehave(self) -> None:
        assert self.released.wait(60)
        if self.outage:
            raise self.outage.pop()
        if self.error is not None:
            raise self.error


@pytest.fixture
def embedder() -> Iterator[Embedder]:
    released = threading.Event()
    released.set()
    yield Embedder(released=released)
    released.set()


@pytest.fixture
def fragile(data_dir: Path, embedder: Embedder) -> Iterator[AgentMemory]:
    """A memory on the embedded store with that embedder."""
    retry = RetryPolicy(attempts=3, base=0.01, cap=0.02)
    with connect("embedded", embedder=embedder, retry=retry) as memory:
        yield memory


def test_a_recall_that_hangs_degrades_within_its_budget(
    fragile: AgentMemory, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent answers without memory, and knows it."""
    embedder.released.clear()
    with caplog.at_level(logging.INFO):
        recall = fragile.recall("a private question", scope=USER, timeout=0.2)
    assert not recall
    assert recall.degraded is not None
    assert "did not answer within 0.2 s" in recall.degraded
    assert "Recall degraded" in caplog.text
    assert "private" not in caplog.text


async def test_an_async_recall_that_hangs_degrades_within_its_budget(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """As in sync."""
    embedder.released.clear()
    recall = await fragile.arecall("tea", scope=USER, timeout=0.2)
    assert "did not answer" in str(recall.degraded)


def test_a_recall_that_fails_degrades_and_one_that_finds_nothing_does_not(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """An empty recall and a failed one are never the same."""
    assert fragile.recall("tea", scope=USER).degraded is None
    embedder.error = ValueError("no such model")
    recall = fragile.recall("tea", scope=USER)
    assert recall.degraded == "BackendError: Mem0 could not search: ValueError: no such model"


def test_a_recall_raises_when_it_is_to(fragile: AgentMemory, embedder: Embedder) -> None:
    """For those who would rather not answer at all."""
    embedder.error = ValueError("no such model")
    with pytest.raises(BackendError, match="no such model"):
        fragile.recall("tea", scope=USER, on_error="raise")
    embedder.released.clear()
    with pytest.raises(BackendTimeoutError):
        fragile.recall("tea", scope=USER, timeout=0.1, on_error="raise")


def test_a_short_outage_is_bridged_by_retries(fragile: AgentMemory, embedder: Embedder) -> None:
    """A lost connection costs a moment, not the memory."""
    fragile.remember("I like tea.", scope=USER)
    embedder.outage = [ConnectionError("reset"), ConnectionError("refused")]
    assert fragile.recall("tea", scope=USER, threshold=0.0).memories


def test_hanging_recalls_do_not_keep_the_program_from_ending(data_dir: Path) -> None:
    """A dead store must not need a kill."""
    script = """
import threading
from langchain_core.embeddings import DeterministicFakeEmbedding
from mem0_integrations import connect

class Hanging(DeterministicFakeEmbedding):
    def embed_query(self, text):
        if text == "tea":
            threading.Event().wait()
        return super().embed_query(text)

memory = connect("embedded", embedder=Hanging(size=16))
print(memory.recall("tea", scope={"user_id": "u"}, timeout=0.1).degraded)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "did not answer" in result.stdout


@pytest.mark.parametrize("ending", ["pass", "memory.close()"])
def test_a_program_that_ends_amid_a_recall_ends_well(data_dir: Path, ending: str) -> None:
    """A thread inside the embedder must not abort the process."""
    script = f"""
from mem0_integrations import connect
memory = connect(scope={{"user_id": "u"}})
for _ in range(3):
    memory.recall("tea " * 500, timeout=0.001)
{ending}
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_forked_process_is_told_to_connect_itself(data_dir: Path) -> None:
    """Its threads stayed in the parent: it would wait for ever."""
    script = """
import os
from mem0_integrations import ClosedError, FolderLockedError, connect
memory = connect(scope={"user_id": "u"})
memory.remember("I like tea.")
child = os.fork()
if not child:
    try:
        memory.recall("tea")
    except ClosedError as error:
        print(error, flush=True)
    try:
        connect()
    except FolderLockedError:
        print("locked", flush=True)
    memory.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(memory.recall("tea").memories[0].text)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    told, locked, recalled = result.stdout.splitlines()
    assert "os.fork()" in told
    assert (locked, recalled) == ("locked", "I like tea.")


def test_rubbish_from_the_embedder_degrades_a_recall(
    fragile: AgentMemory, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the embedder's mistake, not the caller's."""
    monkeypatch.setattr(Embedder, "embed_query", lambda self, text: [float("nan")] * 16)
    assert fragile.recall("tea", scope=USER).degraded is not None


def test_a_forgotten_import_can_be_repeated_whole(memory: AgentMemory) -> None:
    """No key may outlive the memory that it stands for."""
    messages = [f"I own item {number}." for number in range(200)]
    importing = threading.Thread(
        target=memory.remember_many, args=(messages,), kwargs={"scope": USER, "batch_size": 20}
    )
    importing.start()
    memory.forget(USER)
    importing.join(60)
    memory.remember_many(messages, scope=USER, batch_size=20)
    assert len(memory.list(scope=USER, limit=1000)) == 200


def test_a_write_that_hangs_can_be_left_to_the_background(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """Waiting has an end; the write does not."""
    embedder.released.clear()
    assert fragile.remember("I like tea.", scope=USER, timeout=0.1).status == "queued"
    embedder.released.set()
    assert fragile.flush(30)
    assert [found.text for found in fragile.list(scope=USER)] == ["I like tea."]


def test_a_failed_write_is_reported_kept_and_replayed(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """In the foreground by its status, or by an exception."""
    embedder.error = ConnectionError("down")
    result = fragile.remember("I like tea.", scope=USER)
    assert result.status == "failed"
    assert "ConnectionError: down" in str(result.error)
    with pytest.raises(BackendError, match="doctor --replay"):
        fragile.remember("I like coffee.", scope=USER, on_error="raise")
    assert [letter.attempts for letter in fragile.dead_letters()] == [3, 3]
    embedder.error = None
    assert fragile.replay() == 2
    assert fragile.flush(30)
    assert {found.text for found in fragile.list(scope=USER)} == {"I like tea.", "I like coffee."}


def test_vectors_of_another_length_are_refused_and_the_turn_is_kept(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """A changed embedder must not spoil the store."""
    embedder.size = 17
    result = fragile.remember("I like tea.", scope=USER)
    assert result.status == "failed"
    assert "DimensionMismatchError" in str(result.error)
    assert len(fragile.dead_letters()) == 1


def test_what_is_queued_at_the_end_of_a_program_is_delivered(data_dir: Path) -> None:
    """Without close(): a script just ends."""
    script = """
from mem0_integrations import connect
memory = connect()
for number in range(20):
    memory.remember(f"I own item {number}.", scope={"user_id": "u"}, background=True)
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
    with connect() as memory:
        assert len(memory.list(scope={"user_id": "u"})) == 20
        assert memory.outbox_counts().queued == 0


def test_a_closed_memory_says_so(data_dir: Path) -> None:
    """And closing twice is harmless."""
    memory = connect()
    memory.close()
    memory.close()
    for call in (
        lambda: memory.remember("I like tea.", scope=USER),
        lambda: memory.recall("tea", scope=USER),
        lambda: memory.list(scope=USER),
        lambda: memory.forget(USER),
    ):
        with pytest.raises(ClosedError):
            call()


async def test_it_is_an_async_context_manager(data_dir: Path) -> None:
    """Both ways, as the async twins suggest."""
    async with connect(scope=USER) as memory:
        assert (await memory.aremember("I like tea.")).status == "stored"
        assert (await memory.arecall("tea")).memories[0].text == "I like tea."
    with pytest.raises(ClosedError):
        await memory.arecall("tea")


@pytest.mark.parametrize(
    "options",
    [
        {"llm": "openai:gpt-5"},
        {"embedder": "openai"},
        {"extractor": SentenceExtractor},
        {"extractor": object()},
        {"retry": 3},
        {"outbox": "/tmp/outbox.db"},
        {"clock": 5},
        {"data_dir": 3},
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_at_once(
    data_dir: Path, options: dict[str, object]
) -> None:
    """Not when the first turn is lost."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        connect(**options)  # type: ignore[arg-type]


def test_options_for_a_memory_that_has_its_own_are_refused(memory: AgentMemory) -> None:
    """A scope that is silently ignored would be somebody else's."""
    with pytest.raises(ConfigurationError, match="keeps the options"):
        connect(memory, scope=USER)


def test_connecting_to_a_memory_returns_it(memory: AgentMemory) -> None:
    """So that a library may call connect() on whatever it is given."""
    assert connect(memory) is memory


def test_no_content_is_logged(memory: AgentMemory, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO and above, in our loggers and in Mem0's."""
    with caplog.at_level(logging.INFO):
        memory.remember("My secret is 48213.", scope=USER)
        (found,) = memory.recall("secret", scope=USER).memories
        memory.update(found.id, scope=USER, text="My secret is 99999.")
        memory.delete(found.id, scope=USER)
        memory.forget(USER)
    assert "48213" not in caplog.text
    assert "99999" not in caplog.text
    assert "secret" not in caplog.text


def test_what_became_of_a_write_can_be_asked_by_its_key(
    fragile: AgentMemory, embedder: Embedder
) -> None:
    """By whoever noted the key, also after a restart: exactly for the scope that accepted it."""
    assert fragile.written("turn-1", scope=USER) is None
    embedder.released.clear()
    fragile.remember("I like tea.", scope=USER, key="turn-1", background=True)
    assert fragile.written("turn-1", scope=USER) == WriteResult("queued", key="turn-1")
    embedder.released.set()
    assert fragile.flush(30)
    found = fragile.written("turn-1", scope=USER)
    assert found is not None
    assert (found.status, [memory.text for memory in found.memories]) == ("stored", ["I like tea."])
    assert fragile.written("turn-1", scope={**USER, "agent_id": "a"}) is None
    fragile.remember("Thanks!", scope=USER, key="turn-2")
    assert fragile.written("turn-2", scope=USER) == WriteResult("nothing", key="turn-2")
    embedder.error = ValueError("broken")
    fragile.remember("I like milk.", scope=USER, key="turn-3")
    failed = fragile.written("turn-3", scope=USER)
    assert failed is not None
    assert (failed.status, "broken" in str(failed.error)) == ("failed", True)
    fragile.forget(USER)
    assert fragile.written("turn-1", scope=USER) is None
    with pytest.raises(InvalidInputError, match="key"):
        fragile.written("", scope=USER)


async def test_what_became_of_a_write_can_be_asked_without_blocking(memory: AgentMemory) -> None:
    """As every other question."""
    await memory.aremember("I like tea.", scope=USER, key="turn-1")
    found = await memory.awritten("turn-1", scope=USER)
    assert found is not None
    assert found.status == "stored"


async def test_a_recall_goes_on_until_enough_memories_count(memory: AgentMemory) -> None:
    """However many of the nearest do not, and whether or not repetitions do."""
    texts = [f"I drink tea number {number}." for number in range(60)]
    memory.remember_many([*texts, "I like tea.", "I like tea!", "I own a bicycle."], scope=USER)

    def counts(found: Memory) -> bool:
        return "number" not in found.text

    for repeats, expected in ((False, 2), (True, 3)):
        options = {"scope": USER, "threshold": 0.0, "accept": counts, "repeats": repeats}
        for recall in (memory.recall("tea", **options), await memory.arecall("tea", **options)):  # type: ignore[arg-type]
            assert len(recall.memories) == expected
            assert all(map(counts, recall.memories))
    assert len(memory.recall("tea", scope=USER, accept=counts, repeats=True, limit=1).memories) == 1
