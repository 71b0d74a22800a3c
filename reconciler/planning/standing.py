"""Where the declared days stand, with what could not be read as unknown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.model.desired import Address, Desired, DesiredTeam
from reconciler.planning.plan import DayCounts, Plan, TransferSummary


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
        return None if self.counts is None else self.counts.percent

    @property
    def synced(self) -> bool | None:
        return None if self.counts is None else self.counts.synced

    @property
    def healthy(self) -> bool | None:
        return None if self.counts is None else self.counts.healthy


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
