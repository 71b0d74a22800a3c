"""What mutation testing found untested: each test here notices a change that no other one did."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults_rig import TEAM, Rig, served

from reconciler.cli.loading import parse_range
from reconciler.dates import iso, parse_iso
from reconciler.engine.by_hand import as_created, as_not_created, find_intent
from reconciler.errors import Refused, UsageError
from reconciler.events import Withdrawn, WriteRefused
from reconciler.http import WsgiTransport
from reconciler.model.memory import Document, Intent, IntentKind, Origin, Outcome
from reconciler.planning.intents import unresolved

NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
START, END = parse_iso("2024-05-01"), parse_iso("2024-05-11")
INTENT = Intent(
    nonce="n1",
    kind=IntentKind.CREATE,
    transfer_id=1,
    transfer="ads",
    start=START,
    end=END,
    intended_at=NOW,
    send_before=NOW + timedelta(seconds=60),
    stale_before=NOW - timedelta(days=1),
)
ONE = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads: {{transfer_id: 1, ranges: [2024-05-01..2024-05-10]}}
"""


def document(*intents: Intent) -> Document:
    return Document(team_id=TEAM, api_url="sandbox", intents={one.nonce: one for one in intents})


# --- settling by hand -----------------------------------------------------------------------------


def test_ranges_by_hand() -> None:
    assert parse_range("2024-05-01..2024-05-10", END) == (START, END)
    assert parse_range("2024-05-01", END) == (START, START + 1)
    assert parse_range("2024-05-01 .. 2024-05-01", END) == (START, START + 1)
    assert parse_range("2024-05-01..yesterday", END) == (START, END)
    assert parse_range("2024-05", END) == (START, START + 31)


@pytest.mark.parametrize(
    "text",
    ["2024-05-02..2024-05-01", "2024-05-01..", "..", "", "a..b", "2024-05-01...2024-05-02", "today..2024-05"],
)
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_range(text, END + 99)


def test_unresolved_ones_are_pending_creates_oldest_first() -> None:
    older = replace(INTENT, nonce="n9", intended_at=NOW - timedelta(hours=1), start=START + 1)
    twin = replace(INTENT, nonce="n0")
    cancel = replace(INTENT, nonce="n2", kind=IntentKind.CANCEL, backfill_id=5)
    settled = [replace(INTENT, nonce=one.value, outcome=one) for one in Outcome if one is not Outcome.PENDING]
    assert unresolved(document(INTENT, cancel, older, twin, *settled)) == (older, twin, INTENT)


def test_an_intent_is_found_by_its_transfer_and_exact_range() -> None:
    other = replace(INTENT, nonce="n2", transfer_id=2)
    assert find_intent(document(other, INTENT), 1, START, END) == INTENT
    for wrong in ((3, START, END), (1, START + 1, END), (1, START, END - 1)):
        with pytest.raises(Refused, match="no such unresolved create") as refused:
            find_intent(document(other, INTENT), *wrong)
        assert "ads 2024-05-01..2024-05-10" in refused.value.detail
    with pytest.raises(Refused) as refused:
        find_intent(document(), 1, START, END)
    assert refused.value.detail == "Nothing is unresolved."


def people_make(rig: Rig, first: str, last: str, transfer_id: int = 1) -> int:
    """Let somebody create a backfill by hand; return its id."""
    people = rig.client(WsgiTransport(rig.sandbox.app, key="people"))
    people.create(transfer_id, parse_iso(first), parse_iso(last) + 1, set())
    return max(int(one["transfer_backfill_id"]) for one in rig.control("backfills"))


def test_as_created_adopts_the_backfill_that_fits(tmp_path: Path) -> None:
    with served(tmp_path) as rig:
        client = rig.client(rig.transport)
        made = people_make(rig, "2024-05-01", "2024-05-10")
        other = people_make(rig, "2024-04-01", "2024-04-10")
        delta = as_created(INTENT, made, document(INTENT), client)
        assert delta.intents == (replace(INTENT, outcome=Outcome.DONE, backfill_id=made),)
        (record,) = delta.backfills
        assert (record.id, record.origin, record.stale_before) == (made, Origin.ADOPTED, INTENT.stale_before)
        known = replace(document(INTENT), backfills={made: record})
        with pytest.raises(Refused, match="already known"):
            as_created(INTENT, made, known, client)
        seen = replace(known, backfills={made: replace(record, origin=Origin.OBSERVED)})
        assert as_created(INTENT, made, seen, client) == delta
        with pytest.raises(Refused, match="does not match"):  # a mistyped id: it has none of the days
            as_created(INTENT, other, document(INTENT), client)
        with pytest.raises(Refused, match="does not match"):
            as_created(replace(INTENT, transfer_id=2), made, document(INTENT), client)
        with pytest.raises(Refused, match="does not match"):
            as_created(replace(INTENT, vendor_at=NOW - timedelta(days=1)), made, document(INTENT), client)
        with pytest.raises(Refused, match="no such backfill"):
            as_created(INTENT, 999, document(INTENT), client)


def test_as_not_created_gives_up() -> None:
    delta = as_not_created(INTENT)
    assert delta.intents == (replace(INTENT, outcome=Outcome.ABANDONED),)
    assert not delta.backfills


# --- what stands in the way of a create -----------------------------------------------------------


def refused(rig: Rig) -> list[WriteRefused | Withdrawn]:
    """Apply while the API refuses creates; return what is told of it."""
    rig.declare(ONE)
    rig.events.clear()
    with rig.faulty("status-422-before@create"):
        rig.apply()
    return [one for one in rig.events if isinstance(one, WriteRefused | Withdrawn)]


def test_a_backfill_on_other_days_is_no_blocker(tmp_path: Path) -> None:
    with served(tmp_path) as rig:
        people_make(rig, "2024-04-20", "2024-04-30")
        people_make(rig, "2024-05-11", "2024-05-12")
        people_make(rig, "2024-05-01", "2024-05-10", transfer_id=2)
        (told,) = refused(rig)
        assert isinstance(told, WriteRefused)
        assert told.blocker is None


# --- which stale_before a create is made under ----------------------------------------------------


def test_a_neighbouring_range_lends_no_stale_before(tmp_path: Path) -> None:
    text = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads:
    transfer_id: 1
    chunk: month
    ranges:
      - {{start: 2024-03-01, end: 2024-03-31, stale_before: 2024-05-20}}
      - {{start: 2024-04-01, end: 2024-04-30, stale_before: 2024-05-10}}
      - {{start: 2024-05-01, end: 2024-05-31, stale_before: 2024-05-30}}
"""
    with served(tmp_path) as rig:
        rig.declare(text)
        actions = rig.run().plan().plan.actions
        under = {iso(one.start): one.stale_before for one in actions}
        days = {"2024-03-01": 20, "2024-04-01": 10, "2024-05-01": 30}
        assert under == {start: datetime(2024, 5, day, tzinfo=UTC) for start, day in days.items()}
