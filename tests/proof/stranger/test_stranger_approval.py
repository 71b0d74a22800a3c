"""What is done is a part of what was shown: at the prompt, by a saved plan, by its digest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stranger_desk import DAY, HOUR, Desk
from stranger_gateway import reply

MAY, JUNE = "2025-05-01..2025-05-10", "2025-06-01..2025-06-10"
SECOND, FIRST = f"1 {MAY}", f"1 {JUNE}"  # newest first


@pytest.fixture
def desk(desk: Desk) -> Desk:
    for transfer_id in (1, 2, 3):
        desk.vendor.transfer(transfer_id)
    return desk


def declare(desk: Desk, *ranges: str, **team: object) -> None:
    desk.declare({"ads": {"transfer_id": 1, "ranges": list(ranges), "retry_after": "0s"}}, **team)


# --- the prompt ---------------------------------------------------------------------------------


def others_end(desk: Desk) -> Callable[[], None]:
    """Let two backfills of others hold declared days; return what ends them before they began."""
    declare(desk, "2025-03-01..2025-03-10", MAY, JUNE)
    theirs = [desk.vendor.by_hand(1, *span.split("..")) for span in ("2025-03-01..2025-03-10", MAY)]

    def end() -> None:
        for backfill_id in theirs:
            desk.vendor.cancel(backfill_id)

    return end


def test_a_slow_yes_is_no_yes_to_more(desk: Desk) -> None:
    slow = desk.slowly(62, others_end(desk))
    done = desk.asked("apply", answers=[slow, "no"], code=1)
    assert ("1 to create (10 days)" in done.text, "3 to create (30 days)" in done.text) == (True, True)
    assert desk.gateway.sent == []


def test_a_second_yes_is(desk: Desk) -> None:
    slow = desk.slowly(62, others_end(desk))
    desk.asked("apply", answers=[slow, "yes"], code=0)
    assert sorted(desk.created) == ["1 2025-03-01..2025-03-10", SECOND, FIRST]


def test_guards_are_asked_again_after_a_slow_yes(desk: Desk) -> None:
    slow = desk.slowly(62, others_end(desk))
    declare(desk, "2025-03-01..2025-03-10", MAY, JUNE, guards={"max_days_per_apply": 10})
    desk.asked("apply", answers=[slow, "yes"], code=6)
    assert desk.gateway.sent == []


def test_a_quick_yes_is_one_to_what_was_shown(desk: Desk) -> None:
    quick = desk.slowly(20, others_end(desk))
    desk.asked("apply", answers=[quick], code=0)
    assert desk.created == [FIRST]


def test_a_slow_yes_is_not_asked_for_twice_where_nothing_changed(desk: Desk) -> None:
    declare(desk, JUNE)
    desk.asked("apply", answers=[desk.slowly(HOUR)], code=0)
    assert desk.created == [FIRST]


def test_a_shell_that_runs_again_before_the_yes_is_left_alone(desk: Desk) -> None:
    failed_once(desk, JUNE)
    desk.load(seconds=HOUR)
    shell, sent = desk.last, list(desk.gateway.sent)
    slow = desk.slowly(62, lambda: desk.vendor.run_again(shell))
    assert desk.asked("apply", answers=[slow, "yes"]).code in (0, 3)
    assert desk.gateway.sent == sent
    desk.advance(HOUR)
    desk.load()
    desk.once("2025-06-01", "2025-06-10")


def test_limits_hold_after_a_slow_yes(desk: Desk) -> None:
    """A person takes the last place while we wait for the answer."""
    declare(desk, JUNE, limits={"max_open_backfills": 1})
    slow = desk.slowly(62, lambda: desk.vendor.by_hand(2, "2025-06-01", "2025-06-10"))
    assert desk.asked("apply", answers=[slow, "yes"]).code in (0, 3)
    assert desk.gateway.sent == []


# --- a saved plan ---------------------------------------------------------------------------------


def test_nothing_is_made_twice_in_one_run(desk: Desk) -> None:
    """The first piece fails at once; a person is in the way of the second."""
    desk.vendor.transfer(1, failing={"2025-06-05": 99})
    declare(desk, MAY, JUNE, guards={"max_days_per_apply": 20})
    desk.saved()

    def meanwhile() -> None:
        desk.advance(HOUR)
        desk.vendor.by_hand(1, "2025-05-05", "2025-05-05")

    desk.gateway.before("create", meanwhile, nth=2)
    done = desk.run("apply", "plan.json", code=3)
    assert desk.created == [FIRST]
    assert desk.cancels() == []
    assert "2025-05-01" in done.text
    assert desk.twice() == []


def failed_once(desk: Desk, *ranges: str) -> None:
    desk.vendor.transfer(1, failing={"2025-06-05": 1})
    declare(desk, *ranges)


@pytest.mark.parametrize("shell", ["there", "cancelled by a person"])
@pytest.mark.parametrize("minutes", [-30, 0, 4, 30])
def test_a_saved_plan_is_carried_out_once(desk: Desk, minutes: int, shell: str) -> None:
    """Whatever the planner's clock says: no clock takes part."""
    failed_once(desk, JUNE)
    with desk.clock_ahead(minutes):
        desk.saved()
    desk.run("apply", "plan.json", code=0)
    desk.advance(HOUR)
    if shell != "there":
        desk.vendor.cancel(desk.last)
    again = desk.run("apply", "plan.json")
    assert again.code in (0, 3)
    assert "2025-06-05" in again.text
    assert (desk.created, desk.cancels()) == ([FIRST], [])
    desk.advance(2 * HOUR)
    desk.load()  # a plan of its own makes it
    desk.once("2025-06-01", "2025-06-10")


