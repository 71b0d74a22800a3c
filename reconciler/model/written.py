"""Days as a file has them, some relative to a date that comes later: midnight moves what they mean.

A *term* is one day, absolute or so many days or months before ``as_of``. Days are ordinals; sets and
intervals of them are half-open (``dates.py``), the two terms of a range both inclusive, as people write them.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from reconciler.dates import FIRST_DAY, DateSet, Day, Interval, union


@dataclass(frozen=True, slots=True)
class Term:
    """A day as written: absolute (``day``), or ``months_ago`` and ``days_ago`` before ``as_of``.

    A month before 31 March is the last day of February. Before the calendar begins, it is its first day.
    """

    day: Day | None = None
    days_ago: int = 0
    months_ago: int = 0

    @property
    def relative(self) -> bool:
        return self.day is None

    def resolve(self, as_of: Day) -> Day:
        if self.day is not None:
            return self.day
        return max(FIRST_DAY, _months_before(as_of, self.months_ago) - self.days_ago)


def _months_before(day: Day, months: int) -> Day:
    if not months:
        return day
    now = date.fromordinal(day)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    if year < date.min.year:
        return FIRST_DAY
    return date(year, month + 1, min(now.day, monthrange(year, month + 1)[1])).toordinal()


@dataclass(frozen=True, slots=True)
class WrittenRange:
    """A range as written, both ends inclusive, and what it leaves out."""

    start: Term
    end: Term
    exclude: tuple[WrittenRange, ...] = ()

    @property
    def relative(self) -> bool:
        """True where what it means depends on the date."""
        return self.start.relative or self.end.relative or any(excluded.relative for excluded in self.exclude)

    def interval(self, as_of: Day) -> Interval:
        """Return the half-open days, nothing left out; an empty pair where the end is before the start."""
        first = self.start.resolve(as_of)
        return first, max(first, self.end.resolve(as_of) + 1)

    def days(self, as_of: Day) -> DateSet:
        return DateSet.of([self.interval(as_of)]) - days_of(self.exclude, as_of)


@dataclass(frozen=True, slots=True)
class WrittenDays:
    """The ranges of one transfer, and what is excluded from all of them."""

    ranges: tuple[WrittenRange, ...]
    exclude: tuple[WrittenRange, ...] = ()

    @property
    def relative(self) -> bool:
        return any(written.relative for written in (*self.ranges, *self.exclude))

    def days(self, as_of: Day) -> DateSet:
        return days_of(self.ranges, as_of) - days_of(self.exclude, as_of)


def days_of(ranges: Iterable[WrittenRange], as_of: Day) -> DateSet:
    """Return the union of ranges, read as of a day."""
    return union(written.days(as_of) for written in ranges)
