"""Reading a saved plan back: strict, and refused where it is altered or not ours to read.

The only part of planning that takes text in, hence pydantic. Raises ``Refused``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from reconciler.dates import FIRST_DAY, Day, parse_iso
from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import Refused
from reconciler.formats.planfile import digest
from reconciler.model.desired import Address
from reconciler.planning.guards import TRIPPED
from reconciler.planning.plan import (
    COUNTED,
    FORMAT_VERSION,
    LISTED,
    Action,
    ActionKind,
    DayCounts,
    Item,
    Options,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
)

MAX_BYTES = 64 * 1024 * 1024

T = TypeVar("T")

# Commands that CI systems look for in a log: at the start of a line, or anywhere (GitHub, Azure).
_COMMANDS = re.compile(r"^:(?=:)|#(?=#(?:\[|vso\[))")


def _harmless(text: str) -> str:
    """Return text on one line, without what steers a terminal or a CI job: it will be shown, and a
    plan file may come from anybody.
    """
    line = " ".join(text.split())
    return _COMMANDS.sub(r"\g<0> ", "".join(char for char in line if char.isprintable()))


Text = Annotated[str, AfterValidator(_harmless)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Model(BaseModel):
    """Tolerant of additions (a later minor version), strict about types."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _State(_Model):
    lineage: Text
    serial: int


class _Team(_Model):
    team_id: Id
    as_of: Date
    state: _State
    list_full: bool = False
    evidence: Text = "runs"
    minimum_creates: int = 0


class _Range(_Model):
    team_id: Id
    transfer: Name
    transfer_id: Id
    start: Date
    end: Date
    declared_at: list[Text] = []


class _Action(_Range):
    action: Text
    reasons: dict[Text, int]
    owner: Text | None = None
    cancels: list[Id]


class _Item(_Range):
    reason: Text


class _Unmanaged(_Model):
    team_id: Id
    transfer_id: Id
    backfill_id: Id
    start: Date
    end: Date
    status: Text


class _Options(_Model):
    target: list[Text]
    exclude: list[Text]


class _Transfer(_Model):
    team_id: Id
    transfer: Name
    transfer_id: Id
    owner: Text | None = None
    days: dict[Text, int]


class _Finding(_Model):
    code: Text
    severity: Text
    summary: Text
    detail: Text = ""


class _PlanFile(_Model):
    format_version: Text
    created_at: Text
    api_url: Text
    digest: Text
    options: _Options
    teams: list[_Team]
    errored: bool = False
    transfers: list[_Transfer] = []
    actions: list[_Action]
    deferred: list[_Item]
    blocked: list[_Item] = []
    waiting: list[_Item] = []
    failed: list[_Item] = []
    unmanaged: list[_Unmanaged] = []
    diagnostics: list[_Finding] = []


