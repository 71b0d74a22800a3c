"""What a survey gives reason to warn of, and the exit statuses of what could not be read. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from shlex import quote

from reconciler.dates import DateSet, dates_of, iso
from reconciler.diagnostics import Finding, Severity
from reconciler.engine.sending import named
from reconciler.engine.unread import transfer_list, unread_findings
from reconciler.errors import Exit
from reconciler.formats.answers import answers_told
from reconciler.formats.commands import on_lines, resolving
from reconciler.formats.reports import minute_after, on_the_minute
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Intent, Origin, Outcome
from reconciler.model.observed import Cause, RunStatus
from reconciler.planning.evidence import is_active
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.plan import TeamPlan
from reconciler.planning.situation import Situation

MANY_NAMED = 10  # transfers of a team, where a file names one that it has not
FEW_NAMED = 3  # of the creates whose outcome is unknown
MANY_DAYS_AGAIN = 31  # of days due once more, how many are worth a word


def warnings(situation: Situation) -> tuple[Finding, ...]:
    """Return everything there is to warn of, in a stable order."""
    found = [finding for check in (transfer_list, _clocks, _turned_away) for finding in check(situation)]
    found += unread_findings(situation.ledgers)
    for ledger in situation.ledgers:
        found += [finding for check in _CHECKS for finding in check(ledger)]
        found += _strangers(ledger, situation.document.serial)
    doubts = situation.resolution.unresolved
    terms = situation.now, situation.settle, situation.team.on_unknown
    return (*found, *in_doubt(doubts, *terms, situation.run))


def statuses(situation: Situation) -> frozenset[int]:
    """Return the exit statuses that hold because days are blocked for want of a read, or of a memory."""
    found: set[int] = set()
    for ledger in situation.ledgers:
        reasons = {entry.reason for entry in ledger.of(Bucket.BLOCKED)}
        if Reason.UNKNOWN_HISTORY in reasons:
            found.add(Exit.REFUSED)
        if Reason.NO_EVIDENCE in reasons:
            causes = {answer.cause for answer in ledger.evidence.unread}
            found.add(Exit.KEY if Cause.FORBIDDEN in causes else Exit.UNAVAILABLE)
    return frozenset(found)


# --- of the whole team ------------------------------------------------------------------------


def _clocks(situation: Situation) -> Iterator[Finding]:
    if situation.observed.undated:
        detail = "Its answer has no Date, so whatever takes time is waited for a day longer."
        hint = "See what stands between here and the API: a proxy may leave it out."
        yield _warning("OB005", "The API's clock is not known", detail, hint)
    apart = situation.now - situation.observed.vendor_now
    if abs(apart) > situation.settle and not situation.observed.emulated:
        minutes, ahead = abs(apart) // timedelta(minutes=1), "ahead of" if apart > timedelta(0) else "behind"
        detail = f"Our clock is {minutes} minutes {ahead} the API's; what is decided by time may be wrong."
        yield _warning("OB005", "The clocks differ", detail, "Set this machine's clock.")


def _turned_away(situation: Situation) -> Iterator[Finding]:
    """Warn of what stopped the last apply that wrote, as long as no write went on since, and days are due."""
    known = situation.document.intents.values()
    left = [one for one in known if one.outcome is Outcome.WITHDRAWN and one.answer and not one.blocker]
    last = max(left, key=lambda one: one.intended_at, default=None)
    due = any(ledger.days(Bucket.DUE) for ledger in situation.ledgers)
    since = [one for one in known if last and one.intended_at > last.intended_at]
    if last and due and all(one.outcome is Outcome.WITHDRAWN for one in since):
        detail = f"{named(last)} was answered {last.answer} ({on_the_minute(last.intended_at)})."
        hint = "Nothing is lost: once the cause is mended, an apply makes what is due."
        yield _warning("OB016", "The last apply was stopped", detail, hint)


def in_doubt(
    doubts: Sequence[Intent], now: datetime, settle: timedelta, on_unknown: OnUnknown, run: str = ""
) -> Iterator[Finding]:
    """Warn of the creates whose outcome is unknown, all at once, and say from when a run settles them.
    ``run``: one that is at it.
    """
    if not doubts:
        return
    alone, last = len(doubts) == 1, max(one.intended_at for one in doubts)
    named = [f"{one.transfer} {one.dates}" for one in doubts]
    more = f" and {len(doubts) - FEW_NAMED} more" if len(doubts) > FEW_NAMED else ""
    what = f"{named[0]} was" if alone else f"{len(doubts)} backfills were"
    which = "" if alone else f": {', '.join(named[:FEW_NAMED])}{more}"
    when = f"{'' if alone else 'the last one '}intended {on_the_minute(last)}"
    said = answers_told([one.answer for one in doubts])
    detail = f"Whether {what} created is not known ({when}; {said}){which}."
    one, many = "look at the vendor's pages, then give one of these:", "see how to settle each by hand:"
    at, it, look = minute_after(last + settle), *(("it", one) if alone else ("them", many))
    by_time = f"An apply after {at} settles {it} by itself, if the API tells; or {look}"
    settles = on_unknown is OnUnknown.SETTLE and now < last + settle
    if run:
        detail += f" A run is at work: {run}."
        hint = f"Wait until that run has ended: it may find out; then look again:{on_lines('status')}"
        yield _warning("OB004", "The outcome of a create is unknown", detail, hint)
        return
    hint = by_time if settles else look.capitalize()
    hint += resolving(doubts[0].transfer, doubts[0].dates) if alone else on_lines("resolve")
    yield _warning("OB004", "The outcome of a create is unknown", detail, hint)


# --- of one transfer --------------------------------------------------------------------------


def _unknown_transfer(ledger: TransferLedger) -> Iterator[Finding]:
    if not _in(ledger, Reason.UNKNOWN_TRANSFER):
        return
    listed = ledger.evidence.observed.transfers
    known = sorted(listed.values(), key=lambda info: info.id) if isinstance(listed, Mapping) else []
    names = [f"{info.id}{f' {info.name}' if info.name else ''}" for info in known]
    more = f" and {len(names) - MANY_NAMED} more" if len(names) > MANY_NAMED else ""
    has = f"It has {', '.join(names[:MANY_NAMED])}{more}." if names else "It has none."
    address, name = ledger.transfer.address, ledger.transfer.name
    detail = f"{name}: team {address.team_id} has no transfer {address.transfer_id}. {has}"
    yield _warning("OB015", "There is no such transfer", detail, "Correct its transfer_id, or the team_id.")


def _forgotten_predecessor(ledger: TransferLedger) -> Iterator[Finding]:
    days = _in(ledger, Reason.NO_EVIDENCE) & ledger.evidence.untold_by_predecessors
    if days:
        detail = f"{ledger.transfer.name}: what its `previous_ids` loaded of {_ranges(days)} is not known."
        hint = "Say what is loaded with `loaded:`, or take the id out of `previous_ids`."
        yield _warning("OB006", "The runs of a predecessor are not there any more", detail, hint)


def _unknown_history(ledger: TransferLedger) -> Iterator[Finding]:
    if not _in(ledger, Reason.UNKNOWN_HISTORY):
        return
    ids = ", ".join(str(record.id) for record in ledger.evidence.unexplained)
    detail = (
        f"{ledger.transfer.name}: the state does not know how backfill {ids} came about, so it may have "
        "forgotten more: what is due may be loaded already."
    )
    hint = (
        "Put the newest state back; or look at the vendor's pages, say what is loaded with `loaded:`, "
        f"then:{on_lines(f'accept {quote(ledger.transfer.name)}')}"
    )
    yield _warning("OB003", "The state may be old, or new", detail, hint)


def _strangers(ledger: TransferLedger, serial: int) -> Iterator[Finding]:
    """Blind, what others make is all that tells of loads that are not ours: it is told when first seen."""
    for record in ledger.evidence.records if ledger.evidence.blind else ():
        if record.origin is Origin.OBSERVED and record.serial == serial:
            who = record.seen.created_user_id or "somebody"
            detail = f"User {who} made backfill {record.id} of {ledger.transfer.name} ({record.dates})."
            hint = "It counts as evidence. If there are more, say with `loaded:` what they loaded."
            yield _warning("OB013", "Somebody else makes backfills here", detail, hint)


def _unseen_schedule(ledger: TransferLedger) -> Iterator[Finding]:
    if ledger.evidence.blind and ledger.evidence.is_scheduled:
        detail = (
            f"{ledger.transfer.name} has a schedule, and with `evidence: backfills` its loads are not seen."
        )
        hint = "Use `evidence: runs`, or declare no day that the schedule loads."
        yield _warning("OB007", "A schedule is not seen", detail, hint)


def _undated(ledger: TransferLedger) -> Iterator[Finding]:
    lists = (ledger.evidence.observed.runs.get(source) for source in ledger.transfer.source_ids)
    runs = [run for listed in lists if isinstance(listed, tuple) for run in listed]
    undated = [run for run in runs if run.day is None and run.status is RunStatus.COMPLETED]
    if undated and not ledger.evidence.unread:
        detail = f"{len(undated)} COMPLETED runs of {ledger.transfer.name} tell no day; each may hide a load."
        yield _warning("OB008", "Runs without a data_date", detail, "Look at them on the vendor's pages.")


def _odd_counts(ledger: TransferLedger) -> Iterator[Finding]:
    for judged in ledger.evidence.judged:
        seen, loaded = judged.record.seen, judged.verdict.evidence.loaded
        odd = seen.failed == 0 and seen.total != len(seen.days) and not is_active(seen)
        if odd and loaded == seen.days and loaded & ledger.transfer.days:
            what = f"{seen.total} runs" if seen.total else "no run"
            detail = f"Backfill {seen.id} of {ledger.transfer.name} had {what} for {len(loaded)} days."
            hint = "They count as loaded. If they are not: a later `stale_before` loads them again."
            yield _warning("OB009", "Not one run a day", detail, hint)


def _odd_words(ledger: TransferLedger) -> Iterator[Finding]:
    for judged in ledger.evidence.judged:
        days = _in(ledger, Reason.UNKNOWN_STATUS) & judged.verdict.unknown_status
        if days:
            seen = judged.record.seen
            detail = f"Backfill {seen.id} of {ledger.transfer.name} ended as {seen.word}: {_ranges(days)}."
            hint = f"Look at it on the vendor's pages, then:{_retry(ledger)}"
            yield _warning("OB014", "A status that tells nothing", detail, hint)
    for reason in (Reason.UNKNOWN_STATUS, Reason.STUCK):
        days = _in(ledger, reason)
        words = sorted({run.word for day, run in ledger.evidence.odd_runs if day in days})
        if words:
            named = ", ".join(words)
            detail = f"{ledger.transfer.name}: the newest runs of {_ranges(days)} are {named}."
            hint = f"Look at them on the vendor's pages, then:{_retry(ledger)}"
            yield _warning("OB014", "A status that tells nothing", detail, hint)


def _retry(ledger: TransferLedger) -> str:
    return on_lines(f"retry {quote(ledger.transfer.name)}")


def _stuck(ledger: TransferLedger) -> Iterator[Finding]:
    for backfill in ledger.stuck:
        detail = (
            f"Backfill {backfill.id} of {ledger.transfer.name} ({backfill.status.value}, {backfill.dates}): "
            f"{backfill.completed} of {backfill.total} runs completed, and it has not moved for longer than "
            "`stuck_after`."
        )
        yield _warning("OB010", "A backfill does not move", detail, "Look at it on the vendor's pages.")


def _own_day(ledger: TransferLedger) -> Iterator[Finding]:
    days = ledger.loaded_on_own_day & ledger.days(Bucket.COVERED)
    if days:
        detail = (
            f"{ledger.transfer.name}: the schedule loaded {len(days)} days before they were over (the last: "
            f"{iso(days.end() - 1)}); they count as loaded."
        )
        hint = "`final_after: 1d` has each of them loaded once more, if no later run does."
        yield _warning("OB011", "Days loaded before they were over", detail, hint)


def _once_more(ledger: TransferLedger) -> Iterator[Finding]:
    days = _in(ledger, Reason.EARLY, Bucket.DUE) | _in(ledger, Reason.RESTATED, Bucket.DUE)
    if len(days) > MANY_DAYS_AGAIN:
        detail = f"{ledger.transfer.name}: {len(days)} days are due once more: {_ranges(days)}."
        hint = "Was `final_after` or `timezone` changed? A guard can refuse such a plan."
        yield _warning("OB012", "Many loaded days are due once more", detail, hint)


_CHECKS = (
    *(_unknown_transfer, _forgotten_predecessor, _unknown_history, _unseen_schedule, _undated),
    *(_odd_counts, _odd_words, _stuck, _own_day, _once_more),
)


def _in(ledger: TransferLedger, reason: Reason, bucket: Bucket = Bucket.BLOCKED) -> DateSet:
    entries: Iterable[DateSet] = (entry.days for entry in ledger.of(bucket) if entry.reason is reason)
    return next(iter(entries), DateSet())


def _ranges(days: DateSet) -> str:
    """Return the first three ranges, and how many more there are."""
    shown = ", ".join(dates_of(*interval) for interval in days.intervals[:3])
    more = len(days.intervals) - 3
    return f"{shown} and {more} more" if more > 0 else shown


def _warning(rule: str, summary: str, detail: str, hint: str) -> Finding:
    return Finding(rule, Severity.WARNING, summary, detail, hint)


# --- of several teams -------------------------------------------------------------------------


def told_apart(plans: Sequence[TeamPlan]) -> tuple[TeamPlan, ...]:
    """Name in each finding its team, if there are several, and in commands the id of a transfer whose name
    another team has too.
    """
    names = Counter(one.name for plan in plans for one in plan.transfers)
    return tuple(plans) if len(plans) < 2 else tuple(_with_team(plan, names) for plan in plans)


def _with_team(plan: TeamPlan, names: Mapping[str, int]) -> TeamPlan:
    ids = {quote(one.name): one.address.transfer_id for one in plan.transfers if names[one.name] > 1}

    def by_id(found: re.Match[str]) -> str:
        return f"{found[1]}{ids.get(found[2], found[2])}"

    return replace(
        plan,
        diagnostics=tuple(
            replace(
                one,
                detail=f"Team {plan.team_id}: {one.detail}",
                hint=re.sub(r"(?m)^( +reconciler \w+ )(\S+)", by_id, one.hint),
            )
            for one in plan.diagnostics
        ),
    )
