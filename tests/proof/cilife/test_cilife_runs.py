"""Lives in CI: two in every run, a hundred in the proof."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent / "run.py"


def lived(*arguments: str) -> None:
    assert shutil.which("git"), "the state may lie in Git: its proofs need the program"
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False, timeout=2500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # noqa: T201 - the counts; pytest shows them with -s or -rP


def test_a_life_in_ci() -> None:
    lived("--seeds", "1", "--first", "17")


@pytest.mark.proof
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_a_hundred_lives_in_ci(first: int) -> None:
    lived("--seeds", "20", "--first", str(first))
