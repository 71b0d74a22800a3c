"""What a transfer's plan was read from: the newest backfill it knows, and whether anything came since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.engine.effects import ProbeResult
from reconciler.engine.freshness import Freshness
from reconciler.model.memory import BackfillRecord, Origin
from reconciler.model.observed import Backfill, Observed, Status

NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
SETTLE = timedelta(minutes=15)


def backfill(number: int, minutes: float, transfer_id: int = 1) -> Backfill:
    """Return one that was made so many minutes ago."""
    created = NOW - timedelta(minutes=minutes)
    return Backfill(number, transfer_id, 100, 101, Status.COMPLETED, created)


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
    ],
)
def test_the_newest_before_ours(latest: Backfill | None, known: list[Backfill], newest: int | None) -> None:
    records = [BackfillRecord(one, "a", Origin.CREATED) for one in known]
    freshness = Freshness.of(Observed(NOW, latest={1: latest}), (1,), NOW, records, SETTLE)
    assert freshness.latest == newest


def test_a_predecessors_is_not_the_newest_of_our_own() -> None:
    freshness = Freshness.of(Observed(NOW, latest={5: None, 1: backfill(3, 1)}), (5, 1), NOW, [], SETTLE)
    assert freshness.latest is None
    assert freshness.again(ProbeResult((), None, (backfill(3, 1),)), NOW, set()) is None


@pytest.mark.parametrize("seconds, fresh", [(-1, False), (0, True), (60, True), (61, False)])
def test_how_long_it_is_fresh(seconds: float, fresh: bool) -> None:
    freshness = Freshness((1,), None, NOW)
    assert freshness.is_fresh(NOW + timedelta(seconds=seconds)) is fresh
    freshness.doubt()
    assert not freshness.is_fresh(NOW)


@pytest.mark.parametrize(
    "latest, predecessors, news",
    [
        (None, (), None),
        (backfill(5, 1), (), None),  # as before
        (backfill(6, 1), (), None),  # our own
        (backfill(8, 1), (), None),  # another run's: the state knows it
        (backfill(9, 1), (), 9),
        (backfill(5, 1), (None, backfill(10, 1, 2)), 10),
    ],
)
def test_what_came_since(
    latest: Backfill | None, predecessors: tuple[Backfill | None, ...], news: int | None
) -> None:
    sources = (1, *range(2, 2 + len(predecessors)))
    freshness = Freshness.of(Observed(NOW, latest={1: backfill(5, 60)}), sources, NOW, [], SETTLE)
    freshness.made(6)
    later = NOW + timedelta(hours=1)
    found = freshness.again(ProbeResult((), latest, predecessors), later, {8})
    assert (found.id if found else None) == news
    assert freshness.is_fresh(later)
