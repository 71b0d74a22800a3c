"""What is in doubt stays so: settled intents, withdrawn creates, clocks that are set, reasons to stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from engine_rig import (
    BLIND,
    DAY,
    HOUR,
    MINUTE,
    ONE,
    TWO,
    Act,
    Applied,
    Rig,
    answered,
    cancels,
    late,
    lost,
    open_store,
)

from reconciler.engine.by_hand import as_not_created
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.errors import Interrupted
from reconciler.events import Cancelled, Created, UnknownOutcome, Withdrawn
from reconciler.http import AnswerLost, Request, Response, Transport
from reconciler.model.memory import Outcome
from reconciler.planning.intents import unresolved
from reconciler.planning.ledger import Bucket

QUICK = {"seconds_until_scheduled": 1, "seconds_until_running": 1, "seconds_per_run": 1}


def test_a_gateways_404_is_no_none_yet(tmp_path: Path) -> None:
    """Its own page, in the place of ``latest``: whether the lost create was made cannot be told by that."""
    rig = Rig(tmp_path, BLIND, settings=QUICK)
    rig.know_us()
    page = answered(404, body=b"<html><center>404 Not Found</center>nginx</html>")
    looks: list[Request] = []

    def strange(request: Request) -> bool:
        looks.extend([request] * (request.method == "POST"))
        return request.method == "POST" or (bool(looks) and request.path.endswith("/latest"))

    assert rig.apply(lost(after=True), *[page] * 99, wanted=strange).exit == 4
    rig.later(16 * MINUTE)
    assert rig.apply(*[page] * 99, wanted=strange).exit == 4
    rig.once(1, "2024-05-01..2024-05-10")
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_what_others_make_while_we_look_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Without the lock: a look that is held up, say by a rate limit, until another run gave our create up,
    and created its days itself. What it made fits our intent exactly.
    """
    rig = Rig(tmp_path, settings=QUICK)
    others: list[Applied] = []

    def held_up(inner: Transport, request: Request, timeout: float) -> Response:
        rig.later(HOUR)
        others.append(rig.apply())
        return inner.send(request, read_timeout=timeout)

    sent: list[Request] = []

    def lost_then_list(request: Request) -> bool:
        sent.extend([request] * (request.method == "POST"))
        return request.method == "POST" or (bool(sent) and request.path.endswith(f"{12345}/backfills"))

    applied = rig.apply(lost(after=False), held_up, wanted=lost_then_list)
    assert (others[0].exit, applied.exit) == (0, 3)
    assert applied.of(Created) == []
    assert [one.outcome for one in rig.document().intents.values()] == [Outcome.ABANDONED, Outcome.DONE]
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
def test_one_in_the_way_before_ours_left_keeps_nothing_in_doubt(text: str, tmp_path: Path) -> None:
    """Whatever a gateway sent, the API would have refused each; so the next run makes the rest at once."""
    rig = Rig(tmp_path, text, settings={"commit": "twice"})
    rig.know_us()
    applied = rig.apply(between=lambda: rig.foreign(1, "2024-05-03", "2024-05-04"))
    assert (applied.exit, [type(one) for one in applied.events]) == (3, [Withdrawn])
    (intent,) = rig.document().intents.values()
    assert (intent.outcome, intent.days) == (Outcome.WITHDRAWN, applied.surveyed.plan.actions[0].days)
    rig.sandbox.settings(commit="now")
    again = rig.apply()
    assert (again.exit, again.report.created) == (0, 2)
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
def test_one_in_the_way_after_ours_left_leaves_ours_in_doubt(text: str, tmp_path: Path) -> None:
    """A gateway sent it twice; the first has completed, and a person's is in the way, before we look. Run
    lists lag, and `latest` shows the person's.
    """
    rig = Rig(tmp_path, text, settings=QUICK | {"commit": "twice", "runs_lag_seconds": 300})
    rig.know_us()

    def crowded(inner: Transport, request: Request, timeout: float) -> Response:
        answer = inner.send(request, read_timeout=timeout)
        rig.later(MINUTE)
        rig.sandbox.settings(commit="now", seconds_per_run=HOUR)
        rig.foreign(1, "2024-05-03", "2024-05-04")
        return answer

    assert rig.apply(crowded).exit == 3
    assert rig.apply().sent == []
    assert rig.made(1) == ["2024-05-01..2024-05-10", "2024-05-03..2024-05-04"]


