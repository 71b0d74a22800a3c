"""Deciding which comment is ours, what becomes of it, and who else plans the same days. Pure.

A comment is known by its last line, the hidden marker (``formats/marker.py``), and by its author: anybody may
write a marker, and what somebody else wrote is neither ours to change nor to be believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from reconciler.dates import DaysByTransfer
from reconciler.formats.marker import Marker, read_marker
from reconciler.model.desired import Address


@dataclass(frozen=True, slots=True)
class Comment:
    """``author``: the name that they sign in with, "" if they are gone. ``url``: "" where nobody tells."""

    id: int
    author: str
    body: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """An open pull request, or merge request."""

    number: int
    title: str


class Step(Enum):
    """What becomes of a comment."""

    CREATE = "posted"
    EDIT = "changed"
    LEAVE = "unchanged"
    OLDER = "a newer plan is shown there"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a plan's comment goes. ``key``: what the marker is to say; ``comment``: the one whose place it
    takes, ``None`` if there is none; ``made``: when the plan that it shows was made, if that is known;
    ``spare``: others of ours with the same key, which show older plans.
    """

    key: str
    comment: Comment | None = None
    made: datetime | None = None
    spare: tuple[Comment, ...] = ()

    def step(self, text: str, made: datetime) -> Step:
        """Return what is to be done so that the comment has this text, of a plan that was made then. White
        space at the ends, and how lines end, is the forge's: it keeps neither as sent.
        """
        if self.comment is None:
            return Step.CREATE
        if self.made is not None and made < self.made:
            return Step.OLDER
        return Step.LEAVE if _plain(self.comment.body) == _plain(text) else Step.EDIT


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another pull request that plans some of the same ``days``; ``None``: too many to tell."""

    pull: Pull
    days: DaysByTransfer[Address] | None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What other open pull requests plan of the same days. ``sign``: what a number has before it; ``noun``:
    what they are called; ``unlooked``: how many, those changed longest ago, were not looked at; ``unread``:
    why they could not be read, "" if they were; ``unasked``: teams whose days nobody was asked for, because
    the base could not plan them.
    """

    sign: str
    noun: str
    overlaps: tuple[Overlap, ...] = ()
    unlooked: int = 0
    unread: str = ""
    unasked: tuple[int, ...] = ()


def spot_of(comments: Iterable[Comment], me: str, key: str, *, incomplete: bool = False) -> Spot:
    """Return where the comment with a key goes: into the place of that one of ours which has it and shows the
    newest plan; of those that were made at once, or nobody knows when, it is the oldest comment.

    ``incomplete``: some team could not be planned, and the key names none that is unknown. Then, if none has
    the key, the only comment of ours will be the one; it keeps its own key, so that the next plan finds it.
    """
    own = [(one, marker) for one in comments if (marker := marker_by(one, me))]
    fitting = sorted((pair for pair in own if pair[1].key == key), key=_newest_first)
    if fitting:
        (first, marker), *rest = fitting
        return Spot(key, first, marker.made, tuple(one for one, _marker in rest))
    if incomplete and len(own) == 1:
        ((only, marker),) = own
        return Spot(marker.key, only, marker.made)
    return Spot(key)


def _newest_first(pair: tuple[Comment, Marker]) -> tuple[float, int]:
    comment, marker = pair
    return (-marker.made.timestamp() if marker.made else 0.0, comment.id)


def marker_by(comment: Comment, me: str) -> Marker | None:
    """Return the marker of a comment of ours, ``None`` for any other comment."""
    if comment.author != me:
        return None
    return read_marker(comment.body.rstrip().rpartition("\n")[2])


def overlap_of(
    pull: Pull, comments: Iterable[Comment], me: str, days: DaysByTransfer[Address]
) -> Overlap | None:
    """Return what a pull request plans of ``days``, by the comments there; ``None`` if nothing."""
    planned = [marker.days for one in comments if (marker := marker_by(one, me))]
    told = DaysByTransfer(pair for theirs in planned if theirs is not None for pair in theirs.items())
    if common := days & told:
        return Overlap(pull, common)
    return Overlap(pull, None) if days and None in planned else None


def _plain(body: str) -> str:
    return "\n".join(body.splitlines()).strip()
