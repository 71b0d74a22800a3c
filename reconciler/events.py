"""What happens during an apply, as values. Renderers word them; the report counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.dates import Day, Span
from reconciler.model.desired import Address
from reconciler.model.memory import Applied, BackfillRecord, Document, Intent
from reconciler.model.observed import ApiError, joined
from reconciler.planning.plan import Action, Item, Plan


@dataclass(frozen=True, slots=True)
class Created:
    """A backfill of ours exists. ``adopted``: we saw it later, not in the answer to our request, and ``why``
    says in a clause what came instead; ``refused``: that answer was a refusal.
    """

    action: Action
    backfill_id: int
    adopted: bool = False
    refused: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled(Span):
    """A backfill of ours was cancelled, for an action. ``[start, end)`` are the backfill's own days."""

    action: Action
    backfill_id: int
    start: Day
    end: Day


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A write was refused: by ``error`` of the API, if it answered one. ``blocker`` is the backfill it is
    attributed to; ``why`` says in our words what the API may not. ``by_hand``: only a person frees its days.
    ``blind``: they are free once a later run sees that nothing was made. ``suspect``: it may turn out to be
    about more than its transfer, the key say; then it is the nonce of its intent. ``until``: from when a run
    tries again.
    """

    action: Action
    error: ApiError | None
    blocker: int | None = None
    why: str = ""
    by_hand: bool = False
    blind: bool = False
    suspect: str = ""
    until: datetime | None = None

    @property
    def message(self) -> str:
        return joined(self.why, self.error.said if self.error else "")


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A create's outcome is unknown; a run from ``settles_at`` on settles it by itself, if it can.

    ``error`` is what the API answered, if it did; ``why`` says in a clause what came instead of an answer
    that tells.
    """

    intent: Intent
    settles_at: datetime | None
    error: ApiError | None = None
    team_id: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was planned is not so any more, or could not be sent: the next run reads everything afresh."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """An intent that an earlier run left behind was settled."""

    intent: Intent
    team_id: int = 0


UNKNOWN = "the outcome of a create is unknown"
"""Why a run looks again what became of a create."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is sent for ``seconds``, of ``transfer``."""

    seconds: float
    why: str
    transfer: str = ""


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
class TurnedAway:
    """A write was sent and surely not done, for no fault of its own: a rate limit, a quota, the key. It stays
    due.
    """

    action: Action
    error: ApiError


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How an apply ended: what was done (``totals``, by the names of the JSON summary), and what was not.

    ``doubts`` are the creates that are unresolved in the end; ``not_sent`` what was planned, and stays due,
    and so does what was sent and ``turned_away``; ``holes`` the days that stay failed or blocked; ``undone``
    what a saved plan was to do, and is not done under it. ``unplanned``: a team could not be planned.
    ``causes``: the codes of the errors that ended it; ``wait``: how long the API asked to be left alone.
    """

    exit: int
    totals: Mapping[str, int]
    outcomes: tuple[WriteRefused | Withdrawn, ...] = ()
    doubts: tuple[UnknownOutcome, ...] = ()
    not_sent: tuple[Action, ...] = ()
    holes: tuple[Item, ...] = ()
    undone: tuple[LeftUndone, ...] = ()
    unplanned: bool = False
    causes: frozenset[str] = frozenset()
    turned_away: tuple[TurnedAway, ...] = ()
    wait: timedelta | None = None


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


# --- what is being done -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """The API is read for a team: of ``total`` transfers ``done`` so far. 0 of 0: its lists, which come
    first.
    """

    team_id: int
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Retrying:
    """A read failed, and is made again: ``attempt`` is the one that comes. ``said`` has no full stop."""

    said: str
    attempt: int
    of: int


@dataclass(frozen=True, slots=True)
class LockAwaited:
    """The lock of a team's state is waited for. ``holder`` says who has it, if that is known."""

    team_id: int
    holder: str


@dataclass(frozen=True, slots=True)
class Sending(Span):
    """A write was sent, and is not answered yet."""

    transfer: str
    start: Day
    end: Day


Activity = Reading | Retrying | LockAwaited | Sending


@dataclass(frozen=True, slots=True)
class Doing:
    """Something goes on from now, in the place of what had the same ``key``; ``None``: that is over."""

    key: str
    what: Activity | None = None


RunEvent = Event | Planned | Started | Unsaved | Doing
