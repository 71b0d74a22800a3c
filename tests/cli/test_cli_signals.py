"""SIGINT, SIGTERM and SIGHUP: during waits, reads and writes; what is left is readable and unlocked."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_rig import COMMAND, FILE, KEY, TEAM, Api, Shop, Terminal, ended, serving, until

from reconciler.errors import Interrupted

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
IDS = ["int", "term", "hup"]


class Gate:
    """A WSGI application behind a gate: requests that are ``held`` wait until it opens."""

    def __init__(self, held: Callable[[str, str], bool]) -> None:
        self.held = held
        self.open = threading.Event()
        self.waiting = 0

    def before(self, app: Any) -> Any:
        def gated(environ: dict[str, Any], start: Any) -> Any:
            if not self.open.is_set() and self.held(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
                self.waiting += 1
                self.open.wait(60)
            return app(environ, start)

        return gated


@contextmanager
def gated(shop: Shop, held: Callable[[str, str], bool]) -> Iterator[tuple[Gate, Api]]:
    gate = Gate(held)
    with serving(wrap=gate.before) as api:
        shop.env |= api.env
        try:
            yield gate, api
        finally:
            gate.open.set()


def creates(method: str, path: str) -> bool:
    return method == "POST"


def check_the_state_is_free(shop: Shop, api: Api) -> None:
    """The next run needs no help: nothing is locked or damaged, and each day is made once."""
    shop.run("apply", "--auto-approve", "--json", code=0)
    days = api.made()
    assert len(days) == len(set(days))


@pytest.mark.parametrize(("signum", "code"), SIGNALS, ids=IDS)
def test_a_request_in_flight_gets_its_few_seconds(signum: int, code: int, shop: Shop) -> None:
    """The first signal: no new write; the answer of the one under way is waited for and saved."""
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", "--json", "--parallelism", "1")
        until(lambda: gate.waiting, "a create is under way")
        process.send_signal(signum)
        assert process.stderr is not None
        told = process.stderr.readline()
        assert told == "Stopping: 1 create is under way; waiting up to 5 s for its answer.\n"
        gate.open.set()
        done = ended(process)
        assert done.code == code
        last = done.lines[-1]
        assert (last["type"], last["exit"], last["created"], last["unknown"]) == ("summary", code, 1, 0)
        assert [one["type"] for one in done.lines] == ["created", "not-sent", "summary"]
        assert last["diagnostics"][0]["code"] == "interrupted"
        assert "error[" not in done.err
        assert api.writes() == ["POST 200"], "no new write"
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2


def test_a_request_that_hangs_is_left_after_five_seconds(shop: Shop) -> None:
    signum, code = SIGNALS[1]
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", "--json")
        until(lambda: gate.waiting == 2, "both creates are under way")
        process.send_signal(signum)
        done = ended(process, 30)
        assert done.code == code
        assert done.lines[-1]["unknown"] == 2
        assert 3 < done.seconds < 20
        shown = shop.run("plan", "--json", code=0).json
        assert {one["reason"] for one in shown["blocked"]} == {"unresolved"}
        gate.open.set()
        until(lambda: len(api.made()) == 2, "the API did it all the same")
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2
        assert shop.run("plan", code=0).summary.startswith("No changes.")


def test_a_second_signal_leaves_at_once(shop: Shop) -> None:
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", "-v")
        until(lambda: gate.waiting == 2, "both creates are under way")
        process.send_signal(signal.SIGINT)
        until(lambda: _caught(process.pid, signal.SIGINT), "the first signal was taken")
        process.send_signal(signal.SIGTERM)
        done = ended(process, 30)
        assert done.code in (143, 130)
        assert done.seconds < 4
        assert "Stopping: 2 creates are under way; waiting up to 5 s for the answers." in done.told
        *_, told, command = done.err.splitlines()
        assert told == (
            "Ended at once: 2 creates are under way. "
            "They are recorded; the next run finds out what became of them:"
        )
        assert command == f"    reconciler apply --auto-approve --api {api.url}"
        gate.open.set()
        until(lambda: len(api.made()) == 2)
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2


def test_a_terminal_that_is_closed_ends_a_run_tidily(shop: Shop) -> None:
    """Nothing can be told any more, and what was made is recorded all the same."""
    with gated(shop, creates) as (gate, api):
        terminal = Terminal(shop, "apply", "--auto-approve", "--parallelism", "1")
        until(lambda: gate.waiting, "a create is under way")
        os.close(terminal.fd)
        gate.open.set()
        _pid, status = os.waitpid(terminal.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 129
        assert len(api.made()) == 1
        assert shop.run("plan", "--json", code=0).json["unmanaged"] == []
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2


def test_under_nohup_a_hang_up_is_nothing(shop: Shop) -> None:
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", command=["nohup", *COMMAND])
        until(lambda: gate.waiting == 2, "both creates are under way")
        process.send_signal(signal.SIGHUP)
        gate.open.set()
        assert ended(process).code == 0
        assert len(api.made()) == 2


def _caught(pid: int, signum: int) -> bool:
    """Tell whether no such signal is pending any more."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = [
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    ]
    return not any(mask >> (signum - 1) & 1 for mask in pending)


