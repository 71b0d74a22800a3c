"""How each kind of value is read from text, and how JSON Schema describes it: one value says both.

``key(whole(1, 100), "...")`` in the schema is all there is to say about a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from reconciler.config.nodes import Block, Items, Text
from reconciler.config.ranges import DATE_PATTERN, TERM_PATTERN, parse_date, parse_term
from reconciler.config.rules import BrokenRule, shown
from reconciler.model.written import Term

LARGEST_ID: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_TIME_PATTERN: Final = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})"
_TIME: Final = re.compile(_TIME_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """One kind of value: ``read`` turns a node into it or raises ``BrokenRule``; ``shape`` is JSON Schema."""

    read: Callable[[object], Any]
    shape: Mapping[str, Any]


def text_of(value: object, expected: str) -> Text:
    """Return the text of a scalar that has one. Raises ``BrokenRule``."""
    if not isinstance(value, Text):
        raise wrong_shape(value, expected)
    if value.null:
        raise BrokenRule("BF025", "has no value", f"Give it {expected}, or remove it.")
    return value


def wrong_shape(value: object, expected: str) -> BrokenRule:
    kinds: dict[type, str] = {Block: "a mapping", Items: "a list"}
    kind = kinds.get(type(value))
    got = kind or shown(str(value))
    brief = f"{expected[:1].upper()}{expected[1:]} is expected" + (f", not {kind}" if kind else "")
    return BrokenRule("BF026", f"is {got}, but {expected} is expected", f"Write {expected} here.", brief)


def whole(low: int, high: int) -> Reads:
    """A whole number in decimal digits, both bounds inclusive."""
    return Reads(lambda value: _whole(value, low, high), {"type": "integer", "minimum": low, "maximum": high})


def _whole(value: object, low: int, high: int) -> int:
    text = text_of(value, "a whole number")
    if not _WHOLE.fullmatch(text):
        raise BrokenRule(
            "BF027", f"is {shown(text)}, but a whole number is expected", "Write digits only, like 456789."
        )
    if not text.plain:
        raise BrokenRule(
            "BF027", f"is the string {shown(text)}, in quotes, but a number is expected", "Remove the quotes."
        )
    digits = text.lstrip("+-")
    if digits != "0" and digits.startswith("0"):
        says = f"is {shown(text)}: with a leading zero, some parsers read it as octal"
        rest = digits.lstrip("0")[:20]
        raise BrokenRule("BF027", says, f"Write {rest}." if rest else _bounds(low, high))
    if len(digits) > 20 or not low <= int(text) <= high:
        raise BrokenRule(
            "BF028", f"is {shown(text)}, which is {_beyond(text, low, high)}", _bounds(low, high)
        )
    return int(text)


def _beyond(text: str, low: int, high: int) -> str:
    if text.startswith("-"):
        return "negative"
    if high == LARGEST_ID and len(text) > 18:
        return "more than 64 bits can hold"
    return f"less than {low}" if len(text) <= 20 and int(text) < low else f"more than {high}"


def _bounds(low: int, high: int) -> str:
    if high == LARGEST_ID:
        return "Copy the number as the vendor shows it; the smallest is 1." if low == 1 else ""
    return f"Write a number from {low} to {high}."


def decimal(low: float, high: float) -> Reads:
    """A number with or without decimals, both bounds inclusive."""

    def read(value: object) -> float:
        text = text_of(value, "a number")
        if not (text.plain and _NUMBER.fullmatch(text)):
            says = f"is {shown(text)}, but a number without quotes is expected"
            raise BrokenRule("BF027", says, "Write digits, like 20 or 0.5.")
        if not low <= float(text) <= high:
            says = f"is {shown(text)}, which is not from {low:g} to {high:g}"
            raise BrokenRule("BF028", says, f"Write a number from {low:g} to {high:g}.")
        return float(text)

    return Reads(read, {"type": "number", "minimum": low, "maximum": high})


_TRUTHS: Final = {"true": ("true", "yes", "on", "y", "1"), "false": ("false", "no", "off", "n", "0")}


def _truth(value: object) -> bool:
    text = text_of(value, "`true` or `false`")
    if text.plain and text in ("true", "false"):
        return text == "true"
    likely = next((value for value, words in _TRUTHS.items() if text.lower() in words), None)
    got = shown(text) if text.plain else f"the string {shown(text)}, in quotes"
    says = f"is {got}, but `true` or `false` is expected"
    meant = f"`{likely}`" if likely else "`true` or `false`"
    raise BrokenRule("BF029", says, f"Write {meant}, without quotes.")


def choice(kind: type[StrEnum]) -> Reads:
    """One of an enum's values."""
    allowed = [member.value for member in kind]
    listed = ", ".join(f"`{member}`" for member in allowed)

    def read(value: object) -> StrEnum:
        text = text_of(value, f"one of {listed}")
        if text not in allowed:
            raise BrokenRule(
                "BF030",
                f"is {shown(text)}, which is not one of {listed}",
                _near_choice(text, allowed),
                "Not one of the allowed values",
            )
        return kind(str(text))

    return Reads(read, {"type": "string", "enum": allowed})


