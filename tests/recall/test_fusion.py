from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mem0_integrations import Ranking
from mem0_integrations.recall.fusion import (
    PLACE,
    Neighbours,
    Query,
    Scores,
    date_scores,
    fused,
    in_context,
    lexical_scores,
    neighbours_of,
    recency_scores,
    seconds,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHARES = st.floats(0, 1)
TIMES = st.just(math.nan) | st.integers(0, 30_000).map(float)


def shares(count: int) -> st.SearchStrategy[Scores]:
    return arrays(np.float64, count, elements=SHARES)


def places(*stand: tuple[int, bool, float, int]) -> np.ndarray:
    return np.array(list(stand), dtype=PLACE)


def said(*days: float) -> np.ndarray:
    return seconds([NOON + DAY * day for day in days])


def alone(count: int) -> Neighbours:
    return Neighbours(np.full(count, -1), np.full(count, -1))


def in_a_row(count: int) -> Neighbours:
    """All in one conversation, in their order."""
    order = np.arange(count)
    after = order + 1
    after[count - 1 :] = -1
    return Neighbours(order - 1, after)


@st.composite
def standing(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    """Memories in two conversations, which are threads or not."""
    named = draw(st.lists(st.booleans(), min_size=2, max_size=2))
    threads = draw(st.lists(st.integers(0, 1), max_size=most))
    return places(
        *((thread, named[thread], draw(TIMES), draw(st.integers(0, 40))) for thread in threads)
    )


# Neighbours


def test_neighbours_are_the_ones_before_and_after_in_time() -> None:
    """An import need not be in order."""
    found = neighbours_of(places((1, True, 20, 3), (1, True, 0, 3), (1, True, 10, 3)))
    assert found.before.tolist() == [2, -1, 1]
    assert found.after.tolist() == [-1, 2, 0]


def test_those_said_at_the_same_time_stay_in_the_order_of_their_storage() -> None:
    """Many imports know no more than the day."""
    found = neighbours_of(places(*[(1, True, 5, 3)] * 4))
    assert found.after.tolist() == [1, 2, 3, -1]


def test_another_conversation_is_no_neighbour() -> None:
    """Two chats at the same time have nothing to do with each other."""
    found = neighbours_of(places((1, True, 0, 3), (2, True, 1, 3), (1, True, 2, 3)))
    assert found.after.tolist() == [2, -1, -1]
    assert found.before.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(
    ("named", "later", "together"),
    [(False, 3600, True), (False, 3601, False), (True, 3601, True), (True, 10**9, True)],
)
def test_without_a_thread_an_hour_of_silence_ends_a_conversation(
    named: bool, later: float, together: bool
) -> None:
    """A thread goes on the next day; without one, nothing else tells where it ends."""
    found = neighbours_of(places((1, named, 0, 3), (1, named, later, 3)))
    assert found.after.tolist() == ([1, -1] if together else [-1, -1])


def test_without_a_thread_and_a_time_there_are_no_neighbours() -> None:
    """Memories of other programs may have neither."""
    found = neighbours_of(places(*[(1, False, math.nan, 3)] * 3))
    assert found.after.tolist() == found.before.tolist() == [-1, -1, -1]


@given(standing())
def test_neighbourhood_is_mutual_and_within_a_conversation(stand: np.ndarray) -> None:
    """Each is the one after of the one before it."""
    found = neighbours_of(stand)
    for index, (before, after) in enumerate(zip(found.before, found.after, strict=True)):
        for other, back in ((before, found.after), (after, found.before)):
            if other != -1:
                assert back[other] == index
                assert stand["thread"][other] == stand["thread"][index]
        if before != -1 and not stand["named"][index]:
            assert 0 <= stand["said_at"][index] - stand["said_at"][before] <= 3600


def test_nothing_has_no_neighbours() -> None:
    """A new user's first question."""
    found = neighbours_of(places())
    assert len(found.before) == len(found.after) == 0


# Context


def test_a_neighbour_lends_of_its_score() -> None:
    """The answer to a question that is near is near, too."""
    scores = in_context(np.array([0.8, 0.2, 0.0]), in_a_row(3), np.full(3, 0.5))
    assert scores == pytest.approx([0.9 / 1.5, 0.6 / 2, 0.1 / 1.5])


def test_without_a_weight_or_a_neighbour_a_score_is_its_own() -> None:
    """Context is a setting."""
    scores = np.array([0.8, 0.2, 0.0])
    assert in_context(scores, in_a_row(3), np.zeros(3)).tolist() == scores.tolist()
    assert in_context(scores, alone(3), np.ones(3)).tolist() == scores.tolist()


@given(st.data())
def test_a_score_in_context_lies_between_its_own_and_its_neighbours(data: st.DataObject) -> None:
    """It is an average: nothing is louder than what was said."""
    stand = data.draw(standing())
    count = len(stand)
    scores, weights = data.draw(shares(count)), data.draw(shares(count))
    neighbours = neighbours_of(stand)
    for index, score in enumerate(in_context(scores, neighbours, weights)):
        near = [index, neighbours.before[index], neighbours.after[index]]
        those = [scores[other] for other in near if other != -1]
        assert min(those) - 1e-9 <= score <= max(those) + 1e-9


# Words


def lexical(hits: list[list[int]], words: list[float], **options: Any) -> Scores:
    count = len(words)
    return lexical_scores(
        [np.array(rows, dtype=np.int64) for rows in hits],
        np.array(words),
        options.get("neighbours", alone(count)),
        np.full(count, options.get("weight", 0.0)),
    )


def test_a_memory_with_all_words_is_the_best_and_one_with_none_is_nothing() -> None:
    """The score says how much of the question is there."""
    both, one, none = lexical([[0, 1], [0]], [5, 5, 5])
    assert both == pytest.approx(1)
    assert 0 < one < both
    assert none == 0


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    """Everyone talks of the weather, one of the kettle."""
    frequent, rare = lexical([[0, 2, 3], [1]], [5] * 5)[:2]
    assert 0 < frequent < rare


def test_a_word_that_no_memory_has_counts_as_missing() -> None:
    """What was asked was not said: the score must not look as if it had been."""
    assert lexical([[0], []], [5, 5])[0] < lexical([[0]], [5, 5])[0]


def test_a_short_memory_with_a_word_says_more_about_it_than_a_long_one() -> None:
    """As in BM25."""
    short, long, _ = lexical([[0, 1]], [4, 60, 30])
    assert 0 < long < short


def test_the_words_of_a_neighbour_count_less_than_ones_own() -> None:
    """ "Yes, I did." has none of the question's words; what it answers has."""
    own, answer, other = lexical([[0], [0]], [5, 5, 5], neighbours=in_a_row(3), weight=0.5)
    assert own > answer > other == 0


def test_no_words_and_no_memories_are_nothing() -> None:
    """Neither may divide by zero."""
    assert lexical([], [5, 5]).tolist() == [0, 0]
    assert lexical([[], []], []).tolist() == []
    assert lexical([[0]], [0]).tolist() == [1]


@st.composite
def lexical_cases(draw: st.DrawFn) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    stand = draw(standing())
    count = len(stand)
    rows = st.lists(st.integers(0, count - 1), unique=True).map(sorted) if count else st.just([])
    return draw(st.lists(rows, max_size=4)), stand, draw(shares(count))


def of_case(hits: list[list[int]], stand: np.ndarray, weights: np.ndarray) -> Scores:
    rows = [np.array(each, dtype=np.int64) for each in hits]
    return lexical_scores(rows, stand["words"], neighbours_of(stand), weights)


@given(lexical_cases())
def test_lexical_scores_are_shares(case: tuple[list[list[int]], np.ndarray, np.ndarray]) -> None:
    """They are fused with others in [0, 1]."""
    scores = of_case(*case)
    assert len(scores) == len(case[1])
    assert np.all((scores >= 0) & (scores <= 1))


@given(lexical_cases(), st.data())
def test_one_word_more_never_makes_a_memory_worse_than_the_others(
    case: tuple[list[list[int]], np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    """Of two memories alike, the one that has more of the words comes first."""
    hits, stand, _ = case
    if len(stand) < 2 or not hits:
        return
    stand["words"] = 7
    one, other = data.draw(st.permutations(range(len(stand))))[:2]
    hits = [sorted({*rows, one}) if other in rows else rows for rows in hits]
    scores = of_case(hits, stand, np.zeros(len(stand)))
    assert scores[one] >= scores[other]


# Times


def test_what_was_said_when_the_question_says_counts_fully() -> None:
    """From the start of the span up to its end."""
    spans = [(NOON, NOON + DAY)]
    assert date_scores(said(-0.01, 0, 0.5, 1), spans).tolist() == [0, 1, 1, 1]


def test_what_was_said_in_the_week_after_it_fades() -> None:
    """People tell on Monday what they did at the weekend; nobody tells it before."""
    scores = date_scores(said(1, 2, 4.5, 8, 9, -1), [(NOON, NOON + DAY)])
    assert scores == pytest.approx([1, 6 / 7, 0.5, 0, 0, 0])


def test_the_best_of_several_spans_counts() -> None:
    """ "In May or in July?" """
    spans = [(NOON, NOON + DAY), (NOON + 5 * DAY, NOON + 6 * DAY)]
    assert date_scores(said(0.5, 5.5, 2), spans) == pytest.approx([1, 1, 6 / 7])


def test_a_span_without_a_beginning_reaches_back_for_ever() -> None:
    """ "Before 2020"."""
    spans = [(datetime.min.replace(tzinfo=UTC), NOON)]
    assert date_scores(said(-700_000, 0, 7), spans).tolist() == [1, 1, 0]


def test_an_unknown_time_is_in_no_span_and_not_recent() -> None:
    """Nothing is claimed of what is not known."""
    unknown = seconds([None])
    assert date_scores(unknown, [(NOON, NOON + DAY)]).tolist() == [0]
    assert recency_scores(unknown, NOON, 30).tolist() == [0]


def test_recency_halves_with_each_half_life() -> None:
    """It is a setting in days."""
    scores = recency_scores(said(0, -30, -60, -30_000), NOON, 30)
    assert scores == pytest.approx([1, 0.5, 0.25, 0])


def test_what_is_to_come_is_as_recent_as_can_be() -> None:
    """The clock of another machine may be ahead."""
    assert recency_scores(said(3), NOON, 30).tolist() == [1]


@given(st.lists(TIMES, max_size=10), st.floats(0.01, 1000), st.integers(0, 9), st.integers(0, 9))
def test_times_give_shares(times: list[float], half_life: float, start: int, length: int) -> None:
    """Also those of unknown times."""
    span = (
        datetime.fromtimestamp(start * 1000, UTC),
        datetime.fromtimestamp((start + length) * 1000, UTC),
    )
    for scores in (
        date_scores(np.array(times), [span]),
        recency_scores(np.array(times), datetime.fromtimestamp(9000, UTC), half_life),
    ):
        assert len(scores) == len(times)
        assert np.all((scores >= 0) & (scores <= 1))


@given(st.lists(st.integers(0, 30_000).map(float), min_size=2, max_size=10))
def test_the_newer_is_never_less_recent(times: list[float]) -> None:
    """Whatever else speaks for either."""
    scores = recency_scores(np.array(sorted(times)), datetime.fromtimestamp(20_000, UTC), 0.1)
    assert np.all(np.diff(scores) >= 0)


def test_times_are_read_in_any_zone() -> None:
    """Memories carry aware times."""
    assert seconds([datetime.fromtimestamp(7, UTC), None])[0] == 7
    assert len(seconds([])) == 0


# Fusion

NAMES = ("vector", "lexical", "date", "recency", "graph")


@st.composite
def signals(draw: st.DrawFn) -> dict[str, Scores]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    count = draw(st.integers(0, 6))
    return {name: draw(shares(count)) for name in names}


WEIGHTS = st.fixed_dictionaries(dict.fromkeys(NAMES, SHARES))


@given(signals(), WEIGHTS)
def test_a_fused_score_is_a_share_that_no_signal_lowers(
    found: dict[str, Scores], weights: dict[str, float]
) -> None:
    """Each signal may be the reason why a memory answers; none is a reason against it."""
    scores = fused(found, weights)
    assert np.all((scores >= 0) & (scores <= 1))
    for name, strength in found.items():
        assert np.all(scores >= weights[name] * strength - 1e-12)


@given(signals(), WEIGHTS, st.data())
def test_a_fused_score_rises_with_each_signal_and_each_weight(
    found: dict[str, Scores], weights: dict[str, float], data: st.DataObject
) -> None:
    """A setting does what its name says."""
    scores = fused(found, weights)
    name = data.draw(st.sampled_from(sorted(found)))
    more = found[name] + (1 - found[name]) * data.draw(SHARES)
    assert np.all(fused({**found, name: more}, weights) >= scores)
    weight = weights[name] + (1 - weights[name]) * data.draw(SHARES)
    assert np.all(fused(found, {**weights, name: min(weight, 1.0)}) >= scores)


def test_a_signal_that_counts_nothing_changes_nothing() -> None:
    """A weight of 0 turns it off."""
    vector, lexical = np.array([0.3, 0.9]), np.array([1.0, 0.0])
    weights = {"vector": 1.0, "lexical": 0.0}
    both = fused({"vector": vector, "lexical": lexical}, weights)
    assert both.tolist() == fused({"vector": vector}, weights).tolist()
    assert both == pytest.approx(vector)


# A question

STAND = places((1, True, 0, 5), (1, True, 9, 5), (2, True, 20, 5))


def query(**changes: Any) -> Query:
    given: dict[str, Any] = {"words": ["tea"], "spans": [], "now": NOON, "ranking": Ranking()}
    return Query(**{**given, **changes})


def asked(question: Query, similarities: list[float], hits: list[list[int]]) -> dict[str, Scores]:
    return question.signals(
        np.array(similarities),
        [np.array(rows, dtype=np.int64) for rows in hits],
        STAND,
        neighbours_of(STAND),
    )


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"vector", "lexical"}),
        ({"words": []}, {"vector"}),
        ({"spans": [(NOON, NOON + DAY)]}, {"vector", "lexical", "date"}),
        ({"spans": [(NOON, NOON + DAY)], "ranking": Ranking(date=0)}, {"vector", "lexical"}),
        ({"ranking": Ranking(recency=0.1)}, {"vector", "lexical", "recency"}),
    ],
)
def test_only_what_a_question_asks_for_is_a_signal(
    changes: dict[str, Any], names: set[str]
) -> None:
    """Signals bear the names of their weights."""
    question = query(**changes)
    found = asked(question, [0.5, 0.5, 0.5], [[0]] * len(question.words))
    assert set(found) == names
    assert names <= set(question.ranking.weights)
    assert all(len(scores) == 3 for scores in found.values())


