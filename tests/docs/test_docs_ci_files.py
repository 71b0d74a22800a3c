"""The files for CI systems promise what the docs say: least rights, pinned actions, nothing cancelled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_fences import ROOT

WORKFLOWS = sorted((ROOT / "examples" / "github").glob("*.yml"))
ACTION = ROOT / "action.yml"
RIGHTS = {  # of each job; what stands here is all there is
    "review.yml": {"validate": {"contents": "read"}, "plan": {"contents": "read", "pull-requests": "write"}},
    "apply.yml": {"plan": {"contents": "read"}, "apply": {"contents": "write"}},
    "nightly.yml": {"nightly": {"contents": "write"}},
}


def read(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # which leaves `on` a text


def jobs() -> Iterator[tuple[str, str, Any]]:
    for path in WORKFLOWS:
        yield from ((path.name, name, job) for name, job in read(path)["jobs"].items())


def test_jobs_have_these_rights_and_no_others() -> None:
    assert {path.name for path in WORKFLOWS} == set(RIGHTS)
    assert all(read(path)["permissions"] == {} for path in WORKFLOWS)
    for file, name, job in jobs():
        assert job["permissions"] == RIGHTS[file][name]
        assert int(job["timeout-minutes"]) <= 120


def test_a_job_that_writes_is_never_cancelled_and_has_an_environment() -> None:
    for _file, _name, job in jobs():
        if job["permissions"].get("contents") == "write":
            assert job["concurrency"] == {"group": "backfills", "queue": "max"}
            assert job["environment"]
        else:
            assert "WRITE_KEY" not in str(job)


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_actions_are_pinned_and_nothing_is_put_into_shell_text(path: Path) -> None:
    text = path.read_text("utf-8")
    uses = re.findall(r"uses: (\S+)( #.*)?", text)
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) and told for name, told in uses), uses
    assert "pull_request_target" not in text
    steps = read(path)["runs"]["steps"] if path == ACTION else []
    assert not [step for step in steps if "${{" in step["run"]]


def test_what_a_pull_request_meets_without_a_secret() -> None:
    review = read(ROOT / "examples" / "github" / "review.yml")
    assert set(review["on"]) == {"pull_request", "merge_group"}
    assert "secrets." not in str(review["jobs"]["validate"])
    assert "head.repo.full_name == github.repository" in review["jobs"]["plan"]["if"]


def test_outputs_of_the_action_are_those_that_its_step_tells() -> None:
    action = read(ACTION)
    (tell,) = [step for step in action["runs"]["steps"] if step.get("id") == "tell"]
    assert set(re.findall(r'"(\w+)=', tell["run"])) == set(action["outputs"])
    assert all(
        one["value"] == f"${{{{ steps.tell.outputs.{name} }}}}" for name, one in action["outputs"].items()
    )
