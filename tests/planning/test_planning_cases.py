"""The stories under ``tests/cases/plan``: a file, what the API answers, what we remember → the plan.

A case ends with the plan as people see it; its JSON form lies beside it. After a change that is
meant, rewrite both with ``UPDATE_CASES=1 pytest tests/planning/test_planning_cases.py``, and read
the difference. ``tests/cases/plan/README.md`` says what a case may hold.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from planning_values import API

from reconciler.api.wire import parse_backfill, parse_backfills, parse_runs, parse_transfers
from reconciler.bounds import DEFAULT_SETTLE
from reconciler.config.loading import read_files
from reconciler.dates import EMPTY, DateSet, Day, iso, parse_iso
from reconciler.formats.planfile import dump, encode_plan, read_plan
from reconciler.model.memory import BackfillRecord, DayEvidence, Document, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import Backfill, Cause, Observed, Unreadable
from reconciler.planning.plan import Plan
from reconciler.planning.planner import make_plan
from reconciler.planning.situation import weigh
from reconciler.render.text import Shown, plan_text
from reconciler.render.view import view_of
from reconciler.render.words import Paint

CASES = Path(__file__).parents[1] / "cases" / "plan"
PLAN = "\nplan: |\n"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


class _Loader(yaml.SafeLoader):
    """Leaves dates as text, as the API sends them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_case(path: Path) -> dict[str, Any]:
    case = yaml.load(path.read_text("utf-8"), _Loader)
    assert set(case) <= {"story", "file", "api", "state", "plan"}, "a key that no case may hold"
    return {"api": {}, "state": {}, **case}


# --- what the API answers, in the vendor's words ------------------------------------------


def observed_of(api: dict[str, Any]) -> Observed:
    listed = tuple(parse_backfills([_defaults(one) for one in api.get("list", [])]))
    full = len(listed) >= 100
    filler = api.get("list_filler", 0)
    if filler:
        listed, full = (*listed, *_strangers(filler)), len(listed) + filler >= 100
    return Observed(
        vendor_now=NOW,
        listed=listed,
        list_full=full,
        fetched={number: _maybe(one) for number, one in api.get("get", {}).items()},
        latest={number: _maybe(one) for number, one in api.get("latest", {}).items()},
        runs={number: _runs(answer) for number, answer in api.get("runs", {}).items()},
        transfers={one.id: one for one in parse_transfers(api["transfers"])} if "transfers" in api else None,
    )


def _defaults(one: dict[str, Any]) -> dict[str, Any]:
    return {"created_time": "2026-11-20T09:00:00Z", **one}


def _maybe(one: dict[str, Any] | None) -> Backfill | None:
    return None if one is None else parse_backfill(_defaults(one))


def _strangers(number: int) -> tuple[Backfill, ...]:
    """Return running backfills of another transfer of the team."""
    words = {"range_start_date": "2020-01-01", "range_end_date": "2020-01-31", "status": "RUNNING"}
    base = _defaults({"transfer_id": 999, **words})
    return tuple(parse_backfill({**base, "transfer_backfill_id": 90000 + one}) for one in range(number))


def _runs(answer: list[dict[str, Any]] | str) -> Any:
    if isinstance(answer, str):
        return Unreadable(Cause(answer))
    items = [
        {"id": number, "type": "Recurring", "status": "COMPLETED", "created_time": f"{day}T23:00:00Z"}
        | one
        | {"data_date": day}
        for number, (one, day) in enumerate(((one, day) for one in answer for day in _dates(one)), 1)
    ]
    return tuple(parse_runs(items))


def _dates(one: dict[str, Any]) -> list[str]:
    """``data_date`` may be a range here, for short."""
    return [iso(day) for day in _days(one["data_date"])]


# --- what we remember ---------------------------------------------------------------------


def document_of(state: dict[str, Any], team_id: int) -> Document:
    records = [_record(one) for one in state.get("backfills", [])]
    intents = [_intent(number, one) for number, one in enumerate(state.get("intents", []))]
    return Document(
        team_id,
        API,
        state.get("lineage", "6f9a1c1e"),
        state.get("serial", 1),
        intents={one.nonce: one for one in intents},
        backfills={one.id: one for one in records},
    )


def _record(words: dict[str, Any]) -> BackfillRecord:
    known = {name: _days(text) for name, text in words.get("evidence", {}).items()}
    return BackfillRecord(
        parse_backfill(_defaults(words)),
        words["transfer"],
        Origin(words.get("origin", "created")),
        evidence=DayEvidence(**known),
        settled=bool(known) and not known.get("unlocated"),
        stale_before=_time(words["stale_before"]) if "stale_before" in words else None,
        gone=words.get("gone", False),
        was_failed=words.get("was_failed", False),
    )


def _intent(number: int, words: dict[str, Any]) -> Intent:
    intended_at = _time(words["intended_at"])
    return Intent(
        nonce=f"nonce-{number}",
        kind=IntentKind(words.get("kind", "create")),
        transfer_id=words["transfer_id"],
        transfer=words["transfer"],
        start=parse_iso(words["start"]),
        end=parse_iso(words["end"]) + 1,
        intended_at=intended_at,
        send_before=intended_at + timedelta(seconds=60),
        latest_before=words.get("latest_before"),
        outcome=Outcome(words.get("outcome", "pending")),
        blocker=words.get("blocker"),
    )


def _days(text: str) -> DateSet:
    found = EMPTY
    for part in text.split():
        first, dots, last = part.partition("..")
        found |= DateSet.span(_day(first), _day(last if dots else first) + 1)
    return found


def _day(text: str) -> Day:
    return parse_iso(text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- the test -----------------------------------------------------------------------------


def plan_case(case: dict[str, Any], folder: Path) -> Plan:
    Path(folder, "backfills.yaml").write_text(case["file"], "utf-8")
    (team,) = read_files(["backfills.yaml"], as_of=None, now=NOW).teams
    seen, memory = observed_of(case["api"]), document_of(case["state"], team.team_id)
    return Plan(API, NOW, (make_plan(weigh(team, memory, seen, NOW, DEFAULT_SETTLE)),))


def paths() -> list[Path]:
    return sorted(CASES.glob("*.yaml"))


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_the_plan_of_a_story(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_case(read_case(path), tmp_path)
    text, document = plan_text(view_of(plan), Shown(Paint())), dump(encode_plan(plan, "0.1.0"))
    if os.environ.get("UPDATE_CASES"):
        _rewrite(path, text, document)
    assert read_case(path)["plan"] == text
    assert json.loads(path.with_suffix(".json").read_text("utf-8")) == json.loads(document)
    assert dump(encode_plan(read_plan(document), "0.1.0")) == document


def _rewrite(path: Path, text: str, document: str) -> None:
    told = path.read_text("utf-8").split(PLAN)[0].rstrip("\n")
    block = "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())
    path.write_text(f"{told}\n{PLAN}{block}", "utf-8")
    path.with_suffix(".json").write_text(document, "utf-8")


def test_there_are_stories_and_each_is_told() -> None:
    assert len(paths()) >= 12
    for path in paths():
        assert read_case(path)["story"].strip(), path.name
