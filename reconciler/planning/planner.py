"""From the ledgers to the fewest actions: runs of due days, cut, ordered, limited. Pure.

Due days become maximal runs of consecutive days, across ranges and reasons; each is cut at
chunk boundaries and then by ``max_days_per_backfill``. That is the least number of creates:
no create can span a gap or a boundary, and none can be longer than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.dates import EMPTY, DateSet
from reconciler.diagnostics import Severity
from reconciler.model import Address, DesiredTeam, DesiredTransfer, Limits, Observed, Order
from reconciler.planning.accounting import (
    deferred_items,
    evidence_used,
    items_of,
    list_full_findings,
    minimum_creates,
    places_of,
    planned_days,
    summarise,
    unmanaged_backfills,
)
from reconciler.planning.approval import Approval
from reconciler.planning.evidence import is_active
from reconciler.planning.guards import check_guards
from reconciler.planning.ledger import Bucket, Entry, TransferLedger
from reconciler.planning.limits import Piece, Walk, cut_due, open_ids_of, shells_of, withheld_days
from reconciler.planning.plan import Action, ActionKind, TeamPlan
from reconciler.state.document import BackfillRecord, Document


def make_team_plan(
    team: DesiredTeam,
    ledgers: Iterable[TransferLedger],
    observed: Observed,
    document: Document,
    approval: Approval | None = None,
) -> TeamPlan:
    """Return what to do for a team; with an approval, only what lies in it too."""
    kept = tuple(ledgers)
    open_ids = open_ids_of(observed, document)
    walk = Walk(team.limits, observed, open_ids, shells_of(observed, document), approval)
    withheld = withheld_days(kept, walk, team.team_id)
    for piece in _ordered(_pieces(kept, withheld, team.limits), team.order):
        walk.visit(piece)
    due = {one.transfer.address: one for one in kept}
    creates = [_create(piece, cancels, due[piece.transfer.address]) for piece, cancels in walk.taken]
    actions = (*_prunes(team, observed, document, approval), *creates)
    return _assemble(team, kept, observed, document, actions, walk, withheld)


def _assemble(
    team: DesiredTeam,
    ledgers: tuple[TransferLedger, ...],
    observed: Observed,
    document: Document,
    actions: tuple[Action, ...],
    walk: Walk,
    withheld: Mapping[Address, DateSet],
) -> TeamPlan:
    findings = (*check_guards(team, actions, observed), *list_full_findings(observed, document))
    planned = planned_days(actions)
    return TeamPlan(
        team_id=team.team_id,
        as_of=team.as_of,
        lineage=document.lineage,
        serial=document.serial,
        list_full=observed.list_full,
        evidence=evidence_used(ledgers, observed),
        actions=actions,
        deferred=deferred_items(ledgers, walk, withheld),
        blocked=items_of(ledgers, Bucket.BLOCKED),
        waiting=items_of(ledgers, Bucket.WAITING),
        failed=items_of(ledgers, Bucket.FAILED),
        unmanaged=unmanaged_backfills(team, observed, document),
        transfers=tuple(summarise(one, planned.get(one.transfer.address, EMPTY)) for one in ledgers),
        minimum_creates=minimum_creates(ledgers, planned, team.limits),
        diagnostics=findings,
        guarded=any(one.severity is Severity.ERROR for one in findings),
    )


# --- pieces and their order ---------------------------------------------------------------


def _pieces(
    ledgers: Iterable[TransferLedger], withheld: Mapping[Address, DateSet], limits: Limits
) -> Iterator[Piece]:
    for ledger in ledgers:
        transfer = ledger.transfer
        due = ledger.days(Bucket.DUE) - withheld.get(transfer.address, EMPTY)
        for start, end in cut_due(due, transfer.chunk, limits.max_days_per_backfill):
            yield Piece(transfer, start, end)


def _ordered(pieces: Iterable[Piece], order: Order) -> list[Piece]:
    if order is Order.NEWEST_FIRST:
        return sorted(pieces, key=lambda one: (-one.end, one.transfer.address))
    return sorted(pieces, key=lambda one: (one.start, one.transfer.address))


# --- actions ------------------------------------------------------------------------------


def _create(piece: Piece, cancels: tuple[int, ...], ledger: TransferLedger) -> Action:
    transfer = piece.transfer
    segments = [one for one in transfer.segments if one.start < piece.end and piece.start < one.end]
    times = [one.stale_before for one in segments if one.stale_before is not None]
    return Action(
        kind=ActionKind.RETRY if cancels else ActionKind.CREATE,
        address=transfer.address,
        transfer=transfer.name,
        start=piece.start,
        end=piece.end,
        reasons=_reasons(ledger.of(Bucket.DUE), piece.days),
        owner=transfer.owner,
        declared_at=places_of(transfer, piece.days),
        cancels=cancels,
        stale_before=max(times, default=None),
        notes=tuple(dict.fromkeys(one.reason for one in segments if one.reason)),
    )


def _reasons(entries: Iterable[Entry], days: DateSet) -> dict[str, int]:
    counted = {entry.reason.value: len(entry.days & days) for entry in entries}
    return {reason: number for reason, number in sorted(counted.items()) if number}


def _prunes(
    team: DesiredTeam, observed: Observed, document: Document, approval: Approval | None
) -> tuple[Action, ...]:
    """Cancel our own active backfills that cover no declared day, if the file asks for it."""
    if not (team.prune and team.as_of_is_today):
        return ()
    transfers = {one.address.transfer_id: one for one in team.transfers}
    found = []
    for listed in sorted(observed.listed, key=lambda one: one.id):
        record = document.backfills.get(listed.id)
        transfer = transfers.get(listed.transfer_id)
        if record is None or transfer is None or not record.ours or not is_active(record):
            continue
        if record.days & transfer.days or _unapproved_cancel(approval, team.team_id, record.id):
            continue
        found.append(_prune(transfer, record))
    return tuple(found)


def _unapproved_cancel(approval: Approval | None, team_id: int, backfill_id: int) -> bool:
    return approval is not None and (team_id, backfill_id) not in approval.cancels


def _prune(transfer: DesiredTransfer, record: BackfillRecord) -> Action:
    return Action(
        kind=ActionKind.CANCEL,
        address=transfer.address,
        transfer=transfer.name,
        start=record.start,
        end=record.end,
        reasons={"undeclared": record.end - record.start},
        owner=transfer.owner,
        declared_at=(transfer.place,),
        cancels=(record.id,),
    )
