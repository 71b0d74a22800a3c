"""The vendor's side of a test: transfers, runs, backfills, a clock that a test moves, and the truth.

Written from the vendor's pages alone, by a stranger: nothing of the program and nothing of its sandbox is
used here. ``stranger_api.py`` shows this world over HTTP, and may show it badly. What really happened is
in ``World.loads``: a test asks it whether a day was loaded twice or never, and no state of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)
SCHEDULED_AFTER = timedelta(seconds=30)
RUNNING_AFTER = timedelta(seconds=60)
PERSON = 90
ACTIVE = ("CREATED", "SCHEDULED", "RUNNING")


def day(text: str) -> date:
    return date.fromisoformat(text)


def moment(text: str) -> datetime:
    """Return a moment in UTC: ``2025-07-01 09:00``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(first: str | date, last: str | date) -> list[date]:
    """Return the days from ``first`` to ``last``, both inclusive."""
    start, end = (day(one) if isinstance(one, str) else one for one in (first, last))
    return [start + DAY * step for step in range((end - start).days + 1)]


@dataclass
class Transfer:
    """``at``: when the schedule runs, each time for the last ``window`` days, the day itself among them if
    ``today``. A backfill of it makes ``per_day`` runs a day, and runs for one day in ``every`` only (a weekly
    transfer: that run loads all of them). ``failing``: days, and how often they fail. ``words``: what the
    runs of a day end as. ``outages``: all that begins within one fails.
    """

    id: int
    since: date
    at: tuple[time, ...] = ()
    window: int = 1
    today: bool = False
    per_day: int = 1
    every: int = 1
    seconds: float = 60.0
    state: str = "active"
    message: str = ""
    failing: dict[date, int] = field(default_factory=dict)
    words: dict[date, str] = field(default_factory=dict)
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)


@dataclass
class Run:
    """One run. ``ended`` is when it will end; ``None``: never. ``covers``: the days that it loads."""

    id: int
    transfer_id: int
    day: date
    created: datetime
    ended: datetime | None
    word: str
    backfill_id: int | None = None
    covers: tuple[date, ...] = ()
    dated: bool = True
    rows: int = 100
    message: str = ""

    def is_over(self, now: datetime) -> bool:
        return self.ended is not None and self.ended <= now


@dataclass
class Backfill:
    """A backfill and what it is still to run: days with the number of the run on that day."""

    id: int
    transfer_id: int
    start: date
    end: date
    created: datetime
    user: int
    queue: list[tuple[date, int]]
    next_at: datetime
    total: int
    runs: dict[tuple[date, int], Run] = field(default_factory=dict)
    removed: datetime | None = None
    removed_by: int | None = None
    forced: dict[str, object] = field(default_factory=dict)  # fields shown instead of the true ones

    def status(self, now: datetime) -> str:
        if "status" in self.forced:
            return str(self.forced["status"])
        if self.removed is not None and self.removed <= now:
            return "CANCELLED"
        begun = [run for run in self.runs.values() if run.created <= now]
        if not begun:
            return "CREATED" if now < self.created + SCHEDULED_AFTER else "SCHEDULED"
        if self.queue or len(begun) < len(self.runs) or not all(run.is_over(now) for run in begun):
            return "RUNNING"
        return "FAILED" if any(run.word != "COMPLETED" for run in begun) else "COMPLETED"


@dataclass(frozen=True)
class Load:
    """A day was loaded, by a backfill of ``user``, or (both ``None``) by the schedule, in [begun, at)."""

    transfer_id: int
    day: date
    begun: datetime
    at: datetime
    backfill_id: int | None
    user: int | None


