"""Which times a text speaks of: English, pure, without a model, in linear time.

Days, weeks (from Monday), months, quarters and years are those of the calendar where `now` is. X
is any of these times, in any case:

```text
2023-05-07, 2023-05, 2023-05-07T10:30Z     the day, the month, the minute
7 May 2023, 7th of May, May 7th, 3-7 May   the days; without a year the latest that have begun
May 2023, summer 2022, winter of 2022      the month, the season (northern, from December on)
in May, in 2022                            after a preposition only; the latest May that has begun
today, yesterday, tonight, last night      the day; from 18:00 to 06:00
this morning, afternoon, evening           from 00:00, 12:00, 18:00
this, last week, weekend, quarter ...      that of now, the one before; also "past", "previous"
this, last May or summer                   this year's, the latest that has ended
on, this, last Monday                      the latest before today
two weeks ago                              as wide as the unit, around that day
two weeks before X, the day after X        the same, reckoned from the start of X
in the last two weeks, in the past month   up to now
since X, after X                           up to now from its start, from its end
before X, until X                          up to its start
between X and X, from X to X, X - X        from the start of one to the end of the other
```

In lower case, "may", "march" and "august" are months only as in "may 2023", "may 7th", "on may 7".
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from mem0_integrations.errors import InvalidInputError

__all__ = ["spans_of"]

_Span = tuple[datetime, datetime]
# The groups of a match: an empty string for one that took no part.
_Said = dict[str, str]


def spans_of(text: str, now: datetime) -> list[_Span]:
    """Return the spans of time that a text names, each from its start up to its end (exclusive).

    Args:
        text: Of any length; the time is linear in it. A date that does not exist names nothing.
        now: What "today" is, in the time zone whose days are meant.

    Returns:
        Aware UTC, in the order of the text, without repetitions. What has no beginning starts at
        `datetime.min`.

    Raises:
        InvalidInputError: `now` has no time zone.

    Example:
        >>> now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        >>> [(start, end)] = spans_of("What did I paint in May?", now)
        >>> print(start.date(), end.date())
        2026-05-01 2026-06-01
    """
    if now.utcoffset() is None:
        raise InvalidInputError("now must have a time zone, such as datetime.now(UTC).")
    # Both of one length: "İ" alone is longer in lower case.
    text = " ".join(text.split()).replace("İ", "I")
    lowered = text.lower()
    if not any(trigger in lowered for trigger in _TRIGGERS):
        return []
    found: list[_Span] = []
    before: _Said = {}
    end_before = 0
    for match in _TIME.finditer(lowered):
        said = _said(match, text, text[end_before : match.start()] if before else None)
        between = said["joint"] == "and" and before["lead"] == "between"
        is_range = between or said["joint"] in _UP_TO
        try:
            start, end = _range(before, said, now) if is_range else _placed(said, now)
            span = start.astimezone(UTC), end.astimezone(UTC)
        except (ValueError, OverflowError):
            before = {}
            continue
        if is_range:
            found.pop()
        found.append(span)
        before, end_before = said, match.end()
    # Empty are what is "since" a time to come, and a day that a time zone left out.
    return list(dict.fromkeys((start, end) for start, end in found if start < end))


def _said(match: re.Match[str], text: str, gap: str | None) -> _Said:
    """Return the groups, and what else tells whether and how a time is meant."""
    said = match.groupdict("") | {"rule": match.lastgroup or "", "joint": "", "capital": ""}
    gap = "?" if gap is None else gap.strip(" ,")
    if gap in _DASHES and not said["lead"]:
        said["lead"], gap = gap, ""
    if not gap:
        said["joint"] = said["lead"]
    elif said["lead"] in _JOINING:
        said["lead"] = ""
    if said["month"] and text[match.start("month")].isupper():
        said["capital"] = "yes"
    said["placed"] = said["lead"] if said["lead"] not in {"on", "over", "within"} else ""
    return said


def _range(first: _Said, last: _Said, now: datetime) -> _Span:
    one, other = _read(first, now), _read(last, now)
    # The one without a year is near the other.
    if last["month"] and not last["year"]:
        other = _read(last, _moved(one[0], 1, "year") - timedelta(days=1))
    elif first["month"] and not first["year"]:
        one = _read(first, other[1] - timedelta(days=1))
    return min(one[0], other[0]), max(one[1], other[1])


def _placed(said: _Said, now: datetime) -> _Span:
    """Return the span that is meant with the preposition."""
    lead, unit = said["lead"], said["offset_unit"]
    start, end = _read(said, now)
    if unit:
        count = _number(said["offset"])
        return _around(_moved(start, -count if lead == "before" else count, unit), unit)
    if lead in {"before", "until", "till"}:
        return datetime.min.replace(tzinfo=UTC), start
    if lead in {"since", "after"}:
        return (start if lead == "since" else end), now
    return start, end


def _read(said: _Said, now: datetime) -> _Span:
    read, needed, _ = _RULES[said["rule"]]
    if needed and not any(said[group] for group in needed):
        raise ValueError("A number or a word like that of a time.")
    return read(said, now)


# The calendar.


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _moved(moment: datetime, count: int, unit: str) -> datetime:
    if unit not in _MONTHS_IN:
        return moment + timedelta(days=count * _DAYS_IN[unit])
    months = moment.year * 12 + moment.month - 1 + count * _MONTHS_IN[unit]
    year, month = months // 12, months % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def _one(unit: str, start: datetime) -> _Span:
    return start, _moved(start, 1, unit)


def _around(moment: datetime, unit: str) -> _Span:
    start = _midnight(moment) - timedelta(days=_DAYS_IN[unit] // 2)
    return start, start + timedelta(days=_DAYS_IN[unit])


def _latest(of_year: Callable[[int], _Span], which: str, now: datetime) -> _Span:
    """Return this year's, the latest that has ended, or the latest that has begun."""
    if which == "this":
        # A winter goes on in the next year.
        running = of_year(now.year - 1)
        return running if now < running[1] else of_year(now.year)
    # The 29th of February may be eight years away.
    for year in range(now.year, now.year - 9, -1):
        try:
            start, end = of_year(year)
        except ValueError:
            continue
        if (end if which else start) <= now:
            return start, end
    raise ValueError("No year has such a day.")


