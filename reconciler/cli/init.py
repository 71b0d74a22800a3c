"""``init``: a commented starter file."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

import click

from reconciler.cli.arguments import parts_of
from reconciler.cli.command import Command
from reconciler.cli.options import Common, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err
from reconciler.errors import Exit, Refused, UsageError
from reconciler.model.observed import Unreadable

DEFAULT_TEAM = 12345


@click.command(
    cls=Command,
    examples=("reconciler init", "reconciler init --from-api --team-id 12345"),
    exits={
        Exit.DONE: "written",
        Exit.REFUSED: "the file is there already, or a folder of files beside it",
        Exit.KEY: "",
        Exit.UNAVAILABLE: "",
    },
)
@click.argument("file", type=click.Path(path_type=Path), default="backfills.yaml")
@click.option("--team-id", type=click.IntRange(1, 2**63 - 1), help="The team's id (12345, to be replaced).")
@click.option("--from-api", is_flag=True, help="Read the team's transfers from the API, and list them.")
@shared("api", "output")
def init(common: Common, file: Path, team_id: int | None, from_api: bool) -> None:
    """Write a commented starter FILE (default: backfills.yaml). An existing file is never overwritten."""
    from reconciler.config.reading import default_state, home_of
    from reconciler.config.starter import starter

    if from_api and team_id is None:
        raise UsageError("No team given", "--from-api needs --team-id.", "Add --team-id ID.")
    transfers = _transfers(common, team_id) if from_api and team_id else ()
    _check_place(file)
    _write_new(file, starter(team_id or DEFAULT_TEAM, transfers))
    state = os.path.join(default_state([home_of(file)]) or "", "")
    command = f"reconciler validate -c {quote(str(file))}"
    err(f"Wrote {file}; the state will be in {state}. Edit it, then run:\n    {command}")


def _check_place(file: Path) -> None:
    """Raise ``Refused`` beside a folder of files: the two would be in each other's way."""
    from reconciler.config.reading import DEFAULT_FILE, DEFAULT_FOLDER

    if file.name == DEFAULT_FILE and Path(file.parent, DEFAULT_FOLDER).is_dir():
        detail = f"There is a folder `{DEFAULT_FOLDER}/` beside {file}; only one of the two may be there."
        inside = quote(str(Path(file.parent, DEFAULT_FOLDER, "NAME.yaml")))
        hint = f"Write it into the folder, under a name of your own:\n    reconciler init {inside}"
        raise Refused("The files are in a folder", detail, hint)


def _transfers(common: Common, team_id: int) -> list[tuple[str, int]]:
    from reconciler.config.starter import names_for

    found = parts_of(common, Signals()).client(team_id, "SUPERMETRICS_API_KEY").transfers()
    if isinstance(found, Unreadable):
        detail = f"The API does not show the transfers of team {team_id} ({found.cause.value})."
        raise Refused("The transfer list is not readable", detail, "Run init without --from-api.")
    ordered = sorted(found, key=lambda one: one.id)
    return list(zip(names_for([one.name for one in ordered]), [one.id for one in ordered], strict=True))


def _write_new(file: Path, text: str) -> None:
    """Create the file, or raise ``Refused`` if it is there already."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise Refused(
            "The file already exists", f"{file} is not overwritten.", "Give another file name."
        ) from None
    except OSError as error:
        raise UsageError(
            "The file cannot be written", f"{file}: {error.strerror}.", "Give another file name."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
