"""What an apply did for one team, and what it left: counted from what was told, and from the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.errors import ReconcilerError
from reconciler.events import (
    Cancelled,
    Created,
    RunEvent,
    TurnedAway,
    UnknownOutcome,
    Withdrawn,
    WriteRefused,
)
from reconciler.model.deltas import Delta
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.model.observed import ApiError
from reconciler.planning.plan import Action, ActionKind


@dataclass(slots=True)
class TeamReport:
    """What an apply did for one team. ``statuses`` are the exit statuses that hold for it.

    ``outcomes`` are the refusals and withdrawals, as they were told; ``doubts`` the creates that are
    unresolved in the end, those of earlier runs too; ``not_sent`` what was planned, and stays due, and so
    does what was sent and ``turned_away``.
    """

    team_id: int
    created: int = 0
    retried: int = 0
    cancelled: int = 0
    adopted: int = 0
    refused: int = 0
    withdrawn: int = 0
    unknown: int = 0
    days: int = 0
    statuses: set[int] = field(default_factory=set)
    errors: list[ReconcilerError] = field(default_factory=list)
    outcomes: list[WriteRefused | Withdrawn] = field(default_factory=list)
    doubts: list[UnknownOutcome] = field(default_factory=list)
    not_sent: list[Action] = field(default_factory=list)
    turned_away: list[TurnedAway] = field(default_factory=list)

    def count(self, event: RunEvent) -> None:
        self.refused += isinstance(event, WriteRefused)
        self.withdrawn += isinstance(event, Withdrawn)
        if isinstance(event, WriteRefused | Withdrawn):
            self.outcomes.append(event)
        if isinstance(event, UnknownOutcome):
            self.doubts.append(event)
        if isinstance(event, Created):
            self.adopted += event.refused
            self.created += event.action.kind is ActionKind.CREATE and not event.refused
            self.retried += event.action.kind is ActionKind.RETRY and not event.refused
            self.days += len(event.action.days)
        elif isinstance(event, Cancelled) and event.action.kind is ActionKind.CANCEL:
            self.cancelled += 1

    def count_unsaved(self, deltas: Iterable[Delta]) -> None:
        """Count what was made, and could not be recorded: nothing was told of it."""
        for delta in deltas:
            made = [one for one in delta.intents if one.outcome is Outcome.DONE]
            if any(one.kind is IntentKind.CREATE for one in made):
                self.created += len(delta.backfills)
                self.days += sum(len(record.days) for record in delta.backfills)

    def take_back(self, turned_away: Iterable[str]) -> None:
        """Take back the refusals that turned out to be the key's or licence's: nothing keeps their days."""
        nonces = set(turned_away)
        shared = [one for one in self.outcomes if isinstance(one, WriteRefused) and one.suspect in nonces]
        self.outcomes = [one for one in self.outcomes if one not in shared]
        self.refused -= len(shared)
        self.turned_away += [TurnedAway(one.action, one.error) for one in shared if one.error]

    def leave(self, left: Iterable[tuple[Action, ApiError | None]], known: Iterable[Intent]) -> None:
        """Note the actions that nothing has become of: they were not sent, or turned away with an answer,
        unless an intent tells more.
        """
        written = {(one.transfer_id, one.start, one.end) for one in known}
        for action, answer in left:
            if (action.address.transfer_id, action.start, action.end) in written:
                continue
            if answer is None:
                self.not_sent.append(action)
            else:
                self.turned_away.append(TurnedAway(action, answer))
