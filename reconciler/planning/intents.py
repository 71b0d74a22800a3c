"""The life of an intent: its states, and who may change them on which evidence. Pure.

An intent is a write that we are about to send, committed before it is sent: so whatever is killed, a later
run knows what may be on its way. The API knows no idempotency key, and forgets what completed; hence what
became of a create is reasoned:

- *created*: a backfill of exactly its transfer and range, of an id that nobody knew before, by our user, made
  within settle time of the intent;
- *not created*: settle time has passed, by our clock and by the vendor's, and ``latest`` still answers the id
  that it answered before; or nothing of it is under way (``resolution.py``).

**One rule of doubt**: a request that may have reached the API keeps its days from being created again until
settle time has passed, whatever the answer was, for a gateway that sends a request twice passes on the answer
to the second one, and reads may hide yet what the first one made:

    09:00:00  intent committed; the POST leaves, and a gateway sends it twice
    09:00:01  the API makes backfill 8, and refuses the copy, which overlaps it: we get the refusal, and look;
              reads lag 30 s, so neither the list nor ``latest`` shows 8: *refused*
    09:05:00  a person says ``retry``: the refusal is forgotten, the request is not: ``recent-request``
    09:10:00  another run sees 8: exactly ours, made within settle time, by our user: *found*

``TRANSITIONS`` has the whole life; every change of an intent is a function of this file that walks it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from reconciler.bounds import DEFAULT_SETTLE, ENDING_SETTLES, REFUSAL_HOLDS
from reconciler.dates import EMPTY, DateSet
from reconciler.model.desired import DesiredTransfer
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind, Load, Origin, Outcome
from reconciler.model.observed import ApiError, Backfill

# --- states and transitions -------------------------------------------------------------------


class Change(StrEnum):
    ANSWERED = "made"
    FOUND = "found"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    NOT_CREATED = "not created"
    SEEN_FINAL = "cancelled"
    NOT_CANCELLED = "not cancelled"


@dataclass(frozen=True, slots=True)
class Transition:
    """From ``before``, by ``change``, to ``after``; ``who`` may say so, on which ``evidence``."""

    kind: IntentKind
    before: Outcome
    change: Change
    after: Outcome
    who: str
    evidence: str


_CREATE, _CANCEL = IntentKind.CREATE, IntentKind.CANCEL
_PENDING, _DONE, _REFUSED, _WITHDRAWN, _ABANDONED = Outcome
_SENDER, _ANY, _PERSON = "the run that sent it", "any run", "any run, or a person"
_FITS = "a backfill of its transfer and range, of an unknown id, by our user, made within settle time"
_NEVER = "it never left, or was turned away at the door (401, 429, a quota; 403 of the key)"
_SETTLED = "settle time over by both clocks; `latest` as it was, or nothing of it under way, or all covered"
_SHARED = "the second so answered (403 `FORBIDDEN`, `ACCESS_DENIED`): the key's"
TRANSITIONS = (
    Transition(_CREATE, _PENDING, Change.ANSWERED, _DONE, _SENDER, "the answer has its id"),
    Transition(_CREATE, _PENDING, Change.FOUND, _DONE, _PERSON, _FITS),
    Transition(_CREATE, _PENDING, Change.REFUSED, _REFUSED, _SENDER, "a refusal, and nothing fits"),
    Transition(
        _CREATE, _PENDING, Change.WITHDRAWN, _WITHDRAWN, _SENDER, f"{_NEVER}, or another's is active there"
    ),
    Transition(_CREATE, _PENDING, Change.NOT_CREATED, _ABANDONED, _PERSON, _SETTLED),
    Transition(_CREATE, _REFUSED, Change.FOUND, _DONE, _ANY, _FITS),
    Transition(_CREATE, _REFUSED, Change.WITHDRAWN, _WITHDRAWN, _SENDER, _SHARED),
    Transition(_CANCEL, _PENDING, Change.SEEN_FINAL, _DONE, _ANY, "its backfill is final"),
    Transition(_CANCEL, _PENDING, Change.WITHDRAWN, _WITHDRAWN, _SENDER, _NEVER),
    Transition(_CANCEL, _PENDING, Change.NOT_CANCELLED, _ABANDONED, _ANY, "nobody sends it any more"),
)
OPEN = frozenset({Outcome.PENDING, Outcome.REFUSED})
"""What may yet turn out to be made."""
_AFTER = {(row.kind, row.before, row.change): row.after for row in TRANSITIONS}


def _changed(intent: Intent, change: Change, **values: Any) -> Intent:
    """Walk the table. Raises ``AssertionError`` for a change that it does not have: a bug in reconciler."""
    after = _AFTER.get((intent.kind, intent.outcome, change))
    assert after is not None, f"{intent.kind} is {intent.outcome}, and cannot be {change}"
    changed = replace(intent, outcome=after, **values)
    assert after is not Outcome.DONE or changed.backfill_id is not None
    return changed


def made(intent: Intent, backfill_id: int) -> Intent:
    """Return a create whose answer had its backfill's id."""
    return _changed(intent, Change.ANSWERED, backfill_id=backfill_id)


