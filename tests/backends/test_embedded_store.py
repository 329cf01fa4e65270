from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.errors import (
    BackendTimeoutError,
    ClosedError,
    CorruptFileError,
    DimensionMismatchError,
    InvalidFilterError,
    InvalidInputError,
    MemoryNotFoundError,
    StorageError,
)
from mem0_integrations.table.matrices import Matrix, MatrixCache

X, Y, Z = np.eye(3).tolist()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteVectorStore]:
    with closing(SQLiteVectorStore(tmp_path / "memories.db", dimension=3)) as opened:
        yield opened


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file count as one that takes long to be rewritten."""
    monkeypatch.setattr("mem0_integrations.sqlite._SMALL", 0)


def ids(store: SQLiteVectorStore, **filters: object) -> list[str]:
    """Return the ids that a filter lists, in the order of their addition."""
    return [record.id for record in reversed(store.list(filters=filters)[0])]


def nearest(store: SQLiteVectorStore, vector: list[float], **filters: object) -> list[str]:
    return [hit.id for hit in store.search("", vector, top_k=1000, filters=filters)]


# --- What Mem0 expects of a store


def test_search_returns_the_nearest_first_with_their_cosine(store: SQLiteVectorStore) -> None:
    """Mem0 adds these scores to others that lie between 0 and 1."""
    store.insert([[1, 1, 0], [5, 0, 0], [-1, 0, 0]], [{"data": n} for n in "abc"], ["a", "b", "c"])
    hits = store.search("", [2, 0, 0], top_k=3)
    assert [(hit.id, hit.payload) for hit in hits] == [(n, {"data": n}) for n in "bac"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0])
    assert [hit.id for hit in store.search("", [2, 0, 0], top_k=1)] == ["b"]


def test_list_returns_the_newest_in_a_list_of_lists(store: SQLiteVectorStore) -> None:
    """Mem0 unwraps one level; a page that is cut off should hold what is current."""
    store.insert([X, Y, Z], [{}, {}, {}], ["1", "2", "3"])
    assert [[record.id for record in rows] for rows in store.list(top_k=2)] == [["3", "2"]]
    assert len(store.list()[0]) == 3


def test_a_payload_comes_back_as_it_was(store: SQLiteVectorStore) -> None:
    """Metadata belongs to the application: no type of JSON may be lost."""
    payload = {"data": "née\0 \ud83e 🫖", "n": 1, "f": 1.0, "b": True, "no": None, "l": [{"x": []}]}
    store.insert([X], [payload], ["1"])
    record = store.get("1")
    assert record is not None
    assert (record.id, record.payload, record.score) == ("1", payload, None)
    assert type(record.payload["f"]) is float
    assert store.get("2") is None


def test_insert_makes_up_ids_and_payloads(store: SQLiteVectorStore) -> None:
    """Both are optional in Mem0's interface."""
    store.insert([X, Y])
    first, second = store.list()[0]
    assert first.id != second.id
    assert first.payload == {}


def test_insert_replaces_a_known_id(store: SQLiteVectorStore) -> None:
    """A write that is retried after a crash must not leave two of one memory."""
    store.insert([X], [{"user_id": "ann"}], ["1"])
    assert nearest(store, X, user_id="ann") == ["1"]
    store.insert([Y, Z], [{"user_id": "bob", "n": 1}, {"user_id": "bob", "n": 2}], ["1", "1"])
    assert nearest(store, X, user_id="ann") == []
    assert [(hit.score, hit.payload["n"]) for hit in store.search("", Z)] == [(1.0, 2)]


def test_update_without_a_vector_keeps_it(store: SQLiteVectorStore) -> None:
    """Mem0 updates an entity's links without embedding its name again."""
    store.insert([X], [{"user_id": "ann", "old": 1}], ["1"])
    store.update(vector_id="1", vector=None, payload={"user_id": "ann", "new": 1})
    (hit,) = store.search("", X, filters={"user_id": "ann"})
    assert (hit.score, hit.payload) == (1.0, {"user_id": "ann", "new": 1})


def test_update_without_a_payload_keeps_it(store: SQLiteVectorStore) -> None:
    """The other half of the interface."""
    store.insert([X], [{"user_id": "ann"}], ["1"])
    assert nearest(store, X) == ["1"]
    store.update("1", vector=Y)
    (hit,) = store.search("", Y, filters={"user_id": "ann"})
    assert hit.score == 1.0


