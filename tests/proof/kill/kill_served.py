"""A sandbox that serves from a process of its own, on one port for many situations in turn."""

from __future__ import annotations

import os
import signal
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kill_paths  # noqa: F401

from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import HOST, serve

API_FILE = "api"
EMBEDDED = "sandbox:world.db"
LONGEST = 600
DEADLINE = 20.0
_OPEN_STATES = {"01", "03", "04", "05", "08", "09", "0B"}  # all but LISTEN, TIME_WAIT and closed


def api_of(folder: Path) -> str:
    """Return what ``--api`` is in a folder: a file in it tells."""
    return (folder / API_FILE).read_text("utf-8")


def free_url() -> str:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return f"http://{HOST}:{found.getsockname()[1]}/v1"


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """Serve the folder's sandbox inside the ``with``, if it is one to be served."""
    api = api_of(folder)
    if api == EMBEDDED:
        yield
        return
    ready, telling = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        _serve(folder, _port(api), telling)
    os.close(telling)
    try:
        assert os.read(ready, 1000).decode() == api, f"no server at {api}"
        yield
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(folder: Path, port: int, telling: int) -> None:
    try:
        signal.alarm(LONGEST)
        serve(Sandbox.open(folder / "world.db").app, port, lambda url: _tell(telling, url))
    finally:
        os._exit(1)


def _tell(telling: int, url: str) -> None:
    os.write(telling, url.encode())
    os.close(telling)


def await_quiet(folder: Path) -> None:
    """Wait until the server has dealt with all that dead clients sent: no connection is left open.

    A connection that the server has not even accepted yet is among those the kernel lists.
    """
    api = api_of(folder)
    if api == EMBEDDED:
        return
    end = time.monotonic() + DEADLINE
    while _connections(_port(api)):
        assert time.monotonic() < end, "the server does not come to rest"
        time.sleep(0.002)


def _connections(port: int) -> int:
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] in _OPEN_STATES for fields in lines)
