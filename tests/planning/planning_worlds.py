"""Random worlds: what is desired, observed and remembered, read off random bytes.

Drawing every choice would be ten times slower; a tape of bytes shrinks as well, since an
exhausted tape answers with the first, plainest choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from planning_values import (
    API,
    DAY,
    EVE,
    FORBIDDEN,
    HOUR,
    NOT_FOUND,
    NOW,
    TEAM,
    TODAY,
    UNREAD,
    named,
    team,
    transfer,
)

from reconciler.dates import EMPTY, DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.deltas import KEYS
from reconciler.model.desired import (
    Chunk,
    DesiredTeam,
    DesiredTransfer,
    EvidenceMode,
    Guards,
    Limits,
    LoadedDays,
    OnUnknown,
    Order,
    Segment,
)
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    BackfillRecord,
    DayEvidence,
    Document,
    Intent,
    IntentKind,
    Load,
    Origin,
    Outcome,
)
from reconciler.model.observed import UNTOLD, Backfill, Cause, Observed, Run, RunStatus, Status, Unreadable

T = TypeVar("T")

FIRST = EVE + 26  # 26 January 2024: the window crosses a week and a month
WINDOW = 12
RECENT = TODAY + 1 - WINDOW  # a window that ends with today: its days may be loaded early
MINUTE = timedelta(minutes=1)
# Vendor times lie on this grid; so do the moments of stale_before, to meet exactly. At 23 hours ago a day
# begins in UTC+14, at 11 in Helsinki, at 9 in UTC.
STALE = (None, NOW - 30 * HOUR, NOW - 10 * HOUR, NOW - 8 * DAY)
MOMENTS = tuple(
    NOW - hours * HOUR for hours in (40, 30, 24, 23, 20, 11, 10, 5, 1, 0, 49, 73, 97, 145, 192, 240)
)
ENDS = (None, NOW - 20 * HOUR, NOW - 5 * HOUR, NOW - HOUR, NOW - HOUR + MINUTE, NOW)
INTENDED = (
    NOW - 14 * MINUTE,
    NOW - 15 * MINUTE,
    NOW - 3 * HOUR,
    NOW - 24 * HOUR,
    NOW - 25 * HOUR,
    NOW - 8 * DAY,
)
UNDATED = Unreadable(Cause.UNDATED, "GET /x tells no day")
STATUSES = (*Status, Status.COMPLETED, Status.FAILED, Status.FAILED, Status.FAILED, Status.CANCELLED)
IDS = (1, 2)
PREDECESSORS = {1: 91, 2: 92}
EVERY = named(*IDS, *PREDECESSORS.values())


@dataclass(slots=True)
class Tape:
    """Choices read off random bytes, one byte each."""

    data: bytes
    at: int = 0
    first: Day = FIRST

    def below(self, bound: int) -> int:
        self.at += 1
        return self.data[self.at - 1] % bound if self.at <= len(self.data) else 0

    def one(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, of: int) -> bool:
        """True once in ``of`` times; never on an exhausted tape."""
        return self.below(of) == of - 1

    def days(self, start: Day, end: Day) -> DateSet:
        mask = self.below(256) | self.below(256) << 8
        return DateSet.days(day for day in range(start, end) if mask >> (day - start) % 16 & 1)

    def range(self) -> tuple[Day, Day]:
        start = self.first - 1 + self.below(WINDOW)
        return start, start + 1 + self.below(WINDOW - 2)


def tapes(size: int = 400) -> st.SearchStrategy[Tape]:
    return st.binary(min_size=size, max_size=size).map(Tape)


@dataclass(frozen=True, slots=True)
class World:
    """All that a ledger and a plan are made from."""

    team: DesiredTeam
    observed: Observed
    document: Document
    now: datetime
    settle: timedelta

    @property
    def earlier(self) -> datetime:
        """What takes time must have taken it by our clock, and by the vendor's."""
        return min(self.now, self.vendor_least)

    @property
    def vendor_least(self) -> datetime:
        """A clock that the vendor does not tell may be a day behind ours."""
        return self.observed.vendor_now - timedelta(days=self.observed.undated)


