"""``plan``: what apply would do, and why. Writes nothing, neither remotely nor to the state."""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from shlex import quote

import click

from reconciler import __version__
from reconciler.cli.arguments import Wiring, load_teams
from reconciler.cli.options import DEFAULT_API, Common, Duration, OutFile, shared
from reconciler.cli.planning import plan_teams, show_diagnostics
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, out_json, paint_for
from reconciler.engine.team import Settings
from reconciler.errors import Exit, UsageError, worst
from reconciler.formats.planfile import dump, encode_plan
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Plan
from reconciler.render.text import plan_text
from reconciler.render.words import Paint

FORMATS = ("json", "text")


@click.command()
@click.option(
    "--out",
    "outs",
    type=OutFile(FORMATS),
    multiple=True,
    help=f"Save the plan; repeatable. Formats: {', '.join(FORMATS)} (default json).",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 if there are planned or deferred days, or a cancel."
)
@click.option(
    "--settle",
    type=Duration(),
    default="15m",
    metavar="DURATION",
    help="Time in which a create takes effect or never will (15m); below 3m it may be made twice.",
)
@shared("files", "api", "state", "as_of", "select", "json", "output")
def plan(
    common: Common, outs: tuple[tuple[str, str], ...], detailed_exitcode: bool, settle: timedelta
) -> int:
    """Show which backfills are missing, and why. Writes nothing; a read-only key will do."""
    teams = load_teams(common)
    signals = Signals()
    with signals.caught():
        wiring = Wiring(common, signals)
        planned = plan_teams(common, wiring, teams, Settings(settle=settle))
    for format_, path in outs:
        write_out(planned.plan, format_, path)
    show(planned.plan, common)
    return worst({*planned.statuses, *_statuses(planned.plan, detailed_exitcode)})


def _statuses(made: Plan, detailed: bool) -> set[int]:
    statuses: set[int] = set()
    if made.guarded:
        statuses.add(Exit.REFUSED)
    if detailed and (made.actions or made.counts[Bucket.DEFERRED]):
        statuses.add(Exit.CHANGES)
    return statuses


def show(made: Plan, common: Common, *, command: bool = True) -> None:
    """Print a plan: JSON, or its findings and its text, with the command that applies it."""
    if common.json:
        out_json(encode_plan(made, __version__))
        return
    show_diagnostics(made, common)
    out(plan_text(made, paint_for(common.color, sys.stdout), apply_by=apply_by(common) if command else ""))


def apply_by(common: Common) -> str:
    """Return the apply command with the flags that name the files, the API and the state."""
    parts = ["reconciler apply", *(f"-c {quote(path)}" for path in common.config)]
    parts += [f"--api {quote(common.api)}"] if common.api != DEFAULT_API else []
    parts += [f"--state {quote(common.state)}"] if common.state else []
    return " ".join(parts)


def write_out(made: Plan, format_: str, path: str) -> None:
    """Write a plan to a file, whole or not at all. Raises ``UsageError`` if it cannot be written."""
    text = dump(encode_plan(made, __version__)) if format_ == "json" else plan_text(made, Paint())
    given, target = Path(path), Path(os.path.realpath(path))
    try:
        if given.exists() and not given.is_file():  # a pipe or a device is written to, never replaced
            given.write_text(text, "utf-8")
            return
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        detail = f"{path}: {error.strerror}."
        raise UsageError("The plan cannot be written", detail, "Check --out and its folder.") from None
