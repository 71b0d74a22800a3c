"""The steps that an apply asks for, one at a time: each is a value, an effect, and an executor does it.

Threads drive real runs (``executor.py``); a seeded scheduler can drive the same generators and
stop, freeze or interleave them at any step.

Each effect names the type of its answer, and ``ask`` brings the answer in that type:

    reading = yield from ask(Probe((456789,)))  # Reading | Unreadable | None

One that is answered by nothing may simply be yielded: ``yield Emit(event)``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from reconciler.api.outcome import Rejected, WriteOutcome
from reconciler.dates import Day
from reconciler.errors import ReconcilerError
from reconciler.events import Event
from reconciler.model.deltas import Delta
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.model.observed import Backfill, Run, Unreadable

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
    """The answer to ``SendCreate`` and ``SendCancel`` when we did not send, and why."""

    STOPPED = "the run was stopped"
    LOCK_LOST = "the lock is not ours any more"
    SETTLED = "another run, or a person, settled it"
    LATE = "its time to be sent was over"


@dataclass(frozen=True, slots=True)
class Intend(Effect[Committed]):
    """Commit an intent durably, unless another run intends or made a day of it, on any of its sources."""

    intent: Intent
    also: Delta

    def __post_init__(self) -> None:
        assert self.intent.pending
        assert self.intent.transfer_id in self.intent.source_ids


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
class Reading:
    """What bears on a transfer's writes, read at one time: the list of incomplete backfills, and of each of
    its sources ``latest`` and, unless blind, the run list; and those of ours that are to be cancelled.

    ``vendor_now`` is the vendor's clock as of its first answer, which came at ``answered``, by a clock that
    only passes, in seconds; ``undated``: that had no ``Date``, and it is ours.
    """

    vendor_now: datetime
    answered: float
    listed: tuple[Backfill, ...]
    latest: Mapping[int, Backfill | None]
    runs: Mapping[int, tuple[Run, ...]] = field(default_factory=dict)
    shells: Mapping[int, Backfill | None] = field(default_factory=dict)
    undated: bool = False

    @property
    def backfills(self) -> tuple[Backfill, ...]:
        shown = (*self.listed, *self.latest.values(), *self.shells.values())
        return tuple(backfill for backfill in shown if backfill is not None)


@dataclass(frozen=True, slots=True)
class Probe(Effect[Reading | Unreadable | None]):
    """Read the list, and ``latest`` of ``sources``, a transfer's own id first. Answered by ``None`` if the
    list cannot be read, and by ``Unreadable`` if something else cannot.

    ``runs_of``: the transfers whose run lists are read too, from the day ``runs_from`` on. ``shells``: the
    backfills that are read too. ``needed``: without the list the team stops, for the reason that the API
    gives.
    """

    sources: tuple[int, ...]
    runs_of: tuple[int, ...] = ()
    runs_from: Day = 0
    shells: tuple[int, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Get(Effect[Backfill | None]):
    """Read one backfill. Answered by ``None`` if it is not there or not readable."""

    backfill_id: int


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    seconds: float
    why: str
    transfer: str = ""

    def __post_init__(self) -> None:
        assert self.seconds > 0


@dataclass(frozen=True, slots=True)
class Emit(Effect[None]):
    event: Event


@dataclass(frozen=True, slots=True)
class Suspect(Effect[tuple[str, ...]]):
    """Ask whether a refusal is of the key or licence, and not of its transfer: then the team stops, and the
    answer has the nonces of the intents so refused.
    """

    intent: Intent
    refusal: Rejected


@dataclass(frozen=True, slots=True)
class Stop(Effect[None]):
    """Let no worker of this team write any more, for this reason; ``everywhere``: of no team."""

    error: ReconcilerError
    everywhere: bool = False


class Ending(Enum):
    """How the steps of a transfer, or of an action, ended. ``WITHDRAWN``: the next run does what is left."""

    FINISHED = auto()
    WITHDRAWN = auto()
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
