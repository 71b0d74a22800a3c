"""A saved plan and the files it names; what of it is not done; digests on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cli_rig import FILE, Api, Shop, Terminal

ADS, WEB = "2024-05-01..2024-05-10", "2024-04-01..2024-04-05"
ONLY_ADS = FILE[: FILE.index("  web:")]
ONLY_WEB = FILE.replace(FILE[FILE.index("  ads:") : FILE.index("  web:")], "")


# -- the files of a plan -----------------------------------------------------------------------------


def test_a_saved_plan_names_its_files(online: Shop, api: Api) -> None:
    (online.folder / "backfills.yaml").rename(online.folder / "marketing.yaml")
    planned = online.run("plan", "-c", "marketing.yaml", "--out", "a plan.json", code=0)
    assert json.loads((online.folder / "a plan.json").read_text())["options"]["config"] == ["marketing.yaml"]
    assert planned.command.startswith("reconciler apply 'a plan.json'")
    assert online.shell(planned.command).code == 0
    assert api.made() == [WEB, ADS]


def test_files_that_are_not_here_are_named(online: Shop, api: Api) -> None:
    online.run("plan", "--out", "plan.json", code=0)
    (online.folder / "backfills.yaml").rename(online.folder / "moved.yaml")
    done = online.run("apply", "plan.json", code=6)
    assert "backfills.yaml" in done.err
    assert "\n    reconciler apply plan.json -c /path/to/backfills.yaml" in done.err
    assert api.writes() == []
    online.run("apply", "plan.json", "-c", "moved.yaml", code=0)
    assert api.made() == [WEB, ADS]


def test_with_fewer_files_what_is_not_done_is_named(online: Shop, api: Api) -> None:
    online.run("plan", "--out", "plan.json", code=0)
    online.write(ONLY_ADS, "fewer/fewer.yaml")
    done = online.run("apply", "plan.json", "-c", "fewer", "--state", "state", code=3)
    assert (
        "web 2024-04-01..2024-04-05: not done: not-declared; make a new plan, or give all the files"
        in done.told
    )
    assert "not done   5 days of web: not-declared, under this plan" in done.err
    assert "reconciler plan --out plan.json" in done.told
    assert done.summary.startswith("Apply incomplete (exit 3): 1 created")
    assert api.made() == [ADS]


@pytest.mark.parametrize("target", [(), ("--target", "ads")])
def test_with_other_files_a_plan_is_refused(target: tuple[str, ...], online: Shop, api: Api) -> None:
    online.run("plan", "--out", "plan.json", *(target or ("--target", "a*")), code=0)
    online.write(ONLY_WEB)
    done = online.run("apply", "plan.json", code=6)
    assert "does not fit the files" in done.told
    assert api.writes() == []


def test_an_earlier_date_leaves_days_undone_and_says_so(online: Shop, api: Api) -> None:
    online.run("plan", "--out", "plan.json", code=0)
    done = online.run("apply", "plan.json", "--as-of", "2024-05-08", code=3)
    assert "ads 2024-05-08..2024-05-10: not done: future; apply it again" in done.told
    assert api.made() == [WEB, "2024-05-01..2024-05-07"]
    online.run("apply", "plan.json", code=0)
    assert api.made() == [WEB, "2024-05-01..2024-05-07", "2024-05-08..2024-05-10"]


def test_a_plan_made_by_a_clock_ahead_is_carried_out_once(online: Shop, api: Api) -> None:
    online.run("plan", "--out", "plan.json", code=0)
    path = online.folder / "plan.json"
    plan = json.loads(path.read_text())
    plan["created_at"] = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(json.dumps(plan))
    online.run("apply", "plan.json", code=0)
    api.sandbox.advance(86400)
    again = online.run("apply", "plan.json", code=0)
    assert "was applied already, on " in again.told
    (told,) = [
        one for one in online.run("apply", "plan.json", "--json", code=0).lines if one["type"] != "summary"
    ]
    assert set(told) == {"type", "digest", "at", "by"}
    assert (told["type"], told["digest"]) == ("applied-before", plan["digest"])
    assert len(api.writes()) == 2


# -- digests -----------------------------------------------------------------------------------------


def test_any_beginning_of_a_digest_will_do(online: Shop, api: Api) -> None:
    whole = online.run("plan", "--json", code=0).json["digest"]
    digits = whole.removeprefix("sha256:")
    online.run("apply", "--expect", digits[:11], code=64)
    online.run("apply", "--expect", "0" * 12, code=6)
    assert api.writes() == []
    online.run("apply", "--expect", digits[:12], code=0)
    for text in (whole, digits, whole[:30], digits[:20]):
        online.run("apply", "--expect", text, code=0)
    assert len(api.writes()) == 2


def test_the_command_stands_last_where_there_is_something_to_do(online: Shop) -> None:
    planned = online.run("plan", "--target", "ads", "--settle", "20m", code=0)
    assert "--target ads --settle 20m --expect" in planned.command
    assert online.shell(planned.command).code == 0
    online.run("apply", "--auto-approve", code=0)
    for flags in ([], ["--out", "plan.json"]):
        assert "Apply exactly this" not in online.run("plan", *flags, code=0).out
    online.write(
        FILE.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 1}\n"), "backfills.yaml"
    )
    online.write((online.folder / "backfills.yaml").read_text().replace("05-10", "05-20"))
    assert "Apply exactly this" not in online.run("plan", code=6).out


def test_a_plain_apply_is_named_too(online: Shop, api: Api) -> None:
    planned = online.run("plan", code=0)
    terminal = Terminal(online, "apply")
    terminal.until("Only `yes` is accepted")
    terminal.type(b"yes\r")
    assert terminal.end().code == 0
    assert online.shell(planned.command).code == 0
    assert len(api.writes()) == 2


def test_a_guard_is_overridden_for_one_plan_with_a_reason(online: Shop, api: Api) -> None:
    online.write(FILE.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 14}\n"))
    whole = online.run("plan", "--json", code=6).json["digest"]
    override = ("apply", "--override", "max_days_per_apply")
    assert "--expect" in online.run(*override, "--reason", "Agreed", "--auto-approve", code=64).err
    assert "--reason" in online.run(*override, "--expect", whole, code=64).err
    online.run("apply", "--reason", "Agreed", "--expect", whole, code=64)
    online.run("apply", "--override", "max_days", "--expect", whole, "--reason", "Agreed", code=64)
    assert api.writes() == []
    done = online.run(*override, "--expect", whole, "--reason", "Agreed with ann", code=0)
    assert "A guard is overridden" in done.told
    assert len(api.writes()) == 2
    told = online.run("plan", code=0).err
    assert "A guard was overridden" in told
    assert "Agreed with ann" in told
