"""A memory and all that stands on it, on each vector store, through the public API."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from crewai.memory.types import MemoryRecord
from langchain_core.messages import AIMessage, HumanMessage

from mem0_integrations import AgentMemory, MemoryNotFoundError, SentenceExtractor, connect
from mem0_integrations.backends.rows import RowLocks, StoreRows
from mem0_integrations.backends.stores.base import Store
from mem0_integrations.crewai import Mem0CrewMemory, Mem0Storage
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.langgraph import Mem0Store
from tests.paths import MemoryPath, Way
from tests.stores import ALL_STORES, QUICK, MiniLM, Scripted, memory_answer, store_config, texts_of
from tests.switches import PATIENCE, Gate

METADATA = {"topic": "tea", "tags": ["a", "b"], "n": 1, "nested": {"x": [1, None]}, "none": None}


@pytest.fixture(scope="module", params=ALL_STORES)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """What is connected to: a config that does not say of which length the vectors are."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        return "embedded", folder
    url = request.getfixturevalue("postgres_url") if request.param == "pgvector" else None
    config = store_config(request.param, folder, None, url)
    return {name: config[name] for name in ("vector_store", "history_db_path")}, folder


@pytest.fixture(scope="module")
def memory(target: tuple[Any, Path], minilm: MiniLM) -> Iterator[AgentMemory]:
    config, folder = target
    with connect(
        config, data_dir=folder, embedder=minilm, extractor=SentenceExtractor(), retry=QUICK
    ) as connected:
        yield connected


def rows_of(memory: AgentMemory, user: str) -> list[str]:
    """All that any collection of the store holds of a user."""
    collections = memory._backend._collections  # type: ignore[attr-defined]
    stores: list[Store] = [collections.memories, *collections._stores.values()]
    return [row.id for store in stores for row in store.every({}) if user in repr(row.payload)]


def test_a_memory_is_remembered_changed_and_forgotten(memory: AgentMemory, user: str) -> None:
    """The whole life of a memory; others' stay."""
    scope, other = {"user_id": user}, {"user_id": f"other-{user}"}
    memory.remember("I drink green tea.", scope=scope, metadata=METADATA)
    memory.remember("I live in Oslo.", scope=scope)
    memory.remember("I drink green tea, too.", scope=other)
    (tea, *_) = memory.recall("What does she drink?", scope=scope, threshold=0.0).memories
    assert (tea.text, tea.scope.ids) == ("I drink green tea.", scope)
    assert {key: tea.metadata[key] for key in METADATA} == METADATA
    assert tea.score is not None
    assert 0.1 < tea.score <= 1.0
    changed = memory.update(tea.id, text="I drink black tea.", scope=scope)
    assert {key: changed.metadata[key] for key in METADATA} == METADATA
    assert texts_of(memory.list(scope=scope)) == ["I live in Oslo.", "I drink black tea."]
    history = memory.history(tea.id, scope=scope)
    assert [(change.event, change.new_text) for change in history] == [
        ("ADD", "I drink green tea."),
        ("UPDATE", "I drink black tea."),
    ]
    memory.delete(tea.id, scope=scope)
    assert memory.get(tea.id, scope=scope) is None
    assert texts_of(memory.list(scope=scope)) == ["I live in Oslo."]
    assert memory.history(tea.id, scope=scope)[-1].event == "DELETE"
    forgotten = memory.forget(scope)
    assert (forgotten.memories, forgotten.history) == (1, 4)
    assert rows_of(memory, f"'{user}'") == []
    assert texts_of(memory.list(scope=other)) == ["I drink green tea, too."]


