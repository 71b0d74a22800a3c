"""Where the declared days stand, with what could not be read as unknown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.dates import Day, grouped
from reconciler.model.desired import Address, Desired, DesiredTeam
from reconciler.planning.ledger import Bucket, Reason
from reconciler.planning.plan import DayCounts, Item, Plan, TeamPlan, TransferSummary


@dataclass(frozen=True, slots=True)
class Standing:
    """The days of one transfer, or of all (``address`` is ``None`` then). ``counts``: ``None`` where they
    could not be read; for all, if those of any could not.
    """

    address: Address | None
    name: str
    owners: tuple[str, ...]
    declared: int
    counts: DayCounts | None

    @property
    def percent(self) -> int | None:
        return None if self.counts is None or self.counts.unread else self.counts.percent

    @property
    def synced(self) -> bool | None:
        return None if self.counts is None or self.counts.unread else self.counts.synced

    @property
    def healthy(self) -> bool | None:
        return None if self.counts is None else self.counts.healthy


@dataclass(frozen=True, slots=True)
class TeamStanding:
    """The transfers of one team as of a date. ``places``: what its API and state are called. ``remarks``: why
    days are blocked or failed, or failed before, the ranges of each reason together, and whether the file
    pauses the transfer. ``unknown``: why the team could not be read, "" if it was.
    """

    team_id: int
    as_of: Day
    now: datetime
    transfers: tuple[Standing, ...]
    remarks: tuple[tuple[tuple[Item, ...], bool], ...] = ()
    places: tuple[str, ...] = ()
    unknown: str = ""


def team_standings(
    plan: Plan, desired: Desired, places: Mapping[int, str] | None = None
) -> tuple[TeamStanding, ...]:
    """Return where each team stands, with why days are held up."""
    each, _total = standings(plan, desired)
    planned = {team.team_id: team for team in plan.teams}
    doubles = doubled_names(desired.teams)
    found = []
    for team in desired.teams:
        own = tuple(one for one in each if one.address and one.address.team_id == team.team_id)
        known = planned.get(team.team_id)
        remarks = tuple(_remarks(known, doubles)) if known else ()
        named = (places or {}).get(team.team_id)
        told = (named,) if named else ()
        unknown = "" if known else _why_unread(plan, team)
        found.append(TeamStanding(team.team_id, team.as_of, plan.created_at, own, remarks, told, unknown))
    return tuple(found)


def doubled_names(teams: Iterable[DesiredTeam]) -> frozenset[str]:
    """Return the names that transfers of several teams have."""
    names = Counter(one.name for team in teams for one in team.transfers)
    return frozenset(name for name, number in names.items() if number > 1)


def _why_unread(plan: Plan, team: DesiredTeam) -> str:
    """Return the finding that names a team which could not be planned."""
    named = (one for one in plan.diagnostics if f"Team {team.team_id} " in one.detail)
    return next((one.summary for one in named), "it could not be read")


def _remarks(team: TeamPlan, doubles: frozenset[str]) -> Iterator[tuple[tuple[Item, ...], bool]]:
    paused = {one.address: one.paused_by_file for one in team.transfers}
    told = [item for item in team.items if item.bucket in (Bucket.BLOCKED, Bucket.FAILED) or item.error]
    for group in grouped((*told, *failed_before(team)), lambda item: (item.address, *item.said)).values():
        yield tuple(named(item, doubles) for item in group), paused.get(group[0].address, False)


def failed_before(team: TeamPlan) -> Iterator[Item]:
    """Yield the days that are made again after the API said why they failed."""
    for one in team.actions:
        if one.error:
            where = (Bucket.PLANNED, one.address, one.transfer, one.start, one.end)
            yield Item(*where, Reason.FAILED, one.declared_at, error=one.error)


def named(item: Item, doubles: frozenset[str]) -> Item:
    """Return days whose command means one transfer, though another team has one of that name."""
    return replace(item, transfer=str(item.address.transfer_id)) if item.transfer in doubles else item


def standings(plan: Plan, desired: Desired) -> tuple[tuple[Standing, ...], Standing]:
    """Return where each declared transfer stands, and all of them together."""
    planned = {team.team_id: team for team in plan.teams}
    each: list[Standing] = []
    for team in desired.teams:
        known = planned.get(team.team_id)
        each += _unread(team) if known is None else map(_read, known.transfers)
    declared = sum(one.declared for one in each)
    return tuple(each), Standing(None, "total", (), declared, None if plan.errored else plan.counts)


def _unread(team: DesiredTeam) -> Iterator[Standing]:
    for one in team.transfers:
        yield Standing(one.address, one.name, one.everyone, len(one.days), None)


def _read(summary: TransferSummary) -> Standing:
    counts = summary.counts
    return Standing(summary.address, summary.name, summary.owners, counts.declared, counts)
