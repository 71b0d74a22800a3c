"""The union of a transfer's ranges, as disjoint segments that remember where they come from. Pure.

One sweep over the boundaries, O(n log n) in the number of ranges, whatever the days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from itertools import pairwise

from reconciler.dates import DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.desired import Segment


@dataclass(frozen=True, slots=True)
class Item:
    """One declared range: the days ``[start, end)``, and what was said with them."""

    start: Day
    end: Day
    place: Place
    reason: str = ""
    stale_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Days ``[start, end)`` that two items declare, given by their positions."""

    earlier: int
    later: int
    start: Day
    end: Day


def segments(items: Sequence[Item], excluded: DateSet) -> tuple[Segment, ...]:
    """Return the items' union without ``excluded``, sorted and disjoint.

    Where items overlap, the first declared gives the place, the first that has one the
    reason, and the latest ``stale_before`` holds.
    """
    return tuple(_joined(_pieces(items, excluded)))


def overlaps(items: Sequence[Item]) -> list[Overlap]:
    """Return, for each item that begins inside others, its overlap with the one reaching furthest."""
    found: list[Overlap] = []
    furthest = -1
    for index in _by_start(items):
        item = items[index]
        if furthest >= 0 and item.start < items[furthest].end:
            end = min(item.end, items[furthest].end)
            found.append(Overlap(min(index, furthest), max(index, furthest), item.start, end))
        if furthest < 0 or item.end > items[furthest].end:
            furthest = index
    return found


def _by_start(items: Sequence[Item]) -> list[int]:
    """Return the positions of the non-empty items, by first day."""
    held = (index for index, item in enumerate(items) if item.start < item.end)
    return sorted(held, key=lambda index: (items[index].start, index))


@dataclass(slots=True)
class _Active:
    """The items that hold at one day of the sweep. Heaps; what has ended is dropped late."""

    items: Sequence[Item]
    first: list[int] = field(default_factory=list)
    reasoned: list[int] = field(default_factory=list)
    stalest: list[tuple[float, int]] = field(default_factory=list)

    def enter(self, index: int) -> None:
        item = self.items[index]
        heappush(self.first, index)
        if item.reason:
            heappush(self.reasoned, index)
        if item.stale_before:
            heappush(self.stalest, (-item.stale_before.timestamp(), index))

    def segment(self, start: Day, end: Day) -> Segment | None:
        """Return the piece ``[start, end)``, inside which no item begins or ends."""
        for heap in (self.first, self.reasoned):
            while heap and self.items[heap[0]].end <= start:
                heappop(heap)
        while self.stalest and self.items[self.stalest[0][1]].end <= start:
            heappop(self.stalest)
        if not self.first:
            return None
        reason = self.items[self.reasoned[0]].reason if self.reasoned else ""
        stale = self.items[self.stalest[0][1]].stale_before if self.stalest else None
        return Segment(start, end, self.items[self.first[0]].place, reason, stale)


def _pieces(items: Sequence[Item], excluded: DateSet) -> Iterator[Segment]:
    order = _by_start(items)
    bounds = {bound for index in order for bound in (items[index].start, items[index].end)}
    bounds.update(bound for pair in excluded.intervals for bound in pair)
    active, entered, gap = _Active(items), 0, 0
    for start, end in pairwise(sorted(bounds)):
        while entered < len(order) and items[order[entered]].start <= start:
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
        if (
            last
            and last.end == piece.start
            and replace(piece, start=last.start) == replace(last, end=piece.end)
        ):
            last = replace(last, end=piece.end)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last
