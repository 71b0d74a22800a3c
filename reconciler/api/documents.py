"""A body as JSON, its envelope, and the items of a list, each of which must be readable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from reconciler.api.fields import AnswerUnreadable, NotJson, whole

T = TypeVar("T")

MOST_PARTS = (
    600_000  # values and containers: a page of 10,000 runs has some 150,000; each takes up to 200 bytes
)


def decode(body: bytes) -> object:
    """Return the JSON of a body. Raises ``AnswerUnreadable`` for anything else, however nasty."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_PARTS:
        raise AnswerUnreadable(f"it has more than {MOST_PARTS} parts")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):  # bad UTF-8, bad JSON, NaN, endless digits; depth
        raise NotJson("it is not JSON that can be read") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def payload(document: object) -> object:
    """Take the envelope off: ``{"meta", "data"}``. What has no ``data`` is taken to be bare."""
    return document["data"] if isinstance(document, dict) and "data" in document else document


def an_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise AnswerUnreadable("an object is missing where the API documents one")
    return value


@dataclass(frozen=True, slots=True)
class Announced:
    """What an answer says of its list: that there is a further page, and how many items there are in all."""

    more: bool = False
    total: int | None = None


def announced(document: object) -> Announced:
    """Return what ``meta.pagination`` announces, if it is there."""
    pagination = _within(_within(document, "meta"), "pagination")
    return Announced(bool(_within(_within(pagination, "links"), "next")), _total(pagination))


def _total(pagination: object) -> int | None:
    number = whole(_within(pagination, "total_count"))
    return number if number is not None and number >= 0 else None


def _within(document: object, name: str) -> object:
    return document.get(name) if isinstance(document, dict) else None


def each(document: object, parse: Callable[[dict[str, object]], T]) -> list[T]:
    items = payload(document)
    if isinstance(items, dict) and "items" in items:  # as production wraps some lists
        items = items["items"]
    if not isinstance(items, list):
        raise AnswerUnreadable("a list is missing where the API documents one")
    parsed: list[T] = []
    try:
        for item in items:
            parsed.append(parse(an_object(item)))
    except AnswerUnreadable as error:
        bare = "it is an array without the envelope, and of that " if items is document else ""
        told = f"{bare}item {len(parsed) + 1} of {len(items)}: {error}"
        raise AnswerUnreadable(told, *error.args[1:]) from None
    return parsed
