"""The rules the files are held to: stable ids, their titles, and how a finding is made of one.

Ids are never reused. Errors refuse the files; the few in ``WARNINGS`` do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

from reconciler.diagnostics import Finding, Place, Severity

RULES: Final[dict[str, str]] = {
    # files
    "BF001": "No configuration was found",
    "BF002": "The path cannot be read",
    "BF003": "No YAML file in the folder",
    "BF004": "The file is too large",
    "BF005": "The file is not UTF-8",
    "BF006": "The file contains a forbidden character",
    "BF007": "Unresolved merge conflict",
    "BF008": "The file is empty",
    "BF009": "A file is not read for its ending",
    # YAML
    "BF010": "Invalid YAML",
    "BF011": "Tab used for indentation",
    "BF012": "The file is nested too deeply",
    "BF013": "Duplicate key",
    "BF014": "YAML tags are not allowed",
    "BF015": "The file contains several YAML documents",
    "BF016": "Merge keys are not allowed",
    "BF017": "The anchor or alias cannot be used",
    "BF018": "The file expands to too many values",
    "BF019": "A key is not a string",
    "BF020": "Too many findings",
    # shape and values
    "BF021": "The file has no transfers",
    "BF022": "Unknown key",
    "BF023": "Secrets do not belong in the file",
    "BF024": "A required key is missing",
    "BF025": "A value is missing",
    "BF026": "The value has the wrong type",
    "BF027": "Not a valid number",
    "BF028": "The number is out of bounds",
    "BF029": "Not true or false",
    "BF030": "Not one of the allowed values",
    "BF031": "The version of the file is not supported",
    "BF032": "The name is not allowed",
    "BF033": "The text is not allowed",
    "BF034": "Not the name of an environment variable",
    "BF035": "A state URL does not belong in the file",
    "BF036": "Unknown timezone",
    "BF037": "Days are loaded in the future",
    "BF038": "Not a valid duration",
    "BF039": "A character is not what it looks like",
    # dates
    "BF040": "Not a valid date or range",
    "BF041": "No such date",
    "BF042": "The date is out of bounds",
    "BF043": "The range ends before it starts",
    "BF044": "Not a valid date or time",
    "BF045": "stale_before is in the future",
    "BF046": "Ranges overlap",
    "BF047": "Too many days are declared",
    "BF048": "The range no longer covers any day",
    # teams
    "BF050": "A transfer is declared twice",
    "BF051": "A name is used twice",
    "BF052": "A team-wide key is set in two files",
    "BF053": "A previous id is a declared transfer",
    "BF054": "A previous id is listed twice",
    "BF055": "Two transfers share a previous id",
    "BF056": "A guard names an owner without transfers",
    "BF057": "No transfers are declared",
    "BF058": "A file of the team was not read",
    "BF059": "Files of one team lie in different folders",
    "BF060": "There are both a default file and a default folder",
}

WARNINGS: Final = frozenset({"BF009", "BF020", "BF046", "BF048", "BF055", "BF056", "BF057"})

REFUSALS: Final = frozenset({"BF058"})
"""Errors that say nothing against the files that were read."""

MOST_FINDINGS: Final = 1000
"""More than this many are not reported: nobody reads them, and a log has its limits."""


V = TypeVar("V")
_FEW: Final = 10


def some_of_each(items: Sequence[V], kind: Callable[[V], Hashable], most: int = MOST_FINDINGS) -> list[V]:
    """Return ``most`` items: the first few of each kind before any more of one."""
    alike: Counter[Hashable] = Counter()

    def is_one_of_many(item: V) -> bool:
        alike[kind(item)] += 1
        return alike[kind(item)] > _FEW

    return sorted(items, key=is_one_of_many)[:most]


def not_shown(number: int) -> Finding:
    """Return the finding that there are more."""
    return finding("BF020", f"{number:,} more findings are not shown.", "Fix these first, then run again.")


class BrokenRule(ValueError):
    """A value breaks a rule. ``problem`` continues a sentence whose subject is the value's path.

    ``brief`` says it in a few words, for where the line itself is shown; by default the problem without the
    value.
    """

    def __init__(self, rule: str, problem: str, hint: str, brief: str = "") -> None:
        super().__init__(f"{rule} {problem}")
        self.rule = rule
        self.problem = problem
        self.hint = hint
        self.brief = brief or _without_value(problem)


# is `2024-7`, which is not a range; is the string `1`, in quotes, but a number is expected; is `7`: why
_VALUE: Final = re.compile(
    r"is (?:the string )?(?:`[^`]*`|a list|a mapping)(?:, in quotes)?(?:, which is |, which |, but |: )"
)


def _without_value(problem: str) -> str:
    said = _VALUE.sub("", problem, count=1).removeprefix("is ")
    return said[:1].upper() + said[1:]


def finding(
    rule: str,
    detail: str,
    hint: str,
    place: Place | None = None,
    also: tuple[Place, ...] = (),
    brief: str = "",
) -> Finding:
    severity = Severity.WARNING if rule in WARNINGS else Severity.ERROR
    return Finding(rule, severity, RULES[rule], detail, hint, place, also, brief)


def shown(text: str, longest: int = 40) -> str:
    """Return a text of the user's for use inside a sentence: in backticks, short, printable."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "`" + "".join(char if char.isprintable() else "\ufffd" for char in cut) + "`"
