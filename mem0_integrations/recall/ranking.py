"""Ordering and thinning what a search found. Pure."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope

__all__ = ["CONVERSATION", "Ranking", "distinct", "neighbours_among", "newest_wins", "with_signal"]

CONVERSATION: Final = timedelta(hours=1)
"""What is said later, without a thread that says otherwise, is another conversation."""

_WORD: Final = re.compile(r"\w+(?:['’]\w+)?")
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "without", "cannot"})
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_OVERLAP: Final = 0.9
_LEAST_BEGINNING: Final = 3
# Of what answers much better, nothing newer takes the place.
_COMPARABLE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Ranking:
    """What counts in a recall, and how much.

    A score is 1 - (1 - vector * v)(1 - lexical * l)..., of the signals that there are, each in
    [0, 1]: how near the meaning is, how many of the question's words are there (the rare ones
    count more), whether it was said when the question says, how recent it is, whether the graph
    knows a fact from it about what the question names. The defaults are measured: see
    `benchmarks/recall_quality.py`.

    Vectors and words are searched together where the store has both, as the embedded default
    does; elsewhere Mem0's own score takes their place.

    Args:
        vector: The weight of the meaning, in [0, 1].
        lexical: The weight of the words.
        date: The weight of the times that a question names.
        recency: The weight of recency.
        graph: The weight of the graph.
        vector_context: What the meaning of a neighbour in the conversation counts at most, beside
            1 for the memory itself; the less, the further the memory is from the question.
        lexical_context: What a word counts at most that a neighbour has, beside 1 for one's own.
        recency_half_life: Days after which a memory counts as half as recent.

    Raises:
        InvalidInputError: A weight is not in [0, 1], or the half-life is not positive.

    Example:
        >>> Ranking(recency=0.1).lexical
        0.9
    """

    vector: float = 0.8
    lexical: float = 0.9
    date: float = 0.2
    recency: float = 0.0
    graph: float = 0.2
    vector_context: float = 0.2
    lexical_context: float = 0.5
    recency_half_life: float = 30.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name == "recency_half_life":
                if not (number and 0 < value < math.inf):
                    raise InvalidInputError(f"{name} must be a number of days, not {value!r}.")
            elif not (number and 0 <= value <= 1):
                raise InvalidInputError(f"{name} must be a weight in [0, 1], not {value!r}.")

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of the signals, by their names."""
        return _weights_of(self)


@lru_cache(maxsize=16)
def _weights_of(ranking: Ranking) -> Mapping[str, float]:
    return MappingProxyType(dataclasses.asdict(ranking))


def distinct(memories: Iterable[Memory], limit: int) -> list[Memory]:
    """Take memories until there are `limit` of them that say different things.

    Of several that say the same the newest is kept, in the best place. Two texts say the same
    when they have the same words, or nine tenths of their words in common (Jaccard) and agree
    in every number and negation.

    Args:
        memories: What was found, best first; no more is taken than needed.
        limit: Maximum number of memories.

    Returns:
        The memories that are kept, best first.

    Example:
        >>> from mem0_integrations import Memory, Scope
        >>> twice = [Memory(id=i, text="I like tea.", scope=Scope(user_id="u")) for i in "ab"]
        >>> len(distinct(twice, 5))
        1
    """
    kept: list[tuple[Memory, frozenset[str]]] = []
    for memory in memories:
        words = frozenset(_WORD.findall(memory.text.casefold()))
        for index, (known, known_words) in enumerate(kept):
            if _say_the_same(words, known_words):
                if _age(memory) > _age(known):
                    kept[index] = memory, words
                break
        else:
            kept.append((memory, words))
            if len(kept) == limit:
                break
    return [memory for memory, _ in kept]


