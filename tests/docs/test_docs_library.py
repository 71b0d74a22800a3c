"""The Python blocks of the docs run, and print what stands below them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from docs_fences import PAGES, fences
from docs_transcripts import checkout

WITH_PYTHON = [page for page in PAGES if any(fence.language == "python" for fence in fences(page))]


def test_the_library_is_shown() -> None:
    assert [page.name for page in WITH_PYTHON] == ["library.md"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_blocks_print_what_stands_below_them(page: Path, tmp_path: Path) -> None:
    script = "".join(fence.body for fence in fences(page) if fence.language == "python")
    shown = "".join(fence.body for fence in fences(page) if fence.language == "text")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=checkout(tmp_path), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == (shown, "")
