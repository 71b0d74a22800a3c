"""Which pull request this run is for, and with which token: from what CI systems set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from reconciler.errors import KeyProblem, UsageError
from reconciler.forge.forges import GITHUB, GITLAB, Forge
from reconciler.forge.sticky import Comment
from reconciler.http import checked_base_url
from reconciler.untrusted import printable

_GITHUB_API = "https://api.github.com"
_PROJECTS = {GITHUB.name: r"[\w.-]+/[\w.-]+", GITLAB.name: r"\d+"}


@dataclass(frozen=True, slots=True)
class Review:
    """A pull request of a project. ``forked``: it comes from a fork, whose runs may do less; ``pages``: the
    address of the project's pages, "" if unknown.
    """

    forge: Forge
    base_url: str
    project: str
    number: int
    token: str = field(repr=False)
    forked: bool = False
    pages: str = ""

    @property
    def root(self) -> str:
        """The path of the project."""
        return self.forge.project.format(project=self.project)

    def address_of(self, comment: Comment) -> str:
        """Return the address of a comment's place on its page, or its number where nobody tells."""
        page = f"{self.pages}/-/merge_requests/{self.number}#note_{comment.id}" if self.pages else ""
        return comment.url or page or f"comment {comment.id}"


def review_of(environ: Mapping[str, str], read: Callable[[str], bytes], number: int | None = None) -> Review:
    """Return the pull request that the environment tells of; ``number``: what was given for its.

    ``read`` returns the content of a file. Raises ``UsageError`` where it tells of none, and ``KeyProblem``
    where there is no token that can comment.
    """
    if environ.get("GITHUB_REPOSITORY"):
        event = _event(environ.get("GITHUB_EVENT_PATH", ""), read)
        forked = event.forked and number in (None, event.number)
        number = number or event.number
        url, project = environ.get("GITHUB_API_URL") or _GITHUB_API, environ["GITHUB_REPOSITORY"]
        return _review(GITHUB, environ, ("GITHUB_API_URL", url), project, number, forked)
    if environ.get("CI_API_V4_URL") and environ.get("CI_PROJECT_ID"):
        told = environ.get("CI_MERGE_REQUEST_IID", "")
        number = number or (int(told) if told.isascii() and told.isdigit() else None)
        project = (
            environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ["CI_PROJECT_ID"]
        )  # a fork runs its own
        return _review(GITLAB, environ, ("CI_API_V4_URL", environ["CI_API_V4_URL"]), project, number)
    raise UsageError(
        "This is no CI run of a pull request",
        "Neither GITHUB_REPOSITORY is set, nor CI_API_V4_URL and CI_PROJECT_ID.",
        "Run it in a job of GitHub Actions or GitLab CI, or set what those set.",
    )


def _review(
    forge: Forge,
    environ: Mapping[str, str],
    address: tuple[str, str],
    project: str,
    number: int | None,
    forked: bool = False,
) -> Review:
    if not re.fullmatch(_PROJECTS[forge.name], project, re.ASCII):
        raise UsageError(f"{forge.name}'s project is not named", f"{project!r} does not name one.")
    if number is None:
        raise UsageError(
            f"Which {forge.noun} is meant is not known",
            f"This run was not started by a {forge.noun}.",
            f"Name it: --pull N, or run the job for {forge.noun}s alone.",
        )
    pages = printable(environ.get("CI_MERGE_REQUEST_PROJECT_URL", "") if forge is GITLAB else "")
    return Review(forge, _base_url(*address), project, number, _token(forge, environ), forked, pages)


def _base_url(variable: str, url: str) -> str:
    try:
        return checked_base_url(url)
    except UsageError as error:
        told = f"{variable}: {error.detail}".replace("API key", "token")
        raise UsageError(error.summary, told, "Set it to the https:// address of the API.") from None


def _token(forge: Forge, environ: Mapping[str, str]) -> str:
    token = environ.get(forge.token, "").strip()
    if token:
        return token
    hint = forge.needs
    if forge is GITHUB:
        hint = "Give the step the token:\n    env:\n      GITHUB_TOKEN: ${{ github.token }}"
    besides = environ.get("CI_JOB_TOKEN") and forge is GITLAB
    told = " The job's own CI_JOB_TOKEN cannot comment." if besides else ""
    raise KeyProblem(f"There is no token for {forge.name}", f"{forge.token} is not set.{told}", hint)


# --- what started a run on GitHub -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Event:
    number: int | None = None
    forked: bool = False


def _object(**fields: core.CoreSchema) -> core.CoreSchema:
    told = {name: core.typed_dict_field(schema, required=False) for name, schema in fields.items()}
    return core.nullable_schema(core.typed_dict_schema(told, extra_behavior="ignore"))


_NUMBER = core.nullable_schema(core.int_schema(strict=True, ge=1))
_SIDE = _object(repo=_object(full_name=core.nullable_schema(core.str_schema())))
_EVENT = core.typed_dict_schema(
    {
        "pull_request": core.typed_dict_field(
            _object(number=_NUMBER, head=_SIDE, base=_SIDE), required=False
        ),
        "issue": core.typed_dict_field(_object(number=_NUMBER, pull_request=_object()), required=False),
    },
    extra_behavior="ignore",
)


def _event(path: str, read: Callable[[str], bytes]) -> _Event:
    """Return which pull request started a run: none, where the file does not tell or is not there."""
    try:
        event = SchemaValidator(_EVENT).validate_json(read(path)) if path else {}
    except (OSError, ValidationError):
        return _Event()
    if pull := event.get("pull_request"):
        return _Event(pull.get("number"), _repository(pull, "head") != _repository(pull, "base"))
    issue = event.get("issue") or {}  # a comment on a pull request: it may come from a fork, for all we know
    return _Event(issue.get("number")) if issue.get("pull_request") is not None else _Event()


def _repository(pull: dict[str, dict[str, dict[str, str]]], side: str) -> str | None:
    return ((pull.get(side) or {}).get("repo") or {}).get("full_name")
