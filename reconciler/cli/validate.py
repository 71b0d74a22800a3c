"""``validate``: the files alone, without network, key or state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.command import READS_FILES, Command
from reconciler.cli.loading import read_all, show_findings
from reconciler.cli.options import Common, shared
from reconciler.cli.terminal import out, out_as_it_is, out_json, paint_for
from reconciler.config.loading import error_of
from reconciler.diagnostics import has_errors
from reconciler.errors import ConfigError, Exit
from reconciler.render.words import BOLD, WIDEST, days, tally

if TYPE_CHECKING:
    from reconciler.diagnostics import Finding
    from reconciler.formats.reports import SourceLine
    from reconciler.model.desired import Desired


@click.command(
    cls=Command,
    examples=("reconciler validate", "reconciler validate -c backfills/ --format github"),
    exits={
        **dict.fromkeys(READS_FILES, ""),
        Exit.DONE: "the files are valid",
        Exit.REFUSED: "a file of the team was not read",
    },
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "gitlab"]),
    default="text",
    help="How to write the findings (text): github as annotations, gitlab as a code quality report.",
)
@shared("files", "as_of", "json", "output")
def validate(common: Common, format_: str) -> int:
    """Check the files: all findings at once, and the declared days of each transfer."""
    if common.json or format_ == "json":
        return _validate_json(common)
    if format_ != "text":
        return _validate_for_ci(common, format_)
    desired = read_all(common)
    show_findings(desired, common)
    out(_text(desired, common))
    return _status(desired)


def _status(desired: Desired) -> int:
    error = error_of(desired)
    return error.exit_status if error else Exit.DONE


def _validate_json(common: Common) -> int:
    from reconciler.formats.reports import validation_json

    try:
        desired = read_all(common)
    except ConfigError as missing:
        out_json(validation_json(missing.findings, lambda place: None))
        return Exit.ERROR
    out_json({**validation_json(desired.findings, desired.line), "transfers": _transfers(desired)})
    return _status(desired)


def _validate_for_ci(common: Common, format_: str) -> int:
    from reconciler.formats.annotations import github_lines, gitlab_report

    findings, line, status = _found(common)
    if format_ == "gitlab":
        out_json(gitlab_report(findings, line))
    elif lines := list(github_lines(findings)):
        out_as_it_is("\n".join(lines))
    return status


def _found(common: Common) -> tuple[tuple[Finding, ...], SourceLine, int]:
    """Return all findings, what shows their lines, and the exit status; also where no file was found."""
    try:
        desired = read_all(common)
    except ConfigError as missing:
        return missing.findings, missing.line_of, Exit.ERROR
    return desired.findings, desired.line, _status(desired)


def _transfers(desired: Desired) -> list[dict[str, Any]]:
    return [
        {
            "team_id": team.team_id,
            "transfer": transfer.name,
            "transfer_id": transfer.address.transfer_id,
            "days": len(transfer.days),
        }
        for team in desired.teams
        for transfer in team.transfers
    ]


def _text(desired: Desired, common: Common) -> str:
    paint = paint_for(common.color, sys.stdout)
    if has_errors(desired.findings):
        from reconciler.render.findings import verdict_text

        return paint(verdict_text(desired.findings, desired.unparsed), BOLD)
    lines = []
    for team in desired.teams:
        lines.append(paint(f"Team {team.team_id}", BOLD))
        width = min(max((len(transfer.name) for transfer in team.transfers), default=0), WIDEST)
        for transfer in team.transfers:
            lines.append(f"  {transfer.name.ljust(width)}  {days(len(transfer.days))} declared")
    lines.append(paint(f"The files are valid: {tally(desired.findings)}.", BOLD))
    return "\n".join(lines)
