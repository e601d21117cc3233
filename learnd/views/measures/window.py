"""Questions to the table `measures` within a window of time: counts, lengths of time, and what was open at its end.

A window is `since <= moment < until`: neighbouring windows share no event and leave none out. Every question is one
search of the primary key (kind, at); the events themselves are never read, so that a log of any size answers soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from statistics import median
from typing import NamedTuple

from learnd.clock import iso, parse

Rows = Callable[[str, tuple[object, ...]], list[tuple[object, ...]]]
"""Runs a query on the read models."""

FIRST, LAST = -(2**62), 2**62
P95 = 0.95
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=4096)  # the events of an append share their time, and statuses begin and end at events
def milliseconds(at: str | None) -> int | None:
    """A time of the log in milliseconds since 1970; None where there is none, or what a run wrote is no time."""
    try:
        return None if not at else (parse(at) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None


def iso_of(moment: int) -> str:
    """Milliseconds since 1970 in the log's form of times."""
    return iso(_EPOCH + moment * _MILLISECOND)


@dataclass(frozen=True, slots=True)
class Window:
    """`since <= moment < until`, in milliseconds since 1970; None is without an end. `now` is when it is asked."""

    now: int
    since: int | None = None
    until: int | None = None

    @property
    def ends(self) -> int:
        """When ages are taken: at the window's end, or now while that is still to come."""
        return self.now if self.until is None else min(self.until, self.now)

    def has(self, moment: int) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def open_at_end(self, began: int, ended: int | None) -> bool:
        """Whether what began and ended then had begun and not ended when the window did."""
        if self.until is None:
            return ended is None
        return began < self.until and (ended is None or ended >= self.until)

    @property
    def past(self) -> bool:
        """Whether the window ended before now."""
        return self.until is not None and self.until < self.now


@dataclass(frozen=True, slots=True)
class Times:
    """Lengths of time in seconds. `p95_seconds` is the smallest of them that at least 95 % do not exceed.

    All are None when there is none.
    """

    median_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None


def times(lengths: Iterable[int]) -> Times:
    """Of lengths in milliseconds."""
    ordered = sorted(lengths)
    if not ordered:
        return Times(None, None, None)
    rank = ceil(P95 * len(ordered)) - 1
    return Times(median(ordered) / 1000, ordered[rank] / 1000, ordered[-1] / 1000)


def median_seconds(lengths: Iterable[int]) -> float | None:
    """The median of lengths in milliseconds, None of none."""
    return times(lengths).median_seconds


class Ended(NamedTuple):
    """Something that ended in the window. `length` (ms) is None where nobody can know it.

    Nobody can when it did not begin, and when its end lies before its beginning: a clock was set back between.
    """

    label: str
    about: str
    length: int | None


class Counted(NamedTuple):
    label: str
    about: str
    times: int


class Open(NamedTuple):
    """Something that had begun and not ended when the window did. `began` is in milliseconds since 1970."""

    label: str
    about: str
    began: int


def opened(rows: Iterable[tuple[object, ...]]) -> list[Open]:
    """Of rows (label, what it is about, ISO 8601 time)."""
    return [Open(str(label), str(about), milliseconds(str(since)) or 0) for label, about, since in rows]


class Measures:
    """Asks for one window. `repos` are the ids of the repositories that count, None for all and the machine."""

    def __init__(self, rows: Rows, window: Window, repos: tuple[str, ...] | None = None) -> None:
        self.rows = rows
        self.window = window
        self.repos = repos
        since = FIRST if window.since is None else window.since
        until = LAST if window.until is None else window.until
        self._where = f"kind = ? AND at >= ? AND at < ?{self.of_repos()}"
        self._values = (since, until, *(repos or ()))

    def of_repos(self) -> str:
        """The end of a condition that holds for the repositories that count; `repos` are its values."""
        return "" if self.repos is None else f" AND repo_id IN ({', '.join('?' * len(self.repos))})"

    def counted(self, kind: str) -> list[Counted]:
        """How often, by label and what it is about; the most frequent first."""
        found = self.rows(
            f"SELECT label, about, count(*) FROM measures WHERE {self._where} "  # noqa: S608 - marks and own words
            "GROUP BY label, about ORDER BY count(*) DESC, label, about",
            (kind, *self._values),
        )
        return [Counted(str(label), str(about), _int(count)) for label, about, count in found]

    def count(self, kind: str) -> int:
        return sum(counted.times for counted in self.counted(kind))

    def by_label(self, kind: str) -> dict[str, int]:
        """How often, by label alone."""
        found: dict[str, int] = {}
        for label, _, count in self.counted(kind):
            found[label] = found.get(label, 0) + count
        return found

    def ended(self, kind: str) -> list[Ended]:
        """Everything of this kind that ended in the window."""
        found = self.rows(
            "SELECT label, about, CASE WHEN at >= began THEN at - began END "  # noqa: S608 - as above
            f"FROM measures WHERE {self._where}",
            (kind, *self._values),
        )
        return [
            Ended(str(label), str(about), length if isinstance(length, int) else None)
            for label, about, length in found
        ]  # fmt: skip

    def summed(self, kind: str, columns: str) -> list[tuple[object, ...]]:
        """Rows of `columns` (this code's own words), grouped and ordered by the first two."""
        return self.rows(
            f"SELECT {columns} FROM measures WHERE {self._where} GROUP BY 1, 2 ORDER BY 1, 2",  # noqa: S608 - as above
            (kind, *self._values),
        )

    def open_at_end(self, kind: str, still: Iterable[Open]) -> list[Open]:
        """What had begun and not ended when the window did, longest first.

        `still` is open now; besides, there is what ended after the window, by rows of `kind`.
        """
        until = self.window.until
        found = [one for one in still if until is None or one.began < until]
        if until is not None:
            later = self.rows(
                "SELECT label, about, began FROM measures "  # noqa: S608 - as above
                f"WHERE kind = ? AND at >= ? AND began < ?{self.of_repos()}",
                (kind, until, until, *(self.repos or ())),
            )
            found += [Open(str(label), str(about), _int(began)) for label, about, began in later]
        return sorted(found, key=lambda one: one.began)

    def age(self, one: Open) -> float | None:
        """Seconds that it had been open when the window ended; None where a clock was set back since."""
        length = self.window.ends - one.began
        return length / 1000 if length >= 0 else None


def _int(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101 - the tables are STRICT
    return value
