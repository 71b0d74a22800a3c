"""``apply``: plan, show, ask, do. A saved plan is a filter and needs no asking."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shlex import quote

import click

import reconciler
from reconciler import bounds
from reconciler.ci import ci_run
from reconciler.cli.arguments import address_of, api_of, read_key, state_of, verbose_of, warn_of_ci
from reconciler.cli.command import ASKS, CALLS_API, Command
from reconciler.cli.kinds import Duration
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, completed, kept, note, settle_option, shared
from reconciler.cli.planfiles import load_plan
from reconciler.cli.progress import Reporter
from reconciler.cli.screen import places_of
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err, is_confirmed, is_terminal, refuse_without_terminal
from reconciler.durations import worded
from reconciler.engine.results import Overriding, Terms
from reconciler.engine.team import RunSettings
from reconciler.errors import (
    ApiUnavailable,
    Exit,
    Interrupted,
    KeyProblem,
    QuotaUsedUp,
    ReconcilerError,
    Refused,
    StateError,
    UsageError,
)
from reconciler.formats.commands import on_lines
from reconciler.model.desired import Desired
from reconciler.planning.guards import GUARDS
from reconciler.planning.plan import Options, Plan
from reconciler.untrusted import one_line

_PASSING = (ApiUnavailable, KeyProblem, QuotaUsedUp, StateError)
"""What ends a run before anything is sent, and is mended outside it: then the same run is made again."""


@click.command(
    cls=Command,
    examples=("reconciler apply", "reconciler apply plan.json --strict"),
    exits={**dict.fromkeys((*CALLS_API, Exit.PARTLY, Exit.UNKNOWN), ""), **ASKS},
)
@click.argument("planfile", type=click.Path(path_type=Path), required=False)
@click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
@click.option(
    "--expect",
    metavar="DIGEST",
    help="Apply only if the fresh plan has this digest, or one that begins so (12 digits); no prompt.",
)
@click.option(
    "--strict", is_flag=True, help="Refuse if the fresh plan differs from PLANFILE in any day or cancel."
)
@click.option(
    "--override",
    multiple=True,
    type=click.Choice(GUARDS),
    metavar="GUARD",
    help=f"Let this plan, given by PLANFILE or --expect, pass a guard: {' or '.join(GUARDS)}; repeatable.",
)
@click.option("--reason", metavar="TEXT", help="Why; kept in the state, and shown in the next plan.")
@click.option(
    "--plan-expiry",
    type=Duration(most=bounds.MAX_EXPIRY),
    default=bounds.DEFAULT_EXPIRY,
    metavar="DURATION",
    help=f"Refuse a PLANFILE older than this ({worded(bounds.DEFAULT_EXPIRY)}); "
    f"{worded(bounds.MAX_EXPIRY)} at most.",
)
@click.option(
    "--parallelism", type=click.IntRange(1, 100), default=10, help="Transfers worked on at a time (10)."
)
@click.option(
    "--max-wait",
    type=Duration(),
    default=bounds.MAX_WAIT,
    metavar="DURATION",
    help=f"Wait at most this long for a rate limit ({worded(bounds.MAX_WAIT)}).",
)
@settle_option
@shared("files", "api", "state", "as_of", "select", "lock", "json", "output")
def apply(
    common: Common,
    planfile: Path | None,
    auto_approve: bool,
    expect: str | None,
    strict: bool,
    override: tuple[str, ...],
    reason: str | None,
    plan_expiry: timedelta,
    parallelism: int,
    max_wait: timedelta,
    settle: timedelta,
) -> int:
    """Create the missing backfills. With PLANFILE, do only what that plan approved, by the files it names."""
    settings = RunSettings(settle, max_wait.total_seconds(), parallelism, common.lock, common.lock_timeout)
    saved = load_plan(planfile) if planfile else None
    overriding = Overriding(override, one_line(reason or ""), ci_run(os.environ)) if override else None
    named = quote(str(planfile)) if planfile else ""
    whole = f"{named}{kept(*(name for name in _KEPT if name not in _APPROVING))}".strip()
    terms = Terms(saved, strict, expect, plan_expiry, overriding, whole)
    if reason and not override:
        raise UsageError("--reason needs --override", "It says why a guard is overridden.", "Leave it out.")
    _check_usage(common, terms, auto_approve)
    if saved is not None:
        common = note(_following(common, saved.options, str(planfile)))
    again = f"apply {named}".rstrip() + kept(*_KEPT)
    if saved is not None:
        _refuse_other_api(saved, common, again)
    return apply_teams(common, terms, settings, auto_approve=auto_approve, again=again)


_APPROVING = ("auto_approve", "override", "reason")
_KEPT = (*_APPROVING, "strict", "plan_expiry", "parallelism", "max_wait", "lock", "lock_timeout")
"""Flags that are of the run, and so of the same run made again."""


def _refuse_other_api(saved: Plan, common: Common, again: str) -> None:
    """Raise ``Refused`` for a plan of another API, before a key is asked for that may be that one's."""
    if saved.api_url == address_of(common):
        return
    note(replace(common, api=saved.api_url))
    detail = f"It was made for the API {saved.api_url}, and this run uses {address_of(common)}."
    hint = f"If it is to be applied there:{on_lines(again)}"
    raise Refused("The plan file cannot be applied", detail, hint)


