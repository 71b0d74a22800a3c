"""``status``: where the declared days stand."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime

import click

from reconciler.cli.command import CALLS_API, Command
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, completed, completed_json, kept, shared
from reconciler.cli.plan import plan_teams
from reconciler.cli.progress import show_diagnostics, show_next
from reconciler.cli.screen import places_of, shown_on
from reconciler.cli.terminal import out, out_json
from reconciler.cli.writing import write_whole
from reconciler.engine.results import Situations
from reconciler.engine.team import RunSettings
from reconciler.errors import Exit, worst
from reconciler.formats.messages import status_json
from reconciler.formats.metrics import Measured, metrics_text
from reconciler.planning.standing import standings, team_standings
from reconciler.render.status import status_text


@dataclass(frozen=True, slots=True)
class Moments:
    """When each team was read, and when a plan of it was last applied in full, by its id."""

    read: dict[int, datetime] = field(default_factory=dict)
    applied: dict[int, datetime] = field(default_factory=dict)

    def note(self, seen: Situations) -> None:
        for one in seen.teams:
            self.read[one.team.team_id] = one.now
            applied = [applied.when for applied in one.document.applies.values()]
            if applied:
                self.applied[one.team.team_id] = max(applied)


@click.command(
    cls=Command,
    examples=("reconciler status", "reconciler status --check --metrics reconciler.prom"),
    exits={**dict.fromkeys(CALLS_API, ""), Exit.PARTLY: "with --check: not all is healthy, or synced"},
)
@click.option(
    "--check",
    is_flag=False,
    flag_value="healthy",
    type=click.Choice(["healthy", "synced"]),
    help="Exit 3 unless all is healthy; --check=synced: unless all is synced, too.",
)
@click.option("--metrics", metavar="FILE", help="Write the numbers to a file for Prometheus, too.")
@click.option("--all", "whole", is_flag=True, help="Show each transfer, however many.")
@shared("files", "api", "state", "as_of", "select", "json", "output")
def status(common: Common, check: str | None, metrics: str | None, whole: bool) -> int:
    """Show the declared days by transfer and bucket.

    Synced: nothing planned, deferred or waiting. Healthy: nothing blocked, failed or stuck, but for a pause
    that the file declares. What could not be read is unknown.
    """
    desired = load_selected(common)
    moments = Moments()
    made = plan_teams(common, desired, RunSettings(), moments.note)
    each, total = standings(made, desired)
    if metrics:
        text = metrics_text(Measured(each, moments.read, moments.applied))
        write_whole(metrics, text, "The metrics", "--metrics")
    if common.json:
        out_json(completed_json(status_json(made, each, total), common))
    else:
        show_diagnostics(made, common)
        teams = team_standings(made, desired, places_of(common, desired))
        shown = shown_on(sys.stdout, common)
        out(completed(status_text(teams, total, shown.paint, shown.width, whole=whole), common))
        show_next(made.statuses, f"status{kept('check', 'whole')}", common)
    good = total.healthy and (total.synced or check != "synced")
    return worst({*made.statuses, *(() if good or not check else (Exit.PARTLY,))})
