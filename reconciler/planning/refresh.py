"""What a reading of the API changes in our memory, as a delta. Pure.

``plan`` applies the delta in memory only; ``apply`` commits the same one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.dates import EMPTY, DateSet
from reconciler.model import Backfill, DesiredTeam, Observed, Status, Unreadable
from reconciler.planning.evidence import GONE_AFTER, RunsByDay, judge, judged_days, runs_by_day
from reconciler.state.document import BackfillRecord, Delta, Document, Origin


def record_of(backfill: Backfill, transfer: str, origin: Origin) -> BackfillRecord:
    """Return a first record of a backfill, without evidence."""
    return BackfillRecord(
        id=backfill.id,
        transfer_id=backfill.transfer_id,
        transfer=transfer,
        start=backfill.start,
        end=backfill.end,
        status=backfill.status,
        created_time=backfill.created_time,
        origin=origin,
        total=backfill.total,
        completed=backfill.completed,
        failed=backfill.failed,
        failed_days=backfill.failed_days,
        start_time=backfill.start_time,
        end_time=backfill.end_time,
        removed_time=backfill.removed_time,
    )


def updated(record: BackfillRecord, seen: Backfill) -> BackfillRecord:
    """Return the record with what was seen. A final status we know beats a lagging read."""
    if record.status.final and not seen.status.final:
        return record
    fresh = record_of(seen, record.transfer, record.origin)
    return replace(
        fresh,
        transfer_id=record.transfer_id,  # what a backfill is of never changes: a list that says so errs
        start=record.start,
        end=record.end,
        stale_before=record.stale_before,
        evidence=record.evidence,
        settled=record.settled and seen.completed <= record.completed,
        failed_days=record.failed_days | seen.failed_days,
    )


def wanted_gets(document: Document, listed: Iterable[Backfill]) -> tuple[int, ...]:
    """Return the ids to get: recorded, not listed, and not known to the end."""
    seen = {backfill.id for backfill in listed}
    return tuple(
        sorted(one.id for one in document.backfills.values() if one.id not in seen and _open_question(one))
    )


def _open_question(record: BackfillRecord) -> bool:
    """Tell whether a get may still teach something: a final one is got again only to settle."""
    if record.gone or record.settled:
        return not record.gone and not record.status.final
    return not record.status.final or judged_days(record.evidence) != record.days


def run_index(observed: Observed) -> dict[int, RunsByDay]:
    """Return the readable run lists by transfer, each grouped by day."""
    return {
        transfer_id: runs_by_day(runs)
        for transfer_id, runs in observed.runs.items()
        if not isinstance(runs, Unreadable)
    }


def refresh(document: Document, observed: Observed, team: DesiredTeam) -> Delta:
    """Return the records that are new or changed after a reading.

    New ones are backfills of others that touch declared days: once they complete, nothing
    but this memory would tell that their days are loaded.
    """
    seen = _newest_views(observed)
    runs = run_index(observed)
    names = _declared(team)
    changed = []
    for backfill in seen.values():
        if backfill.id not in document.backfills and _touches(backfill, names):
            name, _days = names[backfill.transfer_id]
            dated = _dated(backfill, observed.vendor_now)
            changed.append(_judged(record_of(dated, name, Origin.OBSERVED), runs, observed))
    for record in document.backfills.values():
        fresh = _judged(_seen_again(record, seen, observed), runs, observed)
        if fresh != record:
            changed.append(fresh)
    return Delta(backfills=tuple(sorted(changed, key=lambda one: one.id)))


def _declared(team: DesiredTeam) -> dict[int, tuple[str, DateSet]]:
    """Map each transfer id to its name and declared days; transfers may share a predecessor."""
    found: dict[int, tuple[str, DateSet]] = {}
    for transfer in team.transfers:
        for source in transfer.source_ids:
            name, days = found.get(source, (transfer.name, EMPTY))
            found[source] = (name, days | transfer.days)
    return found


def _touches(backfill: Backfill, names: Mapping[int, tuple[str, DateSet]]) -> bool:
    entry = names.get(backfill.transfer_id)
    return entry is not None and bool(entry[1] & backfill.days)


def _newest_views(observed: Observed) -> dict[int, Backfill]:
    """Return one view per backfill: the most advanced of what the reads showed."""
    views: dict[int, Backfill] = {}
    answers = (*observed.listed, *observed.latest.values(), *observed.fetched.values())
    for backfill in answers:
        if backfill is None:
            continue
        other = views.get(backfill.id)
        if other is None or _progress(backfill) > _progress(other):
            views[backfill.id] = backfill
    return views


def _progress(backfill: Backfill) -> tuple[bool, bool, int]:
    ended = backfill.end_time is not None
    return (backfill.status.final, ended, backfill.completed + backfill.failed)


def _dated(seen: Backfill, since: datetime) -> Backfill:
    """Say of a cancelled one that tells no time that it was cancelled ``since``, when that was first seen:
    its running runs may still finish.
    """
    timeless = seen.status is Status.CANCELLED and seen.removed_time is None and seen.end_time is None
    return replace(seen, removed_time=since) if timeless else seen


def _seen_again(record: BackfillRecord, seen: Mapping[int, Backfill], observed: Observed) -> BackfillRecord:
    view = seen.get(record.id)
    if view is not None:
        dated = _dated(view, record.removed_time or observed.vendor_now)
        return replace(updated(record, dated), gone=False)
    if record.id in observed.fetched and not record.status.final:
        return replace(record, gone=observed.vendor_now - record.created_time >= GONE_AFTER)
    return record


def _judged(record: BackfillRecord, runs: Mapping[int, RunsByDay], observed: Observed) -> BackfillRecord:
    verdict = judge(record, runs.get(record.transfer_id), observed.vendor_now)
    return replace(record, evidence=verdict.evidence, settled=verdict.settled)
