"""Ordering and thinning what a search found. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from mem0_integrations.records import Memory

__all__ = ["drop_near_duplicates"]

_WORD: Final = re.compile(r"\w+(?:['’]\w+)?")
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "without", "cannot"})
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_OVERLAP: Final = 0.9


def drop_near_duplicates(memories: Iterable[Memory]) -> list[Memory]:
    """Keep one of several memories that say the same: the newest, in the best place.

    Two texts say the same when they have the same words, or nine tenths of their words in
    common (Jaccard) and agree in every number and negation.

    Args:
        memories: What was found, best first.

    Returns:
        The memories that are left, best first.

    Example:
        >>> from mem0_integrations import Memory, Scope
        >>> twice = [Memory(id=i, text="I like tea.", scope=Scope(user_id="u")) for i in "ab"]
        >>> len(drop_near_duplicates(twice))
        1
    """
    kept: list[Memory] = []
    kept_words: list[frozenset[str]] = []
    for memory in memories:
        words = frozenset(_WORD.findall(memory.text.casefold()))
        for index, known in enumerate(kept_words):
            if _same_statement(words, known):
                if _age(memory) > _age(kept[index]):
                    kept[index], kept_words[index] = memory, words
                break
        else:
            kept.append(memory)
            kept_words.append(words)
    return kept


def _same_statement(left: frozenset[str], right: frozenset[str]) -> bool:
    if left == right:
        return bool(left)
    least, most = sorted((len(left), len(right)))
    if least < _OVERLAP * most or len(left & right) < _OVERLAP * len(left | right):
        return False
    return not any(_decides(word) for word in left ^ right)


def _decides(word: str) -> bool:
    return word in _NEGATIONS or word.endswith(("n't", "n’t")) or any(map(str.isdigit, word))


def _age(memory: Memory) -> datetime:
    return memory.created_at or _EARLIEST
