"""The contract of LangGraph's stores, sentence by sentence.

Each behaviour is tried on `Mem0Store` (the embedded default and pgvector) and on LangGraph's own
`InMemoryStore`, through the sync methods and through the async ones. Where the `InMemoryStore`
does something else, `DIFFERENCES` says so, and both are asserted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
    TTLConfig,
)
from langgraph.store.memory import InMemoryStore

from mem0_integrations import InvalidInputError
from mem0_integrations.langgraph import Mem0Store
from tests.langgraph.store_calls import Calls, keys
from tests.stores import MiniLM, open_store

MEM0 = ["embedded", "pgvector"]
only_mem0 = pytest.mark.parametrize("stores", MEM0, indirect=True)


class CachedMiniLM(MiniLM):
    """The shipped embedder, which embeds no text twice: all stores are asked the same."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_query = cache(super().embed_query)  # type: ignore[method-assign]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture(scope="module")
def embedder() -> CachedMiniLM:
    return CachedMiniLM()


Open = Callable[..., Calls]


@pytest.fixture(scope="module", params=["InMemoryStore", *MEM0])
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: CachedMiniLM
) -> Iterator[Callable[..., BaseStore]]:
    """Make stores of one kind, all with the same embedder."""
    if request.param == "InMemoryStore":
        yield lambda index=None: InMemoryStore(
            index={"dims": 384, "embed": embedder, **(index or {})}
        )
        return
    folder = tmp_path_factory.mktemp(f"contract-{request.param}")
    with (
        open_store(request.param, folder, embedder, request) as opened,
        opened.connect(folder / "outbox.db") as memory,
    ):
        yield lambda **options: Mem0Store(memory, **options)


@pytest.fixture(params=["sync", "async"])
def opened(request: pytest.FixtureRequest, stores: Callable[..., BaseStore]) -> Open:
    """Open a store with options of the test's own."""
    return lambda **options: Calls(stores(**options), request.param == "async")


@pytest.fixture
def store(opened: Open) -> Calls:
    return opened()


async def outcome(call: Awaitable[object]) -> object:
    """Return what a call returns, or the type of what it raises."""
    try:
        return await call
    except Exception as error:
        return type(error)


# --- Where LangGraph's InMemoryStore does something else -----------------------------------------


async def created_at_of_an_overwritten_item(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"n": 1})
    first = await store.get((root,), "k")
    await asyncio.sleep(0.002)
    await store.put((root,), "k", {"n": 2})
    second = await store.get((root,), "k")
    return first.created_at == second.created_at < second.updated_at


async def namespaces_after_the_last_item_was_deleted(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"n": 1})
    await store.delete((root,), "k")
    return await store.list_namespaces(prefix=(root,)) == []


async def namespaces_after_a_get_in_vain(opened: Open, root: str) -> object:
    store = opened()
    await store.get((root,), "k")
    return await store.list_namespaces(prefix=(root,)) == []


async def keys_found_under_a_prefix_that_is_a_list(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"n": 1})
    return keys(await store.search([root]))


async def a_put_to_a_namespace_that_is_a_list(opened: Open, root: str) -> object:
    store = opened()
    await outcome(store.put([root], "k", {"n": 1}))
    found = await store.get((root,), "k")
    return None if found is None else found.value


async def keys_above_a_number_where_one_has_none(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "with", {"price": 7})
    await store.put((root,), "without", {})
    return await outcome(_keys(store.search((root,), filter={"price": {"$gt": 5}})))


async def keys_after_a_date(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "old", {"on": "2025-12-31"})
    await store.put((root,), "new", {"on": "2026-01-01"})
    return await outcome(_keys(store.search((root,), filter={"on": {"$gte": "2026-01-01"}})))


async def a_filter_with_an_operator_for_a_field(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"price": 7})
    return await outcome(store.search((root,), filter={"$or": [{"price": 7}]}))


async def a_negative_limit(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"price": 7})
    return await outcome(store.search((root,), limit=-1))


async def a_time_to_live(opened: Open, root: str) -> object:
    return await outcome(opened().put((root,), "k", {"n": 1}, ttl=1))


async def the_namespace_of_an_operation_that_is_malformed(opened: Open, root: str) -> object:
    return await outcome(opened().batch([GetOp((root, "a.b"), "k")]))


async def what_a_batch_with_a_malformed_namespace_has_put(opened: Open, root: str) -> object:
    store = opened()
    await outcome(store.batch([PutOp((root,), "k", {"n": 1}), PutOp((root, ""), "k", {"n": 2})]))
    return keys(await store.search((root,)))


async def a_batch_that_puts_to_a_reserved_namespace(opened: Open, root: str) -> object:
    return await outcome(opened().batch([PutOp(("langgraph", root), "k", {"n": 1})]))


async def the_order_of_a_listing(opened: Open, root: str) -> object:
    store = opened()
    for key in ("first", "second"):
        await store.put((root,), key, {"n": 1})
        await asyncio.sleep(0.002)
    return keys(await store.search((root,)))


async def the_score_of_a_field_that_is_gone(opened: Open, root: str) -> object:
    store = opened(index={"fields": ["title", "body"]})
    await store.put((root,), "k", {"title": "Opening hours", "body": "A recipe for pancakes"})
    await store.put((root,), "k", {"title": "Opening hours"})
    (found,) = await store.search((root,), query="A recipe for pancakes")
    return found.score > 0.9


async def the_score_of_an_item_that_is_indexed_no_more(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"text": "pancakes"})
    await store.put((root,), "k", {"text": "pancakes"}, index=False)
    (found,) = await store.search((root,), query="pancakes")
    return found.score is None


async def the_second_page_of_items_without_a_score(opened: Open, root: str) -> object:
    store = opened()
    for key in ("a", "b"):
        await store.put((root,), key, {"text": key}, index=False)
    first = await store.search((root,), query="tea", limit=1)
    second = await store.search((root,), query="tea", limit=1, offset=1)
    return sorted(keys(first) + keys(second))


async def two_items_with_one_text_in_a_batch(opened: Open, root: str) -> object:
    store = opened()
    puts = [PutOp((root,), key, {"text": "tea"}) for key in ("a", "b")]
    return await outcome(store.batch(puts))


async def the_value_after_its_owner_changed_it(opened: Open, root: str) -> object:
    store = opened()
    value = {"tags": ["one"]}
    await store.put((root,), "k", value)
    value["tags"].append("two")
    (await store.get((root,), "k")).value["tags"].append("three")
    return (await store.get((root,), "k")).value["tags"]


