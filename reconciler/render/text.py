"""A plan as text: grouped by transfer, one line per action, never one line per day.

The summary line is frozen: people and scripts look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from reconciler.dates import grouped, iso
from reconciler.diagnostics import Place
from reconciler.model.desired import Address
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import (
    COUNTED,
    LISTED,
    Action,
    ActionKind,
    Item,
    Plan,
    TeamPlan,
    TransferSummary,
    Unmanaged,
)
from reconciler.render.words import BOLD, CYAN, DIM, GREEN, RED, YELLOW, Paint, days, plural, span, worded

SIGNS = {ActionKind.CREATE: ("+", GREEN), ActionKind.RETRY: ("-/+", YELLOW), ActionKind.CANCEL: ("-", RED)}
SHOWN_ITEMS = 3
COLOURS = {Bucket.BLOCKED: YELLOW, Bucket.FAILED: RED}  # of what is not acted on; the rest only has to wait


def summary_line(plan: Plan) -> str:
    """Return the frozen line at the end: every count always, in this order, always the word ``days``."""
    counts = plan.counts
    of_days = [f"{counts[bucket]} {worded(bucket)}" for bucket in COUNTED if bucket is not Bucket.PLANNED]
    told = f"Days: {counts.declared} declared, {', '.join(of_days)}."
    if not plan.actions:
        return f"No changes. {told}"
    create, retry = ActionKind.CREATE, ActionKind.RETRY
    return (
        f"Plan: {plan.number_of(create)} to create ({plan.days_of(create)} days), "
        f"{plan.number_of(retry)} to retry ({plan.days_of(retry)} days), "
        f"{plan.number_of(ActionKind.CANCEL)} to cancel. {told}"
    )


def plan_text(plan: Plan, paint: Paint, *, apply_by: str = "") -> str:
    """Return the whole plan, its summary line last, and after it ``apply_by``: the command that applies just
    this plan, where it can be applied.
    """
    lines: list[str] = []
    for team in plan.teams:
        lines += _team(team, paint)
    lines += _footer(plan)
    if plan.errored:
        told = "Incomplete: a team could not be planned; its error is shown separately."
        lines.append(paint(told, RED, BOLD))
    if plan.teams or not plan.errored:
        lines.append(paint(summary_line(plan), BOLD))
    if apply_by and plan.applyable and not plan.errored:
        lines.append(f"Apply exactly this: {apply_by}")
    return "\n".join(lines) + "\n"


def _team(team: TeamPlan, paint: Paint) -> Iterator[str]:
    shown = list(_transfers(team, paint))
    if not shown and not team.unmanaged:
        return
    yield paint(f"Team {team.team_id}, as of {iso(team.as_of)}", BOLD)
    yield ""
    yield from shown
    if team.unmanaged:
        yield from _unmanaged(team.unmanaged, paint)


def _transfers(team: TeamPlan, paint: Paint) -> Iterator[str]:
    actions = grouped(team.actions, lambda action: action.address)
    for transfer in team.transfers:
        body = [*_actions(actions.get(transfer.address, ()), paint), *_rest(team, transfer.address, paint)]
        if body:
            yield _heading(transfer, paint)
            yield from body
            yield ""


def _heading(transfer: TransferSummary, paint: Paint) -> str:
    counts = transfer.counts
    told = [f"{counts[Bucket.COVERED]} of {days(counts.declared)} covered"]
    if counts[Bucket.IN_FLIGHT]:
        told.append(f"{counts[Bucket.IN_FLIGHT]} in flight")
    return f"  {paint(transfer.name, BOLD)} ({transfer.address.transfer_id}): {', '.join(told)}"


def _actions(actions: Iterable[Action], paint: Paint) -> Iterator[str]:
    for action in actions:
        sign, colour = SIGNS[action.kind]
        length = days(action.end - action.start)
        line = f"    {sign:>3} {span(action.start, action.end)}  {length:>9}  {_why(action)}"
        yield paint(line, colour) + paint(_places(action.declared_at) + _notes(action.notes), DIM)


def _why(action: Action) -> str:
    if len(action.reasons) == 1:
        told = next(iter(action.reasons))
    else:
        told = ", ".join(f"{number} {reason}" for reason, number in action.reasons.items())
    if not action.cancels:
        return told
    verb = "cancels" if action.kind is not ActionKind.CANCEL else "cancel"
    return f"{told}; {verb} {', '.join(str(one) for one in action.cancels)}"


def _places(places: tuple[Place, ...]) -> str:
    if not places:
        return ""
    more = f" (+{len(places) - 1})" if len(places) > 1 else ""
    return f"  {places[0]}{more}"


def _notes(notes: tuple[str, ...]) -> str:
    """Return the reasons that people gave in the file."""
    return f"  ({'; '.join(notes)})" if notes else ""


def _rest(team: TeamPlan, address: Address, paint: Paint) -> Iterator[str]:
    """Yield what is not acted on, one line for each reason."""
    for bucket in LISTED:
        items = (item for item in team.of(bucket) if item.address == address)
        own = sorted(items, key=lambda item: (item.reason, item.start))
        for reason, group in groupby(own, key=lambda item: item.reason):
            yield paint(_item_line(bucket, reason, list(group)), COLOURS.get(bucket, CYAN))


def _item_line(bucket: Bucket, reason: str, items: list[Item]) -> str:
    total = sum(one.end - one.start for one in items)
    spans = ", ".join(span(one.start, one.end) for one in items[:SHOWN_ITEMS])
    more = f", and {len(items) - SHOWN_ITEMS} more" if len(items) > SHOWN_ITEMS else ""
    return f"      {bucket}: {reason}, {days(total)}: {spans}{more}"


def _unmanaged(unmanaged: Iterable[Unmanaged], paint: Paint) -> Iterator[str]:
    yield "  Unmanaged backfills (never touched):"
    for one in unmanaged:
        where = f"transfer {one.address.transfer_id}, {span(one.start, one.end)}"
        yield paint(f"      {one.backfill_id}: {where}, {one.status}", DIM)
    yield ""


def _footer(plan: Plan) -> Iterator[str]:
    if not plan.actions:
        return
    made = plan.number_of(ActionKind.CREATE) + plan.number_of(ActionKind.RETRY)
    minimum = sum(team.minimum_creates for team in plan.teams)
    yield f"{plural(made, 'backfill')} to make; the minimum for these days is {minimum}."
    yield ""
