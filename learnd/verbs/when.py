"""Moments as people type them: an age (`30d`), a day, a time. Where no zone is given it is this machine's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from learnd.verbs.terminal import USAGE, Stop

_AGE = re.compile(r"(\d+)\s*(s|m|min|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(option: str, text: str, now: datetime) -> datetime:
    """The aware moment that `text` names; a day is its first instant, an age counts back from `now`. Raises Stop."""
    age = _AGE.fullmatch(text.strip())
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Stop(
            f"{option} {text!r} is neither an age nor a time. Next: {option} 30d, {option} 12h or {option} 2026-01-31",
            USAGE,
        ) from None
