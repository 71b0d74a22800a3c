"""Real processes of the command line, in a folder of their own, and an API for them to talk to.

The key is looked for in every output of every process: it must never be there.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import running

KEY = "sk-0123456789-this-is-secret"
COMMAND = [sys.executable, "-m", "reconciler"]
PATIENCE = 60.0
TEAM = 12345
APPLY = "Apply exactly this: "

FILE = """\
version: 1
team_id: 12345
transfers:
  ads:
    transfer_id: 1
    ranges: [2024-05-01..2024-05-10]
  web:
    transfer_id: 2
    ranges: [2024-04-01..2024-04-05]
"""


@dataclass(frozen=True)
class Done:
    """A process that ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """Return the words of stderr, with one blank between any two: where its lines break is not asked."""
        return " ".join(self.err.split())

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Return stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> str:
        """Return the last line of stdout, but for the command that `plan` prints after it; of a plan the last
        two lines, joined by a blank.
        """
        lines = [line for line in self.out.splitlines() if not line.startswith(APPLY)]
        return " ".join(lines[-2:]) if lines[-1].startswith("Days: ") else lines[-1]

    @property
    def command(self) -> str:
        """Return the command by which `plan` says that it can be applied, its last line."""
        *_, last = self.out.splitlines()
        assert last.startswith(APPLY), self.out
        return last.removeprefix(APPLY)


def checked(done: Done) -> Done:
    """No traceback, no bug report, and the key nowhere."""
    both = done.out + done.err
    assert "Traceback" not in both, both
    assert "error[bug]" not in both, both
    assert KEY not in both
    return done


@dataclass
class Shop:
    """A folder in which commands run, with a cleaned environment."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, name: str = "backfills.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "TERM": "xterm"}
        kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return base | kept | self.env | dict(more or {})

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        code: int | None = None,
        command: Sequence[str] = COMMAND,
    ) -> Done:
        """Run a command to its end; with ``code``, its exit status must be that."""
        began = time.monotonic()
        ended = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env=self.environ(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        done = checked(Done(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - began))
        assert code is None or done.code == code, (done.code, done.out, done.err)
        return done

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        **how: Any,
    ) -> subprocess.Popen[str]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*command, *arguments], cwd=self.folder, env=self.environ(env), text=True, **(streams | how)
        )

    def shell(self, script: str) -> Done:
        """Run a line of shell in which ``reconciler`` is our command; a pipe fails where any part does."""
        ours = f'reconciler() {{ "{sys.executable}" -m reconciler "$@"; }}; set -o pipefail; {script}'
        done = subprocess.run(
            ["bash", "-c", ours],
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return checked(Done(done.returncode, done.stdout, done.stderr))

    @property
    def state(self) -> Path:
        return self.folder / "state"


def ended(process: subprocess.Popen[str], patience: float = PATIENCE) -> Done:
    """Wait for a process that was started."""
    began = time.monotonic()
    out, err = process.communicate(timeout=patience)
    return checked(Done(process.returncode, out or "", err or "", time.monotonic() - began))


def until(reached: Callable[[], object], what: str = "", patience: float = PATIENCE) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


@dataclass
class Api:
    """A sandbox of this process, served over real HTTP. Its clock stands still."""

    sandbox: Sandbox
    url: str

    @property
    def env(self) -> dict[str, str]:
        return {"RECONCILER_API_URL": self.url, "SUPERMETRICS_API_KEY": KEY}

    def writes(self) -> list[str]:
        return [
            f"{one['method']} {one['status']}" for one in self.sandbox.requests() if one["method"] != "GET"
        ]

    def made(self, transfer_id: int | None = None) -> list[str]:
        """Return the ranges of all backfills (of one transfer), sorted."""
        return sorted(
            f"{one['range_start_date']}..{one['range_end_date']}"
            for one in self.sandbox.backfills()
            if transfer_id in (None, int(one["transfer_id"]))
        )


APPLY_ADS = ("apply", "--auto-approve", "--target", "ads")
NO_SETTLE_TIME = """
import datetime, sys
import reconciler.planning.matching  # with the true bound of what is taken for ours
from reconciler import bounds
from reconciler.cli import main
bounds.MIN_SETTLE = datetime.timedelta()
sys.exit(main.run([*sys.argv[1:], "--settle", "0s"]))
"""
SETTLED_AT_ONCE = (sys.executable, "-c", NO_SETTLE_TIME)
"""The command as it is once settle time is over, which no test waits for."""


def kill_at_its_create(shop: Shop, api: Api, *arguments: str) -> None:
    """Kill an apply, of ``ads`` if not told otherwise, while nobody knows what became of its create: the API
    did nothing.
    """
    api.sandbox.faults("status-500-before@create")
    process = shop.start(*(arguments or APPLY_ADS))
    until(lambda: any(one.startswith("POST") for one in api.writes()), "a create was sent")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    api.sandbox.faults()


@contextmanager
def serving(
    scene: Mapping[str, Any] | None = None,
    faults: tuple[str, ...] = (),
    wrap: Callable[[Any], Any] = lambda app: app,
) -> Iterator[Api]:
    """Serve a sandbox; ``wrap`` may put something in front of its application."""
    sandbox = Sandbox.in_memory(dict(scene or {}), speed=0.0, faults=faults)
    with running(wrap(sandbox.app)) as url:
        yield Api(sandbox, url)


@contextmanager
def served(shop: Shop, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``sandbox serve`` as a process; gives its base URL."""
    process = shop.start("sandbox", "serve", "--port", "0", *arguments)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready
        yield process.stdout.readline().strip(), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


