"""One answer of several dated wrongly: what takes time must have taken it by our clock, and by the API's."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest
from engine_rig import DAY, HOUR, MINUTE, ONE, TEAM, Act, Rig, lost, open_store

from reconciler.engine.by_hand import as_created
from reconciler.engine.session import StateSession
from reconciler.errors import ApiUnavailable
from reconciler.http import Headers, Request, Response, Transport
from reconciler.planning.intents import unresolved

LAGS = {f"{one}_lag_seconds": 600 for one in ("list", "latest", "get", "runs")}
AT_ONCE = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}


def ahead(**by: float) -> Act:
    """Answer as a server does whose clock is so far ahead, and that is no sandbox."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        answer = inner.send(request, read_timeout=timeout)
        when = parsedate_to_datetime(answer.headers["date"]) + timedelta(**by)
        told = {**answer.headers, "date": format_datetime(when, usegmt=True), "server": "nginx"}
        return Response(answer.status, Headers(told), answer.body)

    return act


def undated(*dates: str) -> Act:
    """Answer as a gateway does that drops the ``Date``, or adds one of its own."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        answer = inner.send(request, read_timeout=timeout)
        kept = [(key, one) for key, one in answer.headers.items() if key not in ("date", "server")]
        return Response(answer.status, Headers([*kept, *(("date", one) for one in dates)]), answer.body)

    return act


def the_list(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith(f"/{TEAM}/backfills")


def dated_or_written(request: Request) -> bool:
    return the_list(request) or request.method == "POST"


def test_a_date_ahead_does_not_make_our_newest_gone(tmp_path: Path) -> None:
    """It has completed, and every read lags: by that ``Date`` a day has passed since it was made."""
    rig = Rig(tmp_path, settings=AT_ONCE | LAGS)
    rig.know_us()
    assert rig.apply().exit == 0
    rig.later(2 * MINUTE)
    applied = rig.apply(*[ahead(hours=23.99)] * 3, wanted=the_list)
    assert (applied.exit, applied.sent) == (0, [])
    rig.later(HOUR)
    assert rig.buckets() == {"declared": 10, "covered": 10}


def let_cancel_half_way(rig: Rig) -> None:
    """Apply, and let a person cancel what that made, a minute ago by now."""
    rig.know_us()
    assert rig.apply().exit == 0
    rig.later(50)
    (made,) = rig.sandbox.backfills()
    rig.people.cancel(int(made["transfer_backfill_id"]))
    rig.later(MINUTE)


def test_a_date_ahead_does_not_end_what_settles(tmp_path: Path) -> None:
    """A person cancels ours half way; its counts, and the runs, lag."""
    slow = {"seconds_per_run": 10, "counters_lag_seconds": 1500, "runs_lag_seconds": 1500}
    rig = Rig(tmp_path, settings=AT_ONCE | slow)
    let_cancel_half_way(rig)
    assert rig.apply().exit == 0
    rig.later(MINUTE)
    applied = rig.apply(*[ahead(minutes=61)] * 3, wanted=the_list)
    assert (applied.exit, applied.sent) == (0, [])
    assert rig.buckets() == {"declared": 10, "waiting": 10}
    rig.later(2 * HOUR)
    assert rig.buckets() == {"declared": 10, "covered": 5, "planned": 5}


def test_what_was_first_seen_ended_by_a_date_behind_settles_as_long(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=AT_ONCE | {"seconds_per_run": 10, "counters_lag_seconds": 1500})
    let_cancel_half_way(rig)
    assert rig.apply(*[ahead(hours=-2)] * 3, wanted=the_list).exit == 0
    rig.later(2 * MINUTE)
    applied = rig.apply(*[ahead(minutes=0)] * 3, wanted=the_list)
    assert (applied.exit, applied.sent) == (0, [])


@pytest.mark.parametrize("act", [undated(), undated("soon")], ids=["none", "unreadable"])
def test_an_answer_without_a_date_lets_one_clock_end_nothing(act: Act, tmp_path: Path) -> None:
    """Ours is set forward; a create of two minutes ago was made, and reads lag."""
    rig = Rig(tmp_path, settings=AT_ONCE | LAGS)
    rig.know_us()
    assert rig.apply(lost(after=True)).exit == 4
    rig.later(2 * MINUTE)
    rig.time.skew = 30 * MINUTE
    applied = rig.apply(*[act] * 3, wanted=the_list)
    assert (applied.exit, applied.sent) == (4, [])
    assert "OB005" in [one.rule for one in applied.surveyed.plan.diagnostics]
    rig.time.skew = 0
    rig.later(HOUR)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_where_no_answer_is_dated_everything_ends_a_day_later(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.know_us()

    def apply(*acts: Act) -> int:
        return rig.apply(*acts, *[undated()] * 9, wanted=dated_or_written).exit

    assert apply(undated(), lost(after=False)) == 4
    rig.later(DAY)
    assert apply() == 4
    rig.later(15 * MINUTE)
    assert apply() == 0
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("skew", [-20 * MINUTE, 20 * MINUTE], ids=["behind", "ahead"])
def test_what_was_made_upon_an_answer_without_a_date_a_person_may_name(skew: float, tmp_path: Path) -> None:
    """The vendor's clock is 20 minutes away, and no answer told it: by ours nothing matches."""
    rig = Rig(tmp_path, settings=AT_ONCE | {"clock_skew_seconds": skew})
    rig.know_us()
    acts = (undated(), lost(after=True), *[undated()] * 9)
    assert rig.apply(*acts, wanted=dated_or_written).exit == 4
    (made,) = rig.sandbox.backfills()
    (intent,) = unresolved(rig.document())
    said = as_created(intent, int(made["transfer_backfill_id"]), rig.document(), rig.people, rig.flags.settle)
    StateSession.open(open_store(rig.folder), rig.document()).record(said)
    rig.later(HOUR)
    assert (rig.apply().exit, rig.pending()) == (0, [])
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("days", [-30, -1.1, 1.1, 30])
@pytest.mark.parametrize("looks", [1, 2], ids=["of the plan", "of the look before a write"])
def test_a_date_more_than_a_day_away_is_refused(days: float, looks: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    if looks == 1:
        with pytest.raises(ApiUnavailable, match=r"answers are old|clock is ahead"):
            rig.apply(ahead(days=days), wanted=the_list)
    else:
        rest = [ahead(days=0), ahead(days=days)]
        applied = rig.apply(*rest, wanted=the_list, between=lambda: rig.later(100))
        assert applied.exit == 69
    assert rig.document().intents == {}
    assert rig.apply().exit == 0


def test_what_was_stamped_a_day_ahead_is_free_a_day_later(tmp_path: Path) -> None:
    """A create is intended by it, and its answer lost; another is refused."""
    rig = Rig(tmp_path, ONE, settings=AT_ONCE)
    rig.know_us()
    wrong = ahead(hours=23.99)

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        return (wrong if the_list(request) else lost(after=False))(inner, request, timeout)

    acts = [act] * 9
    assert rig.apply(*acts, wanted=lambda one: the_list(one) or one.method == "POST").exit == 4
    rig.later(HOUR)
    assert rig.apply().exit == 4
    rig.later(DAY)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")
