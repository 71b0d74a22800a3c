"""The self-test of a place for states, by hand: each promise of a store, tried there on a scratch document.

The document is that of a team of its own, by chance, which none of the vendor's is: so two self-tests of one
place do not meet. Nothing of it is left.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.engine.check import Check, failing
from reconciler.errors import (
    ReconcilerError,
    StateConflict,
    StateError,
    StateForeign,
    StateLocked,
    StateOldCopy,
)
from reconciler.model.deltas import Delta
from reconciler.model.memory import Acceptance
from reconciler.stores.base import NEVER_WRITTEN, Revision, StateStore, this_process
from reconciler.stores.ownership import SCRATCH_TEAMS
from reconciler.stores.urls import is_on_disk, open_store

_API = "https://self-test.invalid"  # what the scratch document says that it is for
_NOT_TRUSTED = "Do not keep a state there: days could be created twice."


class _Broken(StateError):
    """A promise that was not kept."""

    def __init__(self, detail: str) -> None:
        super().__init__("It does not hold", f"{detail}.", _NOT_TRUSTED)


@dataclass(slots=True)
class _Scratch:
    """The scratch place at a URL. ``made`` are the folders above it that were not there before."""

    url: str
    written_by: str
    team_id: int = field(default_factory=lambda: secrets.choice(SCRATCH_TEAMS))
    made: list[str] = field(default_factory=list)
    stores: list[StateStore] = field(default_factory=list)

    def opened(self, heard: Callable[[], None] = lambda: None) -> StateStore:
        """Return it as another process would open it."""
        store = open_store(self.url, self.team_id, _API, self.written_by, heard=heard)
        self.stores.append(store)
        return store

    def reach(self) -> str:
        store = self.opened()
        folder = os.path.dirname(store.where) if is_on_disk(self.url) else ""
        while folder and not os.path.lexists(folder):
            self.made.append(folder)
            folder = os.path.dirname(folder)
        store.read()
        return f"{store.where} can be read"

    def clear(self) -> None:
        self.opened().erase()
        for store in self.stores:
            store.close()
        for folder in self.made:
            with suppress(OSError):
                os.rmdir(folder)


def self_test(url: str, written_by: str, lock: bool = True) -> Iterator[Check]:
    """Try a place, and tell each promise as it was tried; without ``lock`` as runs without one need it.

    Raises ``UsageError`` for what names no place.
    """
    scratch = _Scratch(url, written_by)
    reached = _tried("reach", scratch.reach)
    yield reached
    if not reached.ok:
        yield _untried("the rest", "the place has to be reached first")
        return
    try:
        yield from _promises(scratch, lock)
    except BaseException:
        with suppress(ReconcilerError):
            scratch.clear()
        raise
    yield _cleared(scratch)


def _promises(scratch: _Scratch, lock: bool) -> Iterator[Check]:
    created = _tried("create", lambda: _create(scratch))
    yield created
    if not created.ok:
        yield _untried("the rest", "a state has to be begun there first")
        return
    yield _tried("stale", lambda: _stale(scratch))
    yield _tried("answer", lambda: _lost_answer(scratch))
    yield _tried("refusal", lambda: _lost_refusal(scratch))
    if not lock:
        yield _untried("lock", "--no-lock was given")
        yield _untried("memory", "what was committed last is noted as a lock is given back")
        return
    locked = _tried("lock", lambda: _lock(scratch))
    yield locked
    if locked.ok:
        yield _tried("memory", lambda: _memory(scratch))
    else:
        yield _untried("memory", "what was committed last is noted as a lock is given back")


def _tried(about: str, promise: Callable[[], str]) -> Check:
    try:
        return Check(about, promise())
    except StateError as error:
        return failing(about, error)


def _untried(about: str, why: str) -> Check:
    return Check(about, f"not looked at: {why}", None)


def _cleared(scratch: _Scratch) -> Check:
    try:
        scratch.clear()
    except StateError as error:
        told = f"what was tried there could not be removed. {error.detail}"
        return Check("removed", told, None, f"Remove what is named team-{scratch.team_id} there by hand.")
    return Check("removed", "nothing is left there")


# --- the promises -----------------------------------------------------------------------------


def _create(scratch: _Scratch) -> str:
    """Of two that begin a state at once one wins."""
    stores = [scratch.opened(), scratch.opened()]

    def begin(number: int) -> Revision | None:
        with suppress(StateConflict, StateForeign):  # of the other's lineage, or of the same
            return stores[number].commit(_mark(number), NEVER_WRITTEN)
        return None

    with ThreadPoolExecutor(2) as pool:
        won = [revision for revision in pool.map(begin, (0, 1)) if revision is not None]
    if len(won) != 1:
        raise _Broken(f"Two that began a state at once: {len(won)} of them were told that they did")
    _expect(scratch, won[0])
    return "of two that begin a state at once, one does"


def _stale(scratch: _Scratch) -> str:
    _overtake(scratch, scratch.opened(), 2)
    return "a commit that rests on an older state is refused, and leaves no trace"


def _overtake(scratch: _Scratch, ours: StateStore, number: int) -> None:
    """Commit what another has read before, then have it try."""
    _document, revision = ours.read()
    newer = scratch.opened().commit(_mark(number), revision)
    _refused(ours, revision)
    _expect(scratch, newer)


def _lost_answer(scratch: _Scratch) -> str:
    store = scratch.opened(_Lost())
    _document, revision = store.read()
    newer = store.commit(_mark(3), revision)
    if newer.serial != revision.serial + 1:
        raise _Broken("A commit whose answer was lost was made twice")
    _expect(scratch, newer)
    return "a commit that landed, and whose answer is lost, is known again and not repeated"


def _lost_refusal(scratch: _Scratch) -> str:
    _overtake(scratch, scratch.opened(_Lost()), 4)
    return "a commit that did not land, and whose answer is lost, is not believed"


def _lock(scratch: _Scratch) -> str:
    ours, theirs = scratch.opened(), scratch.opened()
    with ours.lock(this_process("state check", datetime.now(UTC)), 0.0):
        if not ours.holds_lock():
            raise _Broken("A lock that was taken is not held")
        with suppress(StateLocked):
            _take(theirs)
            raise _Broken("Two runs held the lock at once")
    _take(theirs)
    return "held against another run, and free afterwards"


def _take(store: StateStore) -> None:
    with store.lock(this_process("state check", datetime.now(UTC)), 0.0):
        pass


def _memory(scratch: _Scratch) -> str:
    """What was committed when a run ended is remembered: that it is gone is seen."""
    store = scratch.opened()
    with store.lock(this_process("state check", datetime.now(UTC)), 0.0):
        store.commit(_mark(5), store.read()[1])
        store.finish()
    store.erase(memory=False)
    with suppress(StateOldCopy):
        scratch.opened().read()
        raise _Broken("A state that is gone was not missed")
    return "a state that is gone, or an older copy, is noticed"


# --- their means ------------------------------------------------------------------------------


class _Lost:
    """Loses the first answer."""

    def __init__(self) -> None:
        self.lost = False

    def __call__(self) -> None:
        if not self.lost:
            self.lost = True
            raise OSError("the answer was lost: this is a self-test")


def _mark(number: int) -> Delta:
    return Delta(acceptances=(Acceptance(number, number, 0),))


def _refused(store: StateStore, expected: Revision) -> None:
    """Try a commit that must be refused."""
    with suppress(StateConflict):
        store.commit(_mark(9), expected)
        raise _Broken("A commit that rests on an older state was taken")


def _expect(scratch: _Scratch, revision: Revision) -> None:
    """What another process reads is what was committed last."""
    _document, there = scratch.opened().read()
    if there != revision:
        raise _Broken(f"Serial {revision.serial} was committed last, and serial {there.serial} is read")
