"""The API of one team: one method per endpoint, in our types.

Reads are tried again while that may help (``http.Retry``) and end in a value, which may be ``Unreadable``,
or in an exception of ``errors.py``. Writes are sent once and end in an outcome (``outcome.py``), never in
an exception of ours. Facts about endpoints are the vendor's (OpenAPI "data backfills").

A write takes two calls: ``wait_for_turn``, which may take long, and, once the caller has checked that it may
still be sent, ``create`` or ``cancel``, which sends at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from reconciler.api import attempts, wire, wording
from reconciler.api.documents import decode
from reconciler.api.fields import AnswerUnreadable, NotJson
from reconciler.api.outcome import (
    Meaning,
    RateLimited,
    WriteOutcome,
    classify_cancel,
    classify_create,
    meaning_of,
)
from reconciler.api.pages import Cut, Page, Shrinking, as_unusable, page_of, read_pages, runs_query
from reconciler.bounds import READ_TIMEOUT, WRITE_TIMEOUT
from reconciler.dates import Day, iso, last_iso
from reconciler.http import (
    AnswerLost,
    Held,
    NotSent,
    Pacer,
    Request,
    Response,
    Retry,
    Transport,
    TryAgain,
    has_any_transfer,
    is_emulated,
    is_passing,
    retry_after,
    server_time,
)
from reconciler.model.observed import Backfill, Cause, Run, TransferInfo, Unreadable

T = TypeVar("T")

LIST_CAP = 100  # the list of incomplete backfills never holds more
LONG = 20_000  # runs; of a longer list the rest is read while no other is, so that they do not add up

_parsing = threading.Lock()  # one document at a time: a large one takes ten times its bytes

_Classify = Callable[[Response | Exception], WriteOutcome]
Verbose = Callable[[str, str, int | None, float], None]
"""Told of each request: method, path, status (``None``: no answer) and seconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of incomplete backfills. ``full``: it may be cut, and then the oldest are hidden.

    ``vendor_now`` is its ``Date``, if not ``undated``, and ``received`` our clock as that came.
    ``emulated``: a sandbox of ours answered; ``any_transfer``: one in whose world every transfer exists.
    """

    backfills: tuple[Backfill, ...]
    full: bool
    vendor_now: datetime
    received: datetime
    emulated: bool = False
    any_transfer: bool = False
    undated: bool = False


class ApiClient:
    """Calls the API for one team. Thread-safe if the transport is.

    Every read may raise ``KeyProblem`` (401) and ``QuotaUsedUp``; the list of incomplete backfills, which
    all else hangs on, ``ApiUnavailable`` too. Another read that fails returns ``Unreadable``. ``now`` is
    our clock, used where an answer carries no ``Date``.
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
        retried: attempts.Retried = attempts.untold,
    ) -> None:
        self.team_id = team_id
        self._transport = transport
        self._pacer = pacer or Pacer()
        self._retry = retry or Retry()
        self._now = now
        self._verbose = verbose
        self._retried = retried
        self._long_list = threading.RLock()

    # --- reads

    def list_incomplete(self) -> Listing:
        """Return the CREATED, SCHEDULED, RUNNING and FAILED backfills as sent. A 403 is a ``KeyProblem``."""
        request, found = self._get("backfills"), dict[int, Backfill]()
        firsts: list[tuple[datetime, datetime, bool, bool, bool]] = []

        def page(answer: Response) -> Page[Backfill]:
            received, said = self._now(), server_time(answer.headers)
            by_sandbox = is_emulated(answer.headers), has_any_transfer(answer.headers)
            firsts.append((said or received, received, *by_sandbox, said is None))
            return page_of(wire.parse_backfills)(answer)

        try:
            sent = read_pages(
                self._asking("backfills", page), found, wire.merge_backfills, announced_only=True
            )
        except (*wording.UNREAD, Cut) as failure:
            raise wording.failed(request, as_unusable(request, failure), self._retry.max_wait) from None
        return Listing(tuple(found.values()), sent >= LIST_CAP, *firsts[0])

    def get(self, backfill_id: int) -> Backfill | Unreadable | None:
        """Return a backfill of any status, ``None`` for the API's 404, or why it cannot be read."""
        return self._one(self._get(f"backfills/{backfill_id}"), lambda found: found.id == backfill_id)

    def latest(self, transfer_id: int) -> Backfill | Unreadable | None:
        """Return a transfer's newest backfill, whatever its status, or why it cannot be read.

        ``None`` for the API's 404: it has none yet, or there is no such transfer.
        """
        request = self._get(f"transfers/{transfer_id}/backfills/latest")
        return self._one(request, lambda found: found.transfer_id == transfer_id)

    def transfers(self) -> tuple[TransferInfo, ...] | Unreadable:
        """Return the team's transfers, or why they cannot be read."""
        ask = self._asking("transfers", page_of(wire.parse_transfers))
        return self._whole_list("transfers", ask, wire.merge_transfers, announced_only=True)

    def runs(self, transfer_id: int, first_day: Day, last_moment: datetime) -> tuple[Run, ...] | Unreadable:
        """Return the runs of a transfer from ``first_day`` to ``last_moment``, and some before; or why not.

        Whether the API filters by creation or by data date, and in which zone, is not documented: one day
        more is asked for, and the caller sifts by day. A list that is cut, or without end, is ``FAILED``.
        Where a page is too large (its messages are long), smaller ones are asked for from there on.
        """
        path, parse, pages = f"transfers/{transfer_id}/runs", page_of(wire.parse_runs), Shrinking()
        with ExitStack() as turn:

            def ask(offset: int, number: int) -> Page[Run]:
                if offset >= LONG:
                    turn.enter_context(self._long_list)
                query = partial(runs_query, first_day, last_moment, offset, number)
                return pages.read(lambda limit: self._read(self._get(path, query(limit)), parse)[0])

            return self._whole_list(path, ask, wire.merge_runs)

    # --- writes

    def wait_for_turn(self) -> RateLimited | None:
        """Wait until the next write may be sent. ``RateLimited`` at once while the API holds us back:
        such waits are the caller's to plan. What interrupts it passes through: nothing was sent.
        """
        try:
            self._pacer.take(max_hold=0.0)
        except Held as held:
            return RateLimited(held.seconds)
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

    def _one(self, request: Request, asked_for: Callable[[Backfill], bool]) -> Backfill | Unreadable | None:
        def parse(answer: Response) -> Backfill:
            backfill = wire.parse_backfill(decode(answer.body))
            if not asked_for(backfill):
                raise AnswerUnreadable("it shows another backfill than asked for")
            return backfill

        try:
            return self._read(request, parse)[0]
        except wording.UNREAD as failure:
            seen = wording.unreadable(request, failure)
        return None if seen.cause is Cause.NOT_FOUND else seen

    def _whole_list(
        self,
        path: str,
        ask: Callable[[int, int], Page[T]],
        merge: Callable[[dict[int, T], Sequence[T]], bool],
        *,
        announced_only: bool = False,
    ) -> tuple[T, ...] | Unreadable:
        """Return all of a list, or why not. What ends it after the first page cuts it: ``FAILED``."""
        request, found = self._get(path), dict[int, T]()
        try:
            read_pages(ask, found, merge, announced_only=announced_only)
        except (*wording.UNREAD, Cut) as failure:
            seen = wording.unreadable(request, as_unusable(request, failure))
            return replace(seen, cause=Cause.FAILED) if found else seen
        return tuple(found.values())

    def _asking(self, path: str, parse: Callable[[Response], Page[T]]) -> Callable[[int, int], Page[T]]:
        """Return what asks for a page of a list that documents none: the first is asked for as documented."""
        return lambda sent, number: self._read(self._get(path, {"offset": sent} if sent else None), parse)[0]

    # --- one request

    def _get(self, path: str, query: dict[str, str | int] | None = None) -> Request:
        return Request("GET", f"/teams/{self.team_id}/{path}", query or {})

    def _read(self, request: Request, parse: Callable[[Response], T]) -> tuple[T, Response]:
        """Raise one of ``wording.UNREAD``, ``KeyProblem`` (401) or ``QuotaUsedUp``."""

        def attempt() -> tuple[T, Response]:
            response = self._sent(request)
            if not 200 <= response.status < 300:
                raise self._refusal(request, response)
            fault, passing = "", False
            try:
                with _parsing:
                    return parse(response), response
            except AnswerUnreadable as error:
                fault, passing = error.told(response.hide), isinstance(error, NotJson)
            if passing:  # raised out here: without the document as context
                raise TryAgain(f"its answer could not be understood: {fault}")
            raise wording.Unusable(request, fault)

        return attempts.call(self._retry, request, attempt, self._retried)

    def _sent(self, request: Request) -> Response:
        try:
            self._pacer.take(max_hold=self._retry.max_wait)
            return self._send(request, READ_TIMEOUT.total_seconds())
        except Held as held:
            raise TryAgain(str(held), held.seconds, limited=True) from None
        except (NotSent, AnswerLost) as failure:
            raise wording.unanswered(request, failure) from None

    def _refusal(self, request: Request, response: Response) -> Exception:
        error = wire.parse_error(response)
        if meaning_of(error.status, error.code) is Meaning.QUOTA:
            return wording.quota_used_up(request, error)
        if error.status == 401:
            return wording.key_problem(request, error)
        if not is_passing(error.status) and not wire.is_strange_404(response):
            return wording.Answered(error)
        after = retry_after(response.headers, self._now())
        if error.status == 429 and after is not None:
            self._pacer.hold(after)
        return wording.AnsweredForNow(error, after)

    def _send(self, request: Request, read_timeout: float) -> Response:
        response: Response | None = None
        began = time.monotonic()
        try:
            response = self._transport.send(request, read_timeout=read_timeout)
            return response
        finally:
            if self._verbose is not None:
                status = response.status if response else None
                self._verbose(request.method, request.path, status, time.monotonic() - began)