def test_a_neighbour_counts_as_far_as_the_memory_itself_is_near() -> None:
    """Whoever sits beside the answer is not an answer: noise must stay noise."""
    for far in (0.0, 0.15):
        found = asked(query(), [0.9, far, 0.0], [[0]])
        assert found["vector"][1] == far
        assert found["lexical"][1] == 0
    half, near, nearer = (asked(query(), [0.9, own, 0.0], [[0]]) for own in (0.2, 0.3, 0.8))
    assert 0 < half["lexical"][1] < near["lexical"][1] == nearer["lexical"][1]
    assert 0 < half["vector"][1] - 0.2 < near["vector"][1] - 0.3


def test_nothing_is_lent_over_the_border_of_a_conversation() -> None:
    """The third memory is in a thread of its own."""
    found = asked(query(), [0.9, 0.3, 0.3], [[1]])
    assert found["vector"][2] == pytest.approx(0.3)
    assert found["lexical"][2] == 0


def test_context_can_be_turned_off() -> None:
    """Each memory then stands for itself."""
    found = asked(
        query(ranking=Ranking(vector_context=0, lexical_context=0)), [0.9, 0.3, 0.3], [[0]]
    )
    assert found["vector"] == pytest.approx([0.9, 0.3, 0.3])
    assert found["lexical"][1] == 0


@given(st.data())
def test_all_signals_of_a_question_are_shares(data: st.DataObject) -> None:
    """With any weights, times, similarities and words, and without a memory."""
    stand = data.draw(standing())
    count = len(stand)
    contexts = {name: data.draw(SHARES) for name in ("vector_context", "lexical_context")}
    ranking = dataclasses.replace(Ranking(recency=data.draw(SHARES)), **contexts)
    hits = (
        data.draw(st.lists(st.lists(st.integers(0, count - 1), unique=True), max_size=3))
        if (count)
        else [[]]
    )
    question = query(words=["x"] * len(hits), spans=[(NOON, NOON + DAY)], ranking=ranking)
    found = question.signals(
        data.draw(shares(count)),
        [np.array(sorted(rows), dtype=np.int64) for rows in hits],
        stand,
        neighbours_of(stand),
    )
    for scores in (*found.values(), fused(found, ranking.weights)):
        assert len(scores) == count
        assert np.all((scores >= 0) & (scores <= 1 + 1e-9))
