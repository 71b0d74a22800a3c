"""What a seed of trust stands for: what may go wrong between what was shown and what is done.

A small file and a few days, as in ``simulation_script.py``; people who answer late, plans that are applied
late and again, copies of our ranges by other hands, gateways that repeat, and clocks that are apart.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import Enum, auto
from typing import Any

from simulation_network import Weather
from simulation_process import KEY, Dial, Flags, Kind, Trouble
from simulation_script import FREEZES, POINTS
from simulation_truth import TEAM
from simulation_wide import TODAY, Richness, WideScript, Wish

from reconciler.dates import DateSet
from reconciler.model.desired import DesiredTeam, EvidenceMode, Guards, Limits, OnUnknown
from reconciler.planning.plan import Plan
from reconciler.sandbox.progress import PERSON, USER

OTHER_KEY, OTHER_USER = "of another key", 790
KEYS = {KEY: {"user_id": USER}, OTHER_KEY: {"user_id": OTHER_USER}}
SHORT = 14  # days back
ANSWERS = (0.5, 5.0, 30.0, 62.0, 90.0, 300.0, 1000.0, 4000.0)
GAPS = (1.0, 30.0, 63.0, 200.0, 700.0, 1000.0, 3700.0, 7300.0, 80000.0, 2 * 86400.0, 6 * 86400.0)
LAGS = (0.0, 3.0, 30.0, 150.0)
LONG_LAGS = (30.0, 150.0, 600.0, 600.0)
READS = ("list", "latest", "get", "runs")


class Trial(Enum):
    """What a schedule puts to the test."""

    ANYTHING = auto()
    COPIES = auto()  # people make exactly our ranges
    PROMPTS = auto()  # answers come late, and guards
    PLANS = auto()  # saved plans and digests, late and again
    WAITS = auto()  # the world moves during an apply
    GATEWAYS = auto()  # requests are repeated, and reads lag
    CUTS = auto()  # the vendor makes a part of a range
    CLOCKS = auto()  # two processes and the vendor, minutes apart
    STATES = auto()  # states are copied, put back, pushed and lost
    FILES = auto()  # transfers are created anew, leave and join; runs with older files


@dataclass(frozen=True)
class TrustFlags(Flags):
    """How a process asks. ``answer``: the seconds until a person says yes, or no; ``None``: nobody is asked.
    ``plan``: the number of the plan that was approved before, ``digest`` if only its digest is given.
    """

    answer: float | None = None
    says: bool = True
    plan: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Kept:
    """A plan that was kept, and when it was made by the one true clock."""

    plan: Plan
    made: float


class TrustScript(WideScript):
    """One team's file, and how processes are started on it."""

    def __init__(self, seed: int) -> None:
        draw = self.draw = random.Random(f"trust {seed}")
        self.trial = draw.choice(list(Trial))
        super().__init__(seed, TEAM)
        self.theme, self.long, self.zone = Richness.ANYTHING, False, draw.choice(["", "UTC"])
        self.lag = draw.choice(LONG_LAGS if self.trial is Trial.GATEWAYS else LAGS)
        apart = self.trial is Trial.CLOCKS or draw.random() < (0.5 if self.trial is Trial.PLANS else 0.2)
        self.spread = draw.choice([60.0, 300.0, 600.0, 600.0]) if apart else 0.0
        self.prune = draw.random() < (0.5 if self.trial is Trial.COPIES else 0.2)
        self.on_unknown = OnUnknown.BLOCK if draw.random() < 0.1 else OnUnknown.SETTLE
        self.guards = Guards(draw.choice([4, 6, 10]) if self._is(Trial.PROMPTS, Trial.PLANS, 0.2) else None)
        self.weather = self._drawn_weather()
        blind = draw.random() < (0.5 if self.trial is Trial.GATEWAYS else 0.25)
        self.file = {one: self._small(blind) for one in self.transfers}
        self.limits = self._limits()

    def _is(self, *trials: Trial | float) -> bool:
        """Tell whether it is one of these trials; if not, by chance, the last of ``trials``."""
        *named, chance = trials
        return self.trial in named or self.draw.random() < float(chance)  # type: ignore[arg-type]

    # -- the vendor ------------------------------------------------------------------------

    def scene(self) -> dict[int, dict[str, Any]]:
        ids = [*self.transfers, *(one + 100 for one in self.transfers)]
        return {one: self._plain(one) for one in ids}

    def _plain(self, transfer_id: int) -> dict[str, Any]:
        draw = self.draw
        kept = {Trial.PLANS: 4, Trial.PROMPTS: 12}.get(self.trial, draw.choice([0, 1, 2, 4]))
        fails = {self._text(): {"error": "timeout", "times": draw.choice([1, 1, 2])} for _ in range(kept)}
        made: dict[str, Any] = {
            "name": f"transfer {transfer_id}",
            "fail_days": fails,
        }
        if self._is(Trial.WAITS, 0.2):  # loads while our runs, which begin at nine, ask or wait
            made["recurring_since"] = date.fromordinal(TODAY - draw.choice([1, 3])).isoformat()
            made["schedule"] = {"at": draw.choice(["09:00", "09:01", "09:02"]), "window": draw.choice([1, 3])}
        return made

    def settings(self) -> dict[str, Any]:
        """Return how the vendor is: nothing of it changes before all comes to rest."""
        draw, cuts = self.draw, self._is(Trial.CUTS, 0.0)
        lagging = 0.9 if self.trial is Trial.GATEWAYS else 0.5
        paces = [(0, 1), (1, 1), (1, 5), (30, 60), (60, 600)]
        near = {Trial.PROMPTS: paces[2:4], Trial.GATEWAYS: paces[:2], Trial.CLOCKS: paces[:3]}
        until, pace = draw.choice(near.get(self.trial, paces))
        return {
            "overlap_status": draw.choice([400, 409, 422]),
            "failed_blocks_overlap": draw.random() < 0.6,
            **{f"{what}_lag_seconds": self.lag if draw.random() < lagging else 0.0 for what in READS},
            "latest_orders_by": draw.choice(["id", "created_time"]),
            "max_range_days": draw.choice([1, 2, 3]) if cuts else None,
            "range_excess": draw.choice(["cut_end", "cut_start"]),
            "clock_skew_seconds": draw.choice([-600, -300, 300, 600]) if self.spread else 0,
            "error_report": draw.choice(["full", "partial", "empty"]),
            "seconds_until_scheduled": until,
            "seconds_until_running": until,
            "seconds_per_run": pace,
        }

    def _drawn_weather(self) -> Weather:
        kinds = {Trial.WAITS: "waits", Trial.PROMPTS: "waits", Trial.GATEWAYS: "gateway"}
        kind = kinds.get(self.trial, self.draw.choice(["", "waits", "gateway", "refusals"]))
        creates = self.draw.choice([0.2, 0.5]) if self.trial in kinds else self.draw.choice([0.0, 0.1, 0.4])
        reads = self.draw.choice([0.0, 0.0, 0.02])
        # However far the clocks are apart: settle time must have passed by the vendor's, too.
        lateness = self.settle - self.lag - 3.0
        if self.trial is Trial.CLOCKS and self.draw.random() < 0.6:
            return Weather(reads, 0.6, 0.0, lateness, late=True)
        return Weather(reads, creates, creates / 2, lateness, kind=kind)

    # -- the file --------------------------------------------------------------------------

    def _day(self) -> int:
        return TODAY - 1 - self.draw.randrange(SHORT)

    def _text(self) -> str:
        return date.fromordinal(self._day()).isoformat()

    def _limits(self) -> Limits:
        draw: random.Random = self.draw
        few = draw.choice([None, None, None, 1, 2])
        return Limits(100, draw.choice([None, None, 1, 2]), few, draw.choice([None, 2, 3, 5]))

    def _small(self, blind: bool) -> Wish:
        draw = self.draw
        whole = DateSet.span(TODAY - SHORT, TODAY)
        return Wish(
            whole if self.trial is Trial.PROMPTS else self._days(),
            rolling=draw.choice([None, None, TODAY - 3]),
            evidence=EvidenceMode.BACKFILLS if blind else EvidenceMode.RUNS,
            retry_after=draw.choice([0.0, 0.0, 3600.0]),
            attempts=draw.choice([2, 3]),
        )

    def edit(self, now: float) -> str:
        """Change the file as people do."""
        one, kind = self.draw.choice(self.transfers), self.draw.choice(["grow", "shrink", "stale"])
        self.file[one] = getattr(self, f"_edit_{kind}")(self.file[one], now)
        return f"{one}: {kind}: {self.file[one]}"

    def _edit_stale(self, wish: Wish, now: float) -> Wish:
        since = datetime.fromtimestamp(int(now - self.draw.choice([0.0, 3600.0])), UTC)
        return replace(wish, stale_before=since, stale_days=DateSet.span(1, 10**6))

    def freeze(self, day: int) -> None:
        super().freeze(day)
        self.guards, self.prune = Guards(), False

    def team(self, now: float) -> DesiredTeam:
        team = super().team(now)
        return replace(team, guards=self.guards, prune=self.prune, on_unknown=self.on_unknown)

    def gap(self) -> float:
        """Return the seconds to the next round."""
        near = {
            Trial.CLOCKS: (300.0, 500.0, 600.0),
            Trial.PLANS: (1.0, 30.0, 100.0, 1000.0),
            Trial.GATEWAYS: (30.0, 60.0, 100.0, 1000.0, 86400.0),
        }
        return self.draw.choice(near.get(self.trial, GAPS)) * (0.5 + self.draw.random())

    # -- processes -------------------------------------------------------------------------

    def flags(self, *, lock: bool) -> TrustFlags:
        """Return the flags of one that plans, shows and asks; what approved it is the play's to add."""
        draw = self.draw
        asked = draw.random() < 0.7
        slow = ANSWERS if self._is(Trial.PROMPTS, 0.4) else ANSWERS[:3]
        return TrustFlags(
            lock=lock,
            settle=self.settle,
            weather=self.weather,
            troubles=(self._trouble(),) if draw.random() < 0.3 else (),
            slowness=draw.choice([0.001, 0.05, 0.5]),
            dial=self.dial(),
            answer=draw.choice(slow) if asked else None,
            says=draw.random() < 0.95,
        )

    def _trouble(self) -> Trouble:
        draw = self.draw
        kind = draw.choice([Kind.KILL, Kind.FREEZE, Kind.SIGNAL])
        seconds = draw.choice(FREEZES[:6]) * (0.5 + draw.random())
        point = draw.choice([*POINTS, "prompt", "prompt"])
        return Trouble(
            kind, point, draw.choice([1, 1, 2, 3, 8]), min(seconds, 1.0) if _holds(point) else seconds
        )

    def dial(self) -> Dial:
        """Return a process's clock: no two differ by more than ``spread`` seconds."""
        often = 0.9 if self.trial is Trial.CLOCKS else 0.6
        far = self.draw.choice([-0.5, 0.5]) if self.draw.random() < often else self.draw.random() - 0.5
        return Dial(far * self.spread)

    def hand(self) -> int:
        """Return who a person works as: some have keys of the users that ours are of."""
        return self.draw.choice([PERSON, PERSON, USER, OTHER_USER])


def _holds(point: str) -> bool:
    """Tell whether at this point a process holds what stops all others' commits."""
    return point in ("append", "appended", "replace", "copied", "begun", "written")
