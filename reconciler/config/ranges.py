"""Days and ranges as people write them. Pure.

A range is two terms, both inclusive, until ``model/written.py`` turns it into half-open days.
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

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_LOOSE_DATE: Final = re.compile(r"([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})(?:[T ].*)?")
_AGO: Final = re.compile(r"today-([0-9]{1,9})d")
_YEAR: Final = re.compile(r"([0-9]{4})")
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
_QUARTER: Final = re.compile(r"([0-9]{4})-Q([1-4])")

DATE_PATTERN: Final = r"(?:19[7-9]\d|2[01]\d\d)-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
TERM_PATTERN: Final = rf"(?:{DATE_PATTERN}|today|yesterday|today-\d{{1,5}}d)"
SHORTHAND_PATTERN: Final = (
    rf"(?:19[7-9]\d|2[01]\d\d)(?:-Q[1-4]|-(?:0[1-9]|1[0-2]))?|{TERM_PATTERN}(?:\.\.{TERM_PATTERN})?"
)

_TERM_FORMS: Final = "Write a date like 2024-02-01, or `today`, `yesterday` or `today-90d`."
_RANGE_FORMS: Final = (
    "Write 2024, 2024-07, 2024-Q2, 2024-07-01, 2024-07-01..2024-08-15, or `start` and `end`; "
    "a day may also be `today`, `yesterday` or `today-90d`."
)


def parse_term(text: str) -> Term:
    """Read a date or a relative day. Raises ``BrokenRule``."""
    term = _term(text)
    if term is None:
        raise BrokenRule(
            "BF040", f"is {shown(text)}, but a single day is expected", _near(text) or _TERM_FORMS
        )
    return term


def parse_shorthand(text: str) -> tuple[Term, Term]:
    """Read a range written as one text, both ends inclusive. Raises ``BrokenRule``."""
    if ".." in text:
        start, end = (_side(side, text) for side in text.split("..", 1))
        check_order(start, end)
        return start, end
    if (period := _period(text)) is not None:
        return period
    if (term := _term(text)) is not None:
        return term, term
    raise BrokenRule("BF040", f"is {shown(text)}, which is not a range", _near(text) or _RANGE_FORMS)


def check_order(start: Term, end: Term) -> None:
    """Refuse a range that ends before it starts whatever the date. Raises ``BrokenRule``.

    If only one end is relative, the range may be empty now and hold days at another date.
    """
    if start.relative != end.relative:
        return
    first, last = start.resolve(0), end.resolve(0)
    if last < first:
        says = "ends before it starts"
        if not start.relative:
            says = f"ends on {iso(last)}, before it starts on {iso(first)}"
        raise BrokenRule("BF043", says, "Swap the two days; both are inclusive.")


def parse_date(text: str) -> Day | None:
    """Return the day of a ``YYYY-MM-DD``, or ``None`` for another form. Raises ``BrokenRule``."""
    found = _DATE.fullmatch(text)
    return _day(*map(int, found.groups())) if found else None


def _term(text: str) -> Term | None:
    if text in ("today", "yesterday"):
        return Term(days_ago=int(text == "yesterday"))
    if found := _AGO.fullmatch(text):
        days_ago = int(found[1])
        if days_ago > MOST_DAYS_AGO:
            hint = f"Reach back at most {MOST_DAYS_AGO} days, or write the date itself."
            raise BrokenRule("BF042", f"is {shown(text)}, which reaches back too far", hint)
        return Term(days_ago=days_ago)
    day = parse_date(text)
    return None if day is None else Term(day)


def _side(side: str, text: str) -> Term:
    term = _term(side)
    if term is not None:
        return term
    says = f"is {shown(text)}, but on both sides of `..` a single day is expected"
    raise BrokenRule("BF040", says, _near_range(text) or _near(side) or _TERM_FORMS)


def _near_range(text: str) -> str | None:
    """Return the hint for two periods, or for blanks around the dots."""
    sides = [side.strip() for side in text.split("..", 1)]
    terms = [_valid_period(side) or (_valid_term(side),) * 2 for side in sides]
    first, last = terms[0][0], terms[1][1]
    if not (first and last):
        return None
    spelled = [iso(term.day) if term.day else side for term, side in zip((first, last), sides, strict=True)]
    return f"Write {'..'.join(spelled)}, without spaces."


def _period(text: str) -> tuple[Term, Term] | None:
    if found := _YEAR.fullmatch(text):
        year, first, last = int(found[1]), 1, 12
    elif found := _MONTH.fullmatch(text):
        year, first = int(found[1]), int(found[2])
        last = first
    elif found := _QUARTER.fullmatch(text):
        year, last = int(found[1]), 3 * int(found[2])
        first = last - 2
    else:
        return None
    start = _day(year, first, 1)
    return Term(start), Term(_day(year, last, monthrange(year, last)[1]))


def _day(year: int, month: int, day: int) -> Day:
    if not 1 <= month <= 12:
        raise BrokenRule("BF041", f"has month {month:02}, which does not exist", "Months are 01 to 12.")
    if not FIRST_YEAR <= year <= LAST_YEAR:
        hint = f"Write a year from {FIRST_YEAR} to {LAST_YEAR}."
        raise BrokenRule("BF042", f"has the year {year:04}, which must be a typo", hint)
    days = monthrange(year, month)[1]
    if not 1 <= day <= days:
        says = f"has the day {year:04}-{month:02}-{day:02}, which does not exist"
        hint = f"Days of {year:04}-{month:02} are 01 to {days}."
        raise BrokenRule("BF041", says, hint)
    return date(year, month, day).toordinal()


def _near(text: str) -> str | None:
    """Return the hint for a text that almost is a day: the very spelling to use."""
    if found := _LOOSE_DATE.fullmatch(text.strip()):
        year, month, day = map(int, found.groups())
        return f"Write {year:04}-{month:02}-{day:02}."
    if text.strip().lower() != text and _valid_term(text.strip().lower()):
        return f"Write `{text.strip().lower()}`: lower case, no spaces."
    if period := _valid_period(text):
        first, last = (iso(term.resolve(0)) for term in period)
        return f"Write a single day: this starts on {first} and ends on {last}."
    return None


def _valid_term(text: str) -> Term | None:
    try:
        return _term(text)
    except BrokenRule:
        return None


def _valid_period(text: str) -> tuple[Term, Term] | None:
    try:
        return _period(text)
    except BrokenRule:
        return None
