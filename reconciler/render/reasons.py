"""Why days are made, or not: the sign of a line, the reason in words, and what frees it. One table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from shlex import quote

from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.ledger import Bucket, Reason
from reconciler.planning.plan import Action, ActionKind, Item
from reconciler.render.layout import dates
from reconciler.render.words import CYAN, GREEN, RED, YELLOW

SIGNS = {ActionKind.CREATE: ("+", GREEN), ActionKind.RETRY: ("-/+", YELLOW), ActionKind.CANCEL: ("-", RED)}
LATER, NOT_YET, PERSON = (">", CYAN), (".", YELLOW), ("!", RED)
LEGEND = {
    "+": "create",
    "-/+": "cancel, and create again",
    "-": "cancel",
    ">": "a later apply",
    ".": "not yet",
    "!": "needs a person",
}
_BY_TIME = (Reason.RECENT_REQUEST, Reason.UNRESOLVED, Reason.BEHIND_UNRESOLVED)

COLOURS = dict((*SIGNS.values(), LATER, NOT_YET, PERSON))

DUE = {
    "never-loaded": "never loaded",
    "stale": "loaded before stale_before",
    "failed": "failed",
    "not-run": "did not run",
    "cancelled": "was cancelled",
    "early": "loaded before the day was over",
    "restated": "loaded before its figures were final",
    "undeclared": "not declared any more",
    "ended": "has ended, and holds a place",
}


def why(action: Action) -> str:
    """Return why an action is planned; that nothing ever loaded its days needs no word."""
    reasons = action.reasons
    told = ", ".join(
        DUE.get(reason, reason) if len(reasons) == 1 else f"{number} {DUE.get(reason, reason)}"
        for reason, number in reasons.items()
        if len(reasons) > 1 or reason != Reason.NEVER_LOADED
    )
    error = f": {action.error}" if action.error else ""
    return f"{told}{error}{_cancels(action)}"


def _cancels(action: Action) -> str:
    if not action.cancels:
        return ""
    named = ", ".join(map(str, action.cancels))
    return f"; backfill {named}" if action.kind is ActionKind.CANCEL else f"; cancels {named} first"


# --- what is not done ---------------------------------------------------------------------------


def sign_of(item: Item, paused_by_file: bool) -> tuple[str, str]:
    """Return the sign and its colour: a later apply does it, time does, or a person must."""
    match item.bucket:
        case Bucket.PLANNED:
            return SIGNS[ActionKind.CREATE]
        case Bucket.DEFERRED:
            return LATER
        case Bucket.WAITING:
            return NOT_YET
        case Bucket.BLOCKED if _ends_by_itself(item, paused_by_file):
            return NOT_YET
    return PERSON


def _ends_by_itself(item: Item, paused_by_file: bool) -> bool:
    """Tell whether nobody needs to look: time frees the days, or whoever wrote the file does."""
    if item.reason == Reason.PAUSED:
        return paused_by_file
    if item.reason == Reason.NO_EVIDENCE and item.answer:
        return item.answer.error.status >= 500  # an outage ends, a key or an id is mended by somebody
    return item.reason in _BY_TIME and item.until is not None


def moment(at: datetime, now: datetime) -> str:
    """Return a time as people say it: without the date where that is today's. One that is to come is the
    next whole minute: by then it is over.
    """
    return past(at + timedelta(seconds=59, microseconds=999_999) if at > now else at, now)


def past(at: datetime, now: datetime) -> str:
    """Return the same of a time that is over, though it be the API's and its clock ahead of ours."""
    form = "%H:%M UTC" if at.date() == now.date() else "%Y-%m-%d %H:%M UTC"
    return at.strftime(form)


Words = Callable[[Item, datetime], str]


def _limit(what: str, setting: str) -> Words:
    def words(item: Item, _now: datetime) -> str:
        return f"a later apply: {item.limit} of {item.limit} {what}\n(limits.{setting}){_held(item)}"

    return words


def _held(item: Item) -> str:
    return f"\nheld by {', '.join(map(str, item.held_by))}" if item.held_by else ""


def _until(text: str, otherwise: str = "") -> Words:
    """Return words with the time at their end, or what is to be done where time alone does not help."""

    def words(item: Item, now: datetime) -> str:
        return f"{text} {moment(item.until, now)}" if item.until else otherwise or text

    return words


def _unresolved(item: Item, now: datetime) -> str:
    said = f" (answered {item.answer.error})" if item.answer else ""
    by_time = f"an apply settles it after {moment(item.until, now)}, if the API tells" if item.until else ""
    by_hand = "look at the vendor's page, then:\nreconciler resolve"
    return f"whether they were created is unknown{said}; {by_time or by_hand}"


