"""``accept`` by hand: what it shows and asks, what it refuses, and that just these days are due then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_rig import TEAM, Api, Shop, Terminal, serving

OTHER_TEAM = 54321
BLIND = """\
version: 1
team_id: {team}
defaults:
  evidence: backfills
transfers:
  ads{name}:
    transfer_id: 1
    ranges: [2024-05-01..2024-05-10]
  web{name}:
    transfer_id: 2
    ranges: [2024-04-01..2024-04-05]
"""
HERE = {"ads": ["2024-05-06..2024-05-10", "2024-05-01..2024-05-03"], "web": ["2024-04-03..2024-04-05"]}
LEFT = {name + more: days for name, days in HERE.items() for more in ("", "-us")}  # of those loaded already
NOTHING = f"Team {TEAM}: there is no unknown history to accept."


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


def history(api: Api, team: int) -> None:
    """Let each transfer of a team have a backfill that no state knows."""
    api.sandbox.create_backfill(team, 1, "2024-05-04", "2024-05-05")
    api.sandbox.create_backfill(team, 2, "2024-04-01", "2024-04-02")
    api.sandbox.advance(2 * 3600)


@pytest.fixture
def blind(online: Shop, api: Api) -> Shop:
    online.write(BLIND.format(team=TEAM, name=""))
    history(api, TEAM)
    return online


@pytest.fixture
def two(blind: Shop, api: Api) -> Shop:
    """Two teams, whose transfers have the same ids."""
    (blind.folder / "backfills.yaml").unlink()
    blind.write(BLIND.format(team=TEAM, name=""), "backfills/eu.yaml")
    blind.write(BLIND.format(team=OTHER_TEAM, name="-us"), "backfills/us.yaml")
    history(api, OTHER_TEAM)
    return blind


def due(shop: Shop, code: int) -> dict[str, list[str]]:
    """Return the actions of the next plan by transfer; all others must be blocked for their history."""
    plan = shop.run("plan", "--json", code=code).json
    assert {one["reason"] for one in plan["blocked"]} == ({"unknown-history"} if code else set())
    told: dict[str, list[str]] = {}
    for one in plan["actions"]:
        told.setdefault(one["transfer"], []).append(f"{one['start']}..{one['end']}")
    return told


def only(*names: str) -> dict[str, list[str]]:
    return {name: LEFT[name] for name in names}


def nothing_left(shop: Shop) -> list[str]:
    """Return what ``accept --all`` says of each team; it asks nothing."""
    return shop.run("accept", "--all", code=0).out.splitlines()


def state(shop: Shop) -> dict[str, bytes]:
    found = shop.state.glob("*.db") if shop.state.exists() else ()
    return {path.name: path.read_bytes() for path in found}


# -- what it does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ads", "1"], ids=["by name", "by id"])
def test_what_is_left_of_one_transfer_is_due(blind: Shop, name: str) -> None:
    assert due(blind, 6) == {}
    done = blind.run("accept", name, "--auto-approve", code=0)
    for told in ("10001", "2024-05-04..2024-05-05", "2024-05-01..2024-05-03", "2024-05-06..2024-05-10"):
        assert told in done.out
    assert ("10002" in done.out, done.err) == (False, "")
    assert "What is due now:\n  reconciler plan" in done.out
    assert due(blind, 6) == only("ads")


def test_several_and_all_and_what_is_made_then(blind: Shop, api: Api) -> None:
    blind.run("accept", "web", "ads", "--auto-approve", code=0)
    assert due(blind, 0) == only("ads", "web")
    blind.run("apply", "--auto-approve", code=0)
    assert api.made(1) == ["2024-05-01..2024-05-03", "2024-05-04..2024-05-05", "2024-05-06..2024-05-10"]
    assert api.made(2) == ["2024-04-01..2024-04-02", "2024-04-03..2024-04-05"]
    assert nothing_left(blind) == [NOTHING]


def test_a_history_that_grew_since_is_not_accepted(blind: Shop, api: Api) -> None:
    blind.run("accept", "ads", "--auto-approve", code=0)
    api.sandbox.create_backfill(TEAM, 1, "2024-05-06", "2024-05-06")
    api.sandbox.advance(2 * 3600)
    assert due(blind, 6) == {}
    assert "10003" in blind.run("accept", "ads", "--auto-approve", code=0).out
    assert due(blind, 6) == {"ads": ["2024-05-07..2024-05-10", "2024-05-01..2024-05-03"]}


def test_all_is_every_transfer_of_every_team(two: Shop) -> None:
    two.run("accept", "--all", "--auto-approve", code=0)
    assert due(two, 0) == LEFT
    assert nothing_left(two) == [NOTHING, NOTHING.replace(str(TEAM), str(OTHER_TEAM))]


def test_what_is_not_named_is_not_accepted(two: Shop) -> None:
    two.run("accept", "ads", "web-us", "--auto-approve", code=0)
    assert due(two, 6) == only("ads", "web-us")


# -- nothing to do, and refusals -------------------------------------------------------------------


def test_who_shares_a_predecessor_is_named(blind: Shop, api: Api) -> None:
    """What is accepted is the history of 1, which is that of both."""
    split = BLIND.format(team=TEAM, name="")
    split = split.replace("transfer_id: 1\n", "transfer_id: 5\n    previous_ids: [1]\n")
    blind.write(split.replace("transfer_id: 2\n", "transfer_id: 6\n    previous_ids: [1]\n"))
    shown = blind.run("accept", "ads", "--auto-approve", code=0).out
    assert "That is accepted for web, too: a predecessor is the same.\n" in shown


def test_without_a_history_nothing_is_asked(online: Shop) -> None:
    online.write(BLIND.format(team=TEAM, name=""))
    assert nothing_left(online) == [NOTHING]
    assert state(online) == {}


def test_with_run_lists_there_is_none(blind: Shop) -> None:
    blind.write(BLIND.format(team=TEAM, name="").replace("evidence: backfills", "evidence: runs"))
    assert nothing_left(blind) == [NOTHING]


WRONG = {
    "no terminal": (["ads"], "Add --auto-approve"),
    "a typo": (["ads", "wbe", "--auto-approve"], "Did you mean `web` (transfer 2)?"),
    "an unknown id": (["3", "--auto-approve"], "There is no such transfer"),
    "neither": (["--auto-approve"], "Name transfers, or give --all"),
    "both": (["--all", "ads", "--auto-approve"], "Name transfers, or give --all"),
}


def test_wrong_usage_changes_nothing(blind: Shop) -> None:
    for arguments, said in WRONG.values():
        assert said in blind.run("accept", *arguments, code=64).err
    assert state(blind) == {}


def test_of_two_transfers_with_one_id_a_name_must_tell(two: Shop) -> None:
    assert "2 are named 1" in two.run("accept", "1", "--auto-approve", code=64).told


def test_a_key_that_is_not_accepted_is_65(blind: Shop) -> None:
    done = blind.run("accept", "ads", "--auto-approve", env={"SUPERMETRICS_API_KEY": "invalid"}, code=65)
    assert (done.out, state(blind)) == ("", {})


# -- asking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys, code",
    [(b"yes\r", 0), (b"no\r", 1), (b"y\rno\r", 1), (b"\x04", 1)],
    ids=["yes", "no", "y", "the end"],
)
def test_only_yes_is_a_yes(blind: Shop, keys: bytes, code: int) -> None:
    terminal = Terminal(blind, "accept", "ads")
    terminal.until("Only `yes` is accepted")
    terminal.type(keys)
    done = terminal.end()
    assert (done.code, "Nothing was changed." in done.out) == (code, code == 1)
    assert (state(blind) == {}) == (code == 1)


def test_each_team_is_asked_for_alone(two: Shop) -> None:
    terminal = Terminal(two, "accept", "--all")
    terminal.until("Only `yes` is accepted")
    terminal.type(b"no\r")
    terminal.until("ads-us: ")
    terminal.type(b"yes\r")
    assert terminal.end().code == 1
    assert due(two, 6) == only("ads-us", "web-us")


# -- the lock, and where things are -----------------------------------------------------------------


def test_a_held_lock_is_respected(blind: Shop) -> None:
    terminal = Terminal(blind, "accept", "ads")
    terminal.until("Only `yes` is accepted")
    done = blind.run("accept", "web", "--auto-approve", code=5)
    assert ("accept" in done.err, done.out) == (True, "")
    blind.run("apply", "--auto-approve", code=5)
    blind.run("accept", "web", "--auto-approve", "--no-lock", code=0)
    terminal.type(b"no\r")
    terminal.end()
    assert due(blind, 6) == only("web")


def test_the_lock_is_waited_for(blind: Shop) -> None:
    terminal = Terminal(blind, "accept", "ads")
    terminal.until("Only `yes` is accepted")
    waited = blind.run("accept", "web", "--auto-approve", "--lock-timeout", "1s").seconds
    terminal.type(b"no\r")
    terminal.end()
    assert waited >= 1


def test_on_the_embedded_sandbox_its_own_state_is_written(shop: Shop) -> None:
    made = {"transfer_backfill_id": 12346, "transfer_id": 1, "status": "COMPLETED"}
    made |= {"range_start_date": "2024-05-04", "range_end_date": "2024-05-05"}
    shop.write(str({"teams": {TEAM: {"transfers": {1: {}, 2: {}}, "backfills": [made]}}}), "world.yaml")
    shop.write(BLIND.format(team=TEAM, name=""))
    shop.env["RECONCILER_API_URL"] = "sandbox"
    shop.run("sandbox", "reset", "--world", "world.yaml", code=0)
    assert due(shop, 6) == {"web": ["2024-04-01..2024-04-05"]}
    assert "12346" in shop.run("accept", "ads", "--auto-approve", code=0).out
    assert due(shop, 0) == only("ads") | {"web": ["2024-04-01..2024-04-05"]}
    assert [path.name for path in shop.state.iterdir()] == ["sandbox"]
