"""``state``: looking after the state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import parts_of
from reconciler.cli.command import ASKS, READS_FILES, Commands
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, completed, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import agreed, err, out, out_as_it_is, out_json
from reconciler.errors import Exit, StateError, UsageError
from reconciler.stores.base import LockInfo, StateStore, this_process

if TYPE_CHECKING:
    from reconciler.model.desired import DesiredTeam
    from reconciler.model.memory import Document

MOST_OF_STATE = 2**30  # bytes of JSON: some 1,500,000 records
CHANGES_STATE = {**dict.fromkeys(READS_FILES, ""), **ASKS}
APPROVED = click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
TEAM = click.argument("team_id", metavar="[TEAM]", type=click.IntRange(1, 2**63 - 1), required=False)


@click.group(cls=Commands)
def state() -> None:
    """Manage the state."""


def stores_of(common: Common) -> list[tuple[DesiredTeam, StateStore]]:
    """Return the teams of the files, each with its store."""
    parts = parts_of(common, Signals())
    return [(team, parts.store(team)) for team in load_selected(common).teams]


def _store_of(common: Common, team_id: int | None, asked: str = "You asked for") -> tuple[int, StateStore]:
    """Return the one team that is meant, with its store. Raises ``UsageError``."""
    teams = stores_of(common)
    meant = [(team.team_id, store) for team, store in teams if team_id in (None, team.team_id)]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(str(team.team_id) for team, _store in teams)
    has = f"The files have the teams {there or 'none'}."
    if team_id is None or meant:
        raise UsageError("Which team is meant", has, "Give one of them.")
    detail = f"{asked} team {team_id}. {has}"
    raise UsageError("The team is not in the files", detail, "Give the files of that team with -c.")


@contextmanager
def held(common: Common, store: StateStore, operation: str) -> Iterator[None]:
    """Hold the lock of a state, or none if so told."""
    info = this_process(operation, datetime.now(UTC))
    patience = common.lock_timeout.total_seconds()
    lock = store.lock(info, patience, _tell_waiting) if common.lock else nullcontext()
    with lock:
        yield


def _tell_waiting(holder: LockInfo | None) -> None:
    err(f"waiting for the lock: {holder or 'another run has it'}")


@state.command("list", examples=("reconciler state list", "reconciler state list --json"), exits=READS_FILES)
@shared("files", "api", "state", "json", "output")
def list_(common: Common) -> int:
    """Show each team's state: its serial, lineage, and how much it knows."""
    from reconciler.render.words import plural

    rows = []
    for team, store in stores_of(common):
        document, _revision = store.read()
        rows.append({"team_id": team.team_id, **_summary(document)})
    if common.json:
        out_json({"teams": rows})
        return Exit.DONE
    for row in rows:
        counts = (plural(int(str(row[f"{one}s"])), one) for one in ("backfill", "intent"))
        known = f"serial {row['serial']}, {', '.join(counts)}"
        told = f"{known}; lineage {row['lineage']}" if row["lineage"] else "no state yet"
        out(f"Team {row['team_id']}: {told}{'; an old copy' if row['old_copy'] else ''}.")
    return Exit.DONE


def _summary(document: Document | None) -> dict[str, object]:
    if document is None:
        return {"lineage": None, "serial": 0, "backfills": 0, "intents": 0, "old_copy": False}
    counts = {"backfills": len(document.backfills), "intents": len(document.intents)}
    return {
        "lineage": document.lineage,
        "serial": document.serial,
        **counts,
        "old_copy": document.old_copy,
    }


@state.command(
    examples=("reconciler state verify", "reconciler state verify --state /mnt/state"),
    exits={**dict.fromkeys(READS_FILES, ""), Exit.DONE: "all can be used"},
)
@shared("files", "api", "state", "output")
def verify(common: Common) -> int:
    """Read each team's state whole, and say what is wrong with any."""
    statuses = []
    for team, store in stores_of(common):
        try:
            document, revision = store.read()
        except StateError as error:
            statuses.append(error.exit_status)
            hint = error.hint.replace("\n", "\n  ")
            err(completed(f"Team {team.team_id}: {error.summary}. {error.detail}\n  {hint}", common))
        else:
            out(f"Team {team.team_id}: {f'ok, serial {revision.serial}' if document else 'no state yet'}.")
    return next(iter(statuses), int(Exit.DONE))


