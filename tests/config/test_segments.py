"""Segments against an oracle of plain days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.segments import General, overlaps, segments
from reconciler.dates import DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.desired import Rerun, Segment

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Said = tuple[int, str, datetime | None, int | None, int | None]


TIMES = st.none() | st.integers(0, 3).map(lambda days: EPOCH + timedelta(days=days))


@st.composite
def ranges(draw: st.DrawFn) -> list[Segment]:
    spans = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 15)), max_size=8))
    return [
        Segment(
            start,
            start + length,
            Place("f", line, 1),
            draw(st.sampled_from(["", "one", "two"])),
            draw(TIMES),
            draw(st.none() | st.integers(0, 2)),
        )
        for line, (start, length) in enumerate(spans, start=1)
    ]


EXCLUDED = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 55)), max_size=4).map(DateSet.of)


GENERAL = st.builds(General, TIMES, st.none() | st.integers(0, 2))


def oracle(declared: list[Segment], excluded: DateSet, general: General) -> dict[Day, Said]:
    days: dict[Day, Said] = {}
    for day in {day for entry in declared for day in range(entry.start, entry.end)} - set(excluded):
        active = [entry for entry in declared if entry.start <= day < entry.end]
        reason = next((entry.reason for entry in active if entry.reason), "")
        final = [entry.final_after for entry in active if entry.final_after is not None]
        times = [entry.stale_before or general.stale_before for entry in active]
        stale = max((time for time in times if time), default=None)
        latest = active[times.index(stale)]
        again = latest.place.line if latest is not active[0] and latest.stale_before else None
        line = active[0].place.line
        days[day] = (line, reason, stale, final[0] if final else general.final_after, again)
    return days


def said(segment: Segment) -> Said:
    again = segment.rerun.place.line if segment.rerun else None
    return (segment.place.line, segment.reason, segment.stale_before, segment.final_after, again)


@given(ranges(), EXCLUDED, GENERAL)
def test_segments_say_of_every_day_what_the_oracle_says(
    declared: list[Segment], excluded: DateSet, general: General
) -> None:
    found = segments(declared, excluded, general)
    says = {day: said(segment) for segment in found for day in segment.days}
    assert says == oracle(declared, excluded, general)
    reasons = {entry.place: entry.reason for entry in declared}
    assert all(one.rerun.reason == reasons[one.rerun.place] for one in found if one.rerun)


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
    fix = Rerun(places[2], "Fix")
    assert segments(declared, DateSet()) == (
        Segment(_day("2024-01-01"), _day("2024-01-10"), places[0], "History"),
        Segment(_day("2024-01-10"), _day("2024-01-21"), places[0], "History", june, rerun=Rerun(places[1])),
        Segment(_day("2024-01-21"), _day("2024-02-01"), places[0], "History", march, None, fix),
        Segment(_day("2024-02-01"), _day("2024-02-11"), places[2], "Fix", march),
    )
