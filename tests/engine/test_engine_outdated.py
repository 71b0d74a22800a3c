"""What was read long ago, or before the API limited our rate, is read again before the next write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from engine_rig import ONE, Act, Rig, answered, passed

from reconciler.events import Withdrawn
from reconciler.http import Request, Response, Transport

INSTANT = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
WEEKS = ONE.replace("    transfer_id: 1\n", "    transfer_id: 1\n    chunk: week\n")
DAYS = "2024-05-01..2024-05-10"
SECOND_WEEK = ("2024-05-01", "2024-05-05")  # newest first: the older one is created last


def after(rig: Rig, seconds: float, meanwhile: Callable[[], object], act: Act = passed) -> Act:
    """Let time pass, and something happen, while a request is under way."""

    def acting(inner: Transport, request: Request, timeout: float) -> Response:
        answer = act(inner, request, timeout)
        meanwhile()
        rig.later(seconds)
        return answer

    return acting


def nothing() -> None:
    """Nothing happens meanwhile."""


def reads_of(rig: Rig) -> int:
    return sum(str(one["path"]).endswith("/latest") for one in rig.sandbox.requests())


def test_a_rate_limit_that_did_pass_the_create_on_does_not_repeat_it(tmp_path: Path) -> None:
    """It completes at once, so the API would not refuse it a second time."""
    rig = Rig(tmp_path, settings=INSTANT)
    applied = rig.apply(answered(429, None, after=True, retry_after="1"))
    assert (applied.exit, len(applied.sent)) == (0, 1)
    rig.once(1, DAYS)


def test_what_a_person_has_loaded_while_we_waited_is_not_loaded_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=INSTANT)
    limit = answered(429, None, retry_after="200")
    applied = rig.apply(after(rig, 0, lambda: rig.foreign(1, "2024-05-03", "2024-05-04"), limit))
    assert len(applied.of(Withdrawn)) == 1
    assert applied.exit == 0
    rig.once(1, DAYS)


@pytest.mark.parametrize("seconds, looks", [(60.0, 0), (60.1, 1)])
def test_a_series_that_takes_long_is_read_again(seconds: float, looks: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, WEEKS, settings=INSTANT)
    before: list[int] = []
    applied = rig.apply(
        after(rig, seconds, lambda: before.append(reads_of(rig))),
        wanted=lambda request: request.method == "POST",
    )
    assert (applied.exit, len(applied.sent)) == (0, 2)
    assert applied.of(Withdrawn) == []
    assert reads_of(rig) - before[0] == looks
    rig.once(1, DAYS)


def test_what_a_person_has_loaded_during_a_long_series_is_not_loaded_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, WEEKS, settings=INSTANT)
    applied = rig.apply(after(rig, 61.0, lambda: rig.foreign(1, *SECOND_WEEK)))
    assert (applied.exit, len(applied.sent)) == (0, 1)
    rig.once(1, DAYS)


def test_a_lagging_latest_that_shows_the_one_before_ours_is_no_news(tmp_path: Path) -> None:
    """Else the plan would be made again, and again, for nothing."""
    rig = Rig(tmp_path, WEEKS, settings={"latest_lag_seconds": 300})
    rig.foreign(1, "2020-01-01", "2020-01-02")
    rig.later(400)
    applied = rig.apply(after(rig, 61.0, nothing))
    assert applied.of(Withdrawn) == []
    assert (applied.exit, len(applied.sent)) == (0, 2)


def test_a_clock_set_back_does_not_make_a_reading_fresh(tmp_path: Path) -> None:
    rig = Rig(tmp_path, WEEKS, settings=INSTANT)

    def set_back() -> None:
        rig.foreign(1, *SECOND_WEEK)
        rig.time.skew -= 3600.0

    rig.apply(after(rig, 61.0, set_back))
    rig.once(1, DAYS)


def test_where_it_cannot_be_read_again_nothing_more_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, WEEKS)
    applied = rig.apply(after(rig, 61.0, lambda: rig.sandbox.faults("status-500-before@latest")))
    assert (applied.exit, len(applied.sent)) == (69, 1)
    rig.sandbox.faults()
    assert rig.apply().exit == 0
    rig.once(1, DAYS)
