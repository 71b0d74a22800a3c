"""What differs between GitHub and GitLab: their names for things, their paths, and what a token needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

COMMENTS_A_PAGE = 50  # of up to a million characters each, on GitLab
PULLS_A_PAGE = 100  # the most that both give


@dataclass(frozen=True, slots=True)
class Forge:
    """One of the two. ``comments`` and ``comment`` are paths below the project's, of a pull request's
    comments and of one of them; ``author`` and ``login``: the keys under which a comment names who wrote it;
    ``newest_first``: the query for the open pull requests; ``needs``: what lets a token comment.
    """

    name: str
    noun: str
    sign: str
    token: str
    project: str
    comments: str
    comment: str
    edit: str
    pulls: str
    newest_first: Mapping[str, str | int] = field(repr=False)
    number: str
    author: str
    login: str
    needs: str


GITHUB = Forge(
    name="GitHub",
    noun="pull request",
    sign="#",
    token="GITHUB_TOKEN",
    project="/repos/{project}",
    comments="/issues/{number}/comments",
    comment="/issues/comments/{id}",
    edit="PATCH",
    pulls="/pulls",
    newest_first={"state": "open", "sort": "updated", "direction": "desc"},
    number="number",
    author="user",
    login="login",
    needs="Give the job the permission:\n    permissions:\n      pull-requests: write",
)
GITLAB = Forge(
    name="GitLab",
    noun="merge request",
    sign="!",
    token="GITLAB_TOKEN",
    project="/projects/{project}",
    comments="/merge_requests/{number}/notes",
    comment="/merge_requests/{number}/notes/{id}",
    edit="PUT",
    pulls="/merge_requests",
    newest_first={"state": "opened", "order_by": "updated_at", "sort": "desc"},
    number="iid",
    author="author",
    login="username",
    needs="Make a project access token with the scope api and the role Reporter or a higher one, and set "
    "it as the masked variable GITLAB_TOKEN.",
)
