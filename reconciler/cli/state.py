"""``state``: looking after the state."""

from __future__ import annotations

import click

from reconciler.cli.arguments import parts_of
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, out_json
from reconciler.errors import Exit


@click.group()
def state() -> None:
    """Manage the state."""


@state.command()
@click.argument("lock_id", required=False)
@shared("files", "api", "state", "json", "output")
def unlock(common: Common, lock_id: str | None) -> int:
    """Free the lock that a dead run left behind; with LOCK_ID only that one.

    A lock in a folder dies with its run, and that of a living run is never taken away.
    """
    parts, desired = parts_of(common, Signals()), load_selected(common)
    freed = {team.team_id: parts.store(team).unlock(lock_id) for team in desired.teams}
    if common.json:
        out_json({"teams": [{"team_id": one, "freed": holder is not None} for one, holder in freed.items()]})
        return Exit.DONE
    for team_id, holder in freed.items():
        told = f"freed; it was held by {holder.who} on {holder.host}" if holder else "was not locked"
        out(f"Team {team_id}: {told}.")
    return Exit.DONE
