"""Files to ``DesiredTeam``: the way in to this package.

Whatever is wrong with the content is a finding, and all of them are reported at once. Warnings do not
stand in the way, errors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from reconciler.collector import collector_paused
from reconciler.config.neighbours import unread
from reconciler.config.nodes import key_place
from reconciler.config.reading import (
    Found,
    default_paths,
    default_state,
    find,
    home_of,
    identity,
    read,
)
from reconciler.config.rules import MOST_FINDINGS, REFUSALS, finding, not_shown, some_of_each
from reconciler.config.source import parse
from reconciler.config.teams import resolve_team, state_folder
from reconciler.config.transfers import TeamFile
from reconciler.config.validation import Validated, validate
from reconciler.diagnostics import Finding, Place, Severity, has_errors, sorted_findings
from reconciler.errors import ConfigError, FilesUnread
from reconciler.model.desired import Desired, DesiredTeam

__all__ = ["default_paths", "error_of", "load", "read_files", "state_folders"]


def load(paths: Sequence[Path | str], as_of: date | None = None, now: datetime | None = None) -> Desired:
    """Read files and folders; relative days are resolved against ``as_of``, by default today.

    ``now`` is another clock's than this machine's, such as a sandbox's; it is aware.

    Raises ``ConfigError`` with all findings if one is an error (``FilesUnread`` if that only says of a file
    that it was not read), and ``UsageError`` if ``as_of`` is later than today.
    """
    desired = read_files(paths, as_of=as_of, now=now or datetime.now(UTC))
    if error := error_of(desired):
        raise error
    return desired


def state_folders(paths: Sequence[Path | str]) -> tuple[str, ...]:
    """Return the folders in which the states of files lie if no flag says otherwise, each once.

    What is wrong with the files is not told: of one that cannot be read, its place decides.
    """
    reading = _Reading()
    try:
        reading.read(paths)
    except OSError:
        reading.by_team.clear()
    found = [state_folder(files) for files in reading.by_team.values()]
    found = found or [default_state(home_of(Path(path)) for path in paths)]
    return tuple(dict.fromkeys(folder for folder in found if folder))


def error_of(desired: Desired) -> ConfigError | None:
    """Return the error that the findings come to, if they do."""
    errors = {one.rule for one in desired.findings if one.severity is Severity.ERROR}
    if not errors:
        return None
    kind = FilesUnread if errors <= REFUSALS else ConfigError
    return kind(desired.findings, desired.line)


def read_files(paths: Sequence[Path | str], *, as_of: date | None, now: datetime) -> Desired:
    """Read files and folders. ``now`` is aware; ``as_of`` defaults to today in a team's timezone.

    Raises ``UsageError`` if ``as_of`` is later than today, ``ConfigError`` for a path that cannot even be
    looked at, and ``ValueError`` if ``now`` is naive.
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware")
    try:
        with collector_paused():
            reading = _Reading()
            reading.read(paths)
            teams = reading.resolve(as_of, now)
    except OSError as error:
        detail = f"{error.filename or 'A file'}: {error.strerror or error}."
        raise ConfigError((finding("BF002", detail, "Check the path and its permissions."),)) from None
    findings = _reported(reading.findings)
    found = () if has_errors(findings) else teams
    config, unparsed = tuple(map(str, paths)), tuple(reading.unparsed)
    return Desired(found, findings, reading.texts, config=config, unparsed=unparsed)


@dataclass(slots=True)
class _Reading:
    """The files as they are read, one after the other."""

    findings: list[Finding] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    by_team: dict[int, list[TeamFile]] = field(default_factory=dict)
    unparsed: list[str] = field(default_factory=list)

    def read(self, paths: Sequence[Path | str]) -> None:
        files, findings = find(paths)
        self.findings += findings
        for file in files:
            data = read(file)
            if isinstance(data, Finding):
                self.findings.append(data)
            else:
                self._take(data, file)
        self.findings += unread(self._folders(), {identity(file.path) for file in files})

    def _take(self, data: bytes, file: Found) -> None:
        source = parse(data, file.shown)
        self.findings += source.findings
        self.texts[file.shown] = source.text
        if source.root is not None:
            self._sort_in(validate(source, source.root), file)
        elif not source.empty:
            self.unparsed.append(file.shown)

    def _folders(self) -> dict[Path, dict[int, Place]]:
        """Return the folders of the files, each with the teams there."""
        folders: dict[Path, dict[int, Place]] = {}
        for team_id, files in self.by_team.items():
            for file in files:
                teams = folders.setdefault(file.path.parent, {})
                teams.setdefault(team_id, key_place(file.data, ("team_id",)))
        return folders

    def _sort_in(self, checked: Validated, found: Found) -> None:
        self.findings += checked.findings
        if checked.secrets:
            from reconciler.config.mistakes import hidden

            self.texts[checked.file] = hidden(self.texts[checked.file], checked.secrets)
        if checked.model is not None:
            file = TeamFile(checked.file, checked.model, checked.data, checked.whole, found.path, found.home)
            self.by_team.setdefault(checked.model.team_id, []).append(file)

    def resolve(self, as_of: date | None, now: datetime) -> tuple[DesiredTeam, ...]:
        teams = []
        for _, files in sorted(self.by_team.items()):
            team, findings = resolve_team(files, as_of, now)
            teams.append(team)
            self.findings += findings
        return tuple(teams)


def _reported(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings in reading order, each once, and not more than anybody reads: some of each kind."""
    found = sorted_findings(list(dict.fromkeys(findings)))
    if len(found) <= MOST_FINDINGS:
        return found
    errors_first = sorted(found, key=lambda one: one.severity is not Severity.ERROR)
    kept = some_of_each(errors_first, lambda one: one.kind)
    return sorted_findings([not_shown(len(found) - MOST_FINDINGS), *kept])
