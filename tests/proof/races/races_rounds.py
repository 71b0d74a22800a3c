"""Several applies at once on one state and one vendor: rounds of them, each from a seed.

What must hold, with the lock or without: each declared day is made exactly once and no other day
at all, no create is even refused (that would be a write that went out blindly), every process ends
in a documented status, and afterwards plain runs find nothing left to do.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kill"))

import kill_paths  # noqa: F401
from faulty_os import Trouble
from kill_children import Ended, environment, kill_self, ran, start, wait
from kill_served import EMBEDDED, await_quiet, free_url, served
from kill_worlds import (
    AT_ONCE,
    COMMON,
    HEAD,
    all_backfills,
    check_unlocked,
    coverage,
    is_known,
    situated,
    state_of,
)

from reconciler.config.loading import read_files
from reconciler.dates import iso, last_iso
from reconciler.model.memory import Document
from reconciler.sandbox import Sandbox

DOCUMENTED = {0, 3, 4, 5}
INSTANT = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
TRANSFERS = (1, 2, 3)
FIRST_DAY = date(2024, 1, 1)
FILE = "backfills.yaml"


# --- one round ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """What a seed says: how many processes, of what kind, on what."""

    seed: int
    processes: int
    lock: bool
    differing: bool
    instant: bool
    api: str
    killed: bool
    real: bool
    transfers: tuple[int, ...] = TRANSFERS

    @staticmethod
    def of(seed: int, *, real: bool = False) -> Round:
        rng = random.Random(f"round {seed}")
        url = free_url() if rng.random() < 0.2 else EMBEDDED
        return Round(
            seed=seed,
            processes=rng.randint(2, 4 if real else 8),
            lock=rng.random() < 0.4,
            differing=rng.random() < 0.5,
            instant=rng.random() < 0.5,
            api=url,
            killed=not real and rng.random() < 0.2,
            real=real,
        )

    @property
    def replay(self) -> str:
        return f"python tests/proof/races/run.py --round {self.seed}{' --real' if self.real else ''}"


@dataclass
class Race:
    """A round under way."""

    round: Round
    folder: Path
    rng: random.Random = field(init=False)
    files: list[str] = field(default_factory=list)
    common: tuple[str, ...] = COMMON

    def __post_init__(self) -> None:
        self.rng = random.Random(self.round.seed)

    def document(self) -> Document | None:
        """Return the state."""
        return state_of(self.folder)

    def run(self) -> Counter[int]:
        """Race, then check. Returns how often each status was met."""
        self._prepare()
        ended = self._real() if self.round.real else self._forked()
        for one in ended:
            self._check_end(one)
        self._converge()
        return Counter(one.status for one in ended)

    def _prepare(self) -> None:
        settings = INSTANT if self.round.instant else {}
        count = self.round.processes if self.round.differing else 1
        texts = [self._text() for _ in range(count)]
        situated(self.folder, self.round.api, texts[0], settings)
        self.files = [f"version-{number}/backfills.yaml" for number in range(count)]
        for name, text in zip(self.files, texts, strict=True):
            (self.folder / name).parent.mkdir()
            (self.folder / name).write_text(text, "utf-8")

    def _text(self) -> str:
        """Return a file with random ranges: those of the others overlap them."""
        lines = [f"{HEAD}transfers:"]
        for transfer in self.round.transfers:
            chunk = self.rng.choice(["none", "week", "month"])
            lines += [f"  t{transfer}:", f"    transfer_id: {transfer}", f"    chunk: {chunk}", "    ranges:"]
            for _ in range(self.rng.randint(1, 2)):
                first = FIRST_DAY + timedelta(days=self.rng.randrange(40))
                last = first + timedelta(days=self.rng.randrange(20))
                lines.append(f"      - {first}..{last}")
        return "\n".join(lines) + "\n"

    def arguments(self, number: int) -> tuple[str, ...]:
        more: tuple[str, ...] = ("--no-lock",)
        if self.round.lock:
            more = ("--lock-timeout", self.rng.choice(["0s", "30s"]))
        return ("apply", *self.common, "--auto-approve", "-c", self.files[number % len(self.files)], *more)

    # -- the two kinds of processes -----------------------------------------------------------

    def _forked(self) -> list[Ended]:
        """Let children start at once, each after a pause of its own of at most 30 ms."""
        victim = self.rng.randrange(self.round.processes) if self.round.killed else None
        with served(self.folder):
            go, started = os.pipe()  # not before: the server must not hold it open
            pids = []
            for number in range(self.round.processes):
                trouble = Trouble(self.rng.randrange(100), kill_self) if number == victim else None
                pause = self.rng.uniform(0, 0.03)
                arguments = self.arguments(number)
                pids.append(
                    start(
                        self.folder,
                        arguments,
                        f"racer{number}",
                        trouble=trouble,
                        prepare=_gate(go, started, pause),
                    )
                )
            os.close(started)
            ended = [wait(self.folder, pid, f"racer{number}") for number, pid in enumerate(pids)]
            await_quiet(self.folder)
        os.close(go)
        return ended

    def _real(self) -> list[Ended]:
        """Let real processes run, and stop one of them for a while in the middle of it."""
        with served(self.folder):
            env = {**os.environ, **environment(self.folder)}
            running = [
                subprocess.Popen(
                    [sys.executable, "-m", "reconciler", *self.arguments(number)],
                    cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
                for number in range(self.round.processes)
            ]  # fmt: skip
            self._stop_for_a_while(running[0])
            ended = []
            for process in running:
                out, err = process.communicate(timeout=120)
                ended.append(Ended(process.returncode, out, err))
            await_quiet(self.folder)
        return ended

    def _stop_for_a_while(self, process: subprocess.Popen[str]) -> None:
        time.sleep(self.rng.uniform(0.2, 0.7))
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)

    # -- what must hold -----------------------------------------------------------------------

    def _check_end(self, ended: Ended) -> None:
        allowed = {*DOCUMENTED, -signal.SIGKILL} if self.round.killed else DOCUMENTED
        assert ended.status in allowed, ended
        assert "Traceback" not in ended.err + ended.out, ended
        if not self.round.lock:
            assert ended.status != 5, ended

    def _converge(self) -> None:
        """Run each file again, by itself, until there is nothing to do."""
        self._run_cleanly()
        if self.round.killed:  # of a create that a newer one hides, run lists may tell for an hour
            with Sandbox.open(self.folder / "world.db") as sandbox:
                sandbox.advance(2 * 3600)
            self._run_cleanly()
        check_made_once(self.folder, [self.folder / name for name in self.files], self.document())
        self.check_unlocked()

    def check_unlocked(self) -> None:
        """The lock is free, and names nobody."""
        check_unlocked(self.folder)

    def _run_cleanly(self) -> None:
        settle = AT_ONCE if self.round.killed else ()
        for name in self.files:
            clean = ("apply", *self.common, "--auto-approve", "-c", name, *settle)
            ended = ran(self.folder, clean, "clean")
            if ended.status == 4 and self.round.killed:
                self._resolve(name)
            if ended.status != 0:
                ended = ran(self.folder, clean, "clean")
            assert ended.status == 0, f"{name}: {ended}"
            ended = ran(self.folder, ("plan", *self.common, "--detailed-exitcode", "-c", name), "plan")
            assert ended.status == 0, ended

    def _resolve(self, name: str) -> None:
        """Say what became of a killed run's creates: a newer backfill hides from us what a person sees."""
        document = self.document()
        assert document is not None, "there is no state"
        for intent in [one for one in document.intents.values() if one.pending]:
            wanted = (intent.transfer_id, iso(intent.start), last_iso(intent.end))
            found = [
                one["transfer_backfill_id"]
                for one in all_backfills(self.folder)
                if (one["transfer_id"], one["range_start_date"], one["range_end_date"]) == wanted
                and one["transfer_backfill_id"] not in document.backfills
            ]
            verdict = f"created:{found[0]}" if found else "not-created"
            told = (
                intent.transfer,
                f"{wanted[1]}..{wanted[2]}",
                "--as",
                verdict,
                "--auto-approve",
                "-c",
                name,
            )
            ended = ran(self.folder, ("resolve", *told, *self.common), "resolve")
            assert ended.status == 0, ended


