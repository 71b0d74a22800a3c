"""``resolve``: settle by hand a create whose outcome nothing else can tell."""

from __future__ import annotations

import re
from datetime import timedelta
from shlex import quote
from typing import TYPE_CHECKING

import click

from reconciler.cli import completion
from reconciler.cli.arguments import parts_of
from reconciler.cli.command import ASKS, CALLS_API, Command
from reconciler.cli.display import Display
from reconciler.cli.loading import load_selected, named_transfer, parse_range
from reconciler.cli.options import Common, completed, settle_option, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err, is_confirmed, out, out_json, refuse_without_terminal
from reconciler.engine.run import locked
from reconciler.engine.team import RunSettings
from reconciler.errors import Exit, ReconcilerError, Refused, UsageError
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import encode_time
from reconciler.planning.matching import find_match
from reconciler.planning.resolution import settles_at
from reconciler.planning.standing import doubled_names
from reconciler.render.doubts import Doubt, resolve_text
from reconciler.render.words import span

if TYPE_CHECKING:
    from reconciler.engine.parts import Parts
    from reconciler.engine.team import TeamRun
    from reconciler.model.deltas import Delta
    from reconciler.model.desired import DesiredTeam
    from reconciler.model.memory import Document, Intent
    from reconciler.model.observed import Backfill


_CREATED = re.compile(r"created:[1-9]\d{0,18}")


@click.command(
    cls=Command,
    examples=("reconciler resolve", "reconciler resolve ads 2024-05-01..2024-05-31 --as not-created"),
    exits={**dict.fromkeys(CALLS_API, ""), **ASKS},
)
@click.argument("transfer", required=False, shell_complete=completion.transfers)
@click.argument("days", metavar="[START..END]", required=False)
@click.option("--as", "verdict", metavar="created:ID|not-created", help="What became of the create.")
@click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
@settle_option
@shared("files", "api", "state", "lock", "json", "output")
def resolve(
    common: Common,
    transfer: str | None,
    days: str | None,
    verdict: str | None,
    auto_approve: bool,
    settle: timedelta,
) -> int:
    """Settle the create of TRANSFER for START..END, whose outcome is unknown.

    Look at the vendor's pages first: was that backfill created? Without --as, show what is unresolved, with
    the commands that settle it.
    """
    teams, signals = load_selected(common).teams, Signals()
    with signals.caught(), Display(common) as display:
        parts = parts_of(common, signals)
        if verdict is None:
            return _list(parts, teams, common, display, transfer, days)
        if transfer is None or days is None:
            hint = f"To see what is unresolved:{on_lines('resolve')}"
            raise UsageError("Arguments are missing", "--as needs TRANSFER and START..END.", hint)
        _check_verdict(verdict)
        team, transfer_id = _find(parts, teams, transfer)
        settings = RunSettings(settle=settle, lock=common.lock, lock_timeout=common.lock_timeout)
        run = parts.team_run(team, settings, display.tell)
        with locked([run], settings, "resolve"):
            return _settle(run, transfer_id, days, verdict, auto_approve)


def _list(
    parts: Parts,
    teams: tuple[DesiredTeam, ...],
    common: Common,
    display: Display,
    transfer: str | None,
    days: str | None,
) -> int:
    from reconciler.formats.messages import intent_json
    from reconciler.planning.intents import unresolved

    ranges = {team.team_id: parse_range(days, team.as_of) for team in teams} if days else {}
    documents = [(team, parts.store(team).read()[0]) for team in teams]
    found = [
        (team, document, one)
        for team, document in documents
        if document is not None
        for one in unresolved(document)
        if transfer in (None, one.transfer, str(one.transfer_id))
        if days is None or ranges[team.team_id] == (one.start, one.end)
    ]
    if transfer is not None and not found:
        _find(parts, teams, transfer)  # nothing is unresolved, or the name is a typo
    if common.json:
        shown = [intent_json("create", one, team.team_id) for team, _document, one in found]
        out_json({"unresolved": shown})
        return Exit.DONE
    doubtful = {team.team_id: team for team, *_ in found}
    lists = {team_id: _listed(parts, team, display) for team_id, team in doubtful.items()}
    display.close()
    doubles = doubled_names(teams)
    doubts = []
    for team, document, one in found:
        made = find_match(one, lists[team.team_id], document, common.settle)
        at = settles_at(one, common.settle, team.on_unknown)
        shared = team.team_id if one.transfer in doubles else 0
        doubts.append(Doubt(one, at, shared, made.id if made else None))
    if doubts:
        out(completed(resolve_text(doubts, parts.clock().now()), common) + "\n\n")
    out(f"{len(found)} unresolved." if found else "Nothing is unresolved.")
    return Exit.DONE