@dataclass
class World:
    now: datetime
    transfers: dict[int, Transfer] = field(default_factory=dict)
    backfills: dict[int, Backfill] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    next_id: int = 1000

    # -- time ----------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        return self.now.date()

    def advance(self, **by: float) -> None:
        """Move the clock: ``advance(hours=2)``. Whatever is due on the way happens."""
        before, self.now = self.now, self.now + timedelta(**by)
        for transfer in self.transfers.values():
            self._run_schedule(transfer, before, self.now)
        for backfill in self.backfills.values():
            self._proceed(backfill)

    def until(self, clock: str) -> None:
        """Move to the next time it is this o'clock: ``until("03:00")``."""
        there = datetime.combine(self.today, time.fromisoformat(clock), UTC)
        there += DAY if there <= self.now else timedelta(0)
        self.advance(seconds=(there - self.now).total_seconds())

    def _run_schedule(self, transfer: Transfer, after: datetime, until: datetime) -> None:
        """Run the schedule for all of its moments in the half-open (after, until]."""
        for today in days(max(after.date(), transfer.since), until.date()) if transfer.at else []:
            for at in (datetime.combine(today, clock, UTC) for clock in transfer.at):
                if after < at <= until:
                    last = today if transfer.today else today - DAY
                    for which in (last - DAY * back for back in range(transfer.window)):
                        self._begin(transfer, which, at, None)

    def _proceed(self, backfill: Backfill) -> None:
        transfer = self.transfers[backfill.transfer_id]
        while backfill.queue and backfill.next_at <= self.now:
            which, slot = backfill.queue.pop(0)
            backfill.runs[which, slot] = self._begin(transfer, which, backfill.next_at, backfill)
            backfill.next_at += timedelta(seconds=transfer.seconds)

    def _begin(self, transfer: Transfer, which: date, at: datetime, backfill: Backfill | None) -> Run:
        word = transfer.words.get(which, "COMPLETED")
        if transfer.failing.get(which, 0) > 0:
            transfer.failing[which] -= 1
            word = "FAILED"
        if any(start <= at < end for start, end in transfer.outages):
            word = "FAILED"
        covers = [which + DAY * more for more in range(transfer.every)] if backfill else [which]
        within = tuple(one for one in covers if backfill is None or one <= backfill.end)
        ended = at + timedelta(seconds=transfer.seconds)
        return self.ran(transfer.id, which, at, ended, word, backfill and backfill.id, within)

    # -- what people, keys and tests do ----------------------------------------------------------

    def transfer(self, transfer_id: int, at: str = "", since: str = "2020-01-01", **how: object) -> Transfer:
        """Make a transfer; ``at`` (``"09:55"``, or several with blanks) ran since then already."""
        clocks = tuple(time.fromisoformat(one) for one in at.split())
        made = Transfer(transfer_id, day(since), clocks, **how)  # type: ignore[arg-type]
        self.transfers[transfer_id] = made
        self._run_schedule(made, datetime.combine(made.since, time.min, UTC) - DAY, self.now)
        return made

    def ran(
        self,
        transfer_id: int,
        which: date,
        at: datetime,
        ended: datetime | None,
        word: str = "COMPLETED",
        backfill_id: int | None = None,
        covers: tuple[date, ...] = (),
    ) -> Run:
        """Note a run. Without ``backfill_id`` it is one of the schedule."""
        self.next_id += 1
        failed = word != "COMPLETED"
        message = "The source is down" if failed else self.transfers[transfer_id].message
        run = Run(self.next_id, transfer_id, which, at, ended, word, backfill_id, covers or (which,))
        run.rows, run.message = 0 if failed else 100, message
        self.runs.append(run)
        return run

    def create(
        self, transfer_id: int, start: date, end: date, user: int = PERSON, at: datetime | None = None
    ) -> Backfill:
        """Make a backfill, now or at a moment before; nothing is asked and nothing refused."""
        self.next_id += 1
        transfer, created = self.transfers[transfer_id], at or self.now
        chosen = days(start, end)[:: transfer.every][::-1]
        queue = [(which, slot) for which in chosen for slot in range(transfer.per_day)]
        made = Backfill(
            self.next_id, transfer_id, start, end, created, user, queue, created + RUNNING_AFTER, len(queue)
        )
        self.backfills[made.id] = made
        self._proceed(made)
        return made

    def cancel(self, backfill_id: int, user: int = PERSON) -> None:
        """What waits is dropped, what runs ends by itself."""
        backfill = self.backfills[backfill_id]
        backfill.queue.clear()
        backfill.removed, backfill.removed_by = self.now, user

    def run_again(self, backfill_id: int) -> None:
        """The failed runs of a FAILED backfill are made once more."""
        backfill = self.backfills[backfill_id]
        backfill.queue = [key for key, run in backfill.runs.items() if run.word != "COMPLETED"]
        backfill.next_at = self.now
        self._proceed(backfill)

    # -- the truth -------------------------------------------------------------------------------

    @property
    def loads(self) -> Iterator[Load]:
        """Yield every load that happened. A backfill with several runs a day loads it once all are over."""
        done: dict[tuple[int | None, int, date], list[Run]] = {}
        for run in self.runs:
            for covered in run.covers:
                done.setdefault((run.backfill_id or -run.id, run.transfer_id, covered), []).append(run)
        for (source, transfer_id, covered), runs in done.items():
            over = [run for run in runs if run.word == "COMPLETED" and run.is_over(self.now)]
            good = [(run.ended, run.created) for run in over if run.ended is not None]
            backfill = self.backfills.get(source or 0)
            if len(good) >= (self.transfers[transfer_id].per_day if backfill else 1):
                at, begun = max(good)[0], min(good, key=lambda one: one[1])[1]
                user = backfill.user if backfill else None
                yield Load(transfer_id, covered, begun, at, backfill.id if backfill else None, user)

    def loaded(self, transfer_id: int) -> set[date]:
        return {load.day for load in self.loads if load.transfer_id == transfer_id}

    def bought(self, transfer_id: int) -> list[date]:
        """Return the days that backfills of keys (not of people) loaded, each as often as it was; sorted."""
        mine = (load for load in self.loads if load.transfer_id == transfer_id)
        return sorted(load.day for load in mine if load.user not in (None, PERSON))

    def twice(self) -> set[tuple[int, date]]:
        """Return what a key's backfill loaded although a backfill, or a schedule, had loaded it before."""
        first: dict[tuple[int, date], Load] = {}
        again = set()
        for load in sorted(self.loads, key=lambda load: load.at):
            known = first.setdefault((load.transfer_id, load.day), load)
            if known is not load and load.user not in (None, PERSON):
                again.add((load.transfer_id, load.day))
        return again

    def missing(self, transfer_id: int, wanted: Iterable[date]) -> list[date]:
        """Return the days that nobody loaded, sorted."""
        return sorted(set(wanted) - self.loaded(transfer_id))
