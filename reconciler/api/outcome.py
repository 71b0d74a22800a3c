"""What an answer to a write means: did it happen, did it not, or can nobody say? Pure.

By HTTP status first, code second, never by text: codes are an open set and texts are prose.
The first row of ``TABLE`` that fits decides, and every status fits one. When in doubt a write is
``Unknown``, never "not done": a wrong "unknown" costs a wait, a wrong "not done" loads days twice.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import assert_never

from reconciler.api.documents import decode
from reconciler.api.fields import AnswerUnreadable
from reconciler.api.wire import QUOTA_CODES, parse_backfill, parse_error
from reconciler.dates import Day
from reconciler.http import AnswerLost, NotSent, Response, TlsFailed, retry_after
from reconciler.model.observed import ApiError, Backfill, Status


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, and this is the backfill."""

    backfill: Backfill


@dataclass(frozen=True, slots=True)
class DoneInPart:
    """The API made a backfill of a part of the days asked for, and this is it."""

    backfill: Backfill


@dataclass(frozen=True, slots=True)
class NotSentOutcome:
    """Nothing left us; it may be sent again, and where this is ``passing`` that may help."""

    why: str = ""
    passing: bool = True


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Not done. ``retry_after``: the seconds the API asked for (at most a day), if it said. ``error``: what
    it answered; ``None`` where nothing was asked, since an earlier answer holds us back.
    """

    retry_after: float | None = None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class OutOfQuota:
    """Not done, and waiting cannot help. The code says which quota or licence."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Denied:
    """Not done: the key is wrong (401), or may not be used so (403 with a code that says so)."""

    error: ApiError


class Matter(Enum):
    """What a refusal may be about, beyond its transfer: the second transfer so answered tells."""

    KEY = auto()
    LICENCE = auto()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not done: the API refused this very request (403 and 404, other 4xx).

    ``matter``: what it may be about all the same; ``None``: nothing but this request.
    """

    error: ApiError
    matter: Matter | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened. ``why`` is a clause for people; ``error`` what the API answered, if it did."""

    why: str
    error: ApiError | None = None


WriteOutcome = Done | DoneInPart | NotSentOutcome | RateLimited | OutOfQuota | Denied | Rejected | Unknown


class Meaning(Enum):
    """What a row of the table concludes."""

    SUCCESS = auto()
    QUOTA = auto()
    RATE_LIMIT = auto()
    DENIED = auto()
    PERHAPS_KEY = auto()
    PERHAPS_LICENCE = auto()
    REJECTED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """``statuses`` and, unless ``None``, ``codes`` must fit. ``None`` among the codes: no code."""

    statuses: Container[int]
    codes: frozenset[str | None] | None
    meaning: Meaning


# Each may be of the team's licence, or of one data source's. LICENSE_HISTORICAL_RANGE_EXCEEDED is none of
# them: it depends on the dates asked for.
LICENCE_CODES: frozenset[str | None] = frozenset(
    {
        "LICENSE_EXPIRED",
        "LICENSE_QUERIES_SUSPENDED",
        "LICENSE_NOT_FOUND",
        "LICENSE_ACCOUNT_LIMIT_EXCEEDED",
        "LICENSE_ROW_LIMIT_EXCEEDED",
        "LICENSE_ACCESS_DATA_SOURCE",
    }
)
KEY_CODES: frozenset[str | None] = frozenset(
    {"ACCESS_DENIED_IP", "ACCESS_DENIED_PERMISSIONS", "API_KEY_DISABLED"}
)
KEY_IF_SHARED: frozenset[str | None] = frozenset({"FORBIDDEN", "ACCESS_DENIED"})

TABLE: tuple[Row, ...] = (
    Row(range(200, 300), None, Meaning.SUCCESS),
    Row(frozenset({401}), None, Meaning.DENIED),
    # A gateway may say these of a request that it has passed on.
    Row(frozenset({408, 425}), None, Meaning.UNKNOWN),
    # Documented with 429. Another 4xx means "not done" as well, so there the code is believed too.
    Row(range(400, 500), frozenset[str | None](QUOTA_CODES), Meaning.QUOTA),
    Row(range(400, 500), LICENCE_CODES, Meaning.PERHAPS_LICENCE),
    Row(frozenset({429}), None, Meaning.RATE_LIMIT),
    Row(frozenset({403}), KEY_CODES, Meaning.DENIED),
    Row(frozenset({403}), KEY_IF_SHARED | {None}, Meaning.PERHAPS_KEY),
    Row(range(400, 500), None, Meaning.REJECTED),
    Row(range(1000), None, Meaning.UNKNOWN),  # 5xx, 3xx, and what is no status at all
)


