"""A document that moves from one place to another, killed anywhere; and the self-test of a place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract import OPENED, TEAM, WRITER, Document, adds, nonces_at, opened, written
from faulty_os import WRITES, Killed, Trouble, troubled
from git_servers import SERVERS, Remote

from reconciler.engine.migration import move
from reconciler.engine.selftest import self_test
from reconciler.errors import (
    Interrupted,
    ReconcilerError,
    Refused,
    StateConflict,
    StateMoved,
    StateOldCopy,
    StateRefused,
    StateUnwritable,
    UsageError,
)
from reconciler.model.memory import NONCES_KEPT
from reconciler.stores import local, ownership
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.database import StateDatabase
from reconciler.stores.gitrepo import GitRepo
from reconciler.stores.gitwords import GitFailed
from reconciler.stores.locks import RunLock
from reconciler.stores.urls import open_store, place_of

Way = tuple[str, str]
PLACES = {"folder": ("one", "two"), "Git": ("git:origin#one", "git:origin#two")}
WAYS = {f"{a} to {b}": (PLACES[a][0], PLACES[b][1]) for a in PLACES for b in PLACES}
IN_GIT = ("pwrite", "ftruncate", "sql")  # what the stores do besides; a process of git has files of its own


@pytest.fixture
def remote(tmp_path: Path, away_from_home: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    with SERVERS["path"](tmp_path / "served" / "team.git") as made:
        monkeypatch.chdir(made.clone(tmp_path))
        yield made


@pytest.fixture(
    params=[pytest.param(one, marks=pytest.mark.proof if one.startswith("Git") else ()) for one in WAYS]
)
def way(request: pytest.FixtureRequest, remote: Remote) -> Way:
    return WAYS[request.param]


def moved(way: Way) -> int:
    """Move as a fresh process would; return the serial there."""
    source, target = (opened(place, sleep=lambda seconds: None) for place in way)
    return move(source, target, place_of(way[1])).serial


def living(place: str) -> Document | None:
    """Return the document that a run would go on with."""
    try:
        return opened(place).read()[0]
    except StateOldCopy:
        return None


def whole(place: str) -> set[str]:
    """Return what the document there knows, also while it is on its way."""
    document, _revision = opened(place).read(retired=True)
    return set(document.intents) if document else set()


# --- moving -------------------------------------------------------------------------------


def test_all_goes_over_and_the_old_place_says_where(way: Way) -> None:
    before = written(way[0], "a", "b")
    old, _revision = opened(way[0]).read()
    assert old is not None
    assert moved(way) == before.serial + 1
    new, revision = opened(way[1]).read()
    assert new is not None
    assert new == replace(old, serial=revision.serial, commits=(*old.commits, revision.token))
    for act in (
        lambda store: store.read(),
        lambda store: store.commit(adds("x"), before),
        lambda store: store.commit(adds("x"), NEVER_WRITTEN),
    ):
        with pytest.raises(StateMoved) as caught:
            act(opened(way[0]))
        assert caught.value.to == place_of(way[1])
        assert caught.value.to in caught.value.detail
    assert moved(way) == revision.serial  # once more is no second move
    opened(way[1]).commit(adds("c"), revision)
    assert nonces_at(way[1]) == {"a", "b", "c"}


def test_a_run_that_goes_on_with_the_old_place_is_turned_away(way: Way) -> None:
    """It has read before the move, and holds no lock."""
    before = written(way[0], "a")
    running = opened(way[0], sleep=lambda seconds: None)
    _document, revision = running.read()
    opened(way[0]).retire(before, "elsewhere")
    with pytest.raises(StateMoved):
        running.commit(adds("x"), revision)
    running.finish()
    with pytest.raises(StateMoved):
        opened(way[0]).read()
    assert whole(way[0]) == {"a"}


FEW = ("pwrite",), ((GitRepo, "push"), (StateDatabase, "_keep"), (StateDatabase, "_prepare"))
"""Calls that change what lies somewhere; ``WRITES`` has each of the system, of git's own files too."""


