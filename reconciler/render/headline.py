"""The head of a plan as Markdown: what is done, how many days, what it adds to the base, why, and whose.

It takes no more than 1,000 characters in any ordinary plan, and never more than some 2,500: of lists that may
be long the first are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.dates import DaysByTransfer, iso
from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import Address
from reconciler.planning.approval import planned_days
from reconciler.planning.difference import changes_of, due_days, unplanned
from reconciler.planning.guards import DAYS_GUARD, OVERRIDDEN, TRIPPED
from reconciler.planning.plan import Action, ActionKind, GuardUse, Plan, all_findings
from reconciler.render.changes import unknown_of
from reconciler.render.escaping import code, escaped
from reconciler.render.reasons import DUE
from reconciler.render.view import View
from reconciler.render.words import days, plural

NAMED = 3  # of what may be thousands
NAMED_CHANGES = 2
LONGEST_NAME = 24  # characters of a name, a note twice as many


@dataclass(frozen=True, slots=True)
class Aside:
    """A paragraph that is not of the plan itself. ``brief``: the same in at most some 150 characters."""

    whole: str
    brief: str


def headline(view: View, base: Plan | None = None, besides: Sequence[Aside] = ()) -> list[str]:
    """Return the paragraphs of the head, the one for ``base`` too if it is given, and ``besides`` last."""
    told = [*_facts(view.plan, base), f"**Digest**: `{view.digest}`"]
    facts = "\n".join(f"- {fact}" for fact in told)
    return [*_totals(view), *_alarms(view.plan), facts, *(one.whole for one in besides)]


def bare(view: View, besides: Sequence[Aside] = ()) -> list[str]:
    """Return the least that any comment says: whose plan it is, the totals, that it is not to be applied as
    it is, ``besides`` in few words, and the digest.
    """
    told = [*_totals(view), *_alarms_in_brief(view.plan), *(one.brief for one in besides)]
    return [*told, f"Digest: `{view.digest}`"]


def _totals(view: View) -> list[str]:
    first, _, second = view.summary.partition("\n")
    told = ["> **Incomplete**: a team could not be planned."] if view.plan.errored else []
    told += [f"**{first}**\\\n{second}"] if view.plan.teams or not view.plan.errored else []
    return [_title(view.plan), *told]


def _title(plan: Plan) -> str:
    teams = [f"team {team.team_id}" for team in plan.teams[:NAMED]]
    teams += [f"{len(plan.teams) - NAMED} more"] if len(plan.teams) > NAMED else []
    dates = sorted({iso(team.as_of) for team in plan.teams})
    as_of = f", as of {dates[-1]}" if dates else ""
    return f"### Backfill plan{': ' if teams else ''}{', '.join(teams)}{as_of}"


def is_alarm(finding: Finding) -> bool:
    """Tell whether a finding is for everybody: an error, or a guard that does not hold."""
    return finding.severity is Severity.ERROR or finding.rule in (TRIPPED, OVERRIDDEN)


def _alarms(plan: Plan) -> Iterator[str]:
    found = [one for one in all_findings(plan) if is_alarm(one)]
    told = [f"> **{escaped(one.summary)}.** {escaped(one.detail, 200)}" for one in found[:NAMED]]
    told += [f"> And {len(found) - NAMED} more."] if len(found) > NAMED else []
    if told:
        yield "\n>\n".join(told)


def _alarms_in_brief(plan: Plan) -> Iterator[str]:
    found = all_findings(plan)
    errors = sum(one.severity is Severity.ERROR and one.rule != TRIPPED for one in found)
    if plan.guarded:
        yield "> **A guard refuses this plan.**"
    if errors:
        yield f"> **{plural(errors, 'error')}**: see the plan file."
    if any(one.rule == OVERRIDDEN for one in found):
        yield "> **A guard was overridden.**"


def _facts(plan: Plan, base: Plan | None) -> Iterator[str]:
    if base is not None:
        yield f"**Over the base**: {_over_the_base(base, plan)}"
    if plan.actions:
        yield f"**Why**: {_why(plan.actions)}"
        yield f"**Whose**: {_whose(plan.actions)}"
        yield from _notes(plan.actions)
    guards = [use for team in plan.teams for use in team.guards]
    if guards:
        yield f"**Guards**: {_most(map(_left_of, sorted(guards, key=_used)), NAMED, '; ')}"
    waiting = Counter[str]()
    for team in plan.teams:
        for item in team.items:
            waiting[item.reason] += len(item.days)
    if waiting:
        told = (f"{days(n)} {code(reason, LONGEST_NAME)}" for reason, n in waiting.most_common())
        yield f"**Not now**: {_most(told, NAMED)}"


# --- what it adds ---------------------------------------------------------------------------


def _over_the_base(base: Plan, plan: Plan) -> str:
    told = "; ".join(_more_or_less(base, plan))
    unknown = unknown_of(base, plan, "the base", "this plan")
    if unknown:
        return f"**{unknown}**{f'; otherwise {told}' if told else ''}"
    return told or "nothing, it plans the same"


def _more_or_less(base: Plan, plan: Plan) -> Iterator[str]:
    """Yield which days are loaded now or later that were not, or no longer; and which at another time."""
    unknown = {*unplanned(base, plan), *unplanned(plan, base)}
    before, after = (_known(due_days(one), unknown) for one in (base, plan))
    then, now = (_known(planned_days(one.actions), unknown) for one in (base, plan))
    names = _names(base) | _names(plan)
    if added := after - before:
        at_once, all_of_them = _count(added & now), _count(added)
        told = f", {at_once or 'none'} of them now" if at_once < all_of_them else ""
        yield f"**{days(all_of_them)} more** ({_sum(added, '+', names)}{told})"
    if removed := before - after:
        yield f"**{days(_count(removed))} fewer** ({_sum(removed, '−', names)})"
    if sooner := _count((now - then) & before):
        yield f"{days(sooner)} sooner"
    if later := _count((then - now) & after):
        yield f"{days(later)} put off"
    doing = changes_of(base, plan)
    if cancels := sum(len(one.new_cancels) for one in doing):
        yield f"{plural(cancels, 'cancel')} more"
    if kept := sum(len(one.kept) for one in doing):
        yield f"{plural(kept, 'cancel')} fewer"


def _known(found: DaysByTransfer[Address], unknown: Collection[int]) -> DaysByTransfer[Address]:
    return DaysByTransfer((one, found[one]) for one in found if one.team_id not in unknown)


def _names(plan: Plan) -> dict[Address, str]:
    names = {item.address: item.transfer for team in plan.teams for item in team.items}
    return names | {action.address: action.transfer for action in plan.actions}


def _count(found: DaysByTransfer[Address]) -> int:
    return sum(map(len, found.values()))


def _sum(found: DaysByTransfer[Address], sign: str, names: Mapping[Address, str]) -> str:
    """Return on which transfers most days are."""
    most = sorted(found, key=lambda one: (-len(found[one]), one))
    return _most((f"{_named(names[one])} {sign}{len(found[one]):,}" for one in most), NAMED_CHANGES)


# --- why, and whose ---------------------------------------------------------------------------


def _why(actions: Iterable[Action]) -> str:
    reasons = Counter[str]()
    for action in actions:
        reasons.update(action.reasons)
    counted = (f"{days(n)} {DUE.get(reason, escaped(reason, 40))}" for reason, n in reasons.most_common())
    return _most(counted, NAMED)


def _notes(actions: Iterable[Action]) -> Iterator[str]:
    notes = Counter[str]()
    for action in actions:
        notes.update({note: len(action.days) for note in action.notes})
    if notes:
        said = (f"“{escaped(note, 2 * LONGEST_NAME)}”" for note, _days in notes.most_common())
        yield f"**The file says**: {_most(said, NAMED)}"


def _whose(actions: Iterable[Action]) -> str:
    owned = Counter[str]()
    for action in actions:
        if action.kind is not ActionKind.CANCEL:
            owned.update({owner: len(action.days) for owner in action.owners or ("",)})
    named = (f"{_named(owner) or 'nobody'} {days(n)}" for owner, n in owned.most_common())
    return _most(named, NAMED) or "no days"


def _named(name: str) -> str:
    return escaped(name, LONGEST_NAME)


def _used(use: GuardUse) -> tuple[float, str, str]:
    """Order guards: the one of which the least is left first."""
    return (-use.planned / max(use.allowed, 1), use.owner, use.guard)


def _left_of(use: GuardUse) -> str:
    whose = _named(use.owner) if use.owner else f"team {use.team_id}"
    unit = "days" if use.guard == DAYS_GUARD else "rows"
    left = use.allowed - use.planned
    if left < 0:
        return f"{whose}: **{-left:,} {unit} too many** ({use.planned:,} of {use.allowed:,})"
    return f"{whose}: {left:,} of {use.allowed:,} {unit} left"


def _most(texts: Iterable[str], most: int, between: str = ", ") -> str:
    """Return the first texts, and how many more there are."""
    found = list(texts)
    more = [f"and {len(found) - most:,} more"] if len(found) > most else []
    return between.join([*found[:most], *more])
