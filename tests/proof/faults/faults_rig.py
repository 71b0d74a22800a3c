"""The real engine against the served sandbox, over real sockets, on one virtual clock.

Only the network is real: pauses move the clock, and an answer is waited for shortly while a
fault is on. Without a fault nothing is in a hurry, so a busy machine changes no result.
"""

from __future__ import annotations

import json
import random
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.api.client import ApiClient
from reconciler.config.loading import read_files
from reconciler.dates import DateSet, parse_iso
from reconciler.engine.clock import Clock
from reconciler.engine.stop import StopSignal
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import PRECEDENCE, Exit, ReconcilerError, status_of, worst
from reconciler.events import Event
from reconciler.http import HttpTransport, Pacer, Request, Response, Retry, Transport, WsgiTransport
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document, Outcome
from reconciler.model.observed import RunStatus, Unreadable
from reconciler.planning.ledger import Bucket
from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import running
from reconciler.stores.local import LocalStore

TEAM = 12345
KEY = "sk-live_4f9c2b7e.0d31-aa57"
NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
DOCUMENTED = frozenset(int(one) for one in (Exit.DONE, *PRECEDENCE))
HURRIED = 0.25  # seconds of silence borne while a fault is on
PATIENT = 30.0
SLOW = 0.6  # seconds between two bytes of a slow answer
BODY_MAX = 1 << 20
HOUR = 3600.0
DAY = 24 * HOUR
SETTLED = 16 * 60.0
MAX_WAIT = 20.0

BEGUN = """\
version: 1
team_id: 12345
transfers:
  done: {transfer_id: 3, ranges: [2024-05-01..2024-05-04]}
  shell: {transfer_id: 4, ranges: [2024-05-01..2024-05-05]}
"""
WHOLE = (
    BEGUN
    + """\
  ads: {transfer_id: 1, ranges: [2024-05-01..2024-05-10]}
  web: {transfer_id: 2, chunk: week, ranges: [2024-04-01..2024-04-10]}
"""
)
FAILING = {"2024-05-03": {"error": "timeout", "times": 1}}


@dataclass
class VirtualTime:
    """Ours and the vendor's."""

    now: float = NOW.timestamp()

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


@dataclass
class Timed:
    """A transport that waits for answers as long as it is told to, whatever the client says."""

    inner: Transport
    patience: float = PATIENT

    def send(self, request: Request, *, read_timeout: float) -> Response:
        return self.inner.send(request, read_timeout=self.patience)


@dataclass
class Outcomes:
    """What an apply came to. ``texts`` is all it would tell a person."""

    status: int
    texts: list[str] = field(default_factory=list)


