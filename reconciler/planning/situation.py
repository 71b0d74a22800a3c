"""The way into deciding: what was read, and what is remembered, weighed into one situation. Pure.

``weigh`` settles what can be settled, brings the records up to date, and puts every declared day into a
bucket. What it changes in our memory is a delta: ``plan`` applies it in memory only; ``apply`` commits the
same one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.dates import EMPTY, DateSet, grouped, union
from reconciler.model.deltas import Delta
from reconciler.model.desired import DesiredTeam, DesiredTransfer
from reconciler.model.memory import Document, Intent, Outcome
from reconciler.model.observed import Observed
from reconciler.planning.cutting import cut_due
from reconciler.planning.intents import bears_on, is_settled, made_nothing
from reconciler.planning.ledger import Bucket, Reason, TransferLedger, keep_ledger
from reconciler.planning.loads import zone_of
from reconciler.planning.records import applied, refresh, run_index
from reconciler.planning.resolution import Resolution, Terms, resolve
from reconciler.planning.transfer_evidence import TransferEvidence


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan is made from. ``document`` has ``delta`` applied in memory: ``plan``
    leaves it at that, ``apply`` commits it first. ``now`` is our clock's. ``run``: another run that is at
    work on the state, in words; "" if none is seen, or nobody looked.
    """

    team: DesiredTeam
    observed: Observed
    document: Document
    delta: Delta
    resolution: Resolution
    ledgers: tuple[TransferLedger, ...]
    now: datetime
    settle: timedelta
    run: str = ""

    @property
    def open_creates(self) -> Iterator[Intent]:
        """The creates whose outcome only their own days hang on any more: settle time has passed."""
        vendor_now = self.observed.vendor_least
        open_ = self.resolution.unresolved
        return (intent for intent in open_ if is_settled(intent, self.now, vendor_now, self.settle))


def weigh(
    team: DesiredTeam, document: Document, observed: Observed, now: datetime, settle: timedelta
) -> Situation:
    """Return what the answers so far make of our memory and of the days.

    ``document`` is the state as it was read, before the API. ``now`` is when reading began: what took
    effect since may not have been seen.
    """
    team, observed = with_successors(team, document), replace(observed, our_now=now)
    terms = Terms(now, settle, team.on_unknown)
    situation = _weigh(team, document, observed, terms)
    covered = covered_days(situation.ledgers)
    open_ = situation.open_creates
    if all(intent.days - covered.get(intent.transfer_id, EMPTY) for intent in open_):
        return situation
    return _weigh(team, document, observed, replace(terms, covered=covered))


def with_successors(team: DesiredTeam, document: Document) -> DesiredTeam:
    """Return the team as this memory knows it: what a newer file makes on a successor of one of its transfers
    are this one's days too. A file that declares both means both.

        09:00:00  a run with the newer file: transfer 6, ``previous_ids: [5]``, makes May on 6
        09:00:40  a run with the older file, which knows 5 alone: May is in flight, on 6
    """
    pairs = {
        (source, intent.transfer_id)
        for intent in document.intents.values()
        if intent.transfer_id not in team.declared_ids and not _was_never_made(intent)
        for source in intent.source_ids
        if source in team.declared_ids
    }
    if not pairs:
        return team
    successors = grouped(sorted(pairs), lambda pair: pair[0])
    known = {source: tuple(later for _source, later in found) for source, found in successors.items()}
    return replace(
        team,
        transfers=tuple(_succeeded(transfer, known) for transfer in team.transfers),
        all_transfers=tuple(_succeeded(transfer, known) for transfer in team.all_transfers),
    )


def _was_never_made(intent: Intent) -> bool:
    return intent.outcome is Outcome.REFUSED or made_nothing(intent)


def _succeeded(transfer: DesiredTransfer, known: Mapping[int, tuple[int, ...]]) -> DesiredTransfer:
    later = known.get(transfer.address.transfer_id, ())
    return replace(transfer, successors=tuple(one for one in later if one not in transfer.previous_ids))


