"""An approved plan is a filter: what apply does is a subset of it. Pure.

Also words how two plans differ, with deepdiff (its only importer; lazily, it is slow to load).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.bounds import DEFAULT_EXPIRY
from reconciler.dates import DaysByTransfer, dates_of, iso
from reconciler.model.desired import Address
from reconciler.model.memory import Document, IntentKind, Outcome
from reconciler.planning.plan import Action, ActionKind, Plan


@dataclass(frozen=True, slots=True)
class Approval:
    """The days that may be created, by transfer, and the (team, backfill id) that may be cancelled."""

    days: DaysByTransfer[Address]
    cancels: frozenset[tuple[int, int]]

    def allows(self, actions: Sequence[Action]) -> bool:
        """Tell whether all that actions create and cancel was approved."""
        return not planned_days(actions) - self.days and _cancels_of(actions) <= self.cancels


def approval_of(plan: Plan) -> Approval:
    """Return what a plan approves: the days of its actions, and its cancels; not what it defers."""
    return Approval(planned_days(plan.actions), _cancels_of(plan.actions))


def without_later_intents(approval: Approval, document: Document, created_at: datetime) -> Approval:
    """Take off the days that we have created since the plan was made (both by our clock), or may have,
    so that a job that is run again does not create them again under the same plan.
    """
    later = intended_since(document, created_at, (Outcome.DONE, Outcome.PENDING))
    return replace(approval, days=approval.days - later)


def intended_since(
    document: Document, created_at: datetime, outcomes: tuple[Outcome, ...]
) -> DaysByTransfer[Address]:
    """Return the days of our creates with these outcomes that were intended after ``created_at``."""
    return DaysByTransfer(
        (Address(document.team_id, intent.transfer_id), intent.days)
        for intent in document.intents.values()
        if intent.kind is IntentKind.CREATE and intent.outcome in outcomes and intent.intended_at > created_at
    )


def misfits(
    saved: Plan,
    api_url: str,
    documents: Mapping[int, Document],
    now: datetime,
    expiry: timedelta = DEFAULT_EXPIRY,
) -> tuple[str, ...]:
    """Return why a saved plan may not be applied, a sentence each; none if it is for this API, these teams
    and this state, and still young. ``documents`` holds the state of each team of the files.
    """
    guarded = ("A guard refused it when it was made.",) if saved.guarded else ()
    found = (*_other_api(saved, api_url), *_expired(saved, now, expiry), *_other_states(saved, documents))
    return (*found, *guarded)


def _other_api(saved: Plan, api_url: str) -> Iterable[str]:
    if saved.api_url != api_url:
        yield f"It was made for the API {saved.api_url}, and this run uses {api_url}."


def _expired(saved: Plan, now: datetime, expiry: timedelta) -> Iterable[str]:
    age = now - saved.created_at
    if age > expiry:
        hours = int(age.total_seconds() // 3600)
        told = f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
        yield f"It was made {told} ago, which is longer than --plan-expiry allows."
    if age < -timedelta(minutes=5):
        yield "It says that it was made in the future; check the clocks."


def _other_states(saved: Plan, documents: Mapping[int, Document]) -> Iterable[str]:
    for team in saved.teams:
        document = documents.get(team.team_id)
        if document is None:
            yield f"It is for team {team.team_id}, which the files do not name."
        elif team.lineage and team.lineage != document.lineage:
            yield f"It was made against another state of team {team.team_id} (lineage {team.lineage})."


def differences(before: Plan, after: Plan) -> list[str]:
    """Return a clause for each difference in what two plans approve, in a stable order; none if they agree.

    The teams' dates are left out: another date alone changes nothing that is done.
    """
    if _told(before) == _told(after):
        return []
    from deepdiff import DeepDiff

    # By default two dicts with few keys in common are told as one change of the whole.
    found = DeepDiff(_told(before), _told(after), view="tree", threshold_to_diff_deeper=0)

    def told(kind: str) -> list[str]:
        return sorted(change.path(output_format="list")[-1] for change in found.get(kind, ()))

    gone, come = told("dictionary_item_removed"), told("dictionary_item_added")
    return [*(f"no longer: {phrase}" for phrase in gone), *(f"new: {phrase}" for phrase in come)]


def _told(plan: Plan) -> dict[str, bool]:
    """Return a phrase for each range of days, and each cancel, that a plan approves."""
    covered = approved(plan)
    days = {f"{where} {span}": True for where, spans in covered["days"].items() for span in spans}
    return {**days, **{f"cancel of {one}": True for one in covered["cancels"]}}


def planned_days(actions: Iterable[Action]) -> DaysByTransfer[Address]:
    """Return the days that actions create."""
    creates = (action for action in actions if action.kind is not ActionKind.CANCEL)
    return DaysByTransfer((action.address, action.days) for action in creates)


def _cancels_of(actions: Iterable[Action]) -> frozenset[tuple[int, int]]:
    return frozenset((action.address.team_id, one) for action in actions for one in action.cancels)


def approved(plan: Plan) -> dict[str, Any]:
    """Return what a plan approves, as plain data that two plans can be compared by."""
    approval = approval_of(plan)
    return {
        "api_url": plan.api_url,
        "as_of": {str(team.team_id): iso(team.as_of) for team in plan.teams},
        "days": {
            f"{address.team_id}/{address.transfer_id}": [dates_of(*interval) for interval in days.intervals]
            for address, days in sorted(approval.days.items())
        },
        "cancels": [f"{team_id}/{backfill_id}" for team_id, backfill_id in sorted(approval.cancels)],
    }
