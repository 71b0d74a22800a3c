"""A plan as a comment: what its first lines answer, how it fits, and that nothing in it is more than text.

The comments lie in ``tests/cases/comments``: ``UPDATE_CASES=1 pytest tests/render`` writes them anew.
"""

import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

sys.path.insert(0, str(Path(__file__).parent.parent / "planning"))

from planning_values import (
    NOW,
    ago,
    backfill,
    document,
    intent,
    named,
    observed,
    planned,
    record,
    segment,
    team,
    transfer,
    whole,
)

from reconciler.diagnostics import Finding, Place, Severity
from reconciler.forge.sticky import Elsewhere, Overlap, Pull
from reconciler.formats.marker import Marker, key_of, read_marker
from reconciler.formats.planfile import digest, dump, encode_plan, read_plan
from reconciler.model.desired import Address, Chunk, Guards, Limits
from reconciler.model.memory import Override
from reconciler.model.observed import ApiError
from reconciler.planning.approval import planned_days
from reconciler.planning.plan import ActionKind, Plan
from reconciler.render.elsewhere import elsewhere_markdown, names_of
from reconciler.render.escaping import code, escaped
from reconciler.render.headline import LONGEST_NAME
from reconciler.render.markdown import LEAST_CHARS, LEVELS, MAX_CHARS, markdown
from reconciler.render.text import Shown, plan_text
from reconciler.render.view import View, view_of
from reconciler.render.words import Paint
from reconciler.untrusted import one_line

COMMENTS = Path(__file__).parent.parent / "cases" / "comments"
SAID = ApiError(422, "UNPROCESSABLE_ENTITY", "It cannot be carried out: A range has at most 30 days", "R-1")
GUARDS = Guards(max_days_per_apply=400, owners={"ads": Guards(max_days_per_apply=150), "crm": Guards(90)})


LEVEL_NAMES = ["calendar", "ranges", "folded", "transfers", "totals", "bare"]


# --- the plans --------------------------------------------------------------------------------


def usual(*more: Any, guards: Guards = GUARDS, memory: tuple[Any, ...] = ()) -> Plan:
    """A plan with each kind of line that there is."""
    history = segment("1-91", 29, reason="History for the new warehouse")
    tracking = segment("1-60", 42, reason="Backfill after the tracking change | see #42")
    wanted = team(
        transfer(history, id=1, name="google-ads-daily", owners=("ads",), chunk=Chunk.MONTH),
        transfer(tracking, id=2, name="meta-ads-eu", owners=("ads", "finance")),
        transfer("1-31", id=3, name="linkedin-ads", paused=True, owners=("crm",)),
        transfer("1-10", id=4, name="tiktok-ads", owners=("crm",)),
        *more,
        limits=Limits(max_open_per_transfer=2),
        guards=guards,
    )
    seen = observed(
        backfill("40-45", "RUNNING", id=7, ran=0),
        backfill("1-9", "RUNNING", id=9, ran=0, transfer_id=2),
        transfers=named(1, 2, 3, 4, 5),
    )
    failed = record("1-31", "FAILED", id=8, ended_at=ago(30), failed=1, names="3", error="timeout")
    refused = intent("1-10", outcome="refused", at=ago(1), answer=SAID, transfer_id=4, sources=(4,))
    return whole(planned(wanted, seen, document(failed, refused, *memory)))


SWEDEN = transfer(
    segment("1-62", 50, reason="New market: Sweden"), id=5, name="google-ads-se", owners=("nordics",)
)


def many(number: int, ranges: int = 3) -> Plan:
    parts = [f"{10 * one + 1}-{10 * one + 5}" for one in range(ranges)]
    owners = ("ads", "crm", "finance")
    transfers = [
        transfer(*parts, id=one, name=f"transfer-{one:04}", owners=(owners[one % 3],))
        for one in range(1, number + 1)
    ]
    wide = Limits(max_open_backfills=100_000)
    return whole(planned(team(*transfers, limits=wide), observed()))


def nothing() -> Plan:
    return whole(planned(team(transfer("1-10", owners=("ads",))), observed(), document(record("1-10", id=8))))


def incomplete() -> Plan:
    what, why = "The key is refused", "Team 6 could not be planned. 401 UNAUTHORIZED."
    finding = Finding("key", Severity.ERROR, what, why)
    return replace(usual(), diagnostics=(finding,), errored=True)


