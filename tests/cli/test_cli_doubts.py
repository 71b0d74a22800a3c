"""Creates in doubt, from the command line: settled by hand, a saved plan run again, interruptions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import FILE, KEY, TEAM, Api, Shop, Terminal, ended, kill_at_its_create, serving, until
from test_cli_signals import creates, gated

SETTLED = "ads", "2024-05-01..2024-05-10", "--as", "not-created"
BLOCKING = FILE.replace("version: 1\n", "version: 1\non_unknown: block\n")


@pytest.fixture
def in_doubt(shop: Shop) -> Iterator[tuple[Shop, Api]]:
    """A folder in which an apply was killed while its create hung, before the API did anything."""
    with serving() as api:
        shop.env |= api.env
        shop.write(BLOCKING)
        kill_at_its_create(shop, api)
        yield shop, api


def printed_command(shop: Shop) -> list[str]:
    """Return the arguments of the command that ``resolve`` prints."""
    told = shop.run("resolve", code=0).out
    return (
        told.split(": reconciler ")[1]
        .splitlines()[0]
        .replace("created:ID|not-created", "not-created")
        .split()
    )


@pytest.mark.parametrize("change", ["renamed", "removed"])
def test_the_printed_command_works_whatever_became_of_the_transfer(
    change: str, in_doubt: tuple[Shop, Api]
) -> None:
    shop, _api = in_doubt
    renamed = BLOCKING.replace("  ads:", "  google:")
    removed = BLOCKING.replace("  ads:\n    transfer_id: 1\n    ranges: [2024-05-01..2024-05-10]\n", "")
    shop.write(renamed if change == "renamed" else removed)
    assert shop.run("apply", "--auto-approve", "--json").code == 4
    shop.run(*printed_command(shop), "--auto-approve", code=0)
    assert shop.run("resolve", code=0).out == "Nothing is unresolved.\n"


def test_by_hand_within_settle_time_the_risk_is_told(in_doubt: tuple[Shop, Api]) -> None:
    shop, _api = in_doubt
    done = shop.run("resolve", *SETTLED, "--auto-approve", code=0)
    assert "may still take effect until" in done.err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_prompt_of_resolve_ends_it(signum: int, in_doubt: tuple[Shop, Api]) -> None:
    """A signal just before Python waits for input is noticed with the next one: it is repeated."""
    import os

    shop, _api = in_doubt
    terminal = Terminal(shop, "resolve", *SETTLED)
    terminal.until("Only `yes` is accepted")
    os.kill(terminal.pid, signum)
    assert terminal.end(nagging=b"\x03").code in (130, 143)
    assert "1 unresolved." in shop.run("resolve", code=0).out
    shop.run("resolve", *SETTLED, "--auto-approve", code=0)


def test_the_end_of_the_input_is_a_no(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        terminal = Terminal(shop, "apply")
        terminal.until("Only `yes` is accepted")
        terminal.type(b"\x04")
        assert terminal.end().code == 1
        assert api.writes() == []


# -- a saved plan, again -----------------------------------------------------------------------------


def test_what_was_refused_is_not_called_done_by_the_next_run_of_the_job(shop: Shop) -> None:
    with serving({"settings": {"max_range_days": 7}}) as api:
        shop.env |= api.env
        shop.run("plan", "--out", "plan.json", code=0)
        shop.run("apply", "plan.json", code=3)
        again = shop.run("apply", "plan.json", code=3)
        assert "transfer 1, 2024-05-01 .. 2024-05-10: not done under this plan" in again.err
        lines = shop.run("apply", "plan.json", "--json", code=3).lines
        where = {"team_id": TEAM, "transfer_id": 1, "start": "2024-05-01", "end": "2024-05-10", "days": 10}
        assert {"type": "not-done", **where} in lines
        assert api.made() == ["2024-04-01..2024-04-05"]
        assert shop.run("apply", "--auto-approve", code=3)  # a plan of its own has nothing left to do


def test_a_saved_cancel_that_is_left_undone_is_told(shop: Shop) -> None:
    """The file asks for no pruning any more."""
    prune = FILE.replace("transfers:", "prune: true\ntransfers:")
    smaller = prune.replace("2024-05-01..2024-05-10", "2024-03-01..2024-03-02")
    with serving() as api:
        shop.env |= api.env
        shop.write(prune)
        shop.run("apply", "--auto-approve", "--parallelism", "1", code=0)
        shop.write(smaller)
        shop.run("plan", "--out", "plan.json", code=0)
        shop.write(smaller.replace("prune: true\n", ""))
        done = shop.run("apply", "plan.json", code=3)
        assert "transfer 1: backfill 10001 is not cancelled under this plan" in done.err
        lines = shop.run("apply", "plan.json", "--json", code=3).lines
        assert [one["cancels"] for one in lines if one["type"] == "not-done"] == [[10001]]
        shop.write(smaller)
        shop.run("apply", "plan.json", code=0)


def test_what_may_not_be_done_any_more_after_a_slow_yes_is_told(shop: Shop) -> None:
    """A plan that was looked at for more than a minute, here for more than no time, is made again."""
    program = (
        "import sys, datetime; from reconciler.cli import main; from reconciler.engine import run;"
        "run.SHOWN_WITHIN = datetime.timedelta(); sys.exit(main.run(sys.argv[1:]))"
    )
    with serving() as api:
        shop.env |= api.env
        terminal = Terminal(shop, "apply", command=(sys.executable, "-c", program))
        terminal.until("Only `yes` is accepted")
        api.sandbox.faults("status-400-before@runs")
        time.sleep(2.0)  # the plan's time is rounded up to a whole second
        terminal.type(b"yes\n")
        done = terminal.end()
        assert "transfer 1, 2024-05-01 .. 2024-05-10: not done under this plan" in done.out
        assert (done.code, api.writes()) == (3, [])


def test_what_was_carried_out_is_done_however_often_the_job_runs(shop: Shop) -> None:
    """Also where a person cancelled it since: it is not created again under the same plan."""
    with serving() as api:
        shop.env |= api.env
        shop.run("plan", "--out", "plan.json", code=0)
        shop.run("apply", "plan.json", code=0)
        shop.run("apply", "plan.json", code=0)
        _cancel(api, 10001)
        shop.run("apply", "plan.json", code=0)
        assert len(api.made()) == 2


def _cancel(api: Api, number: int) -> None:
    import urllib.request

    request = urllib.request.Request(
        f"{api.url}/teams/{TEAM}/backfills/{number}",
        json.dumps({"status": "CANCELLED"}).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        method="PATCH",
    )
    urllib.request.urlopen(request, timeout=20).close()


def test_a_killed_run_of_a_saved_plan_is_finished_by_the_next(shop: Shop) -> None:
    """Its create was given up as never made, so the same plan may create it."""
    program = (
        "import sys, datetime; from reconciler import bounds; from reconciler.cli import main;"
        "bounds.MIN_SETTLE = datetime.timedelta(); sys.exit(main.run(sys.argv[1:]))"
    )
    soon = ("apply", "plan.json", "--settle", "1s")
    with serving() as api:
        shop.env |= api.env
        shop.run("plan", "--out", "plan.json", code=0)
        api.sandbox.faults("status-500-before@create")
        shop.run(*soon, "--parallelism", "1", command=(sys.executable, "-c", program))
        api.sandbox.faults()
        shop.run(*soon, code=0, command=(sys.executable, "-c", program))
        assert len(api.made()) == 2


# -- interrupted -------------------------------------------------------------------------------------


def test_an_interrupted_run_says_what_is_in_doubt(shop: Shop) -> None:
    with gated(shop, creates) as (gate, _api):
        process = shop.start("apply", "--auto-approve", "--parallelism", "1")
        until(lambda: gate.waiting, "a create is under way")
        process.send_signal(signal.SIGTERM)
        done = ended(process, 30)
        assert done.code == 143
        assert "the outcome is unknown; an apply after" in done.err
        assert "reconciler resolve" in done.err
        gate.open.set()


IMPORTING = """
import os, signal, sys
from reconciler.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {signum})

sys.meta_path.insert(0, Interrupting())
sys.argv = ["reconciler", "validate"]
main()
"""


@pytest.mark.parametrize("module", ["click", "reconciler.cli.validate", "yaml"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_is_no_traceback(module: str, signum: int, shop: Shop) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(module=module, signum=int(signum))],
        cwd=shop.folder,
        env=shop.environ(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (process.returncode, process.stderr) == (128 + signum, "Interrupted.\n")


# -- output that cannot be written -------------------------------------------------------------------

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "script, code",
    [
        ("reconciler apply --auto-approve > /dev/full", 1),
        ("reconciler apply --auto-approve --json > /dev/full", 1),
        ("reconciler apply --auto-approve 2> /dev/full", 0),
        ("reconciler plan > /dev/full", 1),
        ("reconciler apply --auto-approve >&-", 0),
    ],
)
def test_a_full_disk_behind_the_output(script: str, code: int, shop: Shop) -> None:
    """The work is done all the same, and 0 is not said where the result is lost."""
    with serving() as api:
        shop.env |= api.env
        done = shop.shell(script)
        assert done.code == code, done
        assert len(api.made()) == (0 if "plan" in script else 2)
        shop.run("apply", "--auto-approve", code=0)
        assert len(api.made()) == 2
