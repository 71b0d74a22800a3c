"""What is wrong with a file's data: pydantic finds, the places and the words are ours.

Only files with mistakes need this, so only they import it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import ValidationError

from reconciler.config import schema
from reconciler.config.lookalikes import odd_key, odd_value
from reconciler.config.mistyped import TWO_DATES, meant_pair
from reconciler.config.nodes import Block, Items, Node, Path, Text, TextSpan, at, key_place, place_of
from reconciler.config.rules import MOST_FINDINGS, BrokenRule, finding, not_shown, shown, some_of_each
from reconciler.config.sections import keys_of
from reconciler.config.shapes import HINTS, SHAPES, misshapen
from reconciler.config.texts import NAME_HINT
from reconciler.config.values import nearest
from reconciler.diagnostics import Finding, Place

_SECRET: Final = re.compile(
    r".*(apikey|accesskey|secret|token|passw(or)?d|credential|bearer|privatekey|authorization).*|(.*_)?(key|pwd|pass|auth)"
)
_MOST: Final = MOST_FINDINGS - 1
_HIDDEN: Final = "***"


@dataclass(slots=True)
class Mistakes:
    """Turns pydantic's errors into findings; ``secrets`` are the spans that must not be shown."""

    root: Block
    text: str
    findings: list[Finding] = field(default_factory=list)
    secrets: list[TextSpan] = field(default_factory=list)

    def add(self, fault: Any) -> None:
        path, kind, value = fault["loc"], fault["type"], fault["input"]
        if "ranges" in path and (pair := meant_pair(at(self.root, path[:-1]))):
            self._pair(path[:-1], pair)
        elif kind == "unexpected_keyword_argument":
            self.findings.append(self._unknown(path))
        elif kind == "missing":
            self.findings.append(self._missing(path))
        elif kind in SHAPES:
            self.findings.append(broken(misshapen(value, SHAPES[kind], path), self.root, path))
        else:
            problem = fault["ctx"]["error"]
            if problem.rule == "BF025":
                problem.hint = HINTS.get(str(path[-1]), problem.hint)
            elif path[0] == "transfers" and path[2:] == ("[key]",) and problem.hint == NAME_HINT:
                problem.hint = self._named_by_id(path[:2]) + problem.hint
            odd = odd_value(problem, self.root, path, self.text)
            self.findings.append(odd or broken(problem, self.root, path))
            if problem.rule == "BF034":
                self._hide(path)

    def _pair(self, path: Path, pair: str) -> None:
        """Report two dates with a colon between once, though a key is unknown and two are missing."""
        problem = BrokenRule("BF040", "is two dates, but not as a range", f"Write `{pair}`.", TWO_DATES)
        found = broken(problem, self.root, path)
        self.findings += [] if found in self.findings else [found]

    def _named_by_id(self, path: Path) -> str:
        """Return what to call a transfer whose name holds nothing that could be spelled with a to z."""
        entry = at(self.root, path)
        number = entry.get("transfer_id") if isinstance(entry, Block) else None
        like = f", like `transfer-{number}`" if isinstance(number, Text) and number.isdecimal() else ""
        return f"Choose one of your own{like}: plans show the vendor's name beside it. "

    def _hide(self, path: Path) -> None:
        self.secrets.append(_span(at(self.root, path)))

    def _missing(self, path: Path) -> Finding:
        if path == ("transfers",):
            detail = "The file has no top-level key `transfers`, so it declares nothing to load."
            return finding("BF021", detail, HINTS["transfers"], self._top())
        key = str(path[-1])
        place = key_place(self.root, path[:-1])
        within = f" in {_shown_path(path[:-1])}" if path[:-1] else " at the top of the file"
        hint, brief = HINTS.get(key, f"Add `{key}`."), f"`{key}` is missing"
        return finding("BF024", f"{brief}{within}.", hint, place, brief=brief)

    def _top(self) -> Place:
        return Place(self.root.place.file, 1, 1, 1, 1)

    def _unknown(self, path: Path) -> Finding:
        key, place = str(path[-1]), key_place(self.root, path)
        if _names_secret(key):
            self._hide(path)
            detail = (
                f"{_shown_path(path)} looks like a secret. "
                "Anyone who can read the file or its history has it."
            )
            hint = (
                "Remove it, revoke it, and name the environment variable that holds the key: `key_env: NAME`."
            )
            return finding("BF023", detail, hint, place)
        if odd := odd_key(key, place, self.text):
            return odd
        detail, brief = f"{_shown_path(path)} is not a known key here.", f"Unknown key {shown(key)}"
        return finding("BF022", detail, _hint_for(key, path), place, brief=brief)


def report_of(root: Block, text: str, faults: list[Any], known: Collection[Place | None]) -> Mistakes:
    """Return the findings for the faults that pydantic found in the data of a text.

    ``known`` are the places whose YAML is refused already: what is there is not judged again.
    """
    report = Mistakes(root, text)
    if len(faults) > _MOST:
        report.findings.append(not_shown(len(faults) - _MOST))
    for fault in some_of_each(faults, _kind, _MOST):
        if at(root, fault["loc"]).place not in known:
            report.add(fault)
    return report


def _kind(fault: Any) -> tuple[str, str]:
    return fault["type"], getattr(fault.get("ctx", {}).get("error"), "rule", "")


