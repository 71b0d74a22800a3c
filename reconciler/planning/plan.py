"""What a plan is: values that renderers show, ``apply`` carries out, and CI saves. Pure.

Days are half-open ordinals. ``formats/planfile.py`` has its JSON form and its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.dates import DateSet, Day, Span
from reconciler.diagnostics import Finding, Place
from reconciler.model.desired import Address
from reconciler.model.observed import ApiError
from reconciler.planning.ledger import Bucket

FORMAT_VERSION = "1.0"


class ActionKind(StrEnum):
    CREATE = "create"
    RETRY = "retry"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Action(Span):
    """One thing to do: create ``[start, end)``, after cancelling ``cancels``; or only cancel.

    ``notes`` are the reasons that people gave in the file for its ranges; ``error`` is what the API said of a
    day of it that failed.
    """

    kind: ActionKind
    address: Address
    transfer: str
    start: Day
    end: Day
    reasons: Mapping[str, int] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    declared_at: tuple[Place, ...] = ()
    cancels: tuple[int, ...] = ()
    stale_before: datetime | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


# The buckets in the order in which counts are told; those of them whose days a plan lists with why; and those
# in which nothing is left to do.
COUNTED = (
    *(Bucket.COVERED, Bucket.IN_FLIGHT, Bucket.PLANNED, Bucket.WAITING),
    *(Bucket.BLOCKED, Bucket.FAILED, Bucket.DEFERRED, Bucket.FUTURE),
)
LISTED = (Bucket.DEFERRED, Bucket.WAITING, Bucket.BLOCKED, Bucket.FAILED)
SETTLED = (Bucket.COVERED, Bucket.IN_FLIGHT, Bucket.FUTURE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said that keeps days from being loaded, and when it was asked."""

    error: ApiError
    at: datetime


@dataclass(frozen=True, slots=True)
class Item(Span):
    """Days that are not acted on, with the reason: a limit, a blocker, or what to wait for.

    ``until``: when they are free by themselves, if time alone does that. ``limit``: how many of what the
    reason counts there may be. ``held_by``: the backfills that hold the places or the days, at most
    ``MOST_HOLDERS``. ``answer``: the API's, where that is why; ``error``: what it said of a failed day.
    """

    bucket: Bucket
    address: Address
    transfer: str
    start: Day
    end: Day
    reason: str
    declared_at: tuple[Place, ...] = ()
    answer: Answer | None = None
    until: datetime | None = None
    limit: int | None = None
    held_by: tuple[int, ...] = ()
    error: str = ""

    @property
    def said(self) -> tuple[str, ...]:
        """What items share that are told as one: the reason, and what the API said, whenever it did."""
        error = self.answer.error if self.answer else None
        answer = (str(error.status), error.code or "", error.said) if error else ()
        return (self.reason, self.error, *answer)


MOST_HOLDERS = 10  # of a list of 100; each of thousands of items names them


@dataclass(frozen=True, slots=True)
class Unmanaged(Span):
    """A listed backfill that is not ours, or ours with its transfer gone from the files.

    ``created_user_id`` is ``None`` where the API does not tell who made it.
    """

    address: Address
    backfill_id: int
    start: Day
    end: Day
    status: str
    created_user_id: int | None = None


@dataclass(frozen=True, slots=True)
class GuardUse:
    """How much of a guard a plan uses: ``planned`` of ``allowed`` days, or estimated rows. ``owner``: whose
    days are counted, "" for all of the team. ``guard``: its key in the file.
    """

    team_id: int
    owner: str
    guard: str
    allowed: int
    planned: int

    @property
    def tripped(self) -> bool:
        return self.planned > self.allowed


