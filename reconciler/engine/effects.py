"""The steps that an apply asks for, one at a time: each is a value, an effect, and an executor does it.

Threads drive real runs (``executor.py``); a seeded scheduler can drive the same generators and
stop, freeze or interleave them at any step.

Each effect names the type of its answer, and ``ask`` brings the answer in that type:

    probe = yield from ask(Probe(456789))  # ProbeResult | None

One that is answered by nothing may simply be yielded: ``yield Emit(event)``.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from reconciler.api.outcome import Rejected, WriteOutcome
from reconciler.errors import ReconcilerError
from reconciler.events import Event
from reconciler.model.memory import Delta, Intent, IntentKind, Outcome
from reconciler.model.observed import Backfill, Unreadable
from reconciler.planning.evidence import is_active

A = TypeVar("A")


class Effect(Generic[A]):
    """Something to be done. ``A`` is the type of its answer."""

    __slots__ = ()

    def answered(self, answer: A) -> A:
        """Return its answer; an executor that gives it one of another type fails the type check."""
        return answer


class Committed(Enum):
    """The answer to ``Intend``. ``WITHDRAWN``: somebody else intends or made some of its days."""

    YES = auto()
    WITHDRAWN = auto()
    STOPPED = auto()


class Withheld(Enum):
    """The answer to ``SendCreate`` and ``SendCancel`` when we did not send: too late, for its time is over,
    the run stopped, the lock lost, or the intent settled by another run.
    """

    TOO_LATE = auto()


@dataclass(frozen=True, slots=True)
class Intend(Effect[Committed]):
    """Commit an intent durably.

    ``sources``: the ids on which another run's work stands in its way: its own, its predecessors'.
    """

    intent: Intent
    also: Delta
    sources: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.intent.pending
        assert self.intent.transfer_id in self.sources


@dataclass(frozen=True, slots=True)
class Record(Effect[None]):
    """Commit an outcome durably. It always lands, or the run ends."""

    delta: Delta

    def __post_init__(self) -> None:
        done = (intent for intent in self.delta.intents if intent.outcome is Outcome.DONE)
        assert all(intent.backfill_id is not None for intent in done)


@dataclass(frozen=True, slots=True)
class SendCreate(Effect[WriteOutcome | Withheld]):
    """One POST, one attempt. ``deadline``: when its time is over, by the clock's ``elapsed`` seconds."""

    intent: Intent
    deadline: float

    def __post_init__(self) -> None:
        assert self.intent.kind is IntentKind.CREATE
        assert self.intent.backfill_id is None


@dataclass(frozen=True, slots=True)
class SendCancel(Effect[WriteOutcome | Withheld]):
    """One PATCH, one attempt. ``deadline`` is as in ``SendCreate``."""

    intent: Intent
    deadline: float

    def __post_init__(self) -> None:
        assert self.intent.kind is IntentKind.CANCEL
        assert self.intent.backfill_id is not None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a ``Probe`` shows: the list of incomplete backfills, and ``latest`` of the transfer and of its
    predecessors, if they were asked for.
    """

    listed: tuple[Backfill, ...]
    latest: Backfill | None
    predecessors: tuple[Backfill | None, ...] = ()

    @property
    def backfills(self) -> tuple[Backfill, ...]:
        return (*self.listed, self.latest) if self.latest else self.listed

    def in_the_way(self, withdrawn: Intent) -> str:
        """Say which backfill a create was withdrawn for; it is one of those shown."""
        blocker = next(backfill for backfill in self.backfills if backfill.id == withdrawn.blocker)
        return f"{blocker.id} is {'active on' if is_active(blocker) else 'ours, and failed on'}"


@dataclass(frozen=True, slots=True)
class Probe(Effect[ProbeResult | Unreadable | None]):
    """Read the list and ``latest`` of a transfer. Answered by ``None`` if the list cannot be read, and by
    ``Unreadable`` if a ``latest`` cannot.

    ``predecessors``: whose ``latest`` is read too. ``needed``: without the list the team stops, for the
    reason that the API gives.
    """

    transfer_id: int
    predecessors: tuple[int, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Get(Effect[Backfill | None]):
    """Read one backfill. Answered by ``None`` if it is not there or not readable."""

    backfill_id: int


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    seconds: float
    why: str

    def __post_init__(self) -> None:
        assert self.seconds > 0


@dataclass(frozen=True, slots=True)
class Emit(Effect[None]):
    event: Event


@dataclass(frozen=True, slots=True)
class Suspect(Effect[tuple[str, ...]]):
    """Ask whether a refusal is of the key or licence, and not of its transfer: then the team stops, and the
    answer has the nonces of the intents so refused, which are no longer to count as refused.
    """

    intent: Intent
    refusal: Rejected


@dataclass(frozen=True, slots=True)
class Stop(Effect[None]):
    """Let no worker of this team write any more, for this reason; ``everywhere``: of no team."""

    error: ReconcilerError
    everywhere: bool = False


class Ending(Enum):
    """How the steps of a transfer ended. ``REPLAN``: what is left must be read and planned again."""

    FINISHED = auto()
    REPLAN = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    STOPPED = auto()


Step = Intend | Record | SendCreate | SendCancel | Probe | Get | Suspect | Pause | Emit | Stop
Steps = Generator[Step, Any, Ending]


def ask(effect: Effect[A]) -> Generator[Step, Any, A]:
    """Ask for an effect, and return its answer."""
    assert isinstance(effect, Step)
    answer: A = yield effect
    return answer
