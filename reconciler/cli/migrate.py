"""``state migrate`` and ``state check``: another place for the state, and whether one is fit to be that."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

import click

from reconciler.cli.command import ASKS, READS_FILES, Command
from reconciler.cli.options import Common, completed, shared
from reconciler.cli.overview import TEAM
from reconciler.cli.places import each_team, held
from reconciler.cli.terminal import agreed, out, out_json, paint_for
from reconciler.errors import Exit, UsageError
from reconciler.formats.commands import on_lines
from reconciler.untrusted import without_password
from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.engine.parts import Parts
    from reconciler.model.desired import DesiredTeam
    from reconciler.stores.base import StateStore

_NO_FOLDERS = ("default", "file", "folder", "git", "local", "origin", "sqlite")
"""What is hardly meant as the name of a folder, unless there is one."""


@click.command(
    cls=Command,
    examples=(
        "reconciler state migrate state git:origin",
        "reconciler state migrate git:origin /mnt/state 12345",
    ),
    exits={
        **dict.fromkeys(READS_FILES, ""),
        **ASKS,
        Exit.DONE: "moved, or was moved before",
        Exit.REFUSED: "there is nothing to move, or TO is taken or may not be written",
    },
)
@click.argument("from_", metavar="FROM")
@click.argument("to", metavar="TO")
@TEAM
@click.option("--auto-approve", is_flag=True, help="Skip the confirmation prompt.")
@shared("files", "api", "lock", "output")
def migrate(common: Common, from_: str, to: str, team_id: int | None, auto_approve: bool) -> int:
    """Move the state of TEAM, or of each team of the files, from one place to another: FROM and TO are what
    --state would say.

    Both are locked. TO must hold nothing, or an older copy of the same state. FROM refuses every run before
    TO gets the state, and remembers where it went; it is emptied, keeping a backup, once the state was read
    back at TO. A move that was broken off goes on when it is run again.
    """
    for name, where in (("FROM", from_), ("TO", to)):
        _check_place(name, where)
    question = f"Move the state from {without_password(from_)} to {without_password(to)}?"
    if not agreed(question, auto_approve, "reconciler state migrate"):
        return Exit.ERROR
    status = each_team(common, team_id, lambda team, parts: _move(common, parts, team, from_, to))
    if status == Exit.DONE:
        place = quote(without_password(to))
        told = f"From now on give --state {place}, or set RECONCILER_STATE:"
        out(completed(told + on_lines(f"plan --state {place}"), common))
    return status


def _check_place(name: str, where: str) -> None:
    """Refuse a word that would silently be taken for the name of a folder."""
    if where.lower() in _NO_FOLDERS and not os.path.isdir(where):
        hint = f"Give what --state would say: a folder, such as ./{where}, or git:REMOTE, such as git:origin."
        raise UsageError(f"{name} is no place", f"`{where}` is the name of a folder that is not here.", hint)


def _move(common: Common, parts: Parts, team: DesiredTeam, from_: str, to: str) -> int:
    from reconciler.engine.migration import check_move, move
    from reconciler.stores.urls import place_of

    source, target, place = _store(parts, team, from_), _store(parts, team, to), place_of(to)
    with ExitStack() as stack:
        stack.callback(source.close)
        stack.callback(target.close)
        check_move(source, target, place)
        for store in (source, target):
            stack.enter_context(held(common, store, "state migrate"))
        revision = move(source, target, place)
    told = f"its state is at {target.where} now, with serial {revision.serial}"
    out(f"Team {team.team_id}: {told}. The old place keeps it {source.kept}.")
    return Exit.DONE


def _store(parts: Parts, team: DesiredTeam, where: str) -> StateStore:
    return replace(parts, state=where).store(team)


@click.command(
    cls=Command,
    examples=("reconciler state check git:origin", "reconciler state check /mnt/state --json"),
    exits={Exit.DONE: "all is well", Exit.REFUSED: "the state cannot be kept there, or not so"},
)
@click.argument("url", metavar="URL")
@shared("lock", "json", "output")
def check(common: Common, url: str) -> int:
    """Test whether a state can be kept at URL, which is what --state would say: a line for each promise.

    It works on a scratch place of its own there, of a team that is none, which it removes at the end, and
    needs no files.
    """
    from reconciler.cli.signals import Signals
    from reconciler.engine.check import counted
    from reconciler.engine.selftest import self_test
    from reconciler.render.checkup import check_text

    _check_place("URL", url)
    found = []
    paint, width = paint_for(common.color, sys.stdout), shutil.get_terminal_size().columns
    with Signals().caught():  # it removes what it made, also when a job is cancelled
        for one in self_test(url, f"reconciler {__version__}", common.lock):
            found.append(one)
            if not common.json:
                out(check_text(one.about, one.told, one.ok, one.cure, paint, width))
    status = Exit.REFUSED if any(one.ok is False for one in found) else Exit.DONE
    if common.json:
        lines = [{"about": one.about, "ok": one.ok, "told": one.told, "cure": one.cure} for one in found]
        out_json({"format_version": "1.0", "exit": int(status), "checks": lines})
    else:
        bad = sum(one.ok is False for one in found)
        out(f"{bad} of {counted(len(found), 'check')} not ok.")
    return status
