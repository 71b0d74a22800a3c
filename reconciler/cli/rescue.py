"""Saving what became of creates when the state cannot be written: in a file here, else on stderr."""

from __future__ import annotations

import itertools
import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.cli.terminal import err
from reconciler.engine.emergency import Emergency, emergency_of
from reconciler.errors import StateDamaged, StateForeign, StateNewer
from reconciler.render.words import plural, span

if TYPE_CHECKING:
    from reconciler.engine.session import StateSession


def rescue(session: StateSession) -> None:
    """Save what the session could not, and say how to restore it. Does nothing if it could."""
    emergency = emergency_of(session)
    if emergency is None:
        return
    named = "; ".join(f"{one.id} ({one.transfer} {span(one.start, one.end)})" for one in emergency.lost)
    err(f"The state lacks {plural(len(emergency.lost), 'backfill')}: {named}.")
    try:
        name = _write_new(emergency)
    except OSError as error:
        err(f"  No file could be written here either ({error.strerror or error}), so this is the state:")
        err(emergency.marked_text)
        name = emergency.file_name
        err(f"  Save what is between the two lines as {name}. {_restore(session, name)}")
        return
    err(f"  {os.path.abspath(name)} is the state with them. {_restore(session, name)}")


def _write_new(emergency: Emergency) -> str:
    """Write the file, durably and under a name that is free: an earlier one may not be restored yet."""
    for number in itertools.count():
        name = emergency.file_name if not number else emergency.file_name.replace(".json", f".{number}.json")
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            _fill(fd, emergency.text.encode())
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise
        return name
    raise AssertionError("there are always more numbers")


def _fill(fd: int, data: bytes) -> None:
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def _restore(session: StateSession, name: str) -> str:
    from reconciler.stores.local import LocalStore

    then = "Without it the next run looks for them at the API, which may not be able to tell."
    if isinstance(session.broken, StateForeign | StateDamaged | StateNewer):
        return f"Find out first what became of the state that this run began with. {then}"
    if not isinstance(session.store, LocalStore):
        return f"Put it in the place of the state before another run writes there. {then}"
    state = session.store.path
    return (
        "Before another run writes, restore it:\n"
        f"    cp {shlex.quote(name)} {shlex.quote(state)} && rm -f {shlex.quote(state + '.journal')}\n"
        f"  {then}"
    )