def read_plan(text: str | bytes) -> Plan:
    """Return the plan in a plan document. Raises ``Refused`` if it is damaged, of a later major
    version, or altered: its digest must be the digest of what it says.
    """
    raw = _parse(text)
    try:
        document = _PlanFile.model_validate(raw)
        plan = _decode(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = _harmless(".".join(str(part) for part in first["loc"]))[:100]
        raise _unfit(f"It does not read as a plan: {where or 'the document'}: {first['msg']}.") from None
    except (ValueError, OverflowError) as error:
        raise _unfit(f"It does not read as a plan: {_harmless(str(error))[:200]}.") from None
    if digest(plan) != document.digest:
        raise _unfit("Its digest does not fit its contents: it was altered after it was made.")
    return plan


def _unfit(detail: str) -> Refused:
    return Refused("The plan file is unfit", detail, "Make a new one with: reconciler plan --out plan.json")


def _parse(text: str | bytes) -> Any:
    if len(text) > MAX_BYTES:
        raise _unfit(f"It is larger than {MAX_BYTES // 2**20} MiB.")
    try:
        raw = json.loads(text)
        json.dumps(raw, ensure_ascii=False).encode()  # half a character could never be shown
    except (ValueError, RecursionError):
        raise _unfit("It is not JSON; perhaps it is cut short.") from None
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(version, str):
        raise _unfit("It has no format_version.")
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise _unfit(f"Its format version is {version[:20]!r}; this reconciler reads {FORMAT_VERSION}.")
    return raw


def _decode(document: _PlanFile) -> Plan:
    ids = [team.team_id for team in document.teams]
    if len(set(ids)) < len(ids):
        raise ValueError("a team is there twice")  # each would get the actions of both
    return Plan(
        api_url=document.api_url,
        created_at=_time(document.created_at),
        teams=tuple(_team(one, document) for one in document.teams),
        options=Options(tuple(document.options.target), tuple(document.options.exclude)),
        errored=document.errored,
    )


def _time(text: str) -> datetime:
    moment = _read("created_at", text, datetime.fromisoformat)
    if moment.tzinfo is None:
        raise ValueError("created_at has no zone")
    return _read("created_at", text, lambda _: moment.astimezone(UTC))


def _team(team: _Team, document: _PlanFile) -> TeamPlan:
    mine = team.team_id
    findings = tuple(_finding(one) for one in document.diagnostics) if team is document.teams[0] else ()
    return TeamPlan(
        team_id=mine,
        as_of=_read("as_of", team.as_of, parse_iso),
        lineage=team.state.lineage,
        serial=team.state.serial,
        list_full=team.list_full,
        evidence=team.evidence,
        actions=tuple(_action(one) for one in document.actions if one.team_id == mine),
        items=tuple(_items(document, mine)),
        unmanaged=tuple(_unmanaged(one) for one in document.unmanaged if one.team_id == mine),
        transfers=tuple(_transfer(one) for one in document.transfers if one.team_id == mine),
        minimum_creates=team.minimum_creates,
        diagnostics=findings,
        guarded=any(one.rule == TRIPPED for one in findings),
    )


def _span(start: str, end: str) -> tuple[Day, Day]:
    first, after = _read("start", start, parse_iso), _read("end", end, parse_iso) + 1
    if not FIRST_DAY <= first < after:
        raise ValueError(f"the range {start}..{end} ends before it starts")
    return first, after


def _action(one: _Action) -> Action:
    start, end = _span(one.start, one.end)
    return Action(
        kind=_read("action", one.action, ActionKind),
        address=Address(one.team_id, one.transfer_id),
        transfer=one.transfer,
        start=start,
        end=end,
        reasons=one.reasons,
        owner=one.owner,
        declared_at=tuple(_place(text) for text in one.declared_at),
        cancels=tuple(one.cancels),
    )


def _items(document: _PlanFile, team_id: int) -> Iterator[Item]:
    for bucket in LISTED:
        items: list[_Item] = getattr(document, bucket.value)
        for item in items:
            if item.team_id == team_id:
                address = Address(item.team_id, item.transfer_id)
                places = tuple(_place(text) for text in item.declared_at)
                yield Item(bucket, address, item.transfer, *_span(item.start, item.end), item.reason, places)


def _unmanaged(one: _Unmanaged) -> Unmanaged:
    return Unmanaged(
        Address(one.team_id, one.transfer_id), one.backfill_id, *_span(one.start, one.end), one.status
    )


def _transfer(one: _Transfer) -> TransferSummary:
    counts = DayCounts({bucket: one.days.get(bucket.value, 0) for bucket in COUNTED})
    return TransferSummary(Address(one.team_id, one.transfer_id), one.transfer, one.owner, counts)


def _finding(one: _Finding) -> Finding:
    return Finding(one.code, _read("severity", one.severity, Severity), one.summary, one.detail)


def _place(text: str) -> Place:
    """Read ``file:line:column`` back; the file's name may itself hold colons."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"declared_at {text[:60]!r} is not of the form file:line:column")
    return Place(found[1], int(found[2]), int(found[3]))


_PLACE = re.compile(r"(.*):(\d{1,9}):(\d{1,9})", re.ASCII)


def _read(name: str, text: str, read: Callable[[str], T]) -> T:
    """Read a text that has a form of its own; the reason for a failure is in our words, not Python's."""
    try:
        return read(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {text[:60]!r} cannot be read") from None
