"""Help, versions, wrong usage, imports, ``init``, ``schema``, ``demo``, and where output goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_rig import Shop

from reconciler.cli.main import COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS, "sandbox serve", "sandbox advance", "sandbox reset"])
def test_each_command_has_help(command: str, shop: Shop) -> None:
    done = shop.run(*command.split(), "-h", code=0)
    assert done.out.startswith(f"Usage: reconciler {command} ")


def test_version(shop: Shop) -> None:
    from reconciler.version import __version__

    assert shop.run("--version", code=0).out == f"reconciler {__version__}\n"


WRONG = {
    "nothing": "",
    "unknown-command": "plam",
    "unknown-option": "plan --outt x",
    "not-a-date": "plan --as-of 2024-13-01",
    "short-date": "plan --as-of 2024-1-1",
    "future-date": "validate --as-of 9000-01-01",
    "not-a-duration": "apply --settle 15",
    "too-long": "apply --max-wait 99999d",
    "unsettled": "apply --auto-approve --settle 2m",
    "unsettled-plan": "plan --settle 179s",
    "no-parallelism": "apply --parallelism 0",
    "no-color": "plan --color sometimes",
    "no-format": "plan --out docx=plan.docx",
    "no-file-name": "plan --out json=",
    "strict-without-a-plan": "apply --strict --auto-approve",
    "missing-plan-file": "apply plan.json",
    "show-missing": "show",
    "json-does-not-ask": "apply --json --api sandbox",
    "resolve-in-part": "resolve ads --as not-created --api sandbox",
    "bad-api": "plan --api ftp://example.invalid",
    "http-api": "plan --api http://example.invalid/v1",
    "bad-state": "plan --api sandbox --state ftp://example.invalid",
    "sandbox-alone": "sandbox",
    "bad-world": "sandbox serve --port 0 --world missing.yaml",
    "bad-fault": "sandbox serve --port 0 --fault nobody-knows",
    "bad-port": "sandbox serve --port 99999",
    "from-api-without-team": "init --from-api other.yaml",
    "no-such-folder": "init missing/backfills.yaml",
    "sandbox-file-is-none": "plan --api sandbox:backfills.yaml",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage_is_64(name: str, shop: Shop) -> None:
    done = shop.run(*WRONG[name].split(), env={"SUPERMETRICS_API_KEY": "any-key"}, code=64)
    assert done.out == "" or "--json" in WRONG[name], "nothing but JSON goes to stdout"
    assert done.err.strip()


# -- imports ---------------------------------------------------------------------------------------

HEAVY = ("httpx", "deepdiff", "rich", "http.server", "sqlite3")
ABOVE_FILES = ("api", "engine", "http", "planning", "stores", "events", "sandbox")
"""Packages of ours that ``validate`` has no business with."""


def _imported(shop: Shop, *arguments: str) -> set[str]:
    """Return all modules that a command of a new process leaves imported."""
    return set(_said_after(shop, "*sys.modules", *arguments).split())


def _said_after(shop: Shop, expression: str, *arguments: str) -> str:
    """Run a command in a new process, and print an expression after it."""
    script = f"""
