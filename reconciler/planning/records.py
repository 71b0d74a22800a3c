"""What a reading adds to our memory: backfills that are new or changed, and loads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.bounds import DEFAULT_SETTLE, GONE_AFTER
from reconciler.dates import EMPTY
from reconciler.model.deltas import Delta, apply_delta
from reconciler.model.desired import DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind, Origin
from reconciler.model.observed import Backfill, Observed, Status, Unreadable
from reconciler.planning.evidence import (
    RunsByDay,
    is_active,
    judged_days,
    runs_by_day,
    what_stays,
    why_untold,
)
from reconciler.planning.loads import learned
from reconciler.planning.matching import is_part, made_about_then
from reconciler.planning.verdict import judge


def applied(document: Document, delta: Delta) -> Document:
    """Apply a delta in memory only: the serial stays that of the store."""
    return replace(apply_delta(document, delta), serial=document.serial) if delta else document


def updated(record: BackfillRecord, seen: Backfill, now: datetime) -> BackfillRecord:
    """Return the record with what was seen ``now``, the later of both clocks. A final status we know beats a
    lagging read.

    A FAILED one may run again: then its counts go on, and what it says of its days is open again; also which
    had failed, for no read may have shown that it ended in between.

        09:00  RUNNING, 1 completed, 1 failed: May 5
        10:00  it ended, and ran again: FAILED, 5 completed, 1 failed: May 3. May 5 is loaded by now
    """
    known = record.seen
    if (seen.transfer_id, seen.days) != (known.transfer_id, known.days):
        return record  # what a backfill is of never changes: a view that says so is of another one
    if record.status.final and not seen.status.final:
        return record
    same = seen.counts == known.counts
    was_failed = same and seen.status is Status.CANCELLED and _had_failed(record)
    fresh = replace(
        seen,
        start_time=seen.start_time or known.start_time,
        end_time=known.end_time or seen.end_time if was_failed else seen.end_time,
        failed_days=seen.failed_days | (known.failed_days if same else EMPTY),
        created_user_id=seen.created_user_id or known.created_user_id,
        error=seen.error or (known.error if seen.failed else ""),
    )
    same_end = record.ended_at is not None and (was_failed or seen.status is known.status)
    ended_at = record.ended_at if same_end else now
    return replace(
        record,
        seen=fresh,
        evidence=record.evidence if same else what_stays(record.evidence),
        settled=record.settled and same and (was_failed or seen.status is known.status),
        gone=False,
        moved_at=_unmoved_since(record, now) if same and seen.status is known.status else now,
        ended_at=None if is_active(fresh) else ended_at,
        has_run=record.has_run or _has_run(fresh),
        was_failed=was_failed,
    )


def _unmoved_since(record: BackfillRecord, now: datetime) -> datetime:
    """Return when a backfill last moved. Of one that no read has seen move, its own begin tells if no run of
    it has ended; else the last one may have ended just now.
    """
    seen = record.seen
    begun = now if seen.completed + seen.failed else seen.start_time or seen.created_time
    return record.moved_at or begun


def _had_failed(record: BackfillRecord) -> bool:
    ended = record.status is Status.FAILED and not is_active(record.seen)
    return ended or record.was_failed


def _has_run(seen: Backfill) -> bool:
    queued = seen.status in (Status.CREATED, Status.SCHEDULED, Status.CANCELLED)
    return not queued or seen.start_time is not None or seen.completed + seen.failed > 0


def wanted_gets(document: Document, listed: Iterable[Backfill]) -> tuple[int, ...]:
    """Return the ids to get: recorded, not listed, and not known to the end.

    What answered 404 is asked for again until its days are known; a final one only until it is settled.
    """
    seen = {backfill.id for backfill in listed}
    unseen = (record for record in document.backfills.values() if record.id not in seen)
    return tuple(sorted(record.id for record in unseen if _open_question(record)))


def _open_question(record: BackfillRecord) -> bool:
    if record.gone:
        return not record.settled
    told = record.settled or judged_days(record.evidence) == record.days
    return not (record.status.final and told)


def run_index(observed: Observed) -> dict[int, RunsByDay]:
    """Return the readable run lists by transfer, each grouped by day."""
    return {
        transfer_id: runs_by_day(runs)
        for transfer_id, runs in observed.runs.items()
        if not isinstance(runs, Unreadable)
    }


def refresh(document: Document, observed: Observed, team: DesiredTeam) -> Delta:
    """Return what a reading adds to our memory: records that are new or changed, and loads.

    New ones are backfills on the transfers of the files, whoever made them, on declared days or not: once
    they complete, nothing but this memory would tell that their days are loaded.
    """
    seen = _newest_views(observed)
    runs = run_index(observed)
    names = _names(team)
    changed = []
    for backfill in seen.values():
        transfer = names.get(backfill.transfer_id)
        if backfill.id not in document.backfills and transfer is not None:
            origin = _origin(backfill, document, observed)
            record = BackfillRecord(backfill, transfer.name, origin, serial=document.serial)
            fresh = updated(record, backfill, observed.later)
            changed.append(_judged(fresh, runs, observed, names))
    for record in document.backfills.values():
        known = _explained(_seen_again(record, seen, observed), observed)
        fresh = _judged(known, runs, observed, names)
        if fresh != record:
            changed.append(fresh)
    records = Delta(backfills=tuple(sorted(changed, key=lambda record: record.id)))
    readable = ((one, listed) for one, listed in observed.runs.items() if not isinstance(listed, Unreadable))
    return records + learned(applied(document, records), sorted(readable))


def _names(team: DesiredTeam) -> dict[int, DesiredTransfer]:
    """Return the transfer that each id is declared by; two may share a predecessor."""
    found: dict[int, DesiredTransfer] = {}
    declared = team.of_the_files
    for transfer in declared:
        for source in transfer.source_ids:
            found.setdefault(source, transfer)
    return {**found, **{transfer.address.transfer_id: transfer for transfer in declared}}


def _explained(record: BackfillRecord, observed: Observed) -> BackfillRecord:
    """Return the record: what was not explained is, once a run list tells what of it is loaded."""
    if record.origin is Origin.UNEXPLAINED and _is_told(record.seen, observed):
        return replace(record, origin=Origin.OBSERVED)
    return record


def _is_told(backfill: Backfill, observed: Observed) -> bool:
    """Tell whether a run list was read that tells what is loaded, from the first day of a backfill on."""
    answer = observed.runs.get(backfill.transfer_id)
    whole = observed.runs_from.get(backfill.transfer_id, 0) <= backfill.days.first()
    return whole and answer is not None and why_untold(backfill.transfer_id, answer) is None


def _origin(backfill: Backfill, document: Document, observed: Observed) -> Origin:
    """Tell whether a backfill that the state does not know is of somebody else, or of a time that it lost.

    An old copy may have lost whose our keys were, too. Where a run list tells what is loaded, that makes no
    difference; where none was read, it does once the file says that none is to be read.
    """
    if _is_told(backfill, observed):
        return Origin.OBSERVED
    if any(_explains(intent, backfill, document) for intent in document.intents.values()):
        return Origin.OBSERVED
    users = {user.user_id for user in document.users.values()}
    who = backfill.created_user_id
    maybe_ours = document.old_copy or observed.our_user is None or who is None or who in users
    return Origin.UNEXPLAINED if maybe_ours else Origin.OBSERVED


def _explains(intent: Intent, backfill: Backfill, document: Document) -> bool:
    """Tell whether a create may have made a backfill: a part of it, made about then. If it is known to have
    made another one, only a gateway that sent it twice can have made this one, and the API cut both alike.
    """
    made = document.backfills.get(intent.backfill_id) if intent.backfill_id is not None else None
    alike = made is None or made.days == backfill.days
    about_then = made_about_then(intent, backfill, DEFAULT_SETTLE)
    return intent.kind is IntentKind.CREATE and about_then and alike and is_part(intent, backfill)


def _newest_views(observed: Observed) -> dict[int, Backfill]:
    """Return one view per backfill: the most advanced of what the reads showed."""
    views: dict[int, Backfill] = {}
    answers = (*observed.listed, *observed.latest.values(), *observed.fetched.values())
    for backfill in (answer for answer in answers if isinstance(answer, Backfill)):
        other = views.setdefault(backfill.id, backfill)
        if _progress(backfill) > _progress(other):
            views[backfill.id] = backfill
    return views


def _progress(seen: Backfill) -> tuple[bool, bool, int, bool, str, int]:
    """Tell how far a view is. A FAILED one may run again: it is safer to believe that it is active, or else
    of a status nobody knows.
    """
    ended, unknown = seen.completed + seen.failed, seen.status is Status.UNKNOWN
    return seen.status.final, is_active(seen), ended, unknown, seen.status.value, seen.completed


def _seen_again(record: BackfillRecord, seen: Mapping[int, Backfill], observed: Observed) -> BackfillRecord:
    view = seen.get(record.id)
    if view is not None:
        return updated(record, view, observed.later)
    missing = observed.fetched.get(record.id, record) is None
    if not missing or record.status.final:
        return record
    gone = observed.earlier - record.created_time >= GONE_AFTER
    ended_at = record.ended_at or (observed.later if gone else None)
    return replace(record, gone=gone, ended_at=ended_at)


def _judged(
    record: BackfillRecord,
    runs: Mapping[int, RunsByDay],
    observed: Observed,
    transfers: Mapping[int, DesiredTransfer],
) -> BackfillRecord:
    transfer = transfers.get(record.transfer_id)
    blind = transfer is not None and transfer.evidence is EvidenceMode.BACKFILLS
    verdict = judge(record, runs.get(record.transfer_id), observed.earlier, blind)
    return replace(record, evidence=verdict.evidence, settled=verdict.settled)
