"""What became of the writes whose answer never came: asked at every reading. Pure.

*Not created* is concluded in three ways, each only once settle time has passed by both clocks:

- ``latest`` still answers the id that it answered before the intent: nothing was made since;
- a newer backfill hides that, but a whole list holds nothing that fits, and the run list is readable:
  whatever became of it, it loads nothing more. What had ended just before that list was read may be missing
  in a run list that lags, so its days settle for an hour (``unlisted_at``):

      09:00:00  intent; the POST's answer is lost. Somebody creates backfill 9 on other days
      10:00:00  latest = 9; the list has nothing that fits: settled, its days wait
      11:00:00  the run list shows all that had ended by 10:00: what it loaded is covered, the rest is due
- all its days are covered: so also with ``on_unknown: block``, by which only a person concludes the others.

Of one that was refused the same is noted (``unlisted_at``): where run lists are not read, nothing else tells
later that it was not made all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.bounds import INTENTS_KEPT, LATEST_KEPT
from reconciler.dates import EMPTY, DateSet
from reconciler.model.deltas import Delta
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind
from reconciler.model.observed import Backfill, Cause, Observed, Unreadable
from reconciler.planning.intents import (
    OPEN,
    adopted,
    cancelled,
    days_cut_off,
    found,
    is_dated_early,
    is_settled,
    not_cancelled,
    not_created,
)
from reconciler.planning.matching import find_match


@dataclass(frozen=True, slots=True)
class Resolution:
    """The delta that settles intents, and what to tell of it. ``unresolved`` are creates still pending."""

    delta: Delta = field(default_factory=Delta)
    adopted: tuple[Intent, ...] = ()
    abandoned: tuple[Intent, ...] = ()
    unresolved: tuple[Intent, ...] = ()

    @property
    def adopted_creates(self) -> tuple[Intent, ...]:
        return tuple(intent for intent in self.adopted if intent.kind is IntentKind.CREATE)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a reading settles intents. ``now`` is when reading began, by our clock: what took effect since may
    not have been seen. ``covered`` are the days known to be loaded, by transfer.
    """

    now: datetime
    settle: timedelta
    on_unknown: OnUnknown
    covered: Mapping[int, DateSet] = field(default_factory=dict)


def resolve(document: Document, observed: Observed, terms: Terms) -> Resolution:
    """Settle what can be settled, and forget what was settled long ago."""
    resolving = _Resolving(document, observed, terms)
    # Pending ones first: of two that fit, a match is rather theirs.
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
    terms: Terms
    taken: set[int] = field(default_factory=set)
    records: list[BackfillRecord] = field(default_factory=list)
    adopted: list[Intent] = field(default_factory=list)
    abandoned: list[Intent] = field(default_factory=list)
    unresolved: list[Intent] = field(default_factory=list)
    noted: list[Intent] = field(default_factory=list)

    def resolution(self) -> Resolution:
        changed = (*self.adopted, *self.abandoned, *self.noted)
        forgotten = tuple(sorted(_long_settled(self.document, self.terms.now)))
        delta = Delta(changed, tuple(self.records), drop_intents=forgotten)
        return Resolution(delta, tuple(self.adopted), tuple(self.abandoned), tuple(self.unresolved))

    def create(self, intent: Intent) -> None:
        if intent.outcome not in OPEN:
            return
        seen = _seen(self.observed)
        match = find_match(intent, seen, self.document, self.terms.settle, self.taken)
        if match is not None:
            self.taken.add(match.id)
            self.records.append(adopted(match, intent))
            self.adopted.append(found(intent, match.id))
        elif intent.pending:
            self._without_match(intent)
        elif intent.unlisted_at is None and self._shows_nothing(intent):
            self.noted.append(replace(intent, unlisted_at=self.observed.later))

    def _without_match(self, intent: Intent) -> None:
        covered = self.terms.covered.get(intent.transfer_id, EMPTY)
        concludes = self.terms.on_unknown is not OnUnknown.BLOCK
        if not self._is_settled(intent):
            self.unresolved.append(intent)
        elif not intent.days - covered or (concludes and self._has_old_latest(intent)):
            self.abandoned.append(not_created(intent))
        elif concludes and self._loads_nothing_more(intent):
            self.abandoned.append(not_created(replace(intent, unlisted_at=self.observed.later)))
        else:
            self.unresolved.append(intent)

    def _is_settled(self, intent: Intent) -> bool:
        return is_settled(intent, self.terms.now, self.observed.vendor_least, self.terms.settle)

    def _shows_nothing(self, intent: Intent) -> bool:
        return self._is_settled(intent) and self._has_old_latest(intent)

    def _has_old_latest(self, intent: Intent) -> bool:
        """Tell whether ``latest`` still answers what it answered before; that there is none proves nothing of
        an intent so old that its backfill may be forgotten.
        """
        young = self.terms.now - intent.intended_at < LATEST_KEPT
        return _has_old_latest(intent, self.observed) and (young or intent.latest_before is not None)

    def _loads_nothing_more(self, intent: Intent) -> bool:
        """Tell whether the whole list does not show it; what it may have loaded, the run list will tell."""
        runs = self.observed.runs.get(intent.transfer_id, UNREAD)
        return not self.observed.list_full and not isinstance(runs, Unreadable)

    def cancel(self, intent: Intent) -> None:
        """A cancel may be sent again without harm, so one that did not happen is simply given up: once
        its sender, which may be another run at work, does not send it any more.
        """
        if not intent.pending or intent.backfill_id is None:
            return
        if self._is_final(intent.backfill_id):
            self.adopted.append(cancelled(intent))
        elif self.terms.now >= intent.send_before:
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


def _long_settled(document: Document, now: datetime) -> Iterable[str]:
    """Yield the intents that nothing asks for any more. Some alone tell which days the API cut off, which
    transfer took another's place, or that a load counts although it is dated early.
    """
    for intent in document.intents.values():
        made = document.backfills.get(intent.backfill_id) if intent.backfill_id is not None else None
        known = intent.outcome not in OPEN or intent.unlisted_at is not None
        old = known and now - intent.intended_at > INTENTS_KEPT
        alone = intent.source_ids == (intent.transfer_id,) and not is_dated_early(intent)
        if old and alone and not any(days_cut_off(intent, made)):
            yield intent.nonce


def _seen(observed: Observed) -> tuple[Backfill, ...]:
    answers = (*observed.listed, *observed.latest.values())
    return tuple(backfill for backfill in answers if isinstance(backfill, Backfill))


def _has_old_latest(intent: Intent, observed: Observed) -> bool:
    """Tell whether ``latest`` was read, and still answers what it answered before the intent."""
    latest = observed.latest.get(intent.transfer_id, UNREAD)
    if isinstance(latest, Unreadable):
        return False
    return (latest.id if latest else None) == intent.latest_before