def _retry(item: Item) -> str:
    return f"\nreconciler retry {quote(item.transfer)} {dates(item.start, item.end)}"


def _refused(item: Item, now: datetime) -> str:
    said = f": {item.answer.error}" if item.answer else ""
    since = f" {past(item.answer.at, now)}" if item.answer else ""
    by = f"; backfill {', '.join(map(str, item.held_by))} is in the way" if item.held_by else ""
    again = f"\nagain from {moment(item.until, now)}, or once mended:" if item.until else "\nonce mended:"
    return f"refused{since}{said}{by}{again}{_retry(item)}"


def _unread(item: Item, _now: datetime) -> str:
    said = f": {item.answer.error}" if item.answer else ", as a warning tells"
    return f"what loaded them could not be read{said}"


def _error(item: Item) -> str:
    return f": {item.error}" if item.error else ""


def _tried_again(item: Item, now: datetime) -> str:
    when = f"from {moment(item.until, now)}" if item.until else "later"
    return f"failed{_error(item)}; tried again {when}" if item.error else f"tried again {when}"


def _failed(item: Item, _now: datetime) -> str:
    return f"failed as often as max_attempts allows{_error(item)}; once mended:{_retry(item)}"


def _forgotten(item: Item, _now: datetime) -> str:
    known = f"once you know what is loaded:\nreconciler accept {quote(item.transfer)}"
    return f"the state may have forgotten what loaded them; {known}"


def _look(text: str) -> Words:
    return lambda item, _now: f"{text}; look at the vendor's page, then:{_retry(item)}"


def _plainly(text: str) -> Words:
    return lambda _item, _now: text


def _stale(item: Item, _now: datetime) -> str:
    named = f" {', '.join(map(str, item.held_by))}" if item.held_by else ""
    return f"in backfill{named}, made before stale_before; due when it ends"


_WORDS: Mapping[str, Words] = {
    "max_open_backfills": _limit("open", "max_open_backfills"),
    "max_open_per_transfer": _limit("open", "max_open_per_transfer"),
    "max_creates_per_apply": _limit("creates", "max_creates_per_apply"),
    "list-full": lambda item, _now: (
        f"the list of open backfills is full: nothing more can be seen{_held(item)}"
    ),
    NOT_APPROVED: _plainly("not in the approved plan: it takes a new one"),
    Reason.STALE: _stale,
    Reason.SETTLING: _until("what is told of them may change until", "what is told of them may change"),
    Reason.BACKOFF: _tried_again,
    Reason.FAILED: lambda item, _now: f"failed{_error(item)}; to be made again",
    Reason.UNRESOLVED: _unresolved,
    Reason.BEHIND_UNRESOLVED: _until("wait for a create of this transfer whose outcome is unknown, until"),
    Reason.RECENT_REQUEST: _until("a request of ours may still take effect until"),
    Reason.UNKNOWN_TRANSFER: _plainly("the team has no transfer of this id"),
    Reason.REFUSED: _refused,
    Reason.CUT_BY_API: lambda item, _now: (
        f"the API left them out of a create; give `exclude` in the file, or:{_retry(item)}"
    ),
    Reason.GONE: _look("a backfill of them is gone, and nothing tells what it loaded"),
    Reason.NO_EVIDENCE: _unread,
    Reason.UNKNOWN_HISTORY: _forgotten,
    Reason.UNKNOWN_STATUS: _look("ended with a status that tells nothing"),
    Reason.STUCK: _look("have been running for longer than stuck_after"),
    Reason.ATTEMPTS: _failed,
    Reason.UNLOCATED: _look("nothing tells which of them were loaded"),
}


def words_of_all(items: Iterable[Item], now: datetime, paused_by_file: bool) -> str:
    """Return the same of days of many transfers that are alike: the last time of all, no single request, and
    a command for one of them.
    """
    last = max(items, key=lambda item: (str(item.until), item.end))
    answer = last.answer and replace(last.answer, error=last.answer.error.anonymous)
    told = words_of(replace(last, answer=answer), now, paused_by_file, several=True)
    own = f"\nreconciler {'accept' if last.reason == Reason.UNKNOWN_HISTORY else 'retry'} "
    return told.replace(f":{own}", f", for each as here:{own}")


def words_of(item: Item, now: datetime, paused_by_file: bool, several: bool = False) -> str:
    """Return why days are not done, and what frees them; a command stands on a line of its own.

    ``several``: the item stands for more ranges of its transfer, and so does the command.
    """
    if item.reason == Reason.PAUSED:
        return "paused by you" if paused_by_file else "paused at the vendor; resume it there"
    words = _WORDS.get(item.reason)
    told = words(item, now) if words else item.reason
    name = quote(item.transfer)
    return told.replace(f" {name} {dates(item.start, item.end)}", f" {name}") if several else told
