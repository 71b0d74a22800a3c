"""How two plans differ: a transfer each, by days and cancels; what else is told otherwise; in words."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_values import TEAM, observed, planned, team, transfer, whole

from reconciler.dates import DateSet, DaysByTransfer
from reconciler.formats.plandiff import changes_json
from reconciler.model.desired import Address, Limits
from reconciler.planning.approval import planned_days
from reconciler.planning.difference import Change, Changed, changes_of, differences, due_days
from reconciler.planning.plan import ActionKind, Plan
from reconciler.render.changes import changes_summary, changes_text, unknown_of
from reconciler.render.words import Paint


def plan(*transfers: Any, **more: Any) -> Plan:
    return whole(planned(team(*transfers, **more), observed()))


BASE = plan(transfer("1-10", id=1, name="ads"), transfer("1-10", id=2, name="crm"))
CHANGES = {
    "the same": (BASE, {}, "No difference."),
    "added": (
        plan(*(transfer("1-10", id=one, name=name) for one, name in ((1, "ads"), (2, "crm"), (3, "new")))),
        {"new": Change.ADDED},
        "10 days more.",
    ),
    "left out": (plan(transfer("1-10", id=1, name="ads")), {"crm": Change.LEFT_OUT}, "10 days fewer."),
    "grew": (
        plan(transfer("1-12", id=1, name="ads"), transfer("1-10", id=2, name="crm")),
        {"ads": Change.GREW},
        "2 days more.",
    ),
    "shrank": (
        plan(transfer("3-10", id=1, name="ads"), transfer("1-10", id=2, name="crm")),
        {"ads": Change.SHRANK},
        "2 days fewer.",
    ),
    "moved": (
        plan(transfer("3-12", id=1, name="ads"), transfer("1-10", id=2, name="crm")),
        {"ads": Change.MOVED},
        "2 days more, 2 days fewer.",
    ),
    "told otherwise": (
        plan(transfer("1-10", id=1, name="ads", owners=("ann",)), transfer("1-10", id=2, name="shop")),
        {"ads": Change.TOLD, "shop": Change.TOLD},
        "The same is done; only told otherwise.",
    ),
    "cut otherwise": (
        plan(
            transfer("1-10", id=1, name="ads"),
            transfer("1-10", id=2, name="crm"),
            limits=Limits(max_days_per_backfill=3),
        ),
        {},
        "No difference.",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_has_its_name_and_its_days(name: str) -> None:
    after, kinds, summary = CHANGES[name]
    found = changes_of(BASE, after)
    assert {one.transfer: one.change for one in found} == kinds
    assert changes_summary(found) == summary
    assert changes_text(found, Paint()).endswith(f"{summary}\n")
    told = changes_json(BASE, after, found)
    assert told["same"] is (name in ("the same", "told otherwise", "cut otherwise"))
    assert [one["transfer"] for one in told["transfers"]] == [*kinds]
    assert bool(differences(BASE, after)) is not told["same"]


def test_what_else_is_told_otherwise_is_named() -> None:
    after, _kinds, _summary = CHANGES["told otherwise"]
    assert [one.fields for one in changes_of(BASE, after)] == [("owner",), ("name",)]
    assert "      differ: owner\n" in changes_text(changes_of(BASE, after), Paint())


def test_a_cancel_is_a_change() -> None:
    (action,) = plan(transfer("1-10", id=1, name="ads")).actions
    before = plan(transfer("1-10", id=1, name="ads"))
    retry = replace(action, kind=ActionKind.RETRY, cancels=(50,))
    after = replace(before, teams=(replace(before.teams[0], actions=(retry,)),))
    (changed,) = changes_of(before, after)
    assert (changed.change, changed.new_cancels, changed.kept) == (Change.MOVED, (50,), ())
    assert "      cancels backfill 50\n" in changes_text((changed,), Paint())
    assert changes_summary((changed,)) == "1 cancel more."
    assert differences(after, before) == ["no longer: cancel of backfill 50 of ads"]


def test_what_is_deferred_is_no_loss() -> None:
    two = (transfer("11-20", id=1, name="ads"), transfer("1-10", id=2, name="new"))
    limit = Limits(max_creates_per_apply=1)
    before, after = plan(two[0], limits=limit), plan(*two, limits=limit)
    ads, new = changes_of(before, after)
    assert (len(ads.fewer), ads.later, len(new.more), len(new.sooner)) == (10, ads.fewer, 10, 0)
    assert "deferred now" in changes_text((ads, new), Paint())
    again = changes_of(after, before)
    assert again[0].sooner == ads.fewer
    assert "was deferred before" in changes_text(again, Paint())


def test_what_a_limit_puts_off_is_due_all_the_same() -> None:
    two = (transfer("11-20", id=1, name="ads"), transfer("1-10", id=2, name="new"))
    made = plan(*two, limits=Limits(max_creates_per_apply=1))
    assert len(made.actions) == 1
    assert sorted(map(len, due_days(made).values())) == [10, 10]


def test_another_api_is_a_difference() -> None:
    assert differences(BASE, replace(BASE, api_url="https://other.example/v1")) == [
        "another API: https://other.example/v1"
    ]


def lacking(plan: Plan, team_id: int) -> Plan:
    """A plan in which a team could not be planned."""
    return replace(plan, teams=tuple(one for one in plan.teams if one.team_id != team_id), errored=True)


MORE = plan(transfer("1-12", id=1, name="ads"), transfer("1-10", id=2, name="crm"))
OTHER = planned(team(transfer("1-5", address=Address(6, 9), name="shop"), team_id=6), observed())
EARLIER = "Not known of team 6 (the earlier plan could not be planned there).\n"
LATER = EARLIER.replace("earlier", "later")


@pytest.mark.parametrize(
    ("before", "after", "more", "same", "ids", "words"),
    [
        (lacking(whole(*BASE.teams, OTHER), 6), whole(*MORE.teams, OTHER), 2, False, [6], EARLIER),
        (whole(*BASE.teams, OTHER), lacking(whole(*BASE.teams, OTHER), 6), 0, None, [6], LATER),
        (lacking(BASE, TEAM), BASE, 0, None, [TEAM], EARLIER.replace("6", str(TEAM))),
        (
            *(lacking(BASE, TEAM), lacking(BASE, TEAM), 0, None, []),
            "Not known of a team (the earlier plan and the later plan could not be planned there).\n",
        ),
        (lacking(BASE, 6), BASE, 0, None, [], EARLIER.replace("team 6", "a team")),
        (
            *(lacking(whole(*BASE.teams, OTHER), 6), lacking(whole(*BASE.teams, OTHER), TEAM)),
            *(0, None, [TEAM, 6], f"{EARLIER[:-2]} and team {TEAM} ({LATER[21:]}"),
        ),
        (BASE, whole(*BASE.teams, OTHER), 5, False, [], "5 days more.\n"),
    ],
)
def test_of_a_team_that_could_not_be_planned_no_difference_is_told(
    before: Plan, after: Plan, more: int, same: bool | None, ids: list[int], words: str
) -> None:
    found = changes_of(before, after)
    told = changes_json(before, after, found)
    assert (told["days"], told["same"], told["unknown_teams"]) == ({"more": more, "fewer": 0}, same, ids)
    assert told["incomplete"] == [name for name, one in (("from", before), ("to", after)) if one.errored]
    unknown = unknown_of(before, after, "the earlier plan", "the later plan")
    text = changes_text(found, Paint(), 200, unknown)
    assert words in text
    assert ("No difference" in text) is False
    assert text.endswith("days more.\n" if more else "there).\n")


def test_a_plan_that_lacks_a_team_is_not_the_approved_one() -> None:
    assert differences(BASE, lacking(BASE, TEAM))


def test_of_many_teams_the_first_are_named() -> None:
    many = tuple(replace(OTHER, team_id=one) for one in range(10, 15))
    told = unknown_of(replace(BASE, errored=True), whole(*BASE.teams, *many), "a", "b")
    assert told == "not known of teams 10, 11, 12 and 2 more (a could not be planned there)"


DECLARED = st.dictionaries(
    st.integers(1, 4), st.sets(st.integers(0, 12), min_size=1).map(lambda days: DateSet.days(sorted(days)))
)


@settings(max_examples=60, deadline=None)
@given(DECLARED, DECLARED)
def test_the_days_are_those_of_the_sets(old: dict[int, DateSet], new: dict[int, DateSet]) -> None:
    before, after = _of(old), _of(new)
    found = changes_of(before, after)
    gone, come = planned_days(before.actions), planned_days(after.actions)
    assert _days(found, "more") == come - gone
    assert _days(found, "fewer") == gone - come


def _of(days: dict[int, DateSet]) -> Plan:
    texts = {one: [f"{a + 1}-{b}" for a, b in found.intervals] for one, found in days.items()}
    return plan(*(transfer(*parts, id=one) for one, parts in texts.items()))


def _days(found: tuple[Changed, ...], name: str) -> DaysByTransfer[Address]:
    return DaysByTransfer((one.address, getattr(one, name)) for one in found)