def _near_choice(text: str, allowed: list[str]) -> str:
    near = nearest(text.lower().replace("-", "_"), allowed)
    listed = ", ".join(f"`{member}`" for member in allowed)
    return f"Did you mean `{near}`?" if near else f"Choose one of {listed}."


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known word a typo away, if there is one."""
    from difflib import get_close_matches  # only files with mistakes need it

    return next(iter(get_close_matches(word[:64], known, n=1, cutoff=0.6)), None)


def _version(value: object) -> int:
    text = text_of(value, "1")
    if text.plain and text == "1":
        return 1
    hint = "Write `version: 1`."
    if text.isdecimal() and len(text) < 5 and int(text) > 1:
        hint = "Update reconciler, or write `version: 1`."
    got = shown(text) if text.plain else f"the string {shown(text)}, in quotes"
    raise BrokenRule("BF031", f"is {got}, but this reconciler reads version 1", hint)


def _term(value: object) -> Term:
    text = text_of(value, "a day")
    if (term := parse_term(text)) is not None:
        return term
    from reconciler.config.mistyped import no_day  # only files with mistakes need it

    raise no_day(text)


def _moment(value: object) -> date | datetime:
    """Read a date, or an aware time in UTC.

    A date becomes its midnight in ``transfers.py``: only there all files of the team are read, and with
    them its timezone.
    """
    text = text_of(value, "a date or time")
    if (day := parse_date(text)) is not None:
        return date.fromordinal(day)
    try:
        if _TIME.fullmatch(text) and parse_date(text[:10]):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, BrokenRule):
            raise
    says = f"is {shown(text)}, which is not a date or an RFC 3339 time"
    hint = "Write 2026-02-01, or 2026-03-01T06:00:00Z with `Z` or an offset."
    if "today" in text or "yesterday" in text:
        says = f"is {shown(text)}, but must be absolute: otherwise it would mean another time every day"
    else:
        from reconciler.config.mistyped import meant_day, meant_time  # only files with mistakes need them

        meant = meant_time(text) or meant_day(text)
        hint = f"Write `{meant}`." if meant else hint
    raise BrokenRule("BF044", says, hint)


ID: Final = whole(1, LARGEST_ID)
TRUTH: Final = Reads(_truth, {"type": "boolean"})
VERSION: Final = Reads(_version, {"const": 1})
TERM: Final = Reads(_term, {"type": "string", "pattern": f"^{TERM_PATTERN}$"})
TIME: Final = Reads(_moment, {"type": "string", "pattern": f"^(?:{DATE_PATTERN}|{_TIME_PATTERN})$"})
