"""Kills, failing disks and signals at every call of a real apply: a taste in every run, a part in the proof.

Each runs in a process of its own, which has no threads and so may fork. ``make kill`` does all of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kill_strace
import pytest

RUN = Path(__file__).resolve().parent / "run.py"


def points(*arguments: str) -> int:
    """Run a part of the points; every one must be struck or passed, and converge. Returns how many were."""
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False, timeout=2500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # noqa: T201 - the counts; pytest shows them with -s or -rP
    return int(done.stdout.rpartition("total")[2].split()[0])


def test_a_few_points_converge() -> None:
    assert (
        points("forks", "signals", "errors", "--every", "97", "--situations", "fresh,dangling", "--embedded")
        >= 10
    )


@pytest.mark.proof
@pytest.mark.parametrize(
    "arguments, least",
    [
        (("forks", "--embedded", "--every", "6"), 200),
        (("forks", "--served", "--every", "40"), 20),
        (("twice", "--pairs", "40"), 40),
        (("signals", "--every", "16"), 40),
        (("errors", "--every", "12"), 100),
    ],
    ids=["forks", "served", "twice", "signals", "errors"],
)
def test_a_part_of_all_points_converges(arguments: tuple[str, ...], least: int) -> None:
    """More than 300 kills in all, and the signals and failing calls besides."""
    assert points(*arguments) >= least


@pytest.mark.proof
def test_real_processes_killed_by_strace_converge() -> None:
    if reason := kill_strace.why_not():
        assert "CI" not in os.environ, reason  # there a proof that is not run is no proof
        pytest.skip(reason)
    assert points("strace", "--every", "9") >= 20
