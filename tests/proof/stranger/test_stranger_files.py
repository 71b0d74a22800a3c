"""Fewer files than before, another folder, a re-run and its line, and what midnight must not cancel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stranger_rig import Stranger
from stranger_world import day, days, moment

ADS = {"ads": {"transfer_id": 1, "ranges": ["2025-05"]}}
WEB = {"web": {"transfer_id": 2, "ranges": ["2025-06"]}}


@pytest.fixture
def two(stranger: Stranger) -> Stranger:
    for transfer_id in (1, 2):
        stranger.world.transfer(transfer_id)
    return stranger


# --- the files of a team ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "team",
    [
        {"guards": {"max_days_per_apply": 10}},
        {"limits": {"max_creates_per_apply": 1}},
        {"on_unknown": "block"},
        {"timezone": "Pacific/Auckland"},
        {"state": "elsewhere"},
    ],
    ids=lambda team: next(iter(team)),
)
def test_a_file_that_sets_what_holds_for_the_team_cannot_be_left_out(
    two: Stranger, team: dict[str, Any]
) -> None:
    two.declare(ADS, "backfills/ads.yaml")
    two.declare(WEB, "backfills/team.yaml", **team)
    done = two.apply("-c", "backfills/ads.yaml", code=6)
    assert ("team.yaml" in done.text, two.created) == (True, [])
    two.apply("--target", "ads", code=6 if "guards" in team else 0)
    assert [one for one in two.created if one.startswith("2 ")] == []


def test_a_file_without_such_keys_may_be_read_alone(two: Stranger) -> None:
    two.declare(ADS, "backfills/ads.yaml")
    two.declare(WEB, "backfills/web.yaml")
    two.load("-c", "backfills/ads.yaml")
    assert two.created == ["1 2025-05-01..2025-05-31"]


def test_files_of_a_team_lie_in_one_folder(two: Stranger) -> None:
    two.declare(ADS, "one/ads.yaml")
    two.declare(WEB, "other/web.yaml")
    done = two.apply("-c", "one/ads.yaml", "-c", "other/web.yaml", "--state", "state", code=1)
    assert ("one/ads.yaml" in done.text, "other/web.yaml" in done.text) == (True, True)
    assert two.created == []


# --- where the state lies ------------------------------------------------------------------------

BLIND = {"evidence": "backfills", "chunk": "month"}
BOTH = {"ads": {"transfer_id": 1, "ranges": ["2025-04", "2025-05"]}}


@pytest.mark.parametrize("name", ["backfills.yaml", "backfills/ads.yaml"])
@pytest.mark.parametrize("first", [True, False], ids=["from afar first", "from afar second"])
def test_another_current_folder_is_not_another_memory(two: Stranger, name: str, first: bool) -> None:
    two.declare(BOTH, f"team/{name}", defaults=BLIND)
    folder, afar = two.folder / "team", two.folder / "afar"
    afar.mkdir()
    from_afar = ("-c", str(folder / name)), afar
    for arguments, where in (from_afar, ((), folder)) if first else (((), folder), from_afar):
        two.apply(*arguments, where=where, code=0)
        two.world.advance(hours=12)
    assert (len(two.created), two.world.twice()) == (2, set())
    assert list(afar.iterdir()) == []
    assert list((folder / "state").iterdir())


def test_a_new_state_below_a_folder_that_has_one_is_refused(two: Stranger) -> None:
    two.declare(BOTH, defaults=BLIND)
    two.load()
    two.declare(BOTH, "copy/backfills.yaml", defaults=BLIND)
    two.apply(where=two.folder / "copy", code=6)
    assert (len(two.created), (two.folder / "copy" / "state").exists()) == (2, False)


# --- a re-run names its own line --------------------------------------------------------------------

RERUN = """\
version: 1
team_id: 7
transfers:
  ads:
    transfer_id: 1
    ranges:
      - start: 2024-01-01
        end: 2024-12-31
        reason: History
      - start: 2024-03-01
        end: 2024-03-31
        stale_before: 2025-06-01
        reason: Source fixed
"""


def test_a_rerun_is_told_with_its_own_line_and_reason(two: Stranger) -> None:
    year = two.world.create(1, day("2024-01-01"), day("2024-12-31"), at=moment("2025-01-15 09:00"))
    two.write(RERUN)
    shown = two.plan(code=0)
    assert year.status(two.world.now) == "COMPLETED"
    assert (shown.days, shown.reasons) == ({"covered": 335, "planned": 31}, {"stale": 31})
    assert shown.json["actions"][0]["declared_at"] == ["backfills.yaml:10:9"]
    told = two.run("plan", code=0).text
    assert ("Source fixed" in told, "History" in told) == (True, False)
    assert "verlap" not in told  # the idiom is no warning
    two.load()
    two.load()
    assert two.world.bought(1) == days("2024-03-01", "2024-03-31")


def test_days_never_loaded_keep_the_reason_of_their_own_range(two: Stranger) -> None:
    two.write(RERUN)
    shown = two.plan(code=0)
    assert shown.reasons == {"never-loaded": 366}
    assert "backfills.yaml:7:9" in shown.json["actions"][0]["declared_at"]
    assert "History" in two.run("plan", code=0).text


# --- prune ---------------------------------------------------------------------------------------------


def relative(stranger: Stranger, start: str, end: str) -> None:
    ranges = [{"start": start, "end": end}]
    stranger.declare({"ads": {"transfer_id": 1, "ranges": ranges}}, prune=True)


@pytest.mark.parametrize("start", ["yesterday", "today-1d"])
def test_midnight_cancels_nothing(two: Stranger, start: str) -> None:
    two.world.transfers[1].seconds = 4 * 3600
    two.world.until("23:50")
    relative(two, start, start)
    two.apply(code=0)
    two.world.until("00:10")
    assert [one[0] for one in two.plan(code=0).actions] == ["create"]
    two.load()
    assert two.world.bought(1) == days("2025-06-30", "2025-07-01")


def test_an_edit_cancels(two: Stranger) -> None:
    two.world.transfers[1].seconds = 4 * 3600
    relative(two, "yesterday", "yesterday")
    two.apply(code=0)
    relative(two, "2025-06-01", "2025-06-02")
    assert sorted(one[0] for one in two.plan(code=0).actions) == ["cancel", "create"]


def test_a_file_is_json_too(tmp_path: Path, two: Stranger) -> None:
    two.declare(ADS)
    assert json.loads((tmp_path / "backfills.yaml").read_text())["transfers"] == ADS


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, code",
    [
        ({"loaded": [{"start": "2025-05-01", "end": "2025-05-31", "reason": "By hand"}]}, 0),
        ({"loaded": [{"start": "2025-05-01", "end": "2025-05-31"}]}, 1),
        ({"evidence": "auto"}, 1),
        ({"retry_after": "soon"}, 1),
    ],
    ids=["loaded", "loaded without a reason", "evidence auto", "retry_after soon"],
)
def test_settings_that_came_and_went(stranger: Stranger, more: dict[str, Any], code: int) -> None:
    stranger.world.transfer(1)
    stranger.declare({"ads": ADS["ads"] | more})
    stranger.run("plan", code=code)
    assert code or stranger.plan().days == {"covered": 31}


def test_new_state_is_gone(stranger: Stranger) -> None:
    stranger.declare(ADS)
    stranger.apply("--new-state", code=64)
