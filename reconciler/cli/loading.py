"""From flags to what the files declare, and the showing of what is wrong with them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.cli.options import Common, completed
from reconciler.cli.terminal import err, paint_for, width_of
from reconciler.config.loading import default_paths, load, read_files
from reconciler.config.selection import meant, select
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.dates import Day
    from reconciler.model.desired import Desired, DesiredTeam


def read_all(common: Common) -> Desired:
    """Read the files that the flags name, good or bad. Raises ``ConfigError`` for a path that cannot be
    looked at, and ``UsageError`` for an ``--as-of`` in the future.
    """
    return read_files(common.config or default_paths(), as_of=common.as_of, now=datetime.now(UTC))


def load_selected(common: Common) -> Desired:
    """Load the files that the flags name, and select the transfers. Warnings are shown.

    Raises ``ConfigError`` with all findings if one is an error, and ``UsageError`` for a pattern that
    matches no transfer.
    """
    desired = load(common.config or default_paths(), common.as_of, _sandbox_time(common))
    show_findings(desired, common)
    return select(desired, common.target, common.exclude)


def _sandbox_time(common: Common) -> datetime | None:
    """Return the sandbox's time, if one is what is asked: its today is the one that counts there."""
    from reconciler.cli.arguments import is_sandbox, opened_sandbox

    if not is_sandbox(common):
        from reconciler.http import emulated_now

        return emulated_now(common.api)
    with opened_sandbox(common) as sandbox:
        return datetime.fromtimestamp(sandbox.now(), UTC)


def named_transfer(teams: Iterable[DesiredTeam], name: str) -> tuple[DesiredTeam, int]:
    """Return the team and id of the one transfer of the files with this name or id. Raises ``UsageError``."""
    known = [(team, transfer) for team in teams for transfer in team.transfers]
    found = [pair for pair in known if name in (pair[1].name, str(pair[1].address.transfer_id))]
    if len(found) == 1:
        return found[0][0], found[0][1].address.transfer_id
    if found:
        which = ", ".join(
            f"{one.name} ({one.address.transfer_id}) of team {team.team_id}" for team, one in found
        )
        detail = f"{len(found)} are named {name}: {which}."
        hint = "Give what tells them apart, its name or its id, or only the files of its team with -c."
        raise UsageError("The name does not match exactly one transfer", detail, hint)
    hint = meant(name, [transfer for _team, transfer in known])
    raise UsageError("There is no such transfer", f"The files declare none that is named {name}.", hint)


def show_findings(desired: Desired, common: Common) -> None:
    """Print all findings, errors and warnings, to stderr."""
    if desired.findings:
        from reconciler.render.findings import findings_text

        paint, width = paint_for(common.color, sys.stderr), width_of(sys.stderr)
        err(completed(findings_text(desired.findings, paint, desired.line, width), common))
        err("")


def parse_range(text: str, as_of: Day) -> tuple[Day, Day]:
    """Return a range in any form that a file may have, as half-open days. Raises ``UsageError``.

    Relative days are read as of ``as_of``.
    """
    from reconciler.config.ranges import parse_range as ends_of
    from reconciler.config.rules import BrokenRule
    from reconciler.model.written import WrittenRange

    try:
        ends = ends_of(text.strip())
        if ends is None:
            from reconciler.config.mistyped import no_range

            raise no_range(text)
    except BrokenRule as broken:
        raise UsageError("Not a range of days", f"START..END {broken.problem}.", broken.hint) from None
    start, end = WrittenRange(*ends).interval(as_of)
    if start == end:
        raise UsageError("Not a range of days", f"{text!r} ends before it starts.")
    return start, end
