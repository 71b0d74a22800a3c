"""The kinds of value that are durations: how they are read, and their JSON Schema."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from reconciler.config.rules import BrokenRule, shown
from reconciler.config.values import Reads, text_of
from reconciler.durations import FORMS, LONGEST, PATTERN, parse_duration, worded

MOST_DAYS_AFTER: Final = 400
_DAY: Final = timedelta(days=1)
_WORDS: Final = {
    "s(?:ec(?:ond)?s?)?": (1, "s"),
    "m(?:in(?:ute)?s?)?": (1, "m"),
    "h(?:r|our)?s?": (1, "h"),
    "d(?:ays?)?": (1, "d"),
    "w(?:eeks?)?": (7, "d"),
}
_FORM: Final = f"Write a whole number and its unit, like {FORMS}."


def _read(value: object, least: timedelta, most: timedelta) -> timedelta:
    text = text_of(value, "a duration")
    length = parse_duration(text)
    if length is None:
        raise BrokenRule("BF038", f"is {shown(text)}, which is not a duration", hint_of(text))
    if not least <= length <= most:
        beyond = f"less than {worded(least)}" if length < least else f"more than {worded(most)}"
        hint = f"Write a duration from {worded(least)} to {worded(most)}."
        raise BrokenRule("BF028", f"is {shown(text)}, which is {beyond}", hint)
    return length


def hint_of(text: str) -> str:
    """Return what to write instead of a text that is no duration: what it plainly means, or the form."""
    spelled = _spelled(text)
    return f"Write `{spelled}`." if spelled else _FORM


def _spelled(text: str) -> str | None:
    """Return a duration that is only spelled otherwise, as we do: ``7 D``, ``1 hour``, ``2 weeks``."""
    found = re.fullmatch(rf"([0-9]{{1,8}}) ?({'|'.join(_WORDS)})", " ".join(text.split()).lower())
    if not found:
        return None
    times, unit = next(form for word, form in _WORDS.items() if re.fullmatch(word, found[2]))
    return f"{int(found[1]) * times}{unit}"


def duration(least: timedelta) -> Reads:
    """A duration from ``least`` to ten years, both inclusive."""
    return Reads(lambda value: _read(value, least, LONGEST), {"type": "string", "pattern": f"^{PATTERN}$"})


def _whole_days(value: object) -> int:
    text = text_of(value, "a number of days, like 7d")
    if not re.fullmatch(r"[0-9]{1,9}d", text):
        says = f"is {shown(text)}, but whole days are expected: what is final is told by dates"
        raise BrokenRule("BF038", says, _near_days(text))
    return _read(value, timedelta(), timedelta(days=MOST_DAYS_AFTER)) // _DAY


def _near_days(text: str) -> str:
    same = parse_duration(f"{text}d" if text.isdecimal() else _spelled(text) or text)
    if same is not None and same % _DAY == timedelta():
        return f"Write `{same // _DAY}d`."
    return f"Write a number of days from 0d to {MOST_DAYS_AFTER}d, like 7d."


DAYS_AFTER: Final = Reads(_whole_days, {"type": "string", "pattern": "^[0-9]{1,9}d$"})
"""Whole days from 0 to 400, read as a number."""
