"""One run of a transfer: one day loaded once, by the schedule or for a backfill."""

from dataclasses import dataclass

CANCELLED = "CANCELLED"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
RUNNING = "RUNNING"
SCHEDULED = "SCHEDULED"


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
