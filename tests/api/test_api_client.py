"""The client against a scripted API: what is asked, how often, and how each call ends."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, quote_plus

import pytest

from reconciler.api import wording
from reconciler.api.client import ApiClient
from reconciler.api.outcome import (
    KEY_CODES,
    Denied,
    Done,
    Matter,
    NotSentOutcome,
    OutOfQuota,
    RateLimited,
    Rejected,
    Unknown,
)
from reconciler.errors import ApiUnavailable, Interrupted, KeyProblem, ReconcilerError
from reconciler.errors import QuotaUsedUp as QuotaError
from reconciler.http import (
    Headers,
    HttpTransport,
    Pacer,
    Request,
    Response,
    Retry,
    TlsFailed,
    TooLarge,
    Transport,
    WsgiTransport,
)
from reconciler.http.secret import Secret
from reconciler.model.observed import ApiError, Cause, Unreadable

KEY = "sk_live_0123456789abcdef"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
START, END = date(2024, 1, 1).toordinal(), date(2024, 2, 1).toordinal()
DATE = ("Date", "Sun, 22 Nov 2026 12:00:00 GMT")

Reply = tuple[int, Any, dict[str, str]] | OSError


class Api:
    """A WSGI application that answers in order, the last answer for ever, and remembers the requests."""

    def __init__(self, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, str, str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.requests.append(
            (
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"],
                environ["QUERY_STRING"],
                json.loads(body or b"null"),
            )
        )
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        answer = reply(environ) if callable(reply) else reply
        if isinstance(answer, OSError):
            raise answer
        status, document, headers = answer
        start_response(f"{status} X", list(headers.items()))
        return [document if isinstance(document, bytes) else json.dumps(document).encode()]


class Time:
    """Seconds that pass only by sleeping; pacer and retries share it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def ok(data: Any, **headers: str) -> Reply:
    return 200, {"meta": {"request_id": "R-1"}, "data": data}, headers


def fails(status: int, code: str = "SOME_CODE", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"meta": {"request_id": "R-1"}, "error": {"code": code, "message": "No."}}, named


def said_of(answer: object) -> str:
    unread(answer)
    assert isinstance(answer, Unreadable)
    return answer.said


def unread(answer: object) -> Cause:
    assert isinstance(answer, Unreadable)
    assert answer.said.startswith("GET /teams/77/")
    assert answer.said.isprintable()
    assert not answer.said.endswith(".")
    return answer.cause


def client_of(api: Any, time: Time | None = None, **options: Any) -> ApiClient:
    time = time or Time()
    pacer = Pacer(float("inf"), lambda: time.now, time.sleep)
    retry = Retry(rng=random.Random(1), sleep=time.sleep)
    return ApiClient(
        WsgiTransport(api, key=KEY), 77, **({"pacer": pacer, "retry": retry, "now": lambda: NOW} | options)
    )


def backfill(number: int = 13, **changes: Any) -> dict[str, Any]:
    example = {
        "transfer_backfill_id": number,
        "transfer_id": 5,
        "range_start_date": "2024-01-01",
        "range_end_date": "2024-01-31",
        "created_time": "2024-02-01T09:00:00Z",
        "status": "CREATED",
        "transfer_runs_total": 31,
        "transfer_runs_completed": 0,
        "transfer_runs_failed": 0,
    }
    return example | changes


def run(number: int, **changes: Any) -> dict[str, Any]:
    example = {"id": number, "status": "COMPLETED", "type": "Backfill", "data_date": "2024-01-01"}
    return example | {"created_time": "2024-02-01T09:00:00Z"} | changes


@contextmanager
def socket_server(*bodies: bytes) -> Iterator[str]:
    """Answer so over real HTTP, in order."""
    left = list(bodies)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = left.pop(0)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


# --- what is asked


def test_paths_and_bodies() -> None:
    one, listed = ok(backfill()), ok([])
    api = Api(listed, one, one, listed, listed, one, ok(backfill(status="CANCELLED")))
    client = client_of(api)
    client.list_incomplete()
    client.get(13)
    client.latest(5)
    client.transfers()
    client.runs(5, START, datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))))
    client.create(5, START, END, ())
    client.cancel(13)
    paged = "sort_field=created_time&sort_direction=DESC&limit=1000&offset=0"
    query = f"start_date=2023-12-31T00%3A00%3A00Z&end_date=2026-11-22T23%3A02%3A04Z&{paged}"
    assert api.requests == [
        ("GET", "/v1/teams/77/backfills", "", None),
        ("GET", "/v1/teams/77/backfills/13", "", None),
        ("GET", "/v1/teams/77/transfers/5/backfills/latest", "", None),
        ("GET", "/v1/teams/77/transfers", "", None),
        ("GET", "/v1/teams/77/transfers/5/runs", query, None),
        (
            "POST",
            "/v1/teams/77/transfers/5/backfills",
            "",
            {"range_start": "2024-01-01", "range_end": "2024-01-31"},
        ),
        ("PATCH", "/v1/teams/77/backfills/13", "", {"status": "CANCELLED"}),
    ]


def test_the_first_day_there_is() -> None:
    api = Api(ok([]))
    client_of(api).runs(5, 1, NOW)
    assert "start_date=0001-01-01T00" in api.requests[0][2]


