"""Faults by name, and when they strike.

A spec is NAME[@OPERATION][=PROBABILITY], say `reset-after@create=0.1`; the operation is a call by its name
(all, if left out), the probability 1 if left out. The first fault that strikes a request is the only one.
The same seed and requests give the same faults.

A fault strikes *before* the request is carried out, which then never happens, or *after*, when its effect
is there to stay and only the answer suffers.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.sandbox import fault_effects, responses
from reconciler.sandbox.fault_effects import HTML, Act
from reconciler.sandbox.requests import CALLS
from reconciler.sandbox.responses import DAILY_QUOTA, ROW_QUOTA
from reconciler.sandbox.settings import SceneError, refuse_unknown

OPERATIONS = CALLS
STATUSES = (400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: `act` makes the answer that the client gets."""

    name: str
    before: bool
    act: Act


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault as asked for: where it strikes, and how often."""

    fault: Fault
    operation: str | None
    probability: float


_BEFORE: dict[str, Act] = {
    "reset-before": fault_effects.behaving(responses.RESET),
    "html-200-before": fault_effects.text(HTML, "text/html"),
    "quota-rows": fault_effects.status(429, **ROW_QUOTA),
    "quota-licence": fault_effects.status(429, **DAILY_QUOTA),
    "rate-limit-day": fault_effects.status(429, retry_after="86400"),
    "rate-limit-date": fault_effects.status(429, retry_after="Fri, 31 Dec 2100 23:59:59 GMT"),
    "rate-limit-junk": fault_effects.status(429, retry_after="soon"),
    "rate-limit-silent": fault_effects.status(429, retry_after=None),
    "unknown-code-422": fault_effects.status(422, code="NOBODY_KNOWS_THIS"),
    "unknown-code-429": fault_effects.status(429, code="NOBODY_KNOWS_THIS"),
    **{f"redirect-{number}": fault_effects.redirect(number) for number in (301, 302, 307, 308)},
    **{f"status-{number}-before": fault_effects.status(number) for number in STATUSES},
}
_AFTER: dict[str, Act] = {
    "reset-after": fault_effects.behaving(responses.RESET),
    "reset-middle": fault_effects.behaving(responses.CUT),
    "short-body": fault_effects.behaving(responses.SHORT),
    "slow-body": fault_effects.behaving(responses.SLOW_BODY),
    "slow-headers": fault_effects.behaving(responses.SLOW_HEADERS),
    "huge-body": fault_effects.huge,
    "endless-chunked": fault_effects.endless,
    "gzip-bomb": fault_effects.gzip_bomb,
    "html-200": fault_effects.text(HTML, "text/html"),
    "empty-200": fault_effects.text(b""),
    "invalid-json": fault_effects.text(b"{'data': oops}"),
    "truncated-json": fault_effects.body(lambda raw: raw[: len(raw) // 2]),
    "json-array": fault_effects.parsed(lambda data: [data]),
    "json-null": fault_effects.text(b"null"),
    "json-deep": fault_effects.text(b"[" * 100_000),
    "json-nan": fault_effects.text(b'{"data": NaN}'),
    "bad-utf8": fault_effects.body(lambda raw: raw[:-2] + b"\xff\xfe" + raw[-2:]),
    "null-data": fault_effects.text(b'{"meta": {"request_id": "fault-0000"}, "data": null}'),
    "missing-data": fault_effects.text(b'{"meta": {"request_id": "fault-0000"}}'),
    "missing-fields": fault_effects.without("status", "created_time", "transfer_runs_total"),
    "optional-fields-missing": fault_effects.without("start_time", "end_time", "error_report", "message"),
    "unknown-field": fault_effects.with_fields(nobody_knows_this={"deep": [1, 2]}),
    "unknown-status": fault_effects.with_fields(status="NOBODY_KNOWS_THIS"),
    "text-counts": fault_effects.with_fields(transfer_runs_total="many"),
    "other-range": fault_effects.with_fields(range_start_date="1999-01-01", range_end_date="1999-01-02"),
    "other-transfer": fault_effects.with_fields(transfer_id=1),
    "other-id": fault_effects.with_fields(transfer_backfill_id=2**62 + 1),
    "known-id": fault_effects.known_id,
    "too-large-id": fault_effects.with_fields(transfer_backfill_id=2**63),
    "zero-id": fault_effects.with_fields(transfer_backfill_id=0),
    "odd-date": fault_effects.header("Date", "yesterday"),
    "odd-content-type": fault_effects.header("Content-Type", "text/plain"),
    **{f"status-{number}-after": fault_effects.status(number) for number in STATUSES},
}

FAULTS: dict[str, Fault] = {
    **{name: Fault(name, True, act) for name, act in _BEFORE.items()},
    **{name: Fault(name, False, act) for name, act in _AFTER.items()},
}


def read_rule(spec: str) -> FaultRule:
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
    return FaultRule(FAULTS[name], operation or None, probability)


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
