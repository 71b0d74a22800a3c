"""``status``: where the declared days stand."""

from __future__ import annotations

import sys

import click

from reconciler.cli.arguments import Wiring, load_teams
from reconciler.cli.options import Common, shared
from reconciler.cli.planning import plan_teams, show_diagnostics
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, out_json, paint_for
from reconciler.engine.team import Settings
from reconciler.errors import Exit, worst
from reconciler.formats.messages import status_json
from reconciler.render.status import status_text


@click.command()
@click.option("--check", is_flag=True, help="Exit 3 unless everything is synced and healthy.")
@shared("files", "api", "state", "as_of", "select", "json", "output")
def status(common: Common, check: bool) -> int:
    """Show the declared days by transfer and bucket.

    Synced: nothing planned, deferred or waiting. Healthy: nothing blocked or failed.
    """
    teams = load_teams(common)
    signals = Signals()
    with signals.caught():
        planned = plan_teams(common, Wiring(common, signals), teams, Settings())
    if common.json:
        out_json(status_json(planned.plan))
    else:
        show_diagnostics(planned.plan, common)
        out(status_text(planned.plan, paint_for(common.color, sys.stdout)))
    counts = planned.plan.counts
    good = counts.synced and counts.healthy
    return worst({*planned.statuses, *(() if good or not check else (Exit.PARTLY,))})
