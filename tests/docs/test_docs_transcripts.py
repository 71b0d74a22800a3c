"""The shell blocks of the docs do what they say. ``UPDATE_DOCS=1`` rewrites what they print."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from docs_fences import MARKDOWN, PAGES, README, ROOT, Fence, fences
from docs_transcripts import Command, Ran, checkout, commands_of, fits, rewritten, run_all

UPDATE = os.environ.get("UPDATE_DOCS") == "1"
KNOWN_WORDS = {"no-run", "fragment", "world"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_blocks_print_what_they_show(page: Path, tmp_path: Path) -> None:
    commands = [command for fence in fences(page) for command in commands_of(fence)]
    if not commands:
        return
    if not shutil.which("jq") and any("jq " in command.text for command in commands):
        assert not os.environ.get("CI"), "this page shows jq"
        pytest.skip("needs jq")
    folder = checkout(tmp_path)
    if page == README:
        _cloned(folder)
    ran = _all_ran(commands, folder)
    if page == README:
        assert _left_in(folder) == "", "a clone stays clean"
    if UPDATE:
        _update(page, ran, folder)
        return
    for one in ran:
        if one.command.shown is not None:
            told = (
                f"{one.command.fence.where}: $ {one.command.text}\n{one.output}\n(UPDATE_DOCS=1 rewrites it)"
            )
            assert fits(one.command.shown, one.output, folder), told


@pytest.mark.proof
def test_the_readme_s_blocks_run_twice(tmp_path: Path) -> None:
    """They work where the reader stands then, too."""
    setup, *blocks = [own for fence in fences(README) if (own := commands_of(fence))]
    folder = checkout(tmp_path)
    _cloned(folder)
    _all_ran([*setup, *(command for block in blocks for command in (*block, *block))], folder)
    assert _left_in(folder) == "", "a clone stays clean"


def _all_ran(commands: list[Command], folder: Path) -> list[Ran]:
    """Run commands; each ends with the status that its page says."""
    ran = run_all(commands, folder)
    for one in ran:
        told = f"{one.command.fence.where}: {one.command.text}\n{one.output}"
        assert one.status == one.wanted_status, told
    return ran


def _cloned(folder: Path) -> None:
    shutil.copy(ROOT / ".gitignore", folder)
    for command in ("init -q .", "add .", "-c user.name=a -c user.email=a@b commit -qm a"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True, timeout=60)


def _left_in(folder: Path) -> str:
    command = ["git", "status", "--short"]
    return subprocess.run(command, cwd=folder, check=True, timeout=60, capture_output=True, text=True).stdout


def _update(page: Path, ran: list[Ran], folder: Path) -> None:
    text = page.read_text("utf-8")
    for fence in reversed(fences(page)):
        own = [one for one in ran if one.command.fence == fence and one.command.shown is not None]
        if own:
            text = text[: fence.start] + "".join(_shown(one, folder) for one in own) + text[fence.end :]
    page.write_text(text, "utf-8")


def _shown(one: Ran, folder: Path) -> str:
    shown = one.command.shown or ""
    if not fits(shown, one.output, folder):
        shown = rewritten(shown, one.output, folder)
    return "$ " + one.command.text.replace("\n", "\n> ") + "\n" + shown


def test_make_lines_name_targets() -> None:
    lines = [line for page in MARKDOWN for fence in fences(page) for line in _made(fence)]
    assert {"make demo", "make test"} <= set(lines)
    for line in sorted(set(lines)):
        done = subprocess.run(
            ["make", "-n", *line.split()[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def _made(fence: Fence) -> list[str]:
    if fence.language != "sh":
        return []
    return [line.partition("#")[0].strip() for line in fence.body.splitlines() if line.startswith("make ")]


def test_fences_say_what_they_are() -> None:
    for page in PAGES:
        for fence in fences(page):
            assert fence.words, f"{fence.where}: a fence without a language"
            ours = {word for word in fence.words[1:] if not word.startswith("exit-")}
            assert ours <= KNOWN_WORDS, fence.where


def test_what_cannot_be_run_is_rare() -> None:
    unrun = [fence for fence in fences(README) if "no-run" in fence.words]
    assert len(unrun) <= 2, [fence.where for fence in unrun]
