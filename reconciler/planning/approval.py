"""An approved plan is a filter: what apply does is a subset of it. Pure.

No clock takes part but for expiry. Every intent has the serial of the state that it was committed on, as has
the record of what it made, which stays when the intent is forgotten; and a plan that of the state it was made
on: an intent of that serial or a later one is newer than the plan. Serials
never fall within a lineage, and a plan of another lineage is refused. How two plans differ is told by
``planning/difference.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.bounds import CLOCKS_APART, DEFAULT_EXPIRY
from reconciler.dates import DateSet, DaysByTransfer, dates_of, iso
from reconciler.durations import worded
from reconciler.model.deltas import Delta
from reconciler.model.desired import Address
from reconciler.model.memory import Applied, BackfillRecord, Document, Intent, IntentKind, Outcome, Override
from reconciler.planning.intents import made_nothing
from reconciler.planning.plan import Action, ActionKind, Plan, TeamPlan

KEPT_APPLIES = 20  # of the plans that were applied in full, and of overrides, how many a state names


@dataclass(frozen=True, slots=True)
class Approval:
    """The days that may be created, by transfer, and the (team, backfill id) that may be cancelled."""

    days: DaysByTransfer[Address]
    cancels: frozenset[tuple[int, int]]

    def allows(self, actions: Sequence[Action]) -> bool:
        """Tell whether all that actions create and cancel was approved."""
        return not planned_days(actions) - self.days and _cancels_of(actions) <= self.cancels


Approvals = Approval | Callable[[Document], Approval] | None
"""What is approved, whatever the state says or by it; ``None``: all that is due."""


def approval_of(plan: Plan) -> Approval:
    """Return what a plan approves: the days of its actions, and its cancels; not what it defers."""
    return Approval(planned_days(plan.actions), _cancels_of(plan.actions))


# --- what was done under it ---------------------------------------------------------------------


def still_approved(saved: Plan, document: Document) -> Approval:
    """Return what a saved plan approves, without the days of a team that we have created since it was made,
    or may have: a job that is run again does not create them again.
    """
    approval = approval_of(saved)
    later = DaysByTransfer(
        (Address(document.team_id, intent.transfer_id), intent.days)
        for intent in _creates_since(saved, document)
        if intent.outcome is not Outcome.DONE and not made_nothing(intent)
    )
    return replace(approval, days=approval.days - later - made_since(saved, document))


def made_since(plan: Plan | TeamPlan, document: Document) -> DaysByTransfer[Address]:
    """Return the days of a team that we have created since a plan was made, as far as the API made them."""
    told = (
        (intent.transfer_id, intent.days & _made_of(intent, document))
        for intent in _creates_since(plan, document)
        if intent.outcome is Outcome.DONE
    )
    kept = ((record.transfer_id, record.days) for record in _made_by_us_since(plan, document))
    return DaysByTransfer((Address(document.team_id, one), days) for one, days in (*told, *kept))


def _made_by_us_since(plan: Plan | TeamPlan, document: Document) -> Iterator[BackfillRecord]:
    """Yield what creates made that were committed on the state of a plan, or a later one, also long ago."""
    serial = _serial_of(plan, document)
    return (one for one in document.backfills.values() if one.ours and one.serial >= serial)


def _made_of(intent: Intent, document: Document) -> DateSet:
    """Return the days of what a create made: the API may have cut its range."""
    record = document.backfills.get(intent.backfill_id or 0)
    return record.days if record else intent.days


def _creates_since(plan: Plan | TeamPlan, document: Document) -> Iterator[Intent]:
    """Yield a team's creates that were committed on the state a plan was made on, or on a later one."""
    serial = _serial_of(plan, document)
    creates = (intent for intent in document.intents.values() if intent.kind is IntentKind.CREATE)
    return (intent for intent in creates if intent.serial >= serial)


def _serial_of(plan: Plan | TeamPlan, document: Document) -> int:
    """Return the serial of the state that a plan was made on."""
    teams = plan.teams if isinstance(plan, Plan) else (plan,)
    return next((team.serial for team in teams if team.team_id == document.team_id), 0)


def newest_create(document: Document, days: DaysByTransfer[Address]) -> int | None:
    """Return the highest serial of a create of ours on any of the days, but for those that made nothing.

    It is part of the digest: after a create under a plan, no plan of the same days has the same digest.
    """
    return max(_serials_on(document, days), default=None) if days else None


def _serials_on(document: Document, days: DaysByTransfer[Address]) -> Iterator[int]:
    def concerns(one: Intent | BackfillRecord) -> bool:
        return bool(one.days & days.of(Address(document.team_id, one.transfer_id)))

    for intent in document.intents.values():
        if intent.kind is IntentKind.CREATE and not made_nothing(intent) and concerns(intent):
            yield intent.serial
    for record in document.backfills.values():  # it stays when its intent is forgotten
        if record.ours and concerns(record):
            yield record.serial


