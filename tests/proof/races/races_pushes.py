"""How many pushes an apply of 100 creates takes, against a host that takes 300 ms for each request.

python tests/proof/races/races_pushes.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kill"))

import kill_paths  # noqa: F401
from git_servers import SERVERS, environment, git
from kill_children import environment as for_a_run
from kill_served import EMBEDDED
from kill_worlds import HEAD, all_backfills, situated
from races_git import BRANCH, STATE
from races_rounds import INSTANT

DELAY = 0.3  # seconds
TRANSFERS = range(1, 11)
DAYS = ", ".join(f"2024-01-{day:02}" for day in range(1, 21, 2))
FILE = f"{HEAD}transfers:\n" + "".join(
    f"  t{one}:\n    transfer_id: {one}\n    ranges: [{DAYS}]\n" for one in TRANSFERS
)


@dataclass(frozen=True)
class Took:
    """What it took: requests to the host by kind, commits of the state, most pushes to its branch at once."""

    seen: Counter[str]
    commits: int
    at_once: int
    seconds: float


def measured(folder: Path, delay: float = DELAY) -> Took:
    """Apply 100 creates, ten at once, in a clone of its own."""
    situated(folder, EMBEDDED, FILE, INSTANT)
    with SERVERS["http"](folder.with_name("served") / "team.git") as remote:
        assert remote.http is not None
        git(folder, "init", "--quiet")
        git(folder, "remote", "add", "origin", remote.url)
        remote.http.delay, began = delay, time.monotonic()
        state = ("--state", f"git:origin#{STATE}")
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "apply", *state, "--auto-approve", "--parallelism", "10"],
            cwd=folder,
            env={**environment(os.environ), **for_a_run(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(all_backfills(folder)) == 100
        commits = int(git(remote.bare, "rev-list", "--count", BRANCH))
        return Took(remote.http.seen, commits, remote.http.most_pushes_at_once, seconds)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        sys.stdout.write(f"{measured(Path(there, 'checkout'))}\n")
