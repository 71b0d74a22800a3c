"""The library's verbs, as code that embeds the project calls them: on a sandbox, with nothing around it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler.engine import team
from reconciler.engine.run import Report, Terms
from reconciler.engine.stop import Interrupts
from reconciler.errors import ConfigError, Interrupted, KeyProblem, Refused, StateLocked, UsageError
from reconciler.events import AppliedBefore, Created, Doing, Planned, Reading, RunEvent, Sending, Started
from reconciler.formats.planfile import digest, read_plan
from reconciler.model.desired import Desired
from reconciler.planning.plan import Plan
from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import running
from reconciler.stores.local import LocalStore

AS_OF = date(2024, 6, 1)
FILE = """\
version: 1
team_id: 12345
transfers:
  ads: {transfer_id: 1, ranges: [2024-05-01..2024-05-10]}
  web: {transfer_id: 2, ranges: [2024-04-01..2024-04-05]}
"""
FEWER = FILE.replace("05-10", "05-03")
OTHER_TEAM = """\
version: 1
team_id: 777
key_env: OTHER_KEY
transfers: {mail: {transfer_id: 3, ranges: [2024-05-01..2024-05-10]}}
"""
ALL = ["2024-04-01..2024-04-05", "2024-05-01..2024-05-10"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def api() -> Sandbox:
    return Sandbox.in_memory({"now": "2024-06-01T09:00:00Z"}, speed=0.0)


def load(*texts: str) -> Desired:
    for number, text in enumerate(texts or (FILE,)):
        Path(f"{number}.yaml").write_text(text, "utf-8")
    return reconciler.load([f"{number}.yaml" for number in range(len(texts) or 1)], as_of=AS_OF)


def yes(_plan: Plan) -> bool:
    return True


def no(_plan: Plan) -> bool:
    return False


def never(_plan: Plan) -> bool:
    raise AssertionError("it was asked")


def made(api: Sandbox) -> list[str]:
    return sorted(f"{one['range_start_date']}..{one['range_end_date']}" for one in api.backfills())


def apply(desired: Desired, api: Sandbox, confirm: Callable[[Plan], bool] = yes, **more: Any) -> Report:
    return reconciler.apply(desired, api=api, state="kept", confirm=confirm, **more)


def saved(desired: Desired, api: Sandbox) -> Plan:
    """Plan, and read the plan back from what was saved of it."""
    return read_plan(reconciler.plan(reconciler.observe(desired, api=api, state="kept")).to_json())


# --- load ---------------------------------------------------------------------------------------


def test_load_raises_all_findings() -> None:
    with pytest.raises(ConfigError) as raised:
        load(FILE.replace("05-10", "05-32").replace("transfer_id: 2", "transfer_id: none"))
    assert len(raised.value.findings) == 2
    assert raised.value.exit_status == 1


def test_load_refuses_a_date_to_come() -> None:
    Path("a.yaml").write_text(FILE, "utf-8")
    with pytest.raises(UsageError):
        reconciler.load(["a.yaml"], as_of=date(9999, 1, 1))


# --- observe and plan -----------------------------------------------------------------------------


def test_a_plan_is_made_without_writing_anything(api: Sandbox, folder: Path) -> None:
    plan = reconciler.plan(reconciler.observe(load(), api=api, state="kept"))
    assert [action.transfer for action in plan.actions] == ["ads", "web"]
    assert (plan.exit, plan.errored, plan.api_url) == (0, False, "sandbox")
    assert {request["method"] for request in api.requests()} == {"GET"}
    assert [path.name for path in folder.iterdir()] == ["0.yaml"]


@pytest.mark.parametrize("applied", [False, True])
def test_a_plan_as_json_is_what_the_command_prints(applied: bool) -> None:
    with Sandbox.open("world.db", {"now": "2024-06-01T09:00:00Z"}, speed=0.0) as api:
        if applied:
            apply(load(FEWER), api)  # then some days are covered, or in flight
        text = reconciler.plan(reconciler.observe(load(), api=api, state="kept")).to_json()
    command = [sys.executable, "-m", "reconciler", "plan", "--json", "-c", "0.yaml"]
    flags = ["--api", "sandbox:world.db", "--state", "kept", "--as-of", AS_OF.isoformat()]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60, check=True)
    assert _undated(text) == _undated(done.stdout)
    assert read_plan(text).actions


def _undated(text: str) -> str:
    changed, count = re.subn(r'"created_at": ".*"', '"created_at": ""', text)
    assert count == 1
    return changed


def test_a_team_that_cannot_be_read_is_a_finding_and_others_go_on(api: Sandbox) -> None:
    desired = load(FILE, OTHER_TEAM)
    with running(api.app) as url:
        asked: list[str] = []

        def key(key_env: str) -> str:
            asked.append(key_env)
            return "forbidden" if key_env == "OTHER_KEY" else "any"

        plan = reconciler.plan(reconciler.observe(desired, api=url, key=key, state="kept"))
    assert sorted(asked) == ["OTHER_KEY", "SUPERMETRICS_API_KEY"]
    assert [one.team_id for one in plan.teams] == [12345]
    assert [finding.rule for finding in plan.diagnostics] == ["key-problem"]
    assert "777" in plan.diagnostics[0].detail
    assert (plan.errored, plan.exit) == (True, 65)


def test_a_team_that_cannot_be_read_lets_an_apply_do_the_others(api: Sandbox) -> None:
    def key(key_env: str) -> str:
        return "forbidden" if key_env == "OTHER_KEY" else "any"

    with running(api.app) as url:
        report = reconciler.apply(load(FILE, OTHER_TEAM), api=url, key=key, state="kept", confirm=yes)
    assert (report.created, report.exit) == (2, 65)
    assert made(api) == ALL


def test_a_state_of_no_known_kind_is_wrong_usage(api: Sandbox) -> None:
    with pytest.raises(UsageError):
        reconciler.observe(load(), api=api, state="ftp://host/state")


def test_without_a_key_the_real_api_is_not_asked() -> None:
    desired, url = load(), "http://127.0.0.1:9/v1"
    plan = reconciler.plan(reconciler.observe(desired, api=url, state="kept"))
    assert (plan.teams, plan.exit) == ((), 65)
    with pytest.raises(KeyProblem):
        reconciler.apply(desired, api=url, state="kept", confirm=never)


def test_the_state_is_where_the_function_says(api: Sandbox, folder: Path) -> None:
    reconciler.apply(load(FILE, OTHER_TEAM), api=api, state=lambda team: f"of-{team.team_id}", confirm=yes)
    assert (folder / "of-12345" / "team-12345.db").exists()
    assert (folder / "of-777" / "team-777.db").exists()


# --- apply --------------------------------------------------------------------------------------


def test_apply_creates_what_is_missing_once(api: Sandbox) -> None:
    first, second = apply(load(), api), apply(load(), api, confirm=never)
    assert (first.created, first.exit, first.errors) == (2, 0, ())
    assert first.totals["days"] == 15
    assert (second.created, second.exit) == (0, 0)
    assert made(api) == ALL


def test_confirm_sees_the_plan_and_a_no_does_nothing(api: Sandbox) -> None:
    shown: list[Plan] = []
    report = apply(load(), api, confirm=lambda plan: bool(shown.append(plan)))
    assert (report.declined, report.exit, report.created) == (True, 1, 0)
    assert [len(plan.actions) for plan in shown] == [2]
    assert {request["method"] for request in api.requests()} == {"GET"}


def test_events_arrive_in_order(api: Sandbox) -> None:
    events: list[RunEvent] = []
    apply(load(), api, on_event=events.append)
    told = [type(event) for event in events if not isinstance(event, Doing)]
    assert told == [Planned, Started, Created, Created]
    going_on = [event for event in events if isinstance(event, Doing)]
    assert {type(event.what) for event in going_on} == {Reading, Sending, type(None)}
    ended = {event.key for event in going_on if event.what is None}
    assert {event.key for event in going_on} == ended, "what begins ends"
    assert {event.action.transfer for event in events if isinstance(event, Created)} == {"ads", "web"}


def test_an_event_of_a_create_comes_after_it_is_durable(api: Sandbox, folder: Path) -> None:
    seen: list[bool] = []

    def look(event: RunEvent) -> None:
        if isinstance(event, Created):
            document, _revision = LocalStore(str(folder / "kept"), 12345, "sandbox", "test").read()
            seen.append(document is not None and event.backfill_id in document.backfills)

    apply(load(), api, on_event=look)
    assert seen == [True, True]


def test_what_on_event_raises_stops_the_run_and_is_raised(api: Sandbox) -> None:
    def refuse(event: RunEvent) -> None:
        if isinstance(event, Started):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        apply(load(), api, on_event=refuse)
    assert made(api) == []
    assert apply(load(), api).created == 2


def test_an_approved_plan_is_a_filter_and_nobody_is_asked(api: Sandbox) -> None:
    approved = saved(load(FEWER), api)
    report = apply(load(), api, confirm=never, approved=approved)
    assert report.created == 2
    assert made(api) == ["2024-04-01..2024-04-05", "2024-05-01..2024-05-03"]


def test_a_plan_of_two_teams_is_applied_in_full_once_both_are(api: Sandbox) -> None:
    both = load(FILE, OTHER_TEAM)
    approved = saved(both, api)
    assert apply(both, api, confirm=never, approved=approved).created == 3
    for terms in (Terms(approved), Terms(expect=digest(approved)), Terms(approved, strict=True)):
        events: list[RunEvent] = []
        report = apply(both, api, confirm=never, terms=terms, on_event=events.append)
        assert (report.created, report.exit) == (0, 0)
        assert any(isinstance(event, AppliedBefore) for event in events)


def test_what_one_of_two_teams_could_not_do_is_not_applied_in_full(api: Sandbox) -> None:
    both = load(FILE, OTHER_TEAM)
    approved = saved(both, api)

    def key(key_env: str) -> str:
        return "forbidden" if key_env == "OTHER_KEY" else "any"

    with running(api.app) as url:
        there = replace(approved, api_url=url)
        told = {"api": url, "state": "kept", "confirm": never, "approved": there}
        assert reconciler.apply(both, key=key, **told).exit == 65  # type: ignore[arg-type]
        last = reconciler.apply(both, key="any", **told)  # type: ignore[arg-type]
    assert (last.created, last.exit) == (1, 0)


def test_an_approved_plan_of_another_state_is_refused(api: Sandbox) -> None:
    apply(load(FEWER), api)
    approved = saved(load(), api)
    os.rename("kept", "elsewhere")
    with pytest.raises(Refused):
        apply(load(), api, confirm=never, approved=approved)


def test_a_plan_beyond_a_guard_is_refused_before_anybody_is_asked(api: Sandbox) -> None:
    guarded = load(FILE + "guards: {max_days_per_apply: 3}\n")
    assert reconciler.plan(reconciler.observe(guarded, api=api, state="kept")).guarded
    with pytest.raises(Refused):
        apply(guarded, api, confirm=never)


def test_a_state_that_another_run_holds_is_locked(api: Sandbox) -> None:
    def meanwhile(_plan: Plan) -> bool:
        with pytest.raises(StateLocked):
            apply(load(), api, confirm=never)
        return True

    assert apply(load(), api, confirm=meanwhile).created == 2


def test_an_interrupt_before_anything_is_written_is_raised(api: Sandbox) -> None:
    interrupts = Interrupts()
    interrupts.signal.interrupt(signal.SIGTERM)
    with pytest.raises(Interrupted):
        apply(load(), api, confirm=never, interrupts=interrupts)
    assert made(api) == []


def test_an_interrupt_later_is_in_the_report(api: Sandbox) -> None:
    interrupts = Interrupts()

    def interrupt(event: RunEvent) -> None:
        if isinstance(event, Started):
            interrupts.signal.interrupt(signal.SIGTERM)

    report = apply(load(), api, on_event=interrupt, interrupts=interrupts)
    assert (report.created, report.exit) == (0, 143)


# --- what is around it ----------------------------------------------------------------------------


class Watched(dict[str, str]):
    """An environment that tells who asks it for what is ours."""

    asked: list[str]

    def _ask(self, name: object) -> None:
        if str(name).startswith(("SUPERMETRICS_", "RECONCILER_")):
            self.asked.append(str(name))

    def __getitem__(self, name: str) -> str:
        self._ask(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._ask(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self._ask(name)
        return super().__contains__(name)


def test_nothing_is_printed_and_no_environment_is_read(
    api: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(os.environ, SUPERMETRICS_API_KEY="invalid", RECONCILER_STATE="wrong", CI="true")
    watched.update(RECONCILER_API_URL="http://127.0.0.1:9/v1", RECONCILER_LOG="debug")
    watched.asked = []
    monkeypatch.setattr(os, "environ", watched)
    desired = load()
    with running(api.app) as url:
        assert reconciler.plan(reconciler.observe(desired, api=url, key="any", state="kept")).exit == 0
        report = reconciler.apply(desired, api=url, key="any", state="kept", confirm=yes)
    assert (report.created, report.exit) == (2, 0)
    assert watched.asked == []
    assert not (folder / "wrong").exists()
    assert tuple(capfd.readouterr()) == ("", "")


def test_no_signal_handler_is_set(api: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object) -> None:
        raise AssertionError("a signal handler was set")

    monkeypatch.setattr(signal, "signal", forbidden)
    assert apply(load(), api).exit == 0


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError):
        reconciler.destroy  # noqa: B018


# --- how often it is planned ------------------------------------------------------------------------


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each time that a team is planned."""
    counted: list[object] = []
    make_plan = team.make_plan

    def counting(*arguments: Any) -> Any:
        counted.append(arguments)
        return make_plan(*arguments)

    monkeypatch.setattr(team, "make_plan", counting)
    return counted


