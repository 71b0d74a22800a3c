"""What people write for a day, a period or a range, and how a file would have it. Only mistakes need this.

Pure. The texts returned have a form of ours; whether there are such days is not judged here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

LONGEST: Final = 100


def readings(text: str) -> list[str]:
    """Return what a text may have meant, as a file would have it: one value, or, where the order of day and
    month is open, two. The values have a form of ours; their days need not exist.
    """
    if len(text) > LONGEST:
        return []
    words = plain(text)
    return list(dict.fromkeys(value for day_first in (True, False) if (value := _value(words, day_first))))


def plain(text: str) -> str:
    """Return the text in lower case, with dashes, digits and blanks of any script in ASCII."""
    text = unicodedata.normalize("NFKC", text).lower()
    kinds = ((unicodedata.category(char), char) for char in text)
    text = "".join("-" if kind == "Pd" or char == "\u2212" else char for kind, char in kinds if kind != "Cf")
    return " ".join(text.split()).strip("'\"`\u2018\u2019\u201c\u201d\u201e ")


_BETWEEN: Final = re.compile(r"(?:between|zwischen) (.+) (?:and|und) (.+)")
_FROM: Final = re.compile(r"^(?:from|von|vom) ")
_SEPARATORS: Final = re.compile(
    r" ?(?:\.{2,}|-+>|--+|\u2192|~|:|\b(?:to|until|till|til|thru|through|up to|bis(?: zum)?)\b) ?| - | / "
)
_TIGHT: Final = re.compile(r"[-/ .]")


def _value(words: str, day_first: bool) -> str | None:
    if alone := side(words, day_first):
        return alone
    if found := _BETWEEN.fullmatch(words):
        return _joined(found[1], found[2], day_first)
    words = _FROM.sub("", words, count=1)
    for separator in (_SEPARATORS, _TIGHT):
        cuts = ((words[: found.start()], words[found.end() :]) for found in separator.finditer(words))
        ranges = {_joined(*cut, day_first, separator is _SEPARATORS) for cut in cuts} - {None}
        if ranges:
            return ranges.pop() if len(ranges) == 1 else None
    return None


def _joined(first: str, last: str, day_first: bool, may_shorten: bool = False) -> str | None:
    start = side(first, day_first)
    end = side(last, day_first)
    if start and not end and may_shorten:
        end = _completed(start, last.upper())
    return f"{start}..{end}" if start and end else None


def _completed(start: str, end: str) -> str | None:
    """Return an end of which only what differs from the start is written: ``2024-07-01..31``."""
    whole = start[: -len(end)] + end
    is_part = re.fullmatch(r"\d\d(?:-\d\d)?|[QH]\d|W\d\d", end) and "-" in start
    same_form = is_part and re.sub(r"\d", "0", whole) == re.sub(r"\d", "0", start)
    return whole if same_form and whole >= start else None  # ..02-15 after a November may mean the next year


# --- one side: the forms that people write, and what each becomes ------------------------------

# Whole names, and what people shorten them to: `dec` begins `decade`, and `mar` a Finnish November.
_NAMES: Final = (
    *(r"jan(?:uary|uar)?", r"feb(?:ruary|ruar)?", r"mar(?:ch)?|mär(?:z)?|mae(?:rz)?|mrz", r"apr(?:il)?"),
    *(r"may|mai", r"june?|juni", r"july?|juli", r"aug(?:ust)?", r"sept?(?:ember)?"),
    *(r"o[ck]t(?:ober)?", r"nov(?:ember)?", r"de[cz](?:ember)?"),
)
_NAME: Final = rf"({'|'.join(_NAMES)})\.?"
_TH: Final = r"(?:st|nd|rd|th|\.)?"
_UNIT: Final = r"(d|days?|tagen?|w|weeks?|wochen?|mo|months?|monaten?|y|years?|jahren?)"
_SEP: Final = r"[-/._ ]"
_MIDNIGHT: Final = r"(?:[t ]00:00(?::00(?:\.0+)?)?)?"
_WEEK: Final = r"(?:calendar week|week|woche|kw|cw|wk|w)"
_TODAYS: Final = {"now": "today", "heute": "today", "gestern": "yesterday"}
_EXCEL: Final = date(1899, 12, 30)
_YEARS: Final = range(1970, 2200)


def _ymd(year: str, month: str, day: str) -> str:
    return f"{year}-{int(month):02}-{int(day):02}"


def _dated(first: str, second: str, year: str, day_first: bool) -> str | None:
    day, month = (first, second) if day_first else (second, first)
    return _ymd(year, month, day) if int(month) <= 12 else None


def _six(year: str, month: str) -> str | None:
    return f"{year}-{month}" if int(year) in _YEARS and 1 <= int(month) <= 12 else None


def _eight(year: str, month: str, day: str) -> str | None:
    return _ymd(year, month, day) if int(year) in _YEARS else None


def _excel(number: str) -> str | None:
    day = _EXCEL + timedelta(days=int(number))
    return day.isoformat() if day.year in _YEARS else None


def _ago(start: str, number: str, unit: str | None) -> str | None:
    """Return so many days, weeks, months or years before today or yesterday; days where no unit stands."""
    start = _TODAYS.get(start, start)
    count, letter = int(number), (unit or "d")[0]
    if letter in "dtw":
        days = count * (7 if letter == "w" else 1) + (start == "yesterday")
        return f"today-{days}d"
    return f"today-{count * (12 if letter in 'yj' else 1)}mo" if start == "today" else None


def _month(name: str) -> int:
    return next(number for number, names in enumerate(_NAMES, 1) if re.fullmatch(names, name))


def _month_day(name: str, day: str, year: str) -> str:
    return _ymd(year, str(_month(name)), day)


def _year_month(year: str, name: str) -> str:
    return f"{year}-{_month(name):02}"


def _weekday(year: str, week: str, day: str) -> str | None:
    try:
        return date.fromisocalendar(int(year), int(week), int(day)).isoformat()
    except ValueError:
        return None


Form = tuple[str, Callable[..., str | None]]

_FORMS: Final[tuple[Form, ...]] = (
    (rf"(today|yesterday|now|heute|gestern) ?- ?(\d{{1,5}}) ?{_UNIT}?", _ago),
    (rf"(\d{{1,5}}) ?{_UNIT} ago", lambda number, unit: _ago("today", number, unit)),
    (rf"vor (\d{{1,5}}) ?{_UNIT}", lambda number, unit: _ago("today", number, unit)),
    (r"(\d{4})", lambda year: year if int(year) in _YEARS else None),
    (r"(\d{5})(?:\.0+)?", _excel),
    (r"(\d{4})(\d\d)", _six),
    (r"(\d{4})(\d\d)(\d\d)", _eight),
    (rf"(\d{{4}})({_SEP}) ?(\d{{1,2}})\2 ?(\d{{1,2}}){_MIDNIGHT}", lambda y, _, m, d: _ymd(y, m, d)),
    (rf"(\d{{4}}){_SEP}(\d{{1,2}})", lambda year, month: f"{year}-{int(month):02}"),
    (rf"(\d{{1,2}}){_SEP}(\d{{4}})", lambda month, year: f"{year}-{int(month):02}"),
    (rf"(\d{{4}}){_SEP}*([hq]){_SEP}?([1-9])", lambda year, part, place: f"{year}-{part.upper()}{place}"),
    (rf"([hq]){_SEP}?([1-9]){_SEP}*(\d{{4}})", lambda part, place, year: f"{year}-{part.upper()}{place}"),
    (rf"([1-9])\.? ?([hq]){_SEP}*(\d{{4}})", lambda place, part, year: f"{year}-{part.upper()}{place}"),
    (rf"(\d{{4}}){_SEP}*{_WEEK}{_SEP}*(\d{{1,2}})", lambda year, week: f"{year}-W{int(week):02}"),
    (rf"{_WEEK}{_SEP}*(\d{{1,2}}){_SEP}+(\d{{4}})", lambda week, year: f"{year}-W{int(week):02}"),
    (r"(\d{4})-?w(\d\d)-?([1-7])", _weekday),
    (rf"(\d{{1,2}}){_TH}{_SEP}*{_NAME},?{_SEP}*(\d{{4}})", lambda d, name, y: _month_day(name, d, y)),
    (rf"{_NAME}{_SEP}*(\d{{1,2}}){_TH},?{_SEP}+(\d{{4}})", _month_day),
    (rf"{_NAME},?{_SEP}*(\d{{4}})", lambda name, year: _year_month(year, name)),
    (rf"(\d{{4}}){_SEP}*{_NAME}", _year_month),
    (rf"(\d{{4}}){_SEP}*{_NAME}{_SEP}*(\d{{1,2}})", lambda y, name, d: _month_day(name, d, y)),
)
_DAY_AND_MONTH: Final = r"(\d{1,2})([-/. ]) ?(\d{1,2})\2 ?(\d{4})"


def side(text: str, day_first: bool) -> str | None:
    """Return one day or period as a file would have it."""
    if text in ("today", "yesterday", *_TODAYS):
        return _TODAYS.get(text, text)
    if found := re.fullmatch(_DAY_AND_MONTH, text):
        return _dated(found[1], found[3], found[4], day_first)
    return next(_read(text), None)


def _read(text: str) -> Iterator[str]:
    for form, made in _FORMS:
        found = re.fullmatch(form, text, re.ASCII)
        if found and (value := made(*found.groups())):
            yield value
