"""Notes of use become events: done by whoever holds the log's lock, whenever there is a moment.

Of a pattern's notes of one day the first are recorded at once, so that use is seen the day it happens; what comes later
that day is one event more when the day is over. Then the day's file goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from events.log import AppendFailed, AppendOutcomeUnknown
from learnd.door import Door
from learnd.serving import notes
from learnd.serving.notes import Note
from learnd.views.queries import Views
from state import commands as c
from state.refusal import Refused

ACTOR = "learnd:usage"
MOST_RUNS = 50

log = structlog.get_logger("learnd.usage")


class Recorder:
    """Records what `note` wrote below `state_dir`. Looks at sizes first: where nothing is new, nothing is read."""

    def __init__(self, door: Door, state_dir: Path) -> None:
        self._door = door
        self._state_dir = state_dir
        self._seen: dict[Path, int] = {}

    def record(self, views: Views) -> None:
        """Record what is due. What the machine refuses now is tried again with the next look."""
        try:
            self._record(views)
        except AppendOutcomeUnknown:
            raise
        except AppendFailed as error:
            log.warning("use not recorded", reason=str(error))

    def _record(self, views: Views) -> None:
        for day, path in notes.days(self._state_dir):
            over = notes.is_over(day)
            try:
                size = path.stat().st_size
                if not over and self._seen.get(path) == size:
                    continue
                found = list(notes.read(path))
            except OSError as error:
                log.warning("notes of use cannot be read", path=str(path), reason=str(error))
                continue
            self._record_day(day, found, over=over, known=_known(views, found))
            self._seen[path] = size
            if over:
                path.unlink(missing_ok=True)
                self._seen.pop(path, None)

    def _record_day(self, day: str, found: Iterable[Note], *, over: bool, known: frozenset[str]) -> None:
        by_pattern: dict[str, list[Note]] = {}
        for note in found:
            if note.pattern_id in known:
                by_pattern.setdefault(note.pattern_id, []).append(note)
        for pattern_id, of_pattern in by_pattern.items():
            usage = self._door.usage(pattern_id)
            new = [note for note in of_pattern if (day, note.place) > (usage.day, usage.through)]
            if new:
                runs = tuple(dict.fromkeys(note.run for note in new if note.run))[:MOST_RUNS]
                command = c.RecordServed(pattern_id, day, len(new), runs, new[-1].place, day_is_over=over)
                outcome = self._door.handle(command, ACTOR)
                if isinstance(outcome, Refused) and outcome.code != "day_not_over":
                    log.info("use not recorded", pattern=pattern_id[:8], reason=outcome.reason)


def _known(views: Views, found: Iterable[Note]) -> frozenset[str]:
    """Of the patterns that the notes name, those that there are: anybody may have written into the file."""
    named = {note.pattern_id for note in found}
    return frozenset(
        pattern_id for pattern_id in named if views.rows("SELECT 1 FROM patterns WHERE id = ?", (pattern_id,))
    )
