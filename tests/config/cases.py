"""The data cases of the config: how they are read, and how what comes out is written down."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copy, copytree
from tempfile import TemporaryDirectory

from reconciler.config.loading import read_files
from reconciler.config.reading import LARGEST
from reconciler.dates import dates_of, iso
from reconciler.diagnostics import Finding, Place
from reconciler.durations import worded
from reconciler.model.desired import Desired, DesiredTeam, DesiredTransfer, Segment

CASES = Path(__file__).parent.parent / "cases" / "config"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
HEAD = "version: 1\nteam_id: 12345\n"

INPUTS = sorted(path for path in CASES.iterdir() if path.suffix not in (".findings", ".shown"))
NAMES = [path.stem for path in INPUTS]


def read_case(path: Path) -> Desired:
    """Load a case, alone in a folder: short places, and no neighbours of the same team."""
    with TemporaryDirectory() as folder, chdir(folder):
        if path.is_dir():
            copytree(path, path.name)
        else:
            copy(path, path.name)
        return read_files([path.name], as_of=_as_of(path), now=NOW)


def _as_of(path: Path) -> date | None:
    text = path.read_text() if path.is_file() else ""
    found = re.match(r"# as_of: (\S+)", text)
    return date.fromisoformat(found[1]) if found else None


def check_golden(path: Path, text: str) -> None:
    """Compare with the file, or write it: ``UPDATE_CASES=1 pytest tests/config``."""
    if os.environ.get("UPDATE_CASES"):
        path.write_text(text)
    assert path.is_file(), f"{path} is missing: run with UPDATE_CASES=1, and review the diff"
    assert text == path.read_text()


def written(loaded: Desired) -> str:
    """Return findings and teams as text, for golden files."""
    blocks = [*map(_finding, loaded.findings), *map(_team, loaded.teams)]
    return "\n".join(blocks)


def _finding(finding: Finding) -> str:
    lines = [f"{finding.severity} {finding.rule} {_place(finding.place)}: {finding.summary}"]
    lines += [f"  {finding.detail}", f"  -> {finding.hint}"]
    lines += [f"  also {_place(place)}" for place in finding.also]
    return "\n".join(lines) + "\n"


def _place(place: Place | None) -> str:
    return f"{place}-{place.end_line}:{place.end_column}" if place else "-"


def _team(team: DesiredTeam) -> str:
    lines = [f"team {team.team_id} as of {iso(team.as_of)}, today: {team.as_of_is_today}"]
    lines += [f"  {team.timezone or 'UTC'} {team.order} prune={team.prune} {team.on_unknown} {team.key_env}"]
    lines[-1] += f" stuck={worded(team.stuck_after)}"
    lines += [f"  state={team.state} files={' '.join(team.files)} ids={sorted(team.declared_ids)}"]
    lines += [f"  {team.limits}", f"  {team.guards}"]
    for transfer in team.transfers:
        lines += _transfer(transfer)
    return "\n".join(lines) + "\n"


def _transfer(transfer: DesiredTransfer) -> Iterator[str]:
    owners = ",".join(transfer.owners) or None
    settings = f"{transfer.chunk} attempts={transfer.max_attempts} {transfer.evidence} owner={owners}"
    previous = f" previous={list(transfer.previous_ids)}" if transfer.previous_ids else ""
    paused = " paused" if transfer.paused else ""
    yield f"  {transfer.name} {transfer.address.transfer_id} at {transfer.place}"
    settings += f" retry={worded(transfer.retry_after)}"
    yield f"    {settings} until={iso(transfer.loadable_until)}{paused}{previous}"
    yield from map(_segment, transfer.segments)
    for loaded in transfer.loaded:
        at = f"{loaded.at:%Y-%m-%dT%H:%M:%SZ}" if loaded.at else "long ago"
        for start, end in loaded.days.intervals:
            yield f"    loaded {dates_of(start, end)} {loaded.place} {at} ({loaded.reason})"


def _segment(segment: Segment) -> str:
    stale = f" stale_before={segment.stale_before:%Y-%m-%dT%H:%M:%SZ}" if segment.stale_before else ""
    reason = f" ({segment.reason})" if segment.reason else ""
    final = f" final_after={segment.final_after}d" if segment.final_after is not None else ""
    rerun = f" rerun {segment.rerun.place} ({segment.rerun.reason})" if segment.rerun else ""
    owners = f" owners={','.join(segment.owners)}" if segment.owners else ""
    return f"    {segment.dates} {segment.place}{stale}{final}{owners}{reason}{rerun}"


# --- cases that no file in Git should hold ------------------------------------------------

BOMB = (
    "a: &a ["
    + "x, " * 9
    + "]\n"
    + "".join(
        f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
)

GENERATED: dict[str, tuple[bytes, str, tuple[int, int]]] = {
    # name: (content, the only rule, line and column)
    "nul": (b"version: 1\nteam_id: 1\0\n", "BF006", (2, 11)),
    "escape": (b"version: \x1b[31m1\n", "BF006", (1, 10)),
    "line-separator": ("# a\u2028transfers: {}\n".encode(), "BF006", (1, 4)),
    "direction-override": ("version: 1 # \u202e\n".encode(), "BF006", (1, 14)),
    "carriage-return": (b"# a comment\rversion: 1\n", "BF006", (1, 12)),
    "latin-1": ("version: 1\n# hé\nowner: é\n".encode("latin-1"), "BF005", (2, 4)),
    "latin-1-after-bom": (b"\xef\xbb\xbfa: \xe9\n", "BF005", (1, 4)),
    "truncated-utf-8": ("ä: é".encode()[:-1], "BF005", (1, 4)),
    "utf-16": ("version: 1\n".encode("utf-16"), "BF005", (1, 1)),
    "utf-16-without-bom": ("version: 1\n".encode("utf-16-le"), "BF006", (1, 2)),
    "brackets": (b"[" * 100_000, "BF012", (1, 65)),
    "braces": (b"{a: " * 25_000, "BF012", (1, 257)),
    "dashes": (b"- " * 50_000, "BF012", (1, 129)),
    "question-marks": (b"? " * 50_000, "BF012", (1, 129)),
    "indents": ("".join(" " * depth + "a:\n" for depth in range(300)).encode(), "BF012", (65, 65)),
    "bomb": (BOMB.encode(), "BF018", (6, 8)),
    "seventeen-mebibytes": (b"#" * (17 * 1024 * 1024), "BF004", (1, 1)),
    "one-byte-too-large": (b"#" * (LARGEST + 1), "BF004", (1, 1)),
    "tabs": (b"\t" * 100_000, "BF011", (1, 1)),
    "unknown-aliases": (b"- *a\n" * 100_000, "BF017", (1, 3)),
    "unknown-keys": ((HEAD + "".join(f"k{n}: 1\n" for n in range(2000))).encode(), "BF022", (3, 1)),
}

Paths = Callable[[Path], list[Path]]


def missing(folder: Path) -> list[Path]:
    return [folder / "absent.yaml"]


def folder_without_yaml(folder: Path) -> list[Path]:
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("nothing")
    (folder / ".hidden.yaml").write_text("nothing")
    return [folder]


def nul_in_path(folder: Path) -> list[Path]:
    return [Path(f"{folder}/a\0b.yaml")]


def dangling_link(folder: Path) -> list[Path]:
    (folder / "link.yaml").symlink_to("nowhere.yaml")
    return [folder]


PLACES: dict[str, tuple[Paths, str]] = {
    "missing": (missing, "BF002"),
    "nul-in-path": (nul_in_path, "BF002"),
    "dangling-link": (dangling_link, "BF002"),
    "folder-without-yaml": (folder_without_yaml, "BF003"),
}
