"""``status``: where the declared days stand."""

from __future__ import annotations

import sys

import click

from reconciler.cli.command import CALLS_API, Command
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, shared
from reconciler.cli.plan import plan_teams
from reconciler.cli.progress import show_diagnostics
from reconciler.cli.terminal import out, out_json, paint_for
from reconciler.engine.team import RunSettings
from reconciler.errors import Exit, worst
from reconciler.formats.messages import status_json
from reconciler.planning.standing import standings
from reconciler.render.status import status_text


@click.command(
    cls=Command,
    examples=("reconciler status", "reconciler status --check --json"),
    exits={**dict.fromkeys(CALLS_API, ""), Exit.PARTLY: "with --check: not all is synced and healthy"},
)
@click.option("--check", is_flag=True, help="Exit 3 unless everything is synced and healthy.")
@shared("files", "api", "state", "as_of", "select", "json", "output")
def status(common: Common, check: bool) -> int:
    """Show the declared days by transfer and bucket.

    Synced: nothing planned, deferred or waiting. Healthy: nothing blocked or failed. What could not be read
    is unknown.
    """
    desired = load_selected(common)
    made = plan_teams(common, desired, RunSettings())
    each, total = standings(made, desired)
    if common.json:
        out_json(status_json(made.errored, each, total))
    else:
        show_diagnostics(made, common)
        out(status_text(each, total, paint_for(common.color, sys.stdout)))
    good = total.synced and total.healthy
    return worst({*made.statuses, *(() if good or not check else (Exit.PARTLY,))})