def newest_wins(memories: Sequence[Memory]) -> list[Memory]:
    """Put the newest first where memories say something else about the same thing.

    "I live in Oslo." and, later, "I live in Bergen.": both stay, and the newer one takes the
    better place, with its score. What was said when the question says comes before both. Two
    texts are about the same thing when the three or more words with which both begin are at
    least half of the shorter one, and the worse score is at least 0.8 of the better one.

    Args:
        memories: What was found, best first.

    Example:
        >>> from datetime import UTC, datetime
        >>> from mem0_integrations import Memory, Scope
        >>> said = [(2024, "I live in Oslo."), (2026, "I live in Bergen.")]
        >>> found = [
        ...     Memory("1", text, Scope(user_id="u"), created_at=datetime(year, 1, 1, tzinfo=UTC))
        ...     for year, text in said
        ... ]
        >>> [memory.text for memory in newest_wins(found)]
        ['I live in Bergen.', 'I live in Oslo.']
    """
    groups: list[tuple[list[str], float, list[int]]] = []
    beginning: defaultdict[tuple[Scope, *tuple[str, ...]], list[int]] = defaultdict(list)
    for index, memory in enumerate(memories):
        words = _WORD.findall(memory.text.casefold())
        # What another user says is about somebody else.
        alike = beginning[memory.scope, *words[:_LEAST_BEGINNING]]
        score = memory.score or 0.0
        for place in alike:
            known, best, members = groups[place]
            # "I have a dog" and "I have a sister" are not the same to who asks about the dog.
            if score >= _COMPARABLE * best and _begin_alike(words, known):
                members.append(index)
                break
        else:
            alike.append(len(groups))
            groups.append((words, score, [index]))
    ordered = list(memories)
    for *_, places in groups:
        if len(places) == 1:
            continue
        newest = sorted((memories[place] for place in places), key=_asked_for, reverse=True)
        for place, memory in zip(places, newest, strict=True):
            ordered[place] = dataclasses.replace(memory, score=memories[place].score)
    return ordered


def with_signal(
    memories: Iterable[Memory], name: str, strengths: Mapping[str, float], weight: float
) -> list[Memory]:
    """Let one more signal speak for memories; returns them best first.

    Args:
        memories: What was found, with scores and signals.
        name: The signal.
        strengths: How strong it is, in [0, 1], by the ids of memories; 0 for those left out.
        weight: What it counts, in [0, 1].

    Example:
        >>> from mem0_integrations import Memory, Scope
        >>> found = [Memory(id, "Tea.", Scope(user_id="u"), score=0.5) for id in "ab"]
        >>> [(memory.id, memory.score) for memory in with_signal(found, "graph", {"b": 1}, 0.2)]
        [('b', 0.6), ('a', 0.5)]
    """
    known = [
        dataclasses.replace(
            memory,
            # As `fusion.fused`, and never a rounding error lower than before.
            score=(memory.score or 0.0)
            + (1 - (memory.score or 0.0)) * weight * strengths[memory.id],
            signals={**(memory.signals or {}), name: strengths[memory.id]},
        )
        if strengths.get(memory.id)
        else memory
        for memory in memories
    ]
    return sorted(known, key=lambda memory: memory.score or 0.0, reverse=True)


def neighbours_among(
    memory: Memory, conversation: Iterable[Memory], count: int
) -> tuple[Memory, ...]:
    """Return what was said just before and after a memory, oldest first.

    Args:
        memory: The memory.
        conversation: The memories of its scope and thread, in any order, itself among them; where
            there is no thread, an hour of silence ends the conversation.
        count: How many of each side.
    """
    said = sorted(conversation, key=lambda other: (_age(other), other.id))
    place = next((index for index, other in enumerate(said) if other.id == memory.id), None)
    if place is None:
        return ()
    first = last = place
    while first > max(0, place - count) and _goes_on(said[first - 1], said[first]):
        first -= 1
    while last < min(len(said) - 1, place + count) and _goes_on(said[last], said[last + 1]):
        last += 1
    return tuple(said[first:place] + said[place + 1 : last + 1])


def _goes_on(earlier: Memory, later: Memory) -> bool:
    if later.metadata.get("thread_id") is not None:
        return True
    known = earlier.created_at is not None and later.created_at is not None
    return known and _age(later) - _age(earlier) <= CONVERSATION


def _begin_alike(left: Sequence[str], right: Sequence[str]) -> bool:
    shorter = min(len(left), len(right))
    least = max(_LEAST_BEGINNING, (shorter + 1) // 2)
    return least <= shorter and left[:least] == right[:least]


def _say_the_same(left: frozenset[str], right: frozenset[str]) -> bool:
    both = len(left) + len(right)
    # Of two that share nine tenths, the shorter one has them all.
    if min(len(left), len(right)) < _OVERLAP / (1 + _OVERLAP) * both:
        return False
    common = len(left & right)
    if not common or common < _OVERLAP * (both - common):
        return False
    return not any(map(_decides, left ^ right))


def _decides(word: str) -> bool:
    return word in _NEGATIONS or word.endswith(("n't", "n’t")) or any(map(str.isdigit, word))


def _asked_for(memory: Memory) -> tuple[float, datetime]:
    return (memory.signals or {}).get("date", 0.0), _age(memory)


def _age(memory: Memory) -> datetime:
    return memory.created_at or _EARLIEST
