"""Letters that pass for others: what a text says to whoever reads its shapes, and where it deceives them.

A word is a lookalike when it mixes Latin letters with those of another alphabet, is written in letters that
compatibility mapping turns into plain ones (full-width, mathematical), or is spelled in another alphabet altogether
with letters that all look Latin. What stands in the change as it is deceives nobody.

- `skeleton` maps what looks alike to the same text; for plain ASCII it is the identity but for case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

_ALPHABETS: Final = (
    ("аеѕіјкмнорстухԁԛԝһӏѵвьгпзш", "aesijkmhopctyxdqwhlvbbrn3w"),
    ("αβγεζηικμνορτυφχωϲϳ", "abyeznikmvoptufxwcj"),
    ("օոսհցզւ", "onuhgqi"),
    ("ɑɡɩɪʀʟɴʙʜᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢıſƅƒʏɢꜰꜱǀ", "agiirlnbhacdejkmoptuvwzisbfygfsl"),
    ("ꭺꮯꭼꮋꭻꮶꮮꮇꮲꮪꭲꮩꮃꮓ", "acehjklmpstvwz"),
)
"""Lower-case letters of other alphabets, and the Latin ones that they are drawn like."""
_LIKE: Final = {odd: plain for odds, plains in _ALPHABETS for odd, plain in zip(odds, plains, strict=True)}
_GREEK_ALIKE: Final = frozenset("αορικνχυτεηϲϳ")
_UPPER_GREEK: Final = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
_TOGETHER: Final = frozenset({"HIRAGANA", "KATAKANA", "CJK", "HANGUL", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC"})
"""Scripts that stand beside Latin letters in one word in honest text."""
_NO_SCRIPT: Final = frozenset(
    {"FULLWIDTH", "MATHEMATICAL", "MODIFIER", "MICRO", "FEMININE", "MASCULINE", "DOUBLE-STRUCK", "SCRIPT", "ROMAN"}
)
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_SIGNS = re.compile(
    r"[A-Za-z_][\w.]*(?P<sign>[\u2215\u2044\u29f8\u2571\u2024\ua4f8\u02d0\u2236\ua789\u2010\u2011\u2212\u02d7])[\w.]*[A-Za-z_]"
)
"""Slashes, points, colons and hyphens within a word that are none."""
_KEPT: Final = frozenset("ªº²³¹½¼¾µﬁﬂﬀ™№℃℉Å…") | {chr(at) for at in (*range(0x2070, 0x20A0), *range(0x2150, 0x2160))}
"""Compatibility characters of honest text: superscripts, fractions, units, ligatures of typeset text."""


def skeleton(text: str) -> str:
    """`text` in lower case as its shapes read: compatibility forms, accents and lookalikes made plain."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(_LIKE.get(char, char) for char in plain if not unicodedata.combining(char))


def lookalike(text: str, stands: Callable[[str], bool], is_symbol: Callable[[str], bool]) -> str | None:
    """The first word of `text` that pretends to be another, as a clause; None when there is none."""
    sign = _SIGNS.search(text)
    if sign and not stands(sign[0]):
        return f"`{sign[0]}` holds a sign that looks like a plain one and is not (U+{ord(sign['sign']):04X})"
    cyrillic = _reads_as_another_language(text)
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii() or len(word) == 1 or stands(word):
            continue
        why = _pretends(word, is_symbol, fluent=cyrillic)
        if why:
            return f"`{word}` {why}"
    return None


def _pretends(word: str, is_symbol: Callable[[str], bool], *, fluent: bool) -> str | None:
    scripts = {_script(char) for char in word if char.isalpha()}
    if _is_disguised(word):
        return "is written in letters that only look like plain ones"
    foreign = scripts - {"LATIN", "COMMON"} - _TOGETHER
    if "LATIN" in scripts and foreign and any(_deceives(char) for char in word):
        return f"mixes Latin letters with {' and '.join(sorted(foreign)).title()} ones"
    plain = skeleton(word)
    if foreign and plain.isascii() and (is_symbol(plain) or _all_alike(word, fluent=fluent)):
        return f"looks like `{plain}` and is not"
    if (
        scripts <= {"LATIN", "COMMON"}
        and plain.isascii()
        and any(char.casefold() in _LIKE and char not in _KEPT for char in word)
    ):
        return f"looks like `{plain}` and is not"
    return None


def _deceives(char: str) -> bool:
    """Greek letters are signs of formulas too (Δt, µs, λx): only those drawn like a Latin one deceive."""
    if _script(char) in ("LATIN", "COMMON"):
        return False
    if _script(char) == "GREEK":
        return char in _UPPER_GREEK or char in _GREEK_ALIKE
    return char.isalpha()


def _all_alike(word: str, *, fluent: bool) -> bool:
    letters = [char for char in word if char.isalpha()]
    return len(letters) > 2 and not fluent and all(char.casefold() in _LIKE for char in letters)


def _is_disguised(word: str) -> bool:
    for char in word:
        mapped = unicodedata.normalize("NFKC", char)
        if char not in _KEPT and mapped != char and mapped.isascii() and mapped.isalnum():
            return True
    return False


def _reads_as_another_language(text: str) -> bool:
    """Whether words stand here that nobody would take for Latin ones: then its neighbours are that language too."""
    words = [word for word in _WORD.findall(text) if not word.isascii() and _script(word[0]) in ("CYRILLIC", "GREEK")]
    clear = [word for word in words if not all(char.casefold() in _LIKE for char in word)]
    return len(words) > 1 and len(clear) * 3 >= len(words)


def _script(char: str) -> str:
    """The script as the character's name begins; digits and signs are COMMON."""
    if not char.isalpha():
        return "COMMON"
    first = unicodedata.name(char, "UNNAMED").split()[0]
    return "COMMON" if first in _NO_SCRIPT else first
