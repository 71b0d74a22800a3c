"""The world: teams, transfers and backfills, and what may be done to them.

Time passes lazily. Every request first calls `advance`, which works off what was to happen since: runs on
days that may fail, and creates that arrive late. All else is computed from the clock when it is looked at.

Where the vendor's pages are silent, this world decides:
- A backfill is active while CREATED, SCHEDULED or RUNNING; whether FAILED blocks is a setting.
- Backfills of one transfer run side by side; the days of one backfill run one after the other.
- Runs exist from SCHEDULED on; queued ones show SCHEDULED, and CANCELLED once dropped.
- `fail_days` count for scheduled runs too: the first `times` runs of the day fail, of whatever kind.
- A team that does not exist answers 403, since the vendor documents no 404 for its lists.
- A record is forgotten `retention_days` after it ended; what has not ended is kept.
"""

import heapq
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice

from reconciler.sandbox import backfill as life
from reconciler.sandbox import times
from reconciler.sandbox.backfill import USER, Backfill, Run
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.scene import Scene
from reconciler.sandbox.scene_backfills import open_backfill
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import Ranges, Transfer

Address = tuple[int, int]  # team, transfer
Key = tuple[str, int, int]  # a row of the store: kind, and one or two numbers


@dataclass(frozen=True, slots=True)
class LateCreate:
    """A create that reached the API but takes effect only at `due`."""

    due: int
    team: int
    transfer: int
    start: int
    end: int


@dataclass(slots=True)
class Counters:
    """Numbers that only grow; `hour` and `calls` are the rate limit's window and its count."""

    backfill: int = 10001
    run: int = 500001
    late: int = 1
    transfer: int = 1
    hour: int = 0
    calls: int = 0


