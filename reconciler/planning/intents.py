"""The life of an intent: its states, and who may change them on which evidence. Pure.

An intent is a write that we are about to send, committed before it is sent: so whatever is killed, a later
run knows what may be on its way. The API knows no idempotency key, and forgets what completed; hence what
became of a create is reasoned by ids, and by our own clock alone:

- *created*: a backfill of exactly its transfer and range, with an id that nobody knew before;
- *not created*: settle time has passed, and ``latest`` still answers the id that it answered before.

``TRANSITIONS`` has the whole life; every change of an intent is a function of this file that walks it.
``resolution.py`` has what later runs make of what an earlier one left behind. The state file knows no
*withdrawn*: it is an abandoned intent that names the backfill in its way.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.bounds import REFUSAL_HOLDS
from reconciler.model.desired import DesiredTransfer
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import Backfill
from reconciler.planning.evidence import is_active

# --- states and transitions -------------------------------------------------------------------


class State(StrEnum):
    """What an intent is in. ``WITHDRAWN``: refused, and given up because another backfill was in its way."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ABANDONED = "abandoned"


class Change(StrEnum):
    ANSWERED = "made"
    FOUND = "found"
    FOUND_LATE = "found late"
    REFUSED = "refused"
    OVERLAPPED = "overlapped"
    NOT_CREATED = "not created"
    REOPENED = "reopened"
    SEEN_FINAL = "cancelled"
    NOT_CANCELLED = "not cancelled"


@dataclass(frozen=True, slots=True)
class Transition:
    """From ``before``, by ``change``, to ``after``; ``who`` may say so, on which ``evidence``."""

    kind: IntentKind
    before: State
    change: Change
    after: State
    who: str
    evidence: str


_CREATE, _CANCEL = IntentKind.CREATE, IntentKind.CANCEL
_PENDING, _DONE, _REFUSED, _WITHDRAWN, _ABANDONED = State
_SENDER, _ANY, _PERSON, _LATER = "the run that sent it", "any run", "any run, or a person", "any later run"
_FITS, _UNMOVED = (
    "a backfill of its transfer and range, of an unknown id",
    "`latest` as it was, settle time on",
)
TRANSITIONS = (
    Transition(_CREATE, _PENDING, Change.ANSWERED, _DONE, _SENDER, "the answer has its id"),
    Transition(_CREATE, _PENDING, Change.FOUND, _DONE, _PERSON, _FITS),
    Transition(_CREATE, _PENDING, Change.REFUSED, _REFUSED, _SENDER, "a refusal, and nothing fits"),
    Transition(_CREATE, _PENDING, Change.OVERLAPPED, _WITHDRAWN, _SENDER, "one active, or ours, on its days"),
    Transition(_CREATE, _PENDING, Change.NOT_CREATED, _ABANDONED, _PERSON, _UNMOVED),
    Transition(_CREATE, _REFUSED, Change.FOUND_LATE, _DONE, _LATER, f"{_FITS}, within 7 days"),
    Transition(_CREATE, _ABANDONED, Change.FOUND_LATE, _DONE, _LATER, f"{_FITS}, within 7 days"),
    Transition(_CREATE, _WITHDRAWN, Change.FOUND_LATE, _DONE, _LATER, f"{_FITS}, within settle time"),
    Transition(_CREATE, _REFUSED, Change.REOPENED, _PENDING, _LATER, "its days are due, and nothing tells"),
    Transition(_CREATE, _WITHDRAWN, Change.REOPENED, _PENDING, _LATER, "its days are due, and nothing tells"),
    Transition(_CANCEL, _PENDING, Change.SEEN_FINAL, _DONE, _ANY, "its backfill is final"),
    Transition(_CANCEL, _PENDING, Change.NOT_CANCELLED, _ABANDONED, _ANY, "nobody sends it any more"),
)
_AFTER = {(row.kind, row.before, row.change): row.after for row in TRANSITIONS}


def state_of(intent: Intent) -> State:
    abandoned = intent.outcome is Outcome.ABANDONED and intent.kind is IntentKind.CREATE
    return State.WITHDRAWN if abandoned and intent.blocker is not None else State(intent.outcome.value)


def _changed(intent: Intent, change: Change, **values: Any) -> Intent:
    """Walk the table. Raises ``AssertionError`` for a change that it does not have: a bug in reconciler."""
    after = _AFTER.get((intent.kind, state_of(intent), change))
    assert after is not None, f"{intent.kind} is {state_of(intent)}, and cannot be {change}"
    outcome = Outcome.ABANDONED if after is State.WITHDRAWN else Outcome(after.value)
    changed = replace(intent, outcome=outcome, **values)
    assert state_of(changed) is after, (intent, changed)
    assert after is not State.DONE or changed.backfill_id is not None
    return changed


def made(intent: Intent, backfill_id: int) -> Intent:
    """Return a create whose answer had its backfill's id."""
    return _changed(intent, Change.ANSWERED, backfill_id=backfill_id)


def found(intent: Intent, backfill_id: int) -> Intent:
    """Return a create whose backfill was found, now or after it had been given up."""
    change = Change.FOUND if intent.pending else Change.FOUND_LATE
    return _changed(intent, change, backfill_id=backfill_id)


