"""Lines of a plan in columns: a sign, days, how many, words, and the place in the file; wrapped at blanks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.dates import Day, iso, last_iso
from reconciler.render.fitting import columns_of, folded, is_command
from reconciler.render.words import DIM, Paint
from reconciler.untrusted import harmless

WIDTH = 80
NARROW = 64  # in fewer columns words stand below the days, not beside them
_COLUMN = 40  # where the words begin
_BELOW = 6
_SPAN = 22  # 2025-04-01..2025-06-30


@dataclass(frozen=True, slots=True)
class Line:
    """One line about the days ``[start, end)``. ``words`` may have lines of their own: a command does."""

    sign: str
    colour: str
    start: Day
    end: Day
    number: int
    words: str = ""
    place: str = ""
    note: str = ""

    def laid_out(self, width: int, paint: Paint) -> Iterator[str]:
        """Yield the lines that it takes, none longer than ``width`` but where a word or a command is."""
        counted = f"{self.number:>5} {'days' if self.number != 1 else 'day '}"
        days = f"{dates(self.start, self.end):<{_SPAN}}{counted}"
        column = _COLUMN if width >= NARROW else _BELOW
        told = list(wrapped(self.words, width - column))
        beside = told[:1] if column == _COLUMN and told and not is_command(told[0]) else []
        head = f"  {self.sign:>3} {days}" + (f"  {beside[0]}" if beside else "")
        below = [" " * (_BELOW if is_command(one) else column) + one for one in told[len(beside) :]]
        painted = head.replace(self.sign, paint(self.sign, self.colour), 1)
        place = harmless(self.place)
        gap = width - len(head) - len(place)
        if place and gap >= 2:
            yield painted + " " * gap + paint(place, DIM)
        else:
            yield painted.rstrip()
        if place and gap < 2:
            below = _with_place(below, place, width, paint)
        yield from below
        yield from (" " * _BELOW + one for one in wrapped(self.note, width - _BELOW))


def _with_place(lines: list[str], place: str, width: int, paint: Paint) -> list[str]:
    """Return lines with the place at the end of the last one, if it fits there, or below it."""
    last = lines[-1] if lines and not is_command(lines[-1].strip()) else ""
    gap = width - len(last) - len(place)
    if last and gap >= 2:
        return [*lines[:-1], last + " " * gap + paint(place, DIM)]
    return [*lines, " " * max(_BELOW, width - len(place)) + paint(place, DIM)]


def dates(start: Day, end: Day) -> str:
    """Return half-open days as a file takes them: ``2025-04-01..2025-06-30``, or one date."""
    return iso(start) if end - start == 1 else f"{iso(start)}..{last_iso(end)}"


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield lines wrapped at blanks; a command is one line, however long. None is a command to CI."""
    for line in text.splitlines():
        yield from map(harmless, folded(line, max(width, 20)))


def apart(left: str, right: str, width: int, shown: str = "") -> str:
    """Return two texts at both ends of a line, or on two lines; ``shown`` is ``left`` in colour."""
    gap = width - columns_of(left) - columns_of(right)
    if gap >= 2:
        return (shown or left) + " " * gap + right
    return f"{shown or left}\n{right:>{width}}"


def joined(parts: list[str], width: int, between: str = " · ", indent: str = "") -> str:
    """Return parts on one line, or on more where they do not fit, none broken."""
    lines = [parts[0]]
    for part in parts[1:]:
        if columns_of(lines[-1] + between + part) <= width:
            lines[-1] += between + part
        else:
            lines.append(indent + part)
    return "\n".join(lines)