@pytest.mark.parametrize(
    "after", [pytest.param(True, marks=pytest.mark.proof), False], ids=["after", "before"]
)
@pytest.mark.parametrize("calls", [FEW, pytest.param((WRITES, FEW[1]), marks=pytest.mark.proof)])
def test_a_move_that_is_killed_anywhere_goes_on(
    way: Way, calls: tuple[tuple[str, ...], Any], after: bool
) -> None:
    names = calls[0] if "git:" not in "".join(way) else (*FEW[0], *({"sql"} & {*calls[0]}))
    for number in range(199):
        here = (f"{way[0]}-{number}", f"{way[1]}-{number}")
        serial = written(here[0], "a", "b").serial
        trouble = Trouble(number, Killed, lasting=True, after=after)
        with troubled(trouble, names, calls[1]), suppress(Killed):
            moved(here)
        _goes_on(here, serial)
        if not trouble.happened:
            assert number > 2
            return
    raise AssertionError("the move has no end")


def _goes_on(here: Way, serial: int) -> None:
    """One place at most takes commits, and the move ends when it is run again."""
    first, second = living(here[0]), living(here[1])
    assert first is None or second is None
    assert {"a", "b"} in (whole(here[0]), whole(here[1]))
    assert moved(here) == serial + 1
    assert living(here[0]) is None
    assert nonces_at(here[1]) == {"a", "b"}


@pytest.mark.parametrize(
    "after", [pytest.param(True, marks=pytest.mark.proof), False], ids=["after", "before"]
)
@pytest.mark.parametrize(
    "there", [pytest.param(one, marks=pytest.mark.proof if "Git" in one else ()) for one in WAYS]
)
def test_a_move_back_that_is_killed_anywhere_goes_on(there: str, after: bool, remote: Remote) -> None:
    """No place of the two is ever blank: whoever uses that would begin anew."""
    way = WAYS[there]
    for number in range(199):
        here = (f"{way[0]}-{number}", f"{way[1]}-{number}")
        written(here[1], "a")
        moved((here[1], here[0]))
        serial = written(here[0], "b").serial
        trouble = Trouble(number, Killed, lasting=True, after=after)
        with troubled(trouble, *FEW), suppress(Killed):
            moved(here)
        for place in here:
            with suppress(StateOldCopy):
                assert opened(place).read() != (None, NEVER_WRITTEN)
        _goes_on(here, serial)
        if not trouble.happened:
            assert number > 2
            return
    raise AssertionError("the move has no end")


AWAY = ((GitRepo, "look"), (GitRepo, "push"))
ENDINGS: dict[str, tuple[Way, Callable[[], ReconcilerError | GitFailed], Any]] = {
    "interrupted, to Git": (WAYS["folder to Git"], lambda: Interrupted(2), (*FEW[1], *AWAY[:1])),
    "interrupted, to a folder": (WAYS["folder to folder"], lambda: Interrupted(2), FEW[1]),
    "away": (WAYS["folder to Git"], lambda: GitFailed("Could not resolve host"), AWAY),
    "shut out": (WAYS["folder to Git"], lambda: GitFailed("Permission denied (publickey)"), AWAY),
}


@pytest.mark.parametrize(
    "lasting", [True, pytest.param(False, marks=pytest.mark.proof)], ids=["for good", "once"]
)
@pytest.mark.parametrize(
    "after", [True, pytest.param(False, marks=pytest.mark.proof)], ids=["after", "before"]
)
@pytest.mark.parametrize(
    "ending", [pytest.param(one, marks=pytest.mark.proof if "to Git" in one else ()) for one in ENDINGS]
)
def test_a_move_that_an_error_ends_anywhere_goes_on(
    ending: str, lasting: bool, after: bool, remote: Remote
) -> None:
    """Also where it comes once the new place has the document, as its reading back fails, say."""
    places, error, calls = ENDINGS[ending]
    for number in range(99):
        here = (f"{places[0]}-{number}", f"{places[1]}-{number}")
        serial = written(here[0], "a", "b").serial
        trouble = Trouble(number, error, lasting=lasting, after=after)
        with troubled(trouble, (), calls), suppress(ReconcilerError):
            moved(here)
        _goes_on(here, serial)
        if not trouble.happened:
            return
    raise AssertionError("the move has no end")


