"""The ranges of one transfer that may block a new one, kept sorted so that a create stays cheap."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ranges:
    """Day ranges (inclusive) with the ids of their backfills. `longest` bounds how far back to look."""

    rows: list[tuple[int, int, int]] = field(default_factory=list)
    longest: int = 0

    def add(self, start: int, end: int, number: int) -> None:
        """Add a range."""
        insort(self.rows, (start, end, number))
        self.longest = max(self.longest, end - start)

    def drop(self, start: int, end: int, number: int) -> None:
        """Remove a range; one that is not there is ignored."""
        place = bisect_left(self.rows, (start, end, number))
        if place < len(self.rows) and self.rows[place] == (start, end, number):
            del self.rows[place]

    def touching(self, start: int, end: int) -> Iterator[int]:
        """The ids of the ranges that share a day with start..end. The rows may be dropped meanwhile."""
        first = bisect_left(self.rows, (start - self.longest, 0, 0))
        last = bisect_right(self.rows, (end, 2**63, 2**63))
        for _, row_end, number in self.rows[first:last]:
            if row_end >= start:
                yield number
