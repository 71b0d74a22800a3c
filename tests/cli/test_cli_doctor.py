"""``doctor`` against a served sandbox, with good keys and bad, and everything else that may be wrong."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cli_rig import FILE, KEY, TEAM, Api, Done, Shop, Terminal, checked, serving

from reconciler.cli.main import run

WORLD: dict[str, Any] = {
    "open": False,
    "keys": {
        KEY: ["read", "write"],
        "read-only": {"scopes": ["read"], "user_id": 790},
        "write-only": ["write"],
    },
    "teams": {TEAM: {"transfers": {1: {"name": "Google Ads"}, 2: {"name": "The web"}, 7: {"name": "Other"}}}},
}


@pytest.fixture
def world() -> Iterator[Api]:
    with serving(WORLD) as made:
        yield made


@dataclass
class Inside(Shop):
    """Runs commands in this process, and has no patience with an API that is away."""

    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)
    capsys: pytest.CaptureFixture[str] | None = None

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **how: Any) -> Done:
        assert self.capsys is not None
        with self.patch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr("reconciler.engine.checkup.PATIENCE", 0.0)
            for name in ("SUPERMETRICS_API_KEY", "CI", "SSL_CERT_FILE", "HTTPS_PROXY"):
                patch.delenv(name, raising=False)
            for name, value in (self.env | dict(env or {})).items():
                patch.setenv(name, value)
            code = run(arguments)
        told = self.capsys.readouterr()
        done = checked(Done(code, told.out, told.err))
        assert code == how.get("code", code), done
        return done


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    made = Inside(tmp_path, patch=monkeypatch, capsys=capsys)
    made.write(FILE)
    return made


@pytest.fixture
def online(shop: Shop, world: Api) -> Shop:
    shop.env |= world.env
    return shop


def marks(done: Done) -> dict[str, str]:
    """Return the mark of each line, by what it is about; of several alike the worst."""
    lines = [line for line in done.out.splitlines() if line[:2] in ("ok", "? ", "! ")]
    found: dict[str, str] = {}
    for line in lines:
        about = line[4:13].strip()
        found[about] = min(found.get(about, "ok"), line[:2].strip(), key="!?ok".index)
    return found


def told(done: Done) -> str:
    """Return all of it on one line."""
    return " ".join(done.out.split())


def test_all_is_well(online: Shop, world: Api) -> None:
    done = online.run("doctor", code=0)
    assert marks(done) == dict.fromkeys(marks(done), "ok") | {"may write": "?", "user": "?"}
    assert 'ads (1, "Google Ads"): exists, active' in told(done)
    assert "backfills.yaml: 2 transfers of team 12345" in told(done)
    assert "state: none yet" in told(done)
    assert world.writes() == []
    assert not online.state.exists(), "it writes nothing"


def test_what_an_apply_taught_is_known(online: Shop) -> None:
    online.run("apply", "--auto-approve", code=0)
    before = {one.name: one.read_bytes() for one in online.state.iterdir()}
    done = online.run("doctor", code=0)
    assert set(marks(done).values()) == {"ok"}
    assert "the key is that of user 789" in told(done)
    assert "last create or cancel" in told(done)
    assert {one.name: one.read_bytes() for one in online.state.iterdir()} == before


KEYS = {
    "none": ("", 65, "key", "There is no API key"),
    "invalid": ("invalid", 65, "key", "401"),
    "unknown": ("nobody-knows", 65, "key", "401"),
    "forbidden": ("forbidden", 65, "key", "403"),
    "may only write": ("write-only", 65, "key", "dwh_transfers_read"),
    "no key at all": ("two words", 65, "key", "contains a space"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_will_not_do(name: str, online: Shop) -> None:
    key, code, about, said = KEYS[name]
    done = online.run("doctor", env={"SUPERMETRICS_API_KEY": key}, code=code)
    assert marks(done)[about] == "!"
    assert said in told(done)
    assert marks(done)["the rest"] == "?", "what could not be asked for is not called well"
    assert marks(done)["state"] == "ok"
    assert not key or key not in done.out.replace("forbidden", "").replace("invalid", "") or " " in key


def test_a_key_that_may_only_read_is_fine_as_far_as_reads_show(online: Shop) -> None:
    done = online.run("doctor", env={"SUPERMETRICS_API_KEY": "read-only"}, code=0)
    assert marks(done)["may write"] == "?"
    assert "only a write shows whether it has dwh_transfers_write" in told(done)


def test_another_team(online: Shop) -> None:
    online.write(FILE.replace("12345", "777"))
    done = online.run("doctor", code=65)
    assert "403" in told(done)
    assert "/teams/777/" in told(done)


def test_paused_and_unknown_transfers(online: Shop, world: Api) -> None:
    world.sandbox.change_transfer(2, state="paused")
    done = online.run("doctor", code=3)
    assert 'web (2, "The web"): exists, paused at the API' in told(done)
    assert "`paused: true`" in told(done)
    online.write(FILE.replace("transfer_id: 2\n", "transfer_id: 2\n    paused: true\n"))
    assert "paused at the API as in the file" in told(online.run("doctor", code=0))
    online.write(FILE.replace("transfer_id: 1\n", "transfer_id: 3\n"))
    done = online.run("doctor", code=1)
    assert "ads (3): not in this team" in told(done)
    assert "team 12345 has 1 (Google Ads), 2 (The web), 7 (Other)." in told(done)


def test_many_transfers_alike_are_counted(shop: Shop) -> None:
    transfers = {number: {"name": f"T {number}", "state": "paused"} for number in range(1, 31)}
    shop.write(
        "version: 1\nteam_id: 12345\ntransfers:\n"
        + "".join(f"  t{number}: {{transfer_id: {number}, ranges: [2024-05]}}\n" for number in range(1, 41))
    )
    with serving({"open": False, "teams": {TEAM: {"transfers": transfers}}}) as api:
        done = shop.run("doctor", env=api.env, code=1)
    assert "30 transfers (t1 (1" in told(done)
    assert len([line for line in done.out.splitlines() if "transfer " in line[4:13]]) <= 12
    assert "t31 (31): not in this team" in told(done)


@pytest.mark.parametrize(
    "fault, code, about",
    [
        ("status-503-before", 69, "API"),
        ("quota-rows", 7, "quota"),
        ("html-200", 69, "API"),
        ("status-500-before@runs", 69, "run lists"),
        ("status-403-before@runs", 65, "run lists"),
        ("status-403-before@transfers", 0, "transfers"),
    ],
)
def test_an_api_with_troubles(fault: str, code: int, about: str, online: Shop, world: Api) -> None:
    world.sandbox.faults(fault)
    done = online.run("doctor", code=code)
    assert marks(done)[about] == ("!" if code else "?")


def test_an_api_that_is_away(shop: Shop) -> None:
    env = {"RECONCILER_API_URL": "http://127.0.0.1:1/v1", "SUPERMETRICS_API_KEY": KEY}
    done = shop.run("doctor", env=env, code=69)
    assert marks(done)["API"] == "!"
    assert "no connection could be made" in told(done)


@pytest.mark.parametrize(
    "env, code, said",
    [
        ({"RECONCILER_API_URL": "http://example.invalid/v1"}, 64, "not encrypted"),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, 64, "SSL_CERT_FILE"),
    ],
)
def test_a_network_that_cannot_be_used(env: dict[str, str], code: int, said: str, online: Shop) -> None:
    done = online.run("doctor", env=env, code=code)
    assert marks(done)["network"] == "!"
    assert said in told(done)


def test_the_proxy_is_named_without_its_password(shop: Shop) -> None:
    env = {"HTTPS_PROXY": "http://ann:hunter2@127.0.0.1:1", "SUPERMETRICS_API_KEY": KEY}
    env["RECONCILER_API_URL"] = "https://api.invalid/v1"
    done = shop.run("doctor", env=env, code=69)
    assert "through the proxy 127.0.0.1:1" in told(done)
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_are_as_wide_as_the_terminal(columns: int, online: Shop, world: Api) -> None:
    world.sandbox.change_transfer(2, state="paused")
    done = online.run("doctor", env={"COLUMNS": str(columns)}, code=3)
    long = [line for line in done.out.splitlines() if len(line) > columns]
    assert [line for line in long if " " in line.strip()] == [], "but for a word that is longer"
    assert "or say `paused: true` in the file." in told(done)
    assert not any(line.count("`") % 2 for line in done.out.splitlines())


def test_on_a_terminal_there_is_colour_and_somebody_to_ask(shop: Shop) -> None:
    done = Terminal(shop, "doctor", "--api", "sandbox", env={"COLUMNS": "80"}).end()
    assert done.code == 0
    assert "\x1b[32mok\x1b[0m  \x1b[1mterminal " in done.out
    assert "nobody to ask" not in done.out
    assert "nobody to ask: apply needs --auto-approve here" in told(shop.run("doctor", "--api", "sandbox"))


def test_a_state_that_cannot_be_used(online: Shop) -> None:
    online.state.mkdir()
    (online.state / "team-12345.db").write_text("no database")
    done = online.run("doctor", code=1)
    assert marks(done)["state"] == "!"
    assert "damaged" in told(done)
    assert marks(done)["key"] == "ok"


def test_a_lock_that_is_held_and_one_left_behind(online: Shop) -> None:
    from reconciler.stores.local import LocalStore

    holder = {"id": "x", "who": "ann", "operation": "apply", "when": "2026-11-28T09:00:00+00:00", "pid": 1}
    online.state.mkdir()
    lock = online.state / "team-12345.lock"
    lock.write_text(json.dumps(holder | {"host": "runner-7"}) + "\n")
    done = online.run("doctor", code=0)  # a killed container leaves its name for ever
    assert "ann on runner-7 has its name in it" in told(done)
    lock.write_text(json.dumps(holder | {"host": socket.gethostname()}) + "\n")
    assert "held by ann on" in told(online.run("doctor", code=5))
    lock.write_text(json.dumps(holder | {"host": socket.gethostname(), "pid": 2**22 + 1}) + "\n")
    assert "free; ann ended without taking its name out" in told(online.run("doctor", code=0))
    store = LocalStore(str(online.state), TEAM, "https://x/v1", "test")
    assert store.holder() is not None


@pytest.mark.parametrize(
    "apart, code, said",
    [
        (0, 0, "ours and the API's agree"),
        (60, 0, "behind the API's"),
        (-60, 0, "ahead of the API's"),
        (7200, 1, "Set this machine's clock."),
    ],
)
def test_clocks_that_differ(apart: int, code: int, said: str, shop: Shop) -> None:
    """The API's is ``apart`` seconds ahead; it is not taken for a sandbox, which has one of its own."""

    def real(app: Any) -> Any:
        def answered(environ: Any, start_response: Any) -> Any:
            def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                kept = [one for one in headers if one[0] not in ("Date", "Server")]
                date = formatdate(time.time() + apart, usegmt=True)
                return start_response(status, [*kept, ("Date", date), ("Server", "a vendor")], *more)

            return app(environ, start)

        return answered

    with serving(WORLD, wrap=real) as api:
        done = shop.run("doctor", env=api.env, code=code)
    assert said in told(done)


