"""Creates in doubt, from the command line: settled by hand, a saved plan run again, interruptions."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import (
    FILE,
    KEY,
    SETTLED_AT_ONCE,
    TEAM,
    Api,
    Shop,
    Terminal,
    ended,
    kill_at_its_create,
    serving,
    until,
)
from test_cli_signals import creates, gated

from reconciler.errors import Interrupted

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
    told = shop.run("resolve", code=0).out.splitlines()
    return next(shlex.split(line)[1:] for line in told if line.startswith("  reconciler "))


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


def test_what_is_unknown_is_told_also_when_nothing_can_be_read(in_doubt: tuple[Shop, Api]) -> None:
    shop, _api = in_doubt
    told, key = "ads 2024-05-01..2024-05-10", {"SUPERMETRICS_API_KEY": "invalid"}
    *_, unknown, last = shop.run("apply", "--auto-approve", "--json", env=key, code=4).lines
    assert (unknown["type"], unknown["transfer"], unknown["settles_at"]) == ("unknown", "ads", None)
    assert (last["type"], last["exit"], last["unknown"]) == ("summary", 4, 1)
    assert [one["code"] for one in last["diagnostics"]] == ["key-problem"]
    done = shop.run("apply", "--auto-approve", env=key, code=4)
    assert "unknown    1 create, 10 days: " in done.err
    assert f"reconciler resolve {told} --as not-created" in done.told
    for command in ("plan", "status"):
        shown = shop.run(command, env=key, code=65)
        assert f"Whether {told} was created" in shown.told
        found = shop.run(command, "--json", env=key, code=65).json["diagnostics"]
        assert [(one["code"], one["severity"]) for one in found] == [
            ("key-problem", "error"),
            ("OB004", "warning"),
        ]


def test_by_hand_within_settle_time_the_risk_is_told(in_doubt: tuple[Shop, Api]) -> None:
    shop, _api = in_doubt
    done = shop.run("resolve", *SETTLED, "--auto-approve", code=0)
    assert "may still take effect until" in done.told


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


def test_a_ctrl_c_at_the_prompt_says_that_nothing_was_done(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        terminal = Terminal(shop, "apply")
        terminal.until("Only `yes` is accepted")
        terminal.type(b"\x03")
        done = terminal.end(nagging=b"\x03")
        assert done.code == 130
        assert "Nothing was done.\r\nInterrupted." in done.out or "nothing is under way." in done.out
        assert api.writes() == []


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
        assert "ads 2024-05-01..2024-05-10: not done: " in again.told
        lines = shop.run("apply", "plan.json", "--json", code=3).lines
        where = {"team_id": TEAM, "transfer_id": 1, "start": "2024-05-01", "end": "2024-05-10", "days": 10}
        assert {"type": "not-done", "transfer": "ads", **where, "reason": "refused"} in lines
        assert api.made() == ["2024-04-01..2024-04-05"]
        *left, last = shop.run("apply", "--auto-approve", "--json", code=3).lines  # nothing is left to do
        assert (last["type"], last["refused"]) == ("summary", 0)
        assert [(one["type"], one["transfer"], one["reason"], one["days"]) for one in left] == [
            ("blocked", "ads", "refused", 10)
        ]
        assert (left[0]["answer"]["status"], left[0]["end"]) == (422, "2024-05-10")


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
        assert "ads: backfill 10001 is not cancelled under this plan" in done.told
        lines = shop.run("apply", "plan.json", "--json", code=3).lines
        assert [one["cancels"] for one in lines if one["type"] == "not-done"] == [[10001]]
        shop.write(smaller)
        shop.run("apply", "plan.json", code=0)


def test_a_plan_that_changed_while_it_was_looked_at_is_shown_again(shop: Shop) -> None:
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
        terminal.type(b"yes\n")
        done = terminal.end()
        assert "The plan has changed since it was shown. It is now:" in done.out
        assert (done.code, api.writes()) == (69, [])


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
    with serving() as api:
        shop.env |= api.env
        shop.run("plan", "--out", "plan.json", code=0)
        kill_at_its_create(shop, api, "apply", "plan.json", "--parallelism", "1")
        assert shop.run("apply", "plan.json").code == 4
        api.sandbox.advance(60)
        shop.run("apply", "plan.json", code=0, command=SETTLED_AT_ONCE)
        assert len(api.made()) == 2


# -- interrupted -------------------------------------------------------------------------------------


def test_an_interrupted_run_says_what_is_in_doubt(shop: Shop) -> None:
    with gated(shop, creates) as (gate, api):
        process = shop.start("apply", "--auto-approve", "--parallelism", "1")
        until(lambda: gate.waiting, "a create is under way")
        process.send_signal(signal.SIGTERM)
        done = ended(process, 30)
        assert done.code == 143
        assert "outcome unknown: the run ended before its outcome was known; an apply after" in done.told
        again = f"reconciler apply --auto-approve --parallelism 1 --api {api.url}"
        assert f"to go on, run the same again:\n      {again}\n" in done.err
        assert "reconciler resolve" in done.told
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
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
    assert (process.returncode, process.stderr) == (128 + signum, f"{Interrupted(signum).summary}.\n")


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
    """The work is done all the same, 0 is not said where the result is lost, and what was made is."""
    with serving() as api:
        shop.env |= api.env
        done = shop.shell(script)
        assert done.code == code, done
        assert len(api.made()) == (0 if "plan" in script else 2)
        if "apply" in script and code:
            assert "Apply complete: 2 created, " in done.told
            assert {"ads", "web"} <= {line.split()[1] for line in done.err.splitlines() if " + " in line}
        shop.run("apply", "--auto-approve", code=0)
        assert len(api.made()) == 2


# -- commands to paste -------------------------------------------------------------------------------


def commands_in(text: str) -> list[str]:
    """Return the commands that stand on a line of their own."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("reconciler ")]