def test_a_person_who_makes_what_was_withdrawn_keeps_it(tmp_path: Path) -> None:
    """Days later it is not taken for the withdrawn create, and so not pruned."""
    prune = ONE.replace("transfers:", "prune: true\ntransfers:")
    rig = Rig(tmp_path, prune, settings=QUICK)

    def meddle() -> None:
        rig.sandbox.settings(seconds_per_run=HOUR)
        rig.foreign(1, "2024-05-04", "2024-05-05")

    assert rig.apply(between=meddle).exit == 3
    rig.later(2 * DAY)
    rig.declare(prune.replace("2024-05-01..2024-05-10", "2024-04-01..2024-04-02"))
    rig.apply()
    rig.foreign(1, "2024-05-01", "2024-05-10")
    applied = rig.apply()
    assert (applied.exit, applied.of(Cancelled)) == (0, [])


@pytest.mark.parametrize("on", ["own", "predecessor"])
def test_a_refusal_whose_blocker_leaves_is_in_doubt_while_reads_may_lag(on: str, tmp_path: Path) -> None:
    """A gateway sent it twice: the first was made, and reads hide it; run lists are not read."""
    fails = {1: {"fail_days": {"2024-05-03": {"error": "x", "times": 1}}}}
    rig = Rig(tmp_path, BLIND, settings=QUICK | {"failed_blocks_overlap": False}, transfers=fails)
    rig.know_us()
    blocker = rig.foreign(1, "2024-05-03", "2024-05-03")
    rig.later(HOUR)
    lags = {f"{name}_lag_seconds": 300 for name in ("list", "latest", "get")}
    rig.sandbox.settings(commit="twice", **lags)
    assert rig.apply().exit == 3
    rig.later(30)
    rig.people.cancel(blocker)
    rig.later(30)
    rig.sandbox.settings(commit="now")
    if on == "predecessor":
        rig.declare(BLIND.replace("transfer_id: 1\n", "transfer_id: 5\n    previous_ids: [1]\n"))
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 recent-request"]
    applied = rig.apply()
    assert (applied.exit, applied.sent) == (0, [])
    rig.later(5 * MINUTE)  # it shows: exactly ours, made about then
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "covered": 10})
    assert [one.outcome for one in rig.document().intents.values()] == [Outcome.DONE]
    assert len(rig.sandbox.backfills()) == 2


def test_a_latest_that_lags_behind_our_own_does_not_leave_a_create_in_doubt(tmp_path: Path) -> None:
    limits = "version: 1\nlimits: {max_creates_per_apply: 1, max_days_per_backfill: 5}\n"
    rig = Rig(tmp_path, ONE.replace("version: 1\n", limits), settings=QUICK | {"latest_lag_seconds": 120})
    assert rig.apply().exit == 0
    rig.later(MINUTE)
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(HOUR)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_a_latest_that_is_kept_no_longer_does_not_leave_a_create_in_doubt(tmp_path: Path) -> None:
    limits = "version: 1\nlimits: {max_creates_per_apply: 1, max_days_per_backfill: 5}\n"
    rig = Rig(tmp_path, ONE.replace("version: 1\n", limits), settings=QUICK | {"retention_days": 1})
    assert rig.apply().exit == 0
    rig.later(3 * DAY)
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(HOUR)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_one_cancelled_that_tells_no_time_settles_from_when_it_was_seen(tmp_path: Path) -> None:
    """The run under way when it was cancelled completes, and nothing but time tells of it."""
    slow = {"seconds_until_running": 2 * HOUR, "seconds_per_run": 30 * MINUTE}
    rig = Rig(tmp_path, BLIND, settings=QUICK | slow)
    assert rig.apply().exit == 0
    (number,) = rig.document().backfills
    rig.later(2 * HOUR + MINUTE)
    rig.people.cancel(number)

    def timeless(inner: Transport, request: Request, timeout: float) -> Response:
        answer = inner.send(request, read_timeout=timeout)
        times = rb'"(removed|end)_time": ?"[^"]*"'
        return replace(answer, body=re.sub(times, rb'"\1_time": null', answer.body))

    def gets(request: Request) -> bool:
        return request.method == "GET" and "/backfills/" in request.path

    assert rig.apply(*[timeless] * 50, wanted=gets).sent == []
    assert rig.plan().plan.counts[Bucket.WAITING] == 10


