"""Hints never change what is meant: what a hint offers covers the very days that the mistake meant."""

from __future__ import annotations

import re
from calendar import month_name
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.loading import parse_range as parse_argument
from reconciler.config.mistyped import no_day, no_range
from reconciler.config.ranges import parse_range
from reconciler.config.rules import BrokenRule
from reconciler.dates import Interval
from reconciler.errors import UsageError
from reconciler.model.written import WrittenRange

AS_OF = date(2026, 6, 15).toordinal()
ENGLISH = month_name[1:]
EXCEL = date(1899, 12, 30).toordinal()
DAYS = st.dates(date(2015, 1, 1), date(2026, 6, 1))


def days_of(text: str) -> Interval | None:
    ends = parse_range(text)
    return WrittenRange(*ends).interval(AS_OF) if ends else None


def offered(text: str) -> list[str]:
    """Return the values that the hint for a text offers; the text itself where it is a range as it stands."""
    try:
        if parse_range(text):
            return [text]
        return re.findall(r"`([^`]+)`", hint) if (hint := no_range(text).hint).startswith("Write `") else []
    except BrokenRule:
        return []


@st.composite
def sides(draw: st.DrawFn) -> tuple[str, str]:
    """A day or period as a file has it, and as somebody may write it."""
    day = draw(DAYS)
    year, month, at, (iso_year, week, _) = day.year, day.month, day.day, day.isocalendar()
    quarter, half, ago = (month + 2) // 3, (month + 5) // 6, draw(st.integers(0, 999))
    written = {
        f"{day}": [
            f"{day}",
            f"{year}/{month}/{at}",
            f"{at:02}.{month:02}.{year}",
            f"{month}/{at}/{year}",
            f"{day:%Y%m%d}",
            f"{day.toordinal() - EXCEL}",
            f"{at} {ENGLISH[month - 1]} {year}",
            f"{ENGLISH[month - 1][:3]} {at}, {year}",
            f"{iso_year}-W{week:02}-{day.isoweekday()}",
            f"{day}T00:00:00",
            f"{day}".replace("-", "\u2011"),
        ],
        f"{year}-{month:02}": [f"{year}{month:02}", f"{month}/{year}", f"{ENGLISH[month - 1]} {year}"],
        f"{iso_year}-W{week:02}": [f"{iso_year}W{week}", f"W{week:02}-{iso_year}", f"KW {week}/{iso_year}"],
        f"{year}-Q{quarter}": [f"{year}Q{quarter}", f"Q{quarter} {year}", f"{quarter}Q{year}"],
        f"{year}-H{half}": [f"{year}H{half}", f"H{half}/{year}"],
        f"today-{ago}d": [f"today-{ago}", f"TODAY - {ago} days", f"{ago} days ago"],
        f"today-{ago + 1}d": [f"yesterday-{ago}d"],
        f"today-{ago % 99}mo": [f"today - {ago % 99} months"],
        "today": ["now", "Today"],
    }
    meant = draw(st.sampled_from(sorted(written)))
    return meant, draw(st.sampled_from(written[meant]))


SEPARATORS = (" - ", " to ", " until ", " bis ", " through ", "\u2013", " \u2014 ", " ", "...", " .. ", "->")


@given(sides())
def test_one_side(side: tuple[str, str]) -> None:
    meant, text = side
    found = [days_of(value) for value in offered(text)]
    assert days_of(meant) in found, text
    assert len(found) <= 2


@given(sides(), sides(), st.sampled_from(SEPARATORS))
def test_two_sides(first: tuple[str, str], last: tuple[str, str], separator: str) -> None:
    found = [days_of(value) for value in offered(first[1] + separator + last[1])]
    try:
        meant = days_of(f"{first[0]}..{last[0]}")
    except BrokenRule:  # it ends before it starts: nothing that is offered could mean that
        assert not found
    else:
        assert not found or meant in found


@given(
    DAYS, DAYS, st.sampled_from(SEPARATORS), st.sampled_from(["%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%Y-%m-%d"])
)
def test_two_dates_written_alike(one: date, other: date, separator: str, form: str) -> None:
    start, end = min(one, other), max(one, other)
    meant = (start.toordinal(), end.toordinal() + 1)
    values = offered(start.strftime(form) + separator + end.strftime(form))
    found = [days_of(value) for value in values]
    assert meant in found or (not found and start != end)
    if max(start.day, end.day) > 12 and values:
        assert found == [meant]


@given(st.text(max_size=40) | st.from_regex(r"[0-9/. a-z-]{1,30}", fullmatch=True))
def test_any_text_gets_a_finding_and_what_it_offers_is_a_range(text: str) -> None:
    try:
        if parse_range(text):
            return
    except BrokenRule:
        return
    broken = no_range(text)
    assert broken.hint
    assert broken.brief or broken.rule != "BF040"
    for value in offered(text):
        assert days_of(value), value
    assert no_day(text).hint


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2024-05", ("2024-05-01", "2024-05-31")),
        (" 2024-W05 .. 2024-02-10 ", ("2024-01-29", "2024-02-10")),
        ("today-1mo..yesterday", ("2026-05-15", "2026-06-14")),
    ],
)
def test_a_range_on_the_command_line(text: str, expected: tuple[str, str]) -> None:
    start, end = parse_argument(text, AS_OF)
    assert (str(date.fromordinal(start)), str(date.fromordinal(end - 1))) == expected


def test_a_mistyped_range_on_the_command_line() -> None:
    with pytest.raises(UsageError) as caught:
        parse_argument("01.05.2024-31.05.2024", AS_OF)
    assert caught.value.hint == "Write `2024-05-01..2024-05-31`."
