"""Segments against an oracle of plain days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.segments import Item, overlaps, segments
from reconciler.dates import DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.desired import Segment

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Said = tuple[int, str, datetime | None]


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    spans = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 15)), max_size=8))
    return [
        Item(
            start,
            start + length,
            Place("f", line, 1),
            draw(st.sampled_from(["", "one", "two"])),
            draw(st.none() | st.integers(0, 3).map(lambda days: EPOCH + timedelta(days=days))),
        )
        for line, (start, length) in enumerate(spans, start=1)
    ]


EXCLUDED = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 55)), max_size=4).map(DateSet.of)


def oracle(declared: list[Item], excluded: DateSet) -> dict[Day, Said]:
    days: dict[Day, Said] = {}
    for day in {day for item in declared for day in range(item.start, item.end)} - set(excluded):
        active = [item for item in declared if item.start <= day < item.end]
        reason = next((item.reason for item in active if item.reason), "")
        stale = max((item.stale_before for item in active if item.stale_before), default=None)
        days[day] = (active[0].place.line, reason, stale)
    return days


def said(segment: Segment) -> Said:
    return (segment.place.line, segment.reason, segment.stale_before)


@given(items(), EXCLUDED)
def test_segments_say_of_every_day_what_the_oracle_says(declared: list[Item], excluded: DateSet) -> None:
    found = segments(declared, excluded)
    assert {day: said(segment) for segment in found for day in segment.days} == oracle(declared, excluded)


@given(items(), EXCLUDED)
def test_segments_are_sorted_disjoint_and_as_few_as_can_be(declared: list[Item], excluded: DateSet) -> None:
    found = segments(declared, excluded)
    assert all(segment.start < segment.end for segment in found)
    for left, right in pairwise(found):
        assert left.end <= right.start
        assert left.end < right.start or said(left) != said(right)


@given(items())
def test_overlaps_are_found_exactly_where_there_are_some(declared: list[Item]) -> None:
    found = overlaps(declared)
    total = sum(item.end - item.start for item in declared)
    assert bool(found) is (total > len({day for item in declared for day in range(item.start, item.end)}))
    for overlap in found:
        earlier, later = declared[overlap.earlier], declared[overlap.later]
        assert overlap.earlier < overlap.later
        assert overlap.start == max(earlier.start, later.start)
        assert overlap.end == min(earlier.end, later.end) > overlap.start
