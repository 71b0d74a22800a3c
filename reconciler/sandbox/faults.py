"""Faults by name, and when they strike.

A spec is NAME[@OPERATION][=PROBABILITY], say `reset-after@create=0.1`; the operation is one of list, get,
latest, create, cancel, transfers, runs (all, if left out), the probability 1 if left out. The first fault
that strikes a request is the only one. The same seed and requests give the same faults.

A fault strikes *before* the request is carried out, which then never happens, or *after*, when its effect
is there to stay and only the answer suffers.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.sandbox import misdeeds
from reconciler.sandbox.misdeeds import HTML, Act
from reconciler.sandbox.refusal import DAILY_QUOTA, ROW_QUOTA
from reconciler.sandbox.settings import SceneError, refuse_unknown

OPERATIONS = ("list", "get", "latest", "create", "cancel", "transfers", "runs")
STATUSES = (400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: `act` makes the answer that the client gets."""

    name: str
    before: bool
    act: Act


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault as asked for: where it strikes, and how often."""

    fault: Fault
    operation: str | None
    probability: float


def _quota(words: tuple[str, str]) -> Act:
    code, message = words
    return misdeeds.status(429, code=code, message=message, retry_after=86_400)


_BEFORE: dict[str, Act] = {
    "reset-before": misdeeds.RESETTING,
    "html-200-before": misdeeds.text(HTML, "text/html"),
    "quota-rows": _quota(ROW_QUOTA),
    "quota-licence": _quota(DAILY_QUOTA),
    "rate-limit-day": misdeeds.retry_after("86400"),
    "rate-limit-date": misdeeds.retry_after("Fri, 31 Dec 2100 23:59:59 GMT"),
    "rate-limit-junk": misdeeds.retry_after("soon"),
    "rate-limit-silent": misdeeds.status(429, retry_after=None),
    "unknown-code-422": misdeeds.status(422, code="NOBODY_KNOWS_THIS"),
    "unknown-code-429": misdeeds.status(429, code="NOBODY_KNOWS_THIS"),
    **{f"redirect-{number}": misdeeds.redirect(number) for number in (301, 302, 307, 308)},
    **{f"status-{number}-before": misdeeds.status(number) for number in STATUSES},
}
_AFTER: dict[str, Act] = {
    "reset-after": misdeeds.RESETTING,
    "reset-middle": misdeeds.CUTTING,
    "short-body": misdeeds.SHORTENING,
    "slow-body": misdeeds.SLOWING_BODY,
    "slow-headers": misdeeds.SLOWING_HEADERS,
    "huge-body": misdeeds.huge,
    "endless-chunked": misdeeds.endless,
    "gzip-bomb": misdeeds.gzip_bomb,
    "html-200": misdeeds.text(HTML, "text/html"),
    "empty-200": misdeeds.text(b""),
    "invalid-json": misdeeds.text(b"{'data': oops}"),
    "truncated-json": misdeeds.body(lambda raw: raw[: len(raw) // 2]),
    "json-array": misdeeds.parsed(lambda data: [data]),
    "json-null": misdeeds.text(b"null"),
    "json-deep": misdeeds.text(b"[" * 100_000),
    "json-nan": misdeeds.text(b'{"data": NaN}'),
    "bad-utf8": misdeeds.body(lambda raw: raw[:-2] + b"\xff\xfe" + raw[-2:]),
    "null-data": misdeeds.text(b'{"meta": {"request_id": "fault-0000"}, "data": null}'),
    "missing-data": misdeeds.text(b'{"meta": {"request_id": "fault-0000"}}'),
    "missing-fields": misdeeds.without("status", "created_time", "transfer_runs_total"),
    "optional-fields-missing": misdeeds.without("start_time", "end_time", "error_report", "message"),
    "unknown-field": misdeeds.with_fields(nobody_knows_this={"deep": [1, 2]}),
    "unknown-status": misdeeds.with_fields(status="NOBODY_KNOWS_THIS"),
    "text-counts": misdeeds.with_fields(transfer_runs_total="many"),
    "other-range": misdeeds.with_fields(range_start_date="1999-01-01", range_end_date="1999-01-02"),
    "other-transfer": misdeeds.with_fields(transfer_id=1),
    "other-id": misdeeds.with_fields(transfer_backfill_id=2**62 + 1),
    "known-id": misdeeds.known_id,
    "too-large-id": misdeeds.with_fields(transfer_backfill_id=2**63),
    "zero-id": misdeeds.with_fields(transfer_backfill_id=0),
    "odd-date": misdeeds.header("Date", "yesterday"),
    "odd-content-type": misdeeds.header("Content-Type", "text/plain"),
    **{f"status-{number}-after": misdeeds.status(number) for number in STATUSES},
}

FAULTS: dict[str, Fault] = {
    **{name: Fault(name, True, act) for name, act in _BEFORE.items()},
    **{name: Fault(name, False, act) for name, act in _AFTER.items()},
}


def read_rule(spec: str) -> Rule:
    """The rule of a spec. Raises SceneError, a ValueError."""
    place, _, chance = spec.partition("=")
    name, _, operation = place.partition("@")
    refuse_unknown([name], FAULTS, "fault")
    if "@" in place:
        refuse_unknown([operation], OPERATIONS, f"fault {name}")
    try:
        probability = float(chance) if "=" in spec else 1.0
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise SceneError(f"fault {name}", f"{chance!r} is not a probability from 0 to 1")
    return Rule(FAULTS[name], operation or None, probability)


class Faults:
    """The rules of one sandbox, and the dice."""

    def __init__(self, specs: Iterable[str] = (), seed: int = 0) -> None:
        """Raises SceneError for a spec that cannot be read."""
        self._rules = tuple(read_rule(spec) for spec in specs)
        self._dice = random.Random(seed)

    def draw(self, operation: str) -> Fault | None:
        """The fault that strikes this request, or None."""
        for rule in self._rules:
            if rule.operation in (None, operation) and self._dice.random() < rule.probability:
                return rule.fault
        return None
