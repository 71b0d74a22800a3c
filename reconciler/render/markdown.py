"""A plan as Markdown, for a comment on a pull request or the summary of a CI run.

Its head says what is done, how many days, what that adds to the base branch, why, and whose it is; then come
a table, and folded what is not done. What is longer than the limit is told in less detail, as a whole:
nothing is cut. The totals, the digest and the hidden marker (``formats/marker.py``) are always there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from reconciler.dates import grouped
from reconciler.formats.marker import marker_of
from reconciler.planning.plan import Action, Plan, all_findings
from reconciler.render.calendar import calendar, legend, ruler
from reconciler.render.escaping import code, escaped
from reconciler.render.fitting import is_command
from reconciler.render.headline import Aside, bare, headline, is_alarm
from reconciler.render.layout import dates
from reconciler.render.reasons import DUE
from reconciler.render.view import Part, Row, View
from reconciler.render.words import days, plural

MAX_CHARS = 60_000  # GitHub takes 65,536 characters in a comment
LEAST_CHARS = 1_000
_OF_MARKER = 3  # the marker takes at most a third of them

_WORDS = {"+": "create", "-/+": "retry", "-": "cancel", ">": "later", ".": "not yet", "!": "needs a person"}
_WHY = 160  # characters of a reason in a table
_BREAK = "<br>"
_WHY_DONE, _WHY_LEFT = "Why, and the reason in the file", "Why, and what frees them"
_MOST = 20  # of what is not the plan itself, and of the totals
_CALENDARS = 50  # transfers; of more nobody would read them

Level = Callable[[View], Iterator[str]]
"""Yields the paragraphs after the head, in one level of detail."""


def markdown(
    view: View,
    max_chars: int = MAX_CHARS,
    base: Plan | None = None,
    *,
    key: str = "",
    besides: Sequence[Aside] = (),
) -> str:
    """Return the plan as Markdown of at most ``max_chars`` characters, which are at least ``LEAST_CHARS``.

    ``base``: the plan of the branch that this one is to be merged into; ``key``: the marker's, if it is not
    the plan's own; ``besides``: paragraphs for the end of the head.
    """
    marker = marker_of(view.plan, view.digest, max_chars // _OF_MARKER, key)
    head = headline(view, base, besides)
    for level in LEVELS:
        text = _joined([*head, *level(view), *_command(view), marker])
        if len(text) <= max_chars:
            return text
    return _joined([*bare(view, besides), marker])


def _joined(paragraphs: Iterable[str]) -> str:
    return "\n\n".join(paragraphs) + "\n"


def _command(view: View) -> Iterator[str]:
    if view.apply_by:
        yield f"Apply exactly this: {code(view.apply_by, 2000)}"


# --- the levels of detail -----------------------------------------------------------------------


def _with_calendar(view: View) -> Iterator[str]:
    """Yield each range, and where the days of the transfers with something planned are."""
    yield from _ranges(view)
    acting = [part for part in view.parts if part.actions]
    found = [(part, rows) for part in acting[:_CALENDARS] if (rows := calendar(part))]
    if found and len(acting) <= _CALENDARS:
        signs = f"_A row is a month, a letter a day: {legend([rows for _part, rows in found])}._"
        several = len(view.teams) > 1
        told = "\n\n".join("\n".join([*ruler(_titled(part, several)), *rows]) for part, rows in found)
        yield _folding("Calendar", f"{signs}\n\n```text\n{told}\n```")


def _titled(part: Part, several: bool) -> str:
    """Return a transfer's name, its team before it where there are several. It needs no escaping."""
    return f"{part.summary.address.team_id}/{part.summary.name}" if several else part.summary.name


def _ranges(view: View) -> Iterator[str]:
    """Yield each range."""
    for title, parts in _teams(view):
        done = [_range(part, row) for part in parts for row in part.done()]
        left = [_waiting(part, row) for part in parts for row in part.left(whole=True)]
        yield from _tables(title, done, left, "From..to, both included")
    yield from _unmanaged(view)
    yield from _warnings(view)


def _folded(view: View) -> Iterator[str]:
    """Yield the ranges of each transfer together."""
    yield "_The ranges of a transfer are told together here; the plan file has each._"
    for title, parts in _teams(view):
        done = [row for part in parts for row in _by_kind(part)]
        left = [row for part in parts for row in _by_reason(part)]
        yield from _tables(title, done, left, "Between, both included")
    yield from _warnings(view)


def _transfers(view: View) -> Iterator[str]:
    """Yield the days of each transfer."""
    yield "_Only the days of each transfer are told here; the plan file has the ranges._"
    for title, parts in _teams(view):
        done = [_named(part, part.actions) for part in parts if part.actions]
        yield from title
        if done:
            yield _table(("Transfer", "Days", "Owner"), done)


def _totals(view: View) -> Iterator[str]:
    """Yield the largest transfers."""
    yield "_Only the largest are told here; the plan file has all._"
    acting = [part for part in view.parts if part.actions]
    largest = sorted(acting, key=lambda part: (-_days_of(part.actions), part.summary.address))
    if acting:
        yield _table(("Transfer", "Days", "Owner"), [_named(one, one.actions) for one in largest[:_MOST]])
    if len(acting) > _MOST:
        rest = sum(_days_of(part.actions) for part in largest[_MOST:])
        yield f"And {plural(len(acting) - _MOST, 'transfer')} more with {days(rest)}."


