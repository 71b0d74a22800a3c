"""What mutation testing found untested: events, records and counts of calls along the rarer ways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine_rig import DAY, MINUTE, ONE, TEAM, TWO, Rig, answered, cancels, lost, not_sent, open_store
from test_engine_moments import FAILS, Watched

from reconciler.engine.by_hand import as_created, as_not_created
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.events import Created, Settled, UnknownOutcome, Waiting, Withdrawn, WriteRefused
from reconciler.http import AnswerLost, Headers, Request, Response, Transport
from reconciler.model.deltas import Delta
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.planning.intents import unresolved

STALE = ONE.replace("    transfer_id: 1\n", "    transfer_id: 1\n    stale_before: 2024-05-20\n")


def test_a_record_remembers_what_it_was_made_under(tmp_path: Path) -> None:
    """Else a vendor's clock that is behind would have its days due again."""
    rig = Rig(tmp_path, STALE)
    rig.apply()
    (record,) = rig.document().backfills.values()
    assert record.stale_before == datetime(2024, 5, 20, tzinfo=UTC)


# -- looking for a create --------------------------------------------------------------------------


def looks_fail(times: int) -> tuple[list[Any], Callable[[Request], bool]]:
    """Lose a create's answer after the API made it, and let the first reads after it fail."""
    sent: list[bool] = []

    def lost_answer(inner: Transport, request: Request, timeout: float) -> Response:
        inner.send(request, read_timeout=timeout)
        sent.append(True)
        raise AnswerLost("the connection broke")

    acts = [lost_answer, *[answered(400, None)] * times]
    return acts, lambda request: request.method == "POST" or (bool(sent) and request.method == "GET")


