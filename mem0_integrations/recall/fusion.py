"""How well memories answer a question: several signals, each in [0, 1], made one score. Pure.

Arrays have one element for each memory, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from mem0_integrations.recall.ranking import CONVERSATION, Ranking
from mem0_integrations.recall.words import words_to_find

if TYPE_CHECKING:
    from mem0_integrations.requests import SearchRequest

__all__ = [
    "PLACE",
    "Neighbours",
    "Places",
    "Query",
    "Scores",
    "date_scores",
    "fused",
    "in_context",
    "lexical_scores",
    "neighbours_of",
    "recency_scores",
    "seconds",
    "time_signals",
]

Scores: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.void]

PLACE: Final = np.dtype(
    [("thread", np.int64), ("named", np.bool_), ("said_at", np.float64), ("words", np.float32)]
)
"""Where a memory stands: its conversation, whether that is a thread, the seconds since the epoch,
its number of words."""

_DAY_SECONDS: Final = 86_400.0
# Cosine similarities: up to the first a text is not about what is asked, from the second on it is.
_FAR: Final = 0.15
_NEAR: Final = 0.3
# An answer is often given some days after what it is about.
_DAYS_AFTER: Final = 7.0
# The usual constants of BM25 (Robertson and Zaragoza 2009).
_K1: Final = 1.2
_B: Final = 0.75


@dataclass(frozen=True)
class Neighbours:
    """For each memory, where the ones before and after it in its conversation are; -1 for none."""

    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]

    def sum_of(self, values: Scores) -> Scores:
        """Return what the neighbours of each memory have together."""
        # -1 is the last one.
        padded = np.append(values, 0.0)
        both: Scores = padded[self.before] + padded[self.after]
        return both


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, prepared for a store that ranks.

    Attributes:
        words: The words to find.
        spans: The spans of time that it names.
        now: The time that recency is measured from (aware).
        ranking: What each signal counts.
    """

    words: Sequence[str]
    spans: Sequence[tuple[datetime, datetime]]
    now: datetime
    ranking: Ranking

    @classmethod
    def of(cls, request: SearchRequest) -> Self:
        """Prepare what a recall asks."""
        return cls(
            words=words_to_find(request.query) if request.ranking.lexical else (),
            spans=request.spans,
            now=request.now,
            ranking=request.ranking,
        )

    def signals(
        self,
        similarities: Scores,
        hits: Sequence[npt.NDArray[np.int64]],
        places: Places,
        neighbours: Neighbours,
    ) -> dict[str, Scores]:
        """Return what speaks for each memory, by the names of the weights.

        Args:
            similarities: Cosine similarities to the question, in [0, 1].
            hits: For each of the words, the indices of the memories that have it.
            places: Where the memories stand.
            neighbours: Their neighbours.
        """
        ranking = self.ranking
        # Neighbours confirm what is near to the question itself; they do not make it so.
        open_to = np.clip((similarities - _FAR) / (_NEAR - _FAR), 0.0, 1.0)
        found = {"vector": in_context(similarities, neighbours, ranking.vector_context * open_to)}
        if self.words:
            found["lexical"] = lexical_scores(
                hits, places["words"], neighbours, ranking.lexical_context * open_to
            )
        return found | time_signals(places["said_at"], self.spans, self.now, ranking)


def neighbours_of(places: Places) -> Neighbours:
    """Find the neighbours of memories, which are in the order in which they were stored.

    Example:
        >>> said = [(1, True, 0.0, 3), (2, True, 0.0, 3), (1, True, 9.0, 3)]
        >>> places = np.array(said, dtype=PLACE)
        >>> neighbours_of(places).after
        array([ 2, -1, -1])
    """
    order = np.lexsort((places["said_at"], places["thread"]))
    sorted_places = places[order]
    goes_on = np.diff(sorted_places["said_at"]) <= CONVERSATION.total_seconds()
    together = (np.diff(sorted_places["thread"]) == 0) & (sorted_places["named"][1:] | goes_on)
    before = np.full(len(places), -1)
    after = np.full(len(places), -1)
    before[order[1:][together]] = order[:-1][together]
    after[order[:-1][together]] = order[1:][together]
    return Neighbours(before, after)


