"""``state``: printing, putting back, removing; and an older copy that was put in its place."""

from __future__ import annotations

import json
import shutil

import pytest
from cli_rig import TEAM, Api, Shop

from reconciler.formats.statefile import decode_document

DB = f"team-{TEAM}.db"


@pytest.fixture
def applied(online: Shop) -> Shop:
    online.run("apply", "--auto-approve", code=0)
    return online


def test_what_pull_prints_push_takes_with_the_next_serial(applied: Shop) -> None:
    text = applied.run("state", "pull", code=0).out
    pulled = decode_document(text)
    (applied.folder / "pulled.json").write_text(text)
    applied.run("state", "push", "pulled.json", code=64)  # nobody can be asked
    applied.run("state", "push", "pulled.json", "--auto-approve", code=0)
    again = decode_document(applied.run("state", "pull", str(TEAM), code=0).out)
    assert again.serial == pulled.serial + 1
    assert (again.backfills, again.intents, again.lineage) == (
        pulled.backfills,
        pulled.intents,
        pulled.lineage,
    )
    done = applied.run("state", "push", "pulled.json", "--auto-approve", code=6)
    assert "older than the state" in done.err
    assert "No changes" in applied.run("plan", code=0).out


def test_push_says_what_is_wrong_with_a_file(applied: Shop) -> None:
    data = json.loads(applied.run("state", "pull", code=0).out)
    cases = {
        "missing.json": (None, 64, "No such file"),
        "half.json": ("{", 1, "not JSON"),
        "other.json": (json.dumps(data | {"team_id": 999}), 64, "Which team is meant"),
        "lineage.json": (json.dumps(data | {"lineage": "x"}), 6, "--another-lineage"),
    }
    for name, (text, code, words) in cases.items():
        if text is not None:
            (applied.folder / name).write_text(text)
        assert words in applied.run("state", "push", name, "--auto-approve", code=code).err
    flags = ("--another-lineage", "--auto-approve")
    applied.run("state", "push", "lineage.json", *flags, code=0)
    assert "lineage x" in applied.run("state", "list", code=0).out


def test_rm_keeps_a_backup_and_list_and_verify_tell(applied: Shop) -> None:
    assert "ok, serial" in applied.run("state", "verify", code=0).out
    applied.run("state", "rm", "--auto-approve", code=0)
    assert (applied.state / f"{DB}.backup").exists()
    assert "no state yet" in applied.run("state", "list", code=0).out
    assert applied.run("state", "list", "--json", code=0).json["teams"][0]["serial"] == 0
    applied.run("state", "pull", code=1)
    (applied.state / DB).write_bytes(b"x" * 4096)
    assert "damaged" in applied.run("state", "verify", code=1).err


def test_an_older_copy_is_refused_until_it_is_accepted(applied: Shop, api: Api) -> None:
    shutil.copy(applied.state / DB, applied.folder / "older.db")
    text = applied.run("state", "pull", code=0).out
    (applied.folder / "same.json").write_text(text)
    applied.run("state", "push", "same.json", "--auto-approve", code=0)
    shutil.copy(applied.folder / "older.db", applied.state / DB)
    for command in (("plan",), ("apply", "--auto-approve"), ("state", "pull")):
        assert "state-old" in applied.run(*command, code=6).err
    assert "older copy" in applied.run("state", "verify", code=6).err
    done = applied.run("accept", "--old-copy", "--auto-approve", code=0)
    assert "goes on with serial" in done.out
    assert "no old copy" in applied.run("accept", "--old-copy", "--auto-approve", code=0).out
    assert decode_document(applied.run("state", "pull", code=0).out).old_copy
    applied.run("plan", code=0)
