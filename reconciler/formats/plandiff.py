"""What ``diff`` prints for programs: how two plans differ, a transfer each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.dates import DateSet
from reconciler.formats.planfile import digest
from reconciler.formats.statekinds import day_texts
from reconciler.planning.difference import Changed, unplanned
from reconciler.planning.plan import FORMAT_VERSION, Plan

Json = dict[str, Any]


def changes_json(before: Plan, after: Plan, changes: Iterable[Changed]) -> Json:
    """Return how two plans differ. ``same``: what is done is the same; ``None``: a team could not be planned
    in one that is ``incomplete``, so nobody knows.
    """
    found = tuple(changes)
    acts = any(one.acts for one in found)
    incomplete = [name for name, plan in (("from", before), ("to", after)) if plan.errored]
    return {
        "format_version": FORMAT_VERSION,
        "from": digest(before),
        "to": digest(after),
        "same": None if incomplete and not acts else not acts,
        "incomplete": incomplete,
        "unknown_teams": sorted({*unplanned(before, after), *unplanned(after, before)}),
        "days": {"more": sum(len(one.more) for one in found), "fewer": sum(len(one.fewer) for one in found)},
        "transfers": [_changed_json(one) for one in found],
    }


def _changed_json(changed: Changed) -> Json:
    return {
        "team_id": changed.address.team_id,
        "transfer": changed.transfer,
        "transfer_id": changed.address.transfer_id,
        "owner": list(changed.owners),
        "change": changed.change.value,
        **{name: _counted(getattr(changed, name)) for name in ("more", "fewer", "sooner", "later")},
        "cancels": {"more": list(changed.new_cancels), "fewer": list(changed.kept)},
        "fields": list(changed.fields),
    }


def _counted(days: DateSet) -> Json:
    return {"days": len(days), "ranges": day_texts(days)}
