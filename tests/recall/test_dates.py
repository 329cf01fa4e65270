from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.recall.dates import spans_of

# A Friday.
NOW = datetime(2023, 11, 24, 15, 30, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")
NEVER = datetime.min.replace(tzinfo=UTC)


def named(text: str, now: datetime = NOW) -> list[str]:
    """Return spans as the tables write them: what is a whole day has no time."""
    return [f"{_shown(start)} {_shown(end)}".strip() for start, end in spans_of(text, now)]


def _shown(moment: datetime) -> str:
    if moment == NEVER:
        return "..."
    return moment.strftime("%Y-%m-%d" if moment.time() == NEVER.time() else "%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Dates.
        ("What happened on 2023-05-07?", "2023-05-07 2023-05-08"),
        ("2023-05", "2023-05-01 2023-06-01"),
        ("2023-12", "2023-12-01 2024-01-01"),
        ("at 2023-05-07T10:30", "2023-05-07T10:30 2023-05-07T10:31"),
        ("at 2023-05-07T10:30:15Z", "2023-05-07T10:30 2023-05-07T10:31"),
        ("at 2023-05-07 10:30:15.5+02:00", "2023-05-07T08:30 2023-05-07T08:31"),
        ("7 May 2023", "2023-05-07 2023-05-08"),
        ("on the 7th of May, 2023", "2023-05-07 2023-05-08"),
        ("May 7, 2023", "2023-05-07 2023-05-08"),
        ("May the 7th, 2023", "2023-05-07 2023-05-08"),
        ("on Sunday, 7 May 2023", "2023-05-07 2023-05-08"),
        ("MAY 7TH 2023", "2023-05-07 2023-05-08"),
        ("7 may 2023", "2023-05-07 2023-05-08"),
        ("Sept. 3, 2023", "2023-09-03 2023-09-04"),
        ("29 February 2024", "2024-02-29 2024-03-01"),
        ("(1 Feb 2023)", "2023-02-01 2023-02-02"),
        ("Where was I on 7 May 2023, and why?", "2023-05-07 2023-05-08"),
        ("3-7 May 2023", "2023-05-03 2023-05-08"),
        ("May 3–7, 2023", "2023-05-03 2023-05-08"),
        # Without a year: the latest that has begun.
        ("May 7th", "2023-05-07 2023-05-08"),
        ("24 November", "2023-11-24 2023-11-25"),
        ("25 November", "2022-11-25 2022-11-26"),
        ("the 29th of February", "2020-02-29 2020-03-01"),
        ("on may 7", "2023-05-07 2023-05-08"),
        ("may 7th", "2023-05-07 2023-05-08"),
        # Months, years and seasons.
        ("May 2023", "2023-05-01 2023-06-01"),
        ("may, 2023", "2023-05-01 2023-06-01"),
        ("in May of 2022", "2022-05-01 2022-06-01"),
        ("in May", "2023-05-01 2023-06-01"),
        ("in november", "2023-11-01 2023-12-01"),
        ("İn May, İstanbul, in May", "2023-05-01 2023-06-01"),
        ("in December", "2022-12-01 2023-01-01"),
        ("the end of March", "2023-03-01 2023-04-01"),
        ("by August", "2023-08-01 2023-09-01"),
        ("last May", "2023-05-01 2023-06-01"),
        ("last November", "2022-11-01 2022-12-01"),
        ("this May", "2023-05-01 2023-06-01"),
        ("this December", "2023-12-01 2024-01-01"),
        ("in May and June", "2023-05-01 2023-06-01, 2023-06-01 2023-07-01"),
        ("the last week of May 2023", "2023-05-01 2023-06-01"),
        ("in 2022", "2022-01-01 2023-01-01"),
        ("during 2022", "2022-01-01 2023-01-01"),
        ("in early 2022", "2022-01-01 2023-01-01"),
        ("in the year 2022", "2022-01-01 2023-01-01"),
        ("What were 700 kroner in 2022 dollars?", "2022-01-01 2023-01-01"),
        ("summer 2022", "2022-06-01 2022-09-01"),
        ("in the summer of 2022", "2022-06-01 2022-09-01"),
        ("fall 2022", "2022-09-01 2022-12-01"),
        ("winter 2022", "2022-12-01 2023-03-01"),
        ("last summer", "2023-06-01 2023-09-01"),
        ("last autumn", "2022-09-01 2022-12-01"),
        ("this spring", "2023-03-01 2023-06-01"),
        # Relative to now.
        ("today", "2023-11-24 2023-11-25"),
        ("Yesterday's dinner", "2023-11-23 2023-11-24"),
        ("the day before yesterday", "2023-11-22 2023-11-23"),
        ("tonight", "2023-11-24T18:00 2023-11-25T06:00"),
        ("last night", "2023-11-23T18:00 2023-11-24T06:00"),
        ("this morning", "2023-11-24 2023-11-24T12:00"),
        ("this evening", "2023-11-24T18:00 2023-11-25"),
        ("this week", "2023-11-20 2023-11-27"),
        ("last week", "2023-11-13 2023-11-20"),
        ("the previous week", "2023-11-13 2023-11-20"),
        ("this past week", "2023-11-13 2023-11-20"),
        ("this weekend", "2023-11-25 2023-11-27"),
        ("last weekend", "2023-11-18 2023-11-20"),
        ("this month", "2023-11-01 2023-12-01"),
        ("past month", "2023-10-01 2023-11-01"),
        ("this quarter", "2023-10-01 2024-01-01"),
        ("last quarter", "2023-07-01 2023-10-01"),
        ("this year", "2023-01-01 2024-01-01"),
        ("LAST  YEAR?", "2022-01-01 2023-01-01"),
        ("last Monday", "2023-11-20 2023-11-21"),
        ("this Thursday", "2023-11-23 2023-11-24"),
        ("on Friday", "2023-11-17 2023-11-18"),
        ("on saturday morning", "2023-11-18 2023-11-19"),
        # Counted: as wide as the unit, around that day.
        ("3 days ago", "2023-11-21 2023-11-22"),
        ("a day ago", "2023-11-23 2023-11-24"),
        ("twelve days ago", "2023-11-12 2023-11-13"),
        ("a week ago", "2023-11-14 2023-11-21"),
        ("a couple of weeks ago", "2023-11-07 2023-11-14"),
        ("a few weeks ago", "2023-10-31 2023-11-07"),
        ("one month ago", "2023-10-09 2023-11-08"),
        ("9 months ago", "2023-02-09 2023-03-11"),
        ("Where did I move from 4 years ago?", "2019-05-26 2020-05-25"),
        ("in the last 3 days", "2023-11-21 2023-11-24T15:30"),
        ("over the past two weeks", "2023-11-10 2023-11-24T15:30"),
        ("in the last few months", "2023-08-24 2023-11-24T15:30"),
        ("in the past year", "2022-11-24 2023-11-24T15:30"),
        ("two weeks before August 11, 2023", "2023-07-25 2023-08-01"),
        ("the day after 7 May 2023", "2023-05-08 2023-05-09"),
        # Open, and between.
        ("since March 2023", "2023-03-01 2023-11-24T15:30"),
        ("since last May", "2023-05-01 2023-11-24T15:30"),
        ("since Sunday, 7 May 2023", "2023-05-07 2023-11-24T15:30"),
        ("since 2022", "2022-01-01 2023-11-24T15:30"),
        ("since two weeks ago", "2023-11-07 2023-11-24T15:30"),
        ("after March 2023", "2023-04-01 2023-11-24T15:30"),
        ("before June 2023", "... 2023-06-01"),
        ("until yesterday", "... 2023-11-23"),
        ("between 3 May 2023 and 7 May 2023", "2023-05-03 2023-05-08"),
        ("between 3 and 7 May 2023", "2023-05-03 2023-05-08"),
        ("between May 3 and May 7, 2022", "2022-05-03 2022-05-08"),
        ("between December and February", "2022-12-01 2023-03-01"),
        ("from 2020 to 2022", "2020-01-01 2023-01-01"),
        ("from May until July", "2023-05-01 2023-08-01"),
        ("from last week to yesterday", "2023-11-13 2023-11-24"),
        ("from 7 May 2023 to 3 May 2023", "2023-05-03 2023-05-08"),
        ("2023-05-07 - 2023-05-09", "2023-05-07 2023-05-10"),
        # Several.
        ("7 May 2023 or 2022-05?", "2023-05-07 2023-05-08, 2022-05-01 2022-06-01"),
        ("today, yesterday, TODAY", "2023-11-24 2023-11-25, 2023-11-23 2023-11-24"),
    ],
)
def test_a_time_is_understood(text: str, expected: str) -> None:
    """A question about a time asks for what was said then."""
    assert named(text) == expected.split(", ")