def _refused_after(befalls: type[BaseException], way: Way, remote: Remote) -> None:
    """Have the first push to the new place end so, and every later one refused."""
    remote.refuse("refs/heads/two/*")
    with troubled(Trouble(0, befalls), (), ((GitRepo, "push"),)), suppress(Killed):
        moved(way)


def test_what_may_land_later_keeps_the_old_place_retired(remote: Remote) -> None:
    """A push that timed out may go on at the host, whatever it says to the next one; and to the next move."""
    way = WAYS["folder to Git"]
    written(way[0], "a")
    with pytest.raises(StateUnwritable, match="could not be written") as caught:
        _refused_after(OSError, way, remote)
    assert not isinstance(caught.value, StateRefused)
    assert "run it again" in caught.value.detail
    with pytest.raises(StateRefused):
        moved(way)
    with pytest.raises(StateMoved, match="being moved") as told:
        opened(way[0]).read()
    assert f"reconciler state migrate {Path('one').resolve()} '{way[1]}'" in told.value.hint
    remote.refuse("")
    assert (moved(way), nonces_at(way[1])) == (2, {"a"})


def test_only_what_moves_is_removed_as_moved(way: Way) -> None:
    """Somebody took it back meanwhile, and may have gone on."""
    revision = written(way[0], "a")
    opened(way[0]).retire(revision, "elsewhere")
    opened(way[0]).retire(revision, "")
    for place in way:
        with pytest.raises(StateConflict, match="Another run"):
            opened(place).remove(retired=True)
    opened(way[0]).commit(adds("b"), revision)
    assert nonces_at(way[0]) == {"a", "b"}


def test_there_and_back_again(way: Way) -> None:
    written(way[0], "a")
    assert moved(way) == 2
    assert moved((way[1], way[0])) == 3
    with pytest.raises(StateMoved):
        opened(way[1]).read()
    revision = opened(way[0]).read()[1]
    opened(way[0]).commit(adds("b"), revision)
    assert moved(way) == 5
    assert nonces_at(way[1]) == {"a", "b"}


def test_a_move_broken_off_may_turn_round(way: Way) -> None:
    """The new place has it, the old one was not emptied, and a person goes back."""
    revision = written(way[0], "a")
    opened(way[0]).retire(revision, place_of(way[1]))
    document, _revision = opened(way[0]).read(retired=True)
    assert document is not None
    opened(way[1]).push(document)
    assert moved((way[1], way[0])) == 3
    assert (living(way[1]), nonces_at(way[0])) == (None, {"a"})


# --- what is refused ----------------------------------------------------------------------


def _an_older_copy(way: Way) -> None:
    written(way[1], "a")
    document, _revision = opened(way[1]).read()
    assert document is not None
    revision = opened(way[0]).push(document)
    opened(way[0]).commit(adds("b"), revision)


def test_an_older_copy_at_the_new_place_is_replaced(way: Way) -> None:
    _an_older_copy(way)
    assert moved(way) == 4
    assert nonces_at(way[1]) == {"a", "b"}


def test_what_is_there_already_and_more_stays(way: Way) -> None:
    """The old place has the older copy: it is retired all the same."""
    _an_older_copy(way)
    assert moved((way[1], way[0])) == 3
    assert (living(way[1]), nonces_at(way[0])) == (None, {"a", "b"})
    with pytest.raises(StateMoved):
        opened(way[1]).read()


def _knows_more(way: Way) -> None:
    _an_older_copy(way)
    opened(way[1]).commit(adds("c"), opened(way[1]).read()[1])


