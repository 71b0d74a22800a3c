"""The world file: where a sandbox starts. Read strictly; every mistake is a SceneError with its place.

A scene is data only and may open any number of worlds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.sandbox.scene_backfills import GivenBackfill, read_given
from reconciler.sandbox.scene_values import read_day, read_id, read_mapping, read_moment
from reconciler.sandbox.settings import SceneError, Settings, is_integer, refuse_unknown
from reconciler.sandbox.transfer import DEFAULT_ROWS, FailDay, Transfer

__all__ = ["Scene", "SceneError", "read_scene", "scene_of"]

DEFAULT_ERROR = "The data source did not answer in time"
SCOPES = ("read", "write")

_TOP = ("now", "open", "keys", "settings", "teams")
_TEAM = ("transfers", "backfills")
_TRANSFER = ("name", "state", "rows_per_day", "recurring_since", "fail_days")
_FAIL = ("error", "times")


@dataclass(frozen=True, slots=True)
class Scene:
    """The start of a world. `now` is a moment (milliseconds) or None for the real time.

    `open`: any team, transfer and key exists. `keys`: scopes by key; None where the file names no keys.
    """

    now: int | None = None
    open: bool = True
    keys: Mapping[str, tuple[str, ...]] | None = None
    settings: Settings = field(default_factory=Settings)
    teams: tuple[int, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    backfills: tuple[GivenBackfill, ...] = ()


def read_scene(path: str | Path) -> Scene:
    """The scene of a YAML file. Raises SceneError, also when the file cannot be read or is not YAML."""
    from reconciler.sandbox.scene_yaml import load  # yaml costs 20 ms, and most sandboxes need none

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(str(path), f"cannot be read: {error}") from error
    try:
        return scene_of(load(text))
    except SceneError as error:
        raise SceneError(f"{path}: {error.where}" if error.where else str(path), error.what) from error


def scene_of(data: Mapping[str, Any] | None) -> Scene:
    """The scene of a world file's data: plain dicts and lists, dates as text or `date`."""
    top = read_mapping(data, "")
    refuse_unknown(top, _TOP, "")
    teams = {
        read_id(key, "teams"): _team(key, value)
        for key, value in read_mapping(top.get("teams"), "teams").items()
    }
    now = top.get("now")
    return Scene(
        now=None if now is None else read_moment(now, "now"),
        open=_flag(top.get("open", True), "open"),
        keys=_keys(top["keys"]) if top.get("keys") is not None else None,
        settings=Settings().changed(read_mapping(top.get("settings"), "settings")),
        teams=tuple(teams),
        transfers=tuple(transfer for transfers, _ in teams.values() for transfer in transfers),
        backfills=_unique(tuple(given for _, backfills in teams.values() for given in backfills)),
    )


def _team(key: Any, value: Any) -> tuple[list[Transfer], list[GivenBackfill]]:
    where = f"teams.{key}"
    team = read_id(key, "teams")
    data = read_mapping(value, where)
    refuse_unknown(data, _TEAM, where)
    transfers = read_mapping(data.get("transfers"), f"{where}.transfers")
    backfills = data.get("backfills", [])
    if not isinstance(backfills, list):
        raise SceneError(f"{where}.backfills", "must be a list")
    return (
        [_transfer(team, name, item, f"{where}.transfers") for name, item in transfers.items()],
        [read_given(team, item, f"{where}.backfills[{place}]") for place, item in enumerate(backfills)],
    )


def _transfer(team: int, key: Any, value: Any, parent: str) -> Transfer:
    number, where = read_id(key, parent), f"{parent}.{key}"
    data = read_mapping(value, where)
    refuse_unknown(data, _TRANSFER, where)
    state, rows, since = (
        data.get("state", "active"),
        data.get("rows_per_day", DEFAULT_ROWS),
        data.get("recurring_since"),
    )
    if state not in ("active", "paused"):
        raise SceneError(f"{where}.state", f"{state!r} is neither active nor paused")
    if not is_integer(rows) or rows < 0:
        raise SceneError(f"{where}.rows_per_day", f"{rows!r} is not a whole number of at least 0")
    return Transfer(
        team=team,
        id=number,
        name=str(data.get("name", f"Transfer {number}")),
        state=state,
        rows_per_day=rows,
        recurring_since=None if since is None else read_day(since, f"{where}.recurring_since"),
        fail_days=_fail_days(data.get("fail_days"), f"{where}.fail_days"),
    )


def _fail_days(value: Any, where: str) -> dict[int, FailDay]:
    return {
        read_day(key, where): _fail_day(item, f"{where}.{key}")
        for key, item in read_mapping(value, where).items()
    }


def _fail_day(value: Any, where: str) -> FailDay:
    data = read_mapping(value, where)
    refuse_unknown(data, _FAIL, where)
    left, error = data.get("times", 1), str(data.get("error", DEFAULT_ERROR))
    if left is not None and (not is_integer(left) or left < 0):
        raise SceneError(f"{where}.times", f"{left!r} is not a whole number of at least 0 or null (always)")
    if not 1 <= len(error) <= 1000:
        raise SceneError(f"{where}.error", "must have 1 to 1000 characters")
    return FailDay(error, left)


def _keys(value: Any) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    for key, scopes in read_mapping(value, "keys").items():
        if not isinstance(scopes, list) or any(scope not in SCOPES for scope in scopes):
            raise SceneError(f"keys.{key}", "must be a list of read and write")
        keys[str(key)] = tuple(scopes)
    return keys


def _unique(backfills: tuple[GivenBackfill, ...]) -> tuple[GivenBackfill, ...]:
    seen: set[int] = set()
    for given in backfills:
        if given.id in seen:
            raise SceneError("teams", f"backfill {given.id} is given twice")
        seen.add(given.id)
    return backfills


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise SceneError(where, f"{value!r} is not true or false")
    return value