def is_done(approved: Plan, document: Document, done: DaysByTransfer[Address]) -> bool:
    """Tell whether all that a plan has for a team is done: its days are, and its cancels are seen final."""
    own = _actions_of(approved, document.team_id)
    cancels = (document.backfills.get(one) for action in own for one in action.cancels)
    ended = all(record is not None and (record.status.final or record.gone) for record in cancels)
    return ended and not planned_days(own) - done


def is_spent(approved: Plan, document: Document) -> bool:
    """Tell whether something of a plan was created since it was made, or it cancels something: no later plan
    has its digest then. Of one whose days others have loaded, a later one may.
    """
    own = _actions_of(approved, document.team_id)
    return bool(planned_days(own) & made_since(approved, document)) or any(one.cancels for one in own)


def _actions_of(plan: Plan, team_id: int) -> tuple[Action, ...]:
    return tuple(action for action in plan.actions if action.address.team_id == team_id)


def remembering(document: Document, applied: Applied) -> Delta:
    """Return what makes a state name a plan as applied in full; of the last ones it names 20."""
    return Delta(applies=(applied,), drop_applies=_crowded_out(document.applies, applied.digest))


def overriding(document: Document, override: Override) -> Delta:
    """Return what makes a state name an override; of the last ones it names 20."""
    return Delta(overrides=(override,), drop_overrides=_crowded_out(document.overrides, override.digest))


def _crowded_out(kept: Mapping[str, Applied] | Mapping[str, Override], digest: str) -> tuple[str, ...]:
    others = (one for one in kept.values() if one.digest != digest)
    newest = sorted(others, key=lambda one: (one.serial, one.when), reverse=True)
    return tuple(one.digest for one in newest[KEPT_APPLIES - 1 :])


def applied_before(documents: Iterable[Document], is_meant: Callable[[str], bool]) -> Applied | None:
    """Return when a plan was applied in full, if a state names its digest; the last time, if several do."""
    named = (one for document in documents for one in document.applies.values() if is_meant(one.digest))
    return max(named, key=lambda one: one.when, default=None)


# --- does it fit? -------------------------------------------------------------------------------


def misfits(
    saved: Plan,
    api_url: str,
    documents: Mapping[int, Document],
    now: datetime,
    expiry: timedelta = DEFAULT_EXPIRY,
) -> tuple[str, ...]:
    """Return why a saved plan may not be applied, a sentence each; none if it is for this API, these teams
    and this state, and still young. ``documents`` holds the state of each team of the files.

    A guard that refused it when it was made is asked again, of what is about to be done.
    """
    return (*_other_api(saved, api_url), *_expired(saved, now, expiry), *_other_states(saved, documents))


def is_of(saved: Plan, declared: DaysByTransfer[Address]) -> bool:
    """Tell whether anything of a saved plan is about the ``declared`` days, so that it can be done at all."""
    own = (
        action.kind is ActionKind.CANCEL or action.days & declared.of(action.address)
        for action in saved.actions
    )
    return not saved.actions or any(own)


def _other_api(saved: Plan, api_url: str) -> Iterable[str]:
    if saved.api_url != api_url:
        yield f"It was made for the API {saved.api_url}, and this run uses {api_url}."


def _expired(saved: Plan, now: datetime, expiry: timedelta) -> Iterable[str]:
    made = f"{saved.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if saved.created_at - now > CLOCKS_APART:  # by so much it would outlive its expiry
        yield f"It was made at {made}, which is yet to come by this clock: one of the two clocks is wrong."
    if now - saved.created_at > expiry:
        yield f"It was made at {made}, longer ago than --plan-expiry allows ({worded(expiry)})."


def _other_states(saved: Plan, documents: Mapping[int, Document]) -> Iterable[str]:
    for team in saved.teams:
        document = documents.get(team.team_id)
        if document is None:
            yield f"It is for team {team.team_id}, which the files do not name."
        elif team.lineage and team.lineage != document.lineage:
            yield f"It was made against another state of team {team.team_id} (lineage {team.lineage})."
        elif team.lineage and team.serial > document.serial:
            which = f"serial {team.serial}; here it has {document.serial}"
            yield f"The state of team {team.team_id} is older than the one it was made against ({which})."


# --- is it the same? ----------------------------------------------------------------------------


def acts_alike(shown: Plan, fresh: Plan) -> bool:
    """Tell whether two plans do the same: create the same backfills, after the same cancels."""
    return _acts(shown) == _acts(fresh)


def _acts(plan: Plan) -> frozenset[tuple[Any, ...]]:
    return frozenset((one.kind, one.address, one.start, one.end, one.cancels) for one in plan.actions)


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
        "newest_create": {str(team.team_id): team.newest_create for team in plan.teams},
    }
