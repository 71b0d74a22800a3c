"""The bounds of time hold against each other, and what follows from them is not written down twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click import BadParameter

from reconciler import bounds
from reconciler.cli.options import settle_option

SOURCE = Path(bounds.__file__).read_text("utf-8")
BROKEN = {
    "a request may be under way after the least settle time": ("SEND_WITHIN", "seconds=61"),
    "a read of the answer may take longer": ("WRITE_TIMEOUT", "seconds=121"),
    "the least settle time is too short": ("MIN_SETTLE", "minutes=2"),
    "the least settle time is the default one": ("MIN_SETTLE", "minutes=15"),
    "what was read is older than a request may be": ("READ_WITHIN", "seconds=61"),
    "what blocks days ends before they are settled": ("REFUSAL_HOLDS", "minutes=15"),
}


def test_the_bounds_hold() -> None:
    exec(compile(SOURCE, "bounds", "exec"), {})
    assert bounds.SEND_WITHIN + bounds.WRITE_TIMEOUT <= bounds.MIN_SETTLE == timedelta(minutes=3)
    assert bounds.MIN_SETTLE < bounds.DEFAULT_SETTLE


@pytest.mark.parametrize("why", BROKEN)
def test_bounds_that_do_not_fit_cannot_be_imported(why: str) -> None:
    name, value = BROKEN[why]
    (line,) = (line for line in SOURCE.splitlines() if line.startswith(f"{name} = "))
    with pytest.raises(AssertionError):
        exec(compile(SOURCE.replace(line, f"{name} = timedelta({value})"), "bounds", "exec"), {})


def _settle(text: str) -> timedelta:
    """Return what the flag ``--settle`` makes of a text."""

    @settle_option
    def command() -> None: ...

    (flag,) = command.__click_params__  # type: ignore[attr-defined]
    assert flag.default == "15m"
    assert flag.type.convert(flag.default, flag, None) == bounds.DEFAULT_SETTLE
    value: timedelta = flag.type.convert(text, flag, None)
    return value


def test_the_flag_takes_no_less_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _settle("3m") == bounds.MIN_SETTLE
    with pytest.raises(BadParameter, match="less than 3m"):
        _settle("179s")
    monkeypatch.setattr(bounds, "MIN_SETTLE", timedelta(minutes=5))
    with pytest.raises(BadParameter, match="less than 5m"):
        _settle("299s")
