"""What a state was shown and must still know: kept beside it, by what the sandbox had to show.

A state that is put back from an older copy knows what its copy knew: so this is copied and put back with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.dates import DateSet
from reconciler.model.memory import Document


@dataclass(frozen=True)
class Conditions:
    """How run lists are to be read. ``lag`` and ``keep`` are seconds; ``keep`` is ``None`` for ever."""

    readable: bool = True
    lag: float = 0.0
    keep: float | None = None


@dataclass(frozen=True)
class Reading:
    """A run list of a transfer that was read, from a first day on, by a survey that was committed."""

    transfer_id: int
    at: float
    first: int
    conditions: Conditions

    def shows(self, created: float, ended: float, day: int) -> bool:
        """Tell whether it showed a run of a day as ended."""
        return self.first <= day and is_shown(created, self.at, self.conditions) and ended + 1 < self.at


def is_shown(created: float, at: float, conditions: Conditions) -> bool:
    """Tell whether a run list that is read ``at`` some time shows a run; seconds are rounded."""
    kept = conditions.keep is None or created - 2 >= at - conditions.keep
    return created + conditions.lag + 2 < at and kept


@dataclass(frozen=True)
class Amnesty:
    """Days of a transfer of which a person said ``retry``."""

    transfer_id: int
    days: DateSet
    at: float


@dataclass
class Memory:
    """``made`` are the creates of ours it was told of, ``seen`` when a committed survey last saw a backfill,
    ``recorded`` since when the state has a record of each, ``explained`` those seen while run
    lists were read.
    """

    serial: int = 0
    lineage: str = ""
    loaded: dict[int, DateSet] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    made: set[int] = field(default_factory=set)
    seen: dict[int, float] = field(default_factory=dict)
    recorded: dict[int, float] = field(default_factory=dict)
    explained: set[int] = field(default_factory=set)
    users: dict[int, float] = field(default_factory=dict)  # since when it knows users of ours
    keys: dict[str, float] = field(default_factory=dict)  # and whose a key is
    readings: list[Reading] = field(default_factory=list)
    amnesties: list[Amnesty] = field(default_factory=list)
    accepted: dict[int, int] = field(default_factory=dict)
    old_copy: bool = False  # a person went on with it, knowing that it was older
    shown: Document | None = None

    def copied(self) -> Memory:
        return Memory(
            self.serial,
            self.lineage,
            dict(self.loaded),
            set(self.done),
            set(self.made),
            dict(self.seen),
            dict(self.recorded),
            set(self.explained),
            dict(self.users),
            dict(self.keys),
            list(self.readings),
            list(self.amnesties),
            dict(self.accepted),
            self.old_copy,
        )

    def is_ours(self, user: int, key: str, at: float) -> bool:
        """Tell whether, as far as the state knew at a time, a user is one of ours; anybody is, for a key of
        which it does not know whose it is.
        """
        return self.old_copy or self.keys.get(key, at) >= at or self.users.get(user, at) < at

    def forgave(self, transfer_id: int, day: int) -> float:
        """Return when a person last said ``retry`` of a day, 0 if never."""
        times = (one.at for one in self.amnesties if one.transfer_id == transfer_id and day in one.days)
        return max(times, default=0.0)
