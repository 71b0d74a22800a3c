"""What became of the writes whose answer nobody saw: the *resolve* rules of design section 6. Pure.

Reasoned by ids and by our own clock only, never by the vendor's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.bounds import LATE_MATCH
from reconciler.dates import DateSet
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import (
    BackfillRecord,
    Delta,
    Document,
    Intent,
    IntentKind,
    Origin,
    Outcome,
)
from reconciler.model.observed import Backfill, Observed, Unreadable


@dataclass(frozen=True, slots=True)
class Resolution:
    """The delta that settles intents, and what to tell of it.

    ``late`` are intents once settled as not created (or refused) that were found after all.
    ``unresolved`` are still pending, with the time from which a run settles them by itself.
    """

    delta: Delta = field(default_factory=Delta)
    adopted: tuple[Intent, ...] = ()
    abandoned: tuple[Intent, ...] = ()
    late: tuple[Intent, ...] = ()
    unresolved: tuple[Intent, ...] = ()

    def __post_init__(self) -> None:
        assert all(intent.backfill_id is not None for intent in (*self.adopted, *self.late))


def is_match(intent: Intent, backfill: Backfill) -> bool:
    """Tell whether a backfill has exactly the transfer and the range of a create."""
    return (backfill.transfer_id, backfill.start, backfill.end) == (
        intent.transfer_id,
        intent.start,
        intent.end,
    )


def find_match(intent: Intent, seen: Iterable[Backfill], known: Iterable[int]) -> Backfill | None:
    """Return the newest backfill that can only be this create: exact, and of an id unknown before."""
    barred = {*known, intent.latest_before}
    matches = [one for one in seen if is_match(intent, one) and one.id not in barred]
    return max(matches, key=lambda one: one.id, default=None)


def wants_latest(document: Document) -> frozenset[int]:
    """Return the transfers whose ``latest`` must be read to settle an intent."""
    creates = (one for one in document.intents.values() if one.kind is IntentKind.CREATE)
    return frozenset(one.transfer_id for one in creates if one.pending)


def resolve(
    document: Document,
    observed: Observed,
    now: datetime,
    settle: timedelta,
    on_unknown: OnUnknown,
) -> Resolution:
    """Settle what can be settled. Not created: ``latest`` still has the id it had, and settle
    time has passed since the intent; otherwise it stays unresolved.

    ``now`` is when reading began: what took effect since may not have been seen.
    """
    known = set(document.backfills)
    found = _Found()
    # Pending ones first: a request takes effect within settle time, so a match is rather theirs.
    order = sorted(document.intents.values(), key=lambda one: (not one.pending, one.intended_at, one.nonce))
    for intent in order:
        if intent.kind is IntentKind.CANCEL:
            _resolve_cancel(intent, document, observed, now, found)
        else:
            _resolve_create(intent, observed, known, now, settle, on_unknown, found)
    return found.resolution()


@dataclass(slots=True)
class _Found:
    records: list[BackfillRecord] = field(default_factory=list)
    adopted: list[Intent] = field(default_factory=list)
    abandoned: list[Intent] = field(default_factory=list)
    late: list[Intent] = field(default_factory=list)
    unresolved: list[Intent] = field(default_factory=list)

    def resolution(self) -> Resolution:
        changed = (*self.adopted, *self.abandoned, *self.late)
        delta = Delta(intents=tuple(changed), backfills=tuple(self.records))
        told = (tuple(self.adopted), tuple(self.abandoned), tuple(self.late), tuple(self.unresolved))
        return Resolution(delta, *told)


def _seen(observed: Observed) -> tuple[Backfill, ...]:
    answers = (*observed.listed, *observed.latest.values())
    return tuple(one for one in answers if one is not None)


def _resolve_create(
    intent: Intent,
    observed: Observed,
    known: set[int],
    now: datetime,
    settle: timedelta,
    on_unknown: OnUnknown,
    found: _Found,
) -> None:
    if intent.outcome is Outcome.DONE or now - intent.intended_at > _matches_until(intent, settle):
        return
    match = find_match(intent, _seen(observed), known)
    if match is not None:
        known.add(match.id)
        found.records.append(adopt(match, intent))
        done = replace(intent, outcome=Outcome.DONE, backfill_id=match.id)
        (found.adopted if intent.pending else found.late).append(done)
    elif intent.pending and _not_created(intent, observed, now, settle, on_unknown):
        found.abandoned.append(replace(intent, outcome=Outcome.ABANDONED, blocker=None))
    elif intent.pending:
        found.unresolved.append(intent)


def _matches_until(intent: Intent, settle: timedelta) -> timedelta:
    """Return how long after an intent a backfill that fits is taken for its own. What was withdrawn got an
    answer: what a gateway may have made of it shows within settle time, and a later one is a person's.
    """
    if intent.pending:
        return timedelta.max
    return settle if _was_withdrawn(intent) else LATE_MATCH


def _was_withdrawn(intent: Intent) -> bool:
    """Tell whether it was refused, and given up because another backfill was in its way."""
    return intent.outcome is Outcome.ABANDONED and intent.blocker is not None


def doubted(
    document: Document,
    observed: Observed,
    due: Iterable[tuple[tuple[int, ...], DateSet]],
    unsettled_since: datetime,
) -> tuple[Intent, ...]:
    """Return, pending again, the creates on due days that were refused, or withdrawn after a refusal, and
    that may have been made after all.

    ``due`` has, for each transfer, the ids whose loads count for it, and its due days: a day whose
    refusal still holds is not among them. ``unsettled_since`` is settle time ago: what was refused since
    then, reads may hide yet.
    A gateway that sends a request twice passes on the refusal of the second one, while reads that
    lag hide what the first one made. ``latest`` tells, unless something newer hides it; run lists do.
    """
    heirs: dict[int, list[tuple[tuple[int, ...], DateSet]]] = {}
    for sources, days in due:
        for source in sources:
            heirs.setdefault(source, []).append((sources, days))
    return tuple(
        replace(one, outcome=Outcome.PENDING)
        for one in document.intents.values()
        if (one.outcome is Outcome.REFUSED or _was_withdrawn(one))
        and isinstance(observed.runs.get(one.transfer_id, Unreadable.FAILED), Unreadable)
        and (one.intended_at > unsettled_since or not _has_old_latest(one, observed))
        and any(
            one.days & days and not _was_taken_up(one, sources, document)
            for sources, days in heirs.get(one.transfer_id, ())
        )
    )


def _was_taken_up(intent: Intent, sources: tuple[int, ...], document: Document) -> bool:
    """Tell whether a later run created on its days: it was no longer in doubt then."""
    later = (one for one in document.intents.values() if one.intended_at > intent.intended_at)
    same = (one for one in later if one.kind is intent.kind and one.transfer_id in sources)
    return any(one.start < intent.end and intent.start < one.end for one in same)


def adopt(backfill: Backfill, intent: Intent) -> BackfillRecord:
    """Return the record of a backfill that one of our intents made."""
    return BackfillRecord(backfill, intent.transfer, Origin.ADOPTED, intent.stale_before)


def _not_created(
    intent: Intent, observed: Observed, now: datetime, settle: timedelta, on_unknown: OnUnknown
) -> bool:
    if on_unknown is OnUnknown.BLOCK or now < intent.intended_at + settle:
        return False
    return _has_old_latest(intent, observed)


def _has_old_latest(intent: Intent, observed: Observed) -> bool:
    """Tell whether ``latest`` was read, and still answers what it answered before the intent."""
    if intent.transfer_id not in observed.latest:
        return False
    latest = observed.latest[intent.transfer_id]
    return (latest.id if latest else None) == intent.latest_before


def _resolve_cancel(
    intent: Intent, document: Document, observed: Observed, now: datetime, found: _Found
) -> None:
    """A cancel may be sent again without harm, so one that did not happen is simply given up: once
    its sender, which may be another run at work, does not send it any more.
    """
    if not intent.pending or intent.backfill_id is None:
        return
    if _is_final(intent.backfill_id, document, observed):
        found.adopted.append(replace(intent, outcome=Outcome.DONE))
    elif now >= intent.send_before:
        found.abandoned.append(replace(intent, outcome=Outcome.ABANDONED))


def _is_final(backfill_id: int, document: Document, observed: Observed) -> bool:
    record = document.backfills.get(backfill_id)
    fetched = observed.fetched.get(backfill_id)
    return bool((record and record.status.final) or (fetched and fetched.status.final))
