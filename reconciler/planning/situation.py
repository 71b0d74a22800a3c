"""The way into deciding: what was read, and what is remembered, weighed into one situation. Pure.

``weigh`` settles what can be settled, brings the records up to date, and puts every declared day into a
bucket. What it changes in our memory is a delta: ``plan`` applies it in memory only; ``apply`` commits the
same one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.bounds import GONE_AFTER
from reconciler.dates import EMPTY, DateSet, grouped
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import BackfillRecord, Delta, Document, Intent, Origin, apply_delta
from reconciler.model.observed import Backfill, Observed, Status, Unreadable
from reconciler.planning.evidence import RunsByDay, judge, judged_days, runs_by_day
from reconciler.planning.facts import TransferEvidence
from reconciler.planning.intents import bears_on
from reconciler.planning.ledger import Bucket, TransferLedger, keep_ledger
from reconciler.planning.resolution import Resolution, reopened_creates, resolve


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
    intents = grouped(document.intents.values(), lambda intent: intent.transfer_id)
    ledgers = []
    for transfer in team.transfers:
        sources = transfer.source_ids
        known = (intent for source in sources for intent in intents.get(source, ()))
        evidence = TransferEvidence(
            records=tuple(record for source in sources for record in records.get(source, ())),
            runs={source: runs[source] for source in sources if source in runs},
            intents=tuple(intent for intent in known if bears_on(intent, transfer, now - settle)),
            observed=observed,
            listed=listed,
            now=now,
            settle=settle,
        )
        ledgers.append(keep_ledger(transfer, evidence))
    return tuple(ledgers)


def _with(document: Document, delta: Delta) -> Document:
    """Apply a delta in memory only: the serial stays that of the store."""
    return replace(apply_delta(document, delta), serial=document.serial) if delta else document


def updated(record: BackfillRecord, seen: Backfill) -> BackfillRecord:
    """Return the record with what was seen. A final status we know beats a lagging read."""
    if record.status.final and not seen.status.final:
        return record
    known = record.seen
    fresh = replace(
        seen,
        transfer_id=known.transfer_id,  # what a backfill is of never changes: a list that says so errs
        start=known.start,
        end=known.end,
        failed_days=known.failed_days | seen.failed_days,
    )
    settled = record.settled and seen.completed <= known.completed
    return replace(record, seen=fresh, settled=settled, gone=False)


def wanted_gets(document: Document, listed: Iterable[Backfill]) -> tuple[int, ...]:
    """Return the ids to get: recorded, not listed, and not known to the end."""
    seen = {backfill.id for backfill in listed}
    unseen = (record for record in document.backfills.values() if record.id not in seen)
    return tuple(sorted(record.id for record in unseen if _open_question(record)))


def _open_question(record: BackfillRecord) -> bool:
    """Tell whether a get may still teach something: a final one is got again only to settle."""
    told = record.settled or judged_days(record.evidence) == record.days
    return not record.gone and not (record.status.final and told)


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
    declared = _declared(team)
    changed = []
    for backfill in seen.values():
        name, days = declared.get(backfill.transfer_id, ("", EMPTY))
        if backfill.id not in document.backfills and days & backfill.days:
            dated = _dated(backfill, observed.vendor_now)
            changed.append(_judged(BackfillRecord(dated, name, Origin.OBSERVED), runs, observed))
    for record in document.backfills.values():
        fresh = _judged(_seen_again(record, seen, observed), runs, observed)
        if fresh != record:
            changed.append(fresh)
    return Delta(backfills=tuple(sorted(changed, key=lambda record: record.id)))


def _declared(team: DesiredTeam) -> dict[int, tuple[str, DateSet]]:
    """Map each transfer id to its name and declared days; transfers may share a predecessor."""
    found: dict[int, tuple[str, DateSet]] = {}
    for transfer in team.transfers:
        for source in transfer.source_ids:
            name, days = found.get(source, (transfer.name, EMPTY))
            found[source] = (name, days | transfer.days)
    return found


def _newest_views(observed: Observed) -> dict[int, Backfill]:
    """Return one view per backfill: the most advanced of what the reads showed."""
    views: dict[int, Backfill] = {}
    answers = (*observed.listed, *observed.latest.values(), *observed.fetched.values())
    for backfill in (answer for answer in answers if answer is not None):
        other = views.setdefault(backfill.id, backfill)
        if backfill.progress > other.progress:
            views[backfill.id] = backfill
    return views


def _dated(seen: Backfill, since: datetime) -> Backfill:
    """Say of a cancelled one that tells no time that it was cancelled ``since``, when that was first seen:
    its running runs may still finish.
    """
    timeless = seen.status is Status.CANCELLED and seen.removed_time is None and seen.end_time is None
    return replace(seen, removed_time=since) if timeless else seen


def _seen_again(record: BackfillRecord, seen: Mapping[int, Backfill], observed: Observed) -> BackfillRecord:
    view = seen.get(record.id)
    if view is not None:
        dated = _dated(view, record.seen.removed_time or observed.vendor_now)
        return replace(updated(record, dated), gone=False)
    if record.id in observed.fetched and not record.status.final:
        return replace(record, gone=observed.vendor_now - record.created_time >= GONE_AFTER)
    return record


def _judged(record: BackfillRecord, runs: Mapping[int, RunsByDay], observed: Observed) -> BackfillRecord:
    verdict = judge(record, runs.get(record.transfer_id), observed.vendor_now)
    return replace(record, evidence=verdict.evidence, settled=verdict.settled)
