"""A name of ours for a text in any script: ``Größe (EU)`` becomes ``grosse-eu``. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST: Final = 63

# Letters that do not decompose into one of a to z, each before what stands for it: Latin, Greek, and Cyrillic
# as in BGN/PCGN, near enough; the Japanese mark of a long vowel.
_LETTERS: Final = """
    ßss æae œoe øo łl đd ðd þth ıi ħh ŋng
    αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs ςs τt υy φf χch ψps ωo
    аa бb вv гg дd еe жzh зz иi йy кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch
    ъ ыy ь эe юyu яya іi їyi єye ґg
    ー
"""
_STAND_FOR: Final = str.maketrans({pair[0]: pair[1:] for pair in _LETTERS.split()})
_SYLLABLE: Final = re.compile(r"(?:HANGUL SYLLABLE|(?:HIRAGANA|KATAKANA) LETTER(?: SMALL)?) ([A-Z]+)")


def suggested(text: str) -> str:
    """Return a name of at most 63 characters, a to z, digits and ``._-``; "" if nothing is left."""
    letters = "".join(map(_sounded, unicodedata.normalize("NFKC", text.lower()))).translate(_STAND_FOR)
    plain = "".join(
        char for char in unicodedata.normalize("NFKD", letters) if not unicodedata.combining(char)
    )
    return re.sub(r"[^a-z0-9._-]+", "-", plain.translate(_STAND_FOR))[:LONGEST].strip("-._")


def _sounded(char: str) -> str:
    """Return how a syllable of Korean or Japanese is spelled: Unicode's own name of it says so."""
    found = _SYLLABLE.fullmatch(unicodedata.name(char, ""))
    return found[1].lower() if found else char
