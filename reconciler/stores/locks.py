"""The two locks of a local state, both ``flock``: the kernel frees them when their holder dies.

``.cas`` is held for the moment of one commit and makes the compare-and-set atomic. ``.lock``
is held for a whole run and says in its text who holds it. Both files are made once and never
renamed or deleted, or two processes could each lock a file of that name.

On NFS a Linux client turns ``flock`` into a byte-range lock at the server (2.6.12 and later;
not with ``local_lock=flock`` or ``nolock``, which must not be used). The server may free a
lock whose client it cannot reach, which is why ``held`` asks the kernel again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from reconciler.errors import Interrupted, StateLocked, UsageError
from reconciler.stores.files import open_lock_file
from reconciler.stores.holders import LockInfo, holder_of, holder_text, locked

try:
    import fcntl
except ImportError:
    raise UsageError(
        "A state in a folder needs a POSIX system",
        "This Python has no fcntl, so two runs could not be kept apart.",
        "Use WSL, a container, or a remote --state.",
    ) from None

Sleep = Callable[[float], None]

CAS_TIMEOUT = 60.0
_CAS_POLL = 0.02
_SAVING = 3.0  # seconds; an interrupted run has five in all
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


def _saving(sleep: Sleep) -> Sleep:
    """Return a sleep that an interruption does not end at once: an outcome may wait to be saved."""
    left = _SAVING

    def wait(seconds: float) -> None:
        nonlocal left
        try:
            sleep(seconds)
        except Interrupted:
            if left <= 0:
                raise
            left -= seconds
            time.sleep(seconds)

    return wait


def _free(fd: int) -> None:
    """Unlock, for a forked child may hold the same open file; then close."""
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


@contextmanager
def commit_lock(path: str, sleep: Sleep) -> Iterator[None]:
    """Hold ``.cas``. Raises ``OSError``: ``TimeoutError`` when another has it for a minute."""
    fd = open_lock_file(path)
    try:
        if not _wait_for(fd, CAS_TIMEOUT, _CAS_POLL, _saving(sleep)):
            raise TimeoutError(f"another process has been committing for {CAS_TIMEOUT:.0f} s; is it stopped?")
        yield
    finally:
        _free(fd)


@dataclass(frozen=True, slots=True)
class _Hold:
    fd: int
    pid: int
    text: bytes


class RunLock:
    """The lock of a run, on the file ``path``. One hold at a time per instance."""

    def __init__(self, path: str, sleep: Sleep) -> None:
        self._path = path
        self._sleep = sleep
        self._hold: _Hold | None = None

    def take(self, info: LockInfo, timeout: float) -> None:
        """Take the lock, waiting at most ``timeout`` seconds.

        Raises ``StateLocked`` when another has it, or this instance, and ``OSError`` when the
        file cannot be written. Whatever is raised, nothing is held.
        """
        fd = open_lock_file(self._path)
        try:
            if not _wait_for(fd, timeout, _RUN_POLL, self._sleep):
                raise locked(_holder(fd), self._path, _UNLOCK)
            text = f"{holder_text(info)}\n".encode()
            os.ftruncate(fd, 0)
            os.pwrite(fd, text, 0)
            self._hold = _Hold(fd, os.getpid(), text)
        except BaseException:
            os.close(fd)
            raise

    def release(self) -> None:
        """Empty the file and unlock; a forked child only closes, for the lock is its parent's."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        if hold.pid != os.getpid():
            os.close(hold.fd)
            return
        with suppress(OSError):
            os.ftruncate(hold.fd, 0)
        _free(hold.fd)

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
            holder = _holder(fd)
            if not flock_now(fd):
                raise locked(holder, self._path, _UNLOCK)
            if holder is not None and lock_id not in (None, holder.id):
                raise _another(holder, lock_id)
            os.ftruncate(fd, 0)
        finally:
            _free(fd)
        return holder


def _holder(fd: int) -> LockInfo | None:
    return holder_of(_content(fd))


def _content(fd: int) -> bytes:
    return os.pread(fd, 65536, 0)


def _another(holder: LockInfo, lock_id: str | None) -> StateLocked:
    return StateLocked(
        "The lock has another id",
        f"The last holder's lock id is {holder.id}, not {lock_id}.",
        "Check who holds the lock now, then give that id.",
    )
