"""What is done is what was shown: slow answers, guards, saved plans again and out of order, digests."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    API,
    DAY,
    HOUR,
    MINUTE,
    ONE,
    TEAM,
    TWO,
    Act,
    Faulty,
    Killed,
    Rig,
    Witness,
    answered,
    but_for_what_goes_on,
    killed,
    lost,
    not_sent,
    passed,
)

from reconciler.bounds import MAX_EXPIRY
from reconciler.dates import DaysByTransfer, iso, last_iso
from reconciler.engine.results import Overriding, Report, Situations, TeamsPlan, Terms, plan
from reconciler.engine.run import Apply
from reconciler.engine.stop import Interrupts
from reconciler.errors import ApiUnavailable, Refused, UsageError
from reconciler.events import AppliedBefore, Created, LeftUndone, Planned, RunEvent
from reconciler.formats.planfile import digest, read_plan
from reconciler.http import Request, Response, Transport
from reconciler.model.memory import Outcome
from reconciler.planning.approval import Approval
from reconciler.planning.plan import Options, Plan, all_findings

MONTH = ONE.replace("2024-05-10", "2024-05-30")
WHOLE_MONTH = "2024-05-01..2024-05-30"


@dataclass
class Ran:
    """An apply that ended: what it showed, what it told, and what it sent."""

    report: Report = field(default_factory=lambda: Report((), frozenset()))
    events: list[RunEvent] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)

    @property
    def exit(self) -> int:
        return self.report.exit

    @property
    def shown(self) -> list[list[str]]:
        """The actions of each plan that was shown."""
        return [_ranges(one.plan) for one in self.events if isinstance(one, Planned)]

    @property
    def created(self) -> list[str]:
        return sorted(_range(one.action) for one in self.events if isinstance(one, Created))

    @property
    def undone(self) -> dict[str, str]:
        return {_range(one): one.reason for one in self.events if isinstance(one, LeftUndone)}

    @property
    def applied_before(self) -> bool:
        return any(isinstance(one, AppliedBefore) for one in self.events)


def _range(days: Any) -> str:
    return f"{iso(days.start)}..{last_iso(days.end)}"


def _ranges(shown: Plan) -> list[str]:
    return sorted(map(_range, shown.actions))


def never(_plan: Plan) -> bool:
    raise AssertionError("it was asked")


def yes(_plan: Plan) -> bool:
    return True


def run(
    rig: Rig,
    *acts: Act,
    confirm: Callable[[Plan], bool] = never,
    ran: Ran | None = None,
    interrupts: Interrupts | None = None,
    **terms: Any,
) -> Ran:
    """Apply as the command does. Whatever was done is a part of what was shown last."""
    ran = ran or Ran()
    witness = Witness(Faulty(rig.wire(), list(acts)), rig.folder)
    team_run = replace(rig.run(witness), on_event=but_for_what_goes_on(ran.events))
    ran.sent = witness.sent
    applying = Apply(
        *([team_run], Terms(**terms), rig.flags, rig.clock(), interrupts or Interrupts()),
        *(confirm, ran.events.append, Options()),
    )
    ran.report = applying.run()
    posts = [one.json for one in ran.sent if one.method == "POST" and isinstance(one.json, dict)]
    asked = {f"{one['range_start']}..{one['range_end']}" for one in posts}
    assert asked <= set(ran.shown[-1] if ran.shown else ())
    return ran


def made_plan(rig: Rig) -> TeamsPlan:
    return plan(Situations(API, rig.time.wall(), (rig.run().look(),)))


def saved(rig: Rig) -> Plan:
    """Plan, and read the plan back from what was saved of it."""
    return read_plan(made_plan(rig).to_json())


# --- the yes is to what is done -------------------------------------------------------------------


@pytest.fixture
def crowded(tmp_path: Path) -> Rig:
    """A rig of whose 30 days people's backfills hold 20."""
    rig = Rig(tmp_path, MONTH)
    rig.foreign(1, "2024-05-01", "2024-05-10")
    rig.foreign(1, "2024-05-16", "2024-05-25")
    return rig


def ends(rig: Rig, seconds: float) -> None:
    """Let people's backfills be cancelled, and time pass."""
    for one in rig.people.list_incomplete().backfills:
        rig.people.cancel(one.id)
    rig.later(seconds)


def test_a_slow_yes_to_a_plan_that_changed_is_asked_for_again(crowded: Rig) -> None:
    answers = [lambda: ends(crowded, 62), lambda: None]
    ran = run(crowded, confirm=lambda _plan: answers.pop(0)() is None)
    first, second = ran.shown
    assert first == ["2024-05-11..2024-05-15", "2024-05-26..2024-05-30"]
    assert second == ran.created == [WHOLE_MONTH]
    assert [one.again for one in ran.events if isinstance(one, Planned)] == [False, True]


