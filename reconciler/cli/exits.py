"""Exit statuses, and which one wins where several hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from reconciler.errors import Interrupted, ReconcilerError


class Exit(IntEnum):
    """What an exit status means; ``docs/cli.md`` has the same table."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    PARTLY = 3
    UNKNOWN = 4
    LOCKED = 5
    REFUSED = 6
    QUOTA = 7
    USAGE = 64
    KEY = 65
    UNAVAILABLE = 69
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE = (
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.UNKNOWN,
    Exit.KEY,
    Exit.QUOTA,
    Exit.UNAVAILABLE,
    Exit.ERROR,
    Exit.LOCKED,
    Exit.REFUSED,
    Exit.PARTLY,
    Exit.CHANGES,
)


def worst(statuses: Iterable[int]) -> int:
    """Return the status that wins; 0 if none holds."""
    held = set(statuses)
    return next((int(one) for one in PRECEDENCE if one in held), next(iter(held - {0}), 0))


def status_of(error: ReconcilerError) -> int:
    """Return the exit status of a command that an error ended."""
    return 128 + error.signum if isinstance(error, Interrupted) else error.exit_status
