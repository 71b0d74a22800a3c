"""What a survey gives reason to warn of, and which exit statuses it has; what a ledger tells of itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from planning_values import (
    DAY,
    FORBIDDEN,
    HOUR,
    NOT_FOUND,
    NOW,
    OLD,
    TODAY,
    UNREAD,
    actions,
    ago,
    backfill,
    days,
    document,
    intent,
    known,
    ledger_of,
    observed,
    planned,
    record,
    run,
    runs,
    segment,
    shown,
    surveyed,
    team,
    transfer,
)

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import DateSet
from reconciler.diagnostics import Place
from reconciler.engine.team import team_plan
from reconciler.engine.warnings import statuses, told_apart, warnings
from reconciler.model.desired import EvidenceMode, Rerun
from reconciler.model.memory import KnownUser, Origin
from reconciler.model.observed import ApiError, Cause, TransferInfo, Unreadable
from reconciler.planning.ledger import Bucket
from reconciler.planning.situation import Situation, refresh, weigh

BLIND = {"evidence": EvidenceMode.BACKFILLS}
SCHEDULED = {1: TransferInfo(1, "Transfer 1", paused=False, scheduled=True)}
LISTED = {1: TransferInfo(1, "Transfer 1", paused=False)}


def situation(desired: Any, *entries: Any, **seen: Any) -> Situation:
    found = observed(**{"transfers": LISTED, **seen})
    wanted = team(*desired) if isinstance(desired, list) else team(desired)
    return weigh(wanted, document(*entries), found, NOW, DEFAULT_SETTLE)


def recent(**more: Any) -> Any:
    """Return a transfer whose only day is the day before yesterday."""
    return replace(transfer("1"), segments=(replace(segment("1"), start=TODAY - 2, end=TODAY - 1),), **more)


SAID = ApiError(503, "BUSY")


def failed_read(transfer_id: int, status: int) -> Unreadable:
    error = ApiError(status, request_id=f"R-{transfer_id}")
    said = f"GET /transfers/{transfer_id}/runs was answered with {error}"
    return Unreadable(Cause.FAILED, said, error)


ODD = replace(run(1, "OTHER"), word="SKIPPED", ended_time=ago(9))
TURNED_AWAY = intent("1-2", outcome="withdrawn", at=ago(2), answer=SAID)
OWN_DAY = replace(run(1, backfill=False, created=NOW - 2 * DAY), day=TODAY - 2)
WARNED: dict[str, tuple[Callable[[], Situation], list[str], set[int], str]] = {
    "nothing": (lambda: situation(transfer("1"), runs={1: runs("1")}), [], set(), ""),
    "the transfer list": (
        lambda: situation(
            transfer("1"), transfers=replace(FORBIDDEN, said="GET /transfers: 403"), runs={1: runs("1")}
        ),
        ["OB001"],
        set(),
        "GET /transfers: 403",
    ),
    "the run list is forbidden": (
        lambda: situation(transfer("1"), runs={1: FORBIDDEN}),
        ["OB002"],
        {65},
        "dwh_transfers_read",
    ),
    "the run list is not there": (lambda: situation(transfer("1"), runs={1: NOT_FOUND}), ["OB002"], {69}, ""),
    "latest fails": (lambda: situation(transfer("1", **BLIND), latest={1: UNREAD}), ["OB002"], {69}, ""),
    "an unknown history": (
        lambda: situation(transfer("1", **BLIND), latest={1: backfill("9", id=77)}),
        ["OB003"],
        {6},
        "reconciler accept transfer-1",
    ),
    "an unresolved create": (
        lambda: situation(transfer("1", **BLIND), intent("1", at=ago(0.1))),
        ["OB004"],
        set(),
        "settles it by itself",
    ),
    "many unresolved creates are one finding": (
        lambda: situation(
            transfer("1", **BLIND),
            *(replace(intent(f"{day}", nonce=f"{day}", at=ago(0.1)), answer=SAID) for day in range(1, 6)),
        ),
        ["OB004"],
        set(),
        "5 backfills were created is not known (the last one intended 2026-11-22 08:54 UTC; each answered "
        "503 BUSY)",
    ),
    "an unresolved create that a run is at": (
        lambda: replace(
            situation(transfer("1", **BLIND), intent("1", at=ago(0.1))), run="apply by root, process 7"
        ),
        ["OB004"],
        set(),
        "A run is at work: apply by root, process 7. Wait until that run has ended",
    ),
    "many reads that fail alike are one finding": (
        lambda: situation(
            [transfer("1", id=one) for one in range(1, 13)],
            transfers={one: TransferInfo(one, "", paused=False) for one in range(1, 13)},
            runs={one: failed_read(one, 503 + (one == 12)) for one in range(1, 13)},
        ),
        ["OB002", "OB002"],
        {69},
        "Days of 11 transfers (transfer-1, transfer-2, transfer-3 and 8 more) that only it can show are "
        "blocked: each alike, as of transfer-1: GET /transfers/1/runs was answered with 503 (request R-1).",
    ),
    "an unresolved create that only a person can tell": (
        lambda: situation(transfer("1", **BLIND), intent("1", at=ago(1)), latest={1: backfill("9", id=77)}),
        ["OB004"],
        set(),
        "Look at the vendor's pages",
    ),
    "clocks": (
        lambda: situation(transfer("1"), runs={1: runs("1")}, vendor_now=NOW - HOUR),
        ["OB005"],
        set(),
        "60 minutes ahead of",
    ),
    "no clock": (
        lambda: situation(transfer("1"), runs={1: runs("1")}, undated=True),
        ["OB005"],
        set(),
        "a day longer",
    ),
    "a sandbox's clock": (
        lambda: situation(transfer("1"), runs={1: runs("1")}, vendor_now=NOW - HOUR, emulated=True),
        [],
        set(),
        "",
    ),
    "a predecessor is gone": (
        lambda: situation(transfer("1", previous_ids=(OLD,)), runs={1: (), OLD: NOT_FOUND}),
        ["OB006"],
        {69},
        "previous_ids",
    ),
    "a schedule is not seen": (
        lambda: situation(transfer("1", **BLIND), transfers=SCHEDULED),
        ["OB007"],
        set(),
        "evidence: runs",
    ),
    "undated runs": (
        lambda: situation(transfer("1"), runs={1: (*runs("1"), replace(run(2), day=None))}),
        ["OB008"],
        set(),
        "1 COMPLETED runs",
    ),
    "fewer runs than days": (
        lambda: situation(
            transfer("1-5"), record("1-5", total=1, ran=1, evidence=known(loaded="1-5"), settled=True)
        ),
        ["OB009"],
        set(),
        "had 1 runs for 5 days",
    ),
    "no run, and on undeclared days": (
        lambda: situation(
            transfer("1"),
            record("1", total=0, ran=0, evidence=known(loaded="1"), settled=True),
            record("9", id=101, total=0, ran=0, evidence=known(loaded="9"), settled=True),
        ),
        ["OB009"],
        set(),
        "had no run for 1 days",
    ),
    "one that does not move": (
        lambda: situation(
            transfer("1"),
            record("1", "RUNNING", ran=0, moved_at=NOW - 7 * DAY, ended_at=None),
            listed=(backfill("1", "RUNNING", ran=0),),
        ),
        ["OB010"],
        set(),
        "0 of 1 runs completed",
    ),
    "loaded on its own day": (
        lambda: situation(recent(), runs={1: (OWN_DAY,)}),
        ["OB011"],
        set(),
        "final_after",
    ),
    "many days once more": (
        lambda: situation(
            replace(transfer("1"), segments=(segment("1-40", final_after=1),)),
            *(record("1-40", created=NOW - 1070 * DAY, evidence=known(loaded="1-40"), settled=True),),
        ),
        ["OB012"],
        set(),
        "40 days",
    ),
    "somebody else": (
        lambda: weigh(
            team(transfer("1", **BLIND)),
            replace(document(), users={"ours": KnownUser("ours", 5)}),
            observed(transfers=LISTED, our_user=5, latest={1: backfill("9", id=77, created_user_id=8)}),
            NOW,
            DEFAULT_SETTLE,
        ),
        ["OB013"],
        set(),
        "User 8 made backfill 77",
    ),
    "an apply that was stopped": (
        lambda: situation(transfer("1-2"), TURNED_AWAY, runs={1: ()}),
        ["OB016"],
        set(),
        "POST …/transfers/1/backfills (transfer-1 2024-01-01..2024-01-02) was answered 503 BUSY (2026-",
    ),
    "one that went on since": (
        lambda: situation(
            transfer("1-2"), TURNED_AWAY, intent("1", nonce="m", outcome="abandoned", at=ago(1)), runs={1: ()}
        ),
        [],
        set(),
        "",
    ),
    "one whose days are loaded since": (
        lambda: situation(transfer("1"), TURNED_AWAY, runs={1: runs("1")}),
        [],
        set(),
        "",
    ),
    "a run's odd word": (lambda: situation(transfer("1"), runs={1: (ODD,)}), ["OB014"], set(), "SKIPPED"),
    "a backfill's odd word": (
        lambda: situation(
            transfer("1"), record("1", "UNKNOWN", ran=0, word="ARCHIVED", end_time=ago(9)), runs={1: ()}
        ),
        ["OB014"],
        set(),
        "ended as ARCHIVED",
    ),
}


@pytest.mark.parametrize(("made", "rules", "exits", "words"), WARNED.values(), ids=WARNED)
def test_what_is_warned_of(
    made: Callable[[], Situation], rules: list[str], exits: set[int], words: str
) -> None:
    found = warnings(made())
    assert [one.rule for one in found] == rules
    assert statuses(made()) == exits
    assert words in " ".join(f"{one.detail} {one.hint}" for one in found)


# -- what a ledger tells of itself ------------------------------------------------------------------------


def test_holes_are_days_that_need_somebody() -> None:
    refused = intent("1", outcome="refused", at=ago(0.1))
    assert shown(ledger_of(transfer("1-5"), refused).holes) == "1"
    recent = intent("1", outcome="refused", at=ago(0.1), blocker=8)  # which ends by itself
    assert shown(ledger_of(transfer("1-5"), recent).holes) == ""
    assert shown(ledger_of(transfer("1-5", paused=True)).holes) == ""
    listed = observed(transfers={1: TransferInfo(1, "one", paused=True)})
    assert shown(ledger_of(transfer("1-5"), seen=listed).holes) == "1-5"


def test_one_that_was_never_read_before_stands_still_since_it_began() -> None:
    """A new state does not make it young."""
    old = replace(backfill("1", "RUNNING", ran=0), created_time=NOW - 27 * DAY)
    for began, ran, stuck in ((None, 0, (100,)), (NOW - HOUR, 0, ()), (NOW - 27 * DAY, 1, ())):
        more = {"start_time": began, "completed": ran, "total": 2}  # of one that ran, the last run may be new
        seen = situation(transfer("1"), listed=[replace(old, **more)])
        assert tuple(one.id for one in seen.ledgers[0].stuck) == stuck
        assert seen.ledgers[0].days(Bucket.IN_FLIGHT) == transfer("1").days


def test_a_backfill_stands_still_after_stuck_after() -> None:
    for since, stuck in ((NOW - 7 * DAY, (100,)), (NOW - 7 * DAY + timedelta(seconds=1), ()), (None, ())):
        still = record("1", "RUNNING", ran=0, moved_at=since)
        assert tuple(one.id for one in ledger_of(transfer("1"), still).stuck) == stuck
    elsewhere = record("9", "RUNNING", ran=0, moved_at=NOW - 8 * DAY)
    assert ledger_of(transfer("1"), elsewhere).stuck == ()


def test_all_runs_of_a_backfill_that_they_must_judge_are_read() -> None:
    unclear = record("1-10", "FAILED", failed=2)
    loaded = record("1-4", id=101, evidence=known(loaded="1-4"), settled=True)
    ledger = ledger_of(transfer("3-10"), unclear, loaded)
    assert shown(ledger.undecided) == "5-10"
    assert DateSet.span(ledger.read_from, ledger.read_from + 1) == days("1")


def test_a_re_run_names_its_own_place_and_reason() -> None:
    told = Rerun(Place("backfills.yaml", 9, 9), "Source fixed")
    once = segment("1-5", reason="History", stale_before=ago(1), rerun=told)
    memory = document(record("1-3", evidence=known(loaded="1-3"), settled=True))
    plan = planned(team(transfer(once)), observed(), memory)
    (only,) = plan.actions
    assert actions(plan) == ["create 1-5"]
    assert only.notes == ("Source fixed", "History")
    assert [place.line for place in only.declared_at] == [1, 9]
    whole = planned(
        team(transfer(once)), observed(), document(record("1-5", evidence=known(loaded="1-5"), settled=True))
    )
    assert whole.actions[0].notes == ("Source fixed",)


MADE_WHOLE = (intent("8-9", outcome="done", at=ago(240), backfill_id=76), record("8-9", id=76))
MADE_IN_PART = (intent("8-9", outcome="done", at=ago(240), backfill_id=76), record("9", id=76))


@pytest.mark.parametrize(
    ("entries", "origin"),
    [
        ((), Origin.UNEXPLAINED),
        ((intent("9", outcome="abandoned", at=ago(240)),), Origin.OBSERVED),
        ((intent("8-9", outcome="abandoned", at=ago(240)),), Origin.OBSERVED),
        ((intent("9", outcome="abandoned", at=ago(241)),), Origin.UNEXPLAINED),
        ((intent("8", outcome="abandoned", at=ago(240)),), Origin.UNEXPLAINED),
        ((intent("9", kind="cancel", outcome="done", at=ago(240), backfill_id=75),), Origin.UNEXPLAINED),
        (MADE_WHOLE, Origin.UNEXPLAINED),
        (MADE_IN_PART, Origin.OBSERVED),
        (MADE_IN_PART[:1], Origin.OBSERVED),
    ],
    ids=[
        "nothing explains it",
        "an intent does",
        "the API cut it",
        "made at another time",
        "of other days",
        "a cancel",
        "the create made another one, of other days",
        "a gateway sent the create twice",
        "what the create made is not known",
    ],
)
def test_what_is_unexplained(entries: Any, origin: Origin) -> None:
    made = situation(transfer("1", **BLIND), *entries, latest={1: backfill("9", id=77)})
    assert made.document.backfills[77].origin is origin


@pytest.mark.parametrize(
    ("first", "origin"),
    [(None, Origin.OBSERVED), ("8", Origin.OBSERVED), ("9", Origin.UNEXPLAINED)],
    ids=["read whole", "read from its first day on", "read from a later day on"],
)
@pytest.mark.parametrize(
    "entries", [(), (record("8-9", origin=Origin.UNEXPLAINED, id=77),)], ids=["new", "known"]
)
def test_a_run_list_explains_what_it_was_read_for(entries: Any, first: str | None, origin: Origin) -> None:
    """What became of its earlier days nobody saw; once the file says ``backfills``, nobody will."""
    since = {} if first is None else {1: days(first).first()}
    seen = {"latest": {1: backfill("8-9", id=77)}, "runs": {1: (run(9),)}, "runs_from": since}
    made = situation(transfer("1"), *entries, **seen)
    assert made.document.backfills[77].origin is origin


@pytest.mark.parametrize(("old_copy", "origin"), [(False, Origin.OBSERVED), (True, Origin.UNEXPLAINED)])
def test_in_an_old_copy_a_backfill_of_anybody_is_unexplained(old_copy: bool, origin: Origin) -> None:
    """Whose our keys were may be among what it lost."""
    theirs = backfill("9", id=77, created_user_id=8)
    memory = replace(document(), users={"h": KnownUser("h", 5)}, old_copy=old_copy)
    seen = observed(latest={1: theirs}, our_user=5)
    assert refresh(memory, seen, team(transfer("1", **BLIND))).backfills[0].origin is origin


@pytest.mark.parametrize(
    ("told", "origin"),
    [
        ({1: runs("4")}, Origin.OBSERVED),
        ({1: ()}, Origin.OBSERVED),
        ({}, Origin.UNEXPLAINED),
        ({1: FORBIDDEN}, Origin.UNEXPLAINED),
        ({1: (replace(run(4), day=None),)}, Origin.UNEXPLAINED),
    ],
    ids=["told", "there are none", "not read", "forbidden", "no day told"],
)
def test_only_a_run_list_explains_what_the_state_does_not(told: Any, origin: Origin) -> None:
    """What was seen while no list could be read is asked about once the file says that none is to be read."""
    seen = backfill("9", id=77)
    first = situation(transfer("1-9"), latest={1: seen}, runs=told).document
    assert first.backfills[77].origin is origin
    desired = team(transfer("1-9", **BLIND))
    _, (blind,) = surveyed(desired, observed(latest={1: seen}), first)
    assert bool(blind.evidence.unexplained) is (origin is Origin.UNEXPLAINED)
    later, _ = surveyed(team(transfer("1-9")), observed(runs={1: ()}), first)
    assert later.backfills[77].origin is Origin.OBSERVED


def test_what_is_told_of_several_teams_names_them_and_each_command_means_one() -> None:
    plan = team_plan(situation(transfer("1", **BLIND), latest={1: backfill("9", id=77)}))
    assert told_apart([plan]) == (plan,)
    first, second = told_apart([plan, replace(plan, team_id=2)])
    assert (first.diagnostics[0].detail[:7], second.diagnostics[0].detail[:7]) == ("Team 5:", "Team 2:")
    assert first.diagnostics[0].hint.endswith("\n  reconciler accept 1")
    other = replace(plan, team_id=2, transfers=(replace(plan.transfers[0], name="other"),))
    assert told_apart([plan, other])[0].diagnostics[0].hint.endswith("\n  reconciler accept transfer-1")
