"""``show``: a saved plan, as text or JSON, or in files of each format."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.command import Command
from reconciler.cli.options import Common, shared
from reconciler.cli.plan import show as show_plan
from reconciler.cli.planfiles import Form, form_options, load_plan
from reconciler.errors import Exit
from reconciler.render.view import view_of


@click.command(
    cls=Command,
    examples=("reconciler show", "reconciler show plan.json --out markdown=plan.md --base base.json"),
    exits={Exit.DONE: "shown", Exit.REFUSED: "the plan file was altered, or is of another release"},
)
@click.argument("planfile", type=click.Path(path_type=Path), default="plan.json")
@form_options
@shared("json", "output")
def show(common: Common, planfile: Path, form: Form) -> None:
    """Show a saved plan (default: plan.json)."""
    view = view_of(load_plan(planfile))
    form.write(view)
    show_plan(view, common, whole=form.whole)
