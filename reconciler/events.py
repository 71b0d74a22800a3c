"""What happens during an apply, as values. Renderers word them; the report counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.dates import Day, Span
from reconciler.model.desired import Address
from reconciler.model.memory import BackfillRecord, Document, Intent
from reconciler.model.observed import ApiError, joined
from reconciler.planning.plan import Action, Plan


@dataclass(frozen=True, slots=True)
class Created:
    """A backfill of ours exists. ``adopted``: we saw it later, not in the answer to our request."""

    action: Action
    backfill_id: int
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    action: Action
    backfill_id: int


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A write was refused: by ``error`` of the API, if it answered one. ``blocker`` is the backfill it is
    attributed to; ``why`` says in our words what the API may not.
    """

    action: Action
    error: ApiError | None
    blocker: int | None = None
    why: str = ""

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
    """Another run was first, or the moment to send had passed: the days are planned again."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """An intent that an earlier run left behind was settled. ``late``: after it had been given up."""

    intent: Intent
    late: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is sent for ``seconds``."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class LeftUndone(Span):
    """An approved plan was to create these days, or to cancel ``cancels``; this run leaves it undone."""

    address: Address
    start: Day
    end: Day
    cancels: tuple[int, ...] = ()


Event = Created | Cancelled | WriteRefused | UnknownOutcome | Withdrawn | Settled | Waiting | LeftUndone
"""What is told in a line."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of an apply is made; nothing is written to the API yet."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Started:
    """What was planned is about to be done."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What became of our writes could not be saved in the state. ``lost`` are the backfills it lacks.

    ``document`` is the state with them. Not ``restorable``: the state that the run began with is not there
    any more. ``restore_command`` returns the shell command that puts a file with the document in the place
    of the state; "" if there is none.
    """

    document: Document
    lost: tuple[BackfillRecord, ...]
    restorable: bool
    restore_command: Callable[[str], str]


RunEvent = Event | Planned | Started | Unsaved