def read_world(tape: Tape) -> World:
    tape.first, as_of = tape.one((FIRST, RECENT)), tape.one((TODAY, TODAY, TODAY - 2))
    transfers = tuple(_transfer(tape, number, as_of) for number in IDS[: 1 + tape.below(2)])
    sources = [source for one in transfers for source in one.source_ids]
    records = [_record(tape, number, sources) for number in range(1, 1 + tape.below(9))]
    intents = [_intent(tape, f"n{number}", sources) for number in range(tape.below(3))]
    loads = [load for source in sources if tape.chance(2) for load in _loads(tape, source)]
    amnesties = [_amnesty(tape, one) for one in IDS if tape.chance(3)]
    document = Document(
        TEAM,
        API,
        "lineage-1",
        3,
        intents={one.nonce: one for one in intents},
        backfills={one.id: one for one in records},
        loads={KEYS["loads"](one): one for one in loads},
        amnesties={(one.transfer_id, one.start, one.serial): one for one in amnesties},
        acceptances={one: Acceptance(one, 1 + tape.below(8), 2) for one in sources if tape.chance(4)},
    )
    blind = {
        source for one in transfers if one.evidence is EvidenceMode.BACKFILLS for source in one.source_ids
    }
    return World(
        team(
            *transfers,
            as_of=as_of,
            as_of_is_today=as_of == TODAY,
            timezone=tape.one(("", "Europe/Helsinki")),
            stuck_after=tape.one((7 * DAY, DAY)),
            limits=_limits(tape),
            guards=Guards(*(tape.one((None, None, 4)) for _ in range(2))),
            order=tape.one(tuple(Order)),
            prune=tape.chance(2),
            on_unknown=tape.one(tuple(OnUnknown)),
        ),
        _observed(tape, records, sources, blind),
        document,
        NOW,
        timedelta(minutes=15),
    )


def worlds(size: int = 600) -> st.SearchStrategy[World]:
    return tapes(size).map(read_world)


def _transfer(tape: Tape, number: int, as_of: Day) -> DesiredTransfer:
    allow_today = tape.chance(3)
    far = tape.first == FIRST
    return transfer(
        *_segments(tape),
        id=number,
        loadable_until=FIRST + tape.one((WINDOW, WINDOW - 3)) if far else as_of + allow_today,
        allow_today=allow_today,
        chunk=tape.one(tuple(Chunk)),
        max_attempts=1 + tape.below(3),
        retry_after=tape.one((0 * HOUR, HOUR, 5 * HOUR)),
        loaded=tuple(_loaded(tape) for _ in range(tape.one((0, 0, 0, 1, 2)))),
        evidence=tape.one(tuple(EvidenceMode)),
        owners=tape.one(((), ("ads",))),
        paused=tape.chance(12),
        previous_ids=(PREDECESSORS[number],) if tape.chance(3) else (),
    )


def _segments(tape: Tape) -> list[Segment]:
    """Neighbouring days differ in stale_before, final_after and place, and some are excluded."""
    found: list[Segment] = []
    for day in range(tape.first, tape.first + WINDOW):
        kind = tape.below(8)
        if kind == 7:
            continue
        stale_before = STALE[0 if kind < 3 else kind - 3]
        final_after = tape.one((None, None, 0, 1, 7))
        last = found[-1] if found else None
        same = last and (last.stale_before, last.final_after) == (stale_before, final_after)
        if last and last.end == day and same and kind != 0:
            found[-1] = replace(last, end=day + 1)
        else:
            place = Place("backfills.yaml", 1 + len(found), 9)
            found.append(Segment(day, day + 1, place, "", stale_before, final_after))
    return found


def _loaded(tape: Tape) -> LoadedDays:
    days = tape.days(tape.first, tape.first + WINDOW)
    at = tape.one((None, NOW - 30 * HOUR, NOW - 20 * HOUR, NOW - HOUR))
    return LoadedDays(days, at, "By other means", Place("backfills.yaml", 90, 9))


