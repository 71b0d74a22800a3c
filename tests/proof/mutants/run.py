"""Mutation testing of the parts that decide: ``python tests/proof/mutants/run.py --seed S --sample 400``.

A seeded sample of small changes (``mutate.py``) is made in copies of the project, one at a time,
and the tests are run, those nearest to the changed file first, until one fails. Changes that no
test notices are *survivors*: a gap in the tests, or a change that makes no difference. Written
here rather than taken from a library: mutmut 3 neither samples nor mutates outside functions, and
cosmic-ray changes the checkout it runs in and samples without a seed.

The report is JSON: the numbers, and each survivor with its place and change.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutate import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ("agreement", "backoff", "effects", "freshness", "sending", "transfer")
TARGETS = (
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "reconciler/planning").glob("*.py")),
    "reconciler/api/outcome.py",
    *(f"reconciler/engine/{name}.py" for name in ENGINE),
)
COPIED = ("reconciler", "tests", "pyproject.toml")
# The tests nearest to a file first; then these, in this order. Tests that start processes are of no
# use here: those would run the checkout, not the copy.
GAPS = "tests/proof/faults/test_faults_gaps.py"
EVERYWHERE = (
    "tests/api",
    "tests/engine",
    "tests/planning",
    GAPS,
    "tests/proof/test_worlds.py",
    "tests/proof/simulation",
)
TIMEOUT = 300.0  # seconds for the tests of one mutant; what takes longer is caught as a loop without end
PYTEST = (
    "-x",
    "-q",
    "--no-header",
    "--tb=no",
    "-p",
    "no:cacheprovider",
    "-m",
    "not proof",
    "--hypothesis-seed=0",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant: ``killed``, ``timeout`` (which counts as killed) or ``survived``."""

    mutant: Mutant
    fate: str
    by: str
    seconds: float


@dataclass(slots=True)
class Copy:
    """A copy of the project that mutants are made in."""

    folder: Path
    deselected: Sequence[str] = ()
    ticks: int = 0

    @staticmethod
    def make(folder: Path) -> Copy:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder / name)
        return Copy(folder)

    def test(self, mutant: Mutant) -> Result:
        """Make a change, run the tests, and take it back."""
        path = self.folder / mutant.file
        original = path.read_text("utf-8")
        began = time.monotonic()
        try:
            self._write(path, mutant.apply(original))
            fate, by = self._run(tests_for(mutant.file, self.folder))
        finally:
            self._write(path, original)
        return Result(mutant, fate, by, time.monotonic() - began)

    def _write(self, path: Path, text: str) -> None:
        """Write with a time of its own, so that no bytecode of an earlier mutant is taken for its."""
        path.write_text(text, "utf-8")
        self.ticks += 10
        os.utime(path, (1_000_000_000 + self.ticks,) * 2)

    def _run(self, tests: Sequence[str]) -> tuple[str, str]:
        options = [*PYTEST, "-o", "timeout=60", *(f"--deselect={one}" for one in self.deselected)]
        try:
            done = self.pytest([*options, *tests], TIMEOUT)
        except subprocess.TimeoutExpired:
            return "timeout", ""
        if done.returncode == 0:
            return "survived", ""
        return "killed", failures_in(done.stdout)[0] if failures_in(done.stdout) else done.stdout[-200:]

    def pytest(self, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PLANNING_EXAMPLES": "150"}
        environment["FUZZ_EXAMPLES"] = "50"
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def tests_for(file: str, folder: Path) -> list[str]:
    """Return the test folders and files for a target, the nearest first."""
    near = f"tests/{file.split('/')[1]}"
    return [one for one in dict.fromkeys([near, *EVERYWHERE]) if (folder / one).exists()]


def failures_in(output: str) -> list[str]:
    lines = (line.split() for line in output.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] in ("FAILED", "ERROR")]


