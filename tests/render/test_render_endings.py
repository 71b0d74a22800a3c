"""The end of an apply, and doubts: what is alike is told once, with a count."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.dates import parse_iso
from reconciler.events import Conclusion, TurnedAway, UnknownOutcome, Withdrawn, WriteRefused
from reconciler.formats.messages import left_json
from reconciler.model.desired import Address
from reconciler.model.memory import Intent, IntentKind
from reconciler.model.observed import ApiError
from reconciler.planning.ledger import Bucket, Reason
from reconciler.planning.plan import Action, ActionKind, Item
from reconciler.render.doubts import Doubt, resolve_text
from reconciler.render.endings import ending_text
from reconciler.render.progress import Columns, withdrawn_lines

NOW = datetime(2026, 11, 28, 8, 18, 22, tzinfo=UTC)
FIRST = parse_iso("2024-05-01")
SAID = ApiError(422, "TOO_SHORT", "Not so", "R-1", "At least 30 days.")
HELD = st.sampled_from([Bucket.BLOCKED, Bucket.FAILED])
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


def outcomes() -> st.SearchStrategy[WriteRefused]:
    made = st.builds(refused, st.integers(1, 3), st.integers(0, 40))
    return st.builds(
        lambda one, blocker, error, hand: replace(one, blocker=blocker, error=error, by_hand=hand),
        made,
        st.none() | st.just(9),
        st.none() | st.just(SAID),
        st.booleans(),
    )


def holes() -> st.SearchStrategy[Item]:
    where = (Address(5, 1), "t1", FIRST, FIRST + 10)
    return st.builds(lambda bucket, reason: Item(bucket, *where, reason.value), HELD, st.sampled_from(Reason))


@given(
    st.sampled_from([1, 3, 4, 7, 65, 69, 129, 143]),
    st.lists(outcomes(), max_size=2),
    st.lists(holes(), max_size=2),
    st.sets(st.sampled_from(["key-problem", "quota-used-up", "api-unavailable", "state-unwritable"])),
    st.booleans(),
)
def test_every_ending_has_a_next_command(
    status: int, refusals: list[WriteRefused], left: list[Item], causes: set[str], unplanned: bool
) -> None:
    totals = TOTALS | {"refused": len(refusals)}
    ended = Conclusion(
        status, totals, tuple(refusals), holes=tuple(left), unplanned=unplanned, causes=frozenset(causes)
    )
    told = ending_text(ended, "apply --parallelism 2")
    assert re.search(r"(?m)^  Next: .*:\n      reconciler \w+", told)


def test_what_was_answered_is_not_said_to_be_unsent() -> None:
    first, second = (refused(number).action for number in (1, 2))
    limit = ApiError(429, "TOO_MANY_REQUESTS", "Slow down", "R-1")
    ended = Conclusion(
        69,
        TOTALS,
        not_sent=(second,),
        causes=frozenset({"api-unavailable"}),
        turned_away=(TurnedAway(first, limit),),
        wait=timedelta(hours=2),
    )
    told = ending_text(ended, "apply")
    assert "  answered   1 backfill, 10 days: 429 TOO_MANY_REQUESTS; not done, still due\n" in told
    assert "  not sent   1 backfill, 10 days: still due" in told
    assert "  Next: run the same again in 2h:\n" in told
    line, unsent = left_json(ended, ())
    assert (line["type"], line["transfer"], line["answer"]["status"]) == ("turned-away", "t1", 429)
    assert (unsent["type"], unsent["transfer"], unsent["days"]) == ("not-sent", "t2", 10)


@pytest.mark.parametrize(
    ("status", "words"), [(69, "once it can be read,"), (65, "once the key is in order,")]
)
def test_where_a_team_could_not_be_read_nothing_has_to_be_fixed(status: int, words: str) -> None:
    told = ending_text(Conclusion(status, TOTALS, unplanned=True), "apply")
    assert f"  Next: {words} run the same again:\n" in told


def test_what_one_unknown_create_met_is_told_in_its_words() -> None:
    one = UnknownOutcome(doubt(1).intent, None, why="the connection broke before a whole answer")
    told = " ".join(ending_text(Conclusion(4, TOTALS, doubts=(one,)), "apply").split())
    assert (
        "the connection broke before a whole answer; not sent again until it is known whether it was" in told
    )


def test_what_only_a_person_settles_is_not_run_again() -> None:
    """Behind such a create its transfer waits; another goes on."""
    unknown = UnknownOutcome(doubt(1).intent, None, team_id=5)
    for behind, next_ in ((1, "look at the vendor's pages"), (2, "run the same again for what is left:")):
        withdrawn = Withdrawn(refused(behind, 20).action, "an earlier create is unknown")
        told = ending_text(Conclusion(4, TOTALS, (withdrawn,), (unknown,)), "apply")
        assert f"  Next: {next_}" in told
        assert "reconciler resolve t1" in told


def test_many_withdrawn_alike_are_one_counted_line() -> None:
    those = [Withdrawn(refused(number).action, "an earlier one is unknown") for number in range(16)]
    (told,) = withdrawn_lines([*those], Columns())
    assert told == (
        "    . 16 backfills, 160 days of t0, t1, t2 and 13 more: not done, an earlier one is unknown; "
        "the next apply plans them again"
    )
    other = Withdrawn(refused(1).action, "the state has changed")
    few = list(withdrawn_lines([*those[:3], other], Columns()))
    assert len(few) == 4, few
    assert few[3].endswith("not done, the state has changed; the next apply plans it again")


def test_a_run_that_a_signal_ended_with_all_done_is_not_to_be_made_again() -> None:
    told = ending_text(Conclusion(129, TOTALS | {"created": 2, "days": 9}), "apply")
    assert (
        "  Next: nothing of it is left to do; to see where the days stand:\n      reconciler status" in told
    )
    assert "reconciler apply" not in told


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
        "them, if the API tells.\n"
        "\n"
        "Was t3 2024-05-01..2024-05-10 created (no answer is known)? Look at the vendor's page of transfer "
        "3. Then either of:\n"
        "  reconciler resolve t3 2024-05-01..2024-05-10 --as not-created\n"
        "  reconciler resolve t3 2024-05-01..2024-05-10 --as created:ID\n"
        "(ID: the backfill's number), or wait: an apply after 2026-11-28 08:34 UTC (in 15 min) settles it, "
        "if the API tells."
    )


def test_a_name_that_two_teams_have_is_told_with_its_team_and_settled_by_its_id() -> None:
    told = resolve_text([doubt(7, team_id=12)], NOW)
    assert told.startswith("Was t7 of team 12 2024-05-01..2024-05-10 created")
    assert "\n  reconciler resolve 7 2024-05-01..2024-05-10 --as not-created\n" in told
