"""The lock of a run in a local state: ``flock``, so the kernel frees it when its holder dies.

The file says who holds the lock, and what was committed last when a run ended. It is made once and never
renamed or deleted, or two processes could each lock a file of that name.

On NFS a Linux client turns ``flock`` into a byte-range lock at the server (2.6.12 and later;
not with ``local_lock=flock`` or ``nolock``, which must not be used). The server may free a
lock whose client it cannot reach, which is why ``held`` asks the kernel again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.errors import StateLocked, UsageError
from reconciler.stores.holders import (
    Committed,
    LockInfo,
    Waits,
    committed_of,
    holder_of,
    lock_text,
    locked,
    untold,
)

try:
    import fcntl
except ImportError:
    raise UsageError(
        "A state in a folder needs a POSIX system",
        "This Python has no fcntl, so two runs could not be kept apart.",
        "Use WSL, a container, or a remote --state.",
    ) from None

Sleep = Callable[[float], None]

_MADE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_RUN_POLL = 1.0
_UNLOCK = (
    "The lock is freed by the kernel as soon as that process ends, however it ends. If it hangs, end it: "
    "`kill` with its process number, on its host. Never delete the file."
)


def flock_now(fd: int) -> bool:
    """Take the lock, or return False if another descriptor has it. Ours already: still True."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(fd: int, timeout: float, longest: float, sleep: Sleep) -> bool:
    """Try until ``timeout`` seconds were slept, in pauses that double up to ``longest``."""
    waited, pause = 0.0, 0.001
    while not flock_now(fd):
        if waited >= timeout:
            return False
        pause = min(pause * 2, longest, timeout - waited)
        sleep(pause)
        waited += pause
    return True


def _free(fd: int) -> None:
    """Unlock, for a forked child may hold the same open file; then close."""
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


@dataclass(frozen=True, slots=True)
class _Hold:
    fd: int
    pid: int
    info: LockInfo
    text: bytes


class RunLock:
    """The lock of a run, on the file ``path``. One hold at a time per instance."""

    def __init__(self, path: str, sleep: Sleep) -> None:
        self._path = path
        self._sleep = sleep
        self._hold: _Hold | None = None

    def take(self, info: LockInfo, timeout: float, waits: Waits = untold) -> None:
        """Take the lock, waiting at most ``timeout`` seconds; ``waits`` is told if it must be waited for.

        Raises ``StateLocked`` when another has it, or this instance, and ``OSError`` when the
        file cannot be written. Whatever is raised, nothing is held.
        """
        fd = os.open(self._path, _MADE, 0o600)
        try:
            if timeout and not flock_now(fd):
                waits(holder_of(_content(fd)))
            if not _wait_for(fd, timeout, _RUN_POLL, self._sleep):
                raise locked(holder_of(_content(fd)), self._path, _UNLOCK)
            text = _write(fd, committed_of(_content(fd)), info)
            self._hold = _Hold(fd, os.getpid(), info, text)
        except BaseException:
            os.close(fd)
            raise

    def release(self) -> None:
        """Take our name out of the file and unlock; a forked child only closes: the lock is its parent's."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        if hold.pid != os.getpid():
            os.close(hold.fd)
            return
        with suppress(OSError):
            _write(hold.fd, committed_of(hold.text), None)
        _free(hold.fd)

    def committed(self) -> Committed | None:
        """Return what the file says was committed. Raises ``OSError``."""
        return committed_of(self._said())

    def holder(self) -> LockInfo | None:
        """Return whom the file names; taking the lock to see whether it is free could turn a run away.
        Raises ``OSError``.
        """
        return holder_of(self._said())

    def _said(self) -> bytes:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        try:
            return _content(fd)
        finally:
            os.close(fd)

    def note(self, committed: Committed | None, though_moved: bool = True) -> bool:
        """Have the file say what was committed; return whether it does: while another run holds it, it stays
        as it is. Without ``though_moved`` what says that this state, or a later one, was moved stays too.
        Raises ``OSError``.
        """
        if (hold := self._hold) is not None and hold.pid == os.getpid():
            if though_moved or not _is_moved(hold.text, committed):
                self._hold = replace(hold, text=_write(hold.fd, committed, hold.info))
            return True
        fd = os.open(self._path, _MADE, 0o600)
        try:
            if not flock_now(fd):
                return False
            if though_moved or not _is_moved(_content(fd), committed):
                _write(fd, committed, None)
            return True
        finally:
            _free(fd)

    def held(self) -> bool:
        """Return whether this process still holds it: same file, same lock, our text in it."""
        hold = self._hold
        if hold is None or hold.pid != os.getpid():
            return False
        try:
            here, there = os.fstat(hold.fd), os.stat(self._path)
            same_file = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
            return same_file and flock_now(hold.fd) and _content(hold.fd) == hold.text
        except OSError:
            return False

    def free(self, lock_id: str | None) -> LockInfo | None:
        """Clear what a dead holder left; return it. Raises ``StateLocked`` if it lives, or is another."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            content = _content(fd)
            holder = holder_of(content)
            if not flock_now(fd):
                raise locked(holder, self._path, _UNLOCK)
            if holder is not None and lock_id not in (None, holder.id):
                raise _another(holder, lock_id)
            _write(fd, committed_of(content), None)
        finally:
            _free(fd)
        return holder


def _write(fd: int, committed: Committed | None, holder: LockInfo | None) -> bytes:
    """Make that the content; return it. One write: a kill leaves the old text or the new."""
    text = lock_text(committed, holder).encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))
    if committed is not None and committed.moved:
        os.fsync(fd)  # or after a power cut there would be two living states
    return text


def _is_moved(text: bytes, committed: Committed | None) -> bool:
    said = committed_of(text)
    return bool(said and said.moved and (committed is None or committed.serial < said.serial))


def _content(fd: int) -> bytes:
    return os.pread(fd, 65536, 0)


def _another(holder: LockInfo, lock_id: str | None) -> StateLocked:
    return StateLocked(
        "The lock has another id",
        f"The last holder's lock id is {holder.id}, not {lock_id}.",
        "Check who holds the lock now, then give that id.",
    )
