"""Words for what ends a read, or stops the writes: errors of the API → the exceptions of ``errors.py``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import ceil

from reconciler.api import outcome
from reconciler.durations import worded
from reconciler.errors import ApiUnavailable, KeyProblem, QuotaUsedUp, ReconcilerError
from reconciler.http import AnswerLost, GaveUp, NotSent, Request, TlsFailed, TooLarge, TryAgain
from reconciler.model.observed import ApiError, Cause, Unreadable

READ_SCOPE = "dwh_transfers_read"
WRITE_SCOPE = "dwh_transfers_write"


class Answered(Exception):
    """The API refused a read for good."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


class Unusable(Exception):
    """An answer came, and is not what the API documents, or a list is cut: asking again gives the same.

    ``fault`` is a clause; ``request`` what was asked.
    """

    def __init__(self, request: Request, fault: str) -> None:
        super().__init__(fault)
        self.said = f"{_named(request)}: {fault}"


class Oversized(Unusable):
    """An answer is larger than what is read of one: of a list a smaller page may be asked for."""


class AnsweredForNow(TryAgain):
    """The API answered with an error that may pass."""

    def __init__(self, error: ApiError, after: float | None) -> None:
        super().__init__(f"it was answered with {error}", after, limited=error.status == 429)
        self.error = error


UNREAD = (Answered, Unusable, GaveUp)
"""How a read may end without an answer."""

_CAUSES = {403: Cause.FORBIDDEN, 404: Cause.NOT_FOUND}


def unreadable(request: Request, failure: Exception) -> Unreadable:
    """Return what stands in the place of the answer to a read that failed: one of ``UNREAD``."""
    match failure:
        case Answered(error=error):
            cause = _CAUSES.get(error.status, Cause.FAILED)
            return Unreadable(cause, answered(request, error), error, lasting=cause is Cause.FAILED)
        case Unusable(said=said):
            return Unreadable(Cause.FAILED, said, lasting=True)
        case GaveUp(last=last):
            passing = last.error if isinstance(last, AnsweredForNow) else None
            return Unreadable(Cause.FAILED, gave_up(request, failure), passing)
    raise AssertionError(failure)


def failed(request: Request, failure: Exception, max_wait: float) -> ReconcilerError:
    """Return the exception for a read that failed, one of ``UNREAD``, and that all else hangs on."""
    match failure:
        case Answered(error=error) if error.status in (403, 404):
            return key_problem(request, error)
        case Answered(error=error):
            return unexpected(request, error)
        case Unusable(said=said):
            return ApiUnavailable(
                "The API's answer cannot be used",
                f"{said}.",
                f"{_SAME}: report it to the vendor, or to us if the vendor is right.",
            )
        case GaveUp():
            return unavailable(request, failure, max_wait)
    raise AssertionError(failure)


def denied(write: outcome.Denied, asked: str) -> KeyProblem:
    """Return the exception for a write that the key does not allow; ``asked`` names it."""
    return _key_problem(asked, write.error, WRITE_SCOPE)


def shared(refusal: outcome.Rejected, asked: str, several: bool) -> KeyProblem | QuotaUsedUp:
    """Return the exception for a refusal of a write that turned out to be of the key, or of the licence.
    ``several``: a write on another transfer was refused so before.
    """
    assert refusal.matter is not None
    asked = f"{asked}, like a write on another transfer before it," if several else asked
    if refusal.matter is outcome.Matter.KEY:
        return _key_problem(asked, refusal.error, WRITE_SCOPE)
    return _quota_used_up(asked, refusal.error)


def out_of_quota(write: outcome.OutOfQuota, asked: str) -> QuotaUsedUp:
    """Return the exception for a write beyond a quota or licence; ``asked`` names it."""
    return _quota_used_up(asked, write.error)


def key_problem(request: Request, error: ApiError) -> KeyProblem:
    """Return the exception for a read with 401, 403 or (of the team itself) 404."""
    return _key_problem(_named(request), error, READ_SCOPE)


def unread(seen: Unreadable) -> KeyProblem | ApiUnavailable:
    """Return the exception for a transfer that could not be read: it stops no other."""
    if seen.cause is Cause.FORBIDDEN:
        return KeyProblem("The key may not read a transfer", f"{seen.said}.", cure(seen))
    return ApiUnavailable("A transfer could not be read", f"{seen.said}.", "Its days are left; others go on.")


def _permitting(scope: str) -> str:
    permission = "dwh.transfer.view" if scope == READ_SCOPE else "dwh.transfer.edit"
    return f"Give the key the scope {scope}, and its account the permission {permission}."


_KEY_WORDS = {
    "ACCESS_DENIED_IP": (
        "The key may not be used from this address",
        "Allow this machine's IP address for the key, or run where it is allowed.",
    ),
    "ACCESS_DENIED_PERMISSIONS": (
        "The key's account may not do this",
        "Give the account the permissions dwh.transfer.view and, to apply, dwh.transfer.edit.",
    ),
    "API_KEY_DISABLED": (
        "The key is disabled",
        "Enable it, or give another key (SUPERMETRICS_API_KEY, or what key_env names).",
    ),
}
_CURES = {
    Cause.FORBIDDEN: _permitting(READ_SCOPE),
    Cause.NOT_FOUND: "Check the id of the transfer.",
    Cause.FAILED: "Run again once the API answers.",
}
_SAME = "Asking again gives the same"


