"""The schema of the file, for the reader and, as JSON Schema, for editors.

Values are read by ``values.py``; this says which keys there are, and what they mean.
Absent optional keys are ``None`` here: defaults are the business of ``desired.py``.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from reconciler.config.nodes import Text
from reconciler.config.ranges import (
    FIRST_YEAR,
    LAST_YEAR,
    SHORTHAND_PATTERN,
    Term,
    check_order,
    parse_shorthand,
)
from reconciler.config.values import (
    FOLDER,
    ID,
    KEY_ENV,
    LINE,
    NAME_KEY,
    OWNER,
    OWNER_KEY,
    STALE_BEFORE,
    TERM,
    TIMEZONE,
    TRUTH,
    VERSION,
    choice,
    decimal,
    text_of,
    whole,
)
from reconciler.model.desired import Chunk, EvidenceMode, OnUnknown, Order

_DAYS = whole(1, 10_000_000)
_ROWS = whole(1, 2**63 - 1)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Exclusion(_Section):
    """Days that are not declared, whatever the ranges say."""

    start: Annotated[Term, TERM] = Field(
        description="First day, inclusive: a date, today, yesterday or today-90d."
    )
    end: Annotated[Term, TERM] = Field(
        description="Last day, inclusive: a date, today, yesterday or today-90d."
    )
    reason: Annotated[str, LINE] | None = Field(None, description="Why; shown in plans beside the place.")

    @model_validator(mode="after")
    def _ordered(self) -> Exclusion:
        check_order(self.start, self.end)
        return self


class Range(Exclusion):
    """Days that must be loaded."""

    stale_before: Annotated[date | datetime, STALE_BEFORE] | None = Field(
        None, description="Days of this range loaded before this are due again; overrides the transfer's."
    )


class _Shorthand:
    """Lets a range also be written as one text, like ``2024-Q2``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, as_mapping: Any) -> Any:
            if not isinstance(value, Text):
                return as_mapping(value)
            start, end = parse_shorthand(text_of(value, "a range"))
            return source.model_construct(start=start, end=end, reason=None)

        return core_schema.no_info_wrap_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": f"^(?:{SHORTHAND_PATTERN})$",
                    "description": "2024, 2024-07, 2024-Q2, 2024-07-01 or 2024-07-01..2024-08-15; "
                    "a day may also be today, yesterday or today-90d.",
                },
                {
                    "type": "integer",
                    "minimum": FIRST_YEAR,
                    "maximum": LAST_YEAR,
                    "description": "A whole year.",
                },
                handler(schema),
            ]
        }


class Limits(_Section):
    """What does not fit is deferred to a later apply; an absent one does not limit."""

    max_open_backfills: Annotated[int, whole(1, 100)] | None = Field(
        None, description="Incomplete backfills of the team, whoever opened them. Default and at most 100."
    )
    max_open_per_transfer: Annotated[int, whole(1, 100)] | None = Field(
        None, description="Incomplete backfills of one transfer."
    )
    max_creates_per_apply: Annotated[int, whole(1, 100_000)] | None = Field(
        None, description="Backfills that one apply creates, retries included."
    )
    max_days_per_backfill: Annotated[int, whole(1, 100_000)] | None = Field(
        None, description="Days of one backfill; longer runs of days are cut."
    )
    requests_per_second: Annotated[float, decimal(0.1, 100)] | None = Field(
        None, description="Calls to the API by all workers. Teams that share a key: the slowest. Default 20."
    )


class OwnerGuards(_Section):
    """Bounds of one owner's part of a plan."""

    max_days_per_apply: Annotated[int, _DAYS] | None = Field(
        None, description="Days that one apply may create."
    )
    max_rows_per_apply: Annotated[int, _ROWS] | None = Field(
        None, description="Rows that one apply may load, estimated from past runs."
    )


class Guards(OwnerGuards):
    """A plan beyond one of these is refused as a whole, never cut."""

    owners: dict[Annotated[str, OWNER_KEY], OwnerGuards] | None = Field(
        None, description="Guards for single owners."
    )


class Defaults(_Section):
    """What holds for every transfer of this file that does not say otherwise."""

    chunk: Annotated[Chunk, choice(Chunk)] | None = Field(
        None, description="Backfills are cut where such a period ends. Default none; weeks are ISO weeks."
    )
    max_attempts: Annotated[int, whole(1, 100)] | None = Field(
        None, description="Attempts per day before a person must look. Default 3; 1 = never retry."
    )
    evidence: Annotated[EvidenceMode, choice(EvidenceMode)] | None = Field(
        None, description="What tells whether a day is loaded. Default auto: runs where they can be read."
    )
    allow_today: Annotated[bool, TRUTH] | None = Field(
        None, description="Whether today is loadable. Default false: a day is loadable from the next day on."
    )
    owner: Annotated[str, OWNER] | None = Field(None, description="Who answers for it; see guards.owners.")


class Transfer(Defaults):
    """One transfer, and the days it must have loaded."""

    transfer_id: Annotated[int, ID] = Field(description="The vendor's id; with team_id, the identity.")
    previous_ids: list[Annotated[int, ID]] | None = Field(
        None, description="Ids this transfer had before it was re-created; what they loaded counts."
    )
    paused: Annotated[bool, TRUTH] | None = Field(
        None, description="Shown as blocked, never created. Default false."
    )
    stale_before: Annotated[date | datetime, STALE_BEFORE] | None = Field(
        None,
        description="A day loaded before this is due again: a date (its midnight) or an RFC 3339 time.",
    )
    ranges: list[Annotated[Range, _Shorthand()]] = Field(
        description="The days that must be loaded: their union."
    )
    exclude: list[Annotated[Exclusion, _Shorthand()]] | None = Field(
        None, description="Days that are not declared; wins over ranges."
    )


class BackfillsFile(_Section):
    """The days that must be loaded, for one team."""

    version: Annotated[int, VERSION] = Field(description="The version of this format: 1.")
    team_id: Annotated[int, ID] = Field(description="The team of every transfer in this file.")
    timezone: Annotated[str, TIMEZONE] | None = Field(
        None, description="Whose today and midnight: a name of the tz database. Default UTC."
    )
    state: Annotated[str, FOLDER] | None = Field(
        None, description="A folder for the state, relative to this file. URLs are given by --state."
    )
    key_env: Annotated[str, KEY_ENV] | None = Field(
        None, description="Environment variable that holds the API key. Default SUPERMETRICS_API_KEY."
    )
    order: Annotated[Order, choice(Order)] | None = Field(
        None, description="Which days go first. Default newest_first."
    )
    prune: Annotated[bool, TRUTH] | None = Field(
        None, description="Cancel our own active backfills that cover no declared day. Default false."
    )
    on_unknown: Annotated[OnUnknown, choice(OnUnknown)] | None = Field(
        None, description="What to do when the outcome of a create is not known. Default settle."
    )
    limits: Limits | None = None
    guards: Guards | None = None
    defaults: Defaults | None = None
    transfers: dict[Annotated[str, NAME_KEY], Transfer] = Field(
        description="The transfers, by a name of our own."
    )


TEAM_KEYS = ("timezone", "state", "key_env", "order", "prune", "on_unknown", "limits", "guards")
"""These belong to the team: only one of its files may set each."""


class _ForEditors(GenerateJsonSchema):
    """No titles on every key, and no null: a key is given a value or left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        return {**super().dict_schema(schema), "additionalProperties": False}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, for editors."""
    schema = BackfillsFile.model_json_schema(schema_generator=_ForEditors)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Backfills: the days that must be loaded",
    }
