"""Names in texts: what two spellings have in common, and who "I" is. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from mem0_integrations.scope import Scope

__all__ = ["MAX_NAME", "clean", "name_key", "named", "named_in", "speaker_of"]

MAX_NAME: Final = 255
"""Maximum length of a name, in characters."""

# How a model may call whoever speaks.
_SELF: Final = frozenset({"i", "me", "myself", "user", "the user"})
# Of marks around a name these belong to it: C# is not C, A- not A, and 5% not 5.
_OF_A_NAME: Final = frozenset("#%/@-")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\u2028\u2029]+")
# Names of more words are not looked for in a text.
_WORDS_OF_A_NAME: Final = 4
_MOST_WORDS: Final = 200
_WORD: Final = re.compile(r"\S+")
_MOST: Final = 10_000


def clean(text: str, most: int = MAX_NAME) -> str:
    r"""Return a text that every engine can store, on one line.

    Example:
        >>> clean("  New\nYork\x00 ")
        'New York'
    """
    whole = text[: 4 * most].encode("utf-8", "ignore").decode()
    return " ".join(_CONTROL.sub(" ", whole).split())[:most].strip()


@lru_cache(maxsize=16_384)
def name_key(name: str) -> str:
    """Return what two spellings of a name have in common.

    Example:
        >>> name_key("  'New  York'. ") == name_key("new_york")
        True
        >>> name_key("C++") == name_key("C")
        False
    """
    plain = clean(unicodedata.normalize("NFKC", clean(name)).casefold())
    start, end = 0, len(plain)
    while start < end and _is_around_names(plain[start]):
        start += 1
    while start < end and _is_around_names(plain[end - 1]):
        end -= 1
    return clean(plain[start:end].replace("_", " ")) or plain


def speaker_of(scope: Scope) -> str:
    """Return the name of whoever says "I" in the memories of a scope.

    Example:
        >>> speaker_of(Scope(user_id="customer-1")), speaker_of(Scope(agent_id="bot"))
        ('customer-1', 'user')
    """
    return clean(scope.user_id or "") or "user"


def named(name: str, speaker: str) -> str:
    """Return a name as a model gives it; the speaker's where it means whoever says "I".

    Example:
        >>> named("the user", "priya"), named("Oslo", "priya")
        ('priya', 'Oslo')
    """
    return speaker if name.strip().casefold() in _SELF else name


def named_in(texts: Iterable[str]) -> set[str]:
    """Return the keys of all names that texts may contain: every few words of theirs.

    Example:
        >>> sorted(named_in(["Ann Lee?"]))
        ['ann', 'ann lee', 'lee']
    """
    keys: set[str] = set()
    for text in texts:
        words = _WORD.findall(text[:_MOST])[-_MOST_WORDS:]
        for start in range(len(words)):
            for length in range(1, _WORDS_OF_A_NAME + 1):
                key = name_key(" ".join(words[start : start + length]))
                keys.add(key.removesuffix("'s").removesuffix("’s"))
                keys.add(key)
    return keys - {""}


def _is_around_names(character: str) -> bool:
    if character.isalnum() or character in _OF_A_NAME:
        return False
    category = unicodedata.category(character)
    return category[0] in "CPZ" or category in {"Sk", "So"}
