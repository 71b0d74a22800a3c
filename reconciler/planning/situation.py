"""The way into deciding: what was read, and what is remembered, weighed into one situation. Pure.

``weigh`` settles what can be settled, brings the records up to date, and puts every declared day into a
bucket. What it changes in our memory is a delta: ``plan`` applies it in memory only; ``apply`` commits the
same one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.bounds import DEFAULT_SETTLE, GONE_AFTER
from reconciler.dates import EMPTY, grouped
from reconciler.model.desired import DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import BackfillRecord, Delta, Document, Intent, IntentKind, Origin, apply_delta
from reconciler.model.observed import Backfill, Observed, Status, Unreadable
from reconciler.planning.evidence import RunsByDay, is_active, judged_days, runs_by_day
from reconciler.planning.intents import bears_on, is_match
from reconciler.planning.ledger import Bucket, TransferLedger, keep_ledger
from reconciler.planning.loads import learned, zone_of
from reconciler.planning.resolution import Resolution, reopened_creates, resolve
from reconciler.planning.transfer_evidence import TransferEvidence
from reconciler.planning.verdict import judge


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan is made from. ``document`` has ``delta`` applied in memory: ``plan``
    leaves it at that, ``apply`` commits it first. ``now`` is our clock's.
    """

    team: DesiredTeam
    observed: Observed
    document: Document
    delta: Delta
    resolution: Resolution
    ledgers: tuple[TransferLedger, ...]
    now: datetime
    settle: timedelta


def weigh(
    team: DesiredTeam,
    document: Document,
    observed: Observed,
    now: datetime,
    settle: timedelta,
    doubts: tuple[Intent, ...] = (),
) -> Situation:
    """Return what the answers so far make of our memory and of the days.

    ``document`` is the state as it was read, before the API. ``now`` is when reading began: what took
    effect since may not have been seen. ``doubts`` are creates that are pending again.
    """
    resolution = resolve(document, observed, now, settle, team.on_unknown)
    unresolved = (*resolution.unresolved, *doubts)
    delta = resolution.delta + Delta(intents=doubts)
    resolution = replace(resolution, delta=delta, unresolved=unresolved)
    settled = _with(document, resolution.delta)
    refreshed = refresh(settled, observed, team)
    current = _with(settled, refreshed)
    ledgers = keep_ledgers(team, current, observed, now, settle)
    whole = delta + refreshed
    return Situation(team, observed, current, whole, resolution, ledgers, now, settle)


def weigh_doubts(situation: Situation, document: Document) -> Situation:
    """Weigh again if days are due only because a refusal is believed that may not be."""
    due = [(ledger.transfer.source_ids, ledger.days(Bucket.DUE)) for ledger in situation.ledgers]
    doubts = reopened_creates(situation.document, situation.observed, due, situation.now - situation.settle)
    if not doubts:
        return situation
    return weigh(situation.team, document, situation.observed, situation.now, situation.settle, doubts)


def keep_ledgers(
    team: DesiredTeam, document: Document, observed: Observed, now: datetime, settle: timedelta
) -> tuple[TransferLedger, ...]:
    """Return the ledger of every selected transfer, by transfer id."""
    runs = run_index(observed)
    listed = frozenset(backfill.id for backfill in observed.listed)
    records = grouped(document.backfills.values(), lambda record: record.transfer_id)
    loads = grouped(document.loads.values(), lambda load: load.transfer_id)
    intents = grouped(document.intents.values(), lambda intent: intent.transfer_id)
    amnesties = grouped(document.amnesties.values(), lambda amnesty: amnesty.transfer_id)
    zone = zone_of(team.timezone)
    ends = ZoneInfo(team.timezone) if team.timezone else UTC
    today = observed.vendor_now.astimezone(ends).date().toordinal()
    ledgers = []
    for transfer in team.transfers:
        sources, own = transfer.source_ids, transfer.address.transfer_id
        known = (intent for source in sources for intent in intents.get(source, ()))
        evidence = TransferEvidence(
            transfer=transfer,
            as_of=team.as_of,
            vendor_today=today,
            zone=zone,
            records=tuple(record for source in sources for record in records.get(source, ())),
            loads=tuple(load for source in sources for load in loads.get(source, ())),
            runs={source: runs[source] for source in sources if source in runs},
            intents=tuple(intent for intent in known if bears_on(intent, transfer, now - settle)),
            amnesties=tuple(amnesties.get(own, ())),
            acceptance=document.acceptances.get(own),
            observed=observed,
            listed=listed,
            now=now,
            settle=settle,
            stuck_after=team.stuck_after,
        )
        ledgers.append(keep_ledger(evidence))
    return tuple(ledgers)


def _with(document: Document, delta: Delta) -> Document:
    """Apply a delta in memory only: the serial stays that of the store."""
    return replace(apply_delta(document, delta), serial=document.serial) if delta else document


