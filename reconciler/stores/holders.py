"""Who holds a lock: as a value, as text beside the lock, and as words for whoever waits."""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from reconciler.errors import StateLocked
from reconciler.untrusted import printable

LONGEST = 200  # characters kept of what a text beside a lock says


@dataclass(frozen=True, slots=True)
class LockInfo:
    """The holder of a lock. ``id`` names this one hold; ``when`` is when it was asked for, by our clock."""

    id: str
    who: str
    when: datetime
    operation: str
    pid: int
    host: str


def this_process(operation: str, when: datetime) -> LockInfo:
    """Return the info under which this process asks for a lock, with a fresh id."""
    return LockInfo(str(uuid.uuid4()), _user(), when, operation, os.getpid(), socket.gethostname())


def _user() -> str:
    """Return the login name; a container may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def holder_text(info: LockInfo) -> str:
    """Return ``info`` as one line of JSON."""
    when = info.when.astimezone(UTC).isoformat(timespec="seconds")
    return json.dumps({**asdict(info), "when": when}, sort_keys=True)


def holder_of(text: str | bytes) -> LockInfo | None:
    """Return the holder a text names; ``None`` for anything that names none, half a line too."""
    try:
        data = json.loads(text)
        known = {
            name: printable(str(data[name])[:LONGEST], "?") for name in ("id", "who", "operation", "host")
        }
        when = datetime.fromisoformat(data["when"]).astimezone(UTC)
        return LockInfo(**known, when=when, pid=int(data["pid"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


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
