"""Where the declared days stand, per transfer: how many are loaded, and what comes next."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce

from reconciler.dates import grouped, iso
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Item
from reconciler.planning.standing import Standing, TeamStanding
from reconciler.render.layout import WIDTH, joined, wrapped
from reconciler.render.reasons import sign_of, words_of, words_of_all
from reconciler.render.text import ALIKE, MANY
from reconciler.render.words import BOLD, Paint, plural
from reconciler.untrusted import harmless

UNKNOWN = "unknown"
_BAR = 14
_BELOW = 6
_NUMBERS = 36  # columns that percent, days and what comes next usually take
_NEXT = {
    Bucket.PLANNED: "to make",
    Bucket.DEFERRED: "for a later apply",
    Bucket.IN_FLIGHT: "in flight",
    Bucket.WAITING: "waiting",
    Bucket.BLOCKED: "blocked",
    Bucket.FAILED: "failed",
    Bucket.FUTURE: "in the future",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what it stands for, and its cells."""

    standing: Standing
    name: str
    percent: str
    days: str
    next: str

    def told(self, names: int, numbers: int, width: int) -> str:
        """Return its line: a long name stands above, and what comes next below, where they do not fit."""
        bar = ""
        if width >= WIDTH:
            bar = f"  {_bar(self.standing.percent) if self.standing.address else '':<{_BAR}}"
        above = f"  {self.name}\n" if len(self.name) > names else ""
        cells = f"  {'' if above else self.name:<{names}}{bar}  {self.percent:>7}  {self.days:>{numbers}}"
        fits = len(cells) + 2 + len(self.next) <= width
        told = f"{'  ' if fits else chr(10) + ' ' * _BELOW}{self.next}" if self.next else ""
        return f"{above}{cells}{told}"


