"""The real local store, with a point before and after everything it does to the disk.

At each point a process may be killed, frozen or overtaken. A kill inside a transaction leaves the files as
they are then, with SQLite's journal, or half of the commit written. After a kill nothing is written: every
call raises again. The answer to a commit may be lost, as over a network: the store looks whether it was kept,
and much may happen before it does.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulation_stage import Killed

from reconciler.errors import StateConflict
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document
from reconciler.stores import files
from reconciler.stores.base import LockInfo, Revision
from reconciler.stores.database import Unanswered
from reconciler.stores.files import BUSY
from reconciler.stores.holders import Waits, untold
from reconciler.stores.local import LocalStore
from reconciler.stores.sql import Known

if TYPE_CHECKING:
    from simulation_process import Process
    from simulation_stage import Stage

PAGE = 4096
MAGIC = bytes.fromhex("d9d505f920a163d7ffffffff")  # begins a journal that counts, of as many pages as it has
POLL = 0.05  # seconds


@dataclass(frozen=True)
class Unheard:
    """A commit without an answer: whether it was kept, when the store looks, and whether it can then."""

    kept: bool
    seconds: float
    readable: bool

    def __str__(self) -> str:
        return "kept" if self.kept else "not kept"


class PointedStore(LocalStore):
    """The store with points inside its commits."""

    def __init__(self, process: Process, folder: str, team_id: int, api: str) -> None:
        super().__init__(folder, team_id, api, "simulation", sleep=process.sleep)
        self._process = process
        self.wreck: tuple[bytes, bytes] | None = None
        self._unheard: Unheard | None = None

    def _keep(self, connection: sqlite3.Connection) -> None:
        self._process.stage.inside[self.path] = self._process
        try:
            self._process.point("inside")
        except Killed:
            self.wreck = _wreck(self.path, connection, half=self._process.tears())
            raise
        unheard = self._unheard = self._process.unheard()
        if unheard is None or unheard.kept:
            super()._keep(connection)
        if unheard is not None:
            raise Unanswered(sqlite3.OperationalError(f"no answer: {unheard}"))

    def _at_rest(self) -> Known | None:
        unheard, self._unheard = self._unheard, None
        if unheard is not None:
            self.come_out()
            self._process.pause(unheard.seconds)
            self.wait_for_others()  # it may have to be committed once more
            if not unheard.readable:
                raise sqlite3.OperationalError("still no answer")
        return super()._at_rest()

    def _copy_to(self, copy: str) -> None:
        self._process.stage.inside[self.path] = self._process
        self._process.point("backup")
        super()._copy_to(copy)
        self._process.point("backed-up")

    def wait_for_others(self) -> None:
        """Wait as SQLite does while another process has a transaction; after 30 s it is told so."""
        inside, waited = self._process.stage.inside, 0.0
        while self.path in inside and waited < BUSY:
            self._process.pause(POLL)
            waited += POLL

    def come_out(self) -> None:
        """The transaction is over; of one that a kill ended, put back what it left."""
        if self._process.stage.inside.get(self.path) is self._process:
            del self._process.stage.inside[self.path]
        if self.wreck is not None:
            for name, data in zip((self.path, f"{self.path}-journal"), self.wreck, strict=True):
                Path(name).write_bytes(data)
            self.wreck = None


class PersonsStore(LocalStore):
    """A person's command. A frozen run may be amid a commit: a person would try again later."""

    def __init__(self, stage: Stage, folder: str, team_id: int, api: str) -> None:
        super().__init__(folder, team_id, api, "a person")
        self._stage = stage

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        if self.path in self._stage.inside:
            raise StateConflict("The state is being written")
        return super().commit(delta, expected)


def _wreck(path: str, connection: sqlite3.Connection, half: bool) -> tuple[bytes, bytes]:
    """Return the database and its journal as a process killed now leaves them, or one killed amid its COMMIT.

    Then the journal counts, and of the pages every other one is written.
    """
    connection.execute("PRAGMA user_version = 1")  # the first page, which a commit changes last
    database, journal = Path(path), Path(f"{path}-journal").read_bytes()
    before = database.read_bytes()
    if not half:
        return before, journal
    connection.execute("COMMIT")
    after = database.read_bytes()
    pages = range(0, len(after), PAGE)
    mixed = b"".join((before if at // PAGE % 2 else after)[at : at + PAGE] or bytes(PAGE) for at in pages)
    return mixed, MAGIC + journal[len(MAGIC) :]


@contextmanager
def told_at_once() -> Iterator[None]:
    """Have SQLite wait for nobody: nothing else would happen meanwhile."""
    before, files.BUSY = files.BUSY, 0.0
    try:
        yield
    finally:
        files.BUSY = before


class WatchedStore:
    """A ``StateStore`` of one simulated process."""

    def __init__(self, process: Process, inner: PointedStore, committed: Callable[[Delta], None]) -> None:
        self._process = process
        self._inner = inner
        self._committed = committed

    def read(self) -> tuple[Document | None, Revision]:
        self._process.point("read")
        found = self._inner.read()
        self._process.point("was-read")
        return found

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        self._process.point("commit")
        self._process.truth.note_intended(delta, self._process.flags.key)
        self._inner.wait_for_others()
        try:
            revision = self._inner.commit(delta, expected)
        finally:
            self._inner.come_out()
        self._committed(delta)
        self._process.point("committed")
        return revision

    @contextmanager
    def lock(self, info: LockInfo, timeout: float, waits: Waits = untold) -> Iterator[None]:
        self._process.point("lock")
        with self._inner.lock(info, timeout):
            self._process.point("locked")
            yield

    def holds_lock(self) -> bool:
        self._process.point("holds-lock")
        return self._inner.holds_lock()

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        return self._inner.unlock(lock_id)

    def finish(self) -> None:
        self._process.point("finish")
        self._inner.finish()
        self._process.point("finished")

    def close(self) -> None:
        self._inner.close()

    def drop_dead(self) -> None:
        """Do what the kernel does when a process dies: its lock is free, its files stay as they are."""
        hold, self._inner._run_lock._hold = self._inner._run_lock._hold, None
        if hold is not None:
            os.close(hold.fd)
