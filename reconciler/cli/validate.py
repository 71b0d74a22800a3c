"""``validate``: the files alone, without network, key or state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.loading import load_files, show_findings
from reconciler.cli.options import Common, shared
from reconciler.cli.terminal import out, out_json, paint_for
from reconciler.diagnostics import has_errors
from reconciler.errors import ConfigError, Exit
from reconciler.render.words import BOLD, GREEN, RED, days, tally

if TYPE_CHECKING:
    from reconciler.config.desired import Loaded


@click.command()
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How to write the findings (text).",
)
@shared("files", "as_of", "json", "output")
def validate(common: Common, format_: str) -> int:
    """Check the files: all findings at once, and the declared days of each transfer."""
    if common.json or format_ == "json":
        return _validate_json(common)
    loaded = load_files(common)
    show_findings(loaded, common)
    out(_text(loaded, common))
    return Exit.ERROR if has_errors(loaded.findings) else Exit.DONE


def _validate_json(common: Common) -> int:
    from reconciler.formats.reports import validation_json

    try:
        loaded = load_files(common)
    except ConfigError as missing:
        out_json(validation_json(missing.findings, lambda place: None))
        return Exit.ERROR
    out_json({**validation_json(loaded.findings, loaded.line), "transfers": _transfers(loaded)})
    return Exit.ERROR if has_errors(loaded.findings) else Exit.DONE


def _transfers(loaded: Loaded) -> list[dict[str, Any]]:
    return [
        {
            "team_id": team.team_id,
            "transfer": transfer.name,
            "transfer_id": transfer.address.transfer_id,
            "days": len(transfer.days),
        }
        for team in loaded.teams
        for transfer in team.transfers
    ]


def _text(loaded: Loaded, common: Common) -> str:
    paint = paint_for(common.color, sys.stdout)
    if has_errors(loaded.findings):
        return paint(f"The files are not valid: {tally(loaded.findings)}.", RED, BOLD)
    lines = []
    for team in loaded.teams:
        lines.append(paint(f"Team {team.team_id}", BOLD))
        width = max((len(transfer.name) for transfer in team.transfers), default=0)
        for transfer in team.transfers:
            lines.append(f"  {transfer.name.ljust(width)}  {days(len(transfer.days))} declared")
    lines.append(paint(f"The files are valid: {tally(loaded.findings)}.", GREEN, BOLD))
    return "\n".join(lines)
