"""Fuzzing of the API's answers: a value, an outcome, or a documented error; never another exception."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from fuzz_mutations import CUTS, EDITS, FEW, MANY, SOME, TEXTS, cut, documents, edited, in_bounds
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.client import ApiClient, Listing
from reconciler.api.outcome import Done, WriteOutcome
from reconciler.config.loading import read_files
from reconciler.dates import parse_iso
from reconciler.engine.clock import Clock
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import ApiUnavailable, KeyProblem, QuotaUsedUp, ReconcilerError
from reconciler.formats.planfile import dump, encode_plan
from reconciler.http import Headers, Pacer, Request, Response, Retry, WsgiTransport
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document
from reconciler.model.observed import Backfill, Run, TransferInfo, Unreadable
from reconciler.planning.plan import Plan
from reconciler.sandbox import Sandbox
from reconciler.stores.local import LocalStore

TEAM = 12345
NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
START, END = parse_iso("2024-05-01"), parse_iso("2024-05-11")
META = {"request_id": "0A1B-2C3D", "pagination": {"limit": 100}}
BACKFILL = {
    "transfer_backfill_id": 5,
    "transfer_id": 1,
    "range_start_date": "2024-05-01",
    "range_end_date": "2024-05-10",
    "created_time": "2024-06-01T08:00:00Z",
    "created_user_id": 7,
    "start_time": "2024-06-01T08:01:00Z",
    "end_time": None,
    "removed_time": None,
    "status": "FAILED",
    "transfer_runs_total": 10,
    "transfer_runs_created": 10,
    "transfer_runs_completed": 7,
    "transfer_runs_failed": 2,
    "error_report": [{"transfer_run_date": "2024-05-03", "error": "timeout"}],
}
RUN = {
    "id": "77",
    "type": "Backfill",
    "data_date": "2024-05-03",
    "status": "COMPLETED",
    "created_time": "2024-06-01T08:02:00Z",
    "total_rows": 1000,
}
TRANSFER = {
    "dwh_transfer_id": 1,
    "display_name": "Google Ads",
    "state": "active",
    "schedule": {"every": "day"},
}
CANCELLED = BACKFILL | {"status": "CANCELLED", "removed_time": "2024-06-01T08:30:00Z"}
ERROR = {"meta": META, "error": {"code": "TOO_MANY_REQUESTS", "message": "no", "description": "never"}}
PROBLEM = {"type": "about:blank", "title": "Bad", "status": 422, "detail": "overlap", "instance": "/x"}
BASES: list[Any] = [
    {"meta": META, "data": BACKFILL},
    BACKFILL,
    {"meta": META, "data": CANCELLED},
    {"meta": META, "data": [BACKFILL, BACKFILL | {"transfer_backfill_id": "6", "status": "RUNNING"}]},
    [BACKFILL],
    {"meta": META, "data": [RUN, RUN | {"id": 78, "status": "RUNNING"}]},
    {"meta": META, "data": [TRANSFER]},
    ERROR,
    PROBLEM,
]
STATUSES = st.sampled_from(
    (200, 200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 422, 429, 500, 503, 599, 99)
)
HEADERS = st.dictionaries(
    st.sampled_from(("retry-after", "date", "x-ratelimit-remaining", "x-ratelimit-limit", "x-request-id")),
    st.one_of(
        st.sampled_from([one for one in TEXTS if one.isprintable()]),
        st.sampled_from(
            (
                "Sat, 01 Jun 2024 09:00:00 GMT",
                "Fri, 31 Dec 9999 23:59:59 GMT",
                "Fri, 31 Dec 9999 23:59:59 -2359",
                "Mon, 01 Jan 0001 00:00:00 +2359",
                "1e400",
                "86401",
                "0.0000001",
            )
        ),
    ),
    max_size=3,
)
RESPONSES = st.builds(
    lambda status, headers, body: Response(status, Headers(headers), body),
    STATUSES,
    HEADERS,
    documents(BASES),
)


@dataclass
class Canned:
    """A transport with one answer to everything."""

    response: Response

    def send(self, request: Request, *, read_timeout: float) -> Response:
        return self.response


def client_of(response: Response) -> ApiClient:
    pacer = Pacer(float("inf"), clock=lambda: 0.0, sleep=lambda seconds: None)
    retry = Retry(attempts=2, rng=random.Random(1), sleep=lambda seconds: None)
    return ApiClient(Canned(response), TEAM, pacer=pacer, retry=retry, now=lambda: NOW)


READS: dict[str, tuple[Callable[[ApiClient], Any], Any]] = {
    "list": (lambda client: client.list_incomplete(), Listing),
    "get": (lambda client: client.get(5), Backfill | Unreadable | None),
    "latest": (lambda client: client.latest(1), Backfill | Unreadable | None),
    "transfers": (lambda client: client.transfers(), tuple | Unreadable),
    "runs": (lambda client: client.runs(1, START, NOW), tuple | Unreadable),
}


def answers_make_sense(response: Response) -> None:
    """Every method on one answer."""
    for read, kind in READS.values():
        with in_bounds():
            try:
                value = read(client_of(response))
            except (ApiUnavailable, KeyProblem, QuotaUsedUp) as error:
                text = error.summary + error.detail + error.hint
                assert text.isprintable(), text
                continue
        assert isinstance(value, kind)
        if isinstance(value, tuple):
            assert all(isinstance(one, Run | TransferInfo) for one in value)
    with in_bounds():
        made = client_of(response).create(1, START, END, {6})
        gone = client_of(response).cancel(5)
    assert isinstance(made, get_args(WriteOutcome))
    assert isinstance(gone, get_args(WriteOutcome))
    if isinstance(made, Done):
        assert (made.backfill.transfer_id, made.backfill.start, made.backfill.end) == (1, START, END)
        assert made.backfill.id != 6
        assert 200 <= response.status < 300


@FEW
@given(RESPONSES)
def test_changed_answers(response: Response) -> None:
    answers_make_sense(response)


@pytest.mark.proof
@MANY
@given(RESPONSES)
def test_many_changed_answers(response: Response) -> None:
    answers_make_sense(response)


# --- a whole plan from changed answers ------------------------------------------------------------

FILE = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads: {{transfer_id: 1, ranges: [2024-05-01..2024-05-10]}}
  web: {{transfer_id: 2, chunk: week, ranges: [2024-04-01..2024-04-10], stale_before: 2024-05-30}}
"""


