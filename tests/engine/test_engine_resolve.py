"""What a person says of an unresolved create: which backfills may be named, and what becomes of its days."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_rig import MINUTE, ONE, OURS, TEAM, Rig, lost, open_store

from reconciler.engine.by_hand import as_created
from reconciler.engine.session import StateSession
from reconciler.errors import Refused
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Origin
from reconciler.planning.intents import unresolved

MAY = "2024-05-01..2024-05-10"


def in_doubt(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, ONE, settings={"seconds_per_run": 1})
    rig.know_us()
    assert rig.apply(lost(after=False)).exit == 4
    return rig


def say(rig: Rig, number: int, on_unknown: OnUnknown = OnUnknown.SETTLE) -> None:
    (intent,) = unresolved(rig.document())
    said = as_created(intent, number, rig.document(), rig.people, rig.flags.settle, on_unknown)
    StateSession.open(open_store(rig.folder), rig.document()).record(said)


def made(rig: Rig, first: str, last: str, transfer: int = 1, user: int = OURS) -> int:
    return int(rig.sandbox.create_backfill(TEAM, transfer, first, last, user)["transfer_backfill_id"])


@pytest.mark.parametrize(
    "first, last, created",
    [
        ("2024-05-01", "2024-05-10", []),
        ("2024-05-01", "2024-05-04", ["2024-05-05..2024-05-10"]),  # cut at its end
        ("2024-05-07", "2024-05-10", ["2024-05-01..2024-05-06"]),  # at its start
        ("2024-05-03", "2024-05-12", ["2024-05-01..2024-05-02"]),  # or made wider
    ],
)
def test_any_backfill_of_the_transfer_about_then_and_the_rest_is_due(
    first: str, last: str, created: list[str], tmp_path: Path
) -> None:
    rig = in_doubt(tmp_path)
    number = made(rig, first, last, user=OURS + 5)  # whoever made it: a person knows better
    say(rig, number)
    record = rig.document().backfills[number]
    assert (record.origin, record.ours, rig.pending()) == (Origin.ADOPTED, True, [])
    assert rig.apply().exit == 0
    assert rig.made(1) == [f"{first}..{last}"]
    assert rig.blocked() == [f"a {rest} recent-request" for rest in created]  # the create may yet arrive
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    assert rig.made(1) == [f"{first}..{last}", *created]


def test_one_that_the_state_has_seen_as_somebody_s(tmp_path: Path) -> None:
    """A reading recorded it before the person could say whose it is."""
    rig = in_doubt(tmp_path)
    number = made(rig, "2024-05-01", "2024-05-04")
    assert rig.apply().exit == 4
    assert rig.document().backfills[number].origin is Origin.OBSERVED
    say(rig, number)
    assert rig.document().backfills[number].ours
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, MAY)


@pytest.mark.parametrize("minutes, fits", [(14, True), (16, False)])
@pytest.mark.parametrize("on_unknown", list(OnUnknown))
def test_it_was_made_within_settle_time(
    minutes: int, fits: bool, on_unknown: OnUnknown, tmp_path: Path
) -> None:
    """Or later, where nothing but a person settles it."""
    rig = in_doubt(tmp_path)
    rig.later(minutes * MINUTE - 30)  # half a minute of looking has passed
    number = made(rig, "2024-05-01", "2024-05-04")
    if fits or on_unknown is OnUnknown.BLOCK:
        say(rig, number, on_unknown)
        assert rig.pending() == []
        return
    with pytest.raises(Refused, match="does not match"):
        say(rig, number, on_unknown)
    assert len(rig.pending()) == 1


@pytest.mark.parametrize(
    "what", ["another transfer's", "other days", "long before", "ours already", "nowhere"]
)
def test_what_cannot_be_it(what: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, ONE.replace("    ranges", "    chunk: week\n    ranges"))
    rig.flag(parallelism=1)
    early = made(rig, "2024-01-01", "2024-01-02")
    rig.later(16 * MINUTE)
    assert (
        rig.apply(lambda inner, one, timeout: inner.send(one, read_timeout=timeout), lost(after=False)).exit
        == 4
    )
    ours = max(one.id for one in rig.document().backfills.values() if one.ours)
    number = {
        "another transfer's": made(rig, "2024-05-01", "2024-05-05", transfer=2),
        "other days": made(rig, "2023-02-01", "2023-02-03"),
        "long before": early,
        "ours already": ours,
        "nowhere": 999,
    }[what]
    with pytest.raises(Refused):
        say(rig, number, OnUnknown.BLOCK)
    assert len(rig.pending()) == 1
