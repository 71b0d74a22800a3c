"""What a wide seed stands for: months of days, schedules, files that change, and reads that never tell all.

Where the schedules of ``simulation_script.py`` are rich in what goes wrong within a minute, these are rich in
what changes between runs: what run lists show, what the files say, what people do, and which state is there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from typing import Any
from zoneinfo import ZoneInfo

from simulation_network import Weather
from simulation_process import Flags, Kind, Trouble
from simulation_script import NOW, PLACE, POINTS

from reconciler.dates import DateSet, union
from reconciler.model.desired import (
    Address,
    Chunk,
    DesiredTeam,
    DesiredTransfer,
    EvidenceMode,
    Limits,
    LoadedDays,
    OnUnknown,
    Order,
    Segment,
)

AGAIN = 100  # what is added to the id of a transfer that is created anew
TODAY = NOW.date().toordinal()
GAPS = (600.0, 2400.0, 3600.0, 7300.0, 30000.0, 86400.0, 90000.0, 3 * 86400.0, 8 * 86400.0)
ZONES = ("", "", "", "UTC", "Europe/Helsinki", "America/Los_Angeles", "Pacific/Auckland")
LAGS = (0.0, 0.0, 3.0, 60.0, 250.0)
RUN_LAGS = (0.0, 0.0, 60.0, 1200.0, 5000.0)
COUNTER_LAGS = (0.0, 0.0, 60.0, 1800.0, 3300.0)
WORDS: tuple[Any, ...] = (
    "SKIPPED",
    "CANCELED",
    {"status": "RUNNING", "holds": False},
    {"status": "RUNNING", "holds": True},
    {"status": "SKIPPED", "times": 1},
)


class Richness(Enum):
    """What a wide schedule is rich in. ``SHELLS``: backfills that fail for good, and few places.
    ``GROWTH``: a range that grows each day, also while all comes to rest, and few creates.
    """

    ANYTHING = auto()
    SHELLS = auto()
    GROWTH = auto()


@dataclass(frozen=True)
class Wish:
    """One transfer of a file. ``rolling``: from this day on to yesterday, besides ``days``."""

    days: DateSet
    rolling: int | None = None
    stale_before: datetime | None = None
    stale_days: DateSet = field(default_factory=DateSet)
    final_after: int | None = None
    loaded: tuple[LoadedDays, ...] = ()
    evidence: EvidenceMode = EvidenceMode.RUNS
    retry_after: float = 3600.0
    attempts: int = 3
    chunk: Chunk = Chunk.NONE
    paused: bool = False


class WideScript:
    """Everything of one team's file that is fixed by a seed before the play begins, and how it is edited."""

    bounded = True
    blind = False
    spread = 0.0
    list_cap = 100

    def __init__(self, seed: int, team_id: int) -> None:
        rng = self.rng = random.Random(f"wide {seed} {team_id}")
        self.seed, self.team_id = seed, team_id
        self.settle = 900.0
        self.on_unknown = OnUnknown.SETTLE
        self.lag = 250.0
        self.zone = rng.choice(ZONES)
        self.theme = rng.choices(list(Richness), weights=[84, 8, 8])[0]
        self.long = self.theme is Richness.ANYTHING and rng.random() < 0.25  # months rather than weeks
        self.transfers = sorted(rng.sample(range(100, 110), rng.choice([1, 1, 2])))
        self.previous: dict[int, int] = {}
        self.target: set[int] | None = None
        self.frozen: int | None = None  # no range grows from this day on
        self.order = rng.choice(list(Order))
        self.limits = self._limits()
        blind = rng.random() < 0.25
        self.file = {one: self._wish(blind) for one in self.transfers}
        self.weather = rng.choice([Weather(), Weather(), Weather(0.03, 0.2, 0.2, self.settle - self.lag - 2)])

    # -- the vendor ------------------------------------------------------------------------

    def scene(self) -> dict[int, dict[str, Any]]:
        """Return the transfers, those to come included."""
        ids = [*self.transfers, *(one + AGAIN for one in self.transfers)]
        return {one: self._transfer(one) for one in ids}

    def _transfer(self, transfer_id: int) -> dict[str, Any]:
        rng, shells = self.rng, self.theme is Richness.SHELLS
        made: dict[str, Any] = {
            "name": f"transfer {transfer_id}",
            "fail_days": {
                self._day_text(): {
                    "error": "timeout",
                    "times": None if shells else rng.choice([1, 1, 2, 4, None]),
                }
                for _ in range(6 if shells else rng.choice([0, 0, 1, 3]))
            },
            "empty_days": [self._day_text() for _ in range(rng.choice([0, 0, 2]))],
            "runs_per_day": rng.choice([1] * 8 + [2, 24 if not self.long else 2]),
        }
        if rng.random() < 0.2:
            made["run_status"] = {self._day_text(): rng.choice(WORDS) for _ in range(rng.choice([1, 2]))}
        if rng.random() < 0.15:
            made["undated_days"] = [self._day_text() for _ in range(3)]
        if self.theme is not Richness.GROWTH and rng.random() < 0.55:
            made["recurring_since"] = date.fromordinal(TODAY - rng.choice([1, 5, 20, 60])).isoformat()
            made["schedule"] = {
                "at": f"{rng.randrange(24):02}:{rng.choice(['00', '55'])}",
                "window": rng.choice([1, 1, 1, 2, 7, 8]),
                "includes_today": rng.random() < 0.4,
            }
        if made["runs_per_day"] == 1 and rng.random() < 0.08:
            made["run_every_days"] = 7
        if made["runs_per_day"] > 1:
            for day in list(made["fail_days"])[:1]:
                made["fail_days"][day]["runs"] = 1
        return made

    def _day_text(self) -> str:
        return date.fromordinal(self._day()).isoformat()

    def _day(self) -> int:
        return TODAY - 1 - self.rng.randrange(100 if self.long else 25) + self.rng.choice([0, 0, 0, 5])

    # -- the file --------------------------------------------------------------------------

    def _limits(self) -> Limits:
        rng = self.rng
        if self.theme is Richness.SHELLS:
            return Limits(max_open_backfills=2, max_days_per_backfill=3)
        if self.theme is Richness.GROWTH:
            creates, on_transfer = rng.choice([(1, None), (1, None), (None, 1), (2, None)])
            return Limits(100, on_transfer, creates, 7)
        return Limits(
            max_open_backfills=rng.choice([100, 100, 3, 5]),
            max_open_per_transfer=rng.choice([None, None, 1, 2]),
            max_creates_per_apply=rng.choice([None, None, None, 1, 2]),
            max_days_per_backfill=rng.choice([None, None, 31, 7 if not self.long else 14]),
        )

    def _wish(self, blind: bool) -> Wish:
        rng = self.rng
        grows = self.theme is Richness.GROWTH
        return Wish(
            self._days() - DateSet.span(TODAY, TODAY + 100) if grows else self._days(),
            rolling=TODAY - 3 if grows else rng.choice([None, None, TODAY - 3, TODAY - 10]),
            final_after=rng.choice([None, None, None, 0, 1, 3, 7]),
            evidence=EvidenceMode.BACKFILLS if blind or rng.random() < 0.05 else EvidenceMode.RUNS,
            retry_after=rng.choice([0.0, 3600.0, 6 * 3600.0]),
            attempts=1 if self.theme is Richness.SHELLS else rng.choice([1, 2, 3]),
            chunk=rng.choice(list(Chunk)) if self.long else rng.choice([Chunk.NONE, Chunk.NONE, Chunk.WEEK]),
        )

    def _days(self) -> DateSet:
        found = union(self._range() for _ in range(self.rng.choice([1, 1, 2])))
        return found & DateSet.span(0, TODAY + 30)

    def _range(self) -> DateSet:
        first, last = sorted((self._day(), self._day()))
        return DateSet.span(first, last + 1)

    def edit(self, now: float) -> str:
        """Change the file as people do."""
        rng = self.rng
        one = rng.choice(self.transfers)
        before = self.file[one]
        kind = rng.choice(EDITS)
        self.file[one] = getattr(self, f"_edit_{kind}")(before, now)
        if rng.random() < 0.2:
            self.limits, self.order = self._limits(), rng.choice(list(Order))
        return f"{one}: {kind}: {self.file[one]}"

    def _edit_grow(self, wish: Wish, now: float) -> Wish:
        return replace(wish, days=wish.days | self._days())

    def _edit_shrink(self, wish: Wish, now: float) -> Wish:
        return replace(wish, days=(wish.days - self._days()) or wish.days)

    def _edit_roll(self, wish: Wish, now: float) -> Wish:
        return replace(wish, rolling=self.rng.choice([None, TODAY - 3, TODAY - 10]))

    def _edit_stale(self, wish: Wish, now: float) -> Wish:
        """Let it rise, fall, or go: for all days, or for some."""
        ago = self.rng.choice([0.0, 0.0, 3600.0, 86400.0, 5 * 86400.0])
        since = datetime.fromtimestamp(int(now - ago), UTC) if self.rng.random() < 0.8 else None
        days = self._days() if self.rng.random() < 0.5 else DateSet.span(1, 10**6)
        return replace(wish, stale_before=since, stale_days=days)

    def _edit_final(self, wish: Wish, now: float) -> Wish:
        return replace(wish, final_after=self.rng.choice([None, 0, 1, 3, 7]))

    def _edit_tries(self, wish: Wish, now: float) -> Wish:
        rng = self.rng
        return replace(wish, attempts=rng.choice([1, 2, 3]), retry_after=rng.choice([0.0, 3600.0, 21600.0]))

    def _edit_chunk(self, wish: Wish, now: float) -> Wish:
        return replace(wish, chunk=self.rng.choice([Chunk.NONE, Chunk.WEEK, Chunk.MONTH]))

    def _edit_evidence(self, wish: Wish, now: float) -> Wish:
        other = wish.evidence is EvidenceMode.RUNS
        return replace(wish, evidence=EvidenceMode.BACKFILLS if other else EvidenceMode.RUNS)

    def _edit_loaded(self, wish: Wish, now: float) -> Wish:
        at = self.rng.choice([None, datetime.fromtimestamp(int(now) - 3600, UTC)])
        told = LoadedDays(self._range(), at, "copied", PLACE)
        return replace(wish, loaded=self.rng.choice([(), (told,), (*wish.loaded, told)]))

    def _edit_pause(self, wish: Wish, now: float) -> Wish:
        return replace(wish, paused=not wish.paused)

    def change(self, transfer_id: int, **fields: Any) -> None:
        """Change what the file says of one transfer."""
        self.file[transfer_id] = replace(self.file[transfer_id], **fields)

    def join_or_leave(self) -> str:
        """Take a transfer out of the file, or let one join that may have a history."""
        known = sorted({*self.file} - {*self.transfers} - {*self.previous.values()})
        if known and self.rng.random() < 0.7:
            self.transfers = sorted([*self.transfers, known[0]])
            return f"{known[0]} joins the file"
        if len(self.transfers) < 2:
            return "nothing"
        gone = self.rng.choice(self.transfers)
        self.transfers = [one for one in self.transfers if one != gone]
        return f"{gone} leaves the file"

    def create_anew(self) -> str:
        """Let the file name a new transfer in the place of one, which is its predecessor from now on."""
        one = self.rng.choice(self.transfers)
        if one >= AGAIN + 100:
            return "nothing"
        new = one + AGAIN
        self.transfers = sorted({*self.transfers, new} - {one})
        self.previous[new], self.file[new] = one, self.file[one]
        return f"{new} takes the place of {one}"

    def created_by_people(self) -> int:
        """Return the transfer that a person creates on: some take one that is not in the file any more."""
        return self.rng.choice([*self.transfers, *self.file])

    def freeze(self, day: int) -> None:
        """Let no range grow beyond a day any more, unless that is the point, and no pause last."""
        self.frozen = None if self.theme is Richness.GROWTH else day
        self.file = {one: replace(wish, paused=False) for one, wish in self.file.items()}

    # -- as it is read ---------------------------------------------------------------------

    def as_of(self, now: float) -> int:
        zone = ZoneInfo(self.zone) if self.zone else UTC
        return datetime.fromtimestamp(now, UTC).astimezone(zone).date().toordinal()

    def team(self, now: float) -> DesiredTeam:
        """Return what the file declares, read now: of the transfers that are targeted."""
        as_of, chosen = self.as_of(now), self.target or {*self.transfers}
        return DesiredTeam(
            team_id=self.team_id,
            as_of=as_of,
            as_of_is_today=True,
            transfers=tuple(self._desired(one, as_of) for one in self.transfers if one in chosen),
            declared_ids=frozenset(self.transfers),
            timezone=self.zone,
            order=self.order,
            limits=self.limits,
        )

    def _desired(self, transfer_id: int, as_of: int) -> DesiredTransfer:
        wish = self.file[transfer_id]
        return DesiredTransfer(
            address=Address(self.team_id, transfer_id),
            name=f"t{transfer_id}",
            place=PLACE,
            segments=self._segments(wish, as_of),
            loadable_until=as_of,
            previous_ids=(self.previous[transfer_id],) if transfer_id in self.previous else (),
            chunk=wish.chunk,
            max_attempts=wish.attempts,
            retry_after=timedelta(seconds=wish.retry_after),
            evidence=wish.evidence,
            paused=wish.paused,
            loaded=wish.loaded,
        )

    def _segments(self, wish: Wish, as_of: int) -> tuple[Segment, ...]:
        until = as_of if self.frozen is None else min(as_of, self.frozen)
        rolled = DateSet.span(wish.rolling, until) if wish.rolling and wish.rolling < until else DateSet()
        days = wish.days | rolled
        if wish.stale_before is None:
            parts = [(days, None)]
        else:
            parts = [(days - wish.stale_days, None), (days & wish.stale_days, wish.stale_before)]
        made = [
            Segment(start, end, PLACE, "", since, wish.final_after)
            for part, since in parts
            for start, end in part.intervals
        ]
        return tuple(sorted(made, key=lambda one: one.start))

    # -- processes -------------------------------------------------------------------------

    def flags(self, *, lock: bool) -> Flags:
        rng = self.rng
        trouble = Trouble(
            rng.choice([Kind.KILL, Kind.FREEZE, Kind.SIGNAL]),
            rng.choice(POINTS),
            rng.choice([1, 1, 2, 5]),
            rng.choice([5.0, 70.0, 1000.0]),
        )
        if trouble.kind is Kind.FREEZE and trouble.point in ("append", "appended", "replace", "copied"):
            trouble = replace(trouble, seconds=1.0)
        return Flags(
            lock=lock,
            settle=self.settle,
            weather=self.weather,
            troubles=(trouble,) if rng.random() < 0.2 else (),
            slowness=rng.choice([0.001, 0.001, 0.5]),
        )


