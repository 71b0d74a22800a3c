"""What ``validate`` reports to programs: findings as JSON. It knows no plan, so a cold start is cheap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.formats.commands import parted
from reconciler.untrusted import one_line

LONGEST_LINE = 120  # characters of a line that are shown

SourceLine = Callable[[Place], str | None]
"""Returns the text of the line a place lies in, or None if it cannot be shown."""


def encode_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def on_the_minute(moment: datetime) -> str:
    """Return a time for people, without its seconds: ``2026-11-29 04:18 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def minute_after(moment: datetime) -> str:
    """Return the same of the first minute that begins when a time is over, or then."""
    return on_the_minute(moment + timedelta(seconds=59, microseconds=999_999))


def encode_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding in the shape of ``terraform validate -json``, its rule id in ``code``; the commands
    that its text has on lines of their own are in ``commands``.
    """
    encoded: dict[str, Any] = {
        "code": finding.rule,
        "severity": finding.severity.value,
        "summary": finding.summary,
        **_detail(finding.detail, finding.hint),
    }
    if finding.place is not None:
        encoded["range"] = _range(finding.place)
    if finding.also:
        encoded["also"] = [_range(place) for place in finding.also]
    return encoded


def _detail(detail: str, hint: str) -> dict[str, Any]:
    words, commands = parted(f"{detail} {hint}".strip())
    return {"detail": one_line(words), **({"commands": commands} if commands else {})}


def _range(place: Place) -> dict[str, Any]:
    end_line, end_column = place.end_line or place.line, place.end_column or place.column
    return {
        "filename": place.file,
        "start": {"line": place.line, "column": place.column},
        "end": {"line": end_line, "column": end_column},
    }


def validation_json(findings: tuple[Finding, ...], source_line: SourceLine) -> dict[str, Any]:
    """Return findings in the shape of ``terraform validate -json``."""
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    return {
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": len(findings) - errors,
        "diagnostics": [_with_snippet(finding, source_line) for finding in findings],
    }


def failure_json(error: Exception) -> dict[str, Any]:
    """Return what ended a command, as the diagnostics of a document that has nothing else to say."""
    if isinstance(error, ConfigError):
        return {"diagnostics": [_with_snippet(finding, error.line_of) for finding in error.findings]}
    told: dict[str, Any] = {"code": "bug", "summary": "This is a bug in reconciler"}
    if isinstance(error, ReconcilerError):
        told = {"code": error.code, "summary": error.summary, **_detail(error.detail, error.hint)}
    else:
        told["detail"] = type(error).__name__
    return {"diagnostics": [{**told, "severity": "error"}]}


def _with_snippet(finding: Finding, source_line: SourceLine) -> dict[str, Any]:
    encoded = encode_finding(finding)
    place = finding.place
    line = source_line(place) if place else None
    if line is not None and place is not None:
        encoded["snippet"] = {
            "code": line[:LONGEST_LINE],
            "start_line": place.line,
            "highlight_start_offset": min(place.column - 1, LONGEST_LINE),
            "highlight_end_offset": min(max(place.end_column - 1, place.column), LONGEST_LINE),
        }
    return encoded
