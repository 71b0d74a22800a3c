"""A world in a file: it survives, and several processes share it."""

import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sandbox_rig import Rig

from reconciler.sandbox import Sandbox

SCENE: dict[str, Any] = {
    "now": "2026-11-22T09:00:00Z",
    "settings": {"list_cap": 7},
    "keys": {"any-key": ["read", "write"]},
    "teams": {12345: {"transfers": {456789: {"fail_days": {"2024-01-02": {"times": 2}}}}}},
}


def open_rig(path: Path, scene: Any = None, at: float = 0.0, speed: float | None = None) -> Rig:
    clock = [at]
    return Rig(Sandbox.open(path, scene, clock=lambda: clock[0], speed=speed), clock)


def test_a_world_survives_its_process(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "world.db"
    first = open_rig(path, SCENE)
    first.create("2024-01-01", "2024-01-03")
    first.sandbox.settings(commit="late:100")
    with pytest.raises(ConnectionResetError):
        first.create("2024-02-01", "2024-02-02")
    first.sandbox.advance(60 + 120)
    before = first.sandbox.backfills()
    assert before[0]["transfer_runs_failed"] == 1
    first.sandbox.close()
    second = open_rig(path, {"settings": {"list_cap": 1}})
    assert second.sandbox.backfills() == before
    assert second.sandbox.settings()["list_cap"] == 7
    assert second.sandbox.settings()["commit"] == "late:100"
    assert len(second.sandbox.requests()) == 2
    second.sandbox.close()


def test_a_late_create_survives_too(tmp_path: Path) -> None:
    first = open_rig(tmp_path / "w.db", SCENE | {"settings": {"commit": "late:100"}})
    with pytest.raises(ConnectionResetError):
        first.create("2024-02-01", "2024-02-02")
    first.sandbox.close()
    second = open_rig(tmp_path / "w.db", at=100.0)
    assert [b["range_start_date"] for b in second.sandbox.backfills()] == ["2024-02-01"]
    assert open_rig(tmp_path / "w.db", at=100.0).sandbox.backfills() == second.sandbox.backfills()


def test_advance_reset_and_settings_reach_other_processes(tmp_path: Path) -> None:
    one, two = open_rig(tmp_path / "w.db", SCENE), open_rig(tmp_path / "w.db")
    one.create("2024-02-01", "2024-02-02")
    two.sandbox.advance(1000)
    assert one.get(10001).data["status"] == "COMPLETED"
    one.sandbox.settings(id_shape="string")
    assert two.get(10001).data["transfer_backfill_id"] == "10001"
    two.sandbox.reset(SCENE)
    assert one.get(10001).status == 404
    assert one.sandbox.settings()["id_shape"] == "number"
    assert one.sandbox.now_text() == "2026-11-22T09:00:00Z"
    assert [request["status"] for request in two.sandbox.requests()] == [404]


def test_failures_are_not_spent_twice(tmp_path: Path) -> None:
    """Both processes expect the failing run; it happens once."""
    one, two = open_rig(tmp_path / "w.db", SCENE), open_rig(tmp_path / "w.db")
    for expected in ("FAILED", "FAILED", "COMPLETED"):
        number = one.create("2024-01-02", "2024-01-02").data["transfer_backfill_id"]
        assert two.get(number).data["status"] == "CREATED"
        one.sandbox.advance(1000)
        assert two.get(number).data["status"] == one.get(number).data["status"] == expected
        two.cancel(number)


def test_speed_is_kept_with_the_file(tmp_path: Path) -> None:
    one = open_rig(tmp_path / "w.db", SCENE, speed=10)
    one.clock[0] = 60.0
    assert one.sandbox.now_text() == "2026-11-22T09:10:00Z"
    two = open_rig(tmp_path / "w.db", at=120.0)
    assert two.sandbox.now_text() == "2026-11-22T09:20:00Z"
    three = open_rig(tmp_path / "w.db", at=120.0, speed=0)
    three.clock[0] = 999.0
    assert three.sandbox.now_text() == "2026-11-22T09:20:00Z"
    three.sandbox.advance(60)
    assert three.sandbox.now_text() == "2026-11-22T09:21:00Z"
    three.sandbox.reset(SCENE)
    three.clock[0] = 5000.0
    assert three.sandbox.now_text() == "2026-11-22T09:00:00Z"


def test_a_session_that_raises_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.sandbox import app

    rig = open_rig(tmp_path / "w.db", SCENE)
    with monkeypatch.context() as patched:
        patched.setattr(app, "_add_headers", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rig.create("2024-02-01", "2024-02-02")
    assert rig.sandbox.backfills() == rig.sandbox.requests() == []
    assert rig.create("2024-02-01", "2024-02-02").status == 200


@pytest.mark.parametrize("content", [b"not a database, only text, and long enough to be told apart" * 20])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.db"
    path.write_bytes(content)
    with pytest.raises(sqlite3.DatabaseError):
        Sandbox.open(path)
    assert path.read_bytes() == content


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    open_rig(tmp_path / "w.db", SCENE).sandbox.close()
    database = sqlite3.connect(tmp_path / "w.db")
    with database:
        database.execute("UPDATE meta SET format = 99")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="another version"):
        Sandbox.open(tmp_path / "w.db")


CREATOR = """
import sys, random
sys.path.insert(0, sys.argv[3])
from sandbox_rig import Rig
from reconciler.sandbox import Sandbox
from datetime import date, timedelta
rig = Rig(Sandbox.open(sys.argv[1], clock=lambda: 0.0), [0.0])
dice = random.Random(int(sys.argv[2]))
made = 0
for _ in range(150):
    start = date(2024, 1, 1) + timedelta(dice.randrange(300))
    made += rig.create(str(start), str(start + timedelta(dice.randrange(5)))).status == 200
    if dice.random() < 0.2:
        rig.cancel(10001 + dice.randrange(60))
print(made)
"""


def test_processes_never_create_overlapping_backfills(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "w.db"
    command = [sys.executable, "-c", CREATOR, str(path)]
    here = str(Path(__file__).parent)
    started = [
        subprocess.Popen([*command, str(seed), here], stdout=subprocess.PIPE, text=True) for seed in (1, 2, 3)
    ]
    made = [int(process.communicate(timeout=60)[0]) for process in started]
    sandbox = Sandbox.open(path, clock=lambda: 0.0)
    backfills = sandbox.backfills()
    assert len(backfills) == sum(made) == len({b["transfer_backfill_id"] for b in backfills})
    active = sorted(
        (b["range_start_date"], b["range_end_date"]) for b in backfills if b["status"] != "CANCELLED"
    )
    assert all(left[1] < right[0] for left, right in pairwise(active))
    assert min(made) > 0
    assert len(sandbox.requests()) >= 450


def test_a_killed_process_leaves_a_whole_world(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    endless = CREATOR.replace("range(150)", "iter(int, 1)").replace(
        "    made +=", "    print(_, flush=True)\n    made +="
    )
    command = [sys.executable, "-c", endless, str(path), "1", str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(40):
        process.stdout.readline()
    process.kill()
    process.communicate()
    rig = open_rig(path)
    answered = [r for r in rig.sandbox.requests() if r["method"] == "POST" and r["status"] == 200]
    assert len(rig.sandbox.backfills()) == len(answered) > 0
    assert rig.create("2030-01-01", "2030-01-02").status == 200
