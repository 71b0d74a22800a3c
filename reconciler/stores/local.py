"""The state in a folder: ``team-<id>.db``, one SQLite database, and its companions.

    team-5.db             the document, in rows (``sql.py``)
    team-5.db-journal     what a commit under way has to undo; SQLite's own, gone at rest
    team-5.db.backup      the database before the last run that changed it; .backup.older: an earlier one, of
                          a run before the one that began with nothing
    team-5.lock           held for a run; says who, and what was committed last when a run ended

Only SQLite opens the database: closing a descriptor of our own would drop the locks that it holds. It is
opened anew each time, so no lock and no cache outlives a call, and a file that was put in its place is seen.
A commit is one transaction, durable once its journal's removal is (``synchronous=EXTRA``: with ``FULL`` a
power cut could bring the journal back, which undoes what was committed). What a killed run left half done
SQLite undoes when it is next opened; that takes the right to write.

If the database is a symbolic link, everything lies beside its target, under the target's name; so all links
to one state share its locks. A folder on NFS works if all hosts see each other's locks (``locks.py``) and
``fsync`` is honoured; a remote store is the better choice.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from reconciler.errors import StateUnwritable
from reconciler.formats.staterows import Row, keys_dropped, rows_of
from reconciler.model.deltas import Delta, apply_delta, with_nonces
from reconciler.model.memory import Document
from reconciler.stores import sql
from reconciler.stores.base import LockInfo, Revision, revision_of
from reconciler.stores.files import copy_database, make_folder, opened, rename
from reconciler.stores.holders import Committed, Waits, untold
from reconciler.stores.locks import RunLock, Sleep
from reconciler.stores.ownership import (
    check_expected,
    check_not_older,
    check_owner,
    check_push,
    first_document,
    next_of_old_copy,
)
from reconciler.stores.sql import Head, Known
from reconciler.stores.troubles import TROUBLES, damaged, gone, in_words, restore


class _Unanswered(sqlite3.Error):
    """A COMMIT failed: whether it was kept, only reading tells."""

    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class LocalStore:
    """A ``StateStore`` in ``folder``, which is made with the first write."""

    def __init__(
        self, folder: str, team_id: int, api_url: str, written_by: str, *, sleep: Sleep = time.sleep
    ) -> None:
        self._path = os.path.realpath(os.path.join(folder, f"team-{int(team_id)}.db"))
        self._blank = Document(int(team_id), api_url, written_by=written_by)
        self._run_lock = RunLock(f"{self._path.removesuffix('.db')}.lock", sleep)
        self._mutex = threading.RLock()
        self._known: Known | None = None
        self._backed_up = False
        self._wrote = False
        self._failed = False

    @property
    def path(self) -> str:
        """Return the database's path, links resolved."""
        return self._path

    def read(self) -> tuple[Document | None, Revision]:
        """See ``StateStore.read``. SQLite undoes what a killed run left half done, where it may."""
        with self._mutex, self._worded(writing=False):
            committed = self._run_lock.committed()  # first: a later commit only makes the database newer
            known = self._at_rest()
            document = known.whole() if known else None
            check_not_older(revision_of(document), committed, self._path, gone)
            return document, revision_of(document)

    def _at_rest(self) -> Known | None:
        """Look at what is there, in one short transaction."""
        try:
            regular = stat.S_ISREG(os.stat(self._path).st_mode)
        except FileNotFoundError:
            self._known = None
            return None
        if not regular:
            raise damaged(self._path, "it is not a regular file")
        with opened(self._path, "rw") as connection:
            connection.execute("BEGIN")
            return self._look(connection)

    def _look(self, connection: sqlite3.Connection) -> Known | None:
        """Return what it holds, from memory if its head is unchanged; ``None`` for an empty file."""
        head = self._head_in(connection)
        if head is None and os.stat(self._path).st_size:  # looked at once: the first commit may come any time
            head = self._head_in(connection)  # it has come since, or this is something else's
            if head is None:
                raise damaged(self._path, "it is a database, but has no state in it")
        if head is None:
            self._known = None
            return None
        if self._known is None or self._known.head != head:
            hint = restore(self._path)
            bare = sql.load_head(head, self._path, hint)
            check_owner(bare, self._blank, self._path)
            records = sql.load_records(connection, head, self._path, hint)
            self._known = Known(head, bare, replace(bare, **records))
        return self._known

    def _head_in(self, connection: sqlite3.Connection) -> Head | None:
        try:
            return sql.find_head(connection)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:  # that is: no such table
                raise
            return None

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        """See ``StateStore.commit``."""
        rows, nonce = rows_of(delta), secrets.token_hex(8)
        with self._mutex, self._writing():
            try:
                return self._commit(delta, rows, nonce, expected)
            except _Unanswered:
                known = self._at_rest()
            if known is not None and nonce in known.bare.commits:
                return Revision(known.bare.lineage, expected.serial + 1, nonce)
            return self._commit(delta, rows, nonce, expected)

    def _commit(self, delta: Delta, rows: list[Row], nonce: str, expected: Revision) -> Revision:
        committed = self._run_lock.committed()
        with self._transaction() as connection:
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

    def push(self, document: Document, another_lineage: bool = False) -> Revision:
        """See ``StateStore.push``."""
        check_owner(document, self._blank, "The file")

        def pushed(there: Document | None, committed: Committed | None) -> Document:
            check_push(document, there, committed, another_lineage)
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

    def remove(self) -> bool:
        """See ``StateStore.remove``."""
        with self._mutex, self._writing():
            if self._at_rest() is None:
                if self._run_lock.committed() is not None:  # one that is lost
                    self._run_lock.note(None)
                return False
            with self._transaction() as connection:
                self._prepare(connection, self._blank)
                self._run_lock.note(None)  # first: what is named there and gone would be an old copy
                os.unlink(self._path)
            self._known = None
            return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the database for a change; nobody else can begin one meanwhile."""
        make_folder(os.path.dirname(self._path))
        with opened(self._path, "rwc") as connection:
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def _keep(self, connection: sqlite3.Connection) -> None:
        """Commit. What is known is forgotten meanwhile: an interrupt may come between."""
        self._known = None
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _Unanswered(error) from error
        self._wrote = True

    def _prepare(self, connection: sqlite3.Connection, before: Document | None) -> None:
        """Before the first change of a run, keep what it begins with; make the tables where there are none.

        A run that begins with nothing leaves no older backup standing as if it were its own.
        """
        copy = f"{self._path}.backup"
        if before is None:
            os.chmod(self._path, 0o600)
            for table in sql.TABLES:
                connection.execute(f"{table} WITHOUT ROWID")
        if not self._backed_up and before is not None:
            self._copy_to(copy)
        elif not self._backed_up and os.path.lexists(copy):
            rename(copy, f"{copy}.older")
        self._backed_up = True

    def _copy_to(self, copy: str) -> None:
        copy_database(self._path, copy)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Word a failed write, and refuse every later one: what is durable is unknown by then."""
        if self._failed:
            raise StateUnwritable(
                "The state could not be written",
                f"An earlier write to {self._path} failed, so it is unknown how much of it is on the disk.",
                "Run again: that reads the state from the disk again.",
            )
        try:
            with self._worded(writing=True):
                yield
        except StateUnwritable:
            self._failed = True
            self._known = None
            raise

    @contextmanager
    def _worded(self, writing: bool) -> Iterator[None]:
        try:
            yield
        except _Unanswered as error:
            raise in_words(self._path, error.cause, writing) from error.cause
        except TROUBLES as error:
            raise in_words(self._path, error, writing) from error

    def finish(self) -> None:
        """See ``StateStore.finish``: the lock file says what is committed."""
        with self._mutex, self._writing():
            if self._wrote and (known := self._at_rest()) is not None:
                self._run_lock.note(Committed(known.bare.lineage, known.bare.serial))

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
