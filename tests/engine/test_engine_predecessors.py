"""A transfer that was created anew: what its predecessor loaded, or may have, is not loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from engine_rig import BLIND, DAY, HOUR, MINUTE, ONE, OURS, TEAM, Rig, answered, late, lost, open_store

from reconciler.engine.by_hand import as_created
from reconciler.engine.session import StateSession
from reconciler.events import Withdrawn
from reconciler.http import Request, Response, Transport
from reconciler.planning.intents import unresolved
from reconciler.planning.ledger import Bucket

QUICK = {"seconds_until_scheduled": 1, "seconds_until_running": 1, "seconds_per_run": 1}
RECREATED = ONE.replace("transfer_id: 1\n", "transfer_id: 5\n    previous_ids: [1]\n")
SHARED = """\
version: 1
team_id: 12345
transfers:
  a: {transfer_id: 1, previous_ids: [9], ranges: [2024-05-01..2024-05-10]}
  b: {transfer_id: 2, previous_ids: [9], ranges: [2024-05-20..2024-05-25]}
"""


def test_a_shared_predecessor_is_read_for_both(tmp_path: Path) -> None:
    """What the schedule of 9 loaded counts for both, whichever of them has the earlier days due."""
    rig = Rig(tmp_path, SHARED, transfers={9: {"recurring_since": "2024-04-01"}, 1: {}, 2: {}})
    assert rig.apply().exit == 0
    assert rig.made(1) + rig.made(2) == []


def test_a_create_in_doubt_on_a_predecessor_blocks_its_days(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=QUICK)
    arrivals: list[Callable[[], object]] = []
    assert rig.apply(late(arrivals)).exit == 4
    rig.later(MINUTE)
    rig.declare(RECREATED)
    assert rig.apply().exit == 4
    rig.later(MINUTE)
    arrivals.pop()()
    rig.later(HOUR)
    assert rig.apply().exit == 0
    assert rig.made(5) == []
    rig.once(1, "2024-05-01..2024-05-10")


def test_what_is_in_doubt_on_a_predecessor_is_settled_though_no_day_asks(tmp_path: Path) -> None:
    """All that the file declares is covered, and a newer backfill of others hides the create."""
    rig = Rig(tmp_path, settings=QUICK)
    rig.foreign(1, "2024-05-01", "2024-05-05")
    rig.later(HOUR)
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(MINUTE)
    rig.foreign(1, "2024-03-01", "2024-03-02")
    rig.later(HOUR)
    rig.declare(RECREATED.replace("2024-05-10", "2024-05-05"))
    assert (rig.apply().exit, rig.pending()) == (0, [])


def test_what_a_person_left_out_of_a_predecessors_create_may_yet_arrive(tmp_path: Path) -> None:
    """The file has moved on to 5; within settle time the create that was lost may still reach 1."""
    rig = Rig(tmp_path, settings=QUICK)
    rig.know_us()
    assert rig.apply(lost(after=False)).exit == 4
    part = rig.sandbox.create_backfill(TEAM, 1, "2024-05-01", "2024-05-04", OURS)
    (intent,) = unresolved(rig.document())
    said = as_created(intent, int(part["transfer_backfill_id"]), rig.document(), rig.people, rig.flags.settle)
    StateSession.open(open_store(rig.folder), rig.document()).record(said)
    rig.declare(RECREATED)
    rig.later(MINUTE)
    assert rig.apply().exit == 0
    assert rig.blocked() == ["a 2024-05-05..2024-05-10 recent-request"]
    rig.later(15 * MINUTE)
    assert (rig.apply().exit, rig.made(5)) == (0, ["2024-05-05..2024-05-10"])


def test_blind_what_may_have_been_made_on_a_predecessor_blocks_its_days(tmp_path: Path) -> None:
    """A gateway sent the create twice, the second copy was refused, and something newer hides the first."""
    rig = Rig(tmp_path, BLIND, settings=QUICK | {"list_lag_seconds": 600, "latest_lag_seconds": 600})
    rig.know_us()

    def twice(inner: Transport, request: Request, timeout: float) -> Response:
        inner.send(request, read_timeout=timeout)
        return inner.send(request, read_timeout=timeout)

    assert rig.apply(twice).exit == 3
    rig.later(MINUTE)
    rig.foreign(1, "2023-01-01", "2023-01-03")
    rig.later(HOUR)
    rig.declare(BLIND.replace("transfer_id: 1\n", "transfer_id: 2\n    previous_ids: [1]\n"))
    assert (rig.buckets(rig.apply().surveyed), rig.made(2)) == ({"declared": 10, "blocked": 10}, [])


def test_what_a_run_with_the_older_file_loads_meanwhile_is_not_loaded_again(tmp_path: Path) -> None:
    """Without the lock: its file still names the predecessor."""
    rig = Rig(tmp_path, RECREATED, settings=QUICK)

    def older_file() -> None:
        rig.declare(ONE)
        assert rig.apply().exit == 0
        rig.later(HOUR)

    applied = rig.apply(between=older_file)
    assert (applied.exit, applied.sent) == (3, [])
    rig.declare(RECREATED)
    assert rig.apply().exit == 0
    assert rig.made(5) == []
    rig.once(1, "2024-05-01..2024-05-10")


def test_what_a_person_loads_on_a_predecessor_during_a_wait_is_not_loaded_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RECREATED, settings=QUICK)

    def limited(inner: Transport, request: Request, timeout: float) -> Response:
        rig.foreign(1, "2024-05-01", "2024-05-10")
        return answered(429, None, retry_after="200")(inner, request, timeout)

    applied = rig.apply(limited)
    (told,) = applied.of(Withdrawn)
    (made,) = rig.sandbox.backfills()
    number = made["transfer_backfill_id"]
    assert (applied.exit, told.why) == (3, f"backfill {number} is on some of its days")
    assert rig.apply().exit == 0
    assert rig.made(5) == []


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_a_newer_file_makes_on_the_successor_is_not_loaded_by_an_older_one(
    when: str, tmp_path: Path
) -> None:
    """The older file knows nothing of the new transfer; its intent in the state does."""
    rig = Rig(tmp_path, settings=QUICK)

    def newer_file() -> None:
        rig.declare(RECREATED)
        assert rig.apply().exit == 0
        rig.declare(ONE)

    if when == "before":
        newer_file()
        assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "in_flight": 10})
    else:
        assert rig.apply(between=newer_file).exit == 3
    rig.later(HOUR)
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "covered": 10})
    assert rig.made(1) == []
    rig.once(5, "2024-05-01..2024-05-10")


def test_what_a_successor_loaded_stays_known_to_an_older_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RECREATED, settings=QUICK)
    assert rig.apply().exit == 0
    rig.later(HOUR)
    rig.declare(ONE)
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "covered": 10})
    rig.later(31 * DAY)
    rig.apply()
    assert rig.buckets() == {"declared": 10, "covered": 10}
    assert rig.made(1) == []


def test_a_create_in_doubt_on_a_successor_blocks_the_older_file_s_days(tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path, RECREATED, settings=QUICK), list[Callable[[], object]]()
    assert rig.apply(late(arrivals)).exit == 4
    rig.declare(ONE)
    assert (rig.apply().exit, rig.blocked()) == (4, ["a 2024-05-01..2024-05-10 unresolved"])
    rig.later(MINUTE)
    arrivals.pop()()
    rig.later(HOUR)
    assert rig.apply().exit == 0
    assert rig.made(1) == []
    rig.once(5, "2024-05-01..2024-05-10")


def test_what_a_predecessor_refused_a_moment_ago_may_have_been_made(tmp_path: Path) -> None:
    """A gateway sent it twice, and passed on the refusal of the second; reads hide the first for a while."""
    lags = {f"{name}_lag_seconds": 300 for name in ("list", "latest", "get")}
    rig = Rig(tmp_path, settings={"commit": "twice", **lags})
    assert rig.apply().exit == 3
    rig.declare(RECREATED)
    assert rig.apply().sent == []
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 recent-request"]
    rig.later(HOUR)
    assert rig.apply().sent == []
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("latest_too", [False, True], ids=["runs", "runs and latest"])
def test_without_state_a_predecessor_that_tells_nothing_is_refused(latest_too: bool, tmp_path: Path) -> None:
    """It was deleted, say: all it has loaded would be bought again."""
    blind = RECREATED.replace("    ranges", "    evidence: backfills\n    ranges")
    rig = Rig(tmp_path, blind, settings=QUICK, transfers={5: {}})
    rig.foreign(1, "2024-05-01", "2024-05-05")
    rig.later(DAY)
    rig.foreign(1, "2024-05-06", "2024-05-10")
    rig.later(DAY)

    def gone(request: Request) -> bool:
        return "/transfers/1/runs" in request.path or (latest_too and "/transfers/1/" in request.path)

    applied = rig.apply(*[answered(404)] * 20, wanted=gone)
    assert applied.sent == []
    reason = "no-evidence" if latest_too else "unknown-history"
    assert {item.reason for item in applied.surveyed.plan.of(Bucket.BLOCKED)} == {reason}
    assert applied.surveyed.plan.statuses == {69 if latest_too else 6}


def test_days_that_a_shared_predecessor_leaves_open_are_read_too(tmp_path: Path) -> None:
    """The run list of 9, read for a, says that a day of b failed; a person has loaded it on 2 since."""
    text = SHARED.replace("2024-05-20..2024-05-25]", "2024-05-20..2024-05-25], evidence: backfills")
    fails = {9: {"fail_days": {"2024-05-22": {"error": "x", "times": 1}}}, 1: {}, 2: {}}
    rig = Rig(tmp_path, text, settings=QUICK | {"error_report": "empty"}, transfers=fails)
    rig.foreign(9, "2024-05-20", "2024-05-25")
    rig.later(HOUR)
    rig.foreign(2, "2024-05-22", "2024-05-22")
    rig.later(HOUR)
    assert rig.apply().exit == 0
    assert rig.made(2) == ["2024-05-22..2024-05-22"]


def test_days_that_a_shared_predecessor_fails_meanwhile_are_read_too(tmp_path: Path) -> None:
    """Its backfill was running in the list, and has failed in `latest`; the schedule of 2 loaded its days."""
    fails = {f"2024-05-2{day}": {"error": "x", "times": 1} for day in range(6)}
    transfers = {9: {"fail_days": fails}, 1: {}, 2: {"recurring_since": "2024-05-20"}}
    rig = Rig(tmp_path, SHARED, settings=QUICK | {"seconds_per_run": HOUR}, transfers=transfers)
    rig.foreign(9, "2024-05-20", "2024-05-25")
    rig.later(5 * HOUR)

    def held_up(inner: Transport, request: Request, timeout: float) -> Response:
        rig.later(2 * HOUR)
        return inner.send(request, read_timeout=timeout)

    rig.apply(held_up, wanted=lambda one: one.method == "GET" and one.path.endswith("/latest"))
    assert rig.made(2) == []


@pytest.mark.parametrize("runs", [404, "empty", 403])
@pytest.mark.parametrize("exists", [False, True], ids=["deleted", "there"])
def test_what_a_deleted_predecessor_may_have_loaded_is_not_made(
    tmp_path: Path, runs: int | str, exists: bool
) -> None:
    rig = Rig(tmp_path, RECREATED, settings=QUICK)
    transfers = {5: {}, 1: {}} if exists else {5: {}}
    settings = QUICK | {"unknown_transfer_runs": runs}
    rig.sandbox.reset({"open": False, "settings": settings, "teams": {TEAM: {"transfers": transfers}}})
    statuses = rig.apply().surveyed.plan.statuses
    assert statuses == (set() if exists else {65} if runs == 403 else {69})
    assert rig.made(5) == ["2024-05-01..2024-05-10"] * exists
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 no-evidence"] * (not exists)
