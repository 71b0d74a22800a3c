"""The files of one team, put together: what only one file may say, and what must not clash."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.config import schema
from reconciler.config.nodes import Block, Node, at, key_place, place_of
from reconciler.config.reading import default_state
from reconciler.config.rules import BrokenRule, finding, shown
from reconciler.config.sections import keys_of
from reconciler.config.transfers import TeamFile, Today, resolve_transfer
from reconciler.config.values import ID
from reconciler.diagnostics import Finding, Place
from reconciler.errors import UsageError
from reconciler.model.desired import DesiredTeam, DesiredTransfer, Guards, Limits


def resolve_team(
    files: Sequence[TeamFile], as_of: date | None, now: datetime
) -> tuple[DesiredTeam, list[Finding]]:
    """Return what the files of one team declare together, and the findings.

    Raises ``UsageError`` if ``as_of`` is later than today in the team's timezone.
    """
    keys, findings = _team_keys(files)
    zone = ZoneInfo(keys["timezone"]) if "timezone" in keys else UTC
    today = now.astimezone(zone).date()
    _check_as_of(as_of, today)
    resolved_on = as_of or today
    transfers, found = _transfers(files, Today(resolved_on.toordinal(), now, zone))
    findings += [*found, *_apart(files), *_twice(files), *_previous(files), *_guard_owners(files, transfers)]
    team = DesiredTeam(
        team_id=files[0].model.team_id,
        as_of=resolved_on.toordinal(),
        as_of_is_today=resolved_on == today,
        transfers=tuple(sorted(transfers, key=lambda transfer: transfer.address)),
        declared_ids=frozenset(transfer.address.transfer_id for transfer in transfers),
        files=tuple(file.file for file in files),
        default_state=default_state(file.home for file in files),
        **keys,
    )
    return team, findings


def state_folder(files: Sequence[TeamFile]) -> str | None:
    """Return where the state of a team lies if no flag says otherwise; ``None`` if that remains open."""
    set_here = (_team_value(file, "state") for file in files if file.model.state is not None)
    return next(set_here, None) or default_state(file.home for file in files)


def _check_as_of(as_of: date | None, today: date) -> None:
    if as_of is not None and as_of > today:
        detail = f"--as-of is {as_of}, but today is {today} in the team's timezone. Later days are unknown."
        raise UsageError("--as-of is in the future", detail, "Give today's date or an earlier one.")


# --- keys of the team ---------------------------------------------------------------------


def _team_keys(files: Sequence[TeamFile]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the arguments of ``DesiredTeam`` that the files set; the first file that sets one holds."""
    keys: dict[str, Any] = {}
    findings: list[Finding] = []
    for key in schema.TEAM_KEYS:
        holders = [file for file in files if getattr(file.model, key) is not None]
        if holders:
            keys[key] = _team_value(holders[0], key)
        findings += [_set_twice(key, holders[0], other) for other in holders[1:]]
    return keys, findings


def _team_value(file: TeamFile, key: str) -> Any:
    value = getattr(file.model, key)
    match value:
        case schema.LimitsEntry():
            set_here = {name: getattr(value, name) for name in keys_of(schema.LimitsEntry)}
            return Limits(**{name: bound for name, bound in set_here.items() if bound is not None})
        case schema.GuardsEntry():
            owners = {owner: _guards(section) for owner, section in sorted((value.owners or {}).items())}
            return Guards(value.max_days_per_apply, value.max_rows_per_apply, owners)
        case str() if key == "state":
            return os.path.normpath(os.path.join(os.path.dirname(file.file), value))
    return value


def _guards(section: schema.OwnerGuardsEntry) -> Guards:
    return Guards(section.max_days_per_apply, section.max_rows_per_apply)


def _set_twice(key: str, first: TeamFile, second: TeamFile) -> Finding:
    places = [key_place(file.data, (key,)) for file in (second, first)]
    detail = f"`{key}` applies to the whole team, and {places[1]} sets it too. Only one of its files may."
    return finding("BF052", detail, "Remove it from one of the two files.", places[0], (places[1],))


# --- clashes ------------------------------------------------------------------------------


