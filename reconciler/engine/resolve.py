"""Settling an intent by hand: a person says what became of a create that nothing else can tell."""

from __future__ import annotations

from dataclasses import replace

from reconciler.api.client import ApiClient
from reconciler.dates import Day, iso, last_iso, parse_iso
from reconciler.errors import Refused, UsageError
from reconciler.model.memory import Delta, Document, Intent, IntentKind, Outcome
from reconciler.planning.intents import adopt, is_match


def unresolved(document: Document) -> tuple[Intent, ...]:
    """Return the creates whose outcome is unknown, oldest first."""
    creates = (one for one in document.intents.values() if one.pending and one.kind is IntentKind.CREATE)
    return tuple(sorted(creates, key=lambda one: (one.intended_at, one.nonce)))


def find_intent(document: Document, transfer_id: int, start: Day, end: Day) -> Intent:
    """Return the unresolved create of ``[start, end)``. Raises ``Refused`` if there is none."""
    for intent in unresolved(document):
        if (intent.transfer_id, intent.start, intent.end) == (transfer_id, start, end):
            return intent
    there = [f"{one.transfer} {iso(one.start)}..{last_iso(one.end)}" for one in unresolved(document)]
    detail = f"Unresolved: {'; '.join(there)}." if there else "Nothing is unresolved."
    raise Refused("There is no such unresolved create", detail, "Give the transfer and the exact range.")


def as_created(intent: Intent, backfill_id: int, document: Document, client: ApiClient) -> Delta:
    """Return the delta that adopts a backfill for an intent, after reading it from the API.

    Raises ``Refused`` if it is not there, is of another transfer or range, or is known as another's.
    """
    backfill = client.get(backfill_id)
    if backfill is None:
        raise Refused("There is no such backfill", f"The API answers 404 for {backfill_id}.", "Check the id.")
    if not is_match(intent, backfill):
        seen = f"transfer {backfill.transfer_id}, {iso(backfill.start)}..{last_iso(backfill.end)}"
        raise Refused(
            "The backfill does not match", f"Backfill {backfill_id} is for {seen}.", "Check the id."
        )
    known = document.backfills.get(backfill_id)
    if known is not None and known.ours:
        raise Refused("The backfill is already known", f"Another create of ours made {backfill_id}.")
    done = replace(intent, outcome=Outcome.DONE, backfill_id=backfill_id)
    return Delta(intents=(done,), backfills=(adopt(backfill, intent),))


def as_not_created(intent: Intent) -> Delta:
    """Return the delta that gives an intent up: its days are due again."""
    return Delta(intents=(replace(intent, outcome=Outcome.ABANDONED, blocker=None),))


def parse_range(text: str) -> tuple[Day, Day]:
    """Return ``START..END`` (inclusive dates) as a half-open interval. Raises ``UsageError``."""
    first, dots, last = text.partition("..")
    try:
        start, end = parse_iso(first), parse_iso(last if dots else first) + 1
    except ValueError:
        raise UsageError("Not a range of days", f"{text!r} is not START..END, both YYYY-MM-DD.") from None
    if start >= end:
        raise UsageError("Not a range of days", f"{text!r} ends before it starts.")
    return start, end