def overridden() -> Plan:
    said = Override(
        "sha256:" + "4" * 64, ("max_days_per_apply",), "Agreed with finance", 1, NOW, "ann on ci-7"
    )
    plan = usual()
    found = Finding("PL004", Severity.WARNING, "A guard was overridden", f"by {said.who}: {said.reason}")
    return replace(plan, teams=(replace(plan.teams[0], diagnostics=(found,)),))


def two_teams() -> Plan:
    own = transfer("1-5", address=Address(6, 9), name="tiktok-ads", owners=("crm",))
    other = planned(team(own, team_id=6), observed(), replace(document(), team_id=6))
    return whole(*usual().teams, other)


PLANS = {
    "usual": usual(SWEDEN),
    "no-changes": nothing(),
    "guarded": usual(SWEDEN, guards=Guards(max_days_per_apply=50)),
    "incomplete": incomplete(),
    "overridden": overridden(),
    "two-teams": two_teams(),
}
APPLY = "reconciler apply plan.json"


def at_each_level() -> dict[str, str]:
    """Return one plan in each level of detail: as long as it may be, and each time a character less."""
    view, found, text = view_of(many(40)), [markdown(view_of(many(40)))], ""
    while text != (text := markdown(view, max(len(text or found[-1]) - 1, LEAST_CHARS))):
        if _without_marker(text) != _without_marker(found[-1]):  # not only its marker is shorter
            found.append(text)
    return dict(zip(LEVEL_NAMES, found, strict=True))


def _without_marker(text: str) -> str:
    return text.rpartition("\n<!-- reconciler")[0]


def comments() -> dict[str, str]:
    told = {name: markdown(view_of(plan, {}, APPLY)) for name, plan in PLANS.items()}
    told["over-the-base"] = markdown(view_of(PLANS["usual"], {}, APPLY), base=usual())
    told["under-the-base"] = markdown(view_of(usual(), {}, APPLY), base=PLANS["usual"])
    days = planned_days(PLANS["usual"].actions)
    others = (
        Overlap(Pull(12, "Reload Sweden | @all"), days),
        Overlap(Pull(15, "Everything"), None),
    )
    paragraphs = elsewhere_markdown(Elsewhere("#", "pull request", others), names_of(PLANS["usual"]))
    told["elsewhere"] = markdown(view_of(PLANS["usual"], {}, APPLY), besides=paragraphs)
    return told | {f"level-{name}": text for name, text in at_each_level().items()}


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    found = comments()
    if os.environ.get("UPDATE_CASES"):
        for name, text in found.items():
            (COMMENTS / f"{name}.md").write_text(text, "utf-8")
    return found


# --- as it is ---------------------------------------------------------------------------------

NAMES = [*PLANS, "over-the-base", "under-the-base", "elsewhere"]


@pytest.mark.parametrize("name", [*NAMES, *(f"level-{one}" for one in LEVEL_NAMES)])
def test_a_comment(name: str, told: dict[str, str]) -> None:
    assert told[name] == (COMMENTS / f"{name}.md").read_text("utf-8")


def test_each_level_tells_less_and_no_comment_is_left_over(told: dict[str, str]) -> None:
    lengths = [len(told[f"level-{name}"]) for name in LEVEL_NAMES]
    assert lengths == sorted(set(lengths), reverse=True)
    assert len(LEVELS) == len(LEVEL_NAMES) - 1
    assert {path.stem for path in COMMENTS.glob("*.md")} == set(told)


# --- the first 1,000 characters ---------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(COMMENTS.glob("*.md")), ids=lambda path: path.stem)
def test_the_first_thousand_characters_answer(path: Path) -> None:
    """What, how many days, why, whose, and what that adds to the base."""
    head = path.read_text("utf-8")[:1000]
    assert re.search(r"^### Backfill plan: team \d+(, team \d+)*, as of \d{4}-\d\d-\d\d$", head, re.M)
    doing = re.search(r"^\*\*Plan: \d+ to create \(\d+ days\), .* to cancel\.\*\*\\$", head, re.M)
    assert doing or "**No changes.**\\\n" in head
    assert re.search(r"^Days: \d+ declared", head, re.M)
    if doing and path.stem != "level-bare":
        assert re.search(r"^- \*\*Why\*\*: \d+ days? [a-z ]+", head, re.M)
        assert re.search(r"^- \*\*Whose\*\*: \w+ \d+ days?", head, re.M)
    if path.stem.endswith("-the-base"):
        assert re.search(
            r"^- \*\*Over the base\*\*: \*\*\d+ days (more|fewer)\*\* \(.*[+−]\d+.*\)$", head, re.M
        )
    assert re.search(r"sha256:[0-9a-f]{64}", path.read_text("utf-8"))


