"""What a survey gives reason to warn of, as findings."""

from __future__ import annotations

from reconciler.dates import iso, last_iso
from reconciler.diagnostics import Finding, Severity
from reconciler.formats.reports import encode_time
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Intent
from reconciler.model.observed import Unreadable
from reconciler.planning.plan import ActionKind, TeamPlan
from reconciler.planning.situation import Situation


def evidence_warnings(situation: Situation) -> tuple[Finding, ...]:
    """Warn where something could not be read that would have been evidence."""
    observed = situation.observed
    found = []
    if observed.transfers is None:
        detail = f"Paused and unknown transfers of team {situation.team.team_id} are not noticed."
        found.append(
            _warning("OB001", "The transfer list is not readable", detail, "Check the key's scopes.")
        )
    return (*found, *(_unread(why, situation) for why in Unreadable if why in observed.runs.values()))


def _unread(why: Unreadable, situation: Situation) -> Finding:
    named = ", ".join(str(one) for one, answer in sorted(situation.observed.runs.items()) if answer is why)
    if why is Unreadable.FAILED:
        detail = f"Reading the runs of {named} failed; the days that only they can show are blocked."
        return _warning("OB002", "Run lists are not readable", detail, "Run again later.")
    detail = (
        f"The API does not show the runs of {named} ({why.value}): backfills alone decide there, and "
        "with `evidence: runs` the days are blocked."
    )
    return _warning("OB002", "Run lists are not readable", detail, "Check the ids and the key's scopes.")


def missing_state(situation: Situation, plan: TeamPlan) -> tuple[Finding, ...]:
    """Warn when there is no state, no run evidence, and yet a history: all of it would be bought again."""
    if situation.document.lineage:
        return ()
    creating = {one.address for one in plan.actions if one.kind is not ActionKind.CANCEL}
    sources = [one.source_ids for one in situation.team.transfers if one.address in creating]
    predecessors = {one for ids in sources for one in ids[1:]}  # they are named for what they have loaded
    seen, runs = situation.observed.latest, situation.observed.runs
    blind = {
        one for ids in sources for one in ids if isinstance(runs.get(one, Unreadable.FAILED), Unreadable)
    }
    suspicious = sorted(one for one in blind if one in predecessors or seen.get(one) is not None)
    if not suspicious:
        return ()
    named = ", ".join(str(one) for one in suspicious)
    detail = (
        f"There is no state for team {situation.team.team_id}, run lists cannot be read, and yet there "
        f"have been backfills on {named}: days that they loaded would be loaded again."
    )
    hint = "Point --state at the state of earlier runs. If there is none, apply once with --new-state."
    return (_warning("OB003", "The state may be missing", detail, hint),)


def unresolved_creates(situation: Situation) -> tuple[Finding, ...]:
    """Warn of each create whose outcome is unknown, and say from when a run settles it by itself."""
    return tuple(_unresolved(one, situation) for one in situation.resolution.unresolved)


def _unresolved(intent: Intent, situation: Situation) -> Finding:
    days = f"{iso(intent.start)}..{last_iso(intent.end)}"
    intended = encode_time(intent.intended_at)
    detail = f"Whether {intent.transfer} {days} was created is not known (intended {intended})."
    settles = intent.intended_at + situation.settle
    if situation.team.on_unknown is OnUnknown.SETTLE and situation.now < settles:
        hint = f"An apply after {encode_time(settles)} settles it by itself, or: "
    else:
        hint = "Look at the vendor's pages, then: "
    command = f"reconciler resolve {intent.transfer} {days} --as created:ID|not-created"
    return _warning("OB004", "The outcome of a create is unknown", detail, hint + command)


def _warning(rule: str, summary: str, detail: str, hint: str) -> Finding:
    return Finding(rule, Severity.WARNING, summary, detail, hint)