def _transfers(files: Sequence[TeamFile], clock: Today) -> tuple[list[DesiredTransfer], list[Finding]]:
    transfers: list[DesiredTransfer] = []
    findings: list[Finding] = []
    for file in files:
        for name in file.model.transfers:
            transfer, found = resolve_transfer(file, name, clock)
            transfers.append(transfer)
            findings += found
    return transfers, findings


def _apart(files: Sequence[TeamFile]) -> Iterator[Finding]:
    """Yield an error for each file that lies in another folder than the first: they are read together."""
    first, *others = files
    for other in others:
        if os.path.realpath(other.path.parent) != os.path.realpath(first.path.parent):
            places = [key_place(file.data, ("team_id",)) for file in (other, first)]
            detail = f"{places[1]} is of team {first.model.team_id} too, and lies in another folder."
            hint = "Put the files of a team into one folder: so a run never reads only some of them."
            yield finding("BF059", detail, hint, places[0], (places[1],))


def _ids(files: Sequence[TeamFile]) -> Iterator[tuple[int, str, Place, Place]]:
    """Yield each transfer's id and name, with the places of both; also of one that is faulty otherwise."""
    for file in files:
        entries = at(file.whole, ("transfers",))
        for name, entry in entries.items() if isinstance(entries, Block) else ():
            path = ("transfers", name)
            if number := _id_in(entry):
                yield number, name, place_of(file.whole, (*path, "transfer_id")), key_place(file.whole, path)


def _id_in(entry: Node) -> int:
    """Return the id that a transfer's entry has; 0 for none."""
    try:
        return int(ID.read(entry.get("transfer_id"))) if isinstance(entry, Block) else 0
    except BrokenRule:
        return 0


def _twice(files: Sequence[TeamFile]) -> Iterator[Finding]:
    ids: dict[int, tuple[Place, Place]] = {}
    names: dict[str, Place] = {}
    for number, name, id_place, name_place in _ids(files):
        first, holder = ids.setdefault(number, (id_place, name_place))
        if holder is not name_place:
            detail = f"{first} also declares transfer {number}. Declare each transfer in one place."
            place = name_place if first is id_place else id_place  # one that an alias repeats has one id only
            yield finding("BF050", detail, "Put all its ranges under one name.", place, (first,))
        first = names.setdefault(name, name_place)
        if first is not name_place:
            detail = f"{first} also uses the name {shown(name)}. Within a team, each name must be unique."
            yield finding(
                "BF051", detail, "Rename one of them; that changes nothing else.", name_place, (first,)
            )


def _previous(files: Sequence[TeamFile]) -> Iterator[Finding]:
    declared = {number: place for number, _, place, _ in _ids(files)}
    users: dict[int, tuple[str, Place]] = {}
    for file in files:
        for name, transfer in file.model.transfers.items():
            for index, number in enumerate(transfer.previous_ids or ()):
                place = place_of(file.data, ("transfers", name, "previous_ids", index))
                yield from _clash(number, name, place, declared, users)


def _clash(
    number: int, name: str, place: Place, declared: dict[int, Place], users: dict[int, tuple[str, Place]]
) -> Iterator[Finding]:
    if other := declared.get(number):
        detail = f"{other} declares {number} as a transfer of its own, so its loads would count for both."
        yield finding("BF053", detail, "Remove it here, or remove that transfer.", place, (other,))
    if number not in users:
        users[number] = (name, place)
        return
    user, first = users[number]
    if user == name:
        yield finding("BF054", f"{number} is already in this list.", "Remove one of them.", place, (first,))
    else:
        detail = f"{first} also lists {number}, so what it loaded counts for both transfers."
        hint = "Keep it if the old transfer was split in two; otherwise remove it where it is wrong."
        yield finding("BF055", detail, hint, place, (first,))


def _guard_owners(files: Sequence[TeamFile], transfers: Sequence[DesiredTransfer]) -> Iterator[Finding]:
    owners = {owner for transfer in transfers for owner in transfer.everyone}
    for file in files:
        guards = file.model.guards
        for owner in (guards.owners if guards else None) or {}:
            if owner not in owners:
                detail = f"Nothing of the team has the owner {shown(owner)}, so the guard never applies."
                place = key_place(file.data, ("guards", "owners", owner))
                yield finding("BF056", detail, "Correct the name, or remove the guard.", place)
