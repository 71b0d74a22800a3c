"""The local store when the disk fails or the process dies, at every single system call."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from contract import adds, backfill, holder, nonces_at, opened, written
from faulty_os import READS, Killed, Trouble, troubled

from reconciler.errors import StateConflict, StateError, StateUnwritable
from reconciler.model.memory import Delta
from reconciler.stores import local
from reconciler.stores.base import NEVER_WRITTEN, Revision, StateStore

JSON = "team-5.json"
DISK_ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]
MANY_CALLS = 60

Act = Callable[[StateStore, Revision], object]


def commit_x(store: StateStore, revision: Revision) -> object:
    return store.commit(adds("x"), revision)


def compact(store: StateStore, _revision: Revision) -> object:
    return store.compact()


def _nothing(place: str) -> None:
    pass


def _one_commit(place: str) -> None:
    written(place, "a")


def _journal_of_three(place: str) -> None:
    written(place, "a", "b", "c")


def _folded(place: str) -> None:
    _journal_of_three(place)
    opened(place).compact()


def _torn(place: str) -> None:
    _journal_of_three(place)
    with (Path(place) / f"{JSON}.journal").open("ab") as file:
        file.write(b'{"serial":4,"writ')


def _fold_died_before_the_cut(place: str) -> None:
    _journal_of_three(place)
    journal = Path(place) / f"{JSON}.journal"
    before = journal.read_bytes()
    opened(place).compact()
    journal.write_bytes(before)


def _json_only(place: str) -> None:
    _folded(place)
    (Path(place) / f"{JSON}.journal").unlink()


SCENES: dict[str, tuple[Callable[[str], None], Act]] = {
    "the first commit": (_nothing, commit_x),
    "a commit on a fresh journal": (_one_commit, commit_x),
    "a commit on a journal": (_journal_of_three, commit_x),
    "a commit after a fold": (_folded, commit_x),
    "a commit after a torn line": (_torn, commit_x),
    "a commit after a fold that died": (_fold_died_before_the_cut, commit_x),
    "a commit on a JSON alone": (_json_only, commit_x),
    "a fold": (_journal_of_three, compact),
    "a fold after a torn line": (_torn, compact),
    "a fold after one that died": (_fold_died_before_the_cut, compact),
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
    go_on.compact()
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
        certain = None if isinstance(error, StateUnwritable) or act is compact else error is None
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
        store.compact()


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
    with troubled(full, ("write", "ftruncate")), pytest.raises(StateUnwritable) as caught:
        store.commit(adds("x"), revision)
    assert "No space left" in caught.value.detail
    assert "space" in caught.value.hint
    assert not (Path(place) / f"{JSON}.journal").read_bytes().endswith(b"\n")
    assert opened(place).read()[1] == revision


def test_a_line_whose_fsync_failed_is_taken_back(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    journal = Path(place) / f"{JSON}.journal"
    before = journal.read_bytes()
    trouble = Trouble(0, lambda: OSError(errno.EIO, os.strerror(errno.EIO)))
    with troubled(trouble, ("fsync",)), pytest.raises(StateUnwritable):
        opened(place).commit(adds("x"), revision)
    assert journal.read_bytes() == before


def test_an_interrupt_amid_a_commit_takes_it_back(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    store = opened(place)
    with troubled(Trouble(0, KeyboardInterrupt), ("fsync",)), pytest.raises(KeyboardInterrupt):
        store.commit(adds("x"), revision)
    store.commit(adds("y"), revision)
    assert nonces_at(place) == {"a", "b", "y"}


def test_an_interrupt_after_a_commit_is_remembered_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is durable and nobody was told: the same instance must not go on from before it."""
    place = str(tmp_path / "state")
    revision = written(place, "a", "b")
    store = opened(place)
    store.read()

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(local, "Revision", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.commit(adds("x"), revision)
    assert nonces_at(place) == {"a", "b", "x"}
    assert store.read() == opened(place).read()
    with pytest.raises(StateConflict):
        store.commit(adds("y"), revision)


def test_a_fold_finishes_what_one_that_died_began(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    _fold_died_before_the_cut(place)
    assert opened(place).read()[1].serial == 3
    opened(place).compact()
    assert opened(place).read()[1].serial == 3
    assert (Path(place) / f"{JSON}.journal").read_bytes().count(b"\n") == 1
    assert nonces_at(place) == {*"abc"}


def test_a_fold_that_failed_loses_nothing_of_a_large_state(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    store = opened(place)
    revision = store.commit(Delta(backfills=tuple(map(backfill, range(500)))), NEVER_WRITTEN)
    store.commit(adds("a"), revision)
    full = Trouble(0, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), lasting=True)
    with troubled(full, ("write",)), pytest.raises(StateUnwritable):
        store.compact()
    document = opened(place).read()[0]
    assert document is not None
    assert (len(document.backfills), len(document.intents)) == (500, 1)


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


# --- the order of things -----------------------------------------------------------------


def _calls(place: str, act: Act) -> list[str]:
    watcher = Trouble(10**9, Killed)
    store = opened(place)
    _, revision = store.read()
    with troubled(watcher, ("write", "fsync", "replace", "link", "ftruncate")):
        act(store, revision)
    return watcher.calls


def test_a_commit_is_one_write_and_one_fsync(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    _journal_of_three(place)
    assert _calls(place, commit_x) == ["write", "fsync"]


def test_a_new_folder_is_made_durable_in_the_one_above(tmp_path: Path) -> None:
    watcher = Trouble(10**9, Killed)
    with troubled(watcher, ("mkdir", "fsync", "write")):
        opened(str(tmp_path / "deep" / "state")).commit(adds("a"), NEVER_WRITTEN)
    assert watcher.calls[:5] == ["mkdir", "fsync", "mkdir", "fsync", "write"]


def test_a_system_that_writes_a_few_bytes_at_a_time_writes_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "state")
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, bytes(data)[:100]))
    written(place, "a", "b", "c")
    opened(place).compact()
    monkeypatch.undo()
    assert nonces_at(place) == {*"abc"}


def test_a_fold_syncs_before_each_rename_and_cuts_last(tmp_path: Path) -> None:
    place = str(tmp_path / "state")
    _journal_of_three(place)
    new_json = ["write", "fsync", "link", "replace", "replace", "fsync"]
    new_journal = ["write", "fsync", "replace", "fsync"]
    assert _calls(place, compact) == new_json + new_journal
    assert _calls(place, compact) == []
