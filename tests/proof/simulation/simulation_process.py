"""One simulated process: the real apply, as the command runs it, with troubles at its I/O points."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from simulation_disk import PointedStore, Unheard, WatchedStore
from simulation_memory import Conditions
from simulation_network import CALM, Weather, Wire
from simulation_stage import Actor, Killed, Stage

from reconciler.api.client import ApiClient
from reconciler.cli.signals import Signals
from reconciler.dates import iso, last_iso
from reconciler.engine.clock import Clock
from reconciler.engine.observe import Reader
from reconciler.engine.report import TeamReport
from reconciler.engine.team import RunSettings, Surveyed, TeamRun
from reconciler.errors import Interrupted, ReconcilerError, Refused
from reconciler.events import Doing
from reconciler.http import Pacer, Retry, WsgiTransport
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document
from reconciler.planning.approval import still_approved
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Plan
from reconciler.stores.holders import LockInfo

if TYPE_CHECKING:
    from simulation_truth import Truth

API = "sandbox"
LOSSY = 0.1  # of the schedules lose answers to commits
KEY = "of the one key"
TERM = 15


class Kind(Enum):
    KILL = auto()
    FREEZE = auto()
    SIGNAL = auto()


@dataclass(frozen=True)
class Trouble:
    """What happens at the ``count``-th point of a kind (``*``: of any kind)."""

    kind: Kind
    point: str
    count: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Dial:
    """A process's clock: how many seconds it is ahead at ``first``, and ``then``, once it is set at the
    ``at``-th I/O point.
    """

    first: float = 0.0
    then: float = 0.0
    at: int = 10**9


@dataclass(frozen=True)
class Flags:
    """How a process is started. ``slowness`` is the most seconds that one I/O takes."""

    lock: bool
    settle: float
    weather: Weather
    troubles: tuple[Trouble, ...] = ()
    slowness: float = 0.01
    saved: Plan | None = None
    bounded: bool = True
    dial: Dial = Dial()
    key: str = KEY


class _Run(TeamRun):
    """A team's run that notes when each survey began: what came later, its plan could not know."""

    process: Process

    def _reader(self) -> Reader:
        process = self.process
        process.surveyed, process.conditions = process.stage.now, process.truth.conditions()
        process.asked.clear()
        return super()._reader()

    def survey(self, *given: Any, **more: Any) -> Surveyed:
        """What a survey was shown is in the state once it is over: nothing may be forgotten from then on."""
        surveyed = super().survey(*given, **more)
        self.process.truth.remember(self.process, surveyed.situation.observed)
        self.process.has_planned(surveyed)
        return surveyed


