"""Writing files: a plan that somebody asked for, a state that could not be saved in its place."""

from __future__ import annotations

import itertools
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from reconciler.cli.options import Common, command_of
from reconciler.cli.terminal import err, err_as_it_is
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.events import Unsaved


def write_whole(path: str, text: str, what: str = "The plan", flag: str = "--out") -> None:
    """Write a file, whole or not at all. Raises ``UsageError`` if it cannot be written, naming the flag."""
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
        raise UsageError(f"{what} cannot be written", detail, f"Check {flag} and its folder.") from None


# --- what a state could not take --------------------------------------------------------------


def save_unsaved(unsaved: Unsaved, common: Common) -> None:
    """Save a state beside the place it belongs to: in a file here, else on stderr. Says how to restore it."""
    from reconciler.formats.statefile import encode_document
    from reconciler.render.words import plural, span

    lost, team_id = unsaved.lost, unsaved.document.team_id
    named = "; ".join(f"{one.id} ({one.transfer} {span(one.start, one.end)})" for one in lost)
    err(f"The state lacks {plural(len(lost), 'backfill')}: {named}.")
    text, name = encode_document(unsaved.document), f"errored.{team_id}.json"
    try:
        name = _write_new(name, text.encode())
    except OSError as error:
        err(f"  No file could be written here either ({error.strerror or error}), so this is the state:")
        mark = f"STATE OF TEAM {team_id}"
        err_as_it_is(f"-----BEGIN {mark}-----\n{text}-----END {mark}-----")
        err(f"  Save what is between the two lines as {name}. {_restore(unsaved, name, common)}")
        return
    err(f"  {os.path.abspath(name)} is the state with them. {_restore(unsaved, name, common)}")


def _write_new(first: str, data: bytes) -> str:
    """Write the file, durably and under a name that is free: an earlier one may not be restored yet."""
    for number in itertools.count():
        name = first if not number else first.replace(".json", f".{number}.json")
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            _fill(descriptor, data)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise
        return name
    raise AssertionError("there are always more numbers")


def _fill(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _restore(unsaved: Unsaved, name: str, common: Common) -> str:
    then = "Without it the next run looks for them at the API, which may not be able to tell."
    if not unsaved.restorable:
        return f"First find out what happened to the state that this run started with. {then}"
    command = command_of(common, f"state push {quote(name)}")
    return f"Before another run writes, put it back:\n    {command}\n  {then}"
