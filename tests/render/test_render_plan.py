"""What a person sees of a plan and a status: as it is at 40, 80 and 200 columns; and how long it may get.

The pictures lie in ``tests/cases/screens``: ``UPDATE_CASES=1 pytest tests/render`` draws them anew.
"""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "planning"))

from planning_values import (
    HOUR,
    NOW,
    UNREAD,
    ago,
    backfill,
    document,
    intent,
    named,
    observed,
    planned,
    record,
    segment,
    team,
    transfer,
    whole,
)

from reconciler.formats.messages import status_json
from reconciler.model.desired import Chunk, Desired, Limits
from reconciler.model.observed import ApiError
from reconciler.planning.ledger import Reason
from reconciler.planning.plan import Plan
from reconciler.planning.standing import standings, team_standings
from reconciler.render import reasons
from reconciler.render.fitting import fitted
from reconciler.render.status import status_text
from reconciler.render.text import Shown, plan_text
from reconciler.render.view import view_of
from reconciler.render.words import Paint

SCREENS = Path(__file__).parent.parent / "cases" / "screens"
SAID = ApiError(422, "UNPROCESSABLE_ENTITY", "It cannot be carried out: A range has at most 30 days", "R-1")
FAILED = {"failed": 1, "names": "3", "error": "Connection timeout to data source", "end_time": ago(30)}
LONG = "a-name-that-has-as-many-characters-as-a-name-may-have-63-of-them"[:63]
PLACES = {5: "sandbox · state ../state/sandbox"}


def everything() -> tuple[Plan, Desired]:
    """A plan with each kind of line there is."""
    wanted = team(
        transfer(
            segment("1-31", reason="History for the new warehouse"), segment("40-70", 8), name="google-ads"
        ),
        transfer("1-10", id=2, name="meta-eu", paused=True),
        transfer("1-10", id=3, name=LONG),
        transfer("1-62", id=4, name="weekly", chunk=Chunk.WEEK),
        transfer("1-10", id=6, name="refused"),
        limits=Limits(max_open_per_transfer=9, max_creates_per_apply=11),
    )
    seen = observed(backfill("40-45", "RUNNING", id=7, ran=0), transfers=named(1, 2, 3, 4, 6, paused=[3]))
    memory = document(
        record("1-31", "FAILED", id=8, ended_at=ago(30), **FAILED),
        intent("1-10", outcome="refused", at=ago(1), answer=SAID, transfer_id=6, sources=(6,)),
    )
    return whole(planned(wanted, seen, memory)), Desired((wanted,), (), {})


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("kind", ["plan", "status"])
def test_a_picture(kind: str, width: int) -> None:
    plan, desired = everything()
    if kind == "plan":
        text = plan_text(
            view_of(plan, PLACES, "reconciler apply --expect 44db48b85094"), Shown(Paint(), width)
        )
    else:
        _each, total = standings(plan, desired)
        text = status_text(team_standings(plan, desired, PLACES), total, Paint(), width)
    text = fitted(text, width)  # as on a terminal
    picture = SCREENS / f"{kind}-{width}.txt"
    if os.environ.get("UPDATE_CASES"):
        picture.write_text(text, "utf-8")
    assert text == picture.read_text("utf-8")