def in_context(scores: Scores, neighbours: Neighbours, weights: Scores) -> Scores:
    """Average the score of each memory with those of its neighbours.

    Args:
        scores: The scores.
        neighbours: Their neighbours.
        weights: What a neighbour counts for each memory, beside 1 for itself.
    """
    counts = neighbours.sum_of(np.ones(len(scores)))
    averages: Scores = (scores + weights * neighbours.sum_of(scores)) / (1 + weights * counts)
    return averages


def lexical_scores(
    hits: Sequence[npt.NDArray[np.int64]],
    words: npt.NDArray[np.floating],
    neighbours: Neighbours,
    weights: Scores,
) -> Scores:
    """Tell how much of a question's words memories have: BM25, as a share of what is possible.

    A word counts the more, the fewer memories have it; one that none has counts as missing. A
    word that a memory has twice counts once, for memories are short.

    Args:
        hits: For each word of the question, the indices of the memories that have it.
        words: How many words the memories have.
        neighbours: Their neighbours.
        weights: What a word counts that a neighbour has for each memory, beside 1 for its own.
    """
    total = len(words)
    lengths = words + weights * neighbours.sum_of(words.astype(np.float64))
    discount = _K1 * (1 - _B + _B * lengths / max(float(lengths.mean()), 1.0)) if total else lengths
    scores, possible = np.zeros(total), 0.0
    for rows in hits:
        rarity = math.log(1 + (total - len(rows) + 0.5) / (len(rows) + 0.5))
        possible += rarity
        frequency = np.zeros(total)
        frequency[rows] = 1.0
        frequency += weights * neighbours.sum_of(frequency)
        scores += rarity * frequency * (_K1 + 1) / (frequency + discount)
    shares: Scores = np.minimum(scores / possible, 1.0) if possible else scores
    return shares


def seconds(times: Iterable[datetime | None]) -> npt.NDArray[np.float64]:
    """Return times in seconds since the epoch; NaN for None."""
    return np.array([math.nan if time is None else time.timestamp() for time in times])


def date_scores(
    said_at: npt.NDArray[np.float64], spans: Sequence[tuple[datetime, datetime]]
) -> Scores:
    """Tell which memories were said within spans of time, or, fading, up to a week later.

    Args:
        said_at: When they were said, in seconds since the epoch; NaN where unknown.
        spans: From their start up to their end.
    """
    scores = np.zeros(len(said_at))
    for start, end in spans:
        days_late = (said_at - end.timestamp()) / _DAY_SECONDS
        near = np.clip(1 - days_late / _DAYS_AFTER, 0, 1)
        scores = np.maximum(scores, np.where(said_at >= start.timestamp(), near, 0.0))
    return scores


def recency_scores(said_at: npt.NDArray[np.float64], now: datetime, half_life: float) -> Scores:
    """Tell how recent memories are: 1 now, 0.5 after the half-life.

    Args:
        said_at: When they were said, in seconds since the epoch; NaN where unknown.
        now: The time to compare to.
        half_life: In days.
    """
    days = np.maximum((now.timestamp() - said_at) / _DAY_SECONDS, 0.0)
    return np.nan_to_num(np.exp2(-days / half_life))


def time_signals(
    said_at: npt.NDArray[np.float64],
    spans: Sequence[tuple[datetime, datetime]],
    now: datetime,
    ranking: Ranking,
) -> dict[str, Scores]:
    """Return what times speak for memories, by the names of the weights, where these count.

    Args:
        said_at: When they were said, in seconds since the epoch; NaN where unknown.
        spans: The spans of time that the question names.
        now: The time that recency is measured from.
        ranking: What each signal counts.
    """
    found: dict[str, Scores] = {}
    if spans and ranking.date:
        found["date"] = date_scores(said_at, spans)
    if ranking.recency:
        found["recency"] = recency_scores(said_at, now, ranking.recency_half_life)
    return found


def fused(signals: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """Make one score of several signals: each may be the reason why a memory answers.

    1 - (1 - w1 s1)(1 - w2 s2)..., the "noisy or" (Pearl 1988): one strong signal is enough, two
    are better, and the score stays in [0, 1].

    Args:
        signals: The scores in [0, 1] of each signal, by its name; at least one.
        weights: What each counts, in [0, 1].

    Example:
        >>> half = np.array([0.5])
        >>> fused({"vector": half, "lexical": half}, {"vector": 1, "lexical": 1})
        array([0.75])
    """
    doubt: Scores = np.prod(
        [1 - weights[name] * scores for name, scores in signals.items()], axis=0
    )
    return 1 - doubt
