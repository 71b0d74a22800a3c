"""What a plan says of the days it does not act on, and the sums that must add up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.dates import EMPTY, DateSet, Day, DaysByTransfer, Span
from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import Address, DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import Document
from reconciler.model.observed import Observed, Status
from reconciler.planning.approval import made_since, planned_days
from reconciler.planning.evidence import is_active
from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.plan import (
    COUNTED,
    SETTLED,
    Action,
    ActionKind,
    DayCounts,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
)

NOT_DECLARED = "not-declared"


@dataclass(frozen=True, slots=True)
class Undone(Span):
    """Days that a saved plan was to create and that nobody has, and why."""

    address: Address
    start: Day
    end: Day
    reason: str


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
            told = (listed.id, listed.start, listed.end, listed.status.value, listed.created_user_id)
            found.append(Unmanaged(address, *told))
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


_UNTOLD: Final = (
    Reason.NO_EVIDENCE,
    Reason.UNKNOWN_HISTORY,
)  # of such days nobody knows whether they are loaded


def summarise(ledger: TransferLedger, planned: DateSet) -> TransferSummary:
    """Return the counts of a transfer: what is due is planned, or deferred."""
    counts = {bucket: len(ledger.days(bucket)) for bucket in COUNTED}
    due = len(ledger.days(Bucket.DUE))
    counts |= {Bucket.PLANNED: len(planned), Bucket.DEFERRED: due - len(planned)}
    resting = ledger.days(Bucket.BLOCKED) - ledger.holes
    unread = any(entry.reason in _UNTOLD for entry in ledger.of(Bucket.BLOCKED))
    divided = DayCounts(counts, len(ledger.stuck), len(resting), unread)
    assert divided.declared == len(ledger.transfer.days)
    transfer, info = ledger.transfer, ledger.evidence.info
    settled = {bucket: days for bucket in SETTLED if (days := ledger.days(bucket))}
    named = (transfer.address, transfer.name, transfer.everyone, divided, info.name if info else "")
    return TransferSummary(*named, transfer.paused, settled)


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
