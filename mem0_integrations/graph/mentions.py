"""What stands out in a text of any language: names, titles, addresses and identifiers. Pure."""

# ruff: noqa: RUF001  (sentence marks of other scripts are what is matched here)

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mem0_integrations.graph.model import GraphEntity
from mem0_integrations.learning import phrases
from mem0_integrations.names import MAX_NAME

__all__ = ["PEOPLES", "mentions", "proper_name"]


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MAX_NAME_WORDS: Final = 6
_LONG_NUMBER: Final = 5
_DIGITS_OF_A_CODE: Final = 3
# Capitalised for where they stand, and names of nothing that one would look up.
_ORDINARY: Final = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may "
    "june july august september october november december spring summer autumn winter christmas "
    "easter i'm i've i'd i'll you he she it we they me him her us them my your his its our their "
    "mine yours this that these those here there the a an and or but so if when while where who "
    "what which why how because since although though after before until as at by for from in into "
    "of on off over to under up down with without is are was were be been am do does did has have "
    "had will would can could may might must shall should not no yes ok okay hi hello hey dear "
    "thanks thank please sorry today tomorrow yesterday now then also just very really maybe "
    "perhaps everyone everybody everything someone somebody something anyone anybody anything "
    "nobody nothing none all some any many much more most other another each every both few "
    "people user users customer order invoice email mr mrs ms am pm usd eur gbp faq asap fyi btw "
    "lol omg let let's don't never always often sometimes currently actually recently only even "
    "still yet again however finally well sure ich du er sie es wir ihr "
    "mein meine der die das ein eine und je nous vous il elle mon ma mes le la les el los las yo "
    "mi io sono eu meu minha ik mijn"
)
_GERMAN: Final = _words("ich und der die das ist nicht ein eine einen mein meine wir für")
PEOPLES: Final = _words(
    "african american arab argentinian asian australian austrian belgian brazilian british "
    "buddhist canadian catholic chilean chinese christian colombian croatian cuban czech danish "
    "dutch egyptian english european filipino finnish french german greek hindu hungarian "
    "icelandic indian indonesian iranian irish israeli italian japanese jewish kenyan korean "
    "latvian lebanese lithuanian mexican moroccan muslim nigerian norwegian pakistani persian "
    "peruvian polish portuguese protestant romanian russian scottish serbian slovak spanish "
    "swedish swiss syrian thai turkish ukrainian vegan vegetarian vietnamese welsh"
)
_WITHIN_NAMES: Final = _words("of de van der den von da di du del la le el al bin ibn")
_NAME_WORD: Final = re.compile(
    r"(?:Dr|Mr|Mrs|Ms|Prof|St|[A-Z])\.|[^\W\d_][\w-]*(?:'(?!s\b)[^\W\d_]\w*)?"
)
_TOKEN: Final = re.compile(
    r"(?P<url>https?://[^\s<>\"“”]+)"
    r"|(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+)"
    r"|[\"“«](?P<title>(?=[A-ZÀ-ÖØ-Þ])[^\"“”«»\n.!?]{2,80})[\"”»]"
    r"|(?P<word>#?\w++(?:[-'’]\w++)*+)"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d?-\d\d?-\d{2,4}")
_SENTENCE_MARKS: Final = re.compile(r"[.!?…:;\n。！？()]")


def mentions(text: str) -> Iterator[GraphEntity]:
    """Yield what stands out in a text: identifiers, addresses, titles and names."""
    names = _Names(text)
    for token in _TOKEN.finditer(text):
        kind = str(token.lastgroup)
        value = token[kind]
        if kind == "word" and _is_code(value):
            kind = "identifier"
        if kind == "word":
            yield from names.read(token.start("word"), value)
            continue
        yield from names.skip(token.end())
        if len(value) <= MAX_NAME:
            yield GraphEntity(value.rstrip(".,;:!?)'’"), kind)
    yield from names.close()


def _is_code(word: str) -> bool:
    digits = sum(map(str.isdigit, word))
    if not digits or _DATE.fullmatch(word):
        return False
    if word.startswith("#"):
        return True
    if digits == sum(map(str.isalnum, word)):
        return digits >= _LONG_NUMBER
    return digits >= _DIGITS_OF_A_CODE and any(map(str.isupper, word))


class _Names:
    """Finds the runs of capitalised words in a text, read word by word."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Where all is capital, nothing is; and in German every noun is.
        self._none = text.upper() == text
        self._german = not _GERMAN.isdisjoint(phrases.WORD.findall(text.lower()))
        self._start = self._end = self._count = self._last = 0
        self._opens = False

    def read(self, start: int, word: str) -> Iterator[GraphEntity]:
        """Yield the name that ends before a word, if one does."""
        gap = self._text[self._last : start]
        before = self._text[max(0, self._last - 5) : self._last].rpartition(" ")[2]
        abbreviated = gap == ". " and (
            before.lower() in phrases.NEVER_LAST or (len(before) == 1 and before.isupper())
        )
        opens = not abbreviated and bool(_SENTENCE_MARKS.search(gap) or not self._last)
        owned = re.sub(r"['’]s$", "", word)
        self._last = start + len(word)
        joined = self._count and (gap in (" ", " & ") or abbreviated)
        if joined and gap == " " and word in _WITHIN_NAMES:
            return
        initial = len(word) == 1 and word.isupper() and self._text.startswith(".", self._last)
        named = initial or _is_name(owned)
        if not joined or self._count >= _MAX_NAME_WORDS or not named:
            yield from self.close()
        if named:
            if not self._count:
                self._start, self._opens = start, opens
            self._end, self._count = start + len(owned), self._count + 1
            if owned != word:
                yield from self.close()

    def skip(self, end: int) -> Iterator[GraphEntity]:
        """Yield the name that ends before something that is not a word, if one does."""
        self._last = end
        return self.close()

    def close(self) -> Iterator[GraphEntity]:
        """Yield the name that ends here, if one does."""
        count, self._count = self._count, 0
        name = self._text[self._start : self._end]
        alone = count == 1 and (self._opens or self._german or len(name) == 1)
        if count and not alone and not self._none and len(name) <= MAX_NAME:
            yield GraphEntity(name)


def _is_name(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and word.lower() not in _ORDINARY


def proper_name(text: str) -> str:
    """Return the name that a text begins with, or an empty text."""
    end = 0
    for _ in range(_MAX_NAME_WORDS):
        word = _NAME_WORD.match(text, end + 1 if text[end : end + 1] == " " and end else end)
        if word is None or (end and word.start() == end) or not _is_name(word.group()):
            break
        end = word.end()
    return text[:end]
