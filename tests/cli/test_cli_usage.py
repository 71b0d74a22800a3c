"""Help and wrong usage: groups, examples, exit statuses; one voice, and the nearest thing that is known."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from cli_rig import FILE

from reconciler.cli.command import MEANINGS, Command
from reconciler.cli.main import COMMANDS, SECTIONS, group, run
from reconciler.errors import Exit


def commands(parent: click.Group = group, path: str = "reconciler") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its whole name."""
    context = click.Context(parent, info_name=path)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands())
MISTAKES = f"""\
transfers:
  ads: {{transfer_id: 1, ranges: [{", ".join(f"{day}.07.2024" for day in range(13, 30))}]}}
"""

WRONG = {
    "a command": ("plam", "Did you mean `reconciler plan`?"),
    "a command of a group": ("state lst", "Did you mean `reconciler state list`?"),
    "a command without its group": ("unlock", "Did you mean `reconciler state unlock`?"),
    "in capitals": ("Plan", "Did you mean `reconciler plan`?"),
    "nothing like it": ("xyzzy", "The commands are `init`, `validate`, `plan`"),
    "a flag": ("plan --outt x", "Did you mean `--out`?"),
    "a flag in short": ("plan -json", "Did you mean `--json`?"),
    "another's yes": ("apply --yes", "Did you mean `--auto-approve`?"),
    "a yes in short": ("state rm -y", "Did you mean `--auto-approve`?"),
    "a yes where nobody asks": ("plan --yes", "reconciler plan --help"),
    "a flag of a group's command": ("state list --jsn", "Did you mean `--json`?"),
    "a flag before its command": ("--json plan", "reconciler COMMAND --json"),
    "a flag with a value too many": ("plan --json=yes", "--json takes no value."),
    "a flag without its value": ("plan --out", "--out needs one: [FORMAT=]FILE."),
    "a choice": ("plan --color alwyas", "Did you mean `always`?"),
    "no choice": ("plan --color sometimes", "Use one of `auto`, `always`, `never`."),
    "a format": ("plan --out jsn=plan.json", "Did you mean `json`?"),
    "a number": ("apply --parallelism 0", "0 is not a whole number from 1 to 100."),
    "no number": ("state pull abc", "'abc' is not a whole number from 1 to"),
    "a negative one": ("sandbox serve --speed -1", "-1.0 is not a number of at least 0."),
    "no URL of an API": ("plan --api ftp://x", "It must start with https://"),
    "a date": ("plan --as-of 2024-13-01", "'2024-13-01' is not a date."),
    "a date, day first": ("plan --as-of 31.07.2024", "Write `2024-07-31`."),
    "a date, either way": ("plan --as-of 01.07.2024", "`2024-07-01` if the day stands first, `2024-01-07`"),
    "a date of no month": ("plan --as-of 2024-02-30", "Days of 2024-02 are 01 to 29."),
    "a relative date": ("plan --as-of yesterday", "By this machine's clock, in UTC, it is `20"),
    "a date some days ago": ("plan --as-of 7~days~ago", "By this machine's clock, in UTC, it is `20"),
    "nothing like a date": ("plan --as-of soon", "Write a date like 20"),
    "a duration with no unit": ("apply --max-wait 5", "Write a whole number and its unit, like 90s,"),
    "a duration in words": ("apply --lock-timeout 5min", "Write `5m`."),
    "a duration of the sandbox": ("sandbox advance 1day", "Write `1d`."),
    "a flag like none": ("plan --bogus", "See what it takes:\n    reconciler plan --help"),
    "a file as a plan": ("apply backfills.yaml", "reconciler apply -c backfills.yaml"),
    "a range with one dot": ("retry ads 2024-07-01.2024-07-31", "Write `2024-07-01..2024-07-31`."),
    "two dates": ("retry ads 2024-07-01;2024-07-31", "like 2024-07-01..2024-07-31"),
    "a range with blanks": ("retry ads 2024-05-01 .. 2024-05-10", "write `2024-05-01..2024-05-10`."),
    "a range with one blank": ("resolve ads 2024-05-01 ..2024-05 --as x", "write `2024-05-01..2024-05`."),
    "no range with blanks": ("retry ads soon .. later", "write START..END without blanks"),
    "half a range": ("retry ads ..2024-07-31", "A range has both its ends"),
    "a range in words": (
        "retry ads last~30~days",
        "`today-30d..yesterday`, or, with today, `today-29d..today`",
    ),
    "a file without -c": ("plan backfills.yaml", "reconciler plan -c backfills.yaml"),
    "too many arguments": (
        "apply a.json b.json",
        "takes PLANFILE only, and not `b.json`.",
    ),
    "an argument too few": ("retry", "`reconciler retry` needs TRANSFER."),
    "a target": ("plan --target adz", "Did you mean `ads` (transfer 1)? The files have ads (1), web (2)."),
    "an id as a target": ("plan --target 2", "Did you mean `web` (transfer 2)?"),
    "targets in one flag": (
        "plan --target ads,web",
        "Repeat the flag for each name: --target ads --target web",
    ),
    "globs in one flag": ("plan --exclude a*,wbe", "--exclude 'a*' --exclude wbe\n  Did you mean `web`"),
    "no target": ("plan --target nobody", "The files have ads (1), web (2)."),
    "a selection of nothing": ("plan --target a* --exclude ads", "together leave none"),
    "a transfer to retry": ("retry adds", "Did you mean `ads` (transfer 1)?"),
    "a transfer to accept": ("accept wbe", "Did you mean `web` (transfer 2)?"),
    "a transfer to resolve": ("resolve 3 2024-05 --as not-created", "The files have ads (1), web (2)."),
    "a transfer to look at": ("resolve adz", "Did you mean `ads` (transfer 1)?"),
    "a fault": ("sandbox serve --fault quota-row=0.5", "Did you mean `quota-rows`?"),
    "a fault's call": ("sandbox serve --fault quota-rows@creat", "did you mean 'create'?"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backfills.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECONCILER_API_URL", "sandbox")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage_is_told_in_one_voice(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line, said = WRONG[name]
    assert run([word.replace("~", " ") for word in line.split()]) == Exit.USAGE
    told = capsys.readouterr()
    assert told.out == "" or "--json" in line.split()
    assert told.err.startswith("error[usage]: ")
    assert " ".join(said.split()) in " ".join(told.err.split())
    assert not {"Usage:", "Try", "Error:"} & set(told.err.split())


def test_a_relative_date_is_told_as_the_date_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for words, ago in {"yesterday": 1, "today": 0, "today-7d": 7, "2 weeks ago": 14}.items():
        near_midnight = {datetime.now(UTC).date() - timedelta(ago)}
        assert run(["plan", "--as-of", words]) == Exit.USAGE
        near_midnight.add(datetime.now(UTC).date() - timedelta(ago))
        told = capsys.readouterr().err
        assert any(f"it is `{day}`." in " ".join(told.split()) for day in near_midnight)


@pytest.mark.parametrize("group_", ["", "state", "sandbox"])
def test_a_group_alone_shows_its_help_as_an_error(group_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group_.split()) == Exit.USAGE
    told = capsys.readouterr()
    assert (told.out, told.err.startswith("Usage: reconciler")) == ("", True)


def test_commands_are_shown_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == Exit.DONE
    told = capsys.readouterr().out
    for heading, section in SECTIONS.items():
        part = told.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
        listed = [line.split()[0] for line in part.splitlines() if line[2:3].strip()]
        assert listed == list(section)


@pytest.mark.parametrize("name", ALL)
def test_help_ends_with_two_examples_and_the_exit_statuses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*name.split()[1:], "--help"]) == Exit.DONE
    told = capsys.readouterr().out
    command = ALL[name]
    assert isinstance(command, Command)
    assert len(command.examples) == 2
    assert all(f"\n  {example}\n" in told for example in command.examples)
    assert {Exit.DONE, Exit.USAGE, Exit.INTERRUPTED} <= set(command.exits)
    assert all(f"\n  {int(exit_)} " in told for exit_ in command.exits)


