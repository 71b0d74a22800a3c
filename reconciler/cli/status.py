"""``status``: where the declared days stand."""

from __future__ import annotations

import sys

import click

from reconciler.cli.exits import Exit, worst
from reconciler.cli.options import Common, shared
from reconciler.cli.output import out, out_json, paint_for
from reconciler.cli.planning import plan_teams, show_diagnostics
from reconciler.cli.signals import Signals
from reconciler.cli.wiring import Wiring, load_teams
from reconciler.engine.pipeline import Settings
from reconciler.render.status import is_healthy, is_synced, status_json, status_text


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
    good = is_synced(counts) and is_healthy(counts)
    return worst({*planned.statuses, *(() if good or not check else (Exit.PARTLY,))})
