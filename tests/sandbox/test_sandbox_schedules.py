"""The schedule's arithmetic against an oracle that walks through the days, over changes of the transfer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_rig import TRANSFER, make_rig

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)  # as the rig has it
Loads = Iterator[tuple[str, str]]  # the day that is loaded, and when


@dataclass(frozen=True)
class Told:
    """What a transfer is told of its schedule; `at` in minutes."""

    since: date
    at: int
    window: int
    today: bool
    per_day: int
    every: int
    state: str = "active"

    def fields(self) -> dict[str, Any]:
        at = f"{self.at // 60:02d}:{self.at % 60:02d}"
        return {
            "recurring_since": str(self.since),
            "schedule": {"at": at, "window": self.window, "includes_today": self.today},
            "runs_per_day": self.per_day,
            "run_every_days": self.every,
            "state": self.state,
        }

    def loads(self, after: datetime, until: datetime) -> Loads:
        day = self.since
        while self.state == "active" and day <= until.date():
            for turn in range(self.per_day):
                minutes = (self.at + turn * 1440 // self.per_day) % 1440
                start = datetime.combine(day, time(), UTC) + timedelta(minutes=minutes)
                if after < start <= until:
                    newest = day if self.today else day - timedelta(1)
                    for back in range(0, self.window, self.every):
                        yield str(newest - timedelta(back)), start.strftime("%Y-%m-%dT%H:%M:%SZ")
            day += timedelta(self.every)


tolds = st.builds(
    Told,
    since=st.dates(date(2026, 11, 1), date(2026, 11, 25)),
    at=st.sampled_from([0, 120, 595, 1439]),
    window=st.sampled_from([1, 2, 3, 8]),
    today=st.booleans(),
    per_day=st.sampled_from([1, 2, 3, 24]),
    every=st.sampled_from([1, 1, 2, 7]),
)
changes = st.one_of(
    st.fixed_dictionaries({"at": st.sampled_from([0, 600, 1439])}),
    st.fixed_dictionaries({"window": st.integers(1, 9)}),
    st.fixed_dictionaries({"today": st.booleans()}),
    st.fixed_dictionaries({"per_day": st.sampled_from([1, 4]), "every": st.sampled_from([1, 7])}),
    st.fixed_dictionaries({"state": st.sampled_from(["active", "paused"])}),
)
passing = st.sampled_from([60, 3600, 86_400, 5 * 86_400])


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(tolds, st.lists(st.tuples(changes, passing), max_size=4))
def test_schedules_fire_as_told(told: Told, steps: list[tuple[dict[str, Any], int]]) -> None:
    api = make_rig(transfers={TRANSFER: told.fields()})
    expected, now = list(told.loads(datetime(2026, 1, 1, tzinfo=UTC), NOW)), NOW
    for change, seconds in steps:
        told = replace(told, **change)
        api.sandbox.change_transfer(TRANSFER, **told.fields())
        api.sandbox.advance(seconds)
        expected += told.loads(now, now + timedelta(seconds=seconds))
        now += timedelta(seconds=seconds)
    found = api.runs("2026-01-01", "2027-01-01", "&limit=10000").data
    assert sorted((run["data_date"], run["created_time"]) for run in found) == sorted(expected)
    assert len({run["id"] for run in found}) == len(found)
