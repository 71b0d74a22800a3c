"""Pieces of due days, and the limits that put some of them off to a later apply. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler import dates
from reconciler.dates import EMPTY, DateSet, Day, Interval, union
from reconciler.model import Address, Chunk, DesiredTransfer, Limits, Observed, Status
from reconciler.planning.approval import Approval
from reconciler.planning.evidence import is_active
from reconciler.planning.ledger import Bucket, TransferLedger
from reconciler.state.document import BackfillRecord, Document

_BOUNDARIES = {
    Chunk.NONE: dates.no_boundary,
    Chunk.WEEK: dates.next_week,
    Chunk.MONTH: dates.next_month,
    Chunk.QUARTER: dates.next_quarter,
    Chunk.YEAR: dates.next_year,
}

LIST_FULL = "list-full"


@dataclass(frozen=True, slots=True)
class Piece:
    """A backfill that could be created: due days of one transfer, cut to size."""

    transfer: DesiredTransfer
    start: Day
    end: Day

    @property
    def days(self) -> DateSet:
        return DateSet.span(self.start, self.end)


def cut_due(due: DateSet, chunk: Chunk, longest: int | None) -> list[Interval]:
    """Cut due days into the fewest backfills: half-open, in order, covering exactly ``due``."""
    boundary = _BOUNDARIES[chunk]
    return [piece for interval in due.intervals for piece in dates.cut(interval, boundary, longest)]


@dataclass(slots=True)
class Walk:
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


def shells_of(observed: Observed, document: Document) -> dict[int, list[BackfillRecord]]:
    """Return our own listed FAILED backfills whose runs are over, by transfer."""
    found: dict[int, list[BackfillRecord]] = {}
    for listed in observed.listed:
        record = document.backfills.get(listed.id)
        if record and record.ours and record.status is Status.FAILED and not is_active(record):
            found.setdefault(record.transfer_id, []).append(record)
    return found


def withheld_days(ledgers: Iterable[TransferLedger], walk: Walk, team_id: int) -> dict[Address, DateSet]:
    """Return the due days that an approved plan did not show, or whose cancel it did not."""
    if walk.approval is None:
        return {}
    found = {}
    for ledger in ledgers:
        address = ledger.transfer.address
        due = ledger.days(Bucket.DUE)
        shells = walk.shells.get(address.transfer_id, [])
        barred = union(one.days for one in shells if (team_id, one.id) not in walk.approval.cancels)
        found[address] = (due - walk.approval.days.get(address, EMPTY)) | (due & barred)
    return found