import sys; from reconciler.cli.main import run
run(sys.argv[1:]); sys.stdout.flush(); print({expression}, file=sys.stderr)
"""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=shop.folder, env=shop.environ(), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr


def _ours(modules: set[str]) -> set[str]:
    return {name.removeprefix("reconciler.") for name in modules if name.startswith("reconciler.")}


@pytest.mark.parametrize(
    "command", ["--help", "--version", "validate", "validate --json", "plan --help", "schema"]
)
def test_a_cold_start_imports_nothing_heavy(command: str, shop: Shop) -> None:
    assert not _imported(shop, *command.split()) & set(HEAVY)


def test_help_imports_click_and_hardly_more(shop: Shop) -> None:
    found = _imported(shop, "--help")
    assert not found & {"dataclasses", "json", "pydantic", "pydantic_core", "traceback", "yaml"}
    assert _ours(found) == {"cli", "cli.command", "cli.main", "cli.terminal", "errors", "version"}


def test_validate_imports_what_reads_files_and_nothing_above(shop: Shop) -> None:
    found = _imported(shop, "validate")
    assert not found & {"email", "importlib.metadata", "json", "pydantic.main", "random", "traceback"}
    assert not {name.partition(".")[0] for name in _ours(found)} & set(ABOVE_FILES)
    assert not _ours(found) & {"config.mistakes", "config.syntax", "config.starter", "render.findings"}
    assert len(_ours(found)) <= 39


def test_validate_builds_one_reader_and_no_model(shop: Shop) -> None:
    """A class of ``pydantic.BaseModel`` alone costs a start more than reading the files does."""
    built = "sys.modules['reconciler.config.schema']._reader.cache_info().currsize, 'pydantic' in sys.modules"
    assert _said_after(shop, built, "validate") == "1 False\n"
    assert _said_after(shop, built, "validate", "--help") == "0 False\n"


def test_the_library_is_light() -> None:
    script = "import sys; before = set(sys.modules); import reconciler; print(len(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) <= 5


# -- init, schema, demo ----------------------------------------------------------------------------


def test_init_writes_a_file_that_is_valid_and_never_overwrites(shop: Shop) -> None:
    done = shop.run("init", "new.yaml", "--team-id", "77", code=0)
    assert (done.out, "new.yaml; the state will be in state/" in done.err) == ("", True)
    before = (shop.folder / "new.yaml").read_bytes()
    assert b"team_id: 77" in before
    assert shop.run("validate", "-c", "new.yaml", code=0).out.startswith("Team 77\n")
    done = shop.run("init", "new.yaml", code=6)
    assert "not overwritten" in done.told
    assert (shop.folder / "new.yaml").read_bytes() == before


def test_init_does_not_follow_a_dangling_link(shop: Shop) -> None:
    (shop.folder / "link.yaml").symlink_to(shop.folder / "elsewhere.yaml")
    shop.run("init", "link.yaml", code=6)
    assert not (shop.folder / "elsewhere.yaml").exists()


def test_init_is_refused_beside_a_folder_of_files(shop: Shop) -> None:
    (shop.folder / "eu" / "backfills").mkdir(parents=True)
    refused = shop.run("init", "eu/backfills.yaml", code=6)
    assert "beside eu/backfills.yaml" in refused.told
    assert "\n      reconciler init eu/backfills/NAME.yaml\n" in refused.err
    done = shop.run("init", "eu/backfills/ads.yaml", code=0)
    assert "the state will be in eu/state/" in done.told


def test_a_file_of_the_team_that_is_not_read_is_refused(shop: Shop) -> None:
    (shop.folder / "limits.yaml").write_text("version: 1\nteam_id: 12345\nprune: false\ntransfers: {}\n")
    for command in (["validate"], ["plan"], ["apply", "--auto-approve"], ["status"]):
        done = shop.run(*command, code=6)
        assert "BF058" in done.err
        assert "limits.yaml sets `prune`" in done.told
    assert shop.run("validate", "--json", code=6).json["valid"] is False
    shop.run("validate", "-c", ".", code=0)


def test_init_from_the_api_lists_its_transfers(shop: Shop) -> None:
    shop.run("apply", "--api", "sandbox", "--auto-approve", code=0)
    shop.run("init", "--from-api", "--team-id", "12345", "--api", "sandbox", "found.yaml", code=0)
    text = (shop.folder / "found.yaml").read_text("utf-8")
    assert "transfer_id: 1" in text
    assert "transfer_id: 2" in text
    shop.run("validate", "-c", "found.yaml", code=0)


def test_schema_is_a_json_schema(shop: Shop) -> None:
    schema = shop.run("schema", code=0).json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"version", "team_id", "transfers", "limits", "guards"} <= set(schema["properties"])


def test_demo_ends_with_no_changes(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    done = shop.run("demo", code=0)
    assert done.summary.startswith("No changes. Days: ")
    assert "-/+ 2024-02-10 " in done.out
    assert "warning" not in done.err, "a newcomer is told of nothing that is wrong"
    assert "Team 12345 · as of 2024-03-01\n" in done.out, "the sandbox's own today"
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing behind"


def test_nothing_is_written_where_nothing_is_asked_for(shop: Shop) -> None:
    for command in ("validate", "schema", "--help"):
        shop.run(command, code=0)
    assert [one.name for one in shop.folder.iterdir()] == ["backfills.yaml"]


# -- validate --------------------------------------------------------------------------------------


def test_validate_tells_the_days_of_each_transfer(shop: Shop) -> None:
    done = shop.run("validate", code=0)
    assert done.out.splitlines() == [
        "Team 12345",
        "  ads  10 days declared",
        "  web  5 days declared",
        "The files are valid: 0 errors, 0 warnings.",
    ]
    assert done.err == ""


def test_validate_ends_with_the_errors_of_each_file(shop: Shop) -> None:
    shop.write("version: 1\nteam_id: 1\ntransfers: {}\nx: 1\n")
    (shop.folder / "shop.yaml").write_text("a: b: c\n")
    done = shop.run("validate", "-c", "backfills.yaml", "-c", "shop.yaml", "--color", "always", code=1)
    assert "\x1b[1mUnknown key `x`\x1b[0m" in done.told
    done = shop.run("validate", "-c", "backfills.yaml", "-c", "shop.yaml", code=1)
    assert done.out.splitlines()[0].startswith("2 errors: backfills.yaml 1, shop.yaml 1")
    assert done.out.splitlines()[-1] == "shop.yaml is not YAML yet; more may show when it is."


def test_there_is_no_place_in_a_file_that_is_not_there(shop: Shop) -> None:
    for command in ("validate", "plan"):
        done = shop.run(command, "-c", "nope.yaml", code=1)
        assert "There is no file or folder `nope.yaml`." in done.told
        assert "nope.yaml:" not in done.err


def test_both_a_file_and_a_folder_are_named(shop: Shop) -> None:
    (shop.folder / "backfills").mkdir()
    assert "both `backfills.yaml` and `backfills/`" in shop.run("validate", code=1).told


def test_validate_json_has_terraforms_shape(shop: Shop) -> None:
    shop.write(FILE_WITH_A_MISTAKE)
    done = shop.run("validate", "--json", code=1)
    told = done.json
    assert set(told) == {
        "format_version",
        "valid",
        "error_count",
        "warning_count",
        "diagnostics",
        "transfers",
    }
    assert (told["format_version"], told["valid"], told["error_count"], told["warning_count"]) == (
        "1.0",
        False,
        1,
        0,
    )
    (finding,) = told["diagnostics"]
    assert set(finding) == {"code", "severity", "summary", "detail", "range", "snippet"}
    assert finding["code"].startswith("BF")
    assert finding["severity"] == "error"
    assert set(finding["range"]) == {"filename", "start", "end"}
    assert finding["range"]["filename"] == "backfills.yaml"
    assert set(finding["range"]["start"]) == set(finding["range"]["end"]) == {"line", "column"}
    assert set(finding["snippet"]) == {
        "code",
        "start_line",
        "highlight_start_offset",
        "highlight_end_offset",
    }
    assert shop.run("validate", "--format", "json", code=1).json == told


FILE_WITH_A_MISTAKE = """\
version: 1
team_id: 12345
transfers:
  ads:
    transfer_id: 1
    ranges: [2024-02-30]
