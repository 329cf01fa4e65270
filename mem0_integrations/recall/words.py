"""The words of a question that are worth looking for. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["count_words", "words_to_find"]

_WORD: Final = re.compile(r"[^\W_]+")
# More would only say again what a question is about.
_MOST: Final = 50
# What nearly every English question has, with what an apostrophe leaves of a contraction.
_COMMON: Final = """
a about an and any are as at be been being but by can could did do does for from had has have he
her here him his how i if in into is it its just let many me much my no not of on or our out
shall she should so some than that the their them then there these they this those to up us was
we were what when where whether which who whom whose why will with would you your d ll m re s t
ve don doesn didn isn aren wasn weren won wouldn couldn shouldn hasn haven hadn tell know
remember
"""
_STOP_WORDS: Final = frozenset(_COMMON.split())


def count_words(text: str) -> int:
    """Count the words of a text."""
    return sum(1 for _ in _WORD.finditer(text))


def words_to_find(question: str) -> list[str]:
    """Return the words of a question except those of nearly every question, each once.

    They are spelled as they were, for how letters are folded is the index's own affair. Of very
    many, the last ones: they are nearest to what is asked.

    Example:
        >>> words_to_find("Where's the kettle that I ordered?")
        ['kettle', 'ordered']
    """
    said = "".join(char if _is_part_of_a_word(char) else " " for char in question)
    words = {word.lower(): word for word in said.split() if _WORD.search(word)}
    return [word for key, word in words.items() if key not in _STOP_WORDS][-_MOST:]


def _is_part_of_a_word(char: str) -> bool:
    # Many scripts write vowels as marks, which a regular expression takes for the end of a word.
    return char.isalnum() or unicodedata.category(char).startswith("M")
