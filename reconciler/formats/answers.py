"""What the API answered to several requests, in a clause: what is alike is told once, with a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from reconciler.model.observed import ApiError


def answers_told(answers: Sequence[ApiError | None], causes: Collection[str] = ()) -> str:
    """Return ``answered 503 BUSY (request R-1)``, ``each answered 503 BUSY``, or how many of each.

    At least one is given; ``None``: no answer is known, and ``causes`` are what is known instead.
    """
    if len(causes) == 1 and not any(answers) and (cause := next(iter(causes))):
        return cause
    kinds = Counter(one and one.anonymous for one in answers)
    if len(answers) == 1:
        return _told(answers[0])
    if len(kinds) == 1:
        (alike,) = kinds
        return f"each {_told(alike)}" if alike else "no answers are known"
    return ", ".join(
        f"{number} {_told(kind) if kind else 'unanswered'}" for kind, number in kinds.most_common()
    )


def _told(answer: ApiError | None) -> str:
    return f"answered {answer}" if answer else "no answer is known"