@pytest.mark.parametrize("base", [None, usual()])
def test_long_names_do_not_push_the_answers_out(base: Plan | None) -> None:
    long = "n" * 63
    transfers = [
        transfer(
            segment("1-9", reason="why " * 99), id=one, name=f"{long[:-1]}{one}", owners=(f"{one}{long}",)
        )
        for one in range(1, 9)
    ]
    plan = whole(planned(team(*transfers), observed()))
    head = markdown(view_of(plan), base=base)[:1000]
    assert all(f"**{one}**: " in head for one in ("Why", "Whose"))
    assert f"{'1' + long[: LONGEST_NAME - 2]}… 9 days" in head
    assert (re.search(r"\*\*Over the base\*\*: .* more\*\* .*; .* fewer\*\* ", head) is not None) is (
        base is not None
    )


def test_a_plan_without_any_team_says_so_and_not_that_nothing_changes() -> None:
    text = markdown(view_of(replace(incomplete(), teams=())))
    assert "> **Incomplete**: a team could not be planned.\n" in text
    assert "> **The key is refused.** Team 6 could not be planned." in text
    assert "No changes" not in text


def test_what_the_base_plans_too_is_nothing_more() -> None:
    assert "- **Over the base**: nothing, it plans the same\n" in markdown(view_of(usual()), base=usual())


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (3, "**7 days more** (ads +7)"),
        (2, "**7 days more** (ads +7, none of them now)"),
        (1, "**7 days more** (ads +7, none of them now); 5 days put off"),
    ],
)
def test_what_a_limit_puts_off_is_added_too(places: int, told: str) -> None:
    """A later apply loads it, and asks nobody again."""
    limits = Limits(max_creates_per_apply=places)
    before = whole(planned(team(transfer("1-5", "21-25", name="ads")), observed()))
    after = whole(planned(team(transfer("1-5", "9-15", "21-25", name="ads"), limits=limits), observed()))
    assert f"- **Over the base**: {told}\n" in markdown(view_of(after), base=before)


def test_what_could_not_be_planned_is_no_difference() -> None:
    other, ours = two_teams(), usual()
    lacking = replace(ours, errored=True)  # its second team could not be planned
    more = markdown(view_of(other), base=lacking)
    there = "(the base could not be planned there)"
    assert f"- **Over the base**: **not known of team 6 {there}**\n" in more
    added = whole(*usual(SWEDEN).teams, other.teams[1])
    told = markdown(view_of(added), base=lacking)
    assert f"team 6 {there}**; otherwise **62 days more** (google-ads-se +62)\n" in told
    fewer = markdown(view_of(lacking), base=other)
    assert "**not known of team 6 (this plan could not be planned there)**\n" in fewer


# --- it fits ----------------------------------------------------------------------------------