@dataclass
class Meddling:
    """A transport that changes the sandbox's answers, each by its own edits."""

    inner: WsgiTransport
    changes: list[tuple[list[Any], Any, dict[str, str]]]
    asked: int = field(default=0)

    def send(self, request: Request, *, read_timeout: float) -> Response:
        response = self.inner.send(request, read_timeout=read_timeout)
        edits, cuts, headers = self.changes[self.asked % len(self.changes)]
        self.asked += 1
        body = cut(json.dumps(edited(json.loads(response.body), edits)).encode(), cuts)
        return Response(response.status, Headers({**response.headers, **headers}), body)


CHANGES = st.lists(st.tuples(EDITS, CUTS, HEADERS), min_size=1, max_size=6)


def scene() -> dict[str, Any]:
    backfills = [
        _given(5, 1, "2024-05-01", "2024-05-02", "FAILED"),
        _given(6, 2, "2024-04-01", "2024-04-04", "RUNNING"),
    ]
    team = {"transfers": {1: {"name": "ads"}, 2: {"name": "web"}}, "backfills": backfills}
    return {"now": "2024-06-01T09:00:00Z", "teams": {TEAM: team}}


def _given(number: int, transfer_id: int, start: str, end: str, status: str) -> dict[str, Any]:
    days = {"range_start_date": start, "range_end_date": end}
    ids = {"transfer_backfill_id": number, "transfer_id": transfer_id}
    return {**ids, **days, "status": status, "transfer_runs_completed": 1}


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox.in_memory(scene(), clock=NOW.timestamp)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> DesiredTeam:
    path = tmp_path_factory.mktemp("file") / "backfills.yaml"
    path.write_text(FILE, "utf-8")
    (team,) = read_files([path], as_of=None, now=NOW).teams
    return team


def plans_or_refuses(sandbox: Sandbox, team: DesiredTeam, folder: Path, changes: list[Any]) -> None:
    """A plan that adds up, or a documented error."""
    transport = Meddling(WsgiTransport(sandbox.app), changes)
    pacer = Pacer(float("inf"), clock=lambda: 0.0, sleep=lambda seconds: None)
    retry = Retry(attempts=2, rng=random.Random(1), sleep=lambda seconds: None)
    client = ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=lambda: NOW)
    store = LocalStore(str(folder), TEAM, "sandbox", "test")
    clock = Clock(lambda: NOW, lambda: 0.0, lambda seconds: None)
    blank = Document(team_id=TEAM, api_url="sandbox")
    run = TeamRun(team, client, store, blank, clock, RunSettings(parallelism=1))
    with in_bounds(5):
        try:
            plan = run.plan().plan
        except ReconcilerError:
            return
    counts = plan.counts.as_dict()
    assert counts.pop("declared") == sum(counts.values())
    dump(encode_plan(Plan("sandbox", NOW, (plan,)), "test")).encode()


@SOME
@given(changes=CHANGES)
def test_plans_of_changed_answers(
    sandbox: Sandbox, team: DesiredTeam, tmp_path: Path, changes: list[Any]
) -> None:
    plans_or_refuses(sandbox, team, tmp_path, changes)


@pytest.mark.proof
@MANY
@given(changes=CHANGES)
def test_many_plans_of_changed_answers(
    sandbox: Sandbox, team: DesiredTeam, tmp_path: Path, changes: list[Any]
) -> None:
    plans_or_refuses(sandbox, team, tmp_path, changes)
