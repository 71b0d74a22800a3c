"""The real apply in process: sandbox in memory, a real local store, one virtual clock, faults on the wire.

Every transport is wrapped by a ``Witness``: no POST or PATCH may leave unless the state on disk
holds a pending intent that names exactly that request.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.api.client import ApiClient
from reconciler.config.loading import read_files
from reconciler.dates import DateSet, iso, last_iso, parse_iso
from reconciler.engine.by_hand import accept
from reconciler.engine.clock import Clock
from reconciler.engine.report import TeamReport
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.engine.team import RunSettings, Surveyed, TeamRun
from reconciler.errors import worst
from reconciler.events import Created, Doing, Event, RunEvent, Waiting
from reconciler.http import (
    AnswerLost,
    Headers,
    NotSent,
    Pacer,
    Request,
    Response,
    Retry,
    Transport,
    WsgiTransport,
)
from reconciler.model.deltas import Delta
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document, Intent, IntentKind, KnownUser
from reconciler.planning.approval import Approval
from reconciler.planning.ledger import Bucket
from reconciler.sandbox import Sandbox
from reconciler.stores.base import StateStore
from reconciler.stores.local import LocalStore

OURS = 789  # the user that the sandbox takes any key for
TEAM = 12345
NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
API = "sandbox"
WRITES = ("POST", "PATCH")
SECOND = 1.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0

ONE = """\
version: 1
team_id: 12345
transfers:
  a:
    transfer_id: 1
    ranges: [2024-05-01..2024-05-10]
"""
BLIND = ONE.replace("    ranges", "    evidence: backfills\n    ranges")
TWO = (
    ONE
    + """\
  b:
    transfer_id: 2
    ranges: [2024-04-01..2024-04-05]
"""
)


@dataclass
class VirtualTime:
    """The one clock of a rig: ours and the vendor's. ``skew`` and ``lapse`` move ours alone."""

    now: float = NOW.timestamp()
    skew: float = 0.0
    lapse: float = 0.0

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now + self.skew, UTC)

    def elapsed(self) -> float:
        return self.now + self.lapse

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


Act = Callable[[Transport, Request, float], Response]
"""What happens to one request: it may be passed on to the transport, or not, or answered anyhow."""


def passed(inner: Transport, request: Request, timeout: float) -> Response:
    return inner.send(request, read_timeout=timeout)


def answered(
    status: int, code: str | None = None, *, after: bool = False, body: bytes | None = None, **headers: str
) -> Act:
    """Answer so, before or ``after`` the API did what was asked."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        if after:
            passed(inner, request, timeout)
        named = "NOT_FOUND" if status == 404 else None  # without a code it would not be the API's
        told = {
            "meta": {"request_id": "x"},
            "error": {"code": code or named, "message": "no", "description": ""},
        }
        raw = json.dumps(told).encode() if body is None else body
        return Response(status, Headers({key.replace("_", "-"): one for key, one in headers.items()}), raw)

    return act


def altered(change: Callable[[dict[str, Any]], object], *, after: bool = True) -> Act:
    """Answer a success whose backfill is changed. ``after`` is for symmetry: it did happen."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        response = passed(inner, request, timeout)
        body = json.loads(response.body)
        body["data"] = change(body["data"])
        return Response(response.status, response.headers, json.dumps(body).encode())

    return act


def lost(*, after: bool) -> Act:
    def act(inner: Transport, request: Request, timeout: float) -> Response:
        if after:
            passed(inner, request, timeout)
        raise AnswerLost("the connection broke")

    return act


