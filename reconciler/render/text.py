"""A plan as text: grouped by transfer, the days newest first, never one line per day.

The first of the two lines at the end is frozen: people and scripts look for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from reconciler.dates import grouped, iso
from reconciler.diagnostics import Place
from reconciler.planning.budget import CREATES, LIST_FULL, OPEN
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import (
    COUNTED,
    LISTED,
    Action,
    ActionKind,
    Item,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
)
from reconciler.planning.standing import named
from reconciler.render.fitting import APPLY_BY
from reconciler.render.layout import WIDTH, Line, apart, dates, joined
from reconciler.render.reasons import LEGEND, SIGNS, sign_of, why, words_of
from reconciler.render.words import BOLD, DIM, RED, Paint, days, plural, worded

SHOWN_ITEMS = 3  # of one reason on one transfer
MANY = 20  # transfers; of more, those that are alike are shown once and counted
ALIKE = 3


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


@dataclass(frozen=True, slots=True)
class Shown:
    """How a plan is shown. ``places``: what the API and each team's state are called, by team id; ``whole``:
    each backfill and each range, however many.
    """

    paint: Paint
    width: int = WIDTH
    places: Mapping[int, str] = field(default_factory=dict)
    whole: bool = False


def plan_text(plan: Plan, shown: Shown, *, apply_by: str = "") -> str:
    """Return the whole plan, its two last lines, and after them ``apply_by``: the command that applies just
    this plan, where it can be applied.
    """
    paint, lines = shown.paint, list[str]()
    names = Counter(one.name for one in plan.transfers)
    doubles = frozenset(name for name, number in names.items() if number > 1)
    for team in plan.teams:
        lines += TeamText(team, plan.created_at, shown, doubles).lines()
    if lines:
        lines += [*_legend(lines, shown.width), ""]
    if plan.errored:
        lines.append(
            f"{paint('Incomplete', RED)}: a team could not be planned; its error is shown separately."
        )
    if plan.teams or not plan.errored:
        first, _, second = summary_lines(plan).partition("\n")
        lines += [paint(first, BOLD), second]
    if apply_by and plan.applyable and not plan.errored:
        lines.append(f"{APPLY_BY}{apply_by}")
    return "\n".join(lines) + "\n"


def _legend(lines: Iterable[str], width: int) -> list[str]:
    used = {line.split()[0] for line in lines if line.startswith("  ") and line.strip()}
    signs = [f"{sign} {word}" for sign, word in LEGEND.items() if sign in {_bare(one) for one in used}]
    return [joined([f"  {signs[0]}", *signs[1:]], width, "   ", "  ")] if signs else []


def _bare(sign: str) -> str:
    return sign.partition("m")[2].partition("\x1b")[0] if sign.startswith("\x1b") else sign


@dataclass(frozen=True, slots=True)
class Part:
    """What is shown of one transfer."""

    summary: TransferSummary
    actions: tuple[Action, ...]
    items: tuple[Item, ...]

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


@dataclass(frozen=True, slots=True)
class TeamText:
    """The plan of one team. ``now``: when it was made; ``doubles``: the names that another team has too."""

    team: TeamPlan
    now: datetime
    shown: Shown
    doubles: frozenset[str] = frozenset()

    def lines(self) -> list[str]:
        parts = [part for part in self._parts() if part.actions or part.items]
        if not parts and not self.team.unmanaged:
            return []
        return [*self._head(), "", *self._transfers(parts), *self._unmanaged()]

    def _head(self) -> Iterator[str]:
        team = self.team
        told = [f"Team {team.team_id}", f"as of {iso(team.as_of)}", *self._places()]
        yield self.shown.paint(joined(told, self.shown.width), BOLD)

    def _places(self) -> list[str]:
        place = dict(self.shown.places).get(self.team.team_id)
        new = "new" if not self.team.serial else f"serial {self.team.serial}"
        return f"{place} ({new})".split(" · ") if place else []

    def _parts(self) -> Iterator[Part]:
        actions = grouped(self.team.actions, lambda action: action.address)
        items = grouped((named(item, self.doubles) for item in self.team.items), lambda item: item.address)
        for summary in self.team.transfers:
            address = summary.address
            yield Part(summary, tuple(actions.get(address, ())), tuple(items.get(address, ())))

    def _transfers(self, parts: list[Part]) -> Iterator[str]:
        fewer = len(parts) > MANY and not self.shown.whole
        groups = grouped(parts, lambda part: part.alike if fewer else part.summary.address)
        for alike in groups.values():
            if len(alike) > ALIKE and not alike[0].actions and len(alike[0].kinds) == 1:
                yield from self._waiting(alike)
                continue
            shown = alike if len(alike) <= ALIKE else alike[:1]
            for part in shown:
                yield from self._transfer(part)
            if len(alike) > len(shown):
                rest = alike[len(shown) :]
                number = sum(len(one.days) for part in rest for one in (*part.actions, *part.items))
                yield f"  … {len(rest):,} more like this, {days(number)} (--all)"
                yield ""

    def _waiting(self, alike: list[Part]) -> Iterator[str]:
        """Yield what many transfers wait for alike."""
        items = [item for part in alike for item in part.items]
        number = sum(len(item.days) for item in items)
        first = max(items, key=lambda item: (str(item.until), item.end))  # the last to be free
        sign, colour = sign_of(first, alike[0].summary.paused_by_file)
        if first.bucket is Bucket.DEFERRED and first.limit:
            told = f"have to wait: limits.{first.reason} ({first.limit} of {first.limit})"
        else:
            told = words_of(first, self.now, alike[0].summary.paused_by_file).partition("\n")[0]
        yield f"  {len(alike):,} transfers {told}"
        more = self._applies(first, len(items))
        yield f"  {self.shown.paint(f'{sign:>3}', colour)} {number:,} days{more} (--all)"
        yield ""

    def _applies(self, item: Item, pieces: int) -> str:
        now = len(self.team.actions)
        limited = item.reason in (CREATES, OPEN, LIST_FULL) and now
        return f", about {-(-pieces // now):,} more applies" if limited else ""

    # -- one transfer ----------------------------------------------------------------------

    def _transfer(self, part: Part) -> Iterator[str]:
        yield from self._heading(part.summary).splitlines()
        note = ""
        for line in self._entries(part):
            repeated = line.note == note
            note = line.note or note
            shown = replace(line, note="") if repeated else line
            yield from shown.laid_out(self.shown.width, self.shown.paint)
        yield ""

    def _heading(self, summary: TransferSummary) -> str:
        counts, paint = summary.counts, self.shown.paint
        flying = f"{counts[Bucket.IN_FLIGHT]:,} in flight · " if counts[Bucket.IN_FLIGHT] else ""
        loaded = "?" if counts.unread else f"{counts[Bucket.COVERED]:,}"
        covered = f"{flying}{loaded} of {counts.declared:,} days"
        vendor = f' "{summary.vendor_name}"' if summary.vendor_name else ""
        rest = f"  {summary.address.transfer_id}{vendor}"
        name, width = f"  {summary.name}{rest}", self.shown.width
        if len(name) > width:
            return f"  {paint(summary.name, BOLD)}\n{apart(rest, covered, width)}"
        return apart(name, covered, width, f"  {paint(summary.name, BOLD)}{rest}")

    def _entries(self, part: Part) -> list[Line]:
        """Return the lines of a transfer, the newest days first."""
        lines = [*self._actions(part.actions), *self._items(part)]
        return sorted(lines, key=lambda line: (-line.end, line.sign))

    def _actions(self, actions: Iterable[Action]) -> Iterator[Line]:
        newest_first = sorted(actions, key=lambda action: (-action.end, action.kind))
        for run in _runs(newest_first, self.shown.whole):
            first, last = run[-1], run[0]
            sign, colour = SIGNS[first.kind]
            told = [why(first)] if why(first) else []
            told += [f"in {len(run)} backfills"] if len(run) > 1 else []
            number = sum(len(one.days) for one in run)
            note = "; ".join(first.notes)
            place = _place(first.declared_at)
            yield Line(sign, colour, first.start, last.end, number, ", ".join(told), place, note)

    def _items(self, part: Part) -> Iterator[Line]:
        """Yield what is not acted on: the newest ranges of each reason, and the rest counted."""
        paused = part.summary.paused_by_file
        for bucket in LISTED:
            own = (item for item in part.items if item.bucket is bucket)
            ordered = sorted(own, key=lambda item: (*_why_of(item), -item.end))
            for _key, group in groupby(ordered, key=_why_of):
                items = list(group)
                shown = items if self.shown.whole else items[:SHOWN_ITEMS]
                for number, item in enumerate(shown):
                    words = words_of(item, self.now, paused, several=len(items) > 1)
                    yield self._item(item, words if not number else words.partition("\n")[0], paused)
                if rest := items[len(shown) :]:
                    yield self._rest(rest, paused)

    def _item(self, item: Item, words: str, paused: bool) -> Line:
        number = item.end - item.start
        return Line(*sign_of(item, paused), item.start, item.end, number, words, _place(item.declared_at))

    def _rest(self, items: list[Item], paused: bool) -> Line:
        number = sum(len(item.days) for item in items)
        told = f"the same, in {plural(len(items), 'range')} (--all)"
        return Line(*sign_of(items[0], paused), items[-1].start, items[0].end, number, told)

    # -- what is not ours --------------------------------------------------------------------

    def _unmanaged(self) -> Iterator[str]:
        unmanaged = self.team.unmanaged
        if not unmanaged:
            return
        names = {one.address: one.name for one in self.team.transfers}
        yield "  Unmanaged backfills, never touched"
        for one in unmanaged if self.shown.whole else unmanaged[:MANY]:
            yield self.shown.paint(_unmanaged_line(one, names.get(one.address, "")), DIM)
        if len(unmanaged) > MANY and not self.shown.whole:
            yield f"      … {len(unmanaged) - MANY:,} more (--all)"
        yield ""


def _why_of(item: Item) -> tuple[str, ...]:
    return (*item.said, str(item.until))


def _unmanaged_line(one: Unmanaged, name: str) -> str:
    where = name or f"transfer {one.address.transfer_id}"
    by = f", user {one.created_user_id}" if one.created_user_id else ""
    return f"      {one.backfill_id}  {where}  {dates(one.start, one.end)}  {one.status}{by}"


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


def _place(places: tuple[Place, ...]) -> str:
    if not places:
        return ""
    more = f" (+{len(places) - 1})" if len(places) > 1 else ""
    return f"{places[0].file}:{places[0].line}{more}"
