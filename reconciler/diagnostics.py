"""Findings as data: what is wrong, where, how bad, and what to do about it.

A finding is a value. It is collected, never raised one by one, and worded once; the
renderers only lay it out. Rule ids are stable: ``docs/errors.md`` has a heading for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_NAMES = re.compile(r"`[^`]*`|[0-9]+")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. ``line`` and ``column`` count from 1; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a person should know, with its rule id and the way out.

    ``summary`` is short and holds no user-chosen names, so that people learn to recognise
    it; ``detail`` says what is wrong here; ``hint`` says what to do. ``also`` holds further
    places that belong to it (the other of two duplicates). ``brief`` says in a few words what summary and
    detail do, for where the line itself is shown; "" if there are none.
    """

    rule: str
    severity: Severity
    summary: str
    detail: str
    hint: str = ""
    place: Place | None = None
    also: tuple[Place, ...] = ()
    brief: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Return what findings that are alike share: file, rule, and the words but for names and numbers."""
        words = _NAMES.sub("", f"{self.brief} {self.hint}")
        return (self.place.file if self.place else "", self.rule, words)


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings in reading order: by place, then rule; placeless ones first."""
    return tuple(sorted(findings, key=_reading_order))


def _reading_order(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.place or Place("", 0, 0)
    return (place.file, place.line, place.column, finding.rule, finding.detail)


def has_errors(findings: tuple[Finding, ...] | list[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)
