"""Who loaded which day, when, by the sandbox's own arithmetic, and whether such a load counts for a file.

Written from the rules of the documentation, and asking nothing of the code under test but its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, auto
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from reconciler.model.desired import DesiredTransfer, Segment
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.runs import COMPLETED, FAILED

if TYPE_CHECKING:
    from simulation_truth import Truth

FIRST_ZONE = timezone(timedelta(hours=14))
NO_ENDING = ("CANCELLED", "CANCELED")
ROUNDING = 2.0  # seconds


class Fate(Enum):
    """What became of a day of a backfill, or will if nobody cancels it.

    ``HELD``: its run never ends, and its backfill waits for it. ``WORD``: it ended, or never will, with a
    word that says neither.
    """

    AHEAD = auto()
    LOADED = auto()
    FAILED = auto()
    DROPPED = auto()
    HELD = auto()
    WORD = auto()


def fate(record: Backfill, day: int, now: float) -> Fate:
    """Return the fate of a day by the sandbox's own arithmetic. The world must be advanced to ``now``."""
    slots = record.slots_of(day)
    if not slots:
        return _without_a_run(record, now)
    if not record.keeps(day):
        return Fate.DROPPED
    if record.run_end(day) > times.millis(now):
        return Fate.AHEAD
    endings = [ending for slot in slots if (ending := record.endings.get(slot)) is not None]
    if any(ending.holds for ending in endings) and record.removed is None:
        return Fate.HELD
    words = {ending.status for ending in endings}
    if FAILED in words:
        return Fate.FAILED
    if words & set(NO_ENDING):
        return Fate.DROPPED
    return Fate.WORD if words - {COMPLETED} else Fate.LOADED


def _without_a_run(record: Backfill, now: float) -> Fate:
    """A weekly transfer has no run on most days: they go with their backfill."""
    moment = times.millis(now)
    slots = range(record.total)
    kept = all(record.keeps_slot(slot) for slot in slots)
    if kept and any(record.slot_end(slot) > moment for slot in slots):
        return Fate.AHEAD if record.removed is None else Fate.DROPPED
    odd = [ending for _slot, ending in record.odd(moment) if ending.status != COMPLETED]
    if any(ending.holds for ending in odd) and record.removed is None:
        return Fate.HELD
    return Fate.DROPPED if odd or not kept else Fate.LOADED


@dataclass(frozen=True)
class Load:
    """A day that was loaded: by a run of the schedule, or by a backfill. Times are in seconds by the
    sandbox's clock: ``created``, of the run or of the backfill's runs; ``asked``, of the backfill itself.
    """

    transfer_id: int
    day: int
    created: float
    ended: float
    asked: float
    record: Backfill | None = None
    failed_later: bool = False


def loads(
    truth: Truth, transfer: DesiredTransfer, first: int, last: int, *, at_most: bool = False
) -> Iterator[Load]:
    """Yield all loads of the days ``first`` to ``last``, inclusive. ``at_most``: also those of backfills that
    the state does not know, whose single runs are all that tells of them.
    """
    now = truth.stage.now
    for record in truth.records(*transfer.source_ids):
        for day in range(max(first, record.start), min(last, record.end) + 1):
            unknown = at_most and record.id not in truth.memory.recorded
            if _has_loaded(record, day, now) or (unknown and _has_run(record, day, now)):
                slots = record.slots_of(day)
                ended = record.run_end(day) if slots else record.ended(times.millis(now)) or record.begins
                made = (record.scheduled / 1000, ended / 1000, record.created / 1000)
                yield Load(record.transfer, day, *made, record)
    yield from _by_schedules(truth, transfer, first, last)


def _has_loaded(record: Backfill, day: int, now: float) -> bool:
    """Tell whether a backfill loaded a day: of one cut short, if a run of it completed and none failed."""
    became = fate(record, day, now)
    if became is Fate.LOADED:
        return True
    if became in (Fate.FAILED, Fate.AHEAD) or record.per_day == 1:
        return False
    words = _words(record, day, now)
    return COMPLETED in words and FAILED not in words


def _has_run(record: Backfill, day: int, now: float) -> bool:
    """Tell whether any run of a day completed."""
    return COMPLETED in _words(record, day, now)


