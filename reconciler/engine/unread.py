"""What could not be read of transfers, as findings: what many failed with alike is told once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from reconciler.api.wording import cure
from reconciler.dates import grouped
from reconciler.diagnostics import Finding, Severity
from reconciler.model.observed import Cause, Unreadable
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.situation import Situation

FEW = 3  # transfers that are told one by one, and of more so many are named
_BY_FILE = (Cause.FORBIDDEN, Cause.NOT_FOUND, Cause.UNDATED)
_BLIND = "`evidence: backfills` does without run lists, only if no schedule loads these days."
_OWN = re.compile(r"\(request [^)]*\)|\d+")  # of what was said, what each transfer and request has of its own


def transfer_list(situation: Situation) -> Iterator[Finding]:
    listed = situation.observed.transfers
    if listed is None or isinstance(listed, Unreadable):
        said = f" ({listed.said})" if isinstance(listed, Unreadable) and listed.said else ""
        detail = f"Paused and unknown transfers of team {situation.team.team_id} are not noticed{said}."
        hint = "Check the key's scopes." if listed is None else cure(listed)
        yield Finding("OB001", Severity.WARNING, "The transfer list is not readable", detail, hint)


def unread_findings(ledgers: Iterable[TransferLedger]) -> Iterator[Finding]:
    """Warn of what could not be read, and say what helps."""
    met = [
        (ledger, answer)
        for ledger in ledgers
        if not _is_held(ledger, Reason.UNKNOWN_TRANSFER)  # it is told that there is no such transfer
        for answer in dict.fromkeys(ledger.evidence.unread)
    ]
    for alike in grouped(met, lambda one: _kind(*one)).values():
        if len(alike) > FEW:
            yield _finding(alike)
        else:
            yield from (_finding([one]) for one in alike)


def _kind(ledger: TransferLedger, answer: Unreadable) -> tuple[object, ...]:
    error = answer.error and answer.error.anonymous
    return (_is_blocked(ledger), answer.cause, answer.lasting, error, _OWN.sub("", answer.said))


def _finding(alike: Sequence[tuple[TransferLedger, Unreadable]]) -> Finding:
    ledger, answer = alike[0]
    names = [one.transfer.name for one, _answer in alike]
    whose = names[0]
    if len(names) > 1:
        whose = f"{len(names)} transfers ({', '.join(names[:FEW])} and {len(names) - FEW} more)"
    blocked = _is_blocked(ledger)
    shows = (
        f"Days of {whose} that only it can show are blocked"
        if blocked
        else f"No day of {whose} waits for it yet"
    )
    each = "" if len(names) == 1 else f"each alike, as of {names[0]}: "
    hint = " Or: ".join(filter(None, (cure(answer), _BLIND if answer.cause in _BY_FILE else "")))
    detail = f"{shows}: {each}{answer.said}."
    return Finding("OB002", Severity.WARNING, "Something could not be read", detail, hint)


def _is_blocked(ledger: TransferLedger) -> bool:
    return _is_held(ledger, Reason.NO_EVIDENCE)


def _is_held(ledger: TransferLedger, reason: Reason) -> bool:
    return any(entry.reason is reason and entry.days for entry in ledger.of(Bucket.BLOCKED))
