"""``apply``: asking, approving, filtering by a saved plan, and the exit status of every ending."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_rig import FILE, KEY, TEAM, Api, Done, Shop, Terminal, kill_at_its_create, served, serving, until

OUTCOMES = {"created", "retried", "cancelled", "adopted", "refused", "withdrawn", "unknown"}
SUMMARY = {"type", "exit", "days"} | OUTCOMES


def summary(done: Done, exit_: int) -> dict[str, Any]:
    """Return the last JSON line, checked."""
    last: dict[str, Any] = done.lines[-1]
    assert SUMMARY <= set(last) <= SUMMARY | {"diagnostics"}
    assert (last["type"], last["exit"], done.code) == ("summary", exit_, exit_)
    return last


# -- the way it goes -------------------------------------------------------------------------------


def test_apply_creates_and_a_second_one_does_nothing(online: Shop, api: Api) -> None:
    done = online.run("apply", "--auto-approve", code=0)
    assert done.summary == "Apply complete: 2 created, 0 retried, 0 cancelled (15 days)."
    assert sorted(line.rpartition("  ")[0] for line in done.err.splitlines()) == [
        "    + ads  2024-05-01..2024-05-10   10 days",
        "    + web  2024-04-01..2024-04-05    5 days",
    ]
    assert api.made(1) == ["2024-05-01..2024-05-10"]
    again = online.run("apply", "--auto-approve", code=0)
    assert again.summary == "Apply complete: 0 created, 0 retried, 0 cancelled (0 days)."
    assert api.writes() == ["POST 200"] * 2


def test_apply_json_is_one_object_a_line_and_a_summary_last(online: Shop) -> None:
    done = online.run("apply", "--auto-approve", "--json", code=0)
    *events, _last = done.lines
    assert done.err == ""
    for event in events:
        assert set(event) == {
            "type",
            "action",
            "team_id",
            "transfer",
            "transfer_id",
            "start",
            "end",
            "days",
            "backfill_id",
            "adopted",
        }
    assert [one["type"] for one in events] == ["created", "created"]
    assert summary(done, 0) | {"type": 0} == {
        "type": 0,
        "exit": 0,
        "created": 2,
        "retried": 0,
        "cancelled": 0,
        "adopted": 0,
        "refused": 0,
        "withdrawn": 0,
        "unknown": 0,
        "days": 15,
    }
    assert len(online.run("apply", "--auto-approve", "--json", code=0).lines) == 1


def test_a_failed_day_is_retried(online: Shop, tmp_path: Path) -> None:
    scene = {"teams": {TEAM: {"transfers": {1: {"fail_days": {"2024-05-04": {"times": 1}}}, 2: {}}}}}
    with serving(scene) as api:
        online.env |= api.env
        online.run("apply", "--auto-approve", code=0)
        api.sandbox.advance(86400)
        assert "-/+ 2024-05-04 " in online.run("plan", code=0).out
        done = online.run("apply", "--auto-approve", "--json", code=0)
        assert [one["type"] for one in done.lines] == ["cancelled", "created", "summary"]
        assert summary(done, 0)["retried"] == 1
        api.sandbox.advance(86400)
        assert online.run("plan", code=0).summary == "No changes. Days: 15 declared: 15 covered."


# -- asking ----------------------------------------------------------------------------------------


def test_without_a_terminal_nobody_is_asked(online: Shop, api: Api) -> None:
    done = online.run("apply", stdin="yes\n", code=64)
    assert "--auto-approve" in done.err
    assert api.sandbox.requests() == []


@pytest.mark.parametrize(
    ("keys", "code", "made"),
    [
        *((b"yes\r", 0, 2), (b"no\r", 1, 0), (b"y\ryes\r", 0, 2), (b"y\ry\r", 1, 0)),
        *((b"YES\r", 1, 0), (b"\r", 1, 0), (b"\x03", 130, 0)),
    ],
    ids=["yes", "no", "y, then yes", "y, and y", "YES", "enter", "ctrl-c"],
)
def test_the_prompt(keys: bytes, code: int, made: int, online: Shop, api: Api) -> None:
    terminal = Terminal(online, "apply")
    terminal.until("Only `yes` is accepted")
    assert api.writes() == []
    terminal.type(keys)
    if keys == b"\x03":
        terminal.until("Nothing was done.")
    done = terminal.end()
    assert (done.code, len(api.made())) == (code, made), done.out
    assert ("Nothing was done." in done.out) == (code in (1, 130))
    online.run("apply", "--auto-approve", code=0)
    assert len(api.made()) == 2


def test_the_end_of_input_is_no_yes(online: Shop, api: Api) -> None:
    terminal = Terminal(online, "apply")
    terminal.until("Only `yes` is accepted")
    terminal.type(b"\x04")
    assert terminal.end().code in (1, 130)
    assert api.writes() == []


def test_whoever_takes_time_gets_no_more_than_was_shown(online: Shop, api: Api) -> None:
    """Somebody makes a backfill while the prompt waits: what is left is the next run's."""
    terminal = Terminal(online, "apply", "--parallelism", "1")
    terminal.until("Only `yes` is accepted")
    other = Shop(online.folder / "other", api.env)
    other.folder.mkdir()
    other.write(FILE.replace("[2024-05-01..2024-05-10]", "[2024-05-04..2024-05-06]"))
    other.run("apply", "--auto-approve", "--target", "ads", code=0)
    terminal.type(b"yes\r")
    done = terminal.end()
    assert (done.code, "backfill 10001 is active on some" in " ".join(done.out.split())) == (3, True)
    assert api.made(1) == ["2024-05-04..2024-05-06"]
    online.run("apply", "--auto-approve", code=0)
    assert api.made(1) == ["2024-05-01..2024-05-03", "2024-05-04..2024-05-06", "2024-05-07..2024-05-10"]