# --- reads


@pytest.mark.parametrize("sent, full", [(0, False), (99, False), (100, True), (150, True)])
def test_a_list_of_100_is_full(sent: int, full: bool) -> None:
    listing = client_of(
        Api(ok([backfill(number + 1) for number in range(sent)], Date=DATE[1]))
    ).list_incomplete()
    assert (len(listing.backfills), listing.full) == (sent, full)
    assert listing.vendor_now == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_items_with_one_id_count_towards_full() -> None:
    listing = client_of(Api(ok([backfill(1)] * 100))).list_incomplete()
    assert (len(listing.backfills), listing.full) == (1, True)


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}])
def test_without_a_date_our_clock_holds(headers: dict[str, str]) -> None:
    assert client_of(Api(ok([], **headers))).list_incomplete().vendor_now == NOW


def test_not_found_is_none() -> None:
    client = client_of(Api(fails(404, "NOT_FOUND")))
    assert client.get(13) is None
    assert client.latest(5) is None


READS: list[Callable[[ApiClient], object]] = [
    lambda client: client.list_incomplete(),
    lambda client: client.get(13),
    lambda client: client.latest(5),
    lambda client: client.transfers(),
    lambda client: client.runs(5, START, NOW),
]
PROBLEM = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "There is none.",
    "instance": "/v1",
}
STRANGE: dict[str, Any] = {
    "a page": b"<html><center>404 Not Found</center>nginx</html>",
    "nothing": b"",
    "a text": {"message": "no Route matched with those values"},
    "no code": {"error": {"message": "Not Found"}},
    "a framework's": {"timestamp": "x", "status": 404, "error": "Not Found", "path": "/v1"},
    "no reason": {"title": "Not Found", "status": 404},
    "a list": [{"error": {"code": "NOT_FOUND"}}],
}


def test_not_found_may_be_problem_details() -> None:
    assert client_of(Api((404, PROBLEM, {}))).latest(5) is None
    by_type = {"Content-Type": "application/problem+json; charset=utf-8"}
    assert client_of(Api((404, {"type": "about:blank", "title": "Not Found"}, by_type))).latest(5) is None


@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("read", READS[1:])
def test_a_gateways_404_says_nothing(read: Callable[[ApiClient], object], body: Any) -> None:
    """It is asked again, as what is no JSON is, and then unread: never "none yet"."""
    api = Api((404, body, {}))
    assert unread(read(client_of(api))) is Cause.FAILED
    assert len(api.requests) == 5
    assert client_of(Api((404, body, {}), ok(backfill()))).get(13) is not None


def test_an_answer_about_something_else_is_no_answer() -> None:
    client = client_of(Api(ok(backfill(14, transfer_id=6))))
    for call in (lambda: client.get(13), lambda: client.latest(5)):
        assert "another backfill than asked for" in said_of(call())


def test_run_pages() -> None:
    first = [run(number) for number in range(1, 1_001)]
    second = [run(1_000, status="FAILED"), run(1_001, data_date=None), run(1_002)]
    api = Api(ok(first), ok(second), ok([]))
    runs = client_of(api).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert [one.id for one in runs] == [*range(1, 1_003)]
    assert [request[2].rpartition("=")[2] for request in api.requests] == ["0", "1000", "1003", "0"]


class Paged:
    """An API whose list honours the offset: pages of at most ``cap``, and what it announces."""

    def __init__(self, items: list[Any], cap: int, announced: dict[str, Any], wrapped: bool = False) -> None:
        self.items, self.cap, self.announced, self.wrapped = items, cap, announced, wrapped
        self.offsets: list[int] = []
        self.limits: list[int] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        query = dict(part.split("=") for part in environ["QUERY_STRING"].split("&") if part)
        offset = int(query.get("offset", 0))
        self.offsets.append(offset)
        self.limits.append(int(query.get("limit", 0)))
        page = self.items[offset : offset + min(self.cap, int(query.get("limit", 1_000)))]
        following = "https://elsewhere.example/v1/x?page=2"
        links = {"next": following} if offset + self.cap < len(self.items) else {}
        pagination = {"links": links, **self.announced} if self.announced else None
        data = {"items": page} if self.wrapped else page
        start_response("200 OK", [])
        return [json.dumps({"meta": {"pagination": pagination}, "data": data}).encode()]


@dataclass
class Capped:
    """A transport that reads answers up to so many bytes, as ours does up to 8 MiB."""

    inner: Transport
    most: int

    def send(self, request: Request, *, read_timeout: float) -> Response:
        answer = self.inner.send(request, read_timeout=read_timeout)
        if len(answer.body) > self.most:
            raise TooLarge(f"the answer is larger than {self.most} bytes")
        return answer


@pytest.mark.parametrize(
    "length, limits", [(100, [1_000] * 3), (2_000, [1_000, *[100] * 14]), (50_000, [1_000, 100, *[10] * 9])]
)
def test_pages_of_runs_with_long_messages_are_made_smaller(length: int, limits: list[int]) -> None:
    """8 kB a run and more: 1,000 of them are larger than what is read of one answer."""
    app = Paged([run(number, message="x" * length) for number in range(1, 1_241)], 1_000, {})
    client = client_of(app)
    client._transport = Capped(client._transport, 520_000)
    runs = client.runs(5, START, NOW)
    assert isinstance(runs, tuple)
    assert [one.id for one in runs] == [*range(1, 1_241)]
    assert app.limits[: len(limits)] == limits


