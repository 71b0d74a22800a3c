"""What a plan says of the days it does not act on, and the sums that must add up. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.dates import EMPTY, DateSet, Day, DaysByTransfer, Interval, Span
from reconciler.diagnostics import Finding, Place, Severity
from reconciler.model.desired import Address, DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import Document
from reconciler.model.observed import Observed, Status
from reconciler.planning.approval import made_since, planned_days
from reconciler.planning.evidence import is_active
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.plan import (
    COUNTED,
    Action,
    ActionKind,
    Answer,
    DayCounts,
    Item,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
)

NOT_APPROVED = "not-approved"
NOT_DECLARED = "not-declared"


@dataclass(frozen=True, slots=True)
class Undone(Span):
    """Days that a saved plan was to create and that nobody has, and why."""

    address: Address
    start: Day
    end: Day
    reason: str


def places_of(transfer: DesiredTransfer, days: DateSet) -> tuple[Place, ...]:
    return tuple(sorted({segment.place for segment in transfer.segments if segment.days & days}))


def items_of(ledgers: Collection[TransferLedger], buckets: Iterable[Bucket]) -> tuple[Item, ...]:
    return tuple(
        replace(
            item_of(bucket, ledger.transfer, interval, entry.reason.value),
            answer=_answer_to(ledger, entry.reason, interval),
        )
        for bucket in buckets
        for ledger in ledgers
        for entry in ledger.of(bucket)
        for interval in entry.days.intervals
    )


def _answer_to(ledger: TransferLedger, reason: Reason, interval: Interval) -> Answer | None:
    """Return what the API last said of days that it keeps from being loaded, if it is why they are not."""
    evidence = ledger.evidence
    if reason is Reason.NO_EVIDENCE:
        said = next((unread.error for unread in evidence.unread if unread.error is not None), None)
        return Answer(said, evidence.observed.vendor_now) if said is not None else None
    if reason not in (Reason.REFUSED, Reason.UNRESOLVED, Reason.RECENT_REQUEST):
        return None
    asked = [one for one in evidence.intents if one.days & DateSet((interval,)) and one.answer is not None]
    newest = max(asked, key=lambda intent: (intent.intended_at, intent.nonce), default=None)
    if newest is None or newest.answer is None:
        return None
    return Answer(newest.answer, newest.vendor_at or newest.intended_at)


def item_of(bucket: Bucket, transfer: DesiredTransfer, interval: Interval, reason: str) -> Item:
    places = places_of(transfer, DateSet((interval,)))
    return Item(bucket, transfer.address, transfer.name, *interval, reason, places)


def deferred_items(
    ledgers: Iterable[TransferLedger], put_off: Iterable[Item], withheld: DaysByTransfer[Address]
) -> tuple[Item, ...]:
    left_out = [
        item_of(Bucket.DEFERRED, ledger.transfer, interval, NOT_APPROVED)
        for ledger in ledgers
        for interval in withheld.of(ledger.transfer.address).intervals
    ]
    return tuple(sorted([*left_out, *put_off], key=lambda one: (one.address, one.start)))


def unmanaged_backfills(team: DesiredTeam, observed: Observed, document: Document) -> tuple[Unmanaged, ...]:
    declared = {source: one.days for one in team.transfers for source in one.source_ids}
    found = []
    for listed in sorted(observed.listed, key=lambda one: one.id):
        record = document.backfills.get(listed.id)
        if record is not None and record.ours:
            shown = is_active(record.seen) and listed.transfer_id not in team.declared_ids
        else:
            shown = bool(declared.get(listed.transfer_id, EMPTY) & listed.days)
        if shown:
            address = Address(team.team_id, listed.transfer_id)
            found.append(Unmanaged(address, listed.id, listed.start, listed.end, listed.status.value))
    return tuple(found)


def list_full_findings(observed: Observed, document: Document) -> tuple[Finding, ...]:
    if not observed.list_full:
        return ()
    ours = {one.id for one in document.backfills.values() if one.ours}
    foreign = [one.id for one in observed.listed if one.status is Status.FAILED and one.id not in ours]
    named = ", ".join(str(one) for one in sorted(foreign)) or "none"
    what = "The list of incomplete backfills is full"
    detail = f"It shows 100: older ones may be hidden, so nothing is created. FAILED ones of others: {named}."
    hint = "Cancel failed backfills that nobody needs, or wait until some complete."
    return (Finding("PL003", Severity.WARNING, what, detail, hint),)


def left_undone(
    saved: Plan, document: Document, ledgers: Iterable[TransferLedger], plan: TeamPlan
) -> tuple[Undone, ...]:
    """Return the days of a saved plan's actions that are neither in hand nor in ``plan`` now, and why; not
    those that a limit defers, which a later run does.
    """
    kept = {ledger.transfer.address: ledger for ledger in ledgers}
    done = in_hand(saved, document, kept.values())
    later = done | planned_days(plan.actions) | _deferred_by_limits(plan)
    left = (
        planned_days(action for action in saved.actions if action.address.team_id == document.team_id) - later
    )
    return tuple(
        Undone(address, *interval, reason)
        for address, days in sorted(left.items())
        for reason, found in _why_not(kept.get(address), days)
        for interval in found.intervals
    )


def in_hand(saved: Plan, document: Document, ledgers: Iterable[TransferLedger]) -> DaysByTransfer[Address]:
    """Return the days that are loaded or in flight, or that we created since a plan was made and whose end is
    not known yet.
    """
    kept = tuple(ledgers)
    settling = DaysByTransfer(
        (ledger.transfer.address, entry.days)
        for ledger in kept
        for entry in ledger.entries
        if entry.reason is Reason.SETTLING
    )
    taken_up = DaysByTransfer((ledger.transfer.address, ledger.taken_up) for ledger in kept)
    return taken_up | (settling & made_since(saved, document))


def _deferred_by_limits(plan: TeamPlan) -> DaysByTransfer[Address]:
    deferred = (item for item in plan.of(Bucket.DEFERRED) if item.reason != NOT_APPROVED)
    return DaysByTransfer((item.address, item.days) for item in deferred)


def _why_not(ledger: TransferLedger | None, days: DateSet) -> Iterator[tuple[str, DateSet]]:
    """Yield the reasons why days, which are not in hand, are not done, each with its own."""
    for entry in ledger.entries if ledger else ():
        found, days = days & entry.days, days - entry.days
        if found and entry.bucket is Bucket.DUE:
            yield NOT_APPROVED, found
        elif found:
            yield entry.reason.value or entry.bucket.value, found
    if days:
        yield NOT_DECLARED, days


def prunes_undone(
    saved: Plan, document: Document, ledgers: Iterable[TransferLedger], planned: Iterable[Action]
) -> tuple[Action, ...]:
    """Return the cancels of a saved plan that are left undone: still active, and on no declared day."""
    going = {one for action in planned for one in action.cancels}
    declared = {one.transfer.address: one.transfer.days for one in ledgers}
    return tuple(
        action
        for team in saved.teams
        if team.team_id == document.team_id
        for action in team.actions
        if action.kind is ActionKind.CANCEL and not action.days & declared.get(action.address, EMPTY)
        if any(is_active(document.backfills[one].seen) for one in action.cancels if one in document.backfills)
        if not going.issuperset(action.cancels)
    )


def summarise(ledger: TransferLedger, planned: DateSet) -> TransferSummary:
    """Return the counts of a transfer: what is due is planned, or deferred."""
    counts = {bucket: len(ledger.days(bucket)) for bucket in COUNTED}
    due = len(ledger.days(Bucket.DUE))
    counts |= {Bucket.PLANNED: len(planned), Bucket.DEFERRED: due - len(planned)}
    divided = DayCounts(counts, len(ledger.stuck))
    assert divided.declared == len(ledger.transfer.days)
    return TransferSummary(ledger.transfer.address, ledger.transfer.name, ledger.transfer.everyone, divided)


def evidence_used(ledgers: Iterable[TransferLedger], observed: Observed) -> str:
    """Tell what decided: run lists where they were read, else backfills alone, or both."""
    kinds = {_evidence_kind(ledger.transfer, observed) for ledger in ledgers} - {None}
    return "mixed" if len(kinds) > 1 else str(next(iter(kinds), "runs"))


def _evidence_kind(transfer: DesiredTransfer, observed: Observed) -> str | None:
    """Return ``None`` for a transfer with nothing due: its run list was not needed."""
    if transfer.evidence is EvidenceMode.BACKFILLS:
        return "backfills"
    if transfer.address.transfer_id not in observed.runs:
        return None
    return "runs"
