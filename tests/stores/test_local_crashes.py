"""The local store when the disk fails or the process dies, at every single system call."""

import errno
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract import adds, backfill, holder, intent, nonces_at, opened, written
from faulty_os import READS, Killed, Trouble, troubled
from test_local import hot

from reconciler.errors import StateConflict, StateError, StateUnwritable
from reconciler.model.deltas import Delta
from reconciler.stores.base import NEVER_WRITTEN, Revision, StateStore

DISK_ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]
MANY_CALLS = 60

Act = Callable[[StateStore, Revision], object]


def commit_x(store: StateStore, revision: Revision) -> object:
    return store.commit(adds("x"), revision)


def finish(store: StateStore, revision: Revision) -> object:
    store.commit(adds("x"), revision)
    return store.finish()


def push(store: StateStore, _revision: Revision) -> object:
    document = store.read()[0]
    assert document is not None
    return store.push(replace(document, intents={**document.intents, "x": intent("x")}))


def _nothing(place: str) -> None:
    pass


def _three(place: str) -> None:
    written(place, "a", "b", "c")


def _killed_amid_a_commit(place: str) -> None:
    _three(place)
    hot(Path(place))


SCENES: dict[str, tuple[Callable[[str], None], Act]] = {
    "the first commit": (_nothing, commit_x),
    "a commit": (_three, commit_x),
    "a commit after one that was cut short": (_killed_amid_a_commit, commit_x),
    "a whole run": (_three, finish),
    "a push": (_three, push),
}


def the_scene(tmp_path: Path, scene: str, number: int) -> tuple[str, Act]:
    """Return a fresh copy of the scene's folder, and what is done in it."""
    prepare, act = SCENES[scene]
    template = tmp_path / "template"
    if not template.exists():
        template.mkdir()
        prepare(str(template / "state"))
    copy = tmp_path / str(number)
    shutil.copytree(template, copy)
    return str(copy / "state"), act


def check_recovery(place: str, before: set[str], done: bool | None) -> None:
    """It reads as before or after, never else, and goes on. ``done``: what is known of it."""
    document, revision = opened(place).read()
    now = set(document.intents) if document else set()
    assert now in (before, before | {"x"})
    assert done is None or ("x" in now) == done
    go_on = opened(place)
    go_on.commit(adds("later"), revision)
    go_on.finish()
    assert nonces_at(place) == now | {"later"}
    leftovers = {path.name for path in Path(place).iterdir() if path.name.endswith(".tmp")}
    assert not leftovers


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("scene", SCENES)
def test_every_failing_call_leaves_the_state_before_or_after(
    tmp_path: Path, scene: str, lasting: bool
) -> None:
    for number in range(MANY_CALLS):
        place, act = the_scene(tmp_path, scene, number)
        before = nonces_at(place)
        code = DISK_ERRORS[number % len(DISK_ERRORS)]
        trouble = Trouble(number, lambda code=code: OSError(code, os.strerror(code)), lasting)  # type: ignore[misc]
        store, revision = opened(place), opened(place).read()[1]
        with troubled(trouble):
            error = _error_of(store, act, revision)
        if not trouble.happened:
            assert error is None
            return
        if isinstance(error, StateUnwritable):
            _check_refuses_further_commits(store)
        certain = None if isinstance(error, StateUnwritable) else error is None
        check_recovery(place, before, done=certain)
    raise AssertionError("the scene has no end")


def _error_of(store: StateStore, act: Act, revision: Revision) -> StateError | None:
    """Return how it failed: it could not be written, or (then nothing was tried) not be read."""
    try:
        act(store, revision)
    except StateError as caught:
        error = caught
    else:
        return None
    assert type(error) in (StateUnwritable, StateError)
    assert error.detail
    assert error.hint
    return error


def _check_refuses_further_commits(store: StateStore) -> None:
    _, revision = store.read()
    with pytest.raises(StateUnwritable, match="could not be written"):
        store.commit(adds("y"), revision)
    with pytest.raises(StateUnwritable):
        store.finish()


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_death_at_every_call_leaves_the_state_before_or_after(
    tmp_path: Path, scene: str, after: bool
) -> None:
    for number in range(MANY_CALLS):
        place, act = the_scene(tmp_path, scene, number)
        before = nonces_at(place)
        trouble = Trouble(number, Killed, lasting=True, after=after)
        finished = False
        store, revision = opened(place), opened(place).read()[1]
        with troubled(trouble), suppress(Killed):
            act(store, revision)
            finished = True
        check_recovery(place, before, done=True if finished and act is commit_x else None)
        if not trouble.happened:
            return
    raise AssertionError("the scene has no end")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_read_that_fails_says_so_and_changes_nothing(tmp_path: Path, code: int) -> None:
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    for number in range(MANY_CALLS):
        trouble = Trouble(number, lambda: OSError(code, os.strerror(code)))
        with troubled(trouble, READS):
            answer = _read_or_error(place)
        assert answer == revision or os.strerror(code) in str(answer)
        if not trouble.happened:
            break
    assert opened(place).read()[1] == revision


def _read_or_error(place: str) -> Revision | str:
    try:
        return opened(place).read()[1]
    except StateError as error:
        return error.detail


def test_a_disk_that_is_full_says_what_to_do(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    store = opened(place)
    full = Trouble(0, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), lasting=True)
    with troubled(full, ("sql",)), pytest.raises(StateUnwritable) as caught:
        store.commit(adds("x"), revision)
    assert "No space left" in caught.value.detail
    assert "space" in caught.value.hint
    assert opened(place).read()[1] == revision


