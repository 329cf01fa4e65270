from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from mem0 import AsyncMemory

from mem0_integrations import (
    AgentMemory,
    BackendError,
    BulkResult,
    ConfigurationError,
    DimensionMismatchError,
    InvalidInputError,
    MemoryNotFoundError,
    OutboxOptions,
    SentenceExtractor,
    connect,
)
from tests.stores import (
    QUICK,
    STORES,
    MiniLM,
    Scripted,
    Store,
    memory_answer,
    open_store,
    store_config,
    texts_of,
)

Opener = Callable[..., AgentMemory]
Ids = dict[str, str]

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp(request.param)
    with open_store(request.param, folder, minilm, request) as opened:
        yield opened


@pytest.fixture
def open_memory(store: Store, tmp_path: Path) -> Iterator[Opener]:
    """Connect to the store, with an outbox of the test's own."""
    opened: list[AgentMemory] = []

    def open_(**options: Any) -> AgentMemory:
        memory = store.connect(tmp_path / "outbox.db", **options)
        opened.append(memory)
        return memory

    yield open_
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(open_memory: Opener) -> AgentMemory:
    return open_memory()


@pytest.fixture
def scope() -> Ids:
    return {"user_id": f"user-{uuid.uuid4().hex}"}


def test_messages_are_kept_as_they_are_without_inference(memory: AgentMemory, scope: Ids) -> None:
    """An import of a transcript must not be interpreted."""
    result = memory.remember(
        [("user", "Hello!"), {"role": "assistant", "content": "Hi, how are you?", "name": "bot"}],
        scope=scope,
        infer=False,
        metadata={"channel": "chat"},
        created_at=MOMENT,
    )
    assert (result.status, texts_of(result.memories)) == ("stored", ["Hello!", "Hi, how are you?"])
    stored = {found.text: found for found in memory.list(scope=scope)}
    assert stored.keys() == {"Hello!", "Hi, how are you?"}
    assert dict(stored["Hello!"].metadata) == {"channel": "chat", "role": "user"}
    assert dict(stored["Hi, how are you?"].metadata) == {
        "channel": "chat",
        "role": "assistant",
        "actor_id": "bot",
    }
    assert stored["Hello!"].created_at == MOMENT
    # What was said last is listed first, though it was said in the same moment.
    assert [found.id for found in memory.list(scope=scope)] == [
        found.id for found in reversed(result.memories)
    ]


def test_statements_are_extracted_without_a_model(memory: AgentMemory, scope: Ids) -> None:
    """What the user stated is remembered, what was merely said is not, and nothing twice."""
    said = "Hi! My kettle arrived broken. Can you help?"
    result = memory.remember([("user", said), ("assistant", "Sure.")], scope=scope)
    assert texts_of(result.memories) == ["My kettle arrived broken."]
    assert memory.remember("Thanks, bye!", scope=scope).status == "nothing"
    assert memory.remember(said, scope=scope).status == "nothing"
    assert texts_of(memory.list(scope=scope)) == ["My kettle arrived broken."]


def test_a_model_extracts_through_the_pipeline_of_mem0(open_memory: Opener, scope: Ids) -> None:
    """Whoever connects a model gets Mem0's extraction, with our key, time and metadata on it."""
    llm = Scripted(answers=[memory_answer("User is vegan", "User lives in Oslo")])
    memory = open_memory(llm=llm)
    result = memory.remember(
        "I'm a vegan from Oslo.", scope=scope, metadata={"channel": "chat"}, created_at=MOMENT
    )
    assert result.status == "stored"
    stored = memory.list(scope=scope)
    assert sorted(texts_of(stored)) == ["User is vegan", "User lives in Oslo"]
    assert {found.id for found in stored} == {found.id for found in result.memories}
    assert all(dict(found.metadata) == {"channel": "chat"} for found in stored)
    # One after the other, so that a listing keeps their order.
    first, second = (found.created_at for found in reversed(stored))
    assert (first, second) == (MOMENT, MOMENT + timedelta(microseconds=1))
    assert "I'm a vegan from Oslo." in str(llm.asked[0])