def test_a_plan_without_changes_asks_nothing(online: Shop) -> None:
    online.run("apply", "--auto-approve", code=0)
    done = Terminal(online, "apply").end()
    assert done.code == 0
    assert "Only `yes`" not in done.out


# -- colour ----------------------------------------------------------------------------------------

COLORS = [
    ({}, [], False),
    ({"FORCE_COLOR": "1"}, [], True),
    ({"FORCE_COLOR": "0"}, [], False),
    ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
    ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ({"FORCE_COLOR": "1"}, ["--color", "never"], False),
]


@pytest.mark.parametrize(("env", "flags", "colored"), COLORS)
def test_colour_through_a_pipe(env: dict[str, str], flags: list[str], colored: bool, shop: Shop) -> None:
    done = shop.run("plan", "--api", "sandbox", *flags, env=env, code=0)
    assert ("\x1b[" in done.out) == colored
    refused = shop.run("plan", *flags, env=env, code=65)
    assert ("\x1b[" in refused.err) == colored


@pytest.mark.parametrize(
    ("env", "flags", "colored"),
    [
        ({}, [], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": ""}, [], True),
        ({"TERM": "dumb"}, [], False),
        ({}, ["--color", "never"], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ],
)
def test_colour_on_a_terminal(env: dict[str, str], flags: list[str], colored: bool, shop: Shop) -> None:
    done = Terminal(shop, "plan", "--api", "sandbox", *flags, env=env).end()
    assert ("\x1b[" in done.out) == colored
    done = Terminal(shop, "plan", "-c", "missing.yaml", *flags, env=env).end()
    assert ("\x1b[" in done.out) == colored


def test_lines_on_a_terminal(online: Shop) -> None:
    done = Terminal(online, "apply", "--auto-approve").end()
    assert done.code == 0
    assert "ads  2024-05-01..2024-05-10   10 days  1000" in done.out
    assert "Apply complete: 2 created" in done.out


# -- the expected plan, and a saved one ------------------------------------------------------------


def test_the_printed_command_applies_exactly_this_plan(online: Shop, api: Api) -> None:
    done = online.run("plan", code=0)
    command = done.command
    assert re.search(r" --as-of \d{4}-\d\d-\d\d --expect [0-9a-f]{12}$", command)
    online.write(FILE.replace("2024-05-10", "2024-05-11"))
    refused = online.shell(command)
    assert refused.code == 6
    assert "not the expected one" in refused.told
    assert api.writes() == []
    online.write(FILE)
    assert online.shell(command).code == 0
    assert len(api.made()) == 2
    again = online.shell(command)
    assert (again.code, len(api.made())) == (0, 2)
    assert "was applied already" in again.told


def test_expect_an_outage_is_an_outage(shop: Shop) -> None:
    with serving() as api:
        shop.env |= api.env
        digest = shop.run("plan", "--json", code=0).json["digest"]
        api.sandbox.faults("status-400-before@list")
        done = shop.run("apply", "--expect", digest, code=69)
        assert "not the expected one" not in done.err
        assert api.writes() == []


def save(shop: Shop, *flags: str) -> Path:
    shop.run("plan", "--out", "plan.json", *flags, code=0)
    return shop.folder / "plan.json"


def test_a_saved_plan_is_a_filter(online: Shop, api: Api) -> None:
    save(online)
    online.write(FILE.replace("2024-05-01..2024-05-10", "2024-04-28..2024-05-12"))  # it grew
    done = online.run("apply", "plan.json", code=0)
    assert api.made(1) == ["2024-05-01..2024-05-10"]
    for range_ in (
        "> 2024-05-11..2024-05-12    2 days  not in the approved plan",
        "> 2024-04-28..2024-04-30    3 days",
    ):
        assert range_ in done.out
    again = online.run("apply", "plan.json", code=0)
    assert again.summary == "Apply complete: 0 created, 0 retried, 0 cancelled (0 days)."
    assert len(api.made()) == 2


def test_days_covered_since_are_gone(online: Shop, api: Api) -> None:
    save(online)
    online.write(FILE.replace("2024-05-01..2024-05-10", "2024-05-04..2024-05-06"))
    online.run("apply", "--auto-approve", "--target", "ads", code=0)
    online.write(FILE)
    online.run("apply", "plan.json", code=0)
    assert api.made(1) == ["2024-05-01..2024-05-03", "2024-05-04..2024-05-06", "2024-05-07..2024-05-10"]


def test_a_job_that_is_run_again_creates_nothing_even_if_a_day_failed_since(online: Shop) -> None:
    scene = {"teams": {TEAM: {"transfers": {1: {"fail_days": {"2024-05-04": {"times": 1}}}, 2: {}}}}}
    with serving(scene) as api:
        online.env |= api.env
        save(online)
        online.run("apply", "plan.json", code=0)
        api.sandbox.advance(86400)
        done = online.run("apply", "plan.json", code=0)
        assert "> 2024-05-04                1 day   not in the approved plan" in done.out
        assert len(api.made()) == 2
        done = online.run("apply", "--auto-approve", code=0)
        assert "1 retried" in done.summary


def test_a_saved_plan_brings_its_selection(online: Shop, api: Api) -> None:
    save(online, "--target", "w*")
    online.run("apply", "plan.json", "--target", "ads", code=64)
    online.run("apply", "plan.json", code=0)
    assert (api.made(1), api.made(2)) == ([], ["2024-04-01..2024-04-05"])


def test_strict(online: Shop, api: Api) -> None:
    save(online)
    online.write(FILE.replace("2024-05-10", "2024-05-11"))
    done = online.run("apply", "plan.json", "--strict", code=6)
    assert "2024-05-11" in done.told
    assert api.writes() == []
    online.write(FILE)
    online.run("apply", "plan.json", "--strict", code=0)
    assert len(api.made()) == 2


def test_strict_an_outage_is_an_outage(online: Shop, api: Api) -> None:
    save(online)
    api.sandbox.faults("status-401-before@list")
    online.run("apply", "plan.json", "--strict", code=65)


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a day more": lambda plan: plan["actions"][0].update(end="2024-05-11"),
    "another team": lambda plan: plan["actions"][0].update(team_id=777),
    "a cancel more": lambda plan: plan["actions"][0].update(cancels=[42]),
    "a negative id": lambda plan: plan["actions"][0].update(transfer_id=-1),
    "another digest": lambda plan: plan.update(digest="sha256:" + "0" * 64),
    "a later format": lambda plan: plan.update(format_version="2.0"),
    "no format": lambda plan: plan.pop("format_version") and None,
    "a list": lambda plan: "[]",
    "cut short": lambda plan: json.dumps(plan)[:200],
    "deep": lambda plan: "[" * 100_000,
    "empty": lambda plan: "",
}
"""Each changes a plan in place, or returns the text that stands in the file instead."""


@pytest.mark.parametrize("name", DAMAGE)
def test_an_altered_plan_is_refused(name: str, saved: tuple[Shop, Api, str]) -> None:
    shop, api, text = saved
    plan = json.loads(text)
    instead = DAMAGE[name](plan)
    (shop.folder / "bad.json").write_text(json.dumps(plan) if instead is None else instead)
    shop.run(*(["show"] if name in ("deep", "a list") else ["apply"]), "bad.json", code=6)
    assert api.writes() == []


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with a saved plan, an API, and the plan's text."""
    shop = Shop(tmp_path_factory.mktemp("saved"))
    shop.write(FILE)
    with serving() as api:
        shop.env |= api.env
        yield shop, api, save(shop).read_text("utf-8")


def test_a_later_minor_version_may_say_more(saved: tuple[Shop, Api, str]) -> None:
    shop, _api, text = saved
    plan = json.loads(text) | {"format_version": "1.7", "nobody_knows_this": [1]}
    (shop.folder / "newer.json").write_text(json.dumps(plan))
    shop.run("show", "newer.json", code=0)


def test_an_expired_plan(saved: tuple[Shop, Api, str]) -> None:
    shop, api, text = saved
    for age, flags, code in ((8, [], 6), (31, ["--plan-expiry", "30d"], 6), (2, ["--plan-expiry", "1d"], 6)):
        plan = json.loads(text)
        made = datetime.now(UTC) - timedelta(days=age)
        plan["created_at"] = made.strftime("%Y-%m-%dT%H:%M:%SZ")
        (shop.folder / "old.json").write_text(json.dumps(plan))
        assert "made" in shop.run("apply", "old.json", *flags, code=code).err
    shop.run("apply", "old.json", "--plan-expiry", "31d", code=64)
    assert api.writes() == []


def test_a_plan_for_another_api_or_team_or_state(online: Shop, api: Api) -> None:
    save(online)
    with serving() as other:
        done = online.run("apply", "plan.json", "--api", other.url, code=6)
        assert other.url in done.err
        assert other.writes() == []
    online.write(FILE.replace("12345", "777"))
    assert "12345" in online.run("apply", "plan.json", code=6).err
    online.write(FILE)
    online.run("apply", "plan.json", code=0)
    online.write(FILE.replace("2024-05-10", "2024-05-11"))
    save(online)
    done = online.run("apply", "plan.json", "--state", "elsewhere", code=6)
    assert "lineage" in done.err
    online.run("apply", "plan.json", code=0)
    assert api.made(1) == ["2024-05-01..2024-05-10", "2024-05-11..2024-05-11"]


# -- exit statuses ---------------------------------------------------------------------------------

FAULTS = {
    "refused": ("status-422-before@create", 3, 0),
    "unauthorized": ("status-401-before@create", 65, 0),
    "forbidden": ("status-403-before@create", 65, 0),
    "row-quota": ("quota-rows@create", 7, 0),
    "licence": ("quota-licence@create", 7, 0),
    "rate-limit": ("rate-limit-day@create", 69, 0),
    "read-refused": ("status-400-before@list", 69, 0),
    "read-quota": ("quota-rows@list", 7, 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_exit_statuses(name: str, online: Shop, api: Api) -> None:
    fault, code, made = FAULTS[name]
    api.sandbox.faults(fault)
    done = online.run("apply", "--auto-approve", "--json", code=code)
    summary(done, code)
    assert done.err.strip() or code == 3, "it is said why"
    assert len(api.made()) == made
    api.sandbox.faults()
    if code != 3:
        online.run("apply", "--auto-approve", code=0)
        assert len(api.made()) == 2


def test_a_refusal_says_why_and_what_the_support_asks_for(online: Shop, api: Api) -> None:
    api.sandbox.settings(min_range_days=30)
    message, reason = (
        "This request is well formed but cannot be carried out.",
        "A range needs at least 30 days",
    )
    done = online.run("apply", "--auto-approve", "--json", code=3)
    refused = [one for one in done.lines if one["type"] == "refused"]
    said = {
        (one["status"], one["code"], one["message"], one["description"], one["blocker"]) for one in refused
    }
    assert said == {(422, "UNPROCESSABLE_ENTITY", message, reason, None)}
    assert all(one["request_id"] for one in refused)
    done = online.run("apply", "--auto-approve", "--state", "other", "--target", "ads", code=3)
    assert f"refused: 422 UNPROCESSABLE_ENTITY: {message[:-1]}: {reason} (request " in done.told


@pytest.mark.parametrize("call", ["list", "create"])
def test_a_403_tells_as_much_on_a_write_as_on_a_read(call: str, online: Shop, api: Api) -> None:
    api.sandbox.faults(f"status-403-before@{call}")
    done = online.run("apply", "--auto-approve", "--parallelism", "1", code=65)
    sent = "POST …/transfers/2/backfills (web 2024-04-01..2024-04-05), like a write on another transfer"
    asked = f"{sent} before it," if call == "create" else "GET /teams/12345/backfills"
    told = " ".join(done.err.split())
    assert f"{asked} was answered with 403 FORBIDDEN: This key may not do that: " in told
    assert "(request fault-0000)." in told


def test_a_lost_answer_is_found(online: Shop, api: Api) -> None:
    api.sandbox.faults("reset-after@create=1")
    done = online.run("apply", "--auto-approve", code=0)
    assert done.told.count("found at the API (the connection broke before") == 2
    assert len(api.made()) == 2


def test_a_read_only_key_may_plan_and_not_apply(shop: Shop) -> None:
    shop.write(KEYS, "world.yaml")
    with served(shop, "--world", "world.yaml") as (url, _process):
        shop.env |= {"RECONCILER_API_URL": url, "SUPERMETRICS_API_KEY": KEY}
        shop.run("plan", code=0)
        done = shop.run("apply", "--auto-approve", code=65)
        assert "dwh_transfers_write" in done.err
        shop.run("plan", env={"SUPERMETRICS_API_KEY": "unknown-to-it"}, code=65)


KEYS = f"open: false\nkeys: {{{KEY}: [read]}}\nteams: {{12345: {{transfers: {{1: {{}}, 2: {{}}}}}}}}\n"


def test_a_row_quota_that_is_used_up(shop: Shop) -> None:
    scene = {"settings": {"row_quota": 3000}, "teams": {TEAM: {"transfers": {1: {"rows_per_day": 1000}}}}}
    with serving(scene) as api:
        shop.env |= api.env
        shop.run("apply", "--auto-approve", code=0)
        api.sandbox.advance(86400)
        assert "API_ROW_QUOTA_EXCEEDED" in shop.run("plan", code=7).err
        shop.run("apply", "--auto-approve", code=7)


def test_blind_without_the_state_of_before_nothing_is_bought_until_it_is_accepted(
    online: Shop, api: Api
) -> None:
    blind = FILE.replace("version: 1\n", "version: 1\ndefaults: {evidence: backfills}\n")
    online.write(blind)
    online.run("apply", "--auto-approve", "--state", "runner-1", code=0)
    online.write(blind.replace("2024-05-10", "2024-05-12"))
    made = len(api.writes())
    done = online.run("apply", "--auto-approve", "--state", "runner-2", code=6)
    assert "reconciler accept ads" in done.told
    assert len(api.writes()) == made
    online.run("accept", "ads", "--auto-approve", "--state", "runner-2", code=0)
    online.run("apply", "--auto-approve", "--state", "runner-2", code=0)
    assert len(api.writes()) == made + 1


def test_a_damaged_or_foreign_state_is_refused_and_kept(online: Shop, api: Api) -> None:
    online.run("apply", "--auto-approve", code=0)
    path = online.state / f"team-{TEAM}.db"
    good = path.read_bytes()
    for bad in (b"{}", b"[" * 100_000, good[:-9], good.replace(b'"version":1', b'"version":9')):
        path.write_bytes(bad)
        online.run("plan", code=1)
        summary(online.run("apply", "--auto-approve", "--json", code=1), 1)
        assert path.read_bytes() == bad
    path.write_bytes(good)
    with serving() as other:
        online.run("plan", "--api", other.url, code=1)
        assert other.writes() == []
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    "flags", [["--state", "here"], ["--state", "file://$HOME/here"]], ids=["path", "url"]
)
def test_ci_is_warned_of_a_local_state(flags: list[str], online: Shop) -> None:
    given = [one.replace("$HOME", str(online.folder)) for one in flags]
    done = online.run("apply", "--auto-approve", *given, env={"CI": "true"}, code=0)
    assert "warning[CI001]" in done.err
    assert "CI001" not in online.run("apply", "--auto-approve", *given, code=0).err
    done = online.run("apply", "--auto-approve", "--api", "sandbox", env={"CI": "true"}, code=0)
    assert "CI001" not in done.err


# -- the lock --------------------------------------------------------------------------------------


def test_a_locked_state_is_5_and_says_who(online: Shop, api: Api) -> None:
    terminal = Terminal(online, "apply")
    terminal.until("Only `yes` is accepted")
    done = online.run("apply", "--auto-approve", code=5)
    assert "process" in done.err
    summary(online.run("apply", "--auto-approve", "--json", code=5), 5)
    online.run("plan", code=0)
    online.run("status", code=0)
    waiting = online.run("apply", "--auto-approve", "--lock-timeout", "1s", code=5)
    assert waiting.seconds >= 1
    online.run("apply", "--auto-approve", "--no-lock", code=0)
    terminal.type(b"yes\r")
    done = terminal.end()  # the other took what was shown
    assert (done.code, done.out.count("another run was first")) == (3, 2)
    assert len(api.made()) == 2


def test_who_waits_for_the_lock_gets_it(online: Shop, api: Api) -> None:
    terminal = Terminal(online, "apply")
    terminal.until("Only `yes` is accepted")
    waiting = online.start("apply", "--auto-approve", "--lock-timeout", "60s")
    until(lambda: _opened_by(waiting.pid, f"team-{TEAM}.lock"), "the lock file is open")
    terminal.type(b"no\r")
    assert terminal.end().code == 1
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert "2 created" in out


def _opened_by(pid: int, name: str) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(os.readlink(one).endswith(name) for one in folder.iterdir())
    except OSError:
        return False


# -- resolve ---------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_settled_by_hand(online: Shop, api: Api) -> None:
    assert online.run("resolve", code=0).out == "Nothing is unresolved.\n"
    online.write(FILE.replace("version: 1\n", "version: 1\non_unknown: block\n"))
    pending = _left_pending(online, api)
    done = online.run("resolve", code=0)
    assert "1 unresolved." in done.out
    assert re.search(r"Was ads 2024-05-01\.\.2024-05-10 created \(.+\)\? ", done.out)
    assert (
        summary(online.run("apply", "--auto-approve", "--json", "--target", "ads", code=4), 4)["unknown"] == 1
    )
    wanted = ["resolve", "ads", "2024-05-01..2024-05-10", "--as"]
    online.run(*wanted, "not-created", code=64)  # it asks, and there is no terminal
    online.run(*wanted, "perhaps", "--auto-approve", code=64)
    online.run(*wanted, "created:999", "--auto-approve", code=6)
    online.run("resolve", "ads", "2024-05-01..2024-05-09", "--as", "not-created", "--auto-approve", code=6)
    online.run("resolve", "nobody", "2024-05-01", "--as", "not-created", "--auto-approve", code=64)
    terminal = Terminal(online, *wanted, "not-created")
    terminal.until("Only `yes` is accepted")
    terminal.type(b"no\r")
    assert terminal.end().code == 1
    assert "1 unresolved." in online.run("resolve", code=0).out
    online.run(*wanted, "not-created", "--auto-approve", code=0)
    assert online.run("resolve", code=0).out == "Nothing is unresolved.\n"
    online.run("apply", "--auto-approve", code=0)
    assert len(api.made()) == 2
    assert pending == 1


def _left_pending(shop: Shop, api: Api) -> int:
    """Kill an apply at its create; return how many are pending."""
    kill_at_its_create(shop, api)
    return shop.run("resolve", code=0).out.count("--as not-created")


def test_a_closed_stderr_hinders_nothing(online: Shop, api: Api) -> None:
    closed = ("sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-m", "reconciler")
    done = online.run("apply", "--auto-approve", command=closed, code=0)
    assert "Apply complete: 2 created" in done.out
    assert len(api.made()) == 2


@pytest.mark.parametrize("key", ["forbidden", ""], ids=["refused by the API", "none"])
def test_the_last_line_says_why(key: str, online: Shop) -> None:
    (last,) = online.run(
        "apply", "--auto-approve", "--json", env={"SUPERMETRICS_API_KEY": key}, code=65
    ).lines
    assert (last["type"], last["exit"], last["created"]) == ("summary", 65, 0)
    assert [one["code"] for one in last["diagnostics"]] == ["key-problem"]
