"""``diff``: how two saved plans differ."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.command import Command
from reconciler.cli.options import Common, shared
from reconciler.cli.planfiles import load_plan
from reconciler.cli.terminal import out, out_json, paint_for, width_of
from reconciler.errors import Exit
from reconciler.formats.plandiff import changes_json
from reconciler.planning.difference import changes_of
from reconciler.render.changes import changes_text, unknown_of


@click.command(
    cls=Command,
    examples=("reconciler diff base.json plan.json", "reconciler diff base.json plan.json --json"),
    exits={Exit.DONE: "shown", Exit.REFUSED: "a plan file was altered, or is of another release"},
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@shared("json", "output")
def diff(common: Common, before: Path, after: Path) -> None:
    """Show what a saved plan does more, and what less, than another one; by transfer, with the days."""
    old, new = load_plan(before), load_plan(after)
    changes = changes_of(old, new)
    if common.json:
        out_json(changes_json(old, new, changes))
    else:
        unknown = unknown_of(old, new, "the earlier plan", "the later plan")
        out(changes_text(changes, paint_for(common.color, sys.stdout), width_of(sys.stdout), unknown))
