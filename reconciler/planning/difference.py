"""How two plans differ, transfer by transfer: what the later one does more, what less, and what else of it is
told otherwise. Pure.

deepdiff (its only importer; lazily, it is slow to load) finds what differs; sets of days say by which days.
The teams' dates and the cut into pieces are left out: they change nothing that is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.dates import DateSet, DaysByTransfer, dates_of, grouped, union
from reconciler.model.desired import Address
from reconciler.planning.approval import planned_days
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Action, Plan

_DOES = ("days", "cancels")


class Change(StrEnum):
    ADDED = "added"
    LEFT_OUT = "left-out"
    GREW = "grew"
    SHRANK = "shrank"
    MOVED = "moved"
    TOLD = "told-otherwise"


@dataclass(frozen=True, slots=True)
class Changed:
    """What is otherwise for one transfer in the later of two plans.

    ``more`` days it creates and the earlier did not, of which ``sooner`` were deferred there; ``fewer`` the
    other way round, of which it defers ``later``. ``new_cancels`` and ``kept`` are the ids of backfills that
    only the later, or only the earlier, cancels. ``fields``: what else is told otherwise, by name.
    """

    address: Address
    transfer: str
    owners: tuple[str, ...]
    change: Change
    more: DateSet
    fewer: DateSet
    sooner: DateSet
    later: DateSet
    new_cancels: tuple[int, ...]
    kept: tuple[int, ...]
    fields: tuple[str, ...]

    @property
    def acts(self) -> bool:
        """Something else is done, not only told."""
        return self.change is not Change.TOLD

    @property
    def clauses(self) -> Iterator[str]:
        """Yield what is done otherwise, a clause each."""
        for word, days, cancels in (
            ("no longer", self.fewer, self.kept),
            ("new", self.more, self.new_cancels),
        ):
            yield from (f"{word}: {self.transfer} {dates_of(*interval)}" for interval in days.intervals)
            yield from (f"{word}: cancel of backfill {one} of {self.transfer}" for one in cancels)


def changes_of(before: Plan, after: Plan) -> tuple[Changed, ...]:
    """Return what is otherwise in ``after``, a transfer each, by their ids; none if nothing is. Nothing is
    said of teams that one of them could not plan.
    """
    unknown = {*unplanned(before, after), *unplanned(after, before)}
    return tuple(one for one in _changes(before, after) if one.address.team_id not in unknown)


def unplanned(plan: Plan, other: Plan) -> tuple[int, ...]:
    """Return the teams that ``other`` has and that are missing in a plan because it is incomplete, by id."""
    missing = {one.team_id for one in other.teams} - {one.team_id for one in plan.teams}
    return tuple(sorted(missing)) if plan.errored else ()


def _changes(before: Plan, after: Plan) -> tuple[Changed, ...]:
    old, new = _told(before.actions), _told(after.actions)
    put_off, waited = _deferred(after), _deferred(before)
    empty: dict[str, Any] = {"days": DateSet(), "cancels": [], "name": "", "owner": []}
    return tuple(
        _changed(address, old.get(address, empty), new.get(address, empty), fields, waited, put_off)
        for address, fields in sorted(_differing(old, new).items())
    )


def due_days(plan: Plan) -> DaysByTransfer[Address]:
    """Return the days that a plan loads, now or later: those of its creates, and those that it puts off for a
    limit, a time or a person. A later apply loads these without being asked anew.
    """
    left = ((item.address, item.days) for team in plan.teams for item in team.items)
    return planned_days(plan.actions) | DaysByTransfer(left)


def differences(before: Plan, after: Plan) -> list[str]:
    """Return a clause for each difference in what two plans do, in a stable order; none if they agree. A
    team that one of them could not plan is a difference.
    """
    clauses = [clause for changed in _changes(before, after) for clause in changed.clauses]
    if before.api_url != after.api_url:
        clauses.append(f"another API: {after.api_url}")
    return clauses


def _told(actions: Iterable[Action]) -> dict[Address, dict[str, Any]]:
    """Return what a plan has for each transfer, as plain data."""
    return {address: _facts(found) for address, found in grouped(actions, lambda one: one.address).items()}


def _facts(actions: list[Action]) -> dict[str, Any]:
    reasons = grouped((pair for one in actions for pair in one.reasons.items()), lambda pair: pair[0])
    return {
        "days": union(planned_days(actions).values()),
        "cancels": sorted({one for action in actions for one in action.cancels}),
        "name": actions[0].transfer,
        "owner": list(dict.fromkeys(owner for action in actions for owner in action.owners)),
        "notes": list(dict.fromkeys(note for action in actions for note in action.notes)),
        "reasons": {reason: sum(number for _, number in pairs) for reason, pairs in sorted(reasons.items())},
    }


def _differing(
    old: Mapping[Address, dict[str, Any]], new: Mapping[Address, dict[str, Any]]
) -> dict[Address, set[str]]:
    """Return the transfers that differ, each with the fields that do."""
    unlike = [address for address in {**old, **new} if old.get(address) != new.get(address)]
    if not unlike:
        return {}
    from deepdiff import DeepDiff

    before, after = ({str(n): _plain(plan.get(one)) for n, one in enumerate(unlike)} for plan in (old, new))
    # By default two dicts with few keys in common are told as one change of the whole.
    found = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
    fields: dict[Address, set[str]] = {address: set() for address in unlike}
    for change in (one for kind in found.values() for one in kind):
        index, field, *_deeper = change.path(output_format="list")
        fields[unlike[int(index)]].add(str(field))
    return fields


def _plain(facts: dict[str, Any] | None) -> dict[str, Any]:
    return {**facts, "days": [dates_of(*one) for one in facts["days"].intervals]} if facts else {}


def _deferred(plan: Plan) -> dict[Address, DateSet]:
    found = grouped(plan.of(Bucket.DEFERRED), lambda item: item.address)
    return {address: union(item.days for item in items) for address, items in found.items()}


def _changed(
    address: Address,
    old: dict[str, Any],
    new: dict[str, Any],
    fields: set[str],
    waited: Mapping[Address, DateSet],
    put_off: Mapping[Address, DateSet],
) -> Changed:
    more, fewer = new["days"] - old["days"], old["days"] - new["days"]
    return Changed(
        address,
        new["name"] or old["name"],
        tuple(new["owner"] or old["owner"]),
        _kind(old, new, fields),
        more,
        fewer,
        more & waited.get(address, DateSet()),
        fewer & put_off.get(address, DateSet()),
        tuple(one for one in new["cancels"] if one not in old["cancels"]),
        tuple(one for one in old["cancels"] if one not in new["cancels"]),
        tuple(sorted(fields.difference(_DOES))) if old["name"] and new["name"] else (),
    )


def _kind(old: dict[str, Any], new: dict[str, Any], fields: set[str]) -> Change:
    more, fewer = new["days"] - old["days"], old["days"] - new["days"]
    match (bool(old["name"]), bool(new["name"]), bool(more), bool(fewer)):
        case (False, _, _, _):
            return Change.ADDED
        case (_, False, _, _):
            return Change.LEFT_OUT
        case (_, _, True, False):
            return Change.GREW
        case (_, _, False, True):
            return Change.SHRANK
    return Change.MOVED if fields.intersection(_DOES) else Change.TOLD
