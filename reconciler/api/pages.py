"""Lists in pages: what is asked for, what a page announces, and when a list was read whole.

A server may give smaller pages than asked for, so a short page ends nothing: a list ends at an empty page, or
at one that repeats the one before. What is announced (``meta.pagination``) is taken as a claim to be met,
never as a link to be followed: it may lead to another host. A claim that is not met means that the list is
cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from reconciler.api.documents import Announced, announced, decode
from reconciler.api.wording import Oversized, Unusable
from reconciler.dates import FIRST_DAY, Day, iso
from reconciler.http import Request, Response

T = TypeVar("T")

PAGE = 1_000  # runs; with messages of 8 KiB each such a page is within the cap of a body
SMALLER = 10  # times, where it is not
MOST_PAGES = 1_000  # of one list: 100,000 runs of a server that gives a hundred at a time
MOST_ITEMS = 400_000  # of one list: a run each hour for 45 years

# By what runs are sorted in each pass: where one order does not hold still, another may.
ORDERS = (("created_time", "DESC"), ("data_date", "DESC"), ("created_time", "ASC"), ("data_date", "ASC"))


class Cut(Exception):
    """A list was not read whole. The text is a clause that tells how that showed."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    announced: Announced


class Shrinking:
    """How long the pages are that are asked for: shorter from there on where one is too large."""

    def __init__(self) -> None:
        self._limit = PAGE

    def read(self, ask: Callable[[int], T]) -> T:
        """Return the page of so many items. Raises ``Oversized`` where one item alone is too large."""
        while True:
            try:
                return ask(self._limit)
            except Oversized:
                if self._limit < SMALLER:
                    raise
                self._limit //= SMALLER


def page_of(parse: Callable[[object, Callable[[str], str]], Sequence[T]]) -> Callable[[Response], Page[T]]:
    """Return what makes a page of an answer; ``parse`` takes its document, and what hides our key."""

    def page(answer: Response) -> Page[T]:
        document = decode(answer.body)
        return Page(parse(document, answer.hide), announced(document))

    return page


def read_pages(
    ask: Callable[[int, int], Page[T]],
    found: dict[int, T],
    merge: Callable[[dict[int, T], Sequence[T]], bool],
    *,
    announced_only: bool = False,
) -> int:
    """Read all items of a list into ``found``; return how many the last pass over its pages sent.

    Items that are alike by what they are sorted by may stand in another order on each page: then some come
    twice, and others never. New ones move others to later pages, too. So passes are joined until as many
    different items are known as the last one sent, or as were announced. ``ask`` takes an offset, and the
    number of the pass. ``announced_only``: no page is asked for that was not announced. Raises ``Cut``, and
    what ``ask`` does.
    """
    total: int | None = None
    for number in range(len(ORDERS)):
        one = _Pass(number, total)
        _read_pass(one, ask, found, merge, announced_only)
        total = one.total
        unmet = one.more or (total is not None and len(found) < total)
        if not unmet and one.different <= len(found):
            return one.sent
    raise Cut(_unmet(total, len(found)) if unmet else _restless(one.different, len(found)))


@dataclass(slots=True)
class _Pass:
    """What one pass over the pages sent; ``different`` counts the items of each page, but for a last one
    that only repeats. ``more``: that one announces another. ``total``: how many were announced, if ever.
    """

    number: int
    total: int | None
    sent: int = 0
    different: int = 0
    more: bool = False


def _read_pass(
    one: _Pass,
    ask: Callable[[int, int], Page[T]],
    found: dict[int, T],
    merge: Callable[[dict[int, T], Sequence[T]], bool],
    announced_only: bool,
) -> None:
    """Read to an empty page, or to one that only repeats the one before: such an API ignores the offset."""
    last = dict[int, T]()
    for _ in range(MOST_PAGES):
        page, items = ask(one.sent, one.number), dict[int, T]()
        merge(items, page.items)
        merge(found, page.items)
        one.sent += len(page.items)
        one.total = one.total if page.announced.total is None else page.announced.total
        if not items or list(items) == list(last):
            one.more = bool(items) and page.announced.more
            return
        one.different, last = one.different + len(items), items
        missing = one.total is not None and len(found) < one.total
        if announced_only and not missing and not page.announced.more:
            return
        if one.sent > MOST_ITEMS:
            break
    raise Cut(f"it goes on without end: {one.sent} items were read")


def _unmet(total: int | None, found: int) -> str:
    told = "more" if total is None else f"{total} items"
    return f"it announces {told}, and shows {found}"


def _restless(sent: int, found: int) -> str:
    return f"its order is another on each page: of {sent} items sent {found} are different"


def runs_query(
    first_day: Day, last_moment: datetime, offset: int, number: int = 0, limit: int = PAGE
) -> dict[str, str | int]:
    """Return the query of a page of runs, in the first pass newest first: then neither new runs nor old ones
    that the API forgets move one past us unseen.

    The API wants a zone and no fraction; ``Z``, as a ``+`` in a query is easily taken for a blank.
    """
    last = last_moment.astimezone(UTC).replace(microsecond=0, tzinfo=None) + timedelta(
        seconds=1 if last_moment.microsecond else 0
    )
    field, direction = ORDERS[number]
    return {
        "start_date": f"{iso(max(first_day - 1, FIRST_DAY))}T00:00:00Z",
        "end_date": f"{last.isoformat()}Z",
        "sort_field": field,
        "sort_direction": direction,
        "limit": limit,
        "offset": offset,
    }


def as_unusable(request: Request, failure: Exception) -> Exception:
    """Return a list that could not be read to its end as an answer that cannot be used."""
    return Unusable(request, str(failure)) if isinstance(failure, Cut) else failure
