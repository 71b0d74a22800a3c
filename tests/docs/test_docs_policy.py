"""The policy that the docs show: what each rule minds, and that it minds nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docs_fences import ROOT

POLICY = ROOT / "examples" / "policy.jq"
ACTION = {
    "transfer": "ads", "start": "2024-05-01", "end": "2024-05-31", "days": 31, "owner": ["ann"], "notes": [],
    "declared_at": ["backfills.yaml:6:9"],
}  # fmt: skip
PLAN: dict[str, Any] = {
    "actions": [ACTION],
    "transfers": [{"transfer": "ads", "days": {"failed": 0, "planned": 31}}],
    "guards": [
        {"team_id": 12345, "owner": None, "guard": "max_days_per_apply", "allowed": 40, "planned": 31}
    ],
    "summary": {"cancel": 0},
}
MINDED: dict[str, Callable[[Any], Any]] = {
    "93 days in one backfill": lambda plan: plan["actions"][0].update(days=93, notes=["why"]),
    "nobody owns it; set `owner` in backfills.yaml:6:9": lambda plan: plan["actions"][0].update(owner=[]),
    "more than a month wants a `reason`": lambda plan: plan["actions"][0].update(days=32),
    "ads: 1 days failed for good": lambda plan: plan["transfers"][0]["days"].update(failed=1),
    "team 12345: 37 of 40 days": lambda plan: plan["guards"][0].update(planned=37),
    "2 backfills would be cancelled": lambda plan: plan["summary"].update(cancel=2),
}


def judged(plan: Any, folder: Path) -> tuple[int, list[str]]:
    if not shutil.which("jq"):
        assert not os.environ.get("CI"), "policies are rules for jq"
        pytest.skip("needs jq")
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    done = subprocess.run(
        ["jq", "-f", str(POLICY), "plan.json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("line", MINDED)
def test_each_rule_minds_one_thing(line: str, tmp_path: Path) -> None:
    plan = json.loads(json.dumps(PLAN))
    MINDED[line](plan)
    status, (told,) = judged(plan, tmp_path)
    assert status == 1
    assert line in told


def test_a_plan_that_no_rule_minds(tmp_path: Path) -> None:
    assert judged(PLAN, tmp_path) == (0, [])