def test_filters_select(memory: AgentMemory, user: str) -> None:
    """Those that the store evaluates, and those that are evaluated afterwards."""
    scope = {"user_id": user}
    for number in range(4):
        metadata = {"n": number, "even": number % 2 == 0, "tags": [f"t{number}"], "kind": "lesson"}
        memory.remember(f"Lesson number {number}.", scope=scope, infer=False, metadata=metadata)
    memory.remember("No lesson.", scope=scope, infer=False, metadata={"none": None})

    def found(filters: dict[str, Any]) -> list[str]:
        recalled = memory.recall("lesson", scope=scope, filters=filters, threshold=0.0).memories
        listed = texts_of(memory.list(scope=scope, filters=filters))
        assert sorted(texts_of(recalled)) == sorted(listed)
        return sorted(text[-2] for text in listed)

    assert found({"kind": "lesson"}) == ["0", "1", "2", "3"]
    assert found({"n": 2}) == ["2"]
    assert found({"n": {"gte": 2}}) == ["2", "3"]
    assert found({"even": True}) == ["0", "2"]
    assert found({"tags": {"contains": "t3"}}) == ["3"]
    assert found({"kind": "lesson", "n": {"in": [0, 3]}}) == ["0", "3"]
    page = memory.list(scope=scope, limit=2, offset=1)
    assert texts_of(page) == ["Lesson number 3.", "Lesson number 2."]


def test_many_are_stored_at_once_and_once(memory: AgentMemory, user: str) -> None:
    """An import may be repeated."""
    scope = {"user_id": user}
    texts = [f"I have been to town number {number}." for number in range(60)]
    for _ in range(2):
        memory.remember_many(texts, scope=scope, infer=False)
    assert sorted(texts_of(memory.list(scope=scope, limit=100))) == sorted(texts)
    recalled = memory.recall("town number 17", scope=scope, limit=30, threshold=0.0).memories
    assert len(recalled) == 30


def test_items_of_a_store_are_kept(memory: AgentMemory, user: str) -> None:
    """LangGraph's store, in a collection of its own."""
    store = Mem0Store(memory, index={"fields": ["text"]})
    value = {"text": "A dog called Bello.", "deep": {"er": [1, None, {"x": True}]}}
    store.put((user, "notes"), "k", value)
    store.put((user, "notes"), "unsearched", {"n": 1}, index=False)
    store.put((user, "other"), "k", {"text": "A cat called Mia."})
    found = store.get((user, "notes"), "k")
    assert found is not None
    assert found.value == value
    assert [item.value for item in store.search((user, "notes"), query="pet", limit=1)] == [value]
    assert {item.key for item in store.search((user, "notes"))} == {"k", "unsearched"}
    assert store.list_namespaces(prefix=(user,)) == [(user, "notes"), (user, "other")]
    store.put((user, "notes"), "k", {"text": "A dog called Rex."}, ttl=10)
    (item, *_) = store.search((user,), query="dog")
    assert item.value == {"text": "A dog called Rex."}
    for namespace, key in (("notes", "k"), ("notes", "unsearched"), ("other", "k")):
        store.delete((user, namespace), key)
    assert rows_of(memory, user) == []


def test_memories_are_items_too(memory: AgentMemory, user: str) -> None:
    """What is put is recalled, and what is remembered is listed."""
    store = Mem0Store(memory, memories=("memories", "{user_id}"))
    store.put(("memories", user), "note", {"text": "I keep bees.", "deep": {"er": [1]}})
    memory.remember("I play chess.", scope={"user_id": user})
    assert texts_of(memory.recall("bees", scope={"user_id": user}).memories)[0] == "I keep bees."
    listed = {
        item.value.get("text") or item.value["memory"] for item in store.search(("memories", user))
    }
    assert listed == {"I keep bees.", "I play chess."}
    found = store.get(("memories", user), "note")
    assert found is not None
    assert found.value == {"text": "I keep bees.", "deep": {"er": [1]}}
    store.delete(("memories", user), "note")
    assert texts_of(memory.list(scope={"user_id": user})) == ["I play chess."]
    memory.forget({"user_id": user})
    assert rows_of(memory, user) == []


