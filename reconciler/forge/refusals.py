"""What GitHub and GitLab mean by turning a request away, and what to do then."""

from __future__ import annotations

from reconciler.errors import KeyProblem, ReconcilerError, Refused
from reconciler.forge.forges import GITHUB
from reconciler.forge.review import Review
from reconciler.forge.wire import said_by
from reconciler.http import Response

_FORKED = {
    GITHUB.name: "It comes from a fork: GitHub gives the runs of those a token that can only read. Write the "
    "plan into the run's summary there, or comment from a workflow that runs in this repository.",
}
_CLOSED = {
    "is locked": "Unlock its conversation.",
    "was archived": "An archived repository can only be read.",
}


def refusal(answer: Response, review: Review, *, writes: bool) -> ReconcilerError:
    """Return the error for an answer that is no success and will not be one by asking again."""
    forge, status = review.forge, answer.status
    said = said_by(answer)
    what = f"{forge.noun} {review.number} of {review.project}"
    detail = f"{'Commenting on' if writes else 'Reading'} {what} was answered with {status}"
    detail += f": {said.rstrip('.')}." if said else "."
    if status == 401:
        hint = f"{forge.token} has expired, or is not a token of {forge.name}."
        return KeyProblem(f"{forge.name} does not know the token", detail, hint)
    if status == 403 and (closed := next((hint for word, hint in _CLOSED.items() if word in said), None)):
        return Refused(f"Nobody can comment on this {forge.noun}", detail, closed)
    if status == 403:
        forked = _FORKED.get(forge.name) if review.forked else None
        verb = "comment" if writes else "read this"
        return KeyProblem(f"The token may not {verb}", detail, forked or forge.needs)
    if status == 404:
        hint = f"Is that its number? If so, the token may not see it. {forge.needs}"
        return KeyProblem(f"There is no such {forge.noun}, or the token may not see it", detail, hint)
    if status in (400, 413, 422) and (status == 413 or "too long" in said):
        return Refused("The comment is too long", detail, "Let it have fewer characters: --max-chars 60000")
    if 300 <= status < 400:
        hint = (
            f"The project was renamed or moved: no token is sent there. Start the job anew in {forge.name}."
        )
        return Refused(f"{forge.name} sends us elsewhere", detail, hint)
    return Refused(f"{forge.name} turned the request away", detail)
