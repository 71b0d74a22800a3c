"""The union of a transfer's ranges, as disjoint segments that remember where they come from. Pure.

One sweep over the boundaries, O(n log n) in the number of ranges, whatever the days. Ranges are
``Segment`` too, as declared: they may overlap, and be empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from itertools import pairwise

from reconciler.dates import DateSet, Day
from reconciler.model.desired import Rerun, Segment


@dataclass(frozen=True, slots=True)
class Overlap:
    """Days ``[start, end)`` that two ranges declare, given by their positions."""

    earlier: int
    later: int
    start: Day
    end: Day


@dataclass(frozen=True, slots=True)
class General:
    """What holds for the ranges of a transfer that do not say otherwise."""

    stale_before: datetime | None = None
    final_after: int | None = None


def segments(
    ranges: Sequence[Segment], excluded: DateSet, general: General = General()
) -> tuple[Segment, ...]:
    """Return the ranges' union without ``excluded``, sorted and disjoint.

    Where ranges overlap, the first declared gives the place, the first that has them the reason,
    ``final_after`` and the owners. The latest ``stale_before`` holds, of equal ones the first declared; a
    range that sets it and is not the first on its days is their ``rerun``.
    """
    return tuple(_joined(_pieces(ranges, excluded, general)))


def overlaps(ranges: Sequence[Segment]) -> list[Overlap]:
    """Return, for each range that begins inside others, its overlap with the one reaching furthest."""
    found: list[Overlap] = []
    furthest = -1
    for index in _by_start(ranges):
        declared = ranges[index]
        if furthest >= 0 and declared.start < ranges[furthest].end:
            end = min(declared.end, ranges[furthest].end)
            found.append(Overlap(min(index, furthest), max(index, furthest), declared.start, end))
        if furthest < 0 or declared.end > ranges[furthest].end:
            furthest = index
    return found


def _by_start(ranges: Sequence[Segment]) -> list[int]:
    """Return the positions of the non-empty ranges, by first day."""
    held = (index for index, declared in enumerate(ranges) if declared.start < declared.end)
    return sorted(held, key=lambda index: (ranges[index].start, index))


# Between two neighbouring boundaries nothing begins or ends, so one answer holds for all days there.
#
#     [0]  2024-01-01 .. 01-31                                 "History"
#     [1]  2024-01-10 .. 01-20   stale_before 2024-06-01
#     [2]  2024-01-15 .. 02-10   stale_before 2024-03-01       "Fix"
#
#     from 01-01   active 0      place [0]   "History"
#     from 01-10   active 0 1    place [0]   "History"   stale 06-01   rerun [1]
#     from 01-15   active 0 1 2  place [0]   "History"   stale 06-01   rerun [1]
#     from 01-21   active 0 2    place [0]   "History"   stale 03-01   rerun [2]   [1] is over
#     from 02-01   active 2      place [2]   "Fix"       stale 03-01               [0] is over
#
# The pieces from 01-10 and 01-15 differ in nothing that is said: ``_joined`` makes one segment of them.
# Place, reason, ``final_after``, owners and ``stale_before`` may come from five ranges, hence five heaps.
# A range that is over stays in a heap until it comes to the top; only there it would be asked.


_SET_BY_FIRST = ("reason", "final_after", "owners")
_UNSET = ("", None, ())


@dataclass(slots=True)
class _Active:
    """The ranges that hold at one day of the sweep, in heaps of their positions.

    The top of ``first`` gives the place; that of each of ``setting`` (only ranges that set that field) its
    value; that of ``stalest`` (the time first, negated, so that the latest is the least) the
    ``stale_before``.
    """

    ranges: Sequence[Segment]
    general: General
    first: list[int] = field(default_factory=list)
    setting: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _SET_BY_FIRST})
    stalest: list[tuple[float, int]] = field(default_factory=list)

    def enter(self, index: int) -> None:
        declared = self.ranges[index]
        heappush(self.first, index)
        for name, heap in self.setting.items():
            if getattr(declared, name) not in _UNSET:
                heappush(heap, index)
        if stale := declared.stale_before or self.general.stale_before:
            heappush(self.stalest, (-stale.timestamp(), index))

    def segment(self, start: Day, end: Day) -> Segment | None:
        """Return the piece ``[start, end)``, inside which no range begins or ends."""
        for heap in (self.first, *self.setting.values()):
            while heap and self.ranges[heap[0]].end <= start:
                heappop(heap)
        while self.stalest and self.ranges[self.stalest[0][1]].end <= start:
            heappop(self.stalest)
        if not self.first:
            return None
        place = self.ranges[self.first[0]].place
        told = {name: getattr(self.ranges[heap[0]], name) for name, heap in self.setting.items() if heap}
        told.setdefault("final_after", self.general.final_after)
        if not self.stalest:
            return Segment(start, end, place, **told)
        stalest = self.ranges[self.stalest[0][1]]
        set_here = stalest.stale_before is not None and stalest.place != place
        return Segment(
            start,
            end,
            place,
            stale_before=stalest.stale_before or self.general.stale_before,
            rerun=Rerun(stalest.place, stalest.reason) if set_here else None,
            **told,
        )


def _pieces(ranges: Sequence[Segment], excluded: DateSet, general: General) -> Iterator[Segment]:
    order = _by_start(ranges)
    bounds = {bound for index in order for bound in (ranges[index].start, ranges[index].end)}
    bounds.update(bound for pair in excluded.intervals for bound in pair)
    active, entered, gap = _Active(ranges, general), 0, 0
    for start, end in pairwise(sorted(bounds)):
        while entered < len(order) and ranges[order[entered]].start <= start:
            active.enter(order[entered])
            entered += 1
        while gap < len(excluded.intervals) and excluded.intervals[gap][1] <= start:
            gap += 1
        if gap < len(excluded.intervals) and excluded.intervals[gap][0] <= start:
            continue
        if piece := active.segment(start, end):
            yield piece


def _joined(pieces: Iterator[Segment]) -> Iterator[Segment]:
    """Join neighbours that differ in nothing but their days."""
    last: Segment | None = None
    for piece in pieces:
        if last and last.end == piece.start and replace(last, start=piece.start, end=piece.end) == piece:
            last = replace(last, end=piece.end)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last
