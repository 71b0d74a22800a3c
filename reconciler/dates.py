"""Sets of calendar days, as sorted half-open intervals of day ordinals.

A *day* is a proleptic Gregorian ordinal (``date.toordinal()``). A ``DateSet`` is always normalised: its
intervals are non-empty, sorted, disjoint and not adjacent, so two sets are equal exactly when they hold the
same days. Inclusive dates exist only in YAML, on the wire and on screen.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, TypeVar

Day = int
Interval = tuple[Day, Day]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FIRST_DAY: Day = date.min.toordinal()
LAST_DAY: Day = date.max.toordinal()


@dataclass(frozen=True, slots=True)
class DateSet:
    """An immutable set of days. Build it with ``of``, ``span`` or the operators."""

    intervals: tuple[Interval, ...] = ()

    @staticmethod
    def of(intervals: Iterable[Interval]) -> DateSet:
        """Return the union of half-open intervals, given in any order; empty ones are dropped."""
        ordered = sorted(pair for pair in intervals if pair[0] < pair[1])
        return DateSet(tuple(_merged(ordered)))

    @staticmethod
    def span(start: Day, end: Day) -> DateSet:
        """Return the days from ``start`` up to, not including, ``end``."""
        return DateSet(((start, end),)) if start < end else EMPTY

    @staticmethod
    def days(days: Iterable[Day]) -> DateSet:
        return DateSet.of((day, day + 1) for day in days)

    def __len__(self) -> int:
        return sum(end - start for start, end in self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __iter__(self) -> Iterator[Day]:
        for start, end in self.intervals:
            yield from range(start, end)

    def __contains__(self, day: Day) -> bool:
        return any(start <= day < end for start, end in self.intervals)

    def __or__(self, other: DateSet) -> DateSet:
        if not self.intervals or not other.intervals:
            return self if self.intervals else other
        return DateSet.of((*self.intervals, *other.intervals))

    def __and__(self, other: DateSet) -> DateSet:
        return DateSet(tuple(_overlaps(self.intervals, other.intervals)))

    def __sub__(self, other: DateSet) -> DateSet:
        if not self.intervals or not other.intervals:
            return self
        return DateSet(tuple(_gaps(self.intervals, other.intervals)))

    def first(self) -> Day:
        """Return the earliest day. Raises ``IndexError`` when empty."""
        return self.intervals[0][0]

    def end(self) -> Day:
        """Return the day after the last one. Raises ``IndexError`` when empty."""
        return self.intervals[-1][1]


EMPTY = DateSet()


def union(sets: Iterable[DateSet]) -> DateSet:
    """Return the union of many sets in one pass, which beats folding ``|`` over them."""
    return DateSet.of(interval for one in sets for interval in one.intervals)


class Span:
    """What has half-open days ``[start, end)``: the base of the values that are ranges of days."""

    __slots__ = ()

    if TYPE_CHECKING:  # fields, or properties; at run time these would be the fields' defaults

        @property
        def start(self) -> Day: ...

        @property
        def end(self) -> Day: ...

    @property
    def days(self) -> DateSet:
        return DateSet.span(self.start, self.end)

    @property
    def dates(self) -> str:
        """``2024-01-01..2024-01-31``, both inclusive."""
        return dates_of(self.start, self.end)

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


class DaysByTransfer(Mapping[K, DateSet]):
    """Days of transfers, each named by a key; without one that has none. Sets of it are taken key by key."""

    __slots__ = ("_sets",)

    def __init__(self, pairs: Iterable[tuple[K, DateSet]] = ()) -> None:
        kept = grouped((pair for pair in pairs if pair[1]), lambda pair: pair[0])
        self._sets = {key: union(days for _key, days in found) for key, found in kept.items()}

    def of(self, key: K) -> DateSet:
        """Return the days of a transfer, none if it is not in it."""
        return self._sets.get(key, EMPTY)

    def __getitem__(self, key: K) -> DateSet:
        return self._sets[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)

    def __or__(self, other: DaysByTransfer[K]) -> DaysByTransfer[K]:
        return DaysByTransfer([*self.items(), *other.items()])

    def __and__(self, other: DaysByTransfer[K]) -> DaysByTransfer[K]:
        return DaysByTransfer((key, days & other.of(key)) for key, days in self.items())

    def __sub__(self, other: DaysByTransfer[K]) -> DaysByTransfer[K]:
        return DaysByTransfer((key, days - other.of(key)) for key, days in self.items())


def grouped(items: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """Group items by a key: the keys in the order of their first item, the items in their own."""
    groups: dict[K, list[V]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _merged(ordered: list[Interval]) -> Iterator[Interval]:
    """Join sorted intervals that overlap or touch."""
    if not ordered:
        return
    start, end = ordered[0]
    for next_start, next_end in ordered[1:]:
        if next_start > end:
            yield start, end
            start, end = next_start, next_end
        else:
            end = max(end, next_end)
    yield start, end


def _overlaps(left: tuple[Interval, ...], right: tuple[Interval, ...]) -> Iterator[Interval]:
    """Walk two normalised lists once; their overlaps are normalised too."""
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            yield start, end
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1


def _gaps(left: tuple[Interval, ...], right: tuple[Interval, ...]) -> Iterator[Interval]:
    """Yield what of ``left`` lies outside ``right``, walking both once."""
    j = 0
    for start, end in left:
        while j < len(right) and right[j][1] <= start:
            j += 1
        k = j
        while k < len(right) and right[k][0] < end:
            if start < right[k][0]:
                yield start, right[k][0]
            start = right[k][1]
            k += 1
        if start < end:
            yield start, end


Boundary = Callable[[Day], Day]
"""Returns the first day of the period after the one that a day lies in."""


def cut(interval: Interval, boundary_after: Boundary, longest: int | None) -> Iterator[Interval]:
    """Split a half-open interval at period boundaries, then every ``longest`` days.

    The pieces are half-open, in order, and cover the interval exactly.
    """
    start, end = interval
    while start < end:
        stop = min(end, boundary_after(start))
        step = longest or stop - start
        for first in range(start, stop, step):
            yield first, min(first + step, stop)
        start = stop


def no_boundary(_day: Day) -> Day:
    return LAST_DAY + 2


def next_week(day: Day) -> Day:
    """Return the Monday after the ISO week of ``day`` (ordinal 1 is a Monday)."""
    return day - (day - 1) % 7 + 7


def _first_of_month_after(day: Day, *, months: int) -> Day:
    """Return the first day of the next period of ``months`` months, counted from January."""
    current = date.fromordinal(day)
    month = (current.month - 1) // months * months + months
    year, month = current.year + month // 12, month % 12 + 1
    return date(year, month, 1).toordinal() if year <= date.max.year else LAST_DAY + 1


next_month: Boundary = partial(_first_of_month_after, months=1)
next_quarter: Boundary = partial(_first_of_month_after, months=3)
next_year: Boundary = partial(_first_of_month_after, months=12)


def iso(day: Day) -> str:
    """Return ``YYYY-MM-DD``."""
    return date.fromordinal(day).isoformat()


def last_iso(end: Day) -> str:
    """Return the inclusive last date, as ``YYYY-MM-DD``, of an interval that ends before ``end``."""
    return date.fromordinal(end - 1).isoformat()


def dates_of(start: Day, end: Day) -> str:
    """Return a half-open interval as ``FIRST..LAST``, both inclusive, as a file would have it."""
    return f"{iso(start)}..{last_iso(end)}"


def parse_iso(text: str) -> Day:
    """Return the day of a ``YYYY-MM-DD`` text. Raises ``ValueError`` for anything else."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise ValueError(f"not a date of the form YYYY-MM-DD: {text!r}")
    return date.fromisoformat(text).toordinal()
