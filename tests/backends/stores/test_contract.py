"""What a vector store is asked for, on each of them, and on one that has Mem0's interface only."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from mem0.vector_stores.configs import VectorStoreConfig

import mem0_integrations
from mem0_integrations import ConfigurationError, SentenceExtractor, connect
from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.backends.mem0_setup import import_mem0
from mem0_integrations.backends.stores import adapted
from mem0_integrations.backends.stores.base import Store
from mem0_integrations.backends.stores.collections import Collections
from tests.stores import ALL_STORES, PlainStore, store_config

ONE, TWO, THREE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
DIMS = 8
# What memories, documents and entities hold, and what some databases refuse or change.
EVERYTHING: dict[str, object] = {
    "user_id": "u",
    "data": "ünïcödé 🎉 'quoted' \"twice\" \\ back",
    "text_lemmatized": "",
    "nothing": None,
    "yes": True,
    "no": False,
    "number": 7,
    "large": 2**80,
    "fraction": 0.25,
    "tags": ["a", "b"],
    "empty": [],
    "mixed": [1, "a", None, {"deep": [2.5]}],
    "nested": {"deep": {"er": [1, None]}, "ü": "é"},
    "long": "ä" * 100_000,
    "json": '["not", "a", "list"]',
    "marked": "mem0-integrations-json:[1]",
}


@pytest.fixture(scope="module", params=[*ALL_STORES, "plain"])
def shared_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        if request.param in ("embedded", "plain"):
            path = folder / "memories.db"
            opened = stack.enter_context(closing(SQLiteVectorStore(path, dimension=DIMS)))
            plain = adapted(PlainStore(opened), VectorStoreConfig())
            yield opened if request.param == "embedded" else plain
            return
        url = request.getfixturevalue("postgres_url") if request.param == "pgvector" else None
        memory = import_mem0(folder).Memory.from_config(
            store_config(request.param, folder, DIMS, url)
        )
        stack.enter_context(closing(memory))
        collections = Collections.of(memory)
        stack.callback(collections.close)
        yield collections.memories


@pytest.fixture
def store(shared_store: Store) -> Store:
    shared_store.delete_many([row.id for row in shared_store.every({})])
    return shared_store


def fetched(store: Store, ids: Sequence[str]) -> dict[str, Mapping[str, object]]:
    return {row.id: row.payload for row in store.get_many(ids)}


def vector(place: int) -> list[float]:
    return [float(place == number) for number in range(DIMS)]


def test_rows_are_inserted_or_replaced_in_one_call(store: Store) -> None:
    """Mem0's stores disagree on a known id: one refuses, others replace, or keep both."""
    store.put([(ONE, {"user_id": "u", "n": 1, "gone": "yes"})], [vector(1)])
    rows: list[tuple[str, dict[str, object]]] = [
        (TWO, {"user_id": "u", "n": 2}),
        (ONE, {"user_id": "u", "n": 3}),
    ]
    store.put(rows, [vector(2), vector(3)])
    assert fetched(store, [ONE, TWO, THREE]) == dict(rows)
    assert sorted(row.id for row in store.every({})) == [ONE, TWO]
    (nearest,) = store.search("", vector(3), 1, {"user_id": "u"})
    assert nearest.id == ONE
    assert len(store.search("", vector(3), 5, {"user_id": "u"})) == 2


def test_rows_may_be_added_once_more(store: Store) -> None:
    """An earlier attempt may have got some of them through."""
    store.add([(ONE, {"user_id": "u"})], [vector(1)])
    rows: list[tuple[str, dict[str, object]]] = [(ONE, {"user_id": "u"}), (TWO, {"user_id": "u"})]
    store.add(rows, [vector(1), vector(2)])
    assert sorted(row.id for row in store.every({"user_id": "u"})) == [ONE, TWO]


def test_a_payload_comes_back_as_it_was_put(store: Store) -> None:
    """A database that keeps plain values only must not show."""
    store.put([(ONE, dict(EVERYTHING))], [vector(1)])
    (found,) = store.get_many([ONE])
    assert found.payload == EVERYTHING
    assert type(found.payload["yes"]) is bool
    (listed,) = store.every({"user_id": "u"})
    assert listed.payload == EVERYTHING
    (near,) = store.search("", vector(1), 1, {"user_id": "u"})
    assert near.payload == EVERYTHING
    store.update(ONE, vector(1), {"user_id": "u", "data": "d", "n": None})
    (changed,) = store.get_many([ONE])
    assert changed.payload == {"user_id": "u", "data": "d", "n": None}


