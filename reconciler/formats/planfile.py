"""The JSON form of a plan (``format_version`` 1.0), its digest, and reading it back. Pure.

Ids are JSON numbers (consumers need 64 bits), dates inclusive, keys sorted. A later minor
version only adds; a later major one is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from reconciler.dates import DateSet, iso, last_iso
from reconciler.formats.reports import encode_finding, encode_time
from reconciler.model.desired import Address
from reconciler.planning.approval import approved
from reconciler.planning.plan import (
    FORMAT_VERSION,
    LISTED,
    Action,
    ActionKind,
    Item,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
    all_findings,
)

Json = dict[str, Any]


def encode_plan(plan: Plan, tool_version: str) -> Json:
    """Return the plan document of design section 5."""
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created_at": encode_time(plan.created_at),
        "api_url": plan.api_url,
        "digest": digest(plan),
        "options": {"target": list(plan.options.target), "exclude": list(plan.options.exclude)},
        "teams": [_team(team) for team in plan.teams],
        "applyable": plan.applyable,
        "complete": plan.complete,
        "errored": plan.errored,
        "summary": _summary(plan),
        "transfers": [_transfer(one) for team in plan.teams for one in team.transfers],
        "actions": [_action(one) for one in plan.actions],
        **{bucket.value: [encode_item(item) for item in plan.of(bucket)] for bucket in LISTED},
        "unmanaged": [_unmanaged(one) for team in plan.teams for one in team.unmanaged],
        "diagnostics": [encode_finding(one) for one in all_findings(plan)],
    }


def dump(document: Json) -> str:
    """Return JSON text with sorted keys and a final newline."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _team(team: TeamPlan) -> Json:
    return {
        "team_id": team.team_id,
        "as_of": iso(team.as_of),
        "state": {"lineage": team.lineage, "serial": team.serial},
        "list_full": team.list_full,
        "evidence": team.evidence,
        "minimum_creates": team.minimum_creates,
    }


def _summary(plan: Plan) -> Json:
    counts = {kind.value: plan.number_of(kind) for kind in ActionKind}
    minimum = sum(team.minimum_creates for team in plan.teams)
    return {**counts, "minimum_creates": minimum, "days": plan.counts.as_dict()}


def _transfer(summary: TransferSummary) -> Json:
    return {
        "team_id": summary.address.team_id,
        "transfer": summary.name,
        "transfer_id": summary.address.transfer_id,
        "owner": summary.owner,
        "days": summary.counts.as_dict(),
    }


def _where(address: Address, transfer: str, days: DateSet) -> Json:
    start, end = days.first(), days.end()
    return {
        "team_id": address.team_id,
        "transfer": transfer,
        "transfer_id": address.transfer_id,
        "start": iso(start),
        "end": last_iso(end),
        "days": end - start,
    }


def _action(action: Action) -> Json:
    return {
        "action": action.kind.value,
        **_where(action.address, action.transfer, action.days),
        "reasons": dict(action.reasons),
        "owner": action.owner,
        "declared_at": [str(place) for place in action.declared_at],
        "cancels": list(action.cancels),
    }


def encode_item(item: Item) -> Json:
    """Return days that are not acted on, as in a plan document."""
    places = [str(place) for place in item.declared_at]
    return {**_where(item.address, item.transfer, item.days), "reason": item.reason, "declared_at": places}


def _unmanaged(one: Unmanaged) -> Json:
    return {
        "team_id": one.address.team_id,
        "transfer_id": one.address.transfer_id,
        "backfill_id": one.backfill_id,
        "start": iso(one.start),
        "end": last_iso(one.end),
        "status": one.status,
    }


def digest(plan: Plan) -> str:
    """Return ``sha256:…`` over what the plan approves, the API, and each team's date; nothing else,
    so an unchanged plan has an unchanged digest.
    """
    covered = approved(plan)
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