@pytest.mark.parametrize(("signum", "code"), SIGNALS, ids=IDS)
def test_a_wait_for_the_rate_limit_ends_at_once(signum: int, code: int, shop: Shop) -> None:
    limited = {"keys": {KEY: ["read", "write"]}}
    with serving(limited, faults=("rate-limit-day@create",)) as api:
        shop.env |= api.env
        process = shop.start(
            "apply", "--auto-approve", "--max-wait", "2d", "--json", stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert '"type": "waiting"' in process.stdout.readline()
        process.send_signal(signum)
        out, _err = process.communicate(timeout=30)
        assert process.returncode == code, out
        assert f'"exit": {code}' in out.splitlines()[-1]
        api.sandbox.faults()
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2


@pytest.mark.parametrize("command", ["plan", "apply --auto-approve"])
@pytest.mark.parametrize(("signum", "code"), SIGNALS, ids=IDS)
def test_a_read_that_hangs_is_left_at_once(signum: int, code: int, command: str, shop: Shop) -> None:
    with gated(shop, lambda method, path: True) as (gate, api):
        process = shop.start(*command.split())
        until(lambda: gate.waiting, "a read is under way")
        process.send_signal(signum)
        done = ended(process, 30)
        assert done.code == code
        assert done.err.splitlines()[-1] == f"{Interrupted(signum).summary}."
        gate.open.set()
        if command != "plan":
            check_the_state_is_free(shop, api)


def test_a_wait_for_the_lock_can_be_ended(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        terminal = Terminal(shop, "apply")
        terminal.until("Only `yes` is accepted")
        process = shop.start("apply", "--auto-approve", "--lock-timeout", "1h")
        until(lambda: _has_open(process.pid, f"team-{TEAM}.lock"), "it waits")
        process.send_signal(signal.SIGTERM)
        assert ended(process, 30).code == 143
        terminal.type(b"yes\r")
        assert terminal.end().code == 0
        assert len(api.made()) == 2


def _has_open(pid: int, name: str) -> bool:
    try:
        return any(os.readlink(one).endswith(name) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


@pytest.mark.parametrize("when", ["held", "made"])
def test_killed_without_a_word(when: str, shop: Shop) -> None:
    """SIGKILL between the intent and the answer: the lock is free, and the next run finds out."""
    shop.write(FILE.replace("version: 1\n", "version: 1\norder: oldest_first\n"))
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", "--parallelism", "1")
        until(lambda: gate.waiting, "a create is under way")
        process.kill()
        process.communicate(timeout=30)
        if when == "made":
            gate.open.set()
            until(lambda: api.made(), "the API did it")
        shown = shop.run("plan", "--json", code=0).json["summary"]["days"]
        assert (shown["in_flight"], shown["blocked"]) == ((5, 0) if when == "made" else (0, 5))
        gate.open.set()
        until(lambda: api.made(), "the API did it")
        check_the_state_is_free(shop, api)
        assert len(api.made()) == 2


def test_the_server_ends_by_a_signal(shop: Shop) -> None:
    for signum, code in SIGNALS:
        process = shop.start("sandbox", "serve", "--port", "0")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signum)
        assert ended(process, 30).code == code
