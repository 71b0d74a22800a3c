"""Findings and errors as text: the source line underlined at what is wrong, the hint beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.dates import grouped
from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import ReconcilerError
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import SourceLine
from reconciler.render.fitting import folded
from reconciler.render.words import BOLD, CYAN, RED, YELLOW, Paint, plural
from reconciler.untrusted import harmless, printable

WIDTH = 80
FEW = 3  # of what is alike so many are shown, and the others counted
_MOST_LINES = 40  # runs of lines that are named

_MOST_FILES = 20
_NARROWEST = 40


def findings_text(
    findings: Sequence[Finding], paint: Paint, source_line: SourceLine, width: int = WIDTH
) -> str:
    """Return findings one after the other; of many alike in one file the first, the lines of the rest, and
    at the end the command that shows each.
    """
    return "\n\n".join(_blocks(findings, _Page(paint, source_line, max(width, _NARROWEST))))


def _blocks(findings: Sequence[Finding], page: _Page) -> Iterator[str]:
    alike = grouped(findings, lambda one: one.kind)
    told: Counter[object] = Counter()
    counted = False
    for one in findings:
        told[one.kind] += 1
        others = alike[one.kind][FEW:] if one.place and one.brief else []
        if told[one.kind] <= FEW or len(others) < 2:  # one more takes no more room than to count it
            yield "\n".join(page.finding(one))
        if told[one.kind] == FEW and len(others) > 1:
            yield "\n".join(page.wrapped(f"{len(others)} more like this, on {_lines(others)}."))
            counted = True
    if counted:
        yield "\n".join(page.wrapped(f"To see each, with its own cure:{on_lines('validate --json')}"))


@dataclass(frozen=True, slots=True)
class _Page:
    """What findings are shown on: ``width`` in columns."""

    paint: Paint
    source_line: SourceLine
    width: int

    def finding(self, one: Finding) -> Iterator[str]:
        """Yield what and where, the line underlined, and what to do.

        Where the line is shown, ``brief`` stands for summary and detail.
        """
        colour = RED if one.severity is Severity.ERROR else YELLOW
        line = self.source_line(one.place) if one.place else None
        if one.place is None or line is None or not line.strip():
            yield from self._head(one, one.summary, colour)
            yield from self.wrapped(one.detail)
            yield from self.wrapped(one.hint)
            return
        yield from self._head(one, one.brief or one.summary, colour)
        number = str(one.place.line).rjust(3)
        source, marks = _underlined(one.place, line, self.width - len(number) - 4)
        room = self.width - len(number) - 4 - len(marks) - 2
        beside = one.brief and len(one.hint) <= room and "\n" not in one.hint
        yield f" {self.paint(f'{number} |', CYAN)} {source}"
        blank = " " * len(number)
        below = f" {self.paint(f'{blank} |', CYAN)} {self.paint(marks, colour)}"
        yield f"{below}  {harmless(one.hint)}" if beside else below
        yield from self.wrapped("" if one.brief else one.detail)
        yield from (f"  {self.paint('and', CYAN)} {harmless(str(other))}" for other in one.also)
        yield from self.wrapped("" if beside else one.hint)

    def _head(self, one: Finding, says: str, colour: str) -> Iterator[str]:
        plain = f"{one.severity.value}[{one.rule}]"
        head, words = self.paint(plain, colour, BOLD), self.paint(harmless(says), BOLD)
        if one.place is None:
            yield f"{head}: {words}"
            return
        place = self.paint(harmless(str(one.place)), CYAN)
        if len(f"{plain} {one.place}  {says}") <= self.width:
            yield f"{head} {place}  {words}"
        else:
            yield f"{head} {place}"
            yield from (self.paint(part, BOLD) for part in self.wrapped(says))

    def wrapped(self, text: str) -> Iterator[str]:
        return wrapped(text, self.width)


def _underlined(place: Place, line: str, room: int) -> tuple[str, str]:
    """Return the line, or the part of it that has room, and the marks below what is wrong with it."""
    column = place.column - 1
    same_line = place.end_line in (0, place.line)
    end = place.end_column - 1 if same_line and place.end_column > place.column else column + 1
    length = max(1, min(end, len(line)) - column)
    start = 0 if column + min(length, room // 2) <= room else max(0, min(column - 8, len(line) - room))
    shown = harmless(printable(line[start : start + room].replace("\t", " ")))
    shown = "…" + shown[1:] if start else shown
    shown = shown[:-1] + "…" if start + room < len(line) else shown
    return shown, " " * (column - start) + "^" * max(1, min(length, room - (column - start)))


def verdict_text(findings: Sequence[Finding], unparsed: Sequence[str]) -> str:
    """Return how many errors there are, file by file, and of which files nothing more is known yet."""
    errors = [one for one in findings if one.severity is Severity.ERROR]
    files = Counter(one.place.file for one in errors if one.place)
    each = ", ".join(_most([f"{file} {number}" for file, number in files.items()], _MOST_FILES, "other file"))
    counted = plural(len(errors), "error") + (f": {each}" if each else "")
    warnings = len(findings) - len(errors)
    lines = [f"{counted}; {plural(warnings, 'warning')}" if warnings else counted]
    if unparsed:
        verb, pronoun = ("is", "it is") if len(unparsed) == 1 else ("are", "they are")
        names = _listed(_most(list(unparsed), _MOST_FILES, "other file"))
        lines.append(f"{names} {verb} not YAML yet; more may show when {pronoun}.")
    return "\n".join(part.removeprefix("  ") for line in lines for part in wrapped(line, WIDTH))


def _most(names: list[str], most: int, others: str) -> list[str]:
    return names if len(names) <= most else [*names[:most], plural(len(names) - most, others)]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _lines(findings: Iterable[Finding]) -> str:
    """Return the lines of findings in one file: ``lines 8, 10-14 and 20``."""
    runs: list[list[int]] = []
    for line in sorted({one.place.line for one in findings if one.place}):
        if runs and runs[-1][1] == line - 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    named = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    alone = len(runs) == 1 and runs[0][0] == runs[0][1]
    return ("line " if alone else "lines ") + _listed(_most(named, _MOST_LINES, "other place"))


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield indented lines that fit; those that are indented already, as commands and examples are, stay
    whole, and so does every word.
    """
    for line in text.split("\n") if text else ():
        if line.startswith(" ") or not line:
            yield harmless(f"  {line}".rstrip())
            continue
        yield from map(harmless, folded(f"  {line}", width))


def error_text(error: ReconcilerError, paint: Paint, width: int = WIDTH) -> str:
    """Return an error for a person, as a finding is: summary, detail, what to do."""
    told = Finding(error.code, Severity.ERROR, error.summary, error.detail, error.hint)
    return findings_text([told], paint, lambda place: None, width)
