"""What is being done at the moment, as lines for people: what is read, waited for, and made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from reconciler.events import UNKNOWN, Activity, LockAwaited, Reading, Retrying, Sending, Waiting
from reconciler.render.words import days, plural

SLOW = 3.0  # seconds after which a write that is not answered has a line of its own
SHOWN = 3  # writes that have one
NAMED = 2  # transfers that are named of those that wait

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lasting:
    """Something that goes on: since how many seconds, and until when, if that is known."""

    what: Activity | Waiting
    seconds: float
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the creates of a plan are."""

    done: int
    of: int
    days: int
    of_days: int
    seconds: float

    def told(self, dot: str) -> str:
        counts = f"Creating {self.done} of {self.of}", f"{self.days} of {days(self.of_days)}"
        return f" {dot} ".join([*counts, f"{self.seconds:.0f} s"])


def doing_lines(lasting: Sequence[Lasting], width: int = 0) -> Iterator[str]:
    """Yield a line for each kind of what goes on, and for slow writes; the most general comes last.

    ``width`` is that of the transfers' names.
    """
    yield from _sending(lasting, width)
    for _, lock in _of(lasting, LockAwaited):
        yield f"waiting for the lock: {lock.holder or 'another run has it'}"
    retrying = [one for _, one in _of(lasting, Retrying)]
    if retrying:
        last = retrying[-1]
        more = f" (and {plural(len(retrying) - 1, 'read')} more)" if len(retrying) > 1 else ""
        yield f"{last.said}, attempt {last.attempt} of {last.of}{more}"
    yield from _waiting(lasting)
    for state, one in _of(lasting, Reading):
        progress = f": {one.done} of {plural(one.total, 'transfer')}" if one.total else ""
        yield f"reading team {one.team_id}{progress}, {state.seconds:.0f} s"


def _of(lasting: Iterable[Lasting], kind: type[T]) -> list[tuple[Lasting, T]]:
    return [(one, one.what) for one in lasting if isinstance(one.what, kind)]


def _sending(lasting: Iterable[Lasting], width: int) -> Iterator[str]:
    slow = [(state, one) for state, one in _of(lasting, Sending) if state.seconds >= SLOW]
    for state, one in slow[:SHOWN]:
        yield f"    ~ {one.transfer:<{width}}  {one.dates}  sending, {state.seconds:.0f} s"
    if len(slow) > SHOWN:
        yield f"    ~ {len(slow) - SHOWN} more"


def _waiting(lasting: Iterable[Lasting]) -> Iterator[str]:
    """Yield one line for each reason to wait, however many transfers have it."""
    by_reason: dict[str, list[tuple[Lasting, Waiting]]] = {}
    for state, one in _of(lasting, Waiting):
        by_reason.setdefault(one.why, []).append((state, one))
    for why, those in by_reason.items():
        names = list(dict.fromkeys(one.transfer for _, one in those if one.transfer))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        whose = f" ({', '.join(names[:NAMED])}{more})" if names else ""
        if why == UNKNOWN:
            yield f"looking what became of {plural(len(those), 'create')}{whose}"
        else:
            last = max(state.until for state, _ in those if state.until is not None)
            yield f"waiting until {last:%H:%M:%S} UTC: {why}{whose}"
