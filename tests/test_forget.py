from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BulkResult,
    ForgetResult,
    MemoryNotFoundError,
    RetryPolicy,
    Scope,
    connect,
)
from mem0_integrations.table.rows import unit_vectors
from tests.stores import (
    STORES,
    MiniLM,
    PlainStore,
    Scripted,
    Store,
    memory_answer,
    open_store,
    texts_of,
)

GONE = Scope(user_id="Zoë Quindlewick-Ærø", agent_id="grimblefarn")
KEPT = Scope(user_id="Anna Plumtree", agent_id="plumfarn")


class Refused(Exception):
    """What a model service answers; with a time to wait for, the same call may succeed later."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.retry_after = retry_after


def traces(folder: Path, needles: Iterable[bytes]) -> dict[bytes, list[str]]:
    """Return in which files under a folder the bytes are found, whatever the letters' case."""
    contents = {
        str(path.relative_to(folder)): path.read_bytes().lower()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {
        needle: [name for name, content in contents.items() if needle.lower() in content]
        for needle in needles
    }


def spellings(text: str) -> set[bytes]:
    """Return the bytes that a text may be stored as."""
    return {text.encode(), json.dumps(text)[1:-1].encode(), quote(text, safe="").encode()}


def is_somewhere(folder: Path, text: str) -> bool:
    return any(traces(folder, spellings(text)).values())


def found_of(folder: Path, texts: Iterable[str]) -> list[str]:
    """Return those of the texts that are found in a file, in any spelling."""
    return [text for text in texts if is_somewhere(folder, text)]


def live_a_life(memory: AgentMemory, llm: Scripted, scope: Scope, mark: str) -> list[str]:
    """Leave traces of every kind; returns words that must be in the files now."""
    words = [f"{mark}{kind}" for kind in ("fact", "raw", "key", "meta", "chänged", "deleted")]
    fact, raw, key, meta, changed, deleted = words

    # Through Mem0's pipeline, which keeps the raw messages too.
    llm.answers[:] = [memory_answer(f"User likes {fact}")]
    result = memory.remember(f"I said {raw}.", scope=scope, key=key, metadata={meta: [meta]})
    assert result.status == "stored"
    # In bulk, and longer than the pages of SQLite.
    bulk = [f"{mark}bulk{n} " + f"{mark}long{n} " * 800 for n in range(30)]
    assert memory.remember_many(bulk, scope=scope, thread_id=f"{mark}thread").stored == 30
    words += [
        f"{mark}thread",
        *(f"{mark}{kind}{n}" for n in range(30) for kind in ("bulk", "long")),
    ]
    # Changed, and deleted.
    first, second, *_ = memory.list(scope=scope)
    memory.update(first.id, scope=scope, text=f"Now it is {changed}.")
    memory.update(second.id, scope=scope, text=f"This was {deleted}.")
    memory.delete(second.id, scope=scope)
    words += [first.id, second.id, hashlib.md5(f"Now it is {changed}.".encode()).hexdigest()]
    # Given up, and still on its way.
    llm.answers[:] = [Refused(400)]
    assert memory.remember(f"I said {mark}dead.", scope=scope).status == "failed"
    llm.answers[:] = [Refused(429, retry_after=120)]
    memory.remember(f"I said {mark}queued.", scope=scope, background=True, key=f"{mark}late")
    assert not memory.flush(0.3)
    return [*words, f"{mark}dead", f"{mark}queued", f"{mark}late", *scope.ids.values()]


@pytest.fixture
def llm() -> Scripted:
    return Scripted(answers=[memory_answer()])


@pytest.fixture
def lively(tmp_path: Path, minilm: MiniLM, llm: Scripted) -> Iterator[AgentMemory]:
    """The embedded default with a model."""
    memory = connect("embedded", data_dir=tmp_path, embedder=minilm, llm=llm)
    yield memory
    # What is still queued would be waited for.
    memory.close(timeout=0.1)


def test_nothing_of_a_forgotten_scope_is_left_in_any_file(
    lively: AgentMemory, llm: Scripted, tmp_path: Path
) -> None:
    """A person's right to be forgotten covers every copy, also those that nobody reads again."""
    gone = live_a_life(lively, llm, GONE, "zörblatt")
    kept = live_a_life(lively, llm, KEPT, "plimsöll")
    assert found_of(tmp_path, gone) == gone
    memories = lively.list(scope=KEPT)
    history = {found.id: lively.history(found.id, scope=KEPT) for found in memories}

    result = lively.forget(GONE)

    assert found_of(tmp_path, gone) == []
    assert found_of(tmp_path, ["zörblatt", "quindlewick"]) == []
    assert found_of(tmp_path, kept) == kept
    # 1 + 30 memories and one less; an entry for each, 2 updates and 1 deletion; the message of
    # the pipeline; the keys of all of them, a dead letter and a queued write.
    assert result == ForgetResult(memories=30, history=34, messages=1, writes=33)
    assert lively.list(scope=KEPT) == memories
    assert {found.id: lively.history(found.id, scope=KEPT) for found in memories} == history
    hits = lively.recall("plimsöllbulk7", scope=KEPT, threshold=0.0).memories
    assert any("plimsöllbulk" in hit.text for hit in hits)
    assert [letter.scope for letter in lively.dead_letters()] == [KEPT]
    assert lively.outbox_counts().queued == 1

    lively.close(timeout=0.1)
    assert found_of(tmp_path, gone) == []
    assert found_of(tmp_path, kept) == kept


def test_no_vector_of_a_forgotten_scope_is_left(tmp_path: Path, minilm: MiniLM) -> None:
    """A text can be guessed from its vector."""
    texts = [f"My order number is {n}." for n in range(60)]
    # One by one, as they are embedded below: a batch differs in the last bits.
    vectors = [unit_vectors([minilm.embed_query(text)], 384).tobytes() for text in texts]

    def stored(vectors: Iterable[bytes]) -> int:
        content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        return sum(vector in content for vector in vectors)

    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        for text in texts[:40]:
            memory.remember(text, scope=GONE, infer=False)
        for text in texts[40:]:
            memory.remember(text, scope=KEPT, infer=False)
        assert (stored(vectors[:40]), stored(vectors[40:])) == (40, 20)
        memory.forget(GONE)
        assert (stored(vectors[:40]), stored(vectors[40:])) == (0, 20)


def test_entities_of_a_forgotten_scope_are_erased(tmp_path: Path, minilm: MiniLM) -> None:
    """Mem0 keeps names that it recognised in a collection of their own, where spaCy is there."""
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        entities = memory._backend._memory.entity_store  # type: ignore[attr-defined]
        for user, name in (("gone", "Quindlewick"), ("kept", "Plumtree")):
            payload = {"data": name, "user_id": user}
            entities.insert([minilm.embed_query(name)], [payload], [str(uuid.uuid4())])
    # Connected again: the store of entities has not been opened yet.
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        assert found_of(tmp_path, ["Quindlewick", "Plumtree"]) == ["Quindlewick", "Plumtree"]
        memory.forget({"user_id": "gone"})
        assert found_of(tmp_path, ["Quindlewick", "Plumtree"]) == ["Plumtree"]


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp(request.param)
    with open_store(request.param, folder, minilm, request) as opened:
        yield opened


@pytest.fixture
def memory(store: Store, tmp_path: Path) -> Iterator[AgentMemory]:
    with store.connect(tmp_path / "outbox.db") as connected:
        yield connected


@pytest.fixture
def user() -> str:
    return f"user {uuid.uuid4().hex}"


def test_no_file_beside_the_store_keeps_anything(
    store: Store, memory: AgentMemory, user: str, tmp_path: Path
) -> None:
    """A server erases its own files in its own time; the history and the outbox are ours."""
    words = [f"{user[5:]}{kind}" for kind in ("first", "changed", "deleted", "key")]
    scope, (first, changed, deleted, key) = {"user_id": user}, words
    stored = memory.remember(first, scope=scope, infer=False, key=key).memories[0]
    memory.update(stored.id, scope=scope, text=changed)
    other = memory.remember(deleted, scope=scope, infer=False).memories[0]
    memory.delete(other.id, scope=scope)
    words += [stored.id, other.id]

    def beside_the_store() -> list[str]:
        kept = {
            name
            for folder in (store.folder, tmp_path)
            for word in words
            for names in traces(folder, spellings(word)).values()
            for name in names
        }
        return sorted(name for name in kept if not name.startswith("qdrant/"))

    assert any("history.db" in name for name in beside_the_store())
    assert any("outbox.db" in name for name in beside_the_store())
    assert memory.forget(scope) == ForgetResult(memories=1, history=4, writes=2)
    assert beside_the_store() == []
    assert memory.recall(first, scope=scope, threshold=0.0).memories == ()
    for memory_id in (stored.id, other.id):
        with pytest.raises(MemoryNotFoundError):
            memory.history(memory_id, scope=scope)


def test_what_was_forgotten_can_be_said_again(memory: AgentMemory, user: str) -> None:
    """A key that outlived its memory would make the person unable to be remembered."""
    scope = {"user_id": user}
    turn: dict[str, Any] = {"scope": scope, "key": "turn-1"}
    imported = ["I like tea.", "I live in Oslo."]
    for _ in range(2):
        assert memory.remember("My kettle leaks.", **turn).status == "stored"
        assert memory.remember("My kettle leaks.", **turn).status == "duplicate"
        assert memory.remember_many(imported, scope=scope) == BulkResult(stored=2)
        assert sorted(texts_of(memory.list(scope=scope))) == sorted([*imported, "My kettle leaks."])
        assert memory.forget(scope).memories == 3
        assert memory.list(scope=scope) == []


def test_forgetting_a_user_covers_their_agents_and_an_agent_leaves_the_rest(
    memory: AgentMemory, user: str
) -> None:
    """Deleting an account takes everything; resetting one agent takes that agent's notes only."""
    scopes: dict[str, Mapping[str, str]] = {
        "alone": {"user_id": user},
        "shop": {"user_id": user, "agent_id": "shop"},
        "shop, run 1": {"user_id": user, "agent_id": "shop", "run_id": "1"},
        "bank": {"user_id": user, "agent_id": "bank"},
        "app": {"user_id": user, "app_id": "app"},
        "else": {"user_id": f"{user}2", "agent_id": "shop"},
    }
    for name, scope in scopes.items():
        memory.remember(name, scope=scope, infer=False, key=name)
        changed = memory.remember("gone before", scope=scope, infer=False).memories[0]
        memory.delete(changed.id, scope=scope)

    def left() -> set[str]:
        return {
            *texts_of(memory.list(scope={"user_id": user})),
            *texts_of(memory.list(scope=scopes["else"])),
        }

    assert left() == scopes.keys()
    assert memory.forget(scopes["shop"]) == ForgetResult(memories=2, history=6, writes=4)
    assert left() == {"alone", "bank", "app", "else"}
    assert memory.remember("I said it.", scope=scopes["bank"], key="bank").status == "duplicate"
    assert memory.remember("I said it.", scope=scopes["shop"], key="shop").status == "stored"
    assert memory.forget(scopes["app"]) == ForgetResult(memories=1, history=3, writes=2)
    assert memory.forget({"user_id": user}) == ForgetResult(memories=3, history=7, writes=5)
    assert left() == {"else"}


def test_forgetting_what_is_not_there_is_harmless(memory: AgentMemory, user: str) -> None:
    """A request for erasure may arrive twice, or for somebody unknown."""
    assert memory.forget({"user_id": user}) == ForgetResult()
    memory.remember("My kettle leaks.", scope={"user_id": user})
    assert memory.forget({"user_id": user}).memories == 1
    assert memory.forget({"user_id": user}) == ForgetResult()


@pytest.mark.parametrize("store", ["embedded"], indirect=True)
def test_the_scope_of_connect_is_not_forgotten_by_default(store: Store, tmp_path: Path) -> None:
    """Erasure has to say whose."""
    with (
        store.connect(tmp_path / "outbox.db", scope={"user_id": "default"}) as memory,
        pytest.raises(TypeError, match="scope"),
    ):
        memory.forget()  # type: ignore[call-arg]


class Gated(Scripted):
    """A model that thinks until it is told to stop."""

    entered: Any
    gate: Any

    def _generate(self, *args: Any, **options: Any) -> Any:
        self.entered.set()
        assert self.gate.wait(60)
        return super()._generate(*args, **options)


@pytest.mark.parametrize("store", ["embedded"], indirect=True)
def test_a_write_that_is_under_way_does_not_come_back(
    store: Store, user: str, tmp_path: Path
) -> None:
    """A model takes seconds: its answer must not arrive after the person was forgotten."""
    scope, other = {"user_id": user}, {"user_id": f"other {user}"}
    llm = Gated(
        answers=[memory_answer("User has a quizzlebrock")],
        entered=threading.Event(),
        gate=threading.Event(),
    )
    with store.connect(tmp_path / "outbox.db", llm=llm) as memory, ThreadPoolExecutor(1) as pool:
        memory.remember("I have a quizzlebrock.", scope=scope, background=True)
        memory.remember("I have two of them.", scope=scope, background=True)
        memory.remember("I have none.", scope=other, background=True)
        assert llm.entered.wait(60)
        forgotten = pool.submit(memory.forget, scope)
        # It waits for the model: it must not answer that all is erased while a write goes on.
        with pytest.raises(TimeoutError):
            forgotten.result(0.3)
        llm.gate.set()
        assert forgotten.result(60).memories <= 1
        assert memory.flush(60)
        assert memory.list(scope=scope) == []
        assert texts_of(memory.list(scope=other)) == ["User has a quizzlebrock"]
        assert memory.dead_letters() == []
        memory.forget(other)
    assert found_of(store.folder, ["quizzlebrock"]) == []
    assert found_of(tmp_path, ["quizzlebrock"]) == []


@pytest.mark.parametrize("store", ["embedded"], indirect=True)
def test_a_write_that_waits_is_told_that_it_was_forgotten(
    store: Store, user: str, tmp_path: Path
) -> None:
    """Whoever waits for a write learns that it will not happen."""
    llm = Scripted(answers=[Refused(429, retry_after=120)])
    with store.connect(tmp_path / "outbox.db", llm=llm) as memory, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(memory.remember, "I have a quizzlebrock.", scope={"user_id": user})
        while not llm.asked and not waiting.done():
            time.sleep(0.01)
        assert memory.forget({"user_id": user}).writes == 1
        result = waiting.result(60)
        assert (result.status, result.memories) == ("failed", ())
        assert "forgotten" in str(result.error)
        assert memory.flush(60)


class Stumbling(PlainStore):
    """A store that loses its connection in the middle of an erasure."""

    deletions = 0

    def delete(self, vector_id: Any) -> None:
        self.deletions += 1
        if self.deletions == 2:
            raise ConnectionError("lost")
        super().delete(vector_id)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_an_erasure_that_broke_off_is_completed_by_the_next(
    tmp_path: Path, minilm: MiniLM, request: pytest.FixtureRequest
) -> None:
    """The history of the memories that were erased first must not be left without an owner."""
    with open_store("qdrant", tmp_path / "store", minilm, request) as store:
        store.target.vector_store = Stumbling(store.target.vector_store)
        with store.connect(tmp_path / "outbox.db", retry=RetryPolicy(attempts=1)) as memory:
            said = ["I like vorpalmint.", "I like snarkroot.", "I like jubjubs."]
            memory.remember_many(said, scope=GONE)
            with pytest.raises(BackendError, match="lost"):
                memory.forget(GONE)
            assert len(memory.list(scope=GONE)) == 2
            assert memory.forget(GONE).history == 3
            history = (tmp_path / "store" / "history.db").read_bytes()
            assert not any(word in history for word in (b"vorpalmint", b"snarkroot", b"jubjubs"))


async def test_forgetting_works_in_an_event_loop(tmp_path: Path, minilm: MiniLM) -> None:
    """A web service answers erasure requests in its loop."""
    async with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        await memory.aremember("I have a quizzlebrock.", scope=GONE, created_at=datetime.now(UTC))
        assert (await memory.aforget(GONE)).memories == 1
        assert found_of(tmp_path, ["quizzlebrock"]) == []
