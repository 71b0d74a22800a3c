"""What happens during an apply, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from reconciler import events
from reconciler.formats.reports import encode_time
from reconciler.model.memory import Intent, Outcome
from reconciler.planning.plan import Action, ActionKind
from reconciler.render.words import days, plural, span


def event_line(event: events.Event) -> str:
    """Return one line for a person. Server text in it was cleaned where it was read."""
    match event:
        case events.Created(action=action, backfill_id=backfill_id, adopted=adopted):
            verb = "retried" if action.kind is ActionKind.RETRY else "created"
            found = " (found at the API: its answer was lost)" if adopted else ""
            return f"{_name(action)}: {verb} backfill {backfill_id}, {days(len(action.days))}{found}"
        case events.Cancelled(action=action, backfill_id=backfill_id):
            return f"{_name(action)}: cancelled backfill {backfill_id}"
        case events.WriteRefused(action=action, blocker=blocker):
            held = f"backfill {blocker} is in the way" if blocker else "its days are blocked for 24 hours"
            return f"{_name(action)}: refused{_refusal(event)}; {held}"
        case events.UnknownOutcome(intent=intent, settles_at=settles_at):
            when = (
                f"an apply after {encode_time(settles_at)} settles it" if settles_at else "settle it yourself"
            )
            answered = f"answered {event.error}; " if event.error else ""
            told = f"the outcome is unknown; {when} ({resolve_command(intent)})"
            return f"{_name(intent)}: {answered}{told}"
        case events.Withdrawn(action=action, why=why):
            return f"{_name(action)}: not done, {why}; planned again"
        case events.Settled(intent=intent, late=late):
            return f"{_name(intent)}: {_settled(intent, late)}"
        case events.Waiting(seconds=seconds, why=why):
            return f"waiting {seconds:.0f} s: {why}"
        case events.LeftUndone(address=address, cancels=()):
            where = f"transfer {address.transfer_id}, {span(event.start, event.end)}"
            return f"{where}: not done under this plan; make a new one"
        case events.LeftUndone(address=address, cancels=cancels):
            named = ", ".join(map(str, cancels))
            return f"transfer {address.transfer_id}: backfill {named} is not cancelled under this plan"
        case never:
            assert_never(never)


def _refusal(refused: events.WriteRefused) -> str:
    message = refused.message or "no reason given"
    return f" with {replace(refused.error, message=message)}" if refused.error else f": {message}"


def _settled(intent: Intent, late: bool) -> str:
    if late:
        return f"a create given up earlier turned up as backfill {intent.backfill_id}; it is ours now"
    if intent.outcome is Outcome.DONE:
        return f"an earlier run's {intent.kind.value} is settled: done, backfill {intent.backfill_id}"
    return f"an earlier run's {intent.kind.value} is settled: it did not happen"


def _name(written: Action | Intent) -> str:
    return f"{written.transfer} {span(written.start, written.end)}"


def resolve_command(intent: Intent) -> str:
    return f"reconciler resolve {intent.transfer} {intent.dates} --as created:ID|not-created"


def summary_sentence(exit_status: int, totals: Mapping[str, int]) -> str:
    """Return the last line of an apply."""
    made = f"{totals['created']} created, {totals['retried']} retried, {totals['cancelled']} cancelled"
    told = f"{made} ({days(totals['days'])})"
    if totals["refused"]:
        told += f", {totals['refused']} refused"
    if totals["unknown"]:
        told += f", {plural(totals['unknown'], 'outcome')} unknown"
    head = f"Apply incomplete (exit {exit_status})" if exit_status else "Apply complete"
    return f"{head}: {told}."