def late(arrivals: list[Callable[[], object]]) -> Act:
    """Lose a request on its way; calling what is put into ``arrivals`` lets it arrive."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        arrivals.append(lambda: inner.send(request, read_timeout=timeout))
        raise AnswerLost("read timeout")

    return act


def not_sent(inner: Transport, request: Request, timeout: float) -> Response:
    raise NotSent("no connection")


class Killed(BaseException):
    """The process is gone."""


def killed(*, after: bool) -> Act:
    def act(inner: Transport, request: Request, timeout: float) -> Response:
        if after:
            passed(inner, request, timeout)
        raise Killed

    return act


@dataclass
class Faulty:
    """A real transport whose requests are struck by acts, in turn: those of ``wanted``, else none."""

    inner: Transport
    acts: list[Act]
    wanted: Callable[[Request], bool] = lambda request: request.method == "POST"

    def send(self, request: Request, *, read_timeout: float) -> Response:
        if self.acts and self.wanted(request):
            return self.acts.pop(0)(self.inner, request, read_timeout)
        return self.inner.send(request, read_timeout=read_timeout)


def on_transfer(transfer_id: int) -> Callable[[Request], bool]:
    """Pick the creates on one transfer."""
    return lambda request: request.method == "POST" and f"/transfers/{transfer_id}/" in request.path


def cancels(request: Request) -> bool:
    return request.method == "PATCH"


@dataclass
class Witness:
    """Lets a write pass only if an intent on the disk names it."""

    inner: Transport
    folder: Path
    sent: list[Request] = field(default_factory=list)

    def send(self, request: Request, *, read_timeout: float) -> Response:
        if request.method in WRITES:
            self.sent.append(request)
            document, _revision = open_store(self.folder).read()
            assert document is not None, "a write without a state"
            named = [
                one for one in document.intents.values() if one.pending and _named(one) == _asked(request)
            ]
            assert len(named) == 1, (request, document.intents)
        return self.inner.send(request, read_timeout=read_timeout)


def _asked(request: Request) -> tuple[str, object]:
    return request.path, request.json


def _named(intent: Intent) -> tuple[str, object]:
    if intent.kind is IntentKind.CANCEL:
        return f"/teams/{TEAM}/backfills/{intent.backfill_id}", {"status": "CANCELLED"}
    body = {"range_start": iso(intent.start), "range_end": last_iso(intent.end)}
    return f"/teams/{TEAM}/transfers/{intent.transfer_id}/backfills", body


def open_store(folder: Path) -> LocalStore:
    return LocalStore(str(folder / "state"), TEAM, API, "test")


def but_for_what_goes_on(events: list[Any]) -> Callable[[RunEvent], None]:
    """Return what appends to a list what happened, and not what goes on."""
    return lambda event: None if isinstance(event, Doing) else events.append(event)


@dataclass
class Applied:
    """What an apply did. ``waits`` are the seconds of its pauses."""

    report: TeamReport
    surveyed: Surveyed
    events: list[Event]
    sent: list[Request]

    @property
    def exit(self) -> int:
        return worst(self.report.statuses)

    @property
    def waits(self) -> list[float]:
        return [one.seconds for one in self.events if isinstance(one, Waiting)]

    @property
    def adopted(self) -> list[int]:
        return [one.backfill_id for one in self.events if isinstance(one, Created) and one.adopted]

    def of(self, kind: type[Event]) -> list[Any]:
        return [one for one in self.events if isinstance(one, kind)]


@dataclass
class Rig:
    """One team's file, state and API, all on one clock."""

    folder: Path
    text: str = ONE
    settings: Mapping[str, Any] = field(default_factory=dict)
    transfers: Mapping[int, Any] = field(default_factory=dict)
    backfills: list[dict[str, Any]] = field(default_factory=list)
    flags: RunSettings = field(default_factory=lambda: RunSettings(parallelism=1))
    time: VirtualTime = field(default_factory=VirtualTime)
    sandbox: Sandbox = field(init=False)
    people: ApiClient = field(init=False)

    def __post_init__(self) -> None:
        team = {"transfers": dict(self.transfers), "backfills": self.backfills}
        scene = {"now": "2024-06-01T09:00:00Z", "settings": dict(self.settings), "teams": {TEAM: team}}
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: self.time.now)
        self.people = self.client(self.wire("people"))
        self.declare(self.text)

    def declare(self, text: str) -> None:
        """Put ``text`` in the place of the file."""
        (self.folder / "backfills.yaml").write_text(text, "utf-8")

    # -- parts ---------------------------------------------------------------------------------

    def wire(self, key: str = "ours") -> Transport:
        return WsgiTransport(self.sandbox.app, key=key)

    def client(self, transport: Transport) -> ApiClient:
        retry = Retry(rng=random.Random(1), sleep=self.time.sleep)
        pacer = Pacer(float("inf"), clock=lambda: self.time.now, sleep=self.time.sleep)
        return ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=self.time.wall)

    def clock(self) -> Clock:
        return Clock(self.time.wall, self.time.elapsed, self.time.sleep)

    def team(self) -> DesiredTeam:
        (team,) = read_files([self.folder / "backfills.yaml"], as_of=None, now=self.time.wall()).teams
        return team

    def run(self, transport: Transport | None = None, store: StateStore | None = None) -> TeamRun:
        return TeamRun(
            self.team(),
            self.client(transport or self.wire()),
            store or open_store(self.folder),
            Document(team_id=TEAM, api_url=API),
            self.clock(),
            self.flags,
            key_hash="ours",
        )

    def flag(self, **changes: Any) -> None:
        self.flags = replace(self.flags, **changes)

    # -- commands ------------------------------------------------------------------------------

    def plan(self) -> Surveyed:
        return self.run().plan()

    def apply(
        self,
        *acts: Act,
        wanted: Callable[[Request], bool] = lambda request: request.method == "POST",
        between: Callable[[], object] = lambda: None,
        holds: Callable[[], bool] = lambda: True,
        store: StateStore | None = None,
        approval: Approval | None = None,
        signal: StopSignal | None = None,
    ) -> Applied:
        """Apply as the command does; ``between`` happens after its plan was made."""
        witness = Witness(Faulty(self.wire(), list(acts), wanted), self.folder)
        run = self.run(witness, store)
        events: list[Event] = []
        run.on_event = but_for_what_goes_on(events)
        session = run.open()
        surveyed = run.survey(session, approval)
        between()
        report = run.carry_out(session, surveyed, signal or StopSignal(), holds)
        run.store.close()
        return Applied(report, surveyed, events, witness.sent)

    def later(self, seconds: float) -> None:
        self.time.now += seconds

    # -- what there is ---------------------------------------------------------------------------

    def document(self) -> Document:
        document, _revision = open_store(self.folder).read()
        return document or Document(team_id=TEAM, api_url=API)

    def pending(self) -> list[Intent]:
        return [one for one in self.document().intents.values() if one.pending]

    def made(self, transfer_id: int = 1) -> list[str]:
        """Return the ranges of every backfill of a transfer at the API, as text, in the order made."""
        return [
            f"{one['range_start_date']}..{one['range_end_date']}"
            for one in self.sandbox.backfills()
            if int(one["transfer_id"]) == transfer_id
        ]

    def active_days(self, transfer_id: int = 1) -> list[int]:
        """Return every day of every backfill that was not cancelled, as often as it was created."""
        return [
            day
            for one in self.sandbox.backfills()
            if int(one["transfer_id"]) == transfer_id and one["status"] != "CANCELLED"
            for day in range(parse_iso(one["range_start_date"]), parse_iso(one["range_end_date"]) + 1)
        ]

    def foreign(self, transfer_id: int, first: str, last: str) -> int:
        """Let somebody create a backfill by hand; return its id."""
        made = self.sandbox.create_backfill(TEAM, transfer_id, first, last)
        return int(made["transfer_backfill_id"])

    def accept(self, transfer_id: int) -> None:
        """Say that the history of a transfer is known, as ``reconciler accept`` does."""
        run = self.run()
        session = StateSession.open(run.store, run.blank)
        situation = run.weighed(session)
        (ledger,) = [one for one in situation.ledgers if one.transfer.address.transfer_id == transfer_id]
        session.record(situation.delta)
        session.record(accept(ledger, session.document.serial))

    def know_us(self) -> None:
        """Let the state know whose our key is, as after a first create of ours."""
        run = self.run()
        session = StateSession.open(run.store, run.blank)
        session.record(Delta(users=(KnownUser(run.key_hash, OURS),)))

    def state_bytes(self) -> dict[str, bytes]:
        return {one.name: one.read_bytes() for one in sorted((self.folder / "state").glob("*"))}

    def once(self, transfer_id: int, *spans: str) -> None:
        """Assert that exactly the days of ``spans`` were created, each of them once."""
        days = self.active_days(transfer_id)
        wanted = [day for span in spans for day in _days(span)]
        assert sorted(days) == sorted(wanted), self.made(transfer_id)

    def buckets(self, surveyed: Surveyed | None = None) -> dict[str, int]:
        """Return the counts of a plan that are not zero."""
        counts = (surveyed or self.plan()).plan.counts.as_dict()
        return {name: number for name, number in counts.items() if number}

    def blocked(self) -> list[str]:
        """Return what the next plan shows as blocked: transfer, range and reason."""
        return [_item_text(one) for one in self.plan().plan.of(Bucket.BLOCKED)]


def _item_text(item: Any) -> str:
    return f"{item.transfer} {iso(item.start)}..{last_iso(item.end)} {item.reason}"


def _days(span: str) -> Iterator[int]:
    first, _dots, last = span.partition("..")
    return iter(DateSet.span(parse_iso(first), parse_iso(last or first) + 1))


def actions_text(surveyed: Surveyed) -> list[str]:
    """Return the actions of a plan as lines such as ``+ a 2024-05-01..2024-05-10``."""
    signs = {"create": "+", "retry": "-/+", "cancel": "-"}
    return [
        f"{signs[one.kind.value]} {one.transfer} {iso(one.start)}..{last_iso(one.end)}"
        for one in surveyed.plan.actions
    ]


def settle_and_finish(rig: Rig, rounds: int = 6) -> None:
    """Run again and again, settle time apart, until nothing is left to do."""
    for _round in range(rounds):
        rig.later(timedelta(minutes=16).total_seconds())
        if not rig.apply().exit and not rig.plan().plan.actions:
            return
    raise AssertionError((rig.buckets(), rig.blocked()))