@pytest.mark.parametrize(
    "text",
    [
        # Words.
        "May I ask, and may we march on?",
        "This may be in march order, by august company.",
        "It may 2 times be right; you may 7 say.",
        "Summer and fall, spring and winter, Monday and morning.",
        "April told June about Tom and May.",
        "on Fridays, every week, next month, many days, the week",
        "Where is my todays-special?",
        # Numbers.
        "order 2023-4411",
        "version 1.2023",
        "version 1.2023-05",
        "2022 dollars, $2022, room 2023",
        "ticket A-2023-05-07",
        "https://example.com/2023-05-07/page",
        "2023-05-07-11",
        "1.5 years ago",
        "12345 days ago",
        "3 days",
        "in 1500 words, over 2022 of them",
        "up 2022%",
        "in ٢٠٢٢, ٣ days ago, 2023-٤",
        # No such day.
        "31 February",
        "February 30, 2023",
        "on 29 February 2023",
        "2023-02-31",
        "2023-13",
        "0000-01-01",
        "2023-05-07T25:00",
        "9999 years ago",
        "in the last 9999 years",
        "since 9999-12-31",
        # Not yet.
        "since 2024",
        "",
    ],
)
def test_what_is_no_time_is_left_alone(text: str) -> None:
    """A time that nobody spoke of would hide what was asked for."""
    assert named(text) == []


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        # "Last" has ended, "this" may go on or be to come.
        ("last summer", datetime(2023, 7, 1, tzinfo=UTC), "2022-06-01 2022-09-01"),
        ("this summer", datetime(2023, 2, 1, tzinfo=UTC), "2023-06-01 2023-09-01"),
        ("last winter", datetime(2023, 1, 5, tzinfo=UTC), "2021-12-01 2022-03-01"),
        ("this winter", datetime(2023, 1, 5, tzinfo=UTC), "2022-12-01 2023-03-01"),
        ("in May", datetime(2023, 5, 1, tzinfo=UTC), "2023-05-01 2023-06-01"),
        ("last May", datetime(2023, 5, 9, tzinfo=UTC), "2022-05-01 2022-06-01"),
        # The ends of months and weeks.
        ("a month ago", datetime(2023, 3, 31, tzinfo=UTC), "2023-02-13 2023-03-15"),
        ("last week", datetime(2023, 1, 1, tzinfo=UTC), "2022-12-19 2022-12-26"),
        ("last weekend", datetime(2023, 1, 1, tzinfo=UTC), "2022-12-24 2022-12-26"),
        ("this weekend", datetime(2023, 1, 1, tzinfo=UTC), "2022-12-31 2023-01-02"),
        ("last quarter", datetime(2023, 1, 1, tzinfo=UTC), "2022-10-01 2023-01-01"),
        # From and to share a year, over New Year as well.
        ("from May to July", datetime(2023, 6, 1, tzinfo=UTC), "2023-05-01 2023-08-01"),
        ("from December to February", datetime(2023, 1, 15, tzinfo=UTC), "2022-12-01 2023-03-01"),
        # Days begin at midnight where `now` is, the first one of two; some have 23 hours.
        (
            "yesterday",
            datetime(2023, 11, 24, 0, 30, tzinfo=OSLO),
            "2023-11-22T23:00 2023-11-23T23:00",
        ),
        ("26 March 2023", datetime(2023, 6, 1, tzinfo=OSLO), "2023-03-25T23:00 2023-03-26T22:00"),
        (
            "this month",
            datetime(2026, 11, 1, 0, 30, fold=1, tzinfo=ZoneInfo("America/Havana")),
            "2026-11-01T04:00 2026-12-01T05:00",
        ),
        (
            "2023-05-07T10:30",
            datetime(2023, 6, 1, tzinfo=OSLO),
            "2023-05-07T08:30 2023-05-07T08:31",
        ),
        (
            "2023-10-29T01:30Z",
            datetime(2023, 11, 1, tzinfo=OSLO),
            "2023-10-29T01:30 2023-10-29T01:31",
        ),
        ("since today", datetime(2023, 6, 1, 12, tzinfo=OSLO), "2023-05-31T22:00 2023-06-01T10:00"),
        (
            "in 2022",
            datetime(2023, 6, 1, tzinfo=timezone(timedelta(hours=-5))),
            "2022-01-01T05:00 2023-01-01T05:00",
        ),
    ],
)
def test_a_time_is_relative_to_now(text: str, now: datetime, expected: str) -> None:
    """The user's yesterday is not the server's."""
    assert named(text, now) == [expected]


