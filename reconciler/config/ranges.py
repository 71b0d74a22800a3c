"""Days and ranges as people write them. Pure.

A range is two terms, both inclusive, until ``model/written.py`` turns it into half-open days. What a text
that is neither was meant to be, ``mistyped.py`` guesses.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from typing import Final

from reconciler.config.rules import BrokenRule, shown
from reconciler.dates import Day, iso
from reconciler.model.written import Term

# Nothing was measured before 1970, and a range that ends after 2199 is a typo.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
MOST_DAYS_AGO: Final = 20_000
_UNITS: Final = {"d": 1, "mo": 31}
"""Units of what is relative, and how many days at most they reach back."""

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_AGO: Final = re.compile(r"today-([0-9]{1,9})(d|mo)")
_PERIOD: Final = re.compile(r"([0-9]{4})(?:-(?:([HQ])([0-9])|W([0-9]{2})|([0-9]{2})))?")
_DOTS: Final = re.compile(r" *\.\. *")
_PARTS: Final = {"H": ("half-year", 2), "Q": ("quarter", 4)}

_A_YEAR: Final = r"(?:19[7-9]\d|2[01]\d\d)"
DATE_PATTERN: Final = rf"{_A_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
TERM_PATTERN: Final = rf"(?:{DATE_PATTERN}|today|yesterday|today-\d{{1,5}}d|today-\d{{1,3}}mo)"
_SIDE_PATTERN: Final = (
    rf"(?:{TERM_PATTERN}|{_A_YEAR}(?:-H[12]|-Q[1-4]|-W(?:0[1-9]|[1-4]\d|5[0-3])|-(?:0[1-9]|1[0-2]))?)"
)
RANGE_PATTERN: Final = rf"{_SIDE_PATTERN}(?: *\.\. *{_SIDE_PATTERN})?"


def parse_term(text: str) -> Term | None:
    """Return the day of a date or a relative day, ``None`` for another form.

    Raises ``BrokenRule`` for a date that does not exist, or is out of bounds.
    """
    if text in ("today", "yesterday"):
        return Term(days_ago=int(text == "yesterday"))
    if found := _AGO.fullmatch(text):
        return _ago(int(found[1]), found[2], text)
    day = parse_date(text)
    return None if day is None else Term(day)


def parse_range(text: str) -> tuple[Term, Term] | None:
    """Return the two ends of a range written as one text, both inclusive; ``None`` for another form.

    Raises ``BrokenRule`` for dates that do not exist or are out of bounds, and an end before the start.
    """
    sides = _DOTS.split(text, maxsplit=1)
    first, last = parse_side(sides[0]), parse_side(sides[-1])
    if first is None or last is None:
        return None
    check_order(first[0], last[1])
    return first[0], last[1]


def parse_side(text: str) -> tuple[Term, Term] | None:
    """Return the first and last day of a period or a day, as stands on a side of ``..``, or alone."""
    if found := _PERIOD.fullmatch(text):
        return _period(*found.groups())
    term = parse_term(text)
    return None if term is None else (term, term)


def check_order(start: Term, end: Term) -> None:
    """Refuse a range that ends before it starts whatever the date. Raises ``BrokenRule``.

    If only one end is relative, or one counts months and the other days, the range may be empty now and
    hold days at another date.
    """
    if start.relative != end.relative or bool(start.months_ago) != bool(end.months_ago):
        return
    far = date(LAST_YEAR, 1, 31).toordinal()
    first, last = start.resolve(far), end.resolve(far)
    if last < first:
        says = "ends before it starts"
        if not start.relative:
            says = f"ends on {iso(last)}, before it starts on {iso(first)}"
        raise BrokenRule("BF043", says, "Swap the two days; both are inclusive.", "Ends before it starts")


def parse_date(text: str) -> Day | None:
    """Return the day of a ``YYYY-MM-DD``, or ``None`` for another form. Raises ``BrokenRule``."""
    found = _DATE.fullmatch(text)
    return _day(*map(int, found.groups())) if found else None


def _ago(number: int, unit: str, text: str) -> Term:
    if number * _UNITS[unit] > MOST_DAYS_AGO:
        hint = f"Reach back at most {MOST_DAYS_AGO} days, or write the date itself."
        raise BrokenRule("BF042", f"is {shown(text)}, which reaches back too far", hint)
    return Term(days_ago=number) if unit == "d" else Term(months_ago=number)


def _period(
    year_text: str, part: str | None, place: str | None, week: str | None, month: str | None
) -> tuple[Term, Term]:
    year = int(year_text)
    if week:
        return _week(year, int(week))
    first, months = 1, 12
    if month:
        first, months = int(month), 1
    elif part and place:
        called, parts = _PARTS[part]
        if not 1 <= int(place) <= parts:
            says, brief = (
                f"has the {called} {part}{place}, which does not exist",
                f"There is no {part}{place}",
            )
            raise BrokenRule("BF041", says, f"Those of a year are {part}1 to {part}{parts}.", brief)
        months = 12 // parts
        first = int(place) * months - months + 1
    start, last = _day(year, first, 1), first + months - 1
    return Term(start), Term(_day(year, last, monthrange(year, last)[1]))


def _week(year: int, week: int) -> tuple[Term, Term]:
    """Return the Monday and the Sunday of an ISO week; those of W01 may lie in the year before."""
    _check_year(year)
    weeks = date(year, 12, 28).isocalendar().week
    if not 1 <= week <= weeks:
        says = f"has the week {year}-W{week:02}, which does not exist"
        hint, brief = f"ISO weeks of {year} are W01 to W{weeks}.", f"There is no {year}-W{week:02}"
        raise BrokenRule("BF041", says, hint, brief)
    monday = date.fromisocalendar(year, week, 1).toordinal()
    return Term(monday), Term(monday + 6)


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        hint = f"Write a year from {FIRST_YEAR} to {LAST_YEAR}."
        raise BrokenRule("BF042", f"has the year {year:04}, which must be a typo", hint)


def _day(year: int, month: int, day: int) -> Day:
    if not 1 <= month <= 12:
        says, brief = f"has month {month:02}, which does not exist", f"There is no month {month:02}"
        raise BrokenRule("BF041", says, "Months are 01 to 12.", brief)
    _check_year(year)
    days = monthrange(year, month)[1]
    if not 1 <= day <= days:
        says = f"has the day {year:04}-{month:02}-{day:02}, which does not exist"
        hint = f"Days of {year:04}-{month:02} are 01 to {days}."
        raise BrokenRule("BF041", says, hint, f"There is no {year:04}-{month:02}-{day:02}")
    return date(year, month, day).toordinal()
