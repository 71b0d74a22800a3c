"""Asking GitHub or GitLab, and writing one comment: what is tried again, how long, and what a refusal means.

The token goes to the one host, in a header: no redirect is followed, and of a link to the next page only its
query is taken. Reads, and changes of a comment, are tried again while that may help. A comment is posted
once: whether it is there when no answer came is ``posting.py``'s to find out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from reconciler.errors import ApiUnavailable, ReconcilerError
from reconciler.forge import wire
from reconciler.forge.forges import COMMENTS_A_PAGE, PULLS_A_PAGE
from reconciler.forge.refusals import refusal
from reconciler.forge.review import Review
from reconciler.forge.sticky import Comment, Pull
from reconciler.http import (
    AnswerLost,
    GaveUp,
    NotSent,
    Request,
    Response,
    Retry,
    TlsFailed,
    Transport,
    TryAgain,
    is_passing,
    retry_after,
    server_time,
)

T = TypeVar("T")

READ_TIMEOUT = 30.0  # seconds; GitHub itself ends a request after 10
MAX_BODY = 64 * 1024 * 1024  # of a page of comments, each of which may have a million characters
MOST_PAGES = 200  # of one list
_LIMITED_FOR = 60.0  # seconds to wait where a limit names none; GitHub asks for a minute at least

Verbose = Callable[[str, str, int | None, float], None]


class PostLost(Exception):
    """A comment may have been posted or not: the answer was lost. The text is a clause that tells how."""


class ForgeClient:
    """Calls the API of one pull request's forge. What fails raises ``KeyProblem``, ``Refused`` or
    ``ApiUnavailable``. ``untold``: who we are where the token does not tell, as a run's own does not.
    """

    def __init__(
        self,
        review: Review,
        transport: Transport,
        retry: Retry,
        *,
        untold: str,
        verbose: Verbose | None = None,
    ) -> None:
        self.review = review
        self.retry = retry
        self._transport = transport
        self._untold = untold
        self._verbose = verbose

    def me(self) -> str:
        """Return the name under which our comments are."""
        answer = self._send(Request("GET", "/user"), refused=(403, 404))
        if answer.status >= 400:
            return self._untold
        return self._parsed(lambda: wire.login_of(answer, self.review.forge))

    def comments(self, number: int) -> list[Comment]:
        """Return all comments of a pull request."""
        path = self.review.root + self.review.forge.comments.format(number=number)
        pages = self._pages(path, {"per_page": COMMENTS_A_PAGE})
        return [one for page in pages for one in self._comments(page)]

    def pulls(self) -> list[Pull]:
        """Return all open pull requests, the one that changed last first."""
        forge = self.review.forge
        pages = self._pages(self.review.root + forge.pulls, {**forge.newest_first, "per_page": PULLS_A_PAGE})
        return [one for page in pages for one in self._pulls(page)]

    def post(self, text: str) -> Comment:
        """Post a comment, once. Raises ``PostLost``."""
        path = self.review.root + self.review.forge.comments.format(number=self.review.number)
        answer = self._send(Request("POST", path, json={"body": text}))
        try:
            return wire.comment_of(answer, self.review.forge)
        except wire.AnswerUnreadable as error:
            raise PostLost(f"the answer cannot be read ({error})") from None

    def edit(self, comment: Comment, text: str) -> Comment | None:
        """Give a comment another text. Returns it as it is now, or ``None`` if it was deleted meanwhile."""
        forge = self.review.forge
        path = self.review.root + forge.comment.format(number=self.review.number, id=comment.id)
        answer = self._send(Request(forge.edit, path, json={"body": text}), refused=(404,))
        return None if answer.status == 404 else self._parsed(lambda: wire.comment_of(answer, forge))

    # --- pages

    def _pages(self, path: str, query: Mapping[str, str | int]) -> Iterator[Response]:
        asked = set[str]()
        while str(query) not in asked and len(asked) < MOST_PAGES:
            asked.add(str(query))
            answer = self._send(Request("GET", path, query))
            yield answer
            following = next_query(answer.headers, query)
            if following is None:
                return
            query = following
        raise self._unusable(f"the list at {path} goes on without end")

    def _comments(self, page: Response) -> list[Comment]:
        return self._parsed(lambda: wire.comments_of(page, self.review.forge))

    def _pulls(self, page: Response) -> list[Pull]:
        return self._parsed(lambda: wire.pulls_of(page, self.review.forge))

    def _parsed(self, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except wire.AnswerUnreadable as error:
            raise self._unusable(f"an answer cannot be read ({error})") from None

    # --- one request

    def _send(self, request: Request, refused: tuple[int, ...] = ()) -> Response:
        """Return the answer, if it is a success or has one of the statuses ``refused``."""
        try:
            answer = self.retry.call(lambda: self._attempt(request))
        except GaveUp as gave_up:
            raise self._gave_up(gave_up) from None
        except TlsFailed as error:
            raise self._unusable(str(error)) from None
        if 200 <= answer.status < 300 or answer.status in refused:
            return answer
        raise refusal(answer, self.review, writes=request.method != "GET")

    def _attempt(self, request: Request) -> Response:
        """Send once. Raises ``TryAgain`` for what may be sent again, ``PostLost`` for what may not."""
        once = request.method == "POST"
        began = time.monotonic()
        answer: Response | None = None
        try:
            answer = self._transport.send(request, read_timeout=READ_TIMEOUT)
        except TlsFailed:
            raise
        except NotSent as error:
            raise TryAgain(str(error)) from None
        except AnswerLost as error:
            raise PostLost(str(error)) if once else TryAgain(str(error)) from None
        finally:
            if self._verbose is not None:
                told = answer.status if answer else None
                self._verbose(request.method, request.path, told, time.monotonic() - began)
        after = limited_for(answer, datetime.now(UTC))
        if after is not None:
            raise TryAgain("it limits how often we may ask", after, limited=True)
        if is_passing(answer.status):
            reason = f"the answer was {answer.status}"
            raise PostLost(reason) if once else TryAgain(reason)
        return answer

    def _gave_up(self, gave_up: GaveUp) -> ReconcilerError:
        last = gave_up.last
        if not last.limited:
            return self._unusable(f"{last.reason} ({gave_up.attempts} attempts)")
        wait = (
            f"It asks us to wait {last.after or 0:.0f} s; waited for are {self.retry.max_wait:.0f} s at most."
        )
        return ApiUnavailable(
            f"{self.review.forge.name} limits our requests", wait, "Run the job again later."
        )

    def _unusable(self, reason: str) -> ReconcilerError:
        name = self.review.forge.name
        return ApiUnavailable(f"{name} does not answer as it should", f"{self.review.base_url}: {reason}.")


def next_query(headers: Mapping[str, str], query: Mapping[str, str | int]) -> dict[str, str | int] | None:
    """Return the query for the page after one that ``query`` asked for, ``None`` if it was the last.

    A link is believed in its query alone: where it leads is not looked at.
    """
    for link, relation in re.findall(r'<([^>]*)>[^,<]*?rel="?([\w ]+)"?', headers.get("link", "")[:8192]):
        if "next" in relation.split():
            return {**query, **dict[str, Any](parse_qsl(urlsplit(link).query))}
    page = headers.get("x-next-page", "").strip()
    return {**query, "page": int(page)} if page.isascii() and page.isdigit() else None


def limited_for(answer: Response, now: datetime) -> float | None:
    """Return for how many seconds an answer keeps us from asking again, ``None`` if it does not.

    GitHub does so with 403 as well, which means a missing permission, too: a header or the words tell them
    apart. ``now``: our clock, where the answer has no ``Date``.
    """
    if answer.status not in (403, 429):
        return None
    headers = answer.headers
    asked = retry_after(headers, now)
    used_up = headers.get("x-ratelimit-remaining", "").strip() == "0"
    told = "retry-after" in headers or used_up or "rate limit" in wire.said_by(answer).lower()
    if answer.status == 403 and not told:
        return None
    if asked is None and (answer.status == 429 or used_up):
        reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset", "")
        until = float(reset) if reset.isascii() and reset.isdigit() and len(reset) < 12 else 0.0
        asked = until - (server_time(headers) or now).timestamp()
    return asked if asked is not None and asked > 0 else _LIMITED_FOR
