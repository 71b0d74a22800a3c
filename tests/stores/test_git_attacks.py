"""What a person, a host or another run may do to the branch of a state, found by attacking it."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from contract import API, TEAM, WRITER, Place, adds, holder, no_sleep, nonces_at, opened, written
from git_rig import BRANCH, FILE, LAST, LOCK, place_in
from git_servers import SERVERS, Remote, git
from test_git_troubles import run_of, unslept

from reconciler.errors import (
    StateConflict,
    StateDamaged,
    StateError,
    StateForeign,
    StateLocked,
    StateMoved,
    StateOldCopy,
    StateRefused,
)
from reconciler.stores import gitbranch
from reconciler.stores.base import NEVER_WRITTEN
from reconciler.stores.gitconfig import quiet, settings
from reconciler.stores.urls import open_store

AS_ANN = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
STATE = f"refs/heads/{BRANCH}"


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with SERVERS["path"](tmp_path / "served" / "team.git") as served:
        yield served


@pytest.fixture
def place(remote: Remote, tmp_path: Path) -> Place:
    return place_in(remote, tmp_path)


def test_a_retired_place_refuses_every_commit_not_just_the_first(remote: Remote, place: Place) -> None:
    revision = written(place, "a")
    ours = opened(place)
    ours.read()
    opened(place).retire(revision, "/elsewhere")
    for nonce in ("b", "c"):
        with pytest.raises(StateMoved):
            ours.commit(adds(nonce), revision)
    with pytest.raises(StateMoved):
        ours.read()
    with pytest.raises(StateMoved):
        ours.commit(adds("d"), revision)


def test_a_move_that_loses_the_race_leaves_no_word_of_it(
    remote: Remote, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = written(place, "a")
    mover = opened(place)
    mover.read()
    look = mover._branch.look  # type: ignore[attr-defined]

    def overtaken() -> object:
        known = look()
        opened(place).commit(adds("b"), revision)
        return known

    monkeypatch.setattr(mover._branch, "look", overtaken)  # type: ignore[attr-defined]
    before = remote.refs().get(LAST)
    with pytest.raises(StateConflict):
        mover.retire(revision, "/elsewhere")
    assert remote.refs().get(LAST) == before
    assert nonces_at(place) == {"a", "b"}


def test_a_run_that_ends_after_another_moves_last_on(remote: Remote, place: Place) -> None:
    revision = written(place, "a")
    ours, theirs = opened(place, sleep=unslept), opened(place, sleep=unslept)
    with ours.lock(holder(), 0):
        ours.read()
        theirs.unlock(remote_lock(remote))
        with theirs.lock(holder(), 0):  # its `last` is what ours has seen
            theirs.commit(adds("t"), revision)
            theirs.finish()
        before = remote.refs()[LAST]
        ours.commit(adds("o"), ours.read()[1])
        stale = ours._branch.known  # type: ignore[attr-defined]
        assert stale.last == before
        later = opened(place)
        later.commit(adds("l"), later.read()[1])
        later._branch.move_last_on(remote.refs()[STATE])  # type: ignore[attr-defined]
        ours.finish()
    assert remote.refs()[LAST] == remote.refs()[STATE]


def remote_lock(remote: Remote) -> str:
    return str(json.loads(remote.files(LOCK)["lock.json"].splitlines()[0])["id"])


@pytest.mark.parametrize("words", ["blocked by a policy of this host", "the lockfile rule"])
def test_a_refusal_is_told_at_once_whatever_its_words(remote: Remote, place: Place, words: str) -> None:
    revision = written(place, "a")
    remote.refuse("refs/heads/*", words)
    with pytest.raises(StateRefused, match="may not be written") as caught:
        opened(place).commit(adds("b"), revision)  # and waits for nothing
    assert words in caught.value.detail


@pytest.mark.parametrize(("passes", "asked"), [(0.0, 4), (300.0, 1)])
def test_a_host_that_takes_long_is_asked_less_often(
    remote: Remote, place: Place, monkeypatch: pytest.MonkeyPatch, passes: float, asked: int
) -> None:
    revision, now = written(place, "a"), count(0.0, passes)
    remote.refuse("refs/heads/*", "cannot lock ref")  # as another push holds it: once more helps
    monkeypatch.setattr(gitbranch, "uptime", lambda: next(now))
    pauses: list[float] = []
    with pytest.raises(StateRefused):
        opened(place, pauses.append).commit(adds("b"), revision)
    assert len(pauses) == asked - (asked == 1)


def test_a_hook_that_refuses_all_for_one_ref_keeps_no_lock(remote: Remote, place: Place) -> None:
    store = opened(place)
    with store.lock(holder(), 0):
        store.commit(adds("a"), NEVER_WRITTEN)
        store.commit(adds("b"), store.read()[1])
        store.finish()
        remote.refuse(LAST)
    assert LOCK not in remote.refs()


def test_a_branch_that_is_in_the_way(remote: Remote, place: Place) -> None:
    remote.commit("taken", {"x": "y"})
    with pytest.raises(StateRefused) as caught:
        open_store("git:origin#taken", TEAM, API, WRITER, sleep=no_sleep).commit(adds("a"), NEVER_WRITTEN)
    assert "another prefix" in caught.value.hint


@pytest.mark.parametrize("content", ["garbage", "{}", '{"lineage": "x", "serial": 1}'])
def test_where_it_went_cannot_be_read(remote: Remote, place: Place, content: str) -> None:
    written(place, "a")
    remote.commit(BRANCH, {**remote.files(STATE), "moved.json": content})
    with pytest.raises(StateDamaged):
        opened(place).read()
    remote.commit(BRANCH, {"moved.json": content})
    with pytest.raises(StateDamaged):
        opened(place).read()


def test_names_on_the_branch_steer_no_terminal(remote: Remote, place: Place) -> None:
    written(place, "a")
    remote.commit(BRANCH, {**remote.files(STATE), "a\x1b[31m": "x"})
    with pytest.raises(StateDamaged) as caught:
        opened(place).read()
    assert caught.value.detail.isprintable()


def test_a_lock_that_says_nothing_is_taken(remote: Remote, place: Place) -> None:
    commit = remote.commit("person", {"notes": "x"})
    git(remote.bare, "update-ref", LOCK, commit)
    store = opened(place)
    assert store.holder() is None
    with store.lock(holder(), 0):
        assert store.holds_lock()
    assert LOCK not in remote.refs()


def test_a_lock_until_the_end_of_time_is_freed_by_its_id(remote: Remote, place: Place) -> None:
    with opened(place).lock(holder(), 0):
        said = json.loads(remote.files(LOCK)["lock.json"])
    said["until"] = "9999-12-31T23:59:59+00:00"
    commit = remote.commit("person", {"lock.json": json.dumps(said) + "\n"})
    git(remote.bare, "update-ref", LOCK, commit)
    with pytest.raises(StateLocked), opened(place).lock(holder(), 0):
        pass
    assert opened(place).unlock(said["id"]) is not None
    assert LOCK not in remote.refs()


def test_no_password_stands_in_what_is_advised(remote: Remote, place: Place) -> None:
    store = open_store("git:https://ann:hunter2@127.0.0.1:1/x.git", TEAM, API, WRITER, sleep=unslept)
    assert "hunter2" not in store._branch._from_last() + store._branch._put_back()  # type: ignore[attr-defined]
    with pytest.raises(StateError) as caught:
        store.read()
    assert "hunter2" not in caught.value.detail + caught.value.hint


def test_a_setting_without_a_value_is_true() -> None:
    assert settings(b"http.sslverify\0http.proxy\n\0user.name\nann\0") == [
        ("http.sslverify", "true"),
        ("http.proxy", ""),
        ("user.name", "ann"),
    ]


def test_git_sees_neither_our_key_nor_a_window_to_ask_in() -> None:
    seen = quiet(
        {"SUPERMETRICS_API_KEY": "sk", "SSH_ASKPASS": "/usr/bin/ask", "GIT_ASKPASS": "ci", "PATH": "x"}
    )
    assert {"SUPERMETRICS_API_KEY", "SSH_ASKPASS"}.isdisjoint(seen)
    assert (seen["GIT_ASKPASS"], seen["GIT_TERMINAL_PROMPT"]) == ("ci", "0")


def test_the_file_must_be_one(remote: Remote, place: Place) -> None:
    written(place, "a")
    folder = git(remote.bare, "rev-parse", f"{STATE}^{{tree}}").strip()
    tree = git(remote.bare, "mktree", fed=f"040000 tree {folder}\t{FILE}\n").strip()
    commit = git(remote.bare, *AS_ANN, "commit-tree", "-m", "x", tree).strip()
    git(remote.bare, "update-ref", STATE, commit)
    with pytest.raises(StateDamaged):
        opened(place).read()


def test_a_mirror_that_lags_is_not_asked_what_became_of_a_push(
    remote: Remote, place: Place, tmp_path: Path
) -> None:
    """Its branch stays where it was: without the place pushed to, another run's commit looks like none."""
    first = written(place, "a")
    mirror = tmp_path / "mirror.git"
    git(tmp_path, "clone", "--quiet", "--mirror", remote.url, str(mirror))
    git(Path.cwd(), "remote", "set-url", "--push", "origin", remote.url)
    git(Path.cwd(), "remote", "set-url", "origin", str(mirror))
    ours, theirs = opened(place), opened(place)
    revisions = [store.read()[1] for store in (ours, theirs)]
    assert revisions == [first, first]
    theirs.commit(adds("b"), first)
    with pytest.raises(StateConflict):
        ours.commit(adds("c"), first)
    assert ours.read()[1].serial == 2


def test_a_first_run_that_is_killed_is_missed(remote: Remote, place: Place) -> None:
    """It never gave its lock back, and the branch is deleted: its days are not done again."""
    opened(place).commit(adds("a"), NEVER_WRITTEN)
    remote.delete(BRANCH)
    with pytest.raises(StateOldCopy, match="is gone"):
        opened(place).read()


def test_a_memory_of_another_api_is_foreign(remote: Remote, place: Place) -> None:
    run_of(place, "a")
    remote.delete(BRANCH)
    other = opened(place, api_url="https://other.example")
    with pytest.raises(StateForeign, match="another API"):
        other.accept_old_copy()
    assert f"refs/heads/{BRANCH}" not in remote.refs()


def test_a_host_whose_hashes_are_others_is_told_as_that(
    remote: Remote, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    git(tmp_path, "init", "--quiet", "here")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(StateError) as caught:
        opened(f"git:{remote.url}#reconciler-state", unslept).commit(adds("a"), NEVER_WRITTEN)
    assert "names its commits otherwise" in caught.value.hint