def _unmanaged(view: View) -> Iterator[str]:
    """Yield the backfills that are not ours."""
    found = [one for team in view.teams for one in team.team.unmanaged]
    if found:
        rows = [
            (
                str(one.backfill_id),
                str(one.address.transfer_id),
                dates(one.start, one.end),
                escaped(one.status),
            )
            for one in found[:_MOST]
        ]
        more = [f"And {len(found) - _MOST} more."] if len(found) > _MOST else []
        table = _table(("Backfill", "Transfer", "From..to, both included", "Status"), rows)
        yield _folding(
            f"{plural(len(found), 'backfill')} of others, never touched", "\n\n".join([table, *more])
        )


def _warnings(view: View) -> Iterator[str]:
    found = [one for one in all_findings(view.plan) if not is_alarm(one)]
    if found:
        told = [
            f"- **{escaped(one.summary)}.** {escaped(f'{one.detail} {one.hint}')}" for one in found[:_MOST]
        ]
        told += [f"- And {len(found) - _MOST} more."] if len(found) > _MOST else []
        yield _folding(plural(len(found), "warning"), "\n".join(told))


LEVELS: tuple[Level, ...] = (_with_calendar, _ranges, _folded, _transfers, _totals)


def _teams(view: View) -> Iterator[tuple[list[str], tuple[Part, ...]]]:
    """Yield the title of each team, where there are several, and its transfers."""
    for team in view.teams:
        yield [f"#### Team {team.team.team_id}"] if len(view.teams) > 1 else [], team.parts


def _tables(title: list[str], done: list[Cells], left: list[Cells], range_: str) -> Iterator[str]:
    yield from title
    if done:
        yield _table(("Action", "Transfer", "Days", range_, _WHY_DONE, "Owner"), done)
    if left:
        number = sum(int(cells[2].replace(",", "")) for cells in left)
        table = _table(("When", "Transfer", "Days", range_, _WHY_LEFT), left)
        yield _folding(f"Not now: {days(number)}", table)


def _folding(title: str, body: str) -> str:
    """Return what is shown once somebody asks for it. ``title`` is ours: nothing in it is escaped."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


# --- rows -----------------------------------------------------------------------------------

Cells = tuple[str, ...]


def _table(head: Cells, rows: Iterable[Cells]) -> str:
    """Return a table. No head breaks, so that the columns under it are wide enough to be read."""
    rule = tuple("---:" if name == "Days" else "---" for name in head)
    whole = tuple(name.replace(" ", "&nbsp;") for name in head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (whole, rule, *rows))


def _range(part: Part, row: Row) -> Cells:
    why = replace(row, words=row.words or DUE["never-loaded"])
    told = [escaped(why.said, _WHY)]
    told += [f"“{escaped(row.note, _WHY)}”"] if row.note else []
    return (*_days_cells(part, row), _BREAK.join(told), _owners(row.owners))


def _waiting(part: Part, row: Row) -> Cells:
    return (*_days_cells(part, row), _told(row.words))


def _days_cells(part: Part, row: Row) -> Cells:
    return (_WORDS[row.sign], _name(part), f"{row.number:,}", dates(row.start, row.end))


def _told(words: str) -> str:
    """Return words with what is a command in them as code."""
    lines = words.splitlines()
    return _BREAK.join(code(one) if is_command(one) else escaped(one) for one in lines)


def _by_kind(part: Part) -> Iterator[Cells]:
    for kind, actions in grouped(part.actions, lambda action: action.kind).items():
        reasons = Counter[str]()
        for action in actions:
            reasons.update(action.reasons)
        why = ", ".join(f"{n} {DUE.get(one, escaped(one, 40))}" for one, n in sorted(reasons.items()))
        first, last = min(one.start for one in actions), max(one.end for one in actions)
        number = f"{_days_of(actions):,}"
        yield (kind.value, _name(part), number, dates(first, last), why, _owners_of(actions))


def _by_reason(part: Part) -> Iterator[Cells]:
    """Yield what waits for one reason together, with what frees it."""
    for items in grouped(part.items, lambda item: (item.bucket, *item.said)).values():
        first, last = min(one.start for one in items), max(one.end for one in items)
        ((sign, *_colour),) = {part.sign(one) for one in items}
        number = sum(len(one.days) for one in items)
        row = Row(sign, "", first, last, number, part.told(items[0], several=len(items) > 1))
        yield _waiting(part, row)


def _named(part: Part, actions: tuple[Action, ...]) -> Cells:
    return (_name(part), f"{_days_of(actions):,}", _owners_of(actions))


def _name(part: Part) -> str:
    return escaped(part.summary.name)


def _days_of(actions: Iterable[Action]) -> int:
    return sum(len(action.days) for action in actions)


def _owners_of(actions: Iterable[Action]) -> str:
    return _owners(dict.fromkeys(owner for action in actions for owner in action.owners))


def _owners(owners: Iterable[str]) -> str:
    return ", ".join(escaped(owner, 60) for owner in owners)
