"""The plan document (``format_version`` 1.0), its digest, and reading it back. Pure.

Ids are JSON numbers (consumers need 64 bits), dates inclusive, keys sorted. A later minor version only
adds; a later major one is refused. A plan file may come from anybody: it is read strictly, and refused
where it is altered.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core.core_schema import bool_schema, list_schema, nullable_schema

from reconciler.dates import iso, parse_iso
from reconciler.errors import Refused
from reconciler.formats import planparts as parts
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import encode_finding, encode_time
from reconciler.planning.approval import approved
from reconciler.planning.guards import TRIPPED
from reconciler.planning.plan import FORMAT_VERSION, LISTED, ActionKind, Options, Plan, TeamPlan, all_findings
from reconciler.untrusted import one_line

Json = dict[str, Any]
T = TypeVar("T")

MAX_BYTES = 64 * 1024 * 1024
_OPTIONS = ("config", "target", "exclude")
_KIND = "sha256:"


# --- to JSON --------------------------------------------------------------------------------


def encode_plan(plan: Plan, tool_version: str) -> Json:
    """Return the plan document."""
    names = {one.address: one.vendor_name for one in plan.transfers}
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created_at": encode_time(plan.created_at),
        "api_url": plan.api_url,
        "digest": digest(plan),
        "options": {name: list(getattr(plan.options, name)) for name in _OPTIONS},
        "teams": [_team_json(team) for team in plan.teams],
        "applyable": plan.applyable,
        "complete": plan.complete,
        "errored": plan.errored,
        "summary": _summary(plan),
        "transfers": [parts.encode_transfer(one) for one in plan.transfers],
        "actions": [parts.encode_action(one, names.get(one.address, "")) for one in plan.actions],
        **{bucket.value: [parts.encode_item(item) for item in plan.of(bucket)] for bucket in LISTED},
        "guards": [parts.encode_guard(one) for team in plan.teams for one in team.guards],
        "unmanaged": [parts.encode_unmanaged(one) for team in plan.teams for one in team.unmanaged],
        "diagnostics": [encode_finding(one) for one in all_findings(plan)],
    }


def dump(document: Json) -> str:
    """Return JSON text with sorted keys and a final newline."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _team_json(team: TeamPlan) -> Json:
    return {
        "team_id": team.team_id,
        "as_of": iso(team.as_of),
        "state": {"lineage": team.lineage, "serial": team.serial},
        "list_full": team.list_full,
        "evidence": team.evidence,
        "minimum_creates": team.minimum_creates,
        "newest_create": team.newest_create,
    }


def _summary(plan: Plan) -> Json:
    counts = {kind.value: plan.number_of(kind) for kind in ActionKind}
    minimum = sum(team.minimum_creates for team in plan.teams)
    return {**counts, "minimum_creates": minimum, "days": plan.counts.as_told()}


