"""Rules that the simulation led to, each on a small case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Document, Intent, IntentKind, Outcome
from reconciler.model.observed import Observed
from reconciler.planning.resolution import Terms, resolve

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


def test_a_cancel_is_given_up_only_when_its_sender_has_given_up() -> None:
    cancel = replace(
        REFUSED, kind=IntentKind.CANCEL, backfill_id=5, outcome=Outcome.PENDING, send_before=NOW + DAY
    )
    document = Document(1, "api", intents={"a": cancel})
    early = resolve(document, Observed(NOW), Terms(NOW, DEFAULT_SETTLE, OnUnknown.SETTLE))
    late = resolve(document, Observed(NOW), Terms(NOW + DAY, DEFAULT_SETTLE, OnUnknown.SETTLE))
    assert not early.delta
    assert [one.outcome for one in late.delta.intents] == [Outcome.ABANDONED]
