"""Rules that the simulation led to, each on a small case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import DateSet
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Document, Intent, IntentKind, Outcome
from reconciler.model.observed import Backfill, Cause, Observed, Status, Unreadable
from reconciler.planning.resolution import reopened_creates, resolve

NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
REFUSED = Intent(
    nonce="a",
    kind=IntentKind.CREATE,
    transfer_id=7,
    transfer="t",
    start=100,
    end=110,
    intended_at=NOW - 2 * DAY,
    send_before=NOW - 2 * DAY,
    latest_before=1,
    outcome=Outcome.REFUSED,
)


def backfill(number: int) -> Backfill:
    return Backfill(number, 7, 300, 301, Status.COMPLETED, NOW - DAY)


Due = tuple[tuple[tuple[int, ...], DateSet], ...]
OTHER = Observed(NOW, latest={7: backfill(2)})
DUE = (((7,), DateSet.span(105, 106)),)


def doubts(intent: Intent, observed: Observed, due: Due = DUE, *more: Intent) -> tuple[Intent, ...]:
    document = Document(1, "api", intents={one.nonce: one for one in (intent, *more)})
    return reopened_creates(document, observed, due, NOW)


def test_a_refusal_that_nothing_can_confirm_is_unresolved_again() -> None:
    assert doubts(REFUSED, OTHER) == (replace(REFUSED, outcome=Outcome.PENDING),)
    assert doubts(REFUSED, Observed(NOW)) == (replace(REFUSED, outcome=Outcome.PENDING),)
    assert doubts(REFUSED, replace(OTHER, runs={7: Unreadable(Cause.FORBIDDEN)}))


@pytest.mark.parametrize(
    "intent, observed, due",
    [
        (replace(REFUSED, outcome=Outcome.ABANDONED), OTHER, DUE),
        (REFUSED, OTHER, ()),  # nothing would be created on its days
        (REFUSED, Observed(NOW, latest={7: backfill(1)}), DUE),  # nothing was made since
        (replace(REFUSED, latest_before=None), Observed(NOW, latest={7: None}), DUE),
        (REFUSED, replace(OTHER, runs={7: ()}), DUE),  # the run list would show what it loaded
    ],
)
def test_a_refusal_that_is_told_or_of_no_matter_is_believed(
    intent: Intent, observed: Observed, due: Due
) -> None:
    assert doubts(intent, observed, due) == ()


def test_a_refusal_whose_days_were_taken_up_since_is_believed() -> None:
    later = replace(REFUSED, nonce="b", outcome=Outcome.DONE, intended_at=NOW - DAY)
    assert doubts(REFUSED, OTHER, DUE, later) == ()
    assert doubts(REFUSED, OTHER, DUE, replace(later, transfer_id=8))
    assert doubts(REFUSED, OTHER, DUE, replace(later, kind=IntentKind.CANCEL))
    assert doubts(REFUSED, OTHER, DUE, replace(later, start=110, end=111))


def test_a_cancel_is_given_up_only_when_its_sender_has_given_up() -> None:
    cancel = replace(
        REFUSED, kind=IntentKind.CANCEL, backfill_id=5, outcome=Outcome.PENDING, send_before=NOW + DAY
    )
    document = Document(1, "api", intents={"a": cancel})
    early = resolve(document, Observed(NOW), NOW, DEFAULT_SETTLE, OnUnknown.SETTLE)
    late = resolve(document, Observed(NOW), NOW + DAY, DEFAULT_SETTLE, OnUnknown.SETTLE)
    assert not early.delta
    assert [one.outcome for one in late.delta.intents] == [Outcome.ABANDONED]
