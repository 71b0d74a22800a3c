"""What a plan says of days it does not act on: why, the API's words, who is in the way, until when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from reconciler.dates import DateSet, DaysByTransfer, Interval
from reconciler.diagnostics import Place
from reconciler.model.desired import Address, DesiredTeam, DesiredTransfer, OnUnknown
from reconciler.planning.budget import CREATES, LIST_FULL, OPEN, OPEN_ON_TRANSFER, Budget, Piece
from reconciler.planning.intents import OPEN as UNDECIDED
from reconciler.planning.ledger import Bucket, Entry, Reason, TransferLedger
from reconciler.planning.plan import MOST_HOLDERS, Answer, Item

NOT_APPROVED = "not-approved"
_OF_FAILED = (Reason.ATTEMPTS, Reason.UNLOCATED, Reason.BACKOFF)
_ANSWERED = (Reason.REFUSED, Reason.UNRESOLVED, Reason.RECENT_REQUEST)


def places_of(transfer: DesiredTransfer, days: DateSet) -> tuple[Place, ...]:
    return tuple(sorted({segment.place for segment in transfer.segments if segment.days & days}))


def item_of(bucket: Bucket, transfer: DesiredTransfer, interval: Interval, reason: str, **more: Any) -> Item:
    places = places_of(transfer, DateSet((interval,)))
    return Item(bucket, transfer.address, transfer.name, *interval, reason, places, **more)


# --- what is held up ----------------------------------------------------------------------------


def items_of(
    team: DesiredTeam, ledgers: Collection[TransferLedger], buckets: Iterable[Bucket]
) -> tuple[Item, ...]:
    return tuple(
        _held_up(team, ledger, entry, interval)
        for bucket in buckets
        for ledger in ledgers
        for entry in ledger.of(bucket)
        for interval in entry.days.intervals
    )


def _held_up(team: DesiredTeam, ledger: TransferLedger, entry: Entry, interval: Interval) -> Item:
    days, reason = DateSet((interval,)), entry.reason
    only_a_person = reason is Reason.UNRESOLVED and team.on_unknown is OnUnknown.BLOCK
    return item_of(
        entry.bucket,
        ledger.transfer,
        interval,
        reason.value,
        answer=_answer_to(ledger, reason, days),
        until=None if only_a_person else entry.held_until(days),
        held_by=_holders(ledger, reason, days),
        error=error_on(ledger, days) if reason in _OF_FAILED else "",
    )


def _answer_to(ledger: TransferLedger, reason: Reason, days: DateSet) -> Answer | None:
    """Return what the API last said of days that it keeps from being loaded, if it is why they are not."""
    evidence = ledger.evidence
    if reason is Reason.NO_EVIDENCE:
        said = next((unread.error for unread in evidence.unread if unread.error is not None), None)
        return Answer(said, evidence.observed.vendor_now) if said is not None else None
    if reason not in _ANSWERED:
        return None
    asked = [one for one in evidence.intents if one.days & days and one.outcome in UNDECIDED and one.answer]
    newest = max(asked, key=lambda intent: (intent.intended_at, intent.nonce), default=None)
    if newest is None or newest.answer is None:
        return None
    return Answer(newest.answer, newest.vendor_at or newest.intended_at)


def _holders(ledger: TransferLedger, reason: Reason, days: DateSet) -> tuple[int, ...]:
    """Return the backfills that days wait for, or that a refusal was attributed to."""
    if reason is Reason.REFUSED:
        blockers = {one.blocker for one in ledger.evidence.intents if one.days & days}
        return tuple(sorted(blocker for blocker in blockers if blocker in ledger.evidence.listed))
    if reason is Reason.STALE:
        active = (one for one in ledger.evidence.judged if one.verdict.in_flight & days)
        return tuple(sorted(one.record.id for one in active))
    return ()


def error_on(ledger: TransferLedger, days: DateSet) -> str:
    """Return what the API said of the newest failed run of some days. Of each backfill one text is kept: that
    of the last day its report names.
    """
    failed = (one.record.seen for one in ledger.evidence.judged if one.record.seen.failed_days & days)
    told = (seen for seen in failed if seen.error and seen.failed_days.end() - 1 in days)
    return next((seen.error for seen in told), "")


# --- what is deferred ---------------------------------------------------------------------------


def deferred_items(
    ledgers: Iterable[TransferLedger], budget: Budget, withheld: DaysByTransfer[Address]
) -> tuple[Item, ...]:
    left_out = [
        item_of(Bucket.DEFERRED, ledger.transfer, interval, NOT_APPROVED)
        for ledger in ledgers
        for interval in withheld.of(ledger.transfer.address).intervals
    ]
    limits = Limits.of(budget)
    put_off = [limits.item(piece, reason) for piece, reason in budget.put_off]
    return tuple(sorted([*left_out, *put_off], key=lambda one: (one.address, one.start)))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a team, and who holds the places that they give."""

    team: DesiredTeam
    holders: tuple[int, ...]
    on_transfer: dict[int, tuple[int, ...]]

    @staticmethod
    def of(budget: Budget) -> Limits:
        return Limits(budget.situation.team, budget.holders, budget.holders_on)

    def item(self, piece: Piece, reason: str) -> Item:
        item = item_of(Bucket.DEFERRED, piece.transfer, (piece.start, piece.end), reason)
        limits = self.team.limits
        if reason == OPEN_ON_TRANSFER:
            held_by = self.on_transfer.get(piece.transfer.address.transfer_id, ())
            return replace(item, limit=limits.max_open_per_transfer, held_by=held_by[:MOST_HOLDERS])
        if reason in (OPEN, LIST_FULL):
            limit = limits.max_open_backfills if reason == OPEN else None
            return replace(item, limit=limit, held_by=self.holders[:MOST_HOLDERS])
        return replace(item, limit=limits.max_creates_per_apply if reason == CREATES else None)
