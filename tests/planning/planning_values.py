"""Small words for large values: ``record("1-10", "FAILED", ran=8, failed=2, names="3 5")``.

Days are written as days of January 2024 ("1-3 7" is four of them; 32 is 1 February).
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import DateSet
from reconciler.diagnostics import Place
from reconciler.model.deltas import KEYS, apply_delta
from reconciler.model.desired import Address, DesiredTeam, DesiredTransfer, Segment
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    BackfillRecord,
    DayEvidence,
    Document,
    Intent,
    IntentKind,
    Load,
    Origin,
    Outcome,
)
from reconciler.model.observed import (
    Backfill,
    Cause,
    Observed,
    Run,
    RunStatus,
    Status,
    TransferInfo,
    Unreadable,
)
from reconciler.planning.approval import Approval
from reconciler.planning.ledger import Bucket, TransferLedger
from reconciler.planning.loads import learned
from reconciler.planning.plan import Plan, TeamPlan
from reconciler.planning.planner import make_plan
from reconciler.planning.situation import keep_ledgers, weigh

TEAM, TRANSFER, OLD = 5, 1, 90
API = "https://api.example/v1"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
TODAY = NOW.date().toordinal()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Remembered = BackfillRecord | Intent | Load | Amnesty | Acceptance
EVE = date(2023, 12, 31).toordinal()


def days(text: str) -> DateSet:
    """Return the days of January 2024 that ``"1-3 7"`` names."""
    pairs = (part.partition("-") for part in text.split())
    return DateSet.of((EVE + int(first), EVE + int(last or first) + 1) for first, _, last in pairs)


def shown(some: DateSet) -> str:
    """Return days as ``days`` reads them."""
    pairs = ((start - EVE, end - 1 - EVE) for start, end in some.intervals)
    return " ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in pairs)


def span(text: str) -> tuple[int, int]:
    (only,) = days(text).intervals
    return only


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


# --- desired -----------------------------------------------------------------------------


def segment(text: str, line: int = 1, **more: Any) -> Segment:
    return Segment(*span(text), Place("backfills.yaml", line, 9), **more)


def transfer(*segments: str | Segment, id: int = TRANSFER, name: str = "", **more: Any) -> DesiredTransfer:
    parts = tuple(segment(one) if isinstance(one, str) else one for one in segments)
    place = Place("backfills.yaml", 1, 1)
    return DesiredTransfer(
        **{
            "address": Address(TEAM, id),
            "name": name or f"transfer-{id}",
            "place": place,
            "segments": parts,
            "loadable_until": TODAY,
            **more,
        }
    )


def team(*transfers: DesiredTransfer, **more: Any) -> DesiredTeam:
    ids = frozenset(one.address.transfer_id for one in transfers)
    return DesiredTeam(
        **{
            "team_id": TEAM,
            "as_of": TODAY,
            "as_of_is_today": True,
            "transfers": transfers,
            "declared_ids": ids,
            **more,
        }
    )


# --- observed and remembered -------------------------------------------------------------


def backfill(
    text: str,
    status: str = "COMPLETED",
    *,
    id: int = 100,
    ran: int | None = None,
    failed: int = 0,
    names: str = "",
    created: datetime = NOW - 10 * DAY,
    **more: Any,
) -> Backfill:
    """``ran``: how many runs completed; all those that did not fail, unless it is given."""
    start, end = span(text)
    return Backfill(
        **{
            "id": id,
            "transfer_id": TRANSFER,
            "start": start,
            "end": end,
            "status": Status(status),
            "created_time": created,
            "total": end - start,
            "completed": end - start - failed if ran is None else ran,
            "failed": failed,
            "failed_days": days(names),
            **more,
        }
    )


def record(
    text: str, status: str = "COMPLETED", *, origin: Origin = Origin.CREATED, **more: Any
) -> BackfillRecord:
    """Return a record of what ``backfill`` returns for the same words: one that was seen ended long ago,
    and had run if any of its runs ended.
    """
    only_here = {field.name for field in fields(BackfillRecord)} - {"start", "end"}
    kept = {key: value for key, value in more.items() if key in only_here}
    seen = backfill(text, status, **{key: value for key, value in more.items() if key not in only_here})
    told = {"ended_at": NOW - 5 * DAY, "has_run": seen.completed + seen.failed > 0}
    return BackfillRecord(seen, "transfer-1", origin, **{**told, **kept})


def seen_as(remembered: BackfillRecord, **changes: Any) -> BackfillRecord:
    """Return a record of a backfill that looks another way."""
    return replace(remembered, seen=replace(remembered.seen, **changes))


def known(**words: str) -> DayEvidence:
    """``known(loaded="1-3", failed="4")``."""
    return DayEvidence(**{name: days(text) for name, text in words.items()})


def words(evidence: DayEvidence) -> dict[str, str]:
    """Return evidence as ``known`` takes it."""
    named = {name: shown(getattr(evidence, name)) for name in DayEvidence.__slots__}
    return {name: text for name, text in named.items() if text}


def run(
    day: int,
    status: str = "COMPLETED",
    *,
    id: int = 0,
    backfill: bool = True,
    created: datetime = NOW - 9 * DAY,
    rows: int | None = None,
    ended: datetime | None = None,
) -> Run:
    return Run(id or day, EVE + day, RunStatus(status), status, backfill, created, ended, rows)


FORBIDDEN, NOT_FOUND, UNREAD = (
    Unreadable(cause, "GET /x said so") for cause in (Cause.FORBIDDEN, Cause.NOT_FOUND, Cause.FAILED)
)


def runs(text: str, status: str = "COMPLETED", **more: Any) -> tuple[Run, ...]:
    return tuple(run(day - EVE, status, **more) for day in days(text))


def intent(
    text: str, *, nonce: str = "n", kind: str = "create", outcome: str = "pending", **more: Any
) -> Intent:
    start, end = span(text)
    intended_at = more.pop("at", ago(1))
    return Intent(
        **{
            "nonce": nonce,
            "kind": IntentKind(kind),
            "transfer_id": TRANSFER,
            "transfer": "transfer-1",
            "start": start,
            "end": end,
            "intended_at": intended_at,
            "send_before": intended_at + timedelta(seconds=60),
            "outcome": Outcome(outcome),
            **more,
        }
    )


def document(*entries: Remembered, lineage: str = "lineage-1", serial: int = 3) -> Document:
    return Document(
        TEAM,
        API,
        lineage,
        serial,
        intents={one.nonce: one for one in entries if isinstance(one, Intent)},
        backfills={one.id: one for one in entries if isinstance(one, BackfillRecord)},
        loads={KEYS["loads"](one): one for one in entries if isinstance(one, Load)},
        amnesties={
            (one.transfer_id, one.start, one.serial): one for one in entries if isinstance(one, Amnesty)
        },
        acceptances={one.transfer_id: one for one in entries if isinstance(one, Acceptance)},
    )


def load(text: str, at: datetime, *, id: int = TRANSFER, **more: Any) -> Load:
    return Load(id, *span(text), at, **more)


def amnesty(text: str, serial: int = 3, at: datetime = NOW) -> Amnesty:
    return Amnesty(TRANSFER, *span(text), serial, at)


def observed(*listed: Backfill, **more: Any) -> Observed:
    return Observed(**{"vendor_now": NOW, "listed": listed, **more})


def named(*ids: int, paused: Iterable[int] = ()) -> dict[int, TransferInfo]:
    return {one: TransferInfo(one, f"Transfer {one}", one in set(paused)) for one in ids}


# --- from values to a plan, as the engine does it -----------------------------------------


def surveyed(
    desired: DesiredTeam,
    seen: Observed,
    memory: Document,
    now: datetime = NOW,
    settle: timedelta = DEFAULT_SETTLE,
) -> tuple[Document, tuple[TransferLedger, ...]]:
    """Return the memory and the ledgers after a reading: what the engine makes of it."""
    situation = weigh(desired, memory, seen, now, settle)
    return situation.document, situation.ledgers


def planned(
    desired: DesiredTeam,
    seen: Observed,
    memory: Document | None = None,
    approval: Approval | None = None,
    now: datetime = NOW,
) -> TeamPlan:
    return make_plan(weigh(desired, memory or document(), seen, now, DEFAULT_SETTLE), approval)


def whole(*plans: TeamPlan, **more: Any) -> Plan:
    return Plan(**{"api_url": API, "created_at": NOW, "teams": plans, **more})


def buckets(ledger: TransferLedger) -> dict[str, str]:
    """Return a ledger as ``{"blocked refused": "1-3", "covered": "4"}``."""
    return {f"{one.bucket} {one.reason}".strip(): shown(one.days) for one in ledger.entries}


def ledger_of(
    desired: DesiredTransfer,
    *entries: Remembered,
    seen: Observed | None = None,
    now: datetime = NOW,
    **of_team: Any,
) -> TransferLedger:
    """Keep the ledger of one transfer from a memory, with nothing read into it but what run lists load."""
    shown = seen or observed()
    listed = [(source, answer) for source, answer in shown.runs.items() if isinstance(answer, tuple)]
    memory = document(*entries)
    memory = apply_delta(memory, learned(memory, listed))
    (only,) = keep_ledgers(team(desired, **of_team), memory, shown, now, DEFAULT_SETTLE)
    return only


def actions(plan: TeamPlan) -> list[str]:
    """Return a plan's actions as ``"create 1-10"`` or ``"retry 3 cancels 100"``."""
    return [
        f"{one.kind} {shown(one.days)}"
        + (f" cancels {' '.join(map(str, one.cancels))}" if one.cancels else "")
        for one in plan.actions
    ]


def put_off(plan: TeamPlan) -> list[str]:
    return [f"{shown(one.days)} {one.reason}" for one in plan.of(Bucket.DEFERRED)]


def shuffled(mapping: Mapping[Any, Any], order: Any) -> dict[Any, Any]:
    items = list(mapping.items())
    order.shuffle(items)
    return dict(items)
