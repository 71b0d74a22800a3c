"""What a person says, put into the state: what became of a create, what to forget, which history is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.api.client import ApiClient
from reconciler.bounds import CLOCKS_APART, DEFAULT_SETTLE
from reconciler.dates import DateSet, Day, dates_of
from reconciler.engine.team import MAX_SURVEYS
from reconciler.errors import ApiUnavailable, Refused, StateConflict
from reconciler.formats.reports import encode_time
from reconciler.model.deltas import Delta
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Acceptance, Amnesty, Document, Intent
from reconciler.model.observed import Backfill, Unreadable
from reconciler.planning.intents import adopted, found, not_created, sent_at, unresolved
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.matching import find_match, is_part
from reconciler.planning.situation import Situation, weigh

if TYPE_CHECKING:
    from reconciler.engine.session import StateSession
    from reconciler.engine.team import TeamRun

FORGIVABLE = frozenset(
    {
        *(Reason.ATTEMPTS, Reason.UNLOCATED, Reason.BACKOFF, Reason.REFUSED),
        *(Reason.CUT_BY_API,),
        *(Reason.GONE, Reason.STUCK, Reason.UNKNOWN_STATUS),
    }
)


def find_intent(document: Document, transfer_id: int, start: Day, end: Day) -> Intent:
    """Return the unresolved create of ``[start, end)``. Raises ``Refused`` if there is none."""
    open_ = unresolved(document)
    for intent in open_:
        if (intent.transfer_id, intent.start, intent.end) == (transfer_id, start, end):
            return intent
    there = [f"{intent.transfer} {intent.dates}" for intent in open_]
    detail = f"Unresolved: {'; '.join(there)}." if there else "Nothing is unresolved."
    hint = "Give the transfer and the exact range." if there else ""
    raise Refused("There is no such unresolved create", detail, hint)


def as_created(
    intent: Intent,
    backfill_id: int,
    document: Document,
    client: ApiClient,
    settle: timedelta = DEFAULT_SETTLE,
    on_unknown: OnUnknown = OnUnknown.SETTLE,
) -> Delta:
    """Return the delta that adopts a backfill for an intent, after reading it from the API. It may have fewer
    days, or more: then what the intent asked for besides is due, once settle time is over.

    Raises ``Refused`` if it is not there, is of another transfer, has none of the intent's days, was not made
    within settle time of the intent (or later, where nothing but a person settles it), or is known as
    another's, and ``ApiUnavailable`` if it cannot be read.
    """
    backfill = client.get(backfill_id)
    if backfill is None:
        raise Refused("There is no such backfill", f"The API answers 404 for {backfill_id}.", "Check the id.")
    if isinstance(backfill, Unreadable):
        raise ApiUnavailable("The backfill could not be read", f"{backfill.said}.", "Nothing was changed.")
    at = sent_at(intent)
    # Of a vendor that did not tell its time, a person knows better what is about then.
    early = settle if intent.vendor_at else settle + CLOCKS_APART
    # Where only a person settles it, what took effect later is the person's to name.
    late = timedelta.max if on_unknown is OnUnknown.BLOCK and is_part(intent, backfill) else early
    about_then = -early <= backfill.created_time - at <= late
    if backfill.transfer_id != intent.transfer_id or not about_then or not backfill.overlaps(intent):
        days = dates_of(backfill.start, backfill.end)
        seen = f"of transfer {backfill.transfer_id}, {days}, made at {encode_time(backfill.created_time)}"
        detail = (
            f"Backfill {backfill_id} is {seen}; the create of {intent.dates} was sent at {encode_time(at)}."
        )
        raise Refused("The backfill does not match", detail, "Check the id.")
    known = document.backfills.get(backfill_id)
    if known is not None and known.ours:
        raise Refused("The backfill is already known", f"Another create of ours made {backfill_id}.")
    return Delta(intents=(found(intent, backfill_id),), backfills=(adopted(backfill, intent),))


def seen_of(run: TeamRun, document: Document, intent: Intent) -> Backfill | None:
    """Return the backfill that can only be a create, if the API shows it. Raises what reading raises."""
    latest = run.client.latest(intent.transfer_id)
    listed = run.client.list_incomplete().backfills
    seen = (*listed, latest) if isinstance(latest, Backfill) else listed
    return find_match(intent, seen, document, run.settings.settle)


def as_not_created(intent: Intent) -> Delta:
    """Return the delta that gives an intent up: its days are due again."""
    return Delta(intents=(not_created(intent),))


def learned(run: TeamRun, session: StateSession, look: Callable[[], Situation]) -> Situation:
    """Look, and commit what was learned; again while other runs commit first. A person's word comes after."""
    for _attempt in range(MAX_SURVEYS):
        situation = look()
        with run.saving():
            if session.commit_alone(situation.delta):
                return replace(situation, document=session.document)
    raise StateConflict("The state keeps changing", "Other runs keep committing.", "Run again later.")


def with_latest(run: TeamRun, session: StateSession) -> Situation:
    """Read what a plan needs, and the latest backfill of every transfer that is blind: also where no day is
    open, its history may be unknown.
    """
    found = run.weighed(session)
    blind = [ledger.transfer for ledger in found.ledgers if ledger.evidence.blind]
    sources = {source for transfer in blind for source in transfer.source_ids}
    missing = {one: run.client.latest(one) for one in sorted(sources) if one not in found.observed.latest}
    seen = replace(found.observed, latest={**found.observed.latest, **missing})
    return weigh(run.team, session.document, seen, found.now, found.settle)


def held_up(ledger: TransferLedger) -> dict[Reason, DateSet]:
    """Return the days of a transfer that only what ``retry`` forgets keeps from being due, by reason."""
    buckets = (Bucket.WAITING, Bucket.BLOCKED, Bucket.FAILED)
    entries = (entry for bucket in buckets for entry in ledger.of(bucket))
    return {entry.reason: entry.days for entry in entries if entry.reason in FORGIVABLE}


def forget(transfer_id: int, days: DateSet, situation: Situation) -> Delta:
    """Return the delta that has forgotten, up to this state and this answer of the vendor's, what keeps days
    of a transfer from being due.
    """
    serial, at = situation.document.serial, situation.observed.vendor_now
    amnesties = (Amnesty(transfer_id, start, end, serial, at) for start, end in days.intervals)
    return Delta(amnesties=tuple(amnesties))


def accept(ledger: TransferLedger, serial: int) -> Delta:
    """Return the delta by which the history of a transfer, and of its predecessors, counts as known: of each
    up to the newest backfill that its ledger was kept from.
    """
    newest: dict[int, int] = {}
    for record in ledger.evidence.records:
        newest[record.transfer_id] = max(record.id, newest.get(record.transfer_id, 0))
    return Delta(acceptances=tuple(Acceptance(one, newest[one], serial) for one in sorted(newest)))
