"""What ``doctor`` tells of the declared transfers: does each exist, is it paused, what is it called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from reconciler.api.client import ApiClient, Listing
from reconciler.engine.check import Check
from reconciler.errors import Exit
from reconciler.model.desired import DesiredTeam, DesiredTransfer
from reconciler.model.observed import Cause, Run, TransferInfo, Unreadable

FEW = 10  # of transfers alike, how many are told one by one; and how many are asked for one by one


def check_transfers(
    team: DesiredTeam, listed: tuple[TransferInfo, ...] | Unreadable, listing: Listing, client: ApiClient
) -> Iterator[Check]:
    if isinstance(listed, Unreadable):
        yield Check("transfers", f"not known: {listed.said}", None, team_id=team.team_id)
        return
    by_id = {one.id: one for one in listed}
    alike: dict[_Kind, list[str]] = {}
    asked = 0
    for transfer in team.transfers:
        info = by_id.get(transfer.address.transfer_id)
        if info is None and asked < FEW:
            asked += 1
            kind = _of_runs(newest_runs(team, transfer, listing, client))
        else:
            kind = _of_list(transfer, info)
        alike.setdefault(kind, []).append(_named(transfer, info))
    for kind, names in sorted(alike.items(), key=lambda item: item[0].rank):
        yield from _told(team, kind, names, listed)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is so of a transfer; many alike are counted. They are told by ``rank``."""

    rank: int
    told: str
    ok: bool | None = True
    cure: str = ""
    exit: int = int(Exit.DONE)


_ACTIVE = _Kind(0, "exists, active")
_RESTS = _Kind(1, "exists, paused at the API as in the file")
_PAUSED_BY_FILE = _Kind(2, "exists, active at the API, paused by the file")
_UNLISTED = _Kind(3, "exists, though the team's list has it not")
_UNKNOWN = _Kind(4, "not in the team's list, and nothing else shows it", None)
_MISSING = _Kind(5, "not in this team", False, "", int(Exit.ERROR))
_PAUSED = _Kind(
    6,
    "exists, paused at the API: creates are refused",
    False,
    "Resume it on the vendor's pages, or say `paused: true` in the file.",
    int(Exit.PARTLY),
)


def _of_list(transfer: DesiredTransfer, info: TransferInfo | None) -> _Kind:
    if info is None:
        return _UNKNOWN
    if info.paused:
        return _RESTS if transfer.paused else _PAUSED
    return _PAUSED_BY_FILE if transfer.paused else _ACTIVE


def _of_runs(runs: tuple[Run, ...] | Unreadable) -> _Kind:
    """Return what the run list tells of a transfer that the team's list has not: that may be cut."""
    if isinstance(runs, Unreadable):
        return _MISSING if runs.cause is Cause.NOT_FOUND else _UNKNOWN
    return _UNLISTED if runs else _UNKNOWN


def _named(transfer: DesiredTransfer, info: TransferInfo | None) -> str:
    called = f', "{info.name}"' if info is not None and info.name else ""
    return f"{transfer.name} ({transfer.address.transfer_id}{called})"


def _told(
    team: DesiredTeam, kind: _Kind, names: list[str], listed: tuple[TransferInfo, ...]
) -> Iterator[Check]:
    cure = kind.cure or ("" if kind.ok is not False else f"Check transfer_id: {_there(team, listed)}")
    few = names if len(names) <= FEW else [f"{len(names):,} transfers ({', '.join(names[:3])}, …)"]
    for name in few:
        yield Check("transfer", f"{name}: {kind.told}", kind.ok, cure, kind.exit, team.team_id)


def _there(team: DesiredTeam, listed: tuple[TransferInfo, ...]) -> str:
    ordered = sorted(listed, key=lambda one: one.id)
    named = [f"{one.id} ({one.name})" if one.name else f"{one.id}" for one in ordered[:FEW]]
    more = f" and {len(ordered) - FEW} more" if len(ordered) > FEW else ""
    return f"team {team.team_id} has {', '.join(named) or 'none'}{more}."


def newest_runs(
    team: DesiredTeam, transfer: DesiredTransfer, listing: Listing, client: ApiClient
) -> tuple[Run, ...] | Unreadable:
    until = listing.vendor_now.replace(microsecond=0) + timedelta(days=1)
    return client.runs(transfer.address.transfer_id, team.as_of - 1, until)