@dataclass(slots=True)
class World:
    """The state machine. Every method takes `now` (milliseconds); callers `advance` first.

    `changed` names what a store has to write: it is the world's memory of its own edits.
    """

    settings: Settings = field(default_factory=Settings)
    open: bool = True
    keys: dict[str, tuple[str, ...]] | None = None
    teams: set[int] = field(default_factory=set)
    transfers: dict[Address, Transfer] = field(default_factory=dict)
    backfills: dict[int, Backfill] = field(default_factory=dict)
    late: dict[int, LateCreate] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    changed: set[Key] = field(default_factory=set)
    _events: list[tuple[int, int, int, int]] = field(default_factory=list)  # due, kind, then what
    _of_team: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _of_transfer: dict[Address, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _ranges: dict[Address, Ranges] = field(default_factory=lambda: defaultdict(Ranges))

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def opened(cls, scene: Scene, now: int) -> "World":
        """A new world, as the scene describes it at `now`. Raises SceneError."""
        world = cls(scene.settings, scene.open, dict(scene.keys) if scene.keys is not None else None)
        world.teams = set(scene.teams)
        world.changed.update((("access", 0, 0), ("settings", 0, 0), ("counters", 0, 0)))
        for transfer in scene.transfers:
            world._new_transfer(transfer.copy())
        for entry in scene.backfills:
            record = open_backfill(entry, now, scene.settings, world.counters.run)
            world.counters.run += record.total
            world._meet(record.team, record.transfer)
            world.put_backfill(record)
            if record.id < 2**62:
                world.counters.backfill = max(world.counters.backfill, record.id + 1)
        return world

    def put_transfer(self, transfer: Transfer) -> None:
        """Add or replace a transfer, and expect its scheduled runs on fail days."""
        self.transfers[transfer.team, transfer.id] = transfer
        for day in transfer.fail_days:
            if day >= transfer.first_day and day not in transfer.verdicts:
                heapq.heappush(self._events, (transfer.run_end(day), 1, transfer.number, day))

    def put_backfill(self, record: Backfill) -> None:
        """Add or replace a backfill in every index, and expect its runs on fail days."""
        address = (record.team, record.transfer)
        known = self.backfills.get(record.id)
        self.backfills[record.id] = record
        self.changed.add(("backfill", record.id, 0))
        self._expect(record)
        if known is None:
            insort(self._of_team[record.team], (record.created, record.id))
            insort(self._of_transfer[address], (record.created, record.id))
            self._ranges[address].add(record.start, record.end, record.id)

    def put_late(self, number: int, late: LateCreate) -> None:
        """Add a create that is still to take effect."""
        self.late[number] = late
        heapq.heappush(self._events, (late.due, 0, number, 0))

    def _expect(self, record: Backfill) -> None:
        transfer = self.transfers.get((record.team, record.transfer))
        if record.given is not None or transfer is None:
            return
        for day in transfer.fail_days:
            if record.start <= day <= record.end and day not in record.verdicts:
                heapq.heappush(self._events, (record.run_end(day), 2, record.id, day))

    def _meet(self, team: int, transfer: int) -> Transfer:
        known = self.transfers.get((team, transfer))
        return known or self._new_transfer(Transfer(team, transfer, f"Transfer {transfer}"))

    def _new_transfer(self, transfer: Transfer) -> Transfer:
        transfer.number = self.counters.transfer
        self.counters.transfer += 1
        self.put_transfer(transfer)
        self.changed.update((("transfer", transfer.team, transfer.id), ("counters", 0, 0)))
        return transfer

    # -- time ------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Let everything happen that was due by `now`, in order of time."""
        while self._events and self._events[0][0] <= now:
            due, kind, number, day = heapq.heappop(self._events)
            if kind == 0:
                self._late_create(number, due)
            elif kind == 1:
                self._scheduled_run(number, day)
            else:
                self._backfill_run(number, day)

    def _late_create(self, number: int, due: int) -> None:
        late = self.late.pop(number, None)
        if late is None:
            return
        self.changed.add(("late", number, 0))
        with suppress(Refusal):  # nobody is left to hear it
            self.create(late.team, late.transfer, late.start, late.end, due)

    def _scheduled_run(self, number: int, day: int) -> None:
        for transfer in self.transfers.values():
            if transfer.number == number and day not in transfer.verdicts:
                transfer.verdicts[day] = transfer.attempt(day)
                self.changed.add(("transfer", transfer.team, transfer.id))

    def _backfill_run(self, number: int, day: int) -> None:
        record = self.backfills.get(number)
        if record is None or day in record.verdicts or not record.keeps(day):
            return
        record.verdicts[day] = self.transfers[record.team, record.transfer].attempt(day)
        self.changed.update((("backfill", number, 0), ("transfer", record.team, record.transfer)))

    def vendor_time(self, now: int) -> int:
        """What the vendor's clock shows: ours and the skew."""
        return now + times.millis(self.settings.clock_skew_seconds)

    # -- writes ----------------------------------------------------------------------------------

    def check_team(self, team: int) -> None:
        """Raises a 403 Refusal for a team that does not exist."""
        if not self.open and team not in self.teams:
            raise Refusal(403, f"There is no team {team}")

    def check_transfer(self, team: int, transfer: int) -> None:
        """Raises a 404 Refusal for a transfer that does not exist."""
        if not self.open and (team, transfer) not in self.transfers:
            raise Refusal(404, f"There is no transfer {transfer}")

    def create(self, team: int, transfer: int, start: int, end: int, now: int) -> Backfill:
        """A new backfill of the days start..end, or a Refusal."""
        self.check_transfer(team, transfer)
        today = times.day_of(self.vendor_time(now))
        if trouble := self.settings.range_trouble(start, end, today):
            raise Refusal(422, trouble)
        if self._meet(team, transfer).paused:
            raise Refusal(422, f"Transfer {transfer} is paused")
        self._check_overlap(team, transfer, start, end, now)
        record = self._new_backfill(team, transfer, start, end, now)
        self.put_backfill(record)
        return record

    def create_later(self, team: int, transfer: int, start: int, end: int, due: int) -> None:
        """A create that nothing shows before `due`; it is checked then."""
        number = self.counters.late
        self.counters.late += 1
        self.put_late(number, LateCreate(due, team, transfer, start, end))
        self.changed.update((("late", number, 0), ("counters", 0, 0)))

    def _new_backfill(self, team: int, transfer: int, start: int, end: int, now: int) -> Backfill:
        while self.counters.backfill in self.backfills:
            self.counters.backfill += 1
        scheduled = now + times.millis(self.settings.seconds_until_scheduled)
        begins = scheduled + times.millis(self.settings.seconds_until_running)
        pace = times.millis(self.settings.seconds_per_run)
        number, run = self.counters.backfill, self.counters.run
        self.counters.backfill, self.counters.run = number + 1, run + end - start + 1
        self.changed.add(("counters", 0, 0))
        return Backfill(number, team, transfer, start, end, now, USER, scheduled, begins, pace, run, begins)

    def _check_overlap(self, team: int, transfer: int, start: int, end: int, now: int) -> None:
        ranges = self._ranges[team, transfer]
        for number in ranges.touching(start, end):
            other = self.backfills[number]
            if other.blocks(now, self.settings):
                raise Refusal(self.settings.overlap_status, f"Overlaps backfill {number}")
            if other.settled(now):
                ranges.drop(other.start, other.end, number)

    def cancel(self, team: int, number: int, now: int) -> Backfill:
        """Cancel a backfill. Raises a Refusal: 404 without one, 422 for a final one."""
        record = self._find(team, number, now)
        if record.status(now, self.settings) in life.GONE_FROM_LIST:
            raise Refusal(422, f"Backfill {number} has ended already")
        record.cancel(now, USER)
        self.changed.add(("backfill", number, 0))
        return record

    # -- reads -----------------------------------------------------------------------------------

    def get(self, team: int, number: int, now: int) -> Backfill:
        """A backfill by id. Raises a 404 Refusal, also while `get_lag_seconds` hides it."""
        return self._find(team, number, now, self.settings.get_lag_seconds)

    def _find(self, team: int, number: int, now: int, lag: float = 0) -> Backfill:
        record = self.backfills.get(number)
        if record is None or record.team != team or not record.shows(lag, now, self.settings):
            raise Refusal(404, f"There is no backfill {number}")
        return record

    def latest(self, team: int, transfer: int, now: int) -> Backfill:
        """The newest backfill of a transfer, whatever its status. Raises a 404 Refusal if there is none."""
        self.check_transfer(team, transfer)
        for _, number in reversed(self._of_transfer.get((team, transfer), ())):
            if self.backfills[number].shows(self.settings.latest_lag_seconds, now, self.settings):
                return self.backfills[number]
        raise Refusal(404, f"No backfill was created for transfer {transfer} so far")

    def incomplete(self, team: int, now: int) -> list[Backfill]:
        """The backfills of a team that are neither COMPLETED nor CANCELLED: the newest, newest first."""
        settings = self.settings
        listed = (
            record
            for record in self._unsettled(team, now)
            if record.shows(settings.list_lag_seconds, now, settings)
            and record.status(now, settings) not in life.GONE_FROM_LIST
        )
        return list(islice(listed, settings.list_cap))

    def _unsettled(self, team: int, now: int) -> Iterator[Backfill]:
        """Newest first. Those that ended for good leave the index on the way."""
        index = self._of_team.get(team, [])
        for place in range(len(index) - 1, -1, -1):
            record = self.backfills[index[place][1]]
            if record.settled(now):
                del index[place]
            else:
                yield record

    def transfers_of(self, team: int) -> Iterable[Transfer]:
        """The transfers the world was given or has met, in that order."""
        return (transfer for transfer in self.transfers.values() if transfer.team == team)

    def runs(self, team: int, transfer: int, first: int, last: int, now: int) -> Iterator[Run]:
        """The runs for data days first..last (inclusive) of a transfer. Raises a 404 Refusal."""
        self.check_transfer(team, transfer)
        known = self.transfers.get((team, transfer))
        if known is None:
            return iter(())
        records = (self.backfills[number] for _, number in self._of_transfer.get((team, transfer), ()))
        lists = (record.list_runs(now, first, last, known.rows_per_day) for record in records)
        return chain(known.recurring_runs(now, first, last), *lists)