def test_a_look_that_fails_is_followed_by_another(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    acts, wanted = looks_fail(1)
    applied = rig.apply(*acts, wanted=wanted)
    assert (applied.exit, len(applied.adopted)) == (0, 1)


def test_what_is_not_found_by_looking_is_left_to_a_later_run(tmp_path: Path) -> None:
    """Even where settle time is over by then: nothing is planned twice within a run."""
    rig = Rig(tmp_path)
    rig.flag(settle=timedelta(seconds=5))
    applied = rig.apply(lost(after=False))
    assert (applied.exit, len(applied.sent)) == (4, 1)
    assert [type(one) for one in applied.events] == [*[Waiting] * 5, UnknownOutcome]
    later = rig.apply()
    assert (later.exit, len(later.sent)) == (0, 1)
    assert [one.intent.outcome for one in later.of(Settled)] == [Outcome.ABANDONED]
    outcomes = sorted(one.outcome for one in rig.document().intents.values())
    assert outcomes == [Outcome.ABANDONED, Outcome.DONE]
    rig.once(1, "2024-05-01..2024-05-10")


def settled_meanwhile(rig: Rig, settle: Callable[[Intent], Delta], after: bool) -> Callable[..., Response]:
    """Lose an answer; another run settles the create before we look."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        if after:
            inner.send(request, read_timeout=timeout)
        store = open_store(rig.folder)
        document, revision = store.read()
        assert document is not None
        (intent,) = unresolved(document)
        StateSession(store, document, revision).record(settle(intent))
        raise AnswerLost("the connection broke")

    return act


def test_another_run_found_that_it_was_not_made(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    applied = rig.apply(settled_meanwhile(rig, as_not_created, after=False))
    assert [one.why for one in applied.of(Withdrawn)] == ["its request took no effect, as another run found"]
    assert (applied.exit, len(applied.sent)) == (3, 1)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_another_run_found_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def settle(intent: Intent) -> Delta:
        number = int(rig.sandbox.backfills()[0]["transfer_backfill_id"])
        return as_created(intent, number, rig.document(), rig.people, rig.flags.settle)

    applied = rig.apply(settled_meanwhile(rig, settle, after=True))
    assert (applied.exit, len(applied.sent)) == (0, 1)
    assert [one.adopted for one in applied.of(Created)] == [True]


# -- what stands in the way ------------------------------------------------------------------------


def test_a_blocker_that_the_plan_did_not_know_is_named(tmp_path: Path) -> None:
    """The API refuses; a person made an active one since."""
    rig, other = Rig(tmp_path), list[int]()
    applied = rig.apply(between=lambda: other.append(rig.foreign(1, "2024-05-03", "2024-05-04")))
    told = [one.why for one in applied.of(Withdrawn)]
    assert told == [f"backfill {other[0]} is active on some of its days"]


def test_a_failed_one_of_ours_that_list_and_get_hid_is_the_blocker(tmp_path: Path) -> None:
    """It is cancelled once settle time is over: until then ours may have been made in spite of the answer."""
    rig = Rig(tmp_path, transfers=FAILS)
    rig.apply()
    rig.later(DAY)
    (shell,) = rig.document().backfills
    applied = rig.apply(
        hidden_list,
        answered(404),
        wanted=lambda request: request.path.endswith((f"{TEAM}/backfills", f"backfills/{shell}")),
    )
    assert [(one.error.status, one.blocker) for one in applied.of(WriteRefused)] == [(422, shell)]
    assert rig.blocked() == ["a 2024-05-04..2024-05-04 recent-request"]
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.later(DAY)
    assert rig.buckets() == {"declared": 10, "covered": 10}
    assert len(rig.sandbox.backfills()) == 2


def hidden_list(inner: Transport, request: Request, timeout: float) -> Response:
    """Answer an empty list, as one that lags may."""
    whole = inner.send(request, read_timeout=timeout)
    return Response(200, Headers(dict(whole.headers)), b'{"data": []}')


# -- cancels ---------------------------------------------------------------------------------------


def failed_day(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, transfers=FAILS)
    rig.apply()
    rig.later(DAY)
    return rig


def test_a_cancel_that_is_answered_needs_no_get(tmp_path: Path) -> None:
    rig = failed_day(tmp_path)
    before = len(rig.sandbox.requests())
    applied = rig.apply()
    methods = [str(one["method"]) for one in rig.sandbox.requests()[before:]]
    at = methods.index("PATCH")
    assert (applied.exit, methods[at:]) == (0, ["PATCH", "POST"])
    cancel = next(one for one in rig.document().intents.values() if one.kind is IntentKind.CANCEL)
    assert cancel.outcome is Outcome.DONE


def test_a_cancel_that_never_happens_says_so(tmp_path: Path) -> None:
    rig = failed_day(tmp_path)
    applied = rig.apply(*[lost(after=False)] * 9, wanted=cancels)
    (refused,) = applied.of(WriteRefused)
    assert (applied.exit, refused.error, refused.message) == (3, None, "it could not be cancelled")
    tries = [one for one in rig.document().intents.values() if one.kind is IntentKind.CANCEL]
    assert [one.outcome for one in tries] == [Outcome.ABANDONED] * 3


def test_a_cancel_that_is_refused_says_with_which_status(tmp_path: Path) -> None:
    """That of the last try: an answer before it may have been another one, or none."""
    rig = failed_day(tmp_path)
    applied = rig.apply(lost(after=False), answered(409), answered(422), wanted=cancels)
    (refused,) = applied.of(WriteRefused)
    assert (refused.error.status, refused.message) == (422, "it could not be cancelled: no")


def test_the_intent_to_cancel_takes_the_evidence_along(tmp_path: Path) -> None:
    """And that to create takes nothing."""
    rig = failed_day(tmp_path)
    store = Watched(open_store(tmp_path))
    rig.apply(store=store)
    with_intent = [
        (one.kind, [record.id for record in delta.backfills])
        for delta in store.commits
        for one in delta.intents
        if one.pending
    ]
    shell = min(rig.document().backfills)
    assert with_intent == [(IntentKind.CANCEL, [shell]), (IntentKind.CREATE, [])]


# -- waits and stops -------------------------------------------------------------------------------


def test_a_wait_says_what_for(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    unheard_of = answered(429, "NOBODY_KNOWS_THIS", retry_after="5")
    applied = rig.apply(not_sent, answered(429, None, retry_after="5"), unheard_of)
    *known, last = [one.why for one in applied.of(Waiting)]
    assert known == ["no connection", "the API rate limit was reached"]
    assert last.startswith("the API answered 429 NOBODY_KNOWS_THIS: "), "a code is not taken for another"


def test_a_429_of_another_code_ends_a_run_by_that_name(tmp_path: Path) -> None:
    for code, summary in {
        "TOO_MANY_REQUESTS": "The API rate limit was reached",
        "NOBODY_KNOWS_THIS": "The API answered 429 NOBODY_KNOWS_THIS",
    }.items():
        (tmp_path / code).mkdir()
        applied = Rig(tmp_path / code).apply(answered(429, code, retry_after="5000"))
        assert [one.summary for one in applied.report.errors] == [summary]


def test_a_used_up_quota_stops_the_other_teams_too(tmp_path: Path) -> None:
    rig, whole_run = Rig(tmp_path, TWO), StopSignal()
    rig.apply(answered(429, "API_ROW_QUOTA_EXCEEDED"), signal=whole_run)
    assert whole_run.off
    rig, whole_run = Rig(tmp_path, TWO), StopSignal()
    rig.apply(answered(401, None), signal=whole_run)
    assert not whole_run.off


def test_a_run_that_is_stopped_before_its_intent_says_nothing_of_it(tmp_path: Path) -> None:
    rig, stopped = Rig(tmp_path), StopSignal()
    applied = rig.apply(signal=stopped, between=stopped.stop)
    assert (applied.exit, applied.sent, applied.of(Withdrawn)) == (3, [], [])
