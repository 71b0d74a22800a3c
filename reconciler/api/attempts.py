"""Making a read again, and telling so: whoever waits must know for what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reconciler.api import wording
from reconciler.http import Request, Retry, TryAgain

T = TypeVar("T")

Retried = Callable[[str, int, int], None]
"""Told of a read that failed and is made again: what came, the attempt that comes, and of how many; and, with
nothing and zeros, that such a read ended."""


def untold(_said: str, _attempt: int, _of: int) -> None:
    """Tell nobody."""


def call(retry: Retry, request: Request, attempt: Callable[[], T], retried: Retried) -> T:
    """Call until it succeeds or is given up, as ``Retry.call`` does, telling of each failure but the last."""
    tries = 0

    def counted() -> T:
        nonlocal tries
        tries += 1
        try:
            return attempt()
        except TryAgain as failure:
            if tries < retry.attempts:
                retried(wording.failed_once(request, failure), tries + 1, retry.attempts)
            raise

    try:
        return retry.call(counted)
    finally:
        if tries > 1:
            retried("", 0, 0)
