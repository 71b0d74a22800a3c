"""What goes wrong with a database file, in words: SQLite's errors and the system's."""

from __future__ import annotations

import errno
import os
import sqlite3

from reconciler.errors import StateDamaged, StateError, StateUnwritable

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
_MAY_WRITE = "Give this user write permission there, or use another --state."
_MAY_READ = "Check that --state is a folder, and that this user may read it."


def restore(path: str) -> str:
    """Return how to put the backup in the place of a database that must not be used."""
    return (
        f"Put a good copy in its place: move {path} away, and {path}-journal if it is there, then copy "
        f"{path}.backup to {path} (that is the state before the last run). Nothing was changed."
    )


def damaged(path: str, what: str) -> StateDamaged:
    return StateDamaged("The state is damaged", f"{path}: {what}.", restore(path))


def in_words(path: str, error: Exception, writing: bool = False) -> StateError:
    """Return what to tell of one of ``TROUBLES``."""
    if isinstance(error, OSError):
        return _of_system(path, error, writing)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own: no text there
    if code & 0xFF in _DAMAGED:
        return damaged(path, str(error))
    if _is_half_done(path, code):
        return _error(
            writing,
            f"{path}-journal was left by a run that was killed amid a write. Undoing that half takes the "
            f"right to write there, which this user lacks ({error}).",
            "Run any command that reads the state, such as `reconciler plan`, as a user who has it.",
        )
    if code in _NO_LOCKS:
        return _without_locks(path, str(error), writing)
    if code & 0xFF == sqlite3.SQLITE_BUSY:
        detail = f"{path}: another process has been writing for 30 s; is it stopped? Or there are no locks."
        return _error(
            writing, detail, "End or continue that process, or use a --state on a local disk; then run again."
        )
    told = f"{path}: {error} ({getattr(error, 'sqlite_errorname', 'SQLite')})."
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return _error(writing, told, _FREE_SPACE)
    not_allowed = code & 0xFF in _NOT_ALLOWED
    return _error(writing, told, (_MAY_WRITE if writing else _MAY_READ) if not_allowed else "")


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
    return _error(writing, f"{where}: {told}.", _MAY_WRITE if writing and not_allowed else "")


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
