"""``state``: looking after the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.command import ASKS, READS_FILES, Commands
from reconciler.cli.migrate import check, migrate
from reconciler.cli.options import Common, shared
from reconciler.cli.overview import TEAM, list_, show, verify
from reconciler.cli.places import each_team, held, store_of
from reconciler.cli.terminal import agreed, err, out, out_as_it_is, out_json
from reconciler.errors import Exit, StateLocked, UsageError

if TYPE_CHECKING:
    from reconciler.engine.parts import Parts
    from reconciler.model.desired import DesiredTeam
    from reconciler.model.memory import Document

MOST_OF_STATE = 2**30  # bytes of JSON: some 1,500,000 records
CHANGES_STATE = {**dict.fromkeys(READS_FILES, ""), **ASKS}
APPROVED = click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")


@click.group(cls=Commands)
def state() -> None:
    """Manage the state."""


for command in (list_, show, verify, migrate, check):
    state.add_command(command)


@state.command(
    examples=("reconciler state pull > state.json", "reconciler state pull 12345"),
    exits={**dict.fromkeys(READS_FILES, ""), Exit.DONE: "printed"},
)
@TEAM
@shared("files", "api", "state", "output")
def pull(common: Common, team_id: int | None) -> int:
    """Print the state of TEAM as JSON, also one whose move to another place is under way."""
    from reconciler.formats.statefile import encode_document

    team_id, store = store_of(common, team_id)
    document, _revision = store.read(retired=True)
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
    is kept as the backup (in Git: in the history), and the serial grows by one.
    """
    document = _read(file)
    team_id, store = store_of(common, document.team_id, f"{file} is the state of")
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
    """Remove the state of TEAM; it is kept as the backup (in Git: in the history of its branch).

    What only the state knows is forgotten: which backfills are ours, and with `evidence: backfills` what is
    loaded.
    """
    team_id, store = store_of(common, team_id)
    with held(common, store, "state rm"):
        if not agreed(f"Remove the state of team {team_id}?", auto_approve, "reconciler state rm"):
            return Exit.ERROR
        removed = store.remove()
    told = f"the state was removed; it is kept {store.kept}" if removed else "there was no state"
    out(f"Team {team_id}: {told}.")
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

    In a folder the lock dies with its run, and that of a living run is never taken away. In Git it is a
    lease: without LOCK_ID it is freed only once that is over, with it at once, and a run that holds it stops.
    """
    freed: dict[int, bool] = {}
    others: list[StateLocked] = []

    def free(team: DesiredTeam, parts: Parts) -> int:
        try:
            holder = parts.store(team).unlock(lock_id)
        except StateLocked as locked:
            if lock_id is None:
                raise
            others.append(locked)  # of several teams only one has the lock of that id
            return Exit.DONE
        freed[team.team_id] = holder is not None
        if not common.json:
            told = f"freed; it was held by {holder.who} on {holder.host}" if holder else "was not locked"
            out(f"Team {team.team_id}: {told}.")
        return Exit.DONE

    status = each_team(common, None, free)
    if others and not any(freed.values()):
        raise others[0]
    if common.json:
        out_json({"teams": [{"team_id": one, "freed": done} for one, done in freed.items()]})
    return status
