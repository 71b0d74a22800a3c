"""Files to ``DesiredTeam``: the way in to this package.

``load`` raises nothing for bad content; whatever is wrong is a finding, and all of them are
reported at once. Warnings do not stand in the way, errors do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from reconciler.collector import collector_paused
from reconciler.config.files import default_paths, find, read
from reconciler.config.rules import MOST_FINDINGS, finding
from reconciler.config.secrets import hidden
from reconciler.config.source import parse
from reconciler.config.teams import resolve_team
from reconciler.config.transfers import TeamFile
from reconciler.config.validation import Validated, validate
from reconciler.diagnostics import Finding, Place, has_errors, sorted_findings
from reconciler.errors import ConfigError
from reconciler.model.desired import DesiredTeam

__all__ = ["Loaded", "default_paths", "load", "select", "unmatched"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say. ``teams``, by team id, is empty if there are errors.

    ``texts`` holds each file's text by its name in ``Place.file``, for showing lines;
    secrets in it are blanked out.
    """

    teams: tuple[DesiredTeam, ...]
    findings: tuple[Finding, ...]
    texts: Mapping[str, str] = field(default_factory=dict)

    def require(self) -> tuple[DesiredTeam, ...]:
        """Return the teams. Raises ``ConfigError`` with all findings if one is an error."""
        if has_errors(self.findings):
            raise ConfigError(self.findings)
        return self.teams

    def line(self, place: Place) -> str | None:
        """Return the text of the line a place begins in, or ``None`` if there is none."""
        lines = self.texts.get(place.file, "").split("\n")
        return lines[place.line - 1].rstrip("\r") if 0 < place.line <= len(lines) else None


def load(paths: Sequence[Path | str], *, as_of: date | None, now: datetime) -> Loaded:
    """Read files and folders. ``now`` is aware; ``as_of`` defaults to today in a team's timezone.

    Raises ``UsageError`` if ``as_of`` is later than today, and ``ValueError`` if ``now`` is naive.
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware")
    with collector_paused():
        reading = _Reading()
        reading.read(paths)
        teams = reading.resolve(as_of, now)
    findings = _reported(reading.findings)
    return Loaded(() if has_errors(findings) else teams, findings, reading.texts)


def select(team: DesiredTeam, target: Sequence[str], exclude: Sequence[str]) -> DesiredTeam:
    """Return the team with the transfers whose names match a target and no exclusion.

    Patterns are globs, case counts; no target means all. ``declared_ids`` stay.
    """
    kept = (
        transfer
        for transfer in team.transfers
        if (not target or _matches(transfer.name, target)) and not _matches(transfer.name, exclude)
    )
    return replace(team, transfers=tuple(kept))


def unmatched(teams: Sequence[DesiredTeam], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the patterns that match no transfer of any team; they are slips of the keyboard."""
    names = [transfer.name for team in teams for transfer in team.transfers]
    return tuple(pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(slots=True)
class _Reading:
    """The files as they are read, one after the other."""

    findings: list[Finding] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    by_team: dict[int, list[TeamFile]] = field(default_factory=dict)

    def read(self, paths: Sequence[Path | str]) -> None:
        files, findings = find(paths)
        self.findings += findings
        for file in files:
            data = read(file)
            if isinstance(data, Finding):
                self.findings.append(data)
            else:
                self._take(data, file.shown)

    def _take(self, data: bytes, file: str) -> None:
        source = parse(data, file)
        self.findings += source.findings
        self.texts[file] = source.text
        if source.root is not None:
            self._sort_in(validate(source, source.root))

    def _sort_in(self, checked: Validated) -> None:
        self.findings += checked.findings
        if checked.secrets:
            self.texts[checked.file] = hidden(self.texts[checked.file], checked.secrets)
        if checked.model is not None:
            file = TeamFile(checked.file, checked.model, checked.data)
            self.by_team.setdefault(checked.model.team_id, []).append(file)

    def resolve(self, as_of: date | None, now: datetime) -> tuple[DesiredTeam, ...]:
        teams = []
        for _, files in sorted(self.by_team.items()):
            team, findings = resolve_team(files, as_of, now)
            teams.append(team)
            self.findings += findings
        return tuple(teams)


def _reported(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings in reading order, each once, and not more than anybody reads."""
    found = sorted_findings(list(dict.fromkeys(findings)))
    if len(found) <= MOST_FINDINGS:
        return found
    errors_first = sorted(found, key=lambda one: one.severity != "error")[:MOST_FINDINGS]
    detail = f"{len(found) - MOST_FINDINGS} more findings are left out."
    more = finding("BF020", detail, "Mend those below, and run again.")
    return sorted_findings([more, *errors_first])
