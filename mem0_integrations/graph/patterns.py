"""Memories -> entities and facts without a model: pure, deterministic, in linear time.

What is mentioned is found in any language with capital letters: names, quoted titles, e-mail and
web addresses, and identifiers such as `A-1234`. Facts are found in English alone, where a clause
*begins* with one of these patterns; what lies deeper in a sentence, a question, a wish or a
condition states nothing. "I" is "we" as well and "the user", as Mem0's models write, or a name
("Ana lives in Rome"); "not", "no longer" and "used to" end a fact.

```text
I live in / moved to / am based in X       lives_in (one at a time)
I work at / for X, got a job at X          works_at (one at a time)
I work as / am a <job>                     works_as (one at a time)
my name is / I am called / call me X       name (one at a time)
I am N years old, I turned N               age (one at a time)
I like / love / enjoy / adore X            likes
I don't like / dislike / hate X            dislikes; it ends likes
I prefer X                                 prefers
I am allergic to X                         allergic_to
I have / own a X (named Y)                 has
I speak X                                  speaks
I study X at Y                             studies, studies_at
I was born in X                            born_in
I am / come from X                         is_from
I left / quit X                            ends works_at, lives_in
my wife (is) X, X is my wife               wife; so for family, friends, colleagues and pets
my favourite X is Y                        favourite_x (one at a time)
```
"""

# ruff: noqa: RUF001  (sentence marks of other scripts are what is matched here)

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from mem0_integrations.graph.model import EXCLUSIVE, Extracted, GraphEntity, Triple, predicate_of
from mem0_integrations.learning import phrases
from mem0_integrations.learning.sentences import statements
from mem0_integrations.names import name_key
from mem0_integrations.records import Relation

__all__ = ["PatternRelationExtractor"]


