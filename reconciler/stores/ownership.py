"""What every store checks before it hands out or changes a document, and what whole documents become."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from shlex import quote

from reconciler.errors import Refused, StateConflict, StateDamaged, StateForeign, StateMoved, StateOldCopy
from reconciler.formats.commands import on_lines
from reconciler.model.memory import NONCES_KEPT, Document
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.holders import LONGEST, Committed
from reconciler.untrusted import printable

SCRATCH_TEAMS = range(10**18, 2 * 10**18)  # no teams of the vendor's: those of self-tests
_TEAM = re.compile(r"/team-\d+(?:\.db)?$")  # a document's place, below what --state names


def check_owner(document: Document, blank: Document, source: str) -> None:
    """Raise ``StateForeign`` unless ``document`` is that of the team and the API of ``blank``."""
    team_id, api_url = blank.team_id, blank.api_url
    if document.team_id != team_id:
        raise StateForeign(
            "The state belongs to another team",
            f"{source} belongs to team {document.team_id}, but this run is for team {team_id}.",
            "Use the right --state, or the files of that team. Nothing was changed.",
        )
    if document.api_url != api_url:
        theirs = _short(document.api_url)
        raise StateForeign(
            "The state belongs to another API",
            f"{source} belongs to {theirs}, but this run talks to {api_url}. "
            "Backfill ids of one mean nothing to the other.",
            f"Use the right --state, or --api {quote(theirs)}. Nothing was changed.",
        )


def check_expected(there: Revision, expected: Revision, source: str) -> None:
    """Compare, for the compare-and-set.

    Raises ``StateConflict`` when somebody else committed, ``StateForeign`` when the document
    was replaced by one of another lineage, and ``StateDamaged`` when it is gone: starting
    anew in its place would forget what it knew.
    """
    if there == expected:
        return
    if there == NEVER_WRITTEN:
        raise StateDamaged(
            "The state is gone",
            f"{source} was there when this run read it, but is gone now.",
            "Restore it, then run again. Nothing was written in its place.",
        )
    if expected.lineage not in ("", there.lineage):
        raise StateForeign(
            "The state was replaced",
            f"{source} has lineage {there.lineage}, but this run started with {expected.lineage}.",
            "Find out who replaced it, then run again. Nothing was changed.",
        )
    raise changed(there, expected, source)


def changed(there: Revision, expected: Revision, source: str) -> StateConflict:
    """Return the error for a state that somebody else changed."""
    return StateConflict(
        "Another run changed the state",
        f"{source} is at serial {there.serial}, but this run expected serial {expected.serial}.",
        "Run again. Nothing was changed.",
    )


def check_not_older(
    there: Revision,
    committed: Committed | None,
    source: str,
    gone: Callable[[str], tuple[str, str]],
    put_back: str = "Put the newer state back.",
) -> None:
    """Raise ``StateOldCopy`` if what is there is older than what was committed when a run ended,
    ``StateForeign`` if it is of another lineage than that, and ``StateMoved`` if it goes on elsewhere.

    ``gone`` words it, and what to do, where nothing is there; ``put_back`` says how to, where something is.
    """
    if committed is None:
        return
    if there.lineage not in ("", committed.lineage):
        raise _replaced(there, committed, source, put_back)
    if there.serial >= committed.serial:
        return  # also if it moved away: it came back since
    if committed.moved:
        raise moved_away(committed, source, there.serial > 0)
    told = f"a run ended here with serial {committed.serial}: what was done since"
    if not there.serial:
        lies, hint = gone(source)
        raise StateOldCopy("The state is gone", f"{source} {lies}, but {told} would be done again.", hint)
    raise StateOldCopy(
        "The state is an older copy",
        f"{source} is at serial {there.serial}, but {told} is not in it, and would be done again.",
        f"{put_back} If it is lost, go on with this one:{on_lines('accept --old-copy')}",
    )


def _replaced(there: Revision, committed: Committed, source: str, put_back: str) -> StateForeign:
    """Return the error for a state in whose place lies another one, which knows nothing of what was done.

    Whoever changes the lineage on purpose (``push``, ``remove``) changes what the place remembers too.
    """
    return StateForeign(
        "The state was replaced",
        f"{source} has lineage {there.lineage}, but a run ended here with lineage {committed.lineage} and "
        f"serial {committed.serial}: what was done since is not in it, and would be done again.",
        f"{put_back} If this one is to hold, push it as a file, from where it comes from (`state pull`):"
        f"{on_lines('state push FILE --another-lineage')}",
    )


def moved_away(committed: Committed, source: str, is_here: bool) -> StateMoved:
    """Return the error for a place whose document goes on elsewhere; ``is_here``: it is not removed yet."""
    to = committed.moved
    if is_here:
        detail = f"{source}: its move to {to} is under way, or was broken off."
        return StateMoved("The state is being moved", detail, _again(to, source), to)
    told = f"its state was moved to {to}, and goes on there with serial {committed.serial}."
    hint = f"Give --state {quote(to)}. If that move was broken off, run its `state migrate` again."
    return StateMoved("The state was moved", f"{source}: {told}", hint, to)


def _again(to: str, source: str) -> str:
    """Return how to go on with a move; ``source`` is the document's place."""
    place = quote(_TEAM.sub("", source)) if _TEAM.search(source) else "FROM"
    command = on_lines(f"state migrate {place} {quote(to)}")
    return f"No run goes on here. If that move was broken off, run it again:{command}"


