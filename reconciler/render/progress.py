"""What happens during an apply, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from reconciler import events
from reconciler.dates import grouped
from reconciler.formats.planfile import short
from reconciler.formats.reports import minute_after, on_the_minute
from reconciler.model.memory import Intent, Outcome
from reconciler.planning.plan import Action, ActionKind, Plan
from reconciler.planning.totals import NOT_DECLARED
from reconciler.render.endings import NEEDS_A_PLAN, SHOWN, counted, names_of
from reconciler.render.words import GREEN, RED, WIDEST, YELLOW, Paint, days

_TWICE = "does a gateway send requests twice, or are two states in use?"
_SIGNS = {ActionKind.CREATE: "+", ActionKind.RETRY: "-/+", ActionKind.CANCEL: "-"}


@dataclass(frozen=True, slots=True)
class Columns:
    """How lines are set: the width of transfers' names, whether each names its team, and the colour, which
    only the symbol has.
    """

    width: int = 0
    teams: bool = False
    paint: Paint = field(default_factory=Paint)

    @staticmethod
    def of(plan: Plan, paint: Paint) -> Columns:
        width = max((len(action.transfer) for action in plan.actions), default=0)
        return Columns(min(width, WIDEST), len(plan.teams) > 1 or plan.errored, paint)

    def line(self, sign: str, colour: str, team_id: int, written: Action | Intent, *told: str) -> str:
        """Return ``+ name  range  12 days  what became of it``."""
        team = f"team {team_id}  " if self.teams and team_id else ""
        where = f"{team}{written.transfer:<{self.width}}  {written.dates}  {days(len(written.days)):>8}"
        return f"{self.paint(f'{sign:>5}', colour)} {'  '.join([where, *told])}"


def event_line(event: events.Event, columns: Columns | None = None) -> str:  # noqa: C901 - one arm for each
    """Return a line for a person, or two. Server text in it was cleaned where it was read."""
    columns = columns or Columns()
    match event:
        case events.Created(action=action, backfill_id=backfill_id):
            sign = _SIGNS[action.kind]
            told = f"{backfill_id}{_adopted(event)}"
            return columns.line(sign, GREEN, action.address.team_id, action, told)
        case events.Cancelled(action=action, backfill_id=backfill_id):
            cancelled = replace(action, start=event.start, end=event.end)
            return columns.line("-", YELLOW, action.address.team_id, cancelled, f"{backfill_id} cancelled")
        case events.WriteRefused(action=action):
            return columns.line("!", RED, action.address.team_id, action, f"refused: {_refusal(event)}")
        case events.UnknownOutcome(intent=intent):
            return columns.line("?", YELLOW, event.team_id, intent, f"outcome unknown: {_unknown(event)}")
        case events.Withdrawn(action=action, why=why):
            told = f"not done, {why}; the next apply plans it again"
            return columns.line(".", YELLOW, action.address.team_id, action, told)
        case events.Settled(intent=intent):
            return columns.line("=", YELLOW, event.team_id, intent, _settled(intent))
        case events.Waiting(seconds=seconds, why=why):
            return f"waiting {seconds:.0f} s: {why}"
        case events.LeftUndone(transfer=transfer, cancels=()):
            cure = "make a new plan" if event.reason in NEEDS_A_PLAN else "apply it again when that is over"
            if event.reason == NOT_DECLARED:
                cure += ", or give all the files of this one with -c"
            return f"{transfer} {event.dates}: not done: {event.reason}; {cure}"
        case events.LeftUndone(transfer=transfer, cancels=cancels):
            named = ", ".join(map(str, cancels))
            return f"{transfer}: backfill {named} is not cancelled under this plan"
        case events.AppliedBefore(applied=applied):
            told = f"on {on_the_minute(applied.when)} by {applied.who}"
            return f"This plan ({short(applied.digest)}) was applied already, {told}; nothing is left of it."
        case never:
            assert_never(never)


def withdrawn_lines(those: Iterable[events.Withdrawn], columns: Columns) -> Iterator[str]:
    """Yield a line for each of a few, and one for many with the same cause."""
    for why, alike in grouped(those, lambda one: one.why).items():
        if len(alike) <= SHOWN:
            yield from (event_line(one, columns) for one in alike)
            continue
        actions = [one.action for one in alike]
        whose = f"{counted(actions)} of {names_of(actions)}"
        yield f"{columns.paint('    .', YELLOW)} {whose}: not done, {why}; the next apply plans them again"


def _adopted(made: events.Created) -> str:
    if made.refused:
        return f" adopted: made with our key, though the answer was a refusal ({_TWICE})"
    return f" found at the API ({made.why or 'no answer came'})" if made.adopted else ""


def _refusal(refused: events.WriteRefused) -> str:
    message = refused.message or "no reason given"
    told = str(replace(refused.error, message=message, description="")) if refused.error else message
    alike = "; if others are refused alike, it is not this transfer's, and stays due"
    return told + (alike if refused.suspect else "")


def _unknown(event: events.UnknownOutcome) -> str:
    answered = f"answered {event.error}" if event.error else event.why or "no answer came"
    if event.settles_at is None:
        return f"{answered}; `resolve` settles it"
    return f"{answered}; an apply after {minute_after(event.settles_at)} settles it, if the API tells"


def _settled(intent: Intent) -> str:
    if intent.outcome is Outcome.DONE:
        return f"an earlier run's {intent.kind.value} is settled: done, backfill {intent.backfill_id}"
    return f"an earlier run's {intent.kind.value} is settled: it did not happen"