def test_update_moves_a_memory_to_its_new_owner(store: SQLiteVectorStore) -> None:
    """The columns that are searched must never disagree with the payload."""
    store.insert([X], [{"user_id": "ann"}], ["1"])
    assert (nearest(store, X, user_id="ann"), nearest(store, X, user_id="bob")) == (["1"], [])
    store.update("1", payload={"user_id": "bob"})
    assert (nearest(store, X, user_id="ann"), nearest(store, X, user_id="bob")) == ([], ["1"])
    assert (store.count({"user_id": "ann"}), store.count({"user_id": "bob"})) == (0, 1)


def test_update_of_nothing_is_an_error(store: SQLiteVectorStore) -> None:
    """A correction that got lost would leave the old statement in force."""
    with pytest.raises(MemoryNotFoundError, match="'1'"):
        store.update("1", payload={})


def test_delete_removes_one_memory_and_may_be_repeated(store: SQLiteVectorStore) -> None:
    """Two devices may forget the same memory."""
    store.insert([X, Y], ids=["1", "2"])
    assert nearest(store, X) == ["1", "2"]
    store.delete(vector_id="1")
    store.delete(vector_id="1")
    assert ids(store) == nearest(store, X) == ["2"]


def test_keyword_search_is_declined(store: SQLiteVectorStore) -> None:
    """None tells Mem0 to rank by similarity alone; not overriding it logs a warning."""
    assert store.keyword_search("kettle", top_k=3, filters={}) is None  # type: ignore[func-returns-value]
    assert "keyword_search" in vars(SQLiteVectorStore)


# --- Whose memories


def test_an_id_is_never_a_wildcard(store: SQLiteVectorStore) -> None:
    """Other stores read "*" as everybody: a user of that name would own all memories."""
    store.insert([X, Y], [{"user_id": "ann"}, {"user_id": "*"}], ["1", "2"])
    assert ids(store, user_id="*") == nearest(store, X, user_id="*") == ["2"]
    assert store.delete_where({"user_id": "*"}) == 1
    assert ids(store) == ["1"]


def test_several_ids_are_all_required(store: SQLiteVectorStore) -> None:
    """What an agent knows of one user is not what it knows of another."""
    payloads = [
        {"user_id": user, "agent_id": agent, "run_id": run, "app_id": "shop", "actor_id": "me"}
        for user in "ab"
        for agent in "ab"
        for run in "ab"
    ]
    store.insert([X] * 8, payloads, [str(n) for n in range(8)])
    wanted = {"user_id": "b", "agent_id": "a", "run_id": "b", "app_id": "shop", "actor_id": "me"}
    assert ids(store, **wanted) == nearest(store, X, **wanted) == ["5"]
    assert ids(store, agent_id="a", run_id="b") == ["1", "5"]


@pytest.mark.parametrize("value", [None, 7, True, ["ann", "bob"], {"in": ["ann"]}, "half \ud800"])
def test_an_id_that_is_not_text_is_refused(store: SQLiteVectorStore, value: object) -> None:
    """Ignoring it, as a None once was, would search everybody's memories."""
    for call in (store.list, store.count, store.delete_where):
        with pytest.raises(InvalidFilterError, match="user_id"):
            call({"user_id": value})
    if value is not None:
        with pytest.raises(InvalidInputError, match="user_id"):
            store.insert([X], [{"user_id": value}])


def test_an_id_hidden_in_a_condition_is_refused(store: SQLiteVectorStore) -> None:
    """A filter may narrow the scope; it cannot name one."""
    with pytest.raises(InvalidFilterError, match="user_id"):
        store.list({"user_id": "ann", "$or": [{"user_id": "bob"}, {"n": 1}]})


HOSTILE = st.one_of(
    st.sampled_from(
        ["", "*", "%", "_", "' OR 1=1 --", '"', "\0", "a\0b", "NULL", "null", "ä", "ä"]
    ),
    st.text(max_size=5),
)


