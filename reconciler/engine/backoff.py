"""What follows an answer that surely means "not done": a pause and another attempt, or a stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import assert_never

from reconciler.api import wording
from reconciler.api.outcome import Denied, NotSentOutcome, OutOfQuota, RateLimited
from reconciler.durations import worded
from reconciler.engine.effects import Pause, Stop
from reconciler.errors import ApiUnavailable

NOT_SENT_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt
RATE_LIMIT_PAUSE = 30.0  # seconds, where the API does not say how long
_LATER = "Run again later: nothing is lost."

NotDone = NotSentOutcome | RateLimited | OutOfQuota | Denied


@dataclass(slots=True)
class Backoff:
    """The pauses of one write. ``max_wait`` bounds their sum, in seconds; ``asked`` names the write."""

    max_wait: float
    asked: str = "A write"
    _waited: float = 0.0
    _not_sent: Iterator[float] = field(default_factory=lambda: iter(NOT_SENT_PAUSES))

    def after(self, answer: NotDone) -> Pause | Stop:
        """Return the pause before another attempt, or the stop: of everything, of the team, for now."""
        match answer:
            case OutOfQuota():
                return Stop(wording.out_of_quota(answer, self.asked), everywhere=True)
            case Denied():
                return Stop(wording.denied(answer, self.asked))
            case RateLimited(retry_after=asked):
                pause = RATE_LIMIT_PAUSE if asked is None else asked
                return self._paused(pause, "the API rate limit was reached") or self._limited(answer)
            case NotSentOutcome(why=why, passing=False):
                return Stop(wording.no_tls(self.asked, why))
            case NotSentOutcome():
                return self._paused(next(self._not_sent, None), "no connection") or _unreachable()
            case never:
                assert_never(never)

    def _paused(self, seconds: float | None, why: str) -> Pause | None:
        if seconds is None or self._waited + seconds > self.max_wait:
            return None
        self._waited += seconds
        return Pause(seconds, why)

    def _limited(self, answer: RateLimited) -> Stop:
        pause, most = (
            worded(timedelta(seconds=ceil(one))) for one in (answer.retry_after or 0, self.max_wait)
        )
        told = (
            f"and the API asks us to wait {pause}"
            if answer.retry_after
            else "and it is not told for how long"
        )
        detail = f"{self.asked} was not done, {told}; --max-wait allows {most} in total."
        later = f"Run again in {pause}: nothing is lost." if answer.retry_after else _LATER
        return Stop(ApiUnavailable("The API rate limit was reached", detail, later))


def _unreachable() -> Stop:
    detail = "No connection could be made; nothing was sent."
    return Stop(ApiUnavailable("The API cannot be reached", detail, _LATER))
