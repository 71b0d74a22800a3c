"""What was observed: backfills, runs and transfers as the API shows them, and its errors.

Days are ordinals and intervals half-open (``dates.py``); times are aware datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from reconciler.bounds import CLOCKS_APART
from reconciler.dates import DateSet, Day, Span

# When a run was made, where the API does not tell; it allows null. What such a run loaded is loaded for
# good, since a doubt buys nothing; but before any ``stale_before``, for which a person asked.
UNTOLD = datetime(1970, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """A backfill's status. Anything the vendor adds later is ``UNKNOWN``, and active until it has ended."""

    CREATED = "CREATED"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    @property
    def final(self) -> bool:
        """True for what the list of incomplete backfills leaves out."""
        return self in (Status.COMPLETED, Status.CANCELLED)


class RunStatus(StrEnum):
    """A run's status. The API's is free text: any word that is not one of the three is ``OTHER``."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"  # also spelled CANCELED
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Backfill(Span):
    """A backfill as the API shows it. ``start``/``end`` are half-open ordinals.

    ``failed_days`` are the days its error report names, ``error`` the newest one's text. Counts are of runs:
    often one per day.
    ``created_user_id`` is ``None`` where the API does not tell it. ``word`` is its own for an unknown status.
    """

    id: int
    transfer_id: int
    start: Day
    end: Day
    status: Status
    created_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    removed_time: datetime | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    failed_days: DateSet = field(default_factory=DateSet)
    created_user_id: int | None = None
    word: str = ""
    error: str = ""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Runs in total, completed, and failed."""
        return (self.total, self.completed, self.failed)

    @property
    def progress(self) -> tuple[bool, bool, int]:
        """How far it is: of two views of one backfill, that with the greater one is the later."""
        return (self.status.final, self.end_time is not None, self.completed + self.failed)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a transfer: it loads the data of one day. ``None`` as ``day``: the API does not tell which.

    ``word`` is the API's own for its status, cleaned, and "" if there is none. ``created_time`` may be
    ``UNTOLD``.
    """

    id: int
    day: Day | None
    status: RunStatus
    word: str
    backfill: bool
    created_time: datetime
    ended_time: datetime | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class TransferInfo:
    """What the transfer list tells of a transfer. ``scheduled``: it has a schedule, as far as that tells."""

    id: int
    name: str
    paused: bool
    scheduled: bool = False


class Cause(StrEnum):
    """Why something could not be read: 403, 404, or whatever else. ``UNDATED``: it was, and tells nothing."""

    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    FAILED = "failed"
    UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error the API answered. All text is cleaned, and our key is nowhere in it.

    ``code`` is absent in problem details (RFC 9457). ``message`` is what the API says, in few words, and
    ``description`` its reason, "" if it gives none. The vendor's support asks for the ``request_id``.
    """

    status: int
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    description: str = ""

    @property
    def said(self) -> str:
        return joined(self.message, self.description)

    @property
    def anonymous(self) -> ApiError:
        """What answers that are alike share: all but the number of their requests."""
        return replace(self, request_id=None)

    def __str__(self) -> str:
        """Word it, without a full stop: ``403 FORBIDDEN: This key may not do that (request R-1)``."""
        code = f" {self.code}" if self.code else ""
        message = f": {said}" if (said := self.said.rstrip(".")) else ""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status}{code}{message}{request}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in the place of an answer that could not be read.

    ``said`` is one line without a full stop: method, path, and what was answered, or what went wrong.
    ``error`` is the API's, if it was one that ended the read. ``lasting``: asking again gives the same.
    """

    cause: Cause
    said: str = ""
    error: ApiError | None = None
    lasting: bool = False


def joined(title: str, reason: str) -> str:
    """Return ``title: reason``, or the one there is: ``Not Found: There is no such transfer.``"""
    heading = title.rstrip(".:")
    if not heading or not reason or heading == reason.rstrip(".:"):
        return title or reason
    return f"{heading}: {reason}"


@dataclass(frozen=True, slots=True)
class Observed:
    """What the API answered for one team, read at one time.

    ``listed`` is the list of incomplete backfills, in any order. ``fetched`` holds the
    answers to single gets, ``None`` for a 404. ``latest`` and ``runs`` hold an entry for
    each transfer they were read of; ``None`` of ``latest``: it has none. ``runs_from`` is the first day that
    a run list was asked for; without an entry it was asked for all. ``transfers`` is ``None`` when
    that list was not read. ``vendor_now`` is the answer's ``Date``: vendor times are compared with it.
    ``our_user`` is the vendor's user that our key answers to, if the state knows; ``emulated``: a sandbox
    answers, which has a clock of its own; ``any_transfer``: one that has every transfer, listed or not.
    ``answered``: when ``vendor_now`` came, by a clock that only passes, in seconds. ``our_now``: our clock as
    reading began, if asked. ``undated``: the answer had no ``Date``, and ``vendor_now`` is our clock's.

    What takes time has passed by both clocks if it is stamped with the ``later``, and compared with the
    ``earlier``: so one that is ahead, or is set, ends nothing sooner. A sandbox's is not compared with ours.
    """

    vendor_now: datetime
    listed: tuple[Backfill, ...] = ()
    list_full: bool = False
    fetched: Mapping[int, Backfill | Unreadable | None] = field(default_factory=dict)
    latest: Mapping[int, Backfill | Unreadable | None] = field(default_factory=dict)
    runs: Mapping[int, tuple[Run, ...] | Unreadable] = field(default_factory=dict)
    runs_from: Mapping[int, Day] = field(default_factory=dict)
    transfers: Mapping[int, TransferInfo] | Unreadable | None = None
    our_user: int | None = None
    emulated: bool = False
    any_transfer: bool = False
    answered: float = 0.0
    our_now: datetime | None = None
    undated: bool = False

    @property
    def vendor_least(self) -> datetime:
        """What the vendor's clock shows at least: one that is not told is less than a day from ours."""
        return self.vendor_now - CLOCKS_APART if self.undated else self.vendor_now

    @property
    def earlier(self) -> datetime:
        return min(*self._clocks, self.vendor_least)

    @property
    def later(self) -> datetime:
        return max(self._clocks)

    @property
    def _clocks(self) -> tuple[datetime, datetime]:
        ours = None if self.emulated else self.our_now
        return ours or self.vendor_now, self.vendor_now