def _gate(go: int, started: int, pause: float) -> Callable[[], None]:
    def wait_for_start() -> None:
        os.close(started)
        os.read(go, 1)
        time.sleep(pause)

    return wait_for_start


def declared(files: Sequence[Path]) -> set[tuple[int, str, bool]]:
    """Return the days that the files declare, in the shape of ``coverage``. (They exclude nothing.)"""
    days = set()
    for file in files:
        (team,) = read_files([file], as_of=None, now=datetime.now(UTC)).teams
        for transfer in team.transfers:
            number = transfer.address.transfer_id
            for start_, end in transfer.days.intervals:
                days |= {(number, iso(day), False) for day in range(start_, end)}
    return days


def check_made_once(folder: Path, files: Sequence[Path], document: Document | None) -> None:
    backfills = all_backfills(folder)
    held = coverage(backfills)
    wanted = Counter(dict.fromkeys(declared(files), 1))
    assert held == wanted, f"too many: {held - wanted}, missing: {wanted - held}"
    refused = [one for one in requests(folder) if one["method"] == "POST" and one["status"] != 200]
    assert not refused, f"creates went out blindly: {refused}"
    assert document is not None, "there is no state"
    for one in backfills:
        assert is_known(document, one), f"not recorded: {one}"  # of a killed run's the runs may tell alone
    assert not [one for one in document.intents.values() if one.pending], "something is unresolved"


def requests(folder: Path) -> list[dict[str, Any]]:
    with Sandbox.open(folder / "world.db") as sandbox:
        return sandbox.requests()