def status_text(
    teams: Iterable[TeamStanding], total: Standing, paint: Paint, width: int = WIDTH, *, whole: bool = False
) -> str:
    """Return a table per team, and what keeps days from being loaded; what could not be read is unknown. Of
    many transfers those that are alike are counted, unless it is to be ``whole``.
    """
    all_of_them = tuple(teams)
    lines: list[str] = []
    for team in all_of_them:
        told = [f"Team {team.team_id}", *_as_of(team)]
        lines += [paint(joined(told, width), BOLD), ""]
        rows = list(_rows(team.transfers, whole or len(team.transfers) <= MANY))
        last = (
            [_total(total, sum(len(one.transfers) for one in all_of_them))] if team is all_of_them[-1] else []
        )
        shown = (*rows, *last)
        longest = width - _NUMBERS - (_BAR + 2 if width >= WIDTH else 0)
        names = max((len(row.name) for row in shown if len(row.name) <= longest), default=0)
        numbers = max((len(row.days) for row in shown), default=0)
        lines += [row.told(names, numbers, width) for row in shown]
        lines += ["", *_remarks(team, paint, width, whole)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _as_of(team: TeamStanding) -> list[str]:
    if team.unknown:
        return [f"{UNKNOWN}: {team.unknown}", *team.places]
    return [f"as of {iso(team.as_of)}", *team.places]


def _rows(transfers: Sequence[Standing], each: bool) -> Iterator[Row]:
    """Yield a row for each transfer; or one for all that stand alike."""
    for alike in grouped(transfers, lambda one: id(one) if each else _stands(one)).values():
        yield from map(_row, alike if len(alike) <= ALIKE else [_together(alike)])


def _stands(one: Standing) -> tuple[object, ...]:
    """Return what rows that are alike share: how much is loaded, and what comes next, but for numbers."""
    if one.counts is None:
        return (None,)
    buckets = tuple(bucket for bucket in _NEXT if one.counts[bucket])
    return (one.percent, buckets, one.counts.stuck > 0)


def _together(alike: Sequence[Standing]) -> Standing:
    counts = [one.counts for one in alike if one.counts is not None]
    of_all = reduce(operator.add, counts) if counts else None
    declared = sum(one.declared for one in alike)
    name = f"{len(alike):,} alike (--all)"
    return replace(alike[0], name=name, declared=declared, counts=of_all)


def _row(one: Standing) -> Row:
    counts = one.counts
    if counts is None:
        return Row(one, one.name, UNKNOWN, f"? / {one.declared}", "not read")
    told = [f"{counts[bucket]} {word}" for bucket, word in _NEXT.items() if counts[bucket]]
    told += [plural(counts.stuck, "backfill") + " stuck"] if counts.stuck else []
    loadable = counts.declared - counts[Bucket.FUTURE]
    if counts.unread:
        return Row(one, one.name, UNKNOWN, f"? / {loadable}", ", ".join(told))
    return Row(one, one.name, f"{one.percent} %", f"{counts[Bucket.COVERED]} / {loadable}", ", ".join(told))


def _total(total: Standing, number: int) -> Row:
    row = _row(total)
    verdicts = {"synced": total.synced, "healthy": total.healthy}
    words = {True: "", False: "not ", None: f"{UNKNOWN} if "}
    told = ", ".join(f"{words[holds]}{word}" for word, holds in verdicts.items())
    unread = total.counts is None
    return Row(total, plural(number, "transfer"), row.percent, row.days, row.next if unread else told)


def _remarks(team: TeamStanding, paint: Paint, width: int, whole: bool) -> Iterator[str]:
    """Yield why days are blocked or failed, once for each transfer and reason; of many transfers, those that
    are alike together.
    """
    fewer = len(team.remarks) > MANY and not whole
    for alike in grouped(team.remarks, lambda one: _kind(one) if fewer else id(one)).values():
        if len(alike) > ALIKE:
            yield from _remark(_of_all(alike, team.now), paint, width)
        else:
            yield from (line for one in alike for line in _remark(_of_one(*one, team.now), paint, width))


Remark = tuple[tuple[Item, ...], bool]


def _kind(remark: Remark) -> tuple[object, ...]:
    (first, *_), paused = remark
    return (first.bucket, paused, *first.said)


def _of_one(items: tuple[Item, ...], paused: bool, now: datetime) -> _Told:
    item = items[-1]
    declared = item.declared_at[:1]
    place = "".join(harmless(f" ({one.file}:{one.line})") for one in declared)
    words = words_of(item, now, paused, several=len(items) > 1)
    return _Told(sign_of(item, paused), item.transfer, _days_of(items), words, place)


def _of_all(alike: Sequence[Remark], now: datetime) -> _Told:
    items, paused = [item for those, _paused in alike for item in those], alike[0][1]
    words = words_of_all(items, now, paused)
    return _Told(sign_of(items[0], paused), f"{len(alike):,} transfers", _days_of(items), words)


def _days_of(items: Iterable[Item]) -> int:
    return sum(len(one.days) for one in items)


@dataclass(frozen=True, slots=True)
class _Told:
    """A remark: its sign and the colour of that, whose days, how many, why, and where they are declared."""

    sign: tuple[str, str]
    whose: str
    number: int
    words: str
    place: str = ""


def _remark(told: _Told, paint: Paint, width: int) -> Iterator[str]:
    sign, colour = told.sign
    head, place = f"  {sign} {told.whose}  {plural(told.number, 'day')}", told.place
    shown = head.replace(sign, paint(sign, colour), 1)
    first, *rest = told.words.splitlines()
    if len(head) + 2 + len(first) + len(place) <= width:
        yield f"{shown}  {first}{place}"
    else:
        yield f"{shown}{place}"
        rest = [first, *rest]
    yield from (" " * _BELOW + line for one in rest for line in wrapped(one, width - _BELOW))


def _bar(percent: int | None) -> str:
    filled = _BAR * (percent or 0) // 100
    return "#" * filled + "." * (_BAR - filled)