def _number(word: str) -> int:
    return _NUMBERS.get(word) or int(word)


# How each rule is read. A ValueError says that there is no such time.


def _iso(said: _Said, now: datetime) -> _Span:
    if not said["iso_day"]:
        return _one("month", datetime.fromisoformat(f"{said['iso']}-01").replace(tzinfo=now.tzinfo))
    moment = datetime.fromisoformat(said["iso"].upper())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    if not said["iso_time"]:
        return _one("day", moment)
    start = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return start.astimezone(now.tzinfo), (start + timedelta(minutes=1)).astimezone(now.tzinfo)


def _date(said: _Said, now: datetime) -> _Span:
    day, which, year = said["day"] or said["day_after"], said["which"], said["year"]
    is_month = said["capital"] or said["month"] not in _WORDS or said["th"] or said["th_after"]
    placed = said["lead"] if day else which or said["placed"]
    if not (year or (day and placed) or (is_month and (day or placed))):
        raise ValueError("A word like that of a month.")

    def of_year(year: int) -> _Span:
        month = _MONTHS.index(said["month"][:3]) // 4 + 1
        start = datetime(year, month, int(day or 1), tzinfo=now.tzinfo)
        last = start.replace(day=int(said["to_day"] or said["to_day_after"] or start.day))
        return (start, _one("day", last)[1]) if day else _one("month", start)

    return of_year(int(year)) if year else _latest(of_year, "" if day else which, now)


def _season(said: _Said, now: datetime) -> _Span:
    def of_year(year: int) -> _Span:
        start = datetime(year, _SEASONS[said["season_name"]], 1, tzinfo=now.tzinfo)
        return start, _moved(start, 3, "month")

    year = said["season_year"]
    return of_year(int(year)) if year else _latest(of_year, said["which"], now)


