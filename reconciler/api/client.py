"""The API of one team: one method per endpoint, in our types.

Reads are tried again while that may help (``http.Retry``) and end in a value or in an exception
of ``errors.py``. Writes are sent once and end in an outcome (``outcome.py``), never in an
exception of ours. Facts about endpoints are the vendor's (OpenAPI "data backfills").

A write takes two calls: ``wait_for_turn``, which may take long, and, once the caller has checked that it may
still be sent, ``create`` or ``cancel``, which sends at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reconciler.api import wire, wording
from reconciler.api.fields import AnswerUnreadable
from reconciler.api.outcome import (
    Meaning,
    RateLimited,
    WriteOutcome,
    classify_cancel,
    classify_create,
    meaning_of,
)
from reconciler.bounds import READ_TIMEOUT, WRITE_TIMEOUT
from reconciler.dates import FIRST_DAY, Day, iso, last_iso
from reconciler.http import (
    AnswerLost,
    GaveUp,
    Held,
    NotSent,
    Pacer,
    Request,
    Response,
    Retry,
    Transport,
    TryAgain,
    is_passing,
    retry_after,
    server_time,
)
from reconciler.model.observed import Backfill, Run, TransferInfo, Unreadable

T = TypeVar("T")

LIST_CAP = 100  # the list of incomplete backfills never holds more
RUNS_PAGE = 10_000  # the most runs a page may hold
RUNS_PAGES = 40  # pages read of one list; a run each hour for 45 years is less
MANY_PAGES = 2  # a longer list is read while no other long one is, so that endless ones do not add up

_parsing = threading.Lock()  # one document at a time: a large one takes ten times its bytes

_Classify = Callable[[Response | Exception], WriteOutcome]
Verbose = Callable[[str, str, int | None, float], None]
"""Told of each request: method, path, status (``None``: no answer) and seconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of incomplete backfills. ``full``: it may be cut, and then the oldest are hidden."""

    backfills: tuple[Backfill, ...]
    full: bool
    vendor_now: datetime


class ApiClient:
    """Calls the API for one team. Thread-safe if the transport is.

    Every read may raise ``KeyProblem`` (401), ``QuotaUsedUp`` and, where not said otherwise,
    ``ApiUnavailable``. ``now`` is our clock, used where an answer carries no ``Date``.
    """

    def __init__(
        self,
        transport: Transport,
        team_id: int,
        *,
        pacer: Pacer | None = None,
        retry: Retry | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        verbose: Verbose | None = None,
    ) -> None:
        self.team_id = team_id
        self._transport = transport
        self._pacer = pacer or Pacer()
        self._retry = retry or Retry()
        self._now = now
        self._verbose = verbose
        self._long_list = threading.Lock()

    # --- reads

    def list_incomplete(self) -> Listing:
        """Return the CREATED, SCHEDULED, RUNNING and FAILED backfills as sent. A 403 is a ``KeyProblem``."""
        request, parse = self._get("backfills"), _of_body(wire.parse_backfills)
        (backfills, sent), response = self._read_or_raise(request, parse, no_team=True)
        return Listing(backfills, sent >= LIST_CAP, server_time(response.headers) or self._now())

    def get(self, backfill_id: int) -> Backfill | None:
        """Return a backfill of any status, ``None`` for 404. A 403 is a ``KeyProblem``."""
        return self._one(self._get(f"backfills/{backfill_id}"), lambda found: found.id == backfill_id)

    def latest(self, transfer_id: int) -> Backfill | None:
        """Return a transfer's newest backfill, whatever its status. A 403 is a ``KeyProblem``.

        ``None`` for 404: it has none yet, or there is no such transfer.
        """
        request = self._get(f"transfers/{transfer_id}/backfills/latest")
        return self._one(request, lambda found: found.transfer_id == transfer_id)

    def transfers(self) -> tuple[TransferInfo, ...] | Unreadable:
        """Return the team's transfers, or why they cannot be read. Never raises ``ApiUnavailable``."""
        request = self._get("transfers")
        return self._read_if_possible(
            request, lambda answer: wire.parse_transfers(wire.decode(answer.body), answer.hide)
        )

    def runs(self, transfer_id: int, first_day: Day, last_moment: datetime) -> tuple[Run, ...] | Unreadable:
        """Return the runs of a transfer from ``first_day`` to ``last_moment``, and some before; or why not.

        Whether the API filters by creation or by data date, and in which zone, is not documented:
        one day more is asked for, and the caller sifts by day. Runs without a data date are left
        out. A list without end is ``FAILED``. Never raises ``ApiUnavailable``.
        """
        path, sent = f"transfers/{transfer_id}/runs", 0
        found: dict[int, Run | None] = {}
        with ExitStack() as turn:
            for number in range(RUNS_PAGES):
                if number == MANY_PAGES:
                    turn.enter_context(self._long_list)
                request = self._get(path, _runs_query(first_day, last_moment, sent))
                page = self._read_if_possible(request, _of_body(wire.parse_runs))
                if isinstance(page, Unreadable):
                    return page
                sent += len(page)
                news = wire.merge_runs(found, page)  # none: the offset is ignored
                if not news or len(page) < RUNS_PAGE:
                    return tuple(run for run in found.values() if run is not None)
        return Unreadable.FAILED

    # --- writes

    def wait_for_turn(self) -> RateLimited | None:
        """Wait until the next write may be sent. ``RateLimited`` at once while the API holds us back:
        such waits are the caller's to plan. What interrupts it passes through: nothing was sent.
        """
        try:
            self._pacer.take(max_hold=0.0, spare=True)
        except Held as held:
            return RateLimited(held.seconds, held.hour_used_up)
        return None

    def create(self, transfer_id: int, start: Day, end: Day, known_ids: Container[int]) -> WriteOutcome:
        """Create a backfill of the half-open days ``[start, end)``; ``known_ids`` existed before.

        An interruption passes through, and then it may have happened.
        """
        path = f"/teams/{self.team_id}/transfers/{transfer_id}/backfills"
        request = Request("POST", path, json={"range_start": iso(start), "range_end": last_iso(end)})
        return self._write(
            request, lambda result: classify_create(result, transfer_id, start, end, known_ids)
        )

    def cancel(self, backfill_id: int) -> WriteOutcome:
        """Cancel a backfill that is not final; an interruption is as for ``create``."""
        path = f"/teams/{self.team_id}/backfills/{backfill_id}"
        request = Request("PATCH", path, json={"status": "CANCELLED"})
        return self._write(request, lambda result: classify_cancel(result, backfill_id))

    def _write(self, request: Request, classify: _Classify) -> WriteOutcome:
        """Send at once, and once."""
        try:
            outcome = classify(self._send(request, WRITE_TIMEOUT.total_seconds()))
        except (NotSent, AnswerLost) as failure:
            return classify(failure)
        if isinstance(outcome, RateLimited) and outcome.retry_after is not None:
            self._pacer.hold(outcome.retry_after)
        return outcome

    # --- how reads end

    def _one(self, request: Request, asked_for: Callable[[Backfill], bool]) -> Backfill | None:
        def parse(answer: Response) -> Backfill:
            backfill = wire.parse_backfill(wire.decode(answer.body))
            if not asked_for(backfill):
                raise AnswerUnreadable("it shows another backfill than asked for")
            return backfill

        try:
            return self._read_or_raise(request, parse)[0]
        except wording.NotFound:
            return None

    def _read_or_raise(
        self, request: Request, parse: Callable[[Response], T], *, no_team: bool = False
    ) -> tuple[T, Response]:
        try:
            return self._read(request, parse)
        except GaveUp as failure:
            raise wording.unavailable(request, failure, self._retry.max_wait) from None
        except wording.Answered as answered:
            error = answered.error
        if error.status == 404 and not no_team:
            raise wording.NotFound(error)
        if error.status in (403, 404):
            raise wording.key_problem(request, error)
        raise wording.unexpected(request, error)

    def _read_if_possible(self, request: Request, parse: Callable[[Response], T]) -> T | Unreadable:
        try:
            return self._read(request, parse)[0]
        except GaveUp:
            return Unreadable.FAILED
        except wording.Answered as answered:
            return _UNREADABLE.get(answered.error.status, Unreadable.FAILED)

    # --- one request

    def _get(self, path: str, query: dict[str, str | int] | None = None) -> Request:
        return Request("GET", f"/teams/{self.team_id}/{path}", query or {})

    def _read(self, request: Request, parse: Callable[[Response], T]) -> tuple[T, Response]:
        """Raise ``GaveUp``, ``Answered`` (a refusal that stays), ``KeyProblem`` (401) or ``QuotaUsedUp``."""

        def attempt() -> tuple[T, Response]:
            response = self._sent(request)
            if not 200 <= response.status < 300:
                raise self._refusal(request, response)
            try:
                with _parsing:
                    return parse(response), response
            except AnswerUnreadable as error:
                fault = str(error)
            raise TryAgain(f"its answer could not be understood: {fault}")  # without the document as context

        return self._retry.call(attempt)

    def _sent(self, request: Request) -> Response:
        try:
            self._pacer.take(max_hold=self._retry.max_wait)
            return self._send(request, READ_TIMEOUT.total_seconds())
        except Held as held:
            raise TryAgain(str(held), held.seconds, limited=True) from None
        except (NotSent, AnswerLost) as failure:
            raise TryAgain(str(failure)) from None

    def _refusal(self, request: Request, response: Response) -> Exception:
        error = wire.parse_error(response)
        if meaning_of(error.status, error.code) is Meaning.QUOTA:
            return wording.quota_used_up(request, error)
        if error.status == 401:
            return wording.key_problem(request, error)
        if not is_passing(error.status):
            return wording.Answered(error)
        after = retry_after(response.headers, self._now())
        if error.status == 429 and after is not None:
            self._pacer.hold(after)
        return TryAgain(f"it was answered with {error}", after, limited=error.status == 429)

    def _send(self, request: Request, read_timeout: float) -> Response:
        status: int | None = None
        began = time.monotonic()
        try:
            response = self._transport.send(request, read_timeout=read_timeout)
            status = response.status
        finally:
            if self._verbose is not None:
                self._verbose(request.method, request.path, status, time.monotonic() - began)
        self._pacer.note(response.headers)
        return response


def _of_body(parse: Callable[[object], T]) -> Callable[[Response], T]:
    return lambda answer: parse(wire.decode(answer.body))


_UNREADABLE = {403: Unreadable.FORBIDDEN, 404: Unreadable.NOT_FOUND}


def _runs_query(first_day: Day, last_moment: datetime, offset: int) -> dict[str, str | int]:
    """The API wants a zone and no fraction; ``Z``, as a ``+`` in a query is easily taken for a blank."""
    last = last_moment.astimezone(UTC).replace(microsecond=0, tzinfo=None) + timedelta(
        seconds=1 if last_moment.microsecond else 0
    )
    return {
        "start_date": f"{iso(max(first_day - 1, FIRST_DAY))}T00:00:00Z",
        "end_date": f"{last.isoformat()}Z",
        "limit": RUNS_PAGE,
        "offset": offset,
    }
