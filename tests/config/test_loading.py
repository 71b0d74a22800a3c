"""``load`` and what is around it: dates, folders, selection, cost."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.config.loading import default_paths, load, read_files
from reconciler.config.names import suggested
from reconciler.config.rules import MOST_FINDINGS
from reconciler.config.selection import select
from reconciler.config.starter import names_for, starter
from reconciler.dates import DateSet, parse_iso
from reconciler.diagnostics import Place
from reconciler.errors import ConfigError, UsageError
from reconciler.model.desired import Desired, DesiredTeam

from .cases import CASES, HEAD, NOW

ONE = HEAD + "transfers:\n  meta: {transfer_id: 1, ranges: [today-1d..today]}\n"


def load_text(folder: Path, text: str, *, as_of: date | None = None, now: datetime = NOW) -> Desired:
    file = folder / "backfills.yaml"
    file.write_text(text)
    return read_files([file], as_of=as_of, now=now)


def the_team(loaded: Desired) -> DesiredTeam:
    (team,) = loaded.teams
    return team


# --- dates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone, today",
    [("UTC", "2026-11-22"), ("Pacific/Kiritimati", "2026-11-23"), ("Pacific/Pago_Pago", "2026-11-21")],
)
def test_today_is_the_teams(zone: str, today: str, tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    team = the_team(load_text(tmp_path, f"timezone: {zone}\n{ONE}", now=now))
    assert (team.as_of, team.as_of_is_today) == (parse_iso(today), True)
    assert team.transfers[0].days == DateSet.span(team.as_of - 1, team.as_of + 1)


def test_as_of_fixes_relative_days(tmp_path: Path) -> None:
    team = the_team(load_text(tmp_path, ONE, as_of=date(2024, 3, 1)))
    assert not team.as_of_is_today
    assert team.transfers[0].days == DateSet.span(parse_iso("2024-02-29"), parse_iso("2024-03-02"))
    assert team.transfers[0].loadable_until == parse_iso("2024-03-01")


TERMS = st.dates(date(2024, 1, 1), date(2024, 3, 1)).map(str) | st.sampled_from(
    ["today", "yesterday", "today-3d", "today-30d"]
)
ONE_RANGE = st.tuples(TERMS, TERMS).filter(lambda pair: can_be_a_range(*pair))


def can_be_a_range(start: str, end: str) -> bool:
    ago = {"today": 0, "yesterday": -1, "today-3d": -3, "today-30d": -30}
    if (start in ago) is not (end in ago):
        return True
    return ago[start] <= ago[end] if start in ago else start <= end


@settings(max_examples=50)
@given(
    st.lists(st.tuples(ONE_RANGE, st.lists(ONE_RANGE, max_size=2)), max_size=4),
    st.lists(ONE_RANGE, max_size=2),
    st.lists(st.dates(date(2023, 12, 1), date(2024, 4, 1)), min_size=2, max_size=2),
)
def test_what_is_declared_as_of_another_day(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[Any], exclude: list[Any], dates: list[date]
) -> None:
    """``declared_at`` says of every day what the file, read as of that day, declares."""

    def spelled(pair: tuple[str, str]) -> str:
        return f"{{start: {pair[0]}, end: {pair[1]}"

    def all_of(pairs: list[tuple[str, str]]) -> str:
        return "[" + ", ".join(spelled(pair) + "}" for pair in pairs) + "]"

    own = ", ".join(f"{spelled(one)}, exclude: {all_of(cuts)}}}" for one, cuts in ranges)
    listed = f"ranges: [{own}], exclude: {all_of(exclude)}"
    text = f"{HEAD}transfers:\n  a: {{transfer_id: 1, {listed}}}\n"
    folder = tmp_path_factory.mktemp("declared")  # alone: a neighbour of the team would have to be read
    first, other = (the_team(load_text(folder, text, as_of=day)).transfers[0] for day in dates)
    assert first.declared_at(dates[0].toordinal()) == first.days
    assert first.declared_at(dates[1].toordinal()) == other.days


def test_as_of_may_be_today_but_not_later(tmp_path: Path) -> None:
    assert the_team(load_text(tmp_path, ONE, as_of=NOW.date())).as_of_is_today
    with pytest.raises(UsageError, match="future"):
        load_text(tmp_path, ONE, as_of=date(2026, 11, 23))
    text = f"timezone: Pacific/Pago_Pago\n{ONE}"
    with pytest.raises(UsageError):
        load_text(tmp_path, text, as_of=date(2026, 11, 22))


def test_now_must_be_aware() -> None:
    with pytest.raises(ValueError, match="aware"):
        read_files([], as_of=None, now=datetime(2026, 1, 1))


def test_midnight_that_does_not_exist_is_the_first_moment_of_the_day(tmp_path: Path) -> None:
    text = "timezone: America/Sao_Paulo\n" + HEAD
    text += "transfers:\n  meta: {transfer_id: 1, stale_before: 2018-11-04, ranges: [2018-01]}\n"
    segment = the_team(load_text(tmp_path, text)).transfers[0].segments[0]
    assert segment.stale_before == datetime(2018, 11, 4, 3, tzinfo=UTC)


# --- files and folders --------------------------------------------------------------------


def test_default_is_the_file_or_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backfills").mkdir()
    assert default_paths() == (Path("backfills"),)
    Path("backfills.yaml").write_text(ONE)
    with pytest.raises(ConfigError) as caught:
        default_paths()
    assert caught.value.findings[0].rule == "BF060"
    assert "both `backfills.yaml` and `backfills/`" in caught.value.findings[0].detail
    Path("backfills").rmdir()
    assert default_paths() == (Path("backfills.yaml"),)


def test_a_hint_at_the_other_suffix(tmp_path: Path) -> None:
    (tmp_path / "backfills.yml").write_text(ONE)
    with pytest.raises(ConfigError) as caught:
        default_paths(tmp_path)
    assert "-c backfills.yml" in caught.value.findings[0].hint


def test_paths_stay_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "eu").mkdir(parents=True)
    (tmp_path / "conf" / "eu" / "a.yml").write_text(f"state: ../../there\n{ONE}")
    relative = the_team(read_files(["conf"], as_of=None, now=NOW))
    assert relative.files == ("conf/eu/a.yml",)
    assert relative.transfers[0].place == Place("conf/eu/a.yml", 5, 3, 5, 7)
    assert relative.state == "there"
    absolute = the_team(read_files([tmp_path / "conf"], as_of=None, now=NOW))
    assert absolute.files == (str(tmp_path / "conf/eu/a.yml"),)
    assert absolute.state == str(tmp_path / "there")


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "same.yaml").symlink_to("a.yaml")
    loaded = read_files([tmp_path / "a.yaml", tmp_path, tmp_path], as_of=None, now=NOW)
    assert the_team(loaded).files == (str(tmp_path / "a.yaml"),)


def test_folders_are_read_in_sorted_order(tmp_path: Path) -> None:
    for number, name in enumerate(["b.yaml", "a.yml", "sub/c.yaml", "a/d.yaml"], start=1):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            f"version: 1\nteam_id: {number}\ntransfers:\n  t: {{transfer_id: {number}, ranges: []}}\n"
        )
    read = read_files([tmp_path], as_of=None, now=NOW)
    assert list(read.texts) == [
        str(tmp_path / name) for name in ("a/d.yaml", "a.yml", "b.yaml", "sub/c.yaml")
    ]


def test_a_file_name_cannot_break_a_line(tmp_path: Path) -> None:
    (tmp_path / "a\n::error::b.yaml").write_text("x")
    (finding,) = read_files([tmp_path], as_of=None, now=NOW).findings
    assert finding.place is not None
    assert "\n" not in finding.place.file


# --- findings -----------------------------------------------------------------------------


def alone(name: str, folder: Path) -> Path:
    """Copy a case to where it has no neighbours."""
    return Path(copy(CASES / name, folder / name))


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    loaded = read_files([alone("secrets.yaml", tmp_path)], as_of=None, now=NOW)
    text = "".join(loaded.texts.values()) + str(loaded.findings)
    for secret in ("0123456789", "hunter", "lines", "two"):
        assert secret not in text
    assert loaded.line(loaded.findings[0].place or Place("", 1, 1)) == "api_key: ***"


def test_lines_outside_the_text(tmp_path: Path) -> None:
    loaded = read_files([alone("valid-minimal.yaml", tmp_path)], as_of=None, now=NOW)
    assert loaded.line(Place("elsewhere", 5, 1)) is None
    assert loaded.line(Place(next(iter(loaded.texts)), 99, 1)) is None


def test_warnings_do_not_stand_in_the_way_and_errors_do(tmp_path: Path) -> None:
    overlaps = alone("overlaps.yaml", tmp_path)
    warned = read_files([overlaps], as_of=None, now=NOW)
    assert warned.findings
    assert load([overlaps], date(2026, 1, 1)).findings == warned.findings
    with pytest.raises(ConfigError) as caught:
        load([alone("dates.yaml", tmp_path)])
    assert {finding.rule for finding in caught.value.findings} == {"BF040", "BF041", "BF042"}


def test_findings_are_limited_and_errors_come_through(tmp_path: Path) -> None:
    ranges = "".join("      - 2024-02-01\n" for _ in range(MOST_FINDINGS + 500))
    text = HEAD + f"transfers:\n  meta:\n    transfer_id: 1\n    ranges:\n{ranges}    exclude: [x]\n"
    loaded = load_text(tmp_path, text)
    assert loaded.findings[0].rule == "BF020"
    assert loaded.findings[-1].rule == "BF040"
    assert len(loaded.findings) == MOST_FINDINGS + 1


def test_warnings_alone_never_make_a_file_invalid(tmp_path: Path) -> None:
    ranges = "".join("      - 2024-02-01\n" for _ in range(MOST_FINDINGS + 500))
    text = HEAD + f"transfers:\n  meta:\n    transfer_id: 1\n    ranges:\n{ranges}"
    loaded = load_text(tmp_path, text)
    assert {one.rule for one in loaded.findings} == {"BF046", "BF020"}
    assert len(the_team(loaded).transfers) == 1


def test_of_too_many_findings_some_of_each_kind_are_kept(tmp_path: Path) -> None:
    keys = "".join(f"key{number}: 1\n" for number in range(MOST_FINDINGS + 500))
    text = f"{HEAD}{keys}transfers:\n  meta: {{transfer_id: x, ranges: [2024, 2024]}}\n"
    assert {one.rule for one in load_text(tmp_path, text).findings} >= {"BF022", "BF027", "BF020"}


# --- selection ----------------------------------------------------------------------------


def names(team: DesiredTeam) -> list[str]:
    return [transfer.name for transfer in team.transfers]


def test_selection_by_globs(tmp_path: Path) -> None:
    listed = "".join(
        f"  {name}: {{transfer_id: {n}, ranges: []}}\n" for n, name in enumerate(["c", "b", "a"], 1)
    )
    desired = load_text(tmp_path, HEAD + "transfers:\n" + listed)

    def kept(target: list[str], exclude: list[str]) -> list[str]:
        return names(the_team(select(desired, target, exclude)))

    assert names(the_team(desired)) == kept([], []) == ["c", "b", "a"]
    assert kept(["[ab]"], []) == ["b", "a"]
    assert kept(["*"], ["b"]) == ["c", "a"]
    assert the_team(select(desired, ["a"], [])).declared_ids == frozenset({1, 2, 3})
    with pytest.raises(UsageError) as caught:
        select(desired, ["a", "A", "*"], ["x*"])  # case counts
    assert "named A, x*." in caught.value.detail


# --- laws ---------------------------------------------------------------------------------


def _shuffled(value: Any, generator: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(child, generator)) for key, child in value.items()]
        generator.shuffle(items)
        return dict(items)
    return [_shuffled(child, generator) for child in value] if isinstance(value, list) else value


def _placeless(team: DesiredTeam) -> DesiredTeam:
    nowhere = Place("", 0, 0)
    transfers = (
        replace(one, place=nowhere, segments=tuple(replace(part, place=nowhere) for part in one.segments))
        for one in team.transfers
    )
    return replace(team, transfers=tuple(transfers))


def test_the_order_of_keys_means_nothing(tmp_path: Path) -> None:
    value = {
        "version": 1,
        "team_id": 7,
        "timezone": "Europe/Helsinki",
        "limits": {"max_open_backfills": 5, "max_days_per_backfill": 30},
        "guards": {"max_days_per_apply": 9, "owners": {"b": {"max_days_per_apply": 1}, "a": {}}},
        "defaults": {"chunk": "month", "owner": "a"},
        "transfers": {
            f"t{number}": {
                "transfer_id": 10 - number,
                "owner": "b",
                "stale_before": "2025-01-01",
                "ranges": [{"start": "2024-01-01", "end": "yesterday", "reason": f"r{number}"}, "2023-Q1"],
                "exclude": ["2024-02"],
            }
            for number in range(5)
        },
    }
    expected = _placeless(the_team(load_text(tmp_path, json.dumps(value))))
    for seed in range(20):
        shuffled = json.dumps(_shuffled(value, random.Random(seed)), indent=seed % 3 or None)
        assert _placeless(the_team(load_text(tmp_path, shuffled))) == expected


DAYS = st.dates(date(2020, 1, 1), date(2026, 12, 31))


@settings(max_examples=60, deadline=1000)
@given(
    st.lists(st.tuples(DAYS, DAYS).map(sorted), max_size=5),
    st.lists(st.tuples(DAYS, DAYS).map(sorted), max_size=3),
)
def test_declared_days_are_the_union_without_the_excluded(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[list[date]], exclude: list[list[date]]
) -> None:
    def days(spans: list[list[date]]) -> set[int]:
        return {day for start, end in spans for day in range(start.toordinal(), end.toordinal() + 1)}

    transfer = {"transfer_id": 1, "ranges": ["..".join(map(str, one)) for one in ranges]}
    transfer["exclude"] = [{"start": str(start), "end": str(end)} for start, end in exclude]
    text = json.dumps({"version": 1, "team_id": 1, "transfers": {"a": transfer}})
    loaded = load_text(tmp_path_factory.getbasetemp(), text)
    assert set(the_team(loaded).transfers[0].days) == days(ranges) - days(exclude)


# --- starter ------------------------------------------------------------------------------


def test_the_starter_loads_without_findings(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, starter(987))
    assert loaded.findings == ()
    assert the_team(loaded).team_id == 987
    assert names(the_team(loaded)) == ["google-ads-daily"]


def test_the_starter_with_everything_uncommented_loads_too(tmp_path: Path) -> None:
    lines = starter(987).split("\n")
    start = lines.index('# timezone: UTC                     # whose "today", e.g. Europe/Helsinki')
    opened = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines[start:]]
    loaded = load_text(tmp_path, "\n".join(lines[:start] + opened))
    assert loaded.findings == ()
    assert the_team(loaded).transfers[0].owners == ("data-platform",)


def test_the_starter_for_known_transfers(tmp_path: Path) -> None:
    found = names_for(["Google Ads (EU)", "Google_Ads. EU", "広告", "データ", "x" * 99, "Лента — Größe"])
    assert found == ["google-ads-eu", "google-ads-eu-2", "transfer", "deta", "x" * 56, "lenta-grosse"]
    team = the_team(load_text(tmp_path, starter(1, list(zip(found, range(4, 10), strict=True)))))
    assert names(team) == found


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Größe_1 (EU)", "grosse_1-eu"),
        ("Äänekoski", "aanekoski"),
        ("Œuvre & Élan", "oeuvre-elan"),
        ("Łódź", "lodz"),
        ("Реклама Щука ЙЁ", "reklama-shchuka-ye"),
        ("Україна її", "ukrayina-yiyi"),
        ("Ελλάδα", "ellada"),
        ("Türkiye Iğdır", "turkiye-igdir"),
        ("ＡＢＣ１", "abc1"),
        ("--x--", "x"),
        ("광고", "gwanggo"),
        ("ひろば カタカナ", "hiroba-katakana"),
        ("広告", ""),
        ("x" * 99, "x" * 63),
    ],
)
def test_names_suggested_for_any_script(text: str, expected: str) -> None:
    assert suggested(text) == expected


# --- cost ---------------------------------------------------------------------------------


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer slows everything down")
def test_a_thousand_ranges_load_at_once(tmp_path: Path) -> None:
    text = HEAD + "transfers:\n"
    for number in range(1, 201):
        text += f"  t{number}:\n    transfer_id: {number}\n    ranges:\n"
        text += "".join(
            f"      - {{start: 202{year}-01-01, end: 202{year}-06-30, reason: x}}\n" for year in range(5)
        )
    started = time.process_time()
    loaded = load_text(tmp_path, text)
    assert time.process_time() - started < 0.25
    assert len(the_team(loaded).transfers) == 200


def test_the_collector_is_on_again(tmp_path: Path) -> None:
    assert gc.isenabled()
    load_text(tmp_path, ONE)
    with pytest.raises(UsageError):
        load_text(tmp_path, ONE, as_of=date(2030, 1, 1))
    assert gc.isenabled()


def test_no_heavy_imports() -> None:
    code = (
        "import sys, reconciler.config.loading;"
        "print({'httpx', 'deepdiff', 'rich', 'difflib'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "set()"
