"""What goes wrong with a database file, in words: SQLite's errors and the system's."""

from __future__ import annotations

import errno
import os
import sqlite3
from shlex import quote

from reconciler.errors import StateDamaged, StateError, StateUnwritable
from reconciler.formats.commands import lines
from reconciler.untrusted import one_line

TROUBLES = (OSError, sqlite3.Error, UnicodeDecodeError)
"""What to expect of a database file; the last is an error whose own text is damaged."""

_NOT_ALLOWED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_LOCKS = (
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    sqlite3.SQLITE_NOLFS,
)
_NO_LOCKS_ERRNO = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FREE_SPACE = "Free some space, then run again."
ACCEPT_OLD = "reconciler accept --old-copy"
_MAY_READ = "Check that --state is a folder, and that this user may read it."


def restore(path: str) -> str:
    """Return how to put the backup in the place of a database that must not be used."""
    away = [f"mv {quote(one)} {quote(one)}.bad" for one in _with_journal(path)]
    if not _has_backup(path):
        told = f"Nothing was changed. There is no {path}.backup: put a copy of yours in its place. {_NO_COPY}"
        return told + lines(*away, ACCEPT_OLD)
    told = f"Nothing was changed. Put a good copy in its place; the newest here is {path}.backup, the state"
    return f"{told} before the last run:" + lines(*away, f"cp {quote(path)}.backup {quote(path)}", ACCEPT_OLD)


_NO_COPY = (
    "Without one begin anew: `plan` then shows what the run lists know to be loaded, and nothing of the rest."
)


def _with_journal(path: str) -> list[str]:
    return [path, *([f"{path}-journal"] if os.path.lexists(f"{path}-journal") else [])]


def _has_backup(path: str) -> bool:
    return os.path.isfile(f"{path}.backup")


def gone(path: str) -> tuple[str, str]:
    """Return what became of a database that a run once committed to and that holds nothing now, and what to
    do.
    """
    lies = "is empty" if os.path.lexists(path) else "is not there"
    if not _has_backup(path):
        return lies, f"Put it back. There is no {path}.backup. {_NO_COPY}{lines(ACCEPT_OLD)}"
    hint = f"Put it back. If it is lost, go on with {path}.backup, the state before the last run:"
    return lies, hint + lines(f"cp {quote(path)}.backup {quote(path)}", ACCEPT_OLD)


def _may_write(path: str) -> str:
    """Return what to do without the right to write; another place, where a state lies, would be a second
    memory.
    """
    other = "" if os.path.lexists(path) else ", or use another --state"
    return f"Give this user write permission there{other}."


def damaged(path: str, what: str) -> StateDamaged:
    return StateDamaged("The state is damaged", f"{path}: {what}.", restore(path))


def in_words(path: str, error: Exception, writing: bool = False) -> StateError:
    """Return what to tell of one of ``TROUBLES``."""
    if isinstance(error, OSError):
        return _of_system(path, error, writing)
    said = one_line(str(error))  # SQLite quotes what it cannot read
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own: no text there
    if code & 0xFF in _DAMAGED:
        return damaged(path, said)
    if _is_half_done(path, code):
        return _error(
            writing,
            f"{path}-journal was left by a run that was killed amid a write. Undoing that half takes the "
            f"right to write there, which this user lacks ({said}).",
            f"Run any command that reads the state as a user who has it:{lines('reconciler plan')}",
        )
    if code in _NO_LOCKS:
        return _without_locks(path, said, writing)
    if code & 0xFF == sqlite3.SQLITE_BUSY:
        detail = f"{path}: another process has been writing for 30 s; is it stopped? Or there are no locks."
        return _error(
            writing, detail, "End or continue that process, or use a --state on a local disk; then run again."
        )
    told = f"{path}: {said} ({getattr(error, 'sqlite_errorname', 'SQLite')})."
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return _error(writing, told, _FREE_SPACE)
    not_allowed = code & 0xFF in _NOT_ALLOWED
    return _error(writing, told, (_may_write(path) if writing else _MAY_READ) if not_allowed else "")


def _is_half_done(path: str, code: int) -> bool:
    """Tell whether SQLite cannot undo what a killed run left: it opens only what it may write."""
    kept_from = code & 0xFF in _NOT_ALLOWED or code == sqlite3.SQLITE_IOERR_DELETE
    return kept_from and os.path.exists(f"{path}-journal")


def _of_system(path: str, error: OSError, writing: bool) -> StateError:
    where = error.filename if isinstance(error.filename, str) else path
    told = error.strerror or str(error)
    if error.errno in _NO_LOCKS_ERRNO:
        return _without_locks(where, told, writing)
    if error.errno in _FULL:
        return _error(writing, f"{where}: {told}.", _FREE_SPACE)
    if error.errno == errno.ENOTDIR:
        return _error(writing, f"{where}: {told}.", "Point --state at a folder.")
    not_allowed = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return _error(writing, f"{where}: {told}.", _may_write(path) if writing and not_allowed else "")


def _without_locks(path: str, told: str, writing: bool) -> StateError:
    detail = f"{path}: its file system has no locks ({told}), so two runs could not be kept apart."
    return _error(writing, detail, "Use a --state on a local disk, or an NFS mount with locks.")


def _error(writing: bool, detail: str, hint: str) -> StateError:
    if not writing:
        return StateError("The state cannot be read", detail, hint or _MAY_READ)
    hint = hint or "Check the disk, then run again."
    return StateUnwritable(
        "The state could not be written", f"{detail} Nothing is sent that cannot be recorded.", hint
    )