@dataclass
class Rig:
    """One team's file, state and served API."""

    folder: Path
    base_url: str
    sandbox: Sandbox
    time: VirtualTime
    transport: HttpTransport
    text: str = WHOLE
    parallelism: int = 1
    patience: float = PATIENT
    events: list[Event] = field(default_factory=list)

    def declare(self, text: str) -> None:
        self.text = text

    # -- runs ------------------------------------------------------------------------------------

    def team(self) -> DesiredTeam:
        path = self.folder / "backfills.yaml"
        path.write_text(self.text, "utf-8")
        (team,) = read_files([path], as_of=None, now=self.time.wall()).teams
        return team

    def client(self, transport: Transport) -> ApiClient:
        retry = Retry(rng=random.Random(1), sleep=self.time.sleep)
        pacer = Pacer(float("inf"), clock=lambda: self.time.now, sleep=self.time.sleep)
        return ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=self.time.wall)

    def store(self) -> LocalStore:
        return LocalStore(str(self.folder / "state"), TEAM, self.base_url, "test")

    def apply(self) -> Outcomes:
        """Apply as the command does. Whatever is no error of ours passes through: it is a bug."""
        run = self.run()
        try:
            session = run.open()
            surveyed = run.survey(session)
        except ReconcilerError as error:
            return Outcomes(status_of(error), [_told(error)])
        report = run.carry_out(session, surveyed, StopSignal(), lambda: True)
        run.store.close()
        return Outcomes(worst(report.statuses), [_told(error) for error in report.errors])

    def run(self) -> TeamRun:
        clock = Clock(self.time.wall, lambda: self.time.now, self.time.sleep)
        return TeamRun(
            self.team(),
            self.client(Timed(self.transport, self.patience)),
            self.store(),
            Document(team_id=TEAM, api_url=self.base_url),
            clock,
            RunSettings(parallelism=self.parallelism, max_wait=MAX_WAIT),
            self.events.append,
        )

    def later(self, seconds: float) -> None:
        self.time.now += seconds

    @contextmanager
    def faulty(self, *specs: str, seed: int = 0) -> Iterator[None]:
        """Let faults strike, and be in a hurry."""
        self.sandbox._seed = seed
        self.sandbox.faults(*specs)
        self.patience = HURRIED
        try:
            yield
        finally:
            self.sandbox.faults()
            self.patience = PATIENT

    # -- what must hold --------------------------------------------------------------------------

    def control(self, what: str) -> list[dict[str, Any]]:
        """Ask a control endpoint: ``backfills`` are all of them, of every status."""
        url = self.base_url.removesuffix("/v1") + f"/_sandbox/{what}"
        with urllib.request.urlopen(url, timeout=PATIENT) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]
        return found

    def document(self) -> Document:
        document, _revision = self.store().read()
        assert document is not None
        return document

    def check(self, outcomes: Outcomes, *, lied: bool = False) -> None:
        """The exit status is documented; the state reads; everything made is remembered, once.

        ``lied``: the API said of a create that it was not done, or was another, and that was not
        so. Nobody can remember it then; it must show in the list, and not be made again.
        """
        assert outcomes.status in DOCUMENTED, outcomes
        document = self.document()
        intended = {
            (one.transfer_id, one.start, one.end)
            for one in document.intents.values()
            if one.outcome is not Outcome.DONE
        }
        for made in () if lied else self.control("backfills"):
            days = days_of(made)
            known = int(made["transfer_backfill_id"]) in document.backfills
            assert known or (int(made["transfer_id"]), days.first(), days.end()) in intended, made
        self.check_nothing_twice()

    def check_nothing_twice(self) -> None:
        """No day is in two active backfills, and none was loaded twice."""
        for transfer_id, counted in self.loads().items():
            twice = [day for day, number in counted.items() if number > 1]
            assert not twice, (transfer_id, twice)

    def loads(self) -> dict[int, Counter[int]]:
        """Count for each day how often it was loaded, or is about to be."""
        loads: dict[int, Counter[int]] = {}
        for made in self.control("backfills"):
            transfer_id = int(made["transfer_id"])
            counted = loads.setdefault(transfer_id, Counter())
            if made["status"] in ("CREATED", "SCHEDULED", "RUNNING"):
                counted.update(days_of(made))
        people = self.client(WsgiTransport(self.sandbox.app, key="people"))
        for transfer_id in loads:
            runs = people.runs(transfer_id, parse_iso("2023-01-01"), self.time.wall())
            assert not isinstance(runs, Unreadable)
            active = +loads[transfer_id]
            done = Counter(one.day for one in runs if one.status is RunStatus.COMPLETED)
            loads[transfer_id].update({day: n for day, n in done.items() if day not in active or n > 1})
        return loads

    def check_all_once(self) -> None:
        """Everything declared is active or loaded exactly once, and nothing else is."""
        loads = self.loads()
        for transfer in self.team().transfers:
            counted = loads[transfer.address.transfer_id]
            assert counted == dict.fromkeys(transfer.days, 1), (transfer.name, counted)

    def check_rest_is_told(self) -> None:
        """What is neither active nor loaded is shown as such: a lie may block a day, never lose one."""
        loads = self.loads()
        for ledger in self.run().plan().situation.ledgers:
            counted = loads.get(ledger.transfer.address.transfer_id, Counter())
            missing = {day for day in ledger.transfer.days if not counted[day]}
            assert not missing & set(ledger.days(Bucket.COVERED)), (ledger.transfer.name, missing)

    def recover(self, *, lied: bool = False) -> None:
        """Without faults, at most two runs after settle time finish the work.

        A refusal that was put down to nothing in particular holds for a day, and a cancelled
        backfill settles within an hour.
        """
        document, _revision = self.store().read()
        intents = document.intents.values() if document else ()
        self.later(SETTLED)
        if any(one.outcome is Outcome.REFUSED for one in intents):
            self.later(DAY)
        first = self.apply()
        self.check(first, lied=lied)
        if first.status or self._left():
            self.later(2 * HOUR)
            second = self.apply()
            self.check(second, lied=lied)
            assert second.status == 0, (first, second)
        if lied:
            self.check_rest_is_told()
        else:
            self.check_all_once()

    def _left(self) -> bool:
        return any(
            self.loads().get(one.address.transfer_id, {}) != dict.fromkeys(one.days, 1)
            for one in self.team().transfers
        )


def _told(error: ReconcilerError) -> str:
    return f"{error.summary}\n{error.detail}\n{error.hint}"


def days_of(backfill: dict[str, Any]) -> DateSet:
    return DateSet.span(parse_iso(backfill["range_start_date"]), parse_iso(backfill["range_end_date"]) + 1)


@contextmanager
def served(folder: Path, settings: dict[str, Any] | None = None, **more: Any) -> Iterator[Rig]:
    """Serve a sandbox in which four transfers exist; one of them fails on a day, once."""
    folder.mkdir(parents=True, exist_ok=True)
    transfers = {number: {"name": f"transfer {number}"} for number in (1, 2, 3, 4)}
    transfers[4]["fail_days"] = FAILING  # type: ignore[assignment]
    scene = {
        "now": "2024-06-01T09:00:00Z",
        "settings": settings or {},
        "teams": {TEAM: {"transfers": transfers}},
    }
    time = VirtualTime()
    sandbox = Sandbox.in_memory(scene, clock=lambda: time.now)
    with running(sandbox.app, slow_seconds=SLOW) as base_url:
        transport = HttpTransport(base_url, KEY, max_body=BODY_MAX, connect_timeout=PATIENT, body_within=1.0)
        try:
            yield Rig(folder, base_url, sandbox, time, transport, **more)
        finally:
            transport.close()


def begun(rig: Rig) -> None:
    """Bring a world to where every operation is needed: one backfill of ours completed and vanished,
    one of ours failed and must be cancelled before its day is tried again, two transfers are new.
    """
    whole = rig.text
    rig.declare(BEGUN)
    assert rig.apply().status == 0
    rig.later(DAY)
    rig.declare(whole)