def found(intent: Intent, backfill_id: int) -> Intent:
    """Return a create whose backfill was found, however late."""
    return _changed(intent, Change.FOUND, backfill_id=backfill_id)


def refused(intent: Intent, blocker: Backfill | None, answer: ApiError | None = None) -> Intent:
    return _changed(intent, Change.REFUSED, blocker=blocker.id if blocker else None, answer=answer)


def withdrawn(intent: Intent, blocker: Backfill | None = None) -> Intent:
    """Return a write that surely did nothing: another one may be sent at once."""
    return _changed(intent, Change.WITHDRAWN, blocker=blocker.id if blocker else None)


def not_created(intent: Intent) -> Intent:
    """Return a create that did not happen, or of which nothing more will: its days are due again."""
    return _changed(intent, Change.NOT_CREATED)


def cancelled(intent: Intent) -> Intent:
    return _changed(intent, Change.SEEN_FINAL)


def not_cancelled(intent: Intent) -> Intent:
    """Return a cancel that did not happen; another may be sent without harm."""
    return _changed(intent, Change.NOT_CANCELLED)


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


# --- what is open -----------------------------------------------------------------------------


def unresolved(document: Document) -> tuple[Intent, ...]:
    """Return the creates whose outcome is unknown, oldest first."""
    pending = (intent for intent in document.intents.values() if intent.pending)
    creates = (intent for intent in pending if intent.kind is IntentKind.CREATE)
    return tuple(sorted(creates, key=lambda intent: (intent.intended_at, intent.nonce)))


def wants_latest(document: Document) -> frozenset[int]:
    """Return the transfers whose ``latest`` must be read to settle an intent."""
    return frozenset(intent.transfer_id for intent in unresolved(document))


def made_nothing(intent: Intent) -> bool:
    """Tell whether an intent is proved to have made nothing. What no list showed any more may have been made,
    and be over.
    """
    return intent.outcome in (Outcome.WITHDRAWN, Outcome.ABANDONED) and intent.unlisted_at is None


def is_dated_early(intent: Intent) -> bool:
    """Tell whether what a create of unknown end may have loaded is dated before the ``stale_before`` it was
    made under, since the vendor's clock is behind ours.

    A person writes 09:00, our clock; at 09:01 we create, at 08:57 by the vendor's, and the answer is lost. A
    ``Date`` further behind is no clock, but an answer out of some cache.
    """
    sent, bound = intent.vendor_at, intent.stale_before
    if made_nothing(intent) or intent.outcome is Outcome.DONE or sent is None or bound is None:
        return False
    is_clock = intent.intended_at - sent <= DEFAULT_SETTLE
    return intent.kind is IntentKind.CREATE and sent < bound and is_clock


