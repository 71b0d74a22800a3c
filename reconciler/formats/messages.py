"""What commands print for programs: events and the status, as JSON objects."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, assert_never

from reconciler import events
from reconciler.dates import iso, last_iso
from reconciler.diagnostics import Finding, Severity
from reconciler.errors import ReconcilerError
from reconciler.events import Conclusion
from reconciler.formats.planparts import encode_item, where, where_json
from reconciler.formats.reports import encode_finding, encode_time, failure_json
from reconciler.model.desired import Address
from reconciler.model.memory import Intent
from reconciler.model.observed import ApiError
from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import COUNTED, LISTED, Action, Plan, all_findings
from reconciler.planning.standing import Standing, failed_before


def event_json(event: events.Event) -> dict[str, Any]:
    """Return one event as a JSON object, its kind in ``type``."""
    match event:
        case events.Created(action=action, backfill_id=backfill_id, adopted=adopted):
            told = {"backfill_id": backfill_id, "adopted": adopted}
            return {**_action_json("created", action), **told}
        case events.Cancelled(action=action, backfill_id=backfill_id):
            return {**_action_json("cancelled", action), "backfill_id": backfill_id}
        case events.WriteRefused(action=action, blocker=blocker):
            until = encode_time(event.until) if event.until and not blocker else None
            refused: dict[str, Any] = {"why": event.why, "blocker": blocker, "until": until}
            return {**_action_json("refused", action), **asdict(event.error or ApiError(0)), **refused}
        case events.UnknownOutcome(intent=intent, settles_at=settles_at):
            when = encode_time(settles_at) if settles_at else None
            unknown: dict[str, Any] = {"settles_at": when, "answer": _answer_json(event.error)}
            told = intent_json("unknown", intent, event.team_id)
            return {**told, **unknown, "why": event.why}
        case events.Withdrawn(action=action, why=why):
            return {**_action_json("withdrawn", action), "why": why}
        case events.Settled(intent=intent):
            told = intent_json("settled", intent, event.team_id)
            return {**told, "outcome": intent.outcome.value}
        case events.Waiting(seconds=seconds, why=why, transfer=transfer):
            whose = {"transfer": transfer} if transfer else {}
            return {"type": "waiting", "seconds": seconds, "why": why, **whose}
        case events.LeftUndone(address=address, cancels=cancels, reason=reason):
            told = where_json(address, event.start, event.end)
            return {
                "type": "not-done",
                "transfer": event.transfer,
                **told,
                **({"cancels": list(cancels)} if cancels else {"reason": reason}),
            }
        case events.AppliedBefore(applied=applied):
            at = encode_time(applied.when)
            return {"type": "applied-before", "digest": applied.digest, "at": at, "by": applied.who}
        case never:
            assert_never(never)


def _action_json(kind: str, action: Action) -> dict[str, Any]:
    return {"type": kind, "action": action.kind.value, **where(action)}


def _answer_json(error: ApiError | None) -> dict[str, Any] | None:
    return asdict(error) if error else None


def intent_json(kind: str, intent: Intent, team_id: int) -> dict[str, Any]:
    """Return an intent as a JSON object of the given ``type``."""
    return {
        "type": kind,
        "action": intent.kind.value,
        "team_id": team_id,
        "transfer": intent.transfer,
        "transfer_id": intent.transfer_id,
        "start": iso(intent.start),
        "end": last_iso(intent.end),
        "backfill_id": intent.backfill_id,
        "answer": _answer_json(intent.answer),
    }


def status_json(plan: Plan, each: Iterable[Standing], total: Standing) -> dict[str, Any]:
    """Return what ``status --json`` prints; what could not be read is ``None``. What is held up is told as in
    a plan.
    """
    held_up = {bucket.value: [encode_item(item) for item in plan.of(bucket)] for bucket in LISTED}
    failed = [encode_item(item) for team in plan.teams for item in failed_before(team)]
    return {
        "format_version": "1.0",
        "errored": plan.errored,
        "diagnostics": [encode_finding(one) for one in all_findings(plan)],
        **held_up,
        "failed_before": failed,
        "transfers": [_one(standing, standing.address) for standing in each if standing.address],
        "total": _verdicts(total),
    }


def _one(standing: Standing, address: Address) -> dict[str, Any]:
    ids = {"team_id": address.team_id, "transfer_id": address.transfer_id}
    return {**ids, "transfer": standing.name, "owner": list(standing.owners), **_verdicts(standing)}


def _verdicts(standing: Standing) -> dict[str, Any]:
    counts = standing.counts
    days = counts.as_told() if counts else {bucket.value: None for bucket in COUNTED}
    verdicts = {"percent": standing.percent, "synced": standing.synced, "healthy": standing.healthy}
    return {"days": {**days, "declared": standing.declared}, **verdicts}


def left_out_json(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield the days that a saved plan does not approve."""
    for item in plan.of(Bucket.DEFERRED):
        if item.reason == NOT_APPROVED:
            yield {"type": NOT_APPROVED, **encode_item(item)}


def left_json(ended: Conclusion, told: Container[str]) -> Iterator[dict[str, Any]]:
    """Yield what an apply leaves: writes that were turned away or not sent, days that stay blocked or failed,
    and creates that are unknown, but for the intents ``told`` as it went on.
    """
    for one in ended.turned_away:
        yield {**_action_json("turned-away", one.action), "answer": asdict(one.error)}
    yield from (_action_json("not-sent", action) for action in ended.not_sent)
    for item in ended.holes:
        yield {"type": item.bucket.value, **encode_item(item)}
    yield from (event_json(one) for one in ended.doubts if one.intent.nonce not in told)


def summary_json(
    exit_status: int,
    totals: Mapping[str, int],
    findings: Iterable[Finding] = (),
    errors: Iterable[ReconcilerError] = (),
) -> dict[str, Any]:
    """Return the last line of ``apply --json``; with what went wrong, if something did."""
    told = [encode_finding(one) for one in findings if one.severity is Severity.ERROR]
    told += [one for error in errors for one in failure_json(error)["diagnostics"]]
    return {"type": "summary", "exit": exit_status, **totals, **({"diagnostics": told} if told else {})}
