"""``plan``: what apply would do, and why. Writes nothing, neither remotely nor to the state."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from shlex import quote

import click

import reconciler
from reconciler import bounds
from reconciler.cli.arguments import api_of, read_key, state_of, verbose_of
from reconciler.cli.command import CALLS_API, Command
from reconciler.cli.display import Display
from reconciler.cli.kinds import OutFile
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, command_of, completed, settle_option, shared
from reconciler.cli.progress import show_diagnostics
from reconciler.cli.screen import places_of, shown_on
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, out_json
from reconciler.cli.writing import write_whole
from reconciler.dates import iso
from reconciler.durations import worded
from reconciler.engine.results import TeamsPlan
from reconciler.engine.team import RunSettings
from reconciler.errors import Exit, worst
from reconciler.formats.planfile import digest, dump, encode_plan, short
from reconciler.model.desired import Desired
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Plan
from reconciler.render.text import Shown, plan_text
from reconciler.render.words import Paint
from reconciler.version import __version__

FORMATS = ("json", "text")


@click.command(
    cls=Command,
    examples=("reconciler plan", "reconciler plan --target 'meta-*' --out plan.json"),
    exits=(*CALLS_API, Exit.CHANGES),
)
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
@click.option("--all", "whole", is_flag=True, help="Show each backfill and range, however many.")
@settle_option
@shared("files", "api", "state", "as_of", "select", "json", "output")
def plan(
    common: Common,
    outs: tuple[tuple[str, str], ...],
    detailed_exitcode: bool,
    whole: bool,
    settle: timedelta,
) -> int:
    """Show which backfills are missing, and why. Writes nothing; a read-only key will do."""
    desired = load_selected(common)
    made, places = plan_teams(common, desired, RunSettings(settle=settle)), places_of(common, desired)
    for format_, path in outs:
        write_out(made, format_, path, places, whole)
    saved = [path for format_, path in outs if format_ == "json"]
    apply_by = _apply_saved(common, saved[0], settle) if saved else apply_command(made, common, settle)
    show(made, common, apply_by=apply_by, places=places, whole=whole)
    return worst({*made.statuses, *_statuses(made, detailed_exitcode)})


def plan_teams(common: Common, desired: Desired, settings: RunSettings) -> TeamsPlan:
    """Observe and plan, as ``status`` does too; a signal ends it."""
    signals = Signals()
    with signals.caught(), Display(common) as display:
        return reconciler.plan(
            reconciler.observe(
                desired,
                api=api_of(common),
                key=read_key,
                state=state_of(common),
                settings=settings,
                interrupts=signals,
                verbose=verbose_of(common),
                on_event=display.tell,
            )
        )


def _statuses(made: Plan, detailed: bool) -> set[int]:
    statuses: set[int] = set()
    if made.guarded:
        statuses.add(Exit.REFUSED)
    if detailed and (made.actions or made.counts[Bucket.DEFERRED]):
        statuses.add(Exit.CHANGES)
    return statuses


def apply_command(made: Plan, common: Common, settle: timedelta = bounds.DEFAULT_SETTLE) -> str:
    """Return the command that applies this plan and nothing else, with the flags that shaped it."""
    dates = {iso(team.as_of) for team in made.teams}
    parts = [command_of(common, "apply")]
    parts += [f"--as-of {dates.pop()}"] if len(dates) == 1 else []
    parts += [f"--target {quote(name)}" for name in made.options.target]
    parts += [f"--exclude {quote(name)}" for name in made.options.exclude]
    parts += [f"--settle {worded(settle)}"] if settle != bounds.DEFAULT_SETTLE else []
    return " ".join([*parts, f"--expect {short(digest(made))}"])


def _apply_saved(common: Common, path: str, settle: timedelta) -> str:
    """Return the command that applies a saved plan: it names its files and its selection itself."""
    command = command_of(replace(common, config=()), f"apply {quote(path)}")
    return f"{command} --settle {worded(settle)}" if settle != bounds.DEFAULT_SETTLE else command


def show(
    made: Plan,
    common: Common,
    *,
    apply_by: str = "",
    places: Mapping[int, str] | None = None,
    whole: bool = False,
) -> None:
    """Print a plan: JSON, or its findings and its text, with the command that applies it."""
    if common.json:
        out_json(encode_plan(made, __version__))
        return
    show_diagnostics(made, common)
    text = plan_text(made, shown_on(sys.stdout, common, places, whole=whole), apply_by=apply_by)
    out(completed(text, common))


def write_out(made: Plan, format_: str, path: str, places: Mapping[int, str], whole: bool) -> None:
    """Write a plan to a file, whole or not at all. Raises ``UsageError`` if it cannot be written."""
    shown = Shown(Paint(), places=places, whole=whole)
    text = dump(encode_plan(made, __version__)) if format_ == "json" else plan_text(made, shown)
    write_whole(path, text)
