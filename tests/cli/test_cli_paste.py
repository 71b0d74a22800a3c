"""Every command that is printed to be pasted is pasted: it stands alone on its line, a shell takes it as it
is, and it acts on the files, the state and the API of the run that printed it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_rig import KEY, PATIENCE, TEAM, Api, Done, Shop, checked, serving

from reconciler.cli.options import DEFAULT_API, Common, command_of

FILE = """\
version: 1
team_id: 12345
state: elsewhere
transfers:
  ads:
    transfer_id: 1
    ranges: [2024-05-01..2024-05-10]
  web:
    transfer_id: 2
    ranges: [2024-04-01..2024-04-05]
  other:
    transfer_id: 3
    ranges: [2024-03-01..2024-03-05]
"""
STATE = "my $state"
ONE_LOOK = (
    sys.executable,
    "-c",
    "import sys; from reconciler.cli import main; from reconciler.engine import transfer;"
    "transfer.LOOKS = (0.0,); sys.exit(main.run(sys.argv[1:]))",
)
"""The command, but that it looks once, and not for 30 seconds, what became of a create."""

PRINTED = re.compile(r"^(?:\s+|Apply exactly this: )(reconciler .+)$", re.MULTILINE)
ASKING = ("apply", "retry", "accept", "resolve", "state push", "state rm")


@dataclass
class Desk:
    """A folder with files, a state and an API that are not the default ones, and a shell to paste into. The
    shell knows nothing of them but the key.
    """

    shop: Shop
    api: Api

    @property
    def flags(self) -> list[str]:
        return ["-c", "my files/it's.yaml", "--api", self.api.url, "--state", STATE]

    def write(self, text: str) -> None:
        self.shop.write(text, "my files/it's.yaml")

    def run(self, *arguments: str, code: int | None = None) -> Done:
        return self.shop.run(*arguments, *self.flags, code=code, command=ONE_LOOK)

    def paste(self, command: str) -> Done:
        """Run a printed command in ``sh``; who is not asked there is answered by the flag."""
        approve = " --auto-approve" if _asks(command) else ""
        ran = subprocess.run(
            ["sh", "-c", command.replace("created:ID", "created:10001") + approve],
            cwd=self.shop.folder,
            env=self.shop.environ({"PATH": f"{self.shop.folder / 'bin'}:/usr/bin:/bin"}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return checked(Done(ran.returncode, ran.stdout, ran.stderr))


def _asks(command: str) -> bool:
    verb = command.removeprefix("reconciler ")
    approved = ("--expect", "plan.json", "--auto-approve")
    return verb.startswith(ASKING) and not any(one in verb for one in approved)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    shop = Shop(tmp_path, {"SUPERMETRICS_API_KEY": KEY})
    shim = shop.write(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n', "bin/reconciler")
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    with serving() as api:
        made = Desk(shop, api)
        made.write(FILE)
        yield made


# --- the situations ---------------------------------------------------------------------------


def quota(desk: Desk) -> Done:
    desk.api.sandbox.faults("quota-rows@create")
    return desk.run("apply", "--auto-approve", code=7)


def key(desk: Desk) -> Done:
    desk.api.sandbox.faults("status-401-before@create")
    return desk.run(
        "apply", "--auto-approve", "--target", "a*", "--target", "w?b", "--exclude", "o*", code=65
    )


def away(desk: Desk) -> Done:
    desk.api.sandbox.faults("status-400-before@list")
    return desk.run("apply", "--auto-approve", "--as-of", "2025-01-01", "--settle", "20m", code=69)


def refused(desk: Desk) -> Done:
    desk.api.sandbox.faults("status-422-before@create")
    return desk.run("apply", "--auto-approve", "--settle", "20m", code=3)


def refused_before(desk: Desk) -> Done:
    refused(desk)
    desk.api.sandbox.faults()
    return desk.run("apply", "--auto-approve", code=3)


def unknown(desk: Desk) -> Done:
    desk.api.sandbox.faults("status-500-before@create")
    return desk.run("apply", "--auto-approve", "--target", "ads", code=4)


def listed(desk: Desk) -> Done:
    unknown(desk)
    return desk.run("resolve", code=0)


def saved(desk: Desk) -> Done:
    desk.run("plan", "--target", "ads", "--out", "plan.json", code=0)
    desk.api.sandbox.faults("quota-rows@create")
    return desk.run("apply", "plan.json", code=7)


def unexpected(desk: Desk) -> Done:
    return desk.run("apply", "--expect", "0123456789ab", "--target", "ads", code=6)


def unfit(desk: Desk) -> Done:
    desk.shop.write("{}", "alt.json")
    return desk.run("apply", "alt.json", code=6)


GUARDED = FILE.replace("transfers:", "guards: {max_days_per_apply: 9}\ntransfers:")


def guarded_plan(desk: Desk) -> Done:
    desk.write(GUARDED)
    told = desk.run("plan", "--target", "ads", "--as-of", "2025-01-01", code=6)
    (finding,) = desk.run("plan", "--target", "ads", "--as-of", "2025-01-01", "--json", code=6).json[
        "diagnostics"
    ]
    assert finding["commands"] == PRINTED.findall(told.err)
    assert "--target ads" in finding["commands"][0]
    return told


def guarded_apply(desk: Desk) -> Done:
    desk.write(GUARDED)
    told = desk.run("apply", "--auto-approve", "--exclude", "o*", "--settle", "20m", code=6)
    assert told.err.count("A guard refuses this plan") == 1
    return told


def guarded_file(desk: Desk) -> Done:
    desk.write(GUARDED)
    desk.run("plan", "--target", "ads", "--out", "plan.json", code=6)
    return desk.run("apply", "plan.json", "--strict", code=6)


def planned(desk: Desk) -> Done:
    return desk.run("plan", "--exclude", "o*", code=0)


def used_up(desk: Desk) -> Done:
    desk.write(FILE.replace("transfers:", "defaults: {max_attempts: 1}\ntransfers:"))
    scene = {"fail_days": {"2024-05-04": {"times": 9}}}
    desk.api.sandbox.reset({"teams": {TEAM: {"transfers": {1: scene, 2: {}, 3: {}}}}})
    desk.run("apply", "--auto-approve", code=0)
    desk.api.sandbox.advance(86400)
    return desk.run("apply", "--auto-approve", code=3)


def forgotten(desk: Desk) -> Done:
    desk.write(FILE.replace("transfers:", "defaults: {evidence: backfills}\ntransfers:"))
    desk.api.sandbox.create_backfill(TEAM, 1, "2024-05-04", "2024-05-05")
    desk.api.sandbox.advance(2 * 3600)
    return desk.run("plan", code=6)


def old_copy(desk: Desk) -> Done:
    desk.run("apply", "--auto-approve", "--target", "ads", code=0)
    desk.run("apply", "--auto-approve", "--target", "web", code=0)
    database = desk.shop.folder / STATE / f"team-{TEAM}.db"
    shutil.copy(database.with_suffix(".db.backup"), database)
    return desk.run("plan")


SITUATIONS: dict[Callable[[Desk], Done], tuple[list[str], set[int]]] = {
    guarded_plan: (["apply"], {0}),
    quota: (["apply"], {0}),
    key: (["apply"], {0}),
    away: (["apply"], {0}),
    refused: (["retry"] * 3, {0}),
    refused_before: (["retry"] * 3, {0}),
    unknown: (["apply", "resolve", "resolve"], {0, 4, 6}),
    listed: (["resolve", "resolve"], {0, 6}),
    saved: (["apply"], {0}),
    unexpected: (["plan"], {0}),
    unfit: (["plan"], {0}),
    planned: (["apply"], {0}),
    used_up: (["retry"], {0}),
    forgotten: (["accept", "apply"], {0, 6}),
    guarded_apply: (["apply"], {0}),
    guarded_file: (["apply"], {0}),
    old_copy: (["accept"], {0}),
}
"""Of each the commands that it prints, and how they may end."""


FEW = 6  # in every run; the others in the long ones


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(one, marks=() if number < FEW else pytest.mark.proof, id=one.__name__)
        for number, one in enumerate(SITUATIONS)
    ],
)
def test_what_is_printed_is_pasted(situation: Callable[[Desk], Done], desk: Desk) -> None:
    wanted, codes = SITUATIONS[situation]
    told = situation(desk)
    desk.api.sandbox.faults()
    printed = PRINTED.findall(told.err + told.out)
    assert [one.split()[1] for one in dict.fromkeys(printed)] == wanted, told
    files = {path.name for path in desk.shop.folder.iterdir()}
    for command in dict.fromkeys(printed):
        assert "|" not in command
        asked = len(desk.api.sandbox.requests())
        done = desk.paste(command)
        assert done.code in codes, (command, done)
        by_hand = "resolve" in command or "--old-copy" in command
        assert len(desk.api.sandbox.requests()) > asked or by_hand, "it asks that API"
    assert desk.run("resolve", code=0).out == "Nothing is unresolved.\n"
    new = {path.name for path in desk.shop.folder.iterdir()} - files
    assert new <= {STATE, "plan.json"}, "no other state was begun"


def test_the_rest_of_a_run_is_pasted_to_the_end(desk: Desk) -> None:
    """What a quota left is made by the command that the ending names, and by nothing else."""
    told = key(desk)
    desk.api.sandbox.faults()
    assert desk.paste(PRINTED.findall(told.err)[0]).code == 0
    assert desk.api.made() == ["2024-04-01..2024-04-05", "2024-05-01..2024-05-10"], "ads and web, not other"


def test_the_state_of_the_environment_is_not_the_sandboxs(shop: Shop) -> None:
    """``RECONCILER_STATE`` names the production state: neither used with the sandbox, nor printed for it."""
    env = {"RECONCILER_STATE": "prod"}
    told = shop.run("plan", "--api", "sandbox", env=env, code=0)
    (command,) = PRINTED.findall(told.out)
    assert "prod" not in command
    shop.env |= env
    assert shop.shell(command).code == 0
    assert not (shop.folder / "prod").exists()
    assert shop.run("plan", "--api", "sandbox", code=0).out.startswith("No changes.")


def test_a_file_that_the_locale_cannot_read_is_named_by_its_bytes() -> None:
    """As in ``LC_ALL=POSIX``; a shell makes the very name of it."""
    for name in (b"\xfc b.yaml", b"it's\\\nso.yaml"):
        printed = command_of(Common(config=(os.fsdecode(name),), api=DEFAULT_API), "plan")
        assert printed.isascii()
        assert "\n" not in printed
        words = subprocess.run(
            ["bash", "-c", f"printf %s {printed.partition(' -c ')[2]}"], capture_output=True, check=True
        )
        assert words.stdout == name
