"""Fuzzing of the YAML file: bad content is findings, never an exception, and never slow or large."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fuzz_mutations import FEW, MANY, in_bounds, texts
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.loading import read_files
from reconciler.config.rules import RULES
from reconciler.diagnostics import has_errors
from reconciler.formats.planfile import dump
from reconciler.formats.reports import validation_json
from reconciler.render.findings import findings_text
from reconciler.render.words import Paint

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
BASES = [
    """\
version: 1
team_id: 12345
timezone: Europe/Helsinki
state: ../state
key_env: SUPERMETRICS_API_KEY
order: newest_first
prune: false
on_unknown: settle
limits: {max_open_backfills: 100, max_creates_per_apply: 50, max_days_per_backfill: 92}
guards:
  max_days_per_apply: 2000
  max_rows_per_apply: 5000000
  owners: {ads: {max_days_per_apply: 400}}
defaults: {chunk: month, max_attempts: 3, evidence: runs, allow_today: false, owner: data-platform}
transfers:
  google-ads-daily:
    transfer_id: 456789
    previous_ids: [433001]
    owner: ads
    stale_before: 2026-02-01
    ranges:
      - start: 2023-01-01
        end: 2024-03-31
        reason: History for the new warehouse
      - 2024-Q2
      - start: 2024-09-01
        end: yesterday
        stale_before: 2026-03-01T06:00:00Z
    exclude:
      - start: 2023-12-24
        end: 2023-12-26
        reason: "The ad account was closed"
  meta-eu: {transfer_id: 456790, paused: true, ranges: [2024]}
""",
    """\
version: 1
team_id: 1
transfers:
  &a a: &b
    transfer_id: 1
    ranges: &c [2024-01-01..2024-01-31, today-90d]
  b: {transfer_id: 2, ranges: *c, exclude: ['2024-07', "2024-W01"]}
""",
]


def reads_or_finds(data: bytes) -> None:
    """Findings with known rules, or teams; all of it can be shown."""
    path = Path("fuzzed.yaml")
    path.write_bytes(data)
    with in_bounds():
        loaded = read_files([path], as_of=None, now=NOW)
    assert {one.rule for one in loaded.findings} <= set(RULES)
    assert not (loaded.teams and has_errors(loaded.findings))
    text = findings_text(loaded.findings, Paint(), loaded.line)
    assert not [char for char in text if char < " " and char != "\n"], text
    dump(validation_json(loaded.findings, loaded.line)).encode("utf-8", "surrogatepass")
    assert not (has_errors(loaded.findings) and loaded.teams)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@FEW
@given(texts(BASES))
def test_changed_files(data: bytes) -> None:
    reads_or_finds(data)


@FEW
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    reads_or_finds(data)


@pytest.mark.proof
@MANY
@given(texts(BASES))
def test_many_changed_files(data: bytes) -> None:
    reads_or_finds(data)


@pytest.mark.proof
@MANY
@given(
    st.one_of(
        st.binary(max_size=2000), st.text(max_size=500).map(lambda text: text.encode("utf-8", "replace"))
    )
)
def test_many_times_any_bytes(data: bytes) -> None:
    reads_or_finds(data)


# --- what is built to be large or slow --------------------------------------------------------------

HEAD = "version: 1\nteam_id: 1\ntransfers:\n"
LARGE = {
    "brackets": "'[' * 4_000_000",
    "braces": "'{a: ' * 1_000_000",
    "dashes": "'- ' * 2_000_000",
    "anchors": "HEAD + ''.join(f'  t{i}: &a{i} [*a{i - 1}, *a{i - 1}]\\n' for i in range(1, 200))",
    "anchors of anchors": "'a: &x [' + '1, ' * 9000 + ']\\nb: [' + '*x, ' * 9000 + ']'",
    "keys": "HEAD + ''.join(f'  t{i}: {{transfer_id: {i}}}\\n' for i in range(1, 60_000))",
    "one key again": "HEAD + '  a: {}\\n' * 300_000",
    "a long scalar": "HEAD + '  a: ' + 'x' * 15_000_000",
    "a long number": "'version: ' + '9' * 15_000_000",
    "quotes": "'a: \"' + '\\\\\\\\' * 7_000_000",
    "comments": "'# x\\n' * 4_000_000",
    "ranges": "HEAD + '  a: {transfer_id: 1, ranges: [' + '0001-01-01..9999-12-31, ' * 50_000 + ']}'",
    "blanks": "' ' * 16_000_000",
    "tabs": "'\\t' * 16_000_000",
    "too much": "'a' * 17_000_000",
}
MEASURED = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from reconciler.config.loading import read_files
HEAD = {head!r}
Path('large.yaml').write_text({text})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
loaded = read_files(['large.yaml'], as_of=None, now=datetime(2026, 6, 1, tzinfo=UTC))
seconds = time.process_time() - began
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(len(loaded.findings), round(seconds, 2), round(more))
sys.exit(not (loaded.findings and seconds < {seconds} and more < {mib}))
"""


RANGES = """HEAD + "".join(
    f"  t{one}:\\n    transfer_id: {one + 1}\\n    ranges:\\n" + "".join(
        f"      - {{start: 20{year}-{month:02}-01, end: 20{year}-{month:02}-20, reason: r{one}}}\\n"
        for year in range(10, 20) for month in range(1, 11)
    ) for one in range(1000)
)"""


@pytest.mark.proof
def test_a_hundred_thousand_ranges_are_read(tmp_path: Path) -> None:
    """Six megabytes: what is written counts against no limit that a file of ranges reaches."""
    script = MEASURED.format(head=HEAD, text=RANGES, seconds=15, mib=500).replace(
        "not (loaded.findings", "not (loaded.teams"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-2000:])


@pytest.mark.proof
@pytest.mark.parametrize("large", LARGE)
def test_large_files(large: str, tmp_path: Path) -> None:
    """Up to 16 MiB and built to hurt: a few seconds and 300 MiB at most, and a finding."""
    script = MEASURED.format(head=HEAD, text=LARGE[large], seconds=5, mib=300)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-2000:])