EXAMPLES = [example for command in ALL.values() for example in getattr(command, "examples", ())]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_can_be_read(example: str) -> None:
    """Their flags and arguments are known; they are not run here."""
    words = shlex.split(example.partition(">")[0].partition("<")[0])
    name = next(name for name in ALL if words[: len(name.split())] == name.split())
    ALL[name].make_context(name, words[len(name.split()) :])


def test_what_a_status_means_stands_for_each() -> None:
    assert set(MEANINGS) == set(Exit) - {Exit.HUNG_UP, Exit.TERMINATED}, "these two stand beside INTERRUPTED"


def test_many_transfers_are_not_all_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"  t{number:03}: {{transfer_id: {number}, ranges: [2024-05]}}\n" for number in range(1, 301)]
    Path("backfills.yaml").write_text("version: 1\nteam_id: 12345\ntransfers:\n" + "".join(lines))
    assert run(["plan", "--target", "nobody"]) == Exit.USAGE
    assert "t010 (10) and 290 more." in capsys.readouterr().err
    assert run(["plan", "--target", "t0011"]) == Exit.USAGE
    assert len(capsys.readouterr().err) < 200


# -- completion ------------------------------------------------------------------------------------

COMPLETED = {
    "reconciler ": list(COMMANDS),
    "reconciler pl": ["plan"],
    "reconciler state un": ["unlock"],
    "reconciler plan --tar": ["--target"],
    "reconciler plan --target ": ["ads", "web"],
    "reconciler plan --target ads --target ": ["web"],
    "reconciler status --exclude w": ["web"],
    "reconciler plan -c other.yaml --target ": ["other"],
    "reconciler plan -c missing.yaml --target ": [],
    "reconciler retry ": ["ads", "web"],
    "reconciler accept ads ": ["web"],
    "reconciler resolve a": ["ads"],
    "reconciler plan --color a": ["auto", "always"],
    "reconciler sandbox serve --fault quota-r": ["quota-rows"],
}


