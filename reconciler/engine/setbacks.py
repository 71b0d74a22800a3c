"""What follows an answer that surely means "not done": a pause and another attempt, or a stop. Pure."""

from __future__ import annotations

from reconciler.api import problems
from reconciler.api.outcome import Denied, NotSentOutcome, QuotaUsedUp, RateLimited, WriteOutcome
from reconciler.engine.steps import Halt
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


def halt_for(answer: WriteOutcome) -> Halt:
    """Return the stop that an outcome asks for: of everything, of the team, for now."""
    match answer:
        case QuotaUsedUp():
            return Halt(problems.out_of_quota(answer), everywhere=True)
        case Denied():
            return Halt(problems.denied(answer))
        case RateLimited():
            detail = "The API asks to wait longer than --max-wait allows."
            return Halt(ApiUnavailable("The API limits our rate", detail, _LATER))
        case _:
            detail = "No connection could be made; nothing was sent."
            return Halt(ApiUnavailable("The API cannot be reached", detail, _LATER))


def unreadable() -> ApiUnavailable:
    """Return the reason to stop where nobody can tell any more what was made meanwhile."""
    detail = "What the plan was made from is outdated, and could not be read again."
    return ApiUnavailable("The API cannot be read", detail, _LATER)
