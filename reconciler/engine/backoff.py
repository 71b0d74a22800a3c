"""What follows an answer that surely means "not done": a pause and another attempt, or a stop. Pure."""

from __future__ import annotations

from reconciler.api import wording
from reconciler.api.outcome import Denied, NotSentOutcome, OutOfQuota, RateLimited, WriteOutcome
from reconciler.engine.effects import Stop
from reconciler.errors import ApiUnavailable

NOT_SENT_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt
RATE_LIMIT_PAUSE = 30.0  # seconds, where the API does not say how long
_LATER = "Run again later: nothing is lost."


def pause_after(answer: WriteOutcome, not_sent: int) -> float | None:
    """Return the seconds to wait before another attempt, or ``None`` if there is none."""
    match answer:
        case NotSentOutcome():
            return NOT_SENT_PAUSES[not_sent] if not_sent < len(NOT_SENT_PAUSES) else None
        case RateLimited(retry_after=seconds):
            return seconds if seconds is not None else RATE_LIMIT_PAUSE
        case _:
            return None


def halt_for(answer: WriteOutcome, max_wait: float) -> Stop:
    """Return the stop that an outcome asks for: of everything, of the team, for now."""
    match answer:
        case OutOfQuota():
            return Stop(wording.out_of_quota(answer), everywhere=True)
        case Denied():
            return Stop(wording.denied(answer))
        case RateLimited():
            return Stop(ApiUnavailable("The API limits our rate", _limit(answer, max_wait), _LATER))
        case _:
            detail = "No connection could be made; nothing was sent."
            return Stop(ApiUnavailable("The API cannot be reached", detail, _LATER))


def _limit(answer: RateLimited, max_wait: float) -> str:
    seconds = f"{answer.retry_after or RATE_LIMIT_PAUSE:.0f} seconds"
    if answer.hour_used_up:
        return f"This hour's requests are nearly used up; the next hour begins in {seconds}."
    return f"It asks for {seconds} of patience; --max-wait allows {max_wait:.0f} in all."
