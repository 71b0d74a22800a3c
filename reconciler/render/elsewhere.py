"""Which other pull requests plan the same days, in a comment and on a terminal. Titles are strangers'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.dates import DateSet
from reconciler.forge.sticky import Elsewhere, Overlap
from reconciler.model.desired import Address
from reconciler.planning.plan import Plan
from reconciler.render.escaping import escaped, short
from reconciler.render.headline import Aside
from reconciler.render.layout import dates
from reconciler.render.words import days, plural, teams

_PULLS, _TRANSFERS = 3, 3  # that are named
_TITLE = 60  # characters

Names = Mapping[Address, str]


def names_of(plan: Plan) -> Names:
    """Return what a plan's transfers are called."""
    return {action.address: action.transfer for action in plan.actions}


def elsewhere_markdown(elsewhere: Elsewhere, names: Names) -> list[Aside]:
    """Return the paragraphs for a comment, none where there is nothing to tell."""
    unknown = f"> Whether another {elsewhere.noun} plans the same days"
    unasked = [Aside(f"> {line}", f"{unknown} is not known of each team.") for line in _unasked(elsewhere)]
    if elsewhere.unread:
        unread = f"{unknown} could not be read."
        return [Aside(unread, unread), *unasked]
    same = f"> **The same days are planned in another {elsewhere.noun}, too**:"
    told = [
        f"> - {elsewhere.sign}{one.pull.number} “{escaped(one.pull.title, _TITLE)}”: "
        + escaped(_what(one, names))
        for one in elsewhere.overlaps[:_PULLS]
    ]
    if not told:
        return unasked
    more = len(elsewhere.overlaps) - len(told)
    told += [f"> - and {plural(more, elsewhere.noun)} more"] if more else []
    return [Aside("\n".join([f"{same}\n>", *told]), f"{same} {_numbers(elsewhere)}."), *unasked]


def _numbers(elsewhere: Elsewhere) -> str:
    named = [
        f"{elsewhere.sign}{one.pull.number}{'' if one.days else ' (perhaps)'}"
        for one in elsewhere.overlaps[:_PULLS]
    ]
    more = len(elsewhere.overlaps) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def elsewhere_lines(elsewhere: Elsewhere, names: Names) -> Iterator[str]:
    """Yield lines for a terminal."""
    if elsewhere.unread:
        yield f"Whether another {elsewhere.noun} plans the same days could not be read:"
        yield f"  {elsewhere.unread}"
    for one in elsewhere.overlaps:
        number = f"{elsewhere.sign}{one.pull.number}"
        yield f"The same days are planned in {number} “{short(one.pull.title, _TITLE)}”: {_what(one, names)}"
    if elsewhere.unlooked:
        yield f"Not looked at: {plural(elsewhere.unlooked, elsewhere.noun)}, those that changed longest ago."
    yield from _unasked(elsewhere)


def _unasked(elsewhere: Elsewhere) -> Iterator[str]:
    if elsewhere.unasked:
        which = f"Whether another {elsewhere.noun} plans the same days"
        yield f"{which} is not known of {teams(elsewhere.unasked)}: the base could not be planned there."


def _what(overlap: Overlap, names: Names) -> str:
    if overlap.days is None:
        return "perhaps; it plans too many days to tell"
    most = sorted(overlap.days.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    told = [f"{days(len(of_it))} of {names.get(one, one.transfer_id)}{_when(of_it)}" for one, of_it in most]
    more = [f"and of {plural(len(told) - _TRANSFERS, 'transfer')} more"] if len(told) > _TRANSFERS else []
    return ", ".join([*told[:_TRANSFERS], *more])


def _when(found: DateSet) -> str:
    return f" ({dates(found.intervals[0][0], found.intervals[-1][1])})"
