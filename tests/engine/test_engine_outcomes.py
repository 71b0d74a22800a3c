"""Every outcome of a write that api/outcome.py names, end to end: sent, recorded, said, settled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BLIND,
    DAY,
    HOUR,
    MINUTE,
    TWO,
    Act,
    Rig,
    altered,
    answered,
    lost,
    not_sent,
    on_transfer,
    passed,
    settle_and_finish,
)

from reconciler.api.outcome import NotSentOutcome
from reconciler.engine.backoff import Backoff
from reconciler.engine.effects import Pause, Stop
from reconciler.events import UnknownOutcome, Withdrawn, WriteRefused
from reconciler.model.memory import Outcome
from reconciler.render.progress import event_line

INSTANT = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
A, B = "2024-05-01..2024-05-10", "2024-04-01..2024-04-05"


@dataclass(frozen=True)
class Row:
    """``acts`` strike the creates on transfer a, in turn; b is never struck.

    ``exit`` is the exit status; ``made`` tells whether a and b exist afterwards; ``waits`` are
    the pauses, ``sent`` the number of creates of a that left.
    """

    name: str
    acts: tuple[Act, ...]
    exit: int = 0
    made: tuple[bool, bool] = (True, True)
    sent: int = 1
    waits: tuple[float, ...] = ()


ROWS = [
    Row("done", (passed,)),
    Row("not-sent-twice", (not_sent,) * 2, sent=3, waits=(1, 2)),
    Row("never-sent", (not_sent,) * 9, 69, (False, False), 5, (1, 2, 4, 8)),
    Row("rate-limit-7s", (answered(429, "TOO_MANY_REQUESTS", retry_after="7"),), sent=2, waits=(7,)),
    Row("rate-limit-unknown-code", (answered(429, "NOBODY_KNOWS", retry_after="3"),), sent=2, waits=(3,)),
    Row("rate-limit-without-a-wait", (answered(429, "TOO_MANY_REQUESTS"),), sent=2, waits=(30,)),
    Row("rate-limit-junk", (answered(429, None, retry_after="soon"),), sent=2, waits=(30,)),
    Row("rate-limit-at-the-bound", (answered(429, None, retry_after="300"),), sent=2, waits=(300,)),
    Row("rate-limit-beyond-max-wait", (answered(429, None, retry_after="301"),), 69, (False, False)),
    Row(
        "rate-limits-that-add-up",
        (answered(429, None, retry_after="200"),) * 2,
        69,
        (False, False),
        sent=2,
        waits=(200,),
    ),
    Row("row-quota", (answered(429, "API_ROW_QUOTA_EXCEEDED", retry_after="9"),), 7, (False, False)),
    Row("licence", (answered(429, "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED"),), 7, (False, False)),
    Row("unauthorized", (answered(401),), 65, (False, False)),
    Row("disabled", (answered(403, "API_KEY_DISABLED"),), 65, (False, False)),
    Row("forbidden", (answered(403),), 3, (False, True)),
    Row("forbidden-by-code", (answered(403, "FORBIDDEN"),), 3, (False, True)),
    Row("licence-of-one", (answered(403, "LICENSE_ACCESS_DATA_SOURCE"),), 3, (False, True)),
    Row("historical-range", (answered(403, "LICENSE_HISTORICAL_RANGE_EXCEEDED"),), 3, (False, True)),
    Row("unheard-of", (answered(403, "NOBODY_KNOWS"),), 3, (False, True)),
    *(
        Row(f"refused-{one}", (answered(one),), 3, (False, True))
        for one in (400, 402, 404, 409, 410, 413, 422)
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_outcomes_that_are_known(row: Row, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    applied = rig.apply(*row.acts, wanted=on_transfer(1))
    assert applied.exit == row.exit
    assert (bool(rig.made(1)), bool(rig.made(2))) == row.made
    assert sum(on_transfer(1)(one) for one in applied.sent) == row.sent
    assert tuple(applied.waits) == row.waits
    assert rig.pending() == [], "nothing is left open where the outcome is known"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_was_not_done_is_done_by_a_later_run(row: Row, tmp_path: Path) -> None:
    """Nothing was lost: a refusal without a blocker holds for 20 hours, all else for no time at all."""
    rig = Rig(tmp_path, TWO)
    refused = rig.apply(*row.acts, wanted=on_transfer(1)).of(WriteRefused)
    assert rig.blocked() == (["a 2024-05-01..2024-05-10 refused"] if refused else [])
    rig.later(20 * HOUR)
    assert rig.apply().exit == 0
    rig.once(1, A)
    rig.once(2, B)


SHARED = [
    (403, "FORBIDDEN", "ACCESS_DENIED", 65),
    (403, None, "FORBIDDEN", 65),
    (403, "LICENSE_EXPIRED", "LICENSE_EXPIRED", 7),
    (402, "LICENSE_NOT_FOUND", "LICENSE_NOT_FOUND", 7),
    (403, "LICENSE_EXPIRED", "LICENSE_ACCESS_DATA_SOURCE", 3),  # each its own
    (403, "LICENSE_HISTORICAL_RANGE_EXCEEDED", "LICENSE_HISTORICAL_RANGE_EXCEEDED", 3),  # of its request
    (403, "LICENSE_EXPIRED", "FORBIDDEN", 3),
]


@pytest.mark.parametrize("status, first, second, expected", SHARED)
def test_what_two_transfers_are_refused_for_is_the_team_s(
    status: int, first: str | None, second: str, expected: int, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, TWO)
    applied = rig.apply(answered(status, first), answered(status, second))
    assert applied.exit == expected
    assert (rig.made(1), rig.made(2), rig.pending()) == ([], [], [])
    # Nothing is kept of what was the key's.
    doubted = {"a": expected != 65 or first is None, "b": expected != 65}
    blocked = {"a": "a 2024-05-01..2024-05-10 refused", "b": "b 2024-04-01..2024-04-05 refused"}
    assert rig.blocked() == [blocked[one] for one, is_ in doubted.items() if is_]
    outcomes = {one.transfer: one.outcome is Outcome.REFUSED for one in rig.document().intents.values()}
    assert outcomes == doubted
    rig.later(20 * HOUR * (any(doubted.values())))
    assert rig.apply().exit == 0
    rig.once(1, A)
    rig.once(2, B)


def test_the_only_transfer_that_is_forbidden_tells_of_the_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.apply(answered(403, "FORBIDDEN")).exit == 65
    assert rig.blocked() == []


def test_the_only_transfer_without_a_licence_is_refused(tmp_path: Path) -> None:
    assert Rig(tmp_path).apply(answered(403, "LICENSE_EXPIRED")).exit == 3


def test_a_licence_in_a_server_s_error_is_named(tmp_path: Path) -> None:
    (told,) = Rig(tmp_path).apply(answered(500, "LICENSE_EXPIRED")).of(UnknownOutcome)
    assert told.error is not None
    assert told.error.code == "LICENSE_EXPIRED"
    assert "outcome unknown: answered 500 LICENSE_EXPIRED: no (request x)" in event_line(told)


def _shifted(data: dict[str, Any]) -> object:
    return {**data, "range_start_date": "2024-04-30"}


def _other_transfer(data: dict[str, Any]) -> object:
    return {**data, "transfer_id": 77}


UNKNOWN: dict[str, Any] = {
    **{
        f"{'after' if after else 'before'}-{status}": answered(status, after=after)
        for status in (100, 301, 302, 307, 308, 408, 425, 500, 502, 503, 504, 599)
        for after in (False, True)
    },
    "lost-before": lost(after=False),
    "lost-after": lost(after=True),
    "html-before": answered(200, body=b"<h1>hello</h1>"),
    "html-after": answered(200, body=b"<h1>hello</h1>", after=True),
    "empty-before": answered(200, body=b""),
    "empty-after": answered(204, body=b"", after=True),
    "null-before": answered(200, body=b"null"),
    "deep-before": answered(200, body=b"[" * 100_000),
    "other-range-after": altered(_shifted),
    "other-transfer-after": altered(_other_transfer),
    "null-data-after": altered(lambda data: None),
    "huge-id-after": altered(lambda data: {**data, "transfer_backfill_id": 2**63}),
    "no-id-after": altered(
        lambda data: {name: one for name, one in data.items() if name != "transfer_backfill_id"}
    ),
}


@pytest.mark.parametrize("name", [one for one in UNKNOWN if one.endswith("after")])
def test_unknown_but_made_is_found_by_looking(name: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    applied = rig.apply(UNKNOWN[name], wanted=on_transfer(1))
    assert applied.exit == 0
    assert len(applied.adopted) == 1
    assert rig.buckets() == {"declared": 15, "in_flight": 15}
    rig.once(1, A)
    rig.once(2, B)


@pytest.mark.parametrize(
    "name", [one for one in UNKNOWN if one.endswith("before") or one.startswith("before")]
)
def test_unknown_and_not_made_blocks_until_settle_time_is_over(name: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    applied = rig.apply(UNKNOWN[name], wanted=on_transfer(1))
    assert applied.exit == 4
    assert applied.waits == [1, 2, 4, 8, 15], "some thirty seconds of looking"
    (told,) = applied.of(UnknownOutcome)
    assert (told.settles_at - told.intent.intended_at).total_seconds() == 15 * MINUTE
    assert rig.made(1) == []
    rig.once(2, B)  # everything else goes on
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 unresolved"]
    rig.later(14 * MINUTE)
    again = rig.apply()
    assert (again.exit, again.sent) == (4, [])
    rig.later(1 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, A)
    rig.once(2, B)
    outcomes = [one.outcome for one in rig.document().intents.values() if one.transfer_id == 1]
    assert sorted(outcomes) == [Outcome.ABANDONED, Outcome.DONE]


def test_an_answer_that_shows_an_id_we_know_is_no_success(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO, backfills=[_given(501, "2024-03-01", "2024-03-05")])
    act = altered(lambda data: {**data, "transfer_backfill_id": 501})
    applied = rig.apply(act, wanted=on_transfer(1))
    assert applied.exit == 0
    assert applied.adopted != [501]
    rig.once(1, A, "2024-03-01..2024-03-05")


def _given(number: int, first: str, last: str, status: str = "RUNNING", transfer: int = 1) -> dict[str, Any]:
    days = {"range_start_date": first, "range_end_date": last}
    return {"transfer_backfill_id": number, "transfer_id": transfer, "status": status, **days}


@pytest.mark.parametrize("commit", ["twice", "lost-answer"])
def test_what_the_gateway_sent_twice_or_lost_is_adopted(commit: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO, settings={"commit": commit})
    applied = rig.apply()
    assert applied.exit == 0
    assert len(applied.adopted) == 2
    rig.once(1, A)
    rig.once(2, B)
    assert rig.plan().plan.actions == ()


@pytest.mark.parametrize("status", [400, 409, 422])
def test_sent_twice_is_adopted_whatever_the_refusal_looks_like(status: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"commit": "twice", "overlap_status": status, "error_shape": "problem"})
    assert rig.apply().exit == 0
    rig.once(1, A)


def test_a_create_that_comes_20_seconds_late_is_found_in_the_same_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"commit": "late:20"})
    applied = rig.apply()
    assert (applied.exit, len(applied.adopted)) == (0, 1)
    rig.once(1, A)


@pytest.mark.parametrize("on_unknown", ["settle", "block"])
@pytest.mark.parametrize("seconds", [60, 600, 890])
def test_a_create_that_comes_late_is_settled_by_a_later_run(
    seconds: int, on_unknown: str, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, settings={"commit": f"late:{seconds}"})
    rig.declare(rig.text.replace("version: 1\n", f"version: 1\non_unknown: {on_unknown}\n"))
    assert rig.apply().exit == 4
    rig.sandbox.settings(commit="now")
    for _run in range(5):
        assert rig.apply().exit == 4
    rig.later(15 * MINUTE)
    state = "covered" if seconds == 60 else "in_flight"
    assert rig.buckets() == {"declared": 10, state: 10}
    assert rig.pending(), "a plan writes nothing"
    assert rig.apply().exit == 0
    assert rig.pending() == []
    rig.once(1, A)


@pytest.mark.parametrize("on_unknown", ["settle", "block"])
def test_what_is_unknown_is_settled_once_all_its_days_are_covered(on_unknown: str, tmp_path: Path) -> None:
    """A gateway had it made when settle time was over: it is not adopted, but nothing is left to settle."""
    rig = Rig(tmp_path, settings=INSTANT | {"commit": "late:5000"})
    rig.declare(rig.text.replace("version: 1\n", f"version: 1\non_unknown: {on_unknown}\n"))
    assert rig.apply().exit == 4
    rig.later(2 * HOUR)
    assert (rig.apply().exit, rig.pending()) == (0, [])
    rig.once(1, A)


def test_on_unknown_block_never_concludes(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO.replace("version: 1\n", "version: 1\non_unknown: block\n"))
    applied = rig.apply(lost(after=False), wanted=on_transfer(1))
    (told,) = applied.of(UnknownOutcome)
    assert told.settles_at is None
    for _day in range(4):
        rig.later(DAY)
        applied = rig.apply()
        assert (applied.exit, applied.sent) == (4, [])
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 unresolved"]
    assert rig.made(1) == []


def test_blind_a_newer_backfill_of_others_hides_ours_so_nothing_is_concluded(tmp_path: Path) -> None:
    """``latest`` answers theirs: whether ours was made and has ended since, nothing tells."""
    rig = Rig(tmp_path, BLIND)
    rig.know_us()
    assert rig.apply(lost(after=False)).exit == 4
    rig.foreign(1, "2024-03-01", "2024-03-02")
    rig.later(2 * DAY)
    assert rig.apply().exit == 4
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 unresolved"]
    rig.once(1, "2024-03-01..2024-03-02")


@pytest.mark.parametrize("after", [False, True], ids=["not made", "made"])
def test_where_a_newer_one_hides_it_list_and_run_list_tell(after: bool, tmp_path: Path) -> None:
    """It is on no whole list: whatever it loaded, the run list shows an hour later at the latest."""
    rig = Rig(tmp_path, settings=INSTANT | {"runs_lag_seconds": 30 * MINUTE})

    def down(inner: Any, request: Any, timeout: float) -> Any:
        rig.sandbox.faults("status-503-before@list")
        return lost(after=after)(inner, request, timeout)

    assert rig.apply(down).exit == 4
    rig.sandbox.faults()
    rig.foreign(1, "2024-03-01", "2024-03-02")
    rig.later(15 * MINUTE)
    settled = rig.apply()
    assert (settled.exit, settled.sent, rig.pending()) == (0, [], [])
    assert rig.buckets() == {"declared": 10, "waiting": 10}
    rig.later(59 * MINUTE)
    assert rig.apply().sent == []
    rig.later(1 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, A, "2024-03-01..2024-03-02")
    assert len(rig.sandbox.backfills()) == 2


def test_an_hour_of_run_lists_is_not_waited_for_where_all_days_are_covered(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=INSTANT)
    assert rig.apply(lost(after=False)).exit == 4
    rig.foreign(1, *A.split(".."))
    rig.foreign(1, "2024-03-01", "2024-03-02")
    rig.later(15 * MINUTE)
    assert (rig.apply().exit, rig.pending()) == (0, [])
    assert rig.buckets() == {"declared": 10, "covered": 10}


def test_blind_after_settle_time_only_its_own_days_stay_blocked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, BLIND)
    rig.know_us()
    rig.apply(lost(after=False))
    rig.foreign(1, "2024-03-01", "2024-03-02")
    rig.declare(rig.text.replace("2024-05-01..2024-05-10", "2024-05-01..2024-05-20"))
    assert rig.blocked() == [
        "a 2024-05-11..2024-05-20 behind-unresolved",
        "a 2024-05-01..2024-05-10 unresolved",
    ]
    rig.later(15 * MINUTE)
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 unresolved"]
    assert rig.apply().exit == 4
    rig.once(1, "2024-05-11..2024-05-20", "2024-03-01..2024-03-02")


# -- refusals with a reason ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 409, 422])
def test_an_active_backfill_made_between_plan_and_apply_is_planned_around_by_the_next_run(
    status: int, tmp_path: Path
) -> None:
    """No doubt is kept: the API refused ours for a reason that we see, so the rest is made at once."""
    rig = Rig(tmp_path, settings={"overlap_status": status})
    applied = rig.apply(between=lambda: rig.foreign(1, "2024-05-04", "2024-05-06"))
    assert (applied.exit, len(applied.sent), applied.report.withdrawn) == (3, 1, 1)
    (told,) = applied.of(Withdrawn)
    assert event_line(told).endswith("is active on some of its days; the next apply plans it again")
    assert [one.outcome for one in rig.document().intents.values()] == [Outcome.WITHDRAWN]
    again = rig.apply()
    assert (again.exit, len(again.sent)) == (0, 2)
    rig.once(1, A)
    assert rig.buckets() == {"declared": 10, "in_flight": 10}


def test_what_is_withdrawn_is_not_tried_again_within_a_run(tmp_path: Path) -> None:
    """Whoever makes another backfill before each of our creates is not raced at all."""
    rig = Rig(tmp_path)
    wanted = [("2024-05-04", "2024-05-06"), ("2024-05-08", "2024-05-08")]

    def meddle(inner: Any, request: Any, timeout: float) -> Any:
        rig.foreign(1, *wanted.pop(0))
        return inner.send(request, read_timeout=timeout)

    for number in (1, 2):
        applied = rig.apply(meddle)
        assert (applied.exit, len(applied.of(Withdrawn))) == (3, 1), number
    assert wanted == []
    assert rig.apply().exit == 0
    rig.once(1, A)


def test_a_foreign_failed_backfill_blocks_until_it_is_cancelled(tmp_path: Path) -> None:
    shell = _given(501, "2024-05-04", "2024-05-06", "FAILED") | {
        "created_time": "2024-05-20T00:00:00Z",
        "end_time": "2024-05-20T01:00:00Z",
        "transfer_runs_failed": 3,
    }
    rig = Rig(tmp_path, TWO, backfills=[shell])
    applied = rig.apply()
    assert applied.exit == 3
    (refusal,) = applied.of(WriteRefused)
    assert (refusal.error.status, refusal.blocker) == (422, 501)
    assert rig.made(1) == ["2024-05-04..2024-05-06"]
    rig.once(2, B)
    for _day in range(3):  # as long as it is listed, and not a day longer
        assert rig.blocked() == ["a 2024-05-01..2024-05-10 refused"]
        assert rig.apply().sent == []
        rig.later(DAY)
    rig.people.cancel(501)
    assert rig.blocked() == []
    assert rig.apply().exit == 0
    rig.once(1, A)


def test_a_refused_transfer_stops_and_the_others_go_on(tmp_path: Path) -> None:
    text = TWO.replace("  a:\n", "  a:\n    chunk: week\n")
    rig = Rig(tmp_path, text)
    applied = rig.apply(answered(422), wanted=on_transfer(1))
    assert sum(on_transfer(1)(one) for one in applied.sent) == 1
    assert rig.made(1) == []
    rig.once(2, B)


def test_a_refusal_nobody_can_look_into_is_unknown(tmp_path: Path) -> None:
    """422 may be the second half of a create sent twice: without a look, it is not known."""
    rig = Rig(tmp_path)

    def refused(inner: Any, request: Any, timeout: float) -> Any:
        rig.sandbox.faults("status-503-before@list")
        return answered(422, after=True)(inner, request, timeout)

    applied = rig.apply(refused)
    assert applied.exit == 4
    rig.sandbox.faults()
    settle_and_finish(rig)
    rig.once(1, A)


def test_a_quota_stops_all_transfers_and_says_which(tmp_path: Path) -> None:
    text = "version: 1\nteam_id: 12345\ntransfers:\n" + "".join(
        f"  t{one}: {{transfer_id: {one}, ranges: [2024-05-0{one}]}}\n" for one in range(1, 8)
    )
    rig = Rig(tmp_path, text)
    rig.flag(parallelism=4)
    applied = rig.apply(*[answered(429, "API_ROW_QUOTA_EXCEEDED")] * 9)
    assert applied.exit == 7
    assert 1 <= len(applied.sent) <= 4
    assert "API_ROW_QUOTA_EXCEEDED" in applied.report.errors[0].detail
    assert rig.sandbox.backfills() == []
    assert rig.pending() == []


@pytest.mark.parametrize("after, waited", [("0.01", 19.0), ("1", 19.0), (None, 19 * 180.0)])
def test_how_often_a_rate_limited_write_is_sent_is_bounded(
    after: str | None, waited: float, tmp_path: Path
) -> None:
    """However short the waits are that the API asks for. Where it does not say, they share the time."""
    rig = Rig(tmp_path)
    rig.flag(max_wait=HOUR)
    applied = rig.apply(*[answered(429, None, **({"retry_after": after} if after else {}))] * 99)
    assert (applied.exit, len(applied.sent), sum(applied.waits)) == (69, 20, waited)
    assert "that was the 20th time" in applied.report.errors[0].detail
    assert len(rig.document().intents) == 20


def test_a_write_that_tls_keeps_from_leaving_is_not_tried_again() -> None:
    stop = Backoff(300.0).after(NotSentOutcome("the certificate is not trusted", passing=False), "POST x")
    assert isinstance(stop, Stop)
    assert "SSL_CERT_FILE" in stop.error.hint
    assert isinstance(Backoff(300.0).after(NotSentOutcome("no connection"), "POST x"), Pause)
