"""What a text that is no day or range was meant to be. Only files with mistakes need this. Pure.

A hint never changes what is meant: it offers a value only if that covers the very days that the text
plainly meant. Where there are two readings, both are named; where there is none, the forms are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from reconciler.config.nodes import Block
from reconciler.config.ranges import parse_range, parse_term
from reconciler.config.readings import LONGEST, plain, readings, side
from reconciler.config.rules import BrokenRule, shown
from reconciler.dates import iso

TWO_DATES: Final = "Two dates, but not as a range"
_DAY_FORMS: Final = "Write a date like 2024-02-01, or `today`, `yesterday`, `today-90d` or `today-13mo`."
_RANGE_FORMS: Final = (
    "Write 2024, 2024-H1, 2024-Q2, 2024-07, 2024-W05, 2024-07-01, or two like 2024-07-01..2024-08-15; "
    "a day may also be `today`, `yesterday`, `today-90d` or `today-13mo`."
)
_LATER: Final = "No relative day lies after `today`. Write that date itself, as YYYY-MM-DD."
_TIMED: Final = "A day has no time. Write the date alone, as it is in `timezone`."
_LAST: Final = "Write `today-{}d..yesterday`, or, with today, `today-{}d..today`."
_SINCE: Final = "Write the day as `today-{0}d`, or all days since then as `today-{0}d..yesterday`."
_OPEN: Final = "A range has both its ends: write the first day before the dots, and the last one behind them."
TWO_DAYS: Final = "Write them as two items of the list, or, with all days between, like {}."
_YEAR_FIRST: Final = "Write the year first, with four digits: 2024-02-01."


def no_range(text: str) -> BrokenRule:
    """Return what is wrong with a text of which ``parse_range`` made nothing."""
    return _judged(text, "is {}, which is not a range", _RANGE_FORMS, _is_range)


def no_day(text: str) -> BrokenRule:
    """Return what is wrong with a text of which ``parse_term`` made nothing."""
    broken = _judged(text, "is {}, but a single day is expected", _DAY_FORMS, _is_day)
    if broken.hint == _DAY_FORMS and (period := _first_and_last(text)):
        broken.hint = f"Write a single day: this starts on {period[0]} and ends on {period[1]}."
        broken.brief = "A single day is expected"
    return broken


def meant_day(text: str) -> str | None:
    """Return the date that a text plainly means, as a file would have it; ``None`` if that is not plain."""
    found = [value for value in readings(text) if _is_day(value) and value[0].isdigit()]
    return found[0] if len(found) == 1 else None


_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ] ?(\d\d:\d\d)(:\d\d(?:\.\d{1,6})?)? ?(Z|UTC|[+-]\d\d:?\d\d)", re.IGNORECASE
)


def meant_time(text: str) -> str | None:
    """Return the RFC 3339 time that a text is but for blanks, letters, or seconds left out."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    day, minutes, seconds, zone = found.groups()
    zone = "Z" if zone.isalpha() else f"{zone[:3]}:{zone[-2:]}"
    value = f"{day}T{minutes}{seconds or ':00'}{zone}"
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    return value


def meant_pair(node: object) -> str | None:
    """Return the range that a mapping of one date to another was meant to be: ``2024-07-01: 2024-07-31``."""
    if not isinstance(node, Block) or len(node) != 1:
        return None
    ((start, end),) = node.items()
    values = readings(f"{start}..{end}") if isinstance(end, str) and side(plain(start), True) else []
    try:
        return values[0] if len(values) == 1 and _is_range(values[0]) else None
    except BrokenRule:
        return None


def _judged(text: str, says: str, forms: str, fits: Callable[[str], bool]) -> BrokenRule:
    problem = says.format(shown(text))
    found: list[str] = []
    wrong: list[BrokenRule] = []
    for value in readings(text):
        try:
            found += [value] if fits(value) else []
        except BrokenRule as broken:
            wrong.append(broken)
    if wrong and not found:  # plainly that day, but there is none
        return wrong[0]
    if wrong:  # read one way it ends before it starts, read the other it does not: nobody can tell
        return BrokenRule("BF040", problem, _YEAR_FIRST, "Day and month could be either way round")
    match found:
        case [value]:
            brief = (
                TWO_DATES if ".." in value and ".." not in text else "A date or range, spelled differently"
            )
            return BrokenRule("BF040", problem, f"Write `{value}`.", brief)
        case [day_first, month_first]:
            hint = f"Write `{day_first}` if the day stands first, `{month_first}` if the month does."
            return BrokenRule("BF040", problem, hint, "Day and month could be either way round")
    return BrokenRule("BF040", problem, _special(text) or forms, "Not a date or range")


def _is_range(value: str) -> bool:
    return parse_range(value) is not None


def _is_day(value: str) -> bool:
    return parse_term(value) is not None


def _first_and_last(text: str) -> tuple[str, str] | None:
    """Return the dates that a range has, if it is one, or plainly meant, and none of it is relative."""
    for value in (text, *readings(text)):
        try:
            ends = parse_range(value)
        except BrokenRule:
            continue
        if ends and not (ends[0].relative or ends[1].relative):
            return iso(ends[0].resolve(0)), iso(ends[1].resolve(0))
    return None


def _special(text: str) -> str | None:
    """Return the hint for what has a meaning, but none that a file could have."""
    words = plain(text[:LONGEST])
    if re.search(r"\b(?:tomorrow|morgen)\b|\b(?:today|now|yesterday) ?\+", words):
        return _LATER
    either_way = [
        {side(part.strip(), day_first) for day_first in (True, False)} for part in re.split("[,;]", words)
    ]
    if len(either_way) == 2 and all(len(one) == 1 and None not in one for one in either_way):
        return TWO_DAYS.format("..".join(str(value) for one in either_way for value in one))
    if re.fullmatch(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d.*", words):
        return _TIMED
    if found := re.fullmatch(r"(?:last|past|letzten?) (\d{1,5}) (?:days?|tagen?)", words):
        return _LAST.format(found[1], int(found[1]) - 1)
    if found := re.fullmatch(r"-(\d{1,5}) ?d(?:ays?)?", words):
        return _SINCE.format(found[1])
    if re.fullmatch(r"\.{2,} ?[^.]+|[^.]+ ?\.{2,}", words):
        return _OPEN
    found = re.fullmatch(r"(\d{1,2})([-/.])(\d{1,2})\2(\d\d)", words)
    return _of_this_century(*map(int, found.group(1, 3, 4))) if found else None


def _of_this_century(first: int, second: int, last: int) -> str:
    """Return the hint for a date with two digits for its year, which may stand on either side of it."""
    orders = ((first, second, last), (last, second, first), (last, first, second))
    days = (f"20{year:02}-{month:02}-{day:02}" for year, month, day in orders)
    named = [f"`{day}`" for day in dict.fromkeys(days) if _is_there(day)]
    return f"Write the year with four digits, as it is meant: {' or '.join(named)}." if named else _YEAR_FIRST


def _is_there(day: str) -> bool:
    try:
        return _is_day(day)
    except BrokenRule:
        return False
