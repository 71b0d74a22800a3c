"""The hidden line by which a comment is known again: whose plan it shows, which, and the days it would load.

``<!-- reconciler: {"v":1,"key":"…","digest":"…","made":"…","days":{"5":{"6":"20240101:31,29,5"}}} -->``

``key`` names what is planned (the API, the teams, the files, the selection), so that the next plan of the
same takes the comment's place; ``made`` is when it was planned, so that an older one does not. Days are
run-length coded by team and transfer id: from that first day on 31 are planned, then 29 not, then 5 planned.
Where that takes too much room it is ``packed`` (deflate, Base64), and where even that does, ``days`` is null:
nobody can tell then. A comment may come from anybody: what does not read as one of ours is none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from reconciler.dates import LAST_DAY, DateSet, DaysByTransfer, iso, parse_iso
from reconciler.formats.planparts import time_of
from reconciler.formats.reports import encode_time
from reconciler.model.desired import Address
from reconciler.planning.approval import planned_days
from reconciler.planning.plan import Plan

VERSION = 1
MAX_UNPACKED = 16 * 1024 * 1024
_MARKER = re.compile(r"<!-- reconciler: (\{[^\n]*\}) -->")
_RUNS = r"^\d{8}:\d{1,7}(,\d{1,7},\d{1,7})*$"
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


@dataclass(frozen=True, slots=True)
class Marker:
    """What a comment's hidden line says. ``days``: those its plan would load; ``None``: too many to tell.
    ``made``: when it was planned, to the second; ``None`` where an earlier release wrote it.
    """

    key: str
    digest: str
    days: DaysByTransfer[Address] | None
    made: datetime | None = None


# --- writing --------------------------------------------------------------------------------


def marker_of(plan: Plan, digest: str, most: int, key: str = "") -> str:
    """Return the hidden line of a plan, of at most ``most`` characters, or without its days. ``key``: another
    one than the plan's own.
    """
    days = _coded(planned_days(plan.actions))
    packed = base64.b64encode(zlib.compress(_json(days).encode(), 9)).decode()
    made = encode_time(plan.created_at)
    head = {"v": VERSION, "key": key or key_of(plan), "digest": digest, "made": made}
    lines = (_line({**head, **more}) for more in ({"days": days}, {"packed": packed}, {"days": None}))
    *fuller, least = lines
    return next((line for line in fuller if len(line) <= most), least)


def key_of(plan: Plan) -> str:
    """Return what names the thing planned: 16 digits of a hash over the API, the teams, the files and the
    selection. Two plans of the same have the same key, whatever they say.
    """
    teams = sorted(team.team_id for team in plan.teams)
    options = plan.options
    named = [plan.api_url, teams, *map(sorted, (options.config, options.target, options.exclude))]
    return hashlib.sha256(_json(named).encode()).hexdigest()[:16]


def _coded(days: DaysByTransfer[Address]) -> dict[str, dict[str, str]]:
    coded: dict[str, dict[str, str]] = {}
    for address in sorted(days):
        coded.setdefault(str(address.team_id), {})[str(address.transfer_id)] = _runs(days[address])
    return coded


def _runs(days: DateSet) -> str:
    edges = [edge for interval in days.intervals for edge in interval]
    lengths = (str(later - edge) for edge, later in pairwise(edges))
    return f"{iso(edges[0]).replace('-', '')}:{','.join(lengths)}"


def _line(data: dict[str, Any]) -> str:
    """Return the marker's line: nothing in it can end the HTML comment."""
    inside = _json(data).translate(_UNSAFE).replace("--", "-\\u002d")
    return f"<!-- reconciler: {inside} -->"


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"))


# --- reading --------------------------------------------------------------------------------

_DAYS = core.dict_schema(
    core.str_schema(pattern=r"^\d{1,19}$"),
    core.dict_schema(core.str_schema(pattern=r"^\d{1,19}$"), core.str_schema(strict=True, pattern=_RUNS)),
    strict=True,
)
_TEXT = core.str_schema(strict=True, max_length=200)
_SCHEMA = SchemaValidator(
    core.typed_dict_schema(
        {
            "v": core.typed_dict_field(core.literal_schema([VERSION])),
            "key": core.typed_dict_field(_TEXT),
            "digest": core.typed_dict_field(_TEXT),
            "made": core.typed_dict_field(_TEXT, required=False),
            "days": core.typed_dict_field(core.nullable_schema(_DAYS), required=False),
            "packed": core.typed_dict_field(core.str_schema(strict=True), required=False),
        },
        extra_behavior="ignore",
    )
)


def read_marker(comment: str) -> Marker | None:
    """Return what the last hidden line of a comment says; ``None`` if it has none that reads as one."""
    for found in reversed(_MARKER.findall(comment)):
        try:
            return _marker(_SCHEMA.validate_json(found))
        except (ValidationError, ValueError, zlib.error):
            continue
    return None


def _marker(data: dict[str, Any]) -> Marker:
    days = data.get("days")
    if "packed" in data:
        packed = base64.b64decode(data["packed"], validate=True)
        opened = zlib.decompressobj().decompress(packed, MAX_UNPACKED)
        days = SchemaValidator(_DAYS).validate_json(opened)
    told = None if days is None else DaysByTransfer(_decoded(days))
    made = time_of("made", data["made"]) if "made" in data else None
    return Marker(data["key"], data["digest"], told, made)


def _decoded(days: dict[str, dict[str, str]]) -> Iterator[tuple[Address, DateSet]]:
    for team_id, transfers in days.items():
        for transfer_id, runs in transfers.items():
            yield Address(int(team_id), int(transfer_id)), DateSet.of(_intervals(runs))


def _intervals(runs: str) -> Iterator[tuple[int, int]]:
    """Yield the intervals of days that are run-length coded. Raises ``ValueError`` for no date at all."""
    first, _, lengths = runs.partition(":")
    day = parse_iso(f"{first[:4]}-{first[4:6]}-{first[6:]}")
    for number, length in enumerate(map(int, lengths.split(","))):
        if day + length > LAST_DAY + 1:
            raise ValueError("the days end after the last one there is")
        if number % 2 == 0:
            yield day, day + length
        day += length