def _words(record: Backfill, day: int, now: float) -> set[str]:
    """Return how the runs of a day that were made and are over ended."""
    ran = (slot for slot in record.slots_of(day) if record.keeps_slot(slot))
    ended = (slot for slot in ran if record.slot_end(slot) <= times.millis(now))
    return {ending.status if (ending := record.endings.get(slot)) else COMPLETED for slot in ended}


def _by_schedules(truth: Truth, transfer: DesiredTransfer, first: int, last: int) -> Iterator[Load]:
    failed: dict[tuple[int, int], float] = {}
    for source, run in truth.recurring(transfer.source_ids, truth.stage.now, first, last):
        key = source, run.day
        if run.status == FAILED:
            failed[key] = max(failed.get(key, 0.0), run.created / 1000)
        if run.status == COMPLETED and run.ended is not None:
            later = failed.get(key, 0.0) > run.created / 1000
            at = run.created / 1000
            yield Load(source, run.day, at, run.ended / 1000, at, failed_later=later)


def counts(truth: Truth, load: Load, transfer: DesiredTransfer, as_of: int, zone: str, *, kind: bool) -> bool:
    """Tell whether a load counts as of a date. ``kind``: of two readings that which covers."""
    segment = segment_of(transfer, load.day)
    if segment is None:
        return False
    at, made = load.created if kind else load.asked, truth.made.get(load.record.id) if load.record else None
    since = segment.stale_before.timestamp() if segment.stale_before else None
    if since is not None and truth.vendor(max(at, load.asked)) < since:
        under = made.stale_before if made else truth.mistaken_under(load.record)
        if (under is None or under < since) and not (kind and _passes_for_ours(truth, load, since)):
            return False
    on = date_of(truth.vendor(max(at, load.asked)), zone)
    if made is not None:
        on = max(on, made.as_of) if kind else made.as_of
    if load.record is None and segment.final_after is None and not load.failed_later:
        return True
    if on >= load.day + max(segment.final_after or 0, 1):
        return True
    return as_of - (1 if segment.final_after is None else segment.final_after) <= load.day


def _passes_for_ours(truth: Truth, load: Load, since: float) -> bool:
    """Tell whether a load, which the vendor's clock dates before ``since``, may be that of a create of ours
    whose outcome nobody can know, made under ``since``: it was made after that create's intent, by a backfill
    that no read showed, and by none since. No run tells the two apart; by our clock the day was loaded after
    ``since`` either way. The vendor tells its time in whole seconds.
    """
    document = truth.document()
    if document is None or load.record is None or load.record.id in truth.memory.recorded:
        return False
    return not _was_loaded_since(truth, load) and any(
        _is_unknown(one)
        and one.transfer_id == load.transfer_id
        and load.day in one.days
        and one.stale_before is not None
        and one.stale_before.timestamp() >= since
        and truth.intended[one.nonce] <= load.created + ROUNDING
        for one in document.intents.values()
    )


def _was_loaded_since(truth: Truth, load: Load) -> bool:
    on = (one for one in truth.records(load.transfer_id) if one.start <= load.day <= one.end)
    later = (one for one in on if one.scheduled / 1000 > load.created)
    return any(_has_run(one, load.day, truth.stage.now) for one in later)


def _is_unknown(intent: Intent) -> bool:
    """Tell whether a create may have been made, and be over, as far as the state knows."""
    given_up = intent.outcome is Outcome.ABANDONED and intent.unlisted_at is not None
    open_ = intent.outcome in (Outcome.PENDING, Outcome.REFUSED)
    return intent.kind is IntentKind.CREATE and (given_up or open_)


def told_by_the_file(transfer: DesiredTransfer, day: int) -> bool:
    """Tell whether ``loaded:`` says that a day is loaded, and that counts."""
    segment = segment_of(transfer, day)
    since = segment.stale_before if segment else None
    entries = (one for one in transfer.loaded if day in one.days)
    return any(since is None or (one.at is not None and one.at >= since) for one in entries)


def segment_of(transfer: DesiredTransfer, day: int) -> Segment | None:
    return next((one for one in transfer.segments if one.start <= day < one.end), None)


def date_of(moment: float, zone: str) -> int:
    where: tzinfo = ZoneInfo(zone) if zone else FIRST_ZONE
    return datetime.fromtimestamp(moment, UTC).astimezone(where).date().toordinal()