async def a_value_that_is_not_json(opened: Open, root: str) -> object:
    value = {"at": datetime(2026, 1, 1, tzinfo=UTC)}
    return await outcome(opened().put((root,), "k", value, index=False))


async def a_key_of_a_value_that_is_not_a_string(opened: Open, root: str) -> object:
    return await outcome(opened().put((root,), "k", {"count": {1: "one"}}))


async def a_tuple_in_a_value(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"pair": (1, 2)})
    return (await store.get((root,), "k")).value["pair"]


async def the_score_of_what_is_contrary(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"text": "The compiler optimises loops."})
    found = await store.search((root,), query="Where do my grandparents live?")
    return 0 <= found[0].score <= 1


async def half_a_character(opened: Open, root: str) -> object:
    store = opened()
    value = {"\ud800": "\udc00 tea"}
    await outcome(store.put((root,), "k", value))
    found = await outcome(store.search((root,), query="\ud800 tea"))
    return isinstance(found, list) and [item.value == value for item in found]


async def a_query_of_blanks(opened: Open, root: str) -> object:
    store = opened()
    await store.put((root,), "k", {"text": "tea"})
    return (await store.search((root,), query=" \n"))[0].score is None


async def _keys(search: Awaitable[list[SearchItem]]) -> list[str]:
    return keys(await search)


@dataclass(frozen=True)
class Difference:
    """What an observation shows: of `Mem0Store`, and of the `InMemoryStore`."""

    observe: Callable[[Open, str], Awaitable[object]]
    mem0: object
    in_memory: object


DIFFERENCES = [
    # The contract, or LangGraph's SQL stores, on the side of Mem0Store.
    Difference(created_at_of_an_overwritten_item, True, False),
    Difference(namespaces_after_the_last_item_was_deleted, True, False),
    Difference(namespaces_after_a_get_in_vain, True, False),
    Difference(keys_found_under_a_prefix_that_is_a_list, ["k"], []),
    Difference(a_put_to_a_namespace_that_is_a_list, {"n": 1}, None),
    Difference(keys_above_a_number_where_one_has_none, ["with"], TypeError),
    Difference(keys_after_a_date, ["new"], ValueError),
    Difference(a_time_to_live, None, NotImplementedError),
    Difference(the_namespace_of_an_operation_that_is_malformed, InvalidNamespaceError, [None]),
    Difference(what_a_batch_with_a_malformed_namespace_has_put, [], ["k", "k"]),
    Difference(the_order_of_a_listing, ["second", "first"], ["first", "second"]),
    Difference(the_score_of_a_field_that_is_gone, False, True),
    Difference(the_score_of_an_item_that_is_indexed_no_more, True, False),
    Difference(the_second_page_of_items_without_a_score, ["a", "b"], ["a", "a"]),
    Difference(two_items_with_one_text_in_a_batch, [None, None], ValueError),
    # Stricter, because it is written to a disk.
    Difference(the_value_after_its_owner_changed_it, ["one"], ["one", "two", "three"]),
    Difference(a_value_that_is_not_json, InvalidInputError, None),
    Difference(a_key_of_a_value_that_is_not_a_string, InvalidInputError, None),
    Difference(a_tuple_in_a_value, [1, 2], (1, 2)),
    # Stricter, because the caller has made a mistake.
    Difference(a_batch_that_puts_to_a_reserved_namespace, InvalidNamespaceError, [None]),
    Difference(a_filter_with_an_operator_for_a_field, InvalidInputError, []),
    Difference(a_negative_limit, InvalidInputError, []),
    # Of its own.
    Difference(the_score_of_what_is_contrary, True, False),
    Difference(a_query_of_blanks, True, False),
    Difference(half_a_character, [True], False),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda row: row.observe.__name__)
async def test_the_differences_to_the_in_memory_store_are_these(
    opened: Open, user: str, difference: Difference
) -> None:
    """Who moves from one store to the other has to know them, and the list has to stay true."""
    is_mem0 = isinstance(opened().store, Mem0Store)
    seen = await difference.observe(opened, user)
    assert seen == (difference.mem0 if is_mem0 else difference.in_memory)


# --- Items: get, put, delete ---------------------------------------------------------------------


async def test_an_item_has_its_value_its_address_and_its_times(store: Calls, user: str) -> None:
    """They are all that a graph knows of an item."""
    before = datetime.now(UTC)
    assert await store.put((user, "notes"), "drink", {"text": "Prefers green tea."}) is None
    item = await store.get((user, "notes"), "drink")
    assert type(item) is Item
    assert (item.namespace, item.key) == ((user, "notes"), "drink")
    assert item.value == {"text": "Prefers green tea."}
    assert before <= item.created_at <= item.updated_at <= datetime.now(UTC)
    assert item.dict()["namespace"] == [user, "notes"]


async def test_what_is_not_there_is_none(store: Calls, user: str) -> None:
    """Agents look before they write."""
    assert await store.get((user,), "k") is None
    await store.put((user,), "k", {"n": 1})
    assert await store.get((user,), "other") is None
    assert await store.get((user, "k"), "k") is None
    assert await store.get((), "k") is None


async def test_a_second_put_replaces_the_whole_value(store: Calls, user: str) -> None:
    """An upsert, neither a merge nor a second item."""
    await store.put((user,), "k", {"a": 1, "b": 2})
    first = await store.get((user,), "k")
    await asyncio.sleep(0.002)
    await store.put((user,), "k", {"b": 3})
    second = await store.get((user,), "k")
    assert second.value == {"b": 3}
    assert second.updated_at > first.updated_at
    assert keys(await store.search((user,))) == ["k"]


async def test_a_deleted_item_is_gone(store: Calls, user: str) -> None:
    """From every kind of reading, and only that item."""
    await store.put((user,), "k", {"text": "tea"})
    await store.put((user,), "other", {"text": "coffee"})
    assert await store.delete((user,), "k") is None
    assert await store.get((user,), "k") is None
    assert keys(await store.search((user,))) == ["other"]
    assert keys(await store.search((user,), query="tea")) == ["other"]


