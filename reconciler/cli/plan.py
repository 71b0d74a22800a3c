"""``plan``: what apply would do, and why. Writes nothing, neither remotely nor to the state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from shlex import quote

import click

import reconciler
from reconciler import bounds
from reconciler.cli.arguments import api_of, read_key, state_of, verbose_of
from reconciler.cli.command import CALLS_API, Command
from reconciler.cli.display import Display
from reconciler.cli.loading import load_selected
from reconciler.cli.options import (
    Common,
    command_of,
    completed,
    completed_json,
    kept,
    settle_option,
    shared,
)
from reconciler.cli.planfiles import Form, form_options
from reconciler.cli.progress import show_diagnostics, show_next
from reconciler.cli.screen import places_of, shown_on
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, out_json
from reconciler.dates import iso
from reconciler.durations import worded
from reconciler.engine.results import Situations, TeamsPlan
from reconciler.engine.team import RunSettings
from reconciler.errors import Exit, worst
from reconciler.formats.planfile import digest, encode_plan, short
from reconciler.model.desired import Desired
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Plan
from reconciler.render.text import plan_text
from reconciler.render.view import View, view_of
from reconciler.version import __version__


@click.command(
    cls=Command,
    examples=("reconciler plan", "reconciler plan --target 'meta-*' --out plan.json"),
    exits=(*CALLS_API, Exit.CHANGES),
)
@form_options
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 if there are planned or deferred days, or a cancel."
)
@settle_option
@shared("files", "api", "state", "as_of", "select", "json", "output")
def plan(
    common: Common,
    form: Form,
    detailed_exitcode: bool,
    settle: timedelta,
) -> int:
    """Show which backfills are missing, and why. Writes nothing; a read-only key will do."""
    desired = load_selected(common)
    made = plan_teams(common, desired, RunSettings(settle=settle))
    apply_by = _apply_saved(common, form.saved, settle) if form.saved else apply_command(made, common, settle)
    view = view_of(made, places_of(common, desired), apply_by)
    form.write(view)
    show(view, common, whole=form.whole)
    if not common.json:
        outs = "".join(f" --out {quote('='.join(one))}" for one in form.outs)
        again = f"plan{outs}{kept('base', 'max_chars', 'whole', 'detailed_exitcode')}"
        show_next(made.statuses, again, common)
    return worst({*made.statuses, *_statuses(made, detailed_exitcode)})


def plan_teams(
    common: Common,
    desired: Desired,
    settings: RunSettings,
    look: Callable[[Situations], None] = lambda seen: None,
) -> TeamsPlan:
    """Observe and plan, as ``status`` does too; a signal ends it. ``look`` sees what the plan is made of."""
    signals = Signals()
    with signals.caught(), Display(common) as display:
        seen = reconciler.observe(
            desired,
            api=api_of(common),
            key=read_key,
            state=state_of(common),
            settings=settings,
            interrupts=signals,
            verbose=verbose_of(common),
            on_event=display.tell,
        )
        look(seen)
        return reconciler.plan(seen)


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


def show(view: View, common: Common, *, whole: bool = False) -> None:
    """Print a plan: JSON, or its findings and its text, with the command that applies it."""
    if common.json:
        out_json(completed_json(encode_plan(view.plan, __version__), common))
        return
    show_diagnostics(view.plan, common)
    out(completed(plan_text(view, shown_on(sys.stdout, common, whole=whole)), common))
