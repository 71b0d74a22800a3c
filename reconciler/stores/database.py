"""A team's database file: looked at, changed in one transaction, and what goes wrong with it in words.

Only SQLite opens the file: closing a descriptor of our own would drop the locks that it holds. It is
opened anew each time, so no lock and no cache outlives a call, and a file that was put in its place is seen.
A commit is one transaction, durable once its journal's removal is (``synchronous=EXTRA``: with ``FULL`` a
power cut could bring the journal back, which undoes what was committed). What a killed run left half done
SQLite undoes when it is next opened; that takes the right to write.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from reconciler.errors import StateUnwritable
from reconciler.model.memory import Document
from reconciler.stores import sql
from reconciler.stores.files import copy_database, make_folder, opened, rename
from reconciler.stores.ownership import check_owner
from reconciler.stores.sql import Head, Known
from reconciler.stores.troubles import TROUBLES, damaged, in_words, restore


class Unanswered(sqlite3.Error):
    """A COMMIT failed: whether it was kept, only reading tells."""

    def __init__(self, cause: sqlite3.Error | OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class StateDatabase:
    """The database of one team at ``path``, which is made with the first change.

    ``heard`` is called when a commit was kept, before that is believed; its ``OSError`` is a lost answer.
    """

    def __init__(self, path: str, blank: Document, heard: Callable[[], None]) -> None:
        self._path = os.path.realpath(path)
        self._blank = blank
        self._heard = heard
        self._mutex = threading.RLock()
        self._known: Known | None = None
        self._backed_up = False
        self._wrote = False
        self._failed = False

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
            self._heard()
        except (sqlite3.Error, OSError) as error:
            raise Unanswered(error) from error
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
        except Unanswered as error:
            raise in_words(self._path, error.cause, writing) from error.cause
        except TROUBLES as error:
            raise in_words(self._path, error, writing) from error