async def test_deleting_what_is_not_there_does_nothing(store: Calls, user: str) -> None:
    """A deletion may be repeated."""
    await store.delete((user,), "k")
    await store.put((user,), "k", {"n": 1})
    await store.delete((user,), "k")
    await store.delete((user,), "k")
    await store.delete((), "k")
    await store.batch([PutOp((user,), "k", None)])
    assert await store.search((user,)) == []


async def test_a_deleted_item_that_is_put_again_is_new(store: Calls, user: str) -> None:
    """Its first life is over."""
    await store.put((user,), "k", {"n": 1})
    first = await store.get((user,), "k")
    await store.delete((user,), "k")
    await asyncio.sleep(0.002)
    await store.put((user,), "k", {"n": 2})
    second = await store.get((user,), "k")
    assert second.value == {"n": 2}
    assert second.created_at > first.created_at


async def test_a_key_belongs_to_its_namespace(store: Calls, user: str) -> None:
    """Users have the same keys."""
    namespaces = [(user, "a"), (user, "b"), (user,), (user, "a", "b")]
    for number, namespace in enumerate(namespaces):
        await store.put(namespace, "k", {"n": number})
    await store.delete((user, "b"), "k")
    found = [await store.get(namespace, "k") for namespace in namespaces]
    assert [item and item.value["n"] for item in found] == [0, None, 2, 3]


KEYS = [
    ["", " ", "  "],
    ["a", "A", "á", "a\u0301"],
    ["'", '"', "\\", "'; DROP TABLE items; --", "' OR '1'='1"],
    ["%", "_", "*", "?", "[a]", "$", "a.b"],
    ["a\0b", "a", "b", "\0"],
    ["\ud800", "\udc00", "?", "\ufffd"],
    ["x" * 100_000, "x" * 99_999, "x"],
    ["1", "01", "1.0", "None", "null", "true"],
    ["2f1c1f0e-8a3e-4f56-9d3c-0b7a4f6f5a11", "2F1C1F0E-8A3E-4F56-9D3C-0B7A4F6F5A11"],
    ["漢字", "👩‍👩‍👧", "👩👩👧", "\u202ecba"],
]


@pytest.mark.parametrize("group", KEYS, ids=range(len(KEYS)))
async def test_any_text_is_a_key_of_its_own(store: Calls, user: str, group: list[str]) -> None:
    """Keys come from file names, addresses and models."""
    await store.batch([PutOp((user,), key, {"n": n}) for n, key in enumerate(group)])
    found = [await store.get((user,), key) for key in group]
    assert [(item.key, item.value["n"]) for item in found] == [
        (key, number) for number, key in enumerate(group)
    ]
    await store.delete((user,), group[0])
    assert sorted(keys(await store.search((user,)))) == sorted(group[1:])


async def test_a_key_that_is_not_a_string_becomes_one(store: Calls, user: str) -> None:
    """`BaseStore` says so."""
    await store.put((user,), 7, {"n": 1})
    assert (await store.get((user,), 7)).key == "7"
    await store.delete((user,), 7)
    assert await store.get((user,), "7") is None


LABELS = [
    ["a", "A", "á", "a\u0301", "a "],
    ["%", "_", "*", "**", "?", "[a]", "$"],
    ["'", '"', "\\", "'; DROP TABLE items; --", "[]", '["a"]'],
    ["a/b", "a:b", "a,b", "a", "b"],
    ["\ud800", "?", "漢字"],
    ["x" * 3000, "x" * 2999],
]


@pytest.mark.parametrize("group", LABELS, ids=range(len(LABELS)))
async def test_any_text_is_a_label_of_its_own(store: Calls, user: str, group: list[str]) -> None:
    """Labels are names of users: nothing of one may be found under another."""
    await store.batch([PutOp((user, label), "k", {"n": n}) for n, label in enumerate(group)])
    for number, label in enumerate(group):
        assert (await store.get((user, label), "k")).value == {"n": number}
        (found,) = await store.search((user, label))
        assert (found.namespace, found.value) == ((user, label), {"n": number})
        (near,) = await store.search((user, label), query="anything")
        assert near.namespace == (user, label)
    assert await store.list_namespaces(prefix=(user,)) == sorted((user, label) for label in group)


async def test_namespaces_may_be_deep(store: Calls, user: str) -> None:
    """Deeper than what a vector store is asked to filter by."""
    path = (user, *"abcdefgh")
    await store.put(path, "k", {"text": "tea"})
    await store.put((*path[:5], "x"), "k", {"text": "tea"})
    assert (await store.get(path, "k")).namespace == path
    for depth in range(6, len(path) + 1):
        assert [item.namespace for item in await store.search(path[:depth])] == [path]
        found = await store.search(path[:depth], query="tea")
        assert [item.namespace for item in found] == [path]
    assert await store.search((*path, "i")) == []
    assert len(await store.search(path[:5])) == 2


