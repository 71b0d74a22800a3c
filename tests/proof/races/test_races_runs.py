"""Races of applies: a few in every run, 200 rounds and every freeze in the proof."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "stores"))
from git_servers import why_not

RUN = Path(__file__).resolve().parent / "run.py"


def raced(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False, timeout=2500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # noqa: T201 - the counts; pytest shows them with -s or -rP


def test_a_few_rounds_and_freezes() -> None:
    raced("--rounds", "2", "--first", "9", "--real-rounds", "0", "--freezes", "60")


def test_a_few_rounds_over_git() -> None:
    over_git("2")


@pytest.mark.proof
def test_40_rounds_over_git() -> None:
    """By path, http-backend and daemon in turn, each with the lock and without."""
    over_git("40")


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_100_creates_are_committed_in_groups(tmp_path: Path) -> None:
    from races_pushes import measured  # loads all there is

    need_servers()
    took = measured(tmp_path / "checkout", delay=0.1)
    print(took)  # noqa: T201 - pytest shows it with -s or -rP
    assert took.commits < 120  # each by itself would be 200
    assert took.at_once == 1


def need_servers() -> None:
    if reason := why_not():
        assert "CI" not in os.environ, reason  # there a proof that is not run is no proof
        pytest.skip(reason)


def over_git(rounds: str) -> None:
    need_servers()
    raced("--git", rounds, "--rounds", "0", "--real-rounds", "0", "--freezes", "0")


@pytest.mark.proof
@pytest.mark.parametrize("share", ["0/2", "1/2"])
def test_200_rounds_and_the_freezes(share: str) -> None:
    """180 rounds of forked processes, 20 of real ones, and a freeze before every third call."""
    raced("--freezes", "3", "--slice", share)
