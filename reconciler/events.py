"""What happens during an apply, as values. Renderers word them; the report counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.dates import Day, Span
from reconciler.model.desired import Address
from reconciler.model.memory import Applied, BackfillRecord, Document, Intent
from reconciler.model.observed import ApiError, joined
from reconciler.planning.plan import Action, Plan


@dataclass(frozen=True, slots=True)
class Created:
    """A backfill of ours exists. ``adopted``: we saw it later, not in the answer to our request; ``refused``:
    that answer was a refusal.
    """

    action: Action
    backfill_id: int
    adopted: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    action: Action
    backfill_id: int


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A write was refused: by ``error`` of the API, if it answered one. ``blocker`` is the backfill it is
    attributed to; ``why`` says in our words what the API may not. ``by_hand``: only a person frees its days.
    ``blind``: they are free once a later run sees that nothing was made.
    """

    action: Action
    error: ApiError | None
    blocker: int | None = None
    why: str = ""
    by_hand: bool = False
    blind: bool = False

    @property
    def message(self) -> str:
        return joined(self.why, self.error.message if self.error else "")


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A create's outcome is unknown; a run from ``settles_at`` on settles it by itself, if it can.

    ``error`` is what the API answered, if it did.
    """

    intent: Intent
    settles_at: datetime | None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was planned is not so any more, or could not be sent: the next run reads everything afresh."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """An intent that an earlier run left behind was settled."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is sent for ``seconds``."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class LeftUndone(Span):
    """A saved plan was to create these days, or to cancel ``cancels``; this run leaves it undone. ``reason``
    is that of the days in the ledger, or says that they are not approved or not declared any more.
    """

    address: Address
    transfer: str
    start: Day
    end: Day
    cancels: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AppliedBefore:
    """The plan that is to be applied was applied in full before: nothing is left to do."""

    applied: Applied


Event = (
    Created
    | Cancelled
    | WriteRefused
    | UnknownOutcome
    | Withdrawn
    | Settled
    | Waiting
    | LeftUndone
    | AppliedBefore
)
"""What is told in a line."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of an apply is made; nothing is written to the API yet. ``again``: it takes the place of one
    that was shown before and is not what would be done any more.
    """

    plan: Plan
    again: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """What was planned is about to be done."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What became of our writes could not be saved in the state. ``lost`` are the backfills it lacks.

    ``document`` is the state with them. Not ``restorable``: the state that the run began with is not there
    any more.
    """

    document: Document
    lost: tuple[BackfillRecord, ...]
    restorable: bool


RunEvent = Event | Planned | Started | Unsaved
