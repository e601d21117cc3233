"""Regular expressions of prose, written so that they can be read: over several lines, with plain spaces.

In `(?:set aside|pay no attention|\n    do not follow)` a space stands for white space of any length, and a line's
break and its indentation for nothing. Capitals do not matter.
"""

from __future__ import annotations

import re


def spaced(text: str) -> str:
    """The regular expression that `text` writes out; a lone blank in a class of characters is `\\x20` there."""
    return "".join(line.strip() for line in text.splitlines()).replace(" ", r"\s+")


def phrase(*forms: str) -> re.Pattern[str]:
    """One pattern for all forms; where two of them fit, the first counts."""
    return re.compile(spaced("|".join(forms)), re.IGNORECASE)
