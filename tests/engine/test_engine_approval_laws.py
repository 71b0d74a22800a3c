"""Saved plans applied late, again and out of order, while the file, the clocks and the world move: seeded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engine_rig import DAY, HOUR, MINUTE, TEAM, Act, Killed, Rig, answered, killed, lost, passed
from test_engine_approval import MONTH, run, saved, yes

from reconciler.dates import DateSet, Day, parse_iso
from reconciler.errors import Refused
from reconciler.model.desired import Address
from reconciler.planning.approval import approval_of
from reconciler.planning.plan import Plan

ACTS: tuple[tuple[Act, ...], ...] = (
    *((), (), (answered(422),), (answered(429, None, retry_after="1000"),)),
    *((passed, answered(429, None, retry_after="1000")), (killed(after=False),), (killed(after=True),)),
    *((lost(after=False),), (lost(after=True),), (passed, lost(after=True))),
)


@dataclass
class Story:
    """One schedule. ``under``: how often each day was created under each of the plans that were saved."""

    rig: Rig
    rng: random.Random
    plans: list[Plan] = field(default_factory=list)
    under: list[Counter[Day]] = field(default_factory=list)

    def step(self) -> None:
        self.rig.time.skew = self.rng.choice([-500.0, 0.0, 500.0])  # within what settle time leaves over
        self._edit()
        steps: list[Callable[[], object]] = [self.save, self._apply, self._meddle, self._tidy]
        self.rng.choices(steps, [1, 6, 1, 3])[0]()
        self.rig.later(self.rng.choice([MINUTE, 16 * MINUTE, 2 * HOUR, DAY]))

    def _edit(self) -> None:
        end = self.rng.choice(["30", "20", "10"])
        chunk = self.rng.choice(["", "\n    chunk: week", "\n    chunk: week"])
        limits = self.rng.choice(["", "limits: {max_creates_per_apply: 1}\n"])
        text = MONTH.replace("05-30", f"05-{end}").replace("transfer_id: 1", f"transfer_id: 1{chunk}")
        head = f"version: 1\n{limits}defaults: {{retry_after: 0s}}\n"
        self.rig.declare(text.replace("version: 1\n", head))

    def save(self) -> None:
        self.plans.append(saved(self.rig))
        self.under.append(Counter())

    def _meddle(self) -> None:
        first, last = self.rng.randint(1, 15), self.rng.randint(16, 30)
        with suppress(Exception):  # the API refuses what overlaps
            self.rig.foreign(1, f"2024-05-{first:02}", f"2024-05-{last:02}")

    def _tidy(self) -> None:
        for one in self.rig.people.list_incomplete().backfills:
            self.rig.people.cancel(one.id)

    def _apply(self) -> None:
        """Apply a saved plan, or a plan of its own. That only what was shown is sent, ``run`` asserts."""
        number = len(self.plans) - self.rng.choice([0, 1, 1, 1, 2])
        terms: dict[str, Any] = {"confirm": yes}
        if 0 <= number < len(self.plans):
            terms = {"approved": self.plans[number]}
        before = len(self.rig.sandbox.backfills())
        with suppress(Killed, Refused):
            run(self.rig, *self.rng.choice(ACTS), **terms)
        if "approved" in terms:
            self._check(number, self.rig.sandbox.backfills()[before:])

    def _check(self, number: int, made: list[dict[str, Any]]) -> None:
        approved = approval_of(self.plans[number]).days.of(Address(TEAM, 1))
        for one in made:
            days = DateSet.span(parse_iso(one["range_start_date"]), parse_iso(one["range_end_date"]) + 1)
            assert not days - approved, "not approved"
            self.under[number].update(days)
        assert max(self.under[number].values(), default=0) <= 1, "twice under one plan"


@pytest.mark.parametrize("seed", range(25))
def test_no_day_is_created_twice_under_a_plan_nor_without_approval(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    fails = {f"2024-05-{day:02}": {"times": rng.choice([1, 2])} for day in range(1, 31) if rng.random() < 0.2}
    story = Story(Rig(tmp_path, MONTH, transfers={1: {"fail_days": fails}}), rng)
    story.save()
    for _step in range(20):
        story.step()
