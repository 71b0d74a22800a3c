"""What stands in a flag: durations, dates, places for output."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Duration = click.ParamType[timedelta]
    _Date = click.ParamType[date]
    _OutFile = click.ParamType[tuple[str, str]]
else:  # older clicks know no type argument
    _Duration = _Date = _OutFile = click.ParamType

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=3650)


class Duration(_Duration):
    """``90s``, ``15m``, ``6h``, ``7d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration like 90s, 15m, 6h or 7d.", param, ctx)
        length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        if length > LONGEST:
            self.fail(f"{value!r} is longer than ten years.", param, ctx)
        return length


class Date(_Date):
    """``YYYY-MM-DD``."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            if len(str(value)) != 10:
                raise ValueError
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date like 2026-11-22.", param, ctx)


class OutFile(_OutFile):
    """``FILE``, or ``FORMAT=FILE``."""

    name = "[format=]file"

    def __init__(self, formats: tuple[str, ...]) -> None:
        self.formats = formats

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        kind, equals, path = str(value).partition("=")
        if not equals or "/" in kind or "." in kind:
            return self.formats[0], str(value)
        if kind not in self.formats:
            self.fail(f"{kind!r} is not a format: {', '.join(self.formats)}.", param, ctx)
        if not path:
            self.fail("the file's name is missing.", param, ctx)
        return kind, path
