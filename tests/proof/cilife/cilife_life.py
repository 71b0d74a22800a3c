"""A life in CI, drawn from a seed: changes are planned on branches, merged, applied; jobs are killed.

What must hold: each declared day is made exactly once, whatever happened to the jobs; nothing is made by a
plan, or while the state is missing; nothing is lost; and the log of the state tells every create.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cilife_rig import APPLY, BRANCH, LAST, SHARED, TEAM, Company, git
from kill_children import Ended
from kill_worlds import AT_ONCE, is_known

from reconciler.config.loading import read_files
from reconciler.dates import iso

WAITS = ("--lock-timeout", "30s")
DAY = 86400


@dataclass
class Request:
    """A change request: its branch, the range it adds, and the plan that its job saved."""

    branch: str
    transfer: int
    days: str
    plan: Path


@dataclass
class Life:
    seed: int
    root: Path
    told: Counter[str] = field(default_factory=Counter)
    open: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"life {self.seed}")
        self.company = Company(self.root, self.rng)

    def live(self) -> Counter[str]:
        """Live it, then check. Returns how often each kind of event and status was met."""
        self.company.found()
        kinds = [self.propose, self.merge, self.at_once, self.kill, self.nightly, self.mishap]
        for _ in range(self.rng.randint(5, 8)):
            kind = self.rng.choice(kinds)
            self.told[kind.__name__] += 1
            kind()
        self.rest()
        return self.told

    # -- events --------------------------------------------------------------------------------

    def propose(self) -> None:
        """A change request: its job plans with a key that may only read, and keeps text and plan."""
        number = self.told["propose"]
        transfer, days = self.company.with_one_more()
        branch = f"change-{number}"
        self.company.commit(branch, self._with(transfer, days))
        before = (self.company.refs(), len(self.company.posts()))
        ended = self.company.run("plan", *SHARED, "--out", "plan.json", branch=branch, key="reader")
        assert ended.status == 0, ended
        assert (self.company.refs(), len(self.company.posts())) == before, "a plan wrote something"
        self.open.append(Request(branch, transfer, days, self._artifact()))

    def merge(self) -> None:
        """The change is merged, and its approved plan applied on main."""
        if not self.open:
            self.propose()
        request = self.open.pop(self.rng.randrange(len(self.open)))
        self.company.ranges = self._with(request.transfer, request.days)
        self.company.commit("main", self.company.ranges)
        self._apply("plan.json", *SHARED, *WAITS, file=request.plan)

    def at_once(self) -> None:
        """Two jobs apply at the same time, with the lock or without; one may be told that it is locked."""
        self._grow()
        more = self.rng.choice([WAITS, ("--no-lock",), ("--lock-timeout", "0s")])
        for ended in self.company.together((*APPLY, *more), (*APPLY, *more)):
            self._note(ended, {0, 3, 4, 5} if "--no-lock" not in more else {0, 3, 4})

    def kill(self) -> None:
        """A job is killed, and run again as it was."""
        self._grow()
        ended = self.company.killed(*APPLY)
        self.told[f"killed with {ended.status}"] += 1
        assert ended.status in (0, 3, 4, 5, -9), ended
        self._alone()

    def nightly(self) -> None:
        """Some time passes, and the job of the night runs."""
        self.company.advance(self.rng.randrange(2 * DAY))
        self._apply("--auto-approve", *SHARED, *WAITS)

    def mishap(self) -> None:
        """Somebody deletes the branch of the state, or moves it back; then puts it back as the job says."""
        self._alone()
        refs = self.company.refs()
        assert LAST in refs, refs
        head = git(self.root / "remote.git", "rev-parse", BRANCH)
        older = git(self.root / "remote.git", "rev-list", BRANCH).splitlines()[-1]
        is_older = older != head and self.rng.random() < 0.5
        git(self.company.desk, "fetch", "--quiet", "origin", BRANCH)
        git(
            self.company.desk, "push", "--quiet", "--force", "origin", f"{older if is_older else ''}:{BRANCH}"
        )
        made = len(self.company.posts())
        ended = self.company.run(*APPLY, *WAITS)
        assert ended.status == 6, ended
        assert len(self.company.posts()) == made, "something was sent without the state"
        self._put_back(ended)
        assert git(self.root / "remote.git", "rev-parse", BRANCH) == head

    # -- how -----------------------------------------------------------------------------------

    def _grow(self) -> None:
        transfer, days = self.company.with_one_more()
        self.company.ranges = self._with(transfer, days)
        self.company.commit("main", self.company.ranges)

    def _with(self, transfer: int, days: str) -> dict[int, list[str]]:
        ranges = {number: list(declared) for number, declared in self.company.ranges.items()}
        ranges.setdefault(transfer, []).append(days)
        return ranges

    def _artifact(self) -> Path:
        return self.root / f"job-{self.company.jobs}-plan.json"

    def _apply(self, *arguments: str, file: Path | None = None) -> Ended:
        files = ()
        if file is not None:
            (self.root / "plan.json").write_bytes(file.read_bytes())
            files = (self.root / "plan.json",)
        ended = self.company.run("apply", *arguments, files=files)
        self._note(ended, {0, 3, 4})
        return ended

    def _alone(self) -> None:
        """Run a job while no other does: what killed ones sent has taken effect, so nothing need settle."""
        ended = self._apply("--auto-approve", *SHARED, *WAITS, *AT_ONCE)
        if ended.status:  # of a create that a newer one hides, run lists may tell for an hour
            self.company.advance(2 * 3600)
            ended = self._apply("--auto-approve", *SHARED, *WAITS, *AT_ONCE)
        assert ended.status == 0, ended

    def _put_back(self, ended: Ended) -> None:
        """Run the commands that the error gives, as they stand there."""
        commands = re.findall(r"^ +(git .*)$", ended.err, re.MULTILINE)
        assert commands, ended
        done = subprocess.run(
            ["sh", "-ec", "\n".join(commands)], cwd=self.company.desk, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    def _note(self, ended: Ended, allowed: set[int]) -> None:
        self.told[f"status {ended.status}"] += 1
        assert ended.status in allowed, ended
        assert "Traceback" not in ended.out + ended.err, ended

    # -- what must hold ------------------------------------------------------------------------

    def rest(self) -> None:
        self._alone()
        self._alone()
        made = self.company.coverage()
        wanted = Counter(dict.fromkeys(self._declared(), 1))
        assert made == wanted, f"too many: {made - wanted}, missing: {wanted - made}"
        refused = [one for one in self.company.posts() if one["status"] != 200]
        assert not refused, f"creates went out blindly: {refused}"
        document = self.company.document()
        assert document is not None
        backfills = self.company.backfills()
        assert all(is_known(document, one) for one in backfills)
        assert not [one for one in document.intents.values() if one.pending], "something is unresolved"
        self._check_remote(len(backfills))

    def _declared(self) -> Iterator[tuple[int, str, bool]]:
        git(self.company.desk, "checkout", "--quiet", "main")
        (team,) = read_files([self.company.desk / "backfills.yaml"], as_of=None, now=datetime.now(UTC)).teams
        for transfer in team.transfers:
            for begin, end in transfer.days.intervals:
                yield from ((transfer.address.transfer_id, iso(day), False) for day in range(begin, end))

    def _check_remote(self, backfills: int) -> None:
        """No lock is left, nothing is damaged, and the log is whole: each commit says what happened."""
        remote = self.root / "remote.git"
        assert "/lock" not in self.company.refs()
        git(remote, "fsck", "--strict")
        subjects = git(remote, "log", "--format=%s", BRANCH).splitlines()
        assert all(re.fullmatch(rf"team {TEAM}: .+ \[skip ci\]", one) for one in subjects), subjects
        told = sum(int(one) for one in re.findall(r"(?<!to )created (\d+) backfill", "\n".join(subjects)))
        assert told <= backfills, subjects  # of a killed run's creates, a later commit says "saw"
