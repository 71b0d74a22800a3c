"""The commands that look after the state, over each place it may lie at, in this process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_rig import FILE, TEAM, Done, checked

from reconciler.cli.main import run as run_command
from reconciler.model.deltas import Delta
from reconciler.model.memory import Acceptance
from reconciler.stores import gitbranch
from reconciler.stores.base import StateStore, this_process
from reconciler.stores.urls import open_store

PLACES = ["state", "git:origin"]
OTHER = 99999
Run = Callable[..., Done]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a checkout with a file of two transfers, whose remote is a bare repository."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("CI", "RECONCILER_STATE", "RECONCILER_API_URL"):
        monkeypatch.delenv(name, raising=False)
    checkout = tmp_path / "checkout"
    git("init", "-q", "--bare", str(tmp_path / "remote.git"))
    git("init", "-q", str(checkout))
    monkeypatch.chdir(checkout)
    git("remote", "add", "origin", str(tmp_path / "remote.git"))
    (checkout / "backfills.yaml").write_text(FILE)
    return checkout


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of the state; with ``code``, its exit status must be that."""

    def run(*arguments: str, code: int = 0) -> Done:
        api = [] if arguments[1] == "check" else ["--api", "sandbox"]
        status = run_command([*arguments, *api])
        said = capsys.readouterr()
        done = checked(Done(status, said.out, said.err))
        assert done.code == code, done
        return done

    return run


def opened(place: str, team: int = TEAM) -> StateStore:
    return open_store(place, team, "sandbox", "test")


def begun(place: str, team: int = TEAM) -> StateStore:
    """Return a store in which a run has ended with serial 1."""
    store = opened(place, team)
    with store.lock(this_process("apply", datetime.now(UTC)), 0):
        store.commit(Delta(acceptances=(Acceptance(1, 7, 0),)), store.read()[1])
        store.finish()
    return store


def two_teams(here: Path) -> None:
    (here / "backfills").mkdir()
    (here / "backfills.yaml").rename(here / "backfills" / "one.yaml")
    (here / "backfills" / "two.yaml").write_text(FILE.replace(str(TEAM), str(OTHER)))


