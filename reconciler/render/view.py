"""One view of a plan, computed once: what its text and its Markdown show, and its JSON says.

It has the transfers with what is done and what is not, the pieces of one range together, each line with its
sign, its reason in words and its place. How that is laid out is for ``text.py`` and ``markdown.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from reconciler.dates import Day, grouped
from reconciler.diagnostics import Place
from reconciler.formats.planfile import digest
from reconciler.planning.budget import CREATES, OPEN, OPEN_ON_TRANSFER
from reconciler.planning.plan import (
    COUNTED,
    LISTED,
    Action,
    ActionKind,
    DayCounts,
    Item,
    Plan,
    TeamPlan,
    TransferSummary,
)
from reconciler.planning.standing import named
from reconciler.render.reasons import SIGNS, sign_of, why, words_of
from reconciler.render.words import worded

OUT_OF_TURN = "\none place goes to the last in line"
SHOWN_ITEMS = 3  # of one reason on one transfer, where not all are asked for


@dataclass(frozen=True, slots=True)
class Row:
    """Days ``[start, end)`` of a transfer told in one line; ``number`` of them are meant. ``words``: why, or
    why not and what frees them; a command among them has a line of its own. ``note``: people's own reason.
    ``pieces``: how many backfills these are.
    """

    sign: str
    colour: str
    start: Day
    end: Day
    number: int
    words: str = ""
    places: tuple[Place, ...] = ()
    note: str = ""
    owners: tuple[str, ...] = ()
    pieces: int = 1

    @property
    def said(self) -> str:
        """Why, and in how many backfills."""
        several = f"in {self.pieces} backfills" if self.pieces > 1 else ""
        return ", ".join(filter(None, (self.words, several)))


@dataclass(frozen=True, slots=True)
class Part:
    """What is shown of one transfer. ``now``: when the plan was made."""

    summary: TransferSummary
    actions: tuple[Action, ...]
    items: tuple[Item, ...]
    now: datetime

    @property
    def alike(self) -> tuple[object, ...]:
        """What it has in common with others that need not be shown each."""
        actions = [(one.kind, tuple(one.reasons), len(one.days), one.error) for one in self.actions]
        return (tuple(actions), self.kinds, self.summary.paused_by_file)

    @property
    def kinds(self) -> tuple[object, ...]:
        """What its days that are not acted on wait for."""
        kinds = {(one.bucket, one.limit, *one.said) for one in self.items}
        return tuple(sorted(kinds, key=str))

    def rows(self, whole: bool = False) -> list[Row]:
        """Return its lines, the newest days first; ``whole``: each backfill and each range has its own."""
        rows = [*self.done(whole), *self.left(whole)]
        return sorted(rows, key=lambda row: (-row.end, row.sign))

    def done(self, whole: bool = False) -> Iterator[Row]:
        """Yield what is done."""
        newest_first = sorted(self.actions, key=lambda action: (-action.end, action.kind))
        for run in _runs(newest_first, whole):
            first, last = run[-1], run[0]
            days = (first.start, last.end, sum(len(one.days) for one in run))
            note = "; ".join(first.notes)
            yield Row(*SIGNS[first.kind], *days, why(first), first.declared_at, note, first.owners, len(run))

    def left(self, whole: bool = False) -> Iterator[Row]:
        """Yield what is not acted on: the newest ranges of each reason, and the rest counted."""
        for bucket in LISTED:
            own = (item for item in self.items if item.bucket is bucket)
            ordered = sorted(own, key=lambda item: (*_why_of(item), -item.end))
            for _key, group in groupby(ordered, key=_why_of):
                items = list(group)
                shown = items if whole else items[:SHOWN_ITEMS]
                for number, item in enumerate(shown):
                    words = self.told(item, several=len(items) > 1)
                    yield self._row(item, words if not number else words.partition("\n")[0])
                if rest := items[len(shown) :]:
                    yield self._rest(rest)

    def told(self, item: Item, several: bool = False) -> str:
        """Return why days are not done, and what frees them."""
        told = words_of(item, self.now, self.summary.paused_by_file, several)
        return f"{told}{OUT_OF_TURN}" if self._is_leapt_over(item) else told

    def _is_leapt_over(self, item: Item) -> bool:
        """Tell whether days are put off that lie between what is created: one place went out of turn."""
        if item.reason not in (CREATES, OPEN, OPEN_ON_TRANSFER):
            return False
        made = [one for one in self.actions if one.kind is ActionKind.CREATE]
        return any(one.start >= item.end for one in made) and any(one.end <= item.start for one in made)

    def sign(self, item: Item) -> tuple[str, str]:
        """Return the sign, and its colour, of days that are not done."""
        return sign_of(item, self.summary.paused_by_file)

    def _row(self, item: Item, words: str) -> Row:
        return Row(*self.sign(item), item.start, item.end, len(item.days), words, item.declared_at)

    def _rest(self, items: list[Item]) -> Row:
        number = sum(len(item.days) for item in items)
        told = f"the same, in {len(items)} {'range' if len(items) == 1 else 'ranges'} (--all)"
        return Row(*self.sign(items[0]), items[-1].start, items[0].end, number, told)


def _why_of(item: Item) -> tuple[str, ...]:
    return (*item.said, str(item.until))


def _runs(actions: list[Action], whole: bool) -> Iterator[list[Action]]:
    """Yield consecutive pieces of one range together, the newest first."""
    run: list[Action] = []
    for action in actions:
        if run and not whole and _continues(action, run[-1]):
            run.append(action)
        else:
            if run:
                yield run
            run = [action]
    if run:
        yield run


def _continues(action: Action, newer: Action) -> bool:
    same = (action.kind, action.declared_at, action.notes) == (newer.kind, newer.declared_at, newer.notes)
    plain = not action.cancels and not newer.cancels and set(action.reasons) == set(newer.reasons)
    return same and plain and len(action.reasons) == 1 and action.end == newer.start


# --- the whole ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TeamView:
    """What is shown of one team. ``parts``: the transfers with something done or left; ``place``: what the
    API and the state are called, "" where nobody says.
    """

    team: TeamPlan
    parts: tuple[Part, ...]
    place: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A plan as it is shown. ``summary``: two lines, of which the first is frozen. ``apply_by``: the
    command that applies just this plan, "" where it cannot be applied or nobody says.
    """

    plan: Plan
    digest: str
    summary: str
    teams: tuple[TeamView, ...]
    apply_by: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for team in self.teams for part in team.parts)