EDITS = (
    "grow",
    "grow",
    "shrink",
    "roll",
    "stale",
    "stale",
    "final",
    "tries",
    "chunk",
    "evidence",
    "loaded",
    "pause",
)


def settings(rng: random.Random) -> dict[str, Any]:
    """Return how a world is: what does not change, and the first of what does."""
    retention = rng.choice([None, None, None, None, 0.5, 3, 30])
    until, pace = rng.choice([(1, 1), (5, 20), (30, 60), (60, 600), (60, 3 * 3600)])
    aside = random.Random(str(rng.getstate()))  # so that the seeds that are kept draw what they drew
    return {
        "runs_ties": aside.choice(["stable", "by_page"]),
        "overlap_status": rng.choice([400, 409, 422]),
        # What is forgotten cannot block: nobody could ever find out what does.
        "failed_blocks_overlap": rng.random() < 0.7 and retention is None,
        "failed_while_running": rng.random() < 0.2,
        "completed_with_failures": rng.random() < 0.2,
        "latest_orders_by": "id",  # by time, blind creates within a second hide each other
        "retention_days": retention,
        "clock_skew_seconds": rng.choice([0, 0, 0, -300, 300]),
        "id_shape": rng.choice(["number", "string"]),
        "envelope": rng.random() < 0.8,
        "error_shape": rng.choice(["envelope", "problem"]),
        "seconds_until_scheduled": until,
        "seconds_until_running": until,
        "seconds_per_run": pace,
        **shaken(rng, forgets=retention is None),
    }