def test_a_clock_that_is_set_back_makes_no_yes_young(crowded: Rig) -> None:
    def set_back() -> None:
        ends(crowded, HOUR)
        crowded.time.skew -= 2 * HOUR

    answers = [set_back, lambda: None]
    ran = run(crowded, confirm=lambda _plan: answers.pop(0)() is None)
    assert ran.shown[1] == ran.created == [WHOLE_MONTH]


def test_a_no_to_the_second_plan_does_nothing(crowded: Rig) -> None:
    answers = [True, False]

    def confirm(_plan: Plan) -> bool:
        ends(crowded, 62)
        return answers.pop(0)

    ran = run(crowded, confirm=confirm)
    assert (ran.report.declined, ran.exit, ran.sent) == (True, 1, [])


def test_a_guard_is_asked_of_what_would_be_done_after_a_slow_yes(crowded: Rig) -> None:
    crowded.declare(MONTH.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 10}\n"))
    ran = Ran()
    with pytest.raises(Refused, match="A guard refuses"):
        run(crowded, confirm=lambda _plan: ends(crowded, 62) is None, ran=ran)
    assert (ran.sent, len(ran.shown)) == ([], 2)


def test_a_slow_yes_to_what_has_not_changed_is_a_yes(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MONTH)
    asked = []

    def confirm(shown: Plan) -> bool:
        rig.later(HOUR)
        asked.append(shown)
        return True

    assert run(rig, confirm=confirm).created == [WHOLE_MONTH]
    assert len(asked) == 1


