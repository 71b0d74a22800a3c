"""World files: a complete one reads as meant, and every mistake is named with its place."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox import AnswerLost, Sandbox, Scene, SceneError
from reconciler.sandbox.access import Key
from reconciler.sandbox.scene import read_scene, scene_of

WORLD = """
now: 2026-11-22T09:00:00Z
open: false
keys: {rw-key: [read, write], ro-key: {scopes: [read], user_id: 790}}
settings:
  overlap_status: 409
  commit: late:5
  max_range_days: null
teams:
  12345:
    transfers:
      456789: {name: Google Ads daily, state: active, rows_per_day: 1000, recurring_since: 2026-11-01,
               schedule: {at: "02:00", window: 1, includes_today: false},
               fail_days: {2024-01-15: {error: Connection timeout to data source, times: 1}},
               empty_days: [2024-01-16], runs_per_day: 1, run_every_days: 1,
               run_status: {2024-01-14: SKIPPED}, undated_days: [],
               refuse: {status: 403, code: LICENSE_HISTORICAL_RANGE_EXCEEDED, call: latest}}
    backfills:
      - {transfer_backfill_id: 12346, transfer_id: 456789, range_start_date: 2024-01-15,
         range_end_date: 2024-01-31, status: RUNNING, transfer_runs_completed: 10}