@dataclass(eq=False)
class Process:
    """``statuses`` are the exit statuses that hold; ``None`` until it ended, and if it was killed."""

    name: str
    stage: Stage
    truth: Truth
    team: DesiredTeam
    folder: str
    flags: Flags
    weather: Weather = field(init=False)
    dead: bool = False
    started: float = 0.0
    surveyed: float = 0.0
    conditions: Conditions = field(default_factory=Conditions)
    asked: dict[int, int] = field(default_factory=dict)  # the first day asked for, by transfer
    statuses: frozenset[int] | None = None
    first_plan: Surveyed | None = None
    report: TeamReport | None = None
    error: ReconcilerError | None = None
    seen: dict[str, int] = field(default_factory=dict)
    actor: Actor = field(init=False)
    signals: Signals = field(default_factory=lambda: Signals(shown=lambda _text: True))

    def __post_init__(self) -> None:
        self.weather = self.flags.weather
        self.truth.keys.add(self.flags.key)
        self.actor = Actor(self.stage, self.name, self._main)
        self._rng = random.Random(self.stage.rng.getrandbits(64))
        self._losses = random.Random(
            f"lost answers {self.stage.seed}"
        )  # by itself: other seeds stay as they are
        lossy = self._losses.random() < LOSSY and self.weather is not CALM
        self._loss = 0.25 if lossy else 0.0
        self._losses.seed(f"lost answers {self.stage.seed} {self.name}")
        inner = PointedStore(self, self.folder, self.team.team_id, API)
        self.store = WatchedStore(self, inner, lambda delta: self.truth.check_commit(self, delta))

    # -- points ----------------------------------------------------------------------------

    def point(self, kind: str) -> None:
        """An I/O point: anything may happen here."""
        if self.dead:
            raise Killed
        self.seen[kind] = self.seen.get(kind, 0) + 1
        self.seen["*"] = self.seen.get("*", 0) + 1
        for trouble in self.flags.troubles:
            if self.seen.get(trouble.point) == trouble.count and trouble.point in (kind, "*"):
                self._strike(trouble, kind)
        self.pause(self._rng.random() * self.flags.slowness)

    def pause(self, seconds: float) -> None:
        self.stage.pause(self.actor, seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep as the command does: a signal ends it."""
        self.point("sleep")
        if self.signals.signal.signum is None:
            self.pause(seconds)
        if self.signals.signal.signum is not None:
            raise Interrupted(self.signals.signal.signum)

    def _strike(self, trouble: Trouble, kind: str) -> None:
        self.note(f"{trouble.kind.name.lower()}:{kind}")
        match trouble.kind:
            case Kind.KILL:
                self.die()
            case Kind.FREEZE:
                seconds = self._bearable(trouble.seconds) if kind in ("POST", "PATCH") else trouble.seconds
                self.log(f"is frozen for {seconds:.0f} s at {kind}")
                self.pause(seconds)
                self.log("thaws")
            case Kind.SIGNAL if self.signals.signal.signum is None:
                self.log(f"is terminated at {kind}")
                self.signals._on_signal(TERM, None)

    def _bearable(self, seconds: float) -> float:
        """Between its last check and its write a sender freezes no longer than its deadline, if bounded."""
        return min(seconds, 60.0) if self.flags.bounded else seconds

    def die(self) -> NoReturn:
        self.log("is killed")
        self.dead = True
        self.store.drop_dead()
        raise Killed

    def unheard(self) -> Unheard | None:
        """Return what becomes of a commit whose answer is lost; ``None``: it is heard."""
        chance = self._losses
        if chance.random() >= self._loss:
            return None
        seconds = chance.choice([0.0, 0.0, 1.0, 30.0, 70.0, 400.0, 4000.0])
        lost = Unheard(chance.random() < 0.7, seconds, chance.random() < 0.7)
        self.note(f"unheard:{lost}{'' if lost.readable else ' and given up'}")
        self.log(f"hears nothing of a commit for {seconds:.0f} s ({lost}, readable: {lost.readable})")
        return lost

    def tears(self) -> bool:
        """Tell whether a kill inside a transaction comes amid its COMMIT."""
        torn = self._rng.random() > 0.5
        self.note("left:half" if torn else "left:undone")
        return torn

    def wall(self) -> datetime:
        """Return what time it is by this process's clock."""
        dial = self.flags.dial
        ahead = dial.first if self.seen.get("*", 0) < dial.at else dial.then
        return datetime.fromtimestamp(self.stage.now + ahead, UTC)

    def log(self, what: str) -> None:
        self.stage.log(self.name, what)

    def note(self, what: str) -> None:
        self.stage.counts[what] += 1
        if self.stage.tracing and what.startswith("fault:"):
            self.log(what)

    # -- the command -----------------------------------------------------------------------

    def _main(self) -> None:
        self.started = self.stage.now
        self.log(f"starts ({self.words()})")
        try:
            self.statuses = frozenset(self._apply())
        except ReconcilerError as error:
            self.error = error
            self.statuses = frozenset({error.exit_status})
        except Killed:
            self.truth.check_state(self.name)
            raise
        self.log(f"ends with {sorted(self.statuses)} {self.error or ''}")
        self.truth.check_ended(self)

    def words(self) -> str:
        plan = " with a saved plan" if self.flags.saved is not None else ""
        clock = f", clock {self.flags.dial}" if self.flags.dial.first else ""
        return f"lock {'on' if self.flags.lock else 'off'}, settle {self.flags.settle:.0f} s{plan}{clock}"

    def _apply(self) -> set[int]:
        """Lock, open, survey, refuse what a guard forbids, carry out, close: as ``cli/apply.py`` does."""
        run = self._team_run()
        with ExitStack() as stack:
            stack.callback(self.store.close)
            if self.flags.lock:
                stack.enter_context(self.store.lock(self._lock_info(), 0.0))
            session = run.open()
            saved = self.flags.saved
            approval = partial(still_approved, saved) if saved is not None else None
            surveyed = self.first_plan = run.survey(session, approval)
            self._log_plan(surveyed)
            if surveyed.plan.guarded:
                raise Refused("A guard refuses this plan")
            holds = self.store.holds_lock if self.flags.lock else lambda: True
            with self.signals.only_noted():
                self.report = run.carry_out(session, surveyed, self.signals.signal, holds)
        return self.report.statuses

    def has_planned(self, surveyed: Surveyed) -> None:
        """A survey is over, and its plan made."""

    def sources(self, transfer_id: int) -> tuple[int, ...]:
        """Return the ids whose loads count for one of its transfers."""
        found = (one.source_ids for one in self.team.transfers if one.address.transfer_id == transfer_id)
        return next(found, (transfer_id,))

    def first_plan_is_empty(self) -> bool:
        return (
            self.first_plan is not None
            and not self.first_plan.plan.actions
            and not self.first_plan.plan.of(Bucket.DEFERRED)
        )

    def _log_plan(self, surveyed: Surveyed) -> None:
        if self.stage.tracing:
            for one in surveyed.plan.actions:
                days = f"{one.transfer} {iso(one.start)}..{last_iso(one.end)}"
                self.log(f"plans to {one.kind.value} {days} {dict(one.reasons)} cancels {one.cancels}")
            self.log(f"buckets: {surveyed.plan.counts.as_dict()}")

    def _lock_info(self) -> LockInfo:
        return LockInfo(self.name, "simulation", self.stage.wall(), "apply", 1, "here")

    def _team_run(self) -> TeamRun:
        stage = self.stage
        inner = WsgiTransport(self.truth.sandbox.app, key=self.flags.key)
        wire = Wire(self, inner, self.truth, self._rng)
        retry = Retry(rng=random.Random(self._rng.getrandbits(64)), sleep=self.sleep)
        pacer = Pacer(float("inf"), clock=lambda: stage.now, sleep=self.sleep)
        client = ApiClient(wire, self.team.team_id, pacer=pacer, retry=retry, now=self.wall)
        run = _Run(
            team=self.team,
            client=client,
            store=self.store,
            blank=Document(team_id=self.team.team_id, api_url=API),
            clock=Clock(self.wall, lambda: stage.now, self.sleep),
            settings=RunSettings(timedelta(seconds=self.flags.settle), parallelism=1),
            on_event=self._tell,
            saving=self.signals.deferred,
            key_hash=self.flags.key,
        )
        run.process = self
        return run

    def _tell(self, event: object) -> None:
        if isinstance(event, Doing):  # goes on, and decides nothing
            return
        self.note(f"event:{type(event).__name__}")
        if self.stage.tracing:
            self.log(f"event {event}")
