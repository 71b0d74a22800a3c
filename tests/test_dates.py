"""Sets of days against Python's own sets, and an interval library; cutting at calendar borders."""

import os
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise

import portion
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.dates import (
    EMPTY,
    FIRST_DAY,
    LAST_DAY,
    DateSet,
    Day,
    Interval,
    cut,
    iso,
    last_iso,
    next_month,
    next_quarter,
    next_week,
    next_year,
    no_boundary,
    parse_iso,
    union,
)

LAW = settings(max_examples=int(os.environ.get("PLANNING_EXAMPLES", "5000")), deadline=None)

BITS = 48
# Where sets lie: anywhere matters little to them, but the ends of the calendar may.
ORIGINS = st.sampled_from([parse_iso("2024-02-01"), FIRST_DAY, LAST_DAY - BITS + 1])


def bits(mask: int, origin: Day) -> set[Day]:
    return {origin + bit for bit in range(BITS) if mask >> bit & 1}


# One number a set: quick to draw, and it shrinks to few days.
SETS = st.builds(bits, st.integers(0, 2**BITS - 1), ORIGINS)
PAIRS = st.builds(
    lambda left, right, origin: (bits(left, origin), bits(right, origin)),
    st.integers(0, 2**BITS - 1),
    st.integers(0, 2**BITS - 1),
    ORIGINS,
)


def pairs(data: bytes) -> list[Interval]:
    return [(start % 61, end % 61) for start, end in zip(data[::2], data[1::2], strict=False)]


# Intervals that overlap, touch, are empty and upside down; two bytes each.
INTERVALS = st.binary(max_size=16).map(pairs)


def as_portion(intervals: list[Interval] | tuple[Interval, ...]) -> portion.Interval:
    return portion.Interval(*(portion.closedopen(start, end) for start, end in intervals))


def normal(days: DateSet) -> bool:
    """Non-empty, sorted, disjoint and not adjacent."""
    own = days.intervals
    return all(start < end for start, end in own) and all(left[1] < right[0] for left, right in pairwise(own))


# --- the algebra --------------------------------------------------------------------------


@LAW
@given(PAIRS)
def test_union_intersection_and_difference_are_those_of_sets(pair: tuple[set[Day], set[Day]]) -> None:
    left, right = pair
    ours, others = DateSet.days(left), DateSet.days(right)
    for found, expected in (
        (ours | others, left | right),
        (ours & others, left & right),
        (ours - others, left - right),
    ):
        assert set(found) == expected
        assert normal(found)
        assert found == DateSet.days(expected)
        assert hash(found) == hash(DateSet.days(expected))


@LAW
@given(SETS)
def test_length_truth_membership_and_iteration_are_those_of_a_set(plain: set[Day]) -> None:
    days = DateSet.days(plain)
    assert len(days) == len(plain)
    assert bool(days) is bool(plain)
    assert list(days) == sorted(plain)
    around = range(min(plain, default=1) - 2, max(plain, default=1) + 3)
    assert [day for day in around if day in days] == sorted(plain)
    if plain:
        assert (days.first(), days.end()) == (min(plain), max(plain) + 1)


@LAW
@given(INTERVALS)
def test_of_joins_intervals_in_any_order(intervals: list[Interval]) -> None:
    days = DateSet.of(intervals)
    assert normal(days)
    assert set(days) == {day for start, end in intervals for day in range(start, end)}
    assert days == DateSet.of(reversed(intervals))
    assert all(DateSet.span(*one) == DateSet.of([one]) for one in intervals)


@LAW
@given(st.tuples(INTERVALS, INTERVALS, INTERVALS))
def test_union_of_many_is_the_folded_union(many: tuple[list[Interval], ...]) -> None:
    sets = [DateSet.of(one) for one in many]
    folded = EMPTY
    for one in sets:
        folded |= one
    assert union(sets) == folded
    assert normal(folded)


@LAW
@given(INTERVALS, INTERVALS)
def test_the_algebra_agrees_with_portion(left: list[Interval], right: list[Interval]) -> None:
    ours, others = DateSet.of(left), DateSet.of(right)
    theirs, theirs_too = as_portion(left), as_portion(right)
    assert as_portion((ours | others).intervals) == theirs | theirs_too
    assert as_portion((ours & others).intervals) == theirs & theirs_too
    assert as_portion((ours - others).intervals) == theirs - theirs_too


