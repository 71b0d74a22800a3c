"""Which of the declared transfers a run is about; which may have been meant by a name that none has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from shlex import quote

from reconciler.config.values import nearest
from reconciler.errors import UsageError
from reconciler.model.desired import Desired, DesiredTeam, DesiredTransfer

MOST_LISTED = 10


def select(desired: Desired, target: Sequence[str], exclude: Sequence[str]) -> Desired:
    """Return what is declared for the transfers whose names match a target and no exclusion.

    Patterns are globs, case counts; no target means all. A team of which none is left is left out;
    ``declared_ids`` stay. Raises ``UsageError`` for
    a pattern that matches no transfer, a typo, and where none is left.
    """
    transfers = [transfer for team in desired.teams for transfer in team.transfers]
    lost = [one for one in (*target, *exclude) if not any(_matches(each.name, (one,)) for each in transfers)]
    if lost:
        detail = f"No transfer in the files is named {', '.join(lost)}."
        flag = "--exclude" if lost[0] in exclude else "--target"
        raise UsageError("A pattern matches no transfer", detail, _meant_by(lost[0], flag, transfers))
    teams = tuple(_selected(team, target, exclude) for team in desired.teams)
    if target or exclude:
        teams = tuple(team for team in teams if team.transfers)  # the others are not read at all
    if transfers and not any(team.transfers for team in teams):
        raise UsageError(
            "No transfer is left",
            "--target and --exclude together leave none of the files' transfers.",
            "Leave out one of them, or name others.",
        )
    return replace(desired, teams=teams, target=tuple(target), exclude=tuple(exclude))


def _selected(team: DesiredTeam, target: Sequence[str], exclude: Sequence[str]) -> DesiredTeam:
    kept = (
        transfer
        for transfer in team.transfers
        if (not target or _matches(transfer.name, target)) and not _matches(transfer.name, exclude)
    )
    return replace(team, transfers=tuple(kept), all_transfers=team.of_the_files)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _meant_by(pattern: str, flag: str, transfers: Sequence[DesiredTransfer]) -> str:
    """Return the hint for a pattern that matches nothing; one flag takes one name."""
    names = [name for name in re.split(r"[,;\s]+", pattern) if name]
    lost = [one for one in names if not any(_matches(each.name, (one,)) for each in transfers)]
    if len(names) < 2:
        return meant(pattern, transfers)
    repeated = f"Repeat the flag for each name: {' '.join(f'{flag} {quote(name)}' for name in names)}"
    return f"{repeated}\n{meant(lost[0], transfers)}" if lost else repeated


def meant(word: str, transfers: Sequence[DesiredTransfer]) -> str:
    """Return a hint: the transfer whose name or id is nearest, and those there are if they are few."""
    by_word = {said: one for one in transfers for said in (one.name, str(one.address.transfer_id))}
    near = nearest(word, list(by_word))
    told = (
        f"Did you mean `{by_word[near].name}` (transfer {by_word[near].address.transfer_id})? "
        if near
        else ""
    )
    named = [f"{one.name} ({one.address.transfer_id})" for one in transfers[:MOST_LISTED]]
    more = len(transfers) - len(named)
    listed = f"{', '.join(named)}{f' and {more} more' if more else ''}" if named else "no transfer"
    return told.rstrip() if told and more else f"{told}The files have {listed}."
