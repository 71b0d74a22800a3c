"""The kinds of values that flags take: durations, dates, files with a format."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import completion
from reconciler.durations import LONGEST, parse_duration, worded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Duration = click.ParamType[timedelta]
    _Date = click.ParamType[date]
    _OutFile = click.ParamType[tuple[str, str]]
else:  # older clicks know no type argument
    _Duration = _Date = _OutFile = click.ParamType


class Duration(_Duration):
    """``90s``, ``15m``, ``6h``, ``7d``; not less than ``least``, nor more than ``most``, or ten years."""

    name = "duration"

    def __init__(self, least: Callable[[], timedelta] = timedelta, most: timedelta | None = None) -> None:
        self.least = least
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        length = parse_duration(str(value))
        if length is None:
            from reconciler.config.durations import hint_of  # what a file would be told

            self.fail(f"{value!r} is not a duration.\n{hint_of(str(value))}", param, ctx)
        if length > LONGEST:
            self.fail(f"{value!r} is longer than ten years.", param, ctx)
        if self.most is not None and length > self.most:
            self.fail(f"{value!r} is more than {worded(self.most)}.", param, ctx)
        if length < self.least():
            self.fail(f"{value!r} is less than {worded(self.least())}.", param, ctx)
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
            self.fail(f"{value!r} is not a date.\n{_meant_by(str(value))}", param, ctx)


def _meant_by(text: str) -> str:
    """Return the hint that a file would give; a flag takes no relative day, so it says which date that is."""
    from reconciler.config.mistyped import no_day
    from reconciler.config.ranges import parse_term
    from reconciler.config.readings import readings

    today = datetime.now(UTC).date()
    relative = (parse_term(value) for value in (text, *readings(text)) if value[:1] in ("t", "y"))
    if term := next(filter(None, relative), None):
        day = date.fromordinal(term.resolve(today.toordinal()))
        return f"Write the date itself. By this machine's clock, in UTC, it is `{day}`."
    hint = no_day(text).hint
    return f"Write a date like {today}." if "today" in hint or "yesterday" in hint else hint


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
            from reconciler.cli.usage import did_you_mean

            self.fail(f"{kind!r} is not a format. {did_you_mean(kind, self.formats)}", param, ctx)
        if not path:
            self.fail("the file name is missing.", param, ctx)
        return kind, path

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return completion.files(ctx, param, incomplete)