class Terminal:
    """A process on a terminal of its own, to be talked to; one with no ``columns`` does not tell them."""

    def __init__(
        self,
        shop: Shop,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        columns: int = 0,
    ) -> None:
        import fcntl
        import pty
        import struct
        import termios

        pid, self.fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
            os.chdir(shop.folder)
            os.execve(command[0], [*command, *arguments], shop.environ(env))
        self.pid = pid
        self.seen = b""

    def until(self, text: str) -> None:
        """Read until ``text`` was printed."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, self.seen
            assert self._more(), self.seen

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def _more(self, nagging: bytes = b"") -> bool:
        ready, _, _ = select.select([self.fd], [], [], 1.0)
        if not ready:
            if nagging:
                self.type(nagging)
            return True
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:  # its end of the terminal is closed
            return False
        self.seen += chunk
        return bool(chunk)

    def end(self, nagging: bytes = b"") -> Done:
        """Read to the end, and return how it ended; stdout and stderr are one here.

        ``nagging`` is typed while nothing is heard: a Ctrl-C that comes just before Python
        waits for input is noticed with the next one only.
        """
        deadline = time.monotonic() + PATIENCE
        while self._more(nagging):
            assert time.monotonic() < deadline, self.seen
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return checked(Done(os.waitstatus_to_exitcode(status), self.seen.decode("utf-8", "replace"), ""))


_SOFT = "\u21a9"  # at the end of a line that the terminal itself broke


def screen(text: str, columns: int = 80) -> str:
    """Return what stays on a terminal: lines that were erased are gone. A line that the terminal broke,
    for it is too long, is one line, as it is when it is copied.
    """
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.", text, re.DOTALL):
        if part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\r":
            column = 0
        elif part == "\n":
            row += 1
        elif part.isprintable():
            if column == columns:
                lines[row] += _SOFT
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = f"{lines[row][:column]:<{column}}{part}{lines[row][column + 1 :]}"
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return "\n".join(lines).replace(f"{_SOFT}\n", "")


def too_long(left: str, columns: int) -> list[str]:
    """Return the lines that a terminal breaks wherever that falls, but for commands, and for single words
    with their sign.
    """
    long = [line for line in left.split("\n") if len(line) > columns and re.search(r"[\w.]{2}.* ", line)]
    return [line for line in long if not line.lstrip().startswith(("reconciler ", "Apply exactly this: "))]
