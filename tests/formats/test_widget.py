"""What GitLab's merge-request widget is told of a plan, to the letter."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "planning"))

from planning_values import ago, document, observed, planned, record, team, transfer, whole

from reconciler.cli.main import run
from reconciler.formats.planfile import dump, encode_plan
from reconciler.planning.plan import ActionKind, Plan


def usual() -> Plan:
    """Two creates, one retry, one cancel."""
    failed = record("1-31", "FAILED", id=8, ended_at=ago(30), failed=1, names="3", error="timeout")
    wanted = team(transfer("1-31", "40-50", id=1), transfer("1-9", id=2), transfer("20-29", id=3))
    plan = whole(planned(wanted, observed(), document(failed)))
    first, second, third, fourth = plan.teams[0].actions
    retry = replace(first, kind=ActionKind.RETRY, cancels=(8,))
    cancel = replace(fourth, kind=ActionKind.CANCEL, cancels=(50,))
    actions = (retry, second, third, cancel)
    return replace(plan, teams=(replace(plan.teams[0], actions=actions),))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (usual(), '{\n  "create": 2,\n  "delete": 1,\n  "update": 1\n}\n'),
        (whole(planned(team(), observed())), '{\n  "create": 0,\n  "delete": 0,\n  "update": 0\n}\n'),
        (replace(usual(), errored=True), "{}\n"),
    ],
    ids=["usual", "nothing", "incomplete"],
)
def test_the_widget_is_told_three_numbers(
    plan: Plan, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.json").write_text(dump(encode_plan(plan, "0")))
    assert run(["show", "plan.json", "--out", "terraform=tfplan.json"]) == 0
    assert Path("tfplan.json").read_text() == told
