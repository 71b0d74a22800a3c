"""From the ledgers to the fewest actions: runs of due days, cut, ordered, limited. Pure.

Due days become maximal runs of consecutive days, across ranges and reasons; each is cut at
chunk boundaries and then by ``max_days_per_backfill``. That is the least number of creates:
no create can span a gap or a boundary, and none can be longer than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from reconciler import dates
from reconciler.dates import DateSet, Day, DaysByTransfer, Interval, Span, grouped, union
from reconciler.diagnostics import Severity
from reconciler.model.desired import Address, Chunk, DesiredTransfer, Order
from reconciler.model.memory import BackfillRecord
from reconciler.model.observed import Status
from reconciler.planning.approval import Approval, planned_days
from reconciler.planning.evidence import is_active
from reconciler.planning.guards import check_guards
from reconciler.planning.ledger import Bucket, Entry, TransferLedger
from reconciler.planning.plan import Action, ActionKind, Item, TeamPlan
from reconciler.planning.situation import Situation
from reconciler.planning.totals import (
    deferred_items,
    evidence_used,
    item_of,
    items_of,
    list_full_findings,
    places_of,
    summarise,
    unmanaged_backfills,
)

LIST_FULL = "list-full"


def make_plan(situation: Situation, approval: Approval | None = None) -> TeamPlan:
    """Return what to do for a team; with an approval, only what lies in it too."""
    team, observed, document, ledgers = (
        situation.team,
        situation.observed,
        situation.document,
        situation.ledgers,
    )
    budget = Budget(situation, approval)
    withheld = _withheld_days(budget)
    for piece in _ordered(_pieces(situation, withheld), team.order):
        budget.visit(piece)
    actions = (*_prunes(situation, approval), *_creates(budget))
    planned = planned_days(actions)
    assert approval is None or approval.allows(actions)
    findings = (*check_guards(team, actions, observed), *list_full_findings(observed, document))
    listed = (items_of(ledgers, bucket) for bucket in (Bucket.BLOCKED, Bucket.WAITING, Bucket.FAILED))
    return TeamPlan(
        team_id=team.team_id,
        as_of=team.as_of,
        lineage=document.lineage,
        serial=document.serial,
        list_full=observed.list_full,
        evidence=evidence_used(ledgers, observed),
        actions=actions,
        items=(*deferred_items(ledgers, _put_off(budget), withheld), *(i for items in listed for i in items)),
        unmanaged=unmanaged_backfills(team, observed, document),
        transfers=tuple(summarise(ledger, planned.of(ledger.transfer.address)) for ledger in ledgers),
        minimum_creates=_minimum_creates(situation, planned),
        diagnostics=findings,
        guarded=any(finding.severity is Severity.ERROR for finding in findings),
    )


# --- pieces and their order ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece(Span):
    """A backfill that could be created: due days of one transfer, cut to size."""

    transfer: DesiredTransfer
    start: Day
    end: Day


def _pieces(situation: Situation, withheld: DaysByTransfer[Address]) -> Iterator[Piece]:
    longest = situation.team.limits.max_days_per_backfill
    for ledger in situation.ledgers:
        due = ledger.days(Bucket.DUE) - withheld.of(ledger.transfer.address)
        for start, end in cut_due(due, ledger.transfer.chunk, longest):
            yield Piece(ledger.transfer, start, end)


def cut_due(due: DateSet, chunk: Chunk, longest: int | None) -> list[Interval]:
    """Cut due days into the fewest backfills: half-open, in order, covering exactly ``due``."""
    return [
        piece for interval in due.intervals for piece in dates.cut(interval, _boundary_of(chunk), longest)
    ]


def _boundary_of(chunk: Chunk) -> dates.Boundary:
    match chunk:
        case Chunk.NONE:
            return dates.no_boundary
        case Chunk.WEEK:
            return dates.next_week
        case Chunk.MONTH:
            return dates.next_month
        case Chunk.QUARTER:
            return dates.next_quarter
        case Chunk.YEAR:
            return dates.next_year
        case never:
            assert_never(never)


def _ordered(pieces: Iterable[Piece], order: Order) -> list[Piece]:
    if order is Order.NEWEST_FIRST:
        return sorted(pieces, key=lambda piece: (-piece.end, piece.transfer.address))
    return sorted(pieces, key=lambda piece: (piece.start, piece.transfer.address))


def _withheld_days(budget: Budget) -> DaysByTransfer[Address]:
    """Return the due days that an approved plan did not show, or whose cancel it did not."""
    approval, team_id = budget.approval, budget.situation.team.team_id
    if approval is None:
        return DaysByTransfer()
    found = []
    for ledger in budget.situation.ledgers:
        address, due = ledger.transfer.address, ledger.days(Bucket.DUE)
        blockers = budget.failed_blockers.get(address.transfer_id, ())
        barred = union(record.days for record in blockers if (team_id, record.id) not in approval.cancels)
        found.append((address, (due - approval.days.of(address)) | (due & barred)))
    return DaysByTransfer(found)


def _minimum_creates(situation: Situation, planned: DaysByTransfer[Address]) -> int:
    """Return the sum of ceil(days / longest) over every maximal run and chunk of planned days."""
    longest, total = situation.team.limits.max_days_per_backfill, 0
    for ledger in situation.ledgers:
        for start, end in cut_due(planned.of(ledger.transfer.address), ledger.transfer.chunk, None):
            total += -(-(end - start) // (longest or (end - start)))
    return total


# --- limits -------------------------------------------------------------------------------


@dataclass(slots=True)
class Budget:
    """Goes along the pieces in order and takes what fits; what does not is put off, with the limit.

    ``failed_blockers`` are our own listed FAILED backfills whose runs are over, by transfer: what is created
    on a day of one cancels it first. ``open_on`` counts the open backfills of each transfer: those listed,
    FAILED included, whoever made them, and those that we know to be open while the list still lags behind.
    """

    situation: Situation
    approval: Approval | None
    taken: list[tuple[Piece, tuple[int, ...]]] = field(default_factory=list)
    put_off: list[tuple[Piece, str]] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    failed_blockers: dict[int, list[BackfillRecord]] = field(init=False)
    open_on: dict[int, int] = field(init=False)
    opened: int = field(init=False)

    def __post_init__(self) -> None:
        self.failed_blockers = grouped(_failed_blockers(self.situation), lambda record: record.transfer_id)
        on_transfers = grouped(_open_ids(self.situation).values(), lambda transfer_id: transfer_id)
        self.open_on = {transfer_id: len(found) for transfer_id, found in on_transfers.items()}
        self.opened = sum(self.open_on.values())

    def visit(self, piece: Piece) -> None:
        cancels = self._blockers_under(piece)
        limit = self._limit_hit(piece, cancels)
        if limit:
            self.put_off.append((piece, limit))
            return
        self.taken.append((piece, cancels))
        self.cancelled.update(cancels)
        self.opened += 1 - len(cancels)
        self.open_on[piece.transfer.address.transfer_id] = self._open_with(piece, cancels)

    def _blockers_under(self, piece: Piece) -> tuple[int, ...]:
        """Return our FAILED backfills that hold a day of the piece and are not cancelled yet."""
        blockers = self.failed_blockers.get(piece.transfer.address.transfer_id, ())
        under = {record.id for record in blockers if record.overlaps(piece)}
        return tuple(sorted(under - self.cancelled))

    def _open_with(self, piece: Piece, cancels: tuple[int, ...]) -> int:
        """Return how many would be open on the transfer once the piece is created."""
        return self.open_on.get(piece.transfer.address.transfer_id, 0) + 1 - len(cancels)

    def _limit_hit(self, piece: Piece, cancels: tuple[int, ...]) -> str:
        limits, opens = self.situation.team.limits, not cancels
        on_transfer = limits.max_open_per_transfer
        if self.situation.observed.list_full and opens:
            return LIST_FULL
        if limits.max_creates_per_apply is not None and len(self.taken) >= limits.max_creates_per_apply:
            return "max_creates_per_apply"
        if opens and self.opened >= limits.max_open_backfills:
            return "max_open_backfills"
        if opens and on_transfer is not None and self._open_with(piece, cancels) > on_transfer:
            return "max_open_per_transfer"
        return ""


def _open_ids(situation: Situation) -> dict[int, int]:
    """Return the transfer of each open backfill."""
    records = situation.document.backfills.values()
    listed = {backfill.id: backfill.transfer_id for backfill in situation.observed.listed}
    known = {record.id: record.transfer_id for record in records if not record.gone}
    final = {record.id for record in records if record.status.final}
    return {id_: transfer_id for id_, transfer_id in {**known, **listed}.items() if id_ not in final}


def _failed_blockers(situation: Situation) -> Iterator[BackfillRecord]:
    for listed in situation.observed.listed:
        record = situation.document.backfills.get(listed.id)
        if record and record.ours and record.status is Status.FAILED and not is_active(record.seen):
            yield record


def _put_off(budget: Budget) -> list[Item]:
    return [
        item_of(Bucket.DEFERRED, piece.transfer, (piece.start, piece.end), limit)
        for piece, limit in budget.put_off
    ]


# --- actions ------------------------------------------------------------------------------


def _creates(budget: Budget) -> Iterator[Action]:
    ledgers = {ledger.transfer.address: ledger for ledger in budget.situation.ledgers}
    for piece, cancels in budget.taken:
        yield _create(piece, cancels, ledgers[piece.transfer.address])


def _create(piece: Piece, cancels: tuple[int, ...], ledger: TransferLedger) -> Action:
    transfer = piece.transfer
    segments = [segment for segment in transfer.segments if segment.overlaps(piece)]
    times = [segment.stale_before for segment in segments if segment.stale_before is not None]
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
        notes=tuple(dict.fromkeys(segment.reason for segment in segments if segment.reason)),
    )


def _reasons(entries: Iterable[Entry], days: DateSet) -> dict[str, int]:
    counted = {entry.reason.value: len(entry.days & days) for entry in entries}
    return {reason: number for reason, number in sorted(counted.items()) if number}


def _prunes(situation: Situation, approval: Approval | None) -> Iterator[Action]:
    """Cancel our own active backfills that cover no declared day, if the file asks for it."""
    team = situation.team
    if not (team.prune and team.as_of_is_today):
        return
    transfers = {transfer.address.transfer_id: transfer for transfer in team.transfers}
    for listed in sorted(situation.observed.listed, key=lambda backfill: backfill.id):
        record = situation.document.backfills.get(listed.id)
        transfer = transfers.get(listed.transfer_id)
        if record is None or transfer is None or not record.ours or not is_active(record.seen):
            continue
        approved = approval is None or (team.team_id, record.id) in approval.cancels
        if approved and not record.days & transfer.days:
            yield _prune(transfer, record)


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
