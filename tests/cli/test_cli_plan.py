"""``plan``, ``show`` and ``status``: what they say, in which shape, with which exit status."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from cli_rig import APPLY, FILE, KEY, TEAM, Api, Shop, serving

SUMMARY = re.compile(
    r"(No changes\.|Plan: \d+ to create \(\d+ days\), \d+ to retry \(\d+ days\), \d+ to cancel\.) "
    r"Days: \d+ declared(: \d+ [a-z ]+(, \d+ [a-z ]+)*)?\."
)
BUCKETS = {
    "declared",
    "covered",
    "in_flight",
    "planned",
    "waiting",
    "blocked",
    "failed",
    "deferred",
    "future",
}
WHERE_THEY_APPLY = {"until", "limit", "held_by", "answer", "error"}
ITEM = {"team_id", "transfer", "transfer_id", "start", "end", "days", "reason", "declared_at"}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()
    }


def without_command(text: str) -> list[str]:
    lines = text.splitlines()
    return [one for one in lines if not one.startswith(APPLY)]


# -- the shape of a plan ---------------------------------------------------------------------------

EVERYTHING = """\
version: 1
team_id: 12345
limits: {max_open_per_transfer: 2}
transfers:
  ads: {transfer_id: 1, chunk: month, max_attempts: 1, ranges: [2024-01, 2024-02, 2024-03]}
  web: {transfer_id: 2, paused: true, ranges: [2024-04]}
  tv:
    transfer_id: 3
    owner: media
    evidence: backfills
    stale_before: 2024-06-01
    ranges: [2024-05-01..2024-05-10]
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a plan that has something of almost everything, as text and as JSON, and what a second said."""
    running = {"transfer_id": 3, "status": "RUNNING", "created_time": "2024-05-11T00:00:00Z"}
    days = {"range_start_date": "2024-05-04", "range_end_date": "2024-05-06"}
    scene = {"teams": {TEAM: {"backfills": [{"transfer_backfill_id": 501, **running, **days}]}}}
    shop = Shop(tmp_path_factory.mktemp("everything"))
    shop.write(EVERYTHING)
    with serving(scene) as api:
        shop.env |= api.env
        text = shop.run("plan", code=6)  # nobody knows what became of tv before this state
        first, second = shop.run("plan", "--json", code=6), shop.run("plan", "--json", code=6)
        saved = shop.run("plan", "--out", "plan.json", "--out", "text=plan.txt", code=6)
        assert files(shop.folder).keys() == {"backfills.yaml", "plan.json", "plan.txt"}, "no state, no lock"
        assert {one["method"] for one in api.sandbox.requests()} == {"GET"}
    return shop, text, first, second, saved


def test_plan_json_is_of_the_documented_shape(everything: Any) -> None:
    plan = everything[2].json
    assert set(plan) == {
        "format_version",
        "tool_version",
        "created_at",
        "api_url",
        "digest",
        "options",
        "teams",
        "applyable",
        "complete",
        "errored",
        "summary",
        "transfers",
        "actions",
        "deferred",
        "blocked",
        "waiting",
        "failed",
        "guards",
        "unmanaged",
        "diagnostics",
    }
    assert plan["format_version"] == "1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", plan["created_at"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", plan["digest"])
    assert plan["options"] == {"config": ["backfills.yaml"], "target": [], "exclude": []}
    (team,) = plan["teams"]
    assert {"team_id", "as_of", "state", "list_full", "evidence"} <= set(team)
    assert (team["team_id"], team["state"], team["list_full"]) == (TEAM, {"lineage": "", "serial": 0}, False)
    assert set(plan["summary"]) == {"create", "retry", "cancel", "minimum_creates", "days"}
    assert set(plan["summary"]["days"]) == BUCKETS
    assert (plan["applyable"], plan["complete"], plan["errored"]) == (True, False, False)


def test_its_items_are_of_the_documented_shape(everything: Any) -> None:
    plan = everything[2].json
    for action in plan["actions"]:
        assert set(action) == {
            "action",
            "team_id",
            "transfer",
            "transfer_id",
            "vendor_name",
            "start",
            "end",
            "days",
            "reasons",
            "notes",
            "owner",
            "declared_at",
            "cancels",
        }
        assert sum(action["reasons"].values()) == action["days"]
        assert all(re.fullmatch(r"backfills\.yaml:\d+:\d+", place) for place in action["declared_at"])
    for kind in ("deferred", "blocked", "waiting", "failed"):
        assert all(ITEM <= set(one) <= ITEM | WHERE_THEY_APPLY for one in plan[kind]), kind
    assert {one["reason"] for one in plan["deferred"]} == {"max_open_per_transfer"}
    assert {one["reason"] for one in plan["blocked"]} == {"paused", "unknown-history"}
    assert [one["reason"] for one in plan["waiting"]] == ["stale"]
    assert plan["unmanaged"] == [
        {
            "team_id": TEAM,
            "transfer_id": 3,
            "backfill_id": 501,
            "start": "2024-05-04",
            "end": "2024-05-06",
            "created_user_id": 789,
            "status": "RUNNING",
        }
    ]


def test_its_numbers_add_up(everything: Any) -> None:
    summary = everything[2].json["summary"]
    days = dict(summary["days"])
    assert days.pop("covered") is None, "the state does not know the history of some"
    covered = sum(map(int, re.findall(r"(\d+) covered", everything[1].summary)))
    assert days.pop("declared") == covered + sum(days.values()) == 91 + 30 + 10
    assert summary["minimum_creates"] == summary["create"] == len(everything[2].json["actions"])


def test_a_plan_is_the_same_twice_but_for_its_time(everything: Any) -> None:
    first, second = everything[2].json, everything[3].json
    first.pop("created_at"), second.pop("created_at")
    assert first == second
    lines = [one for one in everything[2].out.splitlines() if "created_at" not in one]
    assert lines == [one for one in everything[3].out.splitlines() if "created_at" not in one]
    assert list(json.loads(everything[2].out)) == sorted(json.loads(everything[2].out)), "keys are sorted"


def test_the_last_line_is_the_summary(everything: Any) -> None:
    assert SUMMARY.fullmatch(everything[1].summary)
    assert [line.split(":")[0] for line in everything[1].err.splitlines()[:1]] == ["warning[OB003]"]
    assert [one["code"] for one in everything[2].json["diagnostics"]] == ["OB003"]
    assert without_command(everything[4].out) == without_command(everything[1].out)
    assert everything[1].command.startswith("reconciler apply --api http")
    assert "--as-of" in everything[1].command
    assert everything[4].command.startswith("reconciler apply plan.json --api http")


def test_what_was_saved_is_shown_again(everything: Any) -> None:
    """All of it but the command at the end, and the flags of others, which only ``plan`` knows."""
    shop, planned, *_ = everything
    saved_text = without_command((shop.folder / "plan.txt").read_text("utf-8"))
    plain = planned.out.replace(f" --api {shop.env['RECONCILER_API_URL']}", "")
    assert saved_text == without_command(plain)
    saved_text = [saved_text[0].partition(" · 127")[0], *saved_text[1:]]  # a saved plan has no state at hand
    assert without_command(shop.run("show", code=0).out) == saved_text
    saved = json.loads((shop.folder / "plan.json").read_text("utf-8"))
    assert shop.run("show", "plan.json", "--json", code=0).json == saved
    shop.run("show", "--out", "text=again.txt", code=0)
    assert without_command((shop.folder / "again.txt").read_text("utf-8")) == saved_text


def test_the_state_may_be_read_only_and_the_key_too(shop: Shop) -> None:
    scene = {"keys": {KEY: ["read"]}}
    with serving(scene) as api:
        shop.env |= api.env
        shop.state.mkdir(mode=0o500)
        shop.run("plan", code=0)
        shop.run("status", code=0)
        assert list(shop.state.iterdir()) == []
        assert shop.run("apply", "--auto-approve").code in (1, 65)  # root may write there all the same


# -- exit statuses ---------------------------------------------------------------------------------


def test_detailed_exitcode(online: Shop) -> None:
    online.run("plan", code=0)
    online.run("plan", "--detailed-exitcode", code=2)
    online.run("apply", "--auto-approve", code=0)
    done = online.run("plan", "--detailed-exitcode", code=0)
    assert done.summary == "No changes. Days: 15 declared: 15 in flight."


def test_deferred_days_are_changes_too(online: Shop, api: Api) -> None:
    online.write(FILE.replace("version: 1\n", "version: 1\nlimits: {max_open_backfills: 1}\n"))
    online.run("apply", "--auto-approve", code=0)
    done = online.run("plan", "--detailed-exitcode", code=2)
    assert done.summary.startswith("No changes. ")


def test_a_guard_refuses_but_everything_is_written(online: Shop, api: Api) -> None:
    online.write(FILE.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 14}\n"))
    done = online.run("plan", "--out", "plan.json", code=6)
    assert SUMMARY.fullmatch(done.summary)
    assert "guards.max_days_per_apply" in done.err
    assert json.loads((online.folder / "plan.json").read_text())["applyable"] is False
    assert online.run("plan", "--detailed-exitcode", code=6)
    assert "guards.max_days_per_apply" in online.run("apply", "--auto-approve", code=6).err
    assert online.run("apply", "plan.json", code=6).err.count("guard")
    told = online.run("apply", "--auto-approve", "--json", code=6).lines
    assert told[-1]["exit"] == 6
    assert api.writes() == []
    online.run("apply", "--auto-approve", "--target", "ads", code=0)


def test_no_key(shop: Shop) -> None:
    done = shop.run("plan", code=65)
    assert "SUPERMETRICS_API_KEY" in done.err
    assert "--api sandbox" in done.told
    assert json.loads(shop.run("plan", "--json", code=65).out)["errored"] is True
    shop.run("apply", "--auto-approve", code=65)
    shop.run("status", code=65)


def test_the_key_may_come_from_a_file(shop: Shop, api: Api) -> None:
    (shop.folder / "key").write_text(KEY + "\n")
    env = {"RECONCILER_API_URL": api.url, "SUPERMETRICS_API_KEY_FILE": "key"}
    shop.run("plan", env=env, code=0)
    done = shop.run("plan", env=env | {"SUPERMETRICS_API_KEY_FILE": "missing"}, code=65)
    assert "SUPERMETRICS_API_KEY_FILE" in done.err


@pytest.mark.parametrize("key", ["two words", "new\nline", "ümlaut", "\x1b[31m"])
def test_a_key_that_cannot_be_one(key: str, shop: Shop, api: Api) -> None:
    done = shop.run("plan", env=api.env | {"SUPERMETRICS_API_KEY": key}, code=65)
    assert key not in done.out + done.err


def test_an_invalid_key(shop: Shop, api: Api) -> None:
    done = shop.run("plan", env=api.env | {"SUPERMETRICS_API_KEY": "invalid"}, code=65)
    assert "does not accept the key" in done.told
    assert shop.run("apply", "--auto-approve", env=api.env | {"SUPERMETRICS_API_KEY": "invalid"}, code=65)


def test_a_forbidden_key(shop: Shop, api: Api) -> None:
    done = shop.run("plan", env=api.env | {"SUPERMETRICS_API_KEY": "forbidden"}, code=65)
    assert "dwh_transfers_read" in done.err


@pytest.mark.proof
def test_nobody_listens(shop: Shop) -> None:
    """Retried for a while, then 69; the waits are real, so there are few of them."""
    env = {"RECONCILER_API_URL": "http://127.0.0.1:9/v1", "SUPERMETRICS_API_KEY": KEY}
    assert "error" in shop.run("plan", env=env, code=69).err


def test_the_environment_is_overruled_by_flags(shop: Shop, api: Api) -> None:
    env = {
        "RECONCILER_API_URL": "http://127.0.0.1:9/v1",
        "RECONCILER_STATE": "nowhere",
        "SUPERMETRICS_API_KEY": KEY,
    }
    shop.run("apply", "--auto-approve", "--api", api.url, "--state", "here", env=env, code=0)
    assert (shop.folder / "here" / f"team-{TEAM}.db").exists()
    assert not (shop.folder / "nowhere").exists()


# -- selection, dates, configuration ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "planned"),
    [
        (["--target", "ads"], 10),
        (["--target", "a*"], 10),
        (["--target", "*"], 15),
        (["--target", "ads", "--target", "web"], 15),
        (["--exclude", "ads"], 5),
        (["--target", "*", "--exclude", "w?b"], 10),
    ],
)
def test_target_and_exclude(flags: list[str], planned: int, online: Shop) -> None:
    plan = online.run("plan", "--json", *flags, code=0).json
    assert plan["summary"]["days"]["planned"] == planned
    assert plan["complete"] is False, "with a selection it is never complete"


def test_a_pattern_that_matches_nothing(online: Shop) -> None:
    for flag in ("--target", "--exclude"):
        done = online.run("plan", flag, "adz*", code=64)
        assert "adz*" in done.err


@pytest.mark.parametrize("command", ["plan", "apply --auto-approve", "status"])
def test_a_selection_that_leaves_nothing_is_no_success(command: str, shop: Shop) -> None:
    for flags in (["--target", "a*", "--exclude", "ads"], ["--exclude", "*"]):
        done = shop.run(*command.split(), *flags, code=64)
        assert "No transfer is left" in done.told
        assert not done.out


def test_the_selection_stands_in_the_printed_command(online: Shop) -> None:
    done = online.run("plan", "--target", "a*", code=0)
    assert "--target 'a*'" in done.command
    assert online.shell(done.command).code == 0
    assert online.run("plan", "--json", code=0).json["summary"]["days"]["planned"] == 5


def test_as_of(online: Shop) -> None:
    online.write(FILE.replace("[2024-05-01..2024-05-10]", "[{start: 2024-05-01, end: today-3d}]"))
    plan = online.run("plan", "--json", "--as-of", "2024-05-10", code=0).json
    assert plan["teams"][0]["as_of"] == "2024-05-10"
    assert max(one["end"] for one in plan["actions"]) == "2024-05-07"


def test_a_folder_of_files_and_several_of_them(shop: Shop, api: Api) -> None:
    shop.env |= api.env
    (shop.folder / "backfills.yaml").unlink()
    shop.write(FILE, "backfills/a.yaml")
    shop.write(FILE.replace("12345", "777"), "backfills/deeper/b.yml")
    shop.write("not: ours\n", "backfills/.hidden.yaml")
    plan = shop.run("plan", "--json", code=0).json
    assert [one["team_id"] for one in plan["teams"]] == [777, 12345] or [
        one["team_id"] for one in plan["teams"]
    ] == [12345, 777]
    assert shop.run("plan", "--json", "-c", "backfills", code=0).json["digest"] == plan["digest"]
    both = ["-c", "backfills/a.yaml", "-c", "backfills/deeper/b.yml"]
    assert shop.run("plan", "--json", *both, code=0).json["digest"] == plan["digest"]
    shop.run("apply", "--auto-approve", code=0)
    assert {one.name for one in shop.state.glob("*.db")} == {"team-777.db", "team-12345.db"}


def test_two_teams_and_one_bad_key_is_still_one_document(shop: Shop) -> None:
    shop.write(FILE, "teams/a.yaml")
    other = FILE.replace("12345", "777").replace("version: 1\n", "version: 1\nkey_env: OTHER_KEY\n")
    shop.write(other, "teams/b.yaml")
    with serving() as api:
        shop.env |= api.env | {"OTHER_KEY": "invalid"}
        done = shop.run("plan", "-c", "teams", "--json", code=65)
        plan = done.json
        assert plan["errored"] is True
        assert [one["team_id"] for one in plan["teams"]] == [12345]
        assert [one["code"] for one in plan["diagnostics"]] == ["key-problem"]
        assert "777" in plan["diagnostics"][0]["detail"]
        assert "777" in shop.run("plan", "-c", "teams", code=65).err
        assert shop.run("status", "-c", "teams", "--json", code=65).json["errored"] is True
        done = shop.run("apply", "-c", "teams", "--auto-approve", "--json", code=65)
        assert {name: value for name, value in done.lines[-1].items() if name != "diagnostics"} == {
            "type": "summary",
            "exit": 65,
            "created": 2,
            "retried": 0,
            "cancelled": 0,
            "adopted": 0,
            "refused": 0,
            "withdrawn": 0,
            "unknown": 0,
            "days": 15,
        }
        assert "777" in done.err, "--json or not, it is said why"
        assert shop.run("apply", "-c", "teams", "--expect", plan["digest"], code=65)


# -- where it goes ---------------------------------------------------------------------------------


def test_out_to_a_pipe_does_not_replace_it(online: Shop) -> None:
    pipe = online.folder / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
    reader.start()
    online.run("plan", "--out", "pipe", code=0)
    reader.join(30)
    assert json.loads(read[0])["applyable"] is True
    assert pipe.is_fifo()


def test_out_through_a_link_keeps_the_link(online: Shop) -> None:
    (online.folder / "link.json").symlink_to("plan.json")
    online.run("plan", "--out", "link.json", code=0)
    assert (online.folder / "link.json").is_symlink()
    assert json.loads((online.folder / "plan.json").read_text())["applyable"] is True


@pytest.mark.parametrize("path", ["missing/plan.json", ".", "backfills.yaml/plan.json"])
def test_out_that_cannot_be_written(path: str, online: Shop) -> None:
    online.run("plan", "--out", path, code=64)


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_a_reader_that_goes_away_is_no_error(reader: str, shop: Shop) -> None:
    """The plan is some 100 KiB, more than a pipe holds."""
    lines = "".join(f"  t{one}: {{transfer_id: {one}, ranges: [2024-01-01]}}\n" for one in range(3, 300))
    shop.write(FILE + lines)
    done = shop.shell(f"reconciler plan --json --api sandbox | {reader}")
    assert (done.code, done.err) == (0, "")


def test_verbose_tells_each_request_but_no_key(online: Shop) -> None:
    done = online.run("plan", "-v", code=0)
    told = [line for line in done.err.splitlines() if line.startswith("GET ")]
    assert len(told) == 6
    assert "GET" not in done.out


# -- status ----------------------------------------------------------------------------------------


def test_status(online: Shop, api: Api) -> None:
    told = online.run("status", "--json", code=0).json
    held_up = {"deferred", "waiting", "blocked", "failed", "failed_before"}
    assert set(told) == {"format_version", "errored", "diagnostics", "transfers", "total"} | held_up
    assert set(told["total"]) == {"days", "percent", "synced", "healthy"}
    assert set(told["total"]["days"]) == BUCKETS
    assert [one["transfer"] for one in told["transfers"]] == ["ads", "web"]
    assert (told["total"]["synced"], told["total"]["percent"]) == (False, 0)
    online.run("status", "--check", code=0)
    online.run("status", "--check=synced", code=3)
    online.run("apply", "--auto-approve", code=0)
    online.run("status", "--check=synced", code=0)
    api.sandbox.advance(86400)
    done = online.run("status", code=0)
    *_, ads, web, total = done.out.splitlines()
    full = "  ##############    100 %  "
    assert ads == f"  ads        {full}10 / 10"
    assert web == f"  web        {full}  5 / 5"
    assert total == "  2 transfers" + " " * 18 + "  100 %  15 / 15  synced, healthy"


def test_status_calls_nothing_well_that_it_could_not_read(online: Shop) -> None:
    (online.state).mkdir()
    (online.state / f"team-{TEAM}.db").write_bytes(
        b"no database at all, but long enough to be read as one" * 9
    )
    told = online.run("status", "--json", code=1).json
    buckets = dict.fromkeys(BUCKETS, None)
    unknown = {"percent": None, "synced": None, "healthy": None}
    assert told["errored"] is True
    assert told["total"] == {"days": buckets | {"declared": 15}, **unknown}
    assert [(one["transfer"], one["days"]["declared"], one["healthy"]) for one in told["transfers"]] == [
        ("ads", 10, None),
        ("web", 5, None),
    ]
    done = online.run("status", "--check", code=1)
    assert "Team 12345 · unknown: The state is damaged" in done.out
    for row in done.out.splitlines()[2:]:
        assert re.fullmatch(r" +(ads|web|2 transfers) [ .]*  unknown +\? / \d+  not read", row)
    assert "%" not in done.out


def test_a_saved_plan_is_applied_with_its_settle_time(online: Shop) -> None:
    assert online.run("plan", "--settle", "1h", "--out", "p.json", code=0).command.endswith("--settle 1h")


def test_status_says_why_it_knows_nothing(online: Shop) -> None:
    with serving({"settings": {"runs_readable": False}}) as api:
        online.env |= api.env
        told = online.run("status", "--json", code=65).json
    assert (told["total"]["percent"], told["total"]["synced"], told["total"]["healthy"]) == (
        None,
        None,
        False,
    )
    assert {one["answer"]["status"] for one in told["blocked"]} == {403}
    assert {one["code"] for one in told["diagnostics"]} == {"OB002"}


def test_a_file_of_transfers_is_no_plan(shop: Shop) -> None:
    assert "reconciler apply -c backfills.yaml" in shop.run("apply", "backfills.yaml", code=64).told


def test_a_team_that_is_not_selected_is_not_read(online: Shop, api: Api) -> None:
    other = FILE.replace(str(TEAM), "999").replace("  ads:", "  other:").replace("  web:", "  more:")
    (online.folder / "backfills.yaml").unlink()
    online.write(FILE, "backfills/one.yaml")
    online.write(other, "backfills/two.yaml")
    online.run("status", "--target", "ads", code=0)
    assert {one["path"].split("/")[3] for one in api.sandbox.requests()} == {str(TEAM)}


def test_two_saved_plans_are_compared(online: Shop, api: Api) -> None:
    online.run("plan", "--out", "base.json", code=0)
    online.write((online.folder / "backfills.yaml").read_text().replace("05-10", "05-12"))
    online.run("plan", "--out", "plan.json", "--out", "markdown=plan.md", "--base", "base.json", code=0)
    done = online.run("diff", "base.json", "plan.json", code=0)
    assert done.out.splitlines()[-1] == "2 days more."
    told = online.run("diff", "base.json", "plan.json", "--json", code=0).json
    assert told["days"] == {"more": 2, "fewer": 0}
    assert told["transfers"][0]["change"] == "grew"
    assert "**2 days more**" in (online.folder / "plan.md").read_text()
    assert online.run("diff", "plan.json", "plan.json", code=0).out == "No difference.\n"
    strict = online.run("apply", "base.json", "--strict", code=6)
    assert "new: ads 2024-05-11..2024-05-12" in strict.told
    online.run("diff", "plan.json", code=64)
    online.run("diff", "plan.json", "backfills.yaml", code=64)
    assert api.writes() == []
