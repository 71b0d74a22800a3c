"""The fewest creates, and what limits put off."""

from collections import Counter
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planning_values import (
    DAY,
    EVE,
    NOW,
    TODAY,
    actions,
    backfill,
    days,
    document,
    intent,
    observed,
    planned,
    put_off,
    record,
    segment,
    team,
    transfer,
)

from reconciler.dates import LAST_DAY, DateSet, Day, parse_iso
from reconciler.model.desired import Chunk, Limits, Order
from reconciler.model.memory import BackfillRecord, Intent, Origin
from reconciler.model.observed import Backfill
from reconciler.planning.ledger import Bucket
from reconciler.planning.planner import cut_due

LAW = settings.get_profile("planning-law")


# --- the least number of creates ----------------------------------------------------------


def period(day: Day, chunk: Chunk) -> object:
    when = date.fromordinal(day)
    match chunk:
        case Chunk.NONE:
            return "all"
        case Chunk.WEEK:
            return when.isocalendar()[:2]
        case Chunk.MONTH:
            return (when.year, when.month)
        case Chunk.QUARTER:
            return (when.year, (when.month + 2) // 3)
        case Chunk.YEAR:
            return when.year


def fewest(due: DateSet, chunk: Chunk, longest: int | None) -> int:
    """Try every way to part the due days into backfills, and return the number in the best."""
    ordered = tuple(sorted(due))

    @cache
    def best_from(first: int) -> int:
        if first == len(ordered):
            return 0
        best = len(ordered)
        for after in range(first + 1, len(ordered) + 1):
            last_day, length = ordered[after - 1], after - first
            if last_day - ordered[first] != length - 1 or period(last_day, chunk) != period(
                ordered[first], chunk
            ):
                break
            if longest is None or length <= longest:
                best = min(best, 1 + best_from(after))
        return best

    return best_from(0)


def stretches(origin: Day, lengths: bytes) -> DateSet:
    """Every other length is a gap."""
    found, at = [], origin
    for position, length in enumerate(lengths):
        if position % 2 == 0:
            found.append((at, at + length % 24))
        at += length % 24 if position % 2 == 0 else 1 + length % 5
    return DateSet.of(found) & DateSet.span(origin, LAST_DAY + 1)


ORIGINS = st.sampled_from(
    [parse_iso(text) for text in ("2023-12-13", "2024-02-20", "2024-06-25", "9999-12-01")]
)


@LAW
@given(
    st.builds(stretches, ORIGINS, st.binary(max_size=5)),
    st.sampled_from(Chunk),
    st.none() | st.integers(1, 9) | st.integers(10, 40),
)
@example(DateSet(), Chunk.MONTH, 1)
def test_no_way_to_cut_makes_fewer_creates(due: DateSet, chunk: Chunk, longest: int | None) -> None:
    pieces = cut_due(due, chunk, longest)
    assert len(pieces) == fewest(due, chunk, longest)
    assert DateSet.of(pieces) == due
    assert sum(end - start for start, end in pieces) == len(due)
    for start, end in pieces:
        assert period(start, chunk) == period(end - 1, chunk)
        assert end - start <= (longest or end - start)


@pytest.mark.parametrize(
    "chunk, longest, expected",
    [
        (Chunk.NONE, None, ["1-10 12-40"]),
        (Chunk.MONTH, None, ["1-10", "12-31", "32-40"]),
        (Chunk.WEEK, None, ["1-7", "8-10", "12-14", "15-21", "22-28", "29-35", "36-40"]),
        (Chunk.MONTH, 15, ["1-10", "12-26", "27-31", "32-40"]),  # counted from the start of each piece
        (Chunk.NONE, 20, ["1-10", "12-31", "32-40"]),
    ],
)
def test_where_due_days_are_cut(chunk: Chunk, longest: int | None, expected: list[str]) -> None:
    pieces = cut_due(days("1-10 12-40"), chunk, longest)
    assert pieces == [pair for text in expected for pair in days(text).intervals]


def test_neither_ranges_nor_reasons_part_a_create() -> None:
    """Three ranges of two reasons, side by side: one backfill."""
    desired = transfer("1-3", segment("4-6", 2, reason="other"), segment("7-9", 3, stale_before=None))
    memory = record("4-6", "FAILED", ran=0, end_time=NOW - DAY)
    plan = planned(team(desired), observed(), document(memory))
    (only,) = plan.actions
    assert actions(plan) == ["create 1-9"]
    assert only.reasons == {"never-loaded": 6, "not-run": 3}
    assert [str(one) for one in only.declared_at] == [f"backfills.yaml:{line}:9" for line in (1, 2, 3)]


# --- limits -------------------------------------------------------------------------------


def foreign(number: int, text: str = "200-210", status: str = "RUNNING", transfer_id: int = 77) -> Backfill:
    return backfill(text, status, id=number, transfer_id=transfer_id, ran=0)


def of_months(limits: Limits, *listed: Backfill, memory: Any = None, **more: Any) -> Any:
    """Plan days 1-31, 32-60 and 61-91, a month each, on a day of odd ordinal."""
    desired = team(
        transfer("1-91", chunk=Chunk.MONTH), limits=limits, order=Order.OLDEST_FIRST, as_of=TODAY - 1
    )
    return planned(desired, observed(*listed, **more), memory)


@pytest.mark.parametrize(
    "limits, listed, created, reason",
    [
        (Limits(), [], 3, ""),
        (Limits(), [foreign(number) for number in range(98)], 2, "max_open_backfills"),
        (Limits(), [foreign(number) for number in range(100)], 0, "max_open_backfills"),
        (Limits(max_open_backfills=3), [foreign(1)], 2, "max_open_backfills"),
        (Limits(max_open_backfills=3), [foreign(1, status="FAILED")], 2, "max_open_backfills"),
        (Limits(max_open_backfills=1), [foreign(1), foreign(2)], 0, "max_open_backfills"),
        (Limits(max_open_per_transfer=2), [foreign(1)], 2, "max_open_per_transfer"),
        (Limits(max_open_per_transfer=2), [foreign(1, transfer_id=1)], 1, "max_open_per_transfer"),
        (Limits(max_creates_per_apply=1), [foreign(1)], 1, "max_creates_per_apply"),
        (Limits(max_creates_per_apply=1, max_open_backfills=1), [], 1, "max_creates_per_apply"),
    ],
)
def test_what_does_not_fit_is_deferred(
    limits: Limits, listed: list[Backfill], created: int, reason: str
) -> None:
    """Oldest first, but for one place that goes to the other end."""
    plan = of_months(limits, *listed)
    taken = {0: [], 1: ["1-31"], 2: ["1-31", "61-91"], 3: ["1-31", "32-60", "61-91"]}[created]
    assert actions(plan) == [f"create {text}" for text in taken]
    assert put_off(plan) == [f"{text} {reason}" for text in ("1-31", "32-60", "61-91") if text not in taken]
    assert plan.counts[Bucket.PLANNED] + plan.counts[Bucket.DEFERRED] == 91


def refused(text: str, days_ago: int) -> Intent:
    at = NOW - days_ago * DAY
    return intent(text, outcome="refused", nonce=f"refused {text}", at=at, unlisted_at=at + DAY / 2)


MONTHS = {1: "1-31", 2: "32-60", 3: "61-91", 4: "92-121", 5: "122-152", 6: "153-182"}
JANUARY, MARCH = refused("3-5", 2), refused("61-91", 3)


@pytest.mark.parametrize(
    "most, order, before, expected",
    [
        (None, Order.OLDEST_FIRST, (JANUARY,), ["32-60", "61-91", "1-31"]),
        (None, Order.OLDEST_FIRST, (JANUARY, MARCH), ["32-60", "61-91", "1-31"]),
        (None, Order.NEWEST_FIRST, (JANUARY, MARCH), ["32-60", "61-91", "1-31"]),
        (None, Order.NEWEST_FIRST, (JANUARY, refused("61-91", 1)), ["32-60", "1-31", "61-91"]),
        (1, Order.NEWEST_FIRST, (MARCH,), ["1-31"]),
        (1, Order.NEWEST_FIRST, (record("61-91", "CANCELLED", ran=0, end_time=NOW - DAY),), ["1-31"]),
    ],
)
def test_what_was_refused_or_cancelled_comes_last(
    most: int | None, order: Order, before: tuple[Intent | BackfillRecord, ...], expected: list[str]
) -> None:
    """It may be refused for good; each night it would keep the rest of its transfer from being sent, or take
    the place that is kept for the other end.
    """
    limits = Limits(max_creates_per_apply=most)
    desired = team(transfer("1-91", chunk=Chunk.MONTH), limits=limits, order=order, as_of=TODAY)
    plan = planned(desired, observed(), document(*before))
    assert actions(plan) == [f"create {text}" for text in expected]


@pytest.mark.parametrize("refusals", [(1,), (1, 2), (1, 2, 3)])
def test_neither_what_is_refused_each_time_nor_what_else_waits_starves(refusals: tuple[int, ...]) -> None:
    """Some months of history are refused for good; two places a night, one of them for the day before."""
    known = [refused(MONTHS[one], 30) for one in refusals]
    tries: list[str] = []
    for night in range(12):
        at, growing = NOW - (20 - night) * DAY, f"{244 + night}"
        left = [MONTHS[one] for one in MONTHS if one in refusals or MONTHS[one] not in tries]
        wanted = transfer(*left, growing, chunk=Chunk.MONTH)
        desired = team(wanted, limits=Limits(max_creates_per_apply=2), as_of=TODAY + night)
        newest, second = actions(planned(desired, observed(), document(*known)))
        assert newest == f"create {growing}"
        tries.append(second.removeprefix("create "))
        is_refused = tries[-1] in [MONTHS[one] for one in refusals]
        outcome = "refused" if is_refused else "abandoned"
        known.append(intent(growing, outcome="abandoned", nonce=f"new {night}", at=at - DAY / 24))
        known.append(intent(tries[-1], outcome=outcome, nonce=f"old {night}", at=at))
    assert {*tries} == {*MONTHS.values()}


@pytest.mark.parametrize(
    "first, expected", [(TODAY, "1-31 72-73 32-60 76-77"), (TODAY + 1, "70-71 1-31 74-75 32-60")]
)
def test_a_job_that_sees_days_of_one_kind_starves_no_end(first: Day, expected: str) -> None:
    """Every 48 hours, one create each time, of a range that grows: history moves too."""
    taken: list[str] = []
    for as_of, growing in zip(range(first, first + 8, 2), ("70-71", "72-73", "74-75", "76-77"), strict=True):
        due = [text for text in ("1-31", "32-60") if text not in taken]
        newest = [intent(taken[-1], outcome="abandoned", as_of=as_of - 2)] if taken else []
        wanted = transfer(*due, growing, chunk=Chunk.MONTH)
        desired = team(wanted, limits=Limits(max_creates_per_apply=1), as_of=as_of)
        (only,) = actions(planned(desired, observed(), document(*newest)))
        taken.append(only.removeprefix("create "))
    assert taken == expected.split()


@pytest.mark.parametrize("apart", [0, 3])
@pytest.mark.parametrize("order", list(Order))
def test_of_many_transfers_that_grow_none_is_left_out(order: Order, apart: int) -> None:
    """Each night each has one more day, and all end yesterday, or some days apart; two creates a night."""
    done: dict[int, Intent] = {}
    created: Counter[int] = Counter()
    for night in range(6):
        growing = [transfer(_since(done.get(id), 70 + night - apart * id), id=id) for id in (1, 2, 3)]
        desired = team(*growing, limits=Limits(max_creates_per_apply=2), order=order, as_of=TODAY + night)
        plan = planned(desired, observed(), document(*done.values()))
        for one in plan.actions:
            id, at = one.address.transfer_id, NOW + night * DAY
            text = f"{one.start - EVE}-{one.end - EVE - 1}"
            done[id] = intent(text, outcome="abandoned", nonce=str(id), transfer_id=id, at=at)
            created[id] += 1
    assert min(created[id] for id in (1, 2, 3)) >= 3


def _since(before: Intent | None, last: int) -> str:
    return f"{before.end - EVE if before else 61}-{last}"


def test_what_fits_later_is_taken() -> None:
    """A transfer at its limit does not keep others from their places."""
    desired = team(transfer("1-3 ", "5-6", id=1), transfer("4", id=2), limits=Limits(max_open_per_transfer=1))
    plan = planned(replace(desired, as_of=TODAY - 1), observed())
    assert actions(plan) == ["create 5-6", "create 4"]
    assert put_off(plan) == ["1-3 max_open_per_transfer"]


SHELL = backfill("1-31", "FAILED", id=50, failed=2, names="3 9")
RETRIED = record("1-31", "FAILED", id=50, failed=2, names="3 9")


@pytest.mark.parametrize(
    "limits, others, expected",
    [
        (Limits(max_open_backfills=3), 2, ["retry 3 cancels 50"]),  # it frees its own place, and takes it
        (Limits(max_open_backfills=1), 2, ["retry 3 cancels 50"]),
        (Limits(max_open_per_transfer=1), 0, ["retry 3 cancels 50"]),
        (Limits(max_open_backfills=4), 2, ["retry 3 cancels 50", "create 9"]),
        (Limits(max_creates_per_apply=1), 0, ["retry 3 cancels 50"]),
    ],
)
def test_a_retry_frees_its_own_place(limits: Limits, others: int, expected: list[str]) -> None:
    listed = [SHELL, *(foreign(number) for number in range(others))]
    desired = team(transfer("1-31"), limits=limits, order=Order.OLDEST_FIRST, as_of=TODAY - 1)
    assert actions(planned(desired, observed(*listed), document(RETRIED))) == expected


def test_a_full_list_defers_all_but_retries() -> None:
    listed = [SHELL, foreign(7, status="FAILED"), foreign(8), foreign(9, status="FAILED")]
    desired = team(transfer("1-40"))
    plan = planned(desired, observed(*listed, list_full=True), document(RETRIED))
    assert actions(plan) == ["retry 9 cancels 50"]  # the first to touch the shell; the other waits
    assert put_off(plan) == ["3 list-full", "32-40 list-full"]
    assert plan.list_full
    (finding,) = plan.diagnostics
    assert finding.rule == "PL003"
    assert "FAILED ones of others: 7, 9." in finding.detail


def test_a_full_list_without_foreign_failed_ones_says_so() -> None:
    plan = planned(team(transfer("1")), observed(foreign(8), list_full=True))
    assert "FAILED ones of others: none." in plan.diagnostics[0].detail


def test_two_shells_under_one_piece_are_both_cancelled() -> None:
    shells = [
        ("1-3", {"id": 50, "failed": 3, "names": "1-3"}),
        ("4-6", {"id": 51, "failed": 3, "names": "4-6"}),
    ]
    listed = [backfill(text, "FAILED", **more) for text, more in shells]
    memory = document(*(record(text, "FAILED", **more) for text, more in shells))
    limits = Limits(max_open_backfills=2)
    desired = team(transfer("1-6", "9"), limits=limits, order=Order.OLDEST_FIRST)
    plan = planned(desired, observed(*listed), memory)
    assert actions(plan) == ["retry 1-6 cancels 50 51", "create 9"]  # the second shell's place is free


def test_a_retry_adds_an_active_one_to_its_transfer() -> None:
    """The shell that it cancels did not count, as its runs are over. People opened more than allowed."""
    listed = [SHELL, *(backfill("50", "RUNNING", id=number, ran=0) for number in (60, 61))]
    desired = team(transfer("1-31"), limits=Limits(max_open_per_transfer=1), order=Order.OLDEST_FIRST)
    plan = planned(desired, observed(*listed), document(RETRIED))
    assert (actions(plan), put_off(plan)) == ([], ["3 max_open_per_transfer", "9 max_open_per_transfer"])


NEWEST = {"order": Order.NEWEST_FIRST}


@pytest.mark.parametrize(
    "limits, more, expected",
    [
        (Limits(max_creates_per_apply=1), {**NEWEST, "as_of": TODAY - 1}, ["create 61-91"]),
        (Limits(max_creates_per_apply=1), {**NEWEST, "as_of": TODAY}, ["create 1-31"]),
        (Limits(max_creates_per_apply=2), NEWEST, ["create 61-91", "create 1-31"]),
        (Limits(max_open_per_transfer=2), NEWEST, ["create 61-91", "create 1-31"]),
        (Limits(max_open_backfills=2), NEWEST, ["create 61-91", "create 1-31"]),
        (Limits(max_creates_per_apply=3), NEWEST, ["create 61-91", "create 32-60", "create 1-31"]),
    ],
)
def test_no_order_starves(limits: Limits, more: dict[str, Any], expected: list[str]) -> None:
    desired = team(transfer("1-91", chunk=Chunk.MONTH), limits=limits, **more)
    assert actions(planned(desired, observed())) == expected


def test_the_first_to_touch_a_shell_cancels_it_though_the_last_got_its_place_out_of_turn() -> None:
    """The API may refuse what overlaps a shell, and a refusal ends the transfer."""
    shell = {"id": 50, "failed": 3, "names": "3 6 9"}
    limits = Limits(max_creates_per_apply=2)
    desired = team(transfer("1-31"), limits=limits, order=Order.OLDEST_FIRST)
    listed, memory = backfill("1-31", "FAILED", **shell), record("1-31", "FAILED", **shell)
    assert actions(planned(desired, observed(listed), document(memory))) == ["retry 3 cancels 50", "create 9"]


def test_each_transfer_gives_a_place_of_its_own_to_the_other_end() -> None:
    transfers = [transfer("1-91", id=number, chunk=Chunk.MONTH) for number in (1, 2)]
    plan = planned(team(*transfers, limits=Limits(max_open_per_transfer=2)), observed())
    assert sorted(actions(plan)) == ["create 1-31", "create 1-31", "create 61-91", "create 61-91"]


USED_UP = {"created": NOW - 9 * DAY, "failed": 2, "ran": 0, "names": "1-2"}


@pytest.mark.parametrize(
    "limits, full, expected",
    [
        (Limits(max_open_backfills=3), False, ["cancel 1-2 cancels 50"]),  # one is put off: the oldest goes
        (Limits(max_open_backfills=4), False, ["create 9"]),
        (Limits(), True, ["cancel 1-2 cancels 50"]),
        (Limits(max_creates_per_apply=0 + 1), False, ["create 9"]),
    ],
)
def test_failed_shells_that_nobody_waits_for_give_up_their_place(
    limits: Limits, full: bool, expected: list[str]
) -> None:
    """Two shells of days that are out of attempts, and a foreign one; day 9 is due."""
    shells = [{**USED_UP, "id": 51, "created": NOW - 8 * DAY}, {**USED_UP, "id": 50}]
    listed = [backfill("1-2", "FAILED", **more) for more in shells]
    memory = document(*(record("1-2", "FAILED", **more) for more in shells))
    desired = team(transfer("1-2", "9", max_attempts=2), limits=limits)
    plan = planned(desired, observed(*listed, foreign(7, status="FAILED"), list_full=full), memory)
    assert actions(plan) == expected
    assert [dict(one.reasons) for one in plan.actions if one.cancels] == [{"ended": 2}] * (
        "cancel" in expected[0]
    )


@pytest.mark.parametrize(
    ("declared", "freed"), [({1}, True), ({1, 77}, False)], ids=["left the files", "not targeted"]
)
def test_a_shell_of_a_transfer_that_left_the_files_gives_up_its_place(
    declared: set[int], freed: bool
) -> None:
    shell = {"id": 50, "failed": 2, "names": "1-2", "transfer_id": 77}
    memory = document(record("1-2", "FAILED", ran=0, **shell))
    desired = team(transfer("9"), limits=Limits(max_open_backfills=1), declared_ids=frozenset(declared))
    plan = planned(desired, observed(backfill("1-2", "FAILED", ran=0, **shell)), memory)
    assert actions(plan) == ["cancel 1-2 cancels 50"] * freed
    assert [one.address.transfer_id for one in plan.actions] == [77] * freed


@pytest.mark.parametrize(
    "memory, counts",
    [
        (record("50", "RUNNING", ran=0), True),  # the list lags
        (record("50", "RUNNING", ran=0, gone=True), False),
        (record("50", "COMPLETED"), False),
    ],
)
def test_what_the_list_does_not_show_is_open_if_we_know_so(memory: BackfillRecord, counts: bool) -> None:
    plan = planned(team(transfer("1"), limits=Limits(max_open_backfills=1)), observed(), document(memory))
    assert put_off(plan) == ["1 max_open_backfills"] * counts


def test_a_failed_backfill_is_not_cancelled_while_its_runs_go_on() -> None:
    """Its days are in flight until then."""
    going_on = {"id": 50, "ran": 1, "failed": 1, "names": "3"}
    listed, memory = backfill("1-31", "FAILED", **going_on), record("1-31", "FAILED", **going_on)
    assert actions(planned(team(transfer("1-31")), observed(listed), document(memory))) == []
    over = {**going_on, "ran": 30}
    listed, memory = backfill("1-31", "FAILED", **over), record("1-31", "FAILED", **over)
    plan = planned(team(transfer("1-31")), observed(listed), document(memory))
    assert actions(plan) == ["retry 3 cancels 50"]


def test_a_full_list_names_failed_ones_of_others_that_are_remembered_too() -> None:
    seen = record("50", "FAILED", id=7, failed=1, origin=Origin.OBSERVED)
    plan = planned(team(transfer("1")), observed(foreign(7, status="FAILED"), list_full=True), document(seen))
    assert "FAILED ones of others: 7." in plan.diagnostics[0].detail
