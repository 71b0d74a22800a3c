"""From the ledgers to the fewest actions: runs of due days, cut, ordered, limited. Pure.

Due days become maximal runs of consecutive days, across ranges and reasons; each is cut at
chunk boundaries and then by ``max_days_per_backfill``. That is the least number of creates:
no create can span a gap or a boundary, and none can be longer than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.dates import DateSet, Day, DaysByTransfer, grouped, union
from reconciler.diagnostics import Place, Severity
from reconciler.model.desired import Address, DesiredTransfer, Order, Segment
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind, Outcome
from reconciler.model.observed import Status
from reconciler.planning import totals
from reconciler.planning.approval import Approval, newest_create, planned_days
from reconciler.planning.budget import LIST_FULL, OPEN, Budget, Piece, allotted, failed_blockers
from reconciler.planning.cutting import cut_due
from reconciler.planning.evidence import is_active
from reconciler.planning.guards import check_guards, overrides_told
from reconciler.planning.items import deferred_items, error_on, items_of
from reconciler.planning.ledger import Bucket, Entry, Reason, TransferLedger
from reconciler.planning.plan import LISTED, Action, ActionKind, TeamPlan
from reconciler.planning.situation import Situation

# Creates, after one that came to nothing: else such would take each place that is kept for history.
RESTS_FOR = 3


def make_plan(situation: Situation, approval: Approval | None = None) -> TeamPlan:
    """Return what to do for a team; with an approval, only what lies in it too."""
    team, observed = situation.team, situation.observed
    document, ledgers = situation.document, situation.ledgers
    withheld = _withheld_days(situation, approval)
    budget = allotted(situation, _ordered(_pieces(situation, withheld), team.order))
    cancels = [*_prunes(situation), *_ended_shells(situation, budget, whoever_waits=approval is not None)]
    actions = (*_approved(cancels, approval), *_creates(budget))
    planned = planned_days(actions)
    assert approval is None or approval.allows(actions)
    guards, found = check_guards(team, actions, observed)
    findings = (*found, *overrides_told(document), *totals.list_full_findings(observed, document))
    held_up = items_of(team, ledgers, (bucket for bucket in LISTED if bucket is not Bucket.DEFERRED))
    return TeamPlan(
        team_id=team.team_id,
        as_of=team.as_of,
        lineage=document.lineage,
        serial=document.serial,
        list_full=observed.list_full,
        evidence=totals.evidence_used(ledgers, observed),
        actions=actions,
        items=(*deferred_items(ledgers, budget, withheld), *held_up),
        unmanaged=totals.unmanaged_backfills(team, observed, document),
        transfers=tuple(totals.summarise(ledger, planned.of(ledger.transfer.address)) for ledger in ledgers),
        minimum_creates=_minimum_creates(situation, planned),
        diagnostics=findings,
        guarded=any(finding.severity is Severity.ERROR for finding in findings),
        guards=guards,
        newest_create=newest_create(document, planned),
    )


# --- pieces and their order ---------------------------------------------------------------


def _pieces(situation: Situation, withheld: DaysByTransfer[Address]) -> Iterator[Piece]:
    longest, document = situation.team.limits.max_days_per_backfill, situation.document
    creates = [one for one in document.intents.values() if one.kind is IntentKind.CREATE]
    served = {one.transfer_id: one.intended_at for one in sorted(creates, key=lambda one: one.intended_at)}
    undone = grouped(_undone(document), lambda one: one.transfer_id)
    for ledger in situation.ledgers:
        due = ledger.days(Bucket.DUE) - withheld.of(ledger.transfer.address)
        number = ledger.transfer.address.transfer_id
        came_to_nothing = undone.get(number, ())
        party_at = max(map(_undone_at, came_to_nothing), default=None)
        since = sum(one.intended_at > party_at for one in creates) if party_at else 0
        for start, end in cut_due(due, ledger.transfer.chunk, longest):
            touched = (one for one in came_to_nothing if one.start < end and start < one.end)
            undone_at = max(map(_undone_at, touched), default=None)
            waits = served.get(number), undone_at, party_at, since < RESTS_FOR
            yield Piece(ledger.transfer, start, end, *waits)


def _undone(document: Document) -> Iterator[Intent | BackfillRecord]:
    """Yield creates of ours that came to nothing: the API refused them, or they were cancelled (by a person,
    or by ``prune``).
    """
    yield from (one for one in document.intents.values() if one.outcome is Outcome.REFUSED)
    for record in document.backfills.values():
        if record.ours and record.status is Status.CANCELLED and not record.was_failed:
            yield record


def _undone_at(one: Intent | BackfillRecord) -> datetime:
    return one.intended_at if isinstance(one, Intent) else one.ended_at or one.created_time


def _ordered(pieces: Iterable[Piece], order: Order) -> list[Piece]:
    """Sort pieces. Where days are equal, the transfer that has waited longest for a create goes first: of
    many that end yesterday, the same ones would take each night's places.

    What was refused before, or cancelled by somebody, goes last, the oldest first: it may be so each time,
    and what comes after a refusal on its transfer is not sent in that run.
    """

    def key(piece: Piece) -> tuple[float, Day, float, Address]:
        undone, served = (at.timestamp() if at else 0.0 for at in (piece.undone_at, piece.served_at))
        return (
            undone,
            -piece.end if order is Order.NEWEST_FIRST else piece.start,
            served,
            piece.transfer.address,
        )

    return sorted(pieces, key=key)


def _withheld_days(situation: Situation, approval: Approval | None) -> DaysByTransfer[Address]:
    """Return the due days that an approved plan did not show, or whose cancel it did not."""
    if approval is None:
        return DaysByTransfer()
    found, shells = [], failed_blockers(situation)
    for ledger in situation.ledgers:
        address, due = ledger.transfer.address, ledger.days(Bucket.DUE)
        blockers = shells.get(address.transfer_id, ())
        cancels = ((situation.team.team_id, record.id) for record in blockers)
        barred = union(
            record.days for record, key in zip(blockers, cancels, strict=True) if key not in approval.cancels
        )
        found.append((address, (due - approval.days.of(address)) | (due & barred)))
    return DaysByTransfer(found)


def _minimum_creates(situation: Situation, planned: DaysByTransfer[Address]) -> int:
    """Return the sum of ceil(days / longest) over every maximal run and chunk of planned days."""
    longest, total = situation.team.limits.max_days_per_backfill, 0
    for ledger in situation.ledgers:
        for start, end in cut_due(planned.of(ledger.transfer.address), ledger.transfer.chunk, None):
            total += -(-(end - start) // (longest or (end - start)))
    return total


# --- actions ------------------------------------------------------------------------------


def _creates(budget: Budget) -> Iterator[Action]:
    ledgers = {ledger.transfer.address: ledger for ledger in budget.situation.ledgers}
    for piece, cancels in budget.taken:
        yield _create(piece, cancels, ledgers[piece.transfer.address])


def _create(piece: Piece, cancels: tuple[int, ...], ledger: TransferLedger) -> Action:
    transfer = piece.transfer
    segments = [segment for segment in transfer.segments if segment.overlaps(piece)]
    declared = [found for segment in segments for found in _declared(segment, piece, ledger)]
    times = [segment.stale_before for segment in segments if segment.stale_before is not None]
    return Action(
        kind=ActionKind.RETRY if cancels else ActionKind.CREATE,
        address=transfer.address,
        transfer=transfer.name,
        start=piece.start,
        end=piece.end,
        reasons=_reasons(ledger.of(Bucket.DUE), piece.days),
        owners=_owners(transfer, segments),
        declared_at=tuple(sorted({place for place, _reason in declared})),
        cancels=cancels,
        stale_before=max(times, default=None),
        notes=tuple(dict.fromkeys(reason for _place, reason in declared if reason)),
        error=error_on(ledger, piece.days & _failed(ledger)),
    )


def _failed(ledger: TransferLedger) -> DateSet:
    return union(entry.days for entry in ledger.of(Bucket.DUE) if entry.reason is Reason.FAILED)


def _owners(transfer: DesiredTransfer, segments: list[Segment]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(owner for part in segments for owner in part.owners or transfer.owners))


def _declared(segment: Segment, piece: Piece, ledger: TransferLedger) -> Iterator[tuple[Place, str]]:
    """Yield the places and reasons that the file gives for a piece's days of a segment: of days that are due
    only because they went stale, those of the range that says so.
    """
    days = segment.days & piece.days
    stale = union(entry.days for entry in ledger.of(Bucket.DUE) if entry.reason is Reason.STALE)
    if segment.rerun is not None and days & stale:
        yield segment.rerun.place, segment.rerun.reason
        days = days - stale
    if days:
        yield segment.place, segment.reason


def _reasons(entries: Iterable[Entry], days: DateSet) -> dict[str, int]:
    counted = {entry.reason.value: len(entry.days & days) for entry in entries}
    return {reason: number for reason, number in sorted(counted.items()) if number}


def _prunes(situation: Situation) -> Iterator[Action]:
    """Cancel our own active backfills that cover no declared day, if the file asks for it.

    Relative days are read as of the day it was made for, too: midnight cancels nothing, only an edit does.
    """
    team = situation.team
    if not (team.prune and team.as_of_is_today):
        return
    transfers = {transfer.address.transfer_id: transfer for transfer in team.transfers}
    for listed in sorted(situation.observed.listed, key=lambda backfill: backfill.id):
        record = situation.document.backfills.get(listed.id)
        transfer = transfers.get(listed.transfer_id)
        if record is None or transfer is None or not record.ours or not is_active(record.seen):
            continue
        made = record.as_of or record.created_time.date().toordinal()
        if not record.days & (transfer.days | transfer.declared_at(made)):
            yield _cancel(record, "undeclared", team.team_id, transfer)


def _ended_shells(situation: Situation, budget: Budget, *, whoever_waits: bool) -> Iterator[Action]:
    """Cancel our own FAILED backfills that hold a place others wait for, with no day that is still to come:
    the oldest first, as many as are put off for want of a place; under an approved plan, all it may cancel.
    """
    ledgers = {ledger.transfer.address.transfer_id: ledger for ledger in situation.ledgers}
    named = {source for transfer in situation.team.of_the_files for source in transfer.source_ids}
    named |= situation.team.declared_ids  # a predecessor's is never cancelled
    shells = [record for found in budget.failed_blockers.values() for record in found]
    idle = []
    for record in sorted(shells, key=lambda record: (record.created_time, record.id)):
        ledger = ledgers.get(record.transfer_id)
        if ledger is None:
            if record.transfer_id not in named:
                idle.append(_cancel(record, "ended", situation.team.team_id))
        elif not record.days & (ledger.days(Bucket.DUE) | ledger.days(Bucket.WAITING)):
            idle.append(_cancel(record, "ended", situation.team.team_id, ledger.transfer))
    wanting = sum(limit in (LIST_FULL, OPEN) for _piece, limit in budget.put_off)
    yield from idle if whoever_waits else idle[:wanting]


def _approved(cancels: Iterable[Action], approval: Approval | None) -> list[Action]:
    return [cancel for cancel in cancels if approval is None or approval.allows((cancel,))]


def _cancel(
    record: BackfillRecord, why: str, team_id: int, transfer: DesiredTransfer | None = None
) -> Action:
    """Return the cancel of one of ours, on a transfer of the files or on one that left them."""
    return Action(
        kind=ActionKind.CANCEL,
        address=Address(team_id, record.transfer_id),
        transfer=transfer.name if transfer else record.transfer,
        start=record.start,
        end=record.end,
        reasons={why: record.end - record.start},
        owners=transfer.everyone if transfer else (),
        declared_at=(transfer.place,) if transfer else (),
        cancels=(record.id,),
    )
