"""Findings and errors as text, the source line underlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import ReconcilerError
from reconciler.formats.reports import LONGEST_LINE, SourceLine
from reconciler.render.words import BOLD, CYAN, RED, YELLOW, Paint
from reconciler.untrusted import printable


def finding_text(finding: Finding, paint: Paint, source_line: SourceLine) -> str:
    """Return one finding: what, where, the line underlined, in detail, and what to do."""
    colour = RED if finding.severity is Severity.ERROR else YELLOW
    head = paint(f"{finding.severity.value}[{finding.rule}]", colour, BOLD)
    lines = [f"{head}: {paint(finding.summary, BOLD)}"]
    if finding.place is not None:
        lines.append(f"  {paint('-->', CYAN)} {finding.place}")
        lines += _underlined(finding.place, source_line(finding.place), paint, colour)
    lines += [f"  {paint('and', CYAN)} {place}" for place in finding.also]
    lines += _wrapped(finding.detail, finding.hint)
    return "\n".join(lines)


def _underlined(place: Place, line: str | None, paint: Paint, colour: str) -> Iterator[str]:
    if line is None or not line.strip() or place.column > LONGEST_LINE:
        return
    shown = printable(line[:LONGEST_LINE].replace("\t", " "))
    same_line = place.end_line in (0, place.line)
    end = place.end_column if same_line and place.end_column > place.column else place.column + 1
    width = max(1, min(end, len(shown) + 1) - place.column)
    number = str(place.line)
    yield f"  {paint(number + ' |', CYAN)} {shown}"
    yield f"  {paint(' ' * len(number) + ' |', CYAN)} {' ' * (place.column - 1)}{paint('^' * width, colour)}"


def _wrapped(detail: str, hint: str) -> list[str]:
    return ["  " + text.replace("\n", "\n  ") for text in (detail, hint) if text]


def findings_text(findings: Iterable[Finding], paint: Paint, source_line: SourceLine) -> str:
    return "\n\n".join(finding_text(one, paint, source_line) for one in findings)


def error_text(error: ReconcilerError, paint: Paint) -> str:
    """Return an error for a person: summary, detail, what to do."""
    head = paint(f"error[{error.code}]", RED, BOLD)
    return "\n".join([f"{head}: {paint(error.summary, BOLD)}", *_wrapped(error.detail, error.hint)])
