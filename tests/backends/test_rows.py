from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.backends.stores import adapted
from mem0_integrations.backends.stores.base import Payload, Store
from tests.stores import MiniLM, PlainStore, open_store

ONE, TWO, THREE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


@pytest.fixture(params=["embedded", "qdrant", "pgvector", "plain"])
def store(request: pytest.FixtureRequest, tmp_path: Path, minilm: MiniLM) -> Iterator[Store]:
    if request.param == "plain":
        with closing(SQLiteVectorStore(tmp_path / "rows.db", dimension=384)) as opened:
            yield adapted(PlainStore(opened), VectorStoreConfig())
        return
    with (
        open_store(request.param, tmp_path / "store", minilm, request) as opened,
        opened.connect(tmp_path / "outbox.db") as memory,
    ):
        yield memory._backend._store  # type: ignore[attr-defined]


def fetched(store: Store, ids: Sequence[str]) -> dict[str, Payload]:
    return {row.id: row.payload for row in store.get_many(ids)}


def vector(place: int) -> list[float]:
    return [float(place == number) for number in range(384)]


def test_rows_are_inserted_or_replaced_in_one_call(store: Store) -> None:
    """Mem0's stores disagree on a known id: one refuses, others replace."""
    store.put([(ONE, {"user_id": "u", "n": 1})], [vector(1)])
    store.put(
        [(TWO, {"user_id": "u", "n": 2}), (ONE, {"user_id": "u", "n": 3})],
        [vector(2), vector(3)],
    )
    assert {key: payload["n"] for key, payload in fetched(store, [ONE, TWO, THREE]).items()} == {
        ONE: 3,
        TWO: 2,
    }
    (nearest, *_) = store.search("", vectors=vector(3), top_k=1, filters={"user_id": "u"})
    assert str(nearest.id) == ONE


def test_fields_are_set_and_the_rest_of_a_row_is_kept(store: Store) -> None:
    """Prolonging a life costs no embedding, and brings no older value back."""
    rows = [(ONE, {"user_id": "u", "n": 1}), (TWO, {"user_id": "u", "n": 2})]
    store.put(rows, [vector(1), vector(2)])
    store.merge_payloads({ONE: {"n": 10}, TWO: {"more": "m"}, THREE: {"n": 30}})
    assert fetched(store, [ONE, TWO, THREE]) == {
        ONE: {"user_id": "u", "n": 10},
        TWO: {"user_id": "u", "n": 2, "more": "m"},
    }
    (nearest, *_) = store.search("", vectors=vector(1), top_k=1, filters={"user_id": "u"})
    assert str(nearest.id) == ONE


def test_rows_are_deleted_where_they_are(store: Store) -> None:
    """A deletion may be repeated."""
    store.put([(ONE, {"user_id": "u"}), (TWO, {"user_id": "u"})], [vector(1), vector(2)])
    store.delete_many([ONE, THREE])
    store.delete_many([ONE])
    assert list(fetched(store, [ONE, TWO])) == [TWO]
    assert [str(row.id) for row in store.every({})] == [TWO]


def test_nothing_is_asked_for_nothing(store: Store) -> None:
    """Some stores read an empty list as everything."""
    store.put([(ONE, {"user_id": "u"})], [vector(1)])
    store.put([], [])
    store.delete_many([])
    store.merge_payloads({})
    assert fetched(store, []) == {}
    assert len(store.every({})) == 1