"""


def test_validate_json_of_a_good_file(shop: Shop) -> None:
    told = shop.run("validate", "--json", code=0).json
    assert told["valid"] is True
    assert told["diagnostics"] == []
    assert told["transfers"] == [
        {"team_id": 12345, "transfer": "ads", "transfer_id": 1, "days": 10},
        {"team_id": 12345, "transfer": "web", "transfer_id": 2, "days": 5},
    ]


def test_validate_json_of_no_file_at_all(shop: Shop) -> None:
    told = shop.run("validate", "--json", "-c", "missing.yaml", code=1).json
    assert (told["valid"], told["error_count"]) == (False, 1)


BAD: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\n",
    "comment-only": b"# nothing\n",
    "null": b"~\n",
    "list": b"- 1\n",
    "text": b"hello\n",
    "nul-bytes": b"version: 1\x00\n",
    "not-utf8": b"version: 1\nteam_id: \xff\xfe\n",
    "utf16": "version: 1\n".encode("utf-16"),
    "random-bytes": bytes(range(256)) * 40,
    "tabs": b"version: 1\n\tteam_id: 2\n",
    "deep-flow": b"[" * 100_000,
    "deep-block": b"".join(b" " * one + b"a:\n" for one in range(2000)),
    "deep-mappings": b"{a: " * 50_000,
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12)),
    "cycle": b"a: &a [*a]\n",
    "python-tag": b"!!python/object/apply:os.system ['touch owned']\n",
    "merge": b"a: &a {b: 1}\nc:\n  <<: *a\n",
    "multi-document": b"---\nversion: 1\n---\nversion: 1\n",
    "duplicate-keys": b"version: 1\nversion: 1\n",
    "long-line": b"version: " + b"9" * 3_000_000 + b"\n",
    "huge-integer": b"version: 1\nteam_id: " + b"9" * 100_000 + b"\ntransfers: {}\n",
    "many-keys": b"version: 1\nteam_id: 1\ntransfers:\n"
    + b"".join(b"  t%d: 3\n" % one for one in range(2000)),
    "too-large": b"# " + b"x" * (17 * 2**20) + b"\n",
    "years": b"version: 1\nteam_id: 1\ntransfers: {a: {transfer_id: 1, ranges: [0001-01-01..9999-12-31]}}\n",
    "year-zero": b"version: 1\nteam_id: 1\ntransfers: {a: {transfer_id: 1, ranges: [0000-01-01]}}\n",
    "control-characters": b'version: 1\nteam_id: 1\ntransfers: {"a\\e[31m\\u202e": {transfer_id: x}}\n',
    "secret": b"version: 1\nteam_id: 1\napi_key: abcdef\ntransfers: {}\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_at_once_and_without_a_traceback(name: str, shop: Shop) -> None:
    (shop.folder / "backfills.yaml").write_bytes(BAD[name])
    done = shop.run("validate", code=1)
    assert done.seconds < 5
    assert "error[BF" in done.err
    assert "\x1b" not in done.out + done.err
    assert len(done.err) < 2_000_000
    assert not (shop.folder / "owned").exists()


def test_a_folder_without_files_and_a_file_that_is_none(shop: Shop) -> None:
    (shop.folder / "backfills.yaml").unlink()
    shop.run("validate", code=1)
    (shop.folder / "backfills").mkdir()
    shop.run("validate", code=1)
    (shop.folder / "backfills" / "values.yaml").write_text("a: 1\n")
    assert "values.yaml" in shop.run("validate", code=1).err


def test_json_output_survives_odd_names(shop: Shop) -> None:
    name = 'odd "näme" \\ file.yaml'
    shop.write(FILE_WITH_A_MISTAKE, name)
    told = shop.run("validate", "--json", "-c", name, code=1).json
    assert told["diagnostics"][0]["range"]["filename"] == name
    json.dumps(told)
