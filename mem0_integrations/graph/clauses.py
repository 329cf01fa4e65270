"""How an English clause says a fact: what follows "I", a name, "my wife" and the like. Pure.

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

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from mem0_integrations.graph.model import EXCLUSIVE


class Kind(NamedTuple):
    """What a target can be: where it ends, what never begins it, whether there may be many."""

    type: str
    stop: re.Pattern[str]
    never: frozenset[str] = frozenset()
    many: bool = False


class Rule(NamedTuple):
    """A predicate, and its patterns after "I" and after a name; the target follows them."""

    predicate: str
    own: re.Pattern[str]
    others: re.Pattern[str]
    kind: Kind


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ADVERBS: Final = (
    "really|also|still|just|now|currently|actually|absolutely|especially|truly|always|usually|"
    "recently|both|do|finally|mostly|mainly|all|so|very|quite|honestly|definitely|particularly|"
    "only|severely|originally|happily|have|has|highly"
)
_ADV: Final = rf"(?:\s(?:{_ADVERBS})|'ve){{0,3}}"
ENDED: Final = re.compile(
    r"\b(?:not|no longer|used to|left|quit|resigned)\b|(?<!ca)n't\b|"
    r"\bmoved\s(?:away\s|out\s)?(?:from|of)\s\Z",
    re.IGNORECASE,
)
NO_LONGER: Final = re.compile(r"\b(?:no longer|used to)\b", re.IGNORECASE)
CONDITIONAL: Final = re.compile(
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
NO_PLACE: Final = _VAGUE | _words(
    "a an my our his their your fear peace harmony town home work school"
)
_PLACE: Final = Kind("place", _ONE, NO_PLACE)
_ORIGIN: Final = Kind("", _ONE, NO_PLACE)
_EMPLOYER: Final = Kind(
    "organization",
    _ONE,
    _VAGUE
    | _words(
        "my our his their your home night nights day days noon myself free money fun least all "
        "once times now living hours both weekends work school half full part"
    ),
)
_JOB: Final = Kind("job", _stop(f"{_NEAR}|based|living|working", ","), _VAGUE)
NAME: Final = Kind("name", _ONE, _VAGUE)
_AGE: Final = Kind("age", re.compile(r"\D|$"))
_TASTE: Final = Kind("", _MANY, _VAGUE | _words("my our your his their think way"), many=True)
CHOICE: Final = Kind("", _CHOSEN, _VAGUE)
_THING: Final = Kind("", _THINGS, _VAGUE, many=True)
_LANGUAGE: Final = Kind(
    "language", _THINGS, _VAGUE | _words("to with for about too up at only on"), many=True
)
_SUBJECT: Final = Kind("", _ONE, _VAGUE | _words("hard abroad at in for on"))

# What "I have" is no lasting fact about, and jobs: the last word of the target.
PASSING: Final = _words(
    "question questions problem problems issue issues idea ideas doubt request feeling look lot "
    "few bit chance minute moment time times meeting complaint concern suggestion point plan "
    "headache cold fever day week reason cough call hunch couple thing appointment delivery coming "
    "arriving"
)
JOBS: Final = _words(
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
KIN: Final = {
    **dict.fromkeys(
        _words(
            "wife husband spouse partner girlfriend boyfriend fiancé fiancée fiance fiancee mother "
            "mum mom mam father dad brother sister son daughter child grandmother grandfather "
            "grandma grandpa grandson granddaughter aunt uncle cousin niece nephew mother-in-law "
            "father-in-law brother-in-law sister-in-law stepmother stepfather friend roommate "
            "flatmate neighbour neighbor colleague coworker co-worker boss manager teacher doctor "
            "dentist therapist lawyer landlord landlady assistant mentor coach"
        ),
        "person",
    ),
    **{pet: pet for pet in _words("dog cat horse puppy kitten rabbit parrot hamster")},
}
ONE_AT_A_TIME: Final = EXCLUSIVE | {"husband", "spouse", "wife"}


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


def _rules(predicate: str, kind: Kind, *heads: tuple[tuple[str, str], str]) -> Iterator[Rule]:
    for (own, others), tail in heads:
        yield Rule(
            predicate,
            re.compile(rf"{own}{tail}\s", re.IGNORECASE),
            re.compile(rf"{others}{tail}\s", re.IGNORECASE),
            kind,
        )


_FEW: Final = r"[\w' -]{2,40}?"
_GOT: Final = r"(?:'ve|\shave|\shas)\sgot"
_SOME: Final = r"(?=\s(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,3})\s)"
RULES: Final = [
    *_rules(
        "lives_in",
        _PLACE,
        (_verb("live|reside", "living|residing"), r"\sin(?:\san?\s(?:[\w-]+\s){1,3}?in)?"),
        (_being(rf"(?:\san?\s{_FEW})?\sbased"), r"\sin"),
        (_did(r"(?:moved|relocated)"), r"(?:\sfrom\s[^,;.]{2,40}?)?(?:\s(?:back|over|away))?\sto"),
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
    *_rules("name", NAME, (_being(r"\s(?:called|named)"), r"")),
    *_rules(
        "age",
        _AGE,
        (_being(r"(?=\s\d{1,3}[\s-](?:years?|yrs?)[\s-](?:old|of age)\b)"), r""),
        (_did(r"turned(?=\s\d{1,3}(?!\S*\d)\b)"), r""),
    ),
    *_rules("likes", _TASTE, (_verb("like|love|enjoy|adore"), r"")),
    *_rules(
        "dislikes",
        _TASTE,
        (_verb("dislike|hate|detest|loathe"), r""),
        (_did(r"(?:cannot|can't)"), r"\sstand"),
    ),
    *_rules("prefers", CHOICE, (_verb("prefer"), r"")),
    *_rules("allergic_to", _THING, (_being(r"\sallergic"), r"\sto")),
    *_rules(
        "has",
        _THING,
        (_verb("have|own"), _SOME),
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
LEADING: Final = re.compile(_LEAD, re.IGNORECASE)
SPEAKER: Final = re.compile(rf"(?:(?P<own>I|we)|{_USER})(?=['\s])", re.IGNORECASE)
_INHERITS: Final = (
    "live|work|am|is|are|was|like|love|enjoy|hate|dislike|prefer|have|own|speak|study|come|lives|"
    "works|likes|loves|enjoys|hates|dislikes|prefers|has|owns|speaks|studies|comes|moved|left|"
    "quit|do not|don't|does not|doesn't|no longer|used to"
)
# Where the next clause begins: with a subject of its own, or with another verb of the last one.
CLAUSE: Final = re.compile(
    r"(?:[,;]\s(?:and\s|but\s|so\s)?|\s(?:and|but|because|so|where|while|although|though)\s)"
    r"(?=(?:(?:also|now|currently|still|recently)\s)?"
    rf"(?:(?:I|we|my|our|{_USER})(?:'(?:m|ve|re|d|ll|s))?|{_INHERITS})\s"
    r"|(?-i:[A-Z])[\w-]{1,30}\s(?:(?-i:[A-Z])[\w-]{1,30}\s)?"
    r"(?:lives|works|is|likes|loves|enjoys|hates|has|speaks|studies|moved)\s)",
    re.IGNORECASE,
)
LIST: Final = re.compile(r"\s*,\s*(?:and\s|or\s)?|\s(?:and|or)\s", re.IGNORECASE)
ARTICLES: Final = re.compile(
    r"(?:(?:an? little|an? bit of|an?|the|some|any|to|both|all|my|our|lots of|own)\s)+",
    re.IGNORECASE,
)
NAMED: Final = re.compile(r"(?P<what>.*\s|)(?P<type>[\w-]+)\s(?:named|called)\s(?P<name>.+)")
CALLED: Final = re.compile(
    rf"(?:{_MY}\s(?:full\s|first\s|real\s)?name(?:\sis|'s)|"
    r"(?:please\s|just\s|(?:you|people|friends|everyone)\s(?:can\s|may\s|all\s)?)?call\sme)\s",
    re.IGNORECASE,
)
FAVOURITE: Final = re.compile(
    rf"{_MY}\sfavou?rite\s(?P<what>[\w'-]+(?:\s[\w'-]+){{0,2}}?)\sis\s", re.IGNORECASE
)
_KIND_OF_KIN: Final = (
    r"(?:(?:older|younger|elder|little|big|twin|eldest|oldest|youngest|best|new|good|old|dear)\s)?"
    rf"(?P<kin>{'|'.join(sorted(KIN, key=len, reverse=True))})"
)
MY_KIN: Final = re.compile(
    rf"\b{_MY}\s{_KIND_OF_KIN}"
    r"(?P<link>'s\sname\sis|\sis\s(?:called|named)|\s(?:called|named)|\sis|,)?\s(?=\S)",
    re.IGNORECASE,
)
IS_MY_KIN: Final = re.compile(rf"\sis\s{_MY}\s{_KIND_OF_KIN}\b", re.IGNORECASE)
