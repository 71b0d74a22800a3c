"""A sender that freezes for longer than settle time while another run does its work, and wakes up."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kill"))

import kill_paths  # noqa: F401
from kill_children import Ended, Freeze, calls_of, kill_self, ran, start, wait, watching
from kill_served import EMBEDDED
from kill_worlds import COMMON, HEAD, all_backfills, check_unlocked, situated, state_of, writes_sent
from races_rounds import DOCUMENTED, FILE, INSTANT, check_made_once

from reconciler.engine import clock
from reconciler.stores import files

LONG = 16 * 60.0  # seconds: more than settle time, and than a sender's deadline


class SharedClock:
    """What children add to the clocks of the engine: seconds, in memory they share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def add(self, seconds: float) -> None:
        self._memory[:8] = struct.pack("d", self.lead + seconds)

    @property
    def lead(self) -> float:
        (seconds,) = struct.unpack("d", self._memory[:8])
        return float(seconds)

    def install(self) -> None:
        """Make this process's engine go by it, and let nobody wait a minute for a frozen commit."""
        wall, elapsed = clock._wall, clock.uptime
        clock._wall = lambda: wall() + timedelta(seconds=self.lead)
        clock.uptime = lambda: elapsed() + self.lead
        files.BUSY = 0.2


FROZEN_FILE = (
    f"{HEAD}transfers:\n  a:\n    transfer_id: 1\n    chunk: month\n    ranges: [2024-01, 2024-02]\n"
    "  b:\n    transfer_id: 2\n    ranges: [2024-04-01..2024-04-05]\n"
)
NO_LOCK = ("apply", *COMMON, "--auto-approve", "--no-lock")
LOCK = ("apply", *COMMON, "--auto-approve")
ONE_BY_ONE = ("--parallelism", "1")


def freezable(calls: Sequence[str]) -> list[int]:
    """Return the calls before which a sender may freeze however long: all but a write on its way.

    Between its last check and its write no sender can freeze for longer than its deadline: that
    is the bound of design promise 1, and what ``on_unknown: block`` is for.
    """
    on_their_way = writes_sent(list(calls))
    return [number for number in range(len(calls)) if number not in on_their_way]


def undisturbed_calls(work: Path) -> list[str]:
    folder = work / "undisturbed"
    situated(folder, EMBEDDED, FROZEN_FILE, INSTANT)
    assert ran(folder, (*NO_LOCK, *ONE_BY_ONE), "trial", trouble=watching()).status == 0
    calls = calls_of(folder, "trial")
    shutil.rmtree(folder)
    return calls


@dataclass
class Frozen:
    """A run that froze before a call, and a clock that goes on without it."""

    folder: Path
    number: int
    arguments: tuple[str, ...]
    shared: SharedClock = field(default_factory=SharedClock)
    pid: int = 0

    def start(self) -> None:
        situated(self.folder, EMBEDDED, FROZEN_FILE, INSTANT)
        trouble = Freeze(self.number, kill_self)
        arguments = (*self.arguments, *ONE_BY_ONE)
        self.pid = start(self.folder, arguments, "sleeper", trouble=trouble, prepare=self.shared.install)
        _pid, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it did not get there: {status}"
        self.shared.add(LONG)

    def wake(self) -> Ended:
        os.kill(self.pid, signal.SIGCONT)
        ended = wait(self.folder, self.pid, "sleeper")
        assert ended.status in DOCUMENTED, ended
        assert "Traceback" not in ended.err, ended
        return ended

    def another(self, name: str) -> Ended:
        """Run one more, at the same time; a commit in which the sleeper froze turns it away."""
        ended = wait(self.folder, start(self.folder, self.arguments, name, prepare=self.shared.install), name)
        stuck = ended.status == 1 and "is it stopped?" in ended.err
        assert stuck or ended.status in DOCUMENTED, ended
        return ended

    def check(self) -> None:
        """Run until all is done, and look at what was made."""
        self.shared.add(LONG)
        self.another("clean1")
        clean = self.another("clean2")
        assert clean.status == 0, clean
        check_made_once(self.folder, [self.folder / FILE], state_of(self.folder))
        check_unlocked(self.folder)


def freeze(number: int, folder: Path) -> None:
    """Freeze a run for 16 minutes, in which another one does it all; then wake it up."""
    frozen = Frozen(folder, number, NO_LOCK)
    frozen.start()
    taking_over = [frozen.another(f"other{one}") for one in range(2)]
    made = len(all_backfills(folder))
    ended = frozen.wake()
    if taking_over[-1].status == 0:
        assert len(all_backfills(folder)) == made, f"the sleeper wrote blindly\n{ended}"
    frozen.check()


def frozen_under_lock(number: int, folder: Path) -> None:
    """Freeze a run that holds the lock: others are turned away, and it goes on when it wakes."""
    frozen = Frozen(folder, number, LOCK)
    frozen.start()
    other = frozen.another("other")
    early = number < 10  # it may not have the lock yet
    assert other.status in ((0, 5) if early else (5,)), other
    frozen.wake()
    frozen.check()
