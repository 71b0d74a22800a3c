"""Creates whose outcome is unknown, and what settles each by hand; those that are alike are told as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from reconciler.dates import grouped
from reconciler.formats.answers import answers_told
from reconciler.formats.commands import on_lines, resolving
from reconciler.formats.reports import minute_after
from reconciler.model.memory import Intent


@dataclass(frozen=True, slots=True)
class Doubt:
    """A create whose outcome is unknown. From ``settles_at`` on a run settles it, if ever.

    ``team_id``: where another team has a transfer of its name, so that its id stands for it; else 0.
    ``made``: the backfill in the API's list that it seems to have made; the next apply takes it for ours.
    """

    intent: Intent
    settles_at: datetime | None
    team_id: int = 0
    made: int | None = None

    @property
    def where(self) -> str:
        team = f" of team {self.team_id}" if self.team_id else ""
        return f"{self.intent.transfer}{team} {self.intent.dates}"

    @property
    def commands(self) -> str:
        named = str(self.intent.transfer_id) if self.team_id else self.intent.transfer
        if self.made is not None:  # it would refuse to be told otherwise
            return on_lines(f"resolve {quote(named)} {self.intent.dates} --as created:{self.made}")
        return resolving(named, self.intent.dates)


def resolve_text(doubts: Sequence[Doubt], now: datetime) -> str:
    """Return what to do about each, and about those that are alike, together."""
    alike = grouped(
        doubts,
        lambda one: (
            one.intent.answer and one.intent.answer.anonymous,
            one.settles_at is None,
            one.made is not None,
        ),
    )
    return "\n\n".join(_told(those, now) for those in alike.values())


def _told(doubts: Sequence[Doubt], now: datetime) -> str:
    first = doubts[0]
    if first.made is not None:
        return "\n".join(map(_seen, doubts))
    said = answers_told([one.intent.answer for one in doubts])
    then = f"{first.commands}\n(ID: the backfill's number){_waiting(doubts, now)}"
    if len(doubts) == 1:
        asked = f"Was {first.where} created ({said})?"
        return (
            f"{asked} Look at the vendor's page of transfer {first.intent.transfer_id}. Then either of:{then}"
        )
    listed = "".join(f"\n  {line}" for line in _lines(doubts))
    look = "Look at the vendor's pages of their transfers. Then for each either of, here for the first:"
    return f"Were these {len(doubts)} backfills created ({said})?{listed}\n{look}{then}"


def _seen(doubt: Doubt) -> str:
    told = f"{doubt.where} was created, it seems: backfill {doubt.made} is just what was asked for."
    return f"{told} An apply takes it for ours; or look at it, and say so now:{doubt.commands}"


def _lines(doubts: Sequence[Doubt]) -> Iterator[str]:
    width = max(len(str(one.intent.transfer_id)) for one in doubts)
    yield from (f"{one.intent.transfer_id:>{width}}  {one.where}" for one in doubts)


def _waiting(doubts: Sequence[Doubt], now: datetime) -> str:
    times = [one.settles_at for one in doubts if one.settles_at is not None]
    if not times:
        return "."
    it = "it" if len(doubts) == 1 else "them"
    if now >= max(times):
        return f", or look whether an apply settles {it} now."
    minutes = -(-(max(times) - now).seconds // 60)
    after = f"an apply after {minute_after(max(times))} (in {minutes} min)"
    return f", or wait: {after} settles {it}, if the API tells."
