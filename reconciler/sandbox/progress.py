"""What a backfill shows, and the words for it."""

from dataclasses import dataclass

from reconciler.sandbox.runs import CANCELLED, COMPLETED, CREATED, FAILED, RUNNING, SCHEDULED

STATUSES = (CREATED, SCHEDULED, RUNNING, FAILED, COMPLETED, CANCELLED)
ACTIVE = frozenset((CREATED, SCHEDULED, RUNNING))
GONE_FROM_LIST = frozenset((COMPLETED, CANCELLED))

USER = 789  # whose keys are that nobody else is named for: the user id of the vendor's examples
PERSON = 791  # whoever makes backfills by hand, without a key


@dataclass(frozen=True, slots=True)
class Progress:
    """A backfill at one moment: its status, its counts, and when it started and ended."""

    status: str
    total: int
    created: int
    completed: int
    failed: int
    started: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class Lap:
    """Slots, ascending, that run again from `begins` on."""

    begins: int
    slots: tuple[int, ...]
