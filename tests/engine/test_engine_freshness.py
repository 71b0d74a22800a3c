"""What a transfer's plan was read from: the newest backfill it knows, and what a new look shows besides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.engine.effects import Probe, Reading
from reconciler.engine.freshness import Freshness
from reconciler.model.desired import Address
from reconciler.model.memory import BackfillRecord, Document, Origin
from reconciler.model.observed import Backfill, Cause, Observed, Run, RunStatus, Status, Unreadable
from reconciler.planning.plan import Action, ActionKind

NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
SETTLE = timedelta(minutes=15)


def backfill(number: int, minutes: float, transfer_id: int = 1, **changes: object) -> Backfill:
    """Return one that was made so many minutes ago."""
    created = NOW - timedelta(minutes=minutes)
    made = Backfill(number, transfer_id, 100, 101, Status.COMPLETED, created)
    return replace(made, **changes)  # type: ignore[arg-type]


def action(start: int = 100, end: int = 110, cancels: tuple[int, ...] = ()) -> Action:
    kind = ActionKind.RETRY if cancels else ActionKind.CREATE
    return Action(kind, Address(12345, 1), "a", start, end, cancels=cancels)


def document(*records: Backfill, ours: bool = True) -> Document:
    origin = Origin.CREATED if ours else Origin.OBSERVED
    return Document(12345, "sandbox", backfills={one.id: BackfillRecord(one, "a", origin) for one in records})


def reading(
    latest: Backfill | None = None, *listed: Backfill, runs: Iterable[Run] = (), **more: object
) -> Reading:
    shown = Reading(NOW, 100.0, listed, {1: latest}, {1: tuple(runs)})
    return replace(shown, **more)  # type: ignore[arg-type]


def fresh(
    latest: Backfill | None = None,
    known: Document | None = None,
    runs: Iterable[Run] = (),
    sources: tuple[int, ...] = (1,),
    listed: tuple[Backfill, ...] = (),
) -> Freshness:
    """Return the reading of a plan, begun at 0.0, of a document with these records."""
    shown = {**dict.fromkeys(sources), 1: latest}
    observed = Observed(NOW, listed=listed, latest=shown, runs={1: tuple(runs)})
    records = tuple(known.backfills.values()) if known else ()
    return Freshness.of(observed, sources, 0.0, records, SETTLE)


def newest_of(freshness: Freshness) -> int | None:
    return freshness.newest.id if freshness.newest else None


def run(number: int, day: int, status: RunStatus = RunStatus.COMPLETED) -> Run:
    return Run(number, day, status, status.value, False, NOW)


# -- what is known before ours ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "latest, known, newest",
    [
        (None, [], None),
        (backfill(5, 60), [], 5),
        (None, [backfill(7, 14)], 7),  # `latest` lags
        (backfill(5, 60), [backfill(7, 14)], 7),
        (backfill(9, 1), [backfill(7, 14)], 9),
        (backfill(5, 60), [backfill(7, 14), backfill(6, 14)], 7),
        (backfill(5, 60), [backfill(7, 15)], 5),  # it would show it by now
        (None, [backfill(7, 15)], None),  # it is kept no longer
        (None, [backfill(7, 14, transfer_id=3)], None),  # a predecessor's
    ],
)
def test_the_newest_before_ours(latest: Backfill | None, known: list[Backfill], newest: int | None) -> None:
    assert newest_of(fresh(latest, document(*known), sources=(1, 3))) == newest


def test_a_predecessors_is_not_the_newest_of_our_own() -> None:
    freshness = fresh(sources=(1, 3))
    freshness.again(replace(reading(), latest={1: None, 3: backfill(4, 0, 3)}), 1.0)
    assert newest_of(freshness) is None


@pytest.mark.parametrize(
    "shown, newest",
    [
        (None, 5),
        (backfill(5, 60), 5),
        (backfill(4, 90), 5),  # a read that lags
        (backfill(9, 1), 9),
    ],
)
def test_a_newer_one_is_what_the_next_create_comes_after(shown: Backfill | None, newest: int) -> None:
    freshness = fresh(backfill(5, 60))
    freshness.again(reading(shown), 100.0)
    assert newest_of(freshness) == newest


def test_our_own_last_one_stays_the_newest_while_latest_lags() -> None:
    """Two within one second are told apart by their ids."""
    freshness = fresh(backfill(5, 60))
    freshness.made(7, backfill(7, 1).created_time)
    for shown in (backfill(5, 60), backfill(6, 1)):
        freshness.again(reading(shown), 100.0)
        assert newest_of(freshness) == 7


@pytest.mark.parametrize(
    "latest, seconds, wait",
    [
        (None, 0.0, 0.0),
        (backfill(5, 60), 0.0, 0.0),
        (backfill(5, 0), 0.0, 1.0),
        (backfill(5, 0), 0.4, 0.6),
        (backfill(5, 0), 1.0, 0.0),
        (backfill(5, -0.4 / 60), 0.5, 0.5),  # whole seconds
        (backfill(5, -10), 0.0, 1.0),  # a clock that differs: it was made by now
    ],
)
def test_blind_the_next_create_is_a_second_after_the_newest(
    latest: Backfill | None, seconds: float, wait: float
) -> None:
    blind = Freshness.of(Observed(NOW, latest={1: latest}), (1,), 0.0, (), SETTLE)
    assert blind.keep_apart(seconds) == pytest.approx(wait)
    assert fresh(latest, runs=[run(1, 100)]).keep_apart(seconds) == 0.0


# -- how fresh --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds, is_fresh", [(0, True), (60, True), (60.1, False)])
def test_how_long_it_is_fresh(seconds: float, is_fresh: bool) -> None:
    freshness = Freshness((1,), None, 1000.0, 1003.0, NOW)
    assert freshness.is_fresh(1000.0 + seconds) is is_fresh
    freshness.doubt()
    assert not freshness.is_fresh(1000.0)


def test_the_vendor_s_clock_is_carried_on_by_ours() -> None:
    """From when its answer came: reading may have begun long before."""
    freshness = Freshness((1,), None, 1000.0, 1003.0, NOW)
    freshness.doubt()
    assert freshness.vendor_now(1033.0) == NOW + timedelta(seconds=30)
    later = NOW + timedelta(minutes=7)
    freshness.again(reading(vendor_now=later, answered=1102.0), 1100.0)
    assert freshness.is_fresh(1100.0)
    assert freshness.vendor_now(1105.0) == later + timedelta(seconds=3)


def test_what_is_read_again_is_what_bears_on_the_actions_left() -> None:
    observed = Observed(NOW, latest={1: None, 3: None}, runs={1: (), 3: Unreadable(Cause.FAILED)})
    freshness = Freshness.of(observed, (1, 3), 0.0, (), SETTLE)
    left = (action(120, 130, cancels=(8,)), action(105, 110), action(90, 95, cancels=(8, 9)))
    assert freshness.probe(left) == Probe((1, 3), (1,), 90, (8, 9), needed=True)
    prune = replace(left[0], kind=ActionKind.CANCEL)
    assert freshness.probe([prune]) == Probe((1, 3), (), 0, (8,), needed=True)


# -- what is news -----------------------------------------------------------------------------------

ACTIVE = {"start": 104, "end": 106, "status": Status.RUNNING}
ENDED = ACTIVE | {"status": Status.FAILED, "total": 2}


@pytest.mark.parametrize(
    "seen, news",
    [
        (reading(), ""),
        (reading(backfill(5, 60)), ""),  # as before, though on its days
        (reading(backfill(9, 1)), "backfill 9 is on some of its days"),
        (reading(backfill(9, 1, start=110, end=120)), ""),  # half-open
        (reading(None, backfill(9, 1, **ACTIVE)), "backfill 9 is on some of its days"),
        (reading(None, backfill(9, 1, transfer_id=2, **ACTIVE)), ""),
        (reading(None, backfill(6, 1, **ACTIVE)), "backfill 6 is on some of its days"),  # it runs again
        (reading(None, backfill(6, 30, **ENDED, failed=2)), ""),
        (reading(None, backfill(6, 30, **ENDED, failed=1)), "backfill 6 is on some of its days"),  # it ran
        (reading(None, backfill(7, 1, **ACTIVE)), ""),  # a list that lags: the plan knew its end
        (reading(runs=[run(1, 100)]), ""),
        (reading(runs=[run(1, 100, RunStatus.FAILED)]), "transfer 1 ran on some of its days"),
        (reading(runs=[run(2, 109)]), "transfer 1 ran on some of its days"),
        (reading(runs=[run(2, 109, RunStatus.OTHER)]), "transfer 1 ran on some of its days"),
        (reading(runs=[run(2, 110)]), ""),
    ],
)
def test_what_a_new_look_shows_on_the_days_of_an_action(seen: Reading, news: str) -> None:
    failed = backfill(6, 30, **ENDED, failed=2)
    known = document(failed, backfill(7, 30, start=104, end=106))
    freshness = fresh(backfill(5, 60), known, [run(1, 100)])
    assert freshness.news(action(), known) == ""
    freshness.again(seen, 100.0)
    assert freshness.news(action(), known) == news
    assert freshness.news(action(200, 210), known) == ""


@pytest.mark.parametrize(
    "seen, now_known, news",
    [
        (None, {}, ""),  # not read again
        (reading(None, backfill(6, 30, **ENDED, failed=2)), {}, ""),
        (reading(), {}, "backfill 6, on some of its days, left the list"),
        (reading(shells={6: backfill(6, 30, **ENDED, failed=2)}), {}, ""),
        (reading(), {"status": Status.CANCELLED}, ""),  # by us, as it was planned
        (
            reading(),
            {"status": Status.CANCELLED, "failed": 1},
            "backfill 6, on some of its days, left the list",
        ),
        (reading(), {"status": Status.COMPLETED}, "backfill 6, on some of its days, left the list"),
    ],
)
def test_what_left_the_list_may_have_run_again(
    seen: Reading | None, now_known: dict[str, object], news: str
) -> None:
    failed = backfill(6, 30, **ENDED, failed=2)
    freshness = fresh(None, document(failed), listed=(failed, backfill(9, 30, transfer_id=2)))
    if seen is not None:
        freshness.again(seen, 100.0)
    known = document(replace(failed, **now_known))  # type: ignore[arg-type]
    assert freshness.news(action(), known) == news
    assert freshness.news(action(106, 110), known) == ""


def test_news_on_a_predecessor_is_news() -> None:
    freshness = fresh(sources=(1, 3))
    freshness.again(replace(reading(), latest={1: None, 3: backfill(10, 1, 3)}), 100.0)
    assert freshness.news(action(), document()) == "backfill 10 is on some of its days"


def test_what_we_made_ourselves_is_no_news() -> None:
    freshness, ours = fresh(), backfill(9, 1)
    freshness.made(9, ours.created_time)
    freshness.again(reading(ours), 100.0)
    assert freshness.news(action(), document()) == ""


FAILED = {"start": 100, "end": 110, "status": Status.FAILED, "total": 10, "completed": 8, "failed": 2}


@pytest.mark.parametrize(
    "changes, news",
    [
        ({}, False),
        ({"status": Status.CANCELLED, "completed": 9}, True),
        ({"status": Status.RUNNING}, True),
        ({"completed": 9}, True),
        ({"failed": 1}, True),
        ({"total": 11}, True),
    ],
)
@pytest.mark.parametrize("shown_by", ["get", "list", "another run"])
def test_a_shell_that_went_on_is_news_for_what_cancels_it(
    shown_by: str, changes: dict[str, object], news: bool
) -> None:
    shell = backfill(8, 60, **FAILED)
    view = replace(shell, **changes)  # type: ignore[arg-type]
    known, retry = document(shell), action(102, 104, cancels=(8,))
    freshness = fresh(shell, known)
    if shown_by == "another run":
        known = document(view)
    else:
        seen = reading(shell, shells={8: view}) if shown_by == "get" else reading(None, view)
        freshness.again(seen, 100.0)
    assert bool(freshness.news(retry, known)) is news


@pytest.mark.parametrize(
    "changes, news",
    [({"completed": 4}, False), ({"status": Status.CANCELLED}, True), ({"status": Status.COMPLETED}, True)],
)
def test_of_an_active_one_that_is_cancelled_only_its_end_is_news(
    changes: dict[str, object], news: bool
) -> None:
    running = backfill(8, 60, **FAILED | {"status": Status.RUNNING})
    known, prune = document(running), replace(action(100, 110, cancels=(8,)), kind=ActionKind.CANCEL)
    freshness = fresh(running, known)
    view = replace(running, **changes)  # type: ignore[arg-type]
    freshness.again(reading(running, shells={8: view}), 100.0)
    assert bool(freshness.news(prune, known)) is news


@pytest.mark.parametrize("known_by", ["a new look", "the state"])
def test_a_shell_that_was_cancelled_is_news_unless_by_us(known_by: str) -> None:
    shell = backfill(8, 60, **FAILED)
    cancelled, retry = replace(shell, status=Status.CANCELLED), action(102, 104, cancels=(8,))
    freshness = fresh(shell, document(shell))
    if known_by == "a new look":
        freshness.again(reading(shell, shells={8: cancelled}), 100.0)
        assert freshness.news(retry, document(shell)) == "backfill 8 went on meanwhile"
    freshness.again(reading(shell, shells={8: cancelled}), 200.0)
    assert freshness.news(retry, document(cancelled)) == ""


def test_a_shell_that_is_not_shown_any_more_is_no_news() -> None:
    known = document(shell := backfill(8, 60, **FAILED))
    freshness = fresh(shell, known)
    freshness.again(reading(None, shells={8: None}), 100.0)
    assert freshness.news(action(102, 104, cancels=(8,)), known) == ""


def test_a_shell_that_runs_again_is_news_though_a_get_lags() -> None:
    known = document(shell := backfill(8, 60, **FAILED))
    freshness = fresh(shell, known)
    freshness.again(reading(shell, replace(shell, status=Status.RUNNING), shells={8: shell}), 100.0)
    assert freshness.news(action(102, 104, cancels=(8,)), known)
