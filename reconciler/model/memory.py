"""Our memory, one document per team: what reads proved, what we wrote, and what people said of it.

A change is a small ``Delta``; ``apply_delta`` is the one pure function that makes the next
document. The serial grows by one with every commit; the lineage never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from reconciler.dates import EMPTY, DateSet, Day, Span
from reconciler.model.observed import Backfill, Status

VERSION = 1


class Origin(StrEnum):
    """How a backfill came into the state. Created and adopted ones are ours.

    ``UNEXPLAINED``: made by one of our users, as far as is known, and by nothing that this state remembers.
    """

    CREATED = "created"
    ADOPTED = "adopted"
    OBSERVED = "observed"
    UNEXPLAINED = "unexplained"


class IntentKind(StrEnum):
    CREATE = "create"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """What became of an intent. ``ABANDONED``: settled as not created, kept for late matches."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class DayEvidence:
    """What is known of single days of a backfill; the sets are disjoint.

    ``unlocated``: the counts say that some failed, nothing says which.
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
    ``serial`` is that of the state when it was first recorded. By the vendor's clock, as of the reads that
    saw it: ``moved_at``, when its status or counts last changed; ``ended_at``, when it was first seen ended.
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

    ``intended_at`` and ``send_before`` are by our clock. ``latest_before`` is the id that
    ``latest`` answered before our first write on the transfer, later our own last id;
    ``None`` when it answered 404. ``backfill_id`` is the one to cancel, or the one created.
    ``blocker`` is the backfill that a refusal was attributed to, or that it was withdrawn for.
    ``as_of`` is the date it was made under, ``serial`` the state's when it was committed.
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

    @property
    def pending(self) -> bool:
        return self.outcome is Outcome.PENDING


@dataclass(frozen=True, slots=True)
class Load(Span):
    """Days of a transfer that a run list proved to be loaded: by runs created ``at``, the newest of each day.

    ``by_backfill``: these runs were a backfill's, not the schedule's. ``failed_at``: a later run of these
    days failed. Times are the vendor's.
    """

    transfer_id: int
    start: Day
    end: Day
    at: datetime
    by_backfill: bool = False
    failed_at: datetime | None = None


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
    """A person knows the history of a transfer up to the backfill of this id, said at this serial."""

    transfer_id: int
    backfill_id: int
    serial: int


@dataclass(frozen=True, slots=True)
class KnownUser:
    """The user of the vendor's that a key of ours answers to; of the key a short keyed hash is kept."""

    key_hash: str
    user_id: int


LoadKey = tuple[int, bool, Day]  # the id of the transfer, by_backfill, and the first day


@dataclass(frozen=True, slots=True)
class Document:
    """The whole memory of one team. ``serial`` 0 means that it was never written.

    Its mappings are by the keys of ``KEYS``. ``loads`` of one transfer and kind are disjoint.
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
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Delta:
    """Upserts of each kind, and removals of some, by the keys of ``KEYS``."""

    intents: tuple[Intent, ...] = ()
    backfills: tuple[BackfillRecord, ...] = ()
    loads: tuple[Load, ...] = ()
    amnesties: tuple[Amnesty, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    users: tuple[KnownUser, ...] = ()
    drop_intents: tuple[str, ...] = ()
    drop_backfills: tuple[int, ...] = ()
    drop_loads: tuple[LoadKey, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __add__(self, later: Delta) -> Delta:
        """Return one delta that does this one, then ``later``."""
        changes: dict[str, tuple[Any, ...]] = {}
        for kind, key in KEYS.items():
            kept, drops = _joined(_changes(self, kind), _changes(later, kind), key)
            changes[kind] = kept
            if kind in DROPPED:
                changes[f"drop_{kind}"] = drops
        return Delta(**changes)


KEYS: Mapping[str, Callable[[Any], Any]] = {
    "intents": attrgetter("nonce"),
    "backfills": attrgetter("seen.id"),
    "loads": attrgetter("transfer_id", "by_backfill", "start"),
    "amnesties": attrgetter("transfer_id", "start", "serial"),
    "acceptances": attrgetter("transfer_id"),
    "users": attrgetter("key_hash"),
}
DROPPED = ("intents", "backfills", "loads")  # the rest is only ever added to, or replaced

_Changes = tuple[tuple[Any, ...], tuple[Any, ...]]  # upserts, and removals by key


def _changes(delta: Delta, kind: str) -> _Changes:
    return getattr(delta, kind), getattr(delta, f"drop_{kind}") if kind in DROPPED else ()


def _joined(first: _Changes, later: _Changes, key: Callable[[Any], Any]) -> _Changes:
    put, dropped = {key(item): item for item in later[0]}, set(later[1])
    kept = {key(item): item for item in first[0] if key(item) not in dropped}
    still_dropped = [name for name in first[1] if name not in put]
    return tuple((kept | put).values()), tuple(dict.fromkeys([*still_dropped, *later[1]]))


def apply_delta(document: Document, delta: Delta) -> Document:
    """Return the next document: removals first, then upserts, and the serial one higher."""
    return apply_deltas(document, (delta,))


def apply_deltas(document: Document, deltas: Iterable[Delta]) -> Document:
    """Return the document after each of ``deltas`` in turn, copied only once for all of them."""
    kinds: dict[str, Any] = {kind: dict(getattr(document, kind)) for kind in KEYS}
    serial = document.serial
    for delta in deltas:
        for kind, items in kinds.items():
            put, dropped = _changes(delta, kind)
            for name in dropped:
                items.pop(name, None)
            items.update((KEYS[kind](item), item) for item in put)
        serial += 1
    return replace(document, serial=serial, **kinds)
