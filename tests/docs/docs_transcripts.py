"""Runs the shell blocks of a page, in order, in one shell, and compares what they print.

``sh``: every line must succeed; what it prints is not looked at. ``console``: what stands behind ``$ ``
is run (``> `` goes on with it), and stdout and stderr together must be what stands below. A line of
only ``...`` stands for any lines. Lines that begin with ``make`` are not run here: see the tests. Of a
fence that is marked ``no-run`` only its ``cd`` is.

What differs from run to run is made equal on both sides before comparing:

- digests, uuids, times of day, port numbers, serials, and the number of a backfill
- the temporary folder the block runs in
- the order of the progress lines of one apply: transfers are done in parallel
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from docs_fences import ROOT, Fence

MARK = "<<-- transcript"
SHOWN_FOLDER = "/home/you/work"
_STRIPPED = ("RECONCILER_", "SUPERMETRICS_", "CI", "GITHUB_", "GITLAB_", "FORCE_COLOR", "COVERAGE", "PYTEST")
_VOLATILE = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:DIGEST"),
    (re.compile(r"--expect [0-9a-f]{12}$", re.MULTILINE), "--expect DIGEST"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC|\+00:00)"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\b(backfills?|cancels?) \d+\b"), r"\1 NUMBER"),
    (re.compile(r"(\(|with )serial \d+"), r"\1serial N"),
    (re.compile(r"^( +[-+/]+ [a-z]\S* +\d{4}-\d\d-\d\d\S* +\d+ days?) +\d{5}\b", re.MULTILINE), r"\1 NUMBER"),
)
_PROGRESS = re.compile(r"^ +(\+|-/\+|-) \S+ +\d{4}-\d\d-\d\d\S* +\d+ days? +NUMBER")


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to run: of a ``console`` fence a command, of an ``sh`` fence all of it."""

    fence: Fence
    text: str
    shown: str | None
    last: bool


@dataclass(frozen=True, slots=True)
class Ran:
    command: Command
    status: int
    output: str

    @property
    def wanted_status(self) -> int:
        return self.command.fence.exit_status if self.command.last else 0


def commands_of(fence: Fence) -> list[Command]:
    """Return what a fence runs; nothing for one that is no shell."""
    if fence.language == "sh":
        only = "cd " if "no-run" in fence.words else ""
        lines = [line for line in fence.body.splitlines() if line.startswith(only)]
        lines = [line for line in lines if not line.startswith("make ")]
        text = "\n".join(lines)
        return [Command(fence, text, None, last=True)] if text.strip() else []
    return list(_console(fence)) if fence.language == "console" else []


def _console(fence: Fence) -> Iterator[Command]:
    parts = re.split(r"^\$ ", fence.body, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{fence.where}: a transcript begins with `$ `"
    for index, part in enumerate(parts[1:], 2):
        lines = part.split("\n")
        size = 1
        while size < len(lines) and lines[size].startswith("> "):
            size += 1
        text = "\n".join([lines[0], *(line[2:] for line in lines[1:size])])
        yield Command(fence, text, "\n".join(lines[size:]), last=index == len(parts))


def run_all(commands: list[Command], folder: Path) -> list[Ran]:
    """Run the commands one after the other in one shell, which starts in ``folder``."""
    lines = []
    for command in commands:
        lines += [
            "status=0; trap 'status=$?' ERR",
            command.text,
            f"trap - ERR; printf '\\n{MARK} %s\\n' $status",
        ]
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(lines)],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    parts = re.split(rf"\n{MARK} (\d+)\n", done.stdout)
    outputs, statuses = parts[:-1:2], parts[1::2]
    assert len(statuses) == len(commands), f"the shell ended early:\n{done.stdout[-2000:]}"
    return [Ran(*each) for each in zip(commands, map(int, statuses), outputs, strict=True)]


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_STRIPPED)}
    path = f"{folder.parent / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
    ours = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder.parent)}
    return {**kept, **ours, "NO_COLOR": "1", "TERM": "dumb", "TZ": "UTC"}


def checkout(parent: Path) -> Path:
    """Return a folder that holds what a reader of the docs has: the examples, and a ``reconciler``."""
    folder, shims = parent / "work", parent / "bin"
    shims.mkdir()
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    shim = shims / "reconciler"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n', "utf-8")
    shim.chmod(0o755)
    return folder


def normalised(text: str, folder: Path | None = None) -> list[str]:
    """Return the lines of a text with all that differs from run to run made equal."""
    text = text if folder is None else _placed(text, folder)
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    lines: list[str] = []
    for progress, group in groupby(text.strip("\n").split("\n"), key=_is_progress):
        together = list(group)
        lines += sorted(together) if progress else together
    return lines


def _placed(text: str, folder: Path) -> str:
    """Return a text with the folder, or a temporary one of a page's own, as a reader may have it."""
    return re.sub(rf"{re.escape(str(folder.parent))}/({folder.name}|tmp\.\w{{10}})\b", SHOWN_FOLDER, text)


def _is_progress(line: str) -> bool:
    return _PROGRESS.match(line) is not None


def fits(shown: str, printed: str, folder: Path) -> bool:
    """Tell whether what stands in the docs is what was printed."""
    wanted, got = normalised(shown), normalised(printed, folder)
    if "..." not in wanted:
        return wanted == got
    cut = wanted.index("...")
    head, tail = wanted[:cut], wanted[cut + 1 :]
    ended = got[len(got) - len(tail) :] == tail
    return len(got) >= len(head) + len(tail) and got[:cut] == head and ended


def rewritten(shown: str, printed: str, folder: Path) -> str:
    """Return what is to stand in the docs: what was printed, cut where it was cut before."""
    lines = _placed(printed, folder).strip("\n").split("\n")
    old = shown.strip("\n").split("\n")
    if "..." in old:
        cut = old.index("...")
        lines = [*lines[:cut], "...", *lines[len(lines) - (len(old) - cut - 1) :]]
    trailing = shown[len(shown.rstrip("\n")) :] or "\n"
    return "\n".join(lines) + trailing if lines != [""] else trailing
