"""A repository, its remote, an API, and CI jobs: each a fresh shallow clone that is thrown away."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kill"))

import kill_paths  # noqa: F401
from faulty_os import Trouble
from kill_children import Ended, kill_self, start, wait
from kill_served import API_FILE, await_quiet, free_url, served
from kill_worlds import coverage

from reconciler.http import HttpTransport
from reconciler.model.memory import Document
from reconciler.sandbox import Sandbox
from reconciler.stores import gitlock
from reconciler.stores.git import GitStore

gitlock.LEASE = 1.5  # seconds: what a killed job leaves is free soon

TEAM = 12345
STATE = "git:origin#state"
BRANCH = f"refs/heads/state/team-{TEAM}"
LAST = f"refs/reconciler/state/team-{TEAM}/last"
SHARED = ("--state", STATE)
APPLY = ("apply", *SHARED, "--auto-approve")
KEYS = {"writer": {"scopes": ["read", "write"]}, "reader": {"scopes": ["read"], "user_id": 790}}
# The user's own configuration plays no part; nor does what a clone's default branch is called.
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
PERSON = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *PERSON, *arguments], cwd=folder, env={**os.environ, **GIT}, capture_output=True, check=False
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


@dataclass
class Job:
    """A job under way: the process, and the folder of its clone."""

    folder: Path
    pid: int
    name: str = "job"

    def ended(self) -> Ended:
        return wait(self.folder, self.pid, self.name)


@dataclass
class Company:
    """The remote with the branch ``main``, the vendor, and what people have declared on ``main``."""

    root: Path
    rng: random.Random
    ranges: dict[int, list[str]] = field(
        default_factory=lambda: {1: ["2024-01"], 2: ["2024-02-01..2024-02-05"]}
    )
    jobs: int = 0

    def found(self) -> None:
        """Make the vendor and the remote."""
        self.root.mkdir(parents=True)
        (self.root / API_FILE).write_text(free_url(), "utf-8")
        then = (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
        Sandbox.open(self.root / "world.db", {"now": then, "keys": KEYS}, speed=0.0).close()
        git(self.root, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        git(self.root, "init", "--quiet", "--initial-branch=main", "desk")
        git(self.desk, "remote", "add", "origin", self.remote)
        self.commit("main", self.ranges)

    @property
    def desk(self) -> Path:
        """The clone of a person."""
        return self.root / "desk"

    @property
    def remote(self) -> str:
        return f"file://{self.root}/remote.git"

    def commit(self, branch: str, ranges: dict[int, list[str]]) -> None:
        """Have a person push a file with these ranges as the next commit of a branch."""
        git(self.desk, "checkout", "--quiet", "-B", branch)
        lines = ["version: 1", f"team_id: {TEAM}", "limits: {requests_per_second: 100}", "transfers:"]
        for transfer, declared in ranges.items():
            lines += [
                f"  t{transfer}:",
                f"    transfer_id: {transfer}",
                f"    ranges: [{', '.join(declared)}]",
            ]
        (self.desk / "backfills.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        git(self.desk, "add", "-A")
        git(self.desk, "commit", "--quiet", "--allow-empty", "-m", f"ranges of {branch}")
        git(self.desk, "push", "--quiet", "--force", "origin", branch)

    def with_one_more(self) -> tuple[int, str]:
        """Return a range that is declared nowhere else: a transfer, and its days."""
        transfer = self.rng.choice([1, 2, 3])
        first = date(2024, 3, 1) + timedelta(days=20 * self.rng.randrange(20))
        return transfer, f"{first}..{first + timedelta(days=self.rng.randrange(12))}"

    def refs(self) -> str:
        return git(self.root, "ls-remote", self.remote)

    # -- jobs ----------------------------------------------------------------------------------

    def clone(self, branch: str = "main") -> Path:
        self.jobs += 1
        folder = self.root / f"job-{self.jobs}"
        git(self.root, "clone", "--quiet", "--depth=1", "--branch", branch, self.remote, folder.name)
        shutil.copy(self.root / API_FILE, folder)
        return folder

    def begin(self, folder: Path, *arguments: str, key: str = "writer", at: int | None = None) -> Job:
        """Start a command in a clone; at its request numbered ``at`` it is killed, before or after it."""
        trouble = None if at is None else Trouble(at // 2, kill_self, after=bool(at % 2))
        environ = {**GIT, "SUPERMETRICS_API_KEY": key, "CI": "true", "TMPDIR": str(self.root)}
        where: Callable[[], object] = lambda: os.environ.update(environ)  # noqa: E731
        pid = start(
            folder,
            arguments,
            "job",
            trouble=trouble,
            names=(),
            also=((HttpTransport, "send"),),
            prepare=where,
        )
        return Job(folder, pid)

    def run(
        self, *arguments: str, branch: str = "main", key: str = "writer", files: tuple[Path, ...] = ()
    ) -> Ended:
        """Run one job to its end: clone, the artifacts ``files`` beside it, one command, thrown away."""
        folder = self.clone(branch)
        for file in files:
            shutil.copy(file, folder)
        with served(self.root):
            ended = self.begin(folder, *arguments, key=key).ended()
            await_quiet(self.root)
        self._kept(folder)
        assert "Traceback" not in ended.out + ended.err, ended
        return ended

    def together(self, *arguments: tuple[str, ...]) -> list[Ended]:
        """Run several jobs at once."""
        folders = [self.clone() for _one in arguments]
        with served(self.root):
            jobs = [self.begin(folder, *one) for folder, one in zip(folders, arguments, strict=True)]
            ended = [job.ended() for job in jobs]
            await_quiet(self.root)
        for folder in folders:
            self._kept(folder)
        return ended

    def killed(self, *arguments: str) -> Ended:
        """Run a job that is killed: at one of its requests, or at any moment."""
        folder = self.clone()
        at = self.rng.randrange(30) if self.rng.random() < 0.5 else None
        with served(self.root):
            job = self.begin(folder, *arguments, at=at)
            if at is None:
                time.sleep(self.rng.uniform(0.05, 0.8))
                os.kill(job.pid, 9)  # our own child, not waited for yet
            ended = job.ended()
            await_quiet(self.root)
        shutil.rmtree(folder)
        return ended

    def _kept(self, folder: Path) -> None:
        """Throw the clone away; artifacts that a job wrote are kept beside it."""
        for file in folder.glob("plan*.json"):
            shutil.copy(file, self.root / f"{folder.name}-{file.name}")
        assert git(folder, "for-each-ref", "--format=%(refname)").count("state") == 0
        shutil.rmtree(folder)

    # -- what is there -------------------------------------------------------------------------

    def advance(self, seconds: int) -> None:
        with Sandbox.open(self.root / "world.db") as sandbox:
            sandbox.advance(seconds)

    def backfills(self) -> list[dict[str, Any]]:
        with Sandbox.open(self.root / "world.db") as sandbox:
            return sandbox.backfills()

    def coverage(self) -> Counter[tuple[int, str, bool]]:
        return coverage(self.backfills())

    def posts(self) -> list[dict[str, Any]]:
        with Sandbox.open(self.root / "world.db") as sandbox:
            return [one for one in sandbox.requests() if one["method"] == "POST"]

    def document(self) -> Document | None:
        api = (self.root / API_FILE).read_text("utf-8")
        store = GitStore(self.remote, "state", str(self.desk), TEAM, api, "test")
        try:
            return store.read()[0]
        finally:
            store.close()