def test_a_transcript_is_kept_in_order(memory: AgentMemory, user: str) -> None:
    """LangChain's history; it is forgotten with the scope."""
    history = Mem0ChatMessageHistory(memory, session_id="t", scope={"user_id": user})
    said = [
        HumanMessage("Hällo 🎉"),
        AIMessage("Hi."),
        HumanMessage([{"type": "text", "text": "x"}]),
    ]
    history.add_messages(said)
    assert [message.content for message in history.messages] == [each.content for each in said]
    assert memory.recall("Hi", scope={"user_id": user}).memories == ()
    assert memory.forget({"user_id": user}).transcript == 3
    assert history.messages == []
    assert rows_of(memory, user) == []


def test_crewai_keeps_its_records(memory: AgentMemory, user: str) -> None:
    """CrewAI's own engine brings vectors of its own, and asks by paths and categories."""
    storage = Mem0Storage(memory, user_id=user)
    (tea, bees) = storage_vectors = memory.vectors().ask(
        lambda memories: memories.embed(["Prefers tea.", "Keeps bees."])
    )
    records = [
        MemoryRecord(
            content=content,
            scope=scope,
            embedding=vector,
            categories=[content[:5]],
            metadata={"nested": {"deep": [1, None]}},
            created_at=datetime(2026, 11, 2),
        )
        for content, scope, vector in zip(
            ["Prefers tea.", "Keeps bees."], ["/crew/a", "/crew/b"], storage_vectors, strict=True
        )
    ]
    storage.save(records)
    found = storage.search(tea, limit=2)
    assert [record.content for record, _ in found] == ["Prefers tea.", "Keeps bees."]
    assert found[0][1] == pytest.approx(1.0, abs=1e-3)
    assert [record.content for record, _ in storage.search(tea, scope_prefix="/crew/b")] == [
        "Keeps bees."
    ]
    kept = storage.get_record(records[0].id)
    assert kept is not None
    assert kept.model_dump(exclude={"last_accessed"}) == records[0].model_dump(
        exclude={"last_accessed"}
    )
    storage.update(records[0].model_copy(update={"content": "Prefers mate.", "embedding": bees}))
    assert {record.content for record in storage.list_records()} == {"Prefers mate.", "Keeps bees."}
    assert storage.delete(record_ids=[records[1].id]) == 1
    assert storage.count() == 1
    memory.forget({"user_id": user})
    assert rows_of(memory, user) == []
    assert Mem0CrewMemory(memory, user_id=user) is not None


def test_mem0s_own_pipeline_extracts(
    target: tuple[Any, Path], minilm: MiniLM, memory: AgentMemory, user: str
) -> None:
    """With a model, Mem0 reads and writes the store itself."""
    config, folder = target
    scope = {"user_id": user}
    llm = Scripted(answers=[memory_answer("She likes vorpalmint."), memory_answer()])
    # On the store that is open already: a folder of Qdrant or FAISS has one owner.
    mem0 = memory._backend._original  # type: ignore[attr-defined]
    opened = config if config == "embedded" else mem0
    with connect(opened, data_dir=folder, embedder=minilm, llm=llm, retry=QUICK) as with_model:
        with_model.remember("I like vorpalmint.", scope=scope, metadata=METADATA)
        (found,) = with_model.recall("vorpalmint", scope=scope).memories
        assert {key: found.metadata[key] for key in METADATA} == METADATA
        entities = with_model._backend._memory.entity_store  # type: ignore[attr-defined]
        payload = {"data": "Vorpal", "linked_memory_ids": [found.id, "x"], **scope}
        entities.insert([minilm.embed_query("Vorpal")], [payload], [str(uuid.uuid4())])
        (entity,) = entities.search("", minilm.embed_query("Vorpal"), 1, scope)
        assert entity.payload == payload
        assert len(rows_of(with_model, user)) == 2
        with_model.forget(scope)
        assert rows_of(with_model, user) == []