@state.command(
    examples=("reconciler state pull > state.json", "reconciler state pull 12345"),
    exits={**dict.fromkeys(READS_FILES, ""), Exit.DONE: "printed"},
)
@TEAM
@shared("files", "api", "state", "output")
def pull(common: Common, team_id: int | None) -> int:
    """Print the state of TEAM as JSON."""
    from reconciler.formats.statefile import encode_document

    team_id, store = _store_of(common, team_id)
    document, _revision = store.read()
    if document is None:
        err(f"Team {team_id} has no state yet.")
        return Exit.ERROR
    out_as_it_is(encode_document(document))
    return Exit.DONE


@state.command(
    examples=("reconciler state push errored.12345.json", "reconciler state push - < state.json"),
    exits={**CHANGES_STATE, Exit.REFUSED: "the file is older than the state, or of another lineage"},
)
@click.argument("file", type=click.Path())
@click.option("--another-lineage", is_flag=True, help="Replace a state that the file does not descend from.")
@APPROVED
@shared("files", "api", "state", "lock", "output")
def push(common: Common, file: str, another_lineage: bool, auto_approve: bool) -> int:
    """Put FILE (`-`: stdin), which `state pull` printed or a failed run saved, in the place of the state.

    One that is older than the state, or does not know the last commit there, is refused. The state before
    is kept as the backup, and the serial grows by one.
    """
    document = _read(file)
    team_id, store = _store_of(common, document.team_id, f"{file} is the state of")
    with held(common, store, "state push"):
        question = f"Replace the state of team {team_id} by serial {document.serial} of {file}?"
        if not agreed(question, auto_approve, "reconciler state push"):
            return Exit.ERROR
        revision = store.push(document, another_lineage)
    out(f"Team {team_id}: the state is that of {file} now, with serial {revision.serial}.")
    return Exit.DONE


def _read(file: str) -> Document:
    from reconciler.cli.reading import read_bounded
    from reconciler.formats.commands import on_lines
    from reconciler.formats.statefile import decode_document

    try:
        data = read_bounded("/dev/stdin" if file == "-" else file, MOST_OF_STATE)
    except OSError as error:
        detail = f"{file}: {error.strerror}."
        raise UsageError("The file cannot be read", detail, "Check its path and permissions.") from None
    return decode_document(data, file, f"Nothing was changed. Take it anew:{on_lines('state pull')}")


@state.command(
    examples=("reconciler state rm", "reconciler state rm 12345 --auto-approve"),
    exits={**CHANGES_STATE, Exit.DONE: "done, or there was none"},
)
@TEAM
@APPROVED
@shared("files", "api", "state", "lock", "output")
def rm(common: Common, team_id: int | None, auto_approve: bool) -> int:
    """Remove the state of TEAM; it is kept as the backup.

    What only the state knows is forgotten: which backfills are ours, and with `evidence: backfills` what is
    loaded.
    """
    team_id, store = _store_of(common, team_id)
    with held(common, store, "state rm"):
        if not agreed(f"Remove the state of team {team_id}?", auto_approve, "reconciler state rm"):
            return Exit.ERROR
        removed = store.remove()
    kept = "the state was removed, and is kept as the backup beside it"
    out(f"Team {team_id}: {kept if removed else 'there was no state'}.")
    return Exit.DONE


@state.command(
    examples=("reconciler state unlock", "reconciler state unlock 0b5dbd9c-6a3f-4f2e-8d71-2f0a1f0f6a11"),
    exits={
        **CHANGES_STATE,
        Exit.DONE: "free, or was not locked",
        Exit.ERROR: "",
        Exit.LOCKED: "its run lives",
    },
)
@click.argument("lock_id", required=False)
@shared("files", "api", "state", "json", "output")
def unlock(common: Common, lock_id: str | None) -> int:
    """Free the lock that a dead run left behind; with LOCK_ID only that one.

    A lock in a folder dies with its run, and that of a living run is never taken away.
    """
    freed = {team.team_id: store.unlock(lock_id) for team, store in stores_of(common)}
    if common.json:
        out_json({"teams": [{"team_id": one, "freed": holder is not None} for one, holder in freed.items()]})
        return Exit.DONE
    for team_id, holder in freed.items():
        told = f"freed; it was held by {holder.who} on {holder.host}" if holder else "was not locked"
        out(f"Team {team_id}: {told}.")
    return Exit.DONE
