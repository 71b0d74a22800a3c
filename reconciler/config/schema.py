"""The schema of the file, for the reader and, as JSON Schema, for editors.

Values are read by ``values.py``, sections are put together by ``sections.py``; this says which keys there
are, and what they mean. Absent optional keys are ``None`` here: defaults are the business of ``desired.py``.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from pydantic_core import SchemaValidator

from reconciler.config.durations import DAYS_AFTER, duration
from reconciler.config.nodes import Block, Text
from reconciler.config.ranges import FIRST_YEAR, LAST_YEAR, RANGE_PATTERN, check_order, parse_range
from reconciler.config.sections import (
    ListOf,
    MappingOf,
    OneOrMore,
    Shorthand,
    json_schema_of,
    key,
    reader,
    required,
    section,
)
from reconciler.config.texts import FOLDER, KEY_ENV, NAME_KEY, OWNER, OWNER_KEY, REASON, TIMEZONE
from reconciler.config.values import ID, TERM, TIME, TRUTH, VERSION, choice, decimal, text_of, whole
from reconciler.model.desired import Chunk, EvidenceMode, OnUnknown, Order
from reconciler.model.written import Term

_DAYS = whole(1, 10_000_000)
_ROWS = whole(1, 2**63 - 1)
_RANGE_TEXT = {
    "type": "string",
    "pattern": f"^(?:{RANGE_PATTERN})$",
    "description": "2024, 2024-H1, 2024-Q2, 2024-07, 2024-W05, 2024-07-01, or two of them with .. between; "
    "a day may also be today, yesterday, today-90d or today-13mo.",
}
_WHOLE_YEAR = {
    "type": "integer",
    "minimum": FIRST_YEAR,
    "maximum": LAST_YEAR,
    "description": "A whole year.",
}


@section
class ExclusionEntry:
    """Days that are not declared, whatever the ranges say."""

    start: Term = required(TERM, "First day, inclusive: a date, today, yesterday, today-90d or today-13mo.")
    end: Term = required(TERM, "Last day, inclusive: a date, today, yesterday, today-90d or today-13mo.")
    reason: str | None = key(REASON, "Why; shown in plans beside the place.")

    def __post_init__(self) -> None:
        check_order(self.start, self.end)


def _or_text(entry: type[ExclusionEntry]) -> Shorthand:
    """Let a range also be written as one text, like ``2024-Q2``."""

    def from_text(value: Text) -> ExclusionEntry:
        text = text_of(value, "a range")
        if (ends := parse_range(text)) is None:
            from reconciler.config.mistyped import no_range  # only files with mistakes need it

            raise no_range(text)
        return entry(start=ends[0], end=ends[1], reason=None)

    return Shorthand(entry, from_text, (_RANGE_TEXT, _WHOLE_YEAR))


@section
class RangeEntry(ExclusionEntry):
    """Days that must be loaded."""

    stale_before: date | datetime | None = key(
        TIME, "Days of this range loaded before this are due again; overrides the transfer's."
    )
    final_after: int | None = key(DAYS_AFTER, "As of the transfer, for the days of this range.")
    owner: list[str] | None = key(OneOrMore(OWNER), "As of the transfer, for the days of this range.")
    exclude: list[ExclusionEntry] | None = key(
        ListOf(_or_text(ExclusionEntry)), "Days that are not of this range; another may still declare them."
    )


@section
class LoadedEntry(ExclusionEntry):
    """Days that were loaded by other means, which no read can show."""

    reason: str = required(REASON, "How; shown beside the place.")
    at: date | datetime | None = key(
        TIME, "When they were loaded: a date (its midnight) or an RFC 3339 time. Default: long ago."
    )


@section
class LimitsEntry:
    """What does not fit is deferred to a later apply; an absent one does not limit."""

    max_open_backfills: int | None = key(
        whole(1, 100), "Incomplete backfills of the team, no matter who opened them. Default and at most 100."
    )
    max_open_per_transfer: int | None = key(whole(1, 100), "Incomplete backfills of one transfer.")
    max_creates_per_apply: int | None = key(
        whole(1, 100_000), "Backfills that one apply creates, retries included."
    )
    max_days_per_backfill: int | None = key(
        whole(1, 100_000), "Days of one backfill; longer runs of days are cut."
    )
    requests_per_second: float | None = key(
        decimal(0.1, 10_000),
        "Calls to the API by all workers. Teams that share a key: the slowest. Default 20.",
    )


@section
class OwnerGuardsEntry:
    """Bounds of one owner's part of a plan."""

    max_days_per_apply: int | None = key(_DAYS, "Days that one apply may create.")
    max_rows_per_apply: int | None = key(_ROWS, "Rows that one apply may load, estimated from past runs.")