def test_an_empty_set_has_no_ends() -> None:
    with pytest.raises(IndexError):
        EMPTY.first()
    with pytest.raises(IndexError):
        EMPTY.end()


# --- cutting ------------------------------------------------------------------------------


def week_of(day: Day) -> object:
    return date.fromordinal(day).isocalendar()[:2]


def month_of(day: Day) -> object:
    return date.fromordinal(day).timetuple()[:2]


def quarter_of(day: Day) -> object:
    when = date.fromordinal(day)
    return (when.year, (when.month - 1) // 3)


def year_of(day: Day) -> object:
    return date.fromordinal(day).year


def all_one(_day: Day) -> object:
    return "all"


PERIODS = [
    (no_boundary, all_one),
    (next_week, week_of),
    (next_month, month_of),
    (next_quarter, quarter_of),
    (next_year, year_of),
]
STARTS = st.integers(FIRST_DAY, LAST_DAY) | st.integers(LAST_DAY - 800, LAST_DAY) | st.integers(1, 800)


@LAW
@given(st.sampled_from(PERIODS), STARTS, st.integers(0, 800), st.none() | st.integers(1, 120))
def test_cut_covers_exactly_and_crosses_no_boundary(
    period: tuple[Callable[[Day], Day], Callable[[Day], object]], start: Day, length: int, longest: int | None
) -> None:
    boundary_after, period_of = period
    end = min(start + length, LAST_DAY + 1)
    pieces = list(cut((start, end), boundary_after, longest))
    bounds = [start, *(piece_end for _, piece_end in pieces)]
    assert pieces == list(pairwise(bounds))
    assert bounds[-1] == end
    for first, after in pieces:
        assert period_of(first) == period_of(after - 1)
        assert longest is None or after - first <= longest
    for first, after in pieces[:-1]:  # a piece ends only where it must
        assert period_of(after - 1) != period_of(after) or after - first == longest


@LAW
@given(st.sampled_from(PERIODS[1:]), STARTS)
def test_the_next_period_begins_right_after_this_one(
    period: tuple[Callable[[Day], Day], Callable[[Day], object]], day: Day
) -> None:
    boundary_after, period_of = period
    after = boundary_after(day)
    assert day < after
    assert period_of(min(after - 1, LAST_DAY)) == period_of(day)
    if after <= LAST_DAY:
        assert period_of(after) != period_of(day)


@pytest.mark.parametrize(
    "next_one, day, expected",
    [
        (next_week, "2024-12-29", "2024-12-30"),  # a Sunday; ISO week 1 of 2025 starts on the Monday
        (next_week, "2024-12-30", "2025-01-06"),
        (next_month, "2024-02-29", "2024-03-01"),
        (next_month, "2024-12-31", "2025-01-01"),
        (next_quarter, "2024-03-31", "2024-04-01"),
        (next_quarter, "2024-10-01", "2025-01-01"),
        (next_year, "2024-01-01", "2025-01-01"),
        (next_year, "0001-01-01", "0002-01-01"),
    ],
)
def test_where_the_next_period_begins(next_one: Callable[[Day], Day], day: str, expected: str) -> None:
    assert iso(next_one(parse_iso(day))) == expected


@pytest.mark.parametrize("next_one", [next_month, next_quarter, next_year])
def test_the_last_period_of_the_calendar_ends_after_its_last_day(next_one: Callable[[Day], Day]) -> None:
    assert next_one(LAST_DAY) == LAST_DAY + 1


# --- dates as text ------------------------------------------------------------------------


@LAW
@given(st.dates())
def test_a_date_reads_back(when: date) -> None:
    day = parse_iso(when.isoformat())
    assert iso(day) == when.isoformat()
    assert last_iso(day + 1) == when.isoformat()
    assert date.fromordinal(day) - date.fromordinal(1) == timedelta(day - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "2024-1-1",
        "20240101",
        "2024-02-30",
        "2023-02-29",
        "0000-01-01",
        "10000-01-01",
        "2024-W01-1",
        "2024/01/01",
        "2024-01-01T",
        " 2024-01-01",
        "２０２４-01-01",
        "-024-01-01",
        "2024-+1-01",
    ],
)
def test_anything_else_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)
