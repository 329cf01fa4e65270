from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import Memory, Scope
from mem0_integrations.ranking import distinct

SCOPE = Scope(user_id="u")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MEMORIES = st.lists(
    st.builds(
        Memory,
        id=st.uuids().map(str),
        text=st.lists(st.sampled_from(["I", "like", "not", "tea", "7", "8"])).map(" ".join),
        scope=st.just(SCOPE),
        created_at=st.none() | st.integers(0, 9).map(lambda days: NOON + timedelta(days)),
    ),
    max_size=12,
)
LONG = "My order from the shop in Oslo arrived on Monday with a broken lid and no invoice"


def all_distinct(memories: list[Memory]) -> list[Memory]:
    return distinct(memories, len(memories) + 1)


def found(*texts: str) -> list[Memory]:
    return [
        Memory(id=str(index), text=text, scope=SCOPE, created_at=NOON + timedelta(days=index))
        for index, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("I like tea.", "I like tea"),
        ("I like tea.", "i LIKE tea!"),
        ("I like tea.", "Tea I like."),
        ("Straße 5", "strasse 5"),
        (LONG, LONG.replace("broken", "cracked and broken")),
        ("我喜欢茶。", "我喜欢茶"),
    ],
)
def test_texts_that_say_the_same_are_shown_once(left: str, right: str) -> None:
    """Repetitions push other memories off the page."""
    assert [memory.text for memory in all_distinct(found(left, right))] == [right]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("I like tea.", "I like coffee."),
        ("My order is 48213.", "My order is 48214."),
        (LONG, LONG.replace("a broken", "not a broken")),
        (LONG, LONG.replace("arrived", "arrived without")),
        (f"{LONG}, it is what I wanted", f"{LONG}, it isn't what I wanted"),
        (f"{LONG}, room 7", f"{LONG}, room 8"),
        ("", "I like tea."),
        ("!", "?"),
    ],
)
def test_texts_that_differ_in_what_matters_both_stay(left: str, right: str) -> None:
    """One word, one number or one "not" may be the whole difference."""
    assert all_distinct(found(left, right)) == found(left, right)


def test_the_newest_takes_the_best_place() -> None:
    """The rank is that of the statement; the memory is the one that was said last."""
    older, other, newer = found("I like tea.", "I live in Oslo.", "I like tea")
    assert all_distinct([older, other, newer]) == [newer, other]
    assert all_distinct([newer, other, older]) == [newer, other]


def test_a_memory_without_a_date_is_the_oldest() -> None:
    """Memories of other programs may lack one."""
    dated = found("I like tea.")[0]
    undated = Memory(id="x", text="I like tea.", scope=SCOPE)
    assert all_distinct([undated, dated]) == [dated]
    assert all_distinct([undated, undated]) == [undated]


@given(MEMORIES)
def test_nothing_is_invented_and_every_statement_stays(memories: list[Memory]) -> None:
    """Thinning may only drop what is said by another memory that stays."""
    kept = all_distinct(memories)
    ids = [memory.id for memory in kept]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {memory.id for memory in memories}
    said = {frozenset(memory.text.casefold().split()) for memory in memories}
    assert {frozenset(memory.text.casefold().split()) for memory in kept} == said
    assert all_distinct(kept) == kept


def test_no_more_is_taken_than_needed() -> None:
    """A further page of a search costs time."""
    memories = iter(found("one", "One!", "two", "three", "four"))
    assert [memory.text for memory in distinct(memories, 3)] == ["One!", "two", "three"]
    assert [memory.text for memory in memories] == ["four"]
