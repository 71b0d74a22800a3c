"""Words for what ends a read, or stops the writes: errors of the API → the exceptions of ``errors.py``."""

from __future__ import annotations

from reconciler.api import outcome
from reconciler.errors import ApiUnavailable, KeyProblem, QuotaUsedUp
from reconciler.http import GaveUp, Request
from reconciler.model.observed import ApiError

READ_SCOPE = "dwh_transfers_read"
WRITE_SCOPE = "dwh_transfers_write"


class Answered(Exception):
    """The API refused a read for good."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


class NotFound(Answered):
    """What was asked for does not exist."""


def denied(write: outcome.Denied) -> KeyProblem:
    """Return the exception for a write that the key does not allow."""
    return _key_problem("A write", write.error, WRITE_SCOPE)


def out_of_quota(write: outcome.OutOfQuota) -> QuotaUsedUp:
    """Return the exception for a write beyond a quota or licence."""
    return _quota_used_up("A write", write.error)


def key_problem(request: Request, error: ApiError) -> KeyProblem:
    """Return the exception for a read with 401, 403 or (of the team itself) 404."""
    return _key_problem(_named(request), error, READ_SCOPE)


def _key_problem(asked: str, error: ApiError, scope: str) -> KeyProblem:
    detail = f"{asked} was answered with {error}."
    if error.status == 401:
        return KeyProblem(
            "The API does not accept the key",
            detail,
            "Check that the key (SUPERMETRICS_API_KEY, or what key_env names) is complete and not revoked.",
        )
    if error.status == 404:
        return KeyProblem(
            "The API finds no such team for this key",
            detail,
            "Check team_id, that the key belongs to this team, and the API's URL.",
        )
    permission = "dwh.transfer.view" if scope == READ_SCOPE else "dwh.transfer.edit"
    return KeyProblem(
        "The key may not do this",
        detail,
        f"Give the key the scope {scope}, and its account the permission {permission}.",
    )


def quota_used_up(request: Request, error: ApiError) -> QuotaUsedUp:
    """Return the exception for a read beyond a quota or licence."""
    return _quota_used_up(_named(request), error)


def _quota_used_up(asked: str, error: ApiError) -> QuotaUsedUp:
    return QuotaUsedUp(
        "A quota or licence is used up",
        f"{asked} was answered with {error}.",
        "Running again will not help: raise the quota or licence, or wait for its next period.",
    )


def unavailable(request: Request, failure: GaveUp, max_wait: float) -> ApiUnavailable:
    """Return the exception for a read that failed as often as allowed, or was told to wait too long."""
    last = failure.last
    detail = f"{_named(request)} failed {_times(failure.attempts)}; the last time {last.reason}."
    if last.after is not None:
        detail += f" The API asked us to wait {last.after:.0f} seconds; we wait at most {max_wait:.0f}."
    if last.limited:
        return ApiUnavailable(
            "The API rate limit was reached", detail, "Run again later; `apply` waits longer with --max-wait."
        )
    return ApiUnavailable(
        "The API gives no usable answer", detail, "Run again later; check the network and the API's URL."
    )


def unexpected(request: Request, error: ApiError) -> ApiUnavailable:
    """Return the exception for a refusal of a read that the API does not document (3xx, other 4xx)."""
    moved = " Redirects are not followed: the key would be sent along." if 300 <= error.status < 400 else ""
    return ApiUnavailable(
        "The API refused a read",
        f"{_named(request)} was answered with {error}.{moved}",
        "Check the API's URL and team_id; if they are right, the API has changed or has a problem.",
    )


def _named(request: Request) -> str:
    return f"{request.method} {request.path}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
