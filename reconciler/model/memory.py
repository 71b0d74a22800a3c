"""Our memory, one document per team: what reads proved, what we wrote, and what people said of it.

``deltas.py`` has how it changes. The serial grows by one with every commit; the lineage never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.dates import EMPTY, DateSet, Day, Span
from reconciler.model.observed import UNTOLD, ApiError, Backfill, Status

VERSION = 1
NONCES_KEPT = 20  # of the newest commits


class Origin(StrEnum):
    """How a backfill came into the state; created and adopted ones are ours. ``UNEXPLAINED``: made by one of
    our users, as far as is known, and by nothing that this state remembers.
    """

    CREATED = "created"
    ADOPTED = "adopted"
    OBSERVED = "observed"
    UNEXPLAINED = "unexplained"


class IntentKind(StrEnum):
    CREATE = "create"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """What became of an intent. ``REFUSED``: by the API, which may have made it yet, if a gateway sent it
    twice. ``WITHDRAWN``: it never left us, or was turned away at the door. ``ABANDONED``: it took no effect.
    """

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class DayEvidence:
    """What is known of single days of a backfill; the sets are disjoint. ``unlocated``: the counts say that
    some failed, nothing says which.
    """

    loaded: DateSet = EMPTY
    failed: DateSet = EMPTY
    not_run: DateSet = EMPTY
    cancelled: DateSet = EMPTY
    unlocated: DateSet = EMPTY


NOTHING_KNOWN = DayEvidence()


@dataclass(frozen=True, slots=True)
class BackfillRecord(Span):
    """A backfill we made, adopted or saw on a transfer of the files, as it was last ``seen``.

    ``transfer`` is the name its transfer was declared by. ``settled``: the evidence is complete
    and will never be read again. ``gone``: a get answers 404 long after its creation.
    ``stale_before``: the latest one among the days it was made for; ``as_of``: the date it was made under.
    ``serial`` is that of the state when it was first recorded. By the later of both clocks, as of the
    reads that saw it: ``moved_at``, when its status or counts last changed, its begin if none saw that;
    ``ended_at``, when it was first seen ended, or gone.
    ``has_run``: some read saw it run. ``was_failed``: it had ended as FAILED before our cancel of it.
    """

    seen: Backfill
    transfer: str
    origin: Origin
    stale_before: datetime | None = None
    evidence: DayEvidence = NOTHING_KNOWN
    settled: bool = False
    gone: bool = False
    as_of: Day | None = None
    serial: int = 0
    moved_at: datetime | None = None
    ended_at: datetime | None = None
    has_run: bool = False
    was_failed: bool = False

    @property
    def id(self) -> int:
        return self.seen.id

    @property
    def transfer_id(self) -> int:
        return self.seen.transfer_id

    @property
    def start(self) -> Day:
        return self.seen.start

    @property
    def end(self) -> Day:
        return self.seen.end

    @property
    def status(self) -> Status:
        return self.seen.status

    @property
    def created_time(self) -> datetime:
        return self.seen.created_time

    @property
    def ours(self) -> bool:
        return self.origin in (Origin.CREATED, Origin.ADOPTED)


@dataclass(frozen=True, slots=True)
class Intent(Span):
    """A write we are about to send, committed before it is sent.

    ``intended_at`` and ``send_before`` are by our clock, ``vendor_at`` is the same moment by the vendor's.
    ``latest_before`` is the id that ``latest`` answered before our first write on the transfer, later our own
    last id; ``None`` when it answered 404. ``backfill_id`` is the one to cancel, or the one created.
    ``blocker`` is the backfill that a refusal was attributed to, or that it was withdrawn for; ``answer``
    what the API said. ``as_of`` is the date it was made under, ``serial`` that of the state it was committed
    on. ``sources``: the ids whose days these are, its transfer's own and its predecessors'. By ``key_hash``
    the state knows whose key sent it. ``unlisted_at``: by the later of both clocks, when reads,
    settle time over, first showed nothing of it.
    """

    nonce: str
    kind: IntentKind
    transfer_id: int
    transfer: str
    start: Day
    end: Day
    intended_at: datetime
    send_before: datetime
    latest_before: int | None = None
    stale_before: datetime | None = None
    outcome: Outcome = Outcome.PENDING
    backfill_id: int | None = None
    blocker: int | None = None
    as_of: Day | None = None
    serial: int = 0
    vendor_at: datetime | None = None
    sources: tuple[int, ...] = ()
    key_hash: str = ""
    unlisted_at: datetime | None = None
    answer: ApiError | None = None

    @property
    def pending(self) -> bool:
        return self.outcome is Outcome.PENDING

    @property
    def source_ids(self) -> tuple[int, ...]:
        """The ids whose days these are, its transfer's own among them."""
        return self.sources or (self.transfer_id,)