def test_fields_are_set_and_the_rest_of_a_row_is_kept(store: Store) -> None:
    """Prolonging a life costs no embedding, and brings no older value back."""
    rows: list[tuple[str, dict[str, object]]] = [
        (ONE, {"user_id": "u", "n": 1}),
        (TWO, {"user_id": "u", "n": 2}),
    ]
    store.put(rows, [vector(1), vector(2)])
    store.merge_payloads({ONE: {"n": 10}, TWO: {"more": ["m"]}, THREE: {"n": 30}})
    assert fetched(store, [ONE, TWO, THREE]) == {
        ONE: {"user_id": "u", "n": 10},
        TWO: {"user_id": "u", "n": 2, "more": ["m"]},
    }
    (nearest,) = store.search("", vector(1), 1, {"user_id": "u"})
    assert nearest.id == ONE


def test_a_row_gets_a_vector_with_some_fields(store: Store) -> None:
    """A memory says something else; what another one has noted in it stays."""
    store.put([(ONE, {"user_id": "u", "n": 1}), (TWO, {"user_id": "u"})], [vector(1), vector(2)])
    store.change(ONE, vector(3), {"data": "d"})
    store.change(ONE, None, {"tags": ["a"]})
    store.change(THREE, vector(3), {"n": 3})
    assert fetched(store, [ONE, TWO, THREE]) == {
        ONE: {"user_id": "u", "n": 1, "data": "d", "tags": ["a"]},
        TWO: {"user_id": "u"},
    }
    (nearest,) = store.search("", vector(3), 1, {"user_id": "u"})
    assert nearest.id == ONE


def test_rows_are_deleted_where_they_are(store: Store) -> None:
    """A deletion may be repeated."""
    store.put([(ONE, {"user_id": "u"}), (TWO, {"user_id": "u"})], [vector(1), vector(2)])
    store.delete_many([ONE, THREE])
    store.delete_many([ONE])
    assert list(fetched(store, [ONE, TWO])) == [TWO]
    assert [row.id for row in store.every({})] == [TWO]
    assert [row.id for row in store.search("", vector(1), 5, {"user_id": "u"})] == [TWO]


def test_nothing_is_asked_for_nothing(store: Store) -> None:
    """Some stores read an empty list as everything."""
    store.put([(ONE, {"user_id": "u"})], [vector(1)])
    store.put([], [])
    store.add([], [])
    store.delete_many([])
    store.merge_payloads({})
    assert list(store.get_many([])) == []
    assert store.get(THREE) is None
    assert len(store.every({})) == 1


def test_a_score_is_the_cosine(store: Store) -> None:
    """Whatever distance the database measures, and however long the vectors are."""
    vectors = [[2.0] + [0.0] * (DIMS - 1), [1.0, 1.0] + [0.0] * (DIMS - 2), vector(2)]
    rows = [(row_id, {"user_id": "u"}) for row_id in (ONE, TWO, THREE)]
    store.put([(row_id, {**payload}) for row_id, payload in rows], vectors)
    found = store.search("", [3.0] + [0.0] * (DIMS - 1), 3, {"user_id": "u"})
    assert [row.id for row in found] == [ONE, TWO, THREE]
    assert [row.score for row in found] == pytest.approx([1.0, 0.5**0.5, 0.0], abs=1e-5)


def test_all_of_many_rows_are_there(store: Store) -> None:
    """A page of Mem0's interface, and a batch of a database, hold less."""
    many = [str(uuid.uuid4()) for _ in range(1_200)]
    few = [str(uuid.uuid4()) for _ in range(20)]
    owners = [(row_id, "many") for row_id in many] + [(row_id, "few") for row_id in few]
    vectors = [[1.0, number / 100, *[0.0] * (DIMS - 2)] for number in range(len(owners))]
    store.add(
        [(row_id, {"user_id": owner, "n": 1, "d": row_id}) for row_id, owner in owners], vectors
    )
    assert {row.id for row in store.every({"user_id": "many"})} == set(many)
    assert {row.id for row in store.every({"user_id": "few", "n": 1})} == set(few)
    assert store.every({"user_id": "few", "n": 2}) == []
    assert len(store.get_many(many)) == len(many)
    # Many of another user are nearer.
    found = store.search("", vectors[0], 20, {"user_id": "few"})
    assert {row.id for row in found} == set(few)
    store.delete_many(many)
    assert {row.id for row in store.every({})} == set(few)


TIMES = {
    "2026-11-03T10:00:00+00:00": "03",
    "2026-11-03T09:30:00-07:00": "02",
    "2026-11-02T10:00:00": "04",
    None: "05",
    "1969-01-01T00:00:00+00:00": "06",
    "2026-11-03T23:00:00.5+00:00": "01",
}