@section
class GuardsEntry(OwnerGuardsEntry):
    """A plan beyond one of these is refused as a whole, never cut."""

    owners: dict[str, OwnerGuardsEntry] | None = key(
        MappingOf(OWNER_KEY, OwnerGuardsEntry), "Guards for single owners."
    )


@section
class DefaultsEntry:
    """What holds for every transfer of this file that does not say otherwise."""

    chunk: Chunk | None = key(
        choice(Chunk), "Backfills are cut where such a period ends. Default none; weeks are ISO weeks."
    )
    max_attempts: int | None = key(
        whole(1, 100), "Attempts per day before a person must look. Default 3; 1 = never retry."
    )
    retry_after: timedelta | None = key(
        duration(timedelta()),
        "How long a failed day waits for its next attempt, like 90s, 15m, 6h or 7d. Default 1h.",
    )
    evidence: EvidenceMode | None = key(
        choice(EvidenceMode), "What tells whether a day is loaded. Default runs: the run list too."
    )
    allow_today: bool | None = key(
        TRUTH, "Whether today is loadable. Default false: a day is loadable from the next day on."
    )
    final_after: int | None = key(
        DAYS_AFTER,
        "So many days after a day its figures are final; loaded before, it is due once more. Like 7d.",
    )
    owner: list[str] | None = key(
        OneOrMore(OWNER), "Who is responsible for it, one or several; see guards.owners."
    )


@section
class TransferEntry(DefaultsEntry):
    """One transfer, and the days it must have loaded."""

    transfer_id: int = required(ID, "The vendor's id; with team_id, the identity.")
    previous_ids: list[int] | None = key(
        ListOf(ID), "Ids this transfer had before it was re-created; what they loaded counts."
    )
    paused: bool | None = key(TRUTH, "Shown as blocked, never created. Default false.")
    stale_before: date | datetime | None = key(
        TIME, "A day loaded before this is due again: a date (its midnight) or an RFC 3339 time."
    )
    ranges: list[RangeEntry] = required(
        ListOf(_or_text(RangeEntry)), "The days that must be loaded: their union."
    )
    exclude: list[ExclusionEntry] | None = key(
        ListOf(_or_text(ExclusionEntry)), "Days that are not declared; wins over ranges."
    )
    loaded: list[LoadedEntry] | None = key(
        ListOf(LoadedEntry), "Days that were loaded by other means; they count as covered."
    )


@section
class BackfillsFile:
    """The days that must be loaded, for one team."""

    version: int = required(VERSION, "The version of this format: 1.")
    team_id: int = required(ID, "The team of every transfer in this file.")
    timezone: str | None = key(TIMEZONE, "Whose today and midnight: a name of the tz database. Default UTC.")
    state: str | None = key(
        FOLDER, "A folder for the state, relative to this file. URLs are given by --state."
    )
    key_env: str | None = key(
        KEY_ENV, "Environment variable that holds the API key. Default SUPERMETRICS_API_KEY."
    )
    order: Order | None = key(choice(Order), "Which days go first. Default newest_first.")
    prune: bool | None = key(
        TRUTH, "Cancel our own active backfills that cover no declared day. Default false."
    )
    on_unknown: OnUnknown | None = key(
        choice(OnUnknown), "What to do when the outcome of a create is not known. Default settle."
    )
    stuck_after: timedelta | None = key(
        duration(timedelta(hours=1)),
        "What runs longer than this is called stuck, like 12h or 7d. Default 7d.",
    )
    limits: LimitsEntry | None = key(LimitsEntry)
    guards: GuardsEntry | None = key(GuardsEntry)
    defaults: DefaultsEntry | None = key(DefaultsEntry)
    transfers: dict[str, TransferEntry] = required(
        MappingOf(NAME_KEY, TransferEntry), "The transfers, by a name of our own."
    )


HOLDER = "x-"
"""Keys at the top that start so hold what anchors share; they are not read."""

TEAM_KEYS = (
    "timezone",
    "state",
    "key_env",
    "order",
    "prune",
    "on_unknown",
    "stuck_after",
    "limits",
    "guards",
)
"""These belong to the team: only one of its files may set each."""


@cache
def _reader() -> SchemaValidator:
    return reader(BackfillsFile)


def read_file(data: Block) -> BackfillsFile:
    """Return the data of one file, checked; what holds anchors is left out.

    Raises ``pydantic_core.ValidationError`` with all faults.
    """
    read = {name: value for name, value in data.items() if not name.startswith(HOLDER)}
    checked: BackfillsFile = _reader().validate_python(read)
    return checked


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **json_schema_of(BackfillsFile),
        "patternProperties": {f"^{HOLDER}": {}},
        "title": "Backfills: the days that must be loaded",
    }