def _completed(
    line: str, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    words = line.split(" ")
    monkeypatch.setenv("_RECONCILER_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


@pytest.mark.parametrize("line", COMPLETED)
def test_a_shell_completes(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(FILE.replace("ads:", "other:").replace("web:", "other2:"))
    found = _completed(line, "bash", monkeypatch, capsys).split()
    wanted = COMPLETED[line] + ["other2"] * ("other.yaml" in line)
    assert found == [f"plain,{word}" for word in wanted]


@pytest.mark.parametrize("line", ["reconciler plan -c ba", "reconciler apply pl", "reconciler plan --out pl"])
def test_files_are_the_shells_to_complete(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _completed(line, "bash", monkeypatch, capsys).startswith("file,")


def test_bash_itself_completes(tmp_path: Path) -> None:
    """With the script that the docs have it read."""
    script = f"""
        reconciler() {{ "{sys.executable}" -m reconciler "$@"; }}
        eval "$(_RECONCILER_COMPLETE=bash_source reconciler)"
        COMP_WORDS=(reconciler retry w)
        COMP_CWORD=2
        _reconciler_completion "{tmp_path}/reconciler"
        echo "${{COMPREPLY[@]}}"
    """
    shim = tmp_path / "reconciler"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    shim.chmod(0o755)
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("web\n", "")


def test_zsh_and_fish_say_what_is_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "ads\ntransfer 1" in _completed("reconciler retry ", "zsh", monkeypatch, capsys)
    assert "plain,ads\ttransfer 1" in _completed("reconciler retry ", "fish", monkeypatch, capsys)


# -- JSON ------------------------------------------------------------------------------------------

ENDED = {
    "wrong usage": ("plan --json --as-of yesterday", 64),
    "an unknown flag": ("status --json --chek", 64),
    "no such transfer": ("plan --json --target nobody", 64),
    "no file": ("plan --json -c missing.yaml", 1),
    "no key": ("plan --json --api https://127.0.0.1:1/v1", 65),
    "no state there": ("state list --json --state ftp://x", 64),
    "apply, wrong usage": ("apply --json", 64),
    "apply, no file": ("apply --json --auto-approve -c missing.yaml", 1),
    "apply, no key": ("apply --json --auto-approve --api https://127.0.0.1:1/v1", 65),
    "apply, no plan": ("apply --json plan.json", 64),
}


@pytest.mark.parametrize("name", ENDED)
def test_with_json_there_is_one_document_whatever_went_wrong(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUPERMETRICS_API_KEY", raising=False)
    line, status = ENDED[name]
    assert run(line.split()) == status
    told = capsys.readouterr()
    last = told.out.splitlines()[-1] if "apply" in name else told.out
    document = json.loads(last)
    if "apply" in name:
        assert (document["type"], document["exit"], document["created"]) == ("summary", status, 0)
    elif "diagnostics" in document:
        assert document["errored"] is True


def test_a_plan_of_another_api_is_told_before_a_key_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command to paste has the API of the plan, and the flags of the run."""
    plan = "p lan.json"
    assert run(["plan", "--out", plan]) == Exit.DONE
    monkeypatch.delenv("RECONCILER_API_URL")
    capsys.readouterr()
    assert run(["apply", plan, "--strict", "--max-wait", "7m", "--no-lock"]) == Exit.REFUSED
    told = capsys.readouterr().err
    assert "It was made for the API sandbox, and this run uses https://" in " ".join(told.split())
    pasted = (
        "    reconciler apply 'p lan.json' --strict --max-wait 7m --no-lock -c backfills.yaml --api sandbox\n"
    )
    assert pasted in told


def test_hints_have_their_commands_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("backfills.yaml").unlink()
    assert run(["plan"]) == Exit.ERROR
    assert "\n    reconciler init\n" in capsys.readouterr().err


def test_findings_for_ci_systems(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--format", "github"]) == Exit.DONE
    assert run(["validate", "--format", "gitlab"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out) == []
    Path("backfills.yaml").write_text(FILE.replace("..", " - "))
    assert run(["validate", "--format", "github"]) == Exit.ERROR
    first, _second = capsys.readouterr().out.splitlines()
    assert first.startswith("::error file=backfills.yaml,line=6,col=14,title=BF040 ")
    assert run(["validate", "--format", "gitlab"]) == Exit.ERROR
    assert [one["location"]["lines"]["begin"] for one in json.loads(capsys.readouterr().out)] == [6, 9]
    Path("backfills.yaml").unlink()
    assert run(["validate", "--format", "github"]) == Exit.ERROR
    assert capsys.readouterr().out.startswith("::error title=BF001 ")


def test_what_is_counted_as_alike_is_shown_by_a_command_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my files.yaml").write_text(FILE.partition("transfers:")[0] + MISTAKES)
    assert run(["validate", "-c", "my files.yaml"]) == Exit.ERROR
    command = capsys.readouterr().err.rpartition("To see each, with its own cure:\n")[2].split("\n")[0]
    assert run(shlex.split(command)[1:]) == Exit.ERROR
    told = " ".join(one["detail"] for one in json.loads(capsys.readouterr().out)["diagnostics"])
    assert all(f"Write `2024-07-{day}`." in told for day in range(13, 30))
