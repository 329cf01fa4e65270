from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from mem0_integrations import AgentMemory, InvalidFilterError, MemoryNotFoundError, Scope
from tests.stores import STORES, Store, open_store


class Alike(Embeddings):
    """Finds everything near to everything: only the scope can keep memories apart."""

    def embed_query(self, text: str) -> list[float]:
        return [1.0, len(text) / 1_000_000, 0.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


_CAFE = "café"
# Each list has ids that a careless store, filter or encoding takes for one another.
LOOKALIKES = [
    ["ann", "Ann", "ANN", "ann1"],
    ["*", "**", "%", "_"],
    [unicodedata.normalize(form, _CAFE) for form in ("NFC", "NFD")],
    ["ann smith", "ann  smith", "ann\tsmith", "ann%20smith", "ann+smith", "annsmith"],
    ["mem0-integrations:ann%20smith", "ann smith", "mem0-integrations:", "mem0-integrations:*"],
    ["mem0-integrations:mem0-integrations%3Aann", "mem0-integrations:ann", "ann"],
    ["a&user_id=b", "a", "b", "a&agent_id=b", "user_id=a"],
    ["a%26user_id=b", "a&user_id=b", "a%2526user_id=b"],
    ["' OR '1'='1", "'; DROP TABLE memories; --", "''", '"', "\\", "\\\\"],
    ["a.b", "a[0]", "a b", "$or", "{}", "null", "None", "true", "1", "1.0", "01"],
    ["a\x00b", "a", "ab", "a\u200bb", "a\u00a0b"],
    ["x" * 255, "x" * 254 + "y", "é" * 255, "é" * 254 + "x", "😀" * 255],
    ["Ⅳ", "IV", "ﬁ", "fi", "ß", "ss", "İ", "i̇"],
    ["👩‍👩‍👧", "👩👩👧", "عربي", "漢字", "\u202eann"],
]

ids = st.one_of(
    st.sampled_from([name for group in LOOKALIKES for name in group]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip),
)
groups = st.one_of(
    st.sampled_from(LOOKALIKES).flatmap(
        lambda group: st.permutations(group).map(lambda order: order[:3])
    ),
    st.lists(ids, min_size=2, max_size=3),
)


@st.composite
def scope_lists(draw: st.DrawFn) -> list[Scope]:
    """Two to four scopes, made of few and similar ids."""
    names = draw(groups)
    some = st.none() | st.sampled_from(names)
    of_any = st.builds(
        Scope, user_id=st.sampled_from(names), agent_id=some, run_id=some, app_id=some
    )
    # Of one user, so that some are within others.
    of_one = st.builds(Scope, user_id=st.just(names[0]), agent_id=some, run_id=some)
    kinds = st.sampled_from([of_any, of_one, st.builds(Scope, user_id=st.sampled_from(names))])
    few = kinds.flatmap(lambda scopes: st.lists(scopes, min_size=2, max_size=4, unique=True))
    return draw(few)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(["*", "%", "' OR '1'='1", "ann", "", "é", "{}"]),
    st.lists(st.sampled_from(["*", "ann", 1]), max_size=2),
)
metadata_keys = st.sampled_from(
    ["team", "$or", "OR", "memory", "metadata", "score", "a.b", "payload", "user", "' OR 1=1", "*"]
)
metadatas = st.dictionaries(metadata_keys, values, max_size=3)
filters_of: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.dictionaries(metadata_keys, values, max_size=2),
    st.dictionaries(
        metadata_keys,
        st.fixed_dictionaries({"ne": values}) | st.fixed_dictionaries({"nin": st.just(["ann"])}),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from(
        [
            {"OR": [{"team": "*"}, {"NOT": [{"team": "*"}]}]},
            {"NOT": [{"team": "no such team"}]},
            {"OR": [{"user_id": "*"}, {"team": None}]},
            {"user_id": "*"},
            {"user_id": {"ne": "x"}},
            {"AND": [{"NOT": [{"agent_id": "*"}]}]},
            {"idempotency_key": {"ne": "x"}},
            {"text": {"contains": ""}},
            {"created_at": {"gte": "1970-01-01"}},
        ]
    ),
)


@dataclass
class World:
    """What must be in the store: the memories of each scope, by id."""

    memory: AgentMemory
    scopes: list[Scope]
    owner: dict[str, Scope] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)

    def wrote(self, scope: Scope, memory_id: str, text: str) -> None:
        assert memory_id not in self.owner
        self.owner[memory_id], self.text[memory_id] = scope, text

    def dropped(self, memory_id: str) -> None:
        del self.owner[memory_id], self.text[memory_id]

    def covered(self, scope: Scope) -> dict[str, str]:
        return {
            memory_id: self.text[memory_id]
            for memory_id, owner in self.owner.items()
            if scope.covers(owner)
        }

    def check(self) -> None:
        """Every scope has what it had, and nothing else."""
        for scope in self.scopes:
            listed = self.memory.list(scope=scope)
            assert {found.id: found.text for found in listed} == self.covered(scope)
            assert {found.id: found.scope for found in listed} == {
                memory_id: self.owner[memory_id] for memory_id in self.covered(scope)
            }


def _texts() -> Iterator[str]:
    return (f"statement {number}" for number in itertools.count())