_NOWHERE: Mapping[int, str] = {}


def view_of(plan: Plan, places: Mapping[int, str] = _NOWHERE, apply_by: str = "") -> View:
    """Return the view of a plan. ``places``: what the API and each team's state are called, by team id."""
    names = Counter(one.name for one in plan.transfers)
    doubles = frozenset(name for name, number in names.items() if number > 1)
    teams = [_team(team, plan.created_at, doubles, places.get(team.team_id, "")) for team in plan.teams]
    can = plan.applyable and not plan.errored
    return View(plan, digest(plan), summary_lines(plan), tuple(teams), apply_by if can else "")


def _team(team: TeamPlan, now: datetime, doubles: frozenset[str], place: str) -> TeamView:
    """Return the view of a team. ``doubles``: the names that another team has too."""
    actions = grouped(team.actions, lambda action: action.address)
    items = grouped((named(item, doubles) for item in team.items), lambda item: item.address)
    gone = actions.keys() - {one.address for one in team.transfers}  # cancels of what left the files
    left = [TransferSummary(one, actions[one][0].transfer, (), DayCounts()) for one in sorted(gone)]
    parts = (
        Part(one, tuple(actions.get(one.address, ())), tuple(items.get(one.address, ())), now)
        for one in (*team.transfers, *left)
    )
    return TeamView(team, tuple(part for part in parts if part.actions or part.items), place)


def summary_lines(plan: Plan) -> str:
    """Return the two lines at the end: what would be done, frozen, and where the declared days are."""
    counts = plan.counts
    of_days = [f"{counts[bucket]} {worded(bucket)}" for bucket in COUNTED if counts[bucket]]
    told = f"Days: {counts.declared} declared{': ' if of_days else ''}{', '.join(of_days)}."
    if not plan.actions:
        return f"No changes.\n{told}"
    create, retry = ActionKind.CREATE, ActionKind.RETRY
    return (
        f"Plan: {plan.number_of(create)} to create ({plan.days_of(create)} days), "
        f"{plan.number_of(retry)} to retry ({plan.days_of(retry)} days), "
        f"{plan.number_of(ActionKind.CANCEL)} to cancel.\n{told}"
    )