def test_the_commands_of_an_unknown_outcome_have_the_flags_of_the_run(shop: Shop) -> None:
    """Each way it may have gone is a line of its own, which a shell takes as it stands."""
    shop.write(FILE.replace("  ads:", "  my-ads:"), "my files.yaml")
    with serving() as api:
        shop.env["SUPERMETRICS_API_KEY"] = KEY
        run = ["-c", "my files.yaml", "--api", api.url, "--state", "my state"]
        api.sandbox.faults("status-500-before@create")
        process = shop.start("apply", "--auto-approve", "--target", "my-ads", *run)
        until(lambda: any(one.startswith("POST") for one in api.writes()), "a create was sent")
        process.send_signal(signal.SIGTERM)
        done = ended(process)
        api.sandbox.faults()
        flags = f"-c 'my files.yaml' --api {api.url} --state 'my state'"
        wanted = [
            f"reconciler resolve my-ads 2024-05-01..2024-05-10 --as {way} {flags}"
            for way in ("not-created", "created:ID")
        ]
        again = f"reconciler apply --auto-approve {flags} --target my-ads"
        assert commands_in(done.err) == [again, *wanted]
        assert commands_in(shop.run("plan", *run, code=0).err) == wanted
        assert commands_in(shop.run("resolve", *run, code=0).out) == wanted
        assert shop.shell(f"{wanted[0]} --auto-approve").code == 0
        assert shop.run("resolve", *run, code=0).out == "Nothing is unresolved.\n"


def test_what_to_do_next_has_the_flags_of_the_run(shop: Shop) -> None:
    run = ["--api", "sandbox", "--as-of", "2025-07-01", "--target", "a*"]
    flags = "--api sandbox --as-of 2025-07-01 --target 'a*'"
    done = shop.run("apply", *run, "--expect", "0123456789ab", code=6)
    assert commands_in(done.err) == [f"reconciler plan {flags}"]
    assert shop.shell(commands_in(done.err)[0]).code == 0
    shop.write("{}", "alt.json")
    done = shop.run("apply", "alt.json", "--api", "sandbox", code=6)
    assert commands_in(done.err) == ["reconciler plan --out plan.json --api sandbox"]
