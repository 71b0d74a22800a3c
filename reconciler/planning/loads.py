"""What run lists proved to be loaded, remembered as intervals of days; and whether a load counts. Pure.

A run list is readable today, and forgotten or forbidden tomorrow: so whatever it proves goes into the state,
and what is decided is decided by the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from reconciler.dates import LAST_DAY, DateSet, Day, grouped, union
from reconciler.model.deltas import KEYS, Delta
from reconciler.model.memory import BackfillRecord, Document, Load, LoadKey, load_kind
from reconciler.model.observed import Run, RunStatus
from reconciler.planning.evidence import made_within, unproved_by_runs

LOAD_KEY = KEYS["loads"]
FIRST_ZONE = timezone(timedelta(hours=14))  # where a day is over first


def zone_of(name: str) -> tzinfo:
    """Return the zone in which loads are dated: without one, the first in which a day is over: so no load
    is taken for one of its own day, and nothing is bought for a doubt.
    """
    return ZoneInfo(name) if name else FIRST_ZONE


# --- remembering ------------------------------------------------------------------------------


def learned(document: Document, runs: Iterable[tuple[int, Iterable[Run]]]) -> Delta:
    """Return what run lists, by transfer id, add to what is known to be loaded.

    The records of ``document`` are as this reading left them: a run that proves nothing displaces no load.
    """
    known = grouped(document.loads.values(), lambda load: load.transfer_id)
    in_doubt = _in_doubt(document)
    put: list[Load] = []
    dropped: list[LoadKey] = []
    for transfer_id, listed in runs:
        before, doubts = known.get(transfer_id, []), in_doubt.get(transfer_id, ())
        proved = [load for one in before for load in _proved(one, doubts)]
        after = _joined_with(proved, transfer_id, [run for run in listed if _proves(run, doubts)])
        kept, unchanged = {LOAD_KEY(load) for load in after}, set(before)
        put += [load for load in after if load not in unchanged]
        dropped += [key for load in before if (key := LOAD_KEY(load)) not in kept]
    return Delta(loads=tuple(put), drop_loads=tuple(dropped))


Doubts = Sequence[tuple[BackfillRecord, DateSet]]


def _in_doubt(document: Document) -> dict[int, list[tuple[BackfillRecord, DateSet]]]:
    """Return the records with days that their runs prove nothing of, by transfer."""
    pairs = ((one, unproved_by_runs(one, one.evidence)) for one in document.backfills.values())
    return grouped((pair for pair in pairs if pair[1]), lambda pair: pair[0].transfer_id)


def _proves(run: Run, doubts: Doubts) -> bool:
    day = run.day
    if day is None or not run.backfill or run.status is not RunStatus.COMPLETED:
        return True
    return not any(day in days and made_within(one, run.created_time) for one, days in doubts)


def _proved(load: Load, doubts: Doubts) -> list[Load]:
    """Return what is left of a load that turned out to be no proof: it may hide an older one that is."""
    if not load.by_backfill:
        return [load]
    none = union(days for one, days in doubts if made_within(one, load.at))
    return [replace(load, start=start, end=end) for start, end in (load.days - none).intervals]


def _joined_with(known: list[Load], transfer_id: int, runs: list[Run]) -> list[Load]:
    """Return the loads known, and on each day of a run the newer of both: the schedule's apart from the
    backfills', for what a failed backfill ran says nothing against the schedule; and those that tell no time
    apart, for they may be the newest.
    """
    kinds = {load.kind for load in known} | {_kind(run) for run in runs}
    return [load for kind in sorted(kinds) for load in _of_kind(kind, known, transfer_id, runs)]


def _kind(run: Run) -> int:
    return load_kind(run.backfill, run.created_time)


def _of_kind(kind: int, known: list[Load], transfer_id: int, runs: list[Run]) -> list[Load]:
    """Return the loads of one kind, disjoint and sorted."""
    by_day = _by_day(runs, kind)
    untouched, changed = [], []
    for load in (load for load in known if load.kind == kind):
        told = [(day, by_day.pop(day)) for day in load.days if day in by_day]
        changed += [_newer(replace(load, start=day, end=day + 1), shown) for day, shown in told]
        rest = load.days - DateSet.days(day for day, _shown in told)
        untouched += [replace(load, start=start, end=end) for start, end in rest.intervals]
    new = [
        _newer(Load(transfer_id, day, day + 1, shown.loaded.created_time, shown.loaded.backfill), shown)
        for day, shown in by_day.items()
        if shown.loaded is not None
    ]
    return _merged(sorted((*untouched, *changed, *new), key=lambda load: load.start))


@dataclass(slots=True)
class _Shown:
    """What a run list shows of a day: its newest COMPLETED run of a kind, and when its newest failed one of
    any kind was made.
    """

    loaded: Run | None = None
    failed_at: datetime | None = None


def _by_day(runs: Iterable[Run], kind: int) -> dict[Day, _Shown]:
    found: dict[Day, _Shown] = {}
    for run in sorted(runs, key=lambda run: (run.created_time, run.id)):
        if run.day is None:
            continue
        if run.status is RunStatus.COMPLETED:
            if _kind(run) == kind:
                found.setdefault(run.day, _Shown()).loaded = run
        elif run.status is RunStatus.FAILED:
            found.setdefault(run.day, _Shown()).failed_at = run.created_time
    return found


def _newer(load: Load, shown: _Shown) -> Load:
    """Return the newest load of a day, with the newest failure after it."""
    run, at = shown.loaded, load.at
    if run is not None and run.created_time > at:
        at = run.created_time
    failures = [failed for failed in (load.failed_at, shown.failed_at) if failed is not None and failed > at]
    return Load(load.transfer_id, load.start, load.end, at, load.by_backfill, max(failures, default=None))


def _merged(loads: Iterable[Load]) -> list[Load]:
    """Join neighbours that differ in nothing but their days."""
    merged: list[Load] = []
    for load in loads:
        if merged and _continues(merged[-1], load):
            merged[-1] = replace(merged[-1], end=load.end)
        else:
            merged.append(load)
    return merged


def _continues(last: Load, load: Load) -> bool:
    return last.end == load.start and (last.at, last.failed_at) == (load.at, load.failed_at)


# --- does it count? ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loading:
    """Days that were loaded at one time, by whatever means.

    ``at`` is ``None`` for long ago. ``on`` is the date it began, in the zone in which loads are dated;
    ``None``: it is final, by what a person said, or since nobody knows. ``scheduled``: a transfer's own
    schedule loaded them.
    ``failed_later``: a later run of them failed. ``made_under``: the ``stale_before`` that ours was made for.
    """

    days: DateSet
    at: datetime | None
    on: Day | None
    scheduled: bool = False
    failed_later: bool = False
    made_under: datetime | None = None

    def counts(self, stale_before: datetime | None) -> bool:
        """Tell whether it began at or after ``stale_before``, or is ours and was made under it."""
        if stale_before is None or (self.at is not None and self.at >= stale_before):
            return True
        return self.made_under is not None and self.made_under >= stale_before

    def final(self, final_after: int | None) -> DateSet:
        """Return the days that it loaded when their figures were final, or are taken for that: where
        ``final_after`` is not set, a scheduled run's, unless a later one failed.

        Days D of a load that began on D + ``final_after`` or later, and never on D itself.
        """
        trusted = final_after is None and self.scheduled and not self.failed_later
        if self.on is None or trusted:
            return self.days
        return self.days & DateSet.span(0, self.on - max(final_after or 0, 1) + 1)

    def provisional(self, final_after: int | None, as_of: Day) -> DateSet:
        """Return the days D that it covers for a while: through D + ``final_after``, or D + 1."""
        still = as_of - (1 if final_after is None else final_after)
        return self.days & DateSet.span(still, LAST_DAY + 1)

    def covers(self, final_after: int | None, as_of: Day) -> DateSet:
        return self.final(final_after) | self.provisional(final_after, as_of)

    def on_own_day(self) -> DateSet:
        """Return the days D that it began to load on D or before: they were not over."""
        return self.days & DateSet.span(self.on, LAST_DAY + 1) if self.on is not None else DateSet()
