"""The sandbox by hand: embedded, served, advanced, reset; and a file of 10,000 ranges on it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_rig import FILE, KEY, TEAM, Shop, served


def test_the_embedded_sandbox_from_first_to_last(shop: Shop) -> None:
    shop.write(FILE.replace("version: 1\n", "version: 1\nstate: production\n"))
    production = shop.folder / "production"
    production.mkdir()
    env = {"RECONCILER_API_URL": "sandbox", "RECONCILER_STATE": "elsewhere"}
    assert "Plan: 2 to create (15 days)" in shop.run("plan", env=env, code=0).summary
    shop.run("apply", "--auto-approve", env=env, code=0)
    done = shop.run("plan", env=env, code=0)
    assert done.summary.startswith("No changes. Days: 15 declared: 15 in flight")
    assert "clock is at" in shop.run("sandbox", "advance", "3d", code=0).out
    assert shop.run("plan", env=env, code=0).summary.startswith("No changes. Days: 15 declared: 15 covered")
    assert [one.name for one in production.iterdir()] == ["sandbox"], "the production state is never touched"
    assert {f"team-{TEAM}.db", "world.db"} <= {one.name for one in (production / "sandbox").iterdir()}
    assert not shop.state.exists()
    assert not (shop.folder / "elsewhere").exists()
    assert "was reset" in shop.run("sandbox", "reset", code=0).out
    assert "Plan: 2 to create (15 days)" in shop.run("plan", env=env, code=0).summary


def test_the_embedded_sandbox_with_a_state_and_a_file_of_ones_own(shop: Shop) -> None:
    flags = ["--api", "sandbox:worlds/one.db", "--state", "mine"]
    shop.run("apply", "--auto-approve", *flags, code=0)
    assert (shop.folder / "mine" / f"team-{TEAM}.db").exists()
    assert (shop.folder / "worlds" / "one.db").exists()
    assert not shop.state.exists()
    shop.run("sandbox", "advance", "1d", "--data", "worlds/one.db", code=0)
    assert "15 covered" in shop.run("plan", *flags, code=0).summary


def test_the_world_lies_with_the_files_wherever_a_command_runs(shop: Shop) -> None:
    shop.write(FILE, "de eu/backfills.yaml")
    flags = ["-c", "de eu/backfills.yaml"]
    shop.run("apply", "--auto-approve", "--api", "sandbox", *flags, code=0)
    elsewhere = Shop(shop.folder / "de eu")
    assert "clock is at" in elsewhere.run("sandbox", "advance", "3d", code=0).out
    assert "15 covered" in shop.run("plan", "--api", "sandbox", *flags, code=0).summary
    assert not shop.state.exists()
    lost = shop.run("sandbox", "advance", "3d", "-c", "other/backfills.yaml", code=64)
    assert "reconciler sandbox reset -c other/backfills.yaml" in lost.told
    done = shop.run("sandbox", "reset", *flags, code=0)
    assert "in de eu/state/sandbox/ was removed" in done.out
    assert "15 planned" in shop.run("plan", "--api", "sandbox", *flags, code=0).summary


def test_of_files_with_several_state_folders_the_world_is_to_be_named(shop: Shop) -> None:
    shop.write(FILE, "eu/backfills.yaml")
    shop.write(FILE.replace(str(TEAM), "6"), "us/backfills.yaml")
    flags = ["-c", "eu/backfills.yaml", "-c", "us/backfills.yaml"]
    assert "eu/state, us/state" in shop.run("plan", "--api", "sandbox", *flags, code=64).told
    shop.run("apply", "--auto-approve", "--api", "sandbox:one.db", *flags, code=0)
    assert (shop.folder / "us" / "state" / "sandbox" / "team-6.db").exists()


def test_a_world_file_sets_the_scene(shop: Shop) -> None:
    shop.write(
        f"now: 2024-06-01T09:00:00Z\nteams: {{{TEAM}: {{transfers: {{1: {{state: paused}}}}}}}}\n",
        "world.yaml",
    )
    shop.run("sandbox", "reset", "--world", "world.yaml", code=0)
    done = shop.run("plan", "--api", "sandbox", code=0)
    assert "10 days  paused at the vendor" in done.out
    for bad in ("nobody: knows\n", "[", "settings: {overlap_status: 200}\n"):
        shop.write(bad, "bad.yaml")
        assert "error[usage]" in shop.run("sandbox", "reset", "--world", "bad.yaml", code=64).err


def call(url: str, method: str = "GET", body: Any = None) -> Any:
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_whole_story_over_http(shop: Shop) -> None:
    with served(shop, "--speed", "0") as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        control = url.removesuffix("/v1") + "/_sandbox"
        shop.env |= {"RECONCILER_API_URL": url, "SUPERMETRICS_API_KEY": KEY}
        shop.run("plan", "--out", "plan.json", code=0)
        shop.run("apply", "plan.json", "-v", code=0)
        assert len(call(f"{control}/backfills")["data"]) == 2
        call(f"{control}/advance", "POST", {"seconds": 259200})
        assert "15 covered" in shop.run("plan", "--detailed-exitcode", code=0).summary
        assert {one["status"] for one in call(f"{control}/backfills")["data"]} == {"COMPLETED"}
        today = shop.run("plan", "--json", code=0).json["teams"][0]["as_of"]
        there = call(f"{control}/advance", "POST", {"seconds": 0})["data"]["now"]
        assert (today, today > f"{datetime.now(UTC):%Y-%m-%d}") == (there[:10], True)
        asked = call(f"{control}/requests")["data"]
        assert [one["status"] for one in asked if one["method"] == "POST"] == [200, 200]
        assert process.poll() is None


def test_a_served_world_outlives_its_server(shop: Shop) -> None:
    for expected in ("2 created", "0 created"):
        with served(shop, "--data", "world.db") as (url, _process):
            env = {"RECONCILER_API_URL": url, "SUPERMETRICS_API_KEY": KEY}
            done = shop.run("apply", "--auto-approve", "--state", f"state-{expected[0]}", env=env, code=0)
            assert expected in done.summary


def test_a_port_in_use(shop: Shop) -> None:
    with served(shop) as (url, _process):
        port = url.split(":")[2].split("/")[0]
        assert "--port 0" in shop.run("sandbox", "serve", "--port", port, code=64).told


# -- large -----------------------------------------------------------------------------------------


@pytest.mark.proof
def test_ten_thousand_ranges(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A hundred transfers of a hundred ranges, ten years back; every second day is declared."""
    from datetime import date, timedelta

    first = date(2014, 1, 1)
    days = [(first + timedelta(days=2 * one)).isoformat() for one in range(100)]
    ranges = ", ".join(days)
    lines = [f"  t{one}: {{transfer_id: {one}, ranges: [{ranges}]}}" for one in range(1, 101)]
    shop = Shop(tmp_path)
    shop.write(
        "\n".join(
            ["version: 1", "team_id: 12345", "limits: {max_creates_per_apply: 90}", "transfers:", *lines]
        )
    )
    for name, arguments in (
        ("validate", ["validate"]),
        ("plan", ["plan", "--api", "sandbox"]),
        ("apply", ["apply", "--api", "sandbox", "--auto-approve"]),
        ("plan again", ["plan", "--api", "sandbox"]),
    ):
        done = shop.run(*arguments, code=0)
        record_property(name, round(done.seconds, 2))
        print(f"{name}: {done.seconds:.2f} s")  # noqa: T201
    assert "10000 declared" in done.summary
    assert "90 in flight" in done.summary


@pytest.mark.parametrize("speed", ["-1", "nan", "x"])
def test_a_speed_that_is_none(speed: str, shop: Shop) -> None:
    shop.run("sandbox", "serve", "--port", "0", "--speed", speed, code=64)