def test_after_a_slow_yes_nothing_may_be_left_to_do(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def confirm(_plan: Plan) -> bool:
        rig.foreign(1, "2024-05-01", "2024-05-10")
        rig.later(62)
        return True

    ran = run(rig, confirm=confirm)
    assert (ran.exit, ran.sent, ran.shown) == (0, [], [["2024-05-01..2024-05-10"], []])


# --- a saved plan ---------------------------------------------------------------------------------

FAILING = {1: {"fail_days": {"2024-05-04": {"times": 1}}}}


@pytest.mark.parametrize("ahead", [-600.0, 0.0, 600.0], ids=["behind", "alike", "ahead"])
@pytest.mark.parametrize("passed_by", [0.0, DAY])
def test_a_saved_plan_is_carried_out_once_whatever_the_clocks_say(
    ahead: float, passed_by: float, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, TWO, transfers=FAILING)
    rig.time.skew = ahead
    approved = saved(rig)
    rig.time.skew = 0.0
    assert run(rig, approved=approved).exit == 0
    rig.later(passed_by)  # a day has failed by then
    for skew in (-600.0, 600.0):
        rig.time.skew = skew
        again = run(rig, approved=approved)
        assert (again.exit, again.sent, again.applied_before) == (0, [], True)
    assert len(rig.made(1)) == len(rig.made(2)) == 1


@pytest.mark.parametrize("ahead", [0.0, 600.0])
def test_a_saved_plan_is_not_done_again_when_its_intents_are_forgotten(ahead: float, tmp_path: Path) -> None:
    """What was made under it stays known, with its serial; the plan was made by a clock that is ahead."""
    rig = Rig(tmp_path, TWO)
    rig.know_us()
    rig.time.skew = ahead
    approved = saved(rig)
    rig.time.skew = 0.0
    assert run(rig, passed, answered(422, "X"), approved=approved, expiry=MAX_EXPIRY).exit == 3
    (made,) = rig.sandbox.backfills()
    rig.people.cancel(int(made["transfer_backfill_id"]))
    rig.later(29 * DAY)
    rig.apply(approval=Approval(DaysByTransfer(), frozenset()))  # a night that may do nothing
    rig.later(DAY + 120)
    rig.apply(approval=Approval(DaysByTransfer(), frozenset()))
    assert not [one for one in rig.document().intents.values() if one.outcome is Outcome.DONE]
    with suppress(Refused):
        run(rig, approved=approved, expiry=MAX_EXPIRY)
    assert len([one for one in rig.sandbox.backfills() if one["transfer_id"] == made["transfer_id"]]) == 1


def test_a_saved_plan_again_names_what_is_due_since_as_the_next_plan_s(tmp_path: Path) -> None:
    rig = Rig(tmp_path, transfers=FAILING)
    approved = saved(rig)
    run(rig, approved=approved)
    rig.later(DAY)
    again = run(rig, approved=approved)
    (told,) = [one.plan for one in again.events if isinstance(one, Planned)]
    assert [(one.reason, _range(one)) for one in told.teams[0].items] == [
        ("not-approved", "2024-05-04..2024-05-04")
    ]
    assert run(rig, confirm=yes).report.totals["retried"] == 1


CUTS: dict[str, tuple[Act, ...]] = {
    "rate limit": (answered(429, None, retry_after="1000"),),
    "used up after the first": (passed, answered(429, None, retry_after="1000")),
    "killed before it was sent": (killed(after=False),),
    "killed after it was sent": (killed(after=True),),
    "killed at the second": (passed, killed(after=False)),
    "lost, and not made": (lost(after=False),),
    "lost, and made": (lost(after=True),),
    "no connection": (not_sent,) * 30,
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_job_that_was_cut_short_is_finished_by_the_same_job(cut: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    approved = saved(rig)
    with suppress(Killed):
        assert run(rig, *CUTS[cut], approved=approved).exit in (0, 3, 4, 69)
    rig.later(16 * MINUTE)
    assert run(rig, approved=approved).exit == 0
    last = run(rig, approved=approved)
    assert (last.exit, last.sent, last.applied_before) == (0, [], True)
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


def test_a_job_that_was_interrupted_is_finished_by_the_same_job(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    approved, interrupts = saved(rig), Interrupts()

    def interrupted(inner: Transport, request: Request, timeout: float) -> Response:
        interrupts.signal.interrupt(signal.SIGINT)
        return passed(inner, request, timeout)

    assert run(rig, interrupted, interrupts=interrupts, approved=approved).exit == 130
    assert run(rig, approved=approved).exit == 0
    assert run(rig, approved=approved).applied_before
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


def test_a_plan_made_on_a_later_state_than_is_here_is_refused(tmp_path: Path) -> None:
    """A cache gave the folder back as it was before."""
    rig = Rig(tmp_path)
    run(rig, confirm=yes)
    rig.declare(TWO)
    copy = rig.folder / "copy"
    shutil.copytree(rig.folder / "state", copy)
    run(rig, confirm=yes)
    rig.later(DAY)
    approved = saved(rig)
    shutil.rmtree(rig.folder / "state")
    copy.rename(rig.folder / "state")
    with pytest.raises(Refused) as refused:
        run(rig, approved=approved)
    assert "is older than the one it was made against" in refused.value.detail


def test_a_day_made_in_the_plan_s_absence_is_not_made_again_under_it(tmp_path: Path) -> None:
    """Saved plans out of order: the older one creates nothing that came after it."""
    rig = Rig(tmp_path, transfers=FAILING)
    older = saved(rig)
    run(rig, confirm=yes)
    rig.later(DAY)
    ran = run(rig, approved=older)
    assert (ran.sent, ran.exit) == ([], 0)


def test_a_guard_is_asked_of_what_is_left_of_a_saved_plan(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MONTH)
    approved = saved(rig)
    guarded = MONTH.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 20}\n")
    rig.declare(guarded)
    with pytest.raises(Refused, match="A guard refuses"):
        run(rig, approved=approved)
    rig.foreign(1, "2024-05-01", "2024-05-10")
    assert run(rig, approved=approved).created == ["2024-05-11..2024-05-30"]


def test_rows_are_guarded_where_a_history_grows_at_its_end(tmp_path: Path) -> None:
    """Of the days that are due none was loaded yet: what those before them had tells what is to come."""
    text = ONE.replace("version: 1\n", "version: 1\nguards: {max_rows_per_apply: 24000}\n")
    by_day = {"seconds_per_run": 1, "runs_filter": "data_date"}
    rig = Rig(tmp_path, text.replace("2024-05-10", "2024-05-02"), settings=by_day)
    assert run(rig, approved=saved(rig)).created == ["2024-05-01..2024-05-02"]
    rig.later(DAY)
    rig.declare(text.replace("2024-05-01..2024-05-10", "2024-05-05..2024-05-29"))
    with pytest.raises(Refused, match="A guard refuses"):
        run(rig, approved=saved(rig))


def test_a_plan_that_a_guard_refused_may_be_done_where_none_does(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MONTH.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 20}\n"))
    approved = saved(rig)
    rig.declare(MONTH)
    assert run(rig, approved=approved).created == [WHOLE_MONTH]


# --- an override ----------------------------------------------------------------------------------

GUARDED = MONTH.replace("version: 1\n", "version: 1\nguards: {max_days_per_apply: 20}\n")
AGREED = Overriding(("max_days_per_apply",), "Agreed with finance", "https://ci.example/run/7")


@pytest.mark.parametrize("by", ["planfile", "digest"])
def test_an_override_lets_one_plan_pass_and_is_kept_with_who_and_why(by: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, GUARDED)
    approved = saved(rig)
    terms: dict[str, Any] = {"approved": approved} if by == "planfile" else {"expect": digest(approved)}
    with pytest.raises(Refused, match="A guard refuses"):
        run(rig, **terms)
    with pytest.raises(Refused, match="A guard refuses"):
        run(rig, **terms, overriding=replace(AGREED, guards=("max_rows_per_apply",)))
    assert rig.document().overrides == {}
    assert run(rig, **terms, overriding=AGREED).created == [WHOLE_MONTH]
    (kept,) = rig.document().overrides.values()
    assert (kept.digest, kept.guards, kept.reason, kept.run) == (digest(approved), *_told(AGREED))
    assert " on " in kept.who
    (told,) = (one for one in all_findings(made_plan(rig)) if one.rule == "PL004")
    assert "max_days_per_apply did not hold" in told.detail
    assert "Agreed with finance" in told.detail


def _told(said: Overriding) -> tuple[tuple[str, ...], str, str]:
    return said.guards, said.reason, said.run


def test_an_override_is_kept_before_anything_is_sent_and_told_until_a_later_plan_is_done(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, GUARDED)
    approved = saved(rig)
    with suppress(Killed):
        run(rig, killed(after=False), approved=approved, overriding=AGREED)
    assert [*rig.document().overrides] == [digest(approved)]
    rig.later(HOUR)
    assert run(rig, approved=approved, overriding=AGREED).created == [WHOLE_MONTH]
    rig.declare(GUARDED.replace("2024-05-30", "2024-05-31"))
    assert any(one.rule == "PL004" for one in all_findings(made_plan(rig)))
    assert run(rig, confirm=yes).created == ["2024-05-31..2024-05-31"]
    assert not any(one.rule == "PL004" for one in all_findings(made_plan(rig)))


def test_an_override_of_what_no_guard_refuses_leaves_no_trace(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MONTH)
    assert run(rig, approved=saved(rig), overriding=AGREED).created == [WHOLE_MONTH]
    assert rig.document().overrides == {}


@pytest.mark.parametrize(
    "terms, what",
    [
        ({"overriding": AGREED}, "for one plan"),
        ({"expect": "4" * 12, "overriding": Overriding(("x",), " ")}, "reason"),
    ],
)
def test_an_override_takes_one_plan_and_a_reason(terms: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        Terms(**terms)


LIMITED = MONTH.replace("version: 1\n", "version: 1\nlimits: {max_creates_per_apply: 1}\n")
LIMITED = LIMITED.replace("transfer_id: 1\n", "transfer_id: 1\n    chunk: week\n")


def test_what_a_limit_defers_now_the_same_plan_does_later(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MONTH)
    approved = saved(rig)
    rig.declare(LIMITED)
    for _run in range(5):
        ran = run(rig, approved=approved)
        assert (ran.exit, len(ran.created), ran.undone, ran.applied_before) == (0, 1, {}, False)
        rig.later(HOUR)
    assert run(rig, approved=approved).applied_before
    rig.once(1, WHOLE_MONTH)


@pytest.mark.parametrize(
    ("text", "undone"),
    [
        (ONE.replace("2024-05-10", "2024-05-07"), {"2024-05-08..2024-05-10": "not-declared"}),
        (ONE.replace("  a:\n", "  a:\n    paused: true\n"), {"2024-05-01..2024-05-10": "paused"}),
        (
            ONE.replace("ranges:", "evidence: backfills\n    ranges:").replace("2024-05-10", "2024-05-07"),
            {"2024-05-08..2024-05-10": "not-declared"},
        ),
    ],
)
def test_what_was_approved_and_is_not_done_is_named(
    text: str, undone: dict[str, str], tmp_path: Path
) -> None:
    rig = Rig(tmp_path)
    approved = saved(rig)
    rig.declare(text)
    ran = run(rig, approved=approved)
    assert (ran.undone, ran.exit) == (undone, 3)
    assert rig.document().applies == {}


@pytest.mark.parametrize(
    "text", [ONE.replace("id: 1\n", "id: 2\n"), ONE.replace("2024-05-01..2024-05-10", "2024-03-01")]
)
def test_a_plan_of_which_nothing_is_in_the_files_is_refused(text: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    approved = saved(rig)
    rig.declare(text)
    with pytest.raises(Refused, match="does not fit the files"):
        run(rig, approved=approved)


def test_strict_again_is_done_already_and_no_difference(tmp_path: Path) -> None:
    rig = Rig(tmp_path, transfers=FAILING)
    approved = saved(rig)
    run(rig, approved=approved, strict=True)
    rig.later(DAY)
    assert run(rig, approved=approved, strict=True).exit == 0


# --- an expected digest ---------------------------------------------------------------------------


def test_an_unchanged_plan_has_an_unchanged_digest(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO, transfers=FAILING)
    first = digest(made_plan(rig))
    rig.later(MINUTE)
    assert digest(made_plan(rig)) == first
    rig.foreign(7, "2024-05-01", "2024-05-10")  # no matter to it
    assert digest(made_plan(rig)) == first


def test_an_expected_plan_is_done_once_even_after_a_failure(tmp_path: Path) -> None:
    rig = Rig(
        tmp_path, transfers={1: {"fail_days": {f"2024-05-{day:02}": {"times": 1} for day in range(1, 11)}}}
    )
    wanted = digest(made_plan(rig))
    assert run(rig, expect=wanted[len("sha256:") :][:12]).exit == 0
    rig.later(HOUR * 4)
    retry = made_plan(rig)
    assert len(retry.actions) == 1
    assert digest(retry) != wanted
    again = run(rig, expect=wanted)
    assert (again.exit, again.sent, again.applied_before) == (0, [], True)


def test_after_a_create_the_digest_of_the_same_days_never_recurs(tmp_path: Path) -> None:
    """Each try fails wholly, and is cancelled by hand: the same days are due again, under the same date."""
    rig = Rig(tmp_path)
    digests = []
    for _try in range(3):
        digests.append(digest(made_plan(rig)))
        run(rig, expect=digests[-1])
        (active,) = [one.id for one in rig.people.list_incomplete().backfills]
        rig.people.cancel(active)
        rig.later(2 * HOUR)
    assert len(set(digests)) == 3
    for one in digests:
        assert run(rig, expect=one).applied_before


def test_another_plan_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    wanted = digest(made_plan(rig))
    rig.declare(MONTH)
    with pytest.raises(Refused, match="not the expected one"):
        run(rig, expect=wanted)


def test_an_expected_plan_that_was_cut_short_is_no_longer_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    wanted = digest(made_plan(rig))
    assert run(rig, passed, answered(429, None, retry_after="1000"), expect=wanted).exit == 69
    with pytest.raises(Refused, match="not the expected one"):
        run(rig, expect=wanted)


@pytest.mark.parametrize("text", ["", "sha256:", "44db48b8509", "sha256:44db48b8509", "4" * 65, "g" * 12])
def test_what_is_no_digest_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        Terms(expect=text)


# --- applied in full ------------------------------------------------------------------------------


def test_the_state_names_what_was_applied_in_full(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    wanted = digest(made_plan(rig))
    ran = run(rig, confirm=yes)
    (named,) = rig.document().applies.values()
    assert (named.digest, named.when) == (wanted, rig.time.wall())
    assert named.serial == rig.document().serial - 1
    assert " on " in named.who
    assert ran.exit == 0
    run(rig, confirm=yes)  # what it made was seen since
    serial = rig.document().serial
    run(rig, confirm=yes)
    assert rig.document().serial == serial, "nothing to do writes nothing"


@pytest.mark.parametrize("act", [answered(422), answered(429, None, retry_after="1000"), lost(after=False)])
def test_what_was_not_applied_in_full_is_not_named(act: Act, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    assert run(rig, act, confirm=yes).exit != 0
    assert rig.document().applies == {}


def test_what_others_did_is_not_named_for_the_same_plan_may_come_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    approved = saved(rig)
    theirs = rig.foreign(1, "2024-05-01", "2024-05-10")
    assert (run(rig, approved=approved).exit, rig.document().applies) == (0, {})
    rig.people.cancel(theirs)
    rig.later(2 * HOUR)
    again = made_plan(rig)
    assert digest(again) == digest(approved)
    assert run(rig, expect=digest(again)).created == ["2024-05-01..2024-05-10"]


def test_a_state_that_cannot_be_written_any_more_loses_only_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.engine import agreement

    def failing(*_given: Any) -> Any:
        raise ApiUnavailable("as good as any")

    monkeypatch.setattr(agreement, "remembering", failing)
    rig = Rig(tmp_path)
    ran = run(rig, confirm=yes)
    assert (ran.exit, len(ran.created), rig.document().applies) == (69, 1, {})
    assert rig.document().team_id == TEAM
