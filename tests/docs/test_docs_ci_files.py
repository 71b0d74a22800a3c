"""The files for CI systems promise what the docs say: least rights, pinned actions, nothing cancelled."""

from __future__ import annotations

import re
import subprocess
import sys
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


def first_cells(heading: str) -> set[str]:
    """Return the names in backticks in the first cells of the tables below a heading of the page."""
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    part = re.split(r"^##+ ", page.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)}


def test_inputs_and_outputs_are_documented() -> None:
    action = read(ACTION)
    assert first_cells("The action") == {*action["inputs"], *action["outputs"]}
    spec, _ = yaml.safe_load_all((ROOT / "templates" / "reconciler.yml").read_text("utf-8"))
    assert first_cells("GitLab") == set(spec["spec"]["inputs"])


def test_the_component_never_cancels_what_writes_and_gives_a_fork_no_key() -> None:
    spec, jobs = yaml.safe_load_all((ROOT / "templates" / "reconciler.yml").read_text("utf-8"))
    used = set(
        re.findall(r"\$\[\[ inputs\.([\w-]+) \]\]", (ROOT / "templates" / "reconciler.yml").read_text())
    )
    assert used == set(spec["spec"]["inputs"])
    assert all("$[[" not in line for name in jobs for line in jobs[name].get("script", ())), "in shell text"
    writing = {name for name, job in jobs.items() if job.get("extends") == ".reconciler-writes"}
    assert writing == {"reconciler-apply", "reconciler-nightly"}
    shared = jobs[".reconciler-writes"]
    assert shared["resource_group"]
    assert shared["interruptible"] is False
    assert all(jobs[name]["environment"] for name in writing)
    assert "WRITE_KEY" not in str({name: jobs[name] for name in jobs if name.startswith("reconciler-")})
    merge_request = jobs["reconciler-plan"]["rules"][0]["if"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID" in merge_request


def test_the_hook_reads_all_files_in_one_call(tmp_path: Path) -> None:
    (hook,) = read(ROOT / ".pre-commit-hooks.yaml")
    assert hook["pass_filenames"] == "false"
    files = re.compile(hook["files"])
    assert all(files.search(path) for path in ("backfills.yaml", "backfills.yml", "backfills/eu/ads.yaml"))
    assert not any(files.search(path) for path in ("x/backfills.yaml", "README.md", "backfills.schema.json"))
    for name, transfer in (("ads", 1), ("web", 2)):
        (tmp_path / "backfills").mkdir(exist_ok=True)
        declared = f"  {name}: {{transfer_id: {transfer}, ranges: [2024-01]}}\n"
        file = tmp_path / "backfills" / f"{name}.yaml"
        file.write_text(f"version: 1\nteam_id: 12345\ntransfers:\n{declared}", "utf-8")
    command = [sys.executable, "-m", *hook["entry"].split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ads" in done.stdout
    assert "web" in done.stdout


def test_the_image_is_pinned_small_and_nobody_s() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    last = lines[lines.index(f"FROM {bases[0]}") :]
    assert last.index("USER 10001") < last.index('ENTRYPOINT ["reconciler"]')
    assert "constraints.txt" in next(line for line in lines if "PIP_CONSTRAINT" in line)
    copied = {
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    sent = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert sent[0] == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
