"""Deciding without a forge: whose comment is taken, what overlaps, and that titles are nothing but text."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.dates import DateSet, DaysByTransfer, parse_iso
from reconciler.forge.client import next_query
from reconciler.forge.sticky import Comment, Elsewhere, Overlap, Pull, Step, overlap_of, spot_of
from reconciler.http import Headers
from reconciler.model.desired import Address
from reconciler.render.elsewhere import elsewhere_lines, elsewhere_markdown

ME = "github-actions[bot]"
FIRST = parse_iso("2024-01-01")
ADS = Address(5, 6)
MADE = datetime(2026, 11, 28, tzinfo=UTC)


def marked(key: str, run: str = "20240101:10", hour: int = 0) -> str:
    made = {"made": f"2026-11-28T{hour:02}:00:00Z"} if hour else {}
    told = json.dumps({"v": 1, "key": key, "digest": "d", **made, "days": {"5": {"6": run}}})
    return f"text\n\n<!-- reconciler: {told} -->\n"


comments = st.builds(
    Comment,
    st.integers(1, 9),
    st.sampled_from([ME, "ann", ""]),
    st.sampled_from([marked("a"), marked("b"), "no marker", marked("a") + "more", marked("a")[:-9]]),
)


@given(st.lists(comments, unique_by=lambda one: one.id), st.booleans())
def test_only_a_comment_of_ours_with_the_key_is_taken_the_oldest(
    found: list[Comment], incomplete: bool
) -> None:
    spot = spot_of(found, ME, "a", incomplete=incomplete)
    own = [one for one in found if one.author == ME and one.body in (marked("a"), marked("b"))]
    fitting = [one.id for one in own if one.body == marked("a")]
    if fitting:
        assert spot.comment is not None
        assert (spot.key, spot.comment.id, len(spot.spare)) == ("a", min(fitting), len(fitting) - 1)
    elif incomplete and len(own) == 1:
        assert (spot.key, spot.comment) == ("b", own[0])
    else:
        assert (spot.key, spot.comment, spot.spare) == ("a", None, ())


BY_AGE = {marked("a"): 0, marked("a", hour=3): 3, marked("a", hour=9): 9}
of_plans = st.builds(Comment, st.integers(1, 9), st.just(ME), st.sampled_from([*BY_AGE]))


@given(st.lists(of_plans, unique_by=lambda one: one.id, min_size=1), st.integers(1, 23))
def test_the_newest_plan_is_kept_and_an_older_one_leaves_it(found: list[Comment], hour: int) -> None:
    spot = spot_of(found, ME, "a")
    newest = max(BY_AGE[one.body] for one in found)
    assert spot.comment is not None
    assert (BY_AGE[spot.comment.body], len(spot.spare)) == (newest, len(found) - 1)
    assert spot.comment.id == min(one.id for one in found if BY_AGE[one.body] == newest)
    assert spot.step("text", MADE.replace(hour=hour)) is (Step.OLDER if hour < newest else Step.EDIT)


@given(st.text(alphabet="ab \r\n"), st.text(alphabet="ab \r\n"))
def test_a_text_once_written_is_left(one: str, other: str) -> None:
    spot = spot_of([Comment(1, ME, f"{one}\n{marked('a')}")], ME, "a")
    assert spot.step(f"{one}\n{marked('a')}", MADE) is Step.LEAVE
    if other.split() != one.split():
        assert spot.step(f"{other}\n{marked('a')}", MADE) is Step.EDIT


@given(st.integers(0, 30), st.integers(1, 30), st.sampled_from([ME, "ann"]))
def test_what_overlaps_are_the_common_days(start: int, length: int, author: str) -> None:
    ours = DaysByTransfer([(ADS, DateSet.span(FIRST + start, FIRST + start + length))])
    theirs = Comment(1, author, marked("z", "20240101:10,5,3"))
    common = DateSet.of([(FIRST, FIRST + 10), (FIRST + 15, FIRST + 18)]) & ours[ADS]
    overlap = overlap_of(Pull(8, ""), [theirs], ME, ours)
    if author == ME and common:
        assert overlap is not None
        assert overlap.days is not None
        assert dict(overlap.days) == {ADS: common}
    else:
        assert overlap is None


HOSTILE = ["@all", "#1", "|", "<img src=x>", "](http://x)", "```", "\n\n# ", "<!-- reconciler: {", "\x1b[2J"]


def kinds(text: str) -> list[str]:
    return [token.type for token in MarkdownIt().parse(text)]


@given(st.lists(st.sampled_from([*HOSTILE, "a", " "]), max_size=8).map("".join))
def test_a_title_is_nothing_but_text(title: str) -> None:
    days = DaysByTransfer([(ADS, DateSet.span(FIRST, FIRST + 2))])
    elsewhere = Elsewhere("#", "pull request", (Overlap(Pull(8, title), days),))
    (aside,) = elsewhere_markdown(elsewhere, {ADS: "ads"})
    paragraph = aside.whole
    assert aside.brief == "> **The same days are planned in another pull request, too**: #8."
    tame = paragraph.replace(paragraph[paragraph.index("“") : paragraph.index("”")], "“a")
    assert kinds(paragraph) == kinds(tame)
    assert all(line.startswith(">") for line in paragraph.splitlines())
    assert "<img" not in paragraph
    assert "@all" not in paragraph
    (line,) = elsewhere_lines(elsewhere, {ADS: "ads"})
    assert line.isprintable()


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (
            {"Link": '<https://x/y?page=2&per_page=3>; rel="next", <https://x/y?page=9>; rel="last"'},
            ("2", "3"),
        ),
        ({"Link": '<https://x/y?page=1>; rel="prev"'}, None),
        ({"Link": '<https://x/y?cursor=abc>; rel="next"', "x-next-page": "2"}, (None, 50)),
        ({"x-next-page": "3"}, (3, 50)),
        ({"x-next-page": ""}, None),
        ({"Link": "<<<>; rel=next"}, (None, 50)),
        ({}, None),
    ],
)
def test_the_next_page_is_known_by_its_query(
    headers: dict[str, str], query: tuple[object, object] | None
) -> None:
    following = next_query(Headers(headers), {"per_page": 50})
    assert (None if following is None else (following.get("page"), following["per_page"])) == query