def _listed(parts: Parts, team: DesiredTeam, display: Display) -> tuple[Backfill, ...]:
    """Return the open backfills of a team; none, and a warning, where they cannot be read."""
    try:
        client = parts.client(team.team_id, team.key_env, on_event=display.tell)
        return tuple(client.list_incomplete().backfills)
    except ReconcilerError as error:
        err(f"warning: Whether the API shows them could not be seen: {error.summary}. {error.detail}")
        return ()


def _find(parts: Parts, teams: tuple[DesiredTeam, ...], name: str) -> tuple[DesiredTeam, int]:
    """Return the team and id of a transfer, by its id or as named in the files or, since it may have been
    renamed or taken out of them, in the state.
    """
    found = {
        (team.team_id, one.address.transfer_id): team
        for team in teams
        for one in team.transfers
        if name in (one.name, str(one.address.transfer_id))
    } or _remembered(parts, teams, name)
    if not found:
        named_transfer(teams, name)  # raises, and names the nearest one
    if len(found) != 1:
        detail = f"{len(found)} transfers are named {name}."
        raise UsageError(
            "The name does not match exactly one transfer",
            detail,
            "Give its name in the files, or its id; -c narrows the files.",
        )
    ((_team_id, transfer_id), team), *_others = found.items()
    return team, transfer_id


def _remembered(
    parts: Parts, teams: tuple[DesiredTeam, ...], name: str
) -> dict[tuple[int, int], DesiredTeam]:
    from reconciler.planning.intents import unresolved

    documents = ((team, parts.store(team).read()[0]) for team in teams)
    return {
        (team.team_id, one.transfer_id): team
        for team, document in documents
        for one in (unresolved(document) if document else ())
        if name in (one.transfer, str(one.transfer_id))
    }


def _settle(run: TeamRun, transfer_id: int, days: str, verdict: str, auto_approve: bool) -> int:
    from reconciler.engine.by_hand import find_intent

    session = run.open()
    intent = find_intent(session.document, transfer_id, *parse_range(days, run.team.as_of))
    delta = _delta(run, intent, verdict)
    if verdict == "not-created":
        _look(run, session.document, intent)
        _warn_if_early(run, intent)
    if not auto_approve:
        refuse_without_terminal("reconciler resolve")
        if not is_confirmed(f"Record {intent.transfer} {span(intent.start, intent.end)} as {verdict}?"):
            err("Nothing was changed.")
            return Exit.ERROR
    with run.saving():
        session.record(delta)
        run.store.finish()
    out(f"{intent.transfer} {span(intent.start, intent.end)}: recorded as {verdict}.")
    return Exit.DONE


def _look(run: TeamRun, document: Document, intent: Intent) -> None:
    """Raise ``Refused`` if just that backfill is there; say so, if nobody can tell."""
    from reconciler.engine.by_hand import seen_of

    try:
        made = seen_of(run, document, intent)
    except ReconcilerError as error:
        err(f"warning: Whether it is there could not be looked at: {error.summary}. {error.detail}")
        return
    if made is not None:
        at = encode_time(made.created_time)
        detail = f"Backfill {made.id} is just what was asked for, and was made at {at}: it was created."
        settle = f"resolve {quote(intent.transfer)} {intent.dates} --as created:{made.id}"
        raise Refused("It was created", detail, f"Say so:{on_lines(settle)}")


def _warn_if_early(run: TeamRun, intent: Intent) -> None:
    """Within settle time nobody can know that a create will not take effect: say what is at stake."""
    settles = intent.intended_at + run.settings.settle
    if run.clock.now() < settles:
        err(
            f"warning: The request may still take effect until {encode_time(settles)}.\n"
            "  Its days would then be loaded twice. Check the vendor's pages again after that."
        )


def _check_verdict(verdict: str) -> None:
    if verdict != "not-created" and _CREATED.fullmatch(verdict) is None:
        detail = f"{verdict!r} is neither created:NUMBER nor not-created."
        if verdict == "created:ID":
            detail = "ID stands for the number of the backfill, and none was written in its place."
        hint = "Look for the backfill on the vendor's pages: its number is there, if it was created."
        raise UsageError("Invalid value for --as", detail, hint)


def _delta(run: TeamRun, intent: Intent, verdict: str) -> Delta:
    from reconciler.engine.by_hand import as_created, as_not_created

    if verdict == "not-created":
        return as_not_created(intent)
    backfill_id = int(verdict.removeprefix("created:"))
    document, _revision = run.store.read()
    known = document or run.blank
    return as_created(intent, backfill_id, known, run.client, run.settings.settle, run.team.on_unknown)
