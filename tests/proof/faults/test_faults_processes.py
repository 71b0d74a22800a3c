"""The same over real processes, for faults that nobody waits for: exit statuses, one create, the key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults_rig import KEY, TEAM

from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import running

FILE = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads: {{transfer_id: 1, ranges: [2024-05-01..2024-05-10]}}
"""
QUICK = {
    "reset-after@create": 0,
    "gzip-bomb@create": 0,
    "status-422-before@create": 3,
    "quota-rows@create": 7,
    "status-401-before@list": 65,
    "redirect-307@list": 69,
}
REST = {
    "reset-middle@create": 0,
    "short-body@create": 0,
    "huge-body@create": 0,
    "endless-chunked@create": 0,
    "html-200@create": 0,
    "json-deep@create": 0,
    "status-500-after@create": 0,
    "status-409-after@create": 0,
    "other-range@create": 0,
    "quota-licence@list": 7,
    "rate-limit-day@create": 69,
    "rate-limit-day@list": 69,
    "status-403-before@create": 65,
    "status-400-before@list": 69,
}
CASES = [*QUICK.items(), *(pytest.param(*one, marks=pytest.mark.proof) for one in REST.items())]


def apply(folder: Path, base_url: str) -> tuple[int, str]:
    """Run the command; return its exit status and what it printed on both streams."""
    environment = {
        "PATH": os.environ["PATH"],
        "SUPERMETRICS_API_KEY": KEY,
        "RECONCILER_API_URL": base_url,
    }
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "apply", "--auto-approve", "-v"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("fault, status", CASES)
def test_a_process_under_a_fault(fault: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "backfills.yaml").write_text(FILE, "utf-8")
    sandbox = Sandbox.in_memory({"teams": {TEAM: {"transfers": {1: {"name": "ads"}}}}}, faults=[fault])
    with running(sandbox.app) as base_url:
        code, text = apply(tmp_path, base_url)
        assert code == status, text
        sandbox.faults()
        again, told = apply(tmp_path, base_url)
        assert again == (3 if status == 3 else 0), told  # a refusal holds for a day
    assert "Traceback" not in text + told
    assert "error[bug]" not in text + told
    held = sum(one["status"] == "CREATED" for one in sandbox.backfills())
    assert held == (0 if status == 3 else 1), sandbox.backfills()
    written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    assert KEY.encode() not in written + (text + told).encode()