def _loads(tape: Tape, source: int) -> list[Load]:
    """What earlier run lists told: of neighbouring days never twice the same."""
    found: list[Load] = []
    for day in range(tape.first - 1, tape.first + WINDOW):
        if not tape.chance(3):
            continue
        at = tape.one((*MOMENTS, UNTOLD))
        since = max(at, MOMENTS[-1])
        failed_at = tape.one((None, None, since + HOUR, since + 20 * HOUR))
        load = Load(source, day, day + 1, at, tape.chance(2), failed_at)
        last = found[-1] if found else None
        if last and last.end == day and replace(load, start=last.start) == replace(last, end=load.end):
            found[-1] = replace(last, end=load.end)
        else:
            found.append(load)
    return found


def _amnesty(tape: Tape, own: int) -> Amnesty:
    start, end = tape.range()
    return Amnesty(own, start, end, tape.below(3), tape.one(MOMENTS))


def _limits(tape: Tape) -> Limits:
    return Limits(
        max_open_backfills=tape.one((100, 100, 3, 1)),
        max_open_per_transfer=tape.one((None, None, 1, 2)),
        max_creates_per_apply=tape.one((None, None, 1, 3)),
        max_days_per_backfill=tape.one((None, 1, 2, 5)),
    )


def _backfill(tape: Tape, number: int, sources: Sequence[int]) -> Backfill:
    start, end = tape.range()
    total = end - start if not tape.chance(6) else tape.below(8)
    failed, ran = _counts(tape, total)
    some = tape.days(start - 1, end + 1) if tape.chance(8) else tape.days(start, end)
    names = DateSet.days(list(some)[:failed]) if not tape.chance(4) else some
    return Backfill(
        id=number,
        transfer_id=tape.one(sources),
        start=start,
        end=end,
        status=tape.one(STATUSES),
        created_time=tape.one(MOMENTS),
        start_time=tape.one((None, NOW - 24 * HOUR)),
        end_time=tape.one(ENDS),
        removed_time=tape.one(ENDS),
        total=total,
        completed=ran,
        failed=failed,
        failed_days=names,
    )


def _counts(tape: Tape, total: int) -> tuple[int, int]:
    """Return failed and completed: all ran, none ran, some ran, or nonsense."""
    failed = tape.below(4)
    match tape.below(5):
        case 0:
            return 0, total
        case 1 | 2:
            return min(failed, total), total - min(failed, total)
        case 3:
            return 0, 0
    return failed, tape.below(8)


def _record(tape: Tape, number: int, sources: Sequence[int]) -> BackfillRecord:
    """A record as the rules keep it: what ended was seen to end, and what ran was seen to run."""
    seen = _backfill(tape, number, sources)
    going = active(seen)
    settled = tape.chance(4) and not going
    ran = seen.start_time is not None or seen.completed + seen.failed > 0
    made = seen.created_time.date().toordinal()
    gone = tape.chance(4) and going
    return BackfillRecord(
        seen,
        transfer=f"transfer-{seen.transfer_id}",
        origin=tape.one((Origin.CREATED, Origin.ADOPTED, Origin.OBSERVED, Origin.UNEXPLAINED)),
        stale_before=tape.one(STALE),
        evidence=_evidence(tape, seen.days, settled),
        settled=settled,
        gone=gone,
        as_of=tape.one((None, made, made - 1)),
        serial=tape.below(3),
        moved_at=tape.one(ENDS),
        ended_at=tape.one(ENDS) if gone else None if going else tape.one(ENDS[1:]),
        has_run=ran or tape.chance(2) or seen.status not in QUEUED,
        was_failed=seen.status is Status.CANCELLED and tape.chance(2),
    )


QUEUED = (Status.CREATED, Status.SCHEDULED, Status.CANCELLED)


def active(one: Backfill) -> bool:
    if one.status is Status.FAILED:
        return one.completed + one.failed < one.total and one.end_time is None
    if one.status is Status.UNKNOWN:
        return one.end_time is None
    return one.status not in (Status.COMPLETED, Status.CANCELLED)


