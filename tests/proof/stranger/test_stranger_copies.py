"""States that were copied, restored, lost, or could not be saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from stranger_api import KEY, TEAM
from stranger_desk import DAY, HOUR, Desk

from reconciler.stores.urls import open_store

MAY, JUNE = "2025-05-01..2025-05-10", "2025-06-01..2025-06-10"
EVIDENCE = pytest.mark.parametrize("evidence", ["runs", "backfills"])


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.vendor.transfer(1)
    return desk


def declare(desk: Desk, *ranges: str, evidence: str = "runs") -> None:
    told = {"transfer_id": 1, "ranges": list(ranges), "retry_after": "0s", "evidence": evidence}
    desk.declare({"ads": told})


def pulled(desk: Desk) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(desk.run("state", "pull", code=0).out)
    return told


def pushed(desk: Desk, document: dict[str, Any], code: int | None = None) -> int:
    (desk.folder / "pushed.json").write_text(json.dumps(document), "utf-8")
    return desk.run("state", "push", "pushed.json", "--auto-approve", code=code).code


# --- the backup ---------------------------------------------------------------------------------


def backup(desk: Desk) -> Path:
    (found,) = desk.state.rglob("*.backup")
    return found


def test_a_first_run_has_no_backup(desk: Desk) -> None:
    declare(desk, MAY)
    desk.apply(code=0)
    assert list(desk.state.rglob("*.backup")) == []


def test_the_backup_is_the_state_before_the_run(desk: Desk) -> None:
    declare(desk, MAY)
    desk.load()
    before = desk.document
    declare(desk, MAY, JUNE)
    desk.apply(code=0)
    kept = backup(desk)
    apart = desk.folder / "apart"
    apart.mkdir()
    shutil.copy(kept, apart / kept.stem)
    store = open_store(str(apart), TEAM, desk.url, "a test")
    found, _revision = store.read()
    store.close()
    assert found is not None
    assert (found.serial, found.intents, found.backfills) == (before.serial, before.intents, before.backfills)
    assert not any(intent.pending for intent in found.intents.values())


@EVIDENCE
def test_a_backup_put_back_is_an_old_copy(desk: Desk, evidence: str) -> None:
    declare(desk, MAY, evidence=evidence)
    desk.load()
    declare(desk, MAY, JUNE, evidence=evidence)
    desk.apply(code=0)
    shutil.copy(backup(desk), backup(desk).with_suffix(""))
    sent = list(desk.gateway.sent)
    for command in ("apply", "plan"):
        done = desk.run(command, *(["--auto-approve"] if command == "apply" else []), code=6)
        assert "accept --old-copy" in done.text
    assert desk.gateway.sent == sent
    desk.advance(HOUR)
    desk.run("accept", "--old-copy", "--auto-approve", code=0)
    declare(desk, MAY, JUNE, "2025-06-20", evidence=evidence)
    if evidence == "backfills":  # it accepts no history
        for _ in range(2):
            desk.load(code=6)
        assert desk.gateway.sent == sent
        desk.run("accept", "ads", "--auto-approve", code=0)
    for _ in range(2):
        desk.load()
    assert desk.gateway.sent == [*sent, "create 1 2025-06-20..2025-06-20"]
    desk.once("2025-06-01", "2025-06-10")


def test_an_old_copy_believes_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blind: what the lost run made, with another key, is nobody's we know; it was ours all the same."""
    declare(desk, MAY, evidence="backfills")
    desk.load()
    monkeypatch.setenv("SUPERMETRICS_API_KEY", "key-of-the-year-after")
    declare(desk, MAY, JUNE, evidence="backfills")
    desk.load(seconds=DAY)
    monkeypatch.setenv("SUPERMETRICS_API_KEY", KEY)
    shutil.copy(backup(desk), backup(desk).with_suffix(""))
    desk.run("accept", "--old-copy", "--auto-approve", code=0)
    sent = list(desk.gateway.sent)
    declare(desk, MAY, "2025-06-01..2025-06-20", evidence="backfills")
    for _ in range(2):
        desk.load(code=6)
    assert desk.gateway.sent == sent


def test_a_state_that_was_removed_is_begun_anew(desk: Desk) -> None:
    declare(desk, MAY)
    desk.load()
    lineage = desk.document.lineage
    desk.run("state", "rm", "--auto-approve", code=0)
    desk.load()
    assert desk.document.lineage != lineage
    assert desk.created == [f"1 {MAY}"]


# --- put back by push -----------------------------------------------------------------------------


def test_pull_and_push_are_the_same_state(desk: Desk) -> None:
    declare(desk, MAY)
    desk.load()
    told = pulled(desk)
    assert (told["version"], told["team_id"]) == (1, TEAM)
    pushed(desk, told, code=0)
    again = pulled(desk)
    assert again["serial"] == told["serial"] + 1
    kept = ("lineage", "intents", "backfills", "loads")
    assert [again[name] for name in kept] == [told[name] for name in kept]
    shutil.rmtree(desk.state)
    pushed(desk, again, code=0)
    declare(desk, MAY, evidence="backfills")
    assert desk.plan(code=0).days == {"covered": 10}


def test_push_refuses_an_older_serial(desk: Desk) -> None:
    declare(desk, MAY)
    desk.load()
    old = pulled(desk)
    declare(desk, MAY, JUNE)
    desk.load()
    newer = pulled(desk)
    assert pushed(desk, old) not in (0, 2, 3)
    assert pulled(desk) == newer


def unsaved(desk: Desk) -> Path:
    """Let the disk fail after a create; return the file that holds what could not be saved."""
    declare(desk, MAY)
    desk.load()
    declare(desk, MAY, JUNE)

    def fail() -> None:
        desk.state.rename(desk.folder / "away")
        desk.state.write_text("no folder", "utf-8")

    desk.gateway.after("create", fail)
    done = desk.apply()
    desk.state.unlink()
    (desk.folder / "away").rename(desk.state)
    assert done.code not in (0, 3)
    assert "state push" in done.text
    (found,) = desk.folder.glob("errored.*.json")
    return found


def test_what_could_not_be_saved_is_put_back(desk: Desk) -> None:
    kept = unsaved(desk)
    desk.run("state", "push", kept.name, "--auto-approve", code=0)
    assert desk.last in desk.ours
    desk.advance(HOUR)
    desk.load()
    assert desk.created == [f"1 {MAY}", f"1 {JUNE}"]


@EVIDENCE
def test_what_could_not_be_saved_is_not_put_over_what_another_run_wrote(desk: Desk, evidence: str) -> None:
    kept = unsaved(desk)
    declare(desk, MAY, JUNE, "2025-06-20", evidence=evidence)
    desk.advance(HOUR)
    desk.load(code=None)
    before = pulled(desk)
    done = desk.run("state", "push", kept.name, "--auto-approve")
    assert done.code not in (0, 2, 3)
    assert pulled(desk) == before
    desk.load(code=None)
    assert desk.twice() == []


def test_states_put_back_by_a_cache_buy_nothing_twice(desk: Desk) -> None:
    """The whole folder is older than the world: run lists tell what was loaded since."""
    declare(desk, MAY)
    desk.load()
    desk.keep("cache")
    declare(desk, MAY, JUNE)
    desk.load(seconds=2 * DAY)
    desk.put_back("cache")
    desk.load()
    assert desk.created == [f"1 {MAY}", f"1 {JUNE}"]
    desk.once("2025-05-01", "2025-05-10")
