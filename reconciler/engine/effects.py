"""The steps that an apply asks for, one at a time: each is a value, and whoever drives it does it.

Threads drive real runs (``drive.py``); a seeded scheduler can drive the same generators and
stop, freeze or interleave them at any step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from reconciler.errors import ReconcilerError
from reconciler.events import Event
from reconciler.model.memory import Delta, Intent
from reconciler.model.observed import Backfill
from reconciler.planning.evidence import is_active


class Committed(Enum):
    """The answer to ``Intend``. ``WITHDRAWN``: somebody else intends or made some of its days."""

    YES = auto()
    WITHDRAWN = auto()
    STOPPED = auto()


class Unfit(Enum):
    """The answer to ``Send`` when it was not sent: too late, or the lock is no longer ours."""

    UNFIT = auto()


@dataclass(frozen=True, slots=True)
class Intend:
    """Commit an intent durably. Answered by ``Committed``.

    ``sources``: the ids on which another run's work stands in its way: its own, its predecessors'.
    """

    intent: Intent
    also: Delta
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Commit an outcome durably. It always lands, or the run ends."""

    delta: Delta


@dataclass(frozen=True, slots=True)
class SendCreate:
    """One POST, one attempt. Answered by a write outcome, or ``Unfit``."""

    intent: Intent
    deadline: float


@dataclass(frozen=True, slots=True)
class SendCancel:
    """One PATCH, one attempt. Answered by a write outcome, or ``Unfit``."""

    intent: Intent
    deadline: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Read the list and ``latest`` of a transfer. Answered by a ``ProbeResult``, or ``None`` if unreadable.

    ``predecessors``: whose ``latest`` is read too. ``needed``: without it the team stops, for the
    reason that the API gives.
    """

    transfer_id: int
    predecessors: tuple[int, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a look shows: the list of incomplete backfills, and ``latest`` of the transfer and of its
    predecessors, if they were asked for.
    """

    listed: tuple[Backfill, ...]
    latest: Backfill | None
    predecessors: tuple[Backfill | None, ...] = ()

    @property
    def backfills(self) -> tuple[Backfill, ...]:
        return (*self.listed, self.latest) if self.latest else self.listed

    def blocker(self, intent: Intent) -> Backfill | None:
        """Return what stands in the way of a create: an active one first, then a FAILED one."""
        same = (one for one in self.backfills if one.transfer_id == intent.transfer_id)
        over = (one for one in same if one.days & intent.days and not one.status.final)
        return min(over, key=lambda one: (not is_active(one), one.id), default=None)


@dataclass(frozen=True, slots=True)
class Get:
    """Read one backfill. Answered by it, or ``None`` if it is not there or not readable."""

    backfill_id: int


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Emit:
    event: Event


@dataclass(frozen=True, slots=True)
class Stop:
    """Let no worker of this team write any more, for this reason; ``everywhere``: of no team."""

    error: ReconcilerError
    everywhere: bool = False


Step = Intend | Record | SendCreate | SendCancel | Probe | Get | Pause | Emit | Stop
