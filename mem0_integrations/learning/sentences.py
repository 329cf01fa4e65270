"""A user's message -> the sentences in it that state something, without a model. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mem0_integrations.learning import phrases

__all__ = ["plain", "statements"]

_MAX_WORDS: Final = 30
_MIN_CHARACTERS: Final = 2


def statements(text: str) -> Iterator[str]:
    """Yield the statements in a user's message word for word, in order, with normalised spaces.

    Args:
        text: A message of any length; the time taken is linear in it.

    Example:
        >>> list(statements("Hi! I'm Priya. Where is it?"))
        ["I'm Priya."]
    """
    for sentence in _sentences(text):
        yield from _statements(sentence)


def plain(text: str) -> str:
    """Return only the words of a text, in lower case; two equal statements have the same."""
    return " ".join(phrases.WORD.findall(text.casefold()))


def _sentences(text: str) -> Iterator[str]:
    lines = text.splitlines()
    block: list[str] = []
    for raw in lines:
        line = phrases.BULLET.sub("", " ".join(raw.split()))
        if len(lines) > 1:
            line = phrases.NUMBERED.sub("", line)
        if not line or line.startswith(">"):
            continue
        block.append(line)
        # An address or a list goes on in the next line; "Thanks," does not.
        if not line.endswith(phrases.OPEN_ENDS) or _is_filler(line):
            yield from _split(" ".join(block))
            block.clear()
    yield from _split(" ".join(block))


def _split(text: str) -> Iterator[str]:
    start = 0
    for mark in phrases.END.finditer(text):
        if _ends_sentence(text, mark):
            yield text[start : mark.end()].strip()
            start = mark.end()
    yield text[start:].strip()


def _ends_sentence(text: str, mark: re.Match[str]) -> bool:
    following = text[mark.end() : mark.end() + 2].lstrip()
    if mark.group().startswith(("..", "…")):
        return not following[:1].islower()
    if mark.group() != ".":
        return True
    before = text[max(0, mark.start() - 20) : mark.start()].rpartition(" ")[2].lstrip("([\"'")
    word = before.casefold()
    if (word in phrases.WITH_NUMBER or word.endswith("str")) and following[:1].isdigit():
        return False
    if word.isdigit():
        return phrases.MONTH.match(text, mark.end()) is None
    if word in phrases.NEVER_LAST or (len(before) == 1 and before.isupper()):
        return False
    if word in phrases.SELDOM_LAST or "." in word[1:2]:
        return not following or following[:1].isupper()
    return True


def _statements(sentence: str) -> list[str]:
    """Return what the sentence states: itself, the parts of a long one, a clause, or nothing."""
    sentence = phrases.DECORATION.sub("", sentence)
    if _is_filler(sentence):
        return []
    if _is_question(sentence) or phrases.COMMAND.match(sentence):
        clause = _clause(sentence)
        known = phrases.IDENTIFIER.findall(sentence)
        if len(known) > len(phrases.IDENTIFIER.findall(clause)):
            return [sentence]
        return [clause] if clause else []
    if len(sentence.split()) <= _MAX_WORDS:
        return [sentence]
    parts = phrases.COMPOUND.split(sentence)
    return [sentence] if len(parts) == 1 else [s for part in parts for s in _statements(part)]


def _clause(sentence: str) -> str:
    """Return the declarative clause of a question or a request, or an empty string."""
    asking = phrases.ASKING_CLAUSE.search(sentence, 1)
    if asking:
        head = sentence[: asking.start()].rstrip(phrases.PAUSES)
        whole = " " in head or phrases.CJK.search(head)
        if whole and not phrases.NO_STATEMENT.match(head) and not _is_filler(head):
            return "" if phrases.COMMAND.match(head) else head
    own = phrases.OWN_CLAUSE.search(sentence)
    return sentence[own.end() :].rstrip(phrases.QUESTION_MARKS).rstrip() if own else ""


def _is_question(sentence: str) -> bool:
    end = len(sentence)
    while end and not sentence[end - 1].isalnum():
        end -= 1
    return any(mark in sentence[end:] for mark in phrases.QUESTION_MARKS) or bool(
        phrases.ASKED_WITHOUT_MARK.match(sentence)
    )


def _is_filler(sentence: str) -> bool:
    """Tell whether a sentence is nothing but phrases of courtesy, with the names they address."""
    if sum(map(str.isalnum, sentence)) < _MIN_CHARACTERS:
        return True
    words = " ".join(phrases.WORD.findall(sentence))
    position = 0
    while phrase := phrases.PHRASE.match(words, position):
        position = phrase.end()
        if phrases.ADDRESSING.fullmatch(phrase.group()):
            names = phrases.NAMES.match(words, position)
            position = names.end() if names else position
        position += words.startswith(" ", position)
    return position == len(words)
