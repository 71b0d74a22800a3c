"""Reading the API: always the list, the transfers and a get for each backfill that vanished;
deeper (``latest``, the run list) only for transfers with something due.

The state must be read before the API is: what another run created in between then shows in
the list, or turns the next commit down.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from reconciler.api.client import ApiClient, Listing
from reconciler.bounds import CLOCKS_APART
from reconciler.dates import LAST_DAY, Day
from reconciler.errors import ApiUnavailable
from reconciler.events import Doing, Reading, RunEvent
from reconciler.formats.reports import encode_time
from reconciler.model.desired import DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import Document
from reconciler.model.observed import Observed, Run, Unreadable
from reconciler.planning.guards import days_of_history
from reconciler.planning.intents import wants_latest
from reconciler.planning.ledger import TransferLedger
from reconciler.planning.records import wanted_gets
from reconciler.planning.situation import Situation, weigh

T = TypeVar("T")
K = TypeVar("K")
Read = Callable[[K], T]
Runs = tuple[Run, ...] | Unreadable


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for one team. ``now`` is our clock; ``workers`` bounds the reads under way at once.

    ``key_hash`` is that of the client's key, by which the state knows whose it is. ``elapsed`` is a clock
    that only passes.
    """

    client: ApiClient
    now: Callable[[], datetime]
    settle: timedelta
    workers: int = 10
    key_hash: str = ""
    elapsed: Callable[[], float] = time.monotonic
    on_event: Callable[[RunEvent], None] = lambda event: None

    def survey(self, team: DesiredTeam, document: Document) -> Situation:
        """Read what a plan needs: twice as deep where the first look leaves days open.

        It counts as read when reading began: what happens between an answer and our looking at
        it is not in it, however long we are held up there.
        """
        key = f"read team {team.team_id}"
        self.on_event(Doing(key, Reading(team.team_id)))
        try:
            return self._survey(team, document)
        finally:
            self.on_event(Doing(key))

    def _survey(self, team: DesiredTeam, document: Document) -> Situation:
        now = self.now()
        situation = weigh(team, document, self._first_look(team, document), now, self.settle)
        firsts: dict[int, Day] = {}
        # More than once only where a shared predecessor, read for one transfer, tells of another's days, or
        # where an earlier day opens: by the list its backfill was in flight, by `latest` it has ended.
        while deep := [one for one in situation.ledgers if one.undecided and _is_unread(one, firsts)]:
            seen = self._deeper(team, situation.observed, deep, firsts)
            situation = weigh(team, document, seen, now, self.settle)
        return self._settled_by_runs(team, document, situation, firsts)

    def _settled_by_runs(
        self, team: DesiredTeam, document: Document, situation: Situation, firsts: dict[int, Day]
    ) -> Situation:
        """Read the run lists of creates that only those can settle, where no open day asked for them: their
        days may not be declared any more, or their transfer has been created anew since.
        """
        seen, reading = situation.observed, [one for one in team.transfers if _reads_runs(one)]
        asked = {source for one in reading for source in one.source_ids} - seen.runs.keys()
        wanted = [one for one in situation.open_creates if one.transfer_id in asked]
        if not wanted:
            return situation
        for one in wanted:
            firsts[one.transfer_id] = min(one.start, firsts.get(one.transfer_id, one.start))
        runs = self._runs([one.transfer_id for one in wanted], firsts, team, seen)
        seen = replace(seen, runs={**seen.runs, **runs}, runs_from=dict(firsts))
        return weigh(team, document, seen, situation.now, self.settle)

    def _first_look(self, team: DesiredTeam, document: Document) -> Observed:
        listing = refuse_wrong_clocks(self.client.list_incomplete(), self.now())
        answered = answered_at(listing, self.elapsed(), self.now())
        transfers = self.client.transfers()
        user = document.users.get(self.key_hash)
        return Observed(
            vendor_now=listing.vendor_now,
            emulated=listing.emulated,
            any_transfer=listing.any_transfer,
            undated=listing.undated,
            listed=listing.backfills,
            list_full=listing.full,
            fetched=self._each(wanted_gets(document, listing.backfills), self.client.get),
            latest=self._each(wants_latest(document), self.client.latest),
            transfers=transfers if isinstance(transfers, Unreadable) else {one.id: one for one in transfers},
            our_user=user.user_id if user else None,
            answered=answered,
        )

    def _deeper(
        self, team: DesiredTeam, seen: Observed, wanted: list[TransferLedger], firsts: dict[int, Day]
    ) -> Observed:
        """Add ``latest`` and the run lists of these transfers. ``firsts`` has the first day that each run
        list was read from, and is kept up: two transfers may share a predecessor.
        """
        back = days_of_history(team.guards)
        for one in wanted:
            for source in one.transfer.source_ids:
                firsts[source] = min(one.read_from - back, firsts.get(source, one.read_from))
        with_runs = [
            source for one in wanted if _reads_runs(one.transfer) for source in one.transfer.source_ids
        ]
        unread = [one for one in firsts if one not in seen.latest]
        counted = self._counting(team, len(wanted), len(unread) + len(set(with_runs)))
        latest = self._each(unread, counted(self.client.latest))
        runs = self._runs(with_runs, firsts, team, seen, counted)
        latest, runs = {**seen.latest, **latest}, {**seen.runs, **runs}
        return replace(seen, latest=latest, runs=runs, runs_from=dict(firsts))

    def _runs(
        self,
        sources: Iterable[int],
        firsts: dict[int, Day],
        team: DesiredTeam,
        seen: Observed,
        counted: Callable[[Read[int, Runs]], Read[int, Runs]] = lambda read: read,
    ) -> dict[int, Runs]:
        until = _read_until(team.as_of, seen.vendor_now)
        return self._each(sources, counted(lambda source: self.client.runs(source, firsts[source], until)))

    def _counting(self, team: DesiredTeam, transfers: int, reads: int) -> Callable[[Read[K, T]], Read[K, T]]:
        """Return what has each of so many reads counted, as a share of the transfers."""
        number = itertools.count(1)

        def counting(read: Read[K, T]) -> Read[K, T]:
            def counted(key: K) -> T:
                answer = read(key)
                done = Reading(team.team_id, transfers * next(number) // reads, transfers)
                self.on_event(Doing(f"read team {team.team_id}", done))
                return answer

            return counted

        return counting

    def _each(self, keys: Iterable[K], read: Callable[[K], T]) -> dict[K, T]:
        """Read one answer for each key, several at a time."""
        wanted = list(dict.fromkeys(keys))
        if len(wanted) < 2 or self.workers < 2:
            return {key: read(key) for key in wanted}
        pool = ThreadPoolExecutor(min(self.workers, len(wanted)))
        try:
            return dict(zip(wanted, pool.map(read, wanted), strict=True))
        finally:  # after an interruption nobody waits for reads under way
            pool.shutdown(wait=False, cancel_futures=True)


def answered_at(listing: Listing, elapsed: float, now: datetime) -> float:
    """Return when a list's ``Date`` came, by the clock that ``elapsed`` was just read from."""
    return elapsed - max(0.0, (now - listing.received).total_seconds())


def _is_unread(ledger: TransferLedger, firsts: Mapping[int, Day]) -> bool:
    """Tell whether a source of a transfer was not read, or only from a later day on than is open."""
    return any(firsts.get(one, LAST_DAY + 1) > ledger.read_from for one in ledger.transfer.source_ids)


def _reads_runs(transfer: DesiredTransfer) -> bool:
    return transfer.evidence is not EvidenceMode.BACKFILLS


def refuse_wrong_clocks(listing: Listing, now: datetime) -> Listing:
    """Return a list. Raises ``ApiUnavailable`` if its ``Date`` is so far from our clock that nothing may be
    concluded by time: one of the two is wrong, or something else has answered.
    """
    behind = now - listing.vendor_now
    if listing.emulated or abs(behind) <= CLOCKS_APART:
        return listing
    hours = abs(behind) // timedelta(hours=1)
    dated = f"Its answer is dated {encode_time(listing.vendor_now)}, {hours} hours"
    if behind > CLOCKS_APART:
        hint = "Something that keeps old answers stands in between, or this machine's clock is wrong."
        raise ApiUnavailable("The API's answers are old", f"{dated} behind this machine's clock.", hint)
    hint = "One of the two clocks is wrong. Set this machine's, or, if it is right, run again later."
    raise ApiUnavailable("The API's clock is ahead", f"{dated} ahead of this machine's clock.", hint)


def _read_until(as_of: Day, vendor_now: datetime) -> datetime:
    """Return the later of both, plus a day: runs are made around and after their data date."""
    ours = datetime.combine(date.fromordinal(as_of), datetime.min.time(), UTC)
    return max(ours, vendor_now).replace(microsecond=0) + timedelta(days=1)
