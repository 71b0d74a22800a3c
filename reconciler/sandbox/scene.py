"""The world file: where a sandbox starts. Read strictly; every mistake is a SceneError with its place.

A scene is data only and may open any number of worlds.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.sandbox.access import SCOPES, Key
from reconciler.sandbox.progress import USER
from reconciler.sandbox.scene_backfills import SceneBackfill, read_backfill
from reconciler.sandbox.scene_transfers import read_transfer
from reconciler.sandbox.settings import (
    FLAG,
    SceneError,
    Settings,
    read_fit,
    read_id,
    read_mapping,
    read_moment,
)
from reconciler.sandbox.transfer import Transfer

if TYPE_CHECKING:
    import yaml

_TOP = ("now", "open", "keys", "settings", "teams")
_TEAM = ("transfers", "backfills")
_KEY = ("scopes", "user_id")


@dataclass(frozen=True, slots=True)
class Scene:
    """The start of a world. `now` is a moment (milliseconds) or None for the real time.

    `open`: any team, transfer and key exists. `keys`: by name; None where the file names no keys.
    """

    now: int | None = None
    open: bool = True
    keys: Mapping[str, Key] | None = None
    settings: Settings = field(default_factory=Settings)
    teams: tuple[int, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    backfills: tuple[SceneBackfill, ...] = ()


def read_scene(path: str | Path) -> Scene:
    """The scene of a YAML file. Raises SceneError, also when the file cannot be read or is not YAML."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(str(path), f"cannot be read: {error}") from error
    try:
        return scene_of(_load_yaml(text))
    except SceneError as error:
        raise SceneError(f"{path}: {error.where}" if error.where else str(path), error.what) from error


def _load_yaml(text: str) -> Any:
    """The data of one YAML document. Raises SceneError with the line."""
    import yaml  # it costs 20 ms, and most sandboxes need none

    try:
        return yaml.load(text, Loader=_strict_loader())  # a SafeLoader: only plain data comes out
    except SceneError:
        raise
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SceneError(line, f"not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SceneError("", f"not YAML: {error}") from error


@cache
def _strict_loader() -> type["yaml.SafeLoader"]:
    """The safe loader, which would let the last of two equal keys win silently."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[Hashable] = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if isinstance(key, Hashable) and key in seen:
                    raise SceneError(f"line {key_node.start_mark.line + 1}", f"{key!r} is a duplicate key")
                seen.add(key)
            return super().construct_mapping(node, deep)

    return StrictLoader


def scene_of(data: Mapping[str, Any] | None) -> Scene:
    """The scene of a world file's data: plain dicts and lists, dates as text or `date`."""
    top = read_mapping(data, "", _TOP)
    teams = {
        read_id(key, "teams"): _team(key, value)
        for key, value in read_mapping(top.get("teams"), "teams").items()
    }
    now = top.get("now")
    return Scene(
        now=None if now is None else read_moment(now, "now"),
        open=read_fit(top.get("open", True), FLAG, "open"),
        keys=_keys(top["keys"]) if top.get("keys") is not None else None,
        settings=Settings().changed(read_mapping(top.get("settings"), "settings")),
        teams=tuple(teams),
        transfers=tuple(transfer for transfers, _ in teams.values() for transfer in transfers),
        backfills=_unique(tuple(entry for _, backfills in teams.values() for entry in backfills)),
    )


def _team(key: Any, value: Any) -> tuple[list[Transfer], list[SceneBackfill]]:
    where = f"teams.{key}"
    team = read_id(key, "teams")
    data = read_mapping(value, where, _TEAM)
    transfers = read_mapping(data.get("transfers"), f"{where}.transfers")
    backfills = data.get("backfills", [])
    if not isinstance(backfills, list):
        raise SceneError(f"{where}.backfills", "must be a list")
    return (
        [read_transfer(team, name, item, f"{where}.transfers") for name, item in transfers.items()],
        [read_backfill(team, item, f"{where}.backfills[{place}]") for place, item in enumerate(backfills)],
    )


def _keys(value: Any) -> dict[str, Key]:
    keys = read_mapping(value, "keys")
    return {str(name): _key(key, f"keys.{name}") for name, key in keys.items()}


def _key(value: Any, where: str) -> Key:
    """A list of scopes, or a mapping with them and the user."""
    data = {"scopes": value} if not isinstance(value, Mapping) else read_mapping(value, where, _KEY)
    scopes = data.get("scopes", list(SCOPES))
    if not isinstance(scopes, list | tuple) or any(scope not in SCOPES for scope in scopes):
        raise SceneError(where, "must be a list of read and write, or have one as scopes")
    return Key(tuple(scopes), read_id(data.get("user_id", USER), f"{where}.user_id"))


def _unique(backfills: tuple[SceneBackfill, ...]) -> tuple[SceneBackfill, ...]:
    seen: set[int] = set()
    for entry in backfills:
        if entry.id in seen:
            raise SceneError("teams", f"backfill {entry.id} is given twice")
        seen.add(entry.id)
    return backfills
