"""Nightly applies of many transfers against the sandbox, and a judge that knows only when what was loaded.

The judge is independent of the program: it works out by itself when a schedule loads which day, notes what it
told the program to make each night, and decides by the rule of docs/planning.md what is due.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.api.client import ApiClient
from reconciler.config.loading import read_files
from reconciler.engine.clock import Clock
from reconciler.engine.stop import StopSignal
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.http import Pacer, Retry, WsgiTransport
from reconciler.model.memory import Document
from reconciler.sandbox import Sandbox
from reconciler.stores.urls import open_store

TEAM = 12345
API = "sandbox"
DAY = timedelta(days=1)
FIRST_TO_END = timezone(timedelta(hours=14))  # loads are dated there where no zone is set
FIRST = date(
    2025, 3, 1
)  # the first day declared, if not told otherwise: in March clocks change, here and there
OPENS = datetime(2025, 3, 1, 12, tzinfo=UTC)
BEFORE = 31 * DAY  # so long before the first day declared the schedules began
HOURLY = timedelta(hours=1)


@dataclass(frozen=True)
class Habit:
    """A transfer's schedule, and whether its file declares the days until today.

    Each day from ``at`` on, every ``step``, it loads the last ``window`` days before that day, or with it.
    ``window`` 0: it has no schedule.
    """

    at: timedelta
    window: int
    includes_today: bool
    step: timedelta = DAY
    until_today: bool = False

    def scene(self, since: date) -> dict[str, Any]:
        """Return it in the words of the sandbox."""
        if not self.window:
            return {}
        at = f"{self.at.seconds // 3600:02}:{self.at.seconds // 60 % 60:02}"
        schedule = {"at": at, "window": self.window, "includes_today": self.includes_today}
        per_day = {"runs_per_day": DAY // self.step}
        return {"recurring_since": since.isoformat(), "schedule": schedule, **per_day}

    def loads_between(self, after: datetime, until: datetime) -> Iterator[tuple[date, datetime]]:
        """Yield day and time of each load begun in the half-open (after, until]."""
        which = after.date()
        while self.window and which <= until.date():
            at = datetime(which.year, which.month, which.day, tzinfo=UTC) + self.at
            for turn in range(DAY // self.step):
                if after < at + turn * self.step <= until:
                    last = which if self.includes_today else which - DAY
                    yield from ((last - back * DAY, at + turn * self.step) for back in range(self.window))
            which += DAY


@dataclass
class Judge:
    """When the days of one transfer were loaded: the dates on which that began, by whom."""

    habit: Habit
    zone: tzinfo
    final_after: int | None
    first: date
    by_schedule: dict[date, set[date]] = field(default_factory=dict)
    by_us: dict[date, set[date]] = field(default_factory=dict)

    def note_schedule(self, after: datetime, until: datetime) -> None:
        for which, at in self.habit.loads_between(after, until):
            self.by_schedule.setdefault(which, set()).add(at.astimezone(self.zone).date())

    def note_ours(self, days: list[date], as_of: date) -> None:
        for which in days:
            self.by_us.setdefault(which, set()).add(as_of)

    def due(self, as_of: date) -> list[date]:
        """Return what must be made tonight, sorted: what nobody loaded, and what was loaded too early."""
        last = as_of - (timedelta(0) if self.habit.until_today else DAY)
        every = (self.first + DAY * number for number in range((last - self.first).days + 1))
        return [which for which in every if not self._is_covered(which, as_of)]

    def _is_covered(self, which: date, as_of: date) -> bool:
        scheduled, ours = self.by_schedule.get(which, set()), self.by_us.get(which, set())
        if self.final_after is None:
            return bool(scheduled) or any(on > which for on in ours) or (bool(ours) and as_of <= which + DAY)
        is_final = any(on >= which + DAY * max(self.final_after, 1) for on in scheduled | ours)
        return is_final or (bool(scheduled | ours) and as_of <= which + DAY * self.final_after)


@dataclass
class Nights:
    """One team, whose transfers are named by number, and its state and API, on one clock."""

    folder: Path
    habits: list[Habit]
    zone: str
    final_after: int | None
    first: date = FIRST
    now: float = OPENS.timestamp()
    sandbox: Sandbox = field(init=False)
    judges: list[Judge] = field(init=False)

    def __post_init__(self) -> None:
        since = self.first - BEFORE
        transfers = {number: habit.scene(since) for number, habit in enumerate(self.habits, 1)}
        scene = {"now": f"{OPENS:%Y-%m-%dT%H:%M:%SZ}", "teams": {TEAM: {"transfers": transfers}}}
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: self.now)
        self.judges = [Judge(habit, self._dated_in, self.final_after, self.first) for habit in self.habits]
        for judge in self.judges:
            judge.note_schedule(datetime(since.year, since.month, since.day, tzinfo=UTC), OPENS)
        (self.folder / "backfills.yaml").write_text(self._file(), "utf-8")

    def _file(self) -> str:
        lines = ["version: 1", f"team_id: {TEAM}", *([f"timezone: {self.zone}"] if self.zone else ())]
        if self.final_after is not None:
            lines += [f"defaults: {{final_after: {self.final_after}d}}"]
        lines += ["transfers:"]
        for number, habit in enumerate(self.habits, 1):
            until = "today" if habit.until_today else "yesterday"
            more = ", allow_today: true" if habit.until_today else ""
            lines += [f"  t{number}: {{transfer_id: {number}, ranges: [{self.first}..{until}]{more}}}"]
        return "\n".join(lines)

    @property
    def _dated_in(self) -> tzinfo:
        return ZoneInfo(self.zone) if self.zone else FIRST_TO_END

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    @property
    def as_of(self) -> date:
        return self.moment.astimezone(ZoneInfo(self.zone or "UTC")).date()

    def wait_until(self, hour: int, minute: int = 10) -> None:
        """Let time pass to the next time it is this o'clock (UTC)."""
        before = self.moment
        then = before.replace(hour=hour, minute=minute, second=0, microsecond=0)
        self.now = (then if then > before else then + DAY).timestamp()
        for judge in self.judges:
            judge.note_schedule(before, self.moment)

    def apply(self) -> list[list[date]]:
        """Apply, and return the days made of each transfer, sorted."""
        known = len(self.sandbox.backfills())
        run = self._run()
        session = run.open()
        surveyed = run.survey(session, None)
        report = run.carry_out(session, surveyed, StopSignal(), lambda: True)
        run.store.close()
        assert not report.statuses, report
        return self._made_since(known)

    def _made_since(self, known: int) -> list[list[date]]:
        made: list[list[date]] = [[] for _habit in self.habits]
        for one in self._backfills()[known:]:
            first, last = (date.fromisoformat(one[f"range_{side}_date"]) for side in ("start", "end"))
            days = [first + DAY * number for number in range((last - first).days + 1)]
            made[int(one["transfer_id"]) - 1] += days
        return [sorted(days) for days in made]

    def _backfills(self) -> list[dict[str, Any]]:
        return sorted(self.sandbox.backfills(), key=lambda one: int(one["transfer_backfill_id"]))

    def night(self) -> tuple[list[list[date]], list[list[date]]]:
        """Apply, and return what had to be made of each transfer, and what was."""
        as_of = self.as_of
        due = [judge.due(as_of) for judge in self.judges]
        made = self.apply()
        for judge, days in zip(self.judges, made, strict=True):
            judge.note_ours(days, as_of)
        return due, made

    def _run(self) -> TeamRun:
        (team,) = read_files([self.folder / "backfills.yaml"], as_of=None, now=self.moment).teams
        retry = Retry(rng=random.Random(1), sleep=self._pass)
        pacer = Pacer(float("inf"), clock=lambda: self.now, sleep=self._pass)
        transport = WsgiTransport(self.sandbox.app, key="ours")
        client = ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=lambda: self.moment)
        store = open_store(str(self.folder / "state"), TEAM, API, "test")
        clock = Clock(lambda: self.moment, lambda: self.now, self._pass)
        blank = Document(team_id=TEAM, api_url=API)
        return TeamRun(team, client, store, blank, clock, RunSettings(parallelism=1), key_hash="ours")

    def _pass(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
