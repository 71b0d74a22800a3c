"""What an apply may do, by the terms of whoever started it: whether a plan fits, what is left of it to do,
and that it was done.

``planning/approval.py`` has the rules; here they are asked of the teams of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from reconciler.dates import DaysByTransfer
from reconciler.engine.report import TeamReport
from reconciler.engine.results import Terms
from reconciler.engine.session import StateSession
from reconciler.engine.team import Surveyed, TeamRun
from reconciler.errors import ReconcilerError, Refused
from reconciler.events import LeftUndone
from reconciler.formats.commands import on_lines
from reconciler.formats.planfile import begins, digest
from reconciler.model.memory import Applied, Override
from reconciler.planning.approval import (
    Approval,
    Approvals,
    applied_before,
    is_done,
    is_of,
    is_spent,
    made_since,
    misfits,
    overriding,
    remembering,
    still_approved,
)
from reconciler.planning.difference import differences
from reconciler.planning.guards import overridden, refuses
from reconciler.planning.plan import Plan, TeamPlan, all_findings
from reconciler.planning.totals import in_hand, left_undone, prunes_undone
from reconciler.stores.base import this_process

_NEW_PLAN = on_lines("plan --out plan.json")
_CLAUSES = 10  # of how a plan has changed


@dataclass(slots=True)
class Part:
    """One team's part of an apply, from the state it was read with to its report."""

    run: TeamRun
    session: StateSession
    approval: Approvals = None
    surveyed: Surveyed | None = None


TeamParts = Mapping[int, Part]
"""By the id of the team."""


# --- before the API is read -----------------------------------------------------------------------


def approve(terms: Terms, parts: TeamParts, now: datetime) -> None:
    """Make a saved plan the filter of each team: what is left of it by the state that the fresh plan is made
    on. Raises ``Refused`` for one that does not fit.
    """
    saved = terms.approved
    if saved is None:
        return
    documents = {team_id: part.session.document for team_id, part in parts.items()}
    api_url = next((part.run.blank.api_url for part in parts.values()), saved.api_url)
    faults = misfits(saved, api_url, documents, now, terms.expiry)
    if faults:
        raise Refused("The plan file cannot be applied", " ".join(faults), f"Make a new one:{_NEW_PLAN}")
    for part in parts.values():
        part.approval = partial(still_approved, saved)


def withhold_all(parts: TeamParts) -> None:
    for part in parts.values():
        part.approval = Approval(DaysByTransfer(), frozenset())


def find_applied(terms: Terms, parts: TeamParts) -> Applied | None:
    """Return when the plan that is meant was applied in full, if a state says so."""
    wanted = digest(terms.approved) if terms.approved is not None else terms.expect
    documents = (part.session.document for part in parts.values())
    return applied_before(documents, lambda known: begins(known, wanted)) if wanted else None


def check_files(terms: Terms, parts: TeamParts) -> None:
    """Raise ``Refused`` for a saved plan of which nothing is in the files read."""
    teams = [part.run.team for part in parts.values()]
    declared = DaysByTransfer((one.address, one.days) for team in teams for one in team.transfers)
    if terms.approved is not None and not is_of(terms.approved, declared):
        detail = "None of its days is declared in the files that were read."
        hint = f"Give the files that it was made from with -c, or make a new one:{_NEW_PLAN}"
        raise Refused("The plan file does not fit the files", detail, hint)


# --- a fresh plan ---------------------------------------------------------------------------------


def compare(terms: Terms, fresh: Plan) -> None:
    """Raise ``Refused`` if the whole fresh plan is not the one that was approved or is expected."""
    if terms.strict and terms.approved is not None:
        changed = differences(terms.approved, fresh)
        if changed:
            more = f"; and {len(changed) - _CLAUSES} more" if len(changed) > _CLAUSES else ""
            hint = "Review a new plan, or apply this one without --strict: it then acts as a filter."
            detail = f"{'; '.join(changed[:_CLAUSES])}{more}."
            raise Refused("The plan has changed since it was made", detail, hint)
    if terms.expect is not None and not begins(digest(fresh), terms.expect):
        detail = f"The fresh plan has the digest {digest(fresh)}."
        raise Refused("The plan is not the expected one", detail, f"Review it:{on_lines('plan')}")


def lifted(surveyed: Sequence[Surveyed], terms: Terms) -> list[TeamPlan]:
    """Return the fresh plans, which the guards that are overridden do not refuse."""
    guards = terms.overriding.guards if terms.overriding is not None else ()
    return [overridden(seen.plan, guards) if guards else seen.plan for seen in surveyed]


def note_override(terms: Terms, approved: Plan, parts: TeamParts, plan: Plan) -> None:
    """Let the states say that guards are overridden, before anything is done under that. Raises as a commit
    does.
    """
    for team in plan.teams if terms.overriding is not None else ():
        used = {use.guard for use in team.guards if use.tripped}
        if terms.overriding is not None and used and team.team_id in parts:
            part = parts[team.team_id]
            now, document = part.run.clock.now(), part.session.document
            info, said = this_process("apply", now), terms.overriding
            who = f"{info.who} on {info.host}"
            named = Override(
                digest(approved), tuple(sorted(used)), said.reason, document.serial, now, who, said.run
            )
            part.session.record(overriding(document, named))


def refuse_guarded(plan: Plan) -> None:
    """Raise ``Refused`` for a plan that a guard refuses, with all that it says."""
    tripped = [finding for finding in all_findings(plan) if refuses(finding)]
    if tripped:
        raise Refused(tripped[0].summary, " ".join(one.detail for one in tripped), tripped[0].hint)


def undone(saved: Plan, surveyed: Surveyed) -> Iterator[LeftUndone]:
    """Yield what a saved plan was to do for a team, and nobody has, will, or may under it."""
    plan, seen = surveyed.plan, surveyed.situation
    names = {action.address: action.transfer for action in saved.actions}
    for one in left_undone(saved, seen.document, seen.ledgers, plan):
        yield LeftUndone(one.address, names[one.address], one.start, one.end, reason=one.reason)
    for prune in prunes_undone(saved, seen.document, seen.ledgers, plan.actions):
        yield LeftUndone(prune.address, prune.transfer, prune.start, prune.end, prune.cancels)


# --- it is done -----------------------------------------------------------------------------------


def note_applied(approved: Plan, parts: TeamParts, reports: Sequence[TeamReport]) -> None:
    """Let the states name a plan of which all was done. Whatever hinders that loses nothing else."""
    teams = {action.address.team_id for action in approved.actions}
    if approved.errored or not all(_is_done(approved, parts.get(team_id)) for team_id in teams):
        return
    if not any(is_spent(approved, parts[team_id].session.document) for team_id in teams):
        return
    for report in reports:
        if report.team_id in teams:
            try:
                _note(parts[report.team_id], digest(approved))
            except ReconcilerError as error:
                report.errors.append(error)
                report.statuses.add(error.exit_status)


def _is_done(approved: Plan, part: Part | None) -> bool:
    if part is None or part.surveyed is None or part.session.broken is not None:
        return False
    seen, now = part.surveyed.situation, part.session.document
    done = in_hand(approved, seen.document, seen.ledgers) | made_since(part.surveyed.plan, now)
    return is_done(approved, now, done)


def _note(part: Part, applied: str) -> None:
    now, document = part.run.clock.now(), part.session.document
    info = this_process("apply", now)
    named = Applied(applied, document.serial, now, f"{info.who} on {info.host}")
    part.session.record(remembering(document, named))
    part.run.store.finish()
