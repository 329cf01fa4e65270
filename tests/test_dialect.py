from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import Memory, Scope
from mem0_integrations.dialect import memory_of, scope_filters
from mem0_integrations.filters import record_of
from mem0_integrations.scope import SCOPE_KEYS
from mem0_integrations.values import KEY_FIELD, RESERVED_METADATA, parse_time

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)

ids = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("*% \t\n\u00a0\x00ab&=:'", min_size=1, max_size=8),
    st.text("%20*ab ", max_size=8).map("mem0-integrations:".__add__),
).filter(str.strip)
scopes = st.builds(
    Scope, user_id=ids, agent_id=st.none() | ids, run_id=st.none() | ids, app_id=st.none() | ids
)


def item_of(scope: Scope) -> dict[str, object]:
    """Return what Mem0 returns of a memory of a scope: it keeps an app_id in the metadata."""
    written: dict[str, object] = dict(scope_filters(scope))
    metadata = {"app_id": written.pop("app_id", None)}
    return {"id": "m1", "memory": "I like tea.", "metadata": metadata, **written}


@given(scopes)
def test_a_scope_is_read_as_it_was_written(scope: Scope) -> None:
    """Whoever wrote a memory must be the one who owns it when it is read."""
    assert memory_of(item_of(scope)).scope == scope


@given(scopes)
def test_every_id_is_one_that_mem0_takes_literally(scope: Scope) -> None:
    """Mem0 refuses white space inside an id, and its stores take a star for anything."""
    for written in scope_filters(scope).values():
        assert written != "*"
        assert not any(map(str.isspace, written))
        assert written.isprintable()


@given(ids, ids)
def test_two_ids_are_never_written_alike(left: str, right: str) -> None:
    """Otherwise one user would read the memories of the other."""
    one, other = Scope(user_id=left), Scope(user_id=right)
    assert (scope_filters(one) == scope_filters(other)) is (one == other)


@pytest.mark.parametrize(
    "plain",
    [
        "customer-1",
        "ann@example.com",
        "5",
        "a%20b",
        "a&b=c",
        "Zoë",
        "漢字",
        "a*",
        "';--",
        "x" * 255,
    ],
)
def test_a_usual_id_is_written_as_it_is(plain: str) -> None:
    """Memories that were written without this package have to be found."""
    assert scope_filters(Scope(user_id=plain)) == {"user_id": plain}


def test_ids_that_mem0_would_not_take_are_escaped() -> None:
    """The form is stored: changing it would make the memories of these users unreachable."""
    scope = Scope(user_id="Jane Doe", agent_id="*", run_id="mem0-integrations:x", app_id="a\nb")
    assert scope_filters(scope) == {
        "user_id": "mem0-integrations:Jane%20Doe",
        "agent_id": "mem0-integrations:%2A",
        "run_id": "mem0-integrations:mem0-integrations%3Ax",
        "app_id": "mem0-integrations:a%0Ab",
    }


def test_a_result_of_mem0_becomes_a_memory() -> None:
    """Mem0 spreads what it knows over the item and its metadata."""
    item = {
        "id": 7,
        "memory": "I like tea.",
        "hash": "x",
        "score": 0.75,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T14:00:00+01:00",
        "user_id": "ann",
        "run_id": "r",
        "actor_id": "bot",
        "role": "assistant",
        "metadata": {"a": 1, KEY_FIELD: "k", "app_id": "app", "categories": ["food"]},
    }
    assert memory_of(item) == Memory(
        id="7",
        text="I like tea.",
        scope=Scope(user_id="ann", run_id="r", app_id="app"),
        score=0.75,
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(hours=1),
        metadata={"a": 1, "actor_id": "bot", "role": "assistant"},
        categories=("food",),
    )
    assert item["metadata"] == {"a": 1, KEY_FIELD: "k", "app_id": "app", "categories": ["food"]}


@pytest.mark.parametrize(
    ("score", "read"), [(None, None), (-0.1, 0.0), (1.3, 1.0), (1, 1.0), ("high", None)]
)
def test_a_score_lies_between_0_and_1(score: object, read: float | None) -> None:
    """Mem0 adds boosts to a score, and a cosine may be a little more than 1."""
    assert memory_of({"id": "m", "user_id": "u", "score": score}).score == read


def test_what_mem0_left_out_is_no_error() -> None:
    """Memories of other programs have no more than a text and an id."""
    bare = memory_of({"id": "m", "memory": None, "user_id": " u ", "metadata": None})
    assert bare == Memory(id="m", text="", scope=Scope(user_id="u"))
    long = memory_of({"id": "m", "memory": "x", "user_id": "u" * 300})
    assert long.scope == Scope(user_id="u" * 255)


def test_a_filter_can_ask_about_everything_that_is_shown() -> None:
    """What is displayed is what people want to filter by."""
    memory = Memory(
        id="m1",
        text="I like tea.",
        scope=Scope(user_id="u"),
        created_at=MOMENT,
        metadata={"team": "billing", "text": "hidden"},
        categories=("food",),
    )
    assert record_of(memory) == {
        "team": "billing",
        "text": "I like tea.",
        "categories": ["food"],
        "created_at": MOMENT,
        "updated_at": None,
    }


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-03-01T12:00:00", MOMENT),
        ("2026-03-01T12:00:00Z", MOMENT),
        ("2026-03-01T04:00:00-08:00", MOMENT),
        ("2026-03-01 12:00:00.000000+00:00", MOMENT),
        (MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(), MOMENT),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1772366400, None),
    ],
)
def test_a_time_is_read_as_utc(value: object, time: datetime | None) -> None:
    """Times of different stores and programs are compared with each other."""
    assert parse_time(value) == time


def test_nothing_that_decides_whose_or_what_a_memory_is_may_be_in_metadata() -> None:
    """Metadata lies in the same payload as these, and would overwrite them."""
    assert {*SCOPE_KEYS, KEY_FIELD, "data", "hash", "created_at"} <= RESERVED_METADATA