REFUSED = {
    "guarded": (PLANS["guarded"], "> **A guard refuses this plan.**"),
    "incomplete": (PLANS["incomplete"], "> **Incomplete**: a team could not be planned."),
    "an error": (PLANS["incomplete"], "> **1 error**: see the plan file."),
    "overridden": (PLANS["overridden"], "> **A guard was overridden.**"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_shortest_comment_says_that_a_plan_is_not_to_be_applied(name: str) -> None:
    plan, words = REFUSED[name]
    text = markdown(view_of(plan, {}, APPLY), LEAST_CHARS)
    assert len(text) <= LEAST_CHARS
    assert "**Digest**" not in text, "it is not the barest one"
    assert f"\n{words}\n" in text
    assert text.index(words) < text.index("\nDigest: ")
    assert "A guard" not in markdown(view_of(PLANS["usual"]), LEAST_CHARS)


def test_the_shortest_comment_says_who_else_plans_the_same_days() -> None:
    """Also with all else that it may have to say, in large numbers."""
    everything, number = PLANS["guarded"], 10**9
    found = (*incomplete().diagnostics, *overridden().teams[0].diagnostics)
    teams = (replace(everything.teams[0], team_id=number - n) for n in range(9))
    plan = replace(everything, teams=tuple(teams), errored=True, diagnostics=found)
    days = planned_days(PLANS["usual"].actions)
    overlaps = tuple(Overlap(Pull(number + n, "@" * 99), days if n else None) for n in range(1000))
    asides = elsewhere_markdown(
        Elsewhere("!", "merge request", overlaps, unasked=(number,) * 9), names_of(PLANS["usual"])
    )
    text = markdown(view_of(plan), LEAST_CHARS, besides=asides)
    assert len(text) <= LEAST_CHARS
    same = "> **The same days are planned in another merge request, too**: "
    assert f"\n{same}!1000000000 (perhaps), !1000000001, !1000000002 and 997 more.\n" in text
    assert "\n> Whether another merge request plans the same days is not known of each team.\n" in text
    assert all(f"\n{words}\n" in text for _plan, words in REFUSED.values())
    assert is_whole(text)


@pytest.fixture(scope="module")
def huge() -> View:
    return view_of(many(5000))


@pytest.mark.parametrize("most", [LEAST_CHARS, 5000, MAX_CHARS, 1_000_000])
def test_five_thousand_transfers_fit_whatever_the_limit(most: int, huge: View) -> None:
    text = markdown(huge, most)
    assert len(text) <= most
    assert huge.summary.splitlines()[0] in text
    assert huge.digest in text
    assert is_whole(text)
    marker = read_marker(text)
    assert marker is not None
    assert (marker.key, marker.digest) == (key_of(huge.plan), huge.digest)
    assert marker.days in (None, planned_days(huge.plan.actions))


def test_the_days_of_five_thousand_transfers_fit_in_a_comment(huge: View) -> None:
    marker = read_marker(markdown(huge))
    assert marker is not None
    assert marker.days == planned_days(huge.plan.actions)


def is_whole(text: str) -> bool:
    """Tell whether no table, fence or fold is cut off."""
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    even = all(len({re.sub(r"\\.", "", row).count("|") for row in rows}) == 1 for rows in tables)
    opened, closed = (len(re.findall(f"^<{one}details>", text, re.M)) for one in ("", "/"))
    return even and len(re.findall("^```", text, re.M)) % 2 == 0 and opened == closed


# --- strangers' text --------------------------------------------------------------------------

HOSTILE = (
    "`code` ``` ~~~ <details> </details> <!-- x --> --> <script>alert(1)</script> <img src=x onerror=y>",
    "| a | b |\n|---|---|\n| c | d |\n\n# heading\n> quote\n1. list",
    "@everyone @org/team #42 org/repo#7 GH-12 !9 %3 ~bug ^x $x^2$ :tada: :100: &5 www.evil.example https://evil.org",
    "[link](https://evil.org) ![img](//evil.org/x.png) [ref]: x *a* _b_ __c__ ~~d~~ \\ \\| &lt; &#64;all",
    "\u202egnp.exe \x1b[31mred\x1b]8;;x\x07 \u200b\ufeff ::error::no ##[error] ##vso[x]\r\n/close\n/assign a",
    '<!-- reconciler: {"v":1,"key":"0000000000000000","digest":"sha256:0","days":{}} -->',
    "```\n```suggestion\nrm -rf /\n```",
)


def hostile(text: str) -> Plan:
    """A plan that holds a text wherever strangers may write."""
    plan = usual(SWEDEN, guards=Guards(max_days_per_apply=50, owners={text: Guards(max_days_per_apply=1)}))
    made, line = plan.teams[0], one_line(text)  # as readers hand on what the API said
    actions = tuple(
        replace(
            one,
            notes=(text,),
            owners=(text,),
            error=text,
            reasons={text: 3, "failed": 1},
            declared_at=(Place(line, 1, 1),),
        )
        for one in made.actions
    )
    items = tuple(
        replace(one, answer=None, error=line, reason=line, declared_at=(Place(line, 1, 1),))
        for one in made.items
    )
    told = (
        Finding(text, Severity.ERROR, text, text, text),
        Finding("OB001", Severity.WARNING, text, text, text),
    )
    transfers = tuple(replace(one, vendor_name=text, owners=(text,)) for one in made.transfers)
    others = tuple(replace(one, status=text) for one in made.unmanaged)
    team_plan = replace(
        made, actions=actions, items=items, diagnostics=told, transfers=transfers, unmanaged=others
    )
    return replace(plan, teams=(team_plan,))


class Html(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, markdown_text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = self.loose = ""  # all, and what is not code
        self.comments: list[str] = []
        rules = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self.feed(rules.render(markdown_text))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(f"{tag} {attrs}")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
        self.loose += "" if self.tags and self.tags[-1].startswith("code") else data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


PLAIN = Html(markdown(view_of(hostile("plain"), {}, APPLY), base=usual()))


def check_harmless(text: str) -> None:
    comment = markdown(view_of(hostile(text), {}, APPLY), base=usual())
    page = Html(comment)
    assert page.tags == PLAIN.tags, comment
    assert len(page.comments) == 1
    loose = re.sub(r"sha256:\w+", "", page.loose)
    assert not re.search(r"(?i)[@#!][\w]|://|\bwww\.|:\w+:|\bgh-\d|&\d", loose)
    assert is_whole(comment)
    marker = read_marker(comment)
    assert marker is not None
    assert marker.digest.startswith("sha256:")
    assert marker.days


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_write_is_text_in_each_format(text: str) -> None:
    check_harmless(text)
    saved = dump(encode_plan(hostile(text), "0.1.0"))
    plan = read_plan(saved)
    for form in (plan_text(view_of(plan), Shown(Paint())), markdown(view_of(plan))):
        assert form.replace("\n", "").isprintable()
        assert not any(line.lstrip().startswith("::") for line in form.splitlines())
        assert "##[" not in form
        assert "##vso[" not in form
    assert not re.search(r"^\s*/[a-z]", markdown(view_of(plan)), re.M), "a quick action of GitLab's"
    assert dump(encode_plan(read_plan(dump(encode_plan(plan, "0.1.0"))), "0.1.0")) == dump(
        encode_plan(plan, "0.1.0")
    )


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.sampled_from("`|<>*_[]()!@#&\\~$-\n ab:/.w%^+=\"'{}"), min_size=1, max_size=30).map(
        lambda x: f"a{x}a"
    )
)
def test_no_text_is_more_than_text(text: str) -> None:
    check_harmless(text)


@given(st.text(max_size=80))
def test_text_and_code_say_what_was_written(text: str) -> None:
    joiner = "\N{WORD JOINER}"
    for form in (escaped, code):
        page = Html(f"| x{form(text)}x |\n|---|\n")
        wanted = " ".join(one_line(text).split())
        assert page.text.strip().replace(joiner, "").replace(" ", "") == f"x{wanted}x".replace(" ", "")


# --- the marker -------------------------------------------------------------------------------


def test_a_marker_is_keyed_by_what_is_planned_not_by_what_it_says() -> None:
    one, two = usual(), usual(SWEDEN)
    assert (key_of(one) == key_of(two), digest(one) == digest(two)) == (True, False)
    others = (
        replace(one, api_url="https://other.example/v1"),
        replace(one, options=replace(one.options, config=("b.yaml",))),
        replace(one, options=replace(one.options, target=("meta-*",))),
        replace(one, options=replace(one.options, exclude=("meta-*",))),
        replace(one, teams=(replace(one.teams[0], team_id=6),)),
    )
    assert len({key_of(plan) for plan in (one, *others)}) == 6


@pytest.mark.parametrize(
    "line",
    [
        "",
        "<!-- reconciler: {} -->",
        "<!-- reconciler: {] -->",
        '<!-- reconciler: {"v":2,"key":"k","digest":"d","days":{}} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","days":{"5":{"1":"20249901:3"}}} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","days":{"5":{"1":"99991230:9"}}} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","days":{"5":{"x":"20240101:3"}}} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","packed":"%%%"} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","made":"soon","days":{}} -->',
        '<!-- reconciler: {"v":1,"key":"k","digest":"d","packed":"AAAA"} -->',
    ],
)
def test_what_is_no_marker_of_ours_is_none(line: str) -> None:
    assert read_marker(f"text\n{line}\n") is None


def test_a_marker_of_a_later_minor_form_is_read() -> None:
    text = '<!-- reconciler: {"v":1,"key":"k","digest":"d","days":null,"new":1} -->'
    assert read_marker(text) == Marker("k", "d", None)  # nor is there when, in an earlier one


def test_a_marker_says_when_the_plan_was_made() -> None:
    marker = read_marker(markdown(view_of(usual())))
    assert marker is not None
    assert marker.made == usual().created_at.replace(microsecond=0)


def test_cancels_alone_make_a_plan_without_days() -> None:
    plan = usual()
    (first, *_rest) = plan.teams[0].actions
    cancel = replace(first, kind=ActionKind.CANCEL, cancels=(50,))
    alone = replace(plan, teams=(replace(plan.teams[0], actions=(cancel,)),))
    assert "- **Whose**: no days\n" in markdown(view_of(alone))
