"""The folder of a local state and its database files. Raises ``OSError`` and ``sqlite3.Error``."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

BUSY = 30.0  # seconds to wait for another process's transaction
_FOLDER_SYNC_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def opened(path: str, mode: str) -> Iterator[sqlite3.Connection]:
    """Open a database: ``rwc`` makes it, ``rw`` falls back to reading where writing is not allowed.

    Leaving undoes what was not committed.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None)) as connection:
        yield connection


def copy_database(path: str, copy: str) -> None:
    """Make ``copy`` a database that holds what is committed at ``path``, durably.

    Our own transaction there may go on: SQLite copies nothing from a connection that is about to write.
    """
    temporary = f"{copy}.tmp"
    for left in (temporary, f"{temporary}-journal"):
        with suppress(FileNotFoundError):
            os.unlink(left)
    with opened(path, "rw") as source, closing(sqlite3.connect(temporary)) as target:
        os.chmod(temporary, 0o600)
        source.backup(target)
    rename(temporary, copy)


def make_folder(folder: str) -> None:
    """Make ``folder`` (0700) and the missing ones above it, each durable in the one above."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder) or "."
    if above != folder:  # "/" cannot even be looked at: making it says why
        make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    sync_folder(above)


def rename(path: str, name: str) -> None:
    """Give a file another name in its folder, durably; at every moment that name holds old or new."""
    os.replace(path, name)
    sync_folder(os.path.dirname(name))


def sync_folder(folder: str) -> None:
    """Make renames in ``folder`` durable; where a file system cannot do that, nothing more can be done."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _FOLDER_SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(fd)
