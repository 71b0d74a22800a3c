"""The way of a comment: find the one that is there, look around, write, and be sure that it is there once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
    """What a comment is about. ``days``: those that other pull requests are asked for; ``incomplete``: a team
    could not be planned; ``unasked``: teams that the base could not plan, so nobody knows what to ask for.
    """

    key: str
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
    spot = _spot(client, subject, me)
    elsewhere = replace(_elsewhere(client, subject.days, me), unasked=subject.unasked)
    text = text_of(spot.key, elsewhere)
    step, comment = _write(client, spot, text, lambda: _spot(client, subject, me))
    return Posted(step, comment, elsewhere, me, spot.spare)


def _spot(client: ForgeClient, subject: Subject, me: str) -> Spot:
    comments = client.comments(client.review.number)
    return spot_of(comments, me, subject.key, incomplete=subject.incomplete)


def _write(client: ForgeClient, spot: Spot, text: str, look: Callable[[], Spot]) -> tuple[Step, Comment]:
    step = spot.step(text)
    if step is not Step.CREATE and (there := _edited(client, spot, text)):
        return step, there
    return Step.CREATE, _create(client, text, look)


def _edited(client: ForgeClient, spot: Spot, text: str) -> Comment | None:
    """Return the comment that is there, with this text; ``None`` if none is, or none any more."""
    if spot.comment is None or spot.step(text) is Step.LEAVE:
        return spot.comment
    return client.edit(spot.comment, text)


def _create(client: ForgeClient, text: str, look: Callable[[], Spot]) -> Comment:
    """Post a comment; where the answer is lost, look whether it is there before it is posted again."""
    lost = PostLost("")
    for _ in range(_POSTS):
        try:
            return client.post(text)
        except PostLost as error:
            lost = error
        for pause in _PAUSES:
            client.retry.sleep(pause)
            if found := _edited(client, look(), text):
                return found
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
