"""The local store: the contract, its files, its locks across processes, and what it refuses."""

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
import stat
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from contract import (
    API,
    StoreContract,
    adds,
    backfill,
    holder,
    holding,
    nonces_at,
    opened,
    written,
)

from reconciler.errors import (
    Refused,
    StateDamaged,
    StateError,
    StateForeign,
    StateLocked,
    StateNewer,
    StateOldCopy,
    StateUnwritable,
)
from reconciler.model.deltas import Delta
from reconciler.stores import sql
from reconciler.stores.base import NEVER_WRITTEN
from reconciler.stores.holders import holder_of, locked
from reconciler.stores.local import LocalStore
from reconciler.stores.troubles import in_words

DB, LOCK = "team-5.db", "team-5.lock"


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
        assert names_in(deep) == {DB, LOCK}
        store.finish()
    store = opened(str(deep))
    store.commit(adds("b"), revision)
    assert names_in(deep) == {DB, LOCK, f"{DB}.backup"}
    for path in deep.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(deep.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700


def restored(folder: Path) -> set[str]:
    """Return what the backup holds."""
    copy = folder.with_name("restored")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    shutil.copy(folder / f"{DB}.backup", copy / DB)
    return nonces_at(str(copy))


def test_the_backup_is_the_state_before_the_run(folder: Path, place: str) -> None:
    written(place, "a")
    assert not (folder / f"{DB}.backup").exists(), "a first run begins with nothing"
    written(place, "b", "c")
    assert restored(folder) == {"a"}
    written(place, "d")
    assert restored(folder) == {"a", "b", "c"}
    assert not list(folder.glob("*.tmp*"))


def test_an_older_backup_does_not_stand_as_that_of_a_first_run(folder: Path, place: str) -> None:
    written(place, "a")
    assert opened(place).remove()
    assert restored(folder) == {"a"}
    written(place, "b")
    assert not (folder / f"{DB}.backup").exists()
    (folder / f"{DB}.backup.older").rename(folder / f"{DB}.backup")
    assert restored(folder) == {"a"}


def test_the_database_alone_is_a_state(folder: Path, place: str, tmp_path: Path) -> None:
    written(place, "a", "b")
    (tmp_path / "copy").mkdir()
    shutil.copy(folder / DB, tmp_path / "copy" / DB)
    copy = str(tmp_path / "copy")
    assert nonces_at(copy) == {"a", "b"}
    written(copy, "c")
    assert nonces_at(copy) == {"a", "b", "c"}


def test_the_lock_file_stays_the_same_file(folder: Path, place: str) -> None:
    written(place, "a")
    with opened(place).lock(holder(), 0):
        pass
    before = (folder / LOCK).stat().st_ino
    store = opened(place)
    with store.lock(holder(), 0):
        store.commit(adds("b"), store.read()[1])
        store.finish()
    opened(place).unlock()
    assert (folder / LOCK).stat().st_ino == before


def test_a_link_is_written_through(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    (linked / DB).symlink_to(real / DB)
    written(str(linked), "a", "b")
    assert names_in(linked) == {DB}
    assert (linked / DB).is_symlink()
    assert nonces_at(str(real)) == nonces_at(str(linked)) == {"a", "b"}
    with opened(str(linked)).lock(holder(), 0), pytest.raises(StateLocked):
        opened(str(real)).lock(holder(), 0).__enter__()


def test_the_folder_may_be_left_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened("state")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.commit(adds("a"), NEVER_WRITTEN)
    assert names_in(tmp_path / "state") >= {DB}


def test_a_folder_of_any_name_will_do(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "b#c", "d%20e", "f g", os.fsdecode(b"h\xff")):
        written(str(tmp_path / name), "a")
        assert names_in(tmp_path / name) >= {DB}
        assert nonces_at(str(tmp_path / name)) == {"a"}


# --- cost --------------------------------------------------------------------------------


def test_a_commit_costs_the_same_with_many_records(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: a commit reads no records, and reading again reads none either."""
    store = opened(place)
    revision = store.commit(Delta(backfills=tuple(map(backfill, range(1000)))), NEVER_WRITTEN)

    def refuse(*_arguments: object) -> object:
        raise AssertionError("the records are read again")

    monkeypatch.setattr(sql, "load_records", refuse)
    for number in range(5):
        revision = store.commit(adds(str(number)), revision)
    document, there = store.read()
    assert there == revision
    assert document is not None
    assert len(document.intents) == 5


# --- locks across processes --------------------------------------------------------------


def test_the_lock_of_a_living_holder_is_not_freed(place: str) -> None:
    other = holding(place)
    with pytest.raises(StateLocked) as caught:
        opened(place).unlock()
    assert "kill" in caught.value.hint
    other.kill()
    other.communicate()


def test_what_a_killed_holder_left_is_cleared_by_its_id(place: str) -> None:
    other = holding(place)
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
    path = folder / LOCK
    with store.lock(holder(), 0):
        if lose == "overwrite":
            path.write_text("{}")
        else:
            path.unlink()
        if lose == "replace":
            path.write_text("{}")
        assert not store.holds_lock()


# --- an older copy -----------------------------------------------------------------------


def run_of(place: str, *nonces: str) -> None:
    """Commit as a run does, to its end."""
    store = opened(place)
    with store.lock(holder(), 0):
        for nonce in nonces:
            store.commit(adds(nonce), store.read()[1])
        store.finish()


@pytest.fixture
def older(folder: Path, place: str) -> Path:
    """A folder in which an older copy of the database was put back."""
    run_of(place, "a", "b")
    copy = (folder / DB).read_bytes()
    run_of(place, "c")
    (folder / DB).write_bytes(copy)
    return folder


def test_an_older_copy_is_refused_by_reads_and_commits(older: Path, place: str) -> None:
    error = refused(place, StateOldCopy)
    assert (error.exit_status, "serial 2" in error.detail, "serial 3" in error.detail) == (6, True, True)
    assert "accept --old-copy" in error.hint


def test_a_database_that_is_gone_is_an_old_copy(folder: Path, place: str) -> None:
    run_of(place, "a")
    (folder / DB).unlink()
    assert "is not there" in refused(place, StateOldCopy).detail
    (folder / DB).write_bytes(b"")
    refused(place, StateOldCopy)


def test_one_goes_on_with_an_old_copy_above_what_was_committed(older: Path, place: str) -> None:
    revision = opened(place).accept_old_copy()
    document, there = opened(place).read()
    assert document is not None
    assert (there, revision.serial, document.old_copy) == (revision, 4, True)
    assert set(document.intents) == {"a", "b"}
    run_of(place, "d")
    assert nonces_at(place) == {"a", "b", "d"}
    document, _ = opened(place).read()
    assert document is not None
    assert document.old_copy


def test_one_goes_on_with_nothing_where_all_is_lost(folder: Path, place: str) -> None:
    run_of(place, "a", "b")
    lineage = opened(place).read()[1].lineage
    (folder / DB).unlink()
    opened(place).accept_old_copy()
    document, revision = opened(place).read()
    assert document is not None
    assert (revision.lineage, revision.serial, document.old_copy, document.intents) == (lineage, 3, True, {})


def test_the_newer_one_may_be_pushed_over_an_older_copy(folder: Path, place: str) -> None:
    run_of(place, "a")
    copy = (folder / DB).read_bytes()
    run_of(place, "b")
    newer, _ = opened(place).read()
    assert newer is not None
    (folder / DB).write_bytes(copy)
    opened(place).push(newer)
    assert nonces_at(place) == {"a", "b"}


def test_an_older_one_is_not_pushed_where_a_newer_was_committed(older: Path, place: str) -> None:
    newer = opened(place).accept_old_copy()
    document, _ = opened(place).read()
    assert document is not None
    with pytest.raises(Refused, match="older"):
        opened(place).push(replace(document, serial=newer.serial - 1))


def test_a_killed_run_leaves_a_database_that_is_newer(folder: Path, place: str) -> None:
    run_of(place, "a")
    written(place, "b")
    assert json.loads((folder / LOCK).read_text())["serial"] == 1
    assert nonces_at(place) == {"a", "b"}


@pytest.fixture
def replaced(folder: Path, place: str, tmp_path: Path) -> str:
    """A place where a state of another lineage lies in the place of ours; returns where that one is from."""
    run_of(place, "a", "b")
    run_of(str(tmp_path / "other"), "c")
    shutil.copy(tmp_path / "other" / DB, folder / DB)
    return str(tmp_path / "other")


def test_another_lineage_in_the_place_of_ours_is_refused(replaced: str, place: str) -> None:
    ours = opened(place).committed()
    error = refused(place, StateForeign)
    assert "another-lineage" in error.hint
    with pytest.raises(Refused, match="no old copy"):
        opened(place).accept_old_copy()
    assert opened(place).committed() == ours


def test_another_lineage_holds_once_it_was_pushed(replaced: str, place: str) -> None:
    theirs, _ = opened(replaced).read()
    assert theirs is not None
    with pytest.raises(Refused, match="another state"):
        opened(place).push(theirs)
    opened(place).push(theirs, another_lineage=True)
    assert nonces_at(place) == {"c"}
    run_of(place, "d")
    assert nonces_at(place) == {"c", "d"}


def test_another_lineage_may_be_removed_and_put_back(replaced: str, folder: Path, place: str) -> None:
    assert opened(place).remove()
    assert opened(place).read()[0] is None
    shutil.copy(Path(replaced) / DB, folder / DB)
    assert nonces_at(place) == {"c"}


NOTHING_SAID = ["", "x", "{}", '{"lineage": 7, "serial": 9}', '{"lineage": "a"', "[1]", "\0" * 99]


@pytest.mark.parametrize("text", NOTHING_SAID)
def test_a_lock_file_that_says_nothing_is_no_matter(folder: Path, place: str, text: str) -> None:
    run_of(place, "a")
    (folder / LOCK).write_text(text)
    run_of(place, "b")
    assert nonces_at(place) == {"a", "b"}
    assert json.loads((folder / LOCK).read_text())["serial"] == 2


def test_whoever_frees_or_takes_the_lock_leaves_what_was_committed(folder: Path, place: str) -> None:
    run_of(place, "a")
    with opened(place).lock(holder(), 0):
        assert len((folder / LOCK).read_text().splitlines()) == 2
        run_without_lock = opened(place)
        run_without_lock.commit(adds("b"), run_without_lock.read()[1])
        run_without_lock.finish()
    opened(place).unlock()
    assert json.loads((folder / LOCK).read_text())["serial"] == 1


# --- reading without the right to write --------------------------------------------------


def test_reading_makes_nothing(folder: Path, place: str) -> None:
    assert opened(place).read() == (None, NEVER_WRITTEN)
    assert not folder.exists()


def test_a_read_only_database_is_read_and_not_written(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so here SQLite is told to open it so."""
    revision = written(place, "a")
    read_only(monkeypatch)
    assert opened(place).read()[1] == revision
    with pytest.raises(StateUnwritable) as caught:
        opened(place).commit(adds("b"), revision)
    assert "permission" in caught.value.hint


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every database opened as where this user may not write."""
    connect = sqlite3.connect

    def connected(path: str, **more: object) -> sqlite3.Connection:
        return connect(path.replace("mode=rwc", "mode=ro").replace("mode=rw", "mode=ro"), **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connected)


def hot(folder: Path) -> bytes:
    """Leave the database as a process killed amid its commit does; return it as it was before."""
    before = (folder / DB).read_bytes()
    with closing(sqlite3.connect(folder / DB, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE record SET value = '[]'")
        database.execute("UPDATE head SET serial = 99")
        database.execute("PRAGMA user_version = 9")  # the first page, which a commit changes last
        journal = (folder / f"{DB}-journal").read_bytes()
        database.execute("COMMIT")
    # What SQLite does at the commit: the number of pages, once they are on the disk.
    magic = bytes.fromhex("d9d505f920a163d7ffffffff")
    (folder / f"{DB}-journal").write_bytes(magic + journal[len(magic) :])
    return before


def test_what_a_killed_run_left_half_done_is_undone_by_the_next_reader(folder: Path, place: str) -> None:
    revision = written(place, "a", "b")
    before = hot(folder)
    assert opened(place).read()[1] == revision
    assert not (folder / f"{DB}-journal").exists()
    assert (folder / DB).read_bytes() == before


def test_a_reader_who_may_not_undo_it_says_so(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, "a", "b")
    hot(folder)
    read_only(monkeypatch)
    with pytest.raises(StateError) as caught:
        opened(place).read()
    assert "amid a write" in caught.value.detail
    assert (folder / f"{DB}-journal").exists()


def test_a_copy_without_the_journal_is_refused_or_right(folder: Path, place: str) -> None:
    """A cache that kept only ``*.db``, of a folder in which a run was killed: half of a commit."""
    written(place, "a", "b")
    before = hot(folder)
    after = (folder / DB).read_bytes()
    (folder / f"{DB}-journal").unlink()
    for page in range(0, len(before), 4096):
        (folder / DB).write_bytes(before[:page] + after[page:])
        with contextlib.suppress(StateDamaged):
            assert nonces_at(place) == {"a", "b"}


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("mine")
    with pytest.raises(StateError) as caught:
        opened(str(place)).read()
    assert "--state" in caught.value.hint
    with pytest.raises(StateUnwritable):
        opened(str(place)).commit(adds("a"), NEVER_WRITTEN)
    assert place.read_text() == "mine"


class CommittedMeanwhile(LocalStore):
    """A store beside which another run makes the first commit of all, amid a reading."""

    def _head_in(self, connection: sqlite3.Connection) -> sql.Head | None:
        head = super()._head_in(connection)
        if head is None:
            opened(str(Path(self.path).parent)).commit(adds("a"), NEVER_WRITTEN)
        return head


def test_a_first_commit_amid_a_reading_is_no_damage(folder: Path, place: str) -> None:
    folder.mkdir()
    (folder / DB).touch()
    document, _revision = CommittedMeanwhile(place, 5, API, "test").read()
    assert document is not None
    assert set(document.intents) == {"a"}


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file_is_refused_without_hanging(folder: Path, place: str, kind: str) -> None:
    revision = written(place, "a", "b")
    (folder / DB).unlink()
    if kind == "folder":
        (folder / DB).mkdir()
    else:
        os.mkfifo(folder / DB)
    with pytest.raises(StateError):
        opened(place).read()
    with pytest.raises(StateError):
        opened(place).commit(adds("c"), revision)


def test_a_file_system_without_locks_is_named(place: str) -> None:
    locks = sqlite3.OperationalError("disk I/O error")
    locks.sqlite_errorcode = sqlite3.SQLITE_IOERR_LOCK
    for error in (locks, OSError(37, "No locks available")):
        for writing in (False, True):
            assert "no locks" in in_words("there", error, writing).detail


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_lock_that_cannot_be_taken_at_all_is_told_from_one_that_is_held(
    number: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_fd: int, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(StateUnwritable) as caught, opened(place).lock(holder(), 0.0):
        pass
    assert "its file system has no locks" in caught.value.detail
    assert "--state on a local disk" in caught.value.hint


# --- what is refused ---------------------------------------------------------------------


def refused(place: str, error: type[StateError]) -> StateError:
    """Reading and committing refuse it, and neither changes a byte."""
    folder = Path(place)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(error) as caught:
        opened(place).read()
    with pytest.raises(error):
        opened(place).commit(adds("x"), NEVER_WRITTEN)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: data for name, data in after.items() if data} == {
        name: data for name, data in before.items() if data
    }
    assert caught.value.detail
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("text", [b"{", b"{}\n" * 3000, b"\0" * 8192])
def test_what_is_no_database_is_refused(folder: Path, place: str, text: bytes) -> None:
    written(place, "a")
    (folder / DB).write_bytes(text)
    assert f"{DB}.backup" in refused(place, StateDamaged).hint


def test_a_database_of_something_else_is_refused(folder: Path, place: str) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / DB)) as database:
        database.execute("CREATE TABLE mine (x)")
    assert "no state in it" in refused(place, StateDamaged).detail


def changed(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / DB)) as database, database:
        assert database.execute(statement).rowcount


CHANGES = {
    "a value": "UPDATE record SET value = replace(value, '738000', '738001'), key = key || 'x'",
    "a row gone": "DELETE FROM record WHERE key = 'a'",
    "a serial": "UPDATE head SET serial = serial + 1",
    "a field": "UPDATE head SET fields = replace(fields, '9.9.9', '9.9.8')",
    "no head": "DELETE FROM head",
    "no text": "UPDATE record SET value = x'ff' WHERE key = 'a'",
    "an unreadable head": "UPDATE head SET fields = 'x'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_row_is_damage(folder: Path, place: str, change: str) -> None:
    written(place, "a", "b")
    changed(folder, change)
    refused(place, StateDamaged)


def test_a_newer_state_is_refused(folder: Path, place: str) -> None:
    written(place, "a")
    changed(folder, """UPDATE head SET fields = replace(fields, '"version":1', '"version":2')""")
    refused(place, StateNewer)


def test_another_teams_database_is_foreign(folder: Path, place: str) -> None:
    written(place, "a")
    (folder / DB).rename(folder / "team-6.db")
    with pytest.raises(StateForeign) as caught:
        opened(place, team_id=6).read()
    assert "team 5" in caught.value.detail


def test_a_foreign_api_cannot_steer_a_terminal(folder: Path, place: str) -> None:
    written(place, "a")
    escape = "\\u001f\\n::error::x"
    changed(folder, f"UPDATE head SET fields = replace(fields, '{API}', '{escape}')")
    assert refused(place, StateForeign).detail.isprintable()


def test_a_team_that_is_no_number_names_no_file(folder: Path) -> None:
    with pytest.raises(ValueError):
        LocalStore(str(folder), "../../5", API, "w")  # type: ignore[arg-type]


def test_a_state_that_vanishes_during_a_run_is_not_started_over(folder: Path, place: str) -> None:
    store = opened(place)
    revision = store.commit(adds("a"), NEVER_WRITTEN)
    (folder / DB).unlink()
    with pytest.raises(StateDamaged, match="is gone"):
        store.commit(adds("b"), revision)
    assert opened(place).read() == (None, NEVER_WRITTEN)


def test_every_flipped_bit_is_refused_or_changes_nothing(folder: Path, place: str) -> None:
    """Whichever bit: a wrong id or date would load days again."""
    written(place, "a", "b", "c")
    known = opened(place).read()[0]
    assert known is not None
    rng = random.Random(7)
    data = (folder / DB).read_bytes()
    for bit in rng.sample(range(8 * len(data)), 600):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / DB).write_bytes(flipped)
        with contextlib.suppress(StateError):
            read = opened(place).read()[0]
            assert read is not None
            assert (read.intents, read.backfills) == (known.intents, known.backfills), bit


def test_what_a_lock_file_says_cannot_steer_a_terminal(folder: Path, place: str) -> None:
    told = {"id": "a\x1b]0;x\x07", "who": "x\n::warning::y", "operation": "\u202eapply", "host": "h" * 9999}
    holder = holder_of(json.dumps({**told, "when": "2026-01-01T00:00:00Z", "pid": 1}).encode())
    assert holder is not None
    words = locked(holder, "there", "").detail
    assert words.isprintable()
    assert len(words) < 1000
