"""Values of the wrong shape, and the right shape to write. Only files with mistakes need this."""

from __future__ import annotations

from typing import Final

from reconciler.config.mistyped import TWO_DAYS
from reconciler.config.nodes import Items, Path, Text
from reconciler.config.ranges import parse_range
from reconciler.config.readings import readings
from reconciler.config.rules import BrokenRule, shown
from reconciler.config.values import wrong_shape
from reconciler.dates import iso

SHAPES: Final = {"dataclass_type": "a mapping", "dict_type": "a mapping", "list_type": "a list"}
_ITEMS: Final = {
    "ranges": "a range",
    "exclude": "a range",
    "loaded": "a mapping with `start`, `end` and `reason`",
}
HINTS: Final = {
    "version": "Write `version: 1` at the top.",
    "team_id": "Write `team_id:` and the number of the team, as the vendor shows it.",
    "transfer_id": "Write `transfer_id:` and the number of the transfer, as the vendor shows it.",
    "ranges": "Write `ranges:` with at least one range, or `ranges: []` for none.",
    "transfers": "Write `transfers:` with the transfers below it.",
    "start": "Write the first day, like `start: 2024-01-01`.",
    "reason": "Write how the days were loaded, like `reason: Copied from the old warehouse`.",
    "end": "Write the last day, like `end: 2024-03-31`, or `end: yesterday`.",
}


_DAYS: Final = ("start: 2024-07-01", "  end: 2024-08-15")
_RANGES: Final = ("  - 2024-Q2", "  - {start: 2024-07-01, end: 2024-08-15}")
_EXAMPLES: Final = {
    "transfers": ("transfers:", "  google-ads-daily:", "    transfer_id: 456789"),
    "ranges": ("ranges:", *_RANGES),
    "exclude": ("exclude:", *_RANGES),
    "loaded": ("loaded:", "  - {start: 2024-07-01, end: 2024-08-15, reason: Copied by hand}"),
    "previous_ids": ("previous_ids: [433001]",),
    "guards": ("guards:", "  max_days_per_apply: 2000"),
    "owners": ("guards:", "  owners:", "    ads: {max_days_per_apply: 400}"),
    "limits": ("limits:", "  max_open_per_transfer: 2"),
    "defaults": ("defaults:", "  chunk: month"),
}
_EXAMPLES_OF_ITEMS: Final = {
    "ranges": ("- " + _DAYS[0], _DAYS[1]),
    "exclude": ("- " + _DAYS[0], _DAYS[1]),
    "loaded": ("- " + _DAYS[0], _DAYS[1], "  reason: Copied from the old warehouse"),
    "owners": _EXAMPLES["owners"],
}


def misshapen(value: object, expected: str, path: Path) -> BrokenRule:
    """Word a value that should have been a collection, or a range; the right shape is shown."""
    *_, inside, key = ("", *path)
    expected = _ITEMS.get(str(inside), expected)
    problem = wrong_shape(value, expected)
    if isinstance(value, Text) and value.null:
        empty = "[]" if expected == "a list" else "{}"
        hint = f"Write {expected} below it, `{empty}`, or remove the key."
        return BrokenRule("BF025", "has no value", HINTS.get(str(key), hint))
    if expected == "a list" and isinstance(value, Text):
        found = readings(value) if key in ("ranges", "exclude") else []
        problem.hint = f"Put it in brackets: `[{found[0] if len(found) == 1 else value[:40]}]`."
    elif meant := _days_meant(value, str(inside)):
        problem.hint = meant
    else:
        problem.hint = "\n    ".join(["Write it like this:", *_example(str(inside), str(key))])
    return problem


def _days_meant(value: object, inside: str) -> str | None:
    """Return the hint for two days in a list, which may be a range or not, or for loaded days as one text."""
    try:
        if isinstance(value, Items) and len(value) == 2 and inside in ("ranges", "exclude"):
            both = "..".join(map(str, value))
            return TWO_DAYS.format(both) if parse_range(both) else None
        days = parse_range(value) if isinstance(value, Text) and inside == "loaded" else None
    except BrokenRule:
        return None
    if days is None or days[0].relative or days[1].relative:
        return None
    start, end = (iso(term.resolve(0)) for term in days)
    return f"Write `{{start: {start}, end: {end}, reason: …}}`, and how they were loaded."


def _example(inside: str, key: str) -> tuple[str, ...]:
    """Return up to three lines that show the shape of what stands at a key, or in a list."""
    if inside == "transfers":
        return (shown(key, longest=63).strip("`") + ":", "  transfer_id: 456789", "  ranges: [2024-Q2]")
    return _EXAMPLES_OF_ITEMS.get(inside) or _EXAMPLES[key]