def shaken(rng: random.Random, *, forgets: bool) -> dict[str, Any]:
    """Return what may change at any time. ``forgets``: run lists forget, rather than gets."""
    return {
        "error_report": rng.choice(["full", "full", "partial", "empty"]),
        "list_lag_seconds": rng.choice(LAGS),
        "latest_lag_seconds": rng.choice(LAGS),
        "get_lag_seconds": rng.choice(LAGS),
        "runs_readable": rng.random() > 0.2,
        "runs_lag_seconds": rng.choice(RUN_LAGS),
        "runs_retention_days": rng.choice([None, None, None, 1, 5, 30]) if forgets else None,
        "runs_page_cap": rng.choice([None, None, 20, 100]),
        "counters_lag_seconds": rng.choice(COUNTER_LAGS),
        "pagination": rng.choice(["none", "none", "announced", "items"]),
        "runs_filter": rng.choice(["data_date", "created_time"]),
        "seconds_per_run": rng.choice([1, 60, 600]),
    }


CALM = {
    "list_lag_seconds": 0.0,
    "latest_lag_seconds": 0.0,
    "get_lag_seconds": 0.0,
    "runs_readable": True,
    "runs_lag_seconds": 0.0,
    "runs_page_cap": None,
    "counters_lag_seconds": 0.0,
    "pagination": "none",
}
