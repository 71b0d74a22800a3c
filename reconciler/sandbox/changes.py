"""What a person, or the vendor, does to a world besides the API. Callers let it `advance` to `now` first."""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.runs import FAILED
from reconciler.sandbox.transfer import Transfer
from reconciler.sandbox.world import World


def run_again(world: World, number: int, now: int) -> Backfill:
    """Queue the failed runs of a FAILED backfill again. Raises a Refusal where that cannot be."""
    record = find_backfill(world, number)
    if record.status(now, world.settings) != FAILED or record.ended(now) is None:
        raise Refusal(422, f"Backfill {number} has not ended as FAILED")
    transfer = world.meet(record.team, record.transfer)
    world.check_free(transfer, record.start, record.end, now, but=number)
    try:
        record.run_again(now)
    except ValueError as error:
        raise Refusal(422, f"Backfill {number} cannot run again: {error}") from None
    world.changed.add(("backfill", number, 0))
    world.expect(record)
    world.advance(now)  # in a world without paces it is over at once
    return record


def find_backfill(world: World, number: int) -> Backfill:
    """A backfill of any team, whether reads show it or not. Raises a 404 Refusal."""
    if number not in world.backfills:
        raise Refusal(404, f"There is no backfill {number}")
    return world.backfills[number]


def find_transfer(world: World, number: int, team: int | None) -> Transfer:
    """A transfer by id, of a team where several have it. Raises a Refusal: 404, or 400 if it is not told."""
    if team is not None and world.open:
        return world.meet(team, number)
    found = [one for one in world.transfers.values() if one.id == number and team in (None, one.team)]
    if not found:
        raise Refusal(404, f"There is no transfer {number}")
    if len(found) > 1:
        raise Refusal(400, f"Several teams have a transfer {number}: give team_id")
    return found[0]


def change_transfer(world: World, transfer: Transfer, fields: Mapping[str, Any], now: int) -> None:
    """Set fields of a transfer. What has run by `now`, by its schedule or for backfills, stays as it is."""
    schedule, odd_before = transfer.schedule, transfer.odd_days
    for name, value in fields.items():
        setattr(transfer, name, value)
    transfer.close_schedule(schedule, now)
    records = [world.backfills[one] for one in world.index.of_transfer(transfer.team, transfer.id)]
    for day in transfer.odd_days - odd_before:
        transfer.leave(day, now)
        for record in records:
            _leave(world, record, day, now)
    world.put_transfer(transfer)
    world.changed.add(("transfer", transfer.team, transfer.id))
    for record in records:
        world.expect(record)


def _leave(world: World, record: Backfill, day: int, now: int) -> None:
    """Say of the runs of a backfill for a day that have ended that they simply completed."""
    for slot in record.slots_of(day):
        if slot not in record.endings and record.keeps_slot(slot) and record.slot_end(slot) <= now:
            record.endings[slot] = None
            world.changed.add(("backfill", record.id, 0))