@dataclass(frozen=True, slots=True)
class DayCounts:
    """How many declared days lie in each bucket; a bucket that is not named has none.

    ``stuck``: how many active backfills on them do not move; ``resting``: how many of the blocked days are so
    because the file says so, or only until settle time is over; ``unread``: what loaded some of them
    could not be read, or may be forgotten, so that how many are covered is unknown.
    """

    in_bucket: Mapping[Bucket, int] = field(default_factory=dict)
    stuck: int = 0
    resting: int = 0
    unread: bool = False

    def __getitem__(self, bucket: Bucket) -> int:
        return self.in_bucket.get(bucket, 0)

    def __add__(self, other: DayCounts) -> DayCounts:
        buckets = {bucket: self[bucket] + other[bucket] for bucket in COUNTED}
        return DayCounts(
            buckets, self.stuck + other.stuck, self.resting + other.resting, self.unread or other.unread
        )

    @property
    def declared(self) -> int:
        return sum(self.in_bucket.values())

    @property
    def synced(self) -> bool:
        """Nothing is left to do: nothing planned, deferred or waiting."""
        return not (self[Bucket.PLANNED] or self[Bucket.DEFERRED] or self[Bucket.WAITING])

    @property
    def healthy(self) -> bool:
        """Nothing needs a person: nothing blocked but what rests, nothing failed or stuck."""
        return self[Bucket.BLOCKED] == self.resting and not (self[Bucket.FAILED] or self.stuck)

    @property
    def percent(self) -> int:
        """The covered share of the days that are over, rounded down so that 100 means all."""
        over = self.declared - self[Bucket.FUTURE]
        return 100 * self[Bucket.COVERED] // over if over else 100

    def as_dict(self) -> dict[str, int]:
        return {"declared": self.declared, **{bucket.value: self[bucket] for bucket in COUNTED}}

    def as_told(self) -> dict[str, int | None]:
        """Return the same for programs: what is unknown is ``None``."""
        return {**self.as_dict(), **({Bucket.COVERED.value: None} if self.unread else {})}


@dataclass(frozen=True, slots=True)
class TransferSummary:
    """The buckets of one transfer, for ``status`` and the headings of a plan. ``vendor_name``: what the
    transfer list calls it, "" where that does not tell. ``paused_by_file``: the file says that it rests.
    ``settled``: the days of the buckets that no action and no item tells (``SETTLED``).
    """

    address: Address
    name: str
    owners: tuple[str, ...]
    counts: DayCounts
    vendor_name: str = ""
    paused_by_file: bool = False
    settled: Mapping[Bucket, DateSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """What to do for one team, and why nothing is done about the rest.

    ``serial``: that of the state it was made on. ``newest_create``: the highest serial of an earlier create
    of ours on the days of its actions (``planning/approval.py``).
    ``statuses``: the exit statuses that hold for what could not be read or is not known; not saved.
    """

    team_id: int
    as_of: Day
    lineage: str
    serial: int
    list_full: bool = False
    evidence: str = "runs"
    actions: tuple[Action, ...] = ()
    items: tuple[Item, ...] = ()
    unmanaged: tuple[Unmanaged, ...] = ()
    transfers: tuple[TransferSummary, ...] = ()
    minimum_creates: int = 0
    diagnostics: tuple[Finding, ...] = ()
    guarded: bool = False
    guards: tuple[GuardUse, ...] = ()
    newest_create: int | None = None
    statuses: frozenset[int] = field(default=frozenset(), compare=False)

    @property
    def counts(self) -> DayCounts:
        return add_up(transfer.counts for transfer in self.transfers)

    def of(self, bucket: Bucket) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.bucket is bucket)


@dataclass(frozen=True, slots=True)
class Options:
    """The flags that shaped a plan and must shape its apply. ``config``: its files, as they were given."""

    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    config: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The plans of all teams of the files, as one document. ``errored``: a team is missing."""

    api_url: str
    created_at: datetime
    teams: tuple[TeamPlan, ...]
    options: Options = field(default_factory=Options)
    diagnostics: tuple[Finding, ...] = ()
    errored: bool = False

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(action for team in self.teams for action in team.actions)

    @property
    def transfers(self) -> tuple[TransferSummary, ...]:
        return tuple(transfer for team in self.teams for transfer in team.transfers)

    @property
    def counts(self) -> DayCounts:
        return add_up(team.counts for team in self.teams)

    @property
    def guarded(self) -> bool:
        return any(team.guarded for team in self.teams)

    @property
    def applyable(self) -> bool:
        return bool(self.actions) and not self.guarded

    @property
    def complete(self) -> bool:
        left_over = any(self.counts[bucket] for bucket in LISTED)
        return not (left_over or self.options.target or self.options.exclude or self.errored)

    def of(self, bucket: Bucket) -> tuple[Item, ...]:
        return tuple(item for team in self.teams for item in team.of(bucket))

    def number_of(self, kind: ActionKind) -> int:
        return sum(action.kind is kind for action in self.actions)

    def days_of(self, kind: ActionKind) -> int:
        return sum(action.end - action.start for action in self.actions if action.kind is kind)


def add_up(counts: Iterable[DayCounts]) -> DayCounts:
    return sum(counts, start=DayCounts())


def all_findings(plan: Plan) -> tuple[Finding, ...]:
    return (*plan.diagnostics, *(one for team in plan.teams for one in team.diagnostics))
