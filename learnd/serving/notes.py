"""Notes of use: what was served is written down at once, wherever it is served from, and recorded later.

A note is a line in the day's file below `usage/` in the state folder, appended under a lock of that file: no daemon is
asked and no log opened for writing, so that serving never waits. Whoever holds the log's lock turns notes into events
(`recording.py`): the first of a day at once, the rest when the day is over. A note counts by its place in the file, so
that however often a crash interrupts that, each counts once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FOLDER = "usage"
LONGEST_RUN = 200
"""Characters of a run's name; a note stays one small write."""
MOST_BYTES = 8 << 20
"""Of a day's file, some 50,000 notes; beyond it nothing more is noted that day."""


@dataclass(frozen=True, slots=True)
class Note:
    """A pattern was served. `place` counts the day's notes from 1."""

    place: int
    pattern_id: str
    run: str | None


GRACE = timedelta(minutes=5)
"""After midnight, before a day counts as over: whoever looked at the clock just before it may still be writing."""


def today() -> str:
    """The UTC day, `2026-01-31`."""
    return _day(datetime.now(UTC))


def is_over(day: str) -> bool:
    """Whether no more notes of this day will come."""
    return day < _day(datetime.now(UTC) - GRACE)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def note(state_dir: Path, pattern_ids: Sequence[str], run: str | None) -> bool:
    """Write down that these patterns were served. False where that cannot be written here (another user's state, a
    read-only place, a full disk).
    """
    if not pattern_ids:
        return True
    named = run[:LONGEST_RUN] if run else None
    lines = "".join(json.dumps({"pattern": each, "run": named}) + "\n" for each in pattern_ids).encode()
    try:
        folder = state_dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        return _append(folder / f"{today()}.jsonl", lines)
    except OSError:
        return False


def _append(path: Path, lines: bytes) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        if size + len(lines) > MOST_BYTES:
            return False
        if size and os.pread(handle, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # the machine went down within a note: what comes next is a line of its own
        return os.write(handle, lines) == len(lines)
    finally:
        os.close(handle)


def days(state_dir: Path) -> list[tuple[str, Path]]:
    """The days of which there are notes, and their files, oldest first."""
    return sorted((path.stem, path) for path in (state_dir / FOLDER).glob("????-??-??.jsonl"))


def read(path: Path) -> Iterator[Note]:
    """The notes of a day. A line that is none (half of one, where the machine went down) keeps its place and says
    nothing. Raises OSError.
    """
    for place, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            told = json.loads(line)
            yield Note(place, str(told["pattern"]), str(told["run"]) if told["run"] else None)
        except (ValueError, KeyError, TypeError):
            continue