def updated(record: BackfillRecord, seen: Backfill, vendor_now: datetime) -> BackfillRecord:
    """Return the record with what was seen. A final status we know beats a lagging read.

    A FAILED one may run again: then its counts go on, and what it says of its days is open again.
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
        failed_days=seen.failed_days | (known.failed_days if seen.failed >= known.failed else EMPTY),
        created_user_id=seen.created_user_id or known.created_user_id,
    )
    same_end = record.ended_at is not None and (was_failed or seen.status is known.status)
    ended_at = record.ended_at if same_end else vendor_now
    return replace(
        record,
        seen=fresh,
        settled=record.settled and same and (was_failed or seen.status is known.status),
        gone=False,
        moved_at=(record.moved_at if same and seen.status is known.status else None) or vendor_now,
        ended_at=None if is_active(fresh) else ended_at,
        has_run=record.has_run or _has_run(fresh),
        was_failed=was_failed,
    )


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
            origin = _origin(backfill, transfer, document, observed)
            record = BackfillRecord(backfill, transfer.name, origin, serial=document.serial)
            fresh = updated(record, backfill, observed.vendor_now)
            changed.append(_judged(fresh, runs, observed, names))
    for record in document.backfills.values():
        fresh = _judged(_seen_again(record, seen, observed), runs, observed, names)
        if fresh != record:
            changed.append(fresh)
    records = Delta(backfills=tuple(sorted(changed, key=lambda record: record.id)))
    readable = ((one, listed) for one, listed in observed.runs.items() if not isinstance(listed, Unreadable))
    return records + learned(_with(document, records), sorted(readable))


def _names(team: DesiredTeam) -> dict[int, DesiredTransfer]:
    """Return the transfer that each id is declared by; two may share a predecessor."""
    found: dict[int, DesiredTransfer] = {}
    declared = team.of_the_files
    for transfer in declared:
        for source in transfer.source_ids:
            found.setdefault(source, transfer)
    return {**found, **{transfer.address.transfer_id: transfer for transfer in declared}}


def _origin(backfill: Backfill, transfer: DesiredTransfer, document: Document, observed: Observed) -> Origin:
    """Tell whether a backfill that the state does not know is of somebody else, or of a time that it lost.

    Where run lists tell what is loaded, that makes no difference.
    """
    if transfer.evidence is not EvidenceMode.BACKFILLS:
        return Origin.OBSERVED
    if any(_explains(intent, backfill) for intent in document.intents.values()):
        return Origin.OBSERVED
    users = {user.user_id for user in document.users.values()}
    who = backfill.created_user_id
    ours = observed.our_user is None or who is None or who in users
    return Origin.UNEXPLAINED if ours else Origin.OBSERVED


def _explains(intent: Intent, backfill: Backfill) -> bool:
    """Tell whether a create may have made a backfill: exactly it, about then (a gateway may send twice)."""
    about_then = abs(backfill.created_time - intent.intended_at) <= DEFAULT_SETTLE
    return intent.kind is IntentKind.CREATE and about_then and is_match(intent, backfill)


def _newest_views(observed: Observed) -> dict[int, Backfill]:
    """Return one view per backfill: the most advanced of what the reads showed."""
    views: dict[int, Backfill] = {}
    answers = (*observed.listed, *observed.latest.values(), *observed.fetched.values())
    for backfill in (answer for answer in answers if isinstance(answer, Backfill)):
        other = views.setdefault(backfill.id, backfill)
        if _progress(backfill) > _progress(other):
            views[backfill.id] = backfill
    return views


def _progress(seen: Backfill) -> tuple[bool, bool, int]:
    """Tell how far a view is. A FAILED one may run again: it is safer to believe that it is active."""
    return seen.status.final, is_active(seen), seen.completed + seen.failed


def _seen_again(record: BackfillRecord, seen: Mapping[int, Backfill], observed: Observed) -> BackfillRecord:
    view = seen.get(record.id)
    if view is not None:
        return updated(record, view, observed.vendor_now)
    missing = observed.fetched.get(record.id, record) is None
    if missing and not record.status.final:
        return replace(record, gone=observed.vendor_now - record.created_time >= GONE_AFTER)
    return record


def _judged(
    record: BackfillRecord,
    runs: Mapping[int, RunsByDay],
    observed: Observed,
    transfers: Mapping[int, DesiredTransfer],
) -> BackfillRecord:
    transfer = transfers.get(record.transfer_id)
    blind = transfer is not None and transfer.evidence is EvidenceMode.BACKFILLS
    verdict = judge(record, runs.get(record.transfer_id), observed.vendor_now, blind)
    return replace(record, evidence=verdict.evidence, settled=verdict.settled)