def digest(plan: Plan) -> str:
    """Return ``sha256:…`` over what the plan approves, the API, each team's date and newest create there, and
    nothing else. So an unchanged plan has an unchanged digest, and that of one of which something was created
    never recurs.
    """
    covered = approved(plan)
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return _KIND + hashlib.sha256(text.encode()).hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether a text names a digest: its first 12 hex digits or more, ``sha256:`` before them or not."""
    return re.fullmatch(r"[0-9a-f]{12,64}", text.removeprefix(_KIND)) is not None


def begins(digest: str, text: str) -> bool:
    """Tell whether a text, for which ``is_digest`` holds, names this digest."""
    return digest.removeprefix(_KIND).startswith(text.removeprefix(_KIND))


def short(digest: str) -> str:
    """Return the digits that people are shown of a digest: enough to name it."""
    return digest.removeprefix(_KIND)[:12]


# --- from JSON ------------------------------------------------------------------------------


@cache
def _validator() -> SchemaValidator:
    """Return the check of a whole document, made when one is first read."""
    flag = bool_schema(strict=True)
    state = parts.an_object({"lineage": parts.TEXT, "serial": parts.NUMBER})
    team = parts.an_object(
        {"team_id": parts.ID, "as_of": parts.DATE, "state": state},
        list_full=(flag, False),
        evidence=(parts.TEXT, "runs"),
        minimum_creates=(parts.NUMBER, 0),
        newest_create=(nullable_schema(parts.NUMBER), None),
    )
    document = parts.an_object(
        {
            **dict.fromkeys(("format_version", "created_at", "api_url", "digest"), parts.TEXT),
            "options": parts.an_object(
                {"target": parts.TEXTS, "exclude": parts.TEXTS}, config=(parts.TEXTS, ())
            ),
            "teams": list_schema(team, strict=True),
            "actions": list_schema(parts.ACTION, strict=True),
            LISTED[0].value: list_schema(parts.ITEM, strict=True),
        },
        errored=(flag, False),
        **{bucket.value: (list_schema(parts.ITEM, strict=True), ()) for bucket in LISTED[1:]},
        transfers=(list_schema(parts.TRANSFER, strict=True), ()),
        guards=(list_schema(parts.GUARD, strict=True), ()),
        unmanaged=(list_schema(parts.UNMANAGED, strict=True), ()),
        diagnostics=(list_schema(parts.FINDING, strict=True), ()),
    )
    return SchemaValidator(document)


def read_plan(text: str | bytes) -> Plan:
    """Return the plan in a plan document. Raises ``Refused`` if it is damaged, of a later major
    version, or altered: its digest must be the digest of what it says.
    """
    raw = _parse(text)
    try:
        document = _validator().validate_python(raw)
        plan = _plan(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = one_line(".".join(str(part) for part in first["loc"]))[:100]
        raise _unfit(f"It does not read as a plan: {where or 'the document'}: {first['msg']}.") from None
    except (ValueError, OverflowError) as error:
        raise _unfit(f"It does not read as a plan: {one_line(str(error))[:200]}.") from None
    if digest(plan) != document["digest"]:
        raise _unfit("Its digest does not fit its contents: it was altered after it was made.")
    return plan


def _unfit(detail: str) -> Refused:
    return Refused("The plan file is unfit", detail, f"Make a new one:{on_lines('plan --out plan.json')}")


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


def _plan(document: Json) -> Plan:
    ids = [team["team_id"] for team in document["teams"]]
    if len(set(ids)) < len(ids):
        raise ValueError("a team is there twice")  # each would get the actions of both
    return Plan(
        api_url=document["api_url"],
        created_at=parts.time_of("created_at", document["created_at"]),
        teams=tuple(_team(number, document) for number in range(len(ids))),
        options=Options(**{name: tuple(document["options"][name]) for name in _OPTIONS}),
        errored=document["errored"],
    )


def _team(number: int, document: Json) -> TeamPlan:
    """Return one of the teams with what is its own. The first one gets the findings, which name no team."""
    team = document["teams"][number]
    findings = tuple(map(parts.finding_of, document["diagnostics"])) if number == 0 else ()

    def own(name: str, made_of: Callable[[Json], T]) -> tuple[T, ...]:
        return tuple(made_of(part) for part in document[name] if part["team_id"] == team["team_id"])

    return TeamPlan(
        team_id=team["team_id"],
        as_of=parts.read("as_of", team["as_of"], parse_iso),
        lineage=team["state"]["lineage"],
        serial=team["state"]["serial"],
        list_full=team["list_full"],
        evidence=team["evidence"],
        actions=own("actions", parts.action_of),
        items=tuple(item for bucket in LISTED for item in own(bucket.value, partial(parts.item_of, bucket))),
        unmanaged=own("unmanaged", parts.unmanaged_of),
        transfers=own("transfers", parts.transfer_of),
        minimum_creates=team["minimum_creates"],
        newest_create=team["newest_create"],
        diagnostics=findings,
        guards=own("guards", parts.guard_of),
        guarded=any(one.rule == TRIPPED for one in findings),
    )
