"""What follows an answer that surely means "not done": a pause and another attempt, or a stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import assert_never

from reconciler.api import wording
from reconciler.api.outcome import Denied, NotSentOutcome, OutOfQuota, RateLimited
from reconciler.bounds import WRITE_TRIES
from reconciler.durations import worded
from reconciler.engine.effects import Pause, Stop
from reconciler.errors import ApiUnavailable

NOT_SENT_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt
RATE_LIMIT_PAUSE = 30.0  # seconds, where the API does not say how long
_LATER = "Run again later: nothing is lost."

NotDone = NotSentOutcome | RateLimited | OutOfQuota | Denied


@dataclass(slots=True)
class Backoff:
    """The pauses of one write. ``max_wait`` bounds their sum, in seconds, which they share where the API does
    not say how long to wait.
    """

    max_wait: float
    _waited: float = 0.0
    _limits: int = 0
    _not_sent: Iterator[float] = field(default_factory=lambda: iter(NOT_SENT_PAUSES))

    def after(self, answer: NotDone, asked: str) -> Pause | Stop:
        """Return the pause before another attempt, or the stop: of everything, of the team, for now.
        ``asked`` names the write: its method, path, transfer and days.
        """
        match answer:
            case OutOfQuota():
                return Stop(wording.out_of_quota(answer, asked), everywhere=True)
            case Denied():
                return Stop(wording.denied(answer, asked))
            case RateLimited(retry_after=seconds, error=error):
                shared = max(RATE_LIMIT_PAUSE, self.max_wait / WRITE_TRIES)
                self._limits += 1
                pause = None if self._limits >= WRITE_TRIES else shared if seconds is None else seconds
                why = f"the{wording.limited(error, words=True)[len('The') :]}"
                return self._paused(pause, why) or self._limited(answer, asked)
            case NotSentOutcome(why=why, passing=False):
                return Stop(wording.no_tls(asked, why))
            case NotSentOutcome(why=why):
                return self._paused(next(self._not_sent, None), "no connection") or _unreachable(asked, why)
            case never:
                assert_never(never)

    def _paused(self, seconds: float | None, why: str) -> Pause | None:
        if seconds is None or self._waited + seconds > self.max_wait:
            return None
        self._waited += seconds
        return Pause(seconds, why)

    def _limited(self, answer: RateLimited, asked: str) -> Stop:
        pause, most = (
            worded(timedelta(seconds=ceil(one))) for one in (answer.retry_after or 0, self.max_wait)
        )
        allowed = f"--max-wait allows {most} in total"
        told = (
            f"and the API asks us to wait {pause}"
            if answer.retry_after
            else "and it is not told for how long"
        )
        said = f"was answered with {answer.error}" if answer.error else "was not sent"
        ended = f"that was the {WRITE_TRIES}th time" if self._limits >= WRITE_TRIES else allowed
        detail = f"{asked} {said}, {told}; {ended}."
        later = f"Run again in {pause}: nothing is lost." if answer.retry_after else _LATER
        wait = timedelta(seconds=ceil(answer.retry_after)) if answer.retry_after else None
        return Stop(ApiUnavailable(wording.limited(answer.error), detail, later, wait))


def _unreachable(asked: str, why: str) -> Stop:
    detail = f"{asked} was not sent: {why or 'no connection could be made'}."
    return Stop(ApiUnavailable("The API cannot be reached", detail, _LATER))
