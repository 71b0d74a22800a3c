"""The local store: the contract, its files, its locks across processes, and what it refuses."""

import contextlib
import json
import os
import random
import shutil
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from contract import (
    API,
    StoreContract,
    adds,
    backfill,
    holder,
    nonces_at,
    opened,
    worker,
    written,
)

from reconciler.errors import (
    StateConflict,
    StateDamaged,
    StateError,
    StateForeign,
    StateLocked,
    StateNewer,
    StateUnwritable,
)
from reconciler.formats.statefile import encode_document
from reconciler.model.memory import Delta
from reconciler.stores import files, local, snapshot
from reconciler.stores.base import NEVER_WRITTEN
from reconciler.stores.holders import holder_of, locked
from reconciler.stores.local import LocalStore

JSON = "team-5.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def place(folder: Path) -> str:
    return str(folder)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestLocalStore(StoreContract):
    """The contract over a folder."""


# --- files -------------------------------------------------------------------------------


def test_files_and_their_modes(folder: Path, place: str) -> None:
    deep = folder / "deeper"
    store = opened(str(deep))
    with store.lock(holder(), 0):
        revision = store.commit(adds("a"), NEVER_WRITTEN)
        assert names_in(deep) == {JSON, f"{JSON}.journal", f"{JSON}.cas", f"{JSON}.lock"}
        store.commit(adds("b"), revision)
        store.compact()
    assert names_in(deep) == {JSON, f"{JSON}.journal", f"{JSON}.cas", f"{JSON}.lock", f"{JSON}.backup"}
    for path in deep.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(deep.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_commit_appends_a_line_and_leaves_the_json(folder: Path, place: str) -> None:
    revision = written(place, "a")
    before = (folder / JSON).read_bytes()
    lines = (folder / f"{JSON}.journal").read_bytes().count(b"\n")
    opened(place).commit(adds("b"), revision)
    assert (folder / JSON).read_bytes() == before
    assert (folder / f"{JSON}.journal").read_bytes().count(b"\n") == lines + 1


def test_a_fold_leaves_a_plain_json_and_the_one_before(folder: Path, place: str) -> None:
    revision = written(place, "a", "b")
    before = (folder / JSON).read_bytes()
    opened(place).compact()
    data = json.loads((folder / JSON).read_bytes())
    assert (data["serial"], data["lineage"]) == (revision.serial, revision.lineage)
    assert (folder / f"{JSON}.backup").read_bytes() == before
    assert (folder / f"{JSON}.journal").read_bytes().count(b"\n") == 1
    assert (folder / JSON).stat().st_nlink == 1


def test_the_json_alone_is_a_state(folder: Path, place: str, tmp_path: Path) -> None:
    written(place, "a", "b")
    opened(place).compact()
    (tmp_path / "copy").mkdir()
    shutil.copy(folder / JSON, tmp_path / "copy" / JSON)
    copy = str(tmp_path / "copy")
    assert nonces_at(copy) == {"a", "b"}
    written(copy, "c")
    assert nonces_at(copy) == {"a", "b", "c"}


def test_lock_files_stay_the_same_files(folder: Path, place: str) -> None:
    written(place, "a")
    with opened(place).lock(holder(), 0):
        pass
    before = {name: (folder / name).stat().st_ino for name in (f"{JSON}.cas", f"{JSON}.lock")}
    store = opened(place)
    with store.lock(holder(), 0):
        written(place, "b")
        store.compact()
    opened(place).unlock()
    assert before == {name: (folder / name).stat().st_ino for name in before}


def test_a_link_is_written_through(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    (linked / JSON).symlink_to(real / JSON)
    written(str(linked), "a", "b")
    opened(str(linked)).compact()
    assert names_in(linked) == {JSON}
    assert (linked / JSON).is_symlink()
    assert nonces_at(str(real)) == nonces_at(str(linked)) == {"a", "b"}
    with opened(str(linked)).lock(holder(), 0), pytest.raises(StateLocked):
        opened(str(real)).lock(holder(), 0).__enter__()


def test_the_folder_may_be_left_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened("state")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.commit(adds("a"), NEVER_WRITTEN)
    assert names_in(tmp_path / "state") >= {JSON}


def test_a_file_system_without_hard_links_still_has_a_backup(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_source: str, _target: str) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    written(place, "a", "b")
    before = (folder / JSON).read_bytes()
    opened(place).compact()
    assert (folder / f"{JSON}.backup").read_bytes() == before
    assert nonces_at(place) == {"a", "b"}


# --- cost --------------------------------------------------------------------------------


def test_a_commit_costs_the_same_with_many_records(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: a commit neither reads the document nor copies it."""
    store = opened(place)
    revision = store.commit(Delta(backfills=tuple(map(backfill, range(1000)))), NEVER_WRITTEN)
    calls: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(name)
            return original(*arguments)

        return call

    monkeypatch.setattr(local, "load", counted("load", local.load))
    monkeypatch.setattr(files, "read_whole", counted("read_whole", files.read_whole))
    for number in range(5):
        revision = store.commit(adds(str(number)), revision)
    assert calls == []
    document, there = store.read()
    assert (calls, there) == ([], revision)
    assert document is not None
    assert len(document.intents) == 5


# --- locks across processes --------------------------------------------------------------

HOLDER = """
import sys
from contract import holder, opened

with opened(sys.argv[1]).lock(holder("apply"), 0):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_killed_holder_leaves_the_lock_free(place: str) -> None:
    other = worker(HOLDER, place)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(StateLocked) as caught, opened(place).lock(holder(), 0):
        pass
    assert "`apply`" in caught.value.detail
    with pytest.raises(StateLocked) as caught:
        opened(place).unlock()
    assert "kill" in caught.value.hint
    other.kill()
    other.communicate()
    store = opened(place)
    with store.lock(holder(), 0):
        assert store.holds_lock()


def test_what_a_killed_holder_left_is_cleared_by_its_id(place: str) -> None:
    other = worker(HOLDER, place)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.communicate()
    with pytest.raises(StateLocked, match="another id"):
        opened(place).unlock("not-its-id")
    left = opened(place).unlock()
    assert left is not None
    assert (left.who, left.operation) == ("ann", "apply")
    assert opened(place).unlock() is None


def test_a_forked_child_holds_nothing_and_frees_nothing(place: str) -> None:
    store = opened(place)
    with store.lock(holder(), 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # xdist's workers have threads
            child = os.fork()
        if child == 0:
            held = store.holds_lock()
            store._run_lock.release()  # type: ignore[attr-defined]
            os._exit(1 if held else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert store.holds_lock()
        with pytest.raises(StateLocked):
            opened(place).lock(holder(), 0).__enter__()


@pytest.mark.parametrize("lose", ["delete", "replace", "overwrite"])
def test_a_lock_that_was_lost_is_noticed(folder: Path, place: str, lose: str) -> None:
    store = opened(place)
    path = folder / f"{JSON}.lock"
    with store.lock(holder(), 0):
        if lose == "overwrite":
            path.write_text("{}")
        else:
            path.unlink()
        if lose == "replace":
            path.write_text("{}")
        assert not store.holds_lock()


def test_a_holder_without_a_name_is_still_a_holder(folder: Path, place: str) -> None:
    with opened(place).lock(holder(), 0):
        for text in ("", "{", "[" * 100_000, '{"id": 1}', "null"):
            (folder / f"{JSON}.lock").write_text(text)
            with pytest.raises(StateLocked) as caught:
                opened(place).lock(holder(), 0).__enter__()
            assert "left no name" in caught.value.detail


def test_a_commit_does_not_wait_forever_for_a_stopped_one(folder: Path, place: str) -> None:
    revision = written(place, "a")
    pauses: list[float] = []
    with local.commit_lock(str(folder / f"{JSON}.cas"), pauses.append):
        store = opened(place, sleep=pauses.append)
        with pytest.raises(StateUnwritable) as caught:
            store.commit(adds("b"), revision)
    assert "stopped" in caught.value.detail
    assert sum(pauses) == pytest.approx(60)
    assert nonces_at(place) == {"a"}


# --- reading only ------------------------------------------------------------------------


def test_reading_opens_nothing_for_writing(folder: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(place).read() == (None, NEVER_WRITTEN)
    assert not folder.exists()
    written(place, "a", "b")
    for name in (f"{JSON}.cas", f"{JSON}.lock"):
        (folder / name).unlink(missing_ok=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real_open = os.open

    def read_only(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", path)
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    assert nonces_at(place) == {"a", "b"}
    with pytest.raises(StateUnwritable, match="could not be written"):
        opened(place).lock(holder(), 0).__enter__()
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_reading_needs_no_right_to_write(folder: Path, place: str) -> None:
    revision = written(place, "a", "b")
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert opened(place).read()[1] == revision
    finally:
        folder.chmod(0o700)


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("mine")
    with pytest.raises(StateError) as caught:
        opened(str(place)).read()
    assert "--state" in caught.value.hint
    with pytest.raises(StateUnwritable):
        opened(str(place)).commit(adds("a"), NEVER_WRITTEN)
    assert place.read_text() == "mine"


@pytest.mark.parametrize("name", [JSON, f"{JSON}.journal"])
@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file_is_refused_without_hanging(folder: Path, place: str, name: str, kind: str) -> None:
    revision = written(place, "a", "b")
    (folder / name).unlink()
    if kind == "folder":
        (folder / name).mkdir()
    else:
        os.mkfifo(folder / name)
    with pytest.raises(StateError):
        opened(place).read()
    with pytest.raises(StateError):
        opened(place).commit(adds("c"), revision)


@pytest.mark.parametrize("meanwhile", ["fold", "fold and commit", "commit"])
@pytest.mark.parametrize("edited", [False, True])
def test_a_fold_between_the_two_files_is_seen_through(
    place: str, monkeypatch: pytest.MonkeyPatch, meanwhile: str, edited: bool
) -> None:
    """The reader has the journal already and not yet the JSON when a writer is done with both."""
    writer = opened(place)
    revision = writer.commit(adds("a"), NEVER_WRITTEN)
    revision = writer.commit(adds("b"), revision)
    real_read = files.read_whole
    todo = [meanwhile]

    def read_whole(path: str) -> tuple[bytes, files.Identity] | None:
        found = real_read(path)
        if path.endswith(".journal") and todo:
            _meanwhile(todo.pop())
        return found

    def _meanwhile(what: str) -> None:
        nonlocal revision
        if edited:  # the same record again, so that the old journal no longer fits
            revision = writer.commit(Delta(drop_intents=("b",)), revision)
        if "fold" in what:
            writer.compact()
        if "commit" in what:
            revision = writer.commit(adds("c"), revision)

    monkeypatch.setattr(snapshot, "read_whole", read_whole)
    document, there = opened(place).read()
    assert not todo
    assert document is not None
    if "fold" in meanwhile:
        assert there == revision
        assert document == writer.read()[0]
    else:
        assert set(document.intents) >= {"a"}


def test_a_reader_among_restless_writers_takes_what_it_has(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, "a")
    store = opened(place)
    marks = iter(range(100))
    monkeypatch.setattr(store, "_marks", lambda: next(marks))
    (Path(place) / f"{JSON}.journal").unlink()
    document = store.read()[0]
    assert document is not None
    assert set(document.intents) == {"a"}


def test_what_would_be_too_large_to_read_is_not_written(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = written(place, "a", "b")
    monkeypatch.setattr(files, "MAX_BYTES", 1500)
    many = Delta(backfills=tuple(map(backfill, range(5))))
    with pytest.raises(StateUnwritable, match="could not be written"):
        opened(place).commit(many, revision)
    with pytest.raises(StateUnwritable):
        opened(place, team_id=6).commit(many, NEVER_WRITTEN)
    assert opened(place).read()[1] == revision
    assert opened(place, team_id=6).read() == (None, NEVER_WRITTEN)


# --- what is refused ---------------------------------------------------------------------


def refused(place: str, error: type[StateError]) -> StateError:
    """Reading, committing and compacting all refuse it, and none of them changes a byte."""
    folder = Path(place)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".cas")}
    with pytest.raises(error) as caught:
        opened(place).read()
    with pytest.raises(error):
        opened(place).commit(adds("x"), NEVER_WRITTEN)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".cas")}
    assert after == before
    assert caught.value.detail
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\0" * 100, '{"version": 1}'])
def test_a_damaged_json_is_refused(folder: Path, place: str, text: str) -> None:
    written(place, "a")
    (folder / JSON).write_text(text)
    assert f"{JSON}.backup" in refused(place, StateDamaged).hint


def test_a_newer_json_is_refused(folder: Path, place: str) -> None:
    written(place, "a")
    (folder / JSON).write_text('{"version": 2}')
    refused(place, StateNewer)


def test_a_huge_file_is_refused_unread(folder: Path, place: str) -> None:
    written(place, "a")
    os.truncate(folder / JSON, files.MAX_BYTES + 1)
    with pytest.raises(StateDamaged) as caught:
        opened(place).read()
    assert str(files.MAX_BYTES) in caught.value.detail


def test_another_teams_file_is_foreign(folder: Path, place: str) -> None:
    written(place, "a")
    (folder / JSON).rename(folder / "team-6.json")
    with pytest.raises(StateForeign) as caught:
        opened(place, team_id=6).read()
    assert "team 5" in caught.value.detail


def test_a_foreign_api_cannot_steer_a_terminal(folder: Path, place: str) -> None:
    written(place, "a")
    (folder / f"{JSON}.journal").unlink()
    _edit(folder, api_url="\x1f\n::error::x")
    assert refused(place, StateForeign).detail.isprintable()


def test_another_lineages_journal_is_foreign(folder: Path, place: str, tmp_path: Path) -> None:
    written(place, "a", "b")
    other = str(tmp_path / "other")
    written(other, "c", "d")
    shutil.copy(tmp_path / "other" / f"{JSON}.journal", folder / f"{JSON}.journal")
    refused(place, StateForeign)


def test_another_lineages_empty_journal_is_no_matter(folder: Path, place: str, tmp_path: Path) -> None:
    written(place, "a", "b")
    other = str(tmp_path / "other")
    written(other, "c")
    shutil.copy(tmp_path / "other" / JSON, folder / JSON)
    (folder / f"{JSON}.journal").write_bytes((tmp_path / "other" / f"{JSON}.journal").read_bytes())
    assert nonces_at(place) == {"c"}


def test_a_team_that_is_no_number_names_no_file(folder: Path) -> None:
    with pytest.raises(ValueError):
        LocalStore(str(folder), "../../5", API, "w")  # type: ignore[arg-type]


def test_a_missing_json_beside_its_companions_is_refused(folder: Path, place: str) -> None:
    written(place, "a", "b")
    opened(place).compact()
    (folder / JSON).unlink()
    assert "start over" in refused(place, StateDamaged).hint
    (folder / f"{JSON}.journal").unlink()
    refused(place, StateDamaged)
    (folder / f"{JSON}.backup").unlink()
    assert opened(place).read() == (None, NEVER_WRITTEN)


def test_a_state_that_vanishes_during_a_run_is_not_started_over(folder: Path, place: str) -> None:
    store = opened(place)
    revision = store.commit(adds("a"), NEVER_WRITTEN)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(StateDamaged, match="is gone"):
        store.commit(adds("b"), revision)
    assert not (folder / JSON).exists()


# --- hands on the files ------------------------------------------------------------------


def _edit(folder: Path, **changed: object) -> None:
    data = json.loads((folder / JSON).read_bytes())
    (folder / JSON).write_text(json.dumps(data | changed))


def test_an_edit_with_a_higher_serial_is_noticed_by_a_running_writer(folder: Path, place: str) -> None:
    store = opened(place)
    revision = store.commit(adds("a"), NEVER_WRITTEN)
    _edit(folder, intents=[], serial=2)
    with pytest.raises(StateConflict):
        store.commit(adds("b"), revision)
    document, there = store.read()
    assert document is not None
    assert (document.serial, document.intents) == (2, {})
    store.commit(adds("c"), there)
    assert nonces_at(place) == {"c"}


def test_an_edit_without_one_is_refused(folder: Path, place: str) -> None:
    """It cannot be told from a flipped bit, which would have a loaded day loaded again."""
    written(place, "a")
    _edit(folder, intents=[])
    assert "serial to 2" in refused(place, StateDamaged).hint


def test_an_edit_under_unfolded_commits_is_refused(folder: Path, place: str) -> None:
    written(place, "a", "b", "c")
    _edit(folder, intents=[])
    assert f"{JSON}.journal away" in refused(place, StateDamaged).hint


def test_other_white_space_is_no_edit(folder: Path, place: str) -> None:
    """Git may change the ends of lines."""
    written(place, "a", "b")
    opened(place).compact()
    (folder / JSON).write_bytes((folder / JSON).read_bytes().replace(b"\n", b"\r\n"))
    written(place, "c")
    assert nonces_at(place) == {"a", "b", "c"}


def test_every_flipped_bit_is_refused_or_changes_nothing(folder: Path, place: str) -> None:
    """In the JSON and in the journal, whichever bit: a wrong id or date would load days again."""
    written(place, "a", "b")
    opened(place).compact()
    written(place, "c")
    known = opened(place).read()[0]
    rng = random.Random(7)
    for name in (JSON, f"{JSON}.journal"):
        data = (folder / name).read_bytes()
        for bit in rng.sample(range(8 * len(data)), 400):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(flipped)
            with contextlib.suppress(StateError):
                read = opened(place).read()[0]
                assert read is not None
                assert (read.intents, read.backfills) == (known.intents, known.backfills), (name, bit)
        (folder / name).write_bytes(data)


def test_one_json_under_different_journals_is_two_revisions(folder: Path, place: str, tmp_path: Path) -> None:
    written(place, "a", "b")
    as_read = opened(place).read()[0]
    assert as_read is not None
    shutil.copytree(folder, tmp_path / "other")
    written(place, "c")
    written(str(tmp_path / "other"), "d")
    for one in (folder, tmp_path / "other"):
        (one / JSON).write_text(encode_document(as_read))
    here, there = opened(place).read()[1], opened(str(tmp_path / "other")).read()[1]
    assert (here.lineage, here.serial) == (there.lineage, there.serial)
    assert here.token != there.token


@pytest.mark.parametrize("serial", [2, 3])
def test_a_serial_raised_by_hand_hides_no_commit(folder: Path, place: str, serial: int) -> None:
    written(place, "a", "b", "c")
    _edit(folder, serial=serial)
    assert "back to 1" in refused(place, StateDamaged).hint


def test_a_later_json_than_the_journal_is_taken(folder: Path, place: str) -> None:
    written(place, "a", "b")
    journal = (folder / f"{JSON}.journal").read_bytes()
    opened(place).compact()
    written(place, "c")
    opened(place).compact()
    (folder / f"{JSON}.journal").write_bytes(journal)
    assert nonces_at(place) == {"a", "b", "c"}
    written(place, "d")
    assert nonces_at(place) == {"a", "b", "c", "d"}


def test_a_backup_restored_is_the_state(folder: Path, place: str) -> None:
    written(place, "a", "b")
    opened(place).compact()
    shutil.copy(folder / f"{JSON}.backup", folder / JSON)
    assert nonces_at(place) == {"a"}
    written(place, "c")
    assert nonces_at(place) == {"a", "c"}


def test_a_backup_older_than_the_journals_commits_is_refused(folder: Path, place: str) -> None:
    written(place, "a", "b")
    opened(place).compact()
    written(place, "c")
    shutil.copy(folder / f"{JSON}.backup", folder / JSON)
    assert "serial 2" in refused(place, StateDamaged).hint


def test_what_a_lock_file_says_cannot_steer_a_terminal(folder: Path, place: str) -> None:
    told = {"id": "a\x1b]0;x\x07", "who": "x\n::warning::y", "operation": "\u202eapply", "host": "h" * 9999}
    holder = holder_of(json.dumps({**told, "when": "2026-01-01T00:00:00Z", "pid": 1}))
    assert holder is not None
    words = locked(holder, "there", "").detail
    assert words.isprintable()
    assert len(words) < 1000
