"""The state in a folder: ``team-<id>.db``, one SQLite database (``database.py``), and its companions.

    team-5.db             the document, in rows (``sql.py``)
    team-5.db-journal     what a commit under way has to undo; SQLite's own, gone at rest
    team-5.db.backup      the database before the last run that changed it; .backup.older: an earlier one, of
                          a run before the one that began with nothing
    team-5.lock           held for a run; says who, and what was committed last when a run ended

If the database is a symbolic link, everything lies beside its target, under the target's name; so all links
to one state share its locks. A folder on NFS works if all hosts see each other's locks (``locks.py``) and
``fsync`` is honoured; a remote store is the better choice.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from reconciler.formats.staterows import Row, keys_dropped, rows_of
from reconciler.model.deltas import Delta, apply_delta, with_nonces
from reconciler.model.memory import Document
from reconciler.stores import sql
from reconciler.stores.base import LockInfo, Revision, revision_of
from reconciler.stores.database import StateDatabase, Unanswered
from reconciler.stores.files import make_folder, sync_folder
from reconciler.stores.holders import Committed, Waits, locked, untold
from reconciler.stores.locks import RunLock, Sleep
from reconciler.stores.ownership import (
    check_expected,
    check_not_older,
    check_owner,
    check_push,
    check_scratch,
    first_document,
    moving,
    next_of_old_copy,
    not_retired,
)
from reconciler.stores.sql import Known
from reconciler.stores.troubles import gone


class LocalStore(StateDatabase):
    """A ``StateStore`` in ``folder``, which is made with the first write."""

    def __init__(
        self,
        folder: str,
        team_id: int,
        api_url: str,
        written_by: str,
        *,
        sleep: Sleep = time.sleep,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        blank = Document(int(team_id), api_url, written_by=written_by)
        super().__init__(os.path.join(folder, f"team-{int(team_id)}.db"), blank, heard)
        self._lock_path = f"{self._path.removesuffix('.db')}.lock"
        self._run_lock = RunLock(self._lock_path, sleep)

    @property
    def path(self) -> str:
        """Return the database's path, links resolved."""
        return self._path

    @property
    def where(self) -> str:
        """See ``StateStore.where``."""
        return self._path

    @property
    def kept(self) -> str:
        """See ``StateStore.kept``."""
        return f"as {self._path}.backup"

    def read(self, retired: bool = False) -> tuple[Document | None, Revision]:
        """See ``StateStore.read``. SQLite undoes what a killed run left half done, where it may."""
        with self._mutex, self._worded(writing=False):
            committed = self._run_lock.committed()  # first: a later commit only makes the database newer
            known = self._at_rest()
            document = known.whole() if known else None
            if not (retired and committed is not None and committed.moved):
                check_not_older(revision_of(document), committed, self._path, gone)
            return document, revision_of(document)

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        """See ``StateStore.commit``."""
        rows, nonce = rows_of(delta), secrets.token_hex(8)
        with self._mutex, self._writing():
            try:
                return self._commit(delta, rows, nonce, expected)
            except Unanswered:
                known = self._at_rest()
            if known is not None and nonce in known.bare.commits:
                return Revision(known.bare.lineage, expected.serial + 1, nonce)
            return self._commit(delta, rows, nonce, expected)

    def _commit(self, delta: Delta, rows: list[Row], nonce: str, expected: Revision) -> Revision:
        with self._transaction() as connection:
            committed = self._run_lock.committed()  # inside: nobody retires the state from here on
            known = self._look(connection)
            before = known.bare if known else None
            check_not_older(revision_of(before), committed, self._path, gone)
            check_expected(revision_of(before), expected, self._path)
            self._prepare(connection, before)
            before = before or first_document(self._blank)
            bare = sql.bare(apply_delta(before, delta, nonce))
            bare = replace(bare, written_by=self._blank.written_by)
            head = sql.change(connection, known.head if known else None, bare, rows, keys_dropped(delta))
            assert head is not None, "nobody else writes inside our transaction"
            self._keep(connection)
        records, pending = (known.records, known.pending) if known else (before, [])
        self._known = Known(head, bare, records, [*pending, delta])
        return revision_of(bare)

    def push(self, document: Document, another_lineage: bool = False, returns: bool = False) -> Revision:
        """See ``StateStore.push``."""
        check_owner(document, self._blank, "The file")

        def pushed(there: Document | None, committed: Committed | None) -> Document:
            check_push(document, there, committed, another_lineage, returns)
            return replace(document, serial=document.serial + 1)

        return self._rewrite(pushed)

    def accept_old_copy(self) -> Revision:
        """See ``StateStore.accept_old_copy``."""
        return self._rewrite(lambda there, committed: next_of_old_copy(there or self._blank, committed))

    def _rewrite(self, made: Callable[[Document | None, Committed | None], Document]) -> Revision:
        with self._mutex, self._writing():
            committed = self._run_lock.committed()
            with self._transaction() as connection:
                known = self._look(connection)
                before = known.whole() if known else None
                document = made(before, committed)
                commits = with_nonces(document.commits, [secrets.token_hex(8)])
                document = replace(document, commits=commits)
                self._prepare(connection, before)
                sql.write_whole(connection, document)
                self._keep(connection)
            self._run_lock.note(Committed(document.lineage, document.serial))
            return revision_of(document)

    def retire(self, expected: Revision, to: str) -> None:
        """See ``StateStore.retire``: the lock file says where to, amid a transaction that changes nothing."""
        with self._mutex, self._writing(), self._transaction() as connection:
            before = self._run_lock.committed()
            there = revision_of(known.bare if (known := self._look(connection)) else None)
            check_expected(there, expected, self._path)
            if not self._run_lock.note(moving(there, before, to, self._path)):
                raise locked(self._run_lock.holder(), self._path, "")
            sync_folder(os.path.dirname(self._path))

    def remove(self, retired: bool = False) -> bool:
        """See ``StateStore.remove``."""
        with self._mutex, self._writing():
            if self._at_rest() is None:
                self._check_retired(retired)
                if not retired and self._run_lock.committed() is not None:  # one that is lost
                    self._run_lock.note(None)
                return False
            with self._transaction() as connection:
                self._check_retired(retired)
                self._prepare(connection, self._blank)
                if not retired:  # first: what is named there and gone would be an old copy
                    self._run_lock.note(None)
                os.unlink(self._path)
            self._known = None
            return True

    def _check_retired(self, expected: bool) -> None:
        committed = self._run_lock.committed()
        if expected and not (committed and committed.moved):
            raise not_retired(self._path)

    def erase(self, memory: bool = True) -> None:
        """See ``StateStore.erase``."""
        check_scratch(self._blank)
        ends = ("", "-journal", ".backup", ".backup.older", ".backup.tmp", ".backup.tmp-journal")
        with self._mutex, self._worded(writing=True):
            self._known = None
            for file in (*(f"{self._path}{end}" for end in ends), *([self._lock_path] if memory else [])):
                with suppress(FileNotFoundError):
                    os.unlink(file)

    def committed(self) -> Committed | None:
        """See ``StateStore.committed``."""
        with self._worded(writing=False):
            return self._run_lock.committed()

    def finish(self) -> None:
        """See ``StateStore.finish``: the lock file says what is committed."""
        with self._mutex, self._writing():
            if self._wrote and (known := self._at_rest()) is not None:
                committed = Committed(known.bare.lineage, known.bare.serial)
                self._run_lock.note(committed, though_moved=False)

    @contextmanager
    def lock(self, info: LockInfo, timeout: float, waits: Waits = untold) -> Iterator[None]:
        """See ``StateStore.lock``. Raises ``StateUnwritable`` when the lock file cannot be written."""
        with self._worded(writing=True):
            make_folder(os.path.dirname(self._path))
            self._run_lock.take(info, timeout, waits)
        try:
            yield
        finally:
            self._run_lock.release()

    def holds_lock(self) -> bool:
        """See ``StateStore.holds_lock``."""
        return self._run_lock.held()

    def holder(self) -> LockInfo | None:
        """See ``StateStore.holder``."""
        with self._worded(writing=False):
            return self._run_lock.holder()

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """See ``StateStore.unlock``. A living holder's lock is the kernel's to free."""
        with self._worded(writing=True):
            return self._run_lock.free(lock_id)

    def close(self) -> None:
        """See ``StateStore.close``. There is nothing but memory to release."""
        with self._mutex:
            self._known = None
