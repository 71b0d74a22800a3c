"""From the ledgers to the fewest actions: runs of due days, cut, ordered, limited. Pure.

Due days become maximal runs of consecutive days, across ranges and reasons; each is cut at
chunk boundaries and then by ``max_days_per_backfill``. That is the least number of creates:
no create can span a gap or a boundary, and none can be longer than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler import dates
from reconciler.dates import EMPTY, DateSet, Day, Interval, Span, union
from reconciler.diagnostics import Severity
from reconciler.model.desired import Address, Chunk, DesiredTeam, DesiredTransfer, Limits, Order
from reconciler.model.memory import BackfillRecord, Document
from reconciler.model.observed import Observed, Status
from reconciler.planning.approval import Approval
from reconciler.planning.evidence import is_active
from reconciler.planning.guards import check_guards
from reconciler.planning.ledger import Bucket, Entry, TransferLedger
from reconciler.planning.plan import Action, ActionKind, Item, TeamPlan
from reconciler.planning.totals import (
    deferred_items,
    evidence_used,
    item_of,
    items_of,
    list_full_findings,
    places_of,
    planned_days,
    summarise,
    unmanaged_backfills,
)

_BOUNDARIES = {
    Chunk.NONE: dates.no_boundary,
    Chunk.WEEK: dates.next_week,
    Chunk.MONTH: dates.next_month,
    Chunk.QUARTER: dates.next_quarter,
    Chunk.YEAR: dates.next_year,
}

LIST_FULL = "list-full"


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
    budget = Budget(team.limits, observed, open_ids, failed_blockers_of(observed, document), approval)
    withheld = withheld_days(kept, budget, team.team_id)
    for piece in _ordered(_pieces(kept, withheld, team.limits), team.order):
        budget.visit(piece)
    due = {one.transfer.address: one for one in kept}
    creates = [_create(piece, cancels, due[piece.transfer.address]) for piece, cancels in budget.taken]
    actions = (*_prunes(team, observed, document, approval), *creates)
    return _assemble(team, kept, observed, document, actions, budget, withheld)


def _assemble(
    team: DesiredTeam,
    ledgers: tuple[TransferLedger, ...],
    observed: Observed,
    document: Document,
    actions: tuple[Action, ...],
    budget: Budget,
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
        deferred=deferred_items(ledgers, _put_off(budget), withheld),
        blocked=items_of(ledgers, Bucket.BLOCKED),
        waiting=items_of(ledgers, Bucket.WAITING),
        failed=items_of(ledgers, Bucket.FAILED),
        unmanaged=unmanaged_backfills(team, observed, document),
        transfers=tuple(summarise(one, planned.get(one.transfer.address, EMPTY)) for one in ledgers),
        minimum_creates=minimum_creates(ledgers, planned, team.limits),
        diagnostics=findings,
        guarded=any(one.severity is Severity.ERROR for one in findings),
    )


@dataclass(frozen=True, slots=True)
class Piece(Span):
    """A backfill that could be created: due days of one transfer, cut to size."""

    transfer: DesiredTransfer
    start: Day
    end: Day


def cut_due(due: DateSet, chunk: Chunk, longest: int | None) -> list[Interval]:
    """Cut due days into the fewest backfills: half-open, in order, covering exactly ``due``."""
    boundary = _BOUNDARIES[chunk]
    return [piece for interval in due.intervals for piece in dates.cut(interval, boundary, longest)]


@dataclass(slots=True)
class Budget:
    """Goes along the pieces in order and takes what fits; what does not is put off, with the limit."""

    limits: Limits
    observed: Observed
    open_ids: Mapping[int, int]
    shells: Mapping[int, list[BackfillRecord]]
    approval: Approval | None
    taken: list[tuple[Piece, tuple[int, ...]]] = field(default_factory=list)
    put_off: list[tuple[Piece, str]] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    opened: int = field(init=False)
    opened_on: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.opened = len(self.open_ids)
        for transfer_id in self.open_ids.values():
            self._count(transfer_id, 1)

    def visit(self, piece: Piece) -> None:
        cancels = self.shells_under(piece)
        limit = self._limit_hit(piece, cancels)
        if limit:
            self.put_off.append((piece, limit))
            return
        self.taken.append((piece, cancels))
        self.cancelled.update(cancels)
        self.opened += 1 - len(cancels)
        self._count(piece.transfer.address.transfer_id, 1 - len(cancels))

    def shells_under(self, piece: Piece) -> tuple[int, ...]:
        """Return our FAILED backfills that hold a day of the piece and are not cancelled yet."""
        shells = self.shells.get(piece.transfer.address.transfer_id, [])
        under = (one.id for one in shells if one.days & piece.days)
        return tuple(sorted(one for one in under if one not in self.cancelled))

    def _limit_hit(self, piece: Piece, cancels: tuple[int, ...]) -> str:
        net = 1 - len(cancels)
        limits = self.limits
        on_transfer = self.opened_on.get(piece.transfer.address.transfer_id, 0) + net
        if self.observed.list_full and not cancels:
            return LIST_FULL
        if limits.max_creates_per_apply is not None and len(self.taken) >= limits.max_creates_per_apply:
            return "max_creates_per_apply"
        if net > 0 and self.opened + net > limits.max_open_backfills:
            return "max_open_backfills"
        if (
            net > 0
            and limits.max_open_per_transfer is not None
            and on_transfer > limits.max_open_per_transfer
        ):
            return "max_open_per_transfer"
        return ""

    def _count(self, transfer_id: int, more: int) -> None:
        self.opened_on[transfer_id] = self.opened_on.get(transfer_id, 0) + more


def open_ids_of(observed: Observed, document: Document) -> dict[int, int]:
    """Return the transfer of each open backfill: those listed, FAILED included, whoever made them,
    and those that we know to be open while the list still lags behind.
    """
    listed = {one.id: one.transfer_id for one in observed.listed}
    known = {one.id: one.transfer_id for one in document.backfills.values() if not one.gone}
    final = {one.id for one in document.backfills.values() if one.status.final}
    return {one: transfer for one, transfer in {**known, **listed}.items() if one not in final}


def failed_blockers_of(observed: Observed, document: Document) -> dict[int, list[BackfillRecord]]:
    """Return our own listed FAILED backfills whose runs are over, by transfer."""
    found: dict[int, list[BackfillRecord]] = {}
    for listed in observed.listed:
        record = document.backfills.get(listed.id)
        if record and record.ours and record.status is Status.FAILED and not is_active(record.seen):
            found.setdefault(record.transfer_id, []).append(record)
    return found


def _put_off(budget: Budget) -> list[Item]:
    return [item_of(piece.transfer, (piece.start, piece.end), limit) for piece, limit in budget.put_off]


def withheld_days(ledgers: Iterable[TransferLedger], budget: Budget, team_id: int) -> dict[Address, DateSet]:
    """Return the due days that an approved plan did not show, or whose cancel it did not."""
    if budget.approval is None:
        return {}
    found = {}
    for ledger in ledgers:
        address = ledger.transfer.address
        due = ledger.days(Bucket.DUE)
        shells = budget.shells.get(address.transfer_id, [])
        barred = union(one.days for one in shells if (team_id, one.id) not in budget.approval.cancels)
        found[address] = (due - budget.approval.days.get(address, EMPTY)) | (due & barred)
    return found


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
        if record is None or transfer is None or not record.ours or not is_active(record.seen):
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


def minimum_creates(
    ledgers: Iterable[TransferLedger], planned: Mapping[Address, DateSet], limits: Limits
) -> int:
    """Return the sum of ceil(days / longest) over every maximal run and chunk of planned days."""
    total = 0
    for ledger in ledgers:
        for start, end in cut_due(planned.get(ledger.transfer.address, EMPTY), ledger.transfer.chunk, None):
            longest = limits.max_days_per_backfill or (end - start)
            total += -(-(end - start) // longest)
    return total
