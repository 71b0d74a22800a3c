"""Calls of the system, and of a state's database, that fail or kill the process at the N-th one.

What SQLite itself asks of the system is beyond this; ``tests/proof/kill`` has strace for it.
"""

import errno
import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

WRITES = ("open", "write", "pwrite", "fsync", "replace", "unlink", "ftruncate", "mkdir", "chmod", "sql")
READS = ("open", "pread", "fstat", "stat", "select")
SQL = {"SELECT": "select", **dict.fromkeys(("CREATE", "COMMIT", "UPDATE", "INSERT", "DELETE"), "sql")}
"""Which name a statement on a state's database counts under, by its first word."""

Place = tuple[Any, str]
"""An object and the name of its function: where else than in ``os`` something may befall a call."""


class Killed(BaseException):
    """The process is gone: nothing after this call happens, cleaning up neither."""


@dataclass
class Trouble:
    """What befalls the call numbered ``at`` (from 0, over all threads), and whether everything after
    it fails too.
    """

    at: int
    error: Callable[[], BaseException]
    lasting: bool = False
    after: bool = False
    calls: list[str] = field(default_factory=list)
    happened: bool = False
    _counting: Any = field(default_factory=threading.Lock, repr=False)

    def meet(self, name: str) -> tuple[bool, bool]:
        """Count a call. Return whether it is due, and whether it is the first one that is."""
        with self._counting:
            number = len(self.calls)
            self.calls.append(name)
            due = number >= self.at if self.lasting else number == self.at
            first = due and not self.happened
            self.happened = self.happened or due
            return due, first


@contextmanager
def troubled(
    trouble: Trouble, names: tuple[str, ...] = WRITES, also: tuple[Place, ...] = ()
) -> Iterator[Trouble]:
    """Let ``trouble`` befall the calls of ``os`` in ``names``, and those of ``also``, inside the ``with``.

    A failing write has written half of its bytes. ``after``: the call takes effect first.
    """
    with pytest.MonkeyPatch.context() as patch:
        for home, name in (*((os, name) for name in names if hasattr(os, name)), *also):
            patch.setattr(home, name, _wrapped(name, getattr(home, name), trouble))
        if {"sql", "select"} & {*names}:
            patch.setattr(sqlite3, "connect", _connecting(trouble, names, sqlite3.connect))
        yield trouble


def _connecting(trouble: Trouble, names: tuple[str, ...], connect: Callable[..., Any]) -> Callable[..., Any]:
    class Faulty(sqlite3.Connection):
        """A connection to a state's database whose statements may meet trouble."""

        def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
            plain = functools.partial(super().execute, sql, *more)
            name = "sql" if sql == "BEGIN IMMEDIATE" else SQL.get(sql.split()[0], "")
            return _met(name, plain, trouble) if name in names else plain()

    def connecting(path: str, *more: Any, **named: Any) -> sqlite3.Connection:
        of_state = "team-" in os.path.basename(path)
        found: sqlite3.Connection = connect(path, *more, **named, **({"factory": Faulty} if of_state else {}))
        return found

    return connecting


def _met(name: str, plain: Callable[[], sqlite3.Cursor], trouble: Trouble) -> sqlite3.Cursor:
    due, first = trouble.meet(name)
    if not due:
        return plain()
    if first and trouble.after:
        plain()
    error = trouble.error()
    if not isinstance(error, OSError):
        raise error
    worded = sqlite3.OperationalError(error.strerror)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    worded.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
    worded.sqlite_errorname = "SQLITE_FULL" if full else "SQLITE_IOERR"
    raise worded


def _wrapped(name: str, original: Callable[..., Any], trouble: Trouble) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        due, first = trouble.meet(name)
        if not due:
            return original(*arguments, **named)
        if first and trouble.after:
            original(*arguments, **named)
        elif first and name == "write":
            original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise trouble.error()

    return call
