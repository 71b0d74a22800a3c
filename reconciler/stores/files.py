"""Files that survive a power cut: the system calls of the local store, and nothing above them.

What reads a file words its errors; the rest raises ``OSError``, and ``local.py`` words it.
A file is replaced by writing a temporary one in the same folder (0600), fsync, rename, fsync
of the folder, so that at every moment the name holds the old content or the new.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from reconciler.errors import StateDamaged, StateError

MAX_BYTES = 2**30
"""No state is larger: 1 GiB is some 1,500,000 records. More is refused, not loaded."""

_FOLDER_SYNC_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells that a file was neither replaced nor written since it was read."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def identity(path: str) -> Identity | None:
    """Return the identity of the file at ``path`` now; ``None`` if there is none. Raises ``OSError``."""
    try:
        return _identity_of(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _identity_of(found: os.stat_result) -> Identity:
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def read_whole(path: str) -> tuple[bytes, Identity] | None:
    """Return content and identity; ``None`` if there is no such file.

    Raises ``StateDamaged`` for what is no regular file or larger than ``MAX_BYTES``, and
    ``StateError`` when it cannot be read.
    """
    try:
        with _opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            found = os.fstat(fd)
            _check_kind(path, found)
            return _read_from(fd, 0, MAX_BYTES), _identity_of(found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def read_tail(path: str, start: int) -> bytes | None:
    """Return what stands from byte ``start`` on; ``None`` if there is no file or it is shorter."""
    try:
        with _opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            return _read_from(fd, start, MAX_BYTES) if os.fstat(fd).st_size >= start else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def _check_kind(path: str, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
        return
    what = f"has {found.st_size} bytes" if stat.S_ISREG(found.st_mode) else "is not a regular file"
    raise StateDamaged(
        "The state is damaged",
        f"{path} {what}; a state is a file of at most {MAX_BYTES} bytes.",
        f"Move it away, and copy {path}.backup in its place if that one is good.",
    )


def _read_from(fd: int, start: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit > 0 and (chunk := os.pread(fd, min(limit, 2**24), start)):
        chunks.append(chunk)
        start += len(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def unreadable(path: str, error: OSError) -> StateError:
    return StateError(
        "The state cannot be read",
        f"{path}: {error.strerror or error}.",
        "Check that --state is a folder, and that this user may read it.",
    )


@contextmanager
def _opened(path: str, flags: int, mode: int = 0o600) -> Iterator[int]:
    """Open without following the file into a child process; close it whatever happens."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def open_lock_file(path: str) -> int:
    """Return a descriptor for a lock file, made on first use and never renamed or deleted."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    return os.open(path, flags, 0o600)


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


def replace(path: str, data: bytes) -> None:
    """Make ``data`` the durable content of ``path``; at every moment it holds old or new."""
    temporary = write_temporary(path, data)
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def write_temporary(path: str, data: bytes) -> str:
    """Write ``data`` durably beside ``path`` and return that name, ready to be renamed.

    The name is fixed, so a crash leaves no litter behind: the caller holds ``.cas``, and
    what a dead writer left is removed first.
    """
    _check_size(len(data))
    temporary = f"{path}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
        _write_all(fd, data)
        os.fsync(fd)
    return temporary


def keep_copy(path: str, copy: str) -> None:
    """Make ``copy`` the content that ``path`` has now, if it exists; a hard link where possible.

    ``path`` must be about to be replaced, not written into: until then both are one file.
    """
    temporary = f"{copy}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        os.link(path, temporary)
    except FileNotFoundError:
        return
    except OSError:  # a file system without hard links
        found = read_whole(path)
        write_temporary(copy, found[0] if found else b"")
    os.replace(temporary, copy)
    with suppress(FileNotFoundError):  # renaming one link onto another of the same file does nothing
        os.unlink(temporary)


def append(path: str, data: bytes, size: int) -> None:
    """Append ``data`` to ``path``, which has ``size`` bytes, durably or, if possible, not at all.

    Raises ``OSError``; then the file is cut back to ``size`` if the system still lets us.
    That also drops the pages that a failed fsync left marked as written.
    """
    _check_size(size + len(data))
    with _opened(path, os.O_WRONLY | os.O_APPEND) as fd:
        try:
            _write_all(fd, data)
            os.fsync(fd)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(fd, size)
            raise


def _check_size(size: int) -> None:
    """Refuse to write what would be too large to read."""
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(folder: str) -> None:
    """Make renames in ``folder`` durable; where a file system cannot do that, nothing more can be done."""
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _FOLDER_SYNC_UNSUPPORTED:
                raise
