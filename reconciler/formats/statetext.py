"""A document and a delta as data and text: the half of ``codec.py`` that writes.

Canonical: equal values give equal text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from reconciler.dates import DateSet, Day, iso, last_iso
from reconciler.formats.checks import EVIDENCE_NAMES
from reconciler.model.memory import NOTHING_KNOWN, BackfillRecord, DayEvidence, Delta, Document, Intent

compact = json.JSONEncoder(separators=(",", ":")).encode
spaced = json.JSONEncoder().encode


def document_text(document: Document) -> str:
    """Return the canonical text of ``document``, ending in a newline.

    Raises ``ValueError`` for what could not be read back: an empty range, a time without
    a zone. That is a bug of the caller, never of the state.
    """
    intents = sorted(document.intents.values(), key=lambda one: (one.intended_at, one.nonce))
    backfills = [document.backfills[key] for key in sorted(document.backfills)]
    top = {
        "api_url": spaced(document.api_url),
        "backfills": _listed(_block(_backfill_data(one)) for one in backfills),
        "intents": _listed(_block(_intent_data(one)) for one in intents),
        "lineage": spaced(document.lineage),
        "serial": str(document.serial),
        "team_id": str(document.team_id),
        "version": str(document.version),
        "written_by": spaced(document.written_by),
    }
    return "{\n" + ",\n".join(f'  "{key}": {text}' for key, text in top.items()) + "\n}\n"


def delta_text(delta: Delta) -> str:
    """Return the text of ``delta`` as one line, without the newline. Raises ``ValueError`` too."""
    return compact(
        {
            "backfills": [_backfill_data(one) for one in delta.backfills],
            "drop_backfills": list(delta.drop_backfills),
            "drop_intents": list(delta.drop_intents),
            "intents": [_intent_data(one) for one in delta.intents],
        }
    )


def _listed(blocks: Iterator[str]) -> str:
    text = ",\n".join(blocks)
    return f"[\n{text}\n  ]" if text else "[]"


def _block(data: dict[str, Any]) -> str:
    lines = ",\n".join([f'      "{key}": {_value_text(value)}' for key, value in data.items()])
    return "    {\n" + lines + "\n    }"


def _value_text(value: Any) -> str:
    """Return JSON for one value; the common kinds without the encoder's set-up, five times faster."""
    if value is None:
        return "null"
    if type(value) is str:
        return _quoted(value)
    if type(value) is int:
        return str(value)
    return spaced(value)


def _backfill_data(one: BackfillRecord) -> dict[str, Any]:
    """Return the fields of a record, keys sorted."""
    seen = one.seen
    return {
        "completed": seen.completed,
        "created_time": _time_text(seen.created_time),
        "end": _end_text(one),
        "end_time": _maybe_time_text(seen.end_time),
        "evidence": _evidence_data(one.evidence),
        "failed": seen.failed,
        "failed_days": _days_data(seen.failed_days),
        "gone": one.gone,
        "id": seen.id,
        "origin": one.origin.value,
        "removed_time": _maybe_time_text(seen.removed_time),
        "settled": one.settled,
        "stale_before": _maybe_time_text(one.stale_before),
        "start": iso(seen.start),
        "start_time": _maybe_time_text(seen.start_time),
        "status": seen.status.value,
        "total": seen.total,
        "transfer": one.transfer,
        "transfer_id": seen.transfer_id,
    }


def _intent_data(one: Intent) -> dict[str, Any]:
    """Return the fields of an intent, keys sorted."""
    return {
        "backfill_id": one.backfill_id,
        "blocker": one.blocker,
        "end": _end_text(one),
        "intended_at": _time_text(one.intended_at),
        "kind": one.kind.value,
        "latest_before": one.latest_before,
        "nonce": one.nonce,
        "outcome": one.outcome.value,
        "send_before": _time_text(one.send_before),
        "stale_before": _maybe_time_text(one.stale_before),
        "start": iso(one.start),
        "transfer": one.transfer,
        "transfer_id": one.transfer_id,
    }


def _end_text(one: BackfillRecord | Intent) -> str:
    if one.start >= one.end:
        raise ValueError(f"an empty range cannot be recorded: {one}")
    return last_iso(one.end)


def _time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be recorded: {value}")
    return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _maybe_time_text(value: datetime | None) -> str | None:
    return None if value is None else _time_text(value)


def _days_data(days: DateSet) -> list[str]:
    return [_interval_text(start, end) for start, end in days.intervals]


def _interval_text(start: Day, end: Day) -> str:
    return iso(start) if end - start == 1 else f"{iso(start)}..{last_iso(end)}"


def _evidence_data(evidence: DayEvidence) -> dict[str, list[str]]:
    """Return the sets that hold a day; an absent one is empty."""
    if evidence is NOTHING_KNOWN:
        return {}
    sets = {name: getattr(evidence, name) for name in EVIDENCE_NAMES}
    return {name: _days_data(days) for name, days in sets.items() if days}