@dataclass(slots=True)
class Campaign:
    """A sample on its way through the copies."""

    sample: list[Mutant]
    minutes: float
    results: list[Result] = field(default_factory=list)
    waiting: queue.SimpleQueue[Mutant] = field(default_factory=queue.SimpleQueue)
    began: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, copies: Sequence[Copy]) -> None:
        for mutant in self.sample:
            self.waiting.put(mutant)
        threads = [threading.Thread(target=self._work, args=(one,)) for one in copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, copy: Copy) -> None:
        while time.monotonic() - self.began < self.minutes * 60:
            try:
                mutant = self.waiting.get_nowait()
            except queue.Empty:
                return
            result = copy.test(mutant)
            with self.lock:
                self.results.append(result)
                told = (
                    f"{len(self.results)}/{len(self.sample)} {result.fate} {result.seconds:.0f} s {result.by}"
                )
                say(f"{told}\n    {mutant}")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def all_mutants(targets: Sequence[str]) -> list[Mutant]:
    """Return every mutant of the targets."""
    return [one for file in targets for one in mutants_of((ROOT / file).read_text("utf-8"), file)]


def baseline(copy: Copy, targets: Sequence[str]) -> list[str]:
    """Return the tests that fail without any change; they can tell nothing."""
    tests = list(dict.fromkeys(one for file in targets for one in tests_for(file, copy.folder)))
    done = copy.pytest([*(one for one in PYTEST if one != "-x"), *tests], 1800)
    failing = failures_in(done.stdout)
    if done.returncode not in (0, 1):
        raise SystemExit(
            f"The tests do not run without a change:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return failing


def report(seed: int, total: int, campaign: Campaign, left_out: Sequence[str]) -> dict[str, object]:
    """Return the result as data, survivors first to be read."""
    results = sorted(campaign.results, key=lambda one: one.mutant)
    killed = sum(one.fate != "survived" for one in results)
    return {
        "seed": seed,
        "mutants_in_all": total,
        "tested": len(results),
        "killed": killed,
        "killed_percent": round(100 * killed / len(results), 1) if results else None,
        "timeouts": sum(one.fate == "timeout" for one in results),
        "minutes": round((time.monotonic() - campaign.began) / 60, 1),
        "tests_left_out": sorted(left_out),
        "survivors": [str(one.mutant) for one in results if one.fate == "survived"],
    }


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("--workers", type=int, default=2, help="copies worked in at a time (2)")
    parser.add_argument("--minutes", type=float, default=240.0, help="start no mutant after this (240)")
    parser.add_argument("--only", action="append", help="only these files; repeatable")
    parser.add_argument("--match", help="only mutants whose text holds this")
    parser.add_argument("--no-baseline", action="store_true", help="trust that the unchanged tests pass")
    parser.add_argument("--list", action="store_true", help="print the sample, and test nothing")
    parser.add_argument("--report", type=Path, help="write the JSON here too")
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> tuple[list[Mutant], list[Mutant]]:
    """Return all mutants, and the sample of them."""
    everything = all_mutants(asked.only or TARGETS)
    wanted = [one for one in everything if not asked.match or asked.match in str(one)]
    return everything, random.Random(asked.seed).sample(wanted, min(asked.sample, len(wanted)))


def main() -> int:
    """Run the campaign. Returns 1 if fewer than nine of ten mutants were killed."""
    asked = options()
    everything, sample = chosen(asked)
    if asked.list:
        say("\n".join(str(one) for one in sorted(sample)))
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Copy.make(Path(folder, str(number))) for number in range(asked.workers)]
        left_out = [] if asked.no_baseline else baseline(copies[0], asked.only or TARGETS)
        for one in copies:
            one.deselected = left_out
        campaign = Campaign(sample, asked.minutes)
        campaign.run(copies)
    made = report(asked.seed, len(everything), campaign, left_out)
    text = json.dumps(made, indent=2) + "\n"
    say(text)
    if asked.report:
        asked.report.write_text(text, "utf-8")
    percent = made["killed_percent"]
    return 0 if isinstance(percent, float) and percent >= 90 else 1


if __name__ == "__main__":
    raise SystemExit(main())
