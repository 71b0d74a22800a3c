"""The status for Prometheus: the whole text, what is unknown, and that a label holds any text.

The text lies in ``tests/cases/metrics.prom``: with ``UPDATE_CASES=1`` this writes it anew.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from reconciler.formats.metrics import METRICS, Measured, escaped_label, metrics_text
from reconciler.model.desired import Address
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import DayCounts
from reconciler.planning.standing import Standing

GOLDEN = Path(__file__).parent.parent / "cases" / "metrics.prom"
NOW = datetime(2026, 11, 28, 13, 40, 5, 999_999, UTC)
SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (\d+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\[\\"n])*)"')


def standing(number: int, counts: DayCounts | None, name: str = "google-ads-daily") -> Standing:
    return Standing(Address(12345, number), name, ("ads",), 90, counts)


def measured() -> Measured:
    loaded = DayCounts({Bucket.COVERED: 60, Bucket.PLANNED: 20, Bucket.FAILED: 10})
    some = DayCounts({Bucket.COVERED: 30, Bucket.BLOCKED: 60}, unread=True)
    transfers = (standing(1, loaded), standing(2, some, "partly-read"), standing(3, None, "unread"))
    return Measured(transfers, {12345: NOW}, {})


def test_the_text() -> None:
    text = metrics_text(measured())
    if os.environ.get("UPDATE_CASES"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_what_is_unknown_has_no_sample() -> None:
    text = metrics_text(measured())
    assert 'transfer="partly-read",bucket="covered"' not in text
    assert 'transfer="partly-read",bucket="blocked"} 60' in text
    assert re.findall(r'.*"unread".*', text) == [
        'reconciler_declared_dates{team_id="12345",transfer_id="3",transfer="unread"} 90'
    ]
    assert "reconciler_last_apply_timestamp_seconds{" not in text


def test_it_keeps_the_rules_of_names() -> None:
    """Those of ``promtool check metrics``: a help for each, base units alone, no counter's end."""
    lines = metrics_text(measured()).splitlines()
    for name, (help_, _samples) in METRICS.items():
        at = lines.index(f"# HELP {name} {help_}")
        assert lines[at + 1] == f"# TYPE {name} gauge"
        samples = [number for number, line in enumerate(lines) if line.startswith(f"{name}{{")]
        assert samples == list(range(at + 2, at + 2 + len(samples)))
        parts = set(name.split("_"))
        assert not parts & {
            "minutes",
            "hours",
            "days",
            "weeks",
            "ms",
            "total",
            "count",
            "sum",
            "info",
            "gauge",
        }
        assert re.fullmatch(r"[a-z_]+", name)
    assert all(line.startswith("#") or SAMPLE.fullmatch(line) for line in lines)


@given(st.text())
def test_a_label_holds_any_text(value: str) -> None:
    text = metrics_text(Measured([standing(1, DayCounts({Bucket.COVERED: 1}), value)], {}, {}))
    for line in text.split("\n"):
        if found := SAMPLE.fullmatch(line):
            labels = dict(LABEL.findall(found[2]))
            assert labels["transfer"] == escaped_label(value)
            meant = re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], labels["transfer"])
            assert meant == value
        else:
            assert not line or line.startswith("# ")
