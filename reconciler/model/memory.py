"""Our memory, one document per team: backfills we know of, and intents to write.

A change is a small ``Delta``; ``apply_delta`` is the one pure function that makes the next
document. The serial grows by one with every commit; the lineage never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from reconciler.dates import EMPTY, DateSet, Day, Span
from reconciler.model.observed import Backfill, Status

VERSION = 1

K = TypeVar("K")
V = TypeVar("V")


class Origin(StrEnum):
    """How a backfill came into the state. Created and adopted ones are ours."""

    CREATED = "created"
    ADOPTED = "adopted"
    OBSERVED = "observed"


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
    """A backfill we made, adopted or saw on declared days, as it was last ``seen``.

    ``transfer`` is the name its transfer was declared by. ``settled``: the evidence is complete
    and will never be read again. ``gone``: a get answers 404 long after its creation.
    ``stale_before``: the latest one among the days it was made for.
    """

    seen: Backfill
    transfer: str
    origin: Origin
    stale_before: datetime | None = None
    evidence: DayEvidence = NOTHING_KNOWN
    settled: bool = False
    gone: bool = False

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
        return self.origin is not Origin.OBSERVED


@dataclass(frozen=True, slots=True)
class Intent(Span):
    """A write we are about to send, committed before it is sent.

    ``intended_at`` and ``send_before`` are by our clock. ``latest_before`` is the id that
    ``latest`` answered before our first write on the transfer, later our own last id;
    ``None`` when it answered 404. ``backfill_id`` is the one to cancel, or the one created.
    ``blocker`` is the backfill that a refusal was attributed to, or that it was withdrawn for.
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

    @property
    def pending(self) -> bool:
        return self.outcome is Outcome.PENDING


@dataclass(frozen=True, slots=True)
class Document:
    """The whole memory of one team. ``serial`` 0 means that it was never written."""

    team_id: int
    api_url: str
    lineage: str = ""
    serial: int = 0
    written_by: str = ""
    intents: Mapping[str, Intent] = field(default_factory=dict)
    backfills: Mapping[int, BackfillRecord] = field(default_factory=dict)
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Delta:
    """Upserts and removals, by key: an intent's nonce, a backfill's id."""

    intents: tuple[Intent, ...] = ()
    backfills: tuple[BackfillRecord, ...] = ()
    drop_intents: tuple[str, ...] = ()
    drop_backfills: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.intents or self.backfills or self.drop_intents or self.drop_backfills)

    def __add__(self, later: Delta) -> Delta:
        """Return one delta that does this one, then ``later``."""
        intents = _later_wins(self.intents, later.intents, later.drop_intents, lambda one: one.nonce)
        backfills = _later_wins(self.backfills, later.backfills, later.drop_backfills, lambda one: one.id)
        return Delta(
            intents,
            backfills,
            _still_dropped(self.drop_intents, later.drop_intents, {one.nonce for one in later.intents}),
            _still_dropped(self.drop_backfills, later.drop_backfills, {one.id for one in later.backfills}),
        )


def _later_wins(
    first: tuple[V, ...], later: tuple[V, ...], dropped: tuple[K, ...], key: Callable[[V], K]
) -> tuple[V, ...]:
    merged = {key(one): one for one in first}
    for gone in dropped:
        merged.pop(gone, None)
    return tuple((merged | {key(one): one for one in later}).values())


def _still_dropped(first: tuple[K, ...], later: tuple[K, ...], revived: set[K]) -> tuple[K, ...]:
    kept = [key for key in first if key not in revived]
    return tuple(dict.fromkeys([*kept, *later]))


def apply_delta(document: Document, delta: Delta) -> Document:
    """Return the next document: removals first, then upserts, and the serial one higher."""
    return apply_deltas(document, (delta,))


def apply_deltas(document: Document, deltas: Iterable[Delta]) -> Document:
    """Return the document after each of ``deltas`` in turn, copied only once for all of them."""
    intents = dict(document.intents)
    backfills = dict(document.backfills)
    serial = document.serial
    for delta in deltas:
        for nonce in delta.drop_intents:
            intents.pop(nonce, None)
        for backfill_id in delta.drop_backfills:
            backfills.pop(backfill_id, None)
        intents.update((one.nonce, one) for one in delta.intents)
        backfills.update((one.id, one) for one in delta.backfills)
        serial += 1
    return replace(document, serial=serial, intents=intents, backfills=backfills)
