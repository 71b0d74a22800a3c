"""The parts of a plan document, each both ways: its JSON, the schema of that JSON, and the value it means.

Dates are inclusive texts in JSON and half-open ordinals inside. Reading is tolerant of additions (a later
minor version) and strict about types; what is of the right type and means nothing is a ``ValueError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic_core import CoreSchema
from pydantic_core import core_schema as core

from reconciler.dates import FIRST_DAY, Day, iso, last_iso, parse_iso
from reconciler.diagnostics import Finding, Place, Severity
from reconciler.formats import statekinds
from reconciler.formats.commands import lines
from reconciler.formats.reports import encode_time
from reconciler.model.desired import Address
from reconciler.model.observed import ApiError
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import (
    COUNTED,
    SETTLED,
    Action,
    ActionKind,
    Answer,
    DayCounts,
    GuardUse,
    Item,
    TransferSummary,
    Unmanaged,
)
from reconciler.untrusted import one_line

Json = dict[str, Any]
T = TypeVar("T")

# --- kinds of fields ------------------------------------------------------------------------

TEXT = core.no_info_after_validator_function(one_line, core.str_schema(strict=True))
DATE = core.str_schema(strict=True, pattern=r"^\d{4}-\d{2}-\d{2}$")
NUMBER = core.int_schema(strict=True)
ID = core.int_schema(strict=True, ge=1, le=2**63 - 1)
TEXTS = core.list_schema(TEXT, strict=True)
COUNTS = core.dict_schema(TEXT, NUMBER, strict=True)
_NAME = core.str_schema(strict=True, pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
_OWNERS = core.list_schema(TEXT, strict=True)


def an_object(required: dict[str, CoreSchema], **optional: tuple[CoreSchema, Any]) -> CoreSchema:
    """Return the schema of an object with these fields; an optional one has a default."""
    fields = {name: core.typed_dict_field(schema) for name, schema in required.items()}
    for name, (schema, default) in optional.items():
        fields[name] = core.typed_dict_field(
            core.with_default_schema(schema, default=default), required=False
        )
    return core.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def read(name: str, text: str, function: Callable[[str], T]) -> T:
    """Read a text that has a form of its own; the reason for a failure is in our words, not Python's."""
    try:
        return function(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {text[:60]!r} cannot be read") from None


def time_of(name: str, text: str) -> datetime:
    """Read an RFC 3339 time."""
    moment = read(name, text, datetime.fromisoformat)
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no zone")
    return read(name, text, lambda _: moment.astimezone(UTC))


# --- where: the transfer, the days, and the places that declare them ---------------------------

_SPAN = {"team_id": ID, "transfer_id": ID, "start": DATE, "end": DATE}
_PLACES = (TEXTS, ())
_PLACE = re.compile(r"(.*):(\d{1,9}):(\d{1,9})", re.ASCII)


def where_json(address: Address, start: Day, end: Day) -> Json:
    """Return the half-open days of a transfer as a part of a JSON object."""
    ids = {"team_id": address.team_id, "transfer_id": address.transfer_id}
    return {**ids, "start": iso(start), "end": last_iso(end), "days": end - start}


def where(part: Action | Item) -> Json:
    """Return the same with the transfer's name."""
    named = {"team_id": part.address.team_id, "transfer": part.transfer}
    return {**named, **where_json(part.address, part.start, part.end)}


def _address(data: Json) -> Address:
    return Address(data["team_id"], data["transfer_id"])


def _range(data: Json) -> tuple[Day, Day]:
    start, end = read("start", data["start"], parse_iso), read("end", data["end"], parse_iso) + 1
    if not FIRST_DAY <= start < end:
        raise ValueError(f"the range {data['start']}..{data['end']} ends before it starts")
    return start, end


def _places(data: Json) -> tuple[Place, ...]:
    return tuple(map(_place, data["declared_at"]))


def _place(text: str) -> Place:
    """Read ``file:line:column`` back; the file's name may itself hold colons."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"declared_at {text[:60]!r} is not of the form file:line:column")
    return Place(found[1], int(found[2]), int(found[3]))


# --- actions --------------------------------------------------------------------------------

_DOING = {"transfer": _NAME, "action": TEXT, "reasons": COUNTS, "cancels": core.list_schema(ID, strict=True)}
_ERROR = (TEXT, "")
ACTION = an_object({**_SPAN, **_DOING}, owner=(_OWNERS, ()), declared_at=_PLACES, notes=_PLACES, error=_ERROR)


def encode_action(action: Action, vendor_name: str = "") -> Json:
    return {
        "action": action.kind.value,
        **where(action),
        "vendor_name": vendor_name or None,
        "reasons": dict(action.reasons),
        "notes": list(action.notes),
        "owner": list(action.owners),
        "declared_at": list(map(str, action.declared_at)),
        "cancels": list(action.cancels),
        **_told(error=action.error),
    }


def _told(**values: Any) -> Json:
    """Return the values that there are."""
    return {name: value for name, value in values.items() if value}


def action_of(data: Json) -> Action:
    kind, cancels = read("action", data["action"], ActionKind), tuple(data["cancels"])
    named = (kind, _address(data), data["transfer"], *_range(data))
    told = {"notes": tuple(data["notes"]), "error": data["error"]}
    return Action(*named, data["reasons"], tuple(data["owner"]), _places(data), cancels, **told)


# --- days that are not acted on ---------------------------------------------------------------

_SAID = core.nullable_schema(TEXT)
_REASON = (TEXT, "")
ANSWER = an_object(
    {"status": NUMBER, "at": TEXT},
    code=(_SAID, None),
    message=(TEXT, ""),
    description=(TEXT, ""),
    request_id=(_SAID, None),
)
ITEM = an_object(
    {**_SPAN, "transfer": _NAME, "reason": TEXT},
    declared_at=_PLACES,
    answer=(core.nullable_schema(ANSWER), None),
    until=(core.nullable_schema(TEXT), None),
    limit=(core.nullable_schema(NUMBER), None),
    held_by=(core.list_schema(ID, strict=True), ()),
    error=_ERROR,
)


def encode_item(item: Item) -> Json:
    """Return days that are not acted on, as in a plan document."""
    told = _told(
        answer=_encode_answer(item.answer) if item.answer else None,
        until=encode_time(item.until) if item.until else None,
        limit=item.limit,
        held_by=list(item.held_by),
        error=item.error,
    )
    return {**where(item), "reason": item.reason, "declared_at": list(map(str, item.declared_at)), **told}


def _encode_answer(answer: Answer) -> Json:
    return {**asdict(answer.error), "at": encode_time(answer.at)}


def item_of(bucket: Bucket, data: Json) -> Item:
    answer = _answer_of(data["answer"]) if data["answer"] else None
    named = (_address(data), data["transfer"], *_range(data), data["reason"])
    until = time_of("until", data["until"]) if data["until"] else None
    held = {"limit": data["limit"], "held_by": tuple(data["held_by"]), "error": data["error"]}
    return Item(bucket, *named, _places(data), answer, until, **held)


def _answer_of(data: Json) -> Answer:
    said = {name: data[name] for name in ("status", "code", "message", "description", "request_id")}
    return Answer(ApiError(**said), time_of("at", data["at"]))


# --- backfills that are not ours ---------------------------------------------------------------

UNMANAGED = an_object(
    {**_SPAN, "backfill_id": ID, "status": TEXT}, created_user_id=(core.nullable_schema(NUMBER), None)
)


def encode_unmanaged(one: Unmanaged) -> Json:
    return {
        "team_id": one.address.team_id,
        "transfer_id": one.address.transfer_id,
        "backfill_id": one.backfill_id,
        "start": iso(one.start),
        "end": last_iso(one.end),
        "status": one.status,
        "created_user_id": one.created_user_id,
    }


def unmanaged_of(data: Json) -> Unmanaged:
    told = (data["backfill_id"], *_range(data), data["status"], data["created_user_id"])
    return Unmanaged(_address(data), *told)


# --- transfers and their counts ----------------------------------------------------------------

_COUNTS: dict[str, tuple[CoreSchema, int]] = {
    **{bucket.value: (NUMBER, 0) for bucket in COUNTED},
    Bucket.COVERED.value: (core.nullable_schema(NUMBER), 0),
}
TRANSFER = an_object(
    {
        "team_id": ID,
        "transfer": _NAME,
        "transfer_id": ID,
        "days": an_object({"declared": NUMBER}, **_COUNTS),
    },
    owner=(_OWNERS, ()),
    vendor_name=(core.nullable_schema(TEXT), None),
    paused=(core.bool_schema(strict=True), False),
    **{bucket.value: (TEXTS, ()) for bucket in SETTLED},
)


def encode_transfer(summary: TransferSummary) -> Json:
    return {
        "team_id": summary.address.team_id,
        "transfer": summary.name,
        "transfer_id": summary.address.transfer_id,
        "vendor_name": summary.vendor_name or None,
        "owner": list(summary.owners),
        "paused": summary.paused_by_file,
        "days": summary.counts.as_told(),
        **{bucket.value: statekinds.day_texts(days) for bucket, days in summary.settled.items()},
    }


def transfer_of(data: Json) -> TransferSummary:
    settled = {bucket: statekinds.days(data[bucket.value]) for bucket in SETTLED if data[bucket.value]}
    named = (_address(data), data["transfer"], tuple(data["owner"]), _counts_of(data["days"]))
    return TransferSummary(*named, data["vendor_name"] or "", data["paused"], settled)


# --- guards -------------------------------------------------------------------------------------

GUARD = an_object(
    {"team_id": ID, "owner": core.nullable_schema(TEXT), "guard": TEXT, "allowed": NUMBER, "planned": NUMBER}
)


def encode_guard(use: GuardUse) -> Json:
    return {**asdict(use), "owner": use.owner or None}


def guard_of(data: Json) -> GuardUse:
    return GuardUse(data["team_id"], data["owner"] or "", data["guard"], data["allowed"], data["planned"])


def _counts_of(days: Json) -> DayCounts:
    known = {bucket: days[bucket.value] or 0 for bucket in COUNTED}
    if days[Bucket.COVERED.value] is not None:
        return DayCounts(known)
    covered = {Bucket.COVERED: days["declared"] - sum(known.values())}
    return DayCounts(known | covered, unread=True)


# --- findings: written as everywhere (reports.py) ----------------------------------------------

FINDING = an_object({"code": TEXT, "severity": TEXT, "summary": TEXT}, detail=_ERROR, commands=_PLACES)


def finding_of(data: Json) -> Finding:
    severity = read("severity", data["severity"], Severity)
    return Finding(data["code"], severity, data["summary"], data["detail"] + lines(*data["commands"]))
