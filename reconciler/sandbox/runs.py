"""One run: a day loaded once, by the schedule or for a backfill, and the odd ways in which it may end."""

from dataclasses import dataclass
from typing import NamedTuple

CREATED = "CREATED"
SCHEDULED = "SCHEDULED"
RUNNING = "RUNNING"
FAILED = "FAILED"
COMPLETED = "COMPLETED"
CANCELLED = "CANCELLED"
UNENDED = frozenset((CREATED, SCHEDULED, RUNNING))  # a run told to be in one of these does not end

UNREPORTED = ""  # the error of a failed run that the error report says nothing about


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended that did not simply complete with its rows.

    FAILED with its error; COMPLETED without rows; or any other word, which counts as neither. A run that
    does not end (`ends`) stays in its status, and a backfill waits for it for ever if it `holds`.
    """

    status: str = FAILED
    error: str = ""
    ends: bool = True
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands at one moment. `ended` is None until it ended; moments are milliseconds.

    The vendor's page shows COMPLETED and FAILED only; SCHEDULED (waiting), RUNNING and CANCELLED
    (dropped by a cancel) are our reading, after the words it uses for backfills.
    """

    id: int
    kind: str  # Recurring or Backfill
    day: int
    status: str
    created: int
    started: int | None
    ended: int | None
    rows: int | None
    message: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it worked; None while it has not ended."""
        if self.ended is None:
            return None
        return 0.0 if self.started is None else (self.ended - self.started) / 1000


class Working(NamedTuple):
    """A run that works from `start` to `end`, if nothing odd happens. Run lists make thousands of them."""

    id: int
    kind: str
    day: int
    created: int
    start: int
    end: int
    rows: int

    def at(self, now: int, ending: Ending | None) -> Run:
        """It at a moment not before its start. `ending` is looked at once its end has come."""
        if now < self.end:
            return self._run(RUNNING, None, None)
        if ending is None:
            return self._run(COMPLETED, self.end, self.rows)
        if not ending.ends:
            return self._run(ending.status, None, None)
        message = ending.error or ("Failed" if ending.status == FAILED else "")
        return self._run(ending.status, self.end, 0, message)

    def _run(self, status: str, ended: int | None, rows: int | None, message: str = "") -> Run:
        return Run(self.id, self.kind, self.day, status, self.created, self.start, ended, rows, message)