"""


def test_a_complete_world_file(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text(WORLD, encoding="utf-8")
    scene = read_scene(path)
    assert scene.settings.overlap_status == 409
    assert scene.settings.late_seconds == 5
    assert scene.keys == {"rw-key": Key(("read", "write"), 789), "ro-key": Key(("read",), 790)}
    sandbox = Sandbox.in_memory(path, clock=lambda: 0.0)
    assert sandbox.now_text() == "2026-11-22T09:00:00Z"
    assert sandbox.backfills()[0] == {
        "transfer_backfill_id": 12346,
        "transfer_id": 456789,
        "range_start_date": "2024-01-15",
        "range_end_date": "2024-01-31",
        "created_time": "2026-11-22T08:49:00Z",
        "created_user_id": 789,
        "start_time": "2026-11-22T08:50:00Z",
        "end_time": None,
        "status": "RUNNING",
        "transfer_runs_total": 17,
        "transfer_runs_created": 17,
        "transfer_runs_completed": 10,
        "transfer_runs_failed": 0,
        "error_report": [],
    }
    sandbox.advance(3600)
    ended = sandbox.backfills()[0]
    assert (ended["status"], ended["transfer_runs_failed"]) == ("FAILED", 1)
    assert ended["error_report"][0]["transfer_run_date"] == "2024-01-15"


def test_a_scene_opens_many_worlds() -> None:
    scene = scene_of({"teams": {1: {"transfers": {2: {"fail_days": {"2024-01-01": {}}}}}}})
    for _ in range(2):
        sandbox = Sandbox.in_memory(scene, clock=lambda: 0.0)
        transfer = scene.transfers[0]
        assert (len(transfer.fail_days), transfer.number) == (1, 0)
        sandbox.reset(scene)
    assert Scene() == scene_of(None) == scene_of({})


RANGE = {"transfer_id": 1, "range_start_date": "2024-01-01", "range_end_date": "2024-01-10"}


def given(**fields: Any) -> dict[str, Any]:
    return {"teams": {1: {"backfills": [{"transfer_backfill_id": 5, "status": "RUNNING"} | RANGE | fields]}}}


HERE = r"teams\.1\.backfills\[0\]"


@pytest.mark.parametrize(
    "data, message",
    [
        ({"setings": {}}, r"^'setings' is not known here; did you mean 'settings'\?"),
        ({"settings": {"overlap": 409}}, r"^settings: 'overlap' .* did you mean 'overlap_status'"),
        ({"settings": {"envelope": "yes"}}, r"^settings\.envelope: 'yes' is not true or false"),
        ({"settings": []}, r"settings: .*"),
        ({"now": "soon"}, r"^now: 'soon' is not a time"),
        ({"open": "no"}, r"^open: 'no' is not true or false"),
        ({"keys": {"k": ["admin"]}}, r"^keys\.k: must be a list of read and write"),
        ({"keys": ["k"]}, r"^keys: must be a mapping"),
        ({"teams": {"x": {}}}, r"^teams: 'x' is not an id"),
        ({"teams": {0: {}}}, r"^teams: 0 is not an id"),
        ({"teams": {1: {"transfer": {}}}}, r"^teams\.1: 'transfer' .* did you mean 'transfers'"),
        ({"teams": {1: {"transfers": {2: {"stat": "x"}}}}}, r"^teams\.1\.transfers\.2: 'stat' .* 'state'"),
        ({"teams": {1: {"transfers": {2: {"state": "off"}}}}}, r"transfers\.2\.state: 'off' is neither"),
        ({"teams": {1: {"transfers": {2: {"rows_per_day": -1}}}}}, r"rows_per_day: -1"),
        (
            {"teams": {1: {"transfers": {2: {"recurring_since": "May"}}}}},
            r"recurring_since: 'May' is not a date",
        ),
        ({"teams": {1: {"transfers": {2: {"fail_days": {"2024-02-30": {}}}}}}}, r"fail_days: "),
        ({"teams": {1: {"transfers": {2: {"fail_days": {"2024-02-03": {"times": -1}}}}}}}, r"times: -1"),
        ({"teams": {1: {"transfers": {2: {"fail_days": {"2024-02-03": {"error": ""}}}}}}}, r"1 to 1000"),
        ({"teams": {1: {"backfills": {}}}}, "must be a list"),
        ({"teams": {1: {"backfills": {"a": 1}}}}, r"^teams\.1\.backfills: must be a list"),
        ({"teams": {1: {"backfills": [1]}}}, HERE + ": must be a mapping"),
        ({"teams": {1: {"backfills": [{}]}}}, HERE + ": transfer_backfill_id is missing"),
        (given(state="RUNNING"), HERE + r": 'state' .* did you mean 'status'"),
        (given(status="RUNING"), HERE + r"\.status: 'RUNING' .* did you mean 'RUNNING'"),
        (given(transfer_id=0), HERE + r"\.transfer_id: 0 is not an id"),
        (given(range_end_date="2023-01-01"), "range_end_date is before"),
        (given(transfer_runs_completed=-1), "transfer_runs_completed: -1"),
        (given(created_time="2024-01-01"), "created_time: '2024-01-01' is not a time"),
        (given(error_report=[{"error": "x"}]), r"error_report\[0\]: needs"),
        (given(error_report=[{"transfer_run_date": "2025-01-01", "error": "x"}]), "is not in the range"),
        (given(error_report=[{"transfer_run_date": "2024-01-01", "error": "x"}]), "has not run yet"),
        (given(created_time="2090-01-01T00:00:00Z"), "is in the future"),
        (given(transfer_runs_total=11), "the range has 10 days"),
        (given(transfer_runs_completed=10), "no run is left"),
        (given(status="CREATED", transfer_runs_completed=1), "CREATED, yet 1 runs"),
        (given(removed_time="2024-01-01T00:00:00Z"), "were not removed"),
    ],
)
def test_mistakes_are_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        Sandbox.in_memory(data)


def test_a_backfill_given_twice() -> None:
    data = given()
    data["teams"][1]["backfills"] *= 2
    with pytest.raises(SceneError, match="backfill 5 is given twice"):
        scene_of(data)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [", r"world\.yaml: line \d+: not YAML"),
        ("now: 1\nnow: 2", r"world\.yaml: line 2: 'now' is a duplicate key"),
        ("- 1", r"must be a mapping, not list"),
        ("now: !!python/name:os.system x", r"line 1: not YAML"),
        ("now: 2024-02-30", r"not YAML"),
        ("teams: {1: {transfers: {2: {refuse: {message: no}}}}}", r"2\.refuse\.message: False is no text"),
        ("teams: {1: {transfers: {2: {name: }}}}", r"2\.name: None is no text: put it in quotes"),
    ],
)
def test_yaml_mistakes_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "world.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SceneError, match=message):
        read_scene(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot be read"):
        read_scene(tmp_path / "nowhere.yaml")


def test_the_import_is_cheap() -> None:
    code = (
        "import sys; import reconciler.sandbox as s; assert 'reconciler.sandbox.world' not in sys.modules;"
        "s.Sandbox.in_memory(); assert not {'yaml', 'sqlite3', 'httpx', 'http.server'} & set(sys.modules);"
        "ours = {m for m in sys.modules if m.startswith('reconciler.')} - {'reconciler.version'};"
        "assert all(m.startswith('reconciler.sandbox') for m in ours), ours"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_skewed_clock_leaves_given_times_alone() -> None:
    data = given(created_time="2024-03-01T00:00:00Z", start_time="2024-03-01T00:00:05Z")
    sandbox = Sandbox.in_memory(data | {"settings": {"clock_skew_seconds": 100}}, clock=lambda: 1.8e9)
    found = sandbox.backfills()[0]
    assert (found["created_time"], found["start_time"]) == ("2024-03-01T00:00:00Z", "2024-03-01T00:00:05Z")


def test_a_clock_set_back_does_not_turn_the_world_back() -> None:
    clock = [1000.0]
    sandbox = Sandbox.in_memory(clock=lambda: clock[0])
    clock[0] = 500.0
    assert sandbox.now() == 1000.0


def test_httpx_in_process() -> None:
    """What our own client does: httpx's WSGI transport; a lost answer comes through as it is."""
    sandbox = Sandbox.in_memory(clock=lambda: 0.0)
    with httpx.Client(
        transport=httpx.WSGITransport(app=sandbox.app),
        base_url="http://sandbox/v1/",
        headers={"Authorization": "Bearer k"},
    ) as client:
        body = {"range_start": "2024-01-01", "range_end": "2024-01-02"}
        created = client.post("teams/1/transfers/2/backfills", json=body).json()["data"]
        assert client.get("teams/1/backfills").json()["data"] == [created]
        sandbox.settings(commit="lost-answer")
        with pytest.raises(AnswerLost):
            client.post("teams/1/transfers/3/backfills", json=body)
    assert len(sandbox.backfills()) == 2


def test_unknown_names_of_the_package() -> None:
    import reconciler.sandbox

    with pytest.raises(AttributeError, match="nonsense"):
        _ = reconciler.sandbox.nonsense
