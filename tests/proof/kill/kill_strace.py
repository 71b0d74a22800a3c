"""Killing a real ``python -m reconciler apply`` at its system calls, by strace.

strace counts the calls of each thread by themselves. So the points are, for each group of files
and each call, the numbers that some thread of an undisturbed run reaches; the first thread to get
there is killed, and the process with it, before the call does anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import kill_paths  # noqa: F401
from kill_children import COMMAND, Ended, environment, ran
from kill_points import Tally
from kill_served import await_quiet, served
from kill_worlds import (
    TEAM,
    Measure,
    all_backfills,
    check_after_trouble,
    check_converged,
    recover,
    state_of,
)

STRACE = "strace"
CALLS = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "fcntl",
    "ftruncate",
    "mkdir",
    "flock",
)
NETWORK = ("connect", "sendto", "recvfrom")
STATE = f"state/team-{TEAM}"
GROUPS: dict[str, tuple[str, ...]] = {
    "lock": (f"{STATE}.lock",),
    "journal": (f"{STATE}.db-journal",),
    "database": (f"{STATE}.db", "state"),
    "backup": (f"{STATE}.db.backup", f"{STATE}.db.backup.tmp", f"{STATE}.db.backup.tmp-journal"),
    "vendor": ("world.db", "world.db-wal", "world.db-shm", "world.db-journal"),
    "network": (),
}
REAL_CLEAN_EVERY = 5  # a real process cleans up after every fifth kill, a forked one after the others


@dataclass(frozen=True)
class Call:
    """The ``number``-th ``call`` of some thread on the files of a group."""

    situation: str
    group: str
    call: str
    number: int
    served: bool = False

    @property
    def replay(self) -> str:
        where = " --served" if self.served else ""
        point = f"{self.situation}:{self.group}:{self.call}:{self.number}"
        return f"python tests/proof/kill/run.py --call {point}{where}"


def why_not() -> str:
    """Return why strace cannot be used here; empty if it can."""
    if shutil.which(STRACE) is None:
        return "strace is not installed (Debian: apt-get install strace)"
    tried = subprocess.run(
        [
            STRACE,
            "-f",
            "-o",
            os.devnull,
            "-e",
            "inject=getppid:signal=SIGKILL:when=1",
            sys.executable,
            "-c",
            _TRIAL,
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if tried.returncode == -9:
        return ""
    told = tried.stderr.decode(errors="replace").strip()[-200:]
    return f"strace cannot trace here: {told or tried.returncode}"


_TRIAL = "import os; os.getppid()"


def _traced(folder: Path, arguments: Sequence[str], group: str, more: Sequence[str]) -> list[str]:
    files = [word for name in GROUPS[group] for word in ("-P", str(folder / name))]
    return [STRACE, "-f", "-o", "trace", *files, *more, *COMMAND, *arguments]


def run_traced(folder: Path, arguments: Sequence[str], group: str, more: Sequence[str]) -> Ended:
    return _run(folder, _traced(folder, arguments, group, more))


def ran_really(folder: Path, arguments: Sequence[str], _name: str) -> Ended:
    """Run the command as a user does."""
    return _run(folder, [*COMMAND, *arguments])


def _run(folder: Path, command: Sequence[str]) -> Ended:
    with served(folder):
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )
        await_quiet(folder)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def _calls_in(group: str) -> tuple[str, ...]:
    return NETWORK if group == "network" else CALLS


_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed)")


def counted(measure: Measure, work: Path, group: str) -> Iterator[Call]:
    """Yield the points of a group: every call up to the most that one thread makes."""
    folder = measure.copy(work / f"{measure.name}-{group}-count")
    names = ",".join(_calls_in(group))
    ended = run_traced(folder, measure.situation.arguments, group, ["-e", f"trace={names}"])
    assert ended.status == 0, ended
    most: dict[str, int] = {}
    seen: dict[tuple[str, str], int] = {}
    for line in (folder / "trace").read_text("utf-8", "replace").splitlines():
        found = _LINE.match(line)
        if found is None or "resumed" in line:
            continue
        key = (found[1], found[2])
        seen[key] = seen.get(key, 0) + 1
        most[found[2]] = max(most.get(found[2], 0), seen[key])
    assert most or group == "backup", f"nothing was traced of {group}"  # a first run has no backup
    shutil.rmtree(folder)
    for call, number in most.items():
        yield from (Call(measure.name, group, call, one, measure.served) for one in range(1, number + 1))


def strike(measure: Measure, point: Call, work: Path, tally: Tally) -> None:
    folder = measure.copy(work / f"{point.situation}-{point.group}-{point.call}-{point.number}")
    tally.points += 1
    try:
        _strike(measure, point, folder, tally)
    except Exception as error:  # noqa: BLE001 - the other points go on
        tally.failures.append(f"{point}: {type(error).__name__}: {error}\n  replay: {point.replay}")
        return
    shutil.rmtree(folder)


def _strike(measure: Measure, point: Call, folder: Path, tally: Tally) -> None:
    before = state_of(folder)
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    ended = run_traced(
        folder,
        measure.situation.arguments,
        point.group,
        ["-e", f"trace={','.join(_calls_in(point.group))}", "-e", inject],
    )
    assert ended.killed or ended.status == 0, ended
    after = check_after_trouble(before, folder, all_backfills(folder))
    recover(measure, folder, ran_really if tally.points % REAL_CLEAN_EVERY == 0 else ran)
    check_converged(measure, folder, after)
    tally.struck += ended.killed
    tally.missed += not ended.killed
    tally.converged += ended.killed