def follows(made: datetime, intent: Intent) -> bool:
    """Tell whether something was made after a create left, both by the vendor's clock, in whole seconds."""
    return made >= sent_at(intent) - timedelta(seconds=1)


def sent_at(intent: Intent) -> datetime:
    """Return when it was intended, by the vendor's clock, or by ours where that told nothing."""
    return intent.vendor_at or intent.intended_at


def is_settled(intent: Intent, now: datetime, vendor_now: datetime, settle: timedelta) -> bool:
    """Tell whether settle time has passed since an intent, by our clock and the vendor's. Who says that it is
    none, knows that nothing is on its way.
    """
    if not settle:
        return True
    return vendor_now >= sent_at(intent) + settle and now >= intent.intended_at + settle


def refusal_holds(intent: Intent, listed: Container[int], ours: Container[int], now: datetime) -> bool:
    """Tell whether a refusal still blocks: while its blocker is listed, unless that is ours and may be
    cancelled; without one for 20 hours.
    """
    if intent.blocker is not None:
        return intent.blocker in listed and intent.blocker not in ours
    return now < refusal_ends(intent)


def refusal_ends(intent: Intent) -> datetime:
    """Return until when, by our clock, a refusal blocks that has no backfill to blame."""
    return intent.intended_at + REFUSAL_HOLDS


def in_doubt(
    intent: Intent, made: BackfillRecord | None, now: datetime, vendor_now: datetime, settle: timedelta
) -> DateSet:
    """Return the days of a create that may yet turn out to be made: the one rule of doubt. Of one that got a
    refusal all are; of one for which a person named a backfill of other days, ``made``, those it leaves out.
    """
    if intent.kind is IntentKind.CANCEL or is_settled(intent, now, vendor_now, settle):
        return EMPTY
    if intent.outcome is Outcome.REFUSED:
        return intent.days
    named = made is not None and made.origin is Origin.ADOPTED and intent.outcome is Outcome.DONE
    return intent.days - made.days if named and made else EMPTY


def settles_until(intent: Intent) -> datetime | None:
    """Return until when run lists may yet tell what became of a create that no list showed any more."""
    given_up = intent.outcome is Outcome.ABANDONED and intent.unlisted_at is not None
    return intent.unlisted_at + ENDING_SETTLES if given_up and intent.unlisted_at else None


def bears_on(intent: Intent, transfer: DesiredTransfer) -> bool:
    """Tell whether an intent bears on a transfer's days: its own do, and those that share days with it, a
    predecessor's or a successor's, which may yet turn out to load them.
    """
    return transfer.address.transfer_id in intent.source_ids or intent.transfer_id in transfer.source_ids


def days_cut_off(intent: Intent, made: BackfillRecord | None) -> tuple[DateSet, DateSet]:
    """Return the days of a create that its backfill, which the API made shorter, leaves out: those before its
    start, and those after its end. What a person named for it says nothing of the days besides.
    """
    if intent.kind is IntentKind.CANCEL or intent.outcome is not Outcome.DONE or made is None:
        return EMPTY, EMPTY
    if made.origin is Origin.ADOPTED:
        return EMPTY, EMPTY
    if not intent.start <= made.start < made.end <= intent.end:
        return EMPTY, EMPTY
    return DateSet.span(intent.start, made.start), DateSet.span(made.end, intent.end)


def is_taken(intent: Intent, others: Iterable[Intent | BackfillRecord | Load]) -> bool:
    """Tell whether another run, since our plan, intends or made a day of a create, or learned that it is
    loaded, on any of its sources.
    """
    if intent.kind is IntentKind.CANCEL:
        return False
    sources = {*intent.source_ids}
    return any(
        other.overlaps(intent) and not sources.isdisjoint(_sources_of(other))
        for other in others
        if not (isinstance(other, Intent) and made_nothing(other))
    )


def _sources_of(other: Intent | BackfillRecord | Load) -> tuple[int, ...]:
    return other.source_ids if isinstance(other, Intent) else (other.transfer_id,)
