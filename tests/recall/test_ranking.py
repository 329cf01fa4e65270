from __future__ import annotations

import dataclasses
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import InvalidInputError, Memory, Ranking, Scope
from mem0_integrations.recall.ranking import distinct, neighbours_among, newest_wins, with_signal

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


# The weights

WEIGHTS = ("vector", "lexical", "date", "recency", "graph", "vector_context", "lexical_context")


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, True, "0.5", None])
def test_a_weight_that_is_no_share_is_refused(name: str, value: Any) -> None:
    """Scores would leave [0, 1], or a typing error would turn a signal off."""
    with pytest.raises(InvalidInputError, match=rf"{name} must be a weight in \[0, 1\]"):
        Ranking(**{name: value})


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "30", None])
def test_a_half_life_that_is_no_time_is_refused(value: Any) -> None:
    """It is divided by."""
    with pytest.raises(InvalidInputError, match="recency_half_life must be a number of days"):
        Ranking(recency_half_life=value)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_every_weight_can_be_set_from_nothing_to_all(name: str, value: float) -> None:
    """Each of them may be turned off."""
    ranking = Ranking(**{name: value})
    assert ranking.weights[name] == value
    assert dataclasses.replace(ranking, **{name: getattr(Ranking(), name)}) == Ranking()


def test_a_weight_that_does_not_exist_is_refused() -> None:
    """A typing error must not go unnoticed; and weights are named, not counted off."""
    with pytest.raises(TypeError):
        Ranking(lexcal=0.5)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ranking().lexical = 0.5  # type: ignore[misc]


# Newest wins


def ranked(*texts: str, oldest_first: bool = True) -> list[Memory]:
    """Return memories, best first, with scores."""
    memories = found(*texts) if oldest_first else found(*texts[::-1])[::-1]
    return [
        dataclasses.replace(memory, score=0.9 - index / 10) for index, memory in enumerate(memories)
    ]


def told(memories: list[Memory]) -> list[tuple[str, float | None]]:
    return [(memory.text, memory.score) for memory in memories]


def test_what_was_said_later_about_the_same_thing_comes_first() -> None:
    """It takes the place and the score; what was said before stays, for it was true once."""
    found = ranked("I live in Oslo.", "My cat is called Tom.", "I live in Bergen.")
    scores = (0.9, 0.85, 0.8)
    memories = [
        dataclasses.replace(memory, score=score)
        for memory, score in zip(found, scores, strict=True)
    ]
    assert told(newest_wins(memories)) == [
        ("I live in Bergen.", 0.9),
        ("My cat is called Tom.", 0.85),
        ("I live in Oslo.", 0.8),
    ]


def test_what_another_user_says_is_about_somebody_else() -> None:
    """A search for several users must not put one's answer before another's."""
    one, other = ranked("I live in Oslo.", "I live in Bergen.")
    memories = [one, dataclasses.replace(other, scope=Scope(user_id="bob"))]
    scored = [dataclasses.replace(memory, score=0.9) for memory in memories]
    assert newest_wins(scored) == scored


def test_the_newest_that_comes_first_stays_there() -> None:
    """Nothing is to be done then."""
    memories = ranked("I live in Oslo.", "I live in Bergen.", oldest_first=False)
    assert newest_wins(memories) == memories


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I live in Oslo.", "My sister lives in Bergen."),
        ("I like tea.", "I like coffee."),
        ("My order is late.", "My cat is late."),
        (
            "I think that the lid of the kettle broke when it fell.",
            "I think that nobody in Oslo drives faster than my sister.",
        ),
        ("", ""),
        ("!", "?"),
    ],
)
def test_texts_about_other_things_keep_their_places(one: str, other: str) -> None:
    """Two words in common are a way of speaking."""
    memories = ranked(one, other)
    assert newest_wins(memories) == memories


def test_what_was_said_when_the_question_says_comes_before_the_newest() -> None:
    """ "Where did I live in 2021?": not where I live now."""
    memories = ranked("I live in Oslo.", "I live in Rome.", "I live in Bergen.", "I live in Turku.")
    dated = [
        dataclasses.replace(memory, signals={"date": strength})
        for memory, strength in zip(memories, [1.0, 1.0, 0.5, 0.0], strict=True)
    ]
    assert [memory.text for memory in newest_wins(dated)] == [
        "I live in Rome.",
        "I live in Oslo.",
        "I live in Bergen.",
        "I live in Turku.",
    ]


def test_a_memory_without_a_date_gives_way() -> None:
    """Nobody knows that it is the newer one."""
    undated, dated = ranked("I live in Oslo.", "I live in Bergen.")
    undated = dataclasses.replace(undated, created_at=None)
    assert told(newest_wins([undated, dated]))[0] == ("I live in Bergen.", 0.9)
    assert newest_wins([undated]) == [undated]


SCORED = MEMORIES.map(
    lambda memories: [
        dataclasses.replace(memory, score=1 - index / 20) for index, memory in enumerate(memories)
    ]
)