def play(memory: AgentMemory, scopes: list[Scope], data: st.DataObject) -> None:
    """Let every scope do everything, and leave the store empty for the next example."""
    try:
        _play(memory, scopes, data)
    except BaseException:
        # Hypothesis also breaks an example off when it runs out of choices.
        for scope in scopes:
            memory.forget(scope)
        raise


def _play(memory: AgentMemory, scopes: list[Scope], data: st.DataObject) -> None:
    world, texts = World(memory, scopes), _texts()
    for scope in scopes:
        for key in ("turn", "turn 2"):
            # The same keys everywhere.
            text = next(texts)
            metadata = data.draw(metadatas)
            result = memory.remember(text, scope=scope, infer=False, key=key, metadata=metadata)
            assert result.status == "stored", result
            world.wrote(scope, result.memories[0].id, text)
        # The same message everywhere, verbatim and as a statement.
        assert memory.remember_many(["I like tea."], scope=scope).stored == 1
        assert memory.remember("I like coffee.", scope=scope).status == "stored"
        for found in memory.list(scope=scope):
            if found.id not in world.owner:
                world.wrote(scope, found.id, found.text)
    assert len(world.owner) == 4 * len(scopes)
    world.check()

    for scope in scopes:
        filters = data.draw(filters_of)
        try:
            recalled = memory.recall(
                data.draw(st.sampled_from(["tea", "*", "' OR '1'='1", "statement 1"])),
                scope=scope,
                filters=filters,
                limit=100,
                threshold=0.0,
                on_error="raise",
            ).memories
            hits = [*recalled, *memory.list(scope=scope, filters=filters)]
        except InvalidFilterError:
            hits = []
        mine = world.covered(scope)
        assert {hit.id for hit in hits} <= mine.keys()
        assert all(mine[hit.id] == hit.text for hit in hits)

        foreign = [memory_id for memory_id in world.owner if memory_id not in mine]
        for memory_id in foreign[:3]:
            assert memory.get(memory_id, scope=scope) is None
            with pytest.raises(MemoryNotFoundError):
                memory.update(memory_id, scope=scope, text="Taken over.")
            with pytest.raises(MemoryNotFoundError):
                memory.delete(memory_id, scope=scope)
            with pytest.raises(MemoryNotFoundError):
                memory.history(memory_id, scope=scope)
    world.check()

    for scope in scopes:
        own = [memory_id for memory_id, owner in world.owner.items() if owner == scope]
        world.text[own[0]] = next(texts)
        changed = memory.update(own[0], scope=scope, text=world.text[own[0]], metadata={"team": 1})
        assert changed.scope == scope
        assert len(memory.history(own[0], scope=scope)) == 2
        memory.delete(own[1], scope=scope)
        world.dropped(own[1])
        for other in scopes:
            if not other.covers(scope):
                with pytest.raises(MemoryNotFoundError):
                    memory.history(own[1], scope=other)
    world.check()

    for scope in data.draw(st.permutations(scopes)):
        mine = world.covered(scope)
        assert memory.forget(scope).memories == len(mine)
        for memory_id in mine:
            world.dropped(memory_id)
        world.check()
    assert world.owner == {}


@pytest.fixture(scope="module")
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp(request.param)
    with open_store(request.param, folder, Alike(), request) as store:
        yield store


@pytest.fixture(scope="module")
def shared(opened: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMemory]:
    """One memory for all examples: each of them ends with an empty store."""
    with opened.connect(tmp_path_factory.mktemp("outbox") / "outbox.db") as memory:
        yield memory


def _settings(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("opened", ["embedded"], indirect=True)
@_settings(25)
@given(scopes=scope_lists(), data=st.data())
def test_no_scope_touches_another(
    shared: AgentMemory, scopes: list[Scope], data: st.DataObject
) -> None:
    """One customer must never see, change or lose what is another's."""
    play(shared, scopes, data)


@pytest.mark.parametrize("opened", ["qdrant", "pgvector"], indirect=True)
@_settings(8)
@given(scopes=scope_lists(), data=st.data())
def test_no_scope_touches_another_on_a_store_of_mem0(
    shared: AgentMemory, scopes: list[Scope], data: st.DataObject
) -> None:
    """The stores of Mem0 read wildcards and compare in ways of their own."""
    play(shared, scopes, data)


@pytest.mark.parametrize("opened", STORES, indirect=True)
@pytest.mark.parametrize("group", LOOKALIKES, ids=ascii)
def test_ids_that_look_alike_are_apart(shared: AgentMemory, group: list[str]) -> None:
    """Case, Unicode forms, wildcards, escapes and quotes: each id is its own user."""
    for name in group:
        assert shared.remember(f"I am {name!r}.", scope={"user_id": name}, infer=False).memories
    for name in group:
        (found,) = shared.recall("Who?", scope={"user_id": name}, threshold=0.0).memories
        assert (found.text, found.scope.user_id) == (f"I am {name!r}.", name)
    for number, name in enumerate(group):
        assert shared.forget({"user_id": name}).memories == 1
        left = [len(shared.list(scope={"user_id": other})) for other in group]
        assert left == [0] * (number + 1) + [1] * (len(group) - number - 1)
