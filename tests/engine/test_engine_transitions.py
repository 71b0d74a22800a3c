"""A world, and a file that changes: after each apply the next plan is empty (``tests/cases/transitions``).

A case is YAML: ``world`` (a sandbox scene; it starts on 2024-06-01 at 9:00 UTC), ``file``, and
``steps``: what is changed in the file (text to text), how far the clock moves, what people do
by hand, the actions of the plan then, and the counts that are not zero ``after`` its apply.
``made``: how many backfills each transfer has at the end.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_rig import TEAM, Rig, actions_text

CASES = sorted((Path(__file__).parent.parent / "cases" / "transitions").glob("*.yaml"))
UNITS = {"m": 60, "h": 3600, "d": 86400}


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([mhd])", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def _rig(case: dict[str, Any], folder: Path) -> Rig:
    world = case.get("world") or {}
    team = (world.get("teams") or {}).get(TEAM, {})
    return Rig(
        folder,
        case["file"],
        settings=world.get("settings", {}),
        transfers=team.get("transfers", {}),
        backfills=team.get("backfills", []),
    )


def _people(rig: Rig, deed: dict[str, list[Any]]) -> None:
    ((what, where),) = deed.items()
    transfer, first = where[0], str(where[1])
    if what == "create":
        rig.foreign(transfer, first, str(where[2]))
        return
    (found,) = [
        int(one["transfer_backfill_id"])
        for one in rig.sandbox.backfills()
        if (int(one["transfer_id"]), one["range_start_date"]) == (transfer, first)
    ]
    rig.people.cancel(found)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_transition(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    rig = _rig(case, tmp_path)
    text = case["file"]
    for number, step in enumerate(case["steps"]):
        for old, new in step.get("change", {}).items():
            assert text.count(old) == 1, (number, old)
            text = text.replace(old, new)
        rig.declare(text)
        rig.later(_seconds(step.get("advance", "0m")))
        for deed in step.get("people", []):
            _people(rig, deed)
        _check_step(rig, step, number)
    made = {transfer: rig.made(transfer) for transfer in case.get("made", {})}
    assert {transfer: len(one) for transfer, one in made.items()} == case.get("made", {}), made


def _check_step(rig: Rig, step: dict[str, Any], number: int) -> None:
    planned = rig.plan()
    assert actions_text(planned) == step["actions"], number
    applied = rig.apply()
    assert applied.exit == 0
    assert actions_text(applied.surveyed) == step["actions"], number
    again = rig.plan()
    assert actions_text(again) == [], f"step {number}: a second plan is not empty"
    counts = again.plan.counts
    numbers = counts.as_dict()
    assert counts.declared == sum(numbers.values()) - counts.declared
    if "after" in step:
        assert rig.buckets(again) == step["after"], number
