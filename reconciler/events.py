"""What happens during an apply, as values. A renderer words them; the report counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.model.memory import Intent
from reconciler.planning.plan import Action


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
    """The API refused a write. ``blocker`` is the backfill it is put down to."""

    action: Action
    status: int
    message: str
    blocker: int | None = None


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A create's outcome is unknown; a run from ``settles_at`` on settles it by itself, if it can."""

    intent: Intent
    settles_at: datetime | None


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


Event = Created | Cancelled | WriteRefused | UnknownOutcome | Withdrawn | Settled | Waiting