def _weekday(said: _Said, now: datetime) -> _Span:
    days = (now.weekday() - _WEEKDAYS.index(said["weekday"][:3]) // 4 - 1) % 7 + 1
    return _one("day", _midnight(now) - timedelta(days=days))


def _calendar(said: _Said, now: datetime) -> _Span:
    unit, which, today = said["calendar"], said["which"], _midnight(now)
    if said["the"] and which in {"last", "past"} and said["lead"] in _DURING and unit in _DAYS_IN:
        return _moved(today, -1, unit), now
    whole = unit if unit in _MONTHS_IN else "week"
    if whole == "week":
        start = today - timedelta(days=today.weekday())
    else:
        start = today.replace(month=today.month - (today.month - 1) % _MONTHS_IN[unit], day=1)
    start, end = _one(whole, start if which == "this" else _moved(start, -1, whole))
    return (start + timedelta(days=5) if unit == "weekend" else start), end


def _hours(said: _Said, now: datetime) -> _Span:
    start, end = _HOURS[said["hours"]]
    return _midnight(now) + timedelta(hours=start), _midnight(now) + timedelta(hours=end)


def _count(said: _Said, now: datetime) -> _Span:
    then = _moved(now, -_number(said["number"]), said["unit"])
    return _around(then, said["unit"]) if said["ago"] else (_midnight(then), now)


def _year(said: _Said, now: datetime) -> _Span:
    return _one("year", datetime(int(said["bare_year"]), 1, 1, tzinfo=now.tzinfo))


# How each rule is written: in lower case, with single spaces.

_DASHES: Final = frozenset("-–—")
_JOINING: Final = frozenset({"and", "or", "to"})
_UP_TO: Final = _DASHES | {"to", "until", "till", "through"}
_DURING: Final = frozenset({"in", "during", "over", "within"})
_WORDS: Final = frozenset({"may", "mar", "march", "august"})

_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec"
_WEEKDAYS: Final = "mon tue wed thu fri sat sun"
_SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_HOURS: Final = {"today": (0, 24), "yesterday": (-24, 0), "tonight": (18, 30), "night": (-6, 6)} | {
    "morning": (0, 12),
    "afternoon": (12, 18),
    "evening": (18, 24),
}
_DAYS_IN: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
_MONTHS_IN: Final = {"month": 1, "quarter": 3, "year": 12}
_TO_TWELVE: Final = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS: Final = {word: number for number, word in enumerate(_TO_TWELVE.split(), start=1)} | (
    {"a couple": 2, "couple": 2, "a few": 3, "few": 3, "a": 1, "an": 1, "the": 1}
)


def _any(words: Iterable[str]) -> str:
    """Return a pattern for these words that fails early: their first letters are tried first."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    groups = (f"{first}(?:{'|'.join(rest)})" for first, rest in rests.items())
    return f"(?:{'|'.join(groups)})"


_MONTH: Final = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    "sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY: Final = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DAY: Final = "3[01]|[12][0-9]|0?[1-9]"
_TH: Final = "(?:st|nd|rd|th)"
_OF_YEAR: Final = "(?:,? (?:of )?(?P<%s>[12][0-9]{3}))?"
_COUNTED: Final = f"(?P<%s>[0-9]{{1,4}}|{_any(_NUMBERS)})(?: of)? (?P<%s>{_any(_DAYS_IN)})s?"
# By the name of the group that matches as a whole: how it is read, the groups of which it needs
# one, the pattern.
_RULES: Final[dict[str, tuple[Callable[[_Said, datetime], _Span], tuple[str, ...], str]]] = {
    "iso": (
        _iso,
        (),
        "[0-9]{4}-[0-9]{2}(?P<iso_day>-[0-9]{2}(?P<iso_time>[t ][0-9]{2}:[0-9]{2}"
        r"(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:z|[+-][0-9]{2}:?[0-9]{2})?)?)?",
    ),
    "date": (
        _date,
        (),
        rf"(?:{_WEEKDAY},? )?(?:the )?(?:(?P<day>{_DAY})(?P<th>{_TH})?"
        rf"(?: ?(?:[-–]|to|and) ?(?P<to_day>{_DAY}){_TH}?)? (?:of )?)?(?P<month>{_MONTH})\b\.?"
        rf"(?: (?:the )?(?P<day_after>{_DAY})(?P<th_after>{_TH})?"
        rf"(?: ?(?:[-–]|to) ?(?P<to_day_after>{_DAY}){_TH}?)?(?!\w))?{_OF_YEAR % 'year'}",
    ),
    "season": (
        _season,
        ("season_year", "which"),
        f"(?P<season_name>{'|'.join(_SEASONS)}){_OF_YEAR % 'season_year'}",
    ),
    "weekday": (_weekday, ("lead", "which"), _WEEKDAY),
    "calendar": (_calendar, ("which",), r"(?:week(?:end)?|month|quarter|year)(?! of\b)"),
    "hours": (
        _hours,
        (),
        "today|yesterday|tonight|(?<=last )night|(?<=this )(?:morning|afternoon|evening)",
    ),
    "count": (_count, ("ago", "which"), f"{_COUNTED % ('number', 'unit')}(?P<ago> ago)?"),
    "bare_year": (_year, ("placed",), "(?:19|20)[0-9]{2}"),
}
_STEMS: Final = (*_MONTHS.split(), *_SEASONS, *_HOURS, "week", "month", "quarter", "year")
_TRIGGERS: Final = (*"0123456789", *_STEMS, "day")
_TIME: Final = re.compile(
    r"(?<![\w/-])(?<![0-9][.,])"
    rf"(?:(?:{_COUNTED % ('offset', 'offset_unit')} (?=before|after))?+"
    r"(?P<lead>in|on|during|since|before|until|till|after|from|between|by|of|over|within|"
    r"through|throughout|and|or|to) )?+"
    r"(?P<the>the )?+(?:(?:early|late|mid|year)[ -])?+"
    r"(?:this (?=last|past|previous))?+(?:(?P<which>last|past|previous|this) )?+"
    rf"(?=[0-9]|{_any([*_STEMS, *_WEEKDAYS.split(), *_NUMBERS])})"
    rf"(?:{'|'.join(f'(?P<{name}>{pattern})' for name, (*_, pattern) in _RULES.items())})"
    r"(?![\w/%]|-\w|[.,:][0-9])"
)