def test_an_apply_plans_each_team_once(api: Sandbox, plans: list[object]) -> None:
    assert apply(load(), api).created == 2
    assert len(plans) == 1, "the first apply"
    apply(load(), api)
    assert len(plans) == 2, "a later one, with nothing to do"
    apply(load(FILE, OTHER_TEAM), api)
    assert len(plans) == 4, "two teams"


def test_an_apply_of_an_approved_plan_plans_once(api: Sandbox, plans: list[object]) -> None:
    approved = saved(load(), api)
    assert len(plans) == 1, "the plan itself"
    assert apply(load(), api, confirm=never, approved=approved).created == 2
    assert len(plans) == 2


def test_only_a_comparison_plans_a_second_time(api: Sandbox, plans: list[object]) -> None:
    approved = saved(load(), api)
    plans.clear()
    assert apply(load(), api, confirm=never, terms=Terms(approved, strict=True)).created == 2
    assert len(plans) == 2


def test_an_expected_digest_costs_no_more_than_one_plan(api: Sandbox, plans: list[object]) -> None:
    expected = digest(saved(load(), api))
    plans.clear()
    assert apply(load(), api, confirm=never, terms=Terms(expect=expected)).created == 2
    assert len(plans) == 2
    assert apply(load(FEWER), api, confirm=never, terms=Terms(expect=expected)).exit == 0