VALUES: list[dict[str, Any]] = [
    {},
    {"none": None, "yes": True, "no": False, "zero": 0, "text": ""},
    {"int": 2**100, "negative": -1, "float": 0.1, "small": 5e-324, "large": 1.7e308},
    {"nested": {"list": [1, [2, {"three": None}]], "empty": {}, "": "empty key"}},
    {"text": "é 漢字 👩‍👩‍👧 \u202e", "nul": "a\0b", "\0": 1},
    {"key": "k", "namespace": ["x"], "id": "i", "data": "d", "user_id": "someone", "hash": "h"},
    {"document_of": "x", "document_part": "7", "document_path_0": "y", "document_body": "{}"},
    {"$gt": 1, "a.b": 2, "*": 3, "'; --": 4},
    {"text": "word " * 200_000},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
async def test_a_value_comes_back_as_it_was_put(
    store: Calls, user: str, value: dict[str, Any]
) -> None:
    """Whatever JSON can say."""
    await store.put((user,), "k", value)
    assert (await store.get((user,), "k")).value == value
    assert [item.value for item in await store.search((user,))] == [value]
    assert [item.value for item in await store.search((user,), query="word")] == [value]


async def test_not_a_number_comes_back(store: Calls, user: str) -> None:
    """Python's JSON has it, PostgreSQL's has not."""
    await store.put((user,), "k", {"n": math.nan, "i": math.inf})
    value = (await store.get((user,), "k")).value
    assert math.isnan(value["n"])
    assert value["i"] == math.inf


# --- Namespaces that are refused -----------------------------------------------------------------

MALFORMED: list[Any] = [("",), ("a", ""), ("a.b",), ("a", 1), ("a", None), ("a\0",)]


async def test_nothing_is_put_to_a_malformed_namespace(store: Calls) -> None:
    """`a.b` would be `a` and `b` in a store that joins labels."""
    for namespace in [*MALFORMED, (), ("langgraph", "a")]:
        with pytest.raises(InvalidNamespaceError):
            await store.put(namespace, "k", {"n": 1})


async def test_nothing_is_looked_for_in_a_malformed_namespace(store: Calls) -> None:
    """An empty answer would hide the mistake."""
    for namespace in MALFORMED:
        for name in ("get", "delete"):
            with pytest.raises(InvalidNamespaceError):
                await getattr(store, name)(namespace, "k")
        with pytest.raises(InvalidNamespaceError):
            await store.search(namespace)
        for side in ("prefix", "suffix"):
            with pytest.raises(InvalidNamespaceError):
                await store.list_namespaces(**{side: namespace})


# --- Batches -------------------------------------------------------------------------------------


async def test_the_results_of_a_batch_are_in_the_order_of_its_operations(
    store: Calls, user: str
) -> None:
    """Frameworks gather operations and hand the results out by position."""
    await store.put((user, "a"), "k", {"n": 1})
    conditions = (MatchCondition("prefix", (user,)),)
    results = await store.batch(
        [
            PutOp((user, "b"), "new", {"n": 2}),
            GetOp((user, "a"), "k"),
            ListNamespacesOp(match_conditions=conditions),
            GetOp((user, "a"), "missing"),
            PutOp((user, "a"), "gone", None),
            SearchOp((user,)),
            GetOp((user, "a"), "k"),
        ]
    )
    new, got, namespaces, missing, gone, found, again = results
    assert (new, gone, missing) == (None, None, None)
    assert got.value == again.value == {"n": 1}
    assert namespaces == [(user, "a")]
    assert keys(found) == ["k"]


async def test_what_a_batch_reads_is_what_was_there_before_it(store: Calls, user: str) -> None:
    """Reads come first, wherever they stand; so it is in all of LangGraph's stores."""
    await store.put((user,), "old", {"n": 1})
    puts = [PutOp((user,), "old", {"n": 2}), PutOp((user, "b"), "new", {"n": 3})]
    reads = [
        ListNamespacesOp((MatchCondition("prefix", (user,)),)),
        SearchOp((user,)),
        GetOp((user,), "old"),
        GetOp((user, "b"), "new"),
    ]
    *_, namespaces, found, old, new = await store.batch([*puts, *reads])
    assert old.value == {"n": 1}
    assert new is None
    assert [item.value for item in found] == [{"n": 1}]
    assert namespaces == [(user,)]
    assert (await store.get((user,), "old")).value == {"n": 2}


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ([{"n": 1}, {"n": 2}], {"n": 2}),
        ([{"n": 1}, None], None),
        ([None, {"n": 1}], {"n": 1}),
        ([{"n": 1}, None, {"n": 3}], {"n": 3}),
        ([None, None], None),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_the_last_write_of_a_key_in_a_batch_wins(
    store: Calls, user: str, values: list[Any], left: Any, known: bool
) -> None:
    """Agents write the same memory twice in one step."""
    if known:
        await store.put((user,), "k", {"n": 0})
    await store.batch([PutOp((user,), "k", value) for value in values])
    found = await store.get((user,), "k")
    assert (found and found.value) == left
    assert len(await store.search((user,))) == (left is not None)


async def test_a_batch_may_be_empty_or_an_iterator(store: Calls, user: str) -> None:
    """The type says an iterable."""
    assert await store.batch([]) == []
    puts = (PutOp((user,), key, {"text": key}) for key in "ab")
    assert await store.batch(puts) == [None, None]
    gets = iter([GetOp((user,), "a"), GetOp((user,), "b")])
    assert [item.key for item in await store.batch(gets)] == ["a", "b"]


async def test_a_large_batch_is_carried_out_whole(store: Calls, user: str) -> None:
    """Imports come in batches."""
    puts = [PutOp((user, str(n % 7)), str(n), {"n": n}, index=False) for n in range(500)]
    await store.batch(puts)
    got = await store.batch([GetOp(op.namespace, op.key) for op in puts])
    assert [item.value["n"] for item in got] == list(range(500))
    assert len(await store.search((user,), limit=1000)) == 500
    await store.batch([op._replace(value=None) for op in puts[:499]])
    assert keys(await store.search((user,), limit=1000)) == ["499"]


# --- Search --------------------------------------------------------------------------------------


async def test_a_prefix_is_matched_by_whole_labels(store: Calls, user: str) -> None:
    """`("foo",)` is another user than `("foobar",)`."""
    for namespace in [("foo",), ("foo", "a"), ("foobar",), ("fo",), ("FOO",), ("a", "foo")]:
        await store.put((user, *namespace), "/".join(namespace), {"text": "tea"})
    for query in (None, "tea"):
        found = keys(await store.search((user, "foo"), query=query))
        assert sorted(found) == ["foo", "foo/a"]
        assert len(await store.search((user,), query=query)) == 6


async def test_the_empty_prefix_finds_everything(store: Calls, user: str) -> None:
    """It is how one looks around."""
    for namespace in [(user,), (user, "a"), (f"{user}-other", "a", "b")]:
        await store.put(namespace, "k", {"mark": user, "text": "tea"})
    for query in (None, "tea"):
        found = await store.search((), query=query, filter={"mark": user})
        assert len({item.namespace for item in found}) == 3


async def test_ten_items_are_found_unless_said_otherwise(store: Calls, user: str) -> None:
    """The default of `limit`."""
    await store.batch([PutOp((user,), str(n), {"text": "tea"}, index=False) for n in range(12)])
    assert len(await store.search((user,))) == 10
    assert len(await store.search((user,), query="tea")) == 10
    assert len(await store.search((user,), limit=12)) == 12


async def test_an_item_that_was_found_can_be_got(store: Calls, user: str) -> None:
    """A model is shown a key, and uses it."""
    await store.put((user, "a", "b"), "k", {"text": "tea"})
    for query in (None, "tea"):
        (found,) = await store.search((user,), query=query)
        assert type(found) is SearchItem
        got = await store.get(found.namespace, found.key)
        assert (got.value, got.created_at, got.updated_at) == (
            found.value,
            found.created_at,
            found.updated_at,
        )


@pytest.mark.parametrize("query", [None, "", "item"])
async def test_pages_show_each_item_once(store: Calls, user: str, query: str | None) -> None:
    """All were put at the same moment: only a total order keeps pages apart."""
    puts = [PutOp((user, str(n % 3)), f"{n:02}", {"text": f"item {n}"}) for n in range(23)]
    await store.batch(puts)
    pages = [
        keys(await store.search((user,), query=query, limit=5, offset=offset))
        for offset in range(0, 30, 5)
    ]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3, 0]
    assert sorted(key for page in pages for key in page) == [f"{n:02}" for n in range(23)]
    whole = keys(await store.search((user,), query=query, limit=100))
    assert whole == [key for page in pages for key in page]


