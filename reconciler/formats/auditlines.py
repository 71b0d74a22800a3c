"""A change of the state as the message of a commit: what happened, for whoever reads the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.dates import Span
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document, IntentKind, Outcome, Override
from reconciler.untrusted import one_line

SKIP_CI = "[skip ci]"  # read by GitHub, GitLab, Azure, Bitbucket and others: no pipeline runs for it
_DONE = {
    (IntentKind.CREATE, Outcome.PENDING): "intends to create",
    (IntentKind.CREATE, Outcome.DONE): "created",
    (IntentKind.CREATE, Outcome.REFUSED): "was refused",
    (IntentKind.CREATE, Outcome.WITHDRAWN): "withdrew",
    (IntentKind.CREATE, Outcome.ABANDONED): "found not created:",
    (IntentKind.CANCEL, Outcome.PENDING): "intends to cancel",
    (IntentKind.CANCEL, Outcome.DONE): "cancelled",
    (IntentKind.CANCEL, Outcome.REFUSED): "was refused to cancel",
    (IntentKind.CANCEL, Outcome.WITHDRAWN): "withdrew to cancel",
    (IntentKind.CANCEL, Outcome.ABANDONED): "found not cancelled:",
}


def message_of(delta: Delta, after: Document, run: str = "") -> str:
    """Return the message of the commit that made ``after``: ``team 5: created 3 backfills, 74 days``.

    Why a guard was overridden, the digest of a plan that was applied, the address ``run`` of the CI run, and
    the serial follow.
    """
    told = "; ".join(_happened(delta, after)) or "read the API"
    plans = (f"plan {one.digest}, by {one.who}" for one in delta.applies)
    return message(after, told, *map(_why, delta.overrides), *plans, run=run)


def _why(one: Override) -> str:
    guards = ", ".join(one.guards)
    return one_line(f"{guards} overridden for plan {one.digest}, by {one.who}: {one.reason}")


def message(after: Document, told: str, *more: str, run: str = "") -> str:
    """Return a message whose subject is ``told``."""
    facts = [*more, f"run {run}"] if run else [*more]
    facts.append(f"serial {after.serial}, lineage {after.lineage}, {after.written_by}")
    return f"team {after.team_id}: {told} {SKIP_CI}\n\n" + "\n".join(facts) + "\n"


def _happened(delta: Delta, after: Document) -> Iterator[str]:
    for (kind, outcome), verb in _DONE.items():
        found = [one for one in delta.intents if (one.kind, one.outcome) == (kind, outcome)]
        if found:
            yield f"{verb} {_sum(found)}"
    if delta.amnesties:
        yield f"retries {_count(sum(len(one.days) for one in delta.amnesties), 'day')}"
    if delta.acceptances:
        yield f"accepted the history of {_count(len(delta.acceptances), 'transfer')}"
    told = {one.backfill_id for one in delta.intents}
    if seen := [one for one in delta.backfills if one.id not in told]:
        yield f"saw {_sum(seen)}"
    if delta.loads:
        yield f"saw loads of {_count(len({one.transfer_id for one in delta.loads}), 'transfer')}"
    if delta.overrides:
        yield "overrides a guard"
    if delta.applies:
        yield "applied a plan"
    if after.serial == 1:
        yield "began this state"


def _sum(found: Sequence[Span]) -> str:
    return f"{_count(len(found), 'backfill')}, {_count(sum(len(one.days) for one in found), 'day')}"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
