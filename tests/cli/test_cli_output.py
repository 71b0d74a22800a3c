"""Where output goes: streams of any encoding, readers that leave early; and a folder that is gone."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from cli_rig import TEAM, Shop, Terminal, serving

from reconciler.cli.terminal import err, out, out_json, prepare_streams

ODD = "Wärme → 東京 🚀 …"
WORLD: dict[str, Any] = {"teams": {TEAM: {"transfers": {1: {"name": ODD}, 2: {"name": "The web"}}}}}
ENCODINGS = ["latin-1", "iso8859-15", "cp1252", "cp437", "cp932"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_gets_all_of_it(encoding: str, shop: Shop) -> None:
    """In its own characters, their likeness in ASCII, or escapes; and JSON stays JSON."""
    with serving(WORLD) as api:
        shop.env |= api.env | {"PYTHONIOENCODING": encoding, "LC_ALL": "de_DE.ISO-8859-1"}
        script = "reconciler doctor > out; reconciler doctor --json > json; reconciler plan --target ä 2> err"
        assert shop.shell(script).code == 64
    text = (shop.folder / "out").read_bytes().decode(encoding)
    for char in ODD:
        likeness = {"→": "->", "…": "..."}.get(char, char.encode("ascii", "backslashreplace").decode())
        assert char in text or likeness in text
    told = json.loads((shop.folder / "json").read_bytes().decode(encoding))
    assert any(ODD in check["told"] for check in told["checks"])
    assert "named " in (shop.folder / "err").read_bytes().decode(encoding)


def test_a_locale_without_any_encoding(shop: Shop) -> None:
    """Names of files then come as half characters, and are shown as escapes."""
    env = {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    done = shop.run("validate", "-c", "wärme.yaml", env=env, code=1)
    assert "BF002" in done.err


@pytest.mark.parametrize(
    "encoding, shown",
    [
        ("ascii", r"\xe4 -> \U0001f680 ... \udcc3"),
        ("latin-1", r"ä -> \U0001f680 ... \udcc3"),
        ("cp1252", r"ä -> \U0001f680 … \udcc3"),
        ("utf-8", r"ä → 🚀 … \udcc3"),
    ],
)
def test_what_a_stream_lacks(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, raw in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding))
    prepare_streams()
    out("ä → 🚀 … \udcc3")
    err("ä → 🚀 … \udcc3")
    assert [raw.getvalue().decode(encoding) for raw in written.values()] == [f"{shown}\n"] * 2
    before = len(written["stdout"].getvalue())
    out_json({"a": "ä \udcc3"})
    assert json.loads(written["stdout"].getvalue()[before:].decode(encoding)) == {"a": "ä \udcc3"}


def test_streams_that_were_closed_before_we_began(shop: Shop) -> None:
    assert shop.shell("reconciler validate >&- 2>&-").code == 0


@pytest.mark.parametrize("encoding", ["cp437", "latin-1", "ascii"])
def test_an_apply_on_a_terminal_of_another_encoding(encoding: str, shop: Shop) -> None:
    env = {"PYTHONIOENCODING": encoding, "RECONCILER_API_URL": "sandbox"}
    terminal = Terminal(shop, "apply", "--auto-approve", env=env)
    done = terminal.end()
    assert done.code == 0, done


@pytest.mark.parametrize("command", ["validate --json", "plan --api sandbox --json", "--help", "schema"])
def test_a_reader_that_leaves_early_is_no_error(command: str, shop: Shop) -> None:
    lines = [f"  t{number}: {{transfer_id: {number}, ranges: [2024-05]}}\n" for number in range(1, 1001)]
    shop.write("version: 1\nteam_id: 12345\ntransfers:\n" + "".join(lines))
    done = shop.shell(f"reconciler {command} | head -c 10 > start")
    assert (done.code, done.err) == (0, "")
    assert len((shop.folder / "start").read_bytes()) == 10


@pytest.mark.parametrize("command", ["validate", "plan --api sandbox", "demo", "init", "sandbox advance 1d"])
def test_a_folder_that_is_gone_is_called_that(command: str, shop: Shop) -> None:
    done = shop.shell(f"mkdir gone && cd gone && rmdir ../gone && reconciler {command}")
    assert done.code == 64
    assert "error[usage]: The working folder is gone" in done.told


def test_a_sandbox_that_is_not_there_is_not_moved_on(shop: Shop) -> None:
    done = shop.run("sandbox", "advance", "1d", "--data", "wrlds/one.db", code=64)
    assert "reconciler sandbox reset --data wrlds/one.db" in done.told
    assert [one.name for one in shop.folder.iterdir()] == ["backfills.yaml"]
    assert "reconciler sandbox reset\n" in shop.run("sandbox", "advance", "1d", code=64).err
    shop.run("sandbox", "reset", code=0)
    shop.run("sandbox", "advance", "1d", code=0)