@given(SCORED)
def test_newest_wins_only_exchanges_places(memories: list[Memory]) -> None:
    """Nothing is lost or invented, and the scores still fall from the first to the last."""
    again = newest_wins(memories)
    assert {memory.id for memory in again} == {memory.id for memory in memories}
    assert [memory.score for memory in again] == [memory.score for memory in memories]
    by_id = {memory.id: memory for memory in memories}
    for memory in again:
        assert dataclasses.replace(memory, score=None) == dataclasses.replace(
            by_id[memory.id], score=None
        )


# One more signal


@given(SCORED, st.dictionaries(st.integers(0, 11), st.floats(0, 1)), st.floats(0, 1))
def test_a_signal_lowers_no_score(
    memories: list[Memory], strong: dict[int, float], weight: float
) -> None:
    """It is a reason for a memory; the best come first afterwards."""
    strengths = {memories[index].id: strong[index] for index in strong if index < len(memories)}
    before = {memory.id: memory.score or 0.0 for memory in memories}
    again = with_signal(memories, "graph", strengths, weight)
    assert sorted(memory.id for memory in again) == sorted(before)
    scores = [memory.score or 0.0 for memory in again]
    assert scores == sorted(scores, reverse=True)
    for memory in again:
        strength = strengths.get(memory.id, 0.0)
        assert before[memory.id] <= (memory.score or 0.0) <= 1
        assert (memory.score or 0.0) >= weight * strength
        assert memory.signals == ({"graph": strength} if strength else None)


def test_memories_that_are_as_good_keep_their_order() -> None:
    """What ranked before still decides between them."""
    memories = [dataclasses.replace(memory, score=0.5) for memory in found("one", "two", "three")]
    assert with_signal(memories, "graph", {"1": 0.0}, 1.0) == memories
    first, *rest = with_signal(memories, "graph", {"1": 0.5}, 1.0)
    assert (first.text, first.score) == ("two", 0.75)
    assert [memory.text for memory in rest] == ["one", "three"]


# Neighbours


def conversation(*minutes: float | None, thread: str | None = "t") -> list[Memory]:
    metadata = {} if thread is None else {"thread_id": thread}
    return [
        Memory(
            id=str(index),
            text=f"Turn {index}.",
            scope=SCOPE,
            created_at=None if minute is None else NOON + timedelta(minutes=minute),
            metadata=metadata,
        )
        for index, minute in enumerate(minutes)
    ]


def around(index: int, said: list[Memory], count: int) -> list[str]:
    shuffled = random.Random(index).sample(said, len(said))
    return [memory.id for memory in neighbours_among(said[index], shuffled, count)]


@pytest.mark.parametrize(
    ("index", "count", "expected"),
    [
        (2, 1, ["1", "3"]),
        (2, 2, ["0", "1", "3", "4"]),
        (2, 9, ["0", "1", "3", "4"]),
        (0, 2, ["1", "2"]),
        (4, 2, ["2", "3"]),
        (2, 0, []),
    ],
)
def test_neighbours_are_what_was_said_around_a_memory(
    index: int, count: int, expected: list[str]
) -> None:
    """The oldest first, as in the conversation, without the memory itself."""
    assert around(index, conversation(0, 1, 2, 3, 4), count) == expected


def test_a_thread_goes_on_the_next_day() -> None:
    """That is what it is for."""
    assert around(1, conversation(0, 24 * 60, 24 * 61), 1) == ["0", "2"]


def test_without_a_thread_an_hour_of_silence_ends_a_conversation() -> None:
    """Else a remark of last year would be shown as what somebody answered to."""
    said = conversation(0, 61, 121, 182, 183, thread=None)
    assert around(1, said, 2) == ["2"]
    assert around(2, said, 2) == ["1"]
    assert around(3, said, 2) == ["4"]
    assert around(0, said, 2) == []


def test_without_a_thread_and_a_time_nothing_is_a_neighbour() -> None:
    """Nobody knows what came first."""
    said = conversation(None, None, 5, thread=None)
    assert [around(index, said, 2) for index in range(3)] == [[], [], []]


def test_a_memory_that_is_not_in_the_conversation_has_no_neighbours() -> None:
    """It was deleted between the search and the look around."""
    one, two = conversation(0, 1)
    assert neighbours_among(one, [two], 3) == ()


@given(
    st.lists(st.none() | st.integers(0, 300), max_size=8),
    st.sampled_from(["t", None]),
    st.integers(0, 5),
)
def test_neighbourhood_is_mutual(
    minutes: list[float | None], thread: str | None, count: int
) -> None:
    """If you are near to me, I am near to you; and at most so many on each side."""
    said = conversation(*minutes, thread=thread)
    near = {memory.id: set(around(int(memory.id), said, count)) for memory in said}
    for one, others in near.items():
        assert len(others) <= 2 * count
        assert one not in others
        assert all(one in near[other] for other in others)


def test_what_answers_much_worse_takes_no_place() -> None:
    """ "What is my dog called?": a later sentence that begins alike is about a sister."""
    dog, sister = found("I have a dog named Rex.", "I have a sister in Paris.")
    memories = [dataclasses.replace(dog, score=0.7), dataclasses.replace(sister, score=0.2)]
    assert newest_wins(memories) == memories
