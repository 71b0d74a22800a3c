"""The example workflows and the action, step by step: a plan is reviewed, approved, carried over, applied."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_rig import FILE, KEY, TEAM, Api, serving
from workflow_rig import MERGE, ROOT, Ran, Repository, evaluate, git

sys.path.insert(0, str(ROOT / "tests" / "forge"))
import forge_stub

READER = "sk-9876543210-may-only-read"
MORE = FILE.replace("2024-04-01..2024-04-05]", "2024-04-01..2024-04-05, 2024-06-01..2024-06-03]")
GROWN = MORE.replace("2024-06-03", "2024-06-04")
ADS, WEB, NEW = "2024-05-01..2024-05-10", "2024-04-01..2024-04-05", "2024-06-01..2024-06-03"
PUSH = {"event_name": "push", "ref": "refs/heads/main", "repository": "o/r", "token": forge_stub.TOKEN}


def pull(head: str = "o/r", login: str = "ann") -> dict[str, Any]:
    sides = {"head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "o/r"}}}
    request = {"number": 7, **sides, "user": {"login": login}}
    event = {"event_name": "pull_request", "ref": MERGE, "event": {"number": 7, "pull_request": request}}
    return {**PUSH, **event}


@pytest.fixture
def api() -> Iterator[Api]:
    assert shutil.which("git")
    if not shutil.which("jq"):
        assert not os.environ.get("CI"), "the action tells of a plan with jq"
        pytest.skip("needs jq")
    with serving({"keys": {KEY: ["read", "write"], READER: ["read"]}}) as made:
        yield made


@pytest.fixture
def repository(tmp_path: Path, api: Api) -> Repository:
    """``main`` has the file of two transfers."""
    made = Repository(tmp_path, {"RECONCILER_API_URL": api.url})
    made.secrets = {"SUPERMETRICS_READ_KEY": READER, "SUPERMETRICS_WRITE_KEY": KEY}
    made.commit(FILE)
    return made


def planned(repository: Repository) -> Ran:
    plan = repository.job("apply.yml", "plan", PUSH)
    assert plan.outputs == {"has_changes": "true"}
    return plan


def apply(repository: Repository, plan: Ran, **how: Any) -> Ran:
    return repository.job("apply.yml", "apply", PUSH, {"plan": plan}, **how)


def refs(repository: Repository) -> str:
    return git(repository.remote, "for-each-ref")


def test_a_change_is_planned_on_its_branch_and_one_comment_says_what_it_adds(
    repository: Repository, api: Api
) -> None:
    before = refs(repository)
    secrets, repository.secrets = repository.secrets, {}
    repository.commit(MORE, "change")
    repository.job("review.yml", "validate", pull(), RECONCILER_API_URL="http://127.0.0.1:9")
    repository.secrets = secrets
    with forge_stub.serving() as forge:
        repository.env |= {"GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "o/r"}
        plan = repository.job("review.yml", "plan", pull())
        (comment,) = forge.bodies()
        assert plan.summary[:1000] == comment[:1000]
        assert "**Plan: 3 to create (18 days), 0 to retry (0 days), 0 to cancel.**" in comment
        assert "- **Over the base**: **3 days more** (web +3)" in comment
        repository.commit(GROWN, "change")  # and pushed again: the same comment
        repository.job("review.yml", "plan", pull())
        (comment,) = forge.bodies()
        assert "**4 days more** (web +4)" in comment
    git(repository.desk, "push", "--quiet", "origin", ":change", f":{MERGE}")
    assert (refs(repository), api.writes()) == (before, []), "a review wrote something"


def test_what_a_fork_or_a_robot_proposes_meets_no_secret(repository: Repository) -> None:
    repository.commit(MORE.replace("2024-06-01..", "2024-06-31.."), "change")
    repository.secrets = {}
    validated = repository.job("review.yml", "validate", pull("eve/backfills"), wanted="failure")
    assert "::error file=backfills.yaml,line=" in validated.told
    repository.job("review.yml", "plan", pull("eve/backfills"), wanted="skipped")
    repository.job("review.yml", "plan", pull(login="dependabot[bot]"), wanted="skipped")


def test_apply_does_exactly_what_was_approved_and_again_nothing(repository: Repository, api: Api) -> None:
    repository.commit(MORE, "change")
    repository.merge()
    plan = planned(repository)
    assert api.writes() == []
    repository.commit(GROWN)  # somebody else's change, merged while the plan waits for its approval
    api.sandbox.create_backfill(TEAM, 2, "2024-04-01", "2024-04-05")
    api.sandbox.advance(86400)
    refused = apply(repository, plan, more="--strict", wanted="failure")
    assert refused.done[-1].code == 6
    assert "2024-06-04" in refused.told
    assert api.made(1) == []
    applied = apply(repository, plan)
    assert api.made() == sorted([ADS, WEB, NEW])
    assert "2024-06-04" in applied.told
    assert "not in the approved plan" in applied.told
    again = apply(repository, plan)
    assert "Apply complete: 0 created, 0 retried, 0 cancelled" in again.told
    assert api.made() == sorted([ADS, WEB, NEW])
    last = planned(repository)
    assert "1 to create (1 days)" in last.summary


@pytest.mark.proof
def test_an_apply_that_was_killed_is_finished_by_the_same_job(repository: Repository, api: Api) -> None:
    plan = planned(repository)
    killed = apply(repository, plan, wanted="failure", more="--parallelism=1", KILLED="1")
    assert killed.done[-1].code == -9
    assert len(api.made()) == 1
    apply(repository, plan)
    assert api.made() == sorted([ADS, WEB])
    done = repository.job("apply.yml", "plan", PUSH)
    assert done.outputs == {"has_changes": "false"}
    apply(repository, done, wanted="skipped")


@pytest.mark.proof
def test_the_night_does_what_is_left_and_looks_whether_all_is_well(repository: Repository, api: Api) -> None:
    repository.job("nightly.yml", "nightly", PUSH)
    assert api.made() == sorted([ADS, WEB])


def test_a_plan_that_a_commit_brought_along_is_none_of_ours(repository: Repository) -> None:
    repository.commit("version: 9\n", "change", plan_json="{}", plan_md="@all")
    plan = repository.job("review.yml", "plan", pull(), wanted="failure")
    assert len(plan.done) == 3, "nothing is told of it, and nothing posted"
    assert plan.summary == ""


def test_what_the_action_is_given_is_no_shell_text(repository: Repository) -> None:
    hostile = 'a b$(touch pwned)`touch pwned`"; touch pwned; "*'
    ran = repository.action(command="validate", config=f"{hostile}\nother", args="--color\nnever")
    assert ran.done[-1].code == 1
    assert "a b$(touch pwned)`touch pwned`" in ran.told
    assert not list(repository.root.rglob("pwned"))


def test_expressions() -> None:
    context = {"github": {"event_name": "push", "event": {"a": "x"}}, "cancelled": False}
    assert evaluate("github.event_name == 'push' && (github.event.b == '' || 'no')", context)
    assert evaluate("!cancelled() && github.event.a != ''", context)