def test_a_day_that_a_time_zone_left_out_names_nothing() -> None:
    """Samoa went over the date line: no time passed."""
    now = datetime(2012, 1, 1, tzinfo=ZoneInfo("Pacific/Apia"))
    assert named("on 30 December 2011", now) == []
    assert len(named("on 31 December 2011", now)) == 1


@pytest.mark.parametrize("offset", [-14, 14])
@pytest.mark.parametrize("now", [datetime.min, datetime.max])
def test_the_ends_of_time_are_no_error(now: datetime, offset: int) -> None:
    """A clock that was never set is no reason to fail."""
    for text in ("yesterday", "this week", "in December", "this winter", "a year ago", "since May"):
        spans_of(text, now.replace(tzinfo=timezone(timedelta(hours=offset))))


def test_now_needs_a_time_zone() -> None:
    """A guessed one would move every day."""
    with pytest.raises(InvalidInputError, match="time zone"):
        spans_of("today", datetime(2023, 11, 24))


WORDS = (
    "since before after until between and from to in on the last this past of a two few 3 12 2022 "
    "2023-05-07 2023-05 2023-05-07T10:30Z 9999-12-31 0001-01-01 May may march 7th 31 February 29 "
    "days weeks month year years quarter week weekend ago today yesterday tonight night morning "
    "Monday summer winter , . - – 10000 ٣ İ \u017f \u212a \x00"
)
PIECES = st.sampled_from(WORDS.split(" "))
TEXTS = st.text() | st.lists(PIECES | st.text(max_size=3), max_size=14).map(" ".join)
ZONES = st.timezones() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
NOWS = st.datetimes(timezones=ZONES)


