"""Holding the state locks of a run, in the order of the teams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from reconciler.cli.options import Common
from reconciler.engine.team import TeamRun
from reconciler.stores.base import this_process


@contextmanager
def locked(common: Common, runs: Iterable[TeamRun], operation: str) -> Iterator[None]:
    """Hold the lock of each team's state, or none with ``--no-lock``. Raises ``StateLocked``."""
    with ExitStack() as stack:
        for run in runs:
            stack.callback(run.store.close)
            if common.lock:
                info = this_process(operation, datetime.now(UTC))
                stack.enter_context(run.store.lock(info, common.lock_timeout.total_seconds()))
        yield
