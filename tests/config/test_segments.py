"""Segments against an oracle of plain days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.segments import overlaps, segments
from reconciler.dates import DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.desired import Segment

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Said = tuple[int, str, datetime | None]


@st.composite
def ranges(draw: st.DrawFn) -> list[Segment]:
    spans = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 15)), max_size=8))
    return [
        Segment(
            start,
            start + length,
            Place("f", line, 1),
            draw(st.sampled_from(["", "one", "two"])),
            draw(st.none() | st.integers(0, 3).map(lambda days: EPOCH + timedelta(days=days))),
        )
        for line, (start, length) in enumerate(spans, start=1)
    ]


EXCLUDED = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 55)), max_size=4).map(DateSet.of)


def oracle(declared: list[Segment], excluded: DateSet) -> dict[Day, Said]:
    days: dict[Day, Said] = {}
    for day in {day for entry in declared for day in range(entry.start, entry.end)} - set(excluded):
        active = [entry for entry in declared if entry.start <= day < entry.end]
        reason = next((entry.reason for entry in active if entry.reason), "")
        stale = max((entry.stale_before for entry in active if entry.stale_before), default=None)
        days[day] = (active[0].place.line, reason, stale)
    return days


def said(segment: Segment) -> Said:
    return (segment.place.line, segment.reason, segment.stale_before)


@given(ranges(), EXCLUDED)
def test_segments_say_of_every_day_what_the_oracle_says(declared: list[Segment], excluded: DateSet) -> None:
    found = segments(declared, excluded)
    assert {day: said(segment) for segment in found for day in segment.days} == oracle(declared, excluded)


@given(ranges(), EXCLUDED)
def test_segments_are_sorted_disjoint_and_as_few_as_can_be(
    declared: list[Segment], excluded: DateSet
) -> None:
    found = segments(declared, excluded)
    assert all(segment.start < segment.end for segment in found)
    for left, right in pairwise(found):
        assert left.end <= right.start
        assert left.end < right.start or said(left) != said(right)


@given(ranges())
def test_overlaps_are_found_exactly_where_there_are_some(declared: list[Segment]) -> None:
    found = overlaps(declared)
    total = sum(entry.end - entry.start for entry in declared)
    assert bool(found) is (total > len({day for entry in declared for day in range(entry.start, entry.end)}))
    for overlap in found:
        earlier, later = declared[overlap.earlier], declared[overlap.later]
        assert overlap.earlier < overlap.later
        assert overlap.start == max(earlier.start, later.start)
        assert overlap.end == min(earlier.end, later.end) > overlap.start


def _day(text: str) -> Day:
    return date.fromisoformat(text).toordinal()


def test_place_reason_and_time_may_come_from_three_ranges() -> None:
    """The example in ``segments.py``."""
    june, march = (datetime(2024, month, 1, tzinfo=UTC) for month in (6, 3))
    places = [Place("f", line, 1) for line in (1, 2, 3)]
    declared = [
        Segment(_day("2024-01-01"), _day("2024-02-01"), places[0], "History"),
        Segment(_day("2024-01-10"), _day("2024-01-21"), places[1], "", june),
        Segment(_day("2024-01-15"), _day("2024-02-11"), places[2], "Fix", march),
    ]
    assert segments(declared, DateSet()) == (
        Segment(_day("2024-01-01"), _day("2024-01-10"), places[0], "History"),
        Segment(_day("2024-01-10"), _day("2024-01-21"), places[0], "History", june),
        Segment(_day("2024-01-21"), _day("2024-02-01"), places[0], "History", march),
        Segment(_day("2024-02-01"), _day("2024-02-11"), places[2], "Fix", march),
    )