def test_a_prune_that_was_withdrawn_and_is_not_planned_again_is_not_done(tmp_path: Path) -> None:
    prune = ONE.replace("transfers:", "prune: true\ntransfers:")
    rig = Rig(tmp_path, prune, settings={"seconds_until_scheduled": 100_000})
    assert rig.apply().exit == 0
    rig.declare(prune.replace("2024-05-01..2024-05-10", "2024-04-01..2024-04-02"))

    def held_up() -> bool:
        rig.later(61)
        rig.sandbox.settings(list_cap=0)
        return True

    assert rig.apply(holds=held_up).exit == 3


def settle_by_hand(rig: Rig) -> None:
    """Say of the one unresolved create that it was not made."""
    store = open_store(rig.folder)
    document, revision = store.read()
    assert document is not None
    (intent,) = unresolved(document)
    StateSession(store, document, revision).record(as_not_created(intent))


def test_what_a_person_settled_meanwhile_is_not_sent(tmp_path: Path) -> None:
    """Without the lock: held up before its last check; somebody settles its intent, another run creates."""
    rig = Rig(tmp_path, settings=QUICK)
    others: list[Applied] = []

    def held_up() -> bool:
        if not others:
            rig.later(5)
            settle_by_hand(rig)
            others.append(rig.apply())
            rig.later(30)
        return True

    ours = rig.apply(holds=held_up)
    assert (others[0].exit, ours.sent) == (0, [])
    assert len(ours.of(Withdrawn)) == 1
    rig.once(1, "2024-05-01..2024-05-10")


def test_an_outcome_that_another_run_found_is_not_overwritten(tmp_path: Path) -> None:
    """A gateway sends a create twice; another run adopts the first before the second's refusal is back."""
    rig = Rig(tmp_path, settings=QUICK)

    def twice(inner: Transport, request: Request, timeout: float) -> Response:
        inner.send(request, read_timeout=timeout)
        answer = inner.send(request, read_timeout=timeout)
        rig.later(2)
        rig.apply()
        rig.later(MINUTE)
        rig.apply()
        return answer

    ours = rig.apply(twice)
    (intent,) = rig.document().intents.values()
    assert (ours.exit, intent.outcome) == (0, Outcome.DONE)
    assert [one.adopted for one in ours.of(Created)] == [True]


def test_a_clock_set_forward_does_not_end_settle_time(tmp_path: Path) -> None:
    """Its request hangs for 2 minutes, the clock is set forward by 20, and it arrives a minute later."""
    rig = Rig(tmp_path, settings=QUICK)
    arrivals: list[Callable[[], object]] = []
    lost = late(arrivals)

    def jumping(inner: Transport, request: Request, timeout: float) -> Response:
        rig.later(2 * MINUTE)
        rig.time.skew += 20 * MINUTE
        return lost(inner, request, timeout)

    assert rig.apply(jumping).exit == 4
    rig.later(MINUTE)
    arrivals.pop()()
    assert len(rig.made()) == 1


# -- why it stops ----------------------------------------------------------------------------------