async def test_pages_of_items_that_are_equally_near_show_each_once(store: Calls, user: str) -> None:
    """Of equals, a database returns now these, now those."""
    for number in range(17):
        await store.put((user,), f"{number:02}", {"text": "tea"})
    pages = [
        keys(await store.search((user,), query="tea", limit=4, offset=offset))
        for offset in range(0, 20, 4)
    ]
    assert sorted(key for page in pages for key in page) == [f"{n:02}" for n in range(17)]


@pytest.mark.parametrize("query", [None, "tea"])
async def test_an_empty_page_is_empty(store: Calls, user: str, query: str | None) -> None:
    """Neither the last page again nor an error."""
    await store.put((user,), "k", {"text": "tea"})
    assert await store.search((user,), query=query, limit=0) == []
    assert await store.search((user,), query=query, limit=0, offset=5) == []
    assert await store.search((user,), query=query, offset=1) == []
    assert await store.search((user,), query=query, offset=1_000_000) == []
    assert await store.search((user, "elsewhere"), query=query) == []


NOTES = {
    "drink": "The customer drinks green tea in the morning.",
    "pet": "The customer has a dog called Bello.",
    "work": "The customer is a nurse at a hospital.",
    "travel": "The customer flies to Lisbon in May.",
}


@pytest.fixture
async def notes(store: Calls, user: str) -> Calls:
    await store.batch([PutOp((user,), key, {"text": text}) for key, text in NOTES.items()])
    return store


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("Which hot beverage?", "drink"),
        ("What is the animal's name?", "pet"),
        ("What is their profession?", "work"),
        ("Where do they go on holiday?", "travel"),
    ],
)
async def test_a_query_finds_by_meaning(notes: Calls, user: str, query: str, key: str) -> None:
    """What the semantic search is for; the nearest comes first."""
    found = await notes.search((user,), query=query)
    assert found[0].key == key
    scores = [item.score for item in found]
    assert len(found) == len(NOTES)
    assert scores == sorted(scores, reverse=True)
    assert keys(await notes.search((user,), query=query, limit=2)) == keys(found)[:2]
    assert keys(await notes.search((user,), query=query, offset=1)) == keys(found)[1:]


async def test_without_a_query_nothing_has_a_score(notes: Calls, user: str) -> None:
    """A score of 0 would say that all of them are far."""
    for query in (None, ""):
        assert {item.score for item in await notes.search((user,), query=query)} == {None}


async def test_a_filter_reaches_what_a_query_ranks_last(store: Calls, user: str) -> None:
    """A filter after the search would find nothing among the nearest."""
    near = [PutOp((user,), f"near-{n}", {"text": f"green tea {n}"}) for n in range(60)]
    far = [PutOp((user,), f"far-{n}", {"text": f"Lisbon {n}", "far": True}) for n in range(3)]
    await store.batch([*near, *far])
    found = await store.search((user,), query="green tea", filter={"far": True}, limit=2)
    assert len(found) == 2
    assert {key[:3] for key in keys(found)} == {"far"}
    assert all(item.score is not None for item in found)


async def test_a_query_longer_than_an_embedder_reads_is_answered(notes: Calls, user: str) -> None:
    """langmem asks with whole conversations."""
    question = "What does the customer drink? " * 10_000
    assert (await notes.search((user,), query=question))[0].key == "drink"


@pytest.mark.parametrize("query", ["a\0b", "'; --", "%", "*", "👩‍👩‍👧"])
async def test_any_text_is_a_query(notes: Calls, user: str, query: str) -> None:
    """It comes from a model."""
    assert len(await notes.search((user,), query=query)) == len(NOTES)


# --- What is searched ----------------------------------------------------------------------------


async def test_all_of_a_value_is_searched_unless_fields_are_named(store: Calls, user: str) -> None:
    """The default of `fields` is `$`."""
    await store.put((user,), "pet", {"about": {"animals": ["a dog called Bello"]}})
    await store.put((user,), "tax", {"about": {"documents": ["a tax return"]}})
    found = await store.search((user,), query="dog")
    assert keys(found) == ["pet", "tax"]
    assert found[0].score > found[1].score


async def test_the_fields_of_a_store_are_searched_and_no_others(opened: Open, user: str) -> None:
    """Ids and dates in a value would blur its meaning."""
    store = opened(index={"fields": ["title"]})
    await store.put((user,), "a", {"title": "Opening hours", "body": NOTES["pet"]})
    await store.put((user,), "b", {"title": NOTES["pet"], "body": "Opening hours"})
    await store.put((user,), "c", {"body": NOTES["pet"]})
    found = await store.search((user,), query=NOTES["pet"])
    assert keys(found) == ["b", "a", "c"]
    assert found[0].score > 0.99
    assert found[2].score is None


PATHS = [
    ("title", "Opening hours"),
    ("shop.city.name", "Lisbon"),
    ("tags[0]", "first tag"),
    ("tags[-1]", "last tag"),
    ("tags[*]", "middle tag"),
    ("chapters[*].text", "the second chapter"),
    ("number", "4711"),
    ("shop.city", '{"name": "Lisbon"}'),
]


@pytest.mark.parametrize(("path", "text"), PATHS)
async def test_a_path_of_an_item_names_what_is_searched(
    store: Calls, user: str, path: str, text: str
) -> None:
    """The notation of LangGraph's stores."""
    value = {
        "title": "Opening hours",
        "shop": {"city": {"name": "Lisbon"}},
        "tags": ["first tag", "middle tag", "last tag"],
        "chapters": [{"text": "the first chapter"}, {"text": "the second chapter"}],
        "number": 4711,
    }
    await store.put((user,), "k", value, index=[path])
    (found,) = await store.search((user,), query=text)
    assert found.score == pytest.approx(1, abs=0.001)
    assert found.value == value


