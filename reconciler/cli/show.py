"""``show``: a saved plan, as text or JSON."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from reconciler.cli.command import Command
from reconciler.cli.kinds import OutFile
from reconciler.cli.options import Common, shared
from reconciler.cli.plan import FORMATS, write_out
from reconciler.cli.plan import show as show_plan
from reconciler.cli.reading import read_bounded
from reconciler.errors import Exit, UsageError
from reconciler.formats.commands import on_lines
from reconciler.formats.planfile import MAX_BYTES, read_plan
from reconciler.planning.plan import Plan


@click.command(
    cls=Command,
    examples=("reconciler show", "reconciler show plan.json --json"),
    exits={Exit.DONE: "shown", Exit.REFUSED: "the plan file was altered, or is of another release"},
)
@click.argument("planfile", type=click.Path(path_type=Path), default="plan.json")
@click.option(
    "--out",
    "outs",
    type=OutFile(FORMATS),
    multiple=True,
    help="Write it to a file too, as json (default) or text; repeatable.",
)
@click.option("--all", "whole", is_flag=True, help="Show each backfill and range, however many.")
@shared("json", "output")
def show(common: Common, planfile: Path, outs: tuple[tuple[str, str], ...], whole: bool) -> None:
    """Show a saved plan (default: plan.json)."""
    plan = load_plan(planfile)
    for format_, path in outs:
        write_out(plan, format_, path, {}, whole)
    show_plan(plan, common, whole=whole)


def load_plan(path: Path) -> Plan:
    """Read a plan file. Raises ``UsageError`` if it is not there, ``Refused`` if it is unfit."""
    if path.suffix in (".yaml", ".yml"):
        hint = f"Files of transfers are given with -c:{on_lines(f'apply -c {quote(str(path))}')}"
        raise UsageError("This is no plan file", f"{path} looks like a file of transfers.", hint)
    try:
        data = read_bounded(path, MAX_BYTES + 1)
    except OSError as error:
        detail = f"{path}: {error.strerror}."
        raise UsageError(
            "The plan file cannot be read", detail, f"Make one:{on_lines('plan --out plan.json')}"
        ) from None
    return read_plan(data)
