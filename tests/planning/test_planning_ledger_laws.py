"""The ledger against the rules of docs/planning.md, read word by word and day by day (``Oracle``)."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from planning_oracle import Oracle
from planning_worlds import World, worlds

from reconciler.dates import Day
from reconciler.model.deltas import apply_delta
from reconciler.model.memory import Document
from reconciler.planning.ledger import Bucket, TransferLedger
from reconciler.planning.records import refresh
from reconciler.planning.situation import keep_ledgers

LAW = settings.get_profile("planning-law")


def by_day(ledger: TransferLedger) -> dict[Day, tuple[str, str]]:
    return {day: (entry.bucket.value, entry.reason.value) for entry in ledger.entries for day in entry.days}


def remembering(world: World) -> Document:
    """Return the memory with what the run lists tell: the ledger is kept of that."""
    only_runs = replace(world.observed, listed=(), latest={}, fetched={})
    return apply_delta(world.document, refresh(world.document, only_runs, world.team))


@LAW
@given(worlds())
def test_every_day_is_where_section_4_puts_it(world: World) -> None:
    document = remembering(world)
    ledgers = keep_ledgers(world.team, document, world.observed, world.now, world.settle)
    for transfer, ledger in zip(world.team.transfers, ledgers, strict=True):
        oracle = Oracle(replace(world, document=document), transfer)
        expected = oracle.all_days()
        assert by_day(ledger) == expected
        # each day once, each reason once, and what is due may still be moved by more reading
        assert Counter(day for entry in ledger.entries for day in entry.days) == dict.fromkeys(expected, 1)
        assert sum(len(ledger.days(bucket)) for bucket in Bucket) == len(expected)
        kinds = [(one.bucket, one.reason) for one in ledger.entries]
        assert len(kinds) == len(set(kinds))
        assert set(ledger.days(Bucket.DUE)) <= set(ledger.undecided) <= set(expected)
