"""The world: teams, transfers and backfills, and what may be done to them.

Time passes lazily. Every request first calls `advance`, which works off what was to happen since: runs on
odd days, and creates that arrive late. All else is computed from the clock when it is looked at.

Where the vendor's pages are silent, this world decides:
- A backfill is active while CREATED, SCHEDULED or RUNNING; whether FAILED blocks is a setting.
- Backfills of one transfer run side by side; the runs of one backfill run one after the other.
- Runs exist from SCHEDULED on; queued ones show SCHEDULED, and CANCELLED once dropped.
- Odd days count for scheduled runs too: the first `times` runs of the day fail, of whatever kind.
- A team that does not exist answers 403, since the vendor documents no 404 for its lists.
- A record is forgotten `retention_days` after it ended; what has not ended is kept.
- A run that is run again keeps its id and its creation time.
"""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice

from reconciler.sandbox import times
from reconciler.sandbox.access import Key
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.counters import Counters, LateCreate
from reconciler.sandbox.index import Address, Index
from reconciler.sandbox.progress import GONE_FROM_LIST, USER
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.runs import Run
from reconciler.sandbox.scene import Scene
from reconciler.sandbox.scene_backfills import open_backfill
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import Transfer

Row = tuple[str, int, int]  # a row of the store: kind, and one or two numbers


