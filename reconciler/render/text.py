"""A plan as text: grouped by transfer, the days newest first, never one line per day.

The first of the two lines at the end is frozen: people and scripts look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.dates import grouped, iso
from reconciler.diagnostics import Place
from reconciler.planning.budget import CREATES, LIST_FULL, OPEN
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Item, TransferSummary, Unmanaged
from reconciler.render.fitting import APPLY_BY, columns_of, folded
from reconciler.render.layout import WIDTH, Line, apart, dates, joined
from reconciler.render.reasons import COLOURS, LEGEND, sign_of, words_of_all
from reconciler.render.view import Part, Row, TeamView, View
from reconciler.render.words import BOLD, DIM, RED, Paint, days

MANY = 20  # transfers; of more, those that are alike are shown once and counted
ALIKE = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """How a plan is shown. ``whole``: each backfill and each range, however many."""

    paint: Paint
    width: int = WIDTH
    whole: bool = False


def plan_text(view: View, shown: Shown) -> str:
    """Return the whole plan, its two last lines, and after them the command that applies just this plan."""
    plan, paint = view.plan, shown.paint
    lines = [line for team in view.teams for line in TeamText(team, plan.created_at, shown).lines()]
    if lines and (legend := _legend(lines, shown)):
        lines += [*legend, ""]
    if plan.errored:
        lines.append(f"{paint('Incomplete', RED)}: a team could not be planned: see its error.")
    if plan.teams or not plan.errored:
        first, _, second = view.summary.partition("\n")
        lines += [paint(first, BOLD), second]
    if view.apply_by:
        lines.append(f"{APPLY_BY}{view.apply_by}")
    return "\n".join(lines) + "\n"


def _legend(lines: Iterable[str], shown: Shown) -> list[str]:
    used = {_bare(line.split()[0]) for line in lines if line.startswith("  ") and line.strip()}
    signs = [f"{shown.paint(sign, COLOURS[sign])} {word}" for sign, word in LEGEND.items() if sign in used]
    return [joined([f"  {signs[0]}", *signs[1:]], shown.width, "   ", "  ")] if signs else []


def _bare(sign: str) -> str:
    return sign.partition("m")[2].partition("\x1b")[0] if sign.startswith("\x1b") else sign


@dataclass(frozen=True, slots=True)
class TeamText:
    """The plan of one team. ``now``: when it was made."""

    view: TeamView
    now: datetime
    shown: Shown

    def lines(self) -> list[str]:
        if not self.view.parts and not self.view.team.unmanaged:
            return []
        return [*self._head(), "", *self._transfers(self.view.parts), *self._unmanaged()]

    def _head(self) -> Iterator[str]:
        team = self.view.team
        told = [f"Team {team.team_id}", f"as of {iso(team.as_of)}", *self._places()]
        yield self.shown.paint(joined(told, self.shown.width), BOLD)

    def _places(self) -> list[str]:
        place, serial = self.view.place, self.view.team.serial
        return f"{place} ({f'serial {serial}' if serial else 'new'})".split(" · ") if place else []

    def _transfers(self, parts: Sequence[Part]) -> Iterator[str]:
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
        paused = alike[0].summary.paused_by_file
        sign, colour = sign_of(first, paused)
        if first.bucket is Bucket.DEFERRED and first.limit:
            told = f" have to wait: limits.{first.reason} ({first.limit} of {first.limit})"
        else:
            told = f": {words_of_all(items, self.now, paused)}"
        head, *rest = f"{len(alike):,} transfers{told}".splitlines()
        yield from (f"  {line}" for line in folded(head, self.shown.width - 2, hanging=4))
        yield from (" " * 6 + line for one in rest for line in folded(one, self.shown.width - 6))
        more = self._applies(first, len(items))
        yield f"  {self.shown.paint(f'{sign:>3}', colour)} {number:,} days{more} (--all)"
        yield ""

    def _applies(self, item: Item, pieces: int) -> str:
        now = len(self.view.team.actions)
        limited = item.reason in (CREATES, OPEN, LIST_FULL) and now
        return f", about {-(-pieces // now):,} more applies" if limited else ""

    # -- one transfer ----------------------------------------------------------------------

    def _transfer(self, part: Part) -> Iterator[str]:
        yield from self._heading(part.summary).splitlines()
        note = ""
        for row in part.rows(self.shown.whole):
            repeated = row.note == note
            note = row.note or note
            yield from _line(row, "" if repeated else row.note).laid_out(self.shown.width, self.shown.paint)
        yield ""

    def _heading(self, summary: TransferSummary) -> str:
        counts, paint = summary.counts, self.shown.paint
        flying = f"{counts[Bucket.IN_FLIGHT]:,} in flight · " if counts[Bucket.IN_FLIGHT] else ""
        loaded = "?" if counts.unread else f"{counts[Bucket.COVERED]:,}"
        covered = f"{flying}{loaded} of {counts.declared:,} days"
        vendor = f' "{summary.vendor_name}"' if summary.vendor_name else ""
        rest = f"  {summary.address.transfer_id}{vendor}"
        name, width = f"  {summary.name}{rest}", self.shown.width
        if columns_of(name) > width:
            return f"  {paint(summary.name, BOLD)}\n{apart(rest, covered, width)}"
        return apart(name, covered, width, f"  {paint(summary.name, BOLD)}{rest}")

    # -- what is not ours --------------------------------------------------------------------

    def _unmanaged(self) -> Iterator[str]:
        unmanaged = self.view.team.unmanaged
        if not unmanaged:
            return
        names = {one.address: one.name for one in self.view.team.transfers}
        yield "  Unmanaged backfills, never touched"
        for one in unmanaged if self.shown.whole else unmanaged[:MANY]:
            yield self.shown.paint(_unmanaged_line(one, names.get(one.address, "")), DIM)
        if len(unmanaged) > MANY and not self.shown.whole:
            yield f"      … {len(unmanaged) - MANY:,} more (--all)"
        yield ""


def _line(row: Row, note: str) -> Line:
    days = (row.start, row.end, row.number)
    return Line(row.sign, row.colour, *days, row.said, _place(row.places), note)


def _unmanaged_line(one: Unmanaged, name: str) -> str:
    where = name or f"transfer {one.address.transfer_id}"
    by = f", user {one.created_user_id}" if one.created_user_id else ""
    return f"      {one.backfill_id}  {where}  {dates(one.start, one.end)}  {one.status}{by}"


def _place(places: tuple[Place, ...]) -> str:
    if not places:
        return ""
    more = f" (+{len(places) - 1})" if len(places) > 1 else ""
    return f"{places[0].file}:{places[0].line}{more}"
