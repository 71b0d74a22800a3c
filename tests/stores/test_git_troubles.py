"""The Git store when the host refuses, fails, falls silent or dies, and when people push: on each server."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract import API, OPENED, TEAM, Place, adds, holder, nonces_at, opened, written
from git_http import FETCH_REFS, PUSH, PUSH_REFS
from git_rig import BRANCH, FILE, LAST, LOCK, place_in
from git_servers import SERVERS, Remote, environment, git

from reconciler.errors import (
    StateConflict,
    StateDamaged,
    StateError,
    StateForeign,
    StateLocked,
    StateNewer,
    StateOldCopy,
    StateRefused,
    StateUnwritable,
)
from reconciler.formats.statefile import encode_document
from reconciler.stores import gitbranch, gitlock
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.git import GitStore

HEADS = "refs/heads/*"


@pytest.fixture
def place(remote: Remote, tmp_path: Path) -> Place:
    return place_in(remote, tmp_path)


@pytest.fixture
def by_path(tmp_path: Path, away_from_home: None) -> Iterator[Remote]:
    with SERVERS["path"](tmp_path / "served" / "team.git") as remote:
        yield remote


@pytest.fixture
def by_http(tmp_path: Path, away_from_home: None) -> Iterator[Remote]:
    with SERVERS["http"](tmp_path / "served" / "team.git") as remote:
        yield remote


def commits_at(remote: Remote) -> int:
    return (
        int(git(remote.bare, "rev-list", "--count", BRANCH)) if f"refs/heads/{BRANCH}" in remote.refs() else 0
    )


def unslept(_seconds: float) -> None:
    """Wait for nothing."""


def run_of(place: Place, *nonces: str) -> Revision:
    """Commit as a run does, to its end."""
    store = opened(place, sleep=unslept)
    with store.lock(holder(), 0):
        revision = store.read()[1]
        for nonce in nonces:
            revision = store.commit(adds(nonce), revision)
        store.finish()
    return revision


# --- the host refuses --------------------------------------------------------------------


def test_a_branch_that_a_hook_refuses_ends_the_first_commit(remote: Remote, place: Place) -> None:
    remote.refuse(HEADS, "protected: ask the platform team")
    store = opened(place)
    assert store.read() == (None, NEVER_WRITTEN)
    with pytest.raises(StateRefused, match="may not be written") as caught:
        store.commit(adds("a"), NEVER_WRITTEN)
    assert caught.value.exit_status == 6
    assert "ask the platform team" in caught.value.detail
    assert "permission" in caught.value.hint
    assert commits_at(remote) == 0
    with pytest.raises(StateUnwritable):
        store.commit(adds("a"), NEVER_WRITTEN)
    remote.refuse("")
    written(place, "a")


def test_a_host_that_takes_no_refs_but_branches_works_without_the_lock(remote: Remote, place: Place) -> None:
    remote.refuse("refs/[!h]*", "only branches here")
    store = opened(place)
    with pytest.raises(StateRefused, match="cannot be locked") as caught, store.lock(holder(), 0):
        pass
    assert "only branches here" in caught.value.detail
    assert "--no-lock" in caught.value.hint
    store.commit(adds("a"), NEVER_WRITTEN)
    store.finish()
    assert nonces_at(place) == {"a"}


def test_a_key_that_may_only_read_reads(by_http: Remote, tmp_path: Path) -> None:
    place = place_in(by_http, tmp_path)
    revision = written(place, "a")
    assert by_http.http is not None
    by_http.http.read_only = True
    assert opened(place).read()[1] == revision
    for act in (lambda: opened(place).commit(adds("b"), revision), lambda: run_of(place, "b")):
        with pytest.raises(StateRefused) as caught:
            act()
        assert "contents: write" in caught.value.hint
        assert caught.value.exit_status == 6
    assert opened(place).read()[1] == revision


def test_a_host_that_wants_another_key_is_told_so_and_nobody_is_asked(
    by_http: Remote, tmp_path: Path
) -> None:
    place = place_in(by_http, tmp_path)
    assert by_http.http is not None
    by_http.http.wants = "Basic b3RoZXI="
    with pytest.raises(StateError, match="cannot be read") as caught:
        opened(place).read()
    assert "the right to fetch" in caught.value.hint


# --- the host dies -----------------------------------------------------------------------


@pytest.mark.parametrize("landed", [False, True], ids=["before it lands", "after it landed"])
def test_a_server_that_dies_amid_a_push_does_no_harm(remote: Remote, place: Place, landed: bool) -> None:
    revision = written(place, "a")
    (remote.die_after if landed else remote.die_before)(HEADS)
    store = opened(place, sleep=unslept)
    second = store.commit(adds("b"), revision)
    assert not remote.is_asked("die-after")
    assert not remote.is_asked("die-before")
    assert opened(place).read()[1] == second
    assert store.commit(adds("c"), second).serial == 3
    assert (nonces_at(place), commits_at(remote)) == ({"a", "b", "c"}, 3)


@pytest.mark.parametrize("landed", [False, True], ids=["before it lands", "after it landed"])
def test_a_server_that_dies_amid_a_push_of_the_lock(remote: Remote, place: Place, landed: bool) -> None:
    (remote.die_after if landed else remote.die_before)("refs/reconciler/*")
    store = opened(place, sleep=unslept)
    with store.lock(holder(), 60):
        assert store.holds_lock()
        with pytest.raises(StateLocked), opened(place).lock(holder(), 0):
            pass
    assert LOCK not in remote.refs()


def test_a_commit_whose_server_is_gone_is_unwritable(tmp_path: Path, away_from_home: None) -> None:
    for serve in ("http", "daemon"):
        with SERVERS[serve](tmp_path / serve / "team.git") as remote:
            place = place_in(remote, tmp_path / serve)
            revision = written(place, "a")
            pauses: list[float] = []
            store = opened(place, sleep=pauses.append)
            assert store.read()[1] == revision
            remote.stop()
            with pytest.raises(StateUnwritable, match="could not be written") as caught:
                store.commit(adds("b"), revision)
            assert "can be reached" in caught.value.hint
            assert 1 < sum(pauses) < 60
            with pytest.raises(StateUnwritable, match="could not be written"):
                store.commit(adds("b"), revision)
            with pytest.raises(StateError, match="cannot be read"):
                opened(place, sleep=unslept).read()
            assert commits_at(remote) == 1


FAULTS = [
    (PUSH_REFS, 502),
    (PUSH, "lost"),
    *(pytest.param(PUSH, one, marks=pytest.mark.proof) for one in (500, 502, "cut", "unsaid")),
]


@pytest.mark.parametrize("kind, fault", FAULTS)
def test_a_push_that_http_fails_once_is_settled(
    by_http: Remote, tmp_path: Path, kind: str, fault: int | str
) -> None:
    place = place_in(by_http, tmp_path)
    revision = written(place, "a")
    assert by_http.http is not None
    by_http.http.meet(kind, fault)
    second = opened(place, sleep=unslept).commit(adds("b"), revision)
    assert by_http.http.met == [f"{kind}:{fault}"]
    assert (opened(place).read()[1], second.serial, commits_at(by_http)) == (second, 2, 2)


@pytest.mark.proof
def test_a_server_that_falls_silent_is_given_up(
    by_http: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setattr(gitbranch, "_PAUSES", (0.0, 0.0))
    place = place_in(by_http, tmp_path)
    revision = written(place, "a")
    assert by_http.http is not None
    by_http.http.meet(PUSH, "hang")
    assert opened(place, sleep=unslept).commit(adds("b"), revision).serial == 2
    by_http.http.meet(FETCH_REFS, "hang")
    assert opened(place, sleep=unslept).read()[1].serial == 2  # looked at again
    by_http.http.meet(FETCH_REFS, "hang", "hang", "hang")
    with pytest.raises(StateError, match="cannot be read"):
        opened(place, sleep=unslept).read()


def test_a_slow_server_is_only_slow(by_http: Remote, tmp_path: Path) -> None:
    place = place_in(by_http, tmp_path)
    assert by_http.http is not None
    by_http.http.delay = 0.1
    run_of(place, "a", "b")
    assert nonces_at(place) == {"a", "b"}
    assert by_http.http.most_pushes_at_once == 1


# --- answers that are lost ----------------------------------------------------------------


class Lost:
    """Loses the answers to the pushes numbered ``which``; ``act`` happens just before."""

    def __init__(self, *which: int, act: Callable[[], object] = lambda: None) -> None:
        self.which, self.heard, self.act = which, 0, act

    def __call__(self) -> None:
        self.heard += 1
        if self.heard in self.which:
            self.act()
            raise OSError("the answer is lost")


def lossy(heard: Callable[[], None]) -> GitStore:
    store = GitStore("origin", "reconciler-state", ".", TEAM, API, "w", sleep=unslept, heard=heard)
    OPENED.append(store)
    return store


def test_lost_answers_are_no_conflicts(remote: Remote, place: Place) -> None:
    store = lossy(Lost(1, 3, 4))
    revision = NEVER_WRITTEN
    for name in "abcd":
        revision = store.commit(adds(name), revision)
    assert opened(place).read()[1] == revision
    assert (nonces_at(place), commits_at(remote)) == ({*"abcd"}, 4)


def test_a_lost_answer_behind_which_another_run_commits(remote: Remote, place: Place) -> None:
    written(place, "a")
    store = lossy(Lost(1, act=lambda: written(place, "other")))
    second = store.commit(adds("x"), store.read()[1])
    assert second.serial == 2
    assert nonces_at(place) == {"a", "x", "other"}
    with pytest.raises(StateConflict):
        store.commit(adds("y"), second)
    assert nonces_at(place) == {"a", "x", "other"}


# --- the lease ---------------------------------------------------------------------------


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlock, "LEASE", 3.0)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_lease_is_renewed_also_when_an_answer_is_lost(
    remote: Remote, place: Place, short_lease: None
) -> None:
    store = opened(place)
    with store.lock(holder(), 0):
        taken = remote.refs()[LOCK]
        remote.die_after("refs/reconciler/*")
        until(lambda: not remote.is_asked("die-after"))
        unheard = remote.refs()[LOCK]
        assert unheard != taken
        until(lambda: remote.refs()[LOCK] != unheard)
        assert store.holds_lock()
    assert LOCK not in remote.refs()


def test_a_lock_that_a_person_freed_is_noticed(remote: Remote, place: Place, short_lease: None) -> None:
    store, info = opened(place), holder()
    with store.lock(info, 0):
        with pytest.raises(StateLocked):
            opened(place).unlock()
        with pytest.raises(StateLocked):
            opened(place).unlock("another")
        assert opened(place).unlock(info.id) == info
        with opened(place).lock(holder(), 0):
            until(lambda: not store.holds_lock())
    assert LOCK not in remote.refs()


# --- what people push --------------------------------------------------------------------

DAMAGED: dict[str, dict[str, str]] = {
    "no JSON": {FILE: "{"},
    "nothing": {FILE: ""},
    "another document": {FILE: "[]"},
    "a file more": {FILE: "{}", "README.md": "x"},
    "another name": {"team-6.json": "{}"},
}


@pytest.mark.parametrize("files", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_refused_and_not_overwritten(
    by_path: Remote, tmp_path: Path, files: dict[str, str]
) -> None:
    place = place_in(by_path, tmp_path)
    revision = written(place, "a", "b")
    bad = by_path.commit(BRANCH, files)
    with pytest.raises(StateDamaged) as caught:
        opened(place).read()
    for expected in (revision, NEVER_WRITTEN):
        with pytest.raises(StateDamaged):
            opened(place).commit(adds("c"), expected)
    assert by_path.refs()[f"refs/heads/{BRANCH}"] == bad
    told_commands(caught.value)
    assert opened(place).read()[1] == revision


def told_commands(error: StateError, those: str = "") -> None:
    """Run what a hint says, in the clone: the lines, or ``those`` that begin so."""
    for line in error.hint.splitlines()[1:]:
        if not line.strip().startswith(those):
            continue
        subprocess.run(line.strip(), shell=True, check=True, capture_output=True, env=environment())


def test_what_is_newer_or_of_others_is_refused(by_path: Remote, tmp_path: Path) -> None:
    place = place_in(by_path, tmp_path)
    written(place, "a")
    text = by_path.files(BRANCH)[FILE]
    for old, new, error in (
        ('"version": 1', '"version": 2', StateNewer),
        ('"team_id": 5', '"team_id": 6', StateForeign),
        (API, "https://else.example", StateForeign),
    ):
        assert old in text
        by_path.commit(BRANCH, {FILE: text.replace(old, new)})
        with pytest.raises(error):
            opened(place).read()
        with pytest.raises(error):
            opened(place).commit(adds("c"), NEVER_WRITTEN)


def test_a_branch_that_was_forced_back_is_an_old_copy(remote: Remote, place: Place) -> None:
    run_of(place, "a", "b")
    newest = run_of(place, "c")
    newer = remote.go_back(BRANCH)
    with pytest.raises(StateOldCopy, match="older copy") as caught:
        opened(place).read()
    assert caught.value.exit_status == 6
    with pytest.raises(StateOldCopy):
        opened(place).commit(adds("d"), newest)
    revision = opened(place).accept_old_copy()
    document, there = opened(place).read()
    assert document is not None
    assert (there, revision.serial, document.old_copy) == (revision, 4, True)
    assert set(document.intents) == {"a", "b"}
    remote.put(BRANCH, newer)
    with pytest.raises(StateOldCopy):
        opened(place).read()


def test_a_branch_of_another_lineage_in_the_place_of_ours_is_refused(remote: Remote, place: Place) -> None:
    newest = run_of(place, "a", "b")
    ours, kept = remote.refs()[f"refs/heads/{BRANCH}"], remote.refs()[LAST]
    document, _ = opened(place).read()
    assert document is not None
    other = replace(document, lineage="other", intents={})
    remote.commit(BRANCH, {FILE: encode_document(other)})
    with pytest.raises(StateForeign, match="replaced") as caught:
        opened(place).read()
    told_commands(caught.value, "git ")  # which put ours back
    assert (opened(place).read()[1], remote.refs()[f"refs/heads/{BRANCH}"]) == (newest, ours)
    remote.commit(BRANCH, {FILE: encode_document(other)})
    with pytest.raises(StateForeign):
        opened(place).commit(adds("c"), newest)
    assert remote.refs()[LAST] == kept
    opened(place).push(other, another_lineage=True)
    run_of(place, "c")
    assert nonces_at(place) == {"c"}


def test_a_branch_that_was_deleted_is_an_old_copy_and_comes_back(remote: Remote, place: Place) -> None:
    run_of(place, "a", "b")
    remote.delete(BRANCH)
    with pytest.raises(StateOldCopy, match="gone") as caught:
        opened(place).read()
    told_commands(caught.value)
    assert nonces_at(place) == {"a", "b"}
    remote.delete(BRANCH)
    assert opened(place).accept_old_copy().serial == 3


def test_a_run_that_was_killed_leaves_a_branch_that_is_newer(remote: Remote, place: Place) -> None:
    run_of(place, "a")
    written(place, "b")
    assert remote.refs()[LAST] != remote.refs()[f"refs/heads/{BRANCH}"]
    assert nonces_at(place) == {"a", "b"}


def test_what_people_do_amid_a_run_stops_it(remote: Remote, place: Place) -> None:
    revision = written(place, "a", "b")
    store = opened(place, sleep=unslept)
    assert store.read()[1] == revision
    newer = remote.go_back(BRANCH)
    with pytest.raises(StateConflict):
        store.commit(adds("c"), revision)
    remote.put(BRANCH, newer)
    store = opened(place, sleep=unslept)
    assert store.read()[1] == revision
    remote.delete(BRANCH)
    with pytest.raises(StateDamaged, match="gone"):
        store.commit(adds("c"), revision)
    assert f"refs/heads/{BRANCH}" not in remote.refs()


def test_a_team_s_history_says_who_did_what(remote: Remote, place: Place) -> None:
    run_of(place, "a", "b")
    subjects = git(remote.bare, "log", "--format=%s", BRANCH).splitlines()
    assert len(subjects) == 2
    assert all(one.startswith(f"team {TEAM}: ") and one.endswith("[skip ci]") for one in subjects)
    assert remote.refs()[LAST] == remote.refs()[f"refs/heads/{BRANCH}"]
    assert LOCK not in remote.refs()
