"""Ordering and thinning what a search found. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from mem0_integrations.records import Memory

__all__ = ["distinct"]

_WORD: Final = re.compile(r"\w+(?:['’]\w+)?")
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "without", "cannot"})
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_OVERLAP: Final = 0.9


def distinct(memories: Iterable[Memory], limit: int) -> list[Memory]:
    """Take memories until there are `limit` of them that say different things.

    Of several that say the same the newest is kept, in the best place. Two texts say the same
    when they have the same words, or nine tenths of their words in common (Jaccard) and agree
    in every number and negation.

    Args:
        memories: What was found, best first; no more is taken than needed.
        limit: The most memories.

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


def _say_the_same(left: frozenset[str], right: frozenset[str]) -> bool:
    common = len(left & right)
    if not common or common < _OVERLAP * (len(left) + len(right) - common):
        return False
    return not any(map(_decides, left ^ right))


def _decides(word: str) -> bool:
    return word in _NEGATIONS or word.endswith(("n't", "n’t")) or any(map(str.isdigit, word))


def _age(memory: Memory) -> datetime:
    return memory.created_at or _EARLIEST