def outdated(rig: Rig, *acts: Act) -> Applied:
    """Apply a plan whose reading is old, with acts for the reads that follow it."""
    planned: list[bool] = []

    def between() -> None:
        rig.later(100)
        planned.append(True)

    return rig.apply(*acts, wanted=lambda request: request.method == "GET" and bool(planned), between=between)


@pytest.mark.parametrize(
    "status, code, expected", [(401, None, 65), (429, "API_ROW_QUOTA_EXCEEDED", 7), (400, None, 69)]
)
def test_the_second_reading_stops_the_team_for_its_own_reason(
    status: int, code: str | None, expected: int, tmp_path: Path
) -> None:
    applied = outdated(Rig(tmp_path), *[answered(status, code)] * 50)
    assert (applied.exit, applied.sent) == (expected, [])
    assert len(applied.report.errors) == 1


def test_a_state_that_vanished_meanwhile_stops_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply()
    rig.declare(TWO)

    def between() -> None:
        rig.later(100)
        for file in (tmp_path / "state").glob("*.db*"):
            file.unlink()

    applied = rig.apply(between=between)
    assert (applied.exit, applied.sent) == (6, [])


def test_a_quota_met_while_looking_stops_all_transfers(tmp_path: Path) -> None:
    """The create of one transfer is in doubt; the look after it says that nothing more can be had."""
    rig = Rig(tmp_path, TWO)
    failing: list[bool] = []

    def lost_then_quota(inner: Transport, request: Request, timeout: float) -> Response:
        if request.method == "GET":
            return answered(429, "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED")(inner, request, timeout)
        failing.append(True)
        raise AnswerLost("the connection broke")

    applied = rig.apply(
        *[lost_then_quota] * 50, wanted=lambda request: request.method == "POST" or bool(failing)
    )
    assert (applied.exit, len(applied.sent)) == (4, 1)  # an unknown outcome comes before a used-up quota
    assert [error.exit_status for error in applied.report.errors] == [7]


def test_a_prune_does_not_ask_who_made_the_latest(tmp_path: Path) -> None:
    """Its ``latest`` was never read, so an old one of a person is no news."""
    prune = ONE.replace("transfers:", "prune: true\ntransfers:")
    rig = Rig(tmp_path, prune, settings={"seconds_until_scheduled": 100_000})
    rig.apply()
    rig.declare(prune.replace("2024-05-01..2024-05-10", "2024-04-01..2024-04-02"))
    rig.apply()
    rig.foreign(1, "2024-02-01", "2024-02-02")
    rig.later(1000)
    rig.declare(prune.replace("2024-05-01..2024-05-10", "2024-04-01..2024-04-03"))
    rig.apply()
    rig.declare(prune.replace("2024-05-01..2024-05-10", "2024-04-01..2024-04-02"))
    limit = answered(429, "TOO_MANY_REQUESTS", retry_after="1")
    applied = rig.apply(limit, limit, wanted=cancels)
    assert (applied.exit, len(applied.of(Cancelled))) == (0, 1)
    assert applied.of(Withdrawn) == []


@pytest.mark.parametrize("status", [503, 422])
def test_what_was_answered_is_kept_although_a_signal_ends_the_look(status: int, tmp_path: Path) -> None:
    """In the state, and so in every later plan; and told in the ending."""
    rig = Rig(tmp_path, settings=QUICK)
    signal, asked = StopSignal(), []

    def after_the_create(request: Request) -> bool:
        asked.append(request.method)
        return "POST" in asked

    def stopped(inner: Transport, request: Request, timeout: float) -> Response:
        signal.interrupt(15)
        raise Interrupted(15)

    applied = rig.apply(answered(status, "SAID"), stopped, wanted=after_the_create, signal=signal)
    (intent,), (told,) = rig.pending(), applied.of(UnknownOutcome)
    assert (applied.exit, intent.answer, told.error) == (143, intent.answer, intent.answer)
    assert str(intent.answer) == f"{status} SAID: no (request x)"
    assert [item.answer.error for item in rig.plan().plan.items if item.answer] == [intent.answer]