def moving(there: Revision, before: Committed | None, to: str, source: str) -> Committed:
    """Return what a place is to remember of a document that moves ``to`` another one; "": that it stays.

    Raises ``StateMoved`` if it moves elsewhere already.
    """
    away = before is not None and before.lineage == there.lineage and before.serial > there.serial
    if to and before is not None and away and before.moved not in ("", to):
        raise moved_away(before, source, there.serial > 0)
    return Committed(there.lineage, there.serial + 1, to) if to else Committed(there.lineage, there.serial)


def check_scratch(blank: Document) -> None:
    """Raise ``ValueError`` for a document of a real team: only what a self-test made may be erased."""
    if blank.team_id not in SCRATCH_TEAMS:
        raise ValueError(f"the state of team {blank.team_id} is not there to be erased")


def knows(document: Document, other: Document) -> bool:
    """Tell whether a document of the same lineage surely has every commit of the other one: the nonces tell,
    which reach back ``NONCES_KEPT`` commits.
    """
    return other.commits[-1:] == () or other.commits[-1] in document.commits


def check_push(
    document: Document,
    there: Document | None,
    committed: Committed | None,
    another_lineage: bool,
    returns: bool,
) -> None:
    """Raise ``Refused`` unless ``document`` may take the place of what is there. ``returns``: it may have
    moved away from there.

    The serial alone does not tell: of a state saved when a run failed, it is above that of another run's
    commits, which it does not know. Their nonces tell.
    """
    is_away = there is None or (committed is not None and there.serial < committed.serial)
    ours = committed is not None and committed.moved and committed.lineage == document.lineage
    if committed is not None and ours and is_away and not returns:
        raise _lives_elsewhere(committed, there is not None)
    newest = [(one.lineage, one.serial) for one in (there, committed) if one is not None]
    for lineage, serial in newest:
        if document.lineage != lineage and not another_lineage:
            detail = f"The file has lineage {_short(document.lineage)}, the state there {_short(lineage)}."
            hint = "If it is to be replaced all the same, add --another-lineage."
            raise Refused("The file belongs to another state", detail, hint)
        if document.lineage == lineage and document.serial < serial:
            detail = f"The file has serial {document.serial}, and serial {serial} was committed."
            lost = f"Put that one back. If it is lost, go on with this one:{on_lines('accept --old-copy')}"
            is_here = there is not None and there.serial >= serial
            hint = f"Nothing was changed. The newer state is:{on_lines('state pull')}" if is_here else lost
            raise Refused("The file is older than the state", detail, hint)
    if there is not None and document.lineage == there.lineage and not knows(document, there):
        raise _unknown_there(document, there)


def _unknown_there(document: Document, there: Document) -> Refused:
    if document.serial - there.serial < NONCES_KEPT:
        detail = f"Another run committed serial {there.serial}, which the file does not know."
        hint = f"What it lacks would be forgotten. The newer state is:{on_lines('state pull')}"
        return Refused("The file is older than the state", detail, hint)
    detail = (
        f"The file has serial {document.serial}, and serial {there.serial} is there. A file names its last "
        f"{NONCES_KEPT} commits, so it cannot be told whether it knows that one."
    )
    told = "Compare the two. If the file knows all that counts, remove the other one first:"
    hint = f"{told}{on_lines('state rm')}"
    return Refused("The file may not know the state", detail, hint)


def next_of_old_copy(there: Document, committed: Committed | None) -> Document:
    """Return what to go on with where an old copy lies, or nothing. Raises ``Refused`` where none does."""
    if committed is not None and committed.moved and not there.lineage:
        raise _lives_elsewhere(committed, False)
    if committed is not None and there.lineage not in ("", committed.lineage):
        raise Refused("The state is no old copy", "It is of another lineage than what was committed last.")
    if committed is None or there.serial >= committed.serial:
        raise Refused("The state is no old copy", "It is as new as what was committed last.")
    return replace(there, lineage=committed.lineage, serial=committed.serial + 1, old_copy=True)


def not_retired(source: str) -> StateConflict:
    """Return the error for a document that was to be removed since it moved, and that moves nowhere."""
    detail = f"{source} does not move to another place any more: somebody else changed that."
    hint = "Nothing was removed. Look what both places hold, and who works with them, before you go on."
    return StateConflict("Another run changed the state", detail, hint)


def _lives_elsewhere(committed: Committed, is_here: bool) -> Refused:
    to = committed.moved
    if is_here:
        detail = f"Its move to {to} is under way, or was broken off."
        return Refused("The state is being moved", detail, _again(to, ""))
    return Refused(
        "The state was moved", f"It was moved to {to}, and goes on there.", f"Give --state {quote(to)}."
    )


def first_document(blank: Document) -> Document:
    """Return what the first commit begins with: serial 0 and a random lineage."""
    return replace(blank, lineage=str(uuid.uuid4()))


def _short(text: str) -> str:
    return printable(text[:LONGEST], "?")
