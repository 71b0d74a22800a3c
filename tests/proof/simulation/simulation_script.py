"""What a seed stands for: a small world, a file that is edited, processes, people, and bad luck."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import Enum, auto
from typing import Any

from simulation_network import Weather
from simulation_process import Dial, Flags, Kind, Trouble
from simulation_truth import TEAM

from reconciler.dates import DateSet, union
from reconciler.diagnostics import Place
from reconciler.model.desired import (
    Address,
    Chunk,
    DesiredTeam,
    DesiredTransfer,
    EvidenceMode,
    Limits,
    OnUnknown,
    Order,
    Segment,
)

NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
FIRST = date(2024, 5, 14).toordinal()
LENGTH = 12
PLACE = Place("backfills.yaml", 1, 1)
AWAY = 100  # what is added to the id of a transfer that is created anew
GAPS = (0.5, 20.0, 60.0, 200.0, 400.0, 1000.0, 3700.0, 7300.0, 90000.0)
FREEZES = (5.0, 50.0, 70.0, 200.0, 500.0, 1000.0, 4000.0, 30000.0, 200000.0)
POINTS = (
    "*",
    "*",
    "GET",
    "GET-answered",
    "POST",
    "POST-answered",
    "POST-lost",
    "commit",
    "committed",
    "inside",
)
POINTS += (
    "backup",
    "holds-lock",
    "sleep",
    "was-read",
    "PATCH",
    "PATCH-answered",
    "finish",
    "backed-up",
    "finished",
)

CANCEL_POINTS = (
    "PATCH",
    "PATCH",
    "PATCH-answered",
    "PATCH-answered",
    "PATCH-lost",
    "commit",
    "committed",
    "inside",
)
LATE_POINTS = ("*", "GET", "GET-answered", "GET-answered", "GET-answered", "commit", "committed", "sleep")


class Theme(Enum):
    """What a schedule is rich in. ``LATE``: creates that take effect late, and runs meanwhile that
    are slow or frozen. ``CROWD``: runs at once, without the lock. ``CANCELS``: days that fail, and
    runs that come to grief while they cancel what failed, or prune.
    """

    ANYTHING = auto()
    LATE = auto()
    CROWD = auto()
    CANCELS = auto()


@dataclass(frozen=True)
class Declared:
    """One transfer of the file, as the script keeps it."""

    days: DateSet
    stale_before: datetime | None = None


@dataclass
class Script:
    """Everything that is fixed by a seed before the play begins; the play itself draws on ``rng`` too."""

    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.theme = rng.choice([Theme.ANYTHING, Theme.ANYTHING, Theme.ANYTHING, Theme.LATE, Theme.CROWD])
        if random.Random(f"cancel {self.seed}").random() < 0.1:  # by itself: the other seeds stay as they are
            self.theme = Theme.CANCELS
        self.transfers = sorted(rng.sample(range(100, 110), rng.choice([1, 1, 1, 2])))
        self.moves = random.Random(f"moves {self.seed}")  # by itself, too
        self.spread = self.moves.choice([0.0, 0.0, 0.0, 5.0, 60.0, 100.0])
        self.anew = self.moves.choice([None] * 6 + [0, 1])
        self.previous: dict[int, int] = {}
        self.on_unknown = OnUnknown.BLOCK if rng.random() < 0.3 else OnUnknown.SETTLE
        self.bounded = self.on_unknown is OnUnknown.SETTLE or rng.random() < 0.2
        self.settle = rng.choice([300.0, 900.0, 900.0, 3600.0])
        self.lag = rng.choice([0.0, 0.0, 3.0, 40.0, 150.0])
        self.list_cap = rng.choice([100, 100, 100, 3, 5])
        self.attempts = rng.choice([2, 3, 3])
        self.limits = self._limits()
        self.order = rng.choice(list(Order))
        self.chunk = rng.choice([Chunk.NONE, Chunk.NONE, Chunk.WEEK])
        self.evidence = {
            one: rng.choice([EvidenceMode.RUNS, EvidenceMode.RUNS, EvidenceMode.RUNS, EvidenceMode.BACKFILLS])
            for one in self.transfers
        }
        self.blind = random.Random(f"blind {self.seed}").random() < 0.12  # run lists cannot be read
        if self.blind:
            self.evidence = dict.fromkeys(self.evidence, EvidenceMode.BACKFILLS)
        self.prune = rng.random() < (0.5 if self.theme is Theme.CANCELS else 0.15)
        self.file = {one: Declared(self._days()) for one in self.transfers}
        self.weather = self._weather()

    # -- the vendor ------------------------------------------------------------------------

    def scene(self) -> dict[str, Any]:
        rng = self.rng
        until, pace = rng.choice([(1, 1), (1, 5), (5, 20), (30, 60), (60, 600)])
        if self.theme is Theme.LATE:
            until, pace = rng.choice([(1, 1), (1, 1), (1, 5), (30, 60)])
        settings = {
            "overlap_status": rng.choice([400, 409, 422]),
            "failed_blocks_overlap": rng.random() < 0.7,
            "failed_while_running": rng.random() < 0.3,
            "completed_with_failures": rng.random() < 0.2,
            "error_report": rng.choice(["full", "full", "partial", "empty"]),
            "list_lag_seconds": self._lagging(),
            "latest_lag_seconds": self._lagging(),
            "get_lag_seconds": self._lagging(),
            "list_cap": self.list_cap,
            "runs_filter": rng.choice(["data_date", "created_time"]),
            "clock_skew_seconds": rng.choice([0, 0, 0, -300, 300, 3600]),
            "id_shape": rng.choice(["number", "string"]),
            "envelope": rng.random() < 0.8,
            "error_shape": rng.choice(["envelope", "problem"]),
            "seconds_until_scheduled": until,
            "seconds_until_running": until,
            "seconds_per_run": pace,
        }
        transfers = {one: self._transfer(one, rng) for one in self.transfers}
        if self.anew is not None:
            transfers |= {one + AWAY: self._transfer(one + AWAY, self.moves) for one in self.transfers}
        teams = {TEAM: {"transfers": transfers}}
        return {"now": "2024-06-01T09:00:00Z", "settings": settings, "teams": teams}

    def _lagging(self) -> float:
        return self.rng.choice([0.0, self.lag])

    def _transfer(self, transfer_id: int, rng: random.Random) -> dict[str, Any]:
        several = [2, 3, 5] if self.theme is Theme.CANCELS else [0, 0, 1, 2]
        fails = {
            date.fromordinal(FIRST + rng.randrange(LENGTH)).isoformat(): {"error": "timeout", "times": 1}
            for _ in range(rng.choice(several))
        }
        made: dict[str, Any] = {"name": f"transfer {transfer_id}", "fail_days": fails}
        if rng.random() < 0.15:
            made["recurring_since"] = date.fromordinal(FIRST + rng.randrange(LENGTH)).isoformat()
        return made

    # -- the file --------------------------------------------------------------------------

    def _limits(self) -> Limits:
        rng = self.rng
        return Limits(
            max_open_backfills=min(self.list_cap, rng.choice([100, 100, 2])),
            max_open_per_transfer=rng.choice([None, None, 1, 2]),
            max_creates_per_apply=rng.choice([None, None, None, 1, 2]),
            max_days_per_backfill=rng.choice([None, None, 2, 3, 5]),
        )

    def _days(self) -> DateSet:
        return union(self._range() for _ in range(self.rng.choice([1, 1, 2])))

    def _range(self) -> DateSet:
        first, last = sorted((self.rng.randrange(LENGTH), self.rng.randrange(LENGTH)))
        return DateSet.span(FIRST + first, FIRST + last + 1)

    def edit(self, now: float) -> str:
        """Change the file as people do: more days, fewer days, or days to load again."""
        rng = self.rng
        one = rng.choice(self.transfers)
        before = self.file[one]
        match rng.choice(["grow", "shrink", "stale", "stale"]):
            case "grow":
                self.file[one] = replace(before, days=before.days | self._days())
            case "shrink":
                left = before.days - self._days()
                self.file[one] = replace(before, days=left or before.days)
            case _:
                ago = rng.choice([0.0, 0.0, 10.0, 120.0, 3000.0])
                since = datetime.fromtimestamp(int(now - ago), UTC)
                newest = max(since, before.stale_before or since)
                self.file[one] = replace(before, stale_before=newest)
        return f"{one}: {self.file[one].days!r} stale before {self.file[one].stale_before}"

    def create_anew(self) -> str:
        """Let the file name a new transfer in the place of one, which is its predecessor from now on, and
        perhaps of the other transfer too.
        """
        one = self.moves.choice(self.transfers)
        new = one + AWAY
        self.transfers = sorted({*self.transfers, new} - {one})
        self.previous[new] = one
        self.file[new], self.evidence[new] = self.file.pop(one), self.evidence[one]
        if random.Random(f"shared {self.seed}").random() < 0.5:
            self.previous |= dict.fromkeys(self.transfers, one)
        return f"{new} takes the place of {one}"

    def created_by_people(self) -> int:
        """Return the transfer that a person creates on: some still take the old one."""
        one = self.rng.choice(self.transfers)
        return self.previous[one] if one in self.previous and self.moves.random() < 0.5 else one

    def team(self, now: float) -> DesiredTeam:
        """Return what the file declares, read now."""
        as_of = datetime.fromtimestamp(now, UTC).date().toordinal()
        return DesiredTeam(
            team_id=TEAM,
            as_of=as_of,
            as_of_is_today=True,
            transfers=tuple(self._desired(one, as_of) for one in self.transfers),
            declared_ids=frozenset(self.transfers),
            order=self.order,
            prune=self.prune,
            on_unknown=self.on_unknown,
            limits=self.limits,
        )

    def _desired(self, transfer_id: int, as_of: int) -> DesiredTransfer:
        declared = self.file[transfer_id]
        segments = tuple(
            Segment(start, end, PLACE, "", declared.stale_before) for start, end in declared.days.intervals
        )
        return DesiredTransfer(
            address=Address(TEAM, transfer_id),
            name=f"t{transfer_id}",
            place=PLACE,
            segments=segments,
            loadable_until=as_of,
            previous_ids=(self.previous[transfer_id],) if transfer_id in self.previous else (),
            chunk=self.chunk,
            max_attempts=self.attempts,
            evidence=self.evidence[transfer_id],
        )

    # -- processes -------------------------------------------------------------------------

    def _weather(self) -> Weather:
        rng = self.rng
        lateness = self.settle - self.lag - self.spread - 1.0 if self.bounded else None
        reads, creates, cancels = rng.choice(
            [(0.0, 0.3, 0.2), (0.02, 0.5, 0.3), (0.1, 0.8, 0.5), (0.0, 0.0, 0.0)]
        )
        if self.theme is Theme.LATE:
            return Weather(reads, max(creates, 0.5), cancels, lateness, late=True)
        if self.theme is Theme.CANCELS:
            return Weather(reads, creates / 4, rng.choice([0.0, 0.3, 0.8]), lateness)
        return Weather(reads, creates, cancels, lateness)

    def gap(self) -> float:
        """Return the seconds to the next round."""
        rng = self.rng
        if self.theme is Theme.LATE and rng.random() < 0.8:
            return self.settle * rng.random() * 1.3
        if self.theme is Theme.CANCELS:
            return rng.choice(GAPS[-4:]) * (0.5 + rng.random())
        return rng.choice(GAPS) * (0.5 + rng.random())

    def rounds(self) -> int:
        return self.rng.choice([2, 3, 3] if self.theme is Theme.CANCELS else [1, 2, 2, 3])

    def runs_at_once(self) -> int:
        return self.rng.choice([2, 3, 3, 4] if self.theme is Theme.CROWD else [1, 1, 2, 2, 3])

    def lock(self) -> bool:
        return self.theme is not Theme.CROWD and self.rng.random() < 0.4

    def flags(self, *, lock: bool) -> Flags:
        rng = self.rng
        return Flags(
            lock=lock,
            settle=self.settle * rng.choice([1.0, 1.0, 1.0, 2.0]),
            weather=self.weather,
            troubles=tuple(self._troubles()),
            slowness=rng.choice([0.001, 0.05, 0.5, 5.0]),
            bounded=self.bounded,
            dial=self._dial(),
        )

    def _dial(self) -> Dial:
        """Return a process's clock: no two differ by more than ``spread`` seconds."""
        first, then = ((self.moves.random() - 0.5) * self.spread for _ in range(2))
        return Dial(first, then, self.moves.choice([10**9, self.moves.randint(5, 40)]))

    def _troubles(self) -> Iterable[Trouble]:
        rng = self.rng
        for _ in range(rng.choice([0, 0, 1, 1, 2]) + (self.theme in (Theme.LATE, Theme.CANCELS))):
            point = rng.choice(POINTS)
            kind = rng.choice([Kind.KILL, Kind.KILL, Kind.FREEZE, Kind.FREEZE, Kind.SIGNAL])
            kind = Kind.FREEZE if self.theme is Theme.LATE and rng.random() < 0.7 else kind
            seconds = rng.choice(FREEZES) * (0.5 + rng.random())
            if self.theme is Theme.LATE:
                point, seconds = rng.choice(LATE_POINTS), self.settle * rng.random() * 1.5
            if self.theme is Theme.CANCELS and rng.random() < 0.7:
                point = rng.choice(CANCEL_POINTS)
            count = rng.randint(1, 40) if point == "*" else rng.choice([1, 1, 1, 2, 2, 3, 5])
            if point in ("inside", "backup", "backed-up", "finished") and kind is Kind.FREEZE:
                seconds = min(seconds, 1.0)  # whoever holds the commit's lock that long stops all others
            yield Trouble(kind, point, count, seconds)
