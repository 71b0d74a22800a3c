"""The head of a plan as Markdown: what is done, how many days, what it adds to the base, why, and whose.

It takes no more than 1,000 characters in any ordinary plan, and never more than some 2,500: of lists that may
be long the first are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reconciler.dates import iso
from reconciler.diagnostics import Severity
from reconciler.planning.difference import Changed, changes_of
from reconciler.planning.guards import DAYS_GUARD
from reconciler.planning.plan import Action, ActionKind, GuardUse, Plan, all_findings
from reconciler.render.escaping import escaped
from reconciler.render.reasons import DUE
from reconciler.render.view import View
from reconciler.render.words import days, plural

NAMED = 3  # of what may be thousands
NAMED_OWNERS = 5


def headline(view: View, base: Plan | None = None) -> list[str]:
    """Return the paragraphs of the head, the one for ``base`` too if it is given."""
    told = [*_facts(view.plan, base), f"**Digest**: `{view.digest}`"]
    return [*bare(view)[:-1], *_errors(view.plan), "\n".join(f"- {fact}" for fact in told)]


def bare(view: View) -> list[str]:
    """Return the least that any comment says: whose plan it is, the totals, and the digest."""
    first, _, second = view.summary.partition("\n")
    return [_title(view.plan), f"**{first}**\\\n{second}", f"Digest: `{view.digest}`"]


def _title(plan: Plan) -> str:
    teams = [f"team {team.team_id}" for team in plan.teams[:NAMED]]
    teams += [f"{len(plan.teams) - NAMED} more"] if len(plan.teams) > NAMED else []
    dates = sorted({iso(team.as_of) for team in plan.teams})
    as_of = f", as of {dates[-1]}" if dates else ""
    return f"### Backfill plan{': ' if teams else ''}{', '.join(teams)}{as_of}"


def _errors(plan: Plan) -> Iterator[str]:
    found = [one for one in all_findings(plan) if one.severity is Severity.ERROR]
    told = [f"> **{escaped(one.summary)}.** {escaped(one.detail, 200)}" for one in found[:NAMED]]
    told += [f"> {len(found) - NAMED} more errors."] if len(found) > NAMED else []
    if told:
        yield "\n>\n".join(told)


def _facts(plan: Plan, base: Plan | None) -> Iterator[str]:
    if base is not None:
        yield f"**Over the base**: {_over_the_base(changes_of(base, plan))}"
    if plan.actions:
        yield f"**Why**: {_why(plan.actions)}"
        yield f"**Whose**: {_whose(plan.actions)}"
    guards = [use for team in plan.teams for use in team.guards]
    if guards:
        yield f"**Guards**: {_most(map(_left_of, sorted(guards, key=_used)), NAMED, '; ')}"
    waiting = Counter[str]()
    for team in plan.teams:
        for item in team.items:
            waiting[item.reason] += len(item.days)
    if waiting:
        yield f"**Not now**: {_most((f'{days(n)} `{reason}`' for reason, n in waiting.most_common()), 4)}"


# --- what it adds ---------------------------------------------------------------------------


def _over_the_base(changes: Sequence[Changed]) -> str:
    doing = [one for one in changes if one.acts]
    more = [(one, len(one.more), len(one.sooner)) for one in doing if one.more]
    fewer = [(one, len(one.fewer), len(one.later)) for one in doing if one.fewer]
    told = [_sum(more, "more", "+", "deferred there")] if more else []
    told += [_sum(fewer, "fewer", "−", "deferred now")] if fewer else []
    cancels = sum(len(one.new_cancels) for one in doing)
    told += [f"{plural(cancels, 'cancel')} more"] if cancels else []
    kept = sum(len(one.kept) for one in doing)
    told += [f"{plural(kept, 'cancel')} fewer"] if kept else []
    return "; ".join(told) or "nothing, it plans the same"


def _sum(found: list[tuple[Changed, int, int]], word: str, sign: str, moved: str) -> str:
    """Return what is planned more, or fewer, and on which transfers most."""
    most = sorted(found, key=lambda one: (-one[1], one[0].address))
    named = _most((f"`{one.transfer}` {sign}{number}" for one, number, _moved in most), NAMED)
    of_them = sum(number for _one, _number, number in found)
    told = f", {of_them} of them {moved}" if of_them else ""
    return f"**{days(sum(number for _one, number, _moved in found))} {word}** ({named}{told})"


# --- why, and whose ---------------------------------------------------------------------------


def _why(actions: Iterable[Action]) -> str:
    reasons, notes = Counter[str](), Counter[str]()
    for action in actions:
        reasons.update(action.reasons)
        notes.update({note: len(action.days) for note in action.notes})
    counted = (f"{days(n)} {DUE.get(reason, escaped(reason, 40))}" for reason, n in reasons.most_common())
    told = [_most(counted, NAMED)]
    told += [_most((f"“{escaped(note, 80)}”" for note, _n in notes.most_common()), 2)] if notes else []
    return "; ".join(told)


def _whose(actions: Iterable[Action]) -> str:
    owned = Counter[str]()
    for action in actions:
        if action.kind is not ActionKind.CANCEL:
            owned.update({owner: len(action.days) for owner in action.owners or ("",)})
    named = (f"{escaped(owner, 40) or 'nobody'} {days(n)}" for owner, n in owned.most_common())
    return _most(named, NAMED_OWNERS) or "no days"


def _used(use: GuardUse) -> tuple[float, str, str]:
    """Order guards: the one of which the least is left first."""
    return (-use.planned / max(use.allowed, 1), use.owner, use.guard)


def _left_of(use: GuardUse) -> str:
    whose = escaped(use.owner, 40) if use.owner else f"team {use.team_id}"
    unit = "days" if use.guard == DAYS_GUARD else "rows"
    left = use.allowed - use.planned
    told = f"{left:,} left" if left >= 0 else f"**{-left:,} too many**"
    return f"{whose} {use.planned:,} of {use.allowed:,} {unit}, {told}"


def _most(texts: Iterable[str], most: int, between: str = ", ") -> str:
    """Return the first texts, and how many more there are."""
    found = list(texts)
    more = [f"and {len(found) - most:,} more"] if len(found) > most else []
    return between.join([*found[:most], *more])
