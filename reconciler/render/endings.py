"""The end of an apply, one shape for whatever ended it: what was done, what was not, and what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from shlex import quote
from typing import NamedTuple

from reconciler.dates import DateSet, grouped, union
from reconciler.durations import worded
from reconciler.errors import Exit
from reconciler.events import Conclusion, LeftUndone, TurnedAway, UnknownOutcome, WriteRefused
from reconciler.formats.answers import answers_told
from reconciler.formats.commands import on_lines, resolving
from reconciler.formats.reports import minute_after
from reconciler.model.desired import Address
from reconciler.model.observed import ApiError
from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.ledger import Reason
from reconciler.planning.plan import Action, ActionKind, Item
from reconciler.planning.totals import NOT_DECLARED
from reconciler.render.fitting import folded
from reconciler.render.layout import WIDTH, dates
from reconciler.render.words import days, plural

_LABEL = 10  # columns of what a row is about
_ASKED = (Reason.REFUSED, Reason.BACKOFF, Reason.ATTEMPTS, Reason.CUT_BY_API)  # not twice under a plan
NEEDS_A_PLAN = (NOT_APPROVED, NOT_DECLARED, *_ASKED)  # reasons why no apply of a saved plan does its days
MOST_RANGES = 10  # of a transfer that a retry names, each in a command of its own
SHOWN = 3  # transfers that a row names, and that a step has commands for

_HEADS = {True: "Apply incomplete (exit {exit})", False: "Apply complete"}


def summary_sentence(exit_status: int, totals: Mapping[str, int]) -> str:
    """Return the last line of an apply; its start is frozen: people and scripts look for it."""
    made = f"{totals['created']} created, {totals['retried']} retried, {totals['cancelled']} cancelled"
    adopted = f", {totals['adopted']} adopted" if totals["adopted"] else ""
    told = [f"{made}{adopted} ({days(totals['days'])})"]
    told += [f"{totals[name]} {name}" for name in ("refused", "withdrawn") if totals[name]]
    if totals["unknown"]:
        told.append(f"{plural(totals['unknown'], 'outcome')} unknown")
    return f"{_HEADS[exit_status != 0].format(exit=exit_status)}: {', '.join(told)}."


def ending_text(ended: Conclusion, again: str, width: int = WIDTH) -> str:
    """Return what was done, what became of the rest, and the commands that come next; "" if all was done.

    ``again`` is the command of this run, without the name of the program.
    """
    if not ended.exit:
        return ""
    rows = [_row(label, text, width) for label, text in _rows(ended)]
    steps = list(_steps(ended, again)) or [Advice(_OTHERWISE, on_lines(again))]
    first = f"  Next: {steps[0].words}{_deeper(steps[0])}"
    others = [f"  Or: {step.words}{_deeper(step)}" for step in steps[1:]]
    return "\n".join(["", *rows, "", first, *others])


def _row(label: str, text: str, width: int) -> str:
    return "\n".join(folded(f"  {label:<{_LABEL}} {text}", width, _LABEL + 3))


# --- what became of what was planned ----------------------------------------------------------


def _rows(ended: Conclusion) -> Iterator[tuple[str, str]]:
    yield "done", _done(ended.totals)
    if ended.unplanned:
        yield "unread", "a team could not be planned, as told above: what is due there is left"
    yield from (("answered", told) for told in _turned_away(ended.turned_away))
    yield "not sent", _not_sent(ended.not_sent)
    refused = [one for one in ended.outcomes if isinstance(one, WriteRefused)]
    yield from (("refused", told) for told in _refused(refused))
    withdrawn = [one.action for one in ended.outcomes if not isinstance(one, WriteRefused)]
    if withdrawn:
        yield "withdrawn", f"{counted(withdrawn)}: the next apply plans what is due of it"
    yield "unknown", _unknown(ended.doubts)
    for reason, left in grouped(ended.undone, lambda one: one.reason or "not cancelled").items():
        number = sum(len(one.days) for one in left)
        yield "not done", f"{days(number)} of {names_of(left)}: {reason}, under this plan"
    for (bucket, reason), items in grouped(ended.holes, lambda item: (item.bucket, item.reason)).items():
        number = sum(len(item.days) for item in items)
        yield bucket.value, f"{days(number)} of {names_of(items)}: {_cure(reason).words}"


def _done(totals: Mapping[str, int]) -> str:
    names = ("created", "retried", "adopted", "cancelled")
    made = [f"{totals[name]} {name}" for name in names if totals[name]]
    return ", ".join([*made, *([days(totals["days"])] if totals["days"] else [])]) or "none"


def _not_sent(actions: tuple[Action, ...]) -> str:
    return f"{counted(actions)}: still due, nothing is lost" if actions else "none"


def _turned_away(those: tuple[TurnedAway, ...]) -> Iterator[str]:
    """Yield what was answered, in short: the words stand with the error that ended the run."""
    for (status, code), alike in grouped(those, lambda one: (one.error.status, one.error.code)).items():
        yield f"{counted(one.action for one in alike)}: {ApiError(status, code)}; not done, still due"


def counted(actions: Iterable[Action]) -> str:
    """Return how many backfills, with their days, and how many cancels."""
    given = list(actions)
    made = [len(action.days) for action in given if action.kind is not ActionKind.CANCEL]
    told = [f"{plural(len(made), 'backfill')}, {days(sum(made))}"] if made else []
    cancels = len(given) - len(made)
    return ", ".join([*told, *([plural(cancels, "cancel")] if cancels else [])])


def what_frees(refused: WriteRefused, until: datetime | None = None) -> str:
    """Say what frees the days of a refused write; ``until``: from when time alone does."""
    if refused.blocker:
        return f"backfill {refused.blocker} is in the way"
    if refused.by_hand:
        return "these wait for a retry, or for `exclude` in the file"
    if refused.error is None:
        return "a later run asks for these by themselves"
    again = f"again from {minute_after(until)}" if until else "again in 20 hours"
    if refused.blind:
        return f"{again}, if nothing was made of it; or once mended, by a retry"
    return f"{again}, or once mended, by a retry"


def _refused(refused: Iterable[WriteRefused]) -> Iterator[str]:
    """Yield what was answered, once for all that is alike, and what frees the days."""
    alike = grouped(refused, lambda one: (one.error and one.error.anonymous, one.why, what_frees(one)))
    for (error, why, _frees), those in alike.items():
        said = f"{error}; " if error and len(those) > 1 else f"{those[0].error}; " if error else ""
        frees = what_frees(those[0], max((one.until for one in those if one.until), default=None))
        yield f"{counted(one.action for one in those)}: {f'{why}; ' if why else ''}{said}{frees}"


def _unknown(doubts: tuple[UnknownOutcome, ...]) -> str:
    if not doubts:
        return "none"
    number = sum(len(one.intent.days) for one in doubts)
    said = answers_told([one.error for one in doubts], {one.why for one in doubts})
    at, other = _settles_at(doubts), "`resolve` settles that, or an apply once the API tells more"
    settles = f"an apply after {at} settles that" if at else other
    was = "it was" if len(doubts) == 1 else "they were"
    counted = f"{plural(len(doubts), 'create')}, {days(number)}: {said};"
    return f"{counted} not sent again until it is known whether {was} created: {settles}"


def _settles_at(doubts: Iterable[UnknownOutcome]) -> str:
    """Return from when a run settles all that a run can settle."""
    times = [one.settles_at for one in doubts if one.settles_at is not None]
    return minute_after(max(times)) if times else ""


def names_of(items: Iterable[Action | Item | LeftUndone]) -> str:
    """Return whose they are: the first names, and how many more."""
    names = list(dict.fromkeys(item.transfer for item in items))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# --- what comes next --------------------------------------------------------------------------


class Advice(NamedTuple):
    """Something to do: a sentence, and the lines of commands that follow it."""

    words: str
    commands: str = ""


def _deeper(step: Advice) -> str:
    return step.commands.replace("\n", "\n    ")


_AFTER_CAUSE = {  # by the code of what ended the run, the worst first
    "key-problem": "once the key is in order, run the same again:",
    "quota-used-up": "once the quota or licence is raised, or its next period has begun, run the same again:",
    "api-unavailable": "run the same again {when}:",
}
_UNREAD = {  # by the exit status of a plan or status, the worst first; asking again may give the same
    Exit.KEY: _AFTER_CAUSE["key-problem"],
    Exit.QUOTA: _AFTER_CAUSE["quota-used-up"],
    Exit.UNAVAILABLE: "once it can be read, run the same again:",
}
_OTHERWISE = "once that is over or mended, run the same again:"
_RETRY = "once the cause is fixed, have them tried again at once{some}:"


def unread_text(statuses: Collection[int], again: str) -> str:
    """Return what comes next after a plan or status with these exit statuses, "" if it could read all."""
    words = next((told for status, told in _UNREAD.items() if status in statuses), "")
    return f"Next: {words}{on_lines(again)}" if words else ""


def _steps(ended: Conclusion, again: str) -> Iterator[Advice]:
    if ended.exit > 128 and not _is_anything_left(ended):
        yield Advice("nothing of it is left to do; to see where the days stand:", on_lines("status"))
        return
    if words := _when(ended):
        yield Advice(words, on_lines(again))
    if ended.doubts:
        few = len(ended.doubts) <= SHOWN
        settling = (resolving(one.intent.transfer, one.intent.dates) for one in ended.doubts)
        words = "look at the vendor's pages, and settle what is unknown by one of:"
        yield Advice(words, "".join(settling) if few else on_lines("resolve"))
    refused = [one for one in ended.outcomes if isinstance(one, WriteRefused) and not one.blocker]
    wait = [one.action for one in refused if one.error is not None or one.by_hand]
    held = [item for item in ended.holes if _cure(item.reason).commands == "retry"]
    stuck: list[Action | Item] = [*wait, *held]
    if stuck:
        number = len({one.address for one in stuck})
        some = f" (the first {SHOWN} of {number})" if number > SHOWN else ""
        yield Advice(_RETRY.format(some=some), _retrying(stuck))
    if any(one.reason in NEEDS_A_PLAN for one in ended.undone):
        yield Advice("make a new plan of what is due now:", on_lines("plan --out plan.json"))
    forgotten = [item for item in ended.holes if _cure(item.reason).commands == "accept"]
    if forgotten:
        yield Advice("once you know what is loaded, say so:", on_lines(*_each("accept", forgotten)))


def _is_anything_left(ended: Conclusion) -> bool:
    left = (ended.turned_away, ended.not_sent, ended.outcomes, ended.doubts, ended.holes, ended.undone)
    return ended.unplanned or any(left)


def _when(ended: Conclusion) -> str:
    """Say when this run is to be made again; nothing if that does nothing."""
    if ended.exit > 128:
        return "to go on, run the same again:"
    for code, words in _AFTER_CAUSE.items():
        if code in ended.causes:
            return words.format(when=f"in {worded(ended.wait)}" if ended.wait else "later")
    if ended.causes or ended.unplanned:
        return _UNREAD.get(Exit(ended.exit), "once what is told above is fixed, run the same again:")
    if at := _settles_at(ended.doubts):
        return f"an apply after {at} settles what is unknown:"
    if any(item.reason == Reason.NO_EVIDENCE for item in ended.holes):
        return "once it can be read, run the same again:"
    return "run the same again for what is left:" if any(map(_goes_on(ended.doubts), _left(ended))) else ""


def _left(ended: Conclusion) -> Iterator[Action]:
    yield from ended.not_sent
    yield from (one.action for one in ended.turned_away)
    yield from (one.action for one in ended.outcomes if not isinstance(one, WriteRefused))


def _goes_on(doubts: Iterable[UnknownOutcome]) -> Callable[[Action], bool]:
    """Return what tells whether a run does an action: not behind a create that only a person settles."""
    stuck = {(one.team_id, one.intent.transfer_id) for one in doubts if one.settles_at is None}
    return lambda action: (action.address.team_id, action.address.transfer_id) not in stuck


def _retrying(held: Iterable[Action | Item]) -> str:
    return on_lines(*_each("retry", held))


def _each(command: str, held: Iterable[Action | Item]) -> Iterator[str]:
    """Yield the command for each transfer, with its days where they are one range; for a few of them."""
    found = grouped(held, lambda one: one.address)
    named = Counter(those[0].transfer for those in found.values())
    for address, those in list(found.items())[:SHOWN]:
        name = _argument(address, those[0].transfer, named)
        ranges = union(DateSet.span(one.start, one.end) for one in those).intervals
        if command != "retry" or len(ranges) > MOST_RANGES:
            yield f"{command} {name}"
        else:
            yield from (f"{command} {name} {dates(*one)}" for one in ranges)


def _argument(address: Address, name: str, named: Mapping[str, int]) -> str:
    """Return what names a transfer in a command: its id, where two teams have one of its name."""
    return quote(name) if named[name] == 1 else str(address.transfer_id)


_LOOK = Advice("look at it on the vendor's pages, then retry", "retry")
_CURES = {
    Reason.UNRESOLVED: Advice("the outcome of a create is unknown"),
    Reason.BEHIND_UNRESOLVED: Advice("they wait for a create of their transfer whose outcome is unknown"),
    Reason.PAUSED: Advice("paused at the vendor, not by the file: resume it there, or set `paused: true`"),
    Reason.UNKNOWN_TRANSFER: Advice("the team has no such transfer: check transfer_id"),
    Reason.REFUSED: Advice("refused before, as the plan shows", "retry"),
    Reason.CUT_BY_API: Advice("left out by the API: `exclude` them, or retry", "retry"),
    Reason.GONE: _LOOK,
    Reason.NO_EVIDENCE: Advice("whether they are loaded could not be read, as told above"),
    Reason.UNKNOWN_HISTORY: Advice("the state does not know their history", "accept"),
    Reason.UNKNOWN_STATUS: _LOOK,
    Reason.STUCK: _LOOK,
    Reason.UNLOCATED: Advice("nothing tells which failed: look at the vendor's pages, then retry", "retry"),
    Reason.ATTEMPTS: Advice("their attempts are used up: fix the source, then retry", "retry"),
}
"""What is so, and the command that frees the days."""


def _cure(reason: str) -> Advice:
    return _CURES.get(Reason(reason), Advice(reason))