@dataclass(frozen=True, slots=True)
class Load(Span):
    """Days of a transfer that a run list proved to be loaded: by runs created ``at``, the newest of each day.
    ``by_backfill``: these runs were a backfill's, not the schedule's. ``failed_at``: a later run of these
    days failed. Times are the vendor's; ``at`` may be ``UNTOLD``.
    """

    transfer_id: int
    start: Day
    end: Day
    at: datetime
    by_backfill: bool = False
    failed_at: datetime | None = None

    @property
    def kind(self) -> int:
        """Loads of different kinds may share days: a schedule's, backfills', and those that tell no time."""
        return load_kind(self.by_backfill, self.at)


def load_kind(by_backfill: bool, at: datetime) -> int:
    return by_backfill + 2 * (at == UNTOLD)


@dataclass(frozen=True, slots=True)
class Amnesty(Span):
    """What kept these days from being due is forgotten: of backfills and intents first recorded up to
    ``serial``, and of runs created before ``at``, the vendor's clock.
    """

    transfer_id: int
    start: Day
    end: Day
    serial: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A person knows the history of a transfer, or of a predecessor, up to the backfill of this id, said at
    this serial.
    """

    transfer_id: int
    backfill_id: int
    serial: int


@dataclass(frozen=True, slots=True)
class KnownUser:
    """The user of the vendor's that a key of ours answers to; of the key a short keyed hash is kept."""

    key_hash: str
    user_id: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A plan that was applied in full, ``when`` by our clock; ``serial`` is the state's then."""

    digest: str
    serial: int
    when: datetime
    who: str


@dataclass(frozen=True, slots=True)
class Override:
    """Guards that did not hold for one plan: who said so, why, and in which CI run, "" where there is none.
    ``when`` by our clock; ``serial`` is the state's before anything was done under it.
    """

    digest: str
    guards: tuple[str, ...]
    reason: str
    serial: int
    when: datetime
    who: str
    run: str = ""


LoadKey = tuple[int, int, Day]  # the id of the transfer, the kind, and the first day


@dataclass(frozen=True, slots=True)
class Document:
    """The whole memory of one team. ``serial`` 0 means that it was never written.

    Its mappings are by the keys of ``KEYS``. ``loads`` of one transfer and kind are disjoint. ``commits``
    are the nonces of the newest commits. ``old_copy``: a person went on with one older than was committed.
    """

    team_id: int
    api_url: str
    lineage: str = ""
    serial: int = 0
    written_by: str = ""
    intents: Mapping[str, Intent] = field(default_factory=dict)
    backfills: Mapping[int, BackfillRecord] = field(default_factory=dict)
    loads: Mapping[LoadKey, Load] = field(default_factory=dict)
    amnesties: Mapping[tuple[int, Day, int], Amnesty] = field(default_factory=dict)
    acceptances: Mapping[int, Acceptance] = field(default_factory=dict)
    users: Mapping[str, KnownUser] = field(default_factory=dict)
    applies: Mapping[str, Applied] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    version: int = VERSION
    commits: tuple[str, ...] = ()
    old_copy: bool = False
