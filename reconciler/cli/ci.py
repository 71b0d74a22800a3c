"""``ci``: for CI jobs. ``comment`` keeps one comment on a pull request that shows its plan."""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

import click

from reconciler.cli.arguments import verbose_of
from reconciler.cli.command import Command, Commands
from reconciler.cli.options import Common, shared
from reconciler.cli.planfiles import base_option, load_plan, max_chars_option
from reconciler.cli.reading import read_bounded
from reconciler.cli.terminal import err, out
from reconciler.dates import DaysByTransfer
from reconciler.errors import Exit
from reconciler.forge.client import MAX_BODY, ForgeClient
from reconciler.forge.posting import Posted, Subject, post
from reconciler.forge.review import Review, review_of
from reconciler.forge.sticky import Elsewhere
from reconciler.formats.marker import key_of
from reconciler.http import HttpTransport, Retry
from reconciler.planning.approval import planned_days
from reconciler.planning.difference import unplanned
from reconciler.planning.plan import Plan
from reconciler.render.elsewhere import Names, elsewhere_lines, elsewhere_markdown, names_of
from reconciler.render.markdown import markdown
from reconciler.render.view import view_of

MOST_OF_EVENT = 32 * 2**20  # bytes; GitHub's events have at most 25 MB
LONG = 10.0  # seconds; of a longer wait a line tells
THE_RUNS_OWN = "github-actions[bot]"


@click.group(cls=Commands)
def ci() -> None:
    """Help CI jobs: comment."""


@ci.command(
    cls=Command,
    examples=("reconciler ci comment plan.json", "reconciler ci comment plan.json --base base.json"),
    exits={
        Exit.DONE: "posted, changed, or up to date; also where a newer plan is shown",
        Exit.REFUSED: "the plan file is unfit, or the comment was turned away",
        Exit.USAGE: "wrong usage, or it is not known of which pull request",
        Exit.KEY: "the token is missing or wrong, or may not comment",
        Exit.UNAVAILABLE: "GitHub or GitLab is away, or limits us",
    },
)
@click.argument("planfile", type=click.Path(path_type=Path), default="plan.json")
@base_option
@max_chars_option
@click.option(
    "--pull",
    type=click.IntRange(min=1),
    metavar="N",
    help="The number of the pull request. Default: the one that started the run.",
)
@click.option(
    "--author",
    default=THE_RUNS_OWN,
    metavar="LOGIN",
    help=f"Whose comments are ours, where GitHub's token does not tell: an app's is NAME[bot]. "
    f"Default: {THE_RUNS_OWN}.",
)
@shared("output")
def comment(
    common: Common, planfile: Path, base: Path | None, max_chars: int, pull: int | None, author: str
) -> None:
    """Keep one comment on the pull request that shows a saved plan (default: plan.json).

    It is posted once and then changed in place, and says which other open pull requests plan the same days.
    In GitHub Actions the token is GITHUB_TOKEN, in GitLab CI GITLAB_TOKEN.
    """
    plan, of_base = load_plan(planfile), load_plan(base) if base else None
    review = review_of(os.environ, lambda path: read_bounded(path, MOST_OF_EVENT), pull)
    transport = HttpTransport(review.base_url, review.token, max_body=MAX_BODY)
    client = ForgeClient(review, transport, Retry(sleep=_wait), untold=author, verbose=verbose_of(common))
    view, names = view_of(plan), names_of(plan)

    def text_of(key: str, elsewhere: Elsewhere) -> str:
        return markdown(view, max_chars, of_base, key=key, besides=elsewhere_markdown(elsewhere, names))

    try:
        posted = post(client, _subject(plan, of_base), text_of)
    finally:
        transport.close()
    _tell(posted, review, names)


def _wait(seconds: float) -> None:
    if seconds >= LONG:
        err(f"waiting {seconds:.0f} s, as we are asked to")
    sleep(seconds)


def _subject(plan: Plan, base: Plan | None) -> Subject:
    """Return what the comment is about: of what the base plans too, nobody asks who else does, nor of what
    it could not plan.
    """
    days = planned_days(plan.actions)
    if base is None:
        return Subject(key_of(plan), plan.created_at, days, plan.errored)
    unknown = unplanned(base, plan)
    asked = DaysByTransfer((one, days[one]) for one in days if one.team_id not in unknown)
    unasked = tuple(sorted({one.team_id for one in days}.intersection(unknown)))
    more = asked - planned_days(base.actions)
    return Subject(key_of(plan), plan.created_at, more, plan.errored, unasked)


def _tell(posted: Posted, review: Review, names: Names) -> None:
    out(f"{posted.step.value.capitalize()}: {review.address_of(posted.comment)}")
    for line in elsewhere_lines(posted.elsewhere, names):
        err(line)
    if posted.comment.author not in ("", posted.me):
        told = (
            f"warning: The token is {posted.comment.author}'s, and comments of {posted.me} were looked for."
        )
        err(f"{told}\n  Give --author '{posted.comment.author}', or each run posts another one.")
    for spare in posted.spare:
        err(f"warning: Another comment of ours shows an old plan; delete it: {review.address_of(spare)}")