def _following(common: Common, options: Options, planfile: str) -> Common:
    """Return the flags with what a saved plan brings. Raises ``Refused`` if its files are not here."""
    missing = [path for path in options.config if not Path(path).exists()]
    if missing and not common.config:
        there = " ".join(f"-c {quote(f'/path/to/{path}')}" for path in options.config)
        raise Refused(
            "The files of the plan are not here",
            f"It was made from {', '.join(missing)}, and there is no such path in {Path.cwd()}.",
            "Run it where it was made; or say where its files are:"
            + on_lines(f"apply {quote(planfile)} {there}"),
        )
    return common.following(options)


def _check_usage(common: Common, terms: Terms, auto_approve: bool) -> None:
    if terms.approved is not None and (common.target or common.exclude):
        detail = "A saved plan has its own --target and --exclude."
        raise UsageError("These flags cannot be combined", detail, "Leave them out.")
    if terms.strict and terms.approved is None:
        raise UsageError(
            "These flags cannot be combined",
            "--strict needs a PLANFILE to compare with.",
            "Add the file: reconciler apply PLANFILE --strict",
        )
    if terms.approved is not None and terms.expect is not None:
        raise UsageError(
            "These flags cannot be combined", "A PLANFILE already contains its digest.", "Leave --expect out."
        )
    if terms.approved is None and terms.expect is None and not auto_approve:
        if common.json:
            raise UsageError("Cannot ask for confirmation", "--json never prompts.", "Add --auto-approve.")
        refuse_without_terminal("reconciler apply")


def apply_teams(
    common: Common, terms: Terms, settings: RunSettings, *, auto_approve: bool, again: str = "apply"
) -> int:
    """Apply, telling what happens. Returns the exit status; with ``--json`` a summary is always last.

    ``again`` is the command that makes this run again: with the digest, as long as nothing was done.
    """
    untouched = f"{again} --expect {quote(terms.expect)}" if terms.expect else again
    asks, desired = not (auto_approve or terms.approved or terms.expect), _load(common, terms)
    reporter = Reporter(common, asks=asks, places=places_of(common, desired))
    command, display = completed(f"reconciler {again}", common), reporter.display
    signals = Signals(again=command, shown=display.say, left=display.leave)

    def confirm(_plan: Plan) -> bool:
        return auto_approve or _asked()

    with signals.caught(), reporter:
        warn_of_ci(common, desired.teams)
        try:
            report = reconciler.apply(
                desired,
                api=api_of(common),
                key=read_key,
                state=state_of(common),
                terms=terms,
                settings=settings,
                interrupts=signals,
                verbose=verbose_of(common),
                confirm=confirm,
                on_event=reporter.tell,
            )
        except ReconcilerError as error:
            if isinstance(error, Interrupted):  # it is raised only before anything is written to the API
                display.close()
                err("Nothing was done.")
            if isinstance(error, _PASSING) and "\n" not in error.hint:
                error.hint += f"\nNothing was sent. To run the same again then:{on_lines(untouched)}"
            reporter.fail(error)
            raise
    if report.declined:
        err("Nothing was done.")  # 0 would say that the plan was carried out
    else:
        reporter.summarise(report, again if any(report.totals.values()) else untouched)
    return report.exit


def _load(common: Common, terms: Terms) -> Desired:
    """Load the files. Raises ``Refused`` where a saved plan's own patterns match no transfer in them."""
    try:
        return load_selected(common)
    except UsageError as error:
        if terms.approved is None or not (common.target or common.exclude):
            raise
        new = on_lines("plan --out plan.json")
        hint = f"Give the files that it was made from with -c, or make a new one:{new}"
        raise Refused("The plan file does not fit the files", error.detail, hint) from None


def _asked() -> bool:
    """Ask on the terminal; it may have gone since it was asked there before."""
    if not is_terminal():
        raise Refused(
            "The plan has changed while it was looked at",
            "What would be done now was not approved, and there is no terminal to ask at any more.",
            "Run it again.",
        )
    return is_confirmed("Do you want to perform these actions?")
