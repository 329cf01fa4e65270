"""Items of a store that are memories of a user: what is put is recalled, and vice versa."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp

from mem0_integrations import (
    AgentMemory,
    InvalidInputError,
    MemoryNotFoundError,
    Scope,
    ScopeError,
    connect,
)
from mem0_integrations.langgraph import Mem0Store
from tests.langgraph.store_calls import Calls, keys
from tests.stores import texts_of

TEMPLATE = ("memories", "{user_id}")
TEA = "Prefers green tea over coffee."
DOG = "Has a dog called Bello."


@pytest.fixture(params=["sync", "async"])
def store(request: pytest.FixtureRequest, anywhere: AgentMemory) -> Calls:
    return Calls(Mem0Store(anywhere, memories=TEMPLATE), request.param == "async")


# --- What is put is a memory ---------------------------------------------------------------------


async def test_what_is_put_is_recalled(anywhere: AgentMemory, store: Calls, user: str) -> None:
    """An agent's notes are for its nodes, too."""
    await store.put(("memories", user), "drink", {"text": TEA, "topic": "taste", "weight": 2})
    await store.put(("memories", user, "home"), "pet", {"text": DOG, "topic": "home"})
    scope = {"user_id": user}
    recalled = anywhere.recall("Which hot drink?", scope=scope, limit=1).memories[0]
    assert recalled.text == TEA
    assert dict(recalled.metadata) == {"topic": "taste", "weight": 2}
    assert recalled.scope == Scope(user_id=user)
    assert sorted(texts_of(anywhere.list(scope=scope))) == [DOG, TEA]