def damage(place: str, here: Path) -> None:
    """Damage the state of team 12345 where a run would find it."""
    if place == "state":
        (here / "state" / f"team-{TEAM}.db").write_bytes(b"no database" * 500)
        return
    branch = f"reconciler-state/team-{TEAM}"
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], input="{", capture_output=True, text=True, check=True
    ).stdout.strip()
    tree = subprocess.run(
        ["git", "mktree"],
        input=f"100644 blob {blob}\tteam-{TEAM}.json\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    person = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    commit = git(*person, "commit-tree", tree, "-m", "by hand").strip()
    git("push", "-q", "--force", "origin", f"{commit}:refs/heads/{branch}")


@pytest.mark.parametrize("place", PLACES)
def test_show_tells_all_but_the_records(place: str, run: Run) -> None:
    state = ("--state", place)
    assert "none yet" in run("state", "show", *state).out
    store = begun(place)
    document, revision = store.read()
    assert document is not None
    told = run("state", "show", *state).out
    where = f"state/team-{TEAM}.db" if place == "state" else f"git:origin#reconciler-state/team-{TEAM}"
    for text in (
        where,
        document.lineage,
        "serial 1",
        revision.token,
        "1, written by test",
        "lock        free",
    ):
        assert text in told
    (shown,) = run("state", "show", str(TEAM), "--json", *state).json["teams"]
    assert (shown["lineage"], shown["serial"], shown["newest_commit"]) == (
        document.lineage,
        1,
        revision.token,
    )
    assert (shown["committed"]["serial"], shown["lock"], shown["old_copy"]) == (1, None, False)
    with store.lock(this_process("apply", datetime.now(UTC)), 0):
        assert "apply by" in run("state", "show", *state).out
        lock = run("state", "show", "--json", *state).json["teams"][0]["lock"]
        assert (lock["operation"], lock["pid"]) == ("apply", os.getpid())
        assert (lock["until"] is not None) == (place != "state")


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_state_hides_no_other(place: str, run: Run, here: Path) -> None:
    two_teams(here)
    for team in (TEAM, OTHER):
        begun(place, team)
    damage(place, here)
    state = ("--state", place)
    listed = run("state", "list", *state, code=1).out.splitlines()
    assert f"Team {TEAM}: The state is damaged." in listed[0]
    assert f"Team {OTHER}: " in listed[1]
    assert "serial 1" in listed[1]
    rows = run("state", "list", "--json", *state, code=1).json["teams"]
    assert [("diagnostics" in row, row["serial"]) for row in rows] == [(True, 0), (False, 1)]
    assert all(row["where"] for row in rows)
    verified = run("state", "verify", *state, code=1)
    assert f"Team {OTHER}: ok, serial 1." in verified.out
    assert "damaged" in verified.err
    shown = run("state", "show", *state, code=1)
    assert f"Team {OTHER}" in shown.out
    assert f"Team {TEAM}: error[state-damaged]" in shown.told
    assert len(run("state", "show", "--json", *state, code=1).json["teams"]) == 2


@pytest.mark.parametrize("place", PLACES)
def test_the_worst_status_of_all_teams_wins(place: str, run: Run, here: Path) -> None:
    two_teams(here)
    begun(place, TEAM)
    begun(place, OTHER)
    damage(place, here)
    opened(place, OTHER).retire(opened(place, OTHER).read()[1], "elsewhere")
    assert "its move to elsewhere is under way" in run("state", "list", "--state", place, code=1).out


@pytest.mark.parametrize("way", [("state", "git:origin"), ("git:origin", "kept"), ("state", "kept")])
def test_migrate_moves_and_the_old_place_says_where_to(way: tuple[str, str], run: Run) -> None:
    begun(way[0])
    run("state", "migrate", *way, code=64)  # nobody can be asked
    done = run("state", "migrate", *way, "--auto-approve")
    assert f"reconciler plan --state {way[1]} --api sandbox" in done.out
    assert "serial 2" in run("state", "list", "--state", way[1]).out
    refused = run("plan", "--state", way[0], code=6)
    assert "The state was moved" in refused.told
    assert way[1] in refused.err
    run("state", "migrate", *way, "--auto-approve")
    assert "serial 2" in run("state", "list", "--state", way[1]).out


def test_migrate_goes_on_with_the_other_teams(run: Run, here: Path) -> None:
    two_teams(here)
    begun("state", OTHER)
    done = run("state", "migrate", "state", "git:origin", "--auto-approve", code=6)
    assert f"Team {TEAM}: error[refused]: There is no state to move" in done.told
    assert f"Team {OTHER}: its state is at git:origin#reconciler-state/team-{OTHER} now" in done.out
    assert not (here / "state" / f"team-{TEAM}.lock").exists()


def test_a_move_waits_for_no_run_and_disturbs_none(run: Run) -> None:
    store = begun("git:origin")
    with store.lock(this_process("apply", datetime.now(UTC)), 0):
        done = run("state", "migrate", "git:origin", "kept", "--auto-approve", code=5)
        assert "running `apply`" in done.told
    assert "serial 1" in run("state", "list", "--state", "git:origin").out


WRONG = {
    "default git:origin": "is the name of a folder that is not here",
    "state git": "is the name of a folder that is not here",
    "state redis://x": "Unknown kind of state URL",
    "state git@github.com:org/repo.git": "address of a Git repository",
    "state git:origin#a..b": "cannot be the beginning of a branch's name",
    "state git:nowhere": "remote does not exist",
    "state s3://bucket": "does not have that store",
    "state ./state": "same place",
    "state": "needs TO",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_place_that_is_none_is_told(words: str, run: Run, here: Path) -> None:
    begun("state")
    before = sorted(here.iterdir())
    assert WRONG[words] in run("state", "migrate", *words.split(), "--auto-approve", code=64).err
    assert (sorted(here.iterdir()), run("state", "list").code) == (before, 0)


@pytest.mark.parametrize("place", ["state", pytest.param("git:origin", marks=pytest.mark.proof)])
def test_check_needs_no_files(place: str, run: Run, here: Path) -> None:
    (here / "backfills.yaml").unlink()
    done = run("state", "check", place)
    assert done.out.endswith("0 of 8 checks not ok.\n")
    told = run("state", "check", place, "--json").json
    assert {one["ok"] for one in told["checks"]} == {True}
    assert [path.name for path in here.iterdir()] == [".git"]


@pytest.mark.proof
def test_check_says_what_a_host_does_not_permit(run: Run, tmp_path: Path) -> None:
    hook = tmp_path / "remote.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/*) exit 0;; esac; echo "branches only"; exit 1\n')
    hook.chmod(0o755)
    done = run("state", "check", "git:origin", code=6)
    assert "branches only" in done.out
    assert "--no-lock" in done.out
    assert run("state", "check", "git:origin", "--no-lock").code == 0
    assert "! " in run("state", "check", "git:/nowhere/at/all.git", code=6).out


@pytest.mark.parametrize("place", PLACES)
def test_unlock_frees_what_a_dead_run_left(place: str, run: Run, here: Path) -> None:
    state = ("--state", place)
    assert "was not locked" in run("state", "unlock", *state).out
    store = begun(place)
    lock = store.lock(info := this_process("apply", datetime.now(UTC)), 0)
    lock.__enter__()
    assert f"lock id {info.id}" in run("state", "unlock", *state, code=5).told
    run("state", "unlock", "another-id", *state, code=5)
    if place == "state":
        run("state", "unlock", info.id, *state, code=5)  # it lives, the kernel says
    else:
        assert "freed; it was held by" in run("state", "unlock", info.id, *state).out
        assert not store.holds_lock() or store.holder() is None
    lock.__exit__(None, None, None)
    assert run("state", "unlock", "--json", *state).json == {"teams": [{"team_id": TEAM, "freed": False}]}


def test_an_id_frees_the_lock_of_the_one_team_that_has_it(run: Run, here: Path) -> None:
    two_teams(here)
    stores = [begun("git:origin", team) for team in (TEAM, OTHER)]
    infos = [this_process("apply", datetime.now(UTC)) for _store in stores]
    locks = [store.lock(info, 0) for store, info in zip(stores, infos, strict=True)]
    for lock in locks:
        lock.__enter__()
    done = run("state", "unlock", infos[1].id, "--json", "--state", "git:origin")
    assert done.json == {"teams": [{"team_id": OTHER, "freed": True}]}
    for lock in locks:
        lock.__exit__(None, None, None)


@pytest.mark.parametrize("place", PLACES)
def test_whole_states_go_in_and_out(place: str, run: Run, here: Path) -> None:
    state = ("--state", place)
    begun(place)
    text = run("state", "pull", *state).out
    Path("pulled.json").write_text(text)
    assert "serial 2" in run("state", "push", "pulled.json", "--auto-approve", *state).out
    assert (
        "older than the state" in run("state", "push", "pulled.json", "--auto-approve", *state, code=6).told
    )
    done = run("state", "rm", "--auto-approve", *state)
    kept = f"as {here}/state/team-{TEAM}.db.backup" if place == "state" else "in the history of git:origin"
    assert f"it is kept {kept}" in done.out
    assert "there was no state" in run("state", "rm", "--auto-approve", *state).out
    assert "no state yet" in run("state", "list", *state).out


@pytest.mark.parametrize("place", PLACES)
def test_a_state_whose_new_place_is_gone_for_good_comes_back(place: str, run: Run) -> None:
    """Its move began, and can never end: what is pulled there is put back by hand."""
    state = ("--state", place)
    store = begun(place)
    store.retire(store.read()[1], "git:gone")
    assert "being moved" in run("plan", *state, code=6).told
    Path("saved.json").write_text(run("state", "pull", *state).out)
    assert "being moved" in run("state", "push", "saved.json", "--auto-approve", *state, code=6).told
    run("state", "rm", "--auto-approve", *state)
    run("state", "push", "saved.json", "--auto-approve", *state)
    assert f"Team {TEAM}" in run("state", "show", *state).out


def test_what_a_person_wrote_into_the_state_steers_no_terminal(run: Run) -> None:
    begun("git:origin")
    branch, file = f"reconciler-state/team-{TEAM}", f"team-{TEAM}.json"
    document = json.loads(git("-C", "../remote.git", "show", f"{branch}:{file}"))
    hostile = "\x1b[2J\n::error::pwned\n##vso[task.x]"
    changed = json.dumps(document | {"lineage": hostile, "written_by": hostile, "commits": [hostile]})
    git("clone", "-q", "-b", branch, "../remote.git", "../edited")
    Path("../edited", file).write_text(changed)
    git("-C", "../edited", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "by hand")
    git("-C", "../edited", "push", "-q")
    git("-C", "../remote.git", "update-ref", "-d", f"refs/reconciler/{branch}/last")
    for command in ("show", "list"):
        told = run("state", command, "--state", "git:origin").out
        assert "pwned" in told
        assert "\x1b" not in told
        assert not any(line.startswith(("::", "##")) for line in told.splitlines())


def test_doctor_says_where_and_until_when(run: Run) -> None:
    store = begun("git:origin")
    url = "git:origin#reconciler-state"
    with store.lock(info := this_process("apply", datetime.now(UTC)), 0):
        told = checks(run("doctor", "--json", "--state", "git:origin", code=5))
        assert told["state"]["told"].startswith(f"{url}/team-{TEAM}: serial 1")
        assert "until" in told["lock"]["told"]
        assert f"state unlock {info.id}" in told["lock"]["cure"]
    assert checks(run("doctor", "--json", "--state", "git:origin"))["lock"]["told"] == "free"


def checks(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = {one["about"]: one for one in json.loads(done.out)["checks"]}
    return found


def test_outside_of_a_checkout_it_says_so(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = here.parent / "outside"
    outside.mkdir()
    (here / "backfills.yaml").rename(outside / "backfills.yaml")
    monkeypatch.chdir(outside)
    for command in (("plan",), ("state", "list"), ("state", "show"), ("apply", "--auto-approve")):
        done = run(*command, "--state", "git:origin", code=64)
        assert "not in a Git repository" in done.told + done.out
    assert "is not in a Git repository" in run("state", "check", "git:origin", code=64).told


def test_a_move_shows_no_password(run: Run, tmp_path: Path) -> None:
    url = "https://ann:hunter2@h.invalid/x.git"
    git("config", f"url.{tmp_path}/remote.git.insteadOf", url)
    begun("state")
    done = run("state", "migrate", "state", f"git:{url}", code=64)
    assert "hunter2" not in done.out + done.err
    done = run("state", "migrate", "state", f"git:{url}", "--auto-approve")
    assert "hunter2" not in done.out + done.err
    assert "--state 'git:https://***@h.invalid/x.git'" in done.out
    refused = run("plan", "--state", "state", code=6)
    assert "hunter2" not in refused.out + refused.err


def test_a_url_shows_no_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitbranch, "_PAUSES", (0.0, 0.0))
    done = run("plan", "--state", "git:https://ann:hunter2@127.0.0.1:9/x.git", code=1)
    assert "hunter2" not in done.out + done.err
    assert "***@127.0.0.1" in done.out + done.err
