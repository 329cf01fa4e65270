from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.backends.rows import (
    delete_rows,
    every_row,
    fetch_rows,
    merge_payloads,
    put_rows,
)
from tests.stores import MiniLM, open_store

ONE, TWO, THREE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


class PlainStore(VectorStoreBase):
    """A store with nothing but Mem0's interface, which refuses to insert what it has."""

    def __init__(self, store: SQLiteVectorStore) -> None:
        self._store = store

    def insert(self, vectors: Any, payloads: Any = None, ids: Any = None) -> None:
        if any(self.get(row_id) for row_id in ids):
            raise ValueError("duplicate key")
        self._store.insert(vectors, payloads, ids)

    def create_col(self, *given: Any, **named: Any) -> None:
        self._store.create_col(*given, **named)

    def search(self, query: Any, vectors: Any, top_k: Any = 5, filters: Any = None) -> Any:
        return self._store.search(query, vectors, top_k, filters)

    def delete(self, vector_id: Any) -> None:
        self._store.delete(vector_id)

    def update(self, vector_id: Any, vector: Any = None, payload: Any = None) -> None:
        self._store.update(vector_id, vector, payload)

    def get(self, vector_id: Any) -> Any:
        return self._store.get(vector_id)

    def list_cols(self) -> Any:
        return self._store.list_cols()

    def delete_col(self) -> None:
        self._store.delete_col()

    def col_info(self) -> Any:
        return self._store.col_info()

    def list(self, filters: Any = None, top_k: Any = None) -> Any:
        return self._store.list(filters, top_k)

    def reset(self) -> None:
        self._store.reset()


@pytest.fixture(params=["embedded", "qdrant", "pgvector", "plain"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, minilm: MiniLM
) -> Iterator[VectorStoreBase]:
    if request.param == "plain":
        with closing(SQLiteVectorStore(tmp_path / "rows.db", dimension=384)) as wrapped:
            yield PlainStore(wrapped)
        return
    with (
        open_store(request.param, tmp_path / "store", minilm, request) as opened,
        opened.connect(tmp_path / "outbox.db") as memory,
    ):
        yield memory._backend._memory.vector_store  # type: ignore[attr-defined]


def vector(place: int) -> list[float]:
    return [float(place == number) for number in range(384)]


def test_rows_are_inserted_or_replaced_in_one_call(store: VectorStoreBase) -> None:
    """Mem0's stores disagree on a known id: one refuses, others replace."""
    put_rows(store, [(ONE, {"user_id": "u", "n": 1})], [vector(1)])
    put_rows(
        store,
        [(TWO, {"user_id": "u", "n": 2}), (ONE, {"user_id": "u", "n": 3})],
        [vector(2), vector(3)],
    )
    assert {key: payload["n"] for key, payload in fetch_rows(store, [ONE, TWO, THREE]).items()} == {
        ONE: 3,
        TWO: 2,
    }
    (nearest, *_) = store.search("", vectors=vector(3), top_k=1, filters={"user_id": "u"})
    assert str(nearest.id) == ONE


def test_fields_are_set_and_the_rest_of_a_row_is_kept(store: VectorStoreBase) -> None:
    """Prolonging a life costs no embedding, and brings no older value back."""
    rows = [(ONE, {"user_id": "u", "n": 1}), (TWO, {"user_id": "u", "n": 2})]
    put_rows(store, rows, [vector(1), vector(2)])
    merge_payloads(store, {ONE: {"n": 10}, TWO: {"more": "m"}, THREE: {"n": 30}})
    assert fetch_rows(store, [ONE, TWO, THREE]) == {
        ONE: {"user_id": "u", "n": 10},
        TWO: {"user_id": "u", "n": 2, "more": "m"},
    }
    (nearest, *_) = store.search("", vectors=vector(1), top_k=1, filters={"user_id": "u"})
    assert str(nearest.id) == ONE


def test_rows_are_deleted_where_they_are(store: VectorStoreBase) -> None:
    """A deletion may be repeated."""
    put_rows(store, [(ONE, {"user_id": "u"}), (TWO, {"user_id": "u"})], [vector(1), vector(2)])
    delete_rows(store, [ONE, THREE])
    delete_rows(store, [ONE])
    assert list(fetch_rows(store, [ONE, TWO])) == [TWO]
    assert [str(row.id) for row in every_row(store, {})] == [TWO]


def test_nothing_is_asked_for_nothing(store: VectorStoreBase) -> None:
    """Some stores read an empty list as everything."""
    put_rows(store, [(ONE, {"user_id": "u"})], [vector(1)])
    put_rows(store, [], [])
    delete_rows(store, [])
    merge_payloads(store, {})
    assert fetch_rows(store, []) == {}
    assert len(every_row(store, {})) == 1
