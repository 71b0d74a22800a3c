"""The limits: which pieces a plan takes, and which wait for a later apply. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.dates import Day, Span, grouped
from reconciler.model.desired import DesiredTransfer
from reconciler.model.memory import BackfillRecord, Intent, IntentKind
from reconciler.model.observed import Backfill, Status
from reconciler.planning.evidence import is_active
from reconciler.planning.situation import Situation

LIST_FULL = "list-full"
CREATES, OPEN, OPEN_ON_TRANSFER = "max_creates_per_apply", "max_open_backfills", "max_open_per_transfer"


@dataclass(frozen=True, slots=True, eq=False)
class Piece(Span):
    """A backfill that could be created: due days of one transfer, cut to size. Each equals only itself.

    ``served_at`` is when a create of its transfer was last intended, ``undone_at`` when one of some of its
    days was that came to nothing (refused, or cancelled while it ran), ``party_at`` when any of its transfer
    was; ``None`` if never. ``is_resting``: few creates of the team came after that.
    """

    transfer: DesiredTransfer
    start: Day
    end: Day
    served_at: datetime | None
    undone_at: datetime | None
    party_at: datetime | None
    is_resting: bool


def allotted(situation: Situation, pieces: Sequence[Piece]) -> Budget:
    """Go along pieces, which are in order, and divide them into those taken and those put off.

    No order starves: where a limit puts something off, one of the places that it gives goes to who has waited
    longest, and there to the last piece in the order: with ``newest_first`` and ranges that grow each day,
    history moves too, and no transfer is left out. A limit that gives only one place gives it to the last
    in the order every other day.
    """
    first_try = Budget(situation)
    for piece in pieces:
        first_try.visit(piece)
    reserved = _reserved(first_try)
    if not reserved:
        return first_try
    budget = Budget(situation)
    for piece in (*reserved, *(piece for piece in pieces if piece not in reserved)):
        budget.visit(piece)
    budget.put_in_order({piece: number for number, piece in enumerate(pieces)})
    return budget


def _reserved(tried: Budget) -> tuple[Piece, ...]:
    """Return the pieces that get a place out of turn: at most one of those that each limit put off."""
    on_transfer = [piece for piece, limit in tried.put_off if limit == OPEN_ON_TRANSFER]
    reserved: list[Piece] = []
    for key, put_off in grouped(on_transfer, lambda piece: piece.transfer.address).items():
        taken = [piece for piece, _cancels in tried.taken if piece.transfer.address == key]
        reserved += _spared(put_off, taken, tried.situation, key.transfer_id)
    for limit in (CREATES, OPEN):
        put_off = [piece for piece, hit in tried.put_off if hit == limit]
        reserved += _spared(put_off, [piece for piece, _cancels in tried.taken], tried.situation)
    return tuple(dict.fromkeys(reserved))


def _spared(
    put_off: Sequence[Piece], taken: Sequence[Piece], situation: Situation, transfer_id: int | None = None
) -> Sequence[Piece]:
    """Return who gets the last place: of those that it keeps out, the piece that has waited longest."""
    if not (put_off and taken):
        return ()
    if len(taken) > 1:
        return (_longest_waiting([taken[-1], *put_off]),)
    spared = (_rested(put_off) or put_off)[-1]  # one place: history moves, whichever transfer's it is
    intents = situation.document.intents.values()
    creates = (one for one in intents if one.kind is IntentKind.CREATE)
    own = (one for one in creates if transfer_id in (None, one.transfer_id))
    newest = max(own, key=lambda intent: intent.intended_at, default=None)
    return (spared,) if _is_its_turn(spared, taken[0], newest, situation.team.as_of) else ()


def _longest_waiting(pieces: Sequence[Piece]) -> Piece:
    """Return the piece whose transfer's last create is the longest ago; of equals, the last one.

    What came to nothing before may do so each time: all such pieces of a transfer are one party, which has
    waited since the newest of their tries, rests for some creates, and sends that with the oldest try first.
    """

    def waiting(piece: Piece) -> tuple[float, bool, float]:
        undone = piece.undone_at is not None
        since = piece.party_at if undone else piece.served_at
        return _seconds(since), undone, _seconds(piece.undone_at)

    return min(reversed(_rested(pieces) or pieces), key=waiting)


def _rested(pieces: Sequence[Piece]) -> Sequence[Piece]:
    return [piece for piece in pieces if piece.undone_at is None or not piece.is_resting]


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _is_its_turn(spared: Piece, first: Piece, newest: Intent | None, as_of: Day) -> bool:
    """Tell whether the only place goes to the other end: on days of even ordinal. A job that runs every 48
    hours sees days of one kind alone: it goes then where the newest write of such an earlier day did not.
    """
    passed = as_of - newest.as_of if newest and newest.as_of else 0
    if newest is None or not passed or passed % 2:
        return as_of % 2 == 0
    return abs(newest.start - first.start) <= abs(newest.start - spared.start)


@dataclass(slots=True)
class Budget:
    """Goes along the pieces in order and takes what fits; what does not is put off, with the limit.

    ``failed_blockers`` are our own listed FAILED backfills whose runs are over, by transfer: what is created
    on a day of one cancels it first. ``opened`` counts the open backfills: those listed, whoever made them,
    and those that we know to be open while the list still lags behind; ``active_on`` those of them on each
    transfer whose runs are not over. ``holders`` and ``holders_on`` are the ids of both before the plan, the
    oldest first.
    """

    situation: Situation
    taken: list[tuple[Piece, tuple[int, ...]]] = field(default_factory=list)
    put_off: list[tuple[Piece, str]] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    failed_blockers: dict[int, list[BackfillRecord]] = field(init=False)
    holders: tuple[int, ...] = field(init=False)
    holders_on: dict[int, tuple[int, ...]] = field(init=False)
    active_on: Counter[int] = field(init=False)
    opened: int = field(init=False)

    def __post_init__(self) -> None:
        self.failed_blockers = failed_blockers(self.situation)
        opened = sorted(_opened(self.situation), key=lambda one: (one.created_time, one.id))
        on_transfer = grouped((one for one in opened if is_active(one)), lambda one: one.transfer_id)
        self.holders = tuple(one.id for one in opened)
        self.holders_on = {key: tuple(one.id for one in found) for key, found in on_transfer.items()}
        self.active_on = Counter({key: len(found) for key, found in on_transfer.items()})
        self.opened = len(opened)

    def visit(self, piece: Piece) -> None:
        cancels = self._blockers_under(piece)
        limit = self._limit_hit(piece, cancels)
        if limit:
            self.put_off.append((piece, limit))
            return
        self.taken.append((piece, cancels))
        self.cancelled.update(cancels)
        self.opened += 1 - len(cancels)
        self.active_on[piece.transfer.address.transfer_id] += 1

    def put_in_order(self, place: Mapping[Piece, int]) -> None:
        """Sort what was taken. The first piece that touches one of our FAILED backfills is then the one to
        cancel it, whichever got its place first: the API may refuse what overlaps it.
        """
        pieces = sorted((piece for piece, _cancels in self.taken), key=place.__getitem__)
        self.taken.clear()
        self.cancelled.clear()
        for piece in pieces:
            cancels = self._blockers_under(piece)
            self.taken.append((piece, cancels))
            self.cancelled.update(cancels)

    def _blockers_under(self, piece: Piece) -> tuple[int, ...]:
        """Return our FAILED backfills that hold a day of the piece and are not cancelled yet."""
        blockers = self.failed_blockers.get(piece.transfer.address.transfer_id, ())
        under = {record.id for record in blockers if record.overlaps(piece)}
        return tuple(sorted(under - self.cancelled))

    def _limit_hit(self, piece: Piece, cancels: tuple[int, ...]) -> str:
        limits, opens = self.situation.team.limits, not cancels
        on_transfer, active = limits.max_open_per_transfer, self.active_on[piece.transfer.address.transfer_id]
        if self.situation.observed.list_full and opens:
            return LIST_FULL
        if limits.max_creates_per_apply is not None and len(self.taken) >= limits.max_creates_per_apply:
            return CREATES
        if opens and self.opened >= limits.max_open_backfills:
            return OPEN
        if on_transfer is not None and active >= on_transfer:
            return OPEN_ON_TRANSFER
        return ""


def _opened(situation: Situation) -> list[Backfill]:
    """Return the open backfills, each as it is best known."""
    records = situation.document.backfills
    known = {record.id: record.seen for record in records.values() if not record.gone}
    shown = {backfill.id: backfill for backfill in situation.observed.listed}
    return [backfill for backfill in {**shown, **known}.values() if not backfill.status.final]


def failed_blockers(situation: Situation) -> dict[int, list[BackfillRecord]]:
    """Return our own listed FAILED backfills whose runs are over, by transfer."""
    listed = (situation.document.backfills.get(listed.id) for listed in situation.observed.listed)
    failed = (record for record in listed if record and record.ours and record.status is Status.FAILED)
    ended = (record for record in failed if not is_active(record.seen))
    return grouped(ended, lambda record: record.transfer_id)