def cure(seen: Unreadable) -> str:
    """Return what helps where something could not be read, a sentence; "" if nothing but the file can.

    By the code of a refusal: not every 403 is for want of a scope.
    """
    code = (seen.error.code if seen.error else None) or ""
    if code.startswith("LICENSE"):
        return "It is the licence's, or the data source's: renew or extend it, then run again."
    if code in _KEY_WORDS:
        return _KEY_WORDS[code][1]
    if not seen.lasting:
        return _CURES.get(seen.cause, "")
    if seen.error:
        return f"{_SAME}: check the API's URL and the ids in the file; else ask the vendor why."
    return f"{_SAME}: report it to the vendor, or to us if the vendor is right."


def _key_problem(asked: str, error: ApiError, scope: str) -> KeyProblem:
    detail = f"{asked} was answered with {error}."
    if error.code in _KEY_WORDS:
        summary, hint = _KEY_WORDS[error.code]
        return KeyProblem(summary, detail, hint)
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
    other = " Or team_id is wrong: of a team that is not the key's the API says the same."
    return KeyProblem(
        "The key may not do this", detail, _permitting(scope) + (other if scope == READ_SCOPE else "")
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
    detail = f"{gave_up(request, failure)}."
    if last.after is not None:
        detail = f"{detail[:-1]}, and this run waits for at most {worded(timedelta(seconds=int(max_wait)))}."
    if last.limited:
        asked = timedelta(seconds=ceil(last.after or 0))
        when = f"in {worded(asked)}" if asked else "later"
        hint = f"Run again {when}; or let `apply` wait for longer, with --max-wait."
        error = last.error if isinstance(last, AnsweredForNow) else None
        return ApiUnavailable(limited(error), detail, hint, asked or None)
    return ApiUnavailable(
        "The API gives no usable answer", detail, "Run again later; check the network and the API's URL."
    )


def limited(error: ApiError | None, words: bool = False) -> str:
    """Return what a 429 says, a sentence without a full stop: of a code that nobody knows just that, with the
    API's ``words``. ``None``: another request was answered with one.
    """
    if error is None:
        return "The API asks us to wait"
    if error.code in (None, "TOO_MANY_REQUESTS"):
        return "The API rate limit was reached"
    return f"The API answered {error.anonymous if words else ApiError(error.status, error.code)}"


def unanswered(request: Request, failure: NotSent | AnswerLost) -> TryAgain | Oversized | ApiUnavailable:
    """Return the exception for a read without an answer: it may pass, but for one that is too large, and for
    TLS that the server, or a proxy before it, does not agree on.
    """
    if isinstance(failure, TooLarge):
        return Oversized(request, str(failure))
    if not isinstance(failure, TlsFailed):
        return TryAgain(str(failure))
    return no_tls(_named(request), str(failure))


def no_tls(asked: str, why: str) -> ApiUnavailable:
    """Return the exception for a server, or a proxy before it, that TLS cannot be agreed on with."""
    return ApiUnavailable(
        "No TLS connection to the API can be made",
        f"{asked} was not sent: {why}.",
        "If a proxy of yours opens TLS connections, name its certificate: SSL_CERT_FILE=/path/to/ca.pem "
        "(or a folder of them, SSL_CERT_DIR). Else check the API's URL and this machine's clock.",
    )


def unexpected(request: Request, error: ApiError) -> ApiUnavailable:
    """Return the exception for a refusal of a read that the API does not document (3xx, other 4xx)."""
    moved = " Redirects are not followed: the key would be sent along." if 300 <= error.status < 400 else ""
    return ApiUnavailable(
        "The API refused a read",
        f"{_named(request)} was answered with {error}.{moved}",
        "Check the API's URL and team_id; if they are right, the API has changed or has a problem.",
    )


def gave_up(request: Request, failure: GaveUp) -> str:
    """Say of a read that failed as often as allowed why, without a full stop."""
    last, times = failure.last, failure.attempts
    asked = (
        ""
        if last.after is None
        else f"; the API asked us to wait {worded(timedelta(seconds=ceil(last.after)))}"
    )
    often = "failed" if times == 1 else f"failed {times} times; the last time"
    return f"{_named(request)} {often}{':' if times == 1 else ''} {last.reason}{asked}"


def failed_once(request: Request, failure: TryAgain) -> str:
    """Say briefly why a read is made again: ``GET …/runs answered 503 (request R-1)``, no full stop."""
    _root, _teams, _team, path = request.path.split("/", 3)
    asked = "" if failure.after is None else f"; it asks us to wait {failure.after:.0f} s"
    if isinstance(failure, AnsweredForNow):
        return (
            f"{request.method} …/{path} answered {replace(failure.error, message='', description='')}{asked}"
        )
    return f"{request.method} …/{path}: {failure.reason}{asked}"


def answered(request: Request, error: ApiError) -> str:
    """Say what a read was answered, without a full stop."""
    return f"{_named(request)} was answered with {error}"


def _named(request: Request) -> str:
    return f"{request.method} {request.path}"
