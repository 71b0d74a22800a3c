"""``state``: printing, putting back, removing; and an older copy that was put in its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_rig import FILE, TEAM, Api, Shop

from reconciler.formats.statefile import decode_document
from reconciler.stores.troubles import in_words

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
    assert "older than the state" in done.told
    assert "No changes" in applied.run("plan", code=0).out


def test_push_takes_what_pull_prints_through_a_pipe(applied: Shop) -> None:
    applied.run("state", "rm", "--auto-approve", code=0)
    shutil.copy(applied.state / f"{DB}.backup", applied.state / DB)
    done = applied.shell("reconciler state pull | reconciler state push - --auto-approve")
    assert (done.code, done.err) == (0, "")


def test_push_says_what_is_wrong_with_a_file(applied: Shop) -> None:
    data = json.loads(applied.run("state", "pull", code=0).out)
    cases = {
        "missing.json": (None, 64, "No such file"),
        "half.json": ("{", 1, "not JSON"),
        "other.json": (json.dumps(data | {"team_id": 999}), 64, "other.json is the state of team 999"),
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
    assert "older copy" in applied.run("state", "verify", code=6).told
    done = applied.run("accept", "--old-copy", "--auto-approve", code=0)
    assert "goes on with serial" in done.out
    assert "no old copy" in applied.run("accept", "--old-copy", "--auto-approve", code=0).out
    assert decode_document(applied.run("state", "pull", code=0).out).old_copy
    applied.run("plan", code=0)


def pasted(shop: Shop, text: str) -> None:
    """Run the commands of a message as they stand; ours are told to ask nothing."""
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert [one.split()[0] for one in commands if one.split()[0] not in ("mv", "cp")] == ["reconciler"]
    done = shop.shell(" && ".join(commands) + " --auto-approve")
    assert done.code == 0, (commands, done)


@pytest.mark.parametrize("harm", ["gone", "emptied", "damaged"])
@pytest.mark.parametrize("copy", ["a backup", "no backup"])
def test_the_commands_of_a_lost_state_bring_back_what_there_is(
    harm: str, copy: str, applied: Shop, api: Api
) -> None:
    run = ["--api", api.url, "--state", "state"]
    api.sandbox.advance(86400)
    applied.write(FILE.replace("2024-04-05", "2024-04-09"))
    applied.run("apply", "--auto-approve", code=0)
    database, backup = applied.state / DB, applied.state / f"{DB}.backup"
    if copy == "no backup":
        backup.unlink()
    if harm == "gone":
        database.unlink()
    else:
        database.write_bytes(b"" if harm == "emptied" else b"no database" * 99)
    done = applied.run("plan", *run, code=1 if harm == "damaged" else 6)
    assert ("There is no" in done.err) == (copy == "no backup")
    assert str(backup) in done.err
    pasted(applied, done.err)
    assert applied.run("plan", *run, code=0).summary.startswith("No changes.")
    told = applied.run("state", "list", "--json", code=0).json["teams"][0]
    assert (told["backfills"] > 0) == (copy == "a backup")


def test_a_read_only_state_is_no_reason_for_a_second_one(tmp_path: Path) -> None:
    denied = PermissionError(13, "Permission denied")
    path = tmp_path / "team-1.db"
    assert "another --state" in in_words(str(path), denied, writing=True).hint
    path.touch()
    assert "another --state" not in in_words(str(path), denied, writing=True).hint
