"""Reading a file that somebody names: never without end, and never waiting for ever."""

from __future__ import annotations

import errno
import os
import select
import stat
import time

PATIENCE = 30.0  # seconds that we wait for what a pipe, as of <(command), is to bring
UNOPENED = 5.0  # seconds that we wait for somebody to open its other end


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a file, or of a pipe up to its end; of more than ``most`` bytes only so many.

    Raises ``OSError``, whose ``strerror`` says what is wrong: also for a folder, a device, and a
    pipe that brings nothing in time.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode):
            return _of_pipe(fd, most)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "It is neither a file nor a pipe")
        return _of_file(fd, most)
    finally:
        os.close(fd)


def _of_file(fd: int, most: int) -> bytes:
    data = bytearray()
    while len(data) < most and (chunk := os.read(fd, min(most - len(data), 2**20))):
        data += chunk
    return bytes(data)


def _of_pipe(fd: int, most: int) -> bytes:
    """Read to the pipe's end. It looks ended, too, as long as nobody has opened it to write; then we wait."""
    began = time.monotonic()
    data = bytearray()
    ready = False
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(data) < most:
        chunk = _now(fd, most - len(data))
        if chunk:
            data += chunk
        elif chunk is not None and (data or ready):
            break
        else:
            left = began + (PATIENCE if chunk is None else UNOPENED) - time.monotonic()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, "It is a pipe, and nobody wrote to it in time")
            ready = bool(poll.poll(left * 1000))
    return bytes(data)


def _now(fd: int, most: int) -> bytes | None:
    """Return what can be read at once, ``b""`` at the end, ``None`` if more may come."""
    try:
        return os.read(fd, min(most, 2**20))
    except BlockingIOError:
        return None
