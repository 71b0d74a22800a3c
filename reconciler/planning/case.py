"""A backfill to be judged: what its counts tell, and how many of its runs a list shows. Pure.

``verdict.py`` has the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from reconciler.dates import DateSet
from reconciler.model.memory import BackfillRecord
from reconciler.model.observed import Backfill, Run, RunStatus, Status
from reconciler.planning.evidence import RunsByDay, settles_for, status_of


@dataclass(frozen=True, slots=True)
class Case:
    """A backfill to be judged: as it was last seen, its transfer's runs, and how long it has been over.

    ``runs`` is ``None`` where the run list was not read. ``since_ended`` is by both clocks, from the
    first read that saw it ended, or gone. ``blind``: the file says that the run list is never to be read.
    """

    record: BackfillRecord
    runs: RunsByDay | None
    since_ended: timedelta
    blind: bool = False

    @property
    def seen(self) -> Backfill:
        return self.record.seen

    @property
    def status(self) -> Status:
        return status_of(self.record)

    @property
    def ended(self) -> int:
        """How many of its runs have ended."""
        return self.seen.completed + self.seen.failed

    @property
    def whole(self) -> bool:
        """Every run has ended, and there was one for each day."""
        return self.ended == self.seen.total == len(self.seen.days)

    @property
    def adds_up(self) -> bool:
        """Whether its counts tell already what later ones can only repeat."""
        return self.whole or self.is_all_completed

    @property
    def is_all_completed(self) -> bool:
        """Whether each day is loaded. COMPLETED says so of all its days, however many runs that took; of one
        that was ended otherwise the runs that would be missing may never have been made.
        """
        seen = self.seen
        whole = self.status is Status.COMPLETED or seen.total == len(seen.days)
        return whole and seen.completed == seen.total > 0 == seen.failed

    @property
    def runs_a_day(self) -> int:
        """How many runs a day of it has, at most."""
        return max(-(-self.seen.total // len(self.seen.days)), 1)

    @property
    def has_several_a_day(self) -> bool:
        """Whether all its runs have ended, several of each day. Of what was ended otherwise than COMPLETED,
        the total may count only the runs that were made.
        """
        total, days = self.seen.total, len(self.seen.days)
        each = self.status is Status.COMPLETED or (self.status is Status.FAILED and total % days == 0)
        return self.ended == total > days and each

    @property
    def is_without_runs(self) -> bool:
        return self.status is Status.COMPLETED and not self.seen.total

    @property
    def named(self) -> DateSet:
        """The days of it that its error report names."""
        return self.seen.failed_days & self.seen.days

    @property
    def settling(self) -> bool:
        """Whether counts may still lag behind, or running runs of what was cancelled still finish."""
        return self.since_ended < settles_for(self.record, self.blind)

    # -- what a list shows of its runs -------------------------------------------------------

    def has_long_runs(self, own: RunsByDay) -> bool:
        """Tell whether a run may have loaded several days: all are over, and they are fewer than its days.

        What was ended otherwise than COMPLETED may never have made the others. That is so if it has runs of
        two days in a row: then each day has its own.
        """
        fewer = 0 < self.seen.total < len(self.seen.days) and self.ended == self.seen.total
        daily = self.status is not Status.COMPLETED and any(day + 1 in own for day in own)
        return fewer and not daily

    def is_listed(self, own: RunsByDay) -> bool:
        """Tell whether the list shows runs of each day, and as many that ended as were counted."""
        return len(own) == len(self.seen.days) and self.ended_runs(own) >= self.ended

    def ended_runs(self, own: RunsByDay) -> int:
        """Return how many of its runs the list shows as ended, by day: a second try of one is no other."""
        ended = (RunStatus.COMPLETED, RunStatus.FAILED)
        return sum(min(_count(rows, *ended), self.runs_a_day) for rows in own.values())

    def still_failed(self, rows: Sequence[Run]) -> int:
        """Return how many runs of a day failed in the end; one that was tried again has a row for each."""
        rest = self.runs_a_day - _count(rows, RunStatus.COMPLETED)
        return max(min(_count(rows, RunStatus.FAILED), rest), 0)


def _count(rows: Sequence[Run], *statuses: RunStatus) -> int:
    return sum(run.status in statuses for run in rows)