def refused(intent: Intent, blocker: Backfill | None) -> Intent:
    return _changed(intent, Change.REFUSED, blocker=blocker.id if blocker else None)


def withdrawn(intent: Intent, blocker: Backfill) -> Intent:
    """Return a create that was refused since ``blocker`` was in its way: its days are planned again.

    It is kept, since a gateway that sent it twice may have made one that completed before we looked.
    """
    return _changed(intent, Change.OVERLAPPED, blocker=blocker.id)


def not_created(intent: Intent) -> Intent:
    """Return a create that did not happen: its days are due again."""
    return _changed(intent, Change.NOT_CREATED, blocker=None)


def cancelled(intent: Intent) -> Intent:
    return _changed(intent, Change.SEEN_FINAL)


def not_cancelled(intent: Intent) -> Intent:
    """Return a cancel that did not happen; another may be sent without harm."""
    return _changed(intent, Change.NOT_CANCELLED)


def reopened(intent: Intent) -> Intent:
    """Return a create, refused or withdrawn, that may have been made all the same."""
    return _changed(intent, Change.REOPENED)


def adopted(backfill: Backfill, intent: Intent) -> BackfillRecord:
    """Return the record of a backfill that one of our intents made, and whose answer was lost."""
    return BackfillRecord(
        backfill,
        intent.transfer,
        Origin.ADOPTED,
        intent.stale_before,
        as_of=intent.as_of,
        serial=intent.serial,
    )


# --- is it ours? ------------------------------------------------------------------------------


def is_match(intent: Intent, backfill: Backfill) -> bool:
    """Tell whether a backfill has exactly the transfer and the range of a create."""
    wanted = (intent.transfer_id, intent.start, intent.end)
    return (backfill.transfer_id, backfill.start, backfill.end) == wanted


def find_match(intent: Intent, seen: Iterable[Backfill], known: Iterable[int]) -> Backfill | None:
    """Return the newest backfill that can only be this create: exact, and of an id unknown before."""
    barred = {*known, intent.latest_before}
    matches = [backfill for backfill in seen if is_match(intent, backfill) and backfill.id not in barred]
    return max(matches, key=lambda backfill: backfill.id, default=None)


def after_refusal(intent: Intent, seen: Iterable[Backfill], document: Document) -> Backfill | Intent:
    """Return what a refusal means by what was seen after it: the backfill that the create made all the same,
    or the intent withdrawn, or refused.
    """
    shown = tuple(seen)
    match = find_match(intent, shown, document.backfills)
    if match is not None:
        return match
    own = (backfill for backfill in shown if backfill.transfer_id == intent.transfer_id)
    over = (backfill for backfill in own if backfill.overlaps(intent) and not backfill.status.final)
    blocker = min(over, key=lambda backfill: (not is_active(backfill), backfill.id), default=None)
    if blocker is not None and (is_active(blocker) or _is_ours(blocker, document)):
        return withdrawn(intent, blocker)
    return refused(intent, blocker)


def _is_ours(backfill: Backfill, document: Document) -> bool:
    """Tell whether a plan may cancel what is in the way: the list hid it when we planned."""
    record = document.backfills.get(backfill.id)
    return record is not None and record.ours


# --- what is open -----------------------------------------------------------------------------


def unresolved(document: Document) -> tuple[Intent, ...]:
    """Return the creates whose outcome is unknown, oldest first."""
    pending = (intent for intent in document.intents.values() if intent.pending)
    creates = (intent for intent in pending if intent.kind is IntentKind.CREATE)
    return tuple(sorted(creates, key=lambda intent: (intent.intended_at, intent.nonce)))


def wants_latest(document: Document) -> frozenset[int]:
    """Return the transfers whose ``latest`` must be read to settle an intent."""
    return frozenset(intent.transfer_id for intent in unresolved(document))


def refusal_holds(intent: Intent, listed: Container[int], now: datetime) -> bool:
    """Tell whether a refusal still blocks: while its blocker is listed, else for 24 hours."""
    if intent.blocker is not None:
        return intent.blocker in listed
    return now < intent.intended_at + REFUSAL_HOLDS


def bears_on(intent: Intent, transfer: DesiredTransfer, unsettled_since: datetime) -> bool:
    """Tell whether an intent bears on a transfer's days: its own do, and those by which a predecessor may yet
    turn out to load days: in doubt, or refused so lately that reads may still hide what a gateway, sending
    it twice, made of it.
    """
    refused_lately = intent.outcome is Outcome.REFUSED and intent.intended_at > unsettled_since
    return intent.transfer_id == transfer.address.transfer_id or intent.pending or refused_lately


def is_taken(intent: Intent, sources: Container[int], others: Iterable[Intent | BackfillRecord]) -> bool:
    """Tell whether another run, since our plan, intends or made any day of a create.

    ``sources``: the ids of its transfer and of the predecessors, whose days these are too.
    """
    if intent.kind is IntentKind.CANCEL:
        return False
    return any(other.transfer_id in sources and other.overlaps(intent) for other in others)
