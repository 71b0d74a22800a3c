"""Small pieces of wording that several renderings share, and colour as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.dates import Day, iso, last_iso
from reconciler.diagnostics import Finding, Severity

GREEN, RED, YELLOW, CYAN, BOLD, DIM = "32", "31", "33", "36", "1", "2"
WIDEST = 32  # columns kept for names; longer ones are out of line
_NAMED = 3  # teams


@dataclass(frozen=True, slots=True)
class Paint:
    """Wraps text in ANSI colour, or leaves it as it is."""

    on: bool = False

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.on and codes and text else text


def span(start: Day, end: Day) -> str:
    """Return a half-open interval as inclusive dates of constant width, fit to be pasted into a command."""
    return f"{iso(start)}..{last_iso(end)}"


def days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def plural(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def teams(ids: Sequence[int]) -> str:
    """Return teams by id: ``team 5``, or ``teams 5, 6, 7 and 2 more``."""
    named = ", ".join(map(str, ids[:_NAMED]))
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return f"{'team' if len(ids) == 1 else 'teams'} {named}{more}"


def worded(bucket: str) -> str:
    """Return a bucket as people read it: ``in flight``."""
    return bucket.replace("_", " ")


def tally(findings: tuple[Finding, ...]) -> str:
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    return f"{plural(errors, 'error')}, {plural(len(findings) - errors, 'warning')}"