@dataclass(slots=True)
class World:
    """The state machine. Every method takes `now` (milliseconds); callers `advance` first.

    `changed` names what a store has to write: it is the world's memory of its own edits.
    """

    settings: Settings = field(default_factory=Settings)
    open: bool = True
    keys: dict[str, Key] | None = None
    teams: set[int] = field(default_factory=set)
    transfers: dict[Address, Transfer] = field(default_factory=dict)
    backfills: dict[int, Backfill] = field(default_factory=dict)
    late: dict[int, LateCreate] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    changed: set[Row] = field(default_factory=set)
    index: Index = field(default_factory=Index)
    _events: list[tuple[int, int, int, int]] = field(default_factory=list)  # due, kind, then what

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
            transfer = world.meet(entry.team, int(entry.fields["transfer_id"]))
            record = open_backfill(entry, now, scene.settings, world.counters.run, transfer)
            world.counters.run += record.total
            world.put_backfill(record)
            if record.id < 2**62:
                world.counters.backfill = max(world.counters.backfill, record.id + 1)
        return world

    def put_transfer(self, transfer: Transfer) -> None:
        """Add or replace a transfer, and expect its scheduled runs on odd days."""
        self.transfers[transfer.team, transfer.id] = transfer
        for day in transfer.odd_days:
            for end in transfer.run_ends(day):
                heapq.heappush(self._events, (end, 1, transfer.number, day))

    def put_backfill(self, record: Backfill) -> None:
        """Add or replace a backfill, also in the index, and expect its runs on odd days."""
        if record.id not in self.backfills:
            self.index.add(record)
        self.backfills[record.id] = record
        self.changed.add(("backfill", record.id, 0))
        self.expect(record)

    def put_late(self, number: int, late: LateCreate) -> None:
        """Add a create that is still to take effect."""
        self.late[number] = late
        heapq.heappush(self._events, (late.due, 0, number, 0))

    def expect(self, record: Backfill) -> None:
        """Expect the runs of a backfill on odd days."""
        transfer = self.transfers.get((record.team, record.transfer))
        if record.given is not None or transfer is None:
            return
        for day in transfer.odd_days:
            for slot in record.slots_of(day):
                if slot not in record.endings:
                    heapq.heappush(self._events, (record.slot_end(slot), 2, record.id, slot))

    def meet(self, team: int, transfer: int) -> Transfer:
        """A transfer, which comes to exist if it did not."""
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
            due, kind, number, detail = heapq.heappop(self._events)
            if kind == 0:
                self._late_create(number, due)
            elif kind == 1:
                self._scheduled_runs(number, detail, due)
            else:
                self._backfill_run(number, detail, due)

    def _late_create(self, number: int, due: int) -> None:
        late = self.late.pop(number, None)
        if late is None:
            return
        self.changed.add(("late", number, 0))
        with suppress(Refusal):  # nobody is left to hear it
            self.create(late.team, late.transfer, late.start, late.end, due, late.user)

    def _scheduled_runs(self, number: int, day: int, due: int) -> None:
        for transfer in self.transfers.values():
            if transfer.number == number and transfer.settle(day, due):
                self.changed.add(("transfer", transfer.team, transfer.id))

    def _backfill_run(self, number: int, slot: int, due: int) -> None:
        record = self.backfills.get(number)
        if record is None or slot in record.endings or not record.keeps_slot(slot):
            return
        if record.slot_end(slot) == due:  # else another process had it run again
            transfer = self.transfers[record.team, record.transfer]
            day = record.day_of(slot)
            record.endings[slot] = transfer.attempt(day, record.slots_of(day).index(slot))
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

    def create(self, team: int, transfer: int, start: int, end: int, now: int, user: int = USER) -> Backfill:
        """A new backfill of the days start..end, or of the part that the settings allow; or a Refusal."""
        self.check_transfer(team, transfer)
        today = times.day_of(self.vendor_time(now))
        if trouble := self.settings.range_trouble(start, end, today):
            raise Refusal(422, trouble)
        start, end = self.settings.cut_range(start, end)
        known = self.meet(team, transfer)
        self.check_free(known, start, end, now)
        record = self._new_backfill(known, start, end, now, user)
        self.put_backfill(record)
        return record

    def create_later(self, create: LateCreate) -> None:
        """A create that nothing shows before it is due; it is checked then."""
        number = self.counters.late
        self.counters.late += 1
        self.put_late(number, create)
        self.changed.update((("late", number, 0), ("counters", 0, 0)))

    def _new_backfill(self, transfer: Transfer, start: int, end: int, now: int, user: int) -> Backfill:
        while self.counters.backfill in self.backfills:
            self.counters.backfill += 1
        scheduled = now + times.millis(self.settings.seconds_until_scheduled)
        begins = scheduled + times.millis(self.settings.seconds_until_running)
        record = Backfill(
            id=self.counters.backfill,
            team=transfer.team,
            transfer=transfer.id,
            start=start,
            end=end,
            created=now,
            user=user,
            scheduled=scheduled,
            begins=begins,
            pace=times.millis(self.settings.seconds_per_run),
            first_run=self.counters.run,
            started=begins,
            rows=transfer.rows_per_day,
            per_day=transfer.runs_per_day,
            every=transfer.run_every_days,
        )
        self.counters.backfill, self.counters.run = record.id + 1, record.first_run + record.total
        self.changed.add(("counters", 0, 0))
        return record

    def check_free(self, transfer: Transfer, start: int, end: int, now: int, but: int = 0) -> None:
        """Raises a Refusal where a transfer is paused, or a backfill (other than `but`) blocks the days."""
        if transfer.paused:
            raise Refusal(422, f"Transfer {transfer.id} is paused")
        ranges = self.index.ranges(transfer.team, transfer.id)
        for number in ranges.touching(start, end):
            other = self.backfills[number]
            if number != but and other.blocks(now, self.settings):
                raise Refusal(self.settings.overlap_status, f"Overlaps backfill {number}")
            if other.settled(now):
                ranges.drop(other.start, other.end, number)

    def cancel(self, team: int, number: int, now: int, user: int = USER) -> Backfill:
        """Cancel a backfill. Raises a Refusal: 404 without one, 422 for a final one."""
        record = self._find(team, number, now)
        if record.status(now, self.settings) in GONE_FROM_LIST:
            raise Refusal(422, f"Backfill {number} has ended already")
        record.cancel(now, user)
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
        lag, records = self.settings.latest_lag_seconds, self._of_transfer(team, transfer)
        shown = [record for record in records if record.shows(lag, now, self.settings)]
        if not shown:
            raise Refusal(404, f"No backfill was created for transfer {transfer} so far")
        if self.settings.latest_orders_by == "id":
            return max(shown, key=lambda record: record.id)
        return max(shown, key=lambda record: (record.created // 1000, -record.id))

    def _of_transfer(self, team: int, transfer: int) -> list[Backfill]:
        return [self.backfills[number] for number in self.index.of_transfer(team, transfer)]

    def incomplete(self, team: int, now: int) -> list[Backfill]:
        """The backfills of a team that are neither COMPLETED nor CANCELLED: the newest, newest first."""
        return list(islice(self.all_incomplete(team, now), self.settings.list_cap))

    def all_incomplete(self, team: int, now: int) -> Iterator[Backfill]:
        """The same, however many they are."""
        settings = self.settings
        return (
            record
            for record in self.index.unsettled(self.backfills, team, now)
            if record.shows(settings.list_lag_seconds, now, settings)
            and record.status(now, settings) not in GONE_FROM_LIST
        )

    def transfers_of(self, team: int) -> Iterable[Transfer]:
        """The transfers the world was given or has met, in that order."""
        return (transfer for transfer in self.transfers.values() if transfer.team == team)

    def runs(self, team: int, transfer: int, first: int, last: int, now: int) -> Iterator[Run]:
        """All runs for data days first..last (inclusive) of a transfer, whether lists show them or not."""
        known = self.transfers.get((team, transfer))
        if known is None:
            return iter(())
        lists = (record.list_runs(now, first, last) for record in self._of_transfer(team, transfer))
        return chain(known.recurring_runs(now, first, last), *lists)
