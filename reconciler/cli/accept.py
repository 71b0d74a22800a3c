"""``accept``: say that a history which the state does not know is known to you."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click

from reconciler.cli import completion
from reconciler.cli.arguments import parts_of
from reconciler.cli.command import ASKS, CALLS_API, Command
from reconciler.cli.display import Display
from reconciler.cli.loading import load_selected, named_transfer
from reconciler.cli.options import Common, completed, settle_option, shared
from reconciler.cli.places import held, stores_of
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import agreed, err, out
from reconciler.engine.by_hand import accept as accepted
from reconciler.engine.by_hand import learned, with_latest
from reconciler.engine.run import locked
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import Exit, StateOldCopy, UsageError, worst
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import encode_time
from reconciler.model.deltas import Delta
from reconciler.model.desired import Address, DesiredTeam, EvidenceMode
from reconciler.model.observed import Cause
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.situation import Situation
from reconciler.render.words import span


@click.command(
    cls=Command,
    examples=("reconciler accept ads", "reconciler accept --old-copy"),
    exits={**dict.fromkeys(CALLS_API, ""), **ASKS, Exit.DONE: "done, or nothing to accept"},
)
@click.argument("transfers", nargs=-1, metavar="TRANSFER...", shell_complete=completion.transfers)
@click.option("--all", "everything", is_flag=True, help="Every transfer of the files.")
@click.option("--old-copy", is_flag=True, help="Go on with a state that is older than what was committed.")
@click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
@settle_option
@shared("files", "api", "state", "lock", "output")
def accept(
    common: Common,
    transfers: tuple[str, ...],
    everything: bool,
    old_copy: bool,
    auto_approve: bool,
    settle: timedelta,
) -> int:
    """Say that the history of TRANSFER which the state does not know is known to you.

    With `evidence: backfills` the state is all that tells what is loaded. Where it does not know how a
    backfill came about, it may have forgotten more, and nothing is created. First put the newest state back,
    if there is one, or say with `loaded:` in the file what is loaded: what is due after this is created.

    With --old-copy the state itself is older than what was committed. It accepts no history.
    """
    if [bool(transfers), everything, old_copy].count(True) != 1:
        raise UsageError("Name transfers, or give --all or --old-copy", "Exactly one of them is needed.")
    if old_copy:
        return _accept_old_copies(common, auto_approve)
    teams = load_selected(common).teams
    named = [named_transfer(teams, transfer) for transfer in transfers]
    signals = Signals()
    with signals.caught(), Display(common) as display:
        parts = parts_of(common, signals)
        settings = RunSettings(settle=settle, lock=common.lock, lock_timeout=common.lock_timeout)
        wanted = [team for team in teams if everything or any(team is one for one, _id in named)]
        runs = [parts.team_run(team, settings, display.tell) for team in wanted]
        with locked(runs, settings, "accept"):
            chosen = {Address(team.team_id, transfer_id) for team, transfer_id in named}
            return worst(_accept(run, chosen, auto_approve, common) for run in runs)


def _accept_old_copies(common: Common, auto_approve: bool) -> int:
    """Go on with each team's state that is an old copy."""
    for team, store in stores_of(common):
        with held(common, store, "accept --old-copy"):
            try:
                store.read()
            except StateOldCopy as old:
                old_state = old.summary
                err(f"Team {team.team_id}: {old.detail}")
            else:
                out(f"Team {team.team_id}: its state is no old copy.")
                continue
            if not agreed(f"{old_state}. Go on all the same?", auto_approve, "reconciler accept"):
                return Exit.ERROR
            serial = store.accept_old_copy().serial
            out(f"Team {team.team_id}: the state goes on with serial {serial}.")
    out(completed(f"Plan before you apply:{on_lines('plan')}", common))
    return Exit.DONE


def _accept(run: TeamRun, chosen: set[Address], auto_approve: bool, common: Common) -> int:
    """Accept for the chosen transfers of a team, or for all if none is named."""
    session = run.open()
    ledgers = _chosen(with_latest(run, session), chosen)
    unknown = [ledger for ledger in ledgers if ledger.evidence.has_unexplained]
    if unread := [answer for ledger in ledgers for answer in ledger.evidence.unread]:
        forbidden = any(answer.cause is Cause.FORBIDDEN for answer in unread)
        err("\n".join(f"error: {answer.said}" for answer in dict.fromkeys(unread)))
        return int(Exit.KEY if forbidden else Exit.UNAVAILABLE)
    if not unknown:
        out(f"Team {run.team.team_id}: there is no unknown history to accept.")
        return Exit.DONE
    _show(unknown)
    if others := _sharing(run.team, unknown):
        out(f"That is accepted for {', '.join(others)}, too: a predecessor is the same.")
    if not agreed("Is their history known to you?", auto_approve, "reconciler accept"):
        return Exit.ERROR
    situation = learned(run, session, lambda: with_latest(run, session))
    delta = Delta()
    for ledger in unknown:  # as it was shown: what came since is not accepted
        delta += accepted(ledger, situation.document.serial)
    with run.saving():
        session.record(delta)
        run.store.finish()
    for ledger in unknown:
        newest = max(record.id for record in ledger.evidence.records)
        out(f"Accepted for {ledger.transfer.name}, up to backfill {newest}.")
    out(completed(f"What is due now:{on_lines('plan')}", common))
    return Exit.DONE


def _chosen(situation: Situation, chosen: set[Address]) -> list[TransferLedger]:
    return [one for one in situation.ledgers if not chosen or one.transfer.address in chosen]


def _sharing(team: DesiredTeam, unknown: Sequence[TransferLedger]) -> list[str]:
    """Return the names of the transfers for whose history it is accepted, too, without their being chosen."""
    sources = {record.transfer_id for ledger in unknown for record in ledger.evidence.records}
    chosen = {ledger.transfer.address for ledger in unknown}
    others = (one for one in team.of_the_files if one.address not in chosen)
    blind = (one for one in others if one.evidence is EvidenceMode.BACKFILLS)
    return [one.name for one in blind if not sources.isdisjoint(one.source_ids)]


def _show(unknown: Sequence[TransferLedger]) -> None:
    for ledger in unknown:
        out(f"{ledger.transfer.name}: how these backfills came about is not known to the state:")
        for record in ledger.evidence.unexplained:
            who = f"by user {record.seen.created_user_id or 'unknown'}"
            made = f"{record.status.value}, made {encode_time(record.created_time)} {who}"
            out(f"  {record.id}  {span(record.start, record.end)}  {made}")
        for entry in ledger.of(Bucket.BLOCKED):
            if entry.reason is Reason.UNKNOWN_HISTORY:
                for start, end in entry.days.intervals:
                    out(f"  {span(start, end)}  is due once that is accepted")
