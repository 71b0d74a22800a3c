"""Where the declared days stand, for Prometheus: its text format, version 0.0.4, as a file to be picked up.

What is not known has no sample: a 0 would say that there is nothing. A count of days is a count of dates in
the names, since "days" there is a unit of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.planning.plan import COUNTED
from reconciler.planning.standing import Standing

Labels = Mapping[str, str]
Sample = tuple[Labels, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics are of. ``read``: when each team was read, by its id, if it could be; ``applied``:
    when a plan of it was last applied in full, if a state says so. Times are aware.
    """

    transfers: Sequence[Standing]
    read: Mapping[int, datetime]
    applied: Mapping[int, datetime]


def metrics_text(measured: Measured) -> str:
    """Return the metrics, those without a sample too: that they exist is known."""
    lines: list[str] = []
    for name, (help_, samples) in METRICS.items():
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
        lines += (f"{name}{{{_labelled(labels)}}} {value}" for labels, value in samples(measured))
    return "\n".join(lines) + "\n"


def _dates(measured: Measured) -> Iterator[Sample]:
    for one in measured.transfers:
        told = one.counts.as_told() if one.counts else {}
        known = ((bucket.value, told.get(bucket.value)) for bucket in COUNTED)
        yield from (({**_named(one), "bucket": name}, n) for name, n in known if n is not None)


def _declared(measured: Measured) -> Iterator[Sample]:
    yield from ((_named(one), one.declared) for one in measured.transfers)


def _synced(measured: Measured) -> Iterator[Sample]:
    yield from ((_named(one), int(one.synced)) for one in measured.transfers if one.synced is not None)


def _healthy(measured: Measured) -> Iterator[Sample]:
    yield from ((_named(one), int(one.healthy)) for one in measured.transfers if one.healthy is not None)


def _read(measured: Measured) -> Iterator[Sample]:
    return _moments(measured.read)


def _applied(measured: Measured) -> Iterator[Sample]:
    return _moments(measured.applied)


METRICS: Mapping[str, tuple[str, Callable[[Measured], Iterable[Sample]]]] = {
    "reconciler_dates": ("Declared dates of a transfer in each bucket.", _dates),
    "reconciler_declared_dates": ("Declared dates of a transfer.", _declared),
    "reconciler_synced": ("1 if nothing of a transfer is planned, deferred or waiting.", _synced),
    "reconciler_healthy": (
        "1 if nothing of a transfer is blocked (but by its file), failed or stuck.",
        _healthy,
    ),
    "reconciler_last_read_timestamp_seconds": ("When a team was last read.", _read),
    "reconciler_last_apply_timestamp_seconds": (
        "When a plan of a team, with something to do, was last applied in full.",
        _applied,
    ),
}


def _moments(times: Mapping[int, datetime]) -> Iterator[Sample]:
    yield from (({"team_id": str(team)}, int(when.timestamp())) for team, when in sorted(times.items()))


def _named(one: Standing) -> Labels:
    assert one.address is not None, "of one transfer, not of all"
    ids = {"team_id": str(one.address.team_id), "transfer_id": str(one.address.transfer_id)}
    return {**ids, "transfer": one.name}


def _labelled(labels: Labels) -> str:
    return ",".join(f'{name}="{escaped_label(value)}"' for name, value in labels.items())


def escaped_label(value: str) -> str:
    """Return a label's value as the format has it, between its quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
