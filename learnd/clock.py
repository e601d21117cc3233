"""The one clock. Pure code never calls it: times arrive in commands."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The current time, ISO 8601 UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def iso(moment: datetime) -> str:
    """`moment` (aware) in the one written form of times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The aware datetime of an ISO 8601 text; a time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from `earlier` to `later`, negative when they are the other way round."""
    return (parse(later) - parse(earlier)).total_seconds()