async def test_recall_filters_by_the_fields_of_what_was_put(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """They are the metadata of the memory."""
    for key, topic in (("a", "taste"), ("b", "home"), ("c", "home")):
        await store.put(("memories", user), key, {"text": f"Note {key}", "topic": topic, "n": 1})
    scope = {"user_id": user}
    found = anywhere.recall("note", scope=scope, filters={"topic": "home"}).memories
    assert sorted(texts_of(found)) == ["Note b", "Note c"]
    listed = anywhere.list(scope=scope, filters={"topic": {"ne": "home"}, "n": {"gte": 1}})
    assert texts_of(listed) == ["Note a"]


async def test_a_second_put_changes_the_memory(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Of an upsert, recall knows the last text only, and the history all of them."""
    scope = {"user_id": user}
    await store.put(("memories", user), "drink", {"text": TEA, "topic": "taste"})
    (first,) = anywhere.list(scope=scope)
    await store.put(("memories", user), "drink", {"text": "Drinks water.", "weight": 1})
    await store.put(("memories", user), "drink", {"text": "Drinks water.", "weight": 2})
    (second,) = anywhere.list(scope=scope)
    assert (second.id, second.text, second.created_at) == (
        first.id,
        "Drinks water.",
        first.created_at,
    )
    assert dict(second.metadata) == {"weight": 2}
    changes = [
        (change.event, change.old_text, change.new_text)
        for change in anywhere.history(first.id, scope=scope)
        # Mem0 also notes a change of the metadata alone.
        if change.old_text != change.new_text
    ]
    assert changes == [("ADD", None, TEA), ("UPDATE", TEA, "Drinks water.")]


async def test_a_deleted_item_is_recalled_no_more(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """And its history says that it was deleted."""
    scope = {"user_id": user}
    await store.put(("memories", user), "drink", {"text": TEA})
    (memory,) = anywhere.list(scope=scope)
    await store.delete(("memories", user), "drink")
    assert anywhere.recall("tea", scope=scope).memories == ()
    assert [change.event for change in anywhere.history(memory.id, scope=scope)] == [
        "ADD",
        "DELETE",
    ]
    await store.put(("memories", user), "drink", {"text": TEA})
    assert texts_of(anywhere.list(scope=scope)) == [TEA]


TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"memory": TEA}, TEA),
    ({"content": TEA, "text": "x"}, TEA),
    ({"data": TEA}, TEA),
    ({"kind": "Memory", "content": {"content": TEA}}, TEA),
    ({"text": "", "data": TEA}, TEA),
    ({"text": "\0", "data": TEA}, TEA),
    ({"content": {}, "text": TEA}, TEA),
    ({"content": {"name": "Ann", "age": 61}}, '{"name": "Ann", "age": 61}'),
    ({"allergy": "peanuts"}, '{"allergy": "peanuts"}'),
    ({"drinks": ["tea", "café"]}, '{"drinks": ["tea", "café"]}'),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS, ids=str)
async def test_the_memory_has_the_text_that_a_person_would_read(
    anywhere: AgentMemory, store: Calls, user: str, value: dict[str, Any], text: str
) -> None:
    """Where no field is the text, nothing of the value is left out."""
    await store.put(("memories", user), "k", value)
    assert texts_of(anywhere.list(scope={"user_id": user})) == [text]
    assert (await store.get(("memories", user), "k")).value == value


async def test_named_fields_are_the_text_of_the_memory(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Of several, one text is made; so it is without an index, for a memory has one."""
    value = {"title": "Order 7", "body": "Two cups.", "at": "2026"}
    await store.put(("memories", user), "a", value, index=["title", "body"])
    await store.put(("memories", user), "b", {"text": TEA}, index=False)
    assert sorted(texts_of(anywhere.list(scope={"user_id": user}))) == ["Order 7\nTwo cups.", TEA]
    assert (await store.search(("memories", user), query=TEA))[0].score > 0.9


VALUES: list[dict[str, Any]] = [
    {"data": "d", "id": "i", "user_id": "someone", "agent_id": "a", "hash": "h", "role": "r"},
    {"created_at": "never", "updated_at": 0, "actor_id": "x", "text_lemmatized": "y"},
    {"document_body": "{}", "document_of": "x", "document_part": "3", "document_path_0": "[]"},
    {"document_expires": "yes", "document_expires_at": "2000-01-01", "idempotency_key": "k"},
    {"text": "a\0b", "a\0b": 1, "\ud800": "\udfff", "nested": {"\0": ["\0"]}, "list": ["\0"]},
    {"metadata": {"a": 1}, "score": 2, "categories": ["x"], "memory": 7, "expiration_date": "x"},
    {"text": TEA, "copy": TEA, "nested": {"copy": [TEA]}},
    {"text": "word " * 20_000, "big": 2**100, "none": None},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
async def test_any_value_comes_back_and_stays_the_users(
    anywhere: AgentMemory, store: Calls, user: str, value: dict[str, Any]
) -> None:
    """Its fields come from a model: none may change what Mem0 and this package keep there."""
    await store.put(("memories", user), "k", value)
    for item in (
        await store.get(("memories", user), "k"),
        (await store.search(("memories", user)))[0],
        (await store.search(("memories", user), query="tea"))[0],
    ):
        assert (item.key, item.value) == ("k", value)
    (memory,) = anywhere.list(scope={"user_id": user})
    assert memory.scope == Scope(user_id=user)
    assert anywhere.list(scope={"user_id": "someone"}) == []
    store.store.sweep_ttl()
    assert await store.get(("memories", user), "k") is not None


async def test_a_time_to_live_ends_the_memory(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Until it is swept, it is recalled."""
    await store.put(("memories", user), "short", {"text": TEA}, ttl=1e-6)
    await store.put(("memories", user), "long", {"text": DOG}, ttl=60)
    store.store.sweep_ttl()
    assert texts_of(anywhere.list(scope={"user_id": user})) == [DOG]


# --- What is remembered is an item ---------------------------------------------------------------


async def test_what_is_remembered_is_an_item(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Its key is the id, its value the text and the metadata."""
    scope = {"user_id": user}
    anywhere.remember("I prefer tea.", scope=scope, metadata={"topic": "taste"})
    (memory,) = anywhere.list(scope=scope)
    namespace = ("memories", user)
    (listed,) = await store.search(namespace)
    (found,) = await store.search(namespace, query="Which drink?", filter={"topic": "taste"})
    got = await store.get(namespace, memory.id)
    for item in (listed, found, got):
        assert (item.namespace, item.key) == (namespace, memory.id)
        assert item.value == {"memory": "I prefer tea.", "topic": "taste"}
        assert (item.created_at, item.updated_at) == (memory.created_at, memory.updated_at)
    assert 0 < found.score <= 1
    assert await store.list_namespaces(prefix=namespace) == [namespace]
    assert await store.search(namespace, filter={"topic": "home"}) == []


async def test_what_is_remembered_is_changed_by_a_put(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """It stays the memory that it was: with its id, its agent, its time, and its key."""
    scope = Scope(user_id=user, agent_id="waiter")
    anywhere.remember("I prefer tea.", scope=scope, metadata={"topic": "taste"}, key="turn-1")
    (before,) = anywhere.list(scope=scope)
    namespace = ("memories", user)
    await store.put(namespace, before.id, {"memory": "I prefer coffee.", "weight": 2})
    (after,) = anywhere.list(scope=scope)
    assert (after.id, after.scope, after.created_at) == (before.id, scope, before.created_at)
    assert after.text == "I prefer coffee."
    assert dict(after.metadata) == {"weight": 2, "role": "user"}
    assert anywhere.recall("coffee", scope=scope).memories[0].id == before.id
    assert (await store.get(namespace, before.id)).value == {
        "memory": "I prefer coffee.",
        "weight": 2,
    }
    assert keys(await store.search(namespace)) == [before.id]
    again = anywhere.remember("I prefer tea.", scope=scope, key="turn-1")
    assert again.status == "duplicate"
    anywhere.forget(scope)
    assert await store.search(namespace) == []


async def test_what_is_remembered_is_deleted_by_its_id(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """A model that manages its memories sees ids."""
    scope = {"user_id": user}
    anywhere.remember("I prefer tea.", scope=scope)
    anywhere.remember("I have a dog.", scope=scope)
    tea, _ = sorted(anywhere.list(scope=scope), key=lambda memory: memory.text, reverse=True)
    await store.delete(("memories", user), tea.id)
    assert texts_of(anywhere.list(scope=scope)) == ["I have a dog."]


async def test_a_change_of_the_memory_shows_in_the_item(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Where the text stood in the value, the new one stands."""
    scope = {"user_id": user}
    namespace = ("memories", user)
    values: dict[str, dict[str, Any]] = {
        "flat": {"text": TEA, "topic": "taste", "deep": {"copy": [TEA, 1]}},
        "langmem": {"kind": "Memory", "content": {"content": DOG}},
        "json": {"allergy": "peanuts", "since": 2020},
    }
    for key, value in values.items():
        await store.put(namespace, key, value)
    for memory in anywhere.list(scope=scope):
        anywhere.update(
            memory.id, scope=scope, text=memory.text.upper(), metadata={"topic": "new", "more": 1}
        )
    more = {"topic": "new", "more": 1}
    found = {item.key: item.value for item in await store.search(namespace)}
    assert found == {
        "flat": {"text": TEA.upper(), "deep": {"copy": [TEA.upper(), 1]}, **more},
        "langmem": {"kind": "Memory", "content": {"content": DOG.upper()}, **more},
        "json": {**values["json"], "memory": '{"ALLERGY": "PEANUTS", "SINCE": 2020}', **more},
    }
    assert (await store.search(namespace, query=DOG))[0].key == "langmem"


async def test_a_memory_that_was_deleted_is_no_item(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Whoever deletes it."""
    scope = {"user_id": user}
    await store.put(("memories", user), "drink", {"text": TEA})
    (memory,) = anywhere.list(scope=scope)
    anywhere.delete(memory.id, scope=scope)
    assert await store.get(("memories", user), "drink") is None
    await store.delete(("memories", user), "drink")
    assert await store.search(("memories", user)) == []


async def test_forgetting_a_user_erases_the_items(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Also those deep in a namespace; nothing of others, and nothing that is no memory."""
    await store.put(("memories", user), "a", {"text": TEA})
    await store.put(("memories", user, "deep", "down"), "b", {"text": DOG})
    await store.put(("memories", f"{user}-2"), "a", {"text": TEA})
    await store.put(("notes", user), "a", {"text": TEA})
    assert anywhere.forget({"user_id": user}).memories == 2
    assert await store.search(("memories", user)) == []
    assert await store.list_namespaces(prefix=("memories", user)) == []
    assert len(await store.search(("memories", f"{user}-2"))) == 1
    assert len(await store.search(("notes", user))) == 1


async def test_a_put_of_a_long_batch_embeds_once_and_has_a_history(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """An import of memories."""
    puts = [PutOp(("memories", user), str(n), {"text": f"Note {n}."}) for n in range(60)]
    await store.batch(puts)
    memories = anywhere.list(scope={"user_id": user}, limit=1000)
    assert {memory.text for memory in memories} == {f"Note {n}." for n in range(60)}
    assert [c.event for c in anywhere.history(memories[7].id, scope={"user_id": user})] == ["ADD"]


# --- Which namespaces are whose ------------------------------------------------------------------


async def test_other_namespaces_are_not_recalled(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """A store is for more than memories."""
    await store.put(("notes", user), "k", {"text": TEA})
    await store.put(("memories",), user, {"text": TEA})
    assert anywhere.list(scope={"user_id": user}) == []
    assert keys(await store.search(("notes", user))) == ["k"]
    assert user in keys(await store.search(("memories",), filter={"text": TEA}, limit=1000))


async def test_a_prefix_that_names_nobody_shows_only_what_was_put(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """What was remembered belongs to its user, and is shown to nobody who does not name one."""
    anywhere.remember("I prefer tea.", scope={"user_id": user})
    await store.put(("memories", user), "put", {"text": TEA, "mark": user})
    await store.put(("memories",), "item", {"text": TEA, "mark": user})
    for prefix in (("memories",), ()):
        for query in (None, "tea"):
            found = await store.search(prefix, query=query, filter={"mark": user})
            assert sorted(keys(found)) == ["item", "put"]
            every = await store.search(prefix, query=query, limit=1_000_000)
            assert [i.key for i in every if i.namespace == ("memories", user)] == ["put"]
    assert len(await store.search(("memories", user))) == 2
    namespaces = await store.list_namespaces(prefix=("memories", "*"), limit=1_000_000)
    assert ("memories", user) in namespaces


async def test_pages_over_both_kinds_show_each_item_once(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """Two collections are searched, and make one order."""
    own = Calls(Mem0Store(anywhere, memories=(user, "{user_id}")), False)
    for number in range(6):
        await own.put((user,), f"item-{number}", {"text": f"tea {number}"})
        await own.put((user, user), f"memory-{number}", {"text": f"tea {number}"})
    for query in (None, "tea"):
        pages = [
            keys(await own.search((user,), query=query, limit=5, offset=offset))
            for offset in (0, 5, 10, 15)
        ]
        assert [len(page) for page in pages] == [5, 5, 2, 0]
        assert len({key for page in pages for key in page}) == 12
    scores = [item.score for item in await own.search((user,), query="tea", limit=20)]
    assert scores == sorted(scores, reverse=True)


async def test_a_sub_namespace_holds_only_what_was_put_there(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """What was remembered lies at the top; below it a framework finds its own values only."""
    anywhere.remember("I prefer tea.", scope={"user_id": user})
    await store.put(("memories", user, "langmem"), "k", {"kind": "Memory", "content": DOG})
    for query in (None, "tea"):
        assert keys(await store.search(("memories", user, "langmem"), query=query)) == ["k"]
        assert len(await store.search(("memories", user), query=query)) == 2


async def test_a_template_may_name_several_ids(
    anywhere: AgentMemory, user: str, store: Calls
) -> None:
    """The namespace then stands for all of them together."""
    both = Mem0Store(anywhere, memories=("agents", "{agent_id}", "of", "{user_id}"))
    waiter, cook = (("agents", name, "of", user) for name in ("waiter", "cook"))
    both.put(waiter, "k", {"text": TEA})
    both.put(cook, "k", {"text": DOG})
    anywhere.remember("I live in Oslo.", scope={"user_id": user})
    scope = {"user_id": user, "agent_id": "waiter"}
    anywhere.remember("I prefer tea.", scope=scope)
    assert sorted(texts_of(anywhere.list(scope=scope))) == ["I prefer tea.", TEA]
    assert len(both.search(waiter)) == 2
    assert [item.value for item in both.search(cook)] == [{"text": DOG}]
    assert len(anywhere.list(scope={"user_id": user})) == 4
    both.put(waiter[:3], "k", {"text": TEA})
    assert len(anywhere.list(scope={"user_id": user})) == 4
    anywhere.forget(scope)
    assert both.search(waiter) == []
    assert len(both.search(cook)) == 1


async def test_the_memories_of_one_user_are_not_those_of_another(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """An id that was seen elsewhere, in a log or a prompt, opens nothing."""
    owner, other = ("memories", user), ("memories", f"{user}-2")
    anywhere.remember("I prefer tea.", scope={"user_id": user})
    await store.put(owner, "put", {"text": TEA})
    ids = [memory.id for memory in anywhere.list(scope={"user_id": user})]
    for memory_id in ids:
        assert await store.get(other, memory_id) is None
        assert await store.get((*owner, "sub"), memory_id) is None
        await store.delete(other, memory_id)
        await store.put(other, memory_id, {"text": DOG})
        assert (await store.get(other, memory_id)).value == {"text": DOG}
        await store.delete(other, memory_id)
    assert len(await store.search(owner)) == 2
    assert sorted(texts_of(anywhere.list(scope={"user_id": user}))) == ["I prefer tea.", TEA]
    assert await store.search(other) == []


async def test_one_id_asked_for_in_several_namespaces_is_found_in_its_own(
    anywhere: AgentMemory, store: Calls, user: str
) -> None:
    """In one batch, wherever it stands."""
    anywhere.remember("I prefer tea.", scope={"user_id": user})
    (memory,) = anywhere.list(scope={"user_id": user})
    paths = [("memories", f"{user}-2"), ("memories", user), ("memories", user, "sub")]
    for order in (paths, paths[::-1]):
        results = await store.batch([GetOp(path, memory.id) for path in order])
        found = {path: item for path, item in zip(order, results, strict=True) if item}
        assert list(found) == [("memories", user)]


@pytest.mark.parametrize("label", [" bob", "bob ", "bob\n", "\u00a0bob", " ", "x" * 256, "\ud800"])
async def test_a_label_that_is_no_id_is_refused_before_anything_is_done(
    store: Calls, user: str, label: str
) -> None:
    """Ids are trimmed: under two labels, there would be one user."""
    namespace = ("memories", label)
    put = PutOp(("notes", user), "k", {"text": TEA})
    for op in (PutOp(namespace, "k", {"text": TEA}), PutOp(namespace, "k", None)):
        with pytest.raises(ScopeError):
            await store.batch([put, op])
    with pytest.raises(ScopeError):
        await store.batch([put, GetOp(namespace, "k")])
    with pytest.raises(ScopeError):
        await store.search(namespace)
    with pytest.raises(ScopeError):
        await store.list_namespaces(prefix=namespace)
    assert await store.search(("notes", user)) == []


class Alike:
    """Finds everything near to everything: only the namespace keeps users apart."""

    def embed_query(self, text: str) -> list[float]:
        return [1.0, len(text) / 1_000_000, 0.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


LOOKALIKES = [
    ["ann", "Ann", "ann1", "an"],
    ["*", "**", "%", "_", "?", "[*]"],
    [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")],
    ["a b", "a  b", "a%20b", "a+b", "ab", "mem0-integrations:a%20b", "mem0-integrations:"],
    ["a&user_id=b", "a", "b", "user_id=a", "{user_id}", "{}"],
    ["' OR '1'='1", "'; DROP TABLE memories; --", '"', "\\", "[]", '["a"]'],
    ["$or", "null", "None", "true", "1", "01", "memories", "langgraph"],
    ["x" * 255, "x" * 254, "é" * 255, "😀" * 255, "👩‍👩‍👧", "\u202eann"],
]


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMemory]:
    folder: Path = tmp_path_factory.mktemp("alike")
    with connect("embedded", data_dir=folder, embedder=Alike()) as memory:  # type: ignore[arg-type]
        yield memory


labels = st.one_of(
    st.sampled_from([name for group in LOOKALIKES for name in group]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=".\0"), min_size=1).filter(
        lambda text: text == text.strip() and len(text) <= 255
    ),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.one_of(
        st.sampled_from(LOOKALIKES).flatmap(
            lambda group: st.permutations(group).map(lambda order: order[:3])
        ),
        st.lists(labels, min_size=2, max_size=3, unique=True),
    ),
    subs=st.lists(st.lists(labels, max_size=2).map(tuple), min_size=1, max_size=2, unique=True),
)
def test_no_name_opens_the_memories_of_another(
    alike: AgentMemory, names: list[str], subs: list[tuple[str, ...]]
) -> None:
    """Whatever users are called: each sees all of its own, and nothing else."""
    store = Mem0Store(alike, memories=TEMPLATE)
    paths = [("memories", name, *sub) for name in names for sub in subs]
    try:
        for path in paths:
            store.put(path, "k", {"text": f"{path}"})
        for name in names:
            own = {path for path in paths if path[1] == name}
            for query in (None, "anything"):
                found = store.search(("memories", name), query=query, limit=100)
                assert {item.namespace for item in found} == own
                assert all(item.value == {"text": f"{item.namespace}"} for item in found)
            # In a listing, this one means any.
            assert name == "*" or set(store.list_namespaces(prefix=("memories", name))) == own
            recalled = alike.list(scope={"user_id": name})
            assert {memory.text for memory in recalled} == {f"{path}" for path in own}
        gone, *left = names
        store.batch([PutOp(path, "k", None) for path in paths if path[1] == gone])
        assert store.search(("memories", gone)) == []
        assert len(store.search(("memories",), limit=100)) == len(left) * len(subs)
    finally:
        for name in names:
            alike.forget({"user_id": name})


# --- The template --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        (),
        ("memories",),
        ("memories", "{name}"),
        ("memories", "of-{user_id}"),
        ("{user_id}", "{user_id}"),
        ("a", "{app_id}"),
        ("a.b", "{user_id}"),
        ("", "{user_id}"),
        ("langgraph", "{user_id}"),
        ("memories", 7, "{user_id}"),
        "memories/{user_id}",
    ],
)
def test_a_template_that_can_never_be_met_is_refused(shared: AgentMemory, template: Any) -> None:
    """Otherwise what is put there would silently be no memory."""
    with pytest.raises((InvalidInputError, InvalidNamespaceError)):
        Mem0Store(shared, memories=template)


def test_a_store_without_a_template_has_no_memories(shared: AgentMemory, user: str) -> None:
    """Neither its items are recalled, nor are memories its items."""
    store = Mem0Store(shared)
    shared.remember("I prefer tea.", scope={"user_id": user})
    store.put(("memories", user), "k", {"text": DOG})
    assert keys(store.search(("memories", user))) == ["k"]
    assert texts_of(shared.list(scope={"user_id": user})) == ["I prefer tea."]
    assert shared.forget({"user_id": user}).memories == 1
    assert keys(store.search(("memories", user))) == ["k"]


def test_the_id_of_an_item_is_none_that_another_may_use(shared: AgentMemory, user: str) -> None:
    """Memories of other users are not found, whoever guesses their ids."""
    store = Mem0Store(shared, memories=TEMPLATE)
    store.put(("memories", user), "drink", {"text": TEA})
    (memory,) = shared.list(scope={"user_id": user})
    with pytest.raises(MemoryNotFoundError):
        shared.delete(memory.id, scope={"user_id": f"{user}-2"})
    assert shared.get(memory.id, scope={"user_id": f"{user}-2"}) is None