def test_a_model_that_finds_nothing_is_believed(open_memory: Opener, scope: Ids) -> None:
    """An empty list is an answer, not a failure to be retried for ever."""
    llm = Scripted(answers=[memory_answer()])
    memory = open_memory(llm=llm)
    assert memory.remember("Hm.", scope=scope).status == "nothing"
    assert len(llm.asked) == 1
    assert memory.dead_letters() == []


def test_the_nearest_memory_comes_first_and_the_limit_holds(
    memory: AgentMemory, scope: Ids
) -> None:
    """A prompt has room for a few memories, and they must be the right ones."""
    facts = ["My kettle leaks.", "I live in Lisbon.", "My sister is a nurse.", "I play chess."]
    memory.remember_many(facts, scope=scope)
    for question, answer in [
        ("Which appliance is broken?", "My kettle leaks."),
        ("What does her sibling do for work?", "My sister is a nurse."),
    ]:
        found = memory.recall(question, scope=scope, limit=2, threshold=0.0)
        assert found.degraded is None
        assert len(found.memories) == 2
        assert found.memories[0].text == answer
        first, second = (hit.score for hit in found.memories)
        assert first is not None
        assert second is not None
        assert 1 >= first >= second >= 0


def test_a_threshold_drops_what_is_further_away(memory: AgentMemory, scope: Ids) -> None:
    """A memory that is beside the point misleads a model more than none."""
    memory.remember_many(["My kettle leaks.", "I live in Lisbon."], scope=scope)
    assert texts_of(memory.recall("My kettle leaks.", scope=scope, threshold=0.5).memories) == [
        "My kettle leaks."
    ]
    everything = memory.recall("My kettle leaks.", scope=scope, threshold=0.0)
    assert texts_of(everything.memories) == ["My kettle leaks.", "I live in Lisbon."]


SHELF: dict[str, dict[str, object]] = {
    "billing": {"team": "billing", "price": 12, "tags": ["vip", "eu"], "note": "Fragile Glass"},
    "sales": {"team": "sales", "price": 30.5, "tags": ["us"], "vip": True, "note": None},
    "bare": {},
}


@pytest.fixture(scope="module")
def shelf(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMemory]:
    """Three memories with metadata, only to be read."""
    outbox = tmp_path_factory.mktemp("shelf") / "outbox.db"
    with store.connect(outbox, scope={"user_id": f"shelf-{uuid.uuid4().hex}"}) as memory:
        for day, (name, metadata) in enumerate(SHELF.items()):
            memory.remember(
                f"I ordered the {name} kettle.",
                metadata=metadata,
                created_at=MOMENT + timedelta(days=day),
            )
        yield memory


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, "billing sales bare"),
        ({"team": "billing"}, "billing"),
        ({"team": "billing", "price": 12}, "billing"),
        ({"team": "billing", "price": 30.5}, ""),
        ({"price": "12"}, ""),
        ({"vip": True}, "sales"),
        ({"vip": 1}, ""),
        ({"team": None}, "bare"),
        ({"team": "*"}, "billing sales"),
        ({"note": "*"}, "billing"),
        ({"team": {"eq": "sales"}}, "sales"),
        ({"team": {"ne": "sales"}}, "billing bare"),
        ({"team": {"in": ["sales", "x"]}}, "sales"),
        ({"tags": {"in": ["eu", "us"]}}, "billing sales"),
        ({"team": {"nin": ["sales"]}}, "billing bare"),
        ({"price": {"gt": 12}}, "sales"),
        ({"price": {"gte": 12, "lt": 30.5}}, "billing"),
        ({"price": {"lte": 30.5}}, "billing sales"),
        ({"note": {"contains": "Glass"}}, "billing"),
        ({"note": {"contains": "glass"}}, ""),
        ({"note": {"icontains": "gLASS"}}, "billing"),
        ({"tags": {"contains": "vip"}}, "billing"),
        ({"created_at": {"gte": "2026-03-02"}}, "sales bare"),
        ({"text": {"contains": "sales"}}, "sales"),
        ({"AND": [{"team": "*"}, {"price": {"gt": 20}}]}, "sales"),
        ({"OR": [{"team": "billing"}, {"vip": True}]}, "billing sales"),
        ({"NOT": [{"team": "billing"}, {"vip": True}]}, "bare"),
        ({"OR": [{"AND": [{"price": 12}, {"NOT": [{"vip": True}]}]}]}, "billing"),
        ({"team": "billing' OR '1'='1"}, ""),
    ],
    ids=str,
)
def test_a_filter_means_the_same_on_every_store(
    shelf: AgentMemory, filters: dict[str, object] | None, expected: str
) -> None:
    """Mem0's stores each have a dialect of their own; the application must not notice."""
    wanted = {f"I ordered the {name} kettle." for name in expected.split()}
    recalled = shelf.recall("Which kettle did I order?", filters=filters, threshold=0.0)
    assert recalled.degraded is None
    assert set(texts_of(recalled.memories)) == wanted
    assert set(texts_of(shelf.list(filters=filters))) == wanted


