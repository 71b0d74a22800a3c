"""Reading the API: always the list, the transfers and a get for each backfill that vanished;
deeper (``latest``, the run list) only for transfers with something due.

The state must be read before the API is: what another run created in between then shows in
the list, or turns the next commit down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from reconciler.api.client import ApiClient
from reconciler.dates import Day
from reconciler.model import Address, DesiredTeam, DesiredTransfer, EvidenceMode, Observed, Unreadable
from reconciler.planning.intents import Resolution, doubted, resolve, wants_latest
from reconciler.planning.ledger import Bucket, Evidence, TransferLedger, keep_ledger
from reconciler.planning.refresh import refresh, run_index, wanted_gets
from reconciler.state.document import BackfillRecord, Delta, Document, Intent, Outcome, apply_delta

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R", BackfillRecord, Intent)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan is made from. ``document`` has ``delta`` applied in memory: ``plan``
    leaves it at that, ``apply`` commits it first. ``now`` is our clock's.
    """

    team: DesiredTeam
    observed: Observed
    document: Document
    delta: Delta
    resolution: Resolution
    ledgers: tuple[TransferLedger, ...]
    now: datetime
    settle: timedelta


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for one team. ``now`` is our clock; ``workers`` bounds the reads under way at once."""

    client: ApiClient
    now: Callable[[], datetime]
    settle: timedelta
    workers: int = 10

    def survey(self, team: DesiredTeam, document: Document) -> Situation:
        """Read what a plan needs: twice as deep where the first look leaves days open.

        It counts as read when reading began: what happens between an answer and our looking at
        it is not in it, however long we are held up there.
        """
        now = self.now()
        situation = self._weigh(team, document, self._first_look(team, document), now)
        firsts: dict[int, Day] = {}
        read: set[Address] = set()
        # More than once only where a shared predecessor, read for one transfer, tells of another's days.
        while deep := [
            one for one in situation.ledgers if one.undecided and one.transfer.address not in read
        ]:
            read |= {one.transfer.address for one in deep}
            situation = self._weigh(team, document, self._deeper(team, situation.observed, deep, firsts), now)
        return self._weigh_doubts(situation, document)

    def _weigh_doubts(self, situation: Situation, document: Document) -> Situation:
        """Weigh again if days are due only because a refusal is believed that may not be."""
        due = [(one.transfer.source_ids, one.days(Bucket.DUE)) for one in situation.ledgers]
        doubts = doubted(situation.document, situation.observed, due, situation.now - self.settle)
        if not doubts:
            return situation
        return self._weigh(situation.team, document, situation.observed, situation.now, doubts)

    def _weigh(
        self,
        team: DesiredTeam,
        document: Document,
        observed: Observed,
        now: datetime,
        doubts: tuple[Intent, ...] = (),
    ) -> Situation:
        resolution = resolve(document, observed, now, self.settle, team.on_unknown)
        unresolved = (*resolution.unresolved, *doubts)
        delta = resolution.delta + Delta(intents=doubts)
        resolution = replace(resolution, delta=delta, unresolved=unresolved)
        settled = _with(document, resolution.delta)
        refreshed = refresh(settled, observed, team)
        current = _with(settled, refreshed)
        ledgers = keep_ledgers(team, current, observed, now, self.settle)
        whole = delta + refreshed
        return Situation(team, observed, current, whole, resolution, ledgers, now, self.settle)

    def _first_look(self, team: DesiredTeam, document: Document) -> Observed:
        listing = self.client.list_incomplete()
        transfers = self.client.transfers()
        named = None if isinstance(transfers, Unreadable) else {one.id: one for one in transfers}
        return Observed(
            vendor_now=listing.vendor_now,
            listed=listing.backfills,
            list_full=listing.full,
            fetched=self._each(wanted_gets(document, listing.backfills), self.client.get),
            latest=self._each(wants_latest(document), self.client.latest),
            transfers=named,
        )

    def _deeper(
        self, team: DesiredTeam, seen: Observed, wanted: list[TransferLedger], firsts: dict[int, Day]
    ) -> Observed:
        """Add ``latest`` and the run lists of these transfers. ``firsts`` has the first day that each run
        list was read from, and is kept up: two transfers may share a predecessor.
        """
        until = _read_until(team.as_of, seen.vendor_now)
        for one in wanted:
            for source in one.transfer.source_ids:
                firsts[source] = min(one.undecided.first(), firsts.get(source, one.undecided.first()))
        with_runs = [
            source
            for one in wanted
            if one.transfer.evidence is not EvidenceMode.BACKFILLS
            for source in one.transfer.source_ids
        ]
        latest = self._each([one for one in firsts if one not in seen.latest], self.client.latest)
        runs = self._each(with_runs, lambda source: self.client.runs(source, firsts[source], until))
        return replace(seen, latest={**seen.latest, **latest}, runs={**seen.runs, **runs})

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


def keep_ledgers(
    team: DesiredTeam, document: Document, observed: Observed, now: datetime, settle: timedelta
) -> tuple[TransferLedger, ...]:
    """Return the ledger of every selected transfer, by transfer id."""
    runs = run_index(observed)
    listed = frozenset(one.id for one in observed.listed)
    records = by_transfer(document.backfills.values())
    intents = by_transfer(document.intents.values())
    ledgers = []
    for transfer in team.transfers:
        sources = transfer.source_ids
        evidence = Evidence(
            records=tuple(one for source in sources for one in records.get(source, ())),
            runs={source: runs[source] for source in sources if source in runs},
            intents=_intents_on(transfer, intents, now - settle),
            observed=observed,
            listed=listed,
            now=now,
            settle=settle,
        )
        ledgers.append(keep_ledger(transfer, evidence))
    return tuple(ledgers)


def _intents_on(
    transfer: DesiredTransfer, intents: Mapping[int, list[Intent]], unsettled_since: datetime
) -> tuple[Intent, ...]:
    """Return the transfer's intents, and those by which a predecessor may yet turn out to load days: in
    doubt, or refused so lately that reads may still hide what a gateway, sending it twice, made of it.
    """
    own, found = transfer.address.transfer_id, []
    for one in (one for source in transfer.source_ids for one in intents.get(source, ())):
        refused_lately = one.outcome is Outcome.REFUSED and one.intended_at > unsettled_since
        if one.transfer_id == own or one.pending or refused_lately:
            found.append(one)
    return tuple(found)


def by_transfer(items: Iterable[R]) -> Mapping[int, list[R]]:
    """Group records or intents by transfer id."""
    grouped: dict[int, list[R]] = {}
    for one in items:
        grouped.setdefault(one.transfer_id, []).append(one)
    return grouped


def _with(document: Document, delta: Delta) -> Document:
    """Apply a delta in memory only: the serial stays that of the store."""
    return replace(apply_delta(document, delta), serial=document.serial) if delta else document


def _read_until(as_of: Day, vendor_now: datetime) -> datetime:
    """Return the later of both, plus a day: runs are made around and after their data date."""
    ours = datetime.combine(date.fromordinal(as_of), datetime.min.time(), UTC)
    return max(ours, vendor_now).replace(microsecond=0) + timedelta(days=1)
