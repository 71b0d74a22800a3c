"""What a lock file says: who holds the lock, and what was committed last; as values, text, and words."""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import StateLocked
from reconciler.formats.checks import MAX_SERIAL
from reconciler.untrusted import printable

LONGEST_PLACE = 4096  # characters kept of where a state was moved to
LONGEST = 200  # characters kept of what a text beside a lock says


@dataclass(frozen=True, slots=True)
class LockInfo:
    """The holder of a lock. ``id`` names this one hold; ``when`` is when it was asked for, by our clock.

    ``until`` is when its lease ends, as was seen last; ``None`` where a lock has none.
    """

    id: str
    who: str
    when: datetime
    operation: str
    pid: int
    host: str
    until: datetime | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """``apply by root on runner-7, process 15496, since 14:36:56 UTC``: of a run that goes on."""
        when = self.when.strftime("%H:%M:%S UTC")
        return f"{self.operation} by {self.who} on {self.host}, process {self.pid}, since {when}"


@dataclass(frozen=True, slots=True)
class Committed:
    """What was committed last when a run ended: what lies there knows at least that, or is an old copy.

    ``moved``: the document goes on with this serial at another place, which ``--state`` names so.
    """

    lineage: str
    serial: int
    moved: str = ""


def this_process(operation: str, when: datetime) -> LockInfo:
    """Return the info under which this process asks for a lock, with a fresh id."""
    return LockInfo(
        str(uuid.uuid4()), _user(), when, operation, os.getpid(), printable(socket.gethostname(), "?")
    )


def _user() -> str:
    """Return the login name; a container may have none."""
    try:
        return printable(getpass.getuser(), "?")
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def lock_text(committed: Committed | None, holder: LockInfo | None) -> str:
    """Return what a lock file says, a line of JSON each."""
    said: list[dict[str, Any]] = []
    if committed is not None:
        said.append({"lineage": committed.lineage, "serial": committed.serial})
        said[0] |= {"moved": committed.moved} if committed.moved else {}
    if holder is not None:
        said.append({**asdict(holder), "when": _moment(holder.when), "until": _moment(holder.until)})
    return "".join(json.dumps(one, sort_keys=True) + "\n" for one in said)


def _moment(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat(timespec="seconds")


def committed_of(text: bytes) -> Committed | None:
    """Return what a lock file says was committed; ``None`` for anything else, half a line too."""
    for data in _lines(text):
        lineage, serial = data.get("lineage"), data.get("serial")
        if isinstance(lineage, str) and lineage and type(serial) is int and 0 < serial <= MAX_SERIAL:
            return Committed(lineage, serial, printable(str(data.get("moved", ""))[:LONGEST_PLACE], "?"))
    return None


def holder_of(text: bytes) -> LockInfo | None:
    """Return the holder that a lock file names; ``None`` for anything that names none, half a line too."""
    for data in _lines(text):
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            names = ("id", "who", "operation", "host")
            known = {name: printable(str(data[name])[:LONGEST], "?") for name in names}
            when, until = _read(data["when"]), data.get("until")
            lease = _read(until) if until else None
            return LockInfo(**known, when=when, pid=int(data["pid"]), until=lease)
    return None


def _read(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def _lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            data = json.loads(line)
            if isinstance(data, dict):
                yield data


def is_alive(holder: LockInfo) -> bool | None:
    """Tell whether the process that a lock names runs; ``None`` where it is on another host."""
    if holder.host != printable(socket.gethostname(), "?"):
        return None
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's, or no number of a process
        return True
    return True


def is_at_work(holder: LockInfo, now: datetime) -> bool:
    """Tell whether the run that a lock names goes on, as far as can be seen from here."""
    return holder.until > now if holder.until else is_alive(holder) is True


Waits = Callable[[LockInfo | None], None]
"""Told once, as soon as a lock must be waited for: who holds it, if that is known."""


def untold(_holder: LockInfo | None) -> None:
    """Tell nobody that a lock is waited for."""


def locked(holder: LockInfo | None, where: str, unlock: str) -> StateLocked:
    """Return the error for a lock that is taken. ``unlock`` says what frees it."""
    return StateLocked("The state is locked", f"{where} is held by {_words(holder)}.", _hint(unlock))


def _words(holder: LockInfo | None) -> str:
    if holder is None:
        return "another run, which left no name"
    when = holder.when.strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"{holder.who} on {holder.host} (process {holder.pid}), running `{holder.operation}` since {when}; "
        f"lock id {holder.id}"
    )


def _hint(unlock: str) -> str:
    return f"Wait for that run to end, or wait here with --lock-timeout. {unlock}"
