"""Lists in pages: what is asked for, what a page announces, and when a list was read whole.

A server may give smaller pages than asked for, so a short page ends nothing: a list ends at a page without
news. What is announced (``meta.pagination``) is taken as a claim to be met, never as a link to be followed:
it may lead to another host. A claim that is not met means that the list is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from reconciler.api.documents import Announced, announced, decode
from reconciler.dates import FIRST_DAY, Day, iso
from reconciler.http import Response

T = TypeVar("T")

PAGE = 1_000  # runs; with messages of 8 KiB each such a page is within the cap of a body
MOST_PAGES = 1_000  # of one list: 100,000 runs of a server that gives a hundred at a time
MOST_ITEMS = 400_000  # of one list: a run each hour for 45 years


class Cut(Exception):
    """A list was not read whole. The text is a clause that tells how that showed."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    announced: Announced


def page_of(parse: Callable[[object, Callable[[str], str]], Sequence[T]]) -> Callable[[Response], Page[T]]:
    """Return what makes a page of an answer; ``parse`` takes its document, and what hides our key."""

    def page(answer: Response) -> Page[T]:
        document = decode(answer.body)
        return Page(parse(document, answer.hide), announced(document))

    return page


def read_pages(
    ask: Callable[[int], Page[T]],
    found: dict[int, T],
    merge: Callable[[dict[int, T], Sequence[T]], bool],
    *,
    announced_only: bool = False,
) -> int:
    """Read pages into ``found`` until one brings no news; return how many items were sent.

    ``ask`` takes an offset. ``announced_only``: no page is asked for that was not announced. Raises
    ``Cut``, and what ``ask`` does.
    """
    sent = 0
    total: int | None = None
    for _ in range(MOST_PAGES):
        page = ask(sent)
        sent += len(page.items)
        news = merge(found, page.items)
        total = total if page.announced.total is None else page.announced.total
        missing = total is not None and len(found) < total
        if not news:
            if missing or (page.items and page.announced.more):
                raise Cut(_unmet(total, len(found)))
            return sent
        if announced_only and not missing and not page.announced.more:
            return sent
        if sent > MOST_ITEMS:
            break
    raise Cut(f"it goes on without end: {sent} items were read")


def _unmet(total: int | None, found: int) -> str:
    told = "more" if total is None else f"{total} items"
    return f"it announces {told}, and shows {found}"


def runs_query(first_day: Day, last_moment: datetime, offset: int) -> dict[str, str | int]:
    """Return the query of a page of runs, newest first: then neither new runs nor old ones that the API
    forgets move one past us unseen.

    The API wants a zone and no fraction; ``Z``, as a ``+`` in a query is easily taken for a blank.
    """
    last = last_moment.astimezone(UTC).replace(microsecond=0, tzinfo=None) + timedelta(
        seconds=1 if last_moment.microsecond else 0
    )
    return {
        "start_date": f"{iso(max(first_day - 1, FIRST_DAY))}T00:00:00Z",
        "end_date": f"{last.isoformat()}Z",
        "sort_field": "created_time",
        "sort_direction": "DESC",
        "limit": PAGE,
        "offset": offset,
    }
