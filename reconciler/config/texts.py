"""How the kinds of text are read that name something: folders, owners, transfers, timezones; and reasons."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.config.reading import FORBIDDEN
from reconciler.config.rules import BrokenRule, shown
from reconciler.config.values import Reads, text_of

_OWNER_SIGNS: Final = " ._@/+-"
_OWNER_PATTERN: Final = rf"[\p{{L}}\p{{N}}@][\p{{L}}\p{{M}}\p{{N}}{_OWNER_SIGNS}]{{0,62}}"
_OWNER_HINT: Final = (
    "Use up to 63 letters of any script, digits, spaces and `._@/+-`; start with a letter, a digit or `@`."
)
_ENV_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_LONGEST_REASON: Final = 2000
_LONGEST_FOLDER: Final = 500
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|[\w.-]+@[\w.-]+:")
_ZONE: Final = re.compile(r"[A-Za-z0-9+_/-]{1,64}")
# Not the same everywhere, or not the time people use ("right/" counts leap seconds).
_REFUSED_ZONE: Final = re.compile(r"localtime|Factory|posixrules|(posix|right)/.*")


def matching(pattern: str, rule: str, what: str, hint: str, *, echo: bool = True) -> Reads:
    """A text of a fixed form. ``echo=False`` for what may hold a secret by mistake."""
    form = re.compile(pattern)

    def read(value: object) -> str:
        text = text_of(value, what)
        if not form.fullmatch(text):
            got = f"is {shown(text)}, which is not {what}" if echo else f"is not {what}"
            raise BrokenRule(rule, got, hint)
        return str(text)

    return Reads(read, {"type": "string", "pattern": f"^{pattern}$"})


def key(pattern: str, hint: str) -> Reads:
    """A key that the user chooses. Keys arrive as ordinary text."""
    form = re.compile(pattern)

    def read(value: object) -> str:
        if isinstance(value, str) and form.fullmatch(value):
            return value
        from reconciler.config.names import suggested  # only files with mistakes need it

        near = suggested(str(value))
        meant = f"Did you mean `{near}`? {hint}" if near else hint
        raise BrokenRule("BF032", "has a name that is not allowed", meant, "The name is not allowed")

    return Reads(read, {"type": "string", "pattern": f"^{pattern}$"})


def _owner(text: str) -> str:
    """Return the name in its composed form: two spellings of an ``é`` are one owner."""
    name = unicodedata.normalize("NFC", text)
    is_fit = all(unicodedata.category(char)[0] in "LMN" or char in _OWNER_SIGNS for char in name)
    if is_fit and 0 < len(name) <= 63 and (name[0] == "@" or unicodedata.category(name[0])[0] in "LN"):
        return name
    raise BrokenRule("BF032", f"is {shown(text)}, which is not the name of an owner", _OWNER_HINT)


def _reason(value: object) -> str:
    """Read free text as one line: it is shown in tables and comments."""
    text = " ".join(text_of(value, "a string").split())
    if not text or len(text) > _LONGEST_REASON:
        says = f"has {len(text)} characters"
        raise BrokenRule("BF033", says, f"Write 1 to {_LONGEST_REASON} characters.")
    if FORBIDDEN.search(text):
        raise BrokenRule("BF033", "contains an invisible or control character", "Remove the escape.")
    return text


def _folder(value: object) -> str:
    text = text_of(value, "a folder")
    if _URL.match(text):
        says = "is a URL: anyone who edits the file could redirect the store's credentials"
        raise BrokenRule(
            "BF035", says, "Give the URL with `--state` or RECONCILER_STATE; a file may only name a folder."
        )
    if text.startswith("~") or FORBIDDEN.search(text) or text.strip() != text or len(text) > _LONGEST_FOLDER:
        says = f"is {shown(text)}, which is not a folder relative to this file"
        raise BrokenRule("BF033", says, "Write a folder like `../state`; `~` is not expanded.")
    return str(text)


def _timezone(value: object) -> str:
    """Return the name if the tz database knows it. Raises ``BrokenRule``, with the nearest names."""
    name = text_of(value, "a timezone")
    if _ZONE.fullmatch(name) and not _REFUSED_ZONE.fullmatch(name):
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: "Europe" is a folder
            pass
        else:
            return str(name)
    raise BrokenRule("BF036", f"is {shown(name)}, which is not a known timezone", _near_zones(name))


def _near_zones(name: str) -> str:
    from difflib import get_close_matches  # only files with mistakes need it
    from zoneinfo import available_timezones

    # People know the city: compare with the last part as well as with the whole.
    by_word: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        if not _REFUSED_ZONE.fullmatch(zone):
            by_word.setdefault(zone.lower(), zone)
            by_word.setdefault(zone.rpartition("/")[2].lower(), zone)
    if any(zone.startswith(name + "/") for zone in by_word.values()):
        return "It is a region: add a city, as in `Europe/Helsinki`."
    near = get_close_matches(name[:64].lower().replace(" ", "_"), sorted(by_word), n=3, cutoff=0.6)
    names = list(dict.fromkeys(by_word[word] for word in near))
    if names:
        return "Did you mean " + " or ".join(f"`{zone}`" for zone in names) + "?"
    return "Write a name of the tz database, like `UTC` or `Europe/Helsinki`."


REASON: Final = Reads(_reason, {"type": "string", "minLength": 1, "maxLength": _LONGEST_REASON})
FOLDER: Final = Reads(
    _folder, {"type": "string", "minLength": 1, "not": {"pattern": "^(~|[A-Za-z][A-Za-z0-9+.-]+:)"}}
)
TIMEZONE: Final = Reads(_timezone, {"type": "string", "pattern": "^[A-Za-z0-9+_/-]+$"})
OWNER: Final = Reads(
    lambda value: _owner(text_of(value, "the name of an owner")),
    {"type": "string", "pattern": f"^{_OWNER_PATTERN}$"},
)
OWNER_KEY: Final = Reads(lambda value: _owner(str(value)), OWNER.shape)
NAME_HINT: Final = "Use up to 63 of a-z, 0-9, `.`, `_` and `-`; start with a letter or digit."
NAME_KEY: Final = key(r"[a-z0-9][a-z0-9._-]{0,62}", NAME_HINT)
KEY_ENV: Final = matching(
    _ENV_PATTERN,
    "BF034",
    "the name of an environment variable",
    "Write a name like SUPERMETRICS_API_KEY. If this is a key, revoke it: Git remembers it.",
    echo=False,
)