async def test_the_nearest_of_several_texts_counts(store: Calls, user: str) -> None:
    """An item is found once, however many of its fields are near."""
    await store.put((user,), "all", NOTES, index=[*NOTES])
    await store.put((user,), "one", {"drink": "The customer drinks coffee."}, index=["drink"])
    for key, text in NOTES.items():
        found = await store.search((user,), query=text)
        assert keys(found) == ["all", "one"], key
        assert found[0].score == pytest.approx(1, abs=0.001)
        assert keys(await store.search((user,), query=text, limit=1)) == ["all"]
        assert keys(await store.search((user,), query=text, offset=1)) == ["one"]


async def test_an_item_without_an_index_is_listed_last(store: Calls, user: str) -> None:
    """It can still be got, filtered and listed, and takes no hit's place."""
    await store.put((user,), "hidden", {"text": "green tea", "n": 1}, index=False)
    await store.put((user,), "pet", {"text": NOTES["pet"], "n": 1})
    await store.put((user,), "drink", {"text": NOTES["drink"], "n": 1})
    found = await store.search((user,), query="green tea")
    assert keys(found) == ["drink", "pet", "hidden"]
    assert found[2].score is None
    assert keys(await store.search((user,), query="green tea", limit=2)) == ["drink", "pet"]
    assert keys(await store.search((user,), filter={"text": "green tea"})) == ["hidden"]
    assert (await store.get((user,), "hidden")).value["n"] == 1


async def test_an_item_is_searched_once_it_is_indexed(store: Calls, user: str) -> None:
    """The last put decides."""
    await store.put((user,), "k", {"text": "green tea"}, index=False)
    assert (await store.search((user,), query="green tea"))[0].score is None
    await store.put((user,), "k", {"text": "green tea"}, index=["text"])
    assert (await store.search((user,), query="green tea"))[0].score > 0.99


async def test_an_item_is_found_by_its_new_text_only(store: Calls, user: str) -> None:
    """A vector that stays behind finds what nobody has written any more."""
    await store.put((user,), "k", {"text": NOTES["pet"]}, index=["text"])
    await store.put((user,), "k", {"text": NOTES["drink"]}, index=["text"])
    (found,) = await store.search((user,), query=NOTES["pet"])
    assert found.score < 0.9
    (found,) = await store.search((user,), query=NOTES["drink"])
    assert found.score > 0.99


async def test_a_value_without_the_fields_is_kept_all_the_same(opened: Open, user: str) -> None:
    """A missing field is skipped."""
    store = opened(index={"fields": ["title", "tags[*]"]})
    for key, value in {"none": {}, "null": {"title": None}, "blank": {"tags": []}}.items():
        await store.put((user,), key, value)
        assert (await store.get((user,), key)).value == value
    assert {item.score for item in await store.search((user,), query="tea")} == {None}


# --- Filters -------------------------------------------------------------------------------------

SHOPS: dict[str, dict[str, Any]] = {
    "a": {"price": 5, "name": "Ann", "on": True, "at": {"city": "Oslo", "zip": 1}, "tags": [1, 2]},
    "b": {"price": 7.5, "name": "Bob", "on": False, "at": {"city": "Rome"}, "tags": [1]},
    "c": {"price": 10, "name": "100", "on": None, "at": {}, "tags": []},
}
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "abc"),
    ({"price": 5}, "a"),
    ({"price": 5.0}, "a"),
    ({"price": "5"}, ""),
    ({"name": "Ann"}, "a"),
    ({"name": "ann"}, ""),
    ({"name": "A%"}, ""),
    ({"name": "*"}, ""),
    ({"on": True}, "a"),
    ({"on": None}, "c"),
    ({"missing": None}, "abc"),
    ({"missing": 1}, ""),
    ({"price": {"$eq": 7.5}}, "b"),
    ({"price": {"$ne": 7.5}}, "ac"),
    ({"missing": {"$ne": 7.5}}, "abc"),
    ({"price": {"$gt": 5}}, "bc"),
    ({"price": {"$gte": 5}}, "abc"),
    ({"price": {"$lt": 10}}, "ab"),
    ({"price": {"$lte": 10}}, "abc"),
    ({"price": {"$gt": 5, "$lt": 10}}, "b"),
    ({"price": {"$gt": "6"}}, "bc"),
    ({"price": {"$gte": 5}, "on": False}, "b"),
    ({"at": {"city": "Oslo"}}, "a"),
    ({"at": {"city": "Oslo", "zip": 2}}, ""),
    ({"at": {"zip": {"$eq": 1}}}, "a"),
    ({"at": {"city": {"$ne": "Oslo"}}}, "bc"),
    ({"at": {}}, "abc"),
    ({"price": {"city": "Oslo"}}, ""),
    ({"at": {"$eq": {"city": "Rome"}}}, "b"),
    ({"tags": [1, 2]}, "a"),
    ({"tags": [2, 1]}, ""),
    ({"tags": [1]}, "b"),
    ({"tags": []}, "c"),
    ({"tags": 1}, ""),
    ({"tags": [1, {"$gt": 1}]}, "a"),
]


async def test_a_filter_compares_what_an_item_holds(store: Calls, user: str) -> None:
    """Six operators, equality, and what is nested."""
    await store.batch([PutOp((user,), key, value) for key, value in SHOPS.items()])
    for query in (None, "shop"):
        found = [await store.search((user,), filter=wanted, query=query) for wanted, _ in FILTERS]
        letters = ["".join(sorted(keys(items))) for items in found]
        assert [*zip([wanted for wanted, _ in FILTERS], letters, strict=True)] == FILTERS


@pytest.mark.parametrize("wanted", [{"price": {"$in": [5]}}, {"at": {"zip": {"$near": 1}}}])
async def test_an_unknown_operator_is_refused(
    store: Calls, user: str, wanted: dict[str, Any]
) -> None:
    """Read as a field it would silently find nothing."""
    await store.put((user,), "a", SHOPS["a"])
    with pytest.raises(ValueError, match="operator"):
        await store.search((user,), filter=wanted)