def test_a_filter_finds_the_one_among_many(memory: AgentMemory, scope: Ids) -> None:
    """A filter after the search must not lose what is not among the nearest."""
    memory.remember_many([f"My kettle number {n} leaks." for n in range(100)], scope=scope)
    memory.remember("I live in Lisbon.", scope=scope, metadata={"place": {"city": "Lisbon"}})
    found = memory.recall(
        "My kettle leaks.",
        scope=scope,
        limit=1,
        threshold=0.0,
        filters={"text": {"icontains": "lisbon"}},
    )
    assert texts_of(found.memories) == ["I live in Lisbon."]


def test_a_recall_as_of_a_time_shows_what_was_known_then(memory: AgentMemory, scope: Ids) -> None:
    """A replay of a conversation must see what the agent saw."""
    before = datetime.now(UTC)
    kettle = memory.remember("My kettle leaks.", scope=scope).memories[0]
    first = datetime.now(UTC)
    memory.update(kettle.id, scope=scope, text="My kettle was repaired.")
    second = datetime.now(UTC)
    memory.remember("My toaster smokes.", scope=scope)

    def known(as_of: datetime | None) -> set[str]:
        found = memory.recall("kettle or toaster", scope=scope, threshold=0.0, as_of=as_of)
        assert found.degraded is None
        return set(texts_of(found.memories))

    assert known(before) == set()
    assert known(first) == {"My kettle leaks."}
    assert known(second) == {"My kettle was repaired."}
    assert known(None) == {"My kettle was repaired.", "My toaster smokes."}


