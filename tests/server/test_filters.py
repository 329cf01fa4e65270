"""The Platform's filter grammar: what it selects, and that it never reaches another project."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import Memory, Scope
from mem0_integrations.backends.platform_dialect import scope_filter
from mem0_integrations.errors import InvalidFilterError, InvalidInputError
from mem0_integrations.filters import compile_filters, record_of
from mem0_integrations.server.filters import compile_query
from mem0_integrations.server.tenancy import (
    ClientMemory,
    EntityIds,
    internal_metadata,
    own_metadata,
    today,
    write_scope,
)

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stored(
    name: str,
    project: str = "p",
    *,
    metadata: dict[str, object] | None = None,
    expires: date | None = None,
    at: datetime = MARCH,
    categories: tuple[str, ...] = (),
    text: str = "",
    **ids: str,
) -> Memory:
    session = {key: ids[key] for key in ("app_id", "run_id") if key in ids}
    internal = internal_metadata(**session)
    if expires is not None:
        internal |= internal_metadata(expiration_date=expires)
    return Memory(
        id=name,
        text=text or name,
        scope=write_scope(project, EntityIds.of(ids)),
        created_at=at,
        updated_at=at + timedelta(days=1),
        metadata={**own_metadata(metadata), **internal, "role": "user"},
        categories=categories,
    )


MEMORIES = [
    stored("ann", user_id="ann"),
    stored("ann r1", user_id="ann", run_id="r1"),
    stored("ann bot", user_id="ann", agent_id="bot", at=MARCH + timedelta(days=31)),
    stored("bob", user_id="bob", metadata={"team": "billing", "n": 5, "hash": "x", "vip": True}),
    stored("bot", agent_id="bot", metadata={"team": "sales", "tags": ["a", "b"]}),
    stored("app", app_id="shop", categories=("finance", "health")),
    stored("run", run_id="r1", text="Buys Green Tea."),
]


def selected(filters: dict[str, object], **options: bool) -> list[str]:
    query = compile_query(filters, "p", **options)
    before = compile_filters(query.filters)
    return [
        memory.id
        for memory in MEMORIES
        if query.scope.covers(memory.scope) and before(record_of(memory)) and query.accept(memory)
    ]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"user_id": "ann"}, ["ann", "ann r1", "ann bot"]),
        ({"userId": "ann", "agentId": "bot"}, ["ann bot"]),
        ({"AND": [{"user_id": "ann"}, {"run_id": "*"}]}, ["ann r1"]),
        ({"AND": [{"user_id": "ann"}, {"agent_id": None}]}, ["ann", "ann r1"]),
        ({"AND": [{"user_id": "ann"}, {"user_id": "bob"}]}, []),
        ({"user_id": {"in": ["ann", "bob"]}}, ["ann", "ann r1", "ann bot", "bob"]),
        ({"user_id": {"eq": " bob "}}, ["bob"]),
        ({"user_id": {"ne": "ann"}}, ["bob", "bot", "app", "run"]),
        ({"run_id": "r1"}, ["ann r1", "run"]),
        ({"app_id": "shop"}, ["app"]),
        ({"OR": [{"user_id": "bob"}, {"agent_id": "bot"}]}, ["ann bot", "bob", "bot"]),
        ({"AND": [{"OR": [{"user_id": "bob"}, {"app_id": "*"}]}, {"app_id": "*"}]}, ["app"]),
        ({"NOT": {"user_id": "*"}}, ["bot", "app", "run"]),
        ({"NOT": [{"user_id": "*"}, {"app_id": "*"}]}, ["bot", "run"]),
        ({"NOT": {"OR": [{"user_id": "*"}, {"agent_id": "*"}]}}, ["app", "run"]),
        ({"created_at": {"gte": "2026-03-01", "lt": "2026-04-01"}, "agent_id": "bot"}, ["bot"]),
        ({"timestamp": {"gt": MARCH.timestamp()}}, ["ann bot"]),
        ({"updated_at": {"lte": "2026-03-02T12:00:00Z"}, "user_id": "bob"}, ["bob"]),
        ({"categories": {"in": ["finance", "sport"]}}, ["app"]),
        ({"categories": {"contains": "FIN"}}, ["app"]),
        ({"categories": "health"}, ["app"]),
        ({"categories": {"ne": "health"}, "app_id": "*"}, []),
        ({"categories": "*"}, ["app"]),
        ({"metadata": {"team": "billing"}}, ["bob"]),
        ({"metadata": {"team": "billing", "n": 6}}, []),
        ({"metadata": {"team": {"ne": "billing"}}, "user_id": "bob"}, []),
        ({"metadata": {"ne": {"team": "billing"}}, "agent_id": "bot"}, ["ann bot", "bot"]),
        ({"metadata": {"contains": {"tags": "a"}}}, ["bot"]),
        ({"metadata": {"tags": {"contains": "b"}}}, ["bot"]),
        ({"metadata": {"n": {"gte": 5}}}, ["bob"]),
        ({"metadata": {"hash": "x"}}, ["bob"]),
        ({"metadata": {"vip": True}}, ["bob"]),
        ({"metadata": {"role": "user"}}, []),
        ({"metadata": {"team": "*"}}, ["bob", "bot"]),
        ({"keywords": {"icontains": "green tea"}}, ["run"]),
        ({"keywords": {"contains": "green tea"}}, []),
        ({"text": "green"}, ["run"]),
        ({"memory_ids": ["bob", "bot", "nobody"]}, ["bob", "bot"]),
        ({}, [memory.id for memory in MEMORIES]),
    ],
)
def test_what_a_filter_selects(filters: dict[str, object], names: list[str]) -> None:
    """As the Platform documents it, so that programs for it find the same here."""
    assert selected(filters) == names


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"team": "billing"}, "filters.team: top-level key must be"),
        ({"AND": [{"user_id": "u"}, {"colour": "red"}]}, r"filters.AND\[1\].colour"),
        ({"AND": []}, "non-empty"),
        ({"OR": [{}]}, "says nothing"),
        ({"NOT": "x"}, "expected an object"),
        ({"user_id": {"nin": ["u"]}}, "unknown operator 'nin'"),
        ({"user_id": {">": "u"}}, "unknown operator '>'"),
        ({"user_id": {}}, "expected an operator"),
        ({"user_id": ""}, "empty"),
        ({"created_at": {"gte": "yesterday"}}, "not a time"),
        ({"created_at": {"gte": 1e300}}, "not a time"),
        ({"expiration_date": {"lt": True}}, "not a time"),
        ({"metadata": "billing"}, "expected an object"),
        ({"metadata": {}}, "expected an object"),
        ({"metadata": {"a": {"b": 1}}}, "unknown operator 'b'"),
        ({"keywords": ["a"]}, "expected an operator"),
        ({"categories": {"contains": 5}}, "takes a string"),
        (["user_id"], "expected an object"),
    ],
)
def test_a_malformed_filter_is_refused(filters: object, message: str) -> None:
    """A condition that is silently dropped would show what it was to hide."""
    with pytest.raises(InvalidInputError, match=message):
        compile_query(filters, "p")  # type: ignore[arg-type]


def test_a_deep_filter_is_refused() -> None:
    """It comes from outside, and must not exhaust the stack."""
    filters: dict[str, object] = {"user_id": "u"}
    for _ in range(25):
        filters = {"NOT": [filters]}
    with pytest.raises(InvalidFilterError, match="nested deeper"):
        compile_query(filters, "p")


def test_what_must_hold_in_any_case_is_left_to_the_store() -> None:
    """A search among all memories of a project would be slow."""
    query = compile_query(
        {
            "user_id": "ann",
            "AND": [{"run_id": "r1"}, {"metadata": {"team": "billing"}}],
            "OR": [{"agent_id": "x"}],
            "NOT": [{"app_id": "y"}],
        },
        "p",
    )
    assert query.scope.ids == {"user_id": "ann", "run_id": "p"}
    assert query.filters == {"platform_run_id": "r1", "team": "billing"}


def test_memories_whose_last_day_is_over_are_hidden() -> None:
    """Until they are asked for; on the last day itself they are still found."""
    over = stored("over", user_id="u", expires=today() - timedelta(days=1))
    last = stored("last", user_id="u", expires=today())
    hidden, all_of_them = compile_query({}, "p"), compile_query({}, "p", show_expired=True)
    assert [hidden.accept(over), hidden.accept(last)] == [False, True]
    assert [all_of_them.accept(over), all_of_them.accept(last)] == [True, True]
    before = compile_query({"expiration_date": {"lt": today().isoformat()}}, "p", show_expired=True)
    assert [before.accept(over), before.accept(last)] == [True, False]


_IDS = st.sampled_from(["ann", "bob", "*", None])
_LEAVES = st.one_of(
    st.builds(lambda key, value: {key: value}, st.sampled_from(["user_id", "run_id"]), _IDS),
    st.builds(lambda value: {"user_id": {"ne": value}}, st.sampled_from(["ann", "zoe"])),
    st.builds(lambda value: {"metadata": {"platform_run_id": value}}, st.text(max_size=3)),
)
_FILTERS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        lambda key, parts: {key: parts},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@given(_FILTERS)
def test_no_filter_reaches_another_project(filters: dict[str, object]) -> None:
    """Whatever it says: the project is in the scope, and is checked once more."""
    query = compile_query(filters, "p", show_expired=True)
    assert query.scope.run_id == "p"
    assert not query.accept(stored("x", "q", user_id="ann", run_id="bob"))


@given(
    st.dictionaries(
        st.one_of(
            st.text(),
            st.sampled_from(["role", "hash", "categories", "platform_run_id", "user_id", "data"]),
        ),
        st.one_of(st.text(), st.integers(), st.lists(st.text())),
    )
)
def test_metadata_is_shown_as_it_was_sent(metadata: dict[str, object]) -> None:
    """Whatever the core keeps for itself under the same keys."""
    seen = ClientMemory.of(stored("x", user_id="u", run_id="r", metadata=metadata, expires=today()))
    assert seen.metadata == metadata
    assert seen.entities == EntityIds(user_id="u", run_id="r")


def test_only_a_run_is_a_scope_of_its_own() -> None:
    """Mem0 learns from what it has of a scope: one visitor's session is not another's."""
    one, other = (write_scope("p", EntityIds(run_id=run)) for run in ("r1", "r2"))
    assert one != other
    assert ClientMemory.of(stored("x", run_id="r1")).entities == EntityIds(run_id="r1")


@pytest.mark.parametrize("bad", ["", " ", "*", "x" * 256, "a\0b", "\ud83d"])
def test_an_id_that_cannot_be_kept_is_refused(bad: str) -> None:
    """It would be another's, or nobody's."""
    with pytest.raises(InvalidInputError):
        EntityIds.of({"user_id": bad})


@pytest.mark.parametrize(
    "ids", [{"user_id": "ann"}, {"agent_id": "bot"}, {"user_id": "ann", "agent_id": "bot"}]
)
def test_this_packages_own_client_asks_for_one_entity(ids: dict[str, str]) -> None:
    """It allows for a Platform that splits; a search of the whole project would answer it, too."""
    first = dict([next(iter(ids.items()))])
    asked = scope_filter(Scope(**ids))
    assert compile_query({"AND": [asked, {"metadata": {"a": 1}}]}, "p").scope == Scope(
        **first, run_id="p"
    )
    # Elsewhere it says nothing of what must hold in any case.
    for around in ({"OR": [asked, {"app_id": "shop"}]}, {"NOT": [asked]}):
        assert compile_query(around, "p").scope == Scope(run_id="p")
