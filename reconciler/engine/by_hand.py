"""Settling an intent by hand: a person says what became of a create that nothing else can tell."""

from __future__ import annotations

from reconciler.api.client import ApiClient
from reconciler.dates import Day
from reconciler.errors import Refused
from reconciler.model.memory import Delta, Document, Intent
from reconciler.planning.intents import adopted, found, is_match, not_created, unresolved


def find_intent(document: Document, transfer_id: int, start: Day, end: Day) -> Intent:
    """Return the unresolved create of ``[start, end)``. Raises ``Refused`` if there is none."""
    open_ = unresolved(document)
    for intent in open_:
        if (intent.transfer_id, intent.start, intent.end) == (transfer_id, start, end):
            return intent
    there = [f"{intent.transfer} {intent.dates}" for intent in open_]
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
        seen = f"transfer {backfill.transfer_id}, {backfill.dates}"
        raise Refused(
            "The backfill does not match", f"Backfill {backfill_id} is for {seen}.", "Check the id."
        )
    known = document.backfills.get(backfill_id)
    if known is not None and known.ours:
        raise Refused("The backfill is already known", f"Another create of ours made {backfill_id}.")
    return Delta(intents=(found(intent, backfill_id),), backfills=(adopted(backfill, intent),))


def as_not_created(intent: Intent) -> Delta:
    """Return the delta that gives an intent up: its days are due again."""
    return Delta(intents=(not_created(intent),))
