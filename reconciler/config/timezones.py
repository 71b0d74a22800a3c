"""Names of timezones, checked against the tz database."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.config.rules import Unfit, shown

_FORM: Final = re.compile(r"[A-Za-z0-9+_/-]{1,64}")
# Not the same everywhere, or not the time people use ("right/" counts leap seconds).
_REFUSED: Final = re.compile(r"localtime|Factory|posixrules|(posix|right)/.*")


def check_timezone(name: str) -> str:
    """Return the name if it is known. Raises ``Unfit``, with the nearest names."""
    if _FORM.fullmatch(name) and not _REFUSED.fullmatch(name):
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: "Europe" is a folder
            pass
        else:
            return str(name)
    raise Unfit("BF036", f"is {shown(name)}, which is not a known timezone", _hint(name))


def _hint(name: str) -> str:
    from difflib import get_close_matches  # only files with mistakes need it
    from zoneinfo import available_timezones

    # People know the city: compare with the last part as well as with the whole.
    by_word: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        if not _REFUSED.fullmatch(zone):
            by_word.setdefault(zone.lower(), zone)
            by_word.setdefault(zone.rpartition("/")[2].lower(), zone)
    if any(zone.startswith(name + "/") for zone in by_word.values()):
        return "It is a region: add a city, as in `Europe/Helsinki`."
    near = get_close_matches(name[:64].lower().replace(" ", "_"), sorted(by_word), n=3, cutoff=0.6)
    names = list(dict.fromkeys(by_word[word] for word in near))
    if names:
        return "Did you mean " + " or ".join(f"`{zone}`" for zone in names) + "?"
    return "Write a name of the tz database, like `UTC` or `Europe/Helsinki`."
