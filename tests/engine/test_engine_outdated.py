"""What was read long ago, or before the API limited our rate, is read again before the next write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_rig import BLIND, ONE, TWO, Act, Rig, actions_text, answered, lost, passed

from reconciler.dates import parse_iso
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
    assert (applied.exit, len(applied.sent), len(applied.of(Withdrawn))) == (3, 1, 1)
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "covered": 10})
    rig.once(1, DAYS)


def test_what_a_person_has_loaded_while_we_waited_is_not_loaded_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=INSTANT)
    limit = answered(429, None, retry_after="200")
    applied = rig.apply(after(rig, 0, lambda: rig.foreign(1, "2024-05-03", "2024-05-04"), limit))
    assert (applied.exit, len(applied.sent), len(applied.of(Withdrawn))) == (3, 1, 1)
    assert rig.apply().exit == 0  # the next run makes the rest
    rig.once(1, DAYS)


def test_blind_what_a_person_s_failed_one_loaded_meanwhile_is_not_loaded_again(tmp_path: Path) -> None:
    """It had failed on a day, and ran again. The list forgets it; a newer one hides it from ``latest``."""
    failing = {1: {"fail_days": {"2024-05-04": {"error": "timeout", "times": 1}}}}
    rig = Rig(tmp_path, BLIND, settings=INSTANT, transfers=failing)
    rig.know_us()
    theirs = rig.foreign(1, "2024-05-01", "2024-05-10")
    assert actions_text(rig.plan()) == ["+ a 2024-05-04..2024-05-04"]

    def work() -> None:
        rig.sandbox.run_again(theirs)
        rig.foreign(1, "2024-01-01", "2024-01-02")

    applied = rig.apply(after(rig, 0, work, answered(429, None, retry_after="90")))
    assert (applied.exit, len(applied.sent)) == (3, 1)
    (told,) = applied.of(Withdrawn)
    assert told.why == f"backfill {theirs}, on some of its days, left the list"
    assert (rig.apply().exit, rig.made()) == (0, ["2024-05-01..2024-05-10", "2024-01-01..2024-01-02"])


@pytest.mark.parametrize("how", ["limited", "held up"])
def test_what_the_schedule_has_loaded_meanwhile_is_not_loaded_again(how: str, tmp_path: Path) -> None:
    """Only the run list tells of it: at 09:02 it loads the day before."""
    text = ONE.replace(DAYS, "2024-05-29..2024-05-31")
    scheduled = {1: {"recurring_since": "2024-06-01", "schedule": {"at": "09:02"}}}
    rig = Rig(tmp_path, text, settings=INSTANT, transfers=scheduled)
    acts = [answered(429, None, retry_after="200")] if how == "limited" else []
    applied = rig.apply(*acts, between=lambda: rig.later(200 * (how == "held up")))
    assert (applied.exit, len(applied.sent)) == (3, len(acts))
    (told,) = applied.of(Withdrawn)
    assert told.why == "transfer 1 ran on some of its days"
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-29..2024-05-30")
    assert rig.buckets() == {"declared": 3, "covered": 3}


def test_a_run_on_other_days_is_no_news(tmp_path: Path) -> None:
    scheduled = {1: {"recurring_since": "2024-06-01", "schedule": {"at": "09:02"}}}
    rig = Rig(tmp_path, settings=INSTANT, transfers=scheduled)
    applied = rig.apply(answered(429, None, retry_after="200"))
    assert (applied.exit, len(applied.sent), applied.of(Withdrawn)) == (0, 2, [])
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
    assert (applied.exit, len(applied.sent), len(applied.of(Withdrawn))) == (3, 1, 1)
    assert rig.apply().exit == 0
    rig.once(1, DAYS)


def test_a_long_apply_withdraws_only_what_the_news_touches(tmp_path: Path) -> None:
    """Newest first: the second of three weeks is taken by a person meanwhile; the third goes on."""
    rig = Rig(tmp_path, WEEKS.replace(DAYS, "2024-04-29..2024-05-19"), settings=INSTANT)
    applied = rig.apply(after(rig, 61.0, lambda: rig.foreign(1, "2024-05-08", "2024-05-09")))
    assert (applied.exit, applied.report.created) == (3, 2)
    assert [(one.action.start, one.action.end) for one in applied.of(Withdrawn)] == [
        (parse_iso("2024-05-06"), parse_iso("2024-05-13"))
    ]
    assert rig.apply().exit == 0
    rig.once(1, "2024-04-29..2024-05-19")


def test_a_long_apply_over_many_transfers_withdraws_nothing_without_news(tmp_path: Path) -> None:
    """Each create takes a minute and more, so all but the first are read again before they are sent."""
    rig = Rig(tmp_path, WEEKS.replace(DAYS, "2024-04-29..2024-05-19") + TWO[len(ONE) :], settings=INSTANT)
    applied = rig.apply(*[after(rig, 100.0, lambda: rig.foreign(1, "2024-01-01", "2024-01-02"))] * 4)
    assert (applied.exit, applied.report.created, applied.of(Withdrawn)) == (0, 4, [])
    rig.once(2, "2024-04-01..2024-04-05")


def test_a_newer_latest_on_other_days_is_what_the_next_create_comes_after(tmp_path: Path) -> None:
    """Else a create whose answer is lost would never be known not to have been made: blind, nothing else
    tells.
    """
    rig = Rig(tmp_path, WEEKS.replace("    ranges", "    evidence: backfills\n    ranges"), settings=INSTANT)
    rig.know_us()
    other: list[int] = []
    person = after(rig, 61.0, lambda: other.append(rig.foreign(1, "2024-01-01", "2024-01-02")))
    assert rig.apply(person, lost(after=False)).exit == 4
    (open_,) = rig.pending()
    assert open_.latest_before == other[0]
    rig.later(900)
    assert rig.apply().exit == 0
    rig.once(1, DAYS, "2024-01-01..2024-01-02")


def test_a_lagging_latest_that_shows_the_one_before_ours_is_no_news(tmp_path: Path) -> None:
    """Else a create would be withdrawn, run after run, for nothing."""
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

    assert rig.apply(after(rig, 61.0, set_back)).exit == 3
    assert rig.apply().exit == 0
    rig.once(1, DAYS)


def test_where_it_cannot_be_read_again_nothing_more_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, WEEKS)
    applied = rig.apply(after(rig, 61.0, lambda: rig.sandbox.faults("status-500-before@latest")))
    assert (applied.exit, len(applied.sent)) == (69, 1)
    rig.sandbox.faults()
    assert rig.apply().exit == 0
    rig.once(1, DAYS)


@dataclass
class Slow(Rig):
    """A server that takes so many ``seconds`` for each answer."""

    seconds: float = 2.0

    def wire(self, key: str = "ours") -> Transport:
        wire, slow = super().wire(key), self

        class Wire:
            def send(self, request: Request, *, read_timeout: float) -> Response:
                slow.later(slow.seconds)
                return wire.send(request, read_timeout=read_timeout)

        return Wire()


@pytest.mark.parametrize("text", [ONE, WEEKS], ids=["one", "a series"])
def test_where_reading_a_transfer_takes_more_than_a_minute_it_is_made_all_the_same(
    text: str, tmp_path: Path
) -> None:
    """An hourly transfer, and a server that gives small pages: no look is younger than it takes."""
    hourly = {1: {"recurring_since": "2024-05-15", "runs_per_day": 24}}
    rig = Slow(tmp_path, text, settings=INSTANT | {"runs_page_cap": 10}, transfers=hourly)
    rig.know_us()
    applied = rig.apply()
    assert (applied.exit, applied.of(Withdrawn)) == (0, [])
    assert reads_of(rig) == 1 + 2 * len(applied.sent)
    rig.once(1, DAYS)