def classify_create(
    result: Response | BaseException,
    transfer_id: int,
    start: Day,
    end: Day,
    known_ids: Container[int],
) -> WriteOutcome:
    """Return what became of creating a backfill of the half-open days ``[start, end)``.

    ``known_ids`` are the backfills known before. A success counts only with our transfer, our days or a part
    of them, and an id that is new; anything else is some other backfill, and ours is unknown.
    """
    answer = _classify(result)
    if not isinstance(answer, Backfill):
        return answer
    if answer.transfer_id != transfer_id or not start <= answer.start < answer.end <= end:
        return _unclear(result, "the answer shows another transfer or other days than asked for")
    if answer.id in known_ids:
        return _unclear(result, "the answer shows a backfill that existed before")
    return Done(answer) if (answer.start, answer.end) == (start, end) else DoneInPart(answer)


def classify_cancel(result: Response | BaseException, backfill_id: int) -> WriteOutcome:
    """Return what became of cancelling a backfill; done means the answer shows it as CANCELLED."""
    answer = _classify(result)
    if not isinstance(answer, Backfill):
        return answer
    if answer.id != backfill_id:
        return _unclear(result, "the answer shows another backfill than asked for")
    if answer.status is not Status.CANCELLED:
        return _unclear(result, "the answer does not show the backfill as cancelled")
    return Done(answer)


def _classify(result: Response | BaseException) -> Backfill | WriteOutcome:
    """Return the backfill of a success, still to be compared, or the final outcome."""
    if isinstance(result, Response):
        return _of_response(result)
    if isinstance(result, NotSent):
        return NotSentOutcome(str(result), passing=not isinstance(result, TlsFailed))
    if isinstance(result, AnswerLost):
        return Unknown(str(result))
    return Unknown("it was interrupted")


def _of_response(response: Response) -> Backfill | WriteOutcome:
    error = parse_error(response)
    match meaning_of(error.status, error.code):
        case Meaning.SUCCESS:
            return _shown(response)
        case Meaning.QUOTA:
            return OutOfQuota(error)
        case Meaning.RATE_LIMIT:
            return RateLimited(retry_after(response.headers), error)
        case Meaning.DENIED:
            return Denied(error)
        case Meaning.PERHAPS_KEY:
            return Rejected(error, Matter.KEY)
        case Meaning.PERHAPS_LICENCE:
            return Rejected(error, Matter.LICENCE)
        case Meaning.REJECTED:
            return Rejected(error)
        case Meaning.UNKNOWN:
            return Unknown(f"the API answered {error}", error)
        case never:
            assert_never(never)


def turns_away_if_shared(answer: ApiError | None) -> bool:
    """Tell whether a refusal, if others get it too, was turned away at the door: by a code of the key. A code
    of the licence, or none, may be the answer to the second copy of a request whose first was taken.
    """
    return answer is not None and answer.status == 403 and answer.code in KEY_IF_SHARED


def _shown(response: Response) -> Backfill | Unknown:
    try:
        return parse_backfill(decode(response.body))
    except AnswerUnreadable as error:
        return _unclear(response, f"the answer cannot be read: {error.told(response.hide)}")


def _unclear(response: Response | BaseException, why: str) -> Unknown:
    """Return what a success is that does not show what was done; its status and request id are kept."""
    assert isinstance(response, Response)
    return Unknown(why, replace(parse_error(response), message=why, description=""))


def meaning_of(status: int, code: str | None) -> Meaning:
    """Return the meaning of the first row of ``TABLE`` that fits."""
    rows = (row for row in TABLE if status in row.statuses and (row.codes is None or code in row.codes))
    return next((row.meaning for row in rows), Meaning.UNKNOWN)
