"""Findings and errors as text: the source line underlined at what is wrong, the hint beside it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reconciler.dates import grouped
from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import ReconcilerError
from reconciler.formats.reports import LONGEST_LINE, SourceLine
from reconciler.render.words import BOLD, CYAN, RED, YELLOW, Paint, plural
from reconciler.untrusted import printable

WIDTH = 80
FEW = 3  # of what is alike so many are shown, and the others counted
_MOST_LINES = 40  # runs of lines that are named

_MOST_FILES = 20


def findings_text(findings: Sequence[Finding], paint: Paint, source_line: SourceLine) -> str:
    """Return findings one after the other; of many alike in one file the first, and the lines of the rest."""
    return "\n\n".join(_blocks(findings, paint, source_line))


def _blocks(findings: Sequence[Finding], paint: Paint, source_line: SourceLine) -> Iterator[str]:
    alike = grouped(findings, lambda one: one.kind)
    told: Counter[object] = Counter()
    for one in findings:
        told[one.kind] += 1
        others = alike[one.kind][FEW:] if one.place and one.brief else []
        if told[one.kind] <= FEW or len(others) < 2:  # one more takes no more room than to count it
            yield finding_text(one, paint, source_line)
        if told[one.kind] == FEW and len(others) > 1:
            yield "\n".join(_wrapped(f"{len(others)} more like this, on {_lines(others)}."))


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
    return "\n".join(part.removeprefix("  ") for line in lines for part in _wrapped(line))


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


def finding_text(finding: Finding, paint: Paint, source_line: SourceLine) -> str:
    """Return one finding: what and where, the line underlined, and what to do.

    Where the line is shown, ``brief`` stands for summary and detail.
    """
    colour = RED if finding.severity is Severity.ERROR else YELLOW
    head = paint(f"{finding.severity.value}[{finding.rule}]", colour, BOLD)
    place = finding.place
    if place is None:
        return "\n".join([f"{head}: {paint(finding.summary, BOLD)}", *_body(finding.detail, finding.hint)])
    shown = _shown(place, source_line(place))
    brief = finding.brief if shown is not None else ""
    says = brief or finding.summary
    room = WIDTH - len(f"{finding.severity.value}[{finding.rule}] {place}  ")
    between = "  " if len(says) <= room else "\n  "
    lines = [f"{head} {paint(str(place), CYAN)}{between}{paint(says, BOLD)}"]
    hint = finding.hint
    if shown is not None:
        beside = hint if _fits(shown, place, hint) and brief else ""
        lines += _underlined(shown, place, beside, paint, colour)
        hint = "" if beside else hint
    lines += _body("" if brief else finding.detail)
    lines += [f"  {paint('and', CYAN)} {other}" for other in finding.also]
    return "\n".join([*lines, *_body(hint)])


def _shown(place: Place, line: str | None) -> str | None:
    """Return the line as it can be shown, if the place can be."""
    if line is None or not line.strip() or place.column > LONGEST_LINE:
        return None
    return printable(line[:LONGEST_LINE].replace("\t", " "))


def _width(shown: str, place: Place) -> int:
    """Return how many characters are underlined: of what goes on below, only the first."""
    same_line = place.end_line in (0, place.line)
    end = place.end_column if same_line and place.end_column > place.column else place.column + 1
    return max(1, min(end, len(shown) + 1) - place.column)


def _fits(shown: str, place: Place, hint: str) -> bool:
    """Tell whether a hint has room beside the underlined part."""
    before = max(len(str(place.line)), 3) + 4 + place.column - 1 + _width(shown, place) + 2
    return "\n" not in hint and before + len(hint) <= WIDTH


def _underlined(shown: str, place: Place, beside: str, paint: Paint, colour: str) -> Iterator[str]:
    number = str(place.line).rjust(3)
    mark = paint("^" * _width(shown, place), colour)
    yield f" {paint(number + ' |', CYAN)} {shown}"
    yield f" {paint(' ' * len(number) + ' |', CYAN)} {' ' * (place.column - 1)}{mark}  {beside}".rstrip()


def _body(*texts: str) -> list[str]:
    return [line for text in texts if text for line in _wrapped(text)]


def _wrapped(text: str) -> Iterator[str]:
    """Yield lines of at most 80 characters, indented; those that are indented already, as commands and
    examples are, stay whole, and so does every word.
    """
    for line in text.split("\n"):
        if line.startswith(" ") or not line:
            yield f"  {line}".rstrip()
            continue
        yield from textwrap.wrap(
            line,
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def error_text(error: ReconcilerError, paint: Paint) -> str:
    """Return an error for a person: summary, detail, what to do."""
    head = paint(f"error[{error.code}]", RED, BOLD)
    told = ("  " + text.replace("\n", "\n  ") for text in (error.detail, error.hint) if text)
    return "\n".join([f"{head}: {paint(error.summary, BOLD)}", *told])