def test_colour_changes_nothing_but_colour() -> None:
    plan, desired = everything()
    plain = plan_text(view_of(plan, PLACES), Shown(Paint()))
    coloured = plan_text(view_of(plan, PLACES), Shown(Paint(True)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured
    _each, total = standings(plan, desired)
    plain = status_text(team_standings(plan, desired, PLACES), total, Paint())
    coloured = status_text(team_standings(plan, desired, PLACES), total, Paint(True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured


def test_thousands_of_transfers_that_wait_alike_are_counted() -> None:
    many = [transfer("1-10", id=number, name=f"transfer-{number:05}") for number in range(1, 3001)]
    plan = whole(planned(team(*many, limits=Limits(max_open_backfills=100)), observed()))
    text = plan_text(view_of(plan), Shown(Paint()))
    assert len(text.splitlines()) < 350
    assert "  … 99 more like this, 990 days (--all)\n" in text
    assert "  2,900 transfers have to wait: limits.max_open_backfills (100 of 100)\n" in text
    assert "  > 29,000 days, about 29 more applies (--all)\n" in text
    assert len(plan_text(view_of(plan), Shown(Paint(), whole=True)).splitlines()) > 6000


def test_a_status_counts_those_that_stand_alike() -> None:
    many = [transfer("1-10", id=number, name=f"transfer-{number:05}") for number in range(1, 3001)]
    crowded = team(*many, limits=Limits(max_open_backfills=100))
    plan, desired = whole(planned(crowded, observed())), Desired((crowded,), (), {})
    teams, total = team_standings(plan, desired), standings(plan, desired)[1]
    text = status_text(teams, total, Paint())
    told = " ".join(text.split())
    dots = "." * 14
    assert f"100 alike (--all) {dots} 0 % 0 / 1000 1000 to make" in told
    assert f"2,900 alike (--all) {dots} 0 % 0 / 29000 29000 for a later apply" in told
    assert len(text.splitlines()) < 350
    every = status_text(teams, total, Paint(), whole=True)
    assert every.count("transfer-0") == 3000
    unread = status_text(team_standings(whole(), desired), standings(whole(), desired)[1], Paint())
    assert "3,000 alike (--all)" in unread
    assert "? / 30000  not read" in unread


def test_pieces_of_one_range_are_one_line() -> None:
    plan = whole(planned(team(transfer("1-366", chunk=Chunk.MONTH)), observed()))
    told = [line for line in plan_text(view_of(plan), Shown(Paint())).splitlines() if " + " in line]
    assert len(told) == 2, told  # and the legend
    assert re.search(r"366 days  in 12 backfills", told[0])
    assert plan_text(view_of(plan), Shown(Paint(), whole=True)).count(" + 2024-") == 12


def test_many_ranges_of_one_reason_are_counted() -> None:
    wanted = transfer(*(str(day) for day in range(1, 60, 2)), paused=True)
    text = plan_text(view_of(whole(planned(team(wanted), observed()))), Shown(Paint()))
    assert text.count("paused by you") == 3
    assert "27 days  the same, in 27 ranges (--all)" in text


def test_every_reason_has_words() -> None:
    plan, _desired = everything()
    item = plan.teams[0].items[0]
    for reason in Reason:
        if reason not in (Reason.NONE, Reason.PAUSED) and reason.value not in reasons.DUE:
            words = reasons.words_of(replace(item, reason=reason.value, until=NOW + HOUR), NOW, False)
            assert words != reason.value, reason


def test_an_unknown_team_is_called_that() -> None:
    read: Any = team(transfer("1-10"), team_id=5)
    plan = replace(whole(planned(read, observed())), teams=(), errored=True)
    _each, total = standings(plan, Desired((read,), (), {}))
    text = status_text(team_standings(plan, Desired((read,), (), {})), total, Paint())
    assert text.startswith("Team 5 · unknown: it could not be read\n")
    assert text.count("unknown") == 3
    none = Desired((team(team_id=6), read), (), {})  # a selection may leave a team nothing
    told = status_text(team_standings(plan, none), standings(plan, none)[1], Paint())
    assert "1 transfer" in told


ANSWERED = {"outcome": "refused", "at": ago(1)}


def many(number: int, **more: Any) -> Any:
    return [transfer("1-10", id=one, name=f"transfer-{one}", **more) for one in range(1, number + 1)]


def test_what_is_not_alike_is_not_told_as_one() -> None:
    """A pause of the file and one at the vendor; refusals with different answers."""
    half = [*many(10, paused=True), *(replace_id(one, 50) for one in many(15))]
    seen = observed(transfers=named(*range(1, 100), paused=range(1, 100)))
    text = plan_text(view_of(whole(planned(team(*half), seen))), Shown(Paint()))
    assert "  10 transfers: paused by you\n    . 100 days (--all)\n" in text
    assert "  15 transfers: paused at the vendor; resume it there\n    ! 150 days (--all)\n" in text
    refusals = [
        intent(
            "1-10",
            nonce=str(one),
            answer=replace(SAID, message=f"said {one}"),
            transfer_id=one,
            sources=(one,),
            **ANSWERED,
        )
        for one in range(1, 26)
    ]
    text = plan_text(
        view_of(whole(planned(team(*many(25)), observed(), document(*refusals)))), Shown(Paint())
    )
    assert all(f"said {one}" in text.replace("\n" + " " * 40, " ") for one in range(1, 26))


def refused_alike(number: int) -> tuple[Plan, Desired]:
    wanted = team(*many(number))
    answers = [
        intent(
            "1-10",
            nonce=str(one),
            outcome="refused",
            at=ago(1),
            answer=replace(SAID, request_id=f"R-{one}"),
            transfer_id=one,
            sources=(one,),
        )
        for one in range(1, number + 1)
    ]
    return whole(planned(wanted, observed(), document(*answers))), Desired((wanted,), (), {})


def test_many_refusals_that_are_alike_are_told_once_with_what_lifts_them() -> None:
    plan, desired = refused_alike(30)
    told = (
        "refused 08:00 UTC: 422 UNPROCESSABLE_ENTITY: It cannot be carried out: A range has at most 30 days "
        "again from 2026-11-23 04:00 UTC, or once mended, for each as here: "
        "reconciler retry transfer-1"
    )
    text = plan_text(view_of(plan), Shown(Paint()))
    assert f"30 transfers: {told} ! 300 days (--all)" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "\n      reconciler retry transfer-1\n" in text
    text = status_text(team_standings(plan, desired), standings(plan, desired)[1], Paint())
    assert f"! 30 transfers 300 days {told}" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) < 20
    few, desired = refused_alike(3)
    text = status_text(team_standings(few, desired), standings(few, desired)[1], Paint())
    assert text.count("reconciler retry transfer-") == 3


def test_days_that_failed_and_are_made_again_tell_why() -> None:
    """Due again at once, or after a pause: nobody has to wait for the last attempt to read the reason."""
    wanted = team(transfer("1-31", name="ads"))
    for ended, told in (
        (
            ago(30),
            "+ ads 1 day (backfills.yaml:1) failed: Connection timeout to data source; to be made again",
        ),
        (
            ago(0.1),
            ". ads 1 day (backfills.yaml:1) failed: Connection timeout to data source; tried again from",
        ),
    ):
        failed = record("1-31", "FAILED", id=8, **{**FAILED, "ended_at": ended, "end_time": ended})
        plan, desired = whole(planned(wanted, observed(), document(failed))), Desired((wanted,), (), {})
        text = status_text(team_standings(plan, desired), standings(plan, desired)[1], Paint())
        assert told in " ".join(text.split())
        told_json = status_json(plan, *standings(plan, desired))
        (one,) = told_json["failed_before"] + [one for one in told_json["waiting"] if one.get("error")]
        assert one["error"] == "Connection timeout to data source"


def replace_id(one: Any, by: int) -> Any:
    number = one.address.transfer_id + by
    return replace(one, address=replace(one.address, transfer_id=number), name=f"transfer-{number}")


def test_a_command_for_several_ranges_is_for_all_of_them() -> None:
    wanted = transfer("1-4", "11-14", name="ads")
    refused = [intent(text, nonce=text, **ANSWERED) for text in ("1-4", "11-14")]
    plan = whole(planned(team(wanted), observed(), document(*refused)))
    assert "      reconciler retry ads\n" in plan_text(view_of(plan), Shown(Paint()))
    desired = Desired((team(wanted),), (), {})
    told = status_text(team_standings(plan, desired), standings(plan, desired)[1], Paint())
    assert "      reconciler retry ads\n" in told
    assert "ads  8 days" in told


def test_of_two_teams_a_command_names_one_transfer() -> None:
    refused = document(intent("1-4", **ANSWERED))
    plans = [planned(team(transfer("1-4", name="ads")), observed(), refused) for _ in range(2)]
    text = plan_text(view_of(whole(*plans)), Shown(Paint()))
    assert "reconciler retry 1 2024-01-01..2024-01-04\n" in text


def test_what_could_not_be_read_is_not_called_a_figure() -> None:
    wanted = team(transfer("1-10"))
    plan = whole(planned(wanted, observed(runs={1: UNREAD})))
    desired = Desired((wanted,), (), {})
    text = status_text(team_standings(plan, desired), standings(plan, desired)[1], Paint())
    assert "%" not in text
    assert "unknown  ? / 10  10 blocked" in text
    assert "1 transfer" in text
    assert text.splitlines()[3].endswith("unknown if synced, not healthy")


def test_wide_names_leave_the_count_in_one_piece() -> None:
    seen = observed(transfers=named(1))
    wide = {one: replace(info, name="広告の長い名前" * 3) for one, info in seen.transfers.items()}  # type: ignore[union-attr]
    plan = whole(planned(team(transfer("1-10")), replace(seen, transfers=wide)))
    for width in (40, 60, 80):
        text = fitted(plan_text(view_of(plan), Shown(Paint(), width)), width)
        assert any(line.endswith(" 0 of 10 days") for line in text.splitlines()), text


def test_the_legend_has_the_colours_of_its_signs() -> None:
    plan = whole(planned(team(transfer("1-10")), observed()))
    assert plan_text(view_of(plan), Shown(Paint(on=True))).count("\x1b[32m+\x1b[0m") == 2