def _evidence(tape: Tape, days: DateSet, settled: bool) -> DayEvidence:
    """A settled record says something certain of each day; another one may say nothing yet."""
    if not settled and not tape.chance(2):
        return DayEvidence()
    known, left = [], days
    for _ in range(4):
        part = left & tape.days(days.first(), days.end())
        known.append(part)
        left = left - part
    if settled:
        known[0] = known[0] | left
        left = EMPTY
    return DayEvidence(*known, left if tape.chance(2) else EMPTY)


def _intent(tape: Tape, nonce: str, sources: Sequence[int]) -> Intent:
    start, end = tape.range()
    at = tape.one(INTENDED)
    return Intent(
        nonce=nonce,
        kind=tape.one((IntentKind.CREATE, IntentKind.CREATE, IntentKind.CANCEL)),
        transfer_id=sources[0],
        transfer="transfer-1",
        start=start,
        end=end,
        intended_at=at,
        send_before=at + MINUTE,
        latest_before=tape.one((None, 1, 2)),
        outcome=tape.one(tuple(Outcome)),
        backfill_id=tape.one((None, 1, 2)),
        blocker=tape.one((None, 1, 20)),
        serial=tape.below(3),
        vendor_at=tape.one((None, at, tape.one(INTENDED))),
        sources=tape.one(((), tuple(sources), (sources[0], 77))),
        unlisted_at=tape.one((None, NOW - HOUR, NOW - HOUR + MINUTE)),
    )


def _observed(
    tape: Tape, records: Sequence[BackfillRecord], sources: Sequence[int], blind: set[int]
) -> Observed:
    others = [_backfill(tape, number, sources) for number in range(20, 20 + tape.below(3))]
    again = [_view(tape, one) for one in records]
    listed = [
        one for one in (*others, *again) if one is not None and not one.status.final and not tape.chance(3)
    ]
    fetched = {
        one.id: tape.one((view, view, None, UNREAD))
        for one, view in zip(records, again, strict=True)
        if view is not None and view not in listed and not tape.chance(4)
    }
    return Observed(
        vendor_now=tape.one((NOW, NOW + 2 * HOUR, NOW - 2 * HOUR, NOW - 10 * HOUR)),
        our_now=NOW,
        undated=tape.chance(8),
        listed=tuple(listed),
        list_full=tape.chance(8),
        fetched=fetched,
        latest={one: _latest(tape, (*listed, *others)) for one in sources if tape.chance(2)},
        runs={one: _runs(tape) for one in sources if one not in blind and not tape.chance(3)},
        transfers=tape.one((None, EVERY, named(*IDS), named(*IDS, 91, paused=[2]), named(2), UNREAD)),
    )


def _latest(tape: Tape, shown: Sequence[Backfill]) -> Backfill | Unreadable | None:
    return tape.one((FORBIDDEN, UNREAD)) if tape.chance(8) else tape.one((None, *shown))


def _view(tape: Tape, record: BackfillRecord) -> Backfill | None:
    """How the API shows a backfill now: as remembered, or with another status and other counts."""
    if record.gone:
        return None
    seen = record.seen
    if tape.chance(2):
        failed, ran = _counts(tape, seen.total)
        seen = replace(
            seen, status=tape.one(tuple(Status)), failed=failed, completed=ran, end_time=tape.one(ENDS)
        )
    return seen


def _runs(tape: Tape) -> tuple[Run, ...] | Unreadable:
    if tape.chance(6):
        return tape.one((FORBIDDEN, NOT_FOUND, NOT_FOUND, UNREAD, UNDATED))
    return tuple(
        Run(
            id=number,
            day=None if tape.chance(20) else tape.first - 1 + tape.below(WINDOW + 2),
            status=tape.one((*RunStatus, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.FAILED)),
            word="",
            backfill=not tape.chance(3),
            created_time=tape.one((*MOMENTS, UNTOLD)),
            ended_time=tape.one((None, None, NOW - HOUR)),
            rows=tape.one((None, 10)),
        )
        for number in range(tape.below(14))
    )


__all__ = ["FIRST", "TODAY", "WINDOW", "Tape", "World", "read_world", "tapes", "worlds"]