def test_rows_are_listed_newest_first_and_counted(store: Store) -> None:
    """Whatever zone their times are written in; pages never overlap."""
    # Some databases take ids of no other form.
    ids = {name: [str(uuid.UUID(int=int(name) * 10 + n)) for n in range(4)] for name in "0123456"}
    wanted = [row_id for name in "123456" for row_id in ids[name]]
    rows: list[tuple[str, dict[str, object]]] = [
        (row_id, {"user_id": "u", "created_at": time, "team": name[-1]})
        for time, name in TIMES.items()
        # Of equally new ones the ids decide, not the order of their addition.
        for row_id in reversed(ids[name[-1]])
    ]
    others: list[tuple[str, dict[str, object]]] = [
        (row_id, {"user_id": "other", "created_at": "2026-11-04"}) for row_id in ids["0"]
    ]
    store.put([*rows, *others], [vector(1)] * (len(rows) + len(others)))
    for limit in (1, 3, 100, 2**63):
        assert [row.id for row in store.newest({"user_id": "u"}, limit=limit)] == wanted
    assert [row.id for row in store.newest({"user_id": "u"}, limit=2, skip=5)] == wanted[5:]
    assert [row.id for row in store.newest({"user_id": "u", "team": "3"}, limit=2)] == ids["3"]
    assert store.count({"user_id": "u"}) == len(wanted)
    assert store.count({"user_id": "u", "team": "3"}) == len(ids["3"])
    assert store.count({"user_id": "nobody"}) == 0


def test_threads_do_not_lose_each_others_rows(store: Store) -> None:
    """Mem0's classes are not all made for it."""

    def work(thread: int) -> None:
        ids = [str(uuid.uuid4()) for _ in range(8)]
        for row_id in ids:
            store.add([(row_id, {"user_id": f"u{thread}"})], [vector(thread)])
            assert store.search("", vector(thread), 1, {"user_id": f"u{thread}"})
            assert len(store.every({"user_id": f"u{thread}"})) <= len(ids)
        store.merge_payloads({ids[0]: {"n": 1}})
        store.delete_many(ids[6:])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    rows = store.every({})
    assert len(rows) == 4 * 6
    assert sum(row.payload.get("n") == 1 for row in rows) == 4


@pytest.mark.parametrize("shared_store", ALL_STORES, indirect=True)
def test_collections_are_kept_apart(store: Store) -> None:
    """Documents are no memories."""
    name = f"side_{uuid.uuid4().hex[:8]}"
    other = store.beside(name, 2)
    assert store.has_beside(name)
    other.put([(ONE, {"user_id": "other"})], [[1.0, 0.0]])
    store.put([(ONE, {"user_id": "own"}), (TWO, {"user_id": "own"})], [vector(1), vector(2)])
    assert [row.payload["user_id"] for row in other.every({})] == ["other"]
    assert {str(row.payload["user_id"]) for row in store.every({})} == {"own"}
    other.delete_many([ONE])
    assert len(store.every({})) == 2


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("chroma", "ChromaDB"),
        ("faiss", "FAISS"),
        ("langchain", "Langchain"),
        ("milvus", "MilvusDB"),
        ("pgvector", "PGVector"),
        ("qdrant", "Qdrant"),
    ],
)
def test_a_subclass_is_served_as_its_parent(
    provider: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Who adds a log line to Mem0's class does not get the slow way."""
    parent = getattr(importlib.import_module(f"mem0.vector_stores.{provider}"), name)
    url = request.getfixturevalue("postgres_url") if provider == "pgvector" else None
    memory = import_mem0(tmp_path).Memory.from_config(store_config(provider, tmp_path, DIMS, url))
    store = memory.vector_store
    store.__class__ = type("Logging", (parent,), {})
    with closing(memory), closing(adapted(store, memory.config.vector_store)) as served:
        assert type(served).__module__ == f"mem0_integrations.backends.stores.{provider}"


class Unlistable(VectorStore):
    """A vector store of LangChain's."""

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> Any: ...

    @classmethod
    def from_texts(
        cls, texts: Any, embedding: Any, metadatas: Any = None, **kwargs: Any
    ) -> Any: ...


def test_a_store_that_could_not_forget_is_refused(tmp_path: Path) -> None:
    """Whoever cannot list cannot forget; the README says it, too."""
    store = {"provider": "langchain", "config": {"client": Unlistable()}}
    with pytest.raises(ConfigurationError, match="cannot list what it holds"):
        connect(
            {"vector_store": store},
            data_dir=tmp_path,
            embedder=DeterministicFakeEmbedding(size=DIMS),
            extractor=SentenceExtractor(),
        )
    readme = Path(mem0_integrations.__file__).parent.parent / "README.md"
    assert "cannot list what it holds" in " ".join(readme.read_text(encoding="utf-8").split())
