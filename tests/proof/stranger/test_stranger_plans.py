"""Plans that are saved or expected: the files they name, what does not fit, and that each is done once."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest
from stranger_desk import DAY, HOUR, Desk

MAY, JUNE = "2025-05-01..2025-05-10", "2025-06-01..2025-06-10"
SECOND, FIRST = f"1 {MAY}", f"1 {JUNE}"  # newest first


@pytest.fixture
def desk(desk: Desk) -> Desk:
    for transfer_id in (1, 2, 3):
        desk.vendor.transfer(transfer_id)
    return desk


def declare(desk: Desk, *ranges: str, **team: object) -> None:
    desk.declare({"ads": {"transfer_id": 1, "ranges": list(ranges), "retry_after": "0s"}}, **team)


# --- the files of a saved plan ----------------------------------------------------------------------


def folders(desk: Desk) -> None:
    """``conf/`` has ads and web; the file beside it, which is the default, another transfer."""
    desk.declare({"tv": {"transfer_id": 3, "ranges": [JUNE]}})
    desk.declare({"ads": {"transfer_id": 1, "ranges": [JUNE]}}, "conf/ads.yaml")
    desk.declare({"web": {"transfer_id": 2, "ranges": [JUNE]}}, "conf/web.yaml")
    desk.saved("-c", "conf", "--state", "state")


def test_a_plan_names_its_files(desk: Desk) -> None:
    folders(desk)
    desk.run("apply", "plan.json", "--state", "state", code=0)
    assert sorted(desk.created) == [f"1 {JUNE}", f"2 {JUNE}"]


def test_a_plan_on_fewer_files_is_not_complete(desk: Desk) -> None:
    folders(desk)
    done = desk.run("apply", "plan.json", "-c", "conf/ads.yaml", "--state", "state", code=3)
    assert desk.created == [f"1 {JUNE}"]
    assert "transfer 2" in done.text or "web" in done.text
    assert "Apply complete" not in done.text


def test_a_plan_on_other_files_is_refused(desk: Desk) -> None:
    folders(desk)
    done = desk.run("apply", "plan.json", "-c", "backfills.yaml", "--state", "state", code=6)
    assert (desk.gateway.sent, "Apply complete" in done.text) == ([], False)


def test_a_plan_whose_files_are_gone_says_so(desk: Desk) -> None:
    folders(desk)
    shutil.rmtree(desk.folder / "conf")
    done = desk.run("apply", "plan.json", "--state", "state")
    assert done.code in (1, 6, 64)
    assert ("conf" in done.text, desk.gateway.sent) == (True, [])


@pytest.mark.parametrize("as_of", ["2025-06-29", "2025-06-01"])
def test_an_earlier_day_is_not_called_complete(desk: Desk, as_of: str) -> None:
    declare(desk, "2025-06-28..yesterday")
    desk.saved()
    done = desk.run("apply", "plan.json", "--as-of", as_of)
    assert done.code in (3, 6, 64)
    assert "Apply complete" not in done.text
    desk.advance(2 * HOUR)
    desk.run("apply", "plan.json", code=0)
    desk.advance(HOUR)
    desk.once("2025-06-28", "2025-06-30")


# --- unfit plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["altered", "old", "another lineage"])
def test_a_plan_that_does_not_fit_is_refused(desk: Desk, how: str) -> None:
    declare(desk, MAY)
    desk.load()
    declare(desk, MAY, JUNE)
    told = desk.saved()
    if how == "altered":
        told["actions"][0]["end"] = "2025-06-09"
        (desk.folder / "plan.json").write_text(json.dumps(told), "utf-8")
    elif how == "old":
        desk.advance(8 * DAY)
    else:
        shutil.rmtree(desk.state)
        desk.declare({"web": {"transfer_id": 2, "ranges": [JUNE]}})
        desk.load()
        declare(desk, MAY, JUNE)
    before = list(desk.gateway.sent)
    desk.run("apply", "plan.json", code=6)
    assert desk.gateway.sent == before


# --- by its digest ------------------------------------------------------------------------------------


def exactly(desk: Desk) -> list[str]:
    """Return the arguments of the command that ``plan`` prints last."""
    last = desk.run("plan", code=0).out.rstrip().splitlines()[-1]
    assert last.startswith("Apply exactly this: reconciler apply ")
    return shlex.split(last.partition("reconciler ")[2])


def test_plan_prints_the_command_that_does_exactly_this(desk: Desk) -> None:
    declare(desk, MAY, JUNE)
    arguments = exactly(desk)
    desk.advance(HOUR)
    assert exactly(desk) == arguments
    desk.run(*arguments, code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


@pytest.mark.parametrize("out", [(), ("--out", "plan.json")], ids=["digest", "file"])
def test_the_printed_command_has_this_runs_own_flags(desk: Desk, out: tuple[str, ...]) -> None:
    folders(desk)
    flags = ("-c", "conf", "--state", "a state", "--target", "web")
    last = desk.run("plan", *flags, *out, code=0).out.rstrip().splitlines()[-1]
    desk.run(*shlex.split(last.partition("reconciler ")[2]), code=0)
    assert desk.created == [f"2 {JUNE}"]
    assert (desk.folder / "a state").is_dir()


def test_a_digest_of_something_else_is_refused(desk: Desk) -> None:
    declare(desk, JUNE)
    arguments = exactly(desk)
    declare(desk, MAY, JUNE)
    desk.run(*arguments, code=6)
    assert desk.gateway.sent == []


@pytest.mark.parametrize("shell", ["there", "cancelled by a person"])
def test_a_digest_is_carried_out_once(desk: Desk, shell: str) -> None:
    desk.vendor.transfer(1, failing={"2025-06-05": 1})
    declare(desk, JUNE)
    told = desk.plan().json["digest"]
    arguments = ("apply", "--as-of", str(desk.today), "--expect", told)
    desk.run(*arguments, code=0)
    desk.advance(HOUR)
    if shell != "there":
        desk.vendor.cancel(desk.last)
    done = desk.run(*arguments, code=0)
    assert "2025-07-01" in done.text  # when it was applied
    assert (desk.created, desk.cancels()) == ([FIRST], [])


def test_a_digest_never_comes_back(desk: Desk) -> None:
    """Cancelled before it began: the very same days are due, by the same file, on the same day."""
    declare(desk, JUNE)
    first = desk.plan().json
    desk.apply(code=0)
    desk.vendor.cancel(desk.last)
    desk.advance(HOUR)
    second = desk.plan().json
    assert [one["start"] for one in second["actions"]] == ["2025-06-01"]
    assert first["digest"] != second["digest"]
    assert second["digest"] == desk.plan().json["digest"]


# --- late, out of order, and again --------------------------------------------------------------------


def failing(desk: Desk, times: int = 1) -> None:
    desk.vendor.transfer(1, failing={"2025-06-05": times})


def test_two_plans_of_the_same_days_make_them_once(desk: Desk) -> None:
    failing(desk)
    declare(desk, JUNE)
    desk.saved(name="one.json")
    declare(desk, MAY, JUNE)
    desk.saved(name="other.json")
    desk.run("apply", "other.json", code=0)
    desk.advance(HOUR)
    done = desk.run("apply", "one.json")
    assert done.code in (0, 3)
    assert "2025-06-05" in done.text
    assert (sorted(desk.created), desk.cancels()) == ([SECOND, FIRST], [])


def test_what_another_run_made_since_is_not_made_again_by_a_plan(desk: Desk) -> None:
    failing(desk)
    declare(desk, MAY, JUNE)
    desk.saved()
    declare(desk, JUNE)
    desk.load(seconds=HOUR)
    declare(desk, MAY, JUNE)
    done = desk.run("apply", "plan.json", code=3)
    assert "2025-06-05" in done.text
    assert (desk.created, desk.cancels()) == ([FIRST, SECOND], [])


def test_a_saved_retry_is_finished_by_the_same_job(desk: Desk) -> None:
    """Its shell was cancelled, and the create turned away: the day is still approved, and due."""
    failing(desk)
    declare(desk, JUNE)
    desk.load(seconds=HOUR)
    shell = desk.last
    assert [one["action"] for one in desk.saved()["actions"]] == ["retry"]
    desk.gateway.refuse("create", 429, "TOO_MANY_REQUESTS", 3600)
    desk.run("apply", "plan.json", code=69)
    desk.advance(2 * HOUR)
    desk.run("apply", "plan.json", code=0)
    assert desk.cancels() == [f"cancel {shell}"]
    desk.advance(HOUR)
    desk.once("2025-06-01", "2025-06-10")
    before = list(desk.gateway.sent)
    desk.run("apply", "plan.json", code=0)
    assert desk.gateway.sent == before


@pytest.mark.parametrize("how", ["plan", "expect"])
def test_a_saved_retry_that_failed_again_is_not_carried_out_again(desk: Desk, how: str) -> None:
    failing(desk, times=2)
    declare(desk, JUNE)
    desk.load(seconds=HOUR)
    told = desk.saved()
    expected = ("--as-of", str(desk.today), "--expect", told["digest"])
    again = ("apply", "plan.json") if how == "plan" else ("apply", *expected)
    desk.run(*again, code=0)
    desk.advance(HOUR)
    sent = list(desk.gateway.sent)
    assert len(sent) == 3
    assert desk.run(*again).code in (0, 3)
    assert desk.gateway.sent == sent


def test_a_state_older_than_the_plan_is_not_believed(desk: Desk) -> None:
    """A cache gives back the whole folder as it was before: the plan names a later serial."""
    failing(desk, times=9)
    declare(desk, MAY)
    desk.load()
    desk.keep("cache")
    for _ in range(2):
        desk.load()
    declare(desk, MAY, JUNE)
    desk.saved()
    desk.run("apply", "plan.json", code=0)
    desk.advance(HOUR)
    desk.put_back("cache")
    desk.run("apply", "plan.json", code=6)
    assert desk.created == [SECOND, FIRST]


def test_strict_is_refused_by_one_day_more(desk: Desk) -> None:
    declare(desk, "2025-06-21..yesterday")
    desk.saved()
    desk.run("apply", "plan.json", "--strict", "--as-of", "2025-06-30", code=6)
    desk.advance(DAY)
    desk.run("apply", "plan.json", "--strict", code=6)
    assert desk.gateway.sent == []
    desk.run("apply", "plan.json", code=0)
    assert desk.created == ["1 2025-06-21..2025-06-30"]
