"""What is told while something goes on: on a terminal lines that come and go, elsewhere one now and then."""

from __future__ import annotations

import re
import signal
import sys
import time
from typing import Any

import pytest
from cli_rig import Api, Shop, Terminal, ended, screen, serving, too_long, until
from test_cli_signals import creates, gated

SOON = (
    sys.executable,
    "-c",
    "import sys; from reconciler.cli import display, main; from reconciler.render import doing;"
    "display.QUIET_FIRST = 0.3; display.QUIET_THEN = 0.4; doing.SLOW = 0.0; sys.exit(main.run(sys.argv[1:]))",
)
"""The command, but that silence is long after 0.3 seconds, and a write slow at once."""


def runs(method: str, path: str) -> bool:
    return path.endswith("/runs")


def said(process: Any, wanted: str) -> list[str]:
    """Read stderr to the line that has this."""
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if re.search(wanted, line):
            return lines
    raise AssertionError(f"{wanted} is never said: {lines}")


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["plan", "status", "apply --auto-approve"])
def test_reading_is_told_where_nobody_looks(command: str, shop: Shop) -> None:
    """Nothing at first; then a line, and again a line."""
    with gated(shop, runs) as (gate, _api):
        process = shop.start(*command.split(), command=SOON)
        lines = said(process, "reading team") + said(process, "reading team")
        assert all(re.fullmatch(r"reading team 12345: \d of 2 transfers, \d s", line) for line in lines)
        gate.open.set()
        assert ended(process).code == 0


def test_reading_is_told_on_a_terminal_and_goes(shop: Shop) -> None:
    with gated(shop, runs) as (gate, _api):
        terminal = Terminal(shop, "plan", command=SOON)
        terminal.until("reading team 12345: 1 of 2 transfers")
        gate.open.set()
        done = terminal.end()
        assert done.code == 0
        assert "reading" not in screen(done.out)


