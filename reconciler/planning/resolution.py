"""What became of the writes that an earlier run left behind, or whose refusal may not be believed. Pure.

Why a refusal may be doubted: a gateway that sends a request twice passes on the answer to the second one.

    09:00:00  intent of a create committed, latest_before = 7; the POST leaves
    09:00:01  the gateway sends it twice: the API makes backfill 8, and refuses the copy, which overlaps it
    09:00:01  we get the refusal, and look: reads lag 30 s, so neither the list nor ``latest`` shows 8
    09:00:01  refused. Its days are blocked for 24 hours
    10:00:00  backfill 8 completes, and is gone from the list
    next day  the days are due. ``latest`` = 8, not 7: made after all, by us or by somebody: reopened. Had
              something newer hidden it, or runs shown the days, that would tell instead
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.bounds import LATE_MATCH
from reconciler.dates import DateSet, grouped
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import BackfillRecord, Delta, Document, Intent, IntentKind
from reconciler.model.observed import Backfill, Cause, Observed, Unreadable
from reconciler.planning.intents import (
    State,
    adopted,
    cancelled,
    find_match,
    found,
    is_taken,
    not_cancelled,
    not_created,
    reopened,
    state_of,
)

DueDays = tuple[tuple[int, ...], DateSet]
"""The ids whose loads count for a transfer, its own first, and its due days."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The delta that settles intents, and what to tell of it.

    ``late`` are intents once settled as not created (or refused) that were found after all.
    ``unresolved`` are still pending.
    """

    delta: Delta = field(default_factory=Delta)
    adopted: tuple[Intent, ...] = ()
    abandoned: tuple[Intent, ...] = ()
    late: tuple[Intent, ...] = ()
    unresolved: tuple[Intent, ...] = ()


def resolve(
    document: Document, observed: Observed, now: datetime, settle: timedelta, on_unknown: OnUnknown
) -> Resolution:
    """Settle what can be settled. Not created: ``latest`` still has the id it had, and settle
    time has passed since the intent; otherwise it stays unresolved.

    ``now`` is when reading began: what took effect since may not have been seen.
    """
    resolving = _Resolving(document, observed, now, settle, on_unknown, known=set(document.backfills))
    # Pending ones first: a request takes effect within settle time, so a match is rather theirs.
    intents = document.intents.values()
    for intent in sorted(intents, key=lambda intent: (not intent.pending, intent.intended_at, intent.nonce)):
        if intent.kind is IntentKind.CANCEL:
            resolving.cancel(intent)
        else:
            resolving.create(intent)
    return resolving.resolution()


@dataclass(slots=True)
class _Resolving:
    document: Document
    observed: Observed
    now: datetime
    settle: timedelta
    on_unknown: OnUnknown
    known: set[int]
    records: list[BackfillRecord] = field(default_factory=list)
    adopted: list[Intent] = field(default_factory=list)
    abandoned: list[Intent] = field(default_factory=list)
    late: list[Intent] = field(default_factory=list)
    unresolved: list[Intent] = field(default_factory=list)

    def resolution(self) -> Resolution:
        delta = Delta((*self.adopted, *self.abandoned, *self.late), tuple(self.records))
        told = (tuple(self.adopted), tuple(self.abandoned), tuple(self.late), tuple(self.unresolved))
        return Resolution(delta, *told)

    def create(self, intent: Intent) -> None:
        if state_of(intent) is State.DONE or self.now - intent.intended_at > self._matches_until(intent):
            return
        match = find_match(intent, _seen(self.observed), self.known)
        if match is not None:
            self.known.add(match.id)
            self.records.append(adopted(match, intent))
            (self.adopted if intent.pending else self.late).append(found(intent, match.id))
        elif intent.pending and self._was_not_created(intent):
            self.abandoned.append(not_created(intent))
        elif intent.pending:
            self.unresolved.append(intent)

    def _matches_until(self, intent: Intent) -> timedelta:
        """Return how long after an intent a backfill that fits is taken for its own. What was withdrawn got
        an answer: what a gateway may have made of it shows within settle time, and a later one is a person's.
        """
        if intent.pending:
            return timedelta.max
        return self.settle if state_of(intent) is State.WITHDRAWN else LATE_MATCH

    def _was_not_created(self, intent: Intent) -> bool:
        if self.on_unknown is OnUnknown.BLOCK or self.now < intent.intended_at + self.settle:
            return False
        return _has_old_latest(intent, self.observed)

    def cancel(self, intent: Intent) -> None:
        """A cancel may be sent again without harm, so one that did not happen is simply given up: once
        its sender, which may be another run at work, does not send it any more.
        """
        if not intent.pending or intent.backfill_id is None:
            return
        if self._is_final(intent.backfill_id):
            self.adopted.append(cancelled(intent))
        elif self.now >= intent.send_before:
            self.abandoned.append(not_cancelled(intent))

    def _is_final(self, backfill_id: int) -> bool:
        record = self.document.backfills.get(backfill_id)
        fetched = self.observed.fetched.get(backfill_id)
        seen_final = isinstance(fetched, Backfill) and fetched.status.final
        return bool(record and record.status.final) or seen_final


UNREAD = Unreadable(Cause.FAILED, "it was not read")


def settles_at(intent: Intent, settle: timedelta, on_unknown: OnUnknown) -> datetime | None:
    """Return from when a run may settle a create by itself; ``None``: only a person may."""
    return intent.intended_at + settle if on_unknown is OnUnknown.SETTLE else None


def _seen(observed: Observed) -> tuple[Backfill, ...]:
    answers = (*observed.listed, *observed.latest.values())
    return tuple(backfill for backfill in answers if isinstance(backfill, Backfill))


def _has_old_latest(intent: Intent, observed: Observed) -> bool:
    """Tell whether ``latest`` was read, and still answers what it answered before the intent."""
    latest = observed.latest.get(intent.transfer_id, UNREAD)
    if isinstance(latest, Unreadable):
        return False
    return (latest.id if latest else None) == intent.latest_before


# --- refusals that may not be believed --------------------------------------------------------


def reopened_creates(
    document: Document, observed: Observed, due: Iterable[DueDays], unsettled_since: datetime
) -> tuple[Intent, ...]:
    """Return, pending again, the creates on due days that were refused, or withdrawn after a refusal, and
    that may have been made after all.

    A day whose refusal still holds is not due. ``unsettled_since`` is settle time ago: what was refused
    since then, reads may hide yet. ``latest`` tells, unless something newer hides it; run lists do.
    """
    pairs = ((source, transfer) for transfer in due for source in transfer[0])
    by_source = grouped(pairs, lambda pair: pair[0])
    return tuple(
        reopened(intent)
        for intent in document.intents.values()
        if state_of(intent) in (State.REFUSED, State.WITHDRAWN)
        and isinstance(observed.runs.get(intent.transfer_id, UNREAD), Unreadable)
        and (intent.intended_at > unsettled_since or not _has_old_latest(intent, observed))
        and any(
            intent.days & days and not _was_taken_up(intent, sources, document)
            for _source, (sources, days) in by_source.get(intent.transfer_id, ())
        )
    )


def _was_taken_up(intent: Intent, sources: tuple[int, ...], document: Document) -> bool:
    """Tell whether a later run created on its days: it was no longer in doubt then."""
    alike = (other for other in document.intents.values() if other.kind is intent.kind)
    return is_taken(intent, sources, (other for other in alike if other.intended_at > intent.intended_at))