async def test_a_filter_is_applied_before_the_page_is_cut(store: Calls, user: str) -> None:
    """Otherwise pages would have gaps."""
    puts = [PutOp((user,), f"{n:02}", {"odd": n % 2, "text": f"x{n}"}) for n in range(30)]
    await store.batch(puts)
    for query in (None, "x"):
        pages = [
            keys(await store.search((user,), query=query, filter={"odd": 1}, limit=6, offset=at))
            for at in (0, 6, 12, 18)
        ]
        assert [len(page) for page in pages] == [6, 6, 3, 0]
        assert len({key for page in pages for key in page}) == 15


# --- Namespaces ----------------------------------------------------------------------------------

TREE = ["a/b/c", "a/b/d/e", "a/b/d/i", "a/b/f", "a/c/f", "users/1/v1", "users/2/v1", "users/2/v2"]


def path_of(text: str) -> tuple[str, ...]:
    return tuple(text.split("/"))


@pytest.fixture
async def tree(store: Calls, user: str) -> Calls:
    await store.batch([PutOp((user, *path_of(text)), "k", {"n": 1}, index=False) for text in TREE])
    return store


LISTINGS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, TREE),
    ({"prefix": "a/b", "max_depth": 4}, ["a/b/c", "a/b/d", "a/b/f"]),
    ({"prefix": "a/b"}, ["a/b/c", "a/b/d/e", "a/b/d/i", "a/b/f"]),
    ({"prefix": "a", "max_depth": 3}, ["a/b", "a/c"]),
    ({"prefix": "a", "max_depth": 2}, ["a"]),
    ({"prefix": "users/*/v1"}, ["users/1/v1", "users/2/v1"]),
    ({"prefix": "*/b"}, ["a/b/c", "a/b/d/e", "a/b/d/i", "a/b/f"]),
    ({"prefix": "a/b/c/d"}, []),
    ({"prefix": "use"}, []),
    ({"suffix": "f"}, ["a/b/f", "a/c/f"]),
    ({"suffix": "v1"}, ["users/1/v1", "users/2/v1"]),
    ({"suffix": "*/v1"}, ["users/1/v1", "users/2/v1"]),
    ({"suffix": "2/*"}, ["users/2/v1", "users/2/v2"]),
    ({"prefix": "a", "suffix": "f"}, ["a/b/f", "a/c/f"]),
    ({"prefix": "a/b", "suffix": "f"}, ["a/b/f"]),
    ({"suffix": "v1", "max_depth": 2}, ["users"]),
    ({"limit": 2}, TREE[:2]),
    ({"limit": 3, "offset": 6}, TREE[6:]),
    ({"limit": 0}, []),
    ({"offset": 100}, []),
    ({"prefix": "a", "max_depth": 3, "limit": 1, "offset": 1}, ["a/c"]),
]


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(tree: Calls, user: str) -> None:
    """Sorted, each once, and cut to a depth before they are counted."""
    for wanted, found in LISTINGS:
        options = dict(wanted)
        options["prefix"] = (user, *path_of(wanted["prefix"])) if "prefix" in wanted else (user,)
        if "suffix" in wanted:
            options["suffix"] = path_of(wanted["suffix"])
        namespaces = await tree.list_namespaces(**options)
        assert namespaces == [(user, *path_of(text)) for text in found], wanted


async def test_a_wildcard_stands_for_one_label(store: Calls, user: str) -> None:
    """And only in a listing: to a search, it is a label like any other."""
    for namespace in [(user, "a", "v1"), (user, "a", "b", "v1"), (user, "*", "v1")]:
        await store.put(namespace, "k", {"n": 1}, index=False)
    found = await store.list_namespaces(prefix=(user, "*", "v1"))
    assert found == [(user, "*", "v1"), (user, "a", "v1")]
    assert [item.namespace for item in await store.search((user, "*"))] == [(user, "*", "v1")]


async def test_all_conditions_of_a_listing_must_hold(tree: Calls, user: str) -> None:
    """There may be several of one kind."""
    conditions = tuple(
        MatchCondition(kind, path)  # type: ignore[arg-type]
        for kind, path in [
            ("prefix", (user,)),
            ("prefix", ("*", "users", "2")),
            ("suffix", ("*", "v1")),
        ]
    )
    (found,) = await tree.batch([ListNamespacesOp(conditions)])
    assert found == [(user, "users", "2", "v1")]
    with pytest.raises(ValueError, match=r"(?i)match type"):
        await tree.batch([ListNamespacesOp((MatchCondition("middle", (user,)),))])  # type: ignore[arg-type]


async def test_everything_is_listed_without_a_condition(tree: Calls, user: str) -> None:
    """An admin wants to see what there is."""
    found = await tree.list_namespaces(limit=1_000_000)
    assert [path for path in found if path[0] == user] == [(user, *path_of(t)) for t in TREE]
    assert len(set(found)) == len(found)
    assert found == sorted(found)
    assert (user,) in await tree.list_namespaces(max_depth=1, limit=1_000_000)


async def test_a_hundred_namespaces_are_listed_unless_said_otherwise(
    store: Calls, user: str
) -> None:
    """The default of `limit`."""
    await store.batch([PutOp((user, f"{n:03}"), "k", {"n": 1}, index=False) for n in range(102)])
    assert len(await store.list_namespaces(prefix=(user,))) == 100
    assert len(await store.list_namespaces(prefix=(user,), offset=100)) == 2


