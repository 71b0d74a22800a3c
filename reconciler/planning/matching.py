"""Whose a backfill is: made by a create of ours, perhaps, or surely by somebody else. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import timedelta

from reconciler.bounds import MIN_SETTLE
from reconciler.model.memory import Document, Intent
from reconciler.model.observed import ApiError, Backfill
from reconciler.planning.evidence import is_active
from reconciler.planning.intents import refused, sent_at, withdrawn


def is_match(intent: Intent, backfill: Backfill) -> bool:
    """Tell whether a backfill has exactly the transfer and the range of a create."""
    wanted = (intent.transfer_id, intent.start, intent.end)
    return (backfill.transfer_id, backfill.start, backfill.end) == wanted


def is_part(intent: Intent, backfill: Backfill) -> bool:
    """Tell whether a backfill has the transfer of a create, and no other days: an API may cut ranges."""
    within = intent.start <= backfill.start and backfill.end <= intent.end
    return backfill.transfer_id == intent.transfer_id and within


def _by_our_user(intent: Intent, backfill: Backfill, document: Document) -> bool:
    """Tell whether a backfill is by the user of the key that sent a create, as far as that is known."""
    user = document.users.get(intent.key_hash)
    return user is None or backfill.created_user_id in (None, user.user_id)


def made_about_then(intent: Intent, backfill: Backfill, settle: timedelta) -> bool:
    """Tell whether a backfill was made within settle time of an intent, by the vendor's clock."""
    return abs(backfill.created_time - sent_at(intent)) <= max(settle, MIN_SETTLE)


def find_match(
    intent: Intent,
    seen: Iterable[Backfill],
    document: Document,
    settle: timedelta,
    taken: Container[int] = (),
) -> Backfill | None:
    """Return the newest backfill that can only be this create: exact, of an id that the document did not
    know before, made about then, and by the user of the key that sent it, where that is known. ``taken`` are
    ids that another create has made.
    """
    matches = (
        backfill
        for backfill in seen
        if is_match(intent, backfill)
        and backfill.id != intent.latest_before
        and backfill.id not in document.backfills
        and backfill.id not in taken
        and made_about_then(intent, backfill, settle)
        and _by_our_user(intent, backfill, document)
    )
    return max(matches, key=lambda backfill: backfill.id, default=None)


def after_refusal(
    intent: Intent, seen: Iterable[Backfill], document: Document, settle: timedelta, answer: ApiError | None
) -> Backfill | Intent:
    """Return what a refusal means by what was seen after it: the backfill that the create made all the same;
    or the intent, withdrawn where somebody else's backfill is active on its days, else refused.

    What came after the intent is no proof: of two copies that a gateway sent, the first may have been made
    and over before it.
    """
    shown = tuple(seen)
    match = find_match(intent, shown, document, settle)
    if match is not None:
        return match
    own = (backfill for backfill in shown if backfill.transfer_id == intent.transfer_id)
    over = [backfill for backfill in own if backfill.overlaps(intent) and not backfill.status.final]
    blocker = min(over, key=lambda backfill: (not is_active(backfill), backfill.id), default=None)
    in_the_way = blocker is not None and is_active(blocker) and not is_ours(blocker.id, document)
    if blocker is not None and in_the_way and not _may_be_of(intent, blocker, document):
        return withdrawn(intent, blocker)
    return refused(intent, blocker, answer)


def _may_be_of(intent: Intent, backfill: Backfill, document: Document) -> bool:
    """Tell whether a backfill came after an intent, or is a part of it that the API made."""
    user = document.users.get(intent.key_hash)
    by_us = user is not None and backfill.created_user_id == user.user_id
    return backfill.created_time > sent_at(intent) or (by_us and is_part(intent, backfill))


def is_ours(backfill_id: int, document: Document) -> bool:
    record = document.backfills.get(backfill_id)
    return record is not None and record.ours