def _weigh(team: DesiredTeam, document: Document, observed: Observed, terms: Terms) -> Situation:
    resolution = resolve(document, observed, terms)
    settled = applied(document, resolution.delta)
    refreshed = refresh(settled, observed, team)
    current = applied(settled, refreshed)
    ledgers = keep_ledgers(team, current, observed, terms.now, terms.settle)
    whole = resolution.delta + refreshed
    return Situation(team, observed, current, whole, resolution, ledgers, terms.now, terms.settle)


def covered_days(ledgers: Iterable[TransferLedger]) -> dict[int, DateSet]:
    """Return the days known to be loaded, by the id of their transfer, or of a predecessor of it."""
    found: dict[int, DateSet] = {}
    for ledger in ledgers:
        covered = ledger.days(Bucket.COVERED)
        for source in ledger.transfer.source_ids:
            found[source] = found.get(source, covered) & covered
    return found


def keep_ledgers(
    team: DesiredTeam, document: Document, observed: Observed, now: datetime, settle: timedelta
) -> tuple[TransferLedger, ...]:
    """Return the ledger of every selected transfer, by transfer id."""
    runs = run_index(observed)
    listed = frozenset(backfill.id for backfill in observed.listed)
    records = grouped(document.backfills.values(), lambda record: record.transfer_id)
    loads = grouped(document.loads.values(), lambda load: load.transfer_id)
    intents = _by_source(document.intents.values())
    amnesties = grouped(document.amnesties.values(), lambda amnesty: amnesty.transfer_id)
    zone = zone_of(team.timezone)
    ends = ZoneInfo(team.timezone) if team.timezone else UTC
    today = observed.vendor_now.astimezone(ends).date().toordinal()
    ledgers = []
    for transfer in team.transfers:
        sources, own = transfer.source_ids, transfer.address.transfer_id
        known = {intent.nonce: intent for source in sources for intent in intents.get(source, ())}
        evidence = TransferEvidence(
            transfer=transfer,
            as_of=team.as_of,
            vendor_today=today,
            zone=zone,
            records=tuple(record for source in sources for record in records.get(source, ())),
            loads=tuple(load for source in sources for load in loads.get(source, ())),
            runs={source: runs[source] for source in sources if source in runs},
            intents=tuple(intent for intent in known.values() if bears_on(intent, transfer)),
            amnesties=tuple(amnesties.get(own, ())),
            acceptances=document.acceptances,
            observed=observed,
            listed=listed,
            now=now,
            settle=settle,
            stuck_after=team.stuck_after,
        )
        ledgers.append(_kept(evidence, team.limits.max_days_per_backfill))
    return tuple(ledgers)


def _kept(evidence: TransferEvidence, longest: int | None) -> TransferLedger:
    """Return a transfer's ledger. A refusal holds for a range as it was sent: of days that would now be cut
    otherwise it says nothing, once settle time is over, unless they are those of what is in its way.
    """
    ledger = keep_ledger(evidence)
    refused = union(entry.days for entry in ledger.entries if entry.reason is Reason.REFUSED)
    if not refused:
        return ledger
    pieces = cut_due(refused | ledger.days(Bucket.DUE), evidence.transfer.chunk, longest)
    clocks = (evidence.now, evidence.observed.vendor_least, evidence.settle)
    settled = (intent for intent in evidence.intents if is_settled(intent, *clocks))
    otherwise = frozenset(one.nonce for one in settled if (one.start, one.end) not in pieces)
    return keep_ledger(replace(evidence, cut_otherwise=otherwise))


def _by_source(intents: Iterable[Intent]) -> dict[int, list[Intent]]:
    pairs = [(source, intent) for intent in intents for source in intent.source_ids]
    groups = grouped(pairs, lambda pair: pair[0])
    return {source: [intent for _source, intent in found] for source, found in groups.items()}
