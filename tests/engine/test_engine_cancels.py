"""Cancels: of our own failed shells before a retry, and of what nobody declares any more (``prune``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BLIND,
    DAY,
    HOUR,
    MINUTE,
    ONE,
    Act,
    Killed,
    Rig,
    actions_text,
    altered,
    answered,
    cancels,
    killed,
    lost,
    not_sent,
    settle_and_finish,
)

from reconciler.events import Cancelled, Withdrawn, WriteRefused
from reconciler.http import Response
from reconciler.model.memory import IntentKind
from reconciler.model.observed import Status

FAILS = {1: {"name": "one", "fail_days": {"2024-05-04": {"error": "timeout", "times": 1}}}}


@pytest.fixture
def failed(tmp_path: Path) -> Rig:
    """A rig after a first apply whose backfill ended FAILED: one day is due again."""
    rig = Rig(tmp_path, transfers=FAILS)
    assert rig.apply().exit == 0
    rig.later(DAY)
    assert actions_text(rig.plan()) == ["-/+ a 2024-05-04..2024-05-04"]
    return rig


def test_a_retry_cancels_the_shell_first(failed: Rig) -> None:
    applied = failed.apply()
    assert applied.exit == 0
    assert [one.method for one in applied.sent] == ["PATCH", "POST"]
    assert (applied.report.retried, applied.report.created, applied.report.cancelled) == (1, 0, 0)
    failed.later(DAY)
    assert failed.buckets() == {"declared": 10, "covered": 10}


UNKNOWN: dict[str, Act] = {
    "lost-after": lost(after=True),
    "504-after": answered(504, after=True),
    "html-after": answered(200, body=b"<h1>", after=True),
    "lost-before": lost(after=False),
    "503-before": answered(503),
    "204-before": answered(204, body=b""),
    "not-sent": not_sent,
    "rate-limit": answered(429, None, retry_after="2"),
    "404": answered(404),
    "still-active": altered(lambda data: {**data, "status": "RUNNING"}),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_cancel_is_looked_up_and_sent_again(name: str, failed: Rig) -> None:
    """A cancel may be repeated without harm; what it led to is read, not guessed."""
    applied = failed.apply(UNKNOWN[name], wanted=cancels)
    assert applied.exit == 0
    patches = sum(cancels(one) for one in applied.sent)
    assert patches == (1 if name.endswith("after") or name == "still-active" else 2)
    assert applied.sent[-1].method == "POST"
    failed.later(DAY)
    assert failed.buckets() == {"declared": 10, "covered": 10}


@pytest.mark.parametrize("act", [lost(after=False), answered(500), answered(422)], ids=["lost", "500", "422"])
def test_what_cannot_be_cancelled_is_refused_and_nothing_is_created(act: Act, failed: Rig) -> None:
    applied = failed.apply(*[act] * 9, wanted=cancels)
    assert applied.exit == 3
    assert [one.method for one in applied.sent] == ["PATCH"] * 3
    assert len(applied.of(WriteRefused)) == 1
    assert failed.pending() == []
    assert failed.apply().exit == 0


@pytest.mark.parametrize(
    ("act", "exit_"),
    [
        (answered(401), 65),
        (answered(403), 65),
        (answered(429, "API_ROW_QUOTA_EXCEEDED"), 7),
        (answered(429, None, retry_after="301"), 69),
    ],
    ids=["401", "403", "quota", "rate-limit"],
)
def test_a_cancel_that_is_not_done_stops_as_a_create_does(act: Act, exit_: int, failed: Rig) -> None:
    applied = failed.apply(act, wanted=cancels)
    assert applied.exit == exit_
    assert [one.method for one in applied.sent] == ["PATCH"]
    assert failed.pending() == []


def test_a_shell_that_somebody_else_cancelled_meanwhile_is_no_trouble(failed: Rig) -> None:
    (shell,) = failed.document().backfills
    applied = failed.apply(between=lambda: failed.people.cancel(shell))
    assert applied.exit == 0
    failed.later(DAY)
    assert failed.buckets() == {"declared": 10, "covered": 10}


def test_a_shell_that_completed_meanwhile_is_not_created_again(failed: Rig) -> None:
    """The cancel answers 422; the get and the run list show that the vendor tried again by itself."""

    def completes(inner: Any, request: Any, timeout: float) -> Response:
        if request.method == "PATCH":
            return answered(422)(inner, request, timeout)
        response = inner.send(request, read_timeout=timeout)
        body = json.loads(response.body)
        if request.path.endswith("/runs"):
            body["data"] = [one | {"status": "COMPLETED"} for one in body["data"]]
        else:
            body["data"] |= {"status": "COMPLETED", "transfer_runs_completed": 10, "transfer_runs_failed": 0}
            body["data"]["error_report"] = []
        return Response(200, response.headers, json.dumps(body).encode())

    (shell,) = failed.document().backfills

    tried = []

    def wanted(request: Any) -> bool:
        tried.extend([request] if request.method == "PATCH" else [])
        return bool(tried) and request.path.endswith(("/runs", f"/backfills/{shell}"))

    applied = failed.apply(*[completes] * 9, wanted=wanted)
    assert [one.method for one in applied.sent] == ["PATCH"]
    (told,) = applied.of(Withdrawn)
    assert (applied.exit, told.why) == (3, f"backfill {shell} completed before it was cancelled")
    assert failed.document().backfills[shell].status is Status.COMPLETED
    assert failed.apply(*[completes] * 9, wanted=wanted).sent == []
    assert len(failed.sandbox.backfills()) == 1


@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
@pytest.mark.parametrize("when", ["before we look", "just before its cancel"])
def test_a_shell_that_runs_again_is_not_made_twice(when: str, text: str, tmp_path: Path) -> None:
    """The vendor runs it again. If we look in time it is left alone; else the cancel's answer shows other
    counts: its days wait for what still runs.
    """
    rig = Rig(tmp_path, text, transfers=FAILS)
    rig.know_us()
    assert rig.apply().exit == 0
    rig.later(DAY)
    (shell,) = rig.document().backfills

    def runs_again() -> None:
        rig.sandbox.run_again(shell)
        rig.later(61 * (when == "before we look"))

    applied = rig.apply(between=runs_again)
    (told,) = applied.of(Withdrawn)
    if when == "before we look":
        assert (applied.exit, applied.sent) == (3, [])
        assert told.why in (f"backfill {shell} went on meanwhile", f"backfill {shell} is on some of its days")
    else:
        assert (applied.exit, [one.method for one in applied.sent]) == (3, ["PATCH"])
        assert told.why == f"backfill {shell} had run again"
        assert rig.apply().sent == []
    for _hour in range(7):
        rig.later(HOUR)
        rig.apply()
    rig.later(DAY)
    if when != "before we look" and text == BLIND:  # nothing tells whether its run was under way
        assert rig.buckets() == {"declared": 10, "covered": 9, "failed": 1}
        assert len(rig.sandbox.backfills()) == 1
    else:
        assert rig.buckets() == {"declared": 10, "covered": 10}
        assert len(rig.sandbox.backfills()) == (1 if when == "before we look" else 2)


def test_what_was_known_of_a_shell_is_committed_before_it_is_cancelled(failed: Rig) -> None:
    (shell,) = failed.document().backfills
    seen = []

    def look(inner: Any, request: Any, timeout: float) -> Response:
        document = failed.document()
        (intent,) = [one for one in document.intents.values() if one.pending]
        assert (intent.kind, intent.backfill_id) == (IntentKind.CANCEL, shell)
        seen.append(document.backfills[shell].evidence)
        return inner.send(request, read_timeout=timeout)  # type: ignore[no-any-return]

    failed.apply(look, wanted=cancels)
    (evidence,) = seen
    assert (len(evidence.loaded), len(evidence.failed)) == (9, 1)


def test_a_killed_cancel_is_given_up_by_the_next_run_and_sent_again(failed: Rig) -> None:
    with pytest.raises(Killed):
        failed.apply(killed(after=True), wanted=cancels)
    assert len(failed.pending()) == 1
    settle_and_finish(failed)
    failed.later(DAY)
    assert failed.buckets() == {"declared": 10, "covered": 10}
    assert len(failed.sandbox.backfills()) == 2


# -- prune -----------------------------------------------------------------------------------------

PRUNING = ONE.replace("version: 1\n", "version: 1\nprune: true\n")
ELSEWHERE = PRUNING.replace("2024-05-01..2024-05-10", "2024-03-01..2024-03-10")


@pytest.fixture
def undeclared(tmp_path: Path) -> Rig:
    """A rig with an active backfill of ours that covers no declared day any more."""
    rig = Rig(tmp_path, PRUNING, settings={"seconds_per_run": HOUR})
    assert rig.apply().exit == 0
    rig.declare(ELSEWHERE)
    assert actions_text(rig.plan()) == ["- a 2024-05-01..2024-05-10", "+ a 2024-03-01..2024-03-10"]
    return rig


def test_prune_cancels_and_counts(undeclared: Rig) -> None:
    applied = undeclared.apply()
    assert applied.exit == 0
    assert (applied.report.cancelled, applied.report.created) == (1, 1)
    assert len(applied.of(Cancelled)) == 1
    undeclared.once(1, "2024-03-01..2024-03-10")
    assert undeclared.plan().plan.actions == ()


def test_without_prune_it_is_left_alone(undeclared: Rig) -> None:
    undeclared.declare(ELSEWHERE.replace("prune: true\n", ""))
    assert actions_text(undeclared.plan()) == ["+ a 2024-03-01..2024-03-10"]


def test_prune_leaves_what_others_made(undeclared: Rig) -> None:
    undeclared.foreign(1, "2024-01-01", "2024-01-05")
    assert len([one for one in actions_text(undeclared.plan()) if one.startswith("- ")]) == 1


def test_prune_of_what_completed_meanwhile(undeclared: Rig) -> None:
    applied = undeclared.apply(between=lambda: undeclared.later(11 * HOUR))
    assert (applied.exit, applied.report.cancelled, applied.report.created) == (3, 0, 1)
    assert len(applied.of(Withdrawn)) == 1
    assert undeclared.apply().exit == 0
    assert {one["status"] for one in undeclared.sandbox.backfills()} == {"COMPLETED", "CREATED"}


@pytest.mark.parametrize("after", [False, True])
def test_prune_whose_answer_is_lost(after: bool, undeclared: Rig) -> None:
    applied = undeclared.apply(lost(after=after), wanted=cancels)
    assert applied.exit == 0
    assert applied.report.cancelled == 1
    undeclared.once(1, "2024-03-01..2024-03-10")


def test_days_of_a_cancelled_backfill_wait_for_its_running_runs(tmp_path: Path) -> None:
    """Cancelled by hand while a run went on: an hour of settling, then what it loaded is known."""
    rig = Rig(tmp_path)
    rig.apply()
    rig.later(5 * MINUTE)
    (ours,) = rig.document().backfills
    rig.people.cancel(ours)
    assert rig.buckets() == {"declared": 10, "covered": 4, "waiting": 6}
    assert rig.apply().sent == []
    rig.later(61 * MINUTE)
    assert rig.apply().exit == 0
    rig.later(DAY)
    assert rig.buckets() == {"declared": 10, "covered": 10}
