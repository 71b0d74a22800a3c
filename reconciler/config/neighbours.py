"""What lies beside the files that are read: team keys in a file that is not would be silently off."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from reconciler.config import schema
from reconciler.config.nodes import Block, Text
from reconciler.config.reading import SUFFIXES, Found, identity, printable, read
from reconciler.config.rules import finding
from reconciler.config.source import parse
from reconciler.diagnostics import Finding, Place

Teams = Mapping[int, Place]
"""The teams whose files lie in a folder, with a place to speak of in one of those."""


def unread(folders: Mapping[Path, Teams], read_files: Collection[str]) -> Iterator[Finding]:
    """Yield an error for each file in the folders that is not read and sets a key of a team that is.

    ``read_files`` are the identities of those that are. What is no file of ours, or cannot be read, is
    passed over: it is none of our business.
    """
    for folder, teams in sorted(folders.items()):
        for path in _yaml_files(folder):
            if identity(path) in read_files:
                continue
            team_id, keys = _team_keys(path, teams)
            if keys:
                yield _not_read(path, team_id, keys, teams[team_id])


def _yaml_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(SUFFIXES) and entry.is_file()]
    except OSError:
        return []
    return [Path(folder, name) for name in sorted(names) if not name.startswith(".")]


def _team_keys(path: Path, teams: Teams) -> tuple[int, list[str]]:
    """Return the team of a file and the team keys that it sets; none if it is not one of ``teams``."""
    data = read(Found(path, printable(path), path.parent))
    if isinstance(data, Finding) or not (_any_in(data, map(str, teams)) and _any_in(data, schema.TEAM_KEYS)):
        return 0, []  # most files end here, unparsed
    root = parse(data, printable(path)).root
    if not isinstance(root, Block):  # it cannot be told, so it is taken at its words
        team_id = next(team_id for team_id in teams if _any_in(data, [str(team_id)]))
        return team_id, [key for key in schema.TEAM_KEYS if _any_in(data, [key])]
    team = root.get("team_id")
    if not isinstance(team, Text) or not team.plain:
        return 0, []
    found = next((team_id for team_id in teams if team.removeprefix("+") == str(team_id)), 0)
    return found, [key for key in schema.TEAM_KEYS if key in root] if found else []


def _any_in(data: bytes, words: Iterable[str]) -> bool:
    return any(word.encode() in data for word in words)


def _not_read(path: Path, team_id: int, keys: list[str], place: Place) -> Finding:
    named = ", ".join(f"`{key}`" for key in keys)
    detail = f"{printable(path)} sets {named} for team {team_id}, and is not read: they would be off."
    hint = "Give the folder with `-c`, or both files. To narrow a run, use `--target`."
    return finding("BF058", detail, hint, place)