# --- Time to live, which the InMemoryStore does not have -----------------------------------------


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let minutes pass."""
    passed = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + passed

    def wait(minutes: float) -> None:
        nonlocal passed
        passed += timedelta(minutes=minutes)

    monkeypatch.setattr("mem0_integrations.langgraph.store.datetime", Clock)
    return wait


OMIT: TTLConfig = {"omit_expired": True}


async def left(store: Calls, root: str) -> list[str]:
    """Return the keys that are there, without prolonging their lives."""
    return sorted(keys(await store.search((root,), refresh_ttl=False)))


@only_mem0
async def test_a_time_to_live_is_in_minutes(opened: Open, user: str, later: Any) -> None:
    """A peer reads them as seconds."""
    store = opened(ttl=OMIT)
    await store.put((user,), "short", {"text": "tea"}, ttl=0.5)
    await store.put((user,), "long", {"text": "tea"}, ttl=90)
    await store.put((user,), "ever", {"text": "tea"})
    later(0.49)
    assert await left(store, user) == ["ever", "long", "short"]
    later(0.02)
    assert await left(store, user) == ["ever", "long"]
    later(100_000)
    assert await left(store, user) == ["ever"]


@only_mem0
async def test_an_expired_item_can_be_read_until_it_is_swept(
    opened: Open, user: str, later: Any
) -> None:
    """The default of `omit_expired`."""
    store = opened()
    await store.put((user,), "k", {"text": "tea"}, ttl=1)
    later(2)
    assert await left(store, user) == ["k"]
    assert (await store.get((user,), "k", refresh_ttl=False)).value == {"text": "tea"}
    assert store.store.sweep_ttl() >= 1
    assert await left(store, user) == []


@only_mem0
async def test_an_expired_item_is_omitted_everywhere_if_asked_for(
    opened: Open, user: str, later: Any
) -> None:
    """From get, search, and the listing of namespaces; a read does not bring it back."""
    store = opened(ttl=OMIT)
    await store.put((user,), "k", {"text": "tea"}, ttl=1)
    later(2)
    assert await store.get((user,), "k") is None
    assert await store.search((user,)) == []
    assert await store.search((user,), query="tea") == []
    assert await store.list_namespaces(prefix=(user,)) == []
    assert keys(await opened().search((user,), refresh_ttl=False)) == ["k"]


@only_mem0
async def test_an_expired_item_takes_no_place_on_a_page(
    opened: Open, user: str, later: Any
) -> None:
    """Otherwise the nearest, long gone, would hide what is left."""
    store = opened(ttl=OMIT)
    for number in range(8):
        await store.put((user,), f"gone-{number}", {"text": "green tea"}, ttl=1)
    await store.put((user,), "left", {"text": "a dog"})
    later(2)
    assert keys(await store.search((user,), query="green tea", limit=1)) == ["left"]
    assert keys(await store.search((user,), limit=1)) == ["left"]


@only_mem0
@pytest.mark.parametrize("read", ["get", "search", "query", "batch"])
async def test_a_read_prolongs_the_life_of_an_item(
    opened: Open, user: str, later: Any, read: str
) -> None:
    """By its own time to live, from the read on; and of nothing that was not read."""
    store = opened(ttl=OMIT)
    await store.put((user, "a"), "k", {"text": "tea"}, ttl=10)
    await store.put((user, "b"), "k", {"text": "tea"}, ttl=10)
    for _ in range(3):
        later(7)
        if read == "get":
            found: Any = await store.get((user, "a"), "k")
        elif read == "batch":
            (found,) = await store.batch([GetOp((user, "a"), "k")])
        else:
            found = await store.search((user, "a"), query="tea" if read == "query" else None)
        assert found
    assert [item.namespace for item in await store.search((user,))] == [(user, "a")]
    later(11)
    assert await left(store, user) == []


@only_mem0
async def test_only_what_is_on_the_page_is_prolonged(opened: Open, user: str, later: Any) -> None:
    """What was not returned was not read."""
    store = opened(ttl=OMIT)
    for key in ("second", "first"):
        await store.put((user,), key, {"n": 1}, ttl=10)
        later(0.001)
    later(7)
    assert keys(await store.search((user,), limit=1)) == ["first"]
    later(7)
    assert await left(store, user) == ["first"]


REFRESHING: list[tuple[TTLConfig, bool | None, bool]] = [
    ({}, None, True),
    ({}, False, False),
    ({"refresh_on_read": True}, False, False),
    ({"refresh_on_read": False}, None, False),
    ({"refresh_on_read": False}, True, True),
]


@only_mem0
@pytest.mark.parametrize("case", REFRESHING, ids=str)
async def test_whether_a_read_prolongs_a_life_can_be_said(
    opened: Open, user: str, later: Any, case: tuple[TTLConfig, bool | None, bool]
) -> None:
    """For the store, and for each read."""
    config, asked, prolonged = case
    store = opened(ttl={**OMIT, **config})
    await store.put((user,), "got", {"n": 1}, ttl=10)
    await store.put((user, "a"), "found", {"n": 1}, ttl=10)
    later(7)
    assert await store.get((user,), "got", refresh_ttl=asked)
    assert await store.search((user, "a"), refresh_ttl=asked)
    later(7)
    assert await left(store, user) == (["found", "got"] if prolonged else [])


@only_mem0
async def test_a_put_decides_anew_how_long_an_item_lives(
    opened: Open, user: str, later: Any
) -> None:
    """Without a time to live, the last put is for ever."""
    store = opened(ttl=OMIT)
    for key in ("longer", "shorter", "ever"):
        await store.put((user,), key, {"n": 1}, ttl=10)
    await store.put((user,), "longer", {"n": 2}, ttl=20)
    await store.put((user,), "shorter", {"n": 2}, ttl=5)
    await store.put((user,), "ever", {"n": 2})
    later(6)
    assert await left(store, user) == ["ever", "longer"]
    later(9)
    assert await left(store, user) == ["ever", "longer"]
    later(6)
    assert await left(store, user) == ["ever"]
    store.store.sweep_ttl()
    assert keys(await opened().search((user,))) == ["ever"]


@only_mem0
async def test_a_store_may_have_a_time_to_live_of_its_own(
    opened: Open, user: str, later: Any
) -> None:
    """`ttl=None` says that an item is an exception."""
    store = opened(ttl={**OMIT, "default_ttl": 10})
    await store.put((user,), "default", {"n": 1})
    await store.put((user,), "own", {"n": 1}, ttl=30)
    await store.put((user,), "ever", {"n": 1}, ttl=None)
    later(11)
    assert await left(store, user) == ["ever", "own"]
    later(20)
    assert await left(store, user) == ["ever"]


@only_mem0
async def test_a_sweep_deletes_what_has_expired_and_nothing_else(
    opened: Open, user: str, later: Any
) -> None:
    """All vectors of an item go with it."""
    store = opened()
    # What other tests have left.
    later(1_000_000)
    store.store.sweep_ttl()
    await store.put((user,), "k", {"a": "green tea", "b": "a dog"}, index=["a", "b"], ttl=1)
    await store.put((user,), "long", {"a": "green tea"}, ttl=60)
    await store.put((user,), "ever", {"a": "green tea"})
    later(2)
    assert store.store.sweep_ttl() == 1
    assert store.store.sweep_ttl() == 0
    assert await left(store, user) == ["ever", "long"]
    await store.put((user,), "k", {"a": "green tea"}, index=["a"])
    assert (await store.search((user,), query="a dog", filter={"a": "green tea"}))[0].score < 0.9