@settings(deadline=None, max_examples=60)
@given(users=st.lists(HOSTILE, min_size=2, max_size=6, unique=True))
def test_scopes_are_isolated_whatever_the_ids(
    users: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The id is the tenant boundary, and it comes from a foreign sign-up form."""
    path = tmp_path_factory.mktemp("isolation") / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        for user in users:
            assert nearest(store, X, user_id=user) == []
            store.insert([X, Y], [{"user_id": user}] * 2, [f"{user}-1", f"{user}-2"])
        for user in users:
            own = [f"{user}-1", f"{user}-2"]
            assert ids(store, user_id=user) == nearest(store, X, user_id=user) == own
            assert store.count({"user_id": user}) == 2
        assert store.delete_where({"user_id": users[0]}) == 2
        assert nearest(store, X, user_id=users[0]) == []
        assert store.count() == 2 * len(users) - 2
        assert all(len(nearest(store, X, user_id=user)) == 2 for user in users[1:])


def test_a_search_reads_only_the_rows_of_its_user(store: SQLiteVectorStore) -> None:
    """With 100 users of 10,000 memories, a full scan would read a gigabyte for each question."""
    connection = store._database._connection
    assert connection is not None
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    store.search("", X, filters={"agent_id": "shared", "user_id": "ann"})
    connection.set_trace_callback(None)
    (reading,) = (statement for statement in statements if "SELECT seq, vector" in statement)
    ((*_, plan),) = connection.execute(f"EXPLAIN QUERY PLAN {reading}")
    assert plan == "SEARCH memories USING INDEX memories_user_id (collection=? AND user_id=?)"


def statements_of(store: SQLiteVectorStore, call: Callable[[], object]) -> list[str]:
    """Return the SQL that a call runs."""
    connection = store._database._connection
    assert connection is not None
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    call()
    connection.set_trace_callback(None)
    return statements


@pytest.mark.parametrize("filters", [{"user_id": "ann"}, {"user_id": "ann", "team": "a"}])
def test_a_page_of_a_list_costs_what_it_shows(
    store: SQLiteVectorStore, filters: dict[str, str]
) -> None:
    """To show ten of 100,000 memories must not read, or sort, all of them."""
    rows = [{"user_id": "ann", "team": "a", "created_at": f"2026-11-{n:02}"} for n in range(1, 29)]
    store.insert([X] * 28, rows, [f"{n:02}" for n in range(1, 29)])

    def page() -> None:
        found = store.newest(filters, limit=5)
        assert [record.id for record in islice(found, 12)] == [f"{n:02}" for n in range(28, 16, -1)]

    statements = [each for each in statements_of(store, page) if "LIMIT" in each]
    assert len(statements) == 2
    with store._database.read() as connection:
        for statement in statements:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps = [step for *_, step in plan]
            assert any("memories_user_id (collection=? AND user_id=?" in step for step in steps)
            assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.usefixtures("large")
def test_what_others_delete_costs_a_user_nothing(store: SQLiteVectorStore) -> None:
    """Each deletion made the next search of everybody read all of their vectors again."""
    store.insert([X, Y, Z], [{"user_id": user} for user in ("ann", "bob", "eve")], list("abe"))
    for user in ("ann", "bob"):
        assert len(nearest(store, X, user_id=user)) == 1

    def reads(user: str) -> bool:
        statements = statements_of(store, lambda: nearest(store, X, user_id=user))
        return any("SELECT seq, vector" in statement for statement in statements)

    changes: list[Callable[[], object]] = [
        lambda: store.delete("e"),
        lambda: store.update("b", payload={"user_id": "bob", "data": "changed"}),
        lambda: store.merge_payloads({"b": {"n": 1}}),
        store.compact,
        lambda: store.delete_where({"user_id": "bob"}),
    ]
    for change in changes:
        change()
        assert not reads("ann")
    store.insert([X], [{"user_id": "bob"}], ["b"])
    assert nearest(store, X, user_id="bob") == ["b"]
    # Now it is Ann's.
    store.update("b", payload={"user_id": "ann"})
    assert nearest(store, Y, user_id="ann") == ["a", "b"]
    assert nearest(store, Y, user_id="bob") == []


# --- Conditions on payloads, as Mem0 passes them


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"team": "sales"}, "12"),
        ({"team": ["sales", "legal"]}, "123"),
        ({"team": "*"}, "123"),
        ({"price": {"gte": 5, "lt": 20}}, "12"),
        ({"price": 5}, "1"),
        ({"price": 12.5}, "2"),
        ({"vip": True}, "1"),
        ({"vip": 1}, ""),
        ({"team": {"ne": "sales"}}, "34"),
        ({"team": {"icontains": "SAL"}}, "12"),
        ({"$or": [{"team": "legal"}, {"price": {"lt": 6}}]}, "13"),
        ({"$not": [{"team": "sales"}, {"team": "legal"}]}, "4"),
        ({"$and": [{"team": "sales"}, {"vip": True}]}, "1"),
        ({"$or": [{"team": ["sales"]}], "vip": True}, "1"),
        ({"hash": "h2"}, "2"),
        ({"hash": {"in": ["h1", "h2"]}}, "12"),
    ],
)
def test_conditions_hold_in_search_list_count_and_delete(
    store: SQLiteVectorStore, condition: dict[str, object], expected: str
) -> None:
    """A filter must mean the same whatever is done with what it selects."""
    payloads: list[dict[str, object]] = [
        {"team": "sales", "price": 5, "vip": True, "hash": "h1"},
        {"team": "sales", "price": 12.5, "vip": False, "hash": "h2"},
        {"team": "legal", "price": 30},
        {},
    ]
    store.insert([X] * 4, [{"user_id": "ann", **p} for p in payloads], list("1234"))
    store.insert([X] * 4, [{"user_id": "bob", **p} for p in payloads], list("5678"))
    filters = {"user_id": "ann", **condition}
    assert "".join(ids(store, **filters)) == "".join(nearest(store, X, **filters)) == expected
    assert store.count(filters) == store.delete_where(filters) == len(expected)
    assert store.count() == 8 - len(expected)


def test_a_condition_does_not_cost_results(store: SQLiteVectorStore) -> None:
    """Stores that filter the nearest few afterwards return too few, or nothing."""
    vectors = [[1, n / 1000, 0] for n in range(100)]
    store.insert(vectors, [{"even": n % 2 == 0} for n in range(100)], [str(n) for n in range(100)])
    hits = store.search("", X, top_k=3, filters={"even": False})
    assert [hit.id for hit in hits] == ["1", "3", "5"]


@pytest.mark.parametrize(
    "filters",
    [
        {"price": {"between": [1, 2]}},
        {"price": {}},
        {"$or": []},
        {"$or": [{}]},
        {"$not": {"team": "sales"}},
        {"$or": [{"team": 1}], "OR": [{"team": 2}]},
    ],
)
def test_a_malformed_condition_is_refused(
    store: SQLiteVectorStore, filters: dict[str, object]
) -> None:
    """A condition that is ignored selects too much, and deletes too much."""
    for call in (store.list, store.count, store.delete_where):
        with pytest.raises(InvalidFilterError):
            call(filters)
    with pytest.raises(InvalidFilterError):
        store.search("", X, filters=filters)


@pytest.mark.parametrize("filters", [{}, None])
def test_delete_where_never_deletes_everything(store: SQLiteVectorStore, filters: object) -> None:
    """An empty filter is an id that got lost on the way."""
    store.insert([X])
    with pytest.raises(InvalidFilterError, match="everything"):
        store.delete_where(filters)  # type: ignore[arg-type]
    assert store.count() == 1


# --- Collections


def test_collections_of_a_file_are_apart_and_share_it(store: SQLiteVectorStore) -> None:
    """Mem0 keeps entities beside memories, under the same ids of users."""
    entities = store.collection("entities")
    store.insert([X], [{"user_id": "ann", "data": "memory"}], ["1"])
    entities.insert([Y], [{"user_id": "ann", "data": "entity"}], ["1"])
    assert nearest(store, X, user_id="ann") == nearest(entities, X, user_id="ann") == ["1"]
    assert [r.payload["data"] for r in entities.list({"user_id": "ann"})[0]] == ["entity"]
    assert store.list_cols() == ["entities", "memories"]
    assert entities.col_info() == {
        "name": "entities",
        "path": store.path,
        "dimension": 3,
        "count": 1,
    }
    entities.reset()
    assert (store.count(), entities.count(), nearest(entities, X)) == (1, 0, [])
    store.delete_col()
    assert store.list_cols() == []


def test_a_collection_of_other_vectors_is_refused(store: SQLiteVectorStore) -> None:
    """Nothing is to be created, but what cannot be must not look as if it had been."""
    store.create_col("more", 3)
    with pytest.raises(DimensionMismatchError, match=r"3.*4"):
        store.create_col("more", 4)
    with pytest.raises(InvalidInputError, match="euclid"):
        store.create_col("more", 3, "euclid")


# --- All or nothing


@pytest.mark.parametrize(
    ("vectors", "payloads", "memory_ids", "error"),
    [
        ([Y, [1, 0]], [{}, {}], ["1", "2"], DimensionMismatchError),
        ([Y, [1, 0, 0, 0]], [{}, {}], ["1", "2"], DimensionMismatchError),
        ([Y, [1, float("nan"), 0]], [{}, {}], ["1", "2"], InvalidInputError),
        ([Y, [1, float("inf"), 0]], [{}, {}], ["1", "2"], InvalidInputError),
        ([Y, [1e300, 1e300, 0]], [{}, {}], ["1", "2"], InvalidInputError),
        ([Y, [1, None, 0]], [{}, {}], ["1", "2"], InvalidInputError),
        ([Y, ["1", "x", "0"]], [{}, {}], ["1", "2"], InvalidInputError),
        ([Y, X], [{}, {"n": object()}], ["1", "2"], InvalidInputError),
        ([Y, X], [{}], ["1", "2"], InvalidInputError),
        ([Y, X], [{}, {}], ["1"], InvalidInputError),
        ([Y, X], [{}, {}], ["1", 2], InvalidInputError),
        ([Y, X], [{}, {}], ["1", "\ud800"], InvalidInputError),
    ],
)
def test_an_insert_with_a_bad_item_changes_nothing(
    store: SQLiteVectorStore,
    vectors: list[list[float]],
    payloads: list[dict[str, object]],
    memory_ids: list[str],
    error: type[Exception],
) -> None:
    """Half a turn is worse than none: the caller would store the first half twice."""
    store.insert([X], [{"data": "old"}], ["1"])
    with pytest.raises(error):
        store.insert(vectors, payloads, memory_ids)
    assert [(r.id, r.payload) for r in store.list()[0]] == [("1", {"data": "old"})]


def test_a_vector_of_zeros_is_near_to_nothing(store: SQLiteVectorStore) -> None:
    """Dividing by its length would make it, and every score, NaN."""
    store.insert([[0, 0, 0]], ids=["1"])
    assert [hit.score for hit in store.search("", X)] == [0.0]
    assert [hit.score for hit in store.search("", [0, 0, 0])] == [0.0]


def test_a_full_disk_undoes_the_whole_insert(store: SQLiteVectorStore) -> None:
    """The error must be ours, and what was there before must still be usable."""
    store.insert([X], [{"user_id": "ann"}], ["1"])
    assert nearest(store, X, user_id="ann") == ["1"]
    connection = store._database._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    payloads = [{"user_id": "ann", "data": "x" * 5000}] * 20
    with pytest.raises(StorageError, match=r"memories\.db.*full.*free some space"):
        store.insert([X] * 20, payloads)
    assert nearest(store, X, user_id="ann") == ["1"]
    connection.execute("PRAGMA max_page_count = 1000000")
    store.insert([X] * 20, payloads)
    assert len(nearest(store, X, user_id="ann")) == store.count() == 21


# --- Threads and processes


def test_threads_may_mix_everything(store: SQLiteVectorStore) -> None:
    """LangGraph runs nodes and tools in threads, and Mem0's local Qdrant loses writes there."""
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        start.wait()
        for turn in range(30):
            user = {"user_id": f"user-{worker % 4}"}
            name = f"{worker}-{turn}"
            store.insert([X, Y], [user, user], [name, f"{name}-doomed"])
            assert name in nearest(store, X, **user)
            if turn % 3 == 0:
                store.update(name, vector=Z, payload=user)
            store.delete(f"{name}-doomed")
            assert f"{name}-doomed" not in nearest(store, X, **user)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    expected = sorted(f"{worker}-{turn}" for worker in range(8) for turn in range(30))
    assert sorted(ids(store)) == sorted(nearest(store, X)) == expected


def test_what_another_connection_wrote_is_found(store: SQLiteVectorStore) -> None:
    """A matrix in memory must never hide what is in the file."""
    store.insert([X], [{"user_id": "ann"}], ["1"])
    assert nearest(store, X, user_id="ann") == ["1"]
    with closing(SQLiteVectorStore(Path(store.path), dimension=3)) as other:
        other.insert([Y], [{"user_id": "ann"}], ["2"])
        store.insert([Z], [{"user_id": "ann"}], ["3"])
        assert nearest(store, Y, user_id="ann") == ["2", "1", "3"]
        other.delete("1")
    assert nearest(store, Y, user_id="ann") == ["2", "3"]


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["insert", "replace", "update", "delete", "forget", "fail", "other"]),
            st.integers(0, 5),
            st.sampled_from("ab"),
        ),
        max_size=30,
    )
)
def test_search_agrees_with_the_file_after_any_history(
    steps: list[tuple[str, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The vectors kept in memory are only right if no kind of write is forgotten."""
    path = tmp_path_factory.mktemp("history") / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        for number, (step, key, user) in enumerate(steps):
            payload = {"user_id": user}
            if step == "insert":
                store.insert([X, Y], [payload, payload], [f"{number}", f"{number}-2"])
            elif step == "replace":
                store.insert([Y, Z], [payload, payload], [f"{key}", f"{number}"])
            elif step == "update" and store.get(f"{key}"):
                store.update(f"{key}", vector=Z, payload=payload)
            elif step == "delete":
                store.delete(f"{key}")
            elif step == "forget":
                store.delete_where(payload)
            elif step == "fail":
                with pytest.raises(InvalidInputError):
                    store.insert([X, X], [payload, payload], [f"{key}", "\ud800"])
            elif step == "other":
                store.collection("entities").insert([X], [payload], [f"{key}"])
            with closing(SQLiteVectorStore(path, dimension=3)) as fresh:
                for filters in ({}, {"user_id": "a"}, {"user_id": "b"}):
                    assert store.search("", X, 99, filters) == fresh.search("", X, 99, filters)


def test_the_matrices_in_memory_are_bounded() -> None:
    """A server with a million users must not keep them all."""
    rows = Matrix(np.arange(1), np.eye(1, 3, dtype=np.float32))
    cache = MatrixCache(max_bytes=3 * rows.nbytes)
    for user in "abcd":
        assert cache.get("memories", frozenset({("user_id", user)}), (1, 0)) is None
        cache.put("memories", frozenset({("user_id", user)}), rows)
    held = [cache.get("memories", frozenset({("user_id", user)}), (1, 0)) for user in "abcd"]
    assert [matrix is not None for matrix in held] == [False, True, True, True]


def test_the_matrix_of_a_large_user_is_kept() -> None:
    """Else each of the user's searches would read all of the vectors again."""
    cache = MatrixCache(max_bytes=10)
    ann = frozenset({("user_id", "ann")})
    assert cache.get("memories", ann, (1, 0)) is None
    cache.put("memories", ann, Matrix(np.arange(5), np.zeros((5, 3), dtype=np.float32)))
    assert cache.get("memories", ann, (1, 0)) is not None


# --- Erasure, and files that are not as they should be


def bytes_of(store: SQLiteVectorStore) -> bytes:
    path = Path(store.path)
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize("size", [20, 20_000])
def test_compact_leaves_no_byte_of_what_was_deleted(store: SQLiteVectorStore, size: int) -> None:
    """The right to erasure covers backups and disk images, not only what a query returns."""
    secrets = [f"SECRET-{n:03} " + "x" * size for n in range(40)]
    store.insert([X] * 40, [{"user_id": "ann", "data": s} for s in secrets])
    store.insert([X], [{"user_id": "bob", "data": "KEPT"}], ["kept"])
    store.update("kept", payload={"user_id": "bob", "data": "KEPT", "was": "SECRET-update"})
    store.update("kept", payload={"user_id": "bob", "data": "KEPT"})
    assert b"SECRET" in bytes_of(store)
    assert store.delete_where({"user_id": "ann"}) == 40
    store.compact()
    assert b"SECRET" not in bytes_of(store)
    assert b"KEPT" in bytes_of(store)
    assert nearest(store, X) == ["kept"]


def free_pages(store: SQLiteVectorStore) -> int:
    with store._database.read() as connection:
        ((count,),) = connection.execute("PRAGMA freelist_count")
    return int(count)


def filled(store: SQLiteVectorStore) -> None:
    texts = {user: [f"{user}-{n:03} " + "x" * 500 for n in range(60)] for user in ("ann", "bob")}
    for user, own in texts.items():
        payloads = [{"user_id": user, "data": text} for text in own]
        store.insert([X] * 60, payloads, [f"{user}-id-{n:03}" for n in range(60)])


@pytest.mark.usefixtures("large")
def test_a_large_file_is_not_rewritten_for_a_few_memories(store: SQLiteVectorStore) -> None:
    """To forget five of 100,000 memories took seconds, in which all others waited."""
    filled(store)
    store.delete_where({"user_id": "ann"})
    store.compact()
    assert free_pages(store) > 0
    assert b"ann-" not in bytes_of(store)
    assert len(ids(store, user_id="bob")) == 60


@pytest.mark.usefixtures("large")
def test_a_large_file_is_rewritten_where_something_was_left(store: SQLiteVectorStore) -> None:
    """SQLite leaves copies of cells that it has moved within a page, and no statement sees them."""
    filled(store)
    store.delete_where({"user_id": "ann"})
    store._database.compact(set())
    path = Path(store.path)
    content = bytearray(path.read_bytes())
    # A leaf with room between its pointers and its cells.
    page = next(
        start
        for start in range(4096, len(content), 4096)
        if content[start] == 13
        and int.from_bytes(content[start + 5 : start + 7], "big")
        - int.from_bytes(content[start + 3 : start + 5], "big") * 2
        > 200
    )
    with path.open("r+b") as file:
        file.seek(page + 100)
        file.write(b"memoriesann-id-007")
    assert b"ann-id-007" in bytes_of(store)
    store.compact()
    assert free_pages(store) == 0
    assert b"ann-id-007" not in bytes_of(store)
    assert len(ids(store, user_id="bob")) == 60


@pytest.mark.usefixtures("large")
def test_what_was_deleted_before_a_restart_is_erased_too(tmp_path: Path) -> None:
    """What to look for is not known any more, and must not be written down."""
    path = tmp_path / "memories.db"
    for compact in (False, True, True):
        with closing(SQLiteVectorStore(path, dimension=3)) as store:
            if not compact:
                filled(store)
                store.delete_where({"user_id": "ann"})
            else:
                store.compact()
                assert free_pages(store) == 0
                assert b"ann-" not in bytes_of(store)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_of_many_changes(store: SQLiteVectorStore, seed: int) -> None:
    """Pages are split, merged and rebuilt, and each time SQLite may leave copies."""
    chance = random.Random(seed)
    living: list[str] = []
    dead: list[str] = []
    for number in range(1_500):
        name = f"S{seed}-{number:05}-Z"
        what = chance.random()
        if what < 0.5 or not living:
            payload = {"user_id": f"user-{name}", "data": f"{name} {'p' * chance.randrange(300)}"}
            row_id = f"{chance.getrandbits(64):016x}-{name}"
            store.insert([X], [payload], [row_id])
            living.append(row_id)
        elif what < 0.8:
            doomed = living.pop(chance.randrange(len(living)))
            store.delete(doomed)
            dead.append(doomed)
        else:
            changed = chance.choice(living)
            owner = f"user-{changed[17:]}"
            data = f"{changed[17:]} {'q' * chance.randrange(300)}"
            store.update(changed, payload={"user_id": owner, "data": data})
    store.compact()
    content = bytes_of(store)
    assert [row_id for row_id in dead if row_id[17:].encode() in content] == []
    assert store.count() == len(living)


def test_compact_says_that_somebody_reads_the_file(store: SQLiteVectorStore) -> None:
    """A backup that is under way keeps what was deleted; it must not pass for erased."""
    filled(store)
    store._database.compact()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM memories").fetchone()
        store.delete_where({"user_id": "ann"})
        with pytest.raises(BackendTimeoutError, match=r"memories\.db.*backup") as raised:
            store._database.compact(timeout=0.2)
        assert raised.value.retryable
        assert b"ann-" in bytes_of(store)
        # Nobody else waits for it.
        assert len(ids(store, user_id="bob")) == 60
    store.compact()
    assert b"ann-" not in bytes_of(store)


def test_memories_survive_a_restart(tmp_path: Path) -> None:
    """Memory across sessions is what the file is for."""
    for _ in range(2):
        with closing(SQLiteVectorStore(tmp_path / "memories.db", dimension=3)) as store:
            store.insert([X], [{"data": "tea"}], ["1"])
            assert [r.payload for r in store.list()[0]] == [{"data": "tea"}]


def test_a_file_of_before_documents_is_completed(tmp_path: Path) -> None:
    """Memories that were written by an earlier version stay."""
    path = tmp_path / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        store.insert([X], [{"user_id": "ann"}], ["a"])
    with closing(sqlite3.connect(path)) as file:
        for (name,) in file.execute("SELECT name FROM pragma_table_info('memories')").fetchall():
            if name.startswith("document_"):
                file.execute("DROP INDEX IF EXISTS memories_paths")
                file.execute(f"DROP INDEX memories_{name}")
                file.execute(f"ALTER TABLE memories DROP COLUMN {name}")
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        store.insert([Y], [{"user_id": "ann", "document_path_0": "[]"}], ["b"])
        assert nearest(store, X, user_id="ann") == ["a", "b"]
        assert ids(store, document_path_0="[]") == ["b"]


def test_a_file_of_before_lists_were_in_order_is_completed(tmp_path: Path) -> None:
    """Its indexes have the same names, and another order."""
    path = tmp_path / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        rows = [{"user_id": "ann", "created_at": f"2026-11-0{n}"} for n in (2, 3, 1)]
        store.insert([X, Y, Z], rows, ["2", "3", "1"])
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP INDEX memories_user_id")
        file.execute("CREATE INDEX memories_user_id ON memories (collection, user_id)")
        file.execute("DROP INDEX memories_paths")
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        assert [row.id for row in store.newest({"user_id": "ann"}, limit=1)] == ["3", "2", "1"]
        with store._database.read() as connection:
            statement = "SELECT sql FROM sqlite_schema WHERE name = 'memories_user_id'"
            ((created,),) = connection.execute(statement)
    assert "DESC, id" in created


def test_another_dimension_names_both_and_the_way_out(tmp_path: Path) -> None:
    """Changing the embedder makes every stored vector meaningless."""
    path = tmp_path / "memories.db"
    SQLiteVectorStore(path, dimension=384).close()
    with pytest.raises(DimensionMismatchError, match=r"384.*1536.*embedder.*MEM0_DIR"):
        SQLiteVectorStore(path, dimension=1536)
    SQLiteVectorStore(path, dimension=384).close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """Overwriting it could destroy what a restore needs."""
    path = tmp_path / "memories.db"
    path.write_bytes(b"not a database, " * 1000)
    with pytest.raises(CorruptFileError, match=r"memories\.db"):
        SQLiteVectorStore(path, dimension=3)
    assert path.read_bytes() == b"not a database, " * 1000


def test_damage_found_while_reading_is_reported_as_such(tmp_path: Path) -> None:
    """The first page may be sound while a later one is not."""
    path = tmp_path / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        store.insert([X] * 200, [{"user_id": "ann", "data": "x" * 500}] * 200)
    sound = path.read_bytes()
    path.write_bytes(sound[:8192] + b"\xff" * (len(sound) - 8192))
    with pytest.raises(CorruptFileError, match=r"memories\.db"):  # noqa: SIM117
        with closing(SQLiteVectorStore(path, dimension=3)) as store:
            store.search("", X)


def test_a_later_format_is_not_touched(tmp_path: Path) -> None:
    """After a downgrade, guessing at columns would damage the file."""
    path = tmp_path / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store, store._database.write() as file:
        file.execute("UPDATE meta SET value = 99 WHERE key = 'version'")
    with pytest.raises(CorruptFileError, match="format 99"):
        SQLiteVectorStore(path, dimension=3)


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A container often mounts its data read-only. Root may write anywhere, so become nobody."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    SQLiteVectorStore(folder / "old.db", dimension=3).close()
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from mem0_integrations.backends.embedded.store import SQLiteVectorStore\n"
        "from mem0_integrations.errors import StorageError\n"
        # Above it are folders that only their owner may enter.
        f"os.chdir({str(folder)!r})\n"
        "if os.getuid() == 0:\n"
        "    os.setgid(65534)\n"
        "    os.setuid(65534)\n"
        "for name in 'old.db', 'new.db':\n"
        "    try:\n"
        "        SQLiteVectorStore(Path(name), dimension=3)\n"
        "    except StorageError as error:\n"
        "        print(error)\n"
    )
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"MEM0_DIR": str(tmp_path / "mem0"), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    old, new = done.stdout.splitlines()
    assert "old.db" in old
    assert "new.db" in new
    assert "Make it writable" in old
    assert "Make it writable" in new


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    """SQLite's own words do not name the file."""
    with pytest.raises(StorageError, match=r"nowhere/memories\.db"):
        SQLiteVectorStore(tmp_path / "nowhere" / "memories.db", dimension=3)


def test_a_closed_store_says_so(store: SQLiteVectorStore) -> None:
    """A turn that ends after shutdown must not reopen the file, or crash inside SQLite."""
    entities = store.collection("entities")
    store.close()
    store.close()
    for call in (store.list, store.compact, entities.count, lambda: store.insert([X])):
        with pytest.raises(ClosedError):
            call()
