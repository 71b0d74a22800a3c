"""The way of a comment: find the one that is there, look around, write, and be sure that it is there once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.dates import DaysByTransfer
from reconciler.errors import ApiUnavailable, ReconcilerError
from reconciler.forge.client import ForgeClient, PostLost
from reconciler.forge.sticky import Comment, Elsewhere, Overlap, Spot, Step, overlap_of, spot_of
from reconciler.model.desired import Address

MOST_LOOKED_AT = 50  # other pull requests, one request or more each: a run's token has 1,000 an hour
_POSTS = 3
_PAUSES = (1.0, 4.0)  # seconds before each look for a comment whose answer was lost


@dataclass(frozen=True, slots=True)
class Subject:
    """What a comment is about. ``made``: when it was planned; ``days``: those that other pull requests are
    asked for; ``incomplete``: a team could not be planned; ``unasked``: teams that the base could not plan,
    so nobody knows what to ask for.
    """

    key: str
    made: datetime
    days: DaysByTransfer[Address]
    incomplete: bool = False
    unasked: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of the comment, and what is around it. ``me``: the author whose comments are ours."""

    step: Step
    comment: Comment
    elsewhere: Elsewhere
    me: str
    spare: tuple[Comment, ...] = ()


def post(client: ForgeClient, subject: Subject, text_of: Callable[[str, Elsewhere], str]) -> Posted:
    """Post the comment, change it, or leave it. ``text_of`` makes its text of the key and what is elsewhere.

    Raises what the client does; what keeps us from reading other pull requests is told in the text instead.
    """
    me = client.me()
    elsewhere = replace(_elsewhere(client, subject.days, me), unasked=subject.unasked)
    spot = _spot(client, subject, me)  # last, so that little time is left for another job to write
    text = _Text(text_of(spot.key, elsewhere), subject.made)
    step, comment = _write(client, spot, text, lambda: _spot(client, subject, me))
    return Posted(step, comment, elsewhere, me, spot.spare)


def _spot(client: ForgeClient, subject: Subject, me: str) -> Spot:
    comments = client.comments(client.review.number)
    return spot_of(comments, me, subject.key, incomplete=subject.incomplete)


@dataclass(frozen=True, slots=True)
class _Text:
    """A comment's text, and when its plan was made."""

    text: str
    made: datetime


def _write(client: ForgeClient, spot: Spot, text: _Text, look: Callable[[], Spot]) -> tuple[Step, Comment]:
    return _edited(client, spot, text) or _create(client, text, look)


def _edited(client: ForgeClient, spot: Spot, text: _Text) -> tuple[Step, Comment] | None:
    """Return what becomes of the comment that is there, and it; ``None`` if none is, or none any more."""
    if spot.comment is None:
        return None
    step = spot.step(text.text, text.made)
    there = client.edit(spot.comment, text.text) if step is Step.EDIT else spot.comment
    return (step, there) if there else None


def _create(client: ForgeClient, text: _Text, look: Callable[[], Spot]) -> tuple[Step, Comment]:
    """Post a comment; where the answer is lost, look whether it is there before it is posted again."""
    lost = PostLost("")
    for _ in range(_POSTS):
        try:
            return Step.CREATE, client.post(text.text)
        except PostLost as error:
            lost = error
        for pause in _PAUSES:
            client.retry.sleep(pause)
            if found := _edited(client, look(), text):
                step, there = found
                return step if step is Step.OLDER else Step.CREATE, there
    name = client.review.forge.name
    raise ApiUnavailable(
        f"{name} does not answer as it should",
        f"The comment was posted {_POSTS} times, each time {lost}; it is not there.",
        "Run the job again: it looks first whether the comment has come.",
    )


def _elsewhere(client: ForgeClient, days: DaysByTransfer[Address], me: str) -> Elsewhere:
    forge = client.review.forge
    nothing = Elsewhere(forge.sign, forge.noun)
    if not days:
        return nothing
    try:
        others = [one for one in client.pulls() if one.number != client.review.number]
        looked = others[:MOST_LOOKED_AT]
        found: Iterator[Overlap | None] = (
            overlap_of(one, client.comments(one.number), me, days) for one in looked
        )
        overlaps = tuple(one for one in found if one is not None)
    except ReconcilerError as error:
        return replace(nothing, unread=f"{error.summary}. {error.detail}")
    by_number = tuple(sorted(overlaps, key=lambda one: one.pull.number))
    return replace(nothing, overlaps=by_number, unlooked=len(others) - len(looked))