@settings(deadline=None, max_examples=500)
@given(TEXTS, NOWS)
def test_any_text_gives_spans_that_last(text: str, now: datetime) -> None:
    """A question can hold anything; an error would cost the answer."""
    spans = spans_of(text, now)
    assert all(start < end for start, end in spans)
    assert all(moment.tzinfo is UTC for span in spans for moment in span)
    assert len(set(spans)) == len(spans)


@settings(deadline=None)
@given(st.dates(date(1000, 1, 2), date(2999, 12, 30)), st.sampled_from([UTC, OSLO]))
def test_a_day_is_the_same_however_it_is_written(day: date, zone: ZoneInfo) -> None:
    """Nobody knows in which style a question comes."""
    now = NOW.astimezone(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    span = (start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC))
    month = f"{day:%B}"
    for text in (
        day.isoformat(),
        f"{day.day} {month} {day.year}",
        f"the {day.day}th of {month[:3].upper()}, {day.year}",
        f"{day:%A}, {month.lower()} {day.day}, {day.year}",
    ):
        assert spans_of(f"What did I say on {text}?", now) == [span]


@settings(deadline=None)
@given(st.lists(PIECES, max_size=8).map(" ".join), NOWS)
def test_white_space_makes_no_difference(text: str, now: datetime) -> None:
    """A line may break within a date."""
    assert spans_of(text.replace(" ", "\n\t "), now) == spans_of(text, now)


@pytest.mark.parametrize(
    "text",
    [
        *("1", "2023-", "2023-05-07T10:30:00.", "2022 and ", "- ", " ", "İ", "٣"),
        *("a couple of ", "the day before ", "in the ", "since ", "this last year "),
        *("7th of May, ", "Monday, ", "May 7 to "),
    ],
)
def test_it_takes_linear_time(text: str) -> None:
    """A user can send a message of nothing but the beginnings of dates."""
    hostile = text * (200_000 // len(text)) + " in 2022x"
    began = time.monotonic()
    spans_of(hostile, NOW)
    assert time.monotonic() - began < 5
