"""What was once known is never forgotten, and a state older than the world is not believed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from stranger_api import USER, Refused
from stranger_rig import Stranger
from stranger_world import PERSON, day, days, moment

SPAN = "2025-03-31..2025-06-30"
SPAN_DAYS = days("2025-03-31", "2025-06-30")
DENIED = Refused(403, "FORBIDDEN", "You do not have access to this resource.")
UNKNOWN = Refused(404, "NOT_FOUND", "Not Found", "The requested transfer could not be found.")


def declare(stranger: Stranger, **more: object) -> None:
    stranger.declare({"ads": {"transfer_id": 5, "ranges": [SPAN], **more}})


def forget(stranger: Stranger, how: str) -> None:
    """Make the API show less than before."""
    if how in ("403", "404"):
        stranger.manners.refusals["runs", None] = DENIED if how == "403" else UNKNOWN
    else:
        stranger.manners.runs_kept = float(how)


# --- runs that were seen once -------------------------------------------------------------


@pytest.mark.parametrize("how", ["4", "0", "403", "404"])
def test_days_that_a_run_list_proved_stay_covered(stranger: Stranger, how: str) -> None:
    stranger.world.transfer(5, "02:00", "2025-04-01")
    declare(stranger)
    for _ in range(2):
        stranger.load(hours=24)
    forget(stranger, how)
    assert stranger.plan(code=0).days == {"covered": 92}
    stranger.load()
    assert stranger.created == []


def test_a_day_that_no_memory_has_is_asked_for_and_the_others_are_kept(stranger: Stranger) -> None:
    stranger.world.transfer(5, "02:00", "2025-04-01")
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-03-31..yesterday"]}})
    stranger.load(hours=24)
    forget(stranger, "403")
    stranger.apply(code=65)
    shown = stranger.plan(code=65)
    assert (shown.days, shown.why("blocked")) == ({"blocked": 1}, {"no-evidence": 1})
    assert stranger.created == []


def test_backfills_of_others_are_remembered_on_days_that_nobody_declares_yet(stranger: Stranger) -> None:
    stranger.world.transfer(5)
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-06"]}})
    by_hand = stranger.world.create(5, day("2025-04-01"), day("2025-05-31"))
    stranger.load()
    stranger.load(hours=1)
    stranger.world.create(5, day("2024-01-01"), day("2024-01-01"))  # another one is latest now
    stranger.world.advance(hours=1)
    stranger.manners.runs_kept = 0
    assert by_hand.status(stranger.world.now) == "COMPLETED"
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-04-01..2025-06-30"]}})
    assert stranger.plan(code=0).days == {"covered": 91}
    stranger.load()
    assert stranger.created == ["5 2025-06-01..2025-06-30"]


@pytest.mark.parametrize("gone", ["404", "empty"])
@pytest.mark.parametrize("known", [True, False], ids=["remembered", "new state"])
def test_a_predecessor_whose_runs_are_gone(stranger: Stranger, known: bool, gone: str) -> None:
    stranger.manners.gone_runs = gone
    world = stranger.world
    world.transfer(5, "02:00", "2025-04-01")
    declare(stranger)
    for _ in range(2 if known else 0):
        stranger.load(hours=1)
    world.transfers.pop(5)
    world.transfer(6, "02:00", "2025-07-01")
    world.advance(hours=24)
    stranger.declare({"ads": {"transfer_id": 6, "previous_ids": [5], "ranges": [SPAN]}})
    assert stranger.apply().code in ((0,) if known else (3, 69))
    shown = stranger.plan()
    # the new one's first run, on 1 July, loaded 30 June
    assert shown.days == ({"covered": 92} if known else {"blocked": 91})
    assert set(shown.why("blocked")) <= {"no-evidence"}
    assert stranger.created == []


def test_that_the_new_one_failed_says_nothing_of_a_predecessor_that_is_gone(stranger: Stranger) -> None:
    transfer = stranger.world.transfer(6, "02:00", "2025-07-01")
    transfer.failing = dict.fromkeys(days("2025-05-01", "2025-05-05"), 1)
    stranger.world.create(6, day("2025-05-01"), day("2025-05-05"))
    stranger.world.advance(hours=3)
    stranger.declare({"ads": {"transfer_id": 6, "previous_ids": [5], "ranges": [SPAN]}})
    shown = stranger.plan(code=69)
    assert (shown.why("blocked"), shown.actions) == ({"no-evidence": 91}, [])


@pytest.mark.parametrize("gone", ["404", "empty"])
def test_loaded_is_the_cure_for_a_predecessor_that_is_gone(stranger: Stranger, gone: str) -> None:
    stranger.manners.gone_runs = gone
    stranger.world.transfer(6)
    loaded = {"start": "2025-03-31", "end": "2025-06-30", "reason": "Loaded by the transfer before"}
    stranger.declare({"ads": {"transfer_id": 6, "previous_ids": [5], "ranges": [SPAN], "loaded": [loaded]}})
    assert stranger.plan(code=0).days == {"covered": 92}
    stranger.load()
    assert stranger.created == []


# --- runs that do not tell when they were created: a doubt buys nothing ----------------------------


@pytest.mark.parametrize("told", ["ended", "none"])
@pytest.mark.parametrize("final_after", [None, "1d"])
def test_what_the_schedule_loaded_is_loaded_whenever_that_was(
    stranger: Stranger, final_after: str | None, told: str
) -> None:
    stranger.manners.runs_told = told
    stranger.world.transfer(5, "02:00", "2025-04-01")
    more = {"final_after": final_after} if final_after else {}
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-03-31..2025-06-30"], **more}})
    for _ in range(2):
        assert stranger.plan(code=0).days == {"covered": 92}
        stranger.load()
    assert stranger.created == []


def test_what_a_person_loaded_is_loaded_whenever_that_was(stranger: Stranger) -> None:
    stranger.manners.runs_told = "none"
    stranger.world.transfer(5)
    for month in ("2025-05", "2024-05"):  # the second is latest
        stranger.world.create(5, day(f"{month}-01"), day(f"{month}-31"))
        stranger.world.advance(hours=3)
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-05"]}})
    assert stranger.plan(code=0).days == {"covered": 31}
    stranger.load()
    assert stranger.created == []


def test_a_run_that_waits_is_not_stuck_for_want_of_a_time(stranger: Stranger) -> None:
    stranger.manners.runs_told = "ended"
    stranger.world.transfer(5)
    stranger.world.ran(5, day("2025-06-30"), stranger.world.now, None, "QUEUED")
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-06-30"]}})
    assert stranger.plan(code=0).days == {"in_flight": 1}
    stranger.world.advance(hours=24 * 7)
    assert stranger.plan().why("blocked") == {"stuck": 1}


def test_a_run_that_waits_is_no_first_sign_of_a_new_transfer(stranger: Stranger) -> None:
    stranger.manners.runs_told = "ended"
    stranger.world.transfer(6, "02:00", "2025-07-01")
    stranger.world.advance(hours=3)
    stranger.world.ran(6, day("2025-07-01"), stranger.world.now, None, "QUEUED")
    stranger.declare({"ads": {"transfer_id": 6, "previous_ids": [5], "ranges": [SPAN]}})
    assert stranger.plan(code=69).why("blocked") == {"no-evidence": 91}
    stranger.apply(code=69)
    assert stranger.created == []


# --- run lists that cannot be read, and nothing is remembered --------------------------------


@pytest.mark.parametrize(
    "how, code, named",
    [("403", 65, "dwh_transfers_read"), ("404", 69, "404"), ("500", 69, "500"), ("undated", 69, "")],
    ids=["403", "404", "500", "undated"],
)
def test_without_evidence_nothing_is_bought(stranger: Stranger, how: str, code: int, named: str) -> None:
    stranger.world.transfer(5, "02:00", "2022-07-02")
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2022-07-01..yesterday"]}})
    if how == "undated":
        for run in stranger.world.runs:
            run.dated = False
    else:
        answer = {"403": DENIED, "404": UNKNOWN, "500": Refused(500, "INTERNAL_SERVER_ERROR")}[how]
        stranger.manners.refusals["runs", 5] = answer
    done = stranger.apply(code=code)
    shown = stranger.plan(code=code)
    assert shown.why("blocked") == {"no-evidence": 1096}
    assert named in done.text
    assert stranger.created == []


def test_a_single_undated_run_is_named_and_the_others_are_believed(stranger: Stranger) -> None:
    stranger.world.transfer(5, "02:00", "2025-04-01")
    stranger.world.runs[40].dated = False
    declare(stranger)
    shown = stranger.plan()
    assert shown.days == {"covered": 91, "planned": 1}
    assert shown.json["diagnostics"]


# --- a state that is older than the world, blind ----------------------------------------------

BLIND = {"evidence": "backfills", "chunk": "month"}
EARLIER, LATER = "2025-04-30..2025-06-30", "2025-04-01..2025-04-10"
EARLIER_DAYS = days("2025-04-30", "2025-06-30")


def blind(stranger: Stranger, **ranges: str) -> None:
    """Declare ``ads`` (1) and ``web`` (2), as far as they are given, without run lists."""
    ids = {"ads": 1, "web": 2}
    told = {name: {"transfer_id": ids[name], "ranges": [text]} for name, text in ranges.items()}
    stranger.declare(told, defaults=BLIND)


@pytest.fixture
def two(stranger: Stranger) -> Stranger:
    for transfer_id in (1, 2):
        stranger.world.transfer(transfer_id)
    return stranger


def stands_unknown(stranger: Stranger, transfer_id: int, days_blocked: int) -> None:
    """Nothing more is made of the transfer, in this run and in the next."""
    made = [one for one in stranger.created if one.startswith(f"{transfer_id} ")]
    for _ in range(2):
        stranger.load(code=6)
        shown = stranger.plan(code=6)
        assert shown.why("blocked") == {"unknown-history": days_blocked}
        assert [one for one in stranger.created if one.startswith(f"{transfer_id} ")] == made
    assert stranger.world.twice() == set()


def test_a_lost_state_is_not_healed_by_another_transfer(two: Stranger) -> None:
    blind(two, ads=EARLIER)
    two.load()
    shutil.rmtree(two.folder / "state")
    blind(two, ads=EARLIER, web=LATER)
    two.load("--target", "web")
    stands_unknown(two, 1, 61)  # ``latest`` shows one of the three, that of 30 April
    assert (two.world.missing(1, EARLIER_DAYS), two.created[3:]) == ([], [f"2 {LATER}"])


def test_accept_ends_it(two: Stranger) -> None:
    two.world.create(1, day("2025-01-01"), day("2025-01-31"), USER, moment("2025-06-01 09:00"))
    blind(two, ads=EARLIER)
    two.load(code=6)
    two.run("accept", "ads", "--auto-approve", code=0)
    assert two.plan(code=0).reasons == {"never-loaded": 62}
    two.load()
    two.load()
    assert two.world.bought(1) == days("2025-01-01", "2025-01-31") + EARLIER_DAYS


def test_accept_says_nothing_of_a_predecessor_that_joins_later(two: Stranger) -> None:
    """The backfills of 1, which nobody was shown, are older than the one that was accepted on 2."""
    world = two.world
    made = [("2025-04-01", "2025-04-30"), ("2025-05-01", "2025-05-31")]
    for first, last in made:
        world.create(1, day(first), day(last), USER)
    world.advance(hours=3)
    world.create(2, day("2025-06-01"), day("2025-06-30"), USER)
    world.advance(hours=3)
    told = {"transfer_id": 2, "evidence": "backfills", "chunk": "month"}
    two.declare({"web": {**told, "ranges": ["2025-05..2025-06"]}})
    two.run("accept", "web", "--auto-approve", code=0)
    assert two.plan(code=0).days == {"covered": 30, "planned": 31}
    two.declare({"web": {**told, "previous_ids": [1], "ranges": ["2025-04..2025-06"]}})
    two.load(code=6)
    assert two.plan(code=6).why("blocked") == {"unknown-history": 30}
    assert len(two.created) == 3
    two.run("accept", "web", "--auto-approve", code=0)
    assert two.plan(code=0).days == {"covered": 61, "planned": 30}


def old_copy(state: Path, kept: Path, how: str) -> None:
    """Put back what the state was before its last run."""
    if how == "a cache":
        shutil.rmtree(state)
        shutil.copytree(kept, state)
    backups = list(state.rglob("*.backup")) if how == "the backup" else []
    for backup in backups:
        shutil.copy(backup, backup.with_suffix(""))
    assert bool(backups) == (how == "the backup")


@pytest.mark.parametrize("how", ["a cache", "the backup"])
def test_an_old_copy_is_not_believed(two: Stranger, how: str) -> None:
    blind(two, ads=LATER)
    two.load()
    two.load()  # sees it ended
    shutil.copytree(two.folder / "state", two.folder / "kept")
    blind(two, ads="2025-04-01..2025-06-30")
    two.load()
    made = list(two.created)
    assert two.world.missing(1, days("2025-04-01", "2025-06-30")) == []
    old_copy(two.folder / "state", two.folder / "kept", how)
    two.load(code=6)
    if how == "the backup":  # the lock file names what was committed
        two.run("accept", "--old-copy", "--auto-approve", code=0)
    two.load(code=6)
    assert (two.created, two.world.twice()) == (made, set())


def test_a_transfer_with_a_history_that_joins_a_file_is_unknown_and_the_others_go_on(two: Stranger) -> None:
    blind(two, ads=LATER)
    two.load()
    two.world.create(2, day("2025-05-01"), day("2025-06-30"), USER)
    two.world.advance(hours=2)
    blind(two, ads="2025-04-01..2025-04-20", web=EARLIER)
    two.load(code=6)
    assert two.created == [f"1 {LATER}", "2 2025-05-01..2025-06-30", "1 2025-04-11..2025-04-20"]
    # days of the backfill seen are evidence; the one left of EARLIER is not due before it is accepted
    stands_unknown(two, 2, 1)


@pytest.mark.parametrize("first", [False, True], ids=["at once", "after an apply that could not read runs"])
def test_what_is_seen_while_runs_cannot_be_read_is_not_explained_by_that(
    stranger: Stranger, first: bool
) -> None:
    """The cure that such an apply names is ``evidence: backfills``; by then the state must not seem whole."""
    told = {"transfer_id": 5, "chunk": "month", "ranges": ["2025-04..2025-05"]}
    blind = {"ads": {**told, "evidence": "backfills"}}
    stranger.world.transfer(5)
    stranger.declare(blind)
    stranger.load()
    made = stranger.created
    shutil.rmtree(stranger.folder / "state")
    stranger.manners.refusals["runs", None] = DENIED
    if first:
        stranger.declare({"ads": told})
        stranger.apply(code=65)
        stranger.world.advance(hours=1)
    stranger.declare(blind)
    shown = stranger.plan(code=6)
    assert (shown.why("blocked"), shown.actions) == ({"unknown-history": 31}, [])
    stranger.apply(code=6)
    assert stranger.created == made
    stranger.run("accept", "ads", "--auto-approve", code=0)
    assert stranger.plan(code=0).days == {"covered": 30, "planned": 31}


def test_what_others_did_is_named_and_blocks_nothing(two: Stranger) -> None:
    blind(two, ads=LATER)
    two.load()
    two.world.create(2, day("2025-01-01"), day("2025-01-31"), PERSON)
    two.world.advance(hours=2)
    blind(two, ads=LATER, web=EARLIER)
    assert two.plan(code=0).json["diagnostics"]
    two.load()
    assert (two.world.bought(1), two.world.bought(2)) == (days("2025-04-01", "2025-04-10"), EARLIER_DAYS)