def test_pages_are_newest_first_and_never_overlap(memory: AgentMemory, scope: Ids) -> None:
    """Who scrolls through memories must see each of them once."""
    memory.remember_many(
        [
            # Every two of them at the same time.
            {"role": "user", "content": f"Note {n}", "created_at": MOMENT + timedelta(hours=n // 2)}
            for n in range(25)
        ],
        scope=scope,
    )
    pages = [memory.list(scope=scope, limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    listed = [found for page in pages for found in page]
    assert {found.text for found in listed} == {f"Note {n}" for n in range(25)}
    times = [found.created_at for found in listed]
    assert None not in times
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


def test_a_memory_is_got_by_its_id(memory: AgentMemory, scope: Ids) -> None:
    """Whatever else is asked for is simply not there, in any store."""
    stored = memory.remember("My kettle leaks.", scope=scope).memories[0]
    got = memory.get(stored.id, scope=scope)
    assert got is not None
    assert (got.id, got.text, got.scope.ids) == (stored.id, "My kettle leaks.", scope)
    for unknown in (str(uuid.uuid4()), "no-uuid", "' OR 1=1 --", "\x00", "1"):
        assert memory.get(unknown, scope=scope) is None


def test_an_updated_memory_is_found_by_its_new_text(memory: AgentMemory, scope: Ids) -> None:
    """The vector has to follow the text, and the rest has to stay."""
    memory.remember("I live in Lisbon.", scope=scope)
    stored = memory.remember(
        "My kettle leaks.", scope=scope, metadata={"a": 1, "b": 2}, created_at=MOMENT
    ).memories[0]
    changed = memory.update(
        stored.id, scope=scope, text="My sister is a nurse.", metadata={"b": 3, "c": [4]}
    )
    assert changed.text == "My sister is a nurse."
    assert dict(changed.metadata) == {"a": 1, "b": 3, "c": [4], "role": "user"}
    assert changed.created_at == MOMENT
    assert changed.updated_at is not None
    assert changed.updated_at > MOMENT
    found = memory.recall("Who works in a hospital?", scope=scope, threshold=0.0).memories
    assert found[0].text == "My sister is a nurse."
    renamed = memory.update(stored.id, scope=scope, metadata={"b": 5})
    assert (renamed.text, renamed.metadata["b"]) == ("My sister is a nurse.", 5)


def test_a_deleted_memory_is_gone_but_its_history_is_not(memory: AgentMemory, scope: Ids) -> None:
    """Who asks why a memory vanished can be answered, by its owner only."""
    stored = memory.remember("My kettle leaks.", scope=scope).memories[0]
    memory.update(stored.id, scope=scope, text="My kettle was repaired.")
    events: list[tuple[str, str | None, str]] = [("ADD", None, "My kettle leaks.")]
    events.append(("UPDATE", "My kettle leaks.", "My kettle was repaired."))

    def history() -> list[tuple[str, str | None, str | None]]:
        changes = memory.history(stored.id, scope=scope)
        assert all(change.at is not None and change.at.tzinfo for change in changes)
        return [(change.event, change.old_text, change.new_text) for change in changes]

    assert history() == events
    memory.delete(stored.id, scope=scope)
    assert memory.get(stored.id, scope=scope) is None
    assert memory.list(scope=scope) == []
    assert memory.recall("kettle", scope=scope, threshold=0.0).memories == ()
    assert history() == [*events, ("DELETE", "My kettle was repaired.", None)]
    with pytest.raises(MemoryNotFoundError):
        memory.delete(stored.id, scope=scope)
    with pytest.raises(MemoryNotFoundError):
        memory.update(stored.id, scope=scope, text="Back again.")
    with pytest.raises(MemoryNotFoundError):
        memory.history(stored.id, scope={"user_id": "another"})


def test_a_repeated_import_stores_nothing_twice(memory: AgentMemory, scope: Ids) -> None:
    """An import is started again whenever somebody is not sure that it went through."""
    messages = [{"role": "user", "content": f"Note {n}", "id": f"m{n}"} for n in range(20)]
    assert memory.remember_many(messages, scope=scope, batch_size=8) == BulkResult(stored=20)
    longer = [*messages, {"role": "user", "content": "Note 20", "id": "m20"}]
    again = memory.remember_many(longer, scope=scope, batch_size=8)
    assert again == BulkResult(stored=1, duplicates=20)
    assert len(memory.list(scope=scope)) == 21


class Breaking(Embeddings):
    """An embedder that fails on one text until it is mended."""

    def __init__(self, embeddings: Embeddings, text: str) -> None:
        self._embeddings = embeddings
        self.text: str | None = text

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.text in texts:
            raise ValueError("broken")
        return self._embeddings.embed_documents(texts)


def test_an_import_that_broke_off_goes_on_where_it_was(
    open_memory: Opener, minilm: MiniLM, scope: Ids
) -> None:
    """A long import fails at its end, and nobody wants to clean up before the next attempt."""
    embedder = Breaking(minilm, "Note 11")
    memory = open_memory(embedder=embedder)
    messages = [f"Note {n}" for n in range(20)]
    progress: list[int] = []
    with pytest.raises(BackendError, match="broken"):
        memory.remember_many(messages, scope=scope, batch_size=5, on_progress=progress.append)
    assert progress == [5, 10]
    assert len(memory.list(scope=scope)) == 10
    embedder.text = None
    again = memory.remember_many(messages, scope=scope, batch_size=5)
    assert again == BulkResult(stored=10, duplicates=10)
    assert sorted(texts_of(memory.list(scope=scope))) == sorted(messages)


def test_an_import_stays_single_when_its_keys_were_lost(
    store: Store, tmp_path: Path, scope: Ids
) -> None:
    """A process that dies after a batch was stored has not noted its keys yet."""
    messages = [f"Note {n}" for n in range(12)]
    with store.connect(tmp_path / "first.db") as memory:
        memory.remember_many(messages[:7], scope=scope)
    with store.connect(tmp_path / "second.db") as memory:
        memory.remember_many(messages, scope=scope)
        assert sorted(texts_of(memory.list(scope=scope))) == sorted(messages)


def test_an_import_with_a_model_asks_it_once_for_each_message(
    open_memory: Opener, scope: Ids
) -> None:
    """After a break, a model would word the same statement anew, and it would be there twice."""
    broken = ValueError("broken")
    llm = Scripted(answers=[memory_answer("First"), broken, memory_answer("Second")])
    memory = open_memory(llm=llm)
    with pytest.raises(BackendError, match="broken"):
        memory.remember_many(["I said one.", "I said two."], scope=scope, infer=True)
    memory.remember_many(["I said one.", "I said two."], scope=scope, infer=True)
    assert sorted(texts_of(memory.list(scope=scope))) == ["First", "Second"]
    assert len(llm.asked) == 3


def test_a_key_is_accepted_once(memory: AgentMemory, scope: Ids) -> None:
    """A graph node that is retried must not make the user say everything twice."""
    first = memory.remember("My kettle leaks.", scope=scope, key="turn-1")
    assert (first.status, first.key) == ("stored", "turn-1")
    assert memory.remember("My kettle leaks.", scope=scope, key="turn-1").status == "duplicate"
    assert memory.remember("I live in Oslo.", scope=scope, key="turn-1").status == "duplicate"
    assert texts_of(memory.list(scope=scope)) == ["My kettle leaks."]


@pytest.mark.parametrize("how", ["verbatim", "sentences", "model"])
def test_a_key_is_found_again_when_the_outbox_is_gone(
    store: Store, tmp_path: Path, scope: Ids, how: str
) -> None:
    """The key travels with the memory: a lost or moved outbox file is no second write."""
    llm = Scripted(answers=[memory_answer("User has a leaking kettle")]) if how == "model" else None
    said: dict[str, Any] = {"scope": scope, "key": "turn-1", "infer": how != "verbatim"}
    outbox = tmp_path / "outbox.db"
    with store.connect(outbox, llm=llm) as memory:
        first = memory.remember("My kettle leaks.", **said)
        stored = memory._backend._memory.get(first.memories[0].id)  # type: ignore[attr-defined]
        assert stored["metadata"]["idempotency_key"] == "turn-1"
    for file in tmp_path.glob("outbox.db*"):
        file.unlink()
    with store.connect(outbox, llm=llm) as memory:
        again = memory.remember("My kettle leaks.", **said)
        assert texts_of(again.memories) == texts_of(first.memories)
        assert [found.id for found in memory.list(scope=scope)] == [first.memories[0].id]
        assert len(memory.history(first.memories[0].id, scope=scope)) == 1


def test_an_import_that_is_repeated_without_its_outbox_leaves_changed_memories_alone(
    store: Store, tmp_path: Path, scope: Ids
) -> None:
    """What the user corrected since must not come back."""
    outbox = tmp_path / "outbox.db"
    messages = ["I like tea.", "I live in Oslo."]
    with store.connect(outbox) as memory:
        memory.remember_many(messages, scope=scope)
        (tea,) = (found for found in memory.list(scope=scope) if found.text == "I like tea.")
        memory.update(tea.id, scope=scope, text="I like coffee.")
    for file in tmp_path.glob("outbox.db*"):
        file.unlink()
    with store.connect(outbox) as memory:
        memory.remember_many([*messages, "I have a dog."], scope=scope)
        assert sorted(texts_of(memory.list(scope=scope))) == [
            "I have a dog.",
            "I like coffee.",
            "I live in Oslo.",
        ]
        assert len(memory.history(tea.id, scope=scope)) == 2


def test_a_change_shows_the_metadata_of_its_time(memory: AgentMemory, scope: Ids) -> None:
    """Today's metadata beside yesterday's text would say what never was."""
    (first,) = memory.remember(
        "My kettle leaks.", scope=scope, infer=False, metadata={"state": "open"}
    ).memories
    memory.update(first.id, scope=scope, metadata={"state": "shipped"})
    memory.update(first.id, scope=scope, text="My kettle was repaired.", metadata={"state": "done"})
    changes = memory.history(first.id, scope=scope)
    assert [(change.metadata or {}).get("state") for change in changes] == [
        "open",
        "shipped",
        "done",
    ]


def test_a_bad_key_is_refused(memory: AgentMemory, scope: Ids) -> None:
    """What cannot be put on disk must be refused before anything is written."""
    for key in ("", 5, "\ud800"):
        with pytest.raises(InvalidInputError, match="key"):
            memory.remember("My kettle leaks.", scope=scope, key=key)  # type: ignore[arg-type]
    assert memory.list(scope=scope) == []


def _status_error(
    kind: type[openai.APIStatusError], status: int, **headers: str
) -> openai.APIStatusError:
    request = httpx.Request("POST", "http://model.invalid")
    response = httpx.Response(status, headers=headers, request=request)
    return kind("refused", response=response, body=None)


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        ("I cannot help with that.", 2),
        ("", 2),
        (_status_error(openai.RateLimitError, 429, **{"retry-after": "0.05"}), 2),
        (_status_error(openai.BadRequestError, 400), 1),
    ],
    ids=["rubbish", "empty", "429", "400"],
)
def test_a_turn_that_a_model_fails_on_is_kept_and_can_be_replayed(
    open_memory: Opener, scope: Ids, failure: object, attempts: int
) -> None:
    """Mem0 alone would lose it: as an error that nobody sees, or as 'nothing to remember'."""
    llm = Scripted(answers=[failure])
    memory = open_memory(llm=llm)
    result = memory.remember("I am allergic to peanuts.", scope=scope)
    assert result.status == "failed"
    assert result.error is not None
    assert len(llm.asked) == attempts
    (letter,) = memory.dead_letters()
    assert (letter.scope.ids, letter.attempts) == (scope, attempts)
    assert memory.outbox_counts().dead == 1
    assert memory.list(scope=scope) == []

    llm.answers[:] = [memory_answer("User is allergic to peanuts")]
    assert memory.replay() == 1
    assert memory.flush(30)
    assert memory.dead_letters() == []
    assert texts_of(memory.list(scope=scope)) == ["User is allergic to peanuts"]


def test_a_failure_is_raised_where_that_is_asked_for(open_memory: Opener, scope: Ids) -> None:
    """Code that would rather stop than go on without memory."""
    memory = open_memory(llm=Scripted(answers=["rubbish"]), on_error="raise")
    with pytest.raises(BackendError, match="kept as a dead letter"):
        memory.remember("I am allergic to peanuts.", scope=scope)
    assert len(memory.dead_letters()) == 1


def test_a_model_that_asks_for_patience_gets_it(open_memory: Opener, scope: Ids) -> None:
    """Coming back before the time in Retry-After makes a rate limit last longer."""
    times: list[float] = []

    class Busy(Scripted):
        def _generate(self, *args: Any, **options: Any) -> Any:
            times.append(time.monotonic())
            return super()._generate(*args, **options)

    busy = _status_error(openai.RateLimitError, 429, **{"retry-after": "0.5"})
    memory = open_memory(llm=Busy(answers=[busy, memory_answer("User likes tea")]))
    assert memory.remember("I like tea.", scope=scope).status == "stored"
    assert len(times) == 2
    # The longest delay of the policy itself is 0.02 s.
    assert times[1] - times[0] > 0.4


@pytest.mark.parametrize("store", ["qdrant", "pgvector"], indirect=True)
def test_threads_lose_no_write(memory: AgentMemory, scope: Ids) -> None:
    """A local Qdrant without a lock loses writes, and says nothing."""
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait()
        for n in range(25):
            text = f"Thread {thread} wrote note {n}"
            own = {**scope, "agent_id": f"agent-{thread}"}
            assert memory.remember(text, scope=own, infer=False).status == "stored"
            found = memory.recall(text, scope=own, limit=1, on_error="raise", timeout=60)
            assert texts_of(found.memories) == [text]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stored = texts_of(memory.list(scope=scope, limit=1000))
    assert sorted(stored) == sorted(
        f"Thread {thread} wrote note {n}" for thread in range(8) for n in range(25)
    )


@pytest.mark.parametrize("name", ["qdrant", "pgvector"])
def test_a_config_is_all_that_is_needed(
    name: str, tmp_path: Path, minilm: MiniLM, request: pytest.FixtureRequest
) -> None:
    """The config that the user already has for Mem0; what is stored survives the process."""
    url = request.getfixturevalue("postgres_url") if name == "pgvector" else None
    config = store_config(name, tmp_path, 384, url)
    del config["history_db_path"]
    scope = {"user_id": "u"}
    options: dict[str, Any] = {"data_dir": tmp_path / "data", "embedder": minilm}
    for attempt in range(2):
        with connect(config, extractor=SentenceExtractor(), **options) as memory:
            memory.remember(f"My kettle number {attempt} leaks.", scope=scope)
            assert len(memory.list(scope=scope)) == attempt + 1
            assert memory.describe()["history"] == str(tmp_path / "data" / "history.db")


async def test_an_async_memory_is_used_and_stays_open(tmp_path: Path, minilm: MiniLM) -> None:
    """An application that has an AsyncMemory shares it with its agent."""
    theirs = AsyncMemory.from_config(store_config("qdrant", tmp_path, 384))
    options: dict[str, Any] = {"data_dir": tmp_path, "embedder": minilm, "retry": QUICK}
    async with connect(theirs, extractor=SentenceExtractor(), **options) as memory:
        await memory.aremember("My kettle leaks.", scope={"user_id": "u"})
        assert len((await memory.arecall("kettle", scope={"user_id": "u"})).memories) == 1
    listed = await theirs.get_all(filters={"user_id": "u"})
    assert [item["memory"] for item in listed["results"]] == ["My kettle leaks."]
    theirs.vector_store.client.close()
    theirs.close()


def test_memories_that_mem0_stored_itself_are_found(store: Store, tmp_path: Path) -> None:
    """Who adopts this package keeps the memories of before."""
    scope = {"user_id": f"user-{uuid.uuid4().hex}", "agent_id": "shop"}
    with store.connect(tmp_path / "outbox.db") as memory:
        mem0 = memory._backend._memory  # type: ignore[attr-defined]
        mem0.add("I moved to Oslo.", infer=False, metadata={"source": "old"}, **scope)
        (found,) = memory.recall("Where do I live?", scope=scope, threshold=0.0).memories
        assert (found.text, found.scope.ids) == ("I moved to Oslo.", scope)
        assert found.metadata["source"] == "old"
        memory.delete(found.id, scope=scope)
        assert mem0.get_all(filters=scope)["results"] == []


def test_an_embedder_of_another_dimension_is_refused(store: Store, tmp_path: Path) -> None:
    """Otherwise the first write fails, long after the cause."""
    with store.connect(tmp_path / "outbox.db") as memory:
        memory.remember("My kettle leaks.", scope={"user_id": "u"})
    with pytest.raises(DimensionMismatchError, match="384") as refused:
        store.connect(tmp_path / "other.db", embedder=DeterministicFakeEmbedding(size=8))
    assert "8" in str(refused.value)
    with store.connect(tmp_path / "outbox.db") as memory:
        assert memory.recall("kettle", scope={"user_id": "u"}).degraded is None


@pytest.mark.parametrize("name", ["qdrant", "pgvector"])
def test_a_config_of_another_dimension_than_the_store_is_refused(
    name: str, tmp_path: Path, minilm: MiniLM, request: pytest.FixtureRequest
) -> None:
    """Mem0 opens the store without a word, and every write and search then fails."""
    url = request.getfixturevalue("postgres_url") if name == "pgvector" else None
    config = store_config(name, tmp_path, 384, url)
    outbox = OutboxOptions(path=tmp_path / "outbox.db")
    with connect(config, embedder=minilm, data_dir=tmp_path, outbox=outbox) as memory:
        memory.remember("My kettle leaks.", scope={"user_id": "u"}, infer=False)
    config["vector_store"]["config"]["embedding_model_dims"] = 8
    fake = DeterministicFakeEmbedding(size=8)
    with pytest.raises(DimensionMismatchError, match="384"):
        connect(config, embedder=fake, data_dir=tmp_path, outbox=outbox)


def test_a_folder_filled_with_another_embedder_is_refused(tmp_path: Path, minilm: MiniLM) -> None:
    """And it is left as it was: the right embedder opens it afterwards."""
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        memory.remember("My kettle leaks.", scope={"user_id": "u"})
    fake = DeterministicFakeEmbedding(size=8)
    with pytest.raises(DimensionMismatchError, match="384"):
        connect("embedded", data_dir=tmp_path, embedder=fake)
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        assert len(memory.list(scope={"user_id": "u"})) == 1


def test_a_graph_store_is_not_ignored(tmp_path: Path) -> None:
    """Mem0 2 drops it silently, and with it half of what the user relies on."""
    config = {"graph_store": {"provider": "neo4j"}}
    with pytest.raises(ConfigurationError, match="graph_store"):
        connect(config, data_dir=tmp_path)


@pytest.mark.parametrize("target", [42, "postgresql://localhost", ["embedded"], object()])
def test_an_unknown_target_is_refused(target: object, tmp_path: Path) -> None:
    """The message has to name what would do."""
    with pytest.raises(ConfigurationError, match=r"give it a Mem0 config, a mem0\.Memory"):
        connect(target, data_dir=tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"vector_store": "qdrant"},
        {"vector_store": None},
        {"vector_store": {"provider": "no such store"}},
        {"vector_store": {"provider": "qdrant", "config": "text"}},
        {"vector_store": {"provider": "qdrant", "config": {"no_such_option": 1}}},
        {"history_db_path": 5},
    ],
    ids=str,
)
def test_a_broken_config_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    """Whatever Mem0 raises on it, it is one error of ours to catch."""
    fake = DeterministicFakeEmbedding(size=8)
    before = copy.deepcopy(config)
    with pytest.raises(ConfigurationError, match="Mem0 cannot be built from this config"):
        connect(config, embedder=fake, data_dir=tmp_path)
    assert config == before


def test_a_memory_is_connected_to_once(tmp_path: Path, minilm: MiniLM) -> None:
    """A library may call connect() on whatever it was given."""
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        assert connect(memory) is memory
