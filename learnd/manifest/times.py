"""Times as producers wrote them, brought to the one form of `learnd.clock`.

Seen in real runs: `2025-10-18T16:21:54.691Z`, without milliseconds, with dashes for colons
(`2025-10-18T16-21-54-691Z`), compact (`20251125T220723Z`), dates alone. A time without a zone is UTC,
a date alone is its first instant.
"""

from __future__ import annotations

import re

from learnd import clock

_DASHED = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2})-([0-9]{2})-([0-9]{2})(?:-([0-9]{1,6}))?(Z?)")


def normalise(text: str) -> str:
    """`text` as ISO 8601 UTC with milliseconds and `Z`. Raises ValueError when it is not a time."""
    dashed = _DASHED.fullmatch(text.strip())
    if dashed:
        date, hour, minute, second, fraction, _ = dashed.groups()
        text = f"{date}T{hour}:{minute}:{second}" + (f".{fraction:0<3}" if fraction else "")
    try:
        return clock.iso(clock.parse(text.strip()))
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None