def broken(problem: BrokenRule, root: Node, path: Path) -> Finding:
    """Return the finding for a rule that the value at a path, or its key, breaks."""
    on_key = bool(path) and path[-1] == "[key]"
    path = path[:-1] if on_key else path
    place = key_place(root, path) if on_key else place_of(root, path)
    subject = _shown_path(path) if path else "The file"
    return finding(problem.rule, f"{subject} {problem.problem}.", problem.hint, place, brief=problem.brief)


def _shown_path(path: Path) -> str:
    """Return ``transfers.meta.ranges[2]``, in backticks."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else "." + (step or '""')
    return shown(text.removeprefix("."), longest=100)


# --- unknown keys -------------------------------------------------------------------------

_HOMES: Final[tuple[tuple[type, str], ...]] = (
    (schema.BackfillsFile, "at the top of the file"),
    (schema.DefaultsEntry, "in a transfer or under `defaults`"),
    (schema.TransferEntry, "in a transfer"),
    (schema.RangeEntry, "in a range"),
    (schema.LoadedEntry, "in an entry of `loaded`"),
    (schema.LimitsEntry, "under `limits`"),
    (schema.GuardsEntry, "under `guards`"),
)


def _section_at(path: Path) -> type:
    """Return the section that a path names."""
    match path:
        case ("transfers", _):
            return schema.TransferEntry
        case ("transfers", _, "ranges", _):
            return schema.RangeEntry
        case ("transfers", _, "exclude", _) | ("transfers", _, "ranges", _, "exclude", _):
            return schema.ExclusionEntry
        case ("transfers", _, "loaded", _):
            return schema.LoadedEntry
        case ("limits",):
            return schema.LimitsEntry
        case ("guards",):
            return schema.GuardsEntry
        case ("guards", "owners", _):
            return schema.OwnerGuardsEntry
        case ("defaults",):
            return schema.DefaultsEntry
    return schema.BackfillsFile


_ELSEWHERE: Final = {
    **dict.fromkeys(("from", "since", "begin", "first", "start_date", "date_from"), "start"),
    **dict.fromkeys(("to", "until", "till", "last", "end_date", "date_to"), "end"),
    "id": "transfer_id",
}
"""What other programs call our keys."""


def _hint_for(key: str, path: Path) -> str:
    here = sorted(keys_of(_section_at(path[:-1])))
    word = key.lower().replace("-", "_")
    word = _ELSEWHERE.get(word, word)
    for section, where in _HOMES:
        if word in keys_of(section) and word not in here:
            return f"`{word}` belongs {where}."
    holding = [name for name in here if word in name.split("_")]
    if near := holding[0] if len(holding) == 1 else nearest(word, here):
        return f"Did you mean `{near}`?"
    return "Keys allowed here: " + ", ".join(f"`{name}`" for name in here) + "."


# --- secrets ------------------------------------------------------------------------------


def _names_secret(key: str) -> bool:
    """True for a key like ``api_key`` or ``token``, which the schema does not know anyway."""
    word = key[:64].lower().replace("-", "_").replace(" ", "_")
    return bool(_SECRET.fullmatch(word) or _SECRET.fullmatch(word.replace("_", "")))


def _span(node: Text | Block | Items) -> TextSpan:
    place = node.place
    if isinstance(node, Text):
        return (place.line, place.column, place.end_line, place.end_column)
    return (place.line, place.column, *node.end)


def hidden(text: str, spans: Iterable[TextSpan]) -> str:
    """Return the text with the spans blanked out, line numbers unchanged: it is for showing."""
    lines = text.split("\n")
    for first, column, last, end in spans:
        for number in range(first, min(last, len(lines)) + 1):
            line = lines[number - 1]
            left = line[: column - 1] if number == first else ""
            right = line[end - 1 :] if number == last else ""
            lines[number - 1] = left + _HIDDEN + right
    return "\n".join(lines)


# --- what can be used all the same --------------------------------------------------------


def salvaged(root: Block, faults: list[Any]) -> tuple[schema.BackfillsFile | None, Node]:
    """Leave out the faulty parts, and what cannot do without them, until the rest is valid."""
    data: Any = root
    for _ in range(8):  # deeper than the schema: each round moves a fault up by a level at least
        data = _without(data, {_faulty_part(fault) for fault in faults}, ())
        if data is None:
            break
        try:
            return schema.read_file(data), data
        except ValidationError as error:
            faults = error.errors(include_url=False)
    return None, root


def _faulty_part(fault: Any) -> Path:
    path: Path = fault["loc"]
    return path[:-1] if fault["type"] == "missing" or path[-1:] == ("[key]",) else path


def _without(node: Any, parts: set[Path], path: Path) -> Any:
    """Return a copy without the named parts; ``None`` if it is one of them itself."""
    if path in parts:
        return None
    if isinstance(node, Block):
        block = Block(node.place)
        block.key_places = node.key_places
        kept = ((key, _without(child, parts, (*path, key))) for key, child in node.items())
        block.update((key, child) for key, child in kept if child is not None)
        return block
    if isinstance(node, Items):
        listing = Items(node.place)
        kept_items = (_without(child, parts, (*path, index)) for index, child in enumerate(node))
        listing.extend(child for child in kept_items if child is not None)
        return listing
    return node
