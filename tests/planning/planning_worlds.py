"""Random worlds: what is desired, observed and remembered, read off random bytes.

Drawing every choice would be ten times slower; a tape of bytes shrinks as well, since an
exhausted tape answers with the first, plainest choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from planning_values import API, DAY, EVE, HOUR, NOW, TEAM, TODAY, named, team, transfer

from reconciler.dates import EMPTY, DateSet, Day
from reconciler.diagnostics import Place
from reconciler.model.desired import (
    Chunk,
    DesiredTeam,
    DesiredTransfer,
    EvidenceMode,
    Guards,
    Limits,
    OnUnknown,
    Order,
    Segment,
)
from reconciler.model.memory import BackfillRecord, DayEvidence, Document, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import Backfill, Observed, Run, RunStatus, Status, Unreadable

T = TypeVar("T")

FIRST = EVE + 26  # 26 January 2024: the window crosses a week and a month
WINDOW = 12
MINUTE = timedelta(minutes=1)
# Vendor times lie on this grid; so do the moments of stale_before, to meet exactly.
STALE = (None, NOW - 30 * HOUR, NOW - 10 * HOUR)
MOMENTS = tuple(NOW - hours * HOUR for hours in (40, 30, 24, 20, 10, 5, 1, 0))
ENDS = (None, NOW - 20 * HOUR, NOW - 5 * HOUR, NOW - HOUR, NOW - HOUR + MINUTE, NOW)
INTENDED = (
    NOW - 14 * MINUTE,
    NOW - 15 * MINUTE,
    NOW - 3 * HOUR,
    NOW - 24 * HOUR,
    NOW - 25 * HOUR,
    NOW - 8 * DAY,
)
STATUSES = (*Status, Status.COMPLETED, Status.FAILED, Status.FAILED, Status.FAILED, Status.CANCELLED)
IDS = (1, 2)
PREDECESSORS = {1: 91, 2: 92}


@dataclass(slots=True)
class Tape:
    """Choices read off random bytes, one byte each."""

    data: bytes
    at: int = 0

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
        start = FIRST - 1 + self.below(WINDOW)
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


def read_world(tape: Tape) -> World:
    transfers = tuple(_transfer(tape, number) for number in IDS[: 1 + tape.below(2)])
    sources = [source for one in transfers for source in one.source_ids]
    records = [_record(tape, number, sources) for number in range(1, 1 + tape.below(9))]
    intents = [_intent(tape, f"n{number}", sources) for number in range(tape.below(3))]
    document = Document(
        TEAM,
        API,
        "lineage-1",
        3,
        intents={one.nonce: one for one in intents},
        backfills={one.id: one for one in records},
    )
    return World(
        team(
            *transfers,
            limits=_limits(tape),
            guards=Guards(*(tape.one((None, None, 4)) for _ in range(2))),
            order=tape.one(tuple(Order)),
            prune=tape.chance(2),
            on_unknown=tape.one(tuple(OnUnknown)),
        ),
        _observed(tape, records, sources),
        document,
        NOW,
        timedelta(minutes=15),
    )


def worlds(size: int = 400) -> st.SearchStrategy[World]:
    return tapes(size).map(read_world)


def _transfer(tape: Tape, number: int) -> DesiredTransfer:
    return transfer(
        *_segments(tape),
        id=number,
        loadable_until=FIRST + tape.one((WINDOW, WINDOW - 3)),
        chunk=tape.one(tuple(Chunk)),
        max_attempts=1 + tape.below(3),
        evidence=tape.one(tuple(EvidenceMode)),
        owner=tape.one((None, "ads")),
        paused=tape.chance(12),
        previous_ids=(PREDECESSORS[number],) if tape.chance(3) else (),
    )


def _segments(tape: Tape) -> list[Segment]:
    """Neighbouring days differ in stale_before and place, and some are excluded."""
    found: list[Segment] = []
    for day in range(FIRST, FIRST + WINDOW):
        kind = tape.below(8)
        if kind == 7:
            continue
        stale_before = STALE[0 if kind < 3 else kind % 3]
        last = found[-1] if found else None
        if last and last.end == day and last.stale_before == stale_before and kind != 0:
            found[-1] = replace(last, end=day + 1)
        else:
            found.append(Segment(day, day + 1, Place("backfills.yaml", 1 + len(found), 9), "", stale_before))
    return found


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
    seen = _backfill(tape, number, sources)
    settled = tape.chance(4)
    return BackfillRecord(
        seen,
        transfer=f"transfer-{seen.transfer_id}",
        origin=tape.one((Origin.CREATED, Origin.ADOPTED, Origin.OBSERVED)),
        stale_before=tape.one(STALE),
        evidence=_evidence(tape, seen.days, settled),
        settled=settled,
        gone=tape.chance(10) and not settled and not seen.status.final,
    )


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
    )


def _observed(tape: Tape, records: Sequence[BackfillRecord], sources: Sequence[int]) -> Observed:
    others = [_backfill(tape, number, sources) for number in range(20, 20 + tape.below(3))]
    again = [_view(tape, one) for one in records]
    listed = [
        one for one in (*others, *again) if one is not None and not one.status.final and not tape.chance(3)
    ]
    fetched = {
        one.id: None if tape.chance(3) else view
        for one, view in zip(records, again, strict=True)
        if view is not None and view not in listed and not tape.chance(4)
    }
    return Observed(
        vendor_now=NOW,
        listed=tuple(listed),
        list_full=tape.chance(8),
        fetched=fetched,
        latest={one: tape.one((None, *listed, *others)) for one in sources if tape.chance(2)},
        runs={one: _runs(tape) for one in sources if not tape.chance(3)},
        transfers=tape.one((None, named(*IDS), named(*IDS), named(*IDS, paused=[2]), named(2))),
    )


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
        return tape.one(tuple(Unreadable))
    return tuple(
        Run(
            id=number,
            day=FIRST - 1 + tape.below(WINDOW + 2),
            status=tape.one((*RunStatus, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.FAILED)),
            backfill=not tape.chance(3),
            created_time=tape.one(MOMENTS),
            rows=tape.one((None, 10)),
        )
        for number in range(tape.below(14))
    )


__all__ = ["FIRST", "TODAY", "WINDOW", "Tape", "World", "read_world", "tapes", "worlds"]
