"""`tail`: the log as it grows. Every event once, in order, whatever the daemon does meanwhile.

Only recorded events are followed, so a daemon that stops and starts is no gap. Where the log itself is
swapped (restored from a backup), that is said, and following goes on behind the newest event that both logs
hold, or from the new one's beginning.
"""

from __future__ import annotations

import difflib
import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from events.database import LogMissing, LogUnusable, open_reader
from learnd.verbs.reading import place_of, reading
from learnd.verbs.terminal import USAGE, Stop, note, say, stamp
from learnd.verbs.when import moment

if TYPE_CHECKING:
    from events.recorded import Recorded
    from learnd.locate import Place

LINES = 20
REMEMBERED = 10_000
POLL_S = 0.2
BEING_MADE_S = 5.0

Wanted = Callable[["Recorded"], bool]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: behind `position`, and not before the time `at`."""

    position: int = 0
    at: str | None = None


def tail(log: Path | None, *, follow: bool, job: str | None, types: list[str], since: str | None, as_json: bool) -> int:
    """Print events: the last 20 that match, or all that match after `since`; then, with `follow`, every new one."""
    place = place_of(log)
    wanted_types = types_named(types)
    start = _start(since) if since is not None else None
    if follow:
        if not place.has_log():
            note(f"waiting for a log at {place.log}")
        _wait_for(place)
    wanted = _wanted(log, job, wanted_types)
    tell = _json_line if as_json else _line
    position = 0
    for record in _past(place, wanted, start):
        position = record.position
        if wanted(record) and _late_enough(record, start):
            tell(record)
    if follow:
        _follow(place, position, lambda record: tell(record) if wanted(record) else None)
    return 0


# --- what is printed ---


def _json_line(record: Recorded) -> None:
    print(json.dumps(record.envelope()), flush=True)


def _line(record: Recorded) -> None:
    from learnd.views.timeline import facts, subject  # brings pydantic

    text = f"{stamp(record.at)}  {subject(record):<19}  {record.type:<21}  {facts(record.data)}".rstrip()
    say(text)
    _flush()


def _flush() -> None:
    import sys

    sys.stdout.flush()


# --- which events ---


def types_named(given: list[str]) -> frozenset[str]:
    """Names of event types, however they were typed. Raises Stop."""
    from events.catalog import CATALOG  # brings pydantic

    by_lower = {name.lower(): name for name in CATALOG}
    for word in given:
        if word.lower() not in by_lower:
            near = difflib.get_close_matches(word.lower(), by_lower, 1)
            hint = f"did you mean {by_lower[near[0]]}?" if near else "learnd tail shows their names"
            raise Stop(f"{word!r} is no type of an event. Next: {hint}", USAGE)
    return frozenset(by_lower[word.lower()] for word in given)


def _wanted(log: Path | None, job: str | None, types: frozenset[str]) -> Wanted:
    """Whether an event is to be shown. Events about a job's pattern belong to the job."""
    streams: frozenset[str] = frozenset()
    if job is not None:
        with reading(log) as book:
            row = book.views.job(job)
        from learnd.ids import pattern_id

        pattern = row.pattern or pattern_id(row.id)
        streams = frozenset((f"job-{row.id}", f"pattern-{pattern}", f"usage-{pattern}"))
    return lambda record: (not streams or record.stream in streams) and (not types or record.type in types)


def _start(since: str) -> Start:
    """`--since`: a position of the log, an age (`10m`, `2h`, `1w`), or a time. Raises Stop."""
    if since.isdigit():
        return Start(position=int(since))
    from learnd.clock import iso

    return Start(at=iso(moment("--since", since, datetime.now(UTC))))


def _late_enough(record: Recorded, start: Start | None) -> bool:
    return start is None or start.at is None or record.at >= start.at


def _past(place: Place, wanted: Wanted, start: Start | None) -> Iterator[Recorded]:
    """What is in the log already: all of it after `start`, or else the last lines that match."""
    with reading(place.log) as book:
        if start is not None:
            yield from book.log.read_all(after=start.position)
            return
        last: deque[Recorded] = deque(maxlen=LINES)
        newest = None
        for record in book.log.read_all():
            newest = record
            if wanted(record):
                last.append(record)
        yield from last
        if newest is not None and (not last or last[-1] is not newest):
            yield newest  # not wanted: it only says up to where the log was read


# --- following ---


def _wait_for(place: Place) -> None:
    """Until there is a log that can be read. Raises Stop for one that stays unreadable."""
    pause = threading.Event()
    while not place.has_log():
        pause.wait(POLL_S)
    for _ in range(round(BEING_MADE_S / POLL_S)):
        try:
            open_reader(place.log).close()
        except LogUnusable:
            pause.wait(POLL_S)  # its tables are only being made
        else:
            return


def _follow(place: Place, position: int, tell: Callable[[Recorded], None]) -> None:
    """Tell every event behind `position` until the process is interrupted."""
    from events.log import LogReplaced  # brings pydantic

    seen: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
    with reading(place.log) as book:
        query = "SELECT position, hash FROM events WHERE position <= ? ORDER BY position DESC LIMIT ?"
        told = book.rows(query, (position, REMEMBERED))
        seen.extend((int(str(number)), str(hash_)) for number, hash_ in reversed(told))
    pause = threading.Event()
    failures = 0
    while True:
        try:
            for record in _from(place, position):
                tell(record)
                seen.append((record.position, record.hash))
                position = record.position
                failures = 0
        except LogReplaced as error:
            note(str(error).partition(". Next")[0])
            _wait_for(place)
            position = _common(place, seen)
            note(f"going on behind position {position} of the log that is there now")
        except (LogUnusable, sqlite3.Error) as error:
            # A log that is being swapped or made fails in many ways, and only for a moment.
            failures += 1
            if failures > BEING_MADE_S / POLL_S:
                raise Stop(f"{place.log} cannot be read any more: {error}. Next: learnd verify") from error
            pause.wait(POLL_S)


def _from(place: Place, position: int) -> Iterator[Recorded]:
    """Every event behind `position`, for ever. Raises LogReplaced."""
    from events.log import EventLog, LogReplaced  # brings pydantic

    try:
        opened = EventLog.open_readonly(place.log)
    except LogMissing as error:
        raise LogReplaced(place.log, position, "it was removed") from error
    with opened:
        yield from opened.follow(position, stop=threading.Event(), poll_s=POLL_S)


def _common(place: Place, seen: deque[tuple[int, str]]) -> int:
    """The newest position at which the log holds what was seen there; 0 where it is another history."""
    with reading(place.log) as book:
        for position, hash_ in reversed(seen):
            if book.rows("SELECT hash FROM events WHERE position = ?", (position,)) == [(hash_,)]:
                return position
    return 0
