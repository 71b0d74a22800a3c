"""What happens during an apply, as values. A renderer words them; the report counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.model.memory import Intent
from reconciler.model.observed import ApiError, joined
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