def test_a_command_that_is_quick_says_nothing_besides(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        assert shop.run("plan", code=0).err == ""


@pytest.mark.proof
def test_an_api_that_is_away_is_told(shop: Shop) -> None:
    """Each attempt, with what was answered."""
    with serving() as api:
        shop.env |= api.env
        api.sandbox.faults("status-503-before@list")
        done = shop.run("plan", command=SOON, code=69)
        told = [line for line in done.err.splitlines() if ", attempt " in line]
        assert told
        wanted = r"GET …/backfills answered 503 \w+ \(request [\w-]+\), attempt [2-5] of 5"
        assert all(re.fullmatch(wanted, line) for line in told), told


# -- the lock ----------------------------------------------------------------------------------


def test_a_lock_that_is_waited_for_is_told_with_its_holder(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        holder = Terminal(shop, "apply")
        holder.until("Only `yes` is accepted")
        process = shop.start("apply", "--auto-approve", "--lock-timeout", "1h", command=SOON)
        (*_, line) = said(process, "waiting for the lock")
        wanted = rf"waiting for the lock: apply by \S+ on \S+, process {holder.pid}, since [\d:]+ UTC\n?"
        assert re.fullmatch(wanted, line)
        process.send_signal(signal.SIGTERM)
        assert ended(process).code == 143
        holder.type(b"no\r")
        assert holder.end().code == 1


@pytest.mark.parametrize("columns", [40, 80])
def test_a_wait_for_the_lock_on_a_terminal_leaves_no_line(columns: int, shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        holder = Terminal(shop, "apply")
        holder.until("Only `yes` is accepted")
        arguments = ("apply", "--auto-approve", "--lock-timeout", "1h")
        waiting = Terminal(shop, *arguments, command=SOON, columns=columns)
        waiting.until("waiting for the lock")
        waiting.type(b"\x03")
        done = waiting.end()
        left = screen(done.out, columns)
        assert (done.code, left.rstrip()) == (130, "Nothing was done.\nInterrupted.")
        holder.type(b"no\r")
        assert holder.end().code == 1


# -- creating ----------------------------------------------------------------------------------


def test_creating_is_told_where_nobody_looks(shop: Shop) -> None:
    with gated(shop, creates) as (gate, _api):
        process = shop.start("apply", "--auto-approve", command=SOON)
        lines = said(process, "Creating")
        assert re.fullmatch(r" +~ (ads|web) +2024-0[45]-01\.\.\S+  sending, \d s", lines[0])
        assert re.fullmatch(r"  Creating 0 of 2 . 0 of 15 days . \d s", lines[-1])
        gate.open.set()
        done = ended(process)
        assert done.code == 0
        made = [line.split() for line in done.err.splitlines() if line.lstrip().startswith("+")]
        assert sorted(one[1:5] for one in made) == [
            ["ads", "2024-05-01..2024-05-10", "10", "days"],
            ["web", "2024-04-01..2024-04-05", "5", "days"],
        ]


@pytest.mark.parametrize("columns", [40, 80])
def test_creating_on_a_terminal_and_a_ctrl_c(columns: int, shop: Shop) -> None:
    """Lines come as backfills are made; what goes on is below them, and gone in the end; a Ctrl-C is answered
    at once, and the cursor is there again.
    """
    with gated(shop, creates) as (gate, api):
        arguments = ("apply", "--auto-approve", "--parallelism", "1")
        terminal = Terminal(shop, *arguments, command=SOON, columns=columns)
        terminal.until("Creating 0 of 2")
        terminal.until("~ ads  2024-05-01..2024-05-10")
        terminal.type(b"\x03")
        terminal.until("Stopping: 1 create is under way;")
        gate.open.set()
        done = terminal.end()
        assert done.code == 130
        left = screen(done.out, columns)
        assert not too_long(left, columns)
        assert "^C" not in left
        assert "Creating" not in left
        assert "sending" not in left
        words = " ".join(left.split())
        assert "+ ads 2024-05-01..2024-05-10 10 days 10001" in words
        assert words.index("Stopping: 1 create") < words.index("Apply incomplete (exit 130): 1 created")
        assert "not sent 1 backfill, 5 days: still due, nothing is lost" in words
        assert f"      reconciler apply --auto-approve --parallelism 1 --api {api.url}\n" in left
        assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_second_ctrl_c_restores_the_cursor_and_says_what_is_open(columns: int, shop: Shop) -> None:
    with gated(shop, creates) as (_gate, api):
        terminal = Terminal(shop, "apply", "--auto-approve", command=SOON, columns=columns)
        terminal.until("Creating 0 of 2")
        terminal.type(b"\x03")
        terminal.until("finds it.)")  # the end of what the first says
        terminal.type(b"\x03")
        began = time.monotonic()
        done = terminal.end()
        assert time.monotonic() - began < 3
        assert done.code == 130
        left = screen(done.out, columns)
        *_, told = left.partition("(Ctrl-C again")
        wanted = (
            "(Ctrl-C again ends now. What was sent is recorded; the next run finds it.) "
            "Ended at once: 2 creates are under way. They are recorded; the next run finds out what became "
            f"of them: reconciler apply --auto-approve --api {api.url}"
        )
        assert " ".join(("(Ctrl-C again" + told).split()) == wanted, left
        assert not too_long(left, columns)
        assert "Creating" not in left
        assert "sending" not in left
        assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")


def test_unknown_outcomes_are_looked_at_in_one_line(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        api.sandbox.faults("status-500-before@create")
        process = shop.start("apply", "--auto-approve", command=SOON)
        said(process, r"looking what became of 2 creates \((ads, web|web, ads)\)")
        process.send_signal(signal.SIGTERM)
        done = ended(process)
        assert done.code == 143
        assert "  unknown    2 creates, 15 days: " in done.err


def test_a_rate_limit_is_waited_for_with_a_name(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        api.sandbox.faults("rate-limit-silent@create")
        process = shop.start("apply", "--auto-approve", "--parallelism", "1", command=SOON)
        said(process, r"waiting until \d\d:\d\d:\d\d UTC: the API rate limit was reached \((ads|web)\)")
        process.send_signal(signal.SIGTERM)
        done = ended(process)
        assert done.code == 143
        assert re.search(
            r"  answered   1 backfill, \d+ days: 429 TOO_MANY_REQUESTS; not done, still due", done.err
        )
        assert re.search(r"  not sent   1 backfill, \d+ days: still due, nothing is lost", done.err)


# -- what is asked about was seen --------------------------------------------------------------


def test_who_is_asked_has_seen_the_plan(online: Shop, api: Api) -> None:
    """Also where the plan goes into a file: it is shown on the terminal besides."""
    terminal = Terminal(
        online, "-c", f'"{sys.executable}" -m reconciler apply > plan.txt', command=("/bin/sh",)
    )
    terminal.until("Only `yes` is accepted")
    assert b"Plan: 2 to create (15 days)" in terminal.seen
    terminal.type(b"no\r")
    assert terminal.end().code == 1
    assert "Plan: 2 to create (15 days)" in (online.folder / "plan.txt").read_text()
    until(lambda: api.writes() == [])
