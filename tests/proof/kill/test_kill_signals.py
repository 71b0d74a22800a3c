"""Signals where ``tests/cli/test_cli_signals.py`` has none: waiting reads, the prompt, any line at all."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import kill_paths  # noqa: F401
import pytest
from cli_rig import FILE, Shop, Terminal, ended, serving, until

from reconciler.errors import Interrupted
from reconciler.model.deltas import Delta
from reconciler.stores.base import NEVER_WRITTEN
from reconciler.stores.local import LocalStore

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
IDS = ["int", "term"]
AT_MOST = 6.0  # seconds, on a busy machine

HANDLER_ANYWHERE = """
import random, signal
from reconciler.engine.stop import StopSignal

signal.signal(signal.SIGALRM, lambda signum, frame: switch.interrupt(signum))
rng = random.Random(1)
for _ in range(15_000):
    switch = StopSignal()
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(2e-6, 6e-5))
    for _ in range(4):
        switch.wait(0.000001)
print("done")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.write(FILE)
    return made


def interrupted_sleep(_seconds: float) -> None:
    raise Interrupted(signal.SIGTERM)


def test_an_interrupted_run_still_waits_for_another_ones_commit(tmp_path: Path) -> None:
    """An outcome that waits to be committed is not given up for the moment that another commit takes."""
    store = LocalStore(str(tmp_path), 5, "sandbox", "test", sleep=interrupted_sleep)
    revision = store.commit(Delta(), NEVER_WRITTEN)
    entered = threading.Event()

    def another() -> None:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            entered.set()
            time.sleep(0.1)

    other = threading.Thread(target=another)
    other.start()
    assert entered.wait(10)
    assert store.commit(Delta(), revision).serial == 2
    other.join()


@pytest.mark.parametrize(("signum", "code"), SIGNALS, ids=IDS)
def test_a_read_that_waits_for_the_rate_limit_ends_at_once(signum: int, code: int, shop: Shop) -> None:
    with serving(faults=("rate-limit-day@list",)) as api:
        shop.env |= api.env
        process = shop.start("apply", "--auto-approve", "--max-wait", "2d")
        until(lambda: any(one["status"] == 429 for one in api.sandbox.requests()), "it is told to wait")
        process.send_signal(signum)
        done = ended(process)
        assert done.code == code
        assert done.seconds < AT_MOST
        assert "error[" not in done.err
        api.sandbox.faults()
        shop.run("apply", "--auto-approve", code=0)
        assert len(api.made()) == 2


def test_sigterm_at_the_prompt_leaves_without_a_write(shop: Shop) -> None:
    """A signal just before Python waits for input is noticed with the next one: they are repeated."""
    with serving() as api:
        shop.env |= api.env
        terminal = Terminal(shop, "apply")
        terminal.until("Only `yes` is accepted")
        subprocess.run(["kill", "-TERM", str(terminal.pid)], check=True)
        done = terminal.end(nagging=b"\x03")
        assert done.code in (143, 130)
        assert not api.writes()
        assert shop.run("apply", "--auto-approve", code=0).out


def test_a_handler_may_run_at_any_line_of_a_wait() -> None:
    """It throws the switch that this very thread waits for; a lock in there would hang."""
    done = subprocess.run(
        [sys.executable, "-c", HANDLER_ANYWHERE], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout == "done\n", done.stderr