def test_a_disk_that_fills_up_at_any_byte_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    """SQLite's own writes fail: no file may become larger than so many bytes."""
    many = Delta(intents=adds("x").intents, backfills=tuple(map(backfill, range(40))))
    written(str(tmp_path / "template"), "a")
    for size in range(0, 45_000, 1500):
        place = str(tmp_path / str(size))
        shutil.copytree(tmp_path / "template", place)
        store = opened(place)
        _, revision = store.read()
        done = True
        with no_file_above(size):
            try:
                store.commit(many, revision)
            except StateUnwritable:
                done = False
        document, _ = opened(place).read()
        assert document is not None
        assert ("x" in document.intents, len(document.backfills)) == ((True, 40) if done else (False, 0))
    assert done


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- answers that are lost -----------------------------------------------------------------


def commit_number(place: str, number: int) -> Trouble:
    """Return a trouble at the COMMIT of a commit; ``number``: how many statements come before."""
    return Trouble(number, lambda: OSError(errno.EIO, os.strerror(errno.EIO)))


def _statements(place: str) -> int:
    watcher = Trouble(10**9, Killed)
    store = opened(place)
    _, revision = store.read()
    with troubled(watcher, ("sql",)):
        store.commit(adds("watched"), revision)
    return len(watcher.calls)


@pytest.mark.parametrize("after", [True, False], ids=["after it was kept", "before"])
def test_a_lost_answer_is_no_conflict(tmp_path: Path, after: bool) -> None:
    """The COMMIT failed as far as was told: its nonce is there, or it is sent once more."""
    place = str(tmp_path / "state")
    written(place, "a")
    trouble = commit_number(place, _statements(place) - 1)
    trouble.after = after
    store = opened(place)
    _, revision = store.read()
    with troubled(trouble, ("sql",)):
        second = store.commit(adds("x"), revision)
    assert trouble.happened
    assert second.serial == revision.serial + 1
    assert store.read() == opened(place).read()
    assert opened(place).read()[1] == second
    store.commit(adds("y"), second)
    assert nonces_at(place) >= {"a", "x", "y"}


def test_a_lost_answer_behind_which_another_run_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours was kept, and another run's came after: it is committed. Only the other's is there: a conflict."""
    for after in (True, False):
        place = str(tmp_path / str(after))
        written(place, "a")
        trouble = commit_number(place, _statements(place) - 1)
        trouble.after = after
        store = opened(place)
        _, revision = store.read()
        look = store._at_rest  # type: ignore[attr-defined]

        def another_first(look: Callable[[], object] = look, place: str = place) -> object:
            monkeypatch.undo()
            written(place, "other")
            return look()

        monkeypatch.setattr(store, "_at_rest", another_first)
        with troubled(trouble, ("sql",)):
            if after:
                assert store.commit(adds("x"), revision).serial == revision.serial + 1
            else:
                with pytest.raises(StateConflict):
                    store.commit(adds("x"), revision)
        assert ("x" in nonces_at(place), "other" in nonces_at(place)) == (after, True)


# --- interrupts ----------------------------------------------------------------------------


def test_an_interrupt_amid_a_commit_takes_it_back(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    store = opened(place)
    with troubled(Trouble(1, KeyboardInterrupt), ("sql",)), pytest.raises(KeyboardInterrupt):
        store.commit(adds("x"), revision)
    store.commit(adds("y"), revision)
    assert nonces_at(place) == {"a", "b", "y"}


def test_an_interrupt_after_a_commit_is_remembered_right(tmp_path: Path) -> None:
    """It is durable and nobody was told: the same instance must not go on from before it."""
    place = str(tmp_path / "state")
    written(place, "a", "b")
    commit = _statements(place) - 1
    store = opened(place)
    _, revision = store.read()
    late = Trouble(commit, KeyboardInterrupt, after=True)
    with troubled(late, ("sql",)), pytest.raises(KeyboardInterrupt):
        store.commit(adds("x"), revision)
    assert nonces_at(place) >= {"a", "b", "x"}
    assert store.read() == opened(place).read()
    with pytest.raises(StateConflict):
        store.commit(adds("y"), revision)


def test_a_lock_that_cannot_be_written_is_not_held(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    for number in range(MANY_CALLS):
        trouble = Trouble(number, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        store = opened(place)
        with troubled(trouble, ("open", "pwrite", "mkdir", "fsync")):
            try:
                with store.lock(holder(), 0):
                    assert not trouble.happened
            except StateUnwritable:
                assert trouble.happened
        assert not store.holds_lock()
        with opened(place).lock(holder(), 0):
            pass
        if not trouble.happened:
            return


# --- what reaches the disk -------------------------------------------------------------------


def test_a_new_folder_is_made_durable_in_the_one_above(tmp_path: Path) -> None:
    watcher = Trouble(10**9, Killed)
    with troubled(watcher, ("mkdir", "fsync", "sql")):
        opened(str(tmp_path / "deep" / "state")).commit(adds("a"), NEVER_WRITTEN)
    assert watcher.calls[:5] == ["mkdir", "fsync", "mkdir", "fsync", "sql"]


def test_a_commit_is_durable_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``EXTRA``: the removal of the journal, too; a power cut would bring it back, and undo the commit."""
    asked: list[int] = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                asked.append(super().execute("PRAGMA synchronous").fetchone()[0])
            return super().execute(sql, *more)

    monkeypatch.setattr(sqlite3, "connect", lambda *one, **more: connect(*one, **more, factory=Watched))
    written(str(tmp_path / "state"), "a", "b")
    assert asked == [3, 3]
