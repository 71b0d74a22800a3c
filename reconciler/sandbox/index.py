"""Which backfills a team and a transfer have, in order, and which days they hold."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.sandbox.backfill import Backfill

Address = tuple[int, int]  # team, transfer


@dataclass(slots=True)
class Index:
    """Ids of backfills, by the creation of the backfill, then by id."""

    _of_team: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _of_transfer: dict[Address, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _ranges: dict[Address, "Ranges"] = field(default_factory=lambda: defaultdict(Ranges))

    def add(self, record: Backfill) -> None:
        """Add a backfill that is not in it."""
        address = (record.team, record.transfer)
        insort(self._of_team[record.team], (record.created, record.id))
        insort(self._of_transfer[address], (record.created, record.id))
        self._ranges[address].add(record.start, record.end, record.id)

    def of_transfer(self, team: int, transfer: int) -> Iterable[int]:
        """The backfills of a transfer, oldest first."""
        return [number for _, number in self._of_transfer.get((team, transfer), ())]

    def ranges(self, team: int, transfer: int) -> "Ranges":
        """The days that backfills of a transfer may hold."""
        return self._ranges[team, transfer]

    def unsettled(self, backfills: Mapping[int, Backfill], team: int, now: int) -> Iterator[Backfill]:
        """The backfills of a team, newest first. Those that ended for good leave the index on the way."""
        numbers = self._of_team.get(team, [])
        for place in range(len(numbers) - 1, -1, -1):
            record = backfills[numbers[place][1]]
            if record.settled(now):
                del numbers[place]
            else:
                yield record


@dataclass(slots=True)
class Ranges:
    """The day ranges (inclusive) of one transfer that may block a new one, with their backfills' ids.

    They are kept sorted so that a create stays cheap; `longest` bounds how far back to look.
    """

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
