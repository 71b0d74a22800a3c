"""GitLab's component, its script lines run job by job: a merge request is planned, main applies that plan."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_rig import FILE, KEY, Api, Done, checked, serving
from workflow_rig import ROOT, TOOL, Repository, git

sys.path.insert(0, str(ROOT / "tests" / "forge"))
import forge_stub

READER = "sk-9876543210-may-only-read"
MORE = FILE.replace("2024-04-01..2024-04-05]", "2024-04-01..2024-04-05, 2024-06-01..2024-06-03]")
VARIABLES = {"SUPERMETRICS_READ_KEY": READER, "SUPERMETRICS_WRITE_KEY": KEY, "CI_DEFAULT_BRANCH": "main"}


@dataclass
class Project:
    """A project that includes the component with its defaults."""

    repository: Repository
    variables: Mapping[str, str]

    def job(
        self, name: str, ref: str, files: Mapping[str, Path] | None = None, **given: str
    ) -> tuple[Done, Path]:
        """Run a job in a fresh shallow clone of ``ref``, with the ``files`` of jobs before it."""
        spec, jobs = yaml.safe_load_all((ROOT / "templates" / "reconciler.yml").read_text("utf-8"))
        inputs = {name: one.get("default", "") for name, one in spec["spec"]["inputs"].items()}
        chain = [jobs[name]]
        while "extends" in chain[0]:
            chain.insert(0, jobs[chain[0]["extends"]])
        variables = {**self.variables, **given}
        for part in chain:
            for key, value in part.get("variables", {}).items():
                filled = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: inputs[found[1]], value)
                variables[key] = re.sub(r"\$(\w+)", lambda found: variables.get(found[1], ""), filled)
        lines = [line for key in ("before_script", "script") for line in self._last(chain, key)]
        return self._run(lines, ref, variables, files or {})

    def _last(self, chain: list[Any], key: str) -> list[str]:
        return next((part[key] for part in reversed(chain) if key in part), [])

    def _run(
        self, lines: list[str], ref: str, variables: Mapping[str, str], files: Mapping[str, Path]
    ) -> tuple[Done, Path]:
        self.repository.jobs += 1
        root = self.repository.root / f"job-{self.repository.jobs}"
        folder, tool = root / "work", root / "bin" / "reconciler"
        tool.parent.mkdir(parents=True)
        tool.write_text(TOOL, "utf-8")
        tool.chmod(0o755)
        git(
            root,
            "clone",
            "--quiet",
            "--depth=1",
            f"--branch={ref}",
            f"file://{self.repository.remote}",
            "work",
        )
        for name, file in files.items():
            (folder / name).write_bytes(file.read_bytes())
        there = {"PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8", "CI": "true"}
        there |= dict.fromkeys(("HOME", "TMPDIR", "RUNNER_TEMP"), str(root)) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)], cwd=folder, env={**there, **variables},
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return checked(Done(done.returncode, done.stdout, done.stderr)), folder


@pytest.fixture
def api() -> Iterator[Api]:
    with serving({"keys": {KEY: ["read", "write"], READER: ["read"]}}) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, api: Api) -> Project:
    repository = Repository(tmp_path, {})
    repository.commit(FILE)
    return Project(repository, {**VARIABLES, "RECONCILER_API_URL": api.url})


def test_a_merge_request_has_its_widget_and_comment_and_main_applies_that_plan(
    project: Project, api: Api
) -> None:
    base = git(project.repository.desk, "rev-parse", "main")
    project.repository.commit(MORE, "change")
    with forge_stub.serving() as forge:
        forge.login = forge.writer = "project_5_bot_1"
        request = {"CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7"}
        request |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "GITLAB_TOKEN": forge_stub.TOKEN}
        planned, folder = project.job("reconciler-plan", "change", **request)
        assert planned.code == 0, planned
        assert "**3 days more** (web +3)" in forge.bodies()[0]
    assert json.loads((folder / "terraform.json").read_text()) == {"create": 3, "update": 0, "delete": 0}
    assert api.writes() == []
    project.repository.merge()
    planned, folder = project.job("reconciler-plan", "main")
    plan = {"plan.json": folder / "plan.json"}
    project.repository.commit(MORE.replace("2024-06-03", "2024-06-04"))
    applied, _ = project.job("reconciler-apply", "main", plan)
    assert applied.code == 0, applied
    assert "2024-06-04" in applied.out
    assert len(api.made()) == 3
    assert "2024-06-01..2024-06-03" in api.made(2)


def test_what_is_wrong_in_a_file_is_a_report_and_is_said(project: Project) -> None:
    project.repository.commit(FILE.replace("2024-05-01..", "2024-05-32.."), "change")
    told, folder = project.job("reconciler-validate", "change")
    assert told.code == 1
    (issue,) = json.loads((folder / "gl-code-quality-report.json").read_text())
    assert issue["location"] == {"path": "backfills.yaml", "lines": {"begin": 6}}
    assert "2024-05-32" in told.err


@pytest.mark.proof
def test_the_night_applies_what_is_left(project: Project, api: Api) -> None:
    done, _ = project.job("reconciler-nightly", "main")
    assert done.code == 0, done
    assert len(api.made()) == 2