def _moved_elsewhere(way: Way) -> None:
    opened(way[0]).retire(written(way[0], "a"), "elsewhere")


def _grew_apart(way: Way) -> None:
    """Of two lives of one state the longer one names no commit of the other any more."""
    _an_older_copy(way)
    written(way[1], "c")
    written(way[0], *(f"n{number}" for number in range(NONCES_KEPT + 2)))


REFUSED: dict[str, tuple[Callable[[Way], object], type[ReconcilerError], str]] = {
    "nothing to move": (lambda way: written(way[1], "a"), Refused, "no state to move"),
    "another lineage": (lambda way: (written(way[0], "a"), written(way[1], "b")), Refused, "is taken"),
    "what FROM does not know": (_knows_more, Refused, "is taken"),
    "what FROM may not know": (_grew_apart, Refused, "is taken"),
    "on its way elsewhere": (_moved_elsewhere, StateMoved, "being moved"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_moved_stays(case: str, way: Way) -> None:
    prepare, error, words = REFUSED[case]
    prepare(way)
    before = [(whole(place), living(place)) for place in way]
    with pytest.raises(error, match=words):
        moved(way)
    assert [(whole(place), living(place)) for place in way] == before


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_is_not_moved_into_itself(kind: str, remote: Remote, tmp_path: Path) -> None:
    """Not under another name either: the lock would tell, and with it off the memory does."""
    place = PLACES[kind][0]
    written(place, "a")
    (tmp_path / "link").symlink_to(Path(place).resolve())
    for other in (place, f"git:{remote.url}#one" if kind == "Git" else str(tmp_path / "link")):
        with pytest.raises(UsageError, match="same place"):
            moved((place, other))
        assert living(place) is not None


@pytest.mark.parametrize("source", ["one", "git:origin#one"])
def test_what_the_new_place_surely_did_not_take_stays(source: str, remote: Remote) -> None:
    way = (source, "git:origin#two")
    revision = written(way[0], "a")
    remote.refuse("refs/heads/two/*")
    with pytest.raises(StateRefused):
        moved(way)
    opened(way[0]).commit(adds("b"), revision)
    remote.refuse("")
    moved(way)
    assert nonces_at(way[1]) == {"a", "b"}


def test_what_may_have_arrived_is_looked_for_by_the_next_move(way: Way) -> None:
    def lost() -> None:
        raise OSError("the answer was lost")

    written(way[0], "a")
    source = opened(way[0])
    target = open_store(way[1], TEAM, source._blank.api_url, WRITER, heard=lost)  # type: ignore[attr-defined]
    OPENED.append(target)
    try:
        move(source, target, place_of(way[1]))
    except StateUnwritable:
        assert living(way[0]) is None
    assert moved(way) == 2
    assert nonces_at(way[1]) == {"a"}


def test_a_moved_state_is_not_gone_on_with_by_other_ways(way: Way) -> None:
    written(way[0], "a")
    moved(way)
    document, _revision = opened(way[1]).read()
    assert document is not None
    for act in (lambda store: store.push(document), lambda store: store.accept_old_copy()):
        with pytest.raises(Refused, match="moved"):
            act(opened(way[0]))
    opened(way[0]).remove()  # that is to start over
    assert opened(way[0]).read() == (None, NEVER_WRITTEN)


def test_a_file_that_may_not_know_the_state_is_not_pushed(way: Way) -> None:
    _grew_apart(way)
    document, there = opened(way[0]).read()[0], opened(way[1]).read()
    assert document is not None
    with pytest.raises(Refused, match="may not know"):
        opened(way[1]).push(document)
    assert opened(way[1]).read() == there
    opened(way[1]).remove()
    opened(way[1]).push(document)  # a person has compared them
    assert nonces_at(way[1]) == nonces_at(way[0])


def test_of_a_state_that_grew_at_the_new_place_no_second_move_is_made(remote: Remote) -> None:
    """It was not removed at the old one, and cannot be told any more to be what grew."""
    way = WAYS["folder to folder"]
    written(way[0], "a")
    with troubled(Trouble(0, Killed, after=True), (), ((StateDatabase, "_keep"),)), suppress(Killed):
        moved(way)
    written(way[1], *(f"n{number}" for number in range(NONCES_KEPT)))
    with pytest.raises(Refused, match="is taken") as caught:
        moved(way)
    assert "go on there" in caught.value.hint
    assert (living(way[0]), whole(way[0])) == (None, {"a"})


def test_only_a_scratch_place_is_erased(way: Way) -> None:
    written(way[0], "a")
    with pytest.raises(ValueError, match="not there to be erased"):
        opened(way[0]).erase()
    assert nonces_at(way[0]) == {"a"}


# --- the self-test ------------------------------------------------------------------------


def left_in(remote: Remote) -> list[str]:
    return [ref for ref in remote.refs() if "team-" in ref]


def told(place: str, **how: Any) -> dict[str, bool | None]:
    return {check.about: check.ok for check in self_test(place, WRITER, **how)}


@pytest.mark.parametrize("place", ["state", "new/state", "git:origin#one"])
def test_a_sound_place_passes_and_nothing_is_left(place: str, remote: Remote) -> None:
    before = sorted(Path().iterdir())
    assert set(told(place).values()) == {True}
    assert (sorted(Path().iterdir()), left_in(remote)) == (before, [])


@pytest.mark.parametrize("place", ["state", "git:origin#one"])
def test_self_tests_of_one_place_at_once_do_not_meet(place: str, remote: Remote) -> None:
    """Nor does one meet what another left that was killed."""
    ours, theirs = self_test(place, WRITER), self_test(place, WRITER)
    assert [(one.ok, two.ok) for one, two in zip(ours, theirs, strict=True)] == [(True, True)] * 8
    assert left_in(remote) == []


HOSTS = {
    "nothing may be pushed": ("*", {"create": False, "the rest": None}),
    "branches only": ("refs/reconciler/*", {"lock": False, "memory": None, "answer": True}),
    "no branch of that name": ("refs/heads/one/*", {"create": False, "removed": True}),
}


@pytest.mark.parametrize("host", HOSTS)
def test_what_a_host_refuses_is_the_line_that_fails(host: str, remote: Remote) -> None:
    refs, expected = HOSTS[host]
    remote.refuse(refs)
    found = told("git:origin#one")
    assert {about: found[about] for about in expected} == expected
    assert left_in(remote) == []


def test_without_a_lock_it_is_not_missed(remote: Remote) -> None:
    remote.refuse("refs/reconciler/*")
    found = told("git:origin#one", lock=False)
    assert False not in found.values()
    assert found["lock"] is None


def _agrees(*_arguments: object) -> None:
    """Find nothing wrong."""


def _agrees_later(there: Revision, expected: Revision, source: str) -> None:
    if expected == NEVER_WRITTEN:
        ownership.check_expected(there, expected, source)


SABOTAGES: dict[str, tuple[object, str, object, str]] = {
    "any revision will do": (local, "check_expected", _agrees, "create"),
    "any later revision will do": (local, "check_expected", _agrees_later, "stale"),
    "it does for unheard commits": (local, "check_expected", _agrees_later, "refusal"),
    "a lost answer is a failure": (local, "Unanswered", KeyError, "answer"),
    "a lock that holds nobody": (RunLock, "take", _agrees, "lock"),
    "no memory": (local, "check_not_older", _agrees, "memory"),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_promise_that_is_not_kept_is_found(
    sabotage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, name, instead, about = SABOTAGES[sabotage]
    monkeypatch.setattr(home, name, instead)
    assert told(str(tmp_path / "state"))[about] is False


def test_of_an_unknown_place_usage_is_told(remote: Remote) -> None:
    for place in ("redis://x", "git:origin#a..b", "git:nowhere"):
        with pytest.raises(UsageError):
            told(place)
    assert not told("git:/nowhere/at/all.git")["reach"]