def test_what_was_stored_is_there_again(
    request: pytest.FixtureRequest, target: tuple[Any, Path], minilm: MiniLM, tmp_path: Path
) -> None:
    """A store outlives a process; LangChain's lives as long as its client."""
    provider = target[0] if target[0] == "embedded" else target[0]["vector_store"]["provider"]
    url = request.getfixturevalue("postgres_url") if provider == "pgvector" else None
    config: Any = "embedded"
    if provider != "embedded":
        config = store_config(provider, tmp_path, None, url)
        if provider in ("chroma", "faiss", "qdrant"):
            # Nor where it lies: in the data folder.
            del config["vector_store"]["config"]["path"]
    for number in range(2):
        with connect(
            config, data_dir=tmp_path, embedder=minilm, extractor=SentenceExtractor()
        ) as memory:
            memory.remember(f"I have {number} cats.", scope={"user_id": "u"})
            store = Mem0Store(memory)
            store.put(("notes",), str(number), {"n": number})
            assert len(memory.list(scope={"user_id": "u"})) == number + 1
            assert len(store.search(("notes",))) == number + 1


def test_words_are_found_beside_it(
    target: tuple[Any, Path], minilm: MiniLM, memory: AgentMemory, user: str
) -> None:
    """An index of words follows what any of them keeps."""
    config, folder = target
    opened = config if config == "embedded" else memory._backend._original  # type: ignore[attr-defined]
    options: dict[str, Any] = {"lexical": None if config == "embedded" else True}
    with connect(
        opened, data_dir=folder, embedder=minilm, extractor=SentenceExtractor(), **options
    ) as with_words:
        with_words.remember("My zyxgrommet is broken.", scope={"user_id": user})
        (found,) = with_words.recall("zyxgrommet", scope={"user_id": user}, explain=True).memories
        assert found.signals is not None
        assert found.signals["lexical"] > 0
        with_words.forget({"user_id": user})
        assert with_words.recall("zyxgrommet", scope={"user_id": user}).memories == ()


def test_two_processes_lose_no_change_of_a_memory(
    open_path: Callable[[Way], MemoryPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL alone: what it changes, it changes within one statement."""
    path = open_path(Way("no model", "pgvector", "no follower", "sync"))
    kept = path.memory.remember("I live in Oslo.", scope=path.scope).memories[0]
    gates = [Gate(step) for step in range(5)]
    for number, gate in enumerate(gates):
        path.parts.rows.hook = gate
        text = threading.Thread(
            target=path.memory.update,
            args=(kept.id,),
            kwargs={"text": f"I live in house {number}.", "scope": path.scope},
        )
        text.start()
        assert gate.reached.wait(PATIENCE)
        with monkeypatch.context() as patched:
            # Another process knows nothing of the locks of this one.
            patched.setattr(StoreRows, "changing", RowLocks())
            path.memory.update(kept.id, metadata={f"key_{number}": number}, scope=path.scope)
        gate.opened.set()
        text.join(PATIENCE)
        changed = path.memory.get(kept.id, scope=path.scope)
        assert changed is not None
        assert (changed.text, changed.metadata[f"key_{number}"]) == (
            f"I live in house {number}.",
            number,
        )


def test_two_processes_may_delete_the_same_memory(
    open_path: Callable[[Way], MemoryPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL: what one finds gone was deleted by the other."""
    path = open_path(Way("no model", "pgvector", "no follower", "sync"))
    for step in range(3):
        kept = path.memory.remember(f"I live in house {step}.", scope=path.scope).memories[0]
        gate = Gate(step)
        path.parts.rows.hook = gate
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(path.memory.delete, kept.id, scope=path.scope)
            assert gate.reached.wait(PATIENCE)
            with monkeypatch.context() as patched:
                patched.setattr(StoreRows, "changing", RowLocks())
                path.memory.delete(kept.id, scope=path.scope)
            gate.opened.set()
            error = slow.exception(PATIENCE)
            assert error is None or isinstance(error, MemoryNotFoundError)
        assert path.memory.get(kept.id, scope=path.scope) is None
