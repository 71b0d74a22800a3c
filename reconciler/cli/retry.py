"""``retry``: have forgotten what keeps days from being loaded."""

from __future__ import annotations

from datetime import timedelta

import click

from reconciler.cli import completion
from reconciler.cli.arguments import parts_of
from reconciler.cli.command import ASKS, CALLS_API, Command
from reconciler.cli.display import Display
from reconciler.cli.loading import load_selected, named_transfer, parse_range
from reconciler.cli.options import Common, completed, settle_option, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import agreed, out
from reconciler.dates import DateSet, union
from reconciler.engine.by_hand import forget, held_up, learned
from reconciler.engine.run import locked
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import Exit
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import encode_time
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.situation import Situation
from reconciler.render.words import days as count_of
from reconciler.render.words import span


@click.command(
    cls=Command,
    examples=("reconciler retry ads", "reconciler retry ads 2024-05-01..2024-05-31"),
    exits={**dict.fromkeys(CALLS_API, ""), **ASKS, Exit.DONE: "done, or nothing to forget"},
)
@click.argument("transfer", shell_complete=completion.transfers)
@click.argument("days", metavar="[START..END]", required=False)
@click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
@settle_option
@shared("files", "api", "state", "lock", "output")
def retry(common: Common, transfer: str, days: str | None, auto_approve: bool, settle: timedelta) -> int:
    """Forget what keeps days of TRANSFER from being due: attempts, refusals, evidence that tells nothing.

    The next apply creates them. Look at the vendor's pages first: a day of which nobody can tell whether it
    is loaded is loaded again. In the file, `loaded:`, `exclude` or a later `stale_before` say such things.
    """
    team, transfer_id = named_transfer(load_selected(common).teams, transfer)
    signals = Signals()
    with signals.caught(), Display(common) as display:
        settings = RunSettings(settle=settle, lock=common.lock, lock_timeout=common.lock_timeout)
        run = parts_of(common, signals).team_run(team, settings, display.tell)
        chosen = DateSet.span(*parse_range(days, team.as_of)) if days else None
        with locked([run], settings, "retry"):
            return _retry(run, transfer_id, chosen, auto_approve, common)


def _retry(run: TeamRun, transfer_id: int, chosen: DateSet | None, auto_approve: bool, common: Common) -> int:
    session = run.open()
    situation = run.weighed(session)
    ledger = _ledger(situation, transfer_id)
    held = {reason: days & (chosen or days) for reason, days in held_up(ledger).items()}
    days = union(held.values())
    waits = _waits(ledger, chosen, run.settings.settle)
    if not days:
        out(waits or f"Nothing that retry could forget keeps days of {ledger.transfer.name} from being due.")
        return Exit.DONE
    for reason, of_it in held.items():
        for start, end in of_it.intervals:
            out(f"  {span(start, end)}  {reason.value}")
    question = f"Forget that for {count_of(len(days))} of {ledger.transfer.name}?"
    if not agreed(question, auto_approve, "reconciler retry"):
        return Exit.ERROR
    situation = learned(run, session, lambda: run.weighed(session))
    with run.saving():
        session.record(forget(transfer_id, days, situation))
        run.store.finish()
    out(f"Forgotten for {count_of(len(days))} of {ledger.transfer.name}.")
    ledger = _ledger(run.weighed(session), transfer_id)
    if waits := _waits(ledger, chosen, run.settings.settle):
        out(waits)
    out(completed(f"What is due now:{on_lines('plan')}", common))
    return Exit.DONE


def _ledger(situation: Situation, transfer_id: int) -> TransferLedger:
    return next(one for one in situation.ledgers if one.transfer.address.transfer_id == transfer_id)


def _waits(ledger: TransferLedger, chosen: DateSet | None, settle: timedelta) -> str:
    """Say until when days wait that nothing but time frees: a request of ours may still take effect there."""
    recent = union(one.days for one in ledger.of(Bucket.BLOCKED) if one.reason is Reason.RECENT_REQUEST)
    recent = recent & (chosen or recent)
    asked = [one.intended_at for one in ledger.evidence.intents if one.days & recent]
    if not asked:
        return ""
    until = encode_time(max(asked) + settle)
    return f"{count_of(len(recent))} wait until {until}: a request of ours may take effect there until then."
