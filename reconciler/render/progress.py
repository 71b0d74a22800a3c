"""What happens during an apply, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from reconciler import events
from reconciler.formats.commands import resolving
from reconciler.formats.planfile import short
from reconciler.formats.reports import encode_time
from reconciler.model.memory import Intent, Outcome
from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.plan import Action, ActionKind
from reconciler.planning.totals import NOT_DECLARED
from reconciler.render.words import days, plural, span

_NEEDS_A_PLAN = (NOT_APPROVED, NOT_DECLARED)
_TWICE = "does a gateway send requests twice, or are two states in use?"


def event_line(event: events.Event) -> str:  # noqa: C901 - one arm for each event
    """Return one line for a person. Server text in it was cleaned where it was read."""
    match event:
        case events.Created(action=action):
            return f"{_name(action)}: {_created(event)}"
        case events.Cancelled(action=action, backfill_id=backfill_id):
            return f"{_name(action)}: cancelled backfill {backfill_id}"
        case events.WriteRefused(action=action):
            return f"{_name(action)}: refused{_refusal(event)}; {_until(event)}"
        case events.UnknownOutcome(intent=intent, settles_at=settles_at):
            settled = f"an apply after {encode_time(settles_at)} settles it; or " if settles_at else ""
            answered = f"answered {event.error}; " if event.error else ""
            told = f"the outcome is unknown; {settled}look at the vendor's pages, and settle it by one of:"
            return f"{_name(intent)}: {answered}{told}{resolving(intent.transfer, intent.dates)}"
        case events.Withdrawn(action=action, why=why):
            return f"{_name(action)}: not done, {why}; the next apply plans it again"
        case events.Settled(intent=intent):
            return f"{_name(intent)}: {_settled(intent)}"
        case events.Waiting(seconds=seconds, why=why):
            return f"waiting {seconds:.0f} s: {why}"
        case events.LeftUndone(transfer=transfer, cancels=()):
            cure = "make a new plan" if event.reason in _NEEDS_A_PLAN else "apply it again when that is over"
            return f"{transfer} {span(event.start, event.end)}: not done: {event.reason}; {cure}"
        case events.LeftUndone(transfer=transfer, cancels=cancels):
            named = ", ".join(map(str, cancels))
            return f"{transfer}: backfill {named} is not cancelled under this plan"
        case events.AppliedBefore(applied=applied):
            told = f"on {encode_time(applied.when)} by {applied.who}"
            return f"This plan ({short(applied.digest)}) was applied already, {told}; nothing is left to do."
        case never:
            assert_never(never)


def _until(refused: events.WriteRefused) -> str:
    """Say what frees the days of a refused write."""
    if refused.blocker:
        return f"backfill {refused.blocker} is in the way"
    if refused.by_hand:
        return "these wait for `reconciler retry`, or for `exclude` in the file"
    if refused.error is None:
        return "a later run asks for these by themselves"
    if refused.blind:
        return "a run in 20 hours tries again, if nothing was made of it; or after `reconciler retry`"
    return "a run in 20 hours tries again, or one after `reconciler retry`"


def _created(made: events.Created) -> str:
    verb, what = "created", f"backfill {made.backfill_id}, {days(len(made.action.days))}"
    if made.refused:
        return f"adopted {what} (made with our key, though the answer was a refusal: {_TWICE})"
    if made.action.kind is ActionKind.RETRY:
        verb = "retried"
    return f"{verb} {what}{' (found at the API: its answer was lost)' if made.adopted else ''}"


def _refusal(refused: events.WriteRefused) -> str:
    message = refused.message or "no reason given"
    return f" with {replace(refused.error, message=message)}" if refused.error else f": {message}"


def _settled(intent: Intent) -> str:
    if intent.outcome is Outcome.DONE:
        return f"an earlier run's {intent.kind.value} is settled: done, backfill {intent.backfill_id}"
    return f"an earlier run's {intent.kind.value} is settled: it did not happen"


def _name(written: Action | Intent) -> str:
    return f"{written.transfer} {span(written.start, written.end)}"


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
