"""Where the days of a transfer are, in letters: a month a row, a day a column.

Months that are alike from their first day to their last are one row: ``2024-03..2024-11 cccc…``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import groupby

from reconciler.dates import DateSet, Day, next_month, union
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import ActionKind
from reconciler.render.view import Part
from reconciler.render.words import worded

LONGEST = 30 * 366  # days from the first to the last
_MARGIN = 16  # 2024-01..2024-12
NOT_DECLARED = "."
LETTERS = {
    Bucket.COVERED: "c",
    Bucket.IN_FLIGHT: "i",
    Bucket.PLANNED: "P",
    Bucket.WAITING: "w",
    Bucket.BLOCKED: "B",
    Bucket.FAILED: "F",
    Bucket.DEFERRED: "d",
    Bucket.FUTURE: "u",
}


def calendar(part: Part) -> tuple[str, ...]:
    """Return the months of a transfer, a row each, the newest last; none where it declares no day, or days
    that are more than ``LONGEST`` apart.
    """
    return tuple(_rows(_days(part)))


def ruler(name: str) -> tuple[str, ...]:
    """Return what stands above the months of a transfer: its name, and the days."""
    wide = len(name) > _MARGIN
    days = f"{'' if wide else name:<{_MARGIN}}  1   5    10   15   20   25   30"
    return (name, days) if wide else (days,)


def legend(calendars: Iterable[tuple[str, ...]]) -> str:
    """Return what the letters of calendars mean, those that are used."""
    used = {letter for rows in calendars for row in rows for letter in row.split()[-1]}
    told = [f"`{letter}` {worded(bucket)}" for bucket, letter in LETTERS.items() if letter in used]
    return ", ".join([*told, *([f"`{NOT_DECLARED}` not declared"] if NOT_DECLARED in used else [])])


def _days(part: Part) -> dict[str, DateSet]:
    """Return the days of each letter."""
    found: dict[Bucket, list[DateSet]] = {bucket: [days] for bucket, days in part.summary.settled.items()}
    for action in part.actions:
        if action.kind is not ActionKind.CANCEL:
            found.setdefault(Bucket.PLANNED, []).append(action.days)
    for item in part.items:
        found.setdefault(item.bucket, []).append(item.days)
    return {LETTERS[bucket]: union(sets) for bucket, sets in found.items()}


def _rows(days: Mapping[str, DateSet]) -> Iterator[str]:
    declared = union(days.values())
    if not declared or declared.end() - declared.first() > LONGEST:
        return
    letters = {day: letter for letter, found in days.items() for day in found}
    months = list(_months(declared.first(), declared.end()))
    told = [(f"{date.fromordinal(start):%Y-%m}", _row(start, end, letters)) for start, end in months]
    for _key, alike in groupby(told, key=lambda month: _pattern(month[1])):
        first, *rest = list(alike)
        yield f"{first[0] + (f'..{rest[-1][0]}' if rest else ''):<{_MARGIN}}  {first[1]}"


def _months(start: Day, end: Day) -> Iterator[tuple[Day, Day]]:
    """Yield the half-open months that days lie in."""
    day = date.fromordinal(start).replace(day=1).toordinal()
    while day < end:
        later = next_month(day)
        yield day, later
        day = later


def _row(start: Day, end: Day, letters: Mapping[Day, str]) -> str:
    return "".join(letters.get(day, NOT_DECLARED) for day in range(start, end))


def _pattern(row: str) -> str:
    """Return what rows that are told as one have in common: all of one letter, whatever their length."""
    return row[0] if row == row[0] * len(row) else row
