"""Memories -> entities and facts without a model: pure, deterministic, in linear time.

What is mentioned is found in any language with capital letters: names, quoted titles, e-mail and
web addresses, and identifiers such as `A-1234`. Facts are found in English alone, where a clause
*begins* with one of the patterns of `clauses`; what lies deeper in a sentence, a question, a wish
or a condition states nothing. "I" is "we" as well and "the user", as Mem0's models write, or a name
("Ana lives in Rome"); "not", "no longer" and "used to" end a fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from mem0_integrations.graph import clauses
from mem0_integrations.graph.mentions import PEOPLES, mentions, proper_name
from mem0_integrations.graph.model import Extracted, GraphEntity, Triple, predicate_of
from mem0_integrations.learning import phrases
from mem0_integrations.learning.sentences import statements
from mem0_integrations.names import MAX_NAME, name_key
from mem0_integrations.records import Relation

__all__ = ["PatternRelationExtractor"]

# Characters and words of a target; another than the first of a list is shorter.
_MAX_TARGET: Final = 200
_MAX_WORDS: Final = 6
_MAX_LATER_WORDS: Final = 4


class PatternRelationExtractor:
    """Finds what a text mentions and a small set of facts, without a model.

    It is meant to say nothing false rather than to find everything: a fact that is put in words
    which `clauses` does not list is not found. No text takes more than linear time.

    Example:
        >>> extractor = PatternRelationExtractor()
        >>> [found] = extractor.extract(["I live in Oslo with my wife Ana."], speaker="Priya")
        >>> [(fact.source, fact.relationship, fact.target) for fact in found.triples]
        [('Priya', 'lives_in', 'Oslo'), ('Priya', 'wife', 'Ana')]
    """

    def extract(
        self, texts: Sequence[str], *, speaker: str, known: Sequence[Relation] = ()
    ) -> list[Extracted]:
        """Return what was found in each text, in their order.

        Args:
            texts: Memories, of any length.
            speaker: The name that "I" stands for.
            known: Makes no difference: a text always gives the same.
        """
        return [_extracted(text, speaker) for text in texts]


def _extracted(text: str, speaker: str) -> Extracted:
    facts = [fact for sentence in statements(text) for fact in _facts(sentence, speaker)]
    found = [*(entity for fact in facts for entity in fact.entities), *mentions(text)]
    entities: dict[str, GraphEntity] = {}
    for entity in found:
        entities.setdefault(name_key(entity.name), entity)
    triples = dict.fromkeys(triple for fact in facts for triple in fact.triples)
    return Extracted(tuple(entities.values()), tuple(triples))


def _facts(sentence: str, speaker: str) -> Iterator[Extracted]:
    """Yield what a sentence states, clause by clause."""
    sentence = sentence.replace("’", "'")
    if (
        sentence.rstrip(" \"')»”").endswith("?")
        or phrases.ASKED_WITHOUT_MARK.match(sentence)
        or clauses.CONDITIONAL.search(sentence)
    ):
        return
    subject: tuple[str, bool] | None = None
    for clause in _clauses(sentence):
        lead = clauses.LEADING.match(clause)
        start = lead.end() if lead else 0
        named = _subject(clause, start, speaker)
        if named is not None:
            source, own, end = named
            rest = clause[end:]
            if kin := clauses.IS_MY_KIN.match(rest):
                yield _kin(kin, source, speaker)
        elif subject is not None:
            # "I live in Oslo and work at Acme": but only after a clause that states something.
            source, own = subject
            rest = f" {clause[start:]}"
        else:
            source, own, rest = speaker, True, ""
        found = list(_of_rules(source, rest, own=own))
        yield from found
        yield from _with_my(clause, start, speaker)
        subject = (source, own) if found else None


def _clauses(sentence: str) -> Iterator[str]:
    start = 0
    for mark in clauses.CLAUSE.finditer(sentence):
        yield sentence[start : mark.start()]
        start = mark.end()
    yield sentence[start:]


def _subject(clause: str, start: int, speaker: str) -> tuple[str, bool, int] | None:
    """Return who a clause is about, whether it says so with "I", and where its verb begins."""
    if said := clauses.SPEAKER.match(clause, start):
        return speaker, bool(said["own"]), said.end()
    if (kin := clauses.MY_KIN.match(clause, start)) and kin["link"] is None:
        # "My wife Ana works at Acme" says two things.
        start = kin.end()
    name = proper_name(clause[start : start + _MAX_TARGET])
    return (name, False, start + len(name)) if name else None


def _of_rules(source: str, rest: str, *, own: bool) -> Iterator[Extracted]:
    for rule in clauses.RULES:
        head = (rule.own if own else rule.others).match(rest)
        if head is None:
            continue
        job = head.groupdict().get("job")
        if job is not None and not _is_job(job):
            continue
        for entity in _targets(rest[head.end() : head.end() + _MAX_TARGET], rule):
            if rule.predicate == "works_as" and "work" not in head[0] and not _is_job(entity.name):
                continue
            predicates = _predicates(rule.predicate, head[0])
            triples = (_triple(source, name, entity.name, end) for name, end in predicates.items())
            yield Extracted((entity,), tuple(triples))


def _predicates(predicate: str, head: str) -> dict[str, bool]:
    """Return the predicates of a clause that begins so, each with whether it has ended."""
    ended = bool(clauses.ENDED.search(head))
    if predicate == "left":
        # Whoever left it neither works nor lives there.
        return {"works_at": True, "lives_in": True}
    if clauses.NO_LONGER.search(head):
        return {predicate: True}
    if (predicate == "likes" and ended) or (predicate == "dislikes" and not ended):
        return {"dislikes": False, "likes": True}
    return {predicate: ended}


def _with_my(clause: str, start: int, speaker: str) -> Iterator[Extracted]:
    """Yield what a clause says with "my"."""
    if called := clauses.CALLED.match(clause, start):
        rest = clause[called.end() : called.end() + _MAX_TARGET]
        name = proper_name(rest)
        if not name and clause.islower() and "name" in called.group():
            name = next(_cut(rest, clauses.NAME), "")
        if name:
            yield Extracted((GraphEntity(name, "name"),), (_triple(speaker, "name", name),))
    if favourite := clauses.FAVOURITE.match(clause, start):
        for target in _cut(clause[favourite.end() : favourite.end() + _MAX_TARGET], clauses.CHOICE):
            predicate = predicate_of(f"favourite {favourite['what']}")
            yield Extracted((GraphEntity(target),), (_triple(speaker, predicate, target),))
    for kin in clauses.MY_KIN.finditer(clause):
        rest = clause[kin.end() : kin.end() + _MAX_TARGET]
        name = proper_name(rest)
        after = rest[len(name) :]
        if (
            not name
            or (kin["link"] == "," and not re.match(r"\.?\s*$|,", after))
            or (kin["link"] is not None and after.startswith("'s"))
            or (kin["link"] == " is" and name.casefold() in PEOPLES)
        ):
            continue
        yield _kin(kin, name, speaker)


def _kin(kin: re.Match[str], name: str, speaker: str) -> Extracted:
    word = kin["kin"].lower()
    return Extracted((GraphEntity(name, clauses.KIN[word]),), (_triple(speaker, word, name),))


def _triple(source: str, predicate: str, target: str, ended: bool = False) -> Triple:
    exclusive = predicate in clauses.ONE_AT_A_TIME or predicate.startswith("favourite_")
    return Triple(source, predicate, target, exclusive, ended)


def _targets(rest: str, rule: clauses.Rule) -> Iterator[GraphEntity]:
    kind = rule.kind.type
    for target in _cut(rest, rule.kind):
        name = target
        if rule.predicate == "has":
            if named := clauses.NAMED.match(target):
                # "two cats named Milo and Otis": each is a cat.
                kind = named["type"].lower()
                kind = kind.removesuffix("s") if named["what"] else kind
                name = named["name"]
            elif _last_word(target) in clauses.PASSING:
                return
        if rule.predicate in ("left", "name") and not proper_name(target):
            return
        yield GraphEntity(name, kind)


def _cut(rest: str, kind: clauses.Kind) -> Iterator[str]:
    """Yield what a text begins with, as far as it can be a target."""
    stop = kind.stop.search(rest)
    whole = rest[: stop.start() if stop else 0]
    parts = clauses.LIST.split(whole) if kind.many else [whole]
    if len(whole) == _MAX_TARGET:
        # It goes on: half of a name is another name.
        parts.pop()
    for number, part in enumerate(parts):
        words = part.strip(" ,.'\"").split()
        if (
            not words
            or words[0].lower() in kind.never
            or len(words) > (_MAX_LATER_WORDS if number else _MAX_WORDS)
        ):
            return
        article = clauses.ARTICLES.match(" ".join(words))
        target = " ".join(words)[article.end() if article else 0 :]
        if kind.never is clauses.NO_PLACE and target[:1].islower() and words[0].lower() == "the":
            return
        if not 0 < len(target) <= MAX_NAME or target.split()[0].lower() in kind.never:
            return
        yield target


def _is_job(words: str) -> bool:
    return _last_word(words) in clauses.JOBS


def _last_word(words: str) -> str:
    return words.rsplit(" ", 1)[-1].lower()