def test_a_plan_whose_cancelled_days_are_due_again_is_not_carried_out_again(desk: Desk) -> None:
    declare(desk, JUNE)
    with desk.clock_ahead(4):
        desk.saved()
    desk.run("apply", "plan.json", code=0)
    desk.vendor.cancel(desk.last)
    desk.advance(HOUR)
    desk.run("apply", "plan.json")
    assert desk.created == [FIRST]


STOPS = {
    "rate limit": (429, "TOO_MANY_REQUESTS", 3600, 69),
    "quota": (429, "API_ROW_QUOTA_EXCEEDED", None, 7),
    "key": (403, "API_KEY_DISABLED", None, 65),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("nth", [1, 2])
def test_the_same_job_finishes_what_was_turned_away(desk: Desk, stop: str, nth: int) -> None:
    status, word, wait, code = STOPS[stop]
    declare(desk, MAY, JUNE)
    desk.saved()
    desk.gateway.refuse("create", status, word, wait, nth)
    desk.run("apply", "plan.json", code=code)
    assert desk.created == [FIRST][: nth - 1]
    desk.advance(2 * HOUR)
    desk.run("apply", "plan.json", code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


def test_the_same_job_finishes_what_a_ctrl_c_left(desk: Desk) -> None:
    declare(desk, MAY, JUNE)
    desk.saved()
    desk.gateway.before("create", desk.interrupt)
    desk.run("apply", "plan.json", code=130)
    assert desk.created == [FIRST]
    desk.advance(HOUR)
    desk.run("apply", "plan.json", code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


def test_the_same_job_finishes_what_a_kill_left(desk: Desk) -> None:
    """Killed with the intent written, and nothing sent: nobody knows that, until settle time is over."""
    declare(desk, MAY, JUNE)
    desk.saved()

    def kill() -> tuple[int, dict[str, str], bytes]:
        desk.keep("killed")
        return reply(500, {"error": {"code": "INTERNAL_SERVER_ERROR", "message": "never seen"}})

    desk.gateway.before("create", kill, nth=2)
    desk.run("apply", "plan.json", code=4)
    desk.put_back("killed")
    desk.run("apply", "plan.json", code=4)
    assert desk.created == [FIRST]
    desk.advance(HOUR)
    desk.run("apply", "plan.json", code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


def test_guards_hold_for_what_a_saved_plan_has_left(desk: Desk) -> None:
    declare(desk, MAY, JUNE)
    desk.saved()
    declare(desk, MAY, JUNE, guards={"max_days_per_apply": 10})
    desk.run("apply", "plan.json", code=6)
    assert desk.gateway.sent == []
    declare(desk, MAY, JUNE)
    desk.gateway.refuse("create", 429, "TOO_MANY_REQUESTS", 3600, nth=2)
    desk.run("apply", "plan.json", code=69)
    desk.advance(2 * HOUR)
    declare(desk, MAY, JUNE, guards={"max_days_per_apply": 10})
    desk.run("apply", "plan.json", code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


def test_what_was_deferred_is_for_the_next_plan(desk: Desk) -> None:
    declare(desk, MAY, JUNE, limits={"max_creates_per_apply": 1})
    desk.saved()
    declare(desk, MAY, JUNE)
    desk.run("apply", "plan.json", code=0)
    assert len(desk.created) == 1


def test_what_a_limit_defers_now_is_no_failure(desk: Desk) -> None:
    declare(desk, MAY, JUNE)
    desk.saved()
    declare(desk, MAY, JUNE, limits={"max_creates_per_apply": 1})
    desk.run("apply", "plan.json", code=0)
    assert len(desk.created) == 1
    desk.advance(HOUR)
    desk.run("apply", "plan.json", code=0)
    assert sorted(desk.created) == [SECOND, FIRST]


def test_days_that_grew_are_named_and_left(desk: Desk) -> None:
    declare(desk, "2025-06-28..yesterday")
    desk.saved()
    desk.advance(DAY)
    done = desk.run("apply", "plan.json", code=0)
    assert desk.created == ["1 2025-06-28..2025-06-30"]
    assert "2025-07-01" in done.text