class PatternRelationExtractor:
    """Finds what a text mentions and a small set of facts, without a model.

    It is meant to say nothing false rather than to find everything: a fact that is put in words
    which the module does not list is not found. No text takes more than linear time.

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


# Facts: how a clause begins.


class _Kind(NamedTuple):
    """What the target of a fact can be.

    Attributes:
        type: Of the entity.
        stop: Where the target ends.
        never: With which words a target does not begin.
        many: Whether there may be several targets.
    """

    type: str
    stop: re.Pattern[str]
    never: frozenset[str] = frozenset()
    many: bool = False


class _Rule(NamedTuple):
    """A pattern and what it says; the target begins where the pattern ends.

    Attributes:
        predicate: What is said.
        own: The pattern after "I".
        others: The pattern after a name or "the user".
        kind: What the target is.
    """

    predicate: str
    own: re.Pattern[str]
    others: re.Pattern[str]
    kind: _Kind


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MAX_TARGET: Final = 200
# What the name of a node can hold.
_MAX_TOKEN: Final = 255
_MAX_WORDS: Final = 6
_MAX_LATER_WORDS: Final = 4

_ADVERBS: Final = (
    "really|also|still|just|now|currently|actually|absolutely|especially|truly|always|usually|"
    "recently|both|do|finally|mostly|mainly|all|so|very|quite|honestly|definitely|particularly|"
    "only|severely|originally|happily|have|has|highly"
)
_ADV: Final = rf"(?:\s(?:{_ADVERBS})|'ve){{0,3}}"
_ENDED: Final = re.compile(
    r"\b(?:not|no longer|used to|left|quit|resigned)\b|(?<!ca)n't\b|"
    r"\bmoved\s(?:away\s|out\s)?(?:from|of)\s\Z",
    re.IGNORECASE,
)
_NO_LONGER: Final = re.compile(r"\b(?:no longer|used to)\b", re.IGNORECASE)
_CONDITIONAL: Final = re.compile(
    r"\b(?:if|unless|whether|suppose|supposing|imagine|pretend|wish|hopefully|maybe|perhaps)\b",
    re.IGNORECASE,
)
_ALWAYS_STOPS: Final = (
    "because|since|when|where|who|whom|which|that|as|until|till|after|before|while|though|such|"
    "although|however|now|currently|anymore|any more|any longer|too|also|already|again|together|"
    "right now|these days|nowadays|at the moment|at all|very much|a lot|so much|then|if|due|"
    "during|last|next|today|tomorrow|yesterday|please|but|so|not|every|each|with "
    "(?:my|our|his|her|their)"
)


def _stop(words: str, marks: str = "") -> re.Pattern[str]:
    return re.compile(
        rf"[{marks};:()\[\]\"“”!?…—]|\s[-–]|(?<!\bSt)(?<!\bDr)(?<!\b[A-Z])\.+(?:\s|$)|\s(?:{_ALWAYS_STOPS}|{words})\b|$",
        re.IGNORECASE,
    )


_NEAR: Final = "in|at|on|from|for|with|near|to|by|about|and|or"
_ONE: Final = _stop(_NEAR, ",")
_MANY: Final = _stop("for|than|over|rather|instead|more|better|most")
_CHOSEN: Final = _stop("for|than|over|rather|instead|to", ",")
_THINGS: Final = _stop("in|at|on|from|for|with|near|to|by|about|I|you|we|they")
_VAGUE: Final = _words(
    "i you he she it we they me him her us them this that these those here there everything "
    "anything nothing something everyone anyone someone what how when where who why being be it's "
    "one so more most less not no"
)
_NO_PLACE: Final = _VAGUE | _words(
    "a an my our his their your fear peace harmony town home work school"
)
_PLACE: Final = _Kind("place", _ONE, _NO_PLACE)
_ORIGIN: Final = _Kind("", _ONE, _NO_PLACE)
_EMPLOYER: Final = _Kind(
    "organization",
    _ONE,
    _VAGUE
    | _words(
        "my our his their your home night nights day days noon myself free money fun least all "
        "once times now living hours both weekends work school half full part"
    ),
)
_JOB: Final = _Kind("job", _stop(f"{_NEAR}|based|living|working", ","), _VAGUE)
_NAME: Final = _Kind("name", _ONE, _VAGUE)
_AGE: Final = _Kind("age", re.compile(r"\D|$"))
_TASTE: Final = _Kind("", _MANY, _VAGUE | _words("my our your his their think way"), many=True)
_CHOICE: Final = _Kind("", _CHOSEN, _VAGUE)
_THING: Final = _Kind("", _THINGS, _VAGUE, many=True)
_LANGUAGE: Final = _Kind(
    "language",
    _THINGS,
    _VAGUE | _words("to with for about too up at only on"),
    many=True,
)
_SUBJECT: Final = _Kind("", _ONE, _VAGUE | _words("hard abroad at in for on"))

# What "I have" is no lasting fact about, and jobs: the last word of the target.
_PASSING: Final = _words(
    "question questions problem problems issue issues idea ideas doubt request feeling look lot "
    "few bit chance minute moment time times meeting complaint concern suggestion point plan "
    "headache cold fever day week reason cough call hunch couple thing "
    "appointment delivery coming arriving"
)
_JOBS: Final = _words(
    "accountant actor actress analyst animator architect artist assistant astronaut attorney "
    "author baker barber barista bartender biologist bookkeeper broker builder butcher captain "
    "carpenter cashier chef chemist cleaner clerk coach comedian composer consultant contractor "
    "cook counselor counsellor courier curator dancer dentist designer detective developer "
    "director doctor driver economist editor electrician engineer entrepreneur farmer firefighter "
    "fisherman florist freelancer gardener geologist hairdresser historian illustrator instructor "
    "interpreter janitor journalist judge lawyer lecturer librarian lifeguard linguist locksmith "
    "machinist manager mathematician mechanic midwife model musician nanny notary novelist nurse "
    "nutritionist officer optician paramedic pediatrician pharmacist photographer physician "
    "physicist physiotherapist pianist pilot plumber poet policeman postman principal producer "
    "professor programmer psychiatrist psychologist realtor receptionist recruiter reporter "
    "researcher sailor salesman salesperson scientist sculptor secretary singer soldier "
    "statistician student surgeon surveyor tailor teacher technician therapist trader trainer "
    "translator tutor undertaker veterinarian vet waiter waitress welder writer"
)
_KIN: Final = {
    **dict.fromkeys(
        _words(
            "wife husband spouse partner girlfriend boyfriend fiancé fiancée fiance fiancee "
            "mother mum "
            "mom mam father dad brother sister son daughter child grandmother grandfather grandma "
            "grandpa grandson granddaughter aunt uncle cousin niece nephew mother-in-law "
            "father-in-law brother-in-law sister-in-law stepmother stepfather friend roommate "
            "flatmate "
            "neighbour neighbor colleague coworker co-worker boss manager teacher doctor dentist "
            "therapist lawyer landlord landlady assistant mentor coach"
        ),
        "person",
    ),
    **{pet: pet for pet in _words("dog cat horse puppy kitten rabbit parrot hamster")},
}
_AT_A_TIME: Final = EXCLUSIVE | {"husband", "spouse", "wife"}


def _verb(verbs: str, ing: str = "") -> tuple[str, str]:
    """Return the patterns of verbs in the present, after "I" and after a name."""
    said = "|".join(_third(verb) for verb in verbs.split("|"))
    own = rf"(?:\s(?:no longer|do not|don't|used to))?{_ADV}\s(?:{verbs})"
    others = (
        rf"(?:\s(?:does not|doesn't|used to){_ADV}\s(?:{verbs})|"
        rf"(?:\sno longer)?{_ADV}\s(?:{said}))"
    )
    if not ing:
        return own, others
    am, are = _being(rf"\s(?:{ing})")
    been = rf"(?:'ve|\s(?:have|has)){_ADV}\sbeen\s(?:{ing})"
    return rf"(?:{own}|{am}|{been})", rf"(?:{others}|{are}|{been})"


def _third(verb: str) -> str:
    if verb == "have":
        return "has"
    return f"{verb[:-1]}ies" if verb.endswith("dy") else f"{verb}s"


def _being(rest: str) -> tuple[str, str]:
    """Return the patterns of "am", "are" or "is" with what follows."""
    end = rf"{_ADV}{rest}"
    return (
        rf"(?:(?:'m|'re|\sam|\sare)(?:n't|\snot|\sno longer)?|\sused to be){end}",
        rf"(?:\sis(?:n't|\snot|\sno longer)?|\sused to be){end}",
    )


def _did(rest: str) -> tuple[str, str]:
    """Return the patterns of verbs in the past, which are the same for all."""
    return rf"{_ADV}\s{rest}", rf"{_ADV}\s{rest}"


def _rules(predicate: str, kind: _Kind, *heads: tuple[tuple[str, str], str]) -> Iterator[_Rule]:
    for (own, others), tail in heads:
        yield _Rule(
            predicate,
            re.compile(rf"{own}{tail}\s", re.IGNORECASE),
            re.compile(rf"{others}{tail}\s", re.IGNORECASE),
            kind,
        )


_FEW: Final = r"[\w' -]{2,40}?"
_LIKE: Final = _verb("like|love|enjoy|adore")
_DISLIKE: Final = _verb("dislike|hate|detest|loathe")
_HAVE: Final = _verb("have|own")
_GOT: Final = r"(?:'ve|\shave|\shas)\sgot"
_SOME: Final = r"(?=\s(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,3})\s)"
_RULES: Final = [
    *_rules(
        "lives_in",
        _PLACE,
        (_verb("live|reside", "living|residing"), r"\sin(?:\san?\s(?:[\w-]+\s){1,3}?in)?"),
        (_being(rf"(?:\san?\s{_FEW})?\sbased"), r"\sin"),
        (
            _did(r"(?:moved|relocated)"),
            r"(?:\sfrom\s[^,;.]{2,40}?)?(?:\s(?:back|over|away))?\sto",
        ),
        (_did(r"lived"), r"\sin(?=\s[^,;.]{2,40}?\s(?:since|for)\s)"),
        (_did(r"moved"), r"\s(?:away\s|out\s)?(?:from|of)"),
    ),
    *_rules(
        "works_at",
        _EMPLOYER,
        (
            _verb("work", "working"),
            rf"(?:\sremotely|\s(?:full|part)[- ]time)?(?:\sas\san?\s{_FEW})?\s(?:at|for)"
            r"(?!\s\d+(?:\s|:|[ap]m))",
        ),
        (_being(r"\semployed"), r"\s(?:at|by)"),
        (_did(r"started"), r"(?:\sworking|\sa\snew\sjob|\smy\snew\sjob)\s(?:at|for)"),
        (_did(r"(?:got|found|have|has)"), r"\s(?:an?|my)(?:\snew)?\sjob\s(?:at|with)"),
        (_did(r"(?:quit|left)"), r"\smy\s(?:old\s)?job\s(?:at|with)"),
        (_did(r"resigned"), r"\sfrom"),
        (_being(rf"\san?\s(?P<job>{_FEW})"), r"\s(?:at|for)"),
    ),
    *_rules(
        "works_as",
        _JOB,
        (_verb("work", "working"), r"(?:\s(?:at|for)\s[^,;.]{1,40}?)?\sas(?=\s(?:an?|the)\s)"),
        (_being(r"(?=\san?\s)"), r""),
    ),
    *_rules("name", _NAME, (_being(r"\s(?:called|named)"), r"")),
    *_rules(
        "age",
        _AGE,
        (_being(r"(?=\s\d{1,3}[\s-](?:years?|yrs?)[\s-](?:old|of age)\b)"), r""),
        (_did(r"turned(?=\s\d{1,3}(?!\S*\d)\b)"), r""),
    ),
    *_rules("likes", _TASTE, (_LIKE, r"")),
    *_rules(
        "dislikes",
        _TASTE,
        (_DISLIKE, r""),
        ((rf"{_ADV}\s(?:cannot|can't)", rf"{_ADV}\s(?:cannot|can't)"), r"\sstand"),
    ),
    *_rules("prefers", _CHOICE, (_verb("prefer"), r"")),
    *_rules("allergic_to", _THING, (_being(r"\sallergic"), r"\sto")),
    *_rules(
        "has",
        _THING,
        (_HAVE, _SOME),
        ((rf"{_ADV}{_GOT}", rf"{_ADV}{_GOT}"), _SOME),
        (_verb("own"), r"(?!\s(?:a|an|one|two|three|\d+)\s)"),
    ),
    *_rules(
        "speaks",
        _LANGUAGE,
        (_verb("speak"), r"(?:\s(?:fluent|basic|some|good|a (?:little|bit of)))?"),
    ),
    *_rules("studies", _SUBJECT, (_verb("study", "studying"), r"")),
    *_rules("studies_at", _EMPLOYER, (_verb("study", "studying"), rf"(?:\s{_FEW})??\sat")),
    *_rules("born_in", _ORIGIN, (_did(r"(?:was|were)\sborn(?:\sand\sraised)?"), r"\sin")),
    *_rules("is_from", _PLACE, (_being(r"\sfrom"), r""), (_verb("come"), r"\sfrom")),
    *_rules("left", _ORIGIN, (_did(r"(?:left|quit)"), r"")),
]
_USER: Final = r"(?:the\s)?user"
_MY: Final = rf"(?:my|our|{_USER}'s)"
_LEAD: Final = (
    r"(?:(?:hi|hello|hey|well|so|yes|no|ok|okay|and|but|also|actually|currently|now|anyway|btw|"
    r"by the way|fyi|remember(?: that)?|note(?: that)?|please (?:note|remember)(?: that)?|"
    r"just so you know|for the record|today|these days|nowadays|recently|unfortunately|luckily|"
    r"sadly|originally|then)[,:]?\s){0,3}"
)
_LEADING: Final = re.compile(_LEAD, re.IGNORECASE)
_SPEAKER: Final = re.compile(rf"(?:(?P<own>I|we)|{_USER})(?=['\s])", re.IGNORECASE)
_INHERITS: Final = (
    "live|work|am|is|are|was|like|love|enjoy|hate|dislike|prefer|have|own|speak|study|come|lives|"
    "works|likes|loves|enjoys|hates|dislikes|prefers|has|owns|speaks|studies|comes|moved|left|"
    "quit|do not|don't|does not|doesn't|no longer|used to"
)
# Where the next clause begins: with a subject of its own, or with another verb of the last one.
_CLAUSE: Final = re.compile(
    r"(?:[,;]\s(?:and\s|but\s|so\s)?|\s(?:and|but|because|so|where|while|although|though)\s)"
    r"(?=(?:(?:also|now|currently|still|recently)\s)?"
    rf"(?:(?:I|we|my|our|{_USER})(?:'(?:m|ve|re|d|ll|s))?|{_INHERITS})\s"
    r"|(?-i:[A-Z])[\w-]{1,30}\s(?:(?-i:[A-Z])[\w-]{1,30}\s)?"
    r"(?:lives|works|is|likes|loves|enjoys|hates|has|speaks|studies|moved)\s)",
    re.IGNORECASE,
)
_LIST: Final = re.compile(r"\s*,\s*(?:and\s|or\s)?|\s(?:and|or)\s", re.IGNORECASE)
_ARTICLES: Final = re.compile(
    r"(?:(?:an? little|an? bit of|an?|the|some|any|to|both|all|my|our|lots of|own)\s)+",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"(?P<what>.*\s|)(?P<type>[\w-]+)\s(?:named|called)\s(?P<name>.+)")
_CALLED: Final = re.compile(
    rf"(?:{_MY}\s(?:full\s|first\s|real\s)?name(?:\sis|'s)|"
    r"(?:please\s|just\s|(?:you|people|friends|everyone)\s(?:can\s|may\s|all\s)?)?call\sme)\s",
    re.IGNORECASE,
)
_FAVOURITE: Final = re.compile(
    rf"{_MY}\sfavou?rite\s(?P<what>[\w'-]+(?:\s[\w'-]+){{0,2}}?)\sis\s", re.IGNORECASE
)
_KIND_OF_KIN: Final = (
    r"(?:(?:older|younger|elder|little|big|twin|eldest|oldest|youngest|best|new|good|old|dear)\s)?"
    rf"(?P<kin>{'|'.join(sorted(_KIN, key=len, reverse=True))})"
)
_MY_KIN: Final = re.compile(
    rf"\b{_MY}\s{_KIND_OF_KIN}"
    r"(?P<link>'s\sname\sis|\sis\s(?:called|named)|\s(?:called|named)|\sis|,)?\s(?=\S)",
    re.IGNORECASE,
)
_IS_MY_KIN: Final = re.compile(rf"\sis\s{_MY}\s{_KIND_OF_KIN}\b", re.IGNORECASE)


def _extracted(text: str, speaker: str) -> Extracted:
    facts = [fact for sentence in statements(text) for fact in _facts(sentence, speaker)]
    found = [
        *(entity for fact in facts for entity in fact.entities),
        *_mentions(text),
    ]
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
        or _CONDITIONAL.search(sentence)
    ):
        return
    subject: tuple[str, bool] | None = None
    for clause in _clauses(sentence):
        lead = _LEADING.match(clause)
        start = lead.end() if lead else 0
        named = _subject(clause, start, speaker)
        if named is not None:
            source, own, end = named
            rest = clause[end:]
            if kin := _IS_MY_KIN.match(rest):
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
    for mark in _CLAUSE.finditer(sentence):
        yield sentence[start : mark.start()]
        start = mark.end()
    yield sentence[start:]


def _subject(clause: str, start: int, speaker: str) -> tuple[str, bool, int] | None:
    """Return who a clause is about, whether it says so with "I", and where its verb begins."""
    if said := _SPEAKER.match(clause, start):
        return speaker, bool(said["own"]), said.end()
    if (kin := _MY_KIN.match(clause, start)) and kin["link"] is None:
        # "My wife Ana works at Acme" says two things.
        start = kin.end()
    name = _proper(clause[start : start + _MAX_TARGET])
    return (name, False, start + len(name)) if name else None


def _of_rules(source: str, rest: str, *, own: bool) -> Iterator[Extracted]:
    for rule in _RULES:
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
    """Return what a clause that begins so says, each with whether it says that it has ended."""
    ended = bool(_ENDED.search(head))
    if predicate == "left":
        # Whoever left it neither works nor lives there.
        return {"works_at": True, "lives_in": True}
    if _NO_LONGER.search(head):
        return {predicate: True}
    if (predicate == "likes" and ended) or (predicate == "dislikes" and not ended):
        return {"dislikes": False, "likes": True}
    return {predicate: ended}


def _with_my(clause: str, start: int, speaker: str) -> Iterator[Extracted]:
    """Yield what a clause says with "my"."""
    if called := _CALLED.match(clause, start):
        rest = clause[called.end() : called.end() + _MAX_TARGET]
        name = _proper(rest)
        if not name and clause.islower() and "name" in called.group():
            name = next(_cut(rest, _NAME), "")
        if name:
            yield Extracted((GraphEntity(name, "name"),), (_triple(speaker, "name", name),))
    if favourite := _FAVOURITE.match(clause, start):
        for target in _cut(clause[favourite.end() : favourite.end() + _MAX_TARGET], _CHOICE):
            predicate = predicate_of(f"favourite {favourite['what']}")
            yield Extracted((GraphEntity(target),), (_triple(speaker, predicate, target),))
    for kin in _MY_KIN.finditer(clause):
        rest = clause[kin.end() : kin.end() + _MAX_TARGET]
        name = _proper(rest)
        after = rest[len(name) :]
        if (
            not name
            or (kin["link"] == "," and not re.match(r"\.?\s*$|,", after))
            or (kin["link"] is not None and after.startswith("'s"))
            or (kin["link"] == " is" and name.casefold() in _PEOPLES)
        ):
            continue
        yield _kin(kin, name, speaker)


def _kin(kin: re.Match[str], name: str, speaker: str) -> Extracted:
    word = kin["kin"].lower()
    return Extracted((GraphEntity(name, _KIN[word]),), (_triple(speaker, word, name),))


def _triple(source: str, predicate: str, target: str, ended: bool = False) -> Triple:
    exclusive = predicate in _AT_A_TIME or predicate.startswith("favourite_")
    return Triple(source, predicate, target, exclusive, ended)


def _targets(rest: str, rule: _Rule) -> Iterator[GraphEntity]:
    kind = rule.kind.type
    for target in _cut(rest, rule.kind):
        name = target
        if rule.predicate == "has":
            if named := _NAMED.match(target):
                # "two cats named Milo and Otis": each is a cat.
                kind = named["type"].lower()
                kind = kind.removesuffix("s") if named["what"] else kind
                name = named["name"]
            elif _last_word(target) in _PASSING:
                return
        if rule.predicate in ("left", "name") and not _proper(target):
            return
        yield GraphEntity(name, kind)


def _cut(rest: str, kind: _Kind) -> Iterator[str]:
    """Yield what a text begins with, as far as it can be a target."""
    stop = kind.stop.search(rest)
    whole = rest[: stop.start() if stop else 0]
    parts = _LIST.split(whole) if kind.many else [whole]
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
        article = _ARTICLES.match(" ".join(words))
        target = " ".join(words)[article.end() if article else 0 :]
        if kind.never is _NO_PLACE and target[:1].islower() and words[0].lower() == "the":
            return
        if not 0 < len(target) <= _MAX_TOKEN or target.split()[0].lower() in kind.never:
            return
        yield target


def _is_job(words: str) -> bool:
    return _last_word(words) in _JOBS


def _last_word(words: str) -> str:
    return words.rsplit(" ", 1)[-1].lower()


# Mentions: what stands out in a text of any language.


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
_PEOPLES: Final = _words(
    "african american arab argentinian asian australian austrian belgian brazilian british "
    "buddhist canadian catholic chilean chinese christian colombian croatian cuban czech danish "
    "dutch "
    "egyptian english european filipino finnish french german greek hindu hungarian icelandic "
    "indian indonesian iranian irish israeli italian japanese jewish kenyan korean latvian "
    "lebanese lithuanian mexican moroccan muslim nigerian norwegian pakistani persian peruvian "
    "polish "
    "portuguese protestant romanian russian scottish serbian slovak spanish swedish swiss syrian "
    "thai turkish ukrainian vegan vegetarian vietnamese welsh"
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


def _mentions(text: str) -> Iterator[GraphEntity]:
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
        if len(value) <= _MAX_TOKEN:
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
        """Yield the name that ends before something that is no word, if one does."""
        self._last = end
        return self.close()

    def close(self) -> Iterator[GraphEntity]:
        """Yield the name that ends here, if one does."""
        count, self._count = self._count, 0
        name = self._text[self._start : self._end]
        alone = count == 1 and (self._opens or self._german or len(name) == 1)
        if count and not alone and not self._none and len(name) <= _MAX_TOKEN:
            yield GraphEntity(name)


def _is_name(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and word.lower() not in _ORDINARY


def _proper(text: str) -> str:
    """Return the name that a text begins with, or an empty text."""
    end = 0
    for _ in range(_MAX_NAME_WORDS):
        word = _NAME_WORD.match(text, end + 1 if text[end : end + 1] == " " and end else end)
        if word is None or (end and word.start() == end) or not _is_name(word.group()):
            break
        end = word.end()
    return text[:end]
