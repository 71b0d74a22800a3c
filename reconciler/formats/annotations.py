"""Findings as CI systems take them: GitHub's workflow commands, GitLab's code quality report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.diagnostics import Finding, Severity
from reconciler.formats.reports import SourceLine
from reconciler.untrusted import one_line

MOST_ANNOTATIONS = 10  # of errors, and of warnings: GitHub shows no more of one step
_GITLAB = {Severity.ERROR: "major", Severity.WARNING: "minor"}


def github_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield ``::error file=…,line=…,col=…,title=…::message``, at most ten of a severity: where there are
    more, the tenth sums up the others.
    """
    for severity in Severity:
        those = [one for one in findings if one.severity is severity]
        few = those if len(those) <= MOST_ANNOTATIONS else those[: MOST_ANNOTATIONS - 1]
        yield from map(_annotation, few)
        if rest := those[len(few) :]:
            files = Counter(one.place.file for one in rest if one.place)
            told = ", ".join(f"{file} {number}" for file, number in files.items())
            title = _property(f"{len(rest)} more {severity.value}s")
            yield f"::{severity.value} title={title}::{_message(told or title)}"


def _annotation(one: Finding) -> str:
    where = ""
    if one.place is not None:
        where = f"file={_property(one.place.file)},line={one.place.line},col={one.place.column},"
    title = _property(f"{one.rule} {one.summary}")
    return f"::{one.severity.value} {where}title={title}::{_message(_told(one))}"


def _told(one: Finding) -> str:
    return " ".join(f"{one.detail} {one.hint}".split()) or one.summary


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def gitlab_report(findings: Sequence[Finding], source_line: SourceLine) -> list[dict[str, Any]]:
    """Return a code quality report. A fingerprint is the same while the line of a finding only moves."""
    seen: Counter[str] = Counter()
    return [_issue(one, source_line, seen) for one in findings]


def _issue(one: Finding, source_line: SourceLine, seen: Counter[str]) -> dict[str, Any]:
    place = one.place
    line = (source_line(place) if place else None) or ""
    same = "\0".join([one.rule, place.file if place else "", line.strip(), one.brief or one.summary])
    seen[same] += 1  # of several that are alike each has its own
    return {
        "check_name": one.rule,
        "description": one_line(f"{one.summary}: {_told(one)}"),
        "fingerprint": hashlib.sha256(f"{same}\0{seen[same]}".encode()).hexdigest(),
        "severity": _GITLAB[one.severity],
        "location": {"path": place.file if place else ".", "lines": {"begin": place.line if place else 1}},
    }
