"""A real ``apply`` in a forked child, in which something befalls one of its calls.

The parent has everything loaded, so a run costs some 60 ms. A child is a process of its own: it
may kill or stop itself, and what it held open is the kernel's to clean up.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import pkgutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx  # noqa: F401
import kill_paths  # noqa: F401
from faulty_os import READS, WRITES, Place, Trouble, troubled
from kill_served import api_of, await_quiet, served

import reconciler
from reconciler import bounds
from reconciler.__main__ import leave_on_signals
from reconciler.cli.main import run
from reconciler.http import HttpTransport, WsgiTransport

for _module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
    if not _module.name.endswith("__main__"):  # that one runs
        importlib.import_module(_module.name)

# The command as the harness runs it: with a settle time that may be shorter than any is in earnest. What is
# taken for ours is still asked with the true bound, which ``matching`` has by then.
_UNBOUNDED = (
    "from datetime import timedelta; import reconciler.planning.matching; "
    "from reconciler import bounds; bounds.MIN_SETTLE = timedelta(); "
)
COMMAND = [sys.executable, "-c", _UNBOUNDED + "from reconciler.__main__ import main; main()"]

LONGEST = 100  # seconds; a child that takes longer hangs, and is ended by its alarm
STEPS: tuple[Place, ...] = ((fcntl, "flock"), (WsgiTransport, "send"), (HttpTransport, "send"))
DISK: tuple[Place, ...] = ((fcntl, "flock"),)
NEVER = 10**9


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (negative: by that signal) and what it printed."""

    status: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    def __str__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def kill_self() -> BaseException:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


class Freeze(Trouble):
    """Stops the whole process before its call numbered ``at``; it goes on when it is continued."""

    def meet(self, name: str) -> tuple[bool, bool]:
        due, _first = super().meet(name)
        if due:
            # To this thread: it would go on for a moment, into a transaction, if another took the signal.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return False, False


@dataclass
class Signalled(Trouble):
    """Sends itself signals before its call numbered ``at``, and goes on."""

    signals: tuple[signal.Signals, ...] = ()

    def meet(self, name: str) -> tuple[bool, bool]:
        due, _first = super().meet(name)
        for one in self.signals if due else ():
            os.kill(os.getpid(), one)
        return False, False


def watching() -> Trouble:
    """Return a trouble that never comes, and counts the calls."""
    return Trouble(NEVER, kill_self)


def start(
    folder: Path,
    arguments: Sequence[str],
    name: str,
    *,
    trouble: Trouble | None = None,
    names: tuple[str, ...] = WRITES,
    also: tuple[Place, ...] = STEPS,
    prepare: Callable[[], object] = lambda: None,
) -> int:
    """Fork a child that runs the command in ``folder``; return its process id."""
    sys.stdout.flush()
    with warnings.catch_warnings():  # this process has no threads of ours; a library's may sleep
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        _redirect(folder, name)
        leave_on_signals()
        bounds.MIN_SETTLE = timedelta()
        signal.alarm(LONGEST)
        prepare()
        with troubled(trouble or watching(), names, also):
            status = run(arguments)
        _note_calls(folder, name, trouble)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    except BaseException:  # noqa: BLE001 - a child never returns into its parent's code
        import traceback

        os.write(2, traceback.format_exc().encode())
        os._exit(99)


def environment(folder: Path) -> dict[str, str]:
    """Return what a run in a folder finds in its environment besides ours."""
    return {"RECONCILER_API_URL": api_of(folder), "SUPERMETRICS_API_KEY": "any"}


def _redirect(folder: Path, name: str) -> None:
    os.chdir(folder)
    os.environ.update(environment(folder))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for fd, ending in ((1, "out"), (2, "err")):
        file = os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, fd)
        os.close(file)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _note_calls(folder: Path, name: str, trouble: Trouble | None) -> None:
    if trouble is not None:
        (folder / f"{name}.calls").write_text("\n".join(trouble.calls), "utf-8")


def wait(folder: Path, pid: int, name: str) -> Ended:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(status, _text(folder / f"{name}.out"), _text(folder / f"{name}.err"))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def calls_of(folder: Path, name: str) -> list[str]:
    """Return the names of the calls of a child that watched."""
    return (folder / f"{name}.calls").read_text("utf-8").split()


def ran(
    folder: Path,
    arguments: Sequence[str],
    name: str = "run",
    *,
    trouble: Trouble | None = None,
    names: tuple[str, ...] = WRITES,
    also: tuple[Place, ...] = STEPS,
) -> Ended:
    """Run the command in a child, to its end, and until the vendor has dealt with what it sent."""
    with served(folder):
        began = time.monotonic()
        ended = wait(folder, start(folder, arguments, name, trouble=trouble, names=names, also=also), name)
        took = time.monotonic() - began
        await_quiet(folder)
    return replace(ended, seconds=took)


DISK_CALLS = tuple(dict.fromkeys((*WRITES, *READS)))