def test_a_run_that_is_too_large_by_itself_is_told_at_once() -> None:
    client = client_of(app := Paged([run(1, message="x" * 5_000)], 1_000, {}))
    client._transport = Capped(client._transport, 4_000)
    assert "larger than 4000 bytes" in said_of(client.runs(5, START, NOW))
    assert app.limits == [1_000, 100, 10, 1]


@pytest.mark.parametrize("cap", [1_000, 500, 100])
@pytest.mark.parametrize(
    "announced", [{}, {"total_count": 1_240}, {"total_count": "1240"}, {"total_count": 0.5}]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_short_page_ends_no_run_list(cap: int, announced: dict[str, Any], wrapped: bool) -> None:
    api = Paged([run(number) for number in range(1, 1_241)], cap, announced, wrapped)
    runs = client_of(api).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert [one.id for one in runs] == [*range(1, 1_241)]
    assert api.offsets[-1] == 1_240


class Restless:
    """An API whose pages each put the runs of equal ``created_time``, or day, in another order; ``still``: by
    one of both there are none.
    """

    def __init__(self, runs: list[dict[str, Any]], cap: int, still: str = "") -> None:
        self.runs, self.cap, self.still, self.asked = runs, cap, still, list[tuple[str, int]]()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        query = dict(part.split("=") for part in environ["QUERY_STRING"].split("&") if part)
        offset, by = int(query["offset"]), query["sort_field"]
        self.asked.append((by, offset))
        noise = random.Random(offset)  # as one plan of a database gives it, each time
        alike = self.runs if by == self.still else sorted(self.runs, key=lambda _: noise.random())
        start_response("200 OK", [])
        return [json.dumps({"data": alike[offset : offset + self.cap]}).encode()]


def test_a_list_whose_order_does_not_hold_still_is_read_again_in_another() -> None:
    """All runs of a backfill may be created at once, and nothing orders those from page to page."""
    many = [run(number) for number in range(1, 367)]
    api = Restless(many, 100, still="data_date")
    runs = client_of(api).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert sorted(one.id for one in runs) == [*range(1, 367)]
    assert [by for by, offset in api.asked if offset == 0] == ["created_time", "data_date"]


def test_a_list_whose_order_never_holds_still_is_no_list() -> None:
    seen = client_of(Restless([run(number) for number in range(1, 367)], 20)).runs(5, START, NOW)
    assert unread(seen) is Cause.FAILED
    assert re.search(r"another on each page: of 366 items sent \d+ are different", said_of(seen))


def test_an_order_that_does_not_hold_still_within_one_page_costs_nothing() -> None:
    api = Restless([run(number) for number in range(1, 367)], 1_000)
    assert len(client_of(api).runs(5, START, NOW)) == 366  # type: ignore[arg-type]
    assert api.asked == [("created_time", 0), ("created_time", 366)]


def test_runs_that_come_while_pages_are_read_are_in_the_list() -> None:
    """They move others to the next page, which come twice, and stand themselves on the first."""
    newest_first = [run(number) for number in range(50, 0, -1)]

    def arriving(environ: dict[str, Any]) -> Reply:
        offset = int(environ["QUERY_STRING"].rpartition("=")[2])
        if offset == 20 and len(newest_first) == 50:
            newest_first.insert(0, run(51))
        return ok(newest_first[offset : offset + 20])

    runs = client_of(Api(arriving)).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert {one.id for one in runs} == set(range(1, 52))


def test_a_long_list_of_small_pages_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a certain length on, one list is read at a time."""
    monkeypatch.setattr("reconciler.api.client.LONG", 200)
    runs = client_of(Paged([run(number) for number in range(1, 501)], 50, {})).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert len(runs) == 500


def test_announced_pages_of_other_lists_are_read() -> None:
    backfills = [backfill(number) for number in range(1, 31)]
    for announced in ({"total_count": 30}, {"links": {"next": None}, "total_count": 30}):
        api = Paged(backfills, 10, announced)
        assert [one.id for one in client_of(api).list_incomplete().backfills] == [*range(1, 31)]
        assert api.offsets == [0, 10, 20]
    transfers = client_of(
        Paged([{"transfer_id": 1}, {"transfer_id": 2}], 1, {"x": 1}, wrapped=True)
    ).transfers()
    assert not isinstance(transfers, Unreadable)
    assert [one.id for one in transfers] == [1, 2]


def page(items: list[Any], **pagination: Any) -> Reply:
    return 200, {"meta": {"pagination": pagination}, "data": items}, {}


ONE_MORE = page([run(1) | backfill(1)], total_count=2)
NEXT = page([run(1) | backfill(1)], links={"next": "/v1/next"})


@pytest.mark.parametrize(
    "replies",
    [(ONE_MORE, ok([])), (ONE_MORE,), (NEXT,), (NEXT, fails(404)), (NEXT, fails(403)), (NEXT, fails(500))],
)
def test_a_list_without_all_that_it_announces_is_no_list(replies: tuple[Reply, ...]) -> None:
    assert unread(client_of(Api(*replies)).runs(5, START, NOW)) is Cause.FAILED
    assert unread(client_of(Api(*replies)).transfers()) is Cause.FAILED
    with pytest.raises((ApiUnavailable, KeyProblem)):
        client_of(Api(*replies)).list_incomplete()


def test_a_cut_list_is_worded() -> None:
    seen = client_of(Api(ONE_MORE, ok([]), page([], total_count=2))).runs(5, START, NOW)
    said = "GET /teams/77/transfers/5/runs: it announces 2 items, and shows 1"
    assert seen == Unreadable(Cause.FAILED, said, lasting=True)


def test_a_page_of_long_messages_is_read() -> None:
    long = [run(number, message="x" * 8_000) for number in range(1, 1_001)]
    with socket_server(json.dumps({"data": long}).encode(), b'{"data": []}') as url:
        runs = ApiClient(HttpTransport(url, KEY), 77).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert len(runs) == 1_000


def test_an_api_that_ignores_the_offset_is_not_read_for_ever() -> None:
    api = Api(ok([run(number) for number in range(1, 1_001)]))
    runs = client_of(api).runs(5, START, NOW)
    assert not isinstance(runs, Unreadable)
    assert (len(runs), len(api.requests)) == (1_000, 2)


def test_a_page_that_fails_fails_the_list() -> None:
    api = Api(ok([run(number) for number in range(1, 1_001)]), fails(500))
    assert unread(client_of(api).runs(5, START, NOW)) is Cause.FAILED


@pytest.mark.parametrize(
    "reply, why",
    [
        (fails(403), Cause.FORBIDDEN),
        (fails(404), Cause.NOT_FOUND),
        (fails(400), Cause.FAILED),
        (fails(500), Cause.FAILED),
        (fails(429, Retry_After="3600"), Cause.FAILED),
        (ok({}), Cause.FAILED),
        (ok([run(1, data_date="x"), {"dwh_transfer_id": 0}]), Cause.FAILED),
        (ConnectionResetError(), Cause.FAILED),
        ((302, b"", {"Location": "/"}), Cause.FAILED),
    ],
)
def test_unreadable_lists(reply: Reply, why: Cause) -> None:
    assert unread(client_of(Api(reply)).runs(5, START, NOW)) is why
    assert unread(client_of(Api(reply)).transfers()) is why


@pytest.mark.parametrize("read", READS)
def test_a_wrong_key(read: Callable[[ApiClient], object]) -> None:
    api = Api(fails(401, "API_KEY_INVALID"))
    with pytest.raises(KeyProblem) as caught:
        read(client_of(api))
    assert len(api.requests) == 1
    assert "API_KEY_INVALID" in caught.value.detail
    assert "SUPERMETRICS_API_KEY" in caught.value.hint


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("status", [429, 403, 402])
def test_a_quota(read: Callable[[ApiClient], object], status: int) -> None:
    api = Api(fails(status, "API_ROW_QUOTA_EXCEEDED", Retry_After="1"))
    with pytest.raises(QuotaError) as caught:
        read(client_of(api))
    assert len(api.requests) == 1
    assert "API_ROW_QUOTA_EXCEEDED" in caught.value.detail


def test_a_missing_scope() -> None:
    with pytest.raises(KeyProblem) as caught:
        client_of(Api(fails(403))).list_incomplete()
    assert "dwh_transfers_read" in caught.value.hint


def test_a_team_that_is_not_there() -> None:
    with pytest.raises(KeyProblem) as caught:
        client_of(Api(fails(404))).list_incomplete()
    assert "team_id" in caught.value.hint


@pytest.mark.parametrize("read", READS[1:])
@pytest.mark.parametrize("status", [302, 400, 403, 422, 418, 500, 503])
def test_a_read_that_fails_says_what_was_answered(read: Callable[[ApiClient], object], status: int) -> None:
    seen = read(client_of(Api(fails(status, "SOME_CODE"))))
    assert isinstance(seen, Unreadable)
    assert seen.cause is (Cause.FORBIDDEN if status == 403 else Cause.FAILED)
    assert seen.error == ApiError(status, "SOME_CODE", "No.", "R-1")
    assert f"{status} SOME_CODE: No (request R-1)" in said_of(seen)
    assert ("Run again" in wording.cure(seen)) == (status >= 500)


@pytest.mark.parametrize("code", [*sorted(map(str, KEY_CODES)), "FORBIDDEN", None])
def test_a_refusal_of_the_key_has_one_cure_whatever_it_kept_from_being_read(code: str | None) -> None:
    error = ApiError(403, code, "No")
    problem = wording.key_problem(Request("GET", "/x"), error)
    cure = wording.cure(Unreadable(Cause.FORBIDDEN, "GET /x", error))
    assert cure
    assert problem.hint.startswith(cure)


def test_a_read_that_is_told_to_wait_too_long_says_how_long() -> None:
    seen = client_of(Api(fails(429, Retry_After="3600"))).latest(5)
    assert said_of(seen).endswith("(request R-1); the API asked us to wait 1h")


@pytest.mark.parametrize(
    ("read", "data", "said"),
    [
        (READS[1], backfill(created_time="soon"), 'created_time is not a time in ISO 8601 (it is "soon")'),
        (
            READS[2],
            backfill(transfer_id=None),
            "transfer_id is not a whole number from 1 to 2**63-1 (it is missing)",
        ),
        (
            READS[4],
            [run(1), run(2, data_date="2024-13-01")],
            "item 2 of 2: data_date is not a date of the form YYYY-MM-DD",
        ),
        (READS[4], {"items": {}}, "a list is missing where the API documents one"),
        (
            READS[3],
            [{"transfer_id": 1.5}],
            "transfer_id is not a whole number from 1 to 2**63-1 (it is 1.5)",
        ),
    ],
)
def test_an_item_that_cannot_be_read(read: Callable[[ApiClient], object], data: Any, said: str) -> None:
    api = Api(ok(data))
    seen = said_of(read(client_of(api)))
    assert said in seen
    assert len(api.requests) == 1  # asking again gives the same


def test_an_unreadable_list_of_backfills_is_not_asked_for_again() -> None:
    api = Api(ok([backfill(status="RUNNING"), backfill(2, range_start_date="2024-02-30")]))
    with pytest.raises(ApiUnavailable) as caught:
        client_of(api).list_incomplete()
    assert "GET /teams/77/backfills: item 2 of 2: range_start_date" in caught.value.detail
    assert '"2024-02-30"' in caught.value.detail
    assert "again later" not in caught.value.hint
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [302, 400, 422, 418])
def test_other_refusals(status: int) -> None:
    api = Api(fails(status))
    with pytest.raises(ApiUnavailable) as caught:
        client_of(api).list_incomplete()
    assert len(api.requests) == 1
    assert str(status) in caught.value.detail
    assert ("Redirects are not followed" in caught.value.detail) is (status == 302)


PASSING: list[Reply] = [
    fails(408),
    fails(425),
    fails(429),
    fails(500),
    fails(503),
    (502, b"<html>", {}),
    (200, b"<html>", {}),
    (200, b"", {}),
    (204, b"", {}),
    ConnectionResetError(),
    TimeoutError(),
]


@pytest.mark.parametrize("reply", PASSING)
@pytest.mark.parametrize("read, data", list(zip(READS, [[], backfill(), backfill(), [], []], strict=True)))
def test_what_may_pass_is_tried_again(read: Callable[[ApiClient], object], data: Any, reply: Reply) -> None:
    time, api = Time(), Api(*[reply] * 4, ok(data))
    read(client_of(api, time))
    assert len(api.requests) == 5
    assert len(time.slept) == 4
    assert all(wait <= ceiling for wait, ceiling in zip(time.slept, (1, 2, 4, 8), strict=True))


@pytest.mark.parametrize("reply", PASSING)
def test_but_not_for_ever(reply: Reply) -> None:
    api = Api(reply)
    with pytest.raises(ApiUnavailable) as caught:
        client_of(api).list_incomplete()
    assert len(api.requests) == 5
    assert "5 times" in caught.value.detail
    assert caught.value.hint
    assert caught.value.detail.endswith(".")


def test_retry_after_is_obeyed() -> None:
    time, api = Time(), Api(fails(429, Retry_After="17"), fails(503, Retry_After="5"), ok([]))
    client_of(api, time).list_incomplete()
    assert time.slept == [17, 5]


def test_retry_after_as_a_date() -> None:
    headers = {"Retry-After": "Sun, 22 Nov 2026 09:00:20 GMT"}
    time = Time()
    client_of(Api((503, b"", headers), ok([])), time).list_incomplete()
    assert time.slept == [20]


def test_too_long_a_wait_ends_the_read_at_once() -> None:
    time, api = Time(), Api(fails(429, "TOO_MANY_REQUESTS", Retry_After="3600"))
    client = client_of(api, time)
    for words in ("rate limit was reached", "asks us to wait"):  # the second time it is known without asking
        with pytest.raises(ApiUnavailable, match=words) as caught:
            client.list_incomplete()
        assert caught.value.hint.startswith("Run again in 1h; ")
        assert "us to wait 1h, and this run waits for at most 5m" in caught.value.detail
    assert (len(api.requests), time.slept) == (1, [])


def test_one_limited_worker_holds_back_the_others() -> None:
    time, api = Time(), Api(fails(429, Retry_After="30"), ok([]))
    client = client_of(api, time, retry=Retry(attempts=1, sleep=time.sleep))
    with pytest.raises(ApiUnavailable):
        client.list_incomplete()
    client.list_incomplete()
    assert time.slept == [30]


def test_an_interrupt_ends_the_waiting() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client_of(Api(fails(500)), retry=Retry(sleep=interrupted)).list_incomplete()


# --- writes


def test_create() -> None:
    outcome = client_of(Api(ok(backfill(13)))).create(5, START, END, {12})
    assert isinstance(outcome, Done)
    assert outcome.backfill.id == 13


def test_cancel() -> None:
    assert isinstance(client_of(Api(ok(backfill(13, status="CANCELLED")))).cancel(13), Done)


@pytest.mark.parametrize(
    "reply, outcome",
    [
        (ok(backfill(12)), Unknown),
        (ok([]), Unknown),
        (fails(500), Unknown),
        (fails(408), Unknown),
        ((302, b"", {}), Unknown),
        (ConnectionResetError(), Unknown),
        (TimeoutError(), Unknown),
        (fails(401), Denied),
        (fails(403), Rejected),
        (fails(403, "API_KEY_DISABLED"), Denied),
        (fails(404), Rejected),
        (fails(422), Rejected),
        (fails(429), RateLimited),
        (fails(429, "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED"), OutOfQuota),
    ],
)
def test_a_write_is_sent_once_and_never_raises(reply: Reply, outcome: type) -> None:
    for write in (lambda c: c.create(5, START, END, {12}), lambda c: c.cancel(13)):
        time, api = Time(), Api(reply)
        assert isinstance(write(client_of(api, time)), outcome)
        assert (len(api.requests), time.slept) == (1, [])


def test_a_write_whose_connection_is_never_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = ApiClient(HttpTransport(f"http://127.0.0.1:{port}/v1", KEY), 77)
    assert isinstance(client.create(5, START, END, ()), NotSentOutcome)


def test_a_write_that_is_held_back_is_told_so_at_once() -> None:
    time, api = Time(), Api(fails(429, Retry_After="30"), ok(backfill()))
    client = client_of(api, time)
    answer = client.create(5, START, END, ())
    assert isinstance(answer, RateLimited)
    assert (answer.retry_after, answer.error and answer.error.status) == (30, 429)
    time.slept.clear()
    assert client.wait_for_turn() == RateLimited(30)
    time.now += 10
    assert client.wait_for_turn() == RateLimited(20)
    time.now += 20
    assert client.wait_for_turn() is None
    assert (len(api.requests), time.slept) == (1, [])


def test_writes_take_turns() -> None:
    time, api = Time(), Api(ok(backfill()))
    client = client_of(api, time, pacer=Pacer(0.1, lambda: time.now, time.sleep))
    assert [client.wait_for_turn(), client.wait_for_turn()] == [None, None]
    assert time.slept == [10]
    client.create(5, START, END, ())  # sent at once: the turn was waited for
    assert time.slept == [10]


def test_what_a_good_answer_says_of_limits_holds_nobody_back() -> None:
    """Some gateways say on every answer that nothing is left."""
    left = {"X-RateLimit-Remaining": "0", "Retry-After": "0", "X-RateLimit-Limit": "1000"}
    time, api = Time(), Api(ok([], **left), ok(backfill(), **left), ok([], **left))
    client = client_of(api, time)
    client.list_incomplete()
    assert client.wait_for_turn() is None
    assert isinstance(client.create(5, START, END, ()), Done)
    client.list_incomplete()
    assert (len(api.requests), time.slept) == (3, [])


def test_a_rate_limit_that_says_at_once_is_tried_again_with_a_pause() -> None:
    time, api = Time(), Api(fails(429, **{"Retry-After": "0"}), ok([]))
    client_of(api, time).list_incomplete()
    assert len(time.slept) == 1


def test_an_interruption_of_a_write_passes_through() -> None:
    """Of the wait: nothing was sent. Of the request: it may have been."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise Interrupted(2)

    client = client_of(Api(ok(backfill())), pacer=Pacer(0.1, lambda: 0.0, interrupted))
    assert client.wait_for_turn() is None
    with pytest.raises(Interrupted):
        client.wait_for_turn()
    with pytest.raises(Interrupted):
        client_of(interrupted).create(5, START, END, ())


VENDORS = "The requested transfer could not be found or you do not have access to it."
SAYS = {
    "meta": {"request_id": "R-1"},
    "error": {"code": "FORBIDDEN", "message": "Forbidden.", "description": VENDORS},
}


def test_a_write_that_is_denied_tells_as_much_as_a_read() -> None:
    client = client_of(Api((403, SAYS, {})))
    with pytest.raises(KeyProblem) as read:
        client.list_incomplete()
    write = client.create(5, START, END, ())
    assert isinstance(write, Rejected)
    problem = wording.shared(write, "POST …/transfers/5/backfills (ads 2024-05-01)", several=False)
    told = f"was answered with 403 FORBIDDEN: Forbidden: {VENDORS[:-1]} (request R-1)."
    assert read.value.detail == f"GET /teams/77/backfills {told}"
    assert problem.detail == f"POST …/transfers/5/backfills (ads 2024-05-01) {told}"
    assert "dwh_transfers_write" in problem.hint


@pytest.mark.parametrize(
    ("code", "summary", "hint"),
    [
        ("ACCESS_DENIED_IP", "address", "IP address"),
        ("ACCESS_DENIED_PERMISSIONS", "account", "dwh.transfer.edit"),
        ("API_KEY_DISABLED", "disabled", "Enable it"),
        ("SOMETHING_ELSE", "may not do this", "dwh_transfers_read"),
    ],
)
def test_a_key_s_problem_is_told_by_its_code(code: str, summary: str, hint: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        client_of(Api(fails(403, code))).list_incomplete()
    assert summary in caught.value.summary
    assert code in caught.value.detail
    assert hint in caught.value.hint


def test_words_for_writes_that_end_everything() -> None:
    licence = wording.shared(Rejected(ApiError(403, "LICENSE_EXPIRED"), Matter.LICENCE), "POST x", True)
    assert isinstance(licence, QuotaError)
    assert licence.detail == (
        "POST x, like a write on another transfer before it, was answered with 403 LICENSE_EXPIRED."
    )
    assert "SUPERMETRICS_API_KEY" in wording.denied(Denied(ApiError(401)), "POST x").hint
    quota = ApiError(429, "API_ROW_QUOTA_EXCEEDED", "Used up.", "R-1")
    told = "POST x was answered with 429 API_ROW_QUOTA_EXCEEDED: Used up (request R-1)."
    assert wording.out_of_quota(OutOfQuota(quota), "POST x").detail == told


# --- all of it


def test_verbose_is_told_of_every_request_but_not_of_the_key() -> None:
    told: list[tuple[str, str, int | None]] = []

    def verbose(method: str, path: str, status: int | None, seconds: float) -> None:
        assert seconds >= 0
        told.append((method, path, status))

    api = Api(fails(500), ConnectionResetError(), ok([]), fails(422))
    client = client_of(api, verbose=verbose)
    client.list_incomplete()
    client.cancel(1)
    path = "/teams/77/backfills"
    assert told == [("GET", path, 500), ("GET", path, None), ("GET", path, 200), ("PATCH", f"{path}/1", 422)]
    assert KEY not in repr(told)


def test_text_of_the_api_reaches_us_cleaned() -> None:
    document = {"error": {"code": "X", "message": "\x1b]0;owned\x07No\u202e\nway" + "y" * 1000}}
    with pytest.raises(ReconcilerError) as caught:
        client_of(Api((400, document, {}))).list_incomplete()
    assert "400 X: No way" in caught.value.detail
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 500


def test_a_certificate_that_is_not_trusted_is_told_at_once() -> None:
    class Untrusted:
        sent = 0

        def send(self, request: Request, *, read_timeout: float) -> Response:
            self.sent += 1
            raise TlsFailed("the certificate is not trusted (self-signed certificate)")

    transport = Untrusted()
    client = ApiClient(transport, 77, pacer=Pacer(float("inf")))
    for read in (client.list_incomplete, client.transfers, lambda: client.latest(5)):
        with pytest.raises(ApiUnavailable) as caught:
            read()
        assert "self-signed" in caught.value.detail
        assert "SSL_CERT_FILE" in caught.value.hint
    assert transport.sent == 3, "asking again gives the same"


def test_threads_share_a_client() -> None:
    api = Api(ok([backfill()]))
    client = client_of(api)
    threads = [threading.Thread(target=client.list_incomplete) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.requests) == 20


# --- the key, said back


class Echo:
    """A transport whose every answer is the same, and hides the key as ``HttpTransport``'s do."""

    def __init__(self, key: str, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.answer = Response(status, Headers(headers), body, Secret(key).hide)

    def send(self, request: Request, *, read_timeout: float) -> Response:
        return self.answer


KEYS = (
    "sk-live-AbCdEf0123456789xyz",
    "sk\"live'Ab\\Cd/0123456789",
    "aB3+/dE9fGhIj_KlMn==",
    "key<&amp;%25abc9",
)
SPELLED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "backwards": lambda key: key[::-1],
    "json": lambda key: json.dumps(key)[1:-1],
    "php": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "unicode escapes": lambda key: "".join(f"\\u{ord(char):04X}" for char in key),
    "hexadecimal escapes": lambda key: "".join(f"\\x{ord(char):02x}" for char in key),
    "hexadecimal": lambda key: key.encode().hex().upper(),
    "url": lambda key: quote(key, safe=""),
    "url, small": lambda key: "".join(f"%{ord(char):02x}" for char in key),
    "url, twice": lambda key: quote(quote_plus(key)),
    "html": html.escape,
    "html numbers": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 of a pair": lambda key: base64.urlsafe_b64encode(f"me:{key}:".encode()).decode(),
    "invisible between": "\u200b".join,
    "selectors between": "\ufe0f".join,
    "wide letters": lambda key: "".join(chr(ord(char) + 0xFEE0) for char in key),
    "colours": lambda key: key[:5] + "\x1b[0m" + key[5:],
    "wrapped": lambda key: key[:9] + "\n   " + key[9:],
    "cut": lambda key: key[: len(key) // 2 + 2] + "…",
    "cut off": lambda key: "\u200b" * (1200 - 11) + key,
    "far behind": lambda key: "x" * 290 + key,
}
PLACES: dict[str, Callable[[str], Any]] = {
    "message": lambda text: {"error": {"code": "X", "message": f"bad key {text} given"}},
    "description": lambda text: {"error": {"description": text}},
    "message and description": lambda text: {"error": {"message": f"bad key {text}", "description": text}},
    "title and detail": lambda text: {"title": text, "detail": f"Bearer {text}"},
    "code": lambda text: {"error": {"code": text, "message": "No."}},
    "request id": lambda text: {"meta": {"request_id": text}, "error": {}},
    "title": lambda text: {"title": text},
    "detail": lambda text: {"detail": f"Bearer {text}"},
    "text": lambda text: {"error": text},
    "cut in two": lambda text: {"error": {"code": text[: len(text) // 2], "message": text[len(text) // 2 :]}},
}


def told(key: str, status: int, body: bytes, headers: dict[str, str]) -> str:
    """Return all that a client makes of such answers."""
    client = ApiClient(
        Echo(key, status, body, headers), 77, pacer=Pacer(float("inf")), retry=Retry(sleep=lambda _: None)
    )
    reads = (client.list_incomplete, client.transfers, lambda: client.get(13), lambda: client.latest(5))
    texts: list[object] = [client.create(5, START, END, ()), client.cancel(13)]
    for read in reads:
        try:
            texts.append(read())
        except ReconcilerError as problem:
            texts += [problem, problem.detail, problem.hint]
    return ascii_of("\n".join(str(text) for text in texts))


def ascii_of(text: str) -> str:
    """Return what a reader might put together: without blanks and foreign characters, in one letter case."""
    return "".join(char for char in normalize("NFKC", text) if "!" <= char <= "~").lower()


def shown_of(key: str, text: str) -> list[str]:
    """Return the pieces of a key, in any of its spellings, that stand in the text."""
    pieces = []
    for spell, unlike in (
        ("as it is", 0),
        ("backwards", 0),
        ("base64", 0),
        ("base64 of a header", 12),
        ("hexadecimal", 0),
        ("hexadecimal escapes", 0),
        ("url, small", 0),
        ("html numbers", 0),
    ):
        spelled = ascii_of(SPELLED[spell](key))[unlike:]
        size = 8 if len(spelled) < 3 * len(key) else 4 * 8
        pieces += [spelled[at : at + size] for at in range(len(spelled) - size + 1)]
    return [piece for piece in pieces if piece in text]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("spelled", SPELLED)
def test_the_key_is_told_in_no_spelling(spelled: str, key: str) -> None:
    said = SPELLED[spelled](key)
    for place in PLACES.values():
        for status in (401, 422, 503):
            body = json.dumps(place(said)).encode()
            assert not shown_of(key, told(key, status, body, {"X-Request-Id": said}))
    raw = said.replace('"', "'")  # as the server spells it, not as our JSON library does
    for page in (f"<p>{raw}</p>", f'{{"error": {{"message": "{raw}"}}}}', f'{{"error": "{raw}'):
        assert not shown_of(key, told(key, 400, page.encode(), {}))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("spelled", SPELLED)
def test_the_key_is_in_no_name(spelled: str, key: str) -> None:
    body = json.dumps({"data": [{"transfer_id": 5, "display_name": f"Of {SPELLED[spelled](key)}"}]}).encode()
    client = ApiClient(Echo(key, 200, body, {}), 77)
    assert not shown_of(key, ascii_of(str(client.transfers())))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("spelled", SPELLED)
def test_the_key_is_in_no_value_that_could_not_be_read(spelled: str, key: str) -> None:
    document = {"data": [{"transfer_id": 5}, {"transfer_id": SPELLED[spelled](key)}]}
    client = ApiClient(Echo(key, 200, json.dumps(document).encode(), {}), 77)
    said = said_of(client.transfers())
    assert "item 2 of 2: transfer_id is not a whole number" in said
    assert not shown_of(key, ascii_of(said))


@pytest.mark.parametrize("key", ["7", "k", "any", "abc12"])
def test_a_text_with_a_very_short_key_is_not_shown(key: str) -> None:
    for said in (key, key.upper(), f"%{ord(key[0]):02x}{key[1:]}"):
        text = told(key, 422, json.dumps(PLACES["message"](said)).encode(), {})
        assert "given" not in text
    assert "given" in told("q", 422, json.dumps(PLACES["message"]("-")).encode(), {})


def test_hiding_changes_nothing_else() -> None:
    hide = Secret(KEY).hide
    for text in ("", "Not found.", "50% of &lt;b&gt; and \\u0041 and \\", "a live answer", KEY[:7], "é" * 9):
        assert hide(text) == text
    assert hide(f"a {KEY}, {KEY[:12]}! {KEY}{KEY}") == "a ***, ***! ***"
    assert KEY not in repr(Secret(KEY))


def test_a_quota_is_told_even_if_the_key_is_part_of_its_code() -> None:
    body = json.dumps({"error": {"code": "API_ROW_QUOTA_EXCEEDED"}}).encode()
    client = ApiClient(Echo("quota", 429, body, {}), 77)
    assert client.create(5, START, END, ()) == OutOfQuota(ApiError(429, "API_ROW_QUOTA_EXCEEDED"))


# --- without end


def test_a_run_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.api.pages.MOST_ITEMS", 90)
    numbers = iter(range(1, 10**6))

    def more(_: Any) -> Reply:
        return ok([run(next(numbers)), run(next(numbers))])

    api = Api(more)
    assert unread(client_of(api).runs(5, START, NOW)) is Cause.FAILED
    assert len(api.requests) == 46
    monkeypatch.setattr("reconciler.api.pages.MOST_PAGES", 7)
    said = said_of(client_of(Api(more)).runs(5, START, NOW))
    assert said == "GET /teams/77/transfers/5/runs: it goes on without end: 14 items were read"


def test_an_answer_of_too_many_parts_is_not_even_parsed() -> None:
    for document in (b"[" + b"{}," * 700_000 + b"{}]", b'{"data": [' + b"1," * 700_000 + b"1]}"):
        api = Api((200, document, {}))
        with pytest.raises(ApiUnavailable) as problem:
            client_of(api, retry=Retry(attempts=1)).list_incomplete()
        assert "more than 600000 parts" in problem.value.detail