def test_files_that_are_wrong(shop: Shop) -> None:
    shop.write("version: 1\nteam_id: x\n")
    done = shop.run("doctor", code=1)
    assert marks(done) == {"files": "!", "network": "ok", "terminal": "ok"}
    assert "\n                 reconciler validate\n" in done.out
    assert "\n                 reconciler validate\n" in shop.run("doctor", "--api", "sandbox", code=1).out
    assert shop.run("doctor", "--json", code=1).json["checks"][0]["ok"] is False


def test_json_is_one_document(online: Shop) -> None:
    done = online.run("doctor", "--json", env={"SUPERMETRICS_API_KEY": "invalid"}, code=65)
    assert set(done.json) == {"format_version", "exit", "checks"}
    assert done.json["exit"] == 65
    by_name = {check["about"]: check for check in done.json["checks"]}
    assert set(by_name["key"]) == {"team_id", "about", "ok", "told", "cure", "exit"}
    assert (by_name["key"]["ok"], by_name["key"]["exit"], by_name["key"]["team_id"]) == (False, 65, TEAM)
    assert by_name["the rest"]["ok"] is None


def test_the_sandbox_needs_no_key_and_two_teams_have_headings(shop: Shop, tmp_path: Path) -> None:
    shop.write(FILE, "backfills/one.yaml")
    shop.write(FILE.replace("12345", "777"), "backfills/two.yaml")
    (shop.folder / "backfills.yaml").unlink()
    done = shop.run("doctor", "--api", "sandbox", code=0)
    assert [line for line in done.out.splitlines() if line.startswith("Team")] == ["Team 777", "Team 12345"]
