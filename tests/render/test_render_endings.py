"""The end of an apply, and doubts: what is alike is told once, with a count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.dates import parse_iso
from reconciler.events import Conclusion, UnknownOutcome, WriteRefused
from reconciler.model.desired import Address
from reconciler.model.memory import Intent, IntentKind
from reconciler.model.observed import ApiError
from reconciler.planning.plan import Action, ActionKind
from reconciler.render.doubts import Doubt, resolve_text
from reconciler.render.endings import ending_text

NOW = datetime(2026, 11, 28, 8, 18, 22, tzinfo=UTC)
FIRST = parse_iso("2024-05-01")
SAID = ApiError(422, "TOO_SHORT", "Not so", "R-1", "At least 30 days.")
TOTALS = dict.fromkeys(
    ("created", "retried", "cancelled", "adopted", "refused", "withdrawn", "unknown", "days"), 0
)


def refused(transfer_id: int, first: int = 0) -> WriteRefused:
    span = (FIRST + first, FIRST + first + 10)
    action = Action(ActionKind.CREATE, Address(5, transfer_id), f"t{transfer_id}", *span)
    error = replace(SAID, request_id=f"R-{transfer_id}")
    return WriteRefused(action, error, until=NOW + timedelta(hours=20))


def doubt(transfer_id: int, answer: ApiError | None = None, team_id: int = 0) -> Doubt:
    times = {"intended_at": NOW, "send_before": NOW}
    named = {"nonce": str(transfer_id), "transfer_id": transfer_id, "transfer": f"t{transfer_id}"}
    days = {"start": FIRST, "end": FIRST + 10, "latest_before": None, "stale_before": None}
    intent = Intent(kind=IntentKind.CREATE, answer=answer, **named, **days, **times)
    return Doubt(intent, NOW + timedelta(minutes=15), team_id)


def ending(*outcomes: WriteRefused, doubts: tuple[UnknownOutcome, ...] = ()) -> str:
    totals = TOTALS | {"refused": len(outcomes)}
    return ending_text(Conclusion(3, totals, outcomes, doubts), "apply")


def test_refusals_that_are_alike_are_one_row() -> None:
    told = ending(*map(refused, range(41)))
    assert told.count("refused  ") == 1
    assert (
        "  refused    41 backfills, 410 days: 422 TOO_SHORT: Not so: At least 30 days;\n"
        "             again from 2026-11-29 04:19 UTC, or once mended, by a retry\n"
    ) in told
    assert "at once (the first 3 of 41):\n" in told
    assert told.count("reconciler retry") == 3


def test_a_retry_of_several_ranges_names_them() -> None:
    told = ending(refused(1), refused(1, 20), refused(1, 30))
    assert [line.strip() for line in told.splitlines() if "retry t1" in line] == [
        "reconciler retry t1 2024-05-01..2024-05-10",
        "reconciler retry t1 2024-05-21..2024-06-09",
    ]
    assert "      reconciler retry t1\n" in ending(*(refused(1, 20 * number) for number in range(11))) + "\n"


def test_unknown_creates_are_told_with_what_was_answered() -> None:
    busy = ApiError(503, "BUSY", request_id="R-1")
    doubts = [UnknownOutcome(doubt(number).intent, None, busy) for number in range(4)]
    told = " ".join(ending(doubts=(*doubts, replace(doubts[0], error=None))).split())
    assert "unknown 5 creates, 50 days: 4 answered 503 BUSY, 1 unanswered; not sent again until it is" in told
    assert "reconciler resolve" in told


def test_doubts_that_are_alike_are_one_question() -> None:
    busy = ApiError(503, "BUSY")
    told = resolve_text(
        [*(doubt(number, replace(busy, request_id=f"R-{number}")) for number in (1, 20)), doubt(3)], NOW
    )
    assert told == (
        "Were these 2 backfills created (each answered 503 BUSY)?\n"
        "   1  t1 2024-05-01..2024-05-10\n"
        "  20  t20 2024-05-01..2024-05-10\n"
        "Look at the vendor's pages of their transfers. Then for each either of, here for the first:\n"
        "  reconciler resolve t1 2024-05-01..2024-05-10 --as not-created\n"
        "  reconciler resolve t1 2024-05-01..2024-05-10 --as created:ID\n"
        "(ID: the backfill's number), or wait: an apply after 2026-11-28 08:34 UTC (in 15 min) settles "
        "them.\n"
        "\n"
        "Was t3 2024-05-01..2024-05-10 created (no answer is known)? Look at the vendor's page of transfer "
        "3. Then either of:\n"
        "  reconciler resolve t3 2024-05-01..2024-05-10 --as not-created\n"
        "  reconciler resolve t3 2024-05-01..2024-05-10 --as created:ID\n"
        "(ID: the backfill's number), or wait: an apply after 2026-11-28 08:34 UTC (in 15 min) settles it."
    )


def test_a_name_that_two_teams_have_is_told_with_its_team_and_settled_by_its_id() -> None:
    told = resolve_text([doubt(7, team_id=12)], NOW)
    assert told.startswith("Was t7 of team 12 2024-05-01..2024-05-10 created")
    assert "\n  reconciler resolve 7 2024-05-01..2024-05-10 --as not-created\n" in told
