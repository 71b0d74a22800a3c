"""``retry`` by hand: what it shows and asks, what it refuses, and that just these days are due afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cli_rig import COMMAND, FILE, SETTLED_AT_ONCE, TEAM, Api, Done, Shop, Terminal, serving

WORN_OUT = FILE.replace("    ranges: [2024-05-01", "    max_attempts: 1\n    ranges: [2024-05-01")
FAILED_DAYS = "2024-05-03", "2024-05-04", "2024-05-08"
FAILING = {day: {"error": "Timeout", "times": 1} for day in FAILED_DAYS}
NO_HISTORY = {"status": 403, "code": "LICENSE_HISTORICAL_RANGE_EXCEEDED", "message": "Not in your plan"}
SCENE = {"teams": {TEAM: {"transfers": {1: {"fail_days": FAILING}, 2: {"refuse": NO_HISTORY}}}}}
NOTHING = "Nothing that retry could forget keeps days of ads from being due."


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(SCENE) as made:
        yield made


@pytest.fixture
def worn(online: Shop, api: Api) -> Shop:
    """Three days of ``ads`` are out of attempts; the create of ``web`` was refused."""
    online.write(WORN_OUT)
    online.run("apply", "--auto-approve", code=3)
    api.sandbox.advance(2 * 3600)
    return online


def due(shop: Shop, *arguments: str, settled: bool = False) -> list[str]:
    """Return the actions of the next plan: ``ads 2024-05-03..2024-05-04``; once settle time is over."""
    command = SETTLED_AT_ONCE if settled else COMMAND
    return [
        f"{one['transfer']} {one['start']}..{one['end']}"
        for one in shop.run("plan", "--json", *arguments, command=command).json["actions"]
    ]


def first_line(shop: Shop, *arguments: str) -> str:
    return shop.run("retry", *arguments, code=0).out.splitlines()[0]


def state(shop: Shop) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shop.state.iterdir() if path.suffix == ".db"}


# -- what it does ----------------------------------------------------------------------------------


def test_days_out_of_attempts_are_due_again_all_of_them(worn: Shop, api: Api) -> None:
    assert due(worn) == []
    done = worn.run("retry", "ads", "--auto-approve", code=0)
    assert [line.split() for line in done.out.splitlines()[:2]] == [
        ["2024-05-03..2024-05-04", "attempts"],
        ["2024-05-08..2024-05-08", "attempts"],
    ]
    assert (done.err, "What is due now:\n  reconciler plan" in done.out) == ("", True)
    assert due(worn) == ["ads 2024-05-08..2024-05-08", "ads 2024-05-03..2024-05-04"]
    worn.run("apply", "--auto-approve", "--target", "ads", code=0)
    api.sandbox.advance(2 * 3600)
    assert worn.run("plan", "--target", "ads", code=0).summary.count("10 covered") == 1
    assert first_line(worn, "ads") == NOTHING


@pytest.mark.parametrize(
    "name, given, wanted",
    [
        ("1", "2024-05-04..2024-05-09", ["ads 2024-05-08..2024-05-08", "ads 2024-05-04..2024-05-04"]),
        ("ads", "2024-05-08", ["ads 2024-05-08..2024-05-08"]),
    ],
    ids=["a range, by id", "a day, by name"],
)
def test_only_the_days_given_are_due_again(worn: Shop, name: str, given: str, wanted: list[str]) -> None:
    worn.run("retry", name, given, "--auto-approve", code=0)
    assert due(worn) == wanted


def test_a_refusal_is_forgotten_and_only_that(worn: Shop, api: Api) -> None:
    done = worn.run("retry", "web", "2024-04-02..2024-04-03", "--auto-approve", code=0)
    assert "refused" in done.out
    blocked = worn.run("plan", "--json", "--target", "web", code=0).json["blocked"]
    reasons = {f"{one['start']}..{one['end']}": one["reason"] for one in blocked}
    assert reasons.pop("2024-04-02..2024-04-03") == "recent-request"  # the request itself is not forgotten
    assert set(reasons.values()) == {"refused"}
    assert due(worn, settled=True) == ["web 2024-04-02..2024-04-03"]
    api.sandbox.change_transfer(2, refuse=None)
    worn.run("apply", "--auto-approve", "--target", "web", command=SETTLED_AT_ONCE)
    assert api.made(2) == ["2024-04-02..2024-04-03"]


def test_what_failed_after_a_retry_is_out_of_attempts_again(worn: Shop, api: Api) -> None:
    api.sandbox.change_transfer(1, fail_days={"2024-05-08": {"error": "Timeout", "times": 9}})
    worn.run("retry", "ads", "--auto-approve", code=0)
    worn.run("apply", "--auto-approve", "--target", "ads", code=0)
    api.sandbox.advance(2 * 3600)
    assert due(worn, "--target", "ads") == []
    assert worn.run("retry", "ads", "--auto-approve", code=0).out.count("attempts") == 1
    assert due(worn) == ["ads 2024-05-08..2024-05-08"]


# -- nothing to do, and refusals -------------------------------------------------------------------


def test_without_anything_held_up_nothing_is_asked_and_nothing_written(online: Shop, api: Api) -> None:
    assert first_line(online, "ads") == NOTHING
    assert not online.state.exists() or state(online) == {}
    assert api.writes() == []


@pytest.mark.parametrize("given", ["2024-05-01", "2023-01-01..2023-12-31"], ids=["loaded", "not declared"])
def test_days_that_nothing_holds_up_are_no_question(worn: Shop, given: str) -> None:
    before = state(worn)
    assert first_line(worn, "ads", given) == NOTHING
    assert state(worn) == before


WRONG = {
    "no terminal": (["ads"], "Add --auto-approve"),
    "a typo": (["asd", "--auto-approve"], "Did you mean `ads` (transfer 1)?"),
    "an unknown id": (["3", "--auto-approve"], "There is no such transfer"),
    "no date": (["ads", "2024-13-01", "--auto-approve"], "START..END has month 13"),
    "backwards": (["ads", "2024-05-02..2024-05-01", "--auto-approve"], "before it starts on 2024-05-02"),
    "no transfer": (["--auto-approve"], "TRANSFER"),
}


def test_wrong_usage_changes_nothing(worn: Shop) -> None:
    before = state(worn)
    for arguments, said in WRONG.values():
        assert said in worn.run("retry", *arguments, code=64).err
    assert state(worn) == before


def test_a_key_that_is_not_accepted_is_65(worn: Shop) -> None:
    done = worn.run("retry", "ads", "--auto-approve", env={"SUPERMETRICS_API_KEY": "invalid"}, code=65)
    assert done.out == ""


# -- asking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys, code",
    [(b"yes\r", 0), (b"no\r", 1), (b"y\rno\r", 1), (b"\x04", 1)],
    ids=["yes", "no", "y", "the end"],
)
def test_only_yes_is_a_yes(worn: Shop, keys: bytes, code: int) -> None:
    before = state(worn)
    terminal = Terminal(worn, "retry", "ads")
    terminal.until("Only `yes` is accepted")
    terminal.type(keys)
    done = terminal.end()
    assert (done.code, "Nothing was changed." in done.out) == (code, code == 1)
    assert (state(worn) == before) == (code == 1)


# -- the lock, and where things are -----------------------------------------------------------------


def test_a_held_lock_is_respected(worn: Shop) -> None:
    terminal = Terminal(worn, "retry", "ads")
    terminal.until("Only `yes` is accepted")
    done = worn.run("retry", "web", "--auto-approve", code=5)
    assert ("retry" in done.err, done.out) == (True, "")
    assert worn.run("retry", "web", "--auto-approve", "--lock-timeout", "1s", code=5).seconds >= 1
    worn.run("apply", "--auto-approve", code=5)
    worn.run("retry", "web", "--auto-approve", "--no-lock", code=0)
    terminal.type(b"no\r")
    terminal.end()
    assert due(worn, settled=True) == ["web 2024-04-01..2024-04-05"]


def test_of_two_teams_the_one_that_has_the_transfer(worn: Shop, api: Api) -> None:
    other = WORN_OUT.replace(str(TEAM), "54321").replace("  ads:", "  ads-us:").replace("  web:", "  web-us:")
    text = (worn.folder / "backfills.yaml").read_text()
    (worn.folder / "backfills.yaml").unlink()
    worn.write(text, "backfills/eu.yaml")
    worn.write(other, "backfills/us.yaml")
    assert "2 are named 1" in worn.run("retry", "1", "--auto-approve", code=64).told
    assert first_line(worn, "ads-us") == NOTHING.replace("ads", "ads-us")
    worn.run("retry", "ads", "2024-05-08", "--auto-approve", code=0)
    wanted = ["ads 2024-05-08..2024-05-08", "ads-us 2024-05-01..2024-05-10"]
    assert due(worn, "--target", "ads*") == wanted


def test_on_the_embedded_sandbox_its_own_state_is_written(shop: Shop) -> None:
    scene: dict[str, Any] = {"teams": SCENE["teams"]}
    shop.write(str(scene), "world.yaml")
    shop.write(WORN_OUT)
    env = {"RECONCILER_API_URL": "sandbox"}
    shop.run("sandbox", "reset", "--world", "world.yaml", code=0)
    shop.run("apply", "--auto-approve", env=env, code=3)
    shop.run("sandbox", "advance", "2h", code=0)
    shop.run("retry", "ads", "2024-05-08", "--auto-approve", env=env, code=0)
    plan: Done = shop.run("plan", "--json", env=env, code=0)
    assert [(one["action"], one["start"]) for one in plan.json["actions"]] == [("retry", "2024-05-08")]
    assert [path.name for path in shop.state.iterdir()] == ["sandbox"]
